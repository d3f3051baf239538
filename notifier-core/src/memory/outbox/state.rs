//! What is kept, and how one delivery goes from state to state.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    MemoryOutbox,
    group::{Group, Route},
    lease::Taken,
};
use crate::{
    Attempt, DeliveryId, DeliveryState, Destination, DestinationState, EnqueueBatch, Enqueued,
    Error, ErrorKind, FailureKey, Grouping, Logs, NewDelivery, NewReport, Outcome, Result, Silence,
    Subject, clock::until,
};

/// How many finished deliveries, and how many dead ones, are remembered.
const REMEMBERED: usize = 1_000;
/// How many attempts of each.
const ATTEMPTS: usize = 50;
/// How long a silence is remembered after its end.
const SILENCE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Default)]
pub(super) struct State {
    /// By sequence number, so in the order of enqueueing.
    pub(super) items: BTreeMap<u64, Item>,
    pub(super) ids: HashMap<DeliveryId, u64>,
    /// What there is to tell, by its number.
    pub(super) tales: BTreeMap<u64, Tale>,
    keys: HashMap<FailureKey, u64>,
    /// Those of which something is to be sent, and whose logs nobody settled or looks for.
    pub(super) unsettled: BTreeSet<u64>,
    pub(super) places: BTreeMap<Destination, Place>,
    /// What each lease holds.
    pub(super) leases: BTreeMap<u64, Taken>,
    pub(super) groups: BTreeMap<Route, Group>,
    silences: Vec<Silence>,
    /// How many deliveries there are in each state.
    counts: BTreeMap<DeliveryState, u64>,
    finished: VecDeque<u64>,
    dead: VecDeque<u64>,
    /// Each with when it was last listed.
    pub(super) seen: HashMap<FailureKey, Timestamp>,
    cursors: HashMap<String, serde_json::Value>,
    /// When what nobody needs was last forgotten.
    pruned: Option<Timestamp>,
    /// Some source tells what it lists.
    lists: bool,
    next_sequence: u64,
    next_tale: u64,
    pub(super) last_token: u64,
    /// Attempts whose outcome is unknown.
    pub(super) unknown: u64,
}

/// A delivery.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) delivery: NewDelivery,
    pub(super) tale: u64,
    pub(super) state: DeliveryState,
    pub(super) attempts: u32,
    pub(super) unknown: u32,
    /// The last of them.
    pub(super) history: VecDeque<Attempt>,
    pub(super) progress: Option<serde_json::Value>,
    pub(super) enqueued: Timestamp,
    pub(super) due: Timestamp,
    pub(super) finished: Option<Timestamp>,
    pub(super) generation: u32,
    /// The group that holds it.
    pub(super) held_by: Option<Route>,
    /// The digest that tells it.
    pub(super) digest: Option<DeliveryId>,
    /// What it tells if it is a digest.
    pub(super) folds: Vec<u64>,
}

/// Something to tell.
#[derive(Debug)]
pub(super) struct Tale {
    pub(super) subject: Subject,
    pub(super) key: FailureKey,
    pub(super) logs: Option<Logs>,
    pub(super) looking: bool,
    /// Deliveries that are still remembered, in any state.
    pub(super) items: BTreeSet<u64>,
    /// How many of them are pending or leased.
    pub(super) waiting: usize,
}

/// What is kept for one destination.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// What waits and has its logs settled, in the order of enqueueing, with when it is due.
    pub(super) line: BTreeMap<u64, Timestamp>,
    /// The same in the order in which it falls due.
    pub(super) dues: BTreeSet<(Timestamp, u64)>,
    /// Where its rate stands.
    pub(super) rate_at: Option<Timestamp>,
    /// When its rate lets the next one through.
    pub(super) rate_next: Option<Timestamp>,
    pub(super) state: DestinationState,
}

fn is_waiting(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Pending | DeliveryState::Leased)
}

pub(super) fn rejected(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Rejected, message)
}

impl Item {
    pub(super) fn tried(&mut self, attempt: Attempt) {
        self.attempts = self.attempts.saturating_add(1);
        if attempt.outcome == Outcome::Unknown {
            self.unknown = self.unknown.saturating_add(1);
        }
        if self.history.len() == ATTEMPTS {
            self.history.pop_front();
        }
        self.history.push_back(attempt);
    }

