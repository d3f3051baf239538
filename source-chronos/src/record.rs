//! What is told of a failed run, or of a job.

use notifier_core::{FailureKey, FailureRecord, jiff::Timestamp};

use crate::{entry::Entry, job::Job, rule::Verdict, source::Config};

/// What only the API tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Runs failed for good.
    Failed,
    /// The job was disabled: for its failures, or by somebody.
    Disabled,
    /// The job was disabled since its schedule ran out.
    Exhausted,
    /// The job was deleted.
    Deleted,
}

impl News {
    fn case(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Disabled => "disabled",
            Self::Exhausted => "exhausted",
            Self::Deleted => "deleted",
        }
    }

    fn state(self) -> &'static str {
        match self {
            Self::Failed => "CHRONOS_FAILED",
            Self::Disabled => "CHRONOS_DISABLED",
            Self::Exhausted => "CHRONOS_EXHAUSTED",
            Self::Deleted => "CHRONOS_DELETED",
        }
    }
}

/// A time as Chronos writes it: `2016-06-17T04:41:19.171Z`.
pub(crate) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Completes what the cluster tells of a failed run.
pub(crate) fn of_run(
    mut f: FailureRecord,
    entry: &Entry,
    attempt: Option<u32>,
    verdict: &Verdict,
    runs: u64,
    config: &Config,
) -> FailureRecord {
    let job = &entry.job;
    f.name.clone_from(&job.name);
    f.attempt = attempt.map(|n| n.saturating_add(1));
    describe(&mut f, entry, config);
    let mut set = |name: &str, value: String| f.details.insert(name.to_owned(), value);
    let (case, failures, at) = match verdict {
        Verdict::Retried => ("attempt", job.errors_in_a_row, None),
        Verdict::Ignored | Verdict::Unknown => ("failed", job.errors_in_a_row + 1, None),
        Verdict::Final {
            failures,
            at,
            is_disabled,
        } => {
            let case = if *is_disabled { "disabled" } else { "failed" };
            if *is_disabled {
                set("disabled", true.to_string());
            }
            (case, *failures, at.clone())
        }
    };
    set("case", case.to_owned());
    set("at", at.unwrap_or_else(|| iso(f.finished)));
    set("runs", runs.to_string());
    if *verdict != Verdict::Unknown {
        set("failures", failures.to_string());
        set("will_retry", (*verdict == Verdict::Retried).to_string());
    }
    f
}

/// What only the API tells, seen then. `failures`: in a row, of runs that failed for good.
pub(crate) fn of_job(
    news: News,
    entry: &Entry,
    failures: u64,
    seen: Timestamp,
    config: &Config,
) -> FailureRecord {
    let job = &entry.job;
    let has_failed = matches!(news, News::Failed) || news == News::Disabled && entry.growth() > 0;
    let finished = match job.error_time() {
        Some(at) if has_failed => at,
        _ => seen,
    };
    let mut f = FailureRecord::new(&job.name, &job.name, news.state(), finished);
    f.source.clone_from(&config.name);
    config.frameworks.name().clone_into(&mut f.framework);
    f.key = FailureKey::of_parts([
        "chronos",
        &config.name,
        &job.name,
        news.case(),
        &job.errors.to_string(),
        &seen.as_millisecond().to_string(),
    ]);
    f.message = match news {
        News::Failed => None,
        News::Disabled if has_failed => None,
        News::Disabled => Some("the job was disabled".to_owned()),
        News::Exhausted => Some("the schedule of the job has run out".to_owned()),
        News::Deleted => Some("the job was deleted".to_owned()),
    };
    describe(&mut f, entry, config);
    let mut set = |name: &str, value: String| f.details.insert(name.to_owned(), value);
    set("case", news.case().to_owned());
    set("failures", failures.to_string());
    set("will_retry", false.to_string());
    let at = match has_failed && !job.last_error.is_empty() {
        true => job.last_error.clone(),
        false => iso(seen),
    };
    set("at", at);
    f
}

/// Owners, labels and details of a job.
fn describe(f: &mut FailureRecord, entry: &Entry, config: &Config) {
    let job: &Job = &entry.job;
    for (key, value) in &job.labels {
        f.labels.insert(key.clone(), value.clone());
    }
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            f.details.insert(name.to_owned(), value.to_owned());
        }
    };
    set("cluster", &config.cluster);
    if !entry.is_listed() {
        return;
    }
    set("retries", &job.retries.to_string());
    set("attempts", &job.retries.saturating_add(1).to_string());
    set("schedule", &job.schedule);
    set("parents", &job.parents);
    set("owner_name", &job.owner_name);
    set("arguments", &job.arguments);
    set("last_success", &job.last_success);
    set("disabled", &job.disabled.to_string());
    f.owners = job.owners();
}
