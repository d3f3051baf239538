//! What is still to be told: the [`Outbox`] trait.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    DeliveryId, Destination, FailureKey, FailureRecord, Logs, Result, Silence, Subject,
    policy::Rate,
};

/// Keeps failures from the moment they are known until everyone has been told.
///
/// Promises that every implementation keeps (`notifier-testkit` has them as a suite):
///
/// * [`enqueue`](Self::enqueue) is one commit: reports, deliveries, seen keys and
///   the source's cursor are all kept or none is. A key that was seen is not enqueued again.
/// * A delivery is leased by one worker at a time. A lease that runs out, or that
///   [`claim`](Self::claim) takes back, counts as an attempt whose outcome is
///   unknown; only [`release`](Self::release) gives it back as if nothing had been.
///   Answers under a lease that was taken back are refused and change nothing.
/// * Deliveries of one destination are leased in the order of enqueueing. One that is to
///   be tried again later is left out until then, and keeps its place: after an outage
///   everything arrives in order. Those whose failure's logs are not settled are not leased.
/// * No more is leased than the destination's [`Rate`] allows, and nothing before the
///   [time](DestinationState::not_before) it is left alone until. Both are kept.
/// * A key is remembered while its source lists it, while something is open for it,
///   and for a time beyond.
/// * A batch that is larger than the whole outbox is taken by an empty one: what
///   could never fit would be refused for ever.
/// * What is buried is kept, can be looked at and replayed.
/// * It is bounded: over its limit `enqueue` answers [`ErrorKind::Full`](crate::ErrorKind::Full) and keeps nothing.
///   Notices and digests are never refused for that.
///
/// Methods may be called from any number of tasks at once. Each is safe to drop: it
/// has happened wholly or not at all.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync + 'static {
    /// Keeps reports and what is to be sent for them.
    ///
    /// # Errors
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) at the size limit, [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be stored.
    async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued>;

    /// The cursor that the last committed batch of a source carried.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>>;

    /// Becomes the only one that leases, as long as the process lives, and takes back at
    /// once what an earlier one had leased: that many. Called at start, before any lease is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if another process leases from this outbox, with its
    /// name, [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be used.
    async fn claim(&self, watcher: &str, now: Timestamp) -> Result<u64>;

    /// Takes failures whose logs are not settled yet, oldest first. Those for which
    /// nothing is to be sent now are left out.
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

    /// Notes what came of an attempt, in one commit with everything that follows from it.
    /// What a digest folds is finished with it.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the lease has run out.
    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<()>;

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

    /// The destinations with something left to send, and when the first of it can be
    /// leased, its rate included. Those whose logs are not settled or that are leased do not count.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>>;

    /// What is kept of how destinations stand: of those of which anything is.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn destinations(&self) -> Result<Vec<(Destination, DestinationState)>>;

    /// Makes digests of what was held for long enough. A group in which nothing was held
    /// is forgotten: its next failure is told at once.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be used.
    async fn fold(&self, request: FoldRequest) -> Result<Folded>;

    /// Looks at deliveries.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>>;

    /// Everything that is kept about one delivery, if there is such a one.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn story(&self, id: &DeliveryId) -> Result<Option<Story>>;

    /// Sends again what is finished, as a new delivery of the next generation.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if there is no such delivery or it is not finished.
    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId>;

    /// Gives up a delivery that waits, or puts away a dead letter. It stays to be looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if there is no such delivery, if it is being sent, or if it has arrived.
    async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Result<()>;

    /// The silences, the newest first, those that have ended included for a while.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be read.
    async fn silences(&self) -> Result<Vec<Silence>>;

    /// Keeps a silence, in place of one with the same id.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the store cannot be used.
    async fn put_silence(&self, silence: Silence) -> Result<()>;

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
            async fn claim(&self, watcher: &str, now: Timestamp) -> Result<u64> { (**self).claim(watcher, now).await }
            async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> { (**self).lease_logs(request).await }
            async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> { (**self).settle_logs(lease, logs).await }
            async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>> { (**self).lease(destination, request).await }
            async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<()> { (**self).settle(lease, settlement).await }
            async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()> { (**self).save_progress(lease, progress).await }
            async fn release(&self, lease: &Lease) -> Result<()> { (**self).release(lease).await }
            async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> { (**self).pending().await }
            async fn destinations(&self) -> Result<Vec<(Destination, DestinationState)>> { (**self).destinations().await }
            async fn fold(&self, request: FoldRequest) -> Result<Folded> { (**self).fold(request).await }
            async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> { (**self).inspect(filter).await }
            async fn story(&self, id: &DeliveryId) -> Result<Option<Story>> { (**self).story(id).await }
            async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> { (**self).replay(watcher, id, now).await }
            async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Result<()> { (**self).discard(id, now).await }
            async fn silences(&self) -> Result<Vec<Silence>> { (**self).silences().await }
            async fn put_silence(&self, silence: Silence) -> Result<()> { (**self).put_silence(silence).await }
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
    /// What is to be told, each with whom to tell. Those without deliveries are only marked as seen.
    pub reports: Vec<NewReport>,
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
            reports: Vec::new(),
            seen: Vec::new(),
            listed: None,
            cursor: None,
            now,
        }
    }

    /// Adds something to tell.
    #[must_use]
    pub fn with(mut self, report: NewReport) -> Self {
        self.reports.push(report);
        self
    }
}

