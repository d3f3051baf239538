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
