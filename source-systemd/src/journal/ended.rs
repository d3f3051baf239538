//! What systemd notes in the journal of units that fail.
//!
//! For a run that ends by its main process there are two entries, both with `UNIT` and `INVOCATION_ID`: that the
//! process ended (`EXIT_CODE`, `EXIT_STATUS`; the same for other processes of the unit, such as that of
//! `ExecStop=`), and that the unit failed (`UNIT_RESULT`). A unit that is refused a further start by its
//! start limit is said to have failed again, with the result and the id of the run before it (systemd 252).
//! Where a start fails before there is a run, an entry has the job's number and result.

use std::collections::{HashMap, HashSet, VecDeque};

use notifier_core::jiff::Timestamp;

use super::entry::{EXIT, Entry, START_FAILED};
use crate::record::{self, DEPENDENCY, Exit, JOB_TIMEOUT, START_LIMIT};

/// The matches of the entries that are read.
pub(crate) const MESSAGES: [&[&str]; 4] = [
    &["MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c"],
    &[
        "MESSAGE_ID=be02cf6855d2428ba40df7e9d022f03d",
        "JOB_RESULT=dependency",
        "JOB_RESULT=timeout",
    ],
    &["MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15"],
    &["CODE_FUNC=unit_test_start_limit"],
];
/// How many of them say that something failed; they come first.
pub(crate) const FAILURES: usize = 2;

/// Of how many units it is remembered how their processes ended.
const MAX_UNITS: usize = 4096;

/// A failure that the journal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) unit: String,
    /// 32 hexadecimal digits; empty if it is not known; the boot and the number of a job.
    pub(crate) invocation_id: String,
    /// `exit-code`, `signal`, `start-limit-hit`, `dependency`, …
    pub(crate) result: String,
    /// How its main process ended; where none did, how another one of the unit did.
    pub(crate) exit: Option<Exit>,
    pub(crate) at: Timestamp,
    /// The entry's, for [`Since::Cursor`](super::Since::Cursor).
    pub(crate) cursor: String,
}

impl Ended {
    /// The last part of the failure's key: which one of its run or job it is.
    pub(crate) fn last(&self) -> &'static str {
        [START_LIMIT, DEPENDENCY, JOB_TIMEOUT]
            .into_iter()
            .find(|last| *last == self.result)
            .unwrap_or_default()
    }

    /// Whether a start failed before there was a run.
    pub(crate) fn is_of_job(&self) -> bool {
        matches!(self.last(), DEPENDENCY | JOB_TIMEOUT)
    }
}

/// Makes failures out of entries in their order.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) found: Vec<Ended>,
    /// How the main process of a unit ended, by unit and run.
    exits: HashMap<(String, String), Exit>,
    order: VecDeque<(String, String)>,
    /// Units whose start was refused just now.
    refused: HashSet<String>,
    /// The run that each unit failed with last.
    last: HashMap<String, String>,
}

impl Reader {
    pub(crate) fn take(&mut self, entry: &Entry) {
        if entry.unit.is_empty() {
            return;
        }
        if entry.is_failure() {
            self.failed(entry);
        } else if entry.message_id == EXIT {
            self.exited(entry);
        } else if entry.message_id == START_FAILED {
            self.not_started(entry);
        } else if entry.function == "unit_test_start_limit" {
            self.refused.insert(entry.unit.clone());
        }
    }

    fn exited(&mut self, entry: &Entry) {
        let key = (entry.unit.clone(), entry.invocation_id.clone());
        let main = entry.message.contains("Main process");
        // Other processes count only where there was no main one.
        if !main && self.exits.contains_key(&key) {
            return;
        }
        let Some(exit) = Exit::of_word(&entry.exit_code, &entry.exit_status) else {
            return;
        };
        if self.exits.insert(key.clone(), exit).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MAX_UNITS {
            if let Some(oldest) = self.order.pop_front() {
                self.exits.remove(&oldest);
            }
        }
    }

    fn not_started(&mut self, entry: &Entry) {
        let Some(result) = record::of_job(&entry.job_result) else {
            return;
        };
        let Ok(job) = entry.job.parse() else {
            return;
        };
        self.found.push(Ended {
            unit: entry.unit.clone(),
            invocation_id: record::job_id(&entry.boot_id, job),
            result: result.to_owned(),
            exit: None,
            at: entry.at,
            cursor: entry.cursor.clone(),
        });
    }

