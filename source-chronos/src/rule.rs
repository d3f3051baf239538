//! What Chronos makes of a failed run (`JobScheduler.scala`, `handleFailedTask`).

use notifier_core::jiff::Timestamp;

/// Whether Chronos looks at this end of a task at all. Others it only logs, and does not try
/// again after them.
pub(crate) fn counts(state: &str) -> bool {
    matches!(state, "TASK_FAILED" | "TASK_LOST")
}

/// Whether a run that failed is tried again: its attempt, from 0, is below the job's retries,
/// and the job has never failed for good or has succeeded since. Otherwise it failed for good.
pub(crate) fn is_retried(attempt: u32, retries: u32, last_success: &str, last_error: &str) -> bool {
    attempt < retries && has_recovered(last_success, last_error)
}

fn has_recovered(last_success: &str, last_error: &str) -> bool {
    if last_error.is_empty() {
        return true;
    }
    let time = |text: &str| text.parse::<Timestamp>().ok();
    match (time(last_success), time(last_error)) {
        (Some(success), Some(error)) => success >= error,
        _ => false,
    }
}

/// What became of a failed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Chronos tries again.
    Retried,
    /// It failed for good: the so-manieth in a row, and when, as Chronos says, if it has
    /// said so. The job may be disabled for it.
    Final {
        failures: u64,
        at: Option<String>,
        is_disabled: bool,
    },
    /// Chronos does not count such an end, and does not try again.
    Ignored,
    /// Nothing is known of the job.
    Unknown,
}

impl Verdict {
    /// Nothing comes after it by itself, as far as is known.
    pub(crate) fn is_final(&self) -> bool {
        *self != Self::Retried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &str = "2026-01-01T00:00:00.000Z";
    const LATE: &str = "2026-01-01T00:00:00.001Z";

    #[test]
    fn retries_are_used_up() {
        assert!(is_retried(0, 2, "", "") && is_retried(1, 2, "", ""));
        assert!(!is_retried(2, 2, "", "") && !is_retried(0, 0, "", ""));
    }

    #[test]
    fn a_job_that_failed_for_good_gets_no_retries_until_it_succeeds() {
        assert!(!is_retried(0, 2, "", LATE));
        assert!(!is_retried(0, 2, EARLY, LATE));
        assert!(is_retried(0, 2, LATE, EARLY));
        assert!(is_retried(0, 2, LATE, LATE));
        assert!(!is_retried(0, 2, LATE, "odd") && !is_retried(0, 2, "odd", LATE));
    }

    #[test]
    fn what_is_counted() {
        assert!(counts("TASK_FAILED") && counts("TASK_LOST"));
        for state in ["TASK_KILLED", "TASK_ERROR", "TASK_UNREACHABLE", "TASK_GONE"] {
            assert!(!counts(state), "{state}");
        }
    }
}
