//! The journal, read by `journalctl` as its own processes read it: with the rights of who asks.
//!
//! A child for each question, ended after a while and when nobody waits for it any more; what it prints is
//! read line by line, with a bound for each.

mod child;
mod ended;
mod entry;
mod tail;

use std::{path::PathBuf, time::Duration};

use notifier_core::{Error, ErrorKind, Result, jiff::Timestamp};

pub(crate) use self::ended::Ended;
use self::{child::Child, entry::Entry};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long is waited for the last lines of a run: the journal is written by another process.
const SETTLE: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(900),
];
/// The most entries that are looked at for the last lines of a run.
const MAX_ENTRIES: usize = 1000;
/// The most records that one answer of [`Journal::ended`] has.
pub(crate) const MAX_ENDED: usize = 4096;

/// Where entries are asked for from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Behind the entry with this cursor.
    Cursor(String),
    /// From this time on.
    Time(Timestamp),
}

/// A journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    program: PathBuf,
    directory: Option<PathBuf>,
    /// It is about units of a user's own systemd.
    user: bool,
}

impl Journal {
    /// The machine's journal, or that in a folder. `user`: about the units of a user's own systemd.
    pub(crate) fn new(directory: Option<PathBuf>, user: bool) -> Self {
        Self {
            program: PathBuf::from("journalctl"),
            directory,
            user,
        }
    }

    /// The last lines of one run of a unit: what it wrote, and what systemd says of it as `systemd: …`.
    ///
    /// At most 8 KiB. Where the journal cannot be read, or has nothing, one line that says so and what to do.
    pub(crate) async fn tail(&self, unit: &str, invocation_id: &str, lines: usize) -> Vec<String> {
        if lines == 0 {
            return Vec::new();
        }
        if !is_id(invocation_id) {
            return vec!["(no journal: systemd told no invocation of this unit)".to_owned()];
        }
        let mut waits = SETTLE.into_iter().enumerate();
        loop {
            let entries = match self.run_of(unit, invocation_id, lines).await {
                Ok(entries) => entries,
                Err(e) => {
                    tracing::warn!(unit, "{}", e.report());
                    return vec![format!("(no journal: {e})")];
                }
            };
            let next = waits.next();
            // What the unit wrote may come behind what systemd says of it, but not for long.
            let has_spoken = entries.iter().any(|e| e.own) || next.is_none_or(|(i, _)| i > 1);
            let complete = has_spoken && entries.iter().any(Entry::is_failure);
            match next.filter(|_| !complete) {
                Some((_, wait)) => tokio::time::sleep(wait).await,
                None if entries.is_empty() => return vec![self.nothing()],
                None => return tail::lines(&entries, lines),
            }
        }
    }

    /// The last entries of a run.
    async fn run_of(&self, unit: &str, invocation_id: &str, lines: usize) -> Result<Vec<Entry>> {
        let (field, of_process) = if self.user {
            ("USER_UNIT", "_SYSTEMD_USER_UNIT")
        } else {
            ("UNIT", "_SYSTEMD_UNIT")
        };
        // All of the unit, since not each entry has a run; some more, for those of the next run.
        let of_unit = vec![
            format!("{of_process}={unit}"),
            "+".to_owned(),
            format!("{field}={unit}"),
            self.trusted().to_owned(),
        ];
        let found = self.last(of_unit, lines.saturating_mul(2) + 100).await?;
        let found = tail::of_run(found, invocation_id);
        if !found.is_empty() {
            return Ok(found);
        }
        // The next run has written more than that by now.
        let of_run = vec![
            format!("_SYSTEMD_INVOCATION_ID={invocation_id}"),
            "+".to_owned(),
            format!("{}={invocation_id}", self.invocation()),
            self.trusted().to_owned(),
        ];
        self.last(of_run, lines).await
    }

    async fn last(&self, matches: Vec<String>, count: usize) -> Result<Vec<Entry>> {
        let mut arguments = vec![
            format!("--lines={}", count.min(MAX_ENTRIES)),
            format!("--output-fields={}", entry::FIELDS),
        ];
        arguments.extend(matches);
        let mut entries = Vec::new();
        self.ask(arguments, |entry| {
            entries.push(entry);
            true
        })
        .await?;
        Ok(entries)
    }

