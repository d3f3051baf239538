//! An outbox as plain as it can be, to compare with: lists, and nothing that is fast.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use notifier_core::{
    DeliveryId, DeliveryState, DestinationState, Digest, EnqueueBatch, Enqueued, FailureKey,
    Grouping, Logs, NewDelivery, NewReport, Outcome, Settlement, Subject, Verdict as Ending,
    jiff::Timestamp, policy::Rate,
};

use super::rig::{REPORTER, WATCHER, after, to};

/// A delivery.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) delivery: NewDelivery,
    pub(super) tale: usize,
    pub(super) state: DeliveryState,
    pub(super) attempts: u32,
    pub(super) unknown: u32,
    pub(super) last: Option<Outcome>,
    pub(super) progress: Option<serde_json::Value>,
    pub(super) enqueued: Timestamp,
    /// `None`: at once.
    pub(super) due: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) generation: u32,
    pub(super) digest: Option<DeliveryId>,
    /// What it tells if it is a digest.
    members: Vec<usize>,
    /// The group that holds it.
    group: Option<GroupKey>,
}

/// Something to tell.
#[derive(Debug)]
pub(super) struct Tale {
    pub(super) subject: Subject,
    pub(super) logs: Option<Logs>,
    pub(super) looking: bool,
}

#[derive(Debug, Default)]
pub(super) struct Place {
    rate_at: Option<Timestamp>,
    rate_next: Option<Timestamp>,
    pub(super) state: DestinationState,
}

/// A fingerprint and a destination's name.
type GroupKey = (String, String);

#[derive(Debug)]
struct Group {
    ends: Timestamp,
    interval: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) capacity: usize,
    /// In the order of enqueueing.
    pub(super) items: Vec<Item>,
    pub(super) tales: Vec<Tale>,
    pub(super) seen: BTreeSet<FailureKey>,
    pub(super) places: BTreeMap<String, Place>,
    groups: BTreeMap<GroupKey, Group>,
    pub(super) cursor: Option<serde_json::Value>,
    pub(super) unknown: u64,
}

impl Model {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    pub(super) fn count(&self, state: DeliveryState) -> u64 {
        self.items.iter().filter(|i| i.state == state).count() as u64
    }

    pub(super) fn open(&self) -> usize {
        let open = self.items.iter().filter(|i| !i.state.is_finished());
        open.count()
    }

    /// Something is to be sent for it.
    fn is_waiting(&self, tale: usize) -> bool {
        self.items.iter().any(|i| {
            i.tale == tale && matches!(i.state, DeliveryState::Pending | DeliveryState::Leased)
        })
    }

    pub(super) fn unsettled(&self) -> u64 {
        (0..self.tales.len())
            .filter(|t| self.tales[*t].logs.is_none() && self.is_waiting(*t))
            .count() as u64
    }

    /// `None`: it is full.
    pub(super) fn enqueue(&mut self, batch: EnqueueBatch) -> Option<Enqueued> {
        let mut keys = BTreeSet::new();
        let mut wanted = 0;
        for r in &batch.reports {
            let key = r.subject.key();
            if r.subject.kind() == "failure" && !self.seen.contains(&key) && keys.insert(key) {
                wanted += if r.silenced.is_some() {
                    0
                } else {
                    r.deliveries.len()
                };
            }
        }
        let open = self.open();
        if open > 0 && open + wanted > self.capacity && wanted > 0 {
            return None;
        }
        let mut done = Enqueued::default();
        for r in batch.reports {
            self.add(r, batch.now, &mut done);
        }
        self.seen.extend(batch.seen);
        if batch.cursor.is_some() {
            self.cursor = batch.cursor;
        }
        Some(done)
    }

    fn add(&mut self, report: NewReport, now: Timestamp, done: &mut Enqueued) {
        if !self.seen.insert(report.subject.key()) {
            done.repeated += 1;
            return;
        }
        done.new += 1;
        let tale = self.tell(report.subject);
        for delivery in report.deliveries {
            done.deliveries += 1;
            let group = report.group.as_ref();
            let held = match (&report.silenced, group) {
                (None, Some(g)) if self.tales[tale].subject.kind() == "failure" => {
                    self.enter(g, &delivery, now)
                }
                _ => None,
            };
            let state = match (&report.silenced, &held) {
                (Some(_), _) => DeliveryState::Silenced,
                (None, Some(_)) => DeliveryState::Held,
                (None, None) => DeliveryState::Pending,
            };
            done.silenced += u64::from(state == DeliveryState::Silenced);
            done.held += u64::from(state == DeliveryState::Held);
            let item = self.push(delivery, tale, state, now);
            item.group = held;
            if state == DeliveryState::Silenced {
                item.finished = Some(now);
            }
        }
    }

