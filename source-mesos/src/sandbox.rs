//! Where a task's logs are: the run of its executor, and the directory within.

use notifier_core::FailureRecord;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::state::{
    Agent, Task,
    agent::{AgentExecutor, AgentState},
};

/// What finds a task's sandbox again: the `locator` of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trace {
    pub(crate) agent: String,
    /// Of the master it was read from.
    pub(crate) scheme: String,
    pub(crate) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// `ip:port` of the agent's process, for a host name that does not lead there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
    pub(crate) framework: String,
    /// Empty for command tasks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) executor: String,
    /// From the executor's down to the task's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) containers: Vec<String>,
    /// Time of the last status in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_ms: Option<i64>,
    /// The version of Mesos.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mesos: String,
}

impl Trace {
    pub(crate) fn new(
        task: &Task,
        agent: Option<&Agent>,
        scheme: &str,
        version: &str,
        finished_ms: Option<i64>,
    ) -> Self {
        Self {
            agent: task.agent.clone(),
            scheme: scheme.to_owned(),
            host: agent.map(|a| a.hostname.clone()).unwrap_or_default(),
            port: agent.and_then(Agent::http_port),
            process: agent.and_then(Agent::process_address).map(str::to_owned),
            framework: task.framework.as_ref().to_owned(),
            executor: task.executor.clone(),
            containers: task.containers.clone(),
            finished_ms,
            mesos: version.to_owned(),
        }
    }

    /// `host:port` of the agent, as people know it.
    pub(crate) fn address(&self) -> Option<String> {
        match (self.host.is_empty(), self.port, &self.process) {
            (false, Some(port), _) => Some(authority(&self.host, port)),
            (_, _, process) => process.clone(),
        }
    }

    /// How the agent is called in messages.
    pub(crate) fn agent_name(&self) -> String {
        self.address().unwrap_or_else(|| self.agent.clone())
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The directory with the `stdout` and `stderr` of a failure, if the agent still knows it.
pub(crate) fn find(agent: &AgentState, failure: &FailureRecord, trace: &Trace) -> Option<String> {
    let run = find_run(agent, &failure.id, &failure.state, trace)?;
    let base = run.directory.trim_end_matches('/');
    let nested = trace.containers.get(1..).unwrap_or_default();
    if run.runs_pods && !trace.executor.is_empty() {
        return Some(format!("{base}/tasks/{}", failure.id));
    }
    Some(
        nested
            .iter()
            .fold(base.to_owned(), |dir, id| format!("{dir}/containers/{id}")),
    )
}

fn find_run<'a>(
    agent: &'a AgentState,
    task: &str,
    state: &str,
    trace: &Trace,
) -> Option<&'a AgentExecutor> {
    let same_framework = |e: &&AgentExecutor| e.framework == trace.framework;
    let last = |runs: &[&'a AgentExecutor]| {
        runs.iter()
            .rev()
            .find(|e| same_framework(e))
            .or(runs.last())
            .copied()
    };

    if let Some(root) = trace.containers.first() {
        let is_run = |e: &&AgentExecutor| {
            e.container == *root || (e.container.is_empty() && last_part(&e.directory) == root)
        };
        let runs: Vec<&AgentExecutor> = agent.executors.iter().filter(is_run).collect();
        if let Some(run) = last(&runs) {
            return Some(run);
        }
    }
    let executor = if trace.executor.is_empty() {
        task
    } else {
        &trace.executor
    };
    let fits = |e: &&AgentExecutor| {
        e.id == executor
            // Of a run that is known by its id, another run is none.
            && (trace.containers.is_empty() || e.container.is_empty())
            && is_of_agent(agent, e, &trace.agent)
            && !is_other_run(e, task, state, trace.finished_ms)
    };
    let mut runs: Vec<&AgentExecutor> = agent.executors.iter().filter(fits).collect();
    // The framework's id need not be the one the master knows, but one that is wins.
    if runs.iter().any(same_framework) {
        runs.retain(|e| e.framework == trace.framework);
    }
    // The last one of the best: lists are oldest first.
    runs.into_iter()
        .enumerate()
        .max_by_key(|(at, e)| (rank(e, task, state, trace.finished_ms), *at))
        .map(|(_, e)| e)
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
}

