//! What a cluster knows, apart from the form in which it was told.

pub(crate) mod agent;
pub(crate) mod event;
mod image;
mod lenient;
mod status;
mod task;
pub(crate) mod v0;
pub(crate) mod v1;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Which tasks are worth to be kept.
pub(crate) trait Filter {
    /// False if no task in this state is wanted, whatever else it is: it is passed over
    /// unread. Tasks that are alive are not asked about.
    fn may_want(&self, state: &str) -> bool;
}

impl<F: Fn(&str) -> bool> Filter for F {
    fn may_want(&self, state: &str) -> bool {
        self(state)
    }
}

/// Everything of a master's state that matters here, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) version: String,
    /// The process that answered.
    pub(crate) pid: String,
    /// The process that leads, in the view of the one that answered.
    pub(crate) leader: String,
    pub(crate) agents: Vec<Agent>,
    /// Some agents have not come back yet after a change of leaders: what ran on them
    /// will be listed only then.
    pub(crate) settling: bool,
    /// Also those that have no labels: that is worth to be known.
    pub(crate) executors: Vec<Executor>,
    /// The names of the frameworks by their ids.
    pub(crate) frameworks: HashMap<Arc<str>, Arc<str>>,
    /// Tasks that have ended or are unreachable, in all lists.
    pub(crate) tasks: Vec<Task>,
    /// Tasks that could not be read.
    pub(crate) skipped: usize,
}

impl Snapshot {
    /// True if the answer is that of the leading master, and not the empty state that
    /// masters before 1.0 serve while another one leads.
    pub(crate) fn is_of_leader(&self) -> bool {
        !self.pid.is_empty() && self.pid.eq_ignore_ascii_case(&self.leader)
    }
}

/// An agent as its master knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) hostname: String,
    /// `slave(1)@ip:port`.
    pub(crate) pid: String,
    /// Told since 1.8.
    pub(crate) port: Option<u16>,
}

impl Agent {
    /// The `ip:port` of its process.
    pub(crate) fn process_address(&self) -> Option<&str> {
        let (_, address) = self.pid.rsplit_once('@')?;
        address
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .and(Some(address))
    }

    /// Its port, by its record or by its process.
    pub(crate) fn http_port(&self) -> Option<u16> {
        let of_process = || self.process_address()?.rsplit_once(':')?.1.parse().ok();
        self.port.or_else(of_process).filter(|port| *port != 0)
    }
}

/// An executor as its master knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Executor {
    pub(crate) framework: Arc<str>,
    pub(crate) id: String,
    /// The agent it runs on, where that is told.
    pub(crate) agent: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// It is the default executor, which runs pods.
    pub(crate) runs_pods: bool,
}

/// A task as its master knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Task {
    pub(crate) framework: Arc<str>,
    pub(crate) framework_name: Arc<str>,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) agent: String,
    /// Empty for command tasks.
    pub(crate) executor: String,
    pub(crate) state: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) image: String,
    /// In the order in which they came.
    pub(crate) statuses: Vec<Status>,
    /// Container ids from the executor's down to the task's own, where they are told.
    pub(crate) containers: Vec<String>,
}

/// A status update of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    pub(crate) state: String,
    /// By the clock of the executor or the agent.
    pub(crate) time: Option<Seconds>,
    /// Never told by `/state`, as are reason and source.
    pub(crate) message: Option<String>,
    /// `REASON_...`.
    pub(crate) reason: Option<String>,
    /// By its health checks.
    pub(crate) healthy: Option<bool>,
    /// `SOURCE_...`: who made this status.
    pub(crate) source: Option<String>,
}

impl Task {
    /// The status that tells the end: the newest of the task's state. What a master added
    /// after it, that the agent was lost or the framework removed, is no news of it; such a
    /// status tells the end only of a task whose state is of a master's making too.
    pub(crate) fn death(&self) -> Option<&Status> {
        let mut ended = self
            .statuses
            .iter()
            .rev()
            .take_while(|s| !is_alive(&s.state));
        ended.find(|s| s.state == self.state).or_else(|| {
            let last = self.statuses.last()?;
            (is_final(&last.state) && !is_of_executor(&self.state)).then_some(last)
        })
    }

    /// The time of death, if a status tells it.
    pub(crate) fn death_time(&self) -> Option<Seconds> {
        self.death()?.time
    }

    /// A task whose agent could not be reached, and was then given up for good, died once:
    /// what came after is left out, where the first of it is a failure.
    pub(crate) fn die_once(&mut self, is_failure: impl Fn(&str) -> bool) {
        if !matches!(
            self.state.as_str(),
            "TASK_GONE" | "TASK_GONE_BY_OPERATOR" | "TASK_LOST"
        ) {
            return;
        }
        let tail = self.statuses.iter().rev();
        let tail = tail.take_while(|s| !is_alive(&s.state)).count();
        let from = self.statuses.len() - tail;
        let is_first = |s: &Status| s.state == UNREACHABLE && is_failure(UNREACHABLE);
        if let Some(at) = self.statuses[from..].iter().position(is_first) {
            self.statuses.truncate(from + at + 1);
            UNREACHABLE.clone_into(&mut self.state);
        }
    }

    /// The time of the first status.
    pub(crate) fn start_time(&self) -> Option<Seconds> {
        self.statuses.first()?.time
    }
}

/// A point in time as Mesos writes it: seconds since 1970, with a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seconds(f64);

impl Seconds {
    /// A time that makes sense: after 1970 and before the year 9999.
    pub(crate) fn new(seconds: f64) -> Option<Self> {
        (seconds > 0.0 && seconds < 253_000_000_000.0).then_some(Self(seconds))
    }