    /// What entries of systemd itself have: anyone may log a `MESSAGE_ID`, but not in its name.
    fn trusted(&self) -> &'static str {
        if self.user {
            "_SYSTEMD_USER_UNIT=init.scope"
        } else {
            "_PID=1"
        }
    }

    /// The field in which systemd says of which run an entry is.
    fn invocation(&self) -> &'static str {
        if self.user {
            "USER_INVOCATION_ID"
        } else {
            "INVOCATION_ID"
        }
    }

    /// What systemd noted of units that failed, oldest first, at most [`MAX_ENDED`]: ask for the rest from the
    /// cursor of the last one.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] or [`ErrorKind::Unavailable`] with what to do, if the journal cannot be read.
    pub(crate) async fn ended(&self, since: &Since) -> Result<Vec<Ended>> {
        let mut arguments = vec![format!("--output-fields={}", entry::FIELDS)];
        arguments.push(match since {
            Since::Cursor(cursor) => format!("--after-cursor={cursor}"),
            Since::Time(at) => format!("--since=@{}", at.as_second()),
        });
        arguments.extend(self.noted(&ended::MESSAGES, None));
        let mut reader = ended::Reader::default();
        self.ask(arguments, |entry| {
            reader.take(&entry);
            reader.found.len() < MAX_ENDED
        })
        .await?;
        Ok(reader.found)
    }

    /// The last failure of a unit that systemd noted; that of a refused start looks like that of its run.
    ///
    /// # Errors
    /// As [`ended`](Self::ended).
    pub(crate) async fn newest(&self, unit: &str) -> Result<Option<Ended>> {
        let mut arguments = vec![
            "--lines=1".to_owned(),
            format!("--output-fields={}", entry::FIELDS),
        ];
        arguments.extend(self.noted(&ended::MESSAGES[..ended::FAILURES], Some(unit)));
        let mut reader = ended::Reader::default();
        self.ask(arguments, |entry| {
            reader.take(&entry);
            true
        })
        .await?;
        Ok(reader.found.pop())
    }

    /// What systemd notes by these messages, of all units or of one.
    fn noted(&self, messages: &[&[&str]], unit: Option<&str>) -> Vec<String> {
        let field = if self.user { "USER_UNIT" } else { "UNIT" };
        let mut matches = Vec::new();
        for message in messages {
            if !matches.is_empty() {
                matches.push("+".to_owned());
            }
            matches.push(self.trusted().to_owned());
            matches.extend(unit.map(|unit| format!("{field}={unit}")));
            matches.extend(message.iter().map(|m| (*m).to_owned()));
        }
        matches
    }

    /// How often systemd noted that a run failed: twice, where it refuses further starts.
    ///
    /// # Errors
    /// As [`ended`](Self::ended).
    pub(crate) async fn failures(&self, invocation_id: &str) -> Result<usize> {
        if !is_id(invocation_id) {
            return Ok(0);
        }
        let arguments = vec![
            format!("--output-fields={}", entry::FIELDS),
            self.trusted().to_owned(),
            format!("{}={invocation_id}", self.invocation()),
            ended::MESSAGES[0][0].to_owned(),
        ];
        let mut count = 0;
        self.ask(arguments, |entry| {
            count += usize::from(entry.is_failure());
            true
        })
        .await?;
        Ok(count)
    }

    /// Hands each entry of an answer over, until told that it is enough.
    async fn ask(&self, arguments: Vec<String>, take: impl FnMut(Entry) -> bool) -> Result<()> {
        let asked = async {
            let mut child = Child::start(&self.program, &self.arguments(arguments))?;
            child.read(take).await
        };
        match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("journalctl did not answer within {TIMEOUT:?}"),
            )),
        }
    }

    fn arguments(&self, more: Vec<String>) -> Vec<String> {
        let mut arguments: Vec<String> = ["--output=json", "--no-pager", "--all", "--quiet"]
            .map(str::to_owned)
            .into();
        if let Some(directory) = &self.directory {
            arguments.push(format!("--directory={}", directory.display()));
        } else if self.user {
            arguments.push("--user".to_owned());
        }
        arguments.extend(more);
        arguments
    }

    fn nothing(&self) -> String {
        let place = match &self.directory {
            Some(directory) => format!("the journal in {}", directory.display()),
            None => "this machine's journal".to_owned(),
        };
        format!(
            "({place} has nothing of this run: journald keeps none, or this user may not read it and should be in the \
             group systemd-journal)"
        )
    }
}

/// Whether a text is an id as systemd has them: 32 hexadecimal digits, which are not all zero.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 32
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_are_asked_for() {
        assert!(is_id("06d8446e10c24a62b9082df66f66183f"));
        for not in [
            "",
            "0",
            "00000000000000000000000000000000",
            "06d8446e10c24a62b9082df66f66183f=x",
        ] {
            assert!(!is_id(not), "{not}");
        }
    }

    #[test]
    fn a_folder_is_asked_and_nothing_is_paged() {
        let journal = Journal::new(Some("/var/log/journal x".into()), true);
        let arguments = journal.arguments(vec!["A=b".to_owned()]);
        assert_eq!(
            arguments,
            [
                "--output=json",
                "--no-pager",
                "--all",
                "--quiet",
                "--directory=/var/log/journal x",
                "A=b"
            ]
        );
        assert!(
            Journal::new(None, true)
                .arguments(Vec::new())
                .contains(&"--user".to_owned())
        );
        assert!(journal.nothing().contains("systemd-journal"));
    }

    #[tokio::test]
    async fn without_lines_or_an_id_nothing_is_started() {
        let mut journal = Journal::new(None, false);
        journal.program = "/nonexistent/journalctl".into();
        assert!(journal.tail("a.service", "x", 0).await.is_empty());
        let told = journal.tail("a.service", "", 5).await;
        assert!(told[0].contains("no invocation"), "{told:?}");
        let told = journal
            .tail("a.service", "06d8446e10c24a62b9082df66f66183f", 5)
            .await;
        assert!(told[0].contains("/nonexistent/journalctl"), "{told:?}");
    }
}
