//! The outbox in memory.

mod group;
mod lease;
mod state;
mod view;

use std::{fmt, sync::Mutex, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use self::state::State;
use crate::{
    DeliveryFilter, DeliveryId, DeliveryView, Destination, DestinationState, EnqueueBatch,
    Enqueued, FoldRequest, Folded, Lease, LeaseRequest, LogLease, Logs, Outbox, OutboxStats,
    Result, Settlement, Silence, Story, lock,
};

/// An outbox in memory. It is bounded, and forgets everything when the process ends.
///
/// Limits: [`with_capacity`](Self::with_capacity) open deliveries (100,000 unless
/// set), and one batch that is larger than that while it is empty; the last 1,000
/// finished ones are remembered, and the last 1,000 dead letters are kept, each with its
/// last 50 attempts. A seen key is kept while its source lists it, while something is
/// kept for it, and for [`SEEN_FOR`](Self::SEEN_FOR) after it was last seen.
pub struct MemoryOutbox {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    capacity: usize,
}

impl MemoryOutbox {
    /// How long a seen key is kept after its source last listed it: 24 h.
    pub const SEEN_FOR: Duration = Duration::from_secs(24 * 3600);

    /// Room for 100,000 open deliveries.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// Room for this many open deliveries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            capacity,
        }
    }

    /// Changes the state, and says so if it worked.
    fn change<T>(&self, f: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let out = f(&mut lock(&self.state))?;
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
        Ok(out)
    }
}

