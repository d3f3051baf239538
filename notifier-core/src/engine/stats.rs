use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Enqueued;

/// What an engine did since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct EngineStats {
    /// Failures that were new.
    pub failures: u64,
    /// Failures that were handed over again.
    pub repeated: u64,
    /// Batches that the outbox could not take.
    pub refused: u64,
    /// Attempts to send.
    pub attempts: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Attempts that are tried again.
    pub retries: u64,
    /// Attempts that may have arrived and were tried again: possible doubles.
    pub possible_doubles: u64,
    /// Messages that went out with the built-in text since their template failed.
    pub template_faults: u64,
    /// Failures whose logs were not found or not stored.
    pub logs_missing: u64,
    /// Times that a source could not be read.
    pub source_errors: u64,
    /// Deliveries held for a digest.
    pub held: u64,
    /// Deliveries not sent because of a silence.
    pub silenced: u64,
    /// Digests that were made.
    pub digests: u64,
    /// Notices and recoveries that were told.
    pub notices: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        #[derive(Debug, Default)]
        pub(super) struct Counters { $($name: AtomicU64),* }
        impl Counters {
            pub(super) fn snapshot(&self) -> EngineStats {
                EngineStats { $($name: self.$name.load(Relaxed)),* }
            }
        }
    };
}
counters!(
    failures,
    repeated,
    refused,
    attempts,
    delivered,
    dead,
    retries,
    possible_doubles,
    template_faults,
    logs_missing,
    source_errors,
    held,
    silenced,
    digests,
    notices
);

impl Counters {
    pub(super) fn enqueued(&self, done: &Enqueued) {
        self.failures.fetch_add(done.new, Relaxed);
        self.repeated.fetch_add(done.repeated, Relaxed);
        self.held.fetch_add(done.held, Relaxed);
        self.silenced.fetch_add(done.silenced, Relaxed);
    }
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
    pub(super) fn attempt(&self) {
        self.attempts.fetch_add(1, Relaxed);
    }
    pub(super) fn delivered(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }
    pub(super) fn dead(&self) {
        self.dead.fetch_add(1, Relaxed);
    }
    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
    pub(super) fn possible_double(&self) {
        self.possible_doubles.fetch_add(1, Relaxed);
    }
    pub(super) fn template_fault(&self) {
        self.template_faults.fetch_add(1, Relaxed);
    }
    pub(super) fn logs_missing(&self) {
        self.logs_missing.fetch_add(1, Relaxed);
    }
    pub(super) fn digests(&self, made: u64) {
        self.digests.fetch_add(made, Relaxed);
    }
    pub(super) fn notices(&self, told: usize) {
        self.notices.fetch_add(told as u64, Relaxed);
    }
    pub(super) fn source_error(&self) {
        self.source_errors.fetch_add(1, Relaxed);
    }
}
