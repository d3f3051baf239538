//! What is told: a [`Report`] and what goes with it.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{FailureKey, FailureRecord, Settings, failure::hash_parts, redact::Redactor};

/// The id of one delivery: the same on every attempt, and sent along wherever the
/// receiver can carry one. 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// The id of a delivery. `generation` is 0, and one more for each replay by a person.
    ///
    /// ```
    /// use notifier_core::{DeliveryId, FailureKey};
    /// let key = FailureKey::new("k");
    /// let a = DeliveryId::derive("default", &key, "slack", "default", 0);
    /// assert_eq!(a, DeliveryId::derive("default", &key, "slack", "default", 0));
    /// assert_ne!(a, DeliveryId::derive("default", &key, "slack", "default", 1));
    /// ```
    pub fn derive(
        watcher: &str,
        key: &FailureKey,
        reporter: &str,
        instance: &str,
        generation: u32,
    ) -> Self {
        Self(hash_parts([
            watcher,
            key.as_str(),
            reporter,
            instance,
            &generation.to_string(),
        ]))
    }

    /// An id of the caller's own, as read from a store.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Several failures of one kind, told together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Digest {
    /// What the failures have in common.
    pub fingerprint: String,
    /// How many there were.
    pub count: u64,
    /// When the first died.
    pub first: Timestamp,
    /// When the last died.
    pub last: Timestamp,
    /// One of them, for its names and labels.
    pub example: FailureRecord,
}

impl Digest {
    /// A digest of `count` failures like `example`, all at its time; set `first` and `last` directly.
    pub fn new(fingerprint: impl Into<String>, count: u64, example: FailureRecord) -> Self {
        let at = example.finished;
        Self {
            fingerprint: fingerprint.into(),
            count,
            first: at,
            last: at,
            example,
        }
    }
}

/// A word about the notifier itself: a destination does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// The destination that this is about.
    pub destination: String,
    /// What is wrong, for people.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

impl Notice {
    /// A notice.
    pub fn new(destination: impl Into<String>, text: impl Into<String>, since: Timestamp) -> Self {
        Self {
            destination: destination.into(),
            text: text.into(),
            since,
        }
    }
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Subject {
    /// One failure.
    Failure(Arc<FailureRecord>),
    /// Several failures told together.
    Digest(Arc<Digest>),
    /// A destination does not work.
    Notice(Arc<Notice>),
    /// What a notice told of works again.
    Recovery(Arc<Notice>),
}

impl Subject {
    /// The identity of what is told.
    pub fn key(&self) -> FailureKey {
        match self {
            Self::Failure(f) => f.key.clone(),
            Self::Digest(d) => FailureKey::of_parts([
                "digest",
                &d.fingerprint,
                &d.first.as_millisecond().to_string(),
            ]),
            Self::Notice(n) => FailureKey::of_parts([
                "notice",
                &n.destination,
                &n.since.as_millisecond().to_string(),
            ]),
            Self::Recovery(n) => FailureKey::of_parts([
                "recovery",
                &n.destination,
                &n.since.as_millisecond().to_string(),
            ]),
        }
    }

    /// The failure it is about, or is an example of.
    pub fn failure(&self) -> Option<&FailureRecord> {
        match self {
            Self::Failure(f) => Some(f),
            Self::Digest(d) => Some(&d.example),
            Self::Notice(_) | Self::Recovery(_) => None,
        }
    }
}

/// Links to a failure's logs that work now.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Links {
    /// The log `stdout`, empty if there is none.
    pub stdout: String,
    /// The log `stderr`, empty if there is none.
    pub stderr: String,
    /// What is missing and why, for people; empty if nothing is.
    pub missing: String,
}

impl Links {
    /// Links to both logs.
    pub fn new(stdout: impl Into<String>, stderr: impl Into<String>) -> Self {
        Self {
            stdout: stdout.into(),
            stderr: stderr.into(),
            missing: String::new(),
        }
    }

    /// No links, and why.
    pub fn missing(why: impl Into<String>) -> Self {
        Self {
            missing: why.into(),
            ..Self::default()
        }
    }
}

/// Links may be signed: only their hosts and paths are shown.
impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |u: &str| {
            if u.is_empty() {
                String::new()
            } else {
                crate::redact::url(u)
            }
        };
        f.debug_struct("Links")
            .field("stdout", &show(&self.stdout))
            .field("stderr", &show(&self.stderr))
            .field("missing", &self.missing)
            .finish()
    }
}

