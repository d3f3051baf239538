//! A job, and how far it has been told of.

use notifier_core::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{job::Job, rule};

/// A failure that Chronos dates so much later than the cluster, in milliseconds, may be the same.
const SAME_MS: i64 = 120_000;
/// So much, in milliseconds, the clocks of agents and of Chronos may differ.
const SKEW_MS: i64 = 5_000;

/// What was counted when everything had been told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Before {
    #[serde(rename = "e")]
    pub(crate) errors: u64,
    #[serde(rename = "er")]
    pub(crate) errors_in_a_row: u64,
    #[serde(rename = "le")]
    pub(crate) last_error: String,
    #[serde(rename = "ls")]
    pub(crate) last_success: String,
    #[serde(rename = "d")]
    pub(crate) disabled: bool,
}

impl Before {
    fn of(job: &Job) -> Self {
        Self {
            errors: job.errors,
            errors_in_a_row: job.errors_in_a_row,
            last_error: job.last_error.clone(),
            last_success: job.last_success.clone(),
            disabled: job.disabled,
        }
    }

    /// As it was before the last so many failures that are counted.
    fn without_last_errors(job: &Job, n: u64) -> Self {
        let errors_in_a_row = job.errors_in_a_row.saturating_sub(n);
        let is_broken = errors_in_a_row > 0;
        Self {
            errors: job.errors.saturating_sub(n),
            errors_in_a_row,
            // When the one before was is not known, only that no success came since.
            last_error: if is_broken {
                Timestamp::UNIX_EPOCH.to_string()
            } else {
                String::new()
            },
            last_success: String::new(),
            disabled: false,
        }
    }
}

/// A failed run that waits, of a job of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) failed: Timestamp,
    pub(crate) due: Option<i64>,
    /// From 0.
    pub(crate) attempt: u32,
}

/// How many of these runs failed for good if the job had not failed before.
fn finals(runs: &[Run], retries: u32) -> u64 {
    let mut n = 0;
    for run in runs {
        n += u64::from(n > 0 || !rule::is_retried(run.attempt, retries, "", ""));
    }
    n
}

/// How many failures a first list has counted that are those of these runs, or came after them.
fn counted(job: &Job, mut runs: Vec<Run>) -> u64 {
    let is_before = |run: &Run, at: Option<Timestamp>, skew: i64| {
        at.is_some_and(|t| run.failed.as_millisecond() + skew < t.as_millisecond())
    };
    runs.retain(|run| is_before(run, job.error_time(), -SKEW_MS));
    runs.sort_unstable();
    // Chronos counts in the order in which runs end.
    let (past, runs): (Vec<Run>, Vec<Run>) = runs
        .into_iter()
        .partition(|run| is_before(run, job.success_time(), SKEW_MS));
    let earlier = job.errors.saturating_sub(job.errors_in_a_row);
    let past = finals(&past, job.retries).min(earlier);
    let (row, all) = (job.errors_in_a_row, runs.len() as u64);
    let was_retried = runs.iter().any(|run| run.attempt > 0);
    let now = if all == 0 {
        0
    } else if row <= finals(&runs, job.retries) || was_retried || row == 1 {
        // Nothing had failed for good before them.
        row
    } else {
        // Something had: none of them was tried again. The first failed for good before.
        all.min(row - u64::from(job.retries > 0))
    };
    (past + now).min(job.errors)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A job and what was told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "j")]
    pub(crate) job: Job,
    /// Nothing if all that Chronos counts has been told.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
    /// Failed runs in a row since the last success, each attempt counted.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    runs: u64,
    /// The last success when a run was counted last.
    #[serde(rename = "ns", default, skip_serializing_if = "String::is_empty")]
    success_then: String,
    /// Failures that were told as final, which Chronos has not been seen to count.
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    expected: u64,
    /// The last failure that only the API told, in milliseconds.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    told_by_api: Option<i64>,
    /// No list has had it: when the first run of it failed, in milliseconds.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    unlisted: Option<i64>,
    /// It succeeded since what is expected was told.
    #[serde(skip)]
    has_succeeded: bool,
    /// Since when Chronos counts failures that the cluster has not told.
    #[serde(skip)]
    pub(crate) owed_since: Option<Instant>,
    /// Since when, and in how many lists, it is missing.
    #[serde(skip)]
    pub(crate) missing: Option<(Instant, u32)>,
}

