//! What is told: a [`Report`] and what goes with it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, FailureKey, FailureRecord, LogReader, LogTail, Result, Settings,
    failure::hash_parts, redact::Redactor,
};

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
    /// What tells this digest from others: the id of the first delivery that it folds.
    pub id: String,
    /// What the failures have in common.
    pub fingerprint: String,
    /// How many there were.
    pub count: u64,
    /// When the first died.
    pub first: Timestamp,
    /// When the last died.
    pub last: Timestamp,
    /// The agents they died on and how many on each, the most first; those
    /// beyond [`MOST_HOSTS`](Self::MOST_HOSTS) are left out.
    pub hosts: Vec<(String, u64)>,
    /// How many agents there were.
    pub host_count: u64,
    /// The last of them, for its names, labels and logs.
    pub example: FailureRecord,
}

impl Digest {
    /// How many agents a digest names.
    pub const MOST_HOSTS: usize = 20;

    /// A digest of `count` failures like `example`, all at its time and on its agent; set the
    /// other fields directly.
    pub fn new(
        id: impl Into<String>,
        fingerprint: impl Into<String>,
        count: u64,
        example: FailureRecord,
    ) -> Self {
        let at = example.finished;
        Self {
            id: id.into(),
            hosts: vec![(example.host.clone(), count)],
            host_count: 1,
            fingerprint: fingerprint.into(),
            count,
            first: at,
            last: at,
            example,
        }
    }
}

/// A word about the notifier itself: a destination does not work, or the outbox fills up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// What this is about.
    #[serde(default)]
    pub concern: Concern,
    /// The destination that this is about, or the watcher whose outbox it is.
    pub destination: String,
    /// What is wrong, for people.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Concern {
    /// Messages to a destination do not arrive.
    #[default]
    Destination,
    /// The outbox fills up.
    Outbox,
}

impl Notice {
    /// A notice about a destination; set `concern` directly for another.
    pub fn new(destination: impl Into<String>, text: impl Into<String>, since: Timestamp) -> Self {
        Self {
            concern: Concern::Destination,
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
            Self::Digest(d) => FailureKey::of_parts(["digest", &d.id]),
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

    /// What kind of thing it is, as a word: `failure`, `digest`, `notice` or `recovery`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failure(_) => "failure",
            Self::Digest(_) => "digest",
            Self::Notice(_) => "notice",
            Self::Recovery(_) => "recovery",
        }
    }

    /// What it is about in a few words, for lists.
    pub fn about(&self) -> String {
        match self {
            Self::Failure(f) => format!("{} {}", f.name, f.state),
            Self::Digest(d) => format!("{} more: {}", d.count, d.fingerprint),
            Self::Notice(n) => match n.concern {
                Concern::Destination => format!("dead: {}", n.destination),
                Concern::Outbox => "the outbox fills up".to_owned(),
            },
            Self::Recovery(n) => match n.concern {
                Concern::Destination => format!("works again: {}", n.destination),
                Concern::Outbox => "the outbox has room again".to_owned(),
            },
        }
    }

