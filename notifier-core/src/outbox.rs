//! What is still to be told: the [`Outbox`] trait.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{DeliveryId, Destination, FailureKey, FailureRecord, Logs, Result};

/// Keeps failures from the moment they are known until everyone has been told.
///
/// Promises that every implementation keeps (`notifier-testkit` has them as a suite):
///
/// * [`enqueue`](Self::enqueue) is one commit: failures, deliveries, seen keys and
///   the source's cursor are all kept or none is. A key that was seen is not enqueued again.
/// * A delivery is leased by one worker at a time. A lease that runs out, or that
///   [`recover`](Self::recover) takes back, counts as an attempt whose outcome is
///   unknown; only [`release`](Self::release) gives it back as if nothing had been.
///   Answers under a lease that was taken back are refused and change nothing.
/// * Deliveries of one destination are leased in the order in which they fell due:
///   those never tried in the order of enqueueing, and one that is tried again behind
///   what was due before it. Those whose failure's logs are not settled are not leased.
/// * A key is remembered while its source lists it, while something is open for it,
///   and for a time beyond.
/// * A batch that is larger than the whole outbox is taken by an empty one: what
///   could never fit would be refused for ever.
/// * What is buried is kept, can be looked at and replayed.
/// * It is bounded: over its limit `enqueue` answers [`ErrorKind::Full`](crate::ErrorKind::Full) and keeps nothing.
///
/// Methods may be called from any number of tasks at once. Each is safe to drop: it
/// has happened wholly or not at all.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync + 'static {
    /// Keeps failures and what is to be sent for them.
    ///
    /// # Errors
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) at the size limit, [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be stored.
    async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued>;

    /// The cursor that the last committed batch of a source carried.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>>;

    /// Takes failures whose logs are not settled yet, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be used.
    async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>>;

    /// Settles a failure's logs: its deliveries can be leased from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()>;

    /// Takes due deliveries of one destination, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be used.
    async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>>;

    /// Everyone has it. `progress` is kept in the same commit, here and below.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn complete(
        &self,
        lease: &Lease,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) -> Result<()>;

    /// To be tried again, not before `at`.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn retry_at(
        &self,
        lease: &Lease,
        at: Timestamp,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) -> Result<()>;

    /// Given up: kept as a dead letter.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn bury(
        &self,
        lease: &Lease,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) -> Result<()>;

    /// Keeps progress in the middle of an attempt.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()>;

    /// Gives a lease back unused.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn release(&self, lease: &Lease) -> Result<()>;

    /// Takes back at once every lease of an earlier process. Called at start, before any lease is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be used.
    async fn recover(&self) -> Result<u64>;

    /// The destinations with something left to send, and when the first of it is
    /// due. Those whose logs are not settled or that are leased do not count.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>>;

    /// Looks at deliveries, the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>>;

    /// Sends again what was completed or buried, as a new delivery of the next generation.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if there is no such delivery or it is not finished.
    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId>;

    /// How much there is of what.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn stats(&self) -> Result<OutboxStats>;

    /// A counter that moves when there may be something new to lease.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether what is kept outlives the process.
    fn is_durable(&self) -> bool;
}

macro_rules! forward_outbox {
    ($($t:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: Outbox + ?Sized> Outbox for $t {
            async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued> { (**self).enqueue(batch).await }
            async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>> { (**self).cursor(source).await }
            async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> { (**self).lease_logs(request).await }
            async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> { (**self).settle_logs(lease, logs).await }
            async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>> { (**self).lease(destination, request).await }
            async fn complete(&self, lease: &Lease, progress: Option<serde_json::Value>, attempt: Attempt) -> Result<()> {
                (**self).complete(lease, progress, attempt).await
            }
            async fn retry_at(&self, lease: &Lease, at: Timestamp, progress: Option<serde_json::Value>, attempt: Attempt) -> Result<()> {
                (**self).retry_at(lease, at, progress, attempt).await
            }
            async fn bury(&self, lease: &Lease, progress: Option<serde_json::Value>, attempt: Attempt) -> Result<()> {
                (**self).bury(lease, progress, attempt).await
            }
            async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()> { (**self).save_progress(lease, progress).await }
            async fn release(&self, lease: &Lease) -> Result<()> { (**self).release(lease).await }
            async fn recover(&self) -> Result<u64> { (**self).recover().await }
            async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> { (**self).pending().await }
            async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> { (**self).inspect(filter).await }
            async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> { (**self).replay(watcher, id, now).await }
            async fn stats(&self) -> Result<OutboxStats> { (**self).stats().await }
            fn changes(&self) -> watch::Receiver<u64> { (**self).changes() }
            fn is_durable(&self) -> bool { (**self).is_durable() }
        }
    )*};
}
forward_outbox!(Arc<T>, Box<T>);

/// What is kept in one commit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EnqueueBatch {
    /// The source's name.
    pub source: String,
    /// Failures, each with what is to be sent for it. Those without deliveries are only marked as seen.
    pub failures: Vec<NewFailure>,
    /// Keys that are marked as seen.
    pub seen: Vec<FailureKey>,
    /// Every key that the source lists now.
    pub listed: Option<Vec<FailureKey>>,
    /// The source's cursor.
    pub cursor: Option<serde_json::Value>,
    /// The time now.
    pub now: Timestamp,
}

impl EnqueueBatch {
    /// A batch of a source with nothing in it.
    pub fn new(source: impl Into<String>, now: Timestamp) -> Self {
        Self {
            source: source.into(),
            failures: Vec::new(),
            seen: Vec::new(),
            listed: None,
            cursor: None,
            now,
        }
    }

