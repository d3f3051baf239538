//! Where failures come from.

use std::fmt;

use futures_core::stream::BoxStream;

use crate::{Error, FailureKey, FailureRecord, Result};

/// Watches something and hands over its failures.
///
/// The stream does not end at an error: an `Err` item says that the source cannot
/// be read now (health shows it), and polling again goes on. The source waits and
/// backs off by itself. A batch whose [`Ack`] is dropped instead of called was not
/// stored: its failures are to be handed over again.
///
/// A source may hand over the same failure any number of times, also after a
/// restart: the outbox keeps the keys. So it needs no memory of its own beyond the
/// [cursor](Batch::with_cursor), which is stored in the same commit.
pub trait Source: fmt::Debug + Send + 'static {
    /// The configured, stable name; never a leader's address.
    fn name(&self) -> &str;

    /// Starts watching. `cursor` is what the last committed batch of this source
    /// carried, `None` at the very first start.
    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>>;
}

#[deny(clippy::missing_trait_methods)]
impl<T: Source + ?Sized> Source for Box<T>
where
    Self: Send,
{
    fn name(&self) -> &str {
        (**self).name()
    }
    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        (*self).events(cursor)
    }
}

/// What becomes of failures that were there before a source's very first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backlog {
    /// They count as seen, and are not reported.
    #[default]
    Skip,
    /// They are reported.
    Report,
}

/// Some failures that are stored in one commit. An empty batch says "read well, nothing new".
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Batch {
    /// Failures to report.
    pub failures: Vec<FailureRecord>,
    /// Failures that count as seen and are not reported: those there before the first start.
    pub baseline: Vec<FailureKey>,
    /// Every key that the source lists now, if this batch is such a listing. Keys
    /// that are listed are not forgotten.
    pub listed: Option<Vec<FailureKey>>,
    /// The source's own note of where it stands.
    pub cursor: Option<serde_json::Value>,
    /// What is in trouble all the same: a part of the source cannot be read now.
    pub trouble: Option<Error>,
    /// Called after the commit.
    pub ack: Ack,
}

impl Batch {
    /// A batch of failures to report.
    pub fn new(failures: Vec<FailureRecord>) -> Self {
        Self {
            failures,
            ..Self::default()
        }
    }

    /// Adds failures that count as seen and are not reported.
    #[must_use]
    pub fn with_baseline(mut self, keys: Vec<FailureKey>) -> Self {
        self.baseline = keys;
        self
    }

    /// Adds all the keys that the source lists now.
    #[must_use]
    pub fn with_listed(mut self, keys: Vec<FailureKey>) -> Self {
        self.listed = Some(keys);
        self
    }

    /// Adds the source's own note of where it stands.
    #[must_use]
    pub fn with_cursor(mut self, cursor: serde_json::Value) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Adds what is in trouble all the same: the source stays unhealthy with it, though this
    /// batch is stored. A batch without says that all is well.
    #[must_use]
    pub fn with_trouble(mut self, trouble: Error) -> Self {
        self.trouble = Some(trouble);
        self
    }

    /// Adds what is called after the commit.
    #[must_use]
    pub fn with_ack(mut self, ack: impl FnOnce() + Send + 'static) -> Self {
        self.ack = Ack::new(ack);
        self
    }
}

/// Tells a source that its batch is stored.
#[derive(Default)]
#[must_use = "a batch that is not acknowledged is handed over again"]
pub struct Ack(Option<Box<dyn FnOnce() + Send>>);

impl Ack {
    /// Calls `f` when the batch is stored.
    pub fn new(f: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(f)))
    }

    /// The batch is stored.
    pub fn done(self) {
        if let Some(f) = self.0 {
            f();
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ack")
    }
}