    fn tell(&mut self, subject: Subject) -> usize {
        let logs = subject.failure().is_none().then(Logs::default);
        self.tales.push(Tale {
            subject,
            logs,
            looking: false,
        });
        self.tales.len() - 1
    }

    fn push(
        &mut self,
        delivery: NewDelivery,
        tale: usize,
        state: DeliveryState,
        now: Timestamp,
    ) -> &mut Item {
        let at = self.items.len();
        self.items.push(Item {
            delivery,
            tale,
            state,
            attempts: 0,
            unknown: 0,
            last: None,
            progress: None,
            enqueued: now,
            due: Some(now),
            finished: None,
            generation: 0,
            digest: None,
            members: Vec::new(),
            group: None,
        });
        &mut self.items[at]
    }

    fn holds(&self, key: &GroupKey) -> Vec<usize> {
        let held = |i: &usize| {
            let item = &self.items[*i];
            item.state == DeliveryState::Held && item.group.as_ref() == Some(key)
        };
        (0..self.items.len()).filter(held).collect()
    }

    /// The group that holds it; `None`: it opens one.
    fn enter(&mut self, g: &Grouping, delivery: &NewDelivery, now: Timestamp) -> Option<GroupKey> {
        let key = (g.fingerprint.clone(), delivery.instance.clone());
        let holds = !self.holds(&key).is_empty();
        match self.groups.get(&key) {
            Some(group) if group.ends > now || holds => Some(key),
            _ => {
                let interval = g.interval;
                let ends = after(now, interval.as_millis() as u64);
                self.groups.insert(key, Group { ends, interval });
                None
            }
        }
    }

    /// Makes digests; the ids of their deliveries, and when the next group ends.
    pub(super) fn fold(&mut self, now: Timestamp) -> (Vec<NewFold>, Option<Timestamp>) {
        let mut out = Vec::new();
        let ended: Vec<GroupKey> = self
            .groups
            .iter()
            .filter(|(_, g)| g.ends <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            let members = self.holds(&key);
            if members.is_empty() {
                self.groups.remove(&key);
                continue;
            }
            if let Some(g) = self.groups.get_mut(&key) {
                g.ends = after(now, g.interval.as_millis() as u64);
            }
            out.extend(self.fold_one(key, members));
        }
        (out, self.groups.values().map(|g| g.ends).min())
    }

    fn fold_one(&mut self, key: GroupKey, members: Vec<usize>) -> Option<NewFold> {
        let failures: Vec<_> = members
            .iter()
            .filter_map(|m| self.tales[self.items[*m].tale].subject.failure().cloned())
            .collect();
        let last = failures.iter().max_by_key(|f| f.finished)?.clone();
        let first = *members.first()?;
        let id = self.items[first].delivery.id.as_str();
        let mut digest = Digest::new(id, key.0, members.len() as u64, last);
        digest.first = failures.iter().map(|f| f.finished).min()?;
        let mut hosts: BTreeMap<String, u64> = BTreeMap::new();
        for f in &failures {
            *hosts.entry(f.host.clone()).or_default() += 1;
        }
        digest.host_count = hosts.len() as u64;
        digest.hosts = hosts.into_iter().collect();
        sort_hosts(&mut digest.hosts);
        let subject = Subject::Digest(Arc::new(digest));
        let id = DeliveryId::derive(WATCHER, &subject.key(), REPORTER, &key.1, 0);
        for m in &members {
            self.items[*m].state = DeliveryState::Folded;
            self.items[*m].digest = Some(id.clone());
        }
        let delivery = NewDelivery::new(id, REPORTER, key.1.clone(), to(&key.1));
        Some(NewFold {
            delivery,
            subject,
            members,
        })
    }

    /// Adds a digest, in the order in which the outbox has them.
    pub(super) fn add_fold(&mut self, fold: NewFold, now: Timestamp) {
        let tale = self.tell(fold.subject);
        let item = self.push(fold.delivery, tale, DeliveryState::Pending, now);
        item.due = None;
        item.members = fold.members;
    }

    /// Those whose logs one would get, in order.
    pub(super) fn lease_logs(&mut self, max: usize) -> Vec<usize> {
        let wanted: Vec<usize> = (0..self.tales.len())
            .filter(|t| {
                let tale = &self.tales[*t];
                tale.logs.is_none() && !tale.looking && self.is_waiting(*t)
            })
            .take(max)
            .collect();
        for t in &wanted {
            self.tales[*t].looking = true;
        }
        wanted
    }

    /// What waits at a destination with its logs settled, in order.
    fn line(&self, name: &str) -> Vec<usize> {
        let destination = to(name);
        let waits = |i: &usize| {
            let item = &self.items[*i];
            item.state == DeliveryState::Pending
                && item.delivery.destination == destination
                && self.tales[item.tale].logs.is_some()
        };
        (0..self.items.len()).filter(waits).collect()
    }

