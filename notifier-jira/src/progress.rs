//! What an attempt got done, kept with the delivery.

use std::time::Duration;

use notifier_core::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long the index may take to show a new issue: before that, one that is not found may
/// be there.
pub(crate) const SETTLED: Duration = Duration::from_secs(120);

/// When to look for the first time after an answer was lost.
pub(crate) const FIRST_LOOK: Duration = Duration::from_secs(30);

/// What an attempt got done.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// The issue that has the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issue: Option<String>,
    /// The issue that may have been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) creating: Option<Creating>,
    /// How often logs were tried to be attached, while some are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attaching: Option<u32>,
    /// A comment may have been made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) commenting: bool,
}

/// An issue that was asked for. Noted before that.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Creating {
    /// When, in milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) project: String,
    pub(crate) summary: String,
    /// Whether it has the label of the delivery.
    pub(crate) labelled: bool,
    /// What other reports of the same issue go by.
    pub(crate) marker: String,
}

impl Progress {
    /// As kept. What cannot be read, of another version, counts as nothing.
    pub(crate) fn read(kept: Option<&serde_json::Value>) -> Self {
        kept.and_then(|v| Self::deserialize(v).ok())
            .unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Creating {
    /// How long ago it was. A clock that was set back shows nothing.
    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        let ms = now.as_millisecond().saturating_sub(self.at);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// How long to wait for the next look, if one that finds nothing settles nothing yet.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let age = self.age(now);
        if age < FIRST_LOOK {
            Some(FIRST_LOOK - age)
        } else if age < SETTLED {
            Some(SETTLED - age)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_read() {
        let p = Progress {
            creating: Some(Creating {
                at: 5,
                project: "P".into(),
                summary: "s".into(),
                labelled: true,
                marker: "m".into(),
            }),
            ..Progress::default()
        };
        assert_eq!(Progress::read(Some(&p.json())), p);
        assert_eq!(
            Progress::read(Some(&serde_json::json!("x"))),
            Progress::default()
        );
        assert_eq!(Progress::default().json(), serde_json::json!({}));
    }

    #[test]
    fn looks_after_half_a_minute_and_two_minutes() {
        let c = Creating {
            at: 0,
            project: String::new(),
            summary: String::new(),
            labelled: true,
            marker: String::new(),
        };
        let wait = |s: i64| c.wait(Timestamp::from_second(s).unwrap());
        let s = |n| Some(Duration::from_secs(n));
        assert_eq!(wait(0), s(30));
        assert_eq!(wait(-50), s(30));
        assert_eq!(wait(30), s(90));
        assert_eq!(wait(119), s(1));
        assert_eq!(wait(120), None);
    }
}