    fn failed(&mut self, entry: &Entry) {
        let refused = self.refused.remove(&entry.unit);
        let id = &entry.invocation_id;
        let again = self
            .last
            .get(&entry.unit)
            .is_some_and(|last| !id.is_empty() && last == id);
        self.last.insert(entry.unit.clone(), id.clone());
        let limit = refused || again || entry.result == START_LIMIT;
        let exit = self.exits.get(&(entry.unit.clone(), id.clone()));
        self.found.push(Ended {
            unit: entry.unit.clone(),
            invocation_id: id.clone(),
            result: if limit { START_LIMIT } else { &entry.result }.to_owned(),
            exit: exit.filter(|_| !limit).copied(),
            at: entry.at,
            cursor: entry.cursor.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message_id: &str, unit: &str, id: &str) -> Entry {
        Entry {
            message_id: message_id.to_owned(),
            unit: unit.to_owned(),
            invocation_id: id.to_owned(),
            ..Entry::default()
        }
    }

    fn exit(unit: &str, id: &str, code: &str, status: i32, which: &str) -> Entry {
        Entry {
            exit_code: code.to_owned(),
            exit_status: status.to_string(),
            message: format!("{unit}: {which} process exited"),
            ..entry(EXIT, unit, id)
        }
    }

    fn failure(unit: &str, id: &str, result: &str) -> Entry {
        Entry {
            result: result.to_owned(),
            ..entry(super::super::entry::FAILURE, unit, id)
        }
    }

    fn read(entries: &[Entry]) -> Vec<(String, String, Option<Exit>)> {
        let mut reader = Reader::default();
        entries.iter().for_each(|e| reader.take(e));
        let told = reader.found.into_iter();
        told.map(|e| (e.unit, e.result, e.exit)).collect()
    }

    fn told(unit: &str, result: &str, exit: Option<Exit>) -> (String, String, Option<Exit>) {
        (unit.to_owned(), result.to_owned(), exit)
    }

    #[test]
    fn the_main_process_counts() {
        let entries = [
            exit("a", "1", "exited", 3, "Control"),
            exit("b", "9", "exited", 5, "Main"),
            exit("a", "1", "killed", 9, "Main"),
            exit("a", "1", "exited", 4, "Control"),
            failure("a", "1", "signal"),
            exit("c", "2", "exited", 6, "Control"),
            failure("c", "2", "exit-code"),
            failure("d", "3", "resources"),
        ];
        assert_eq!(
            read(&entries),
            [
                told("a", "signal", Some(Exit::Killed(9))),
                told("c", "exit-code", Some(Exit::Exited(6))),
                told("d", "resources", None)
            ]
        );
    }

    #[test]
    fn a_start_that_failed_before_a_run_is_that_of_a_job() {
        let job = |result: &str, job: &str| Entry {
            job: job.to_owned(),
            job_result: result.to_owned(),
            boot_id: "b".to_owned(),
            ..entry(START_FAILED, "a", "1")
        };
        let mut reader = Reader::default();
        for entry in [
            failure("a", "1", "signal"),
            job("dependency", "7"),
            job("failed", "8"),
            job("timeout", "9"),
            job("dependency", "odd"),
            failure("a", "2", "signal"),
        ] {
            reader.take(&entry);
        }
        let found: Vec<_> = reader
            .found
            .iter()
            .map(|e| (e.invocation_id.as_str(), e.last(), e.is_of_job()))
            .collect();
        assert_eq!(
            found,
            [
                ("1", "", false),
                ("b/7", DEPENDENCY, true),
                ("b/9", JOB_TIMEOUT, true),
                ("2", "", false)
            ]
        );
    }

    /// The entries of systemd 252, which gives the run's result a second time.
    #[test]
    fn a_refused_start_is_told_as_such() {
        let refused = Entry {
            function: "unit_test_start_limit".to_owned(),
            ..entry("", "a", "")
        };
        let run = [
            exit("a", "1", "killed", 9, "Main"),
            failure("a", "1", "signal"),
        ];
        let limit = told("a", "start-limit-hit", None);
        let ended = told("a", "signal", Some(Exit::Killed(9)));
        let all = [&run[..], &[refused.clone(), failure("a", "1", "signal")]].concat();
        assert_eq!(read(&all), [ended.clone(), limit.clone()]);
        // The first two were seen before.
        assert_eq!(read(&all[2..]), std::slice::from_ref(&limit));
        // Without the entry that names it.
        assert_eq!(
            read(&[run.to_vec(), vec![failure("a", "1", "signal")]].concat()),
            [ended.clone(), limit]
        );
        // The next run is one of its own.
        let next = [
            run.to_vec(),
            vec![
                refused,
                failure("a", "1", "signal"),
                failure("a", "2", "signal"),
            ],
        ]
        .concat();
        assert_eq!(read(&next)[2], told("a", "signal", None));
    }
}