    /// The last attempt may have arrived.
    pub(super) fn is_uncertain(&self) -> bool {
        self.history
            .back()
            .is_some_and(|a| a.outcome == Outcome::Unknown)
    }
}

impl State {
    pub(super) fn count(&self, state: DeliveryState) -> u64 {
        self.counts.get(&state).copied().unwrap_or_default()
    }

    /// Deliveries that are not finished.
    pub(super) fn open(&self) -> usize {
        self.items.len() - self.finished.len() - self.dead.len()
    }

    pub(super) fn enqueue(&mut self, batch: EnqueueBatch, capacity: usize) -> Result<Enqueued> {
        let mut keys = HashSet::new();
        let wanted: usize = batch
            .reports
            .iter()
            .filter(|r| matches!(r.subject, Subject::Failure(_)) && r.silenced.is_none())
            .map(|r| (r.subject.key(), r.deliveries.len()))
            .filter(|(key, _)| !self.seen.contains_key(key) && keys.insert(key.clone()))
            .map(|(_, n)| n)
            .sum();
        // What is larger than the whole outbox would never fit: an empty one takes it.
        let open = self.open();
        if wanted > capacity.saturating_sub(open) && open > 0 {
            return Err(Error::new(
                ErrorKind::Full,
                format!("the outbox holds {open} deliveries and takes {capacity}"),
            ));
        }
        let mut out = Enqueued::default();
        for report in batch.reports {
            self.add_report(report, batch.now, &mut out);
        }
        for key in batch.seen {
            self.seen.insert(key, batch.now);
        }
        let lists = batch.listed.is_some();
        self.lists |= lists;
        for key in batch.listed.into_iter().flatten() {
            if let Some(at) = self.seen.get_mut(&key) {
                *at = batch.now;
            }
        }
        if let Some(cursor) = batch.cursor {
            self.cursors.insert(batch.source, cursor);
        }
        // A source that could not be read for days may list its keys still.
        if lists || !self.lists {
            self.prune(batch.now);
        }
        Ok(out)
    }

    pub(super) fn cursor(&self, source: &str) -> Option<serde_json::Value> {
        self.cursors.get(source).cloned()
    }

    pub(super) fn add_report(&mut self, report: NewReport, now: Timestamp, out: &mut Enqueued) {
        let key = report.subject.key();
        if self.seen.insert(key.clone(), now).is_some() {
            out.repeated += 1;
            return;
        }
        out.new += 1;
        if report.deliveries.is_empty() {
            return;
        }
        let tale = self.add_tale(report.subject, key);
        for mut delivery in report.deliveries {
            if self.ids.contains_key(&delivery.id) {
                continue;
            }
            out.deliveries += 1;
            if let Some(silence) = &report.silenced {
                out.silenced += 1;
                if !delivery.why.is_empty() {
                    delivery.why += "; ";
                }
                delivery.why += silence;
                self.add(delivery, tale, 0, now, DeliveryState::Silenced);
                continue;
            }
            match self.group_of(tale, &delivery, report.group.as_ref(), now) {
                Some(route) => {
                    out.held += 1;
                    let seq = self.add(delivery, tale, 0, now, DeliveryState::Held);
                    self.hold(seq, route);
                }
                None => {
                    self.add(delivery, tale, 0, now, DeliveryState::Pending);
                }
            }
        }
        self.forget_tale_if_unused(tale);
    }

    /// The group that holds this delivery; opens it if there is none.
    fn group_of(
        &mut self,
        tale: u64,
        delivery: &NewDelivery,
        grouping: Option<&Grouping>,
        now: Timestamp,
    ) -> Option<Route> {
        let grouping = grouping?;
        if !matches!(self.tales.get(&tale)?.subject, Subject::Failure(_)) {
            return None;
        }
        let route = Route::new(&grouping.fingerprint, delivery);
        self.enter(&route, grouping.interval, now).then_some(route)
    }

