//! What outlives an invocation in the instance that it ran in.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use notifiers::{
    DeliveryFilter, DeliveryId, DeliveryView, Destination, DestinationState, EnqueueBatch,
    Enqueued, FailureKey, FoldRequest, Folded, Lease, LeaseRequest, LogLease, Logs, NewDelivery,
    Outbox, OutboxStats, Outcome, Result, Settlement, Silence, Story, Subject, Verdict,
    jiff::Timestamp,
};
use serde_json::Value;
use tokio::sync::watch;

/// Of how many deliveries is remembered what came of them.
const MOST: usize = 10_000;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this instance knows of deliveries of earlier invocations: the last 10,000.
#[derive(Clone, Default)]
pub(crate) struct Learned(Arc<Mutex<Marks>>);

#[derive(Default)]
struct Marks {
    of: HashMap<DeliveryId, Mark>,
    /// The oldest first.
    order: VecDeque<DeliveryId>,
}

/// What came of a delivery so far.
#[derive(Clone, Debug, Default)]
struct Mark {
    told: bool,
    attempts: u32,
    /// The last attempt may have arrived.
    unknown: bool,
    progress: Option<Value>,
}

impl Learned {
    fn is_told(&self, id: &DeliveryId) -> bool {
        lock(&self.0).of.get(id).is_some_and(|m| m.told)
    }

    fn get(&self, id: &DeliveryId) -> Option<Mark> {
        lock(&self.0).of.get(id).cloned()
    }

    fn change(&self, id: &DeliveryId, change: impl FnOnce(&mut Mark)) {
        let mut marks = lock(&self.0);
        let marks = &mut *marks;
        if !marks.of.contains_key(id) {
            marks.order.push_back(id.clone());
            if marks.order.len() > MOST
                && let Some(old) = marks.order.pop_front()
            {
                marks.of.remove(&old);
            }
        }
        change(marks.of.entry(id.clone()).or_default());
    }
}

/// Counts only.
impl fmt::Debug for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learned")
            .field("deliveries", &lock(&self.0).of.len())
            .finish()
    }
}

/// The outbox of one invocation: another outbox, and what was [learned](Learned) before.
///
/// Lambda invokes again with the same event what failed, and a delivery has the same id each
/// time. What arrived in an earlier invocation is left out then; what may have arrived, or is
/// done in part, goes on from there.
#[derive(Debug)]
pub(crate) struct WarmOutbox {
    inner: Arc<dyn Outbox>,
    learned: Learned,
    /// Whether people are told that a destination does not work.
    notices: bool,
    turn: Mutex<Turn>,
}

/// What belongs to the invocation.
#[derive(Debug, Default)]
struct Turn {
    /// What is to be sent for each failure, also what was sent before.
    owed: HashMap<FailureKey, Vec<NewDelivery>>,
    /// What is leased.
    out: HashSet<DeliveryId>,
}

impl WarmOutbox {
    /// Over an outbox of the invocation's own, or one in a file that knows of earlier ones.
    ///
    /// Over the former no notices are made: it knows of no destination how long it does not work, and would
    /// tell so in each invocation. Lambda counts those that fail.
    pub(crate) fn new(inner: Arc<dyn Outbox>, learned: Learned) -> Self {
        Self {
            notices: inner.is_durable(),
            inner,
            learned,
            turn: Mutex::default(),
        }
    }

    /// What is to be sent for a failure of this invocation that is not known to have arrived.
    pub(crate) fn owed(&self, key: &FailureKey) -> Vec<NewDelivery> {
        let turn = lock(&self.turn);
        let owed = turn.owed.get(key).into_iter().flatten();
        owed.filter(|d| !self.learned.is_told(&d.id))
            .cloned()
            .collect()
    }

    /// How many deliveries there are for a failure of this invocation, sent before or not.
    pub(crate) fn count(&self, key: &FailureKey) -> usize {
        lock(&self.turn).owed.get(key).map_or(0, Vec::len)
    }

    /// Notes that a delivery arrived with another one, as part of a digest.
    pub(crate) fn told(&self, id: &DeliveryId) {
        self.learned.change(id, |m| m.told = true);
    }

