//! What is told of a unit that failed.

mod names;

use std::collections::BTreeMap;

use notifier_core::{FailureKey, FailureRecord, jiff::Timestamp};

use self::names::{exit_name, signal_name, signal_number};

/// What `framework` says, and the source's name unless another is set.
pub(crate) const SYSTEMD: &str = "systemd";
/// The result of a unit that is refused further starts.
pub(crate) const START_LIMIT: &str = "start-limit-hit";
/// The result of a unit whose start failed since that of another failed.
pub(crate) const DEPENDENCY: &str = "dependency";
/// The result of a unit whose start took longer than `JobTimeoutSec=`.
pub(crate) const JOB_TIMEOUT: &str = "job-timeout";
/// The result of runs that nobody saw.
pub(crate) const UNSEEN: &str = "unseen";

/// The identity of a unit's failure: the same, whoever sees it.
///
/// `last` is [`START_LIMIT`] where the unit is refused further starts, since the run before has told of its own
/// end; [`DEPENDENCY`] or [`JOB_TIMEOUT`], with the boot and the job for `invocation_id`; else empty.
pub(crate) fn key(machine_id: &str, unit: &str, invocation_id: &str, last: &str) -> FailureKey {
    FailureKey::of_parts([SYSTEMD, machine_id, unit, invocation_id, last])
}

/// In place of an invocation, for a job that failed before there was one.
pub(crate) fn job_id(boot_id: &str, job: u32) -> String {
    format!("{boot_id}/{job}")
}

/// The result of a job that is told, if it is one.
pub(crate) fn of_job(result: &str) -> Option<&'static str> {
    match result {
        "dependency" => Some(DEPENDENCY),
        "timeout" => Some(JOB_TIMEOUT),
        _ => None,
    }
}

/// How the main process ended (`ExecMainCode`, `ExecMainStatus`; the codes of waitid(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited with a code.
    Exited(i32),
    /// A signal killed it.
    Killed(i32),
    /// A signal killed it, and it left a core.
    Dumped(i32),
}

impl Exit {
    /// Of `CLD_EXITED`, `CLD_KILLED` and `CLD_DUMPED`; of others, none.
    pub(crate) fn of_code(code: i32, status: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Exited(status)),
            2 => Some(Self::Killed(status)),
            3 => Some(Self::Dumped(status)),
            _ => None,
        }
    }

    /// Of `exited`, `killed` and `dumped`, with a number or the name of a signal; of others, none.
    pub(crate) fn of_word(code: &str, status: &str) -> Option<Self> {
        let number = status.parse().ok().or_else(|| signal_number(status));
        match code {
            "exited" => number.map(Self::Exited),
            "killed" => number.map(Self::Killed),
            "dumped" => number.map(Self::Dumped),
            _ => None,
        }
    }

    fn signal(self) -> Option<i32> {
        match self {
            Self::Exited(_) => None,
            Self::Killed(n) | Self::Dumped(n) => Some(n),
        }
    }
}

/// What is known of one failure. What is empty is not known.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) unit: String,
    /// systemd's own word: `exit-code`.
    pub(crate) result: String,
    pub(crate) invocation_id: String,
    /// The last part of the [`key`].
    pub(crate) last: &'static str,
    pub(crate) exit: Option<Exit>,
    /// How often systemd started it again before this run (`NRestarts`), if that is known.
    pub(crate) restarts: Option<u32>,
    /// Whether systemd starts it again; unset where that is not known.
    pub(crate) will_restart: Option<bool>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Timestamp,
    pub(crate) main_pid: Option<u32>,
    pub(crate) description: String,
    pub(crate) status_text: String,
    pub(crate) platform: String,
    pub(crate) host: String,
    pub(crate) machine_id: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) journal: Vec<String>,
    /// The name of the source.
    pub(crate) source: String,
    /// How many runs ended unseen, for [`UNSEEN`]; else 0.
    pub(crate) unseen: u32,
}

impl Facts {
    /// Of a unit, with nothing else known.
    pub(crate) fn new(unit: &str, result: &str, finished: Timestamp) -> Self {
        Self {
            unit: unit.to_owned(),
            result: result.to_owned(),
            invocation_id: String::new(),
            last: "",
            exit: None,
            restarts: None,
            will_restart: None,
            started: None,
            finished,
            main_pid: None,
            description: String::new(),
            status_text: String::new(),
            platform: String::new(),
            host: String::new(),
            machine_id: String::new(),
            labels: BTreeMap::new(),
            journal: Vec::new(),
            source: SYSTEMD.to_owned(),
            unseen: 0,
        }
    }

