//! What died: the [`Failure`] trait and its owned form.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::{LogStream, redact};

/// A task, job or unit that died.
///
/// Implement it on your scheduler's own type: four methods are required, the rest
/// has an honest default ("not known"). It is read once, when the failure is
/// handed over, and copied into a [`FailureRecord`].
///
/// The mistake everyone makes: an [`id`](Self::id) that is used again by the next run.
/// That is fine here: what makes a death unique is its [`key`](Self::key), and
/// the default key holds the state and the time as well. Give
/// [`finished`](Self::finished) the time of the death, not of the observation, or
/// the same death seen twice is told twice.
///
/// ```
/// use notifier_core::{Failure, FailureRecord, jiff::Timestamp};
///
/// #[derive(Debug)]
/// struct NightlyJob { run: u64, ended: Timestamp, code: i32 }
///
/// impl Failure for NightlyJob {
///     fn id(&self) -> &str { "nightly" }
///     fn name(&self) -> &str { "nightly" }
///     fn state(&self) -> &str { "FAILED" }
///     fn finished(&self) -> Timestamp { self.ended }
///     fn exit_code(&self) -> Option<i32> { Some(self.code) }
///     fn attempt(&self) -> Option<u32> { u32::try_from(self.run).ok() }
/// }
///
/// let job = NightlyJob { run: 7, ended: Timestamp::UNIX_EPOCH, code: 3 };
/// let record = FailureRecord::from_failure(&job);
/// assert_eq!(record.exit_code, Some(3));
/// assert_eq!(record.key, job.key());
/// ```
pub trait Failure: fmt::Debug + Send + Sync {
    /// The id people know it by. It may be used again by a later run.
    fn id(&self) -> &str;

    /// The name of the task or job.
    fn name(&self) -> &str;

    /// The state it ended in, in the scheduler's own word: `TASK_FAILED`.
    fn state(&self) -> &str;

    /// When it died, in UTC.
    fn finished(&self) -> Timestamp;

    /// The host it ran on, `Slave` in templates. Empty: not known.
    fn host(&self) -> &str {
        ""
    }

    /// The framework, scheduler or group it belongs to. Empty: not known.
    fn framework(&self) -> &str {
        ""
    }

    /// The container image. Empty: none or not known.
    fn image(&self) -> &str {
        ""
    }

    /// When it was started.
    fn started(&self) -> Option<Timestamp> {
        None
    }

    /// Its labels; they decide where the message goes (see [`crate::LabelScope`]).
    fn labels(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
        Box::new(std::iter::empty())
    }

    /// What the scheduler says about the death, for people.
    fn message(&self) -> Option<&str> {
        None
    }

    /// The scheduler's reason code.
    fn reason(&self) -> Option<&str> {
        None
    }

    /// The exit code of the process.
    fn exit_code(&self) -> Option<i32> {
        None
    }

    /// The last health that was told: `false` says that it died unhealthy.
    fn healthy(&self) -> Option<bool> {
        None
    }

    /// Which attempt this was, counted from 1.
    fn attempt(&self) -> Option<u32> {
        None
    }