    /// Adds a failure.
    #[must_use]
    pub fn with(mut self, failure: NewFailure) -> Self {
        self.failures.push(failure);
        self
    }
}

/// A failure and what is to be sent for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewFailure {
    /// The failure.
    pub record: Arc<FailureRecord>,
    /// What is to be sent.
    pub deliveries: Vec<NewDelivery>,
}

impl NewFailure {
    /// A failure and what is to be sent for it.
    pub fn new(record: impl Into<Arc<FailureRecord>>, deliveries: Vec<NewDelivery>) -> Self {
        Self {
            record: record.into(),
            deliveries,
        }
    }
}

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// By which reporter.
    pub reporter: String,
    /// To which instance of it.
    pub instance: String,
    /// Where that leads.
    pub destination: Destination,
}

impl NewDelivery {
    /// One thing to send.
    pub fn new(
        id: DeliveryId,
        reporter: impl Into<String>,
        instance: impl Into<String>,
        destination: Destination,
    ) -> Self {
        Self {
            id,
            reporter: reporter.into(),
            instance: instance.into(),
            destination,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enqueued {
    /// Failures that were new.
    pub new: u64,
    /// Failures whose keys were seen before.
    pub repeated: u64,
    /// Deliveries that were added.
    pub deliveries: u64,
}

impl Enqueued {
    /// An answer.
    pub fn new(new: u64, repeated: u64, deliveries: u64) -> Self {
        Self {
            new,
            repeated,
            deliveries,
        }
    }
}

/// How much to lease and for how long.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// At most this many.
    pub max: usize,
    /// The time now.
    pub now: Timestamp,
    /// When the lease runs out.
    pub until: Timestamp,
}

impl LeaseRequest {
    /// A request.
    pub fn new(max: usize, now: Timestamp, until: Timestamp) -> Self {
        Self { max, now, until }
    }
}

/// A failure whose logs one worker looks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogLease {
    /// The failure.
    pub record: Arc<FailureRecord>,
    /// The lease's own number.
    pub token: u64,
}

impl LogLease {
    /// A lease.
    pub fn new(record: Arc<FailureRecord>, token: u64) -> Self {
        Self { record, token }
    }
}

/// A delivery that one worker has taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lease {
    /// The delivery.
    pub delivery: NewDelivery,
    /// The failure it is about.
    pub record: Arc<FailureRecord>,
    /// The failure's logs.
    pub logs: Logs,
    /// Attempts made before this one.
    pub attempts: u32,
    /// The last attempt's outcome is unknown: it may have arrived.
    pub unknown: bool,
    /// What the last attempt got done.
    pub progress: Option<serde_json::Value>,
    /// When it was enqueued.
    pub enqueued: Timestamp,
    /// The lease's own number.
    pub token: u64,
}

impl Lease {
    /// A lease of a delivery that was not tried yet; set the other fields directly.
    pub fn new(
        delivery: NewDelivery,
        record: Arc<FailureRecord>,
        enqueued: Timestamp,
        token: u64,
    ) -> Self {
        Self {
            delivery,
            record,
            logs: Logs::default(),
            attempts: 0,
            unknown: false,
            progress: None,
            enqueued,
            token,
        }
    }
}

/// What one attempt came to, kept with the delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    /// The error's kind, or a word of the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the service said, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

impl Attempt {
    /// An attempt.
    pub fn new(at: Timestamp, outcome: Outcome) -> Self {
        Self {
            at,
            outcome,
            code: None,
            detail: String::new(),
            latency_ms: 0,
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It did not arrive, and is tried again.
    Retry,
    /// It may have arrived, and is tried again.
    Unknown,
    /// It did not arrive, and is not tried again.
    Dead,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// Waits to be sent.
    Pending,
    /// Is being sent.
    Leased,
    /// Has arrived.
    Done,
    /// Was given up.
    Dead,
}

/// Which deliveries to look at.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeliveryFilter {
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Only to this destination.
    pub destination: Option<Destination>,
    /// Only of this failure.
    pub key: Option<FailureKey>,
    /// At most this many; 0 means all.
    pub limit: usize,
}

impl DeliveryFilter {
    /// Everything in one state.
    pub fn state(state: DeliveryState) -> Self {
        Self {
            state: Some(state),
            ..Self::default()
        }
    }
}

/// A delivery as seen from outside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeliveryView {
    /// The delivery.
    pub delivery: NewDelivery,
    /// The failure it is about.
    pub key: FailureKey,
    /// Its state.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// The last attempt.
    pub last: Option<Attempt>,
    /// What the last attempt got done.
    pub progress: Option<serde_json::Value>,
    /// When it was enqueued.
    pub enqueued: Timestamp,
    /// Not to be tried before this.
    pub due: Timestamp,
}

impl DeliveryView {
    /// A view of a pending delivery; set the other fields directly.
    pub fn new(delivery: NewDelivery, key: FailureKey, enqueued: Timestamp) -> Self {
        Self {
            delivery,
            key,
            state: DeliveryState::Pending,
            attempts: 0,
            last: None,
            progress: None,
            enqueued,
            due: enqueued,
        }
    }
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutboxStats {
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries that are being sent.
    pub leased: u64,
    /// Deliveries that arrived and are still remembered.
    pub done: u64,
    /// Dead letters that are kept.
    pub dead: u64,
    /// Failures whose logs are not settled.
    pub unsettled: u64,
    /// Seen keys that are remembered.
    pub seen: u64,
}

impl OutboxStats {
    /// Deliveries that are not finished.
    pub fn open(&self) -> u64 {
        self.pending + self.leased
    }
}
