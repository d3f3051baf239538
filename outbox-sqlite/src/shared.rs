//! What the handle and its threads share.

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::JoinHandle,
};

use notifier_core::Error;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::{SqliteOptions, error::Trouble, lock::WatcherLock, seal::Seals};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) options: SqliteOptions,
    pub(crate) changes: watch::Sender<u64>,
    /// The reader's connection. Whoever puts the files in order takes it away.
    pub(crate) reading: Mutex<Option<Connection>>,
    /// Held once this handle leases.
    pub(crate) lock: Mutex<Option<WatcherLock>>,
    /// The number of this handle's claim; 0 if it has none.
    pub(crate) claim: AtomicI64,
    pub(crate) checker: Checker,
    pub(crate) seals: Seals,
    broken: OnceLock<Trouble>,
}

/// The thread that checks the rest of a large file.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) stop: std::sync::Arc<AtomicBool>,
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checker {
    /// Ends it, and waits until it has closed the file.
    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            // It does not panic, and if it does, it is over.
            let _ = thread.join();
        }
    }
}

impl Shared {
    pub(crate) fn new(path: PathBuf, options: SqliteOptions) -> Self {
        Self {
            seals: Seals::of(&path),
            path,
            options,
            changes: watch::Sender::new(0),
            reading: Mutex::default(),
            lock: Mutex::default(),
            claim: AtomicI64::new(0),
            checker: Checker::default(),
            broken: OnceLock::new(),
        }
    }

    /// Why nothing more is done with this file, if so.
    pub(crate) fn broken(&self) -> Option<&Trouble> {
        self.broken.get()
    }

    /// From now on every call answers this.
    pub(crate) fn break_with(&self, trouble: &Trouble) {
        if self.broken.set(trouble.clone()).is_ok() {
            tracing::error!(error = %trouble.error().report(), "the outbox is given up");
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.broken().map_or(Ok(()), |t| Err(t.error()))
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Locks, also after a panic elsewhere: the data behind our locks is whole between statements.
pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}