/// Counts only.
impl fmt::Debug for MemoryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbox")
            .field("open", &lock(&self.state).open())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued> {
        self.change(|s| s.enqueue(batch, self.capacity))
    }

    async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>> {
        Ok(lock(&self.state).cursor(source))
    }

    async fn claim(&self, _watcher: &str, now: Timestamp) -> Result<u64> {
        self.change(|s| Ok(s.claim(now)))
    }

    async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> {
        Ok(lock(&self.state).lease_logs(request))
    }

    async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> {
        self.change(|s| s.settle_logs(lease.token, logs))
    }

    async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>> {
        Ok(lock(&self.state).lease(destination, request))
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<()> {
        self.change(|s| s.settle(lease.token, settlement))
    }

    async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()> {
        lock(&self.state).save_progress(lease.token, progress)
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.change(|s| s.release(lease.token))
    }

    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> {
        Ok(lock(&self.state).pending())
    }

    async fn destinations(&self) -> Result<Vec<(Destination, DestinationState)>> {
        Ok(lock(&self.state).destinations())
    }

    async fn fold(&self, request: FoldRequest) -> Result<Folded> {
        let folded = lock(&self.state).fold(&request);
        if folded.digests > 0 {
            self.change(|_| Ok(()))?;
        }
        Ok(folded)
    }

    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> {
        Ok(lock(&self.state).inspect(filter))
    }

    async fn story(&self, id: &DeliveryId) -> Result<Option<Story>> {
        Ok(lock(&self.state).story(id))
    }

    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> {
        self.change(|s| s.replay(watcher, id, now))
    }

    async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Result<()> {
        self.change(|s| s.discard(id, now))
    }

    async fn silences(&self) -> Result<Vec<Silence>> {
        Ok(lock(&self.state).silences())
    }

    async fn put_silence(&self, silence: Silence) -> Result<()> {
        self.change(|s| {
            s.put_silence(silence);
            Ok(())
        })
    }

    async fn stats(&self) -> Result<OutboxStats> {
        Ok(lock(&self.state).stats(self.capacity as u64))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn is_durable(&self) -> bool {
        false
    }
}

/// The promises of every outbox are looked at by `notifier-testkit`; here are its own limits.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attempt, DeliveryState, FailureRecord, Grouping, NewDelivery, NewReport, Outcome, Verdict,
    };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn to() -> Destination {
        Destination::new("memory", ["x"], "x")
    }

    fn report(n: i64) -> NewReport {
        let f = FailureRecord::new(n.to_string(), "web", "TASK_FAILED", at(n));
        let id = DeliveryId::derive("w", &f.key, "memory", "default", 0);
        NewReport::failure(f, vec![NewDelivery::new(id, "memory", "default", to())])
    }

    async fn ready(reports: impl IntoIterator<Item = NewReport>) -> MemoryOutbox {
        let o = MemoryOutbox::new();
        let mut batch = EnqueueBatch::new("s", at(0));
        batch.reports.extend(reports);
        o.enqueue(batch).await.unwrap();
        settle_logs(&o).await;
        o
    }

    async fn settle_logs(o: &MemoryOutbox) {
        let request = LeaseRequest::new(usize::MAX, at(0), Timestamp::MAX);
        for lease in o.lease_logs(request).await.unwrap() {
            o.settle_logs(&lease, Logs::default()).await.unwrap();
        }
    }

    async fn settle_all(o: &MemoryOutbox, verdict: Verdict) {
        let request = LeaseRequest::new(usize::MAX, at(0), Timestamp::MAX);
        for lease in o.lease(&to(), request).await.unwrap() {
            let attempt = Attempt::new(at(1), Outcome::Delivered);
            let settlement = Settlement::new(verdict, attempt);
            o.settle(&lease, settlement).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_last_thousand_that_arrived_are_remembered_and_the_last_thousand_dead_letters() {
        let o = ready((0..1_500).map(report)).await;
        settle_all(&o, Verdict::Done).await;
        let mut more = EnqueueBatch::new("s", at(0));
        more.reports.extend((2_000..3_200).map(report));
        o.enqueue(more).await.unwrap();
        settle_logs(&o).await;
        settle_all(&o, Verdict::Dead).await;
        let stats = o.stats().await.unwrap();
        assert_eq!((stats.done, stats.dead, stats.open()), (1_000, 1_000, 0));
        let all = o.inspect(&DeliveryFilter::default()).await.unwrap();
        assert_eq!((all.len(), all[0].sequence), (2_000, 501));
        let state = lock(&o.state);
        assert_eq!((state.tales.len(), state.ids.len()), (2_000, 2_000));
    }

    #[tokio::test]
    async fn fifty_attempts_are_remembered_and_all_are_counted() {
        let o = ready([report(0)]).await;
        for _ in 0..60 {
            settle_all(&o, Verdict::RetryAt(at(0))).await;
        }
        let id = report(0).deliveries[0].id.clone();
        let story = o.story(&id).await.unwrap().unwrap();
        assert_eq!((story.attempts.len(), story.view.attempts), (50, 60));
    }

    #[tokio::test]
    async fn at_the_end_of_all_time_every_group_is_folded_and_told_at_once() {
        let group = || Grouping::new("web", Duration::from_secs(300));
        let o = ready((0..3).map(|n| report(n).with_group(group()))).await;
        settle_all(&o, Verdict::Done).await;
        let request = FoldRequest::new("w", Timestamp::MAX);
        assert_eq!(o.fold(request).await.unwrap().deliveries, 2);
        settle_logs(&o).await;
        assert_eq!(o.pending().await.unwrap(), [(to(), at(0))]);
        settle_all(&o, Verdict::Done).await;
        assert_eq!(o.stats().await.unwrap().open(), 0);
    }

    #[tokio::test]
    async fn what_is_no_different_from_nothing_is_forgotten() {
        let o = ready([report(0)]).await;
        settle_all(&o, Verdict::Done).await;
        let days = at(3 * 24 * 3_600_000);
        o.enqueue(EnqueueBatch::new("s", days)).await.unwrap();
        let state = lock(&o.state);
        assert!(state.places.is_empty() && state.unsettled.is_empty());
        assert_eq!(state.count(DeliveryState::Done), 1);
        assert_eq!(
            state.seen.len(),
            1,
            "its delivery is kept, and so is its key"
        );
    }
}