/// An agent that came back under a new id may run an executor of the same id again.
fn is_of_agent(agent: &AgentState, run: &AgentExecutor, wanted: &str) -> bool {
    agent.id.is_empty()
        || wanted.is_empty()
        || agent.id == wanted
        || !run.directory.contains("/slaves/")
        || run.directory.contains(&format!("/slaves/{wanted}/"))
}

const TOLERANCE_MS: u64 = 1;

fn same_time(a: Option<i64>, b: Option<i64>) -> Option<bool> {
    Some(a?.abs_diff(b?) <= TOLERANCE_MS)
}

/// The run holds a task of this id that ended at another time: the id was used again, and
/// this is another run. Of an end that the master made up (a lost agent, say) the agent
/// knows another time, and another state.
fn is_other_run(run: &AgentExecutor, task: &str, state: &str, finished: Option<i64>) -> bool {
    let made_by_executor = matches!(state, "TASK_FAILED" | "TASK_KILLED" | "TASK_FINISHED");
    let mut held = run.tasks.iter().filter(|t| t.id == task).peekable();
    held.peek().is_some()
        && held.all(|t| {
            (t.state == state || (made_by_executor && t.has_ended()))
                && same_time(t.time, finished) == Some(false)
        })
}

/// How much a run looks like the one in which the task died.
fn rank(run: &AgentExecutor, task: &str, state: &str, finished: Option<i64>) -> u8 {
    let of_task = |t: &crate::state::agent::AgentTask| {
        if same_time(t.time, finished) == Some(true) {
            5
        } else if t.state == state {
            4
        } else if t.has_ended() {
            3
        } else {
            // It runs: a later run, or a status the agent has not told yet.
            1
        }
    };
    let held = run.tasks.iter().filter(|t| t.id == task).map(of_task).max();
    held.unwrap_or(if run.tasks.is_empty() { 2 } else { 0 })
}

/// The address of a log for people. The path is encoded as little as can be, since links
/// are shown as text too: `/` and letters of all alphabets stay.
pub(crate) fn link(scheme: &str, address: &str, directory: &str, file: &str) -> String {
    format!(
        "{scheme}://{address}/files/download?path={}/{file}",
        encode_for_people(directory)
    )
}

/// The address of a log for ourselves.
pub(crate) fn download_url(scheme: &str, address: &str, path: &str) -> String {
    const ALL: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    format!(
        "{scheme}://{address}/files/download?path={}",
        utf8_percent_encode(path, ALL)
    )
}