    /// Who it is, whoever tells it.
    pub(crate) fn key(&self) -> FailureKey {
        key(&self.machine_id, &self.unit, &self.invocation_id, self.last)
    }

    /// systemd's word for the result, or that the unit is refused further starts.
    fn reason(&self) -> &str {
        if self.last.is_empty() {
            &self.result
        } else {
            self.last
        }
    }

    /// As it is told.
    pub(crate) fn record(self) -> FailureRecord {
        let reason = self.reason().to_owned();
        let state = reason.to_ascii_uppercase().replace('-', "_");
        let message = self.sentence();
        let mut f = FailureRecord::new(&self.unit, &self.unit, state, self.finished);
        f.key = self.key();
        f.message = Some(message);
        f.reason = Some(reason);
        f.framework = SYSTEMD.to_owned();
        f.attempt = self.restarts.map(|n| n.saturating_add(1));
        f.started = self.started;
        if let Some(Exit::Exited(code)) = self.exit {
            f.exit_code = Some(code);
        }
        let exit_status = self.exit.map(|exit| match exit {
            Exit::Exited(n) | Exit::Killed(n) | Exit::Dumped(n) => n.to_string(),
        });
        let exit_word = self.exit.map(|exit| match exit {
            Exit::Exited(_) => "exited",
            Exit::Killed(_) => "killed",
            Exit::Dumped(_) => "dumped",
        });
        let details = [
            ("unit", self.unit),
            ("description", self.description),
            ("result", self.result),
            ("exit_code", exit_word.unwrap_or_default().to_owned()),
            ("exit_status", exit_status.unwrap_or_default()),
            (
                "signal",
                self.exit
                    .and_then(Exit::signal)
                    .map(signal_name)
                    .unwrap_or_default(),
            ),
            (
                "restarts",
                self.restarts.map(|n| n.to_string()).unwrap_or_default(),
            ),
            ("invocation_id", self.invocation_id),
            ("machine_id", self.machine_id),
            (
                "main_pid",
                self.main_pid.map(|p| p.to_string()).unwrap_or_default(),
            ),
            ("status_text", self.status_text),
            ("platform", self.platform),
            ("journal", self.journal.join("\n")),
            (
                "will_restart",
                self.will_restart.map(|w| w.to_string()).unwrap_or_default(),
            ),
            (
                "unseen",
                match self.unseen {
                    0 => String::new(),
                    runs => runs.to_string(),
                },
            ),
        ];
        f.host = self.host;
        f.labels = self.labels;
        f.source = self.source;
        for (name, value) in details.into_iter().filter(|(_, value)| !value.is_empty()) {
            f.details.insert(name.to_owned(), value);
        }
        f
    }

    /// What happened, in one sentence.
    fn sentence(&self) -> String {
        let what = self.what();
        let then = match (self.will_restart, self.restarts) {
            (Some(true), Some(n)) => format!("; restart {} follows", n.saturating_add(1)),
            (Some(true), None) => "; a restart follows".to_owned(),
            _ => String::new(),
        };
        format!("{what}{then}")
    }

    fn what(&self) -> String {
        let by = self.process();
        match self.reason() {
            "exit-code" | "signal" | "core-dump" if self.exit.is_some() => by,
            "exit-code" => "a process of the unit exited with an error".to_owned(),
            "signal" => "a process of the unit was killed by a signal".to_owned(),
            "core-dump" => "a process of the unit was killed by a signal and left a core".to_owned(),
            "timeout" => also("a start, stop or run took longer than the unit allows", &by),
            "watchdog" => also("the unit did not report to its watchdog in time", &by),
            "oom-kill" => also("memory ran out, and the kernel or systemd-oomd killed a process of the unit", &by),
            "protocol" => also("the unit ended without doing what its type promises, such as being ready", &by),
            "resources" => {
                "systemd could not start it: a file, user or other resource that the unit names is missing"
                    .to_owned()
            }
            "exec-condition" => "its ExecCondition= failed".to_owned(),
            START_LIMIT => "started too often: systemd refuses further starts until systemctl reset-failed or the end of StartLimitIntervalSec=".to_owned(),
            DEPENDENCY => "not started: a unit that it requires failed".to_owned(),
            JOB_TIMEOUT => "not started: that took longer than JobTimeoutSec= allows".to_owned(),
            UNSEEN => format!(
                "{} runs ended between two looks, and the journal cannot be read to say how",
                self.unseen
            ),
            other => also(&format!("systemd says: {other}"), &by),
        }
    }