/// Something to tell, and whom.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewReport {
    /// What it is about.
    pub subject: Subject,
    /// What is to be sent.
    pub deliveries: Vec<NewDelivery>,
    /// Hold its deliveries while others like it were told of a short time ago.
    pub group: Option<Grouping>,
    /// Keep its deliveries without sending them, for this reason.
    pub silenced: Option<String>,
}

impl NewReport {
    /// Something to tell, and whom.
    pub fn new(subject: Subject, deliveries: Vec<NewDelivery>) -> Self {
        Self {
            subject,
            deliveries,
            group: None,
            silenced: None,
        }
    }

    /// A failure, and whom to tell.
    pub fn failure(record: impl Into<Arc<FailureRecord>>, deliveries: Vec<NewDelivery>) -> Self {
        Self::new(Subject::Failure(record.into()), deliveries)
    }

    /// Holds its deliveries while others like it were told of a short time ago.
    #[must_use]
    pub fn with_group(mut self, group: Grouping) -> Self {
        self.group = Some(group);
        self
    }

    /// Keeps its deliveries without sending them.
    #[must_use]
    pub fn with_silence(mut self, why: impl Into<String>) -> Self {
        self.silenced = Some(why.into());
        self
    }
}

/// What counts as "like it", and for how long.
///
/// The first failure of a group is told at once and opens it. What follows to the same
/// destination within the interval is [held](DeliveryState::Held), until
/// [`Outbox::fold`] makes one digest of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grouping {
    /// What those that are alike have in common, for people.
    pub fingerprint: String,
    /// How long a group is open from its first message on, and from each digest on.
    pub interval: Duration,
}

impl Grouping {
    /// A group.
    pub fn new(fingerprint: impl Into<String>, interval: Duration) -> Self {
        Self {
            fingerprint: fingerprint.into(),
            interval,
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
    /// Why it is sent there, for people.
    pub why: String,
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
            why: String::new(),
        }
    }

    /// Says why it is sent there.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enqueued {
    /// Reports that were new.
    pub new: u64,
    /// Reports whose keys were seen before.
    pub repeated: u64,
    /// Deliveries that were added, those held and silenced included.
    pub deliveries: u64,
    /// Of these, held for a digest.
    pub held: u64,
    /// Of these, silenced.
    pub silenced: u64,
}