fn encode_for_people(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_control() || matches!(c, ' ' | '"' | '<' | '>' | '|' | '#' | '%' | '&' | '+') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::state::agent::AgentTask;

    fn run(framework: &str, id: &str, container: &str) -> AgentExecutor {
        AgentExecutor {
            framework: framework.into(),
            id: id.into(),
            container: container.into(),
            directory: format!(
                "/w/slaves/S/frameworks/{framework}/executors/{id}/runs/{container}"
            ),
            ..AgentExecutor::default()
        }
    }

    fn holding(
        mut run: AgentExecutor,
        task: &str,
        state: &str,
        time: Option<i64>,
    ) -> AgentExecutor {
        run.tasks.push(AgentTask {
            id: task.into(),
            state: state.into(),
            time,
        });
        run
    }

    fn agent(executors: Vec<AgentExecutor>) -> AgentState {
        AgentState {
            id: "S".into(),
            executors,
        }
    }

    fn failure(id: &str) -> FailureRecord {
        FailureRecord::new(id, id, "TASK_FAILED", Timestamp::UNIX_EPOCH)
    }

    fn trace(executor: &str, containers: &[&str]) -> Trace {
        Trace {
            agent: "S".into(),
            framework: "F".into(),
            executor: executor.into(),
            containers: containers.iter().map(|c| (*c).to_owned()).collect(),
            finished_ms: Some(5000),
            ..Trace::default()
        }
    }

    fn found(agent: &AgentState, trace: &Trace) -> Option<String> {
        find(agent, &failure("t"), trace)
    }

    #[test]
    fn a_command_task_is_found_by_its_id() {
        let a = agent(vec![run("F", "other", "c0"), run("F", "t", "c1")]);
        assert_eq!(
            found(&a, &trace("", &[])).unwrap(),
            "/w/slaves/S/frameworks/F/executors/t/runs/c1"
        );
        assert_eq!(found(&a, &trace("", &["c1"])), found(&a, &trace("", &[])));
    }

    #[test]
    fn the_container_wins_over_the_id() {
        let a = agent(vec![
            run("F", "t", "old"),
            run("F", "t", "mine"),
            run("F", "t", "new"),
        ]);
        assert!(
            found(&a, &trace("", &["mine"]))
                .unwrap()
                .ends_with("/runs/mine")
        );
        // A run that is known and gone is not replaced by another run.
        assert_eq!(found(&a, &trace("", &["gone"])), None);
    }

    #[test]
    fn a_run_is_known_by_its_directory_too() {
        let mut bare = run("F", "x", "mine");
        bare.container.clear();
        assert!(found(&agent(vec![bare]), &trace("", &["mine"])).is_some());
    }

    #[test]
    fn the_frameworks_id_may_differ() {
        let a = agent(vec![run("G", "t", "c1")]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c1"));
        let a = agent(vec![run("F", "t", "c0"), run("G", "t", "c1")]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c0"));
        let a = agent(vec![run("F", "t", "c"), run("G", "t", "c")]);
        assert!(found(&a, &trace("", &["c"])).unwrap().contains("/F/"));
    }

    #[test]
    fn without_a_container_the_run_that_held_the_death_wins() {
        let a = agent(vec![
            holding(run("F", "t", "c1"), "t", "TASK_FAILED", Some(4000)),
            holding(run("F", "t", "c2"), "t", "TASK_FAILED", Some(5000)),
            holding(run("F", "t", "c3"), "t", "TASK_FAILED", Some(6000)),
            holding(run("F", "t", "c4"), "t", "TASK_RUNNING", Some(7000)),
        ]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c2"));
        // Only other runs are left.
        let others = agent(vec![a.executors[0].clone(), a.executors[2].clone()]);
        assert_eq!(found(&others, &trace("", &[])), None);
        // Of a death without a status the time is not known: the last one that ended so.
        let unknown = Trace {
            finished_ms: None,
            ..trace("", &[])
        };
        assert!(found(&a, &unknown).unwrap().ends_with("/runs/c3"));
    }

    #[test]
    fn without_any_task_the_last_run_wins() {
        let a = agent(vec![run("F", "t", "c1"), run("F", "t", "c2")]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c2"));
        // A run that has the task running is a later one.
        let a = agent(vec![
            run("F", "t", "c1"),
            holding(run("F", "t", "c2"), "t", "TASK_RUNNING", None),
        ]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c1"));
    }

    #[test]
    fn a_lost_task_may_have_ended_otherwise_on_its_agent() {
        let a = agent(vec![holding(
            run("F", "t", "c1"),
            "t",
            "TASK_KILLED",
            Some(9000),
        )]);
        let lost = FailureRecord::new("t", "t", "TASK_LOST", Timestamp::UNIX_EPOCH);
        assert!(find(&a, &lost, &trace("", &[])).is_some());
        // One that failed did so on its agent, too.
        assert_eq!(found(&a, &trace("", &[])), None);
    }

    #[test]
    fn a_custom_executor_is_found_by_its_own_id() {
        let a = agent(vec![
            run("F", "t", "c0"),
            holding(run("F", "ex", "c1"), "t", "TASK_FAILED", Some(5000)),
            run("F", "ex", "c2"),
        ]);
        assert!(
            found(&a, &trace("ex", &[]))
                .unwrap()
                .ends_with("/ex/runs/c1")
        );
        assert!(
            found(&a, &trace("ex", &["c2"]))
                .unwrap()
                .ends_with("/ex/runs/c2")
        );
    }

    #[test]
    fn nested_containers_have_directories_of_their_own() {
        let a = agent(vec![run("F", "ex", "c1")]);
        assert!(
            found(&a, &trace("ex", &["c1", "n"]))
                .unwrap()
                .ends_with("/runs/c1/containers/n")
        );
        assert!(
            found(&a, &trace("ex", &["c1", "n", "m"]))
                .unwrap()
                .ends_with("/runs/c1/containers/n/containers/m")
        );
    }

    #[test]
    fn pods_have_a_directory_for_each_task() {
        let mut pod = run("F", "instance-x", "c1");
        pod.runs_pods = true;
        let a = agent(vec![pod]);
        assert!(
            found(&a, &trace("instance-x", &["c1", "n"]))
                .unwrap()
                .ends_with("/runs/c1/tasks/t")
        );
        assert!(
            found(&a, &trace("instance-x", &[]))
                .unwrap()
                .ends_with("/runs/c1/tasks/t")
        );
    }

    #[test]
    fn an_agent_of_another_id_has_other_runs() {
        let mut a = agent(vec![run("F", "t", "c1")]);
        a.id = "S2".into();
        assert!(found(&a, &trace("", &[])).is_some());
        a.executors[0].directory = "/w/slaves/S2/frameworks/F/executors/t/runs/c1".into();
        assert_eq!(found(&a, &trace("", &[])), None);
        assert!(found(&a, &trace("", &["c1"])).is_some());
    }

    #[test]
    fn links_are_encoded_narrowly() {
        assert_eq!(
            link(
                "http",
                "h:5051",
                "/w/日本 a\"<>|#%&+\u{7}\u{85}?=:'()",
                "stdout"
            ),
            "http://h:5051/files/download?path=/w/日本%20a%22%3C%3E%7C%23%25%26%2B%07%C2%85?=:'()/stdout"
        );
        assert_eq!(
            download_url("http", "h:5051", "/w/日 a/stdout"),
            "http://h:5051/files/download?path=%2Fw%2F%E6%97%A5%20a%2Fstdout"
        );
    }

    #[test]
    fn addresses() {
        let t = |host: &str, port, process: Option<&str>| {
            Trace {
                host: host.into(),
                port,
                process: process.map(str::to_owned),
                ..Trace::default()
            }
            .address()
        };
        assert_eq!(t("h", Some(5055), Some("10.0.0.1:5051")).unwrap(), "h:5055");
        assert_eq!(t("fe80::1", Some(5055), None).unwrap(), "[fe80::1]:5055");
        assert_eq!(
            t("", Some(5055), Some("10.0.0.1:5051")).unwrap(),
            "10.0.0.1:5051"
        );
        assert_eq!(t("h", None, None), None);
    }

    proptest! {
        #[test]
        fn links_lead_back_to_the_path(path in "[/ -~日é\u{0}-\u{1f}\u{80}-\u{a0}]{0,40}") {
            for url in [link("http", "h:1", &path, "stdout"), download_url("http", "h:1", &format!("{path}/stdout"))] {
                let url = url::Url::parse(&url).unwrap();
                let back: Vec<(String, String)> = url.query_pairs().into_owned().collect();
                prop_assert_eq!(back, [("path".to_owned(), format!("{path}/stdout"))]);
            }
        }
    }
}