    /// Ends the invocation: an attempt that was cut may have arrived.
    pub(crate) fn close(&self) {
        for id in lock(&self.turn).out.drain() {
            self.learned.change(&id, |m| {
                m.attempts = m.attempts.saturating_add(1);
                m.unknown = true;
            });
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Outbox for WarmOutbox {
    async fn enqueue(&self, mut batch: EnqueueBatch) -> Result<Enqueued> {
        let is_notice = |s: &Subject| matches!(s, Subject::Notice(_) | Subject::Recovery(_));
        batch
            .reports
            .retain(|r| self.notices || !is_notice(&r.subject));
        for report in &mut batch.reports {
            let is_failure = matches!(report.subject, Subject::Failure(_));
            if !is_failure || report.silenced.is_some() {
                continue;
            }
            let owed = report.deliveries.clone();
            lock(&self.turn).owed.insert(report.subject.key(), owed);
            report.deliveries.retain(|d| !self.learned.is_told(&d.id));
        }
        self.inner.enqueue(batch).await
    }

    async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>> {
        let mut leases = self.inner.lease(destination, request).await?;
        let mut turn = lock(&self.turn);
        for lease in &mut leases {
            turn.out.insert(lease.delivery.id.clone());
            let mark = self.learned.get(&lease.delivery.id);
            if let Some(mark) = mark.filter(|_| lease.attempts == 0) {
                lease.attempts = mark.attempts;
                lease.unknown = mark.unknown;
                lease.progress = mark.progress;
            }
        }
        Ok(leases)
    }

    async fn settle(&self, lease: &Lease, mut settlement: Settlement) -> Result<()> {
        if !self.notices {
            settlement.notices.clear();
        }
        let is_done = settlement.verdict == Verdict::Done;
        let is_unknown = settlement.attempt.outcome == Outcome::Unknown;
        let progress = settlement.progress.clone();
        self.inner.settle(lease, settlement).await?;
        let id = &lease.delivery.id;
        lock(&self.turn).out.remove(id);
        self.learned.change(id, |m| {
            m.told = is_done;
            m.attempts = lease.attempts.saturating_add(1);
            m.unknown = is_unknown;
            // What arrived has no further use for it.
            m.progress = progress.or(m.progress.take()).filter(|_| !is_done);
        });
        Ok(())
    }

    async fn save_progress(&self, lease: &Lease, progress: Value) -> Result<()> {
        self.inner.save_progress(lease, progress.clone()).await?;
        let keep = |m: &mut Mark| m.progress = Some(progress);
        self.learned.change(&lease.delivery.id, keep);
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.inner.release(lease).await?;
        lock(&self.turn).out.remove(&lease.delivery.id);
        Ok(())
    }

    async fn cursor(&self, source: &str) -> Result<Option<Value>> {
        self.inner.cursor(source).await
    }

    async fn claim(&self, watcher: &str, now: Timestamp) -> Result<u64> {
        self.inner.claim(watcher, now).await
    }

    async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> {
        self.inner.lease_logs(request).await
    }

    async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> {
        self.inner.settle_logs(lease, logs).await
    }

    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> {
        self.inner.pending().await
    }

    async fn destinations(&self) -> Result<Vec<(Destination, DestinationState)>> {
        self.inner.destinations().await
    }

    async fn fold(&self, request: FoldRequest) -> Result<Folded> {
        self.inner.fold(request).await
    }

    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> {
        self.inner.inspect(filter).await
    }

    async fn story(&self, id: &DeliveryId) -> Result<Option<Story>> {
        self.inner.story(id).await
    }

    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> {
        self.inner.replay(watcher, id, now).await
    }

    async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Result<()> {
        self.inner.discard(id, now).await
    }

    async fn silences(&self) -> Result<Vec<Silence>> {
        self.inner.silences().await
    }

    async fn put_silence(&self, silence: Silence) -> Result<()> {
        self.inner.put_silence(silence).await
    }

    async fn stats(&self) -> Result<OutboxStats> {
        self.inner.stats().await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }

    /// True, since what is not sent when the invocation ends is not lost: Lambda has the event.
    fn is_durable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