type Config = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What is told to one instance of one reporter.
///
/// Reporters turn it into text with [`MessageTemplates::render`](crate::MessageTemplates::render).
///
/// ```
/// use notifier_core::{FailureRecord, Links, Report, jiff::Timestamp};
/// let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
/// let report = Report::failure(failure)
///     .with_links(Links::new("http://agent/stdout", "http://agent/stderr"))
///     .with_config(|key| if key == "mentions" { "@devs".into() } else { String::new() });
/// assert_eq!(report.config("mentions"), "@devs");
/// ```
#[derive(Clone)]
pub struct Report {
    subject: Subject,
    links: Links,
    config: Option<Config>,
    redactor: Redactor,
    text_redactor: Redactor,
    now: Timestamp,
    zone: jiff::tz::TimeZone,
}

impl Report {
    /// A report of this subject.
    pub fn new(subject: Subject) -> Self {
        let now = match &subject {
            Subject::Failure(f) => f.finished,
            Subject::Digest(d) => d.last,
            Subject::Notice(n) | Subject::Recovery(n) => n.since,
        };
        Self {
            subject,
            links: Links::default(),
            config: None,
            redactor: Redactor::default(),
            text_redactor: Redactor::default(),
            now,
            zone: jiff::tz::TimeZone::UTC,
        }
    }

    /// A report of one failure.
    pub fn failure(failure: FailureRecord) -> Self {
        Self::new(Subject::Failure(Arc::new(failure)))
    }

    /// Adds links to the logs.
    #[must_use]
    pub fn with_links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Adds what the template function `config` answers.
    #[must_use]
    pub fn with_config(mut self, config: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.config = Some(Arc::new(config));
        self
    }

    /// Adds secrets that must not get into the text.
    #[must_use]
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        self.with_redactors(redactor.clone(), redactor)
    }

    /// Adds secrets that are masked in the failure's data, before a template sees it,
    /// and secrets that are masked in the finished text as well. The latter should be
    /// those of settings alone: what a task calls a secret in its labels may be a word
    /// that stands in the text for good reason.
    #[must_use]
    pub fn with_redactors(mut self, data: Redactor, text: Redactor) -> Self {
        self.redactor = data;
        self.text_redactor = text;
        self
    }

    /// Sets the time that templates' `since` counts to; the time of death unless set.
    #[must_use]
    pub fn with_now(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Sets the time zone that templates show times in; UTC unless set.
    #[must_use]
    pub fn with_zone(mut self, zone: jiff::tz::TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Links to the logs.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// A label meant for this instance of this reporter, as the template function
    /// `config` gives it; empty if unset. Keys that [name a secret](crate::redact::names_secret)
    /// answer `***`.
    pub fn config(&self, key: &str) -> String {
        match &self.config {
            Some(f) => {
                let value = f(key);
                let value = crate::redact::label(key, &value);
                self.redactor.redact(value).into_owned()
            }
            None => String::new(),
        }
    }

    /// Masks secrets known to be near this report, in data.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Masks secrets in the finished text.
    pub(crate) fn text_redactor(&self) -> &Redactor {
        &self.text_redactor
    }

    /// The time that templates' `since` counts to.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The time zone that templates show times in.
    pub fn zone(&self) -> &jiff::tz::TimeZone {
        &self.zone
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("subject", &self.subject)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

/// What goes along with one attempt to deliver a report.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReportOptions<'a> {
    /// The delivery's id, the same on every attempt.
    pub id: &'a DeliveryId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The values that hold for this instance and this task.
    pub settings: &'a Settings,
    /// What the last attempt's [`Receipt::progress`](crate::Receipt::progress) was.
    pub progress: Option<&'a serde_json::Value>,
}

impl<'a> ReportOptions<'a> {
    /// A first attempt.
    pub fn new(id: &'a DeliveryId, settings: &'a Settings) -> Self {
        Self {
            id,
            attempt: 1,
            settings,
            progress: None,
        }
    }

    /// Sets which attempt this is and what the last one got done.
    #[must_use]
    pub fn after(mut self, attempt: u32, progress: Option<&'a serde_json::Value>) -> Self {
        self.attempt = attempt;
        self.progress = progress;
        self
    }
}
