//! A failure's logs: what they are called, where they are, how to read them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{FailureRecord, ObjectRef, Result};

/// A log's bytes, in pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Which part of a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPart {
    /// All of it.
    Whole,
    /// Its last so many bytes; all of it if it has fewer.
    Last(u64),
}

/// A log that was opened.
#[non_exhaustive]
pub struct OpenLog {
    /// How many bytes the whole log had when it was opened, where that is known.
    pub size: Option<u64>,
    /// The part that was asked for. A log that is still written to may give more than `size`.
    pub bytes: ByteStream,
}

impl OpenLog {
    /// A log of this size, with the bytes of the part that was asked for.
    pub fn new(size: Option<u64>, bytes: ByteStream) -> Self {
        Self { size, bytes }
    }
}

impl fmt::Debug for OpenLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenLog")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogTail {
    /// Its last bytes.
    pub bytes: Vec<u8>,
    /// Whether there is more before them.
    pub is_cut: bool,
}

impl LogTail {
    /// The end of a log, which is cut or is all of it.
    pub fn new(bytes: impl Into<Vec<u8>>, is_cut: bool) -> Self {
        Self {
            bytes: bytes.into(),
            is_cut,
        }
    }
}

/// Reads the logs of the failure that a report is about, while it is made.
#[async_trait]
pub trait LogReader: fmt::Debug + Send + Sync + 'static {
    /// The last bytes of the log of this name, at most so many. `None`: the failure has no such log.
    ///
    /// # Errors
    /// If it cannot be read now, with a text for people. The report goes without it.
    async fn tail(&self, name: &str, most: usize) -> Result<Option<LogTail>>;
}

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

    /// Reads one log or its end, in pieces. Before the first piece it bounds by itself how long a
    /// host may take to answer; it may wait for its turn.
    ///
    /// # Errors
    /// If it cannot be read. An answer that is not the log (an error page) is an error, and so is,
    /// at the end of the stream, one that broke off before its whole length.
    async fn open(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
        part: LogPart,
    ) -> Result<OpenLog>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: LogLocator + ?Sized> LogLocator for Arc<T> {
    async fn locate(&self, failure: &FailureRecord) -> Result<Vec<LogStream>> {
        (**self).locate(failure).await
    }
    async fn open(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
        part: LogPart,
    ) -> Result<OpenLog> {
        (**self).open(failure, log, part).await
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