impl Entry {
    /// A job of which everything there is counts as told.
    pub(crate) fn new(job: Job) -> Self {
        Self {
            success_then: job.last_success.clone(),
            job,
            before: None,
            runs: 0,
            expected: 0,
            told_by_api: None,
            unlisted: None,
            has_succeeded: false,
            owed_since: None,
            missing: None,
        }
    }

    /// A job whose last failure is still to be told.
    pub(crate) fn with_last_error_untold(job: Job) -> Self {
        let before = Some(Before::without_last_errors(&job, 1));
        Self {
            before,
            ..Self::new(job)
        }
    }

    /// A job that no list has had so far, of which a run failed then.
    pub(crate) fn unlisted(name: &str, failed: Timestamp) -> Self {
        let job = Job {
            name: name.to_owned(),
            ..Job::default()
        };
        Self {
            unlisted: Some(failed.as_millisecond()),
            ..Self::new(job)
        }
    }

    /// A list has had it.
    pub(crate) fn is_listed(&self) -> bool {
        self.unlisted.is_none()
    }

    /// A list has it so. True if that is worth a commit. If it is the first that has it: these runs
    /// of it wait.
    pub(crate) fn renew(&mut self, job: Job, waiting: Vec<Run>) -> bool {
        self.missing = None;
        if let Some(failed) = self.unlisted.take() {
            let is_ours = job
                .error_time()
                .is_some_and(|t| t.as_millisecond() >= failed - SKEW_MS);
            if is_ours && job.errors > 0 {
                let new = match (waiting.is_empty(), self.expected) {
                    (false, _) => counted(&job, waiting),
                    (true, 0) => 1,
                    (true, _) => 0,
                };
                if new > 0 {
                    self.before = Some(Before::without_last_errors(&job, new));
                }
                // What was told while nothing was known of it.
                self.expected = 0;
            }
            self.job = job;
            return true;
        }
        let is_news = self.job.differs(&job);
        if job.errors < self.before().errors {
            // Another job of that name.
            *self = Self::new(job);
            return true;
        }
        self.has_succeeded |= job.last_success != self.job.last_success;
        self.before = Some(self.before());
        self.job = job;
        is_news
    }

    /// What was counted when everything had been told.
    pub(crate) fn before(&self) -> Before {
        self.before.clone().unwrap_or_else(|| Before::of(&self.job))
    }

    /// How many failures Chronos counts that were not told.
    pub(crate) fn growth(&self) -> u64 {
        self.before
            .as_ref()
            .map_or(0, |before| self.job.errors.saturating_sub(before.errors))
    }

    /// The `n`-th untold failure's place in the row since the last success.
    pub(crate) fn failures(&self, n: u64) -> u64 {
        let later = self.growth().saturating_sub(n);
        let now = self.job.errors_in_a_row.saturating_sub(later);
        if self.growth() >= n && now >= 1 {
            now
        } else {
            self.before().errors_in_a_row + n
        }
    }

    /// So many failures that Chronos counts have been told, and this is said of its being disabled.
    pub(crate) fn told(&mut self, counted: u64, is_disabled: bool) {
        let mut before = self.before();
        before.errors += counted;
        before.errors_in_a_row += counted;
        before.disabled |= is_disabled;
        if before.errors == self.job.errors {
            before.last_error.clone_from(&self.job.last_error);
            before.errors_in_a_row = self.job.errors_in_a_row;
        }
        self.before = Some(before);
    }