    /// How the main process ended, or nothing.
    fn process(&self) -> String {
        match self.exit {
            None => String::new(),
            Some(Exit::Exited(code)) => match exit_name(code) {
                "" => format!("main process exited with status {code}"),
                name => format!("main process exited with status {code} ({name})"),
            },
            Some(Exit::Killed(n)) => format!("main process was killed by {}", signal_name(n)),
            Some(Exit::Dumped(n)) => {
                format!(
                    "main process was killed by {} and left a core",
                    signal_name(n)
                )
            }
        }
    }
}

fn also(what: &str, process: &str) -> String {
    if process.is_empty() {
        what.to_owned()
    } else {
        format!("{what}; {process}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(result: &str, exit: Option<Exit>) -> Facts {
        let mut f = Facts::new("web@1.service", result, Timestamp::UNIX_EPOCH);
        f.exit = exit;
        f.invocation_id = "06d8446e10c24a62b9082df66f66183f".to_owned();
        f.machine_id = "0123456789abcdef0123456789abcdef".to_owned();
        f
    }

    #[test]
    fn an_exit_is_told_with_its_name() {
        let mut f = facts("exit-code", Some(Exit::Exited(7)));
        f.restarts = Some(2);
        f.will_restart = Some(true);
        f.journal = vec!["one".to_owned(), "two".to_owned()];
        let f = f.record();
        assert_eq!(
            f.message.as_deref(),
            Some("main process exited with status 7 (NOTRUNNING); restart 3 follows")
        );
        assert_eq!((f.exit_code, f.attempt), (Some(7), Some(3)));
        assert_eq!(
            (f.state.as_str(), f.reason.as_deref()),
            ("EXIT_CODE", Some("exit-code"))
        );
        assert_eq!(f.details["journal"], "one\ntwo");
        assert_eq!(f.details["will_restart"], "true");
        assert_eq!(f.details["exit_status"], "7");
        assert!(!f.details.contains_key("signal") && !f.details.contains_key("platform"));
    }

    #[test]
    fn signals_have_names_and_no_exit_code() {
        let f = facts("signal", Some(Exit::Killed(9))).record();
        assert_eq!(
            f.message.as_deref(),
            Some("main process was killed by SIGKILL")
        );
        assert_eq!(
            (f.exit_code, f.details["signal"].as_str()),
            (None, "SIGKILL")
        );
        let f = facts("core-dump", Some(Exit::Dumped(6))).record();
        assert_eq!(f.state, "CORE_DUMP");
        assert!(f.message.unwrap().ends_with("SIGABRT and left a core"));
        assert_eq!(signal_name(34), "signal 34");
        assert_eq!(Exit::of_word("killed", "TERM"), Some(Exit::Killed(15)));
        assert_eq!(Exit::of_word("exited", "217"), Some(Exit::Exited(217)));
        assert_eq!(Exit::of_word("", "1"), None);
        assert_eq!(exit_name(217), "USER");
        assert_eq!(exit_name(203), "EXEC");
        assert_eq!(exit_name(243), "CREDENTIALS");
    }

    #[test]
    fn the_start_limit_is_another_failure_of_the_same_run() {
        let run = facts("exit-code", Some(Exit::Exited(3)));
        let mut limit = run.clone();
        limit.last = START_LIMIT;
        assert_ne!(run.key(), limit.key());
        assert_eq!(
            run.key(),
            FailureKey::of_parts([
                "systemd",
                "0123456789abcdef0123456789abcdef",
                "web@1.service",
                "06d8446e10c24a62b9082df66f66183f",
                ""
            ])
        );
        let limit = limit.record();
        assert_eq!(limit.state, "START_LIMIT_HIT");
        assert_eq!(limit.details["result"], "exit-code");
    }

    #[test]
    fn every_result_has_a_sentence() {
        for result in [
            "exit-code",
            "signal",
            "core-dump",
            "timeout",
            "watchdog",
            "oom-kill",
            "protocol",
            "resources",
            "exec-condition",
            START_LIMIT,
            DEPENDENCY,
            JOB_TIMEOUT,
            UNSEEN,
            "new-word",
        ] {
            for exit in [None, Some(Exit::Exited(1))] {
                let message = facts(result, exit).record().message.unwrap();
                assert!(
                    message.len() > 10 && !message.contains('\n'),
                    "{result}: {message}"
                );
            }
        }
    }
}