impl Enqueued {
    /// An answer.
    pub fn new(new: u64, repeated: u64, deliveries: u64) -> Self {
        Self {
            new,
            repeated,
            deliveries,
            ..Self::default()
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
    /// No faster than this; `None` is as fast as it goes.
    pub rate: Option<Rate>,
}

impl LeaseRequest {
    /// A request without a rate.
    pub fn new(max: usize, now: Timestamp, until: Timestamp) -> Self {
        Self {
            max,
            now,
            until,
            rate: None,
        }
    }

    /// Sets how fast.
    #[must_use]
    pub fn with_rate(mut self, rate: Option<Rate>) -> Self {
        self.rate = rate;
        self
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
    /// What it is about.
    pub subject: Subject,
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
    pub fn new(delivery: NewDelivery, subject: Subject, enqueued: Timestamp, token: u64) -> Self {
        Self {
            delivery,
            subject,
            logs: Logs::default(),
            attempts: 0,
            unknown: false,
            progress: None,
            enqueued,
            token,
        }
    }
}

/// What is noted of an attempt, and what follows from it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settlement {
    /// What becomes of the delivery.
    pub verdict: Verdict,
    /// What the attempt came to.
    pub attempt: Attempt,
    /// What it got done; `None` leaves what is kept.
    pub progress: Option<serde_json::Value>,
    /// How the destination stands now; `None` leaves what is kept.
    pub destination: Option<DestinationState>,
    /// Everything that waits for the destination is due now: an outage is over.
    pub wake: bool,
    /// What is to be told because of it: that a destination is dead, or works again.
    pub notices: Vec<NewReport>,
}

impl Settlement {
    /// Only the delivery changes; set the other fields directly.
    pub fn new(verdict: Verdict, attempt: Attempt) -> Self {
        Self {
            verdict,
            attempt,
            progress: None,
            destination: None,
            wake: false,
            notices: Vec::new(),
        }
    }

    /// Sets what the attempt got done.
    #[must_use]
    pub fn with_progress(mut self, progress: Option<serde_json::Value>) -> Self {
        self.progress = progress;
        self
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Everyone has it.
    Done,
    /// To be tried again, not before then.
    RetryAt(Timestamp),
    /// Given up: kept as a dead letter.
    Dead,
}

/// How a destination stands, as far as it outlives the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DestinationState {
    /// It is left alone until then: it asked for it, or does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Attempts in a row that did not arrive.
    pub strikes: u32,
    /// Deliveries in a row that were given up.
    pub given_up: u32,
    /// Since when nothing has arrived; `None` if the last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// It refuses everything: only now and then is one message tried.
    pub refuses: bool,
    /// When others were told that it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noticed: Option<Timestamp>,
}

/// What is to be folded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoldRequest {
    /// The watcher's name, for the digests' ids.
    pub watcher: String,
    /// The time now: groups that end by then.
    pub now: Timestamp,
}

impl FoldRequest {
    /// A request.
    pub fn new(watcher: impl Into<String>, now: Timestamp) -> Self {
        Self {
            watcher: watcher.into(),
            now,
        }
    }
}

/// What was folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folded {
    /// Digests that were made.
    pub digests: u64,
    /// Deliveries that they stand for.
    pub deliveries: u64,
    /// When the next group ends.
    pub next: Option<Timestamp>,
}