    /// A failure has been told as final that Chronos has not counted yet.
    pub(crate) fn expect(&mut self, at: Timestamp, is_disabled: bool) {
        self.expected += 1;
        self.has_succeeded = false;
        let mut before = self.before();
        before.disabled |= is_disabled;
        before.errors_in_a_row += 1;
        before.last_error = at.to_string();
        self.before = Some(before);
    }

    /// A run was told while nothing is known of the job: if it failed for good, Chronos counts it.
    pub(crate) fn expect_unlisted(&mut self) {
        self.expected += 1;
    }

    /// While no failed run waits: takes what was expected as counted.
    pub(crate) fn absorb(&mut self) {
        let known = self.growth().min(self.expected);
        if known > 0 {
            self.expected -= known;
            // That it was disabled for what was told as final is no other event.
            let is_disabled = self.job.disabled && !self.job.has_run_out();
            self.told(known, is_disabled);
        }
        if std::mem::take(&mut self.has_succeeded) {
            self.expected = 0;
        }
    }

    /// It is disabled, and nobody was told.
    pub(crate) fn is_newly_disabled(&self) -> bool {
        self.job.disabled && self.before.as_ref().is_some_and(|b| !b.disabled)
    }

    /// Everything has been told.
    pub(crate) fn settle(&mut self) {
        self.owed_since = None;
        if self.growth() == 0 && self.expected == 0 {
            self.before = None;
        }
    }

    /// Counts failed runs; how many in a row there are now.
    pub(crate) fn count_runs(&mut self, runs: u64, failed: Timestamp) -> u64 {
        if self.success_then != self.job.last_success {
            self.success_then.clone_from(&self.job.last_success);
            self.runs = 0;
        }
        self.runs += runs;
        let now = self.runs;
        let is_over = self
            .job
            .success_time()
            .is_some_and(|t| t.as_millisecond() > failed.as_millisecond() + SKEW_MS);
        if is_over {
            // It has succeeded since.
            self.runs = 0;
        }
        now
    }

    /// The last success as it was when a run failed.
    pub(crate) fn success_at(&self, failed: Timestamp) -> String {
        let is_after = self
            .job
            .success_time()
            .is_some_and(|t| t.as_millisecond() > failed.as_millisecond() + SKEW_MS);
        match &self.before {
            Some(before) if is_after && self.growth() > 0 => before.last_success.clone(),
            _ => self.job.last_success.clone(),
        }
    }

    /// It failed before the last failure that Chronos counts, all of which are told.
    pub(crate) fn is_past(&self, failed: Timestamp) -> bool {
        let error = self.job.error_time().map(Timestamp::as_millisecond);
        self.growth() == 0 && error.is_some_and(|ms| ms > failed.as_millisecond() + SKEW_MS)
    }

    /// The API told a failure, which the cluster may tell later.
    pub(crate) fn note_told_by_api(&mut self, at: Timestamp) {
        self.told_by_api = Some(at.as_millisecond());
    }

    /// The API has told a failure of about that time.
    pub(crate) fn was_told_by_api(&self, failed: Timestamp) -> bool {
        self.told_by_api.is_some_and(|ms| {
            let later = ms - failed.as_millisecond();
            (-SKEW_MS..=SAME_MS).contains(&later)
        })
    }

    /// What may lie in a store unsealed.
    pub(crate) fn to_keep(&self) -> Self {
        Self {
            job: self.job.to_keep(),
            ..self.clone()
        }
    }

    /// How much there is to be kept, in bytes, about.
    pub(crate) fn size(&self) -> usize {
        let j = &self.job;
        let labels: usize = j.labels.iter().map(|(k, v)| k.len() + v.len()).sum();
        let texts = [
            &j.name,
            &j.owner,
            &j.owner_name,
            &j.schedule,
            &j.parents,
            &j.arguments,
        ];
        200 + labels + texts.iter().map(|t| t.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