    /// Milliseconds, rounded. The identity of a death is made of these.
    pub(crate) fn millis(self) -> i64 {
        (self.0 * 1000.0).round() as i64
    }

    /// Whole seconds, cut. People see these.
    pub(crate) fn whole(self) -> i64 {
        self.0 as i64
    }
}

/// True for states after which nothing comes.
pub(crate) fn is_final(state: &str) -> bool {
    matches!(
        state,
        "TASK_FINISHED"
            | "TASK_FAILED"
            | "TASK_KILLED"
            | "TASK_LOST"
            | "TASK_ERROR"
            | "TASK_DROPPED"
            | "TASK_GONE"
            | "TASK_GONE_BY_OPERATOR"
    )
}

/// The state of a task whose agent cannot be reached: it may live.
pub(crate) const UNREACHABLE: &str = "TASK_UNREACHABLE";

/// True for ends that only an executor or its agent reports.
fn is_of_executor(state: &str) -> bool {
    matches!(state, "TASK_FINISHED" | "TASK_FAILED" | "TASK_ERROR")
}

/// True for states of tasks that are alive.
pub(crate) fn is_alive(state: &str) -> bool {
    matches!(
        state,
        "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(pid: &str, port: Option<u16>) -> Agent {
        Agent {
            pid: pid.into(),
            port,
            ..Agent::default()
        }
    }

    #[test]
    fn the_port_is_that_of_the_record_or_of_the_process() {
        assert_eq!(
            agent("slave(1)@10.0.0.1:31051", None).http_port(),
            Some(31051)
        );
        assert_eq!(
            agent("slave(1)@10.0.0.1:31051", Some(5055)).http_port(),
            Some(5055)
        );
        assert_eq!(
            agent("slave(1)@[fe80::1]:5052", None).http_port(),
            Some(5052)
        );
        assert_eq!(
            agent("slave(1)@[fe80::1]:5052", None).process_address(),
            Some("[fe80::1]:5052")
        );
        for bad in [
            "",
            "slave(1)",
            "slave(1)@",
            "slave(1)@h",
            "slave(1)@h:",
            "slave(1)@h:x",
            "slave(1)@:0",
        ] {
            assert_eq!(agent(bad, None).http_port(), None, "{bad}");
        }
    }

    fn task(state: &str, statuses: &[(&str, f64)]) -> Task {
        Task {
            state: state.into(),
            statuses: statuses
                .iter()
                .map(|(state, t)| Status {
                    state: (*state).into(),
                    time: Seconds::new(*t),
                    ..Status::default()
                })
                .collect(),
            ..Task::default()
        }
    }

    #[test]
    fn the_time_of_death_is_that_of_the_last_status() {
        let died = |state, statuses: &[(&str, f64)]| {
            task(state, statuses).death_time().map(Seconds::millis)
        };
        assert_eq!(
            died(
                "TASK_FAILED",
                &[("TASK_RUNNING", 1.0), ("TASK_FAILED", 2.25)]
            ),
            Some(2250)
        );
        // A state that repeats: the newest.
        assert_eq!(
            died("TASK_FAILED", &[("TASK_FAILED", 2.0), ("TASK_FAILED", 3.0)]),
            Some(3000)
        );
        // An unreachable task has no final state.
        assert_eq!(
            died("TASK_UNREACHABLE", &[("TASK_UNREACHABLE", 2.0)]),
            Some(2000)
        );
        // The state runs ahead of the statuses.
        assert_eq!(died("TASK_FAILED", &[("TASK_RUNNING", 1.0)]), None);
        assert_eq!(
            died("TASK_LOST", &[("TASK_LOST", 1.0), ("TASK_RUNNING", 2.0)]),
            None
        );
        assert_eq!(
            died("TASK_LOST", &[("TASK_RUNNING", 1.0), ("TASK_FAILED", 2.0)]),
            Some(2000)
        );
        // What a master added.
        assert_eq!(
            died(
                "TASK_FAILED",
                &[("TASK_FAILED", 2.0), ("TASK_LOST", 3.0), ("TASK_LOST", 4.0)]
            ),
            Some(2000)
        );
        assert_eq!(
            died("TASK_FAILED", &[("TASK_RUNNING", 1.0), ("TASK_LOST", 3.0)]),
            None
        );
        assert_eq!(died("TASK_FAILED", &[]), None);
        assert_eq!(died("TASK_FAILED", &[("TASK_FAILED", 0.0)]), None);
    }

    #[test]
    fn who_could_not_be_reached_dies_once() {
        let after = |statuses: &[(&str, f64)], wanted: bool| {
            let mut t = task("TASK_GONE_BY_OPERATOR", statuses);
            t.die_once(|_| wanted);
            (t.death_time().map(Seconds::millis), t.state)
        };
        let gone = [
            ("TASK_RUNNING", 1.0),
            ("TASK_UNREACHABLE", 2.0),
            ("TASK_GONE_BY_OPERATOR", 3.0),
        ];
        assert_eq!(after(&gone, true), (Some(2000), UNREACHABLE.into()));
        assert_eq!(after(&gone, false).0, Some(3000));
        // It was back meanwhile.
        let back = [
            ("TASK_UNREACHABLE", 1.0),
            ("TASK_RUNNING", 2.0),
            ("TASK_GONE_BY_OPERATOR", 3.0),
        ];
        assert_eq!(after(&back, true).0, Some(3000));
    }

    #[test]
    fn seconds_are_cut_and_milliseconds_rounded() {
        let t = Seconds::new(1_466_138_479.999_6).unwrap();
        assert_eq!((t.whole(), t.millis()), (1_466_138_479, 1_466_138_480_000));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(Seconds::new(bad).is_none());
        }
    }
}