    pub(super) fn add_tale(&mut self, subject: Subject, key: FailureKey) -> u64 {
        let number = self.next_tale;
        self.next_tale += 1;
        // A word about the notifier itself has no logs.
        let logs = subject.failure().is_none().then(Logs::default);
        self.keys.insert(key.clone(), number);
        self.tales.insert(
            number,
            Tale {
                subject,
                key,
                logs,
                looking: false,
                items: BTreeSet::new(),
                waiting: 0,
            },
        );
        number
    }

    pub(super) fn add(
        &mut self,
        delivery: NewDelivery,
        tale: u64,
        generation: u32,
        now: Timestamp,
        state: DeliveryState,
    ) -> u64 {
        self.next_sequence += 1;
        let seq = self.next_sequence;
        self.ids.insert(delivery.id.clone(), seq);
        if let Some(t) = self.tales.get_mut(&tale) {
            t.items.insert(seq);
        }
        // Held and in no group until `shift` says what it is.
        *self.counts.entry(DeliveryState::Held).or_default() += 1;
        self.items.insert(
            seq,
            Item {
                delivery,
                tale,
                state: DeliveryState::Held,
                attempts: 0,
                unknown: 0,
                history: VecDeque::new(),
                progress: None,
                enqueued: now,
                due: now,
                finished: None,
                generation,
                held_by: None,
                digest: None,
                folds: Vec::new(),
            },
        );
        self.shift(seq, state, now);
        seq
    }

    /// Brings a delivery into another state, and everything that goes by it.
    pub(super) fn shift(&mut self, seq: u64, to: DeliveryState, now: Timestamp) {
        let Some(item) = self.items.get_mut(&seq) else {
            return;
        };
        let from = std::mem::replace(&mut item.state, to);
        if to.is_finished() {
            item.finished = Some(now);
        }
        let tale = item.tale;
        let held_by = item.held_by.take_if(|_| to != DeliveryState::Held);
        if let Some(n) = self.counts.get_mut(&from) {
            *n -= 1;
        }
        *self.counts.entry(to).or_default() += 1;
        if let Some(route) = held_by
            && let Some(group) = self.groups.get_mut(&route)
        {
            group.held.remove(&seq);
        }
        if let Some(t) = self.tales.get_mut(&tale) {
            t.waiting = t.waiting + usize::from(is_waiting(to)) - usize::from(is_waiting(from));
        }
        self.line_up(seq);
        self.look_for_logs(tale);
        match from {
            DeliveryState::Dead => self.dead.retain(|s| *s != seq),
            _ if from.is_finished() => self.finished.retain(|s| *s != seq),
            _ => {}
        }
        if to.is_finished() {
            self.remember(seq, to);
        }
    }

    /// Puts a delivery into its destination's line if it can be leased, and else out of it.
    pub(super) fn line_up(&mut self, seq: u64) {
        let Some(item) = self.items.get(&seq) else {
            return;
        };
        let ready = item.state == DeliveryState::Pending
            && self.tales.get(&item.tale).is_some_and(|t| t.logs.is_some());
        let destination = &item.delivery.destination;
        if let Some(place) = self.places.get_mut(destination)
            && let Some(due) = place.line.remove(&seq)
        {
            place.dues.remove(&(due, seq));
        }
        if ready {
            let place = self.places.entry(destination.clone()).or_default();
            place.line.insert(seq, item.due);
            place.dues.insert((item.due, seq));
        }
    }

    /// Changes when a delivery is to be tried.
    pub(super) fn put_off(&mut self, seq: u64, due: Timestamp) {
        if let Some(item) = self.items.get_mut(&seq) {
            item.due = due;
        }
        self.line_up(seq);
    }

    /// Notes whether a subject's logs are to be looked for.
    pub(super) fn look_for_logs(&mut self, number: u64) {
        let wanted = self
            .tales
            .get(&number)
            .is_some_and(|t| t.logs.is_none() && t.waiting > 0 && !t.looking);
        if wanted {
            self.unsettled.insert(number);
        } else {
            self.unsettled.remove(&number);
        }
    }

    fn remember(&mut self, seq: u64, state: DeliveryState) {
        let queue = if state == DeliveryState::Dead {
            &mut self.dead
        } else {
            &mut self.finished
        };
        queue.push_back(seq);
        if queue.len() > REMEMBERED
            && let Some(old) = queue.pop_front()
        {
            self.forget(old);
        }
    }

