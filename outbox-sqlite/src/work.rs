//! What is asked of the threads that have the file open.

use std::{panic::AssertUnwindSafe, path::Path};

use notifier_core::{Error, Result, jiff::Timestamp};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    SqliteOptions,
    chores::Chores,
    error::{Fault, Trouble},
    seal::Seals,
};

/// What a job works with: a connection in the middle of a transaction.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) options: &'a SqliteOptions,
    pub(crate) seals: &'a Seals,
    pub(crate) memory: &'a mut Memory,
    /// There may be something new to lease.
    pub(crate) changed: bool,
}

/// What the writer remembers from job to job. All of it can be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The time that the last job told.
    pub(crate) now: Option<Timestamp>,
    pub(crate) chores: Chores,
}

impl Work<'_> {
    /// Notes what time it is.
    pub(crate) fn at(&mut self, now: Timestamp) {
        self.memory.now = Some(now);
    }
}

/// What became of a job inside its transaction.
#[derive(Debug)]
pub(crate) enum Ran {
    /// Its changes are to be kept.
    Kept,
    /// It refuses, and its changes go.
    Refused,
    /// The store failed it.
    Failed(Trouble),
}

/// A job, whatever it answers.
pub(crate) trait Job: Send {
    fn run(&mut self, work: &mut Work<'_>, path: &Path) -> Ran;
    /// It changes many pages. A savepoint keeps what each was before in memory, so it
    /// has a commit of its own.
    fn is_large(&self) -> bool;
    /// Answers after the commit, with what went wrong with that.
    fn answer(self: Box<Self>, trouble: Option<&Failed>);
}

/// What went wrong with a commit.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) trouble: Trouble,
    /// It was made, but the files have lost their names: it outlives only the process.
    pub(crate) is_made: bool,
}

impl Failed {
    pub(crate) fn before(trouble: Trouble) -> Self {
        Self {
            trouble,
            is_made: false,
        }
    }
}

/// What kind of thing a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its answer says that it outlives the process.
    Promise,
    /// A promise that changes much.
    Large,
    /// Of use only while the process lives.
    Loan,
}

/// A job and who waits for it.
pub(crate) struct Asked<T, F> {
    /// Its answer promises that it outlives the process. What is only of use while the
    /// process lives, a lease and what comes of it, counts as soon as it is made.
    is_promise: bool,
    is_large: bool,
    f: Option<F>,
    out: Option<Result<T>>,
    to: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

impl<T, F> Asked<T, F> {
    pub(crate) fn new(
        f: F,
        kind: Kind,
        to: oneshot::Sender<Result<T>>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            is_promise: kind != Kind::Loan,
            is_large: kind == Kind::Large,
            f: Some(f),
            out: None,
            to,
            _room: room,
        }
    }
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut Work<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, work: &mut Work<'_>, path: &Path) -> Ran {
        let Some(f) = self.f.take() else {
            return Ran::Refused;
        };
        let (out, ran) = match guarded(|| f(work)) {
            Ok(v) => (Ok(v), Ran::Kept),
            Err(fault) => match fault.judge(path) {
                Ok(trouble) => (Err(trouble.error()), Ran::Failed(trouble)),
                Err(refusal) => (Err(refusal), Ran::Refused),
            },
        };
        self.out = Some(out);
        ran
    }

    fn is_large(&self) -> bool {
        self.is_large
    }

    fn answer(self: Box<Self>, trouble: Option<&Failed>) {
        let trouble = trouble.filter(|failed| self.is_promise || !failed.is_made);
        let out = match (trouble, self.out) {
            (Some(failed), _) => Err(failed.trouble.error()),
            (None, Some(out)) => out,
            (None, None) => Err(Error::internal("a job of the outbox did not run")),
        };
        // Nobody waits for it any more: that changes nothing.
        let _ = self.to.send(out);
    }
}

/// Runs a job that may panic.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    std::panic::catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(panic = text, "a job of the outbox panicked");
        Err(Fault::Refused(Error::internal(
            "a job of the outbox panicked; see the log",
        )))
    })
}
