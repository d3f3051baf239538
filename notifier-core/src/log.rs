//! A failure's logs: what they are called, where they are, how to read them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{FailureRecord, ObjectRef, Result};

/// A log's bytes, in pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// One log of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogStream {
    /// `stdout` or `stderr`, which templates know, or another name.
    pub name: String,
    /// Where a person reads it.
    pub url: String,
    /// What the locator needs to read it, if the address is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<serde_json::Value>,
}

impl LogStream {
    /// A log with an address for people.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            fetch: None,
        }
    }

    /// Adds what the locator needs to read it.
    #[must_use]
    pub fn with_fetch(mut self, fetch: serde_json::Value) -> Self {
        self.fetch = Some(fetch);
        self
    }
}

/// Finds a failure's logs and reads them. One for each source, given to the engine under the source's name.
///
/// The engine asks once per failure, bounds the time, and never drops a report
/// because of an error: the report goes without links and says why.
/// Implementations leave a host that does not answer alone for a while, and let
/// one look-up serve all of its failures.
#[async_trait]
pub trait LogLocator: fmt::Debug + Send + Sync + 'static {
    /// The failure's logs.
    ///
    /// # Errors
    /// With a text for people that says what is missing: it goes into the message.
    /// A retryable error is tried again within the engine's time bound.
    async fn locate(&self, failure: &FailureRecord) -> Result<Vec<LogStream>>;

    /// Reads one log, in pieces.
    ///
    /// # Errors
    /// If it cannot be read. An answer that is not the log (an error page) is an error.
    async fn open(&self, failure: &FailureRecord, log: &LogStream) -> Result<ByteStream>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: LogLocator + ?Sized> LogLocator for Arc<T> {
    async fn locate(&self, failure: &FailureRecord) -> Result<Vec<LogStream>> {
        (**self).locate(failure).await
    }
    async fn open(&self, failure: &FailureRecord, log: &LogStream) -> Result<ByteStream> {
        (**self).open(failure, log).await
    }
}

/// What became of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredLog {
    /// The log itself, at its source.
    pub stream: LogStream,
    /// Where the uploader put it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// Why it was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StoredLog {
    /// A log that was stored.
    pub fn stored(stream: LogStream, object: ObjectRef) -> Self {
        Self {
            stream,
            object: Some(object),
            error: None,
        }
    }

    /// A log that stays where it is, and why.
    pub fn left(stream: LogStream, error: impl Into<String>) -> Self {
        Self {
            stream,
            object: None,
            error: Some(error.into()),
        }
    }
}

/// What is known of a failure's logs; settled once per failure, before its first delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Logs {
    /// The logs that were found.
    pub streams: Vec<StoredLog>,
    /// Why there are none, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl Logs {
    /// Logs that were found.
    pub fn found(streams: Vec<StoredLog>) -> Self {
        Self {
            streams,
            missing: None,
        }
    }

    /// No logs, and why.
    pub fn missing(why: impl Into<String>) -> Self {
        Self {
            streams: Vec::new(),
            missing: Some(why.into()),
        }
    }
}
