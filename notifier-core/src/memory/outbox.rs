use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    Attempt, DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, Destination, EnqueueBatch,
    Enqueued, Error, ErrorKind, FailureKey, FailureRecord, Lease, LeaseRequest, LogLease, Logs,
    NewDelivery, Outbox, OutboxStats, Outcome, Result, Retry, clock::until, lock,
};

/// An outbox in memory. It is bounded, and forgets everything when the process ends.
///
/// Limits: [`with_capacity`](Self::with_capacity) open deliveries (100,000 unless
/// set), and one batch that is larger than that while it is empty; the last 1,000
/// finished ones are remembered, and the last 1,000 dead letters are kept. A seen key
/// is kept while its source lists it, while something is kept for it, and for
/// [`SEEN_FOR`](Self::SEEN_FOR) after it was last seen.
pub struct MemoryOutbox {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    capacity: usize,
}

/// How many finished deliveries, and how many dead ones, are remembered.
const REMEMBERED: usize = 1_000;

#[derive(Default)]
struct State {
    /// By sequence number, so in the order of enqueueing.
    deliveries: BTreeMap<u64, Item>,
    ids: HashMap<DeliveryId, u64>,
    failures: HashMap<FailureKey, Failure>,
    /// Deliveries whose logs are settled and that nobody has.
    ready: HashMap<Destination, Ready>,
    /// What each lease holds.
    leases: BTreeMap<u64, Held>,
    unsettled: VecDeque<FailureKey>,
    done: VecDeque<u64>,
    dead: VecDeque<u64>,
    /// Key to (source, when last listed).
    seen: HashMap<FailureKey, (Arc<str>, Timestamp)>,
    cursors: HashMap<String, serde_json::Value>,
    /// When keys were last forgotten.
    pruned: Option<Timestamp>,
    next_sequence: u64,
    next_token: u64,
    open: usize,
}

/// What one destination waits for, in the order in which it falls due.
type Ready = BTreeSet<(Timestamp, u64)>;

#[derive(Debug)]
struct Item {
    delivery: NewDelivery,
    key: FailureKey,
    state: DeliveryState,
    attempts: u32,
    last: Option<Attempt>,
    progress: Option<serde_json::Value>,
    enqueued: Timestamp,
    due: Timestamp,
    generation: u32,
    /// Its last lease was lost: it may have arrived.
    lost: bool,
}

#[derive(Debug)]
struct Failure {
    record: Arc<FailureRecord>,
    logs: Option<Logs>,
    /// Deliveries that are still remembered, in any state.
    items: BTreeSet<u64>,
}

#[derive(Debug)]
struct Held {
    until: Timestamp,
    what: What,
}

#[derive(Debug)]
enum What {
    Delivery(u64),
    Logs(FailureKey),
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

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Counts only.
impl fmt::Debug for MemoryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbox")
            .field("open", &lock(&self.state).open)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self::new()
    }
}

fn lost_lease() -> Error {
    Error::new(ErrorKind::Rejected, "the lease has run out").with_retry(Retry::Never)
}