    fn forget(&mut self, seq: u64) {
        let Some(item) = self.items.remove(&seq) else {
            return;
        };
        if let Some(n) = self.counts.get_mut(&item.state) {
            *n -= 1;
        }
        self.ids.remove(&item.delivery.id);
        if let Some(t) = self.tales.get_mut(&item.tale) {
            t.items.remove(&seq);
        }
        self.forget_tale_if_unused(item.tale);
    }

    fn forget_tale_if_unused(&mut self, number: u64) {
        if self.tales.get(&number).is_some_and(|t| t.items.is_empty())
            && let Some(t) = self.tales.remove(&number)
        {
            self.keys.remove(&t.key);
            self.unsettled.remove(&number);
        }
    }

    /// Forgets keys that nobody lists any more and for which nothing is kept, and what is
    /// no different from nothing; now and then, since it looks at all of it.
    fn prune(&mut self, now: Timestamp) {
        let every = MemoryOutbox::SEEN_FOR / 24;
        if self.pruned.is_some_and(|at| until(at, now) < every) {
            return;
        }
        self.pruned = Some(now);
        let Self { seen, keys, .. } = self;
        seen.retain(|key, at| keys.contains_key(key) || until(*at, now) < MemoryOutbox::SEEN_FOR);
        self.silences.retain(|s| until(s.ends, now) < SILENCE_KEPT);
        self.places.retain(|_, p| {
            !p.line.is_empty()
                || p.rate_at.is_some_and(|at| at > now)
                || p.state != DestinationState::default()
        });
    }

    pub(super) fn replay(
        &mut self,
        watcher: &str,
        id: &DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryId> {
        let item = self.known(id)?;
        if !item.state.is_finished() {
            return Err(rejected(format!(
                "the delivery {id} is {}, and only what is finished is sent again",
                item.state
            )));
        }
        let (tale, mut delivery) = (item.tale, item.delivery.clone());
        let mut generation = item.generation;
        let Some(key) = self.tales.get(&tale).map(|t| t.key.clone()) else {
            return Err(rejected(format!("there is no delivery {id}")));
        };
        loop {
            generation = generation.saturating_add(1);
            let next = DeliveryId::derive(
                watcher,
                &key,
                &delivery.reporter,
                &delivery.instance,
                generation,
            );
            if !self.ids.contains_key(&next) {
                delivery.id = next;
                break;
            }
        }
        let new = delivery.id.clone();
        self.add(delivery, tale, generation, now, DeliveryState::Pending);
        Ok(new)
    }

    pub(super) fn discard(&mut self, id: &DeliveryId, now: Timestamp) -> Result<()> {
        let state = self.known(id)?.state;
        if !matches!(
            state,
            DeliveryState::Pending | DeliveryState::Held | DeliveryState::Dead
        ) {
            return Err(rejected(format!(
                "the delivery {id} is {state}: only what waits or is dead can be dropped"
            )));
        }
        if let Some(seq) = self.ids.get(id).copied() {
            self.finish(seq, DeliveryState::Dropped, now);
        }
        Ok(())
    }

    /// Ends a delivery, and what it tells with it.
    pub(super) fn finish(&mut self, seq: u64, state: DeliveryState, now: Timestamp) {
        let folds = self
            .items
            .get(&seq)
            .map(|i| i.folds.clone())
            .unwrap_or_default();
        for member in folds {
            self.shift(member, state, now);
        }
        self.shift(seq, state, now);
    }

    fn known(&self, id: &DeliveryId) -> Result<&Item> {
        self.ids
            .get(id)
            .and_then(|seq| self.items.get(seq))
            .ok_or_else(|| rejected(format!("there is no delivery {id}")))
    }

    pub(super) fn silences(&self) -> Vec<Silence> {
        let mut all = self.silences.clone();
        all.reverse();
        all.sort_by_key(|s| std::cmp::Reverse(s.starts));
        all
    }

    pub(super) fn put_silence(&mut self, silence: Silence) {
        self.silences.retain(|s| s.id != silence.id);
        self.silences.push(silence);
    }
}
