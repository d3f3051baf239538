//! The ids that Chronos gives its Mesos tasks.

/// `ct:MS:ATTEMPT:JOB:ARGUMENTS` (`TaskUtils.scala`): when the run was due, in milliseconds
/// since 1970, which attempt it is, from 0, and the job. Releases before 2.2 had no fourth part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskId<'a> {
    pub(crate) due: i64,
    pub(crate) attempt: u32,
    pub(crate) job: &'a str,
    pub(crate) arguments: &'a str,
}

impl<'a> TaskId<'a> {
    /// The parts of an id; nothing if Chronos did not make it.
    pub(crate) fn parse(id: &'a str) -> Option<Self> {
        let (due, rest) = id.strip_prefix("ct:")?.split_once(':')?;
        let (attempt, rest) = rest.split_once(':')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(due) || !is_number(attempt) {
            return None;
        }
        let end = rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len());
        let (job, rest) = rest.split_at(end);
        if job.is_empty() {
            return None;
        }
        Some(Self {
            due: due.parse().ok()?,
            attempt: attempt.parse().ok()?,
            job,
            arguments: rest.strip_prefix(':').unwrap_or(rest),
        })
    }
}

/// What names of jobs are made of, in any release (`JobUtils.jobNamePattern`).
fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || matches!(c, '_' | '.' | '#' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_all_releases() {
        for (id, due, attempt, job, arguments) in [
            (
                "ct:1767323040000:0:nightly-report:",
                1_767_323_040_000,
                0,
                "nightly-report",
                "",
            ),
            ("ct:1:12:a.b_c:--day 3", 1, 12, "a.b_c", "--day 3"),
            ("ct:1:0:old", 1, 0, "old", ""),
            ("ct:1:0:with blank #2:x:y", 1, 0, "with blank #2", "x:y"),
            ("ct:1:0:name?odd", 1, 0, "name", "?odd"),
        ] {
            let parsed = TaskId {
                due,
                attempt,
                job,
                arguments,
            };
            assert_eq!(TaskId::parse(id), Some(parsed), "{id}");
        }
    }

    #[test]
    fn others_are_none() {
        for id in [
            "",
            "ct",
            "ct:",
            "ct:1",
            "ct:1:0",
            "ct:1:0:",
            "ct:1:0::x",
            "ct:x:0:a:",
            "ct:1:-1:a:",
            "ct:1::a:",
            "ct::0:a:",
            "xct:1:0:a:",
            "ct:1:4294967296:a:",
            "ct:9223372036854775808:0:a:",
            "web.1",
            "CT:1:0:a:",
        ] {
            assert_eq!(TaskId::parse(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_comes_apart(
            due in 0i64..,
            attempt in 0u32..,
            job in "[A-Za-z0-9_. #-]{1,40}",
            arguments in "[^;]{0,40}",
        ) {
            let id = format!("ct:{due}:{attempt}:{job}:{arguments}");
            let parsed = TaskId { due, attempt, job: &job, arguments: &arguments };
            prop_assert_eq!(TaskId::parse(&id), Some(parsed));
        }

        #[test]
        fn any_text_is_read_without_fault(id in "(ct:)?[0-9:]{0,6}\\PC{0,40}") {
            if let Some(parsed) = TaskId::parse(&id) {
                prop_assert!(id.starts_with("ct:") && id.contains(parsed.job));
                prop_assert!(!parsed.job.is_empty() && id.ends_with(parsed.arguments));
            }
        }
    }
}
