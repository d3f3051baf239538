//! What stays between one start and the next.

use notifier_core::{FailureRecord, redact};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::Entry;

/// The version of the cursor's form.
const VERSION: u32 = 1;
/// How much is kept of jobs, in bytes, about.
const MOST: usize = 4 * 1024 * 1024;

/// The note of where the source stands. It lies in the store as it is: no label in it is a
/// secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) version: u32,
    /// The inner source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inner: Option<Value>,
    /// When a list was read last, in milliseconds; nothing before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<i64>,
    #[serde(default)]
    pub(crate) jobs: Vec<Entry>,
    /// The keys of failures that were judged.
    #[serde(default)]
    pub(crate) judged: String,
    /// Failures that are not judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) waiting: Vec<FailureRecord>,
    /// When each of them was heard of first, in milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) heard: Vec<i64>,
    /// Failures that are judged, and not stored as such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leaving: Vec<FailureRecord>,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            version: VERSION,
            inner: None,
            listed: None,
            jobs: Vec::new(),
            judged: String::new(),
            waiting: Vec::new(),
            heard: Vec::new(),
            leaving: Vec::new(),
        }
    }
}

impl Cursor {
    /// The one that was kept. One that cannot be read counts as none.
    pub(crate) fn read(value: Value) -> Self {
        match serde_json::from_value::<Self>(value) {
            Ok(cursor) if cursor.version == VERSION => cursor,
            Ok(cursor) => {
                tracing::warn!(
                    version = cursor.version,
                    "the stored cursor is of another version; the jobs of Chronos are learned anew"
                );
                Self::default()
            }
            Err(_) => {
                tracing::warn!(
                    "the stored cursor cannot be read; the jobs of Chronos are learned anew"
                );
                Self::default()
            }
        }
    }

    /// As it is kept.
    pub(crate) fn value(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// The jobs that are kept: those that have failed first, until it is too much. Also how many
/// are left out.
pub(crate) fn jobs_to_keep<'a>(all: impl Iterator<Item = &'a Entry>) -> (Vec<Entry>, usize) {
    let mut all: Vec<&Entry> = all.collect();
    all.sort_by(|a, b| {
        let rank = |e: &Entry| e.job.errors == 0;
        (rank(a), &a.job.name).cmp(&(rank(b), &b.job.name))
    });
    let mut left = MOST;
    let fitting = all
        .iter()
        .take_while(|entry| {
            let size = entry.size();
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .count();
    let kept = all[..fitting].iter().map(|entry| entry.to_keep()).collect();
    (kept, all.len() - fitting)
}

/// A failure without labels that are secrets.
pub(crate) fn to_keep(failure: &FailureRecord) -> FailureRecord {
    let mut failure = failure.clone();
    failure
        .labels
        .retain(|key, value| !redact::is_secret_label(key, value));
    failure
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::job::Job;

    #[test]
    fn it_comes_back_equal() {
        let mut entry = Entry::new(Job {
            name: "a".to_owned(),
            owner: "x@h".to_owned(),
            ..Job::default()
        });
        entry.count_runs(3, Timestamp::UNIX_EPOCH);
        let cursor = Cursor {
            inner: Some(json!({"x": 1})),
            jobs: vec![entry],
            waiting: vec![FailureRecord::new("a", "b", "S", Timestamp::UNIX_EPOCH)],
            heard: vec![7],
            ..Cursor::default()
        };
        let value = cursor.value().unwrap();
        assert_eq!(Cursor::read(value.clone()).value().unwrap(), value);
    }

    #[test]
    fn others_count_as_none() {
        for odd in [
            json!({"version": 9}),
            json!(7),
            json!({"version": 1, "jobs": 7}),
        ] {
            let cursor = Cursor::read(odd);
            assert!(cursor.inner.is_none() && cursor.jobs.is_empty());
        }
    }

    #[test]
    fn secret_labels_are_left_out() {
        let f = FailureRecord::new("a", "b", "S", Timestamp::UNIX_EPOCH)
            .with_label("complainer_slack_hook_url", "https://h/s3cret")
            .with_label("team", "core");
        let kept = to_keep(&f);
        assert_eq!(kept.labels.len(), 1);
    }

    #[test]
    fn jobs_that_failed_are_kept_first() {
        let jobs: Vec<Entry> = (0..2000)
            .map(|n| {
                Entry::new(Job {
                    name: format!("{n:04}"),
                    owner: "x".repeat(4000),
                    errors: u64::from(n == 1999),
                    ..Job::default()
                })
            })
            .collect();
        let (kept, left_out) = jobs_to_keep(jobs.iter());
        assert_eq!(kept[0].job.name, "1999");
        assert_eq!(kept.len() + left_out, 2000);
        assert!(left_out > 900 && kept.len() > 900);
    }
}
