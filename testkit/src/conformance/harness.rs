//! How the suite reaches a reporter and the service behind it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::{Reporter, Settings};

/// How the service behaves from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scenario {
    /// It takes every message.
    Deliver,
    /// It asks to slow down, for this long: HTTP 429, SMTP 421.
    RateLimited {
        /// The wait it asks for, where it has a way to say so.
        after: Option<Duration>,
    },
    /// It certainly takes no message now, but will: connection refused, HTTP 503, a full disk.
    Unavailable,
    /// It refuses this message for good: HTTP 400.
    Refuse,
    /// It refuses everything for this destination for good: a revoked token.
    RefuseDestination,
    /// It takes the whole request and breaks the connection without an answer.
    CutAfterBody,
    /// It takes the whole request and never answers.
    Hang,
    /// It answers as this row of [`Harness::rows`] says, counted from 0.
    Row(usize),
}

/// One row of a service's table of verdicts: an answer, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The answer, for people: `429 with Retry-After`.
    pub answer: String,
    /// What it means.
    pub verdict: RowVerdict,
}

impl Row {
    /// An answer and what it means.
    pub fn new(answer: impl Into<String>, verdict: RowVerdict) -> Self {
        Self {
            answer: answer.into(),
            verdict,
        }
    }
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowVerdict {
    /// It arrived.
    Delivered,
    /// It did not arrive; later it may, after the time that was asked for.
    Retry {
        /// The wait, where the answer says one.
        after: Option<Duration>,
    },
    /// It may have arrived; if it did not, later it may.
    Ambiguous,
    /// It did not arrive and never will.
    Dead,
    /// The same, and so for all that is sent there.
    DeadDestination,
    /// The first form is refused, a smaller one is taken in the same attempt. The service
    /// takes whatever comes second.
    Shrink,
}

type Received = Arc<dyn Fn() -> Vec<String> + Send + Sync>;
type Attempts = Arc<dyn Fn() -> usize + Send + Sync>;

/// A service made ready for one case.
#[derive(Clone)]
#[non_exhaustive]
pub struct Setup {
    /// The settings that lead to it.
    pub settings: Settings,
    received: Option<Received>,
    attempts: Option<Attempts>,
}

impl Setup {
    /// A service that these settings lead to.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            received: None,
            attempts: None,
        }
    }

    /// How to ask for the messages that arrived since it was made ready, one text each. A
    /// service that drops doubles shows them once. One that answered no, or later, took
    /// none; one that broke the connection after the whole request, or hangs, may have.
    #[must_use]
    pub fn with_received(mut self, f: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.received = Some(Arc::new(f));
        self
    }

    /// The messages that arrived, if that can be asked.
    pub fn received(&self) -> Option<Vec<String>> {
        self.received.as_ref().map(|f| f())
    }

    /// How to ask how often a report was tried since it was made ready, in whatever way it
    /// ended. With it, the suite proves that a reporter never retries by itself.
    #[must_use]
    pub fn with_attempts(mut self, f: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.attempts = Some(Arc::new(f));
        self
    }

    /// How often a report was tried, if that can be asked.
    pub fn attempts(&self) -> Option<usize> {
        self.attempts.as_ref().map(|f| f())
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A reporter with the service behind it, as the suite needs them.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The reporter.
    fn reporter(&self) -> Arc<dyn Reporter>;

    /// Makes the service behave so, with nothing received yet. `None`: it cannot, and
    /// the case is skipped. [`Scenario::Deliver`] must be possible.
    async fn prepare(&self, scenario: Scenario) -> Option<Setup>;

    /// The service's table of verdicts, which [`Scenario::Row`] counts in. Without one
    /// the case counts as skipped.
    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }

    /// Values that must be seen nowhere: those of the settings' secret options.
    fn secrets(&self) -> Vec<String>;
}