    /// Who owns it: names or addresses.
    fn owners(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What else its scheduler knows of it, by name, for templates: `.failure.Details.retries`.
    /// The source's own docs list the names. None of them may be secret.
    fn details(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
        Box::new(std::iter::empty())
    }

    /// The configured, stable name of the source that saw it.
    fn source(&self) -> &str {
        ""
    }

    /// Logs whose addresses are known already. Sources that have to look for
    /// them use a [`LogLocator`](crate::LogLocator) instead.
    fn log_streams(&self) -> Vec<LogStream> {
        Vec::new()
    }

    /// What the source's locator needs to find the logs again, after a restart too.
    fn locator(&self) -> Option<&serde_json::Value> {
        None
    }

    /// The identity of this one death. By default a hash of source, id, state and time.
    fn key(&self) -> FailureKey {
        FailureKey::of_death(self.source(), self.id(), self.state(), self.finished())
    }
}

macro_rules! forward_failure {
    ($($t:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Failure + ?Sized> Failure for $t {
            fn id(&self) -> &str { (**self).id() }
            fn name(&self) -> &str { (**self).name() }
            fn state(&self) -> &str { (**self).state() }
            fn finished(&self) -> Timestamp { (**self).finished() }
            fn host(&self) -> &str { (**self).host() }
            fn framework(&self) -> &str { (**self).framework() }
            fn image(&self) -> &str { (**self).image() }
            fn started(&self) -> Option<Timestamp> { (**self).started() }
            fn labels(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> { (**self).labels() }
            fn message(&self) -> Option<&str> { (**self).message() }
            fn reason(&self) -> Option<&str> { (**self).reason() }
            fn exit_code(&self) -> Option<i32> { (**self).exit_code() }
            fn healthy(&self) -> Option<bool> { (**self).healthy() }
            fn attempt(&self) -> Option<u32> { (**self).attempt() }
            fn owners(&self) -> Vec<&str> { (**self).owners() }
            fn details(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> { (**self).details() }
            fn source(&self) -> &str { (**self).source() }
            fn log_streams(&self) -> Vec<LogStream> { (**self).log_streams() }
            fn locator(&self) -> Option<&serde_json::Value> { (**self).locator() }
            fn key(&self) -> FailureKey { (**self).key() }
        }
    )*};
}
forward_failure!(&T, Box<T>, std::sync::Arc<T>);

/// The identity of one death: 32 hexadecimal digits, or any word of a source's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailureKey(String);

impl FailureKey {
    /// A key of the caller's own making.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The first 128 bits of the SHA-256 of the parts, each with its length before it.
    ///
    /// ```
    /// use notifier_core::FailureKey;
    /// assert_ne!(FailureKey::of_parts(["ab", "c"]), FailureKey::of_parts(["a", "bc"]));
    /// assert_eq!(FailureKey::of_parts(["ab", "c"]).as_str().len(), 32);
    /// ```
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(hash_parts(parts))
    }

    /// The default key of a [`Failure`]: source, id, state and time in milliseconds.
    pub fn of_death(source: &str, id: &str, state: &str, finished: Timestamp) -> Self {
        Self::of_parts([source, id, state, &finished.as_millisecond().to_string()])
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FailureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 128 bits of SHA-256 over length-prefixed parts, as 32 lower-case hexadecimal digits.
pub(crate) fn hash_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut h = Sha256::new();
    for p in parts {
        h.update((p.len() as u64).to_be_bytes());
        h.update(p.as_bytes());
    }
    h.finalize()[..16]
        .iter()
        .fold(String::with_capacity(32), |mut s, b| {
            for n in [b >> 4, b & 15] {
                s.push(char::from_digit(u32::from(n), 16).unwrap_or('0'));
            }
            s
        })
}

/// The owned, serializable form of a [`Failure`].
///
/// As JSON: `id`, `name`, `slave`, `framework`, `image`, `state`, `started`,
/// `finished` (RFC 3339), `labels` (object of strings), `message`, `reason`,
/// `exit_code`, `healthy`, `attempt`, `owners` (list of strings), `details` (object of strings),
/// `source`, `key`, `locator` and `log_streams`. All but `id`, `name`, `state` and `finished` are optional,
/// `null` counts as absent, and unknown members are ignored. A missing `key` is
/// filled with the default one.
///
/// ```
/// use notifier_core::FailureRecord;
/// let f: FailureRecord = serde_json::from_str(
///     r#"{"id":"web.1","name":"web","state":"TASK_FAILED","finished":"2016-06-17T04:41:19Z"}"#,
/// )?;
/// assert_eq!(f.to_string(), "web (web.1) from ");
/// assert_eq!(f.key.as_str().len(), 32);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FailureRecord {
    /// The id people know it by.
    pub id: String,
    /// The name of the task or job.
    pub name: String,
    /// The host it ran on. `slave` in JSON, `Slave` in templates.
    #[serde(rename = "slave", skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The framework, scheduler or group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub framework: String,
    /// The container image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The state it ended in.
    pub state: String,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it died.
    pub finished: Timestamp,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the scheduler says about the death.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The scheduler's reason code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The exit code of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last health that was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Which attempt this was, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Who owns it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// What else its scheduler knows of it, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// The configured name of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The identity of this death.
    pub key: FailureKey,
    /// The source's own note on how to find the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locator: Option<serde_json::Value>,
    /// Logs whose addresses are known already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_streams: Vec<LogStream>,
}

impl FailureRecord {
    /// A record of what must be known, with the default key. Set the other fields
    /// directly, then call [`with_default_key`](Self::with_default_key) if `source` was among them.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        state: impl Into<String>,
        finished: Timestamp,
    ) -> Self {
        let (id, name, state) = (id.into(), name.into(), state.into());
        let key = FailureKey::of_death("", &id, &state, finished);
        Self {
            id,
            name,
            state,
            finished,
            key,
            host: String::new(),
            framework: String::new(),
            image: String::new(),
            started: None,
            labels: BTreeMap::new(),
            message: None,
            reason: None,
            exit_code: None,
            healthy: None,
            attempt: None,
            owners: Vec::new(),
            details: BTreeMap::new(),
            source: String::new(),
            locator: None,
            log_streams: Vec::new(),
        }
    }

    /// Copies any failure.
    pub fn from_failure(f: &(impl Failure + ?Sized)) -> Self {
        Self {
            id: f.id().to_owned(),
            name: f.name().to_owned(),
            host: f.host().to_owned(),
            framework: f.framework().to_owned(),
            image: f.image().to_owned(),
            state: f.state().to_owned(),
            started: f.started(),
            finished: f.finished(),
            labels: f
                .labels()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            message: f.message().map(str::to_owned),
            reason: f.reason().map(str::to_owned),
            exit_code: f.exit_code(),
            healthy: f.healthy(),
            attempt: f.attempt(),
            owners: f.owners().into_iter().map(str::to_owned).collect(),
            details: f
                .details()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            source: f.source().to_owned(),
            key: f.key(),
            locator: f.locator().cloned(),
            log_streams: f.log_streams(),
        }
    }

    /// Sets the key to the default one of the fields as they are now.
    #[must_use]
    pub fn with_default_key(mut self) -> Self {
        self.key = FailureKey::of_death(&self.source, &self.id, &self.state, self.finished);
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds what its scheduler knows of it.
    #[must_use]
    pub fn with_detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }
}

impl FailureRecord {
    /// The values of labels that [are secret](redact::is_secret_label).
    pub fn secret_labels(&self) -> impl Iterator<Item = &str> {
        self.labels
            .iter()
            .filter(|(k, v)| redact::is_secret_label(k, v))
            .map(|(_, v)| v.as_str())
    }
}

/// Labels that are secret are masked.
impl fmt::Debug for FailureRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: BTreeMap<&str, &str> = self
            .labels
            .iter()
            .map(|(k, v)| (k.as_str(), redact::label(k, v)))
            .collect();
        f.debug_struct("FailureRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("host", &self.host)
            .field("framework", &self.framework)
            .field("image", &self.image)
            .field("state", &self.state)
            .field("finished", &self.finished)
            .field("labels", &labels)
            .field("source", &self.source)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// `NAME (ID) from HOST`, as in templates.
impl fmt::Display for FailureRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) from {}", self.name, self.id, self.host)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Failure for FailureRecord {
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn state(&self) -> &str {
        &self.state
    }
    fn finished(&self) -> Timestamp {
        self.finished
    }
    fn host(&self) -> &str {
        &self.host
    }
    fn framework(&self) -> &str {
        &self.framework
    }
    fn image(&self) -> &str {
        &self.image
    }
    fn started(&self) -> Option<Timestamp> {
        self.started
    }
    fn labels(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
        Box::new(self.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }
    fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
    fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }
    fn healthy(&self) -> Option<bool> {
        self.healthy
    }
    fn attempt(&self) -> Option<u32> {
        self.attempt
    }
    fn owners(&self) -> Vec<&str> {
        self.owners.iter().map(String::as_str).collect()
    }
    fn details(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
        Box::new(self.details.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }
    fn source(&self) -> &str {
        &self.source
    }
    fn log_streams(&self) -> Vec<LogStream> {
        self.log_streams.clone()
    }
    fn locator(&self) -> Option<&serde_json::Value> {
        self.locator.as_ref()
    }
    fn key(&self) -> FailureKey {
        self.key.clone()
    }
}

impl<'de> Deserialize<'de> for FailureRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(expecting = "a failure: an object with at least id, name, state and finished")]
        struct Wire {
            id: String,
            name: String,
            state: String,
            finished: String,
            slave: Option<String>,
            framework: Option<String>,
            image: Option<String>,
            started: Option<String>,
            labels: Option<BTreeMap<String, String>>,
            message: Option<String>,
            reason: Option<String>,
            exit_code: Option<i32>,
            healthy: Option<bool>,
            attempt: Option<u32>,
            owners: Option<Vec<String>>,
            details: Option<BTreeMap<String, String>>,
            source: Option<String>,
            key: Option<FailureKey>,
            locator: Option<serde_json::Value>,
            log_streams: Option<Vec<LogStream>>,
        }
        let time = |field: &str, text: &str| {
            text.parse::<Timestamp>().map_err(|_| {
                serde::de::Error::custom(format!(
                    "{field}: {text:?} is not an RFC 3339 time such as 2016-06-17T04:41:19Z"
                ))
            })
        };
        let w = Wire::deserialize(deserializer)?;
        let finished = time("finished", &w.finished)?;
        let started = w.started.map(|t| time("started", &t)).transpose()?;
        let mut f = Self::new(w.id, w.name, w.state, finished);
        f.host = w.slave.unwrap_or_default();
        f.framework = w.framework.unwrap_or_default();
        f.image = w.image.unwrap_or_default();
        f.started = started;
        f.labels = w.labels.unwrap_or_default();
        f.message = w.message;
        f.reason = w.reason;
        f.exit_code = w.exit_code;
        f.healthy = w.healthy;
        f.attempt = w.attempt;
        f.owners = w.owners.unwrap_or_default();
        f.details = w.details.unwrap_or_default();
        f.source = w.source.unwrap_or_default();
        f.locator = w.locator;
        f.log_streams = w.log_streams.unwrap_or_default();
        f = f.with_default_key();
        if let Some(key) = w.key {
            f.key = key;
        }
        Ok(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object_safe(_: &dyn Failure) {}

    #[test]
    fn json_survives_a_round_trip() {
        let text = r#"{"id":"a","name":"n","slave":"h","framework":"f","image":"i","state":"TASK_LOST",
            "started":"2016-06-17T04:41:12.25Z","finished":"2016-06-17T04:41:19Z","labels":{"k":"v"},
            "message":"m","reason":"r","exit_code":137,"healthy":false,"attempt":2,"owners":["a@x"],"source":"s",
            "key":"k1","locator":{"dir":"/x"}}"#;
        let f: FailureRecord = serde_json::from_str(text).unwrap();
        object_safe(&f);
        let again: FailureRecord =
            serde_json::from_str(&serde_json::to_string(&f).unwrap()).unwrap();
        assert_eq!(f, again);
        assert_eq!(FailureRecord::from_failure(&f), f);
        assert_eq!(f.key.as_str(), "k1");
    }

    #[test]
    fn nulls_count_as_absent() {
        let f: FailureRecord = serde_json::from_str(
            r#"{"id":"a","name":"n","state":"S","finished":"1970-01-01T00:00:00Z","labels":null,"message":null,"key":null}"#,
        )
        .unwrap();
        assert_eq!(
            f.key,
            FailureKey::of_death("", "a", "S", Timestamp::UNIX_EPOCH)
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        let e = serde_json::from_str::<FailureRecord>(r#"{"id":"a","name":"n","state":"S"}"#)
            .unwrap_err();
        assert!(e.to_string().contains("finished"), "{e}");
    }

    #[test]
    fn debug_masks_secret_labels() {
        let f = FailureRecord::new("a", "n", "S", Timestamp::UNIX_EPOCH)
            .with_label("complainer_slack_hook_url", "https://h/secret")
            .with_label("team", "core");
        let d = format!("{f:?}");
        assert!(d.contains("core") && !d.contains("secret"), "{d}");
    }
}