impl State {
    /// Puts back what is held longer than allowed. True if something was.
    fn expire(&mut self, now: Timestamp) -> bool {
        let out: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, h)| h.until <= now)
            .map(|(t, _)| *t)
            .collect();
        for token in &out {
            if let Some(held) = self.leases.remove(token) {
                self.put_back(held.what, true);
            }
        }
        !out.is_empty()
    }

    /// Puts back what was leased. If the lease was `lost`, nobody knows what came of it.
    fn put_back(&mut self, what: What, lost: bool) {
        match what {
            What::Delivery(seq) => {
                if let Some(item) = self.deliveries.get_mut(&seq) {
                    item.state = DeliveryState::Pending;
                    if lost {
                        item.lost = true;
                        item.attempts += 1;
                    }
                }
                self.make_ready(seq);
            }
            What::Logs(key) => self.unsettled.push_front(key),
        }
    }

    fn make_ready(&mut self, seq: u64) {
        if let Some(item) = self.deliveries.get(&seq) {
            let at = (item.due, seq);
            self.ready
                .entry(item.delivery.destination.clone())
                .or_default()
                .insert(at);
        }
    }

    fn add(&mut self, delivery: NewDelivery, key: &FailureKey, generation: u32, now: Timestamp) {
        let seq = self.next_sequence;
        self.next_sequence += 1;
        self.open += 1;
        self.ids.insert(delivery.id.clone(), seq);
        let settled = self.failures.get_mut(key).is_some_and(|f| {
            f.items.insert(seq);
            f.logs.is_some()
        });
        self.deliveries.insert(
            seq,
            Item {
                delivery,
                key: key.clone(),
                state: DeliveryState::Pending,
                attempts: 0,
                last: None,
                progress: None,
                enqueued: now,
                due: now,
                generation,
                lost: false,
            },
        );
        if settled {
            self.make_ready(seq);
        }
    }

    /// Takes a lease apart: the delivery it was for.
    fn take(&mut self, lease: &Lease) -> Result<u64> {
        match self.leases.get(&lease.token) {
            Some(Held {
                what: What::Delivery(seq),
                ..
            }) => {
                let seq = *seq;
                self.leases.remove(&lease.token);
                Ok(seq)
            }
            _ => Err(lost_lease()),
        }
    }

    fn finish(
        &mut self,
        seq: u64,
        state: DeliveryState,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) {
        if let Some(item) = self.deliveries.get_mut(&seq) {
            item.state = state;
            if progress.is_some() {
                item.progress = progress;
            }
            item.attempts += 1;
            item.last = Some(attempt);
            self.open -= 1;
        }
        let queue = if state == DeliveryState::Done {
            &mut self.done
        } else {
            &mut self.dead
        };
        queue.push_back(seq);
        if queue.len() > REMEMBERED
            && let Some(old) = queue.pop_front()
        {
            self.forget(old);
        }
    }

    /// Forgets keys that nobody lists any more and for which nothing is kept; now and
    /// then, since it looks at all of them.
    fn prune(&mut self, now: Timestamp) {
        let every = MemoryOutbox::SEEN_FOR / 24;
        if self.pruned.is_some_and(|at| until(at, now) < every) {
            return;
        }
        self.pruned = Some(now);
        let Self { seen, failures, .. } = self;
        seen.retain(|key, (_, at)| {
            failures.contains_key(key) || until(*at, now) < MemoryOutbox::SEEN_FOR
        });
    }

    fn forget(&mut self, seq: u64) {
        let Some(item) = self.deliveries.remove(&seq) else {
            return;
        };
        self.ids.remove(&item.delivery.id);
        if let Some(f) = self.failures.get_mut(&item.key) {
            f.items.remove(&seq);
            if f.items.is_empty() {
                self.failures.remove(&item.key);
            }
        }
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued> {
        let mut out = Enqueued::default();
        {
            let mut s = lock(&self.state);
            let room = self.capacity.saturating_sub(s.open);
            let mut keys = HashSet::new();
            let wanted: usize = batch
                .failures
                .iter()
                .filter(|f| !s.seen.contains_key(&f.record.key) && keys.insert(&f.record.key))
                .map(|f| f.deliveries.len())
                .sum();
            // What is larger than the whole outbox would never fit: an empty one takes it.
            if wanted > room && s.open > 0 {
                return Err(Error::new(
                    ErrorKind::Full,
                    format!(
                        "the outbox holds {} deliveries and takes {}",
                        s.open, self.capacity
                    ),
                ));
            }
            let source: Arc<str> = batch.source.as_str().into();
            for failure in batch.failures {
                let key = failure.record.key.clone();
                if s.seen
                    .insert(key.clone(), (Arc::clone(&source), batch.now))
                    .is_some()
                {
                    out.repeated += 1;
                    continue;
                }
                out.new += 1;
                if failure.deliveries.is_empty() {
                    continue;
                }
                s.failures.insert(
                    key.clone(),
                    Failure {
                        record: failure.record,
                        logs: None,
                        items: BTreeSet::new(),
                    },
                );
                s.unsettled.push_back(key.clone());
                for d in failure.deliveries {
                    out.deliveries += 1;
                    s.add(d, &key, 0, batch.now);
                }
            }
            for key in batch.seen {
                s.seen.insert(key, (Arc::clone(&source), batch.now));
            }
            if let Some(listed) = batch.listed {
                for key in listed {
                    if let Some(seen) = s.seen.get_mut(&key) {
                        seen.1 = batch.now;
                    }
                }
            }
            s.prune(batch.now);
            if let Some(cursor) = batch.cursor {
                s.cursors.insert(batch.source, cursor);
            }
        }
        if out.deliveries > 0 {
            self.changed();
        }
        Ok(out)
    }

    async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>> {
        Ok(lock(&self.state).cursors.get(source).cloned())
    }

    async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> {
        let mut s = lock(&self.state);
        s.expire(request.now);
        let mut out = Vec::new();
        while out.len() < request.max {
            let Some(key) = s.unsettled.pop_front() else {
                break;
            };
            let Some(record) = s.failures.get(&key).map(|f| Arc::clone(&f.record)) else {
                continue;
            };
            let token = s.next_token;
            s.next_token += 1;
            s.leases.insert(
                token,
                Held {
                    until: request.until,
                    what: What::Logs(key),
                },
            );
            out.push(LogLease::new(record, token));
        }
        Ok(out)
    }

    async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> {
        {
            let mut s = lock(&self.state);
            match s.leases.get(&lease.token) {
                Some(Held {
                    what: What::Logs(key),
                    ..
                }) if *key == lease.record.key => {}
                _ => return Err(lost_lease()),
            }
            s.leases.remove(&lease.token);
            let items = match s.failures.get_mut(&lease.record.key) {
                Some(f) => {
                    f.logs = Some(logs);
                    f.items.clone()
                }
                None => BTreeSet::new(),
            };
            for seq in items {
                s.make_ready(seq);
            }
        }
        self.changed();
        Ok(())
    }

    async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>> {
        let mut s = lock(&self.state);
        s.expire(request.now);
        let mut due = Vec::new();
        if let Some(ready) = s.ready.get_mut(destination) {
            while due.len() < request.max && ready.first().is_some_and(|(at, _)| *at <= request.now)
            {
                due.extend(ready.pop_first().map(|(_, seq)| seq));
            }
            if ready.is_empty() {
                s.ready.remove(destination);
            }
        }
        let mut out = Vec::with_capacity(due.len());
        for seq in due {
            let token = s.next_token;
            s.next_token += 1;
            let Some(item) = s.deliveries.get_mut(&seq) else {
                continue;
            };
            item.state = DeliveryState::Leased;
            let (delivery, key) = (item.delivery.clone(), item.key.clone());
            let (enqueued, attempts, progress) =
                (item.enqueued, item.attempts, item.progress.clone());
            let unknown = item.lost
                || item
                    .last
                    .as_ref()
                    .is_some_and(|a| a.outcome == Outcome::Unknown);
            let Some(f) = s.failures.get(&key) else {
                continue;
            };
            let mut lease = Lease::new(delivery, Arc::clone(&f.record), enqueued, token);
            lease.logs = f.logs.clone().unwrap_or_default();
            lease.attempts = attempts;
            lease.unknown = unknown;
            lease.progress = progress;
            s.leases.insert(
                token,
                Held {
                    until: request.until,
                    what: What::Delivery(seq),
                },
            );
            out.push(lease);
        }
        Ok(out)
    }

    async fn complete(
        &self,
        lease: &Lease,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) -> Result<()> {
        let mut s = lock(&self.state);
        let seq = s.take(lease)?;
        s.finish(seq, DeliveryState::Done, progress, attempt);
        drop(s);
        self.changed();
        Ok(())
    }

    async fn retry_at(
        &self,
        lease: &Lease,
        at: Timestamp,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) -> Result<()> {
        {
            let mut s = lock(&self.state);
            let seq = s.take(lease)?;
            if let Some(item) = s.deliveries.get_mut(&seq) {
                item.state = DeliveryState::Pending;
                item.attempts += 1;
                item.due = at;
                item.lost = false;
                item.last = Some(attempt);
                if progress.is_some() {
                    item.progress = progress;
                }
            }
            s.make_ready(seq);
        }
        self.changed();
        Ok(())
    }

    async fn bury(
        &self,
        lease: &Lease,
        progress: Option<serde_json::Value>,
        attempt: Attempt,
    ) -> Result<()> {
        let mut s = lock(&self.state);
        let seq = s.take(lease)?;
        s.finish(seq, DeliveryState::Dead, progress, attempt);
        drop(s);
        self.changed();
        Ok(())
    }

    async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()> {
        let mut s = lock(&self.state);
        let seq = match s.leases.get(&lease.token) {
            Some(Held {
                what: What::Delivery(seq),
                ..
            }) => *seq,
            _ => return Err(lost_lease()),
        };
        if let Some(item) = s.deliveries.get_mut(&seq) {
            item.progress = Some(progress);
        }
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        {
            let mut s = lock(&self.state);
            let seq = s.take(lease)?;
            s.put_back(What::Delivery(seq), false);
        }
        self.changed();
        Ok(())
    }

    async fn recover(&self) -> Result<u64> {
        let count = {
            let mut s = lock(&self.state);
            let leases = std::mem::take(&mut s.leases);
            let count = leases.len() as u64;
            for (_, held) in leases {
                s.put_back(held.what, true);
            }
            count
        };
        self.changed();
        Ok(count)
    }

    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> {
        let s = lock(&self.state);
        Ok(s.ready
            .iter()
            .filter_map(|(d, ready)| Some((d.clone(), ready.first()?.0)))
            .collect())
    }

    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> {
        let s = lock(&self.state);
        let limit = if filter.limit == 0 {
            usize::MAX
        } else {
            filter.limit
        };
        Ok(s.deliveries
            .values()
            .filter(|i| filter.state.is_none_or(|st| st == i.state))
            .filter(|i| {
                filter
                    .destination
                    .as_ref()
                    .is_none_or(|d| *d == i.delivery.destination)
            })
            .filter(|i| filter.key.as_ref().is_none_or(|k| *k == i.key))
            .take(limit)
            .map(|i| {
                let mut v = DeliveryView::new(i.delivery.clone(), i.key.clone(), i.enqueued);
                v.state = i.state;
                v.attempts = i.attempts;
                v.last = i.last.clone();
                v.progress = i.progress.clone();
                v.due = i.due;
                v
            })
            .collect())
    }

    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> {
        let new = {
            let mut s = lock(&self.state);
            let item = s
                .ids
                .get(id)
                .and_then(|seq| s.deliveries.get(seq))
                .ok_or_else(|| {
                    Error::new(ErrorKind::Rejected, format!("there is no delivery {id}"))
                })?;
            if !matches!(item.state, DeliveryState::Done | DeliveryState::Dead) {
                return Err(Error::new(
                    ErrorKind::Rejected,
                    format!("the delivery {id} is not finished"),
                ));
            }
            let (key, mut delivery) = (item.key.clone(), item.delivery.clone());
            let mut generation = item.generation;
            loop {
                generation += 1;
                let next = DeliveryId::derive(
                    watcher,
                    &key,
                    &delivery.reporter,
                    &delivery.instance,
                    generation,
                );
                if !s.ids.contains_key(&next) {
                    delivery.id = next;
                    break;
                }
            }
            let new = delivery.id.clone();
            s.add(delivery, &key, generation, now);
            new
        };
        self.changed();
        Ok(new)
    }

    async fn stats(&self) -> Result<OutboxStats> {
        let s = lock(&self.state);
        let leased = s
            .leases
            .values()
            .filter(|h| matches!(h.what, What::Delivery(_)))
            .count() as u64;
        let logs = s.leases.len() as u64 - leased;
        Ok(OutboxStats {
            leased,
            pending: s.open as u64 - leased,
            done: s.done.len() as u64,
            dead: s.dead.len() as u64,
            unsettled: s.unsettled.len() as u64 + logs,
            seen: s.seen.len() as u64,
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn is_durable(&self) -> bool {
        false
    }
}