    /// Those that one would get, in order.
    pub(super) fn lease(
        &mut self,
        name: &str,
        max: usize,
        rate: Option<Rate>,
        now: Timestamp,
    ) -> Vec<usize> {
        let due = self.line(name).into_iter();
        let due = due.filter(|i| self.items[*i].due.is_none_or(|at| at <= now));
        let mut due: Vec<usize> = due.take(max).collect();
        let place = self.places.entry(name.to_owned()).or_default();
        if place.state.not_before.is_some_and(|at| at > now) {
            return Vec::new();
        }
        if let Some(rate) = rate {
            due.truncate(rate.take(&mut place.rate_at, now, due.len()));
            place.rate_next = Some(rate.next(place.rate_at, now));
        }
        for i in &due {
            self.items[*i].state = DeliveryState::Leased;
        }
        due
    }

    /// Until when what waits at a destination waits; not before `now`.
    pub(super) fn pending(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let line = self.line(name).into_iter();
        let first = line.map(|i| self.items[i].due.unwrap_or(now)).min()?;
        let place = self.places.get(name);
        let until = place.and_then(|p| p.rate_next.max(p.state.not_before));
        Some(first.max(now).max(until.unwrap_or(now)))
    }

    /// A lease that nobody ended.
    pub(super) fn lose(&mut self, i: usize) {
        let item = &mut self.items[i];
        item.state = DeliveryState::Pending;
        item.attempts += 1;
        item.unknown += 1;
        item.last = Some(Outcome::Unknown);
        item.due = None;
        self.unknown += 1;
    }

    pub(super) fn settle(&mut self, i: usize, settlement: Settlement) {
        let now = settlement.attempt.at;
        let outcome = settlement.attempt.outcome;
        let item = &mut self.items[i];
        item.attempts += 1;
        item.last = Some(outcome);
        if outcome == Outcome::Unknown {
            item.unknown += 1;
            self.unknown += 1;
        }
        if settlement.progress.is_some() {
            item.progress = settlement.progress;
        }
        if let Some(state) = settlement.destination {
            let name = item.delivery.instance.clone();
            self.places.entry(name).or_default().state = state;
        }
        match settlement.verdict {
            Ending::RetryAt(due) => {
                let item = &mut self.items[i];
                (item.state, item.due) = (DeliveryState::Pending, Some(due));
            }
            Ending::Done => self.finish(i, DeliveryState::Done, now),
            _ => self.finish(i, DeliveryState::Dead, now),
        }
        for n in settlement.notices {
            self.add(n, now, &mut Enqueued::default());
        }
    }

    pub(super) fn finish(&mut self, i: usize, state: DeliveryState, now: Timestamp) {
        for m in self.items[i].members.clone().into_iter().chain([i]) {
            self.items[m].state = state;
            self.items[m].finished = Some(now);
        }
    }

    /// What a replay makes: the new id.
    pub(super) fn replay(&mut self, i: usize, now: Timestamp) -> DeliveryId {
        let item = &self.items[i];
        let (mut delivery, tale) = (item.delivery.clone(), item.tale);
        let mut generation = item.generation;
        let key = self.tales[tale].subject.key();
        loop {
            generation += 1;
            let id = DeliveryId::derive(WATCHER, &key, REPORTER, &delivery.instance, generation);
            if self.items.iter().all(|i| i.delivery.id != id) {
                delivery.id = id.clone();
                self.push(delivery, tale, DeliveryState::Pending, now)
                    .generation = generation;
                return id;
            }
        }
    }

    pub(super) fn is_digest(&self, i: usize) -> bool {
        self.tales[self.items[i].tale].subject.kind() == "digest"
    }
}

/// A digest that is to be added.
#[derive(Debug)]
pub(super) struct NewFold {
    pub(super) delivery: NewDelivery,
    pub(super) subject: Subject,
    pub(super) members: Vec<usize>,
}

/// The most first; those of which there are as many by name.
fn sort_hosts(hosts: &mut [(String, u64)]) {
    hosts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
}

/// A subject with what is in no particular order brought into one.
pub(super) fn in_order(subject: &Subject) -> Result<Subject, String> {
    let Subject::Digest(digest) = subject else {
        return Ok(subject.clone());
    };
    if digest.hosts.windows(2).any(|w| w[0].1 < w[1].1) {
        return Err(format!("the most are not first in {:?}", digest.hosts));
    }
    let mut digest = (**digest).clone();
    sort_hosts(&mut digest.hosts);
    Ok(Subject::Digest(Arc::new(digest)))
}