impl Folded {
    /// An answer.
    pub fn new(digests: u64, deliveries: u64, next: Option<Timestamp>) -> Self {
        Self {
            digests,
            deliveries,
            next,
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
    /// Is held for a digest.
    Held,
    /// Is told by a digest that is not finished; it ends as the digest does.
    Folded,
    /// Has arrived.
    Done,
    /// Was given up.
    Dead,
    /// Was not sent because of a silence.
    Silenced,
    /// Was given up by a person.
    Dropped,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Leased,
        Self::Held,
        Self::Folded,
        Self::Done,
        Self::Dead,
        Self::Silenced,
        Self::Dropped,
    ];

    /// The state as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Held => "held",
            Self::Folded => "folded",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Silenced => "silenced",
            Self::Dropped => "dropped",
        }
    }

    /// The state of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Nothing more happens to it by itself.
    pub const fn is_finished(self) -> bool {
        matches!(
            self,
            Self::Done | Self::Dead | Self::Silenced | Self::Dropped
        )
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which deliveries to look at.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeliveryFilter {
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Only to this destination.
    pub destination: Option<Destination>,
    /// Only by this reporter.
    pub reporter: Option<String>,
    /// Only of this failure, digest or notice.
    pub key: Option<FailureKey>,
    /// Only those whose ids begin with this.
    pub id_prefix: Option<String>,
    /// Only enqueued then or later.
    pub since: Option<Timestamp>,
    /// Only enqueued before.
    pub before: Option<Timestamp>,
    /// The newest first; the oldest unless set.
    pub newest_first: bool,
    /// Only what comes behind the delivery with this [`DeliveryView::sequence`].
    pub after: Option<u64>,
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
    /// The identity of the failure, digest or notice that it is about.
    pub key: FailureKey,
    /// What it is about, in a few words.
    pub about: String,
    /// Its state.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// Attempts whose outcome is unknown: possible doubles.
    pub unknown: u32,
    /// The last attempt.
    pub last: Option<Attempt>,
    /// What the last attempt got done.
    pub progress: Option<serde_json::Value>,
    /// When it was enqueued.
    pub enqueued: Timestamp,
    /// Not to be tried before this.
    pub due: Timestamp,
    /// When it was finished.
    pub finished: Option<Timestamp>,
    /// 0, and one more for each replay.
    pub generation: u32,
    /// Its place in the order of enqueueing.
    pub sequence: u64,
    /// The digest that tells it, if one does.
    pub digest: Option<DeliveryId>,
}

impl DeliveryView {
    /// A view of a pending delivery; set the other fields directly.
    pub fn new(delivery: NewDelivery, key: FailureKey, enqueued: Timestamp) -> Self {
        Self {
            delivery,
            key,
            about: String::new(),
            state: DeliveryState::Pending,
            attempts: 0,
            unknown: 0,
            last: None,
            progress: None,
            enqueued,
            due: enqueued,
            finished: None,
            generation: 0,
            sequence: 0,
            digest: None,
        }
    }
}

/// Everything that is kept about one delivery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Story {
    /// The delivery.
    pub view: DeliveryView,
    /// What it is about.
    pub subject: Subject,
    /// The failure's logs, once they are settled.
    pub logs: Option<Logs>,
    /// Every attempt that is remembered, the first one first.
    pub attempts: Vec<Attempt>,
    /// What this digest tells: how many deliveries it stands for.
    pub folds: u64,
}

impl Story {
    /// A story of a delivery that was not tried; set the other fields directly.
    pub fn new(view: DeliveryView, subject: Subject) -> Self {
        Self {
            view,
            subject,
            logs: None,
            attempts: Vec::new(),
            folds: 0,
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
    /// Deliveries that are held for a digest.
    pub held: u64,
    /// Deliveries that a digest tells which is not finished.
    pub folded: u64,
    /// Deliveries that arrived and are still remembered.
    pub done: u64,
    /// Dead letters that are kept.
    pub dead: u64,
    /// Deliveries that were silenced and are still remembered.
    pub silenced: u64,
    /// Deliveries that were dropped and are still remembered.
    pub dropped: u64,
    /// Failures whose logs are not settled, and for which something is to be sent.
    pub unsettled: u64,
    /// Seen keys that are remembered.
    pub seen: u64,
    /// Attempts ever made whose outcome is unknown: possible doubles.
    pub unknown: u64,
    /// How many open deliveries there may be.
    pub capacity: u64,
}

impl OutboxStats {
    /// Deliveries that are not finished.
    pub fn open(&self) -> u64 {
        self.pending + self.leased + self.held + self.folded
    }
}