    /// The whole as JSON, for a store; [`Subject::from_json`] reads it.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        match self {
            Self::Failure(f) => serde_json::to_string(&**f),
            Self::Digest(d) => serde_json::to_string(&**d),
            Self::Notice(n) | Self::Recovery(n) => serde_json::to_string(&**n),
        }
        .map_err(|e| Error::internal("a report cannot be written as JSON").with_source(e))
    }

    /// What [`Subject::to_json`] wrote of this [`Subject::kind`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) if it is no such thing.
    pub fn from_json(kind: &str, json: &str) -> Result<Self> {
        let read = match kind {
            "failure" => serde_json::from_str(json).map(|f| Self::Failure(Arc::new(f))),
            "digest" => serde_json::from_str(json).map(|d| Self::Digest(Arc::new(d))),
            "notice" => serde_json::from_str(json).map(|n| Self::Notice(Arc::new(n))),
            "recovery" => serde_json::from_str(json).map(|n| Self::Recovery(Arc::new(n))),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidResponse,
                    format!("there are no reports of the kind {kind:?}"),
                ));
            }
        };
        read.map_err(|e| {
            Error::new(
                ErrorKind::InvalidResponse,
                format!("a stored {kind} cannot be read"),
            )
            .with_source(e)
        })
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
    logs: Option<Arc<dyn LogReader>>,
    redactor: Redactor,
    text_redactor: Redactor,
    log_lines: String,
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
            logs: None,
            redactor: Redactor::default(),
            text_redactor: Redactor::default(),
            log_lines: String::new(),
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

    /// Adds what reads the logs themselves.
    #[must_use]
    pub fn with_logs(mut self, logs: Arc<dyn LogReader>) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Adds the last lines of a log, which templates see as `.logTail`. A reporter reads them
    /// by [`log_tail`](Self::log_tail) before it renders, if its template
    /// [mentions](crate::MessageTemplates::mentions) them.
    #[must_use]
    pub fn with_log_lines(mut self, lines: impl Into<String>) -> Self {
        self.log_lines = lines.into();
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

    /// The end of the log `stdout` or `stderr`, of at most so many bytes, for reporters that send
    /// it along. A cut one begins with a whole line, if it has lines. Known secrets are masked in it. `None`: there is no such log.
    ///
    /// # Errors
    /// If it cannot be read now: send without it, and say so in a
    /// [warning](crate::Receipt::with_warning).
    pub async fn log_tail(&self, name: &str, most: usize) -> Result<Option<LogTail>> {
        let Some(logs) = &self.logs else {
            return Ok(None);
        };
        Ok(logs.tail(name, most).await?.map(|mut tail| {
            // From the next whole line, so that half a secret is not at its start.
            if tail.is_cut
                && let Some(line) = tail.bytes.iter().position(|b| *b == b'\n')
                && line < tail.bytes.len() / 2
            {
                tail.bytes.drain(..=line);
            }
            // As text even if it is none.
            let text = String::from_utf8_lossy(&tail.bytes);
            if let std::borrow::Cow::Owned(masked) = self.redactor.redact(&text) {
                tail.bytes = masked.into_bytes();
                // What is no text takes more room as text.
                let more = tail.bytes.len().saturating_sub(most);
                tail.bytes.drain(..more);
            }
            tail
        }))
    }

    /// The last lines of a log, if they were [added](Self::with_log_lines); else empty.
    pub fn log_lines(&self) -> &str {
        &self.log_lines
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
    pub fn text_redactor(&self) -> &Redactor {
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
    /// What the last attempt's [`Receipt::progress`](crate::Receipt::progress) was, or what
    /// it [saved](Self::save) last.
    pub progress: Option<&'a serde_json::Value>,
    /// Keeps progress in the middle of an attempt.
    pub checkpoint: Option<&'a dyn Checkpoint>,
}

/// Keeps what an attempt got done so far, before it goes on.
#[async_trait]
pub trait Checkpoint: fmt::Debug + Send + Sync {
    /// Keeps it. When this returns, it outlives the process if the outbox does.
    ///
    /// # Errors
    /// If it cannot be kept: do not go on to what must not be done twice.
    async fn save(&self, progress: serde_json::Value) -> Result<()>;
}

impl<'a> ReportOptions<'a> {
    /// A first attempt.
    pub fn new(id: &'a DeliveryId, settings: &'a Settings) -> Self {
        Self {
            id,
            attempt: 1,
            settings,
            progress: None,
            checkpoint: None,
        }
    }

    /// Sets what keeps progress in the middle of an attempt.
    #[must_use]
    pub fn with_checkpoint(mut self, checkpoint: &'a dyn Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Keeps what was done so far: the next attempt sees it as [`progress`](Self::progress),
    /// also if this one is cut by the end of the process. Without anything to keep it with,
    /// as in a test, it does nothing.
    ///
    /// # Errors
    /// If it cannot be kept: do not go on to what must not be done twice.
    pub async fn save(&self, progress: serde_json::Value) -> Result<()> {
        match self.checkpoint {
            Some(checkpoint) => checkpoint.save(progress).await,
            None => Ok(()),
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
