//! What is held, and the digests that come of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::state::{Item, State};
use crate::{
    DeliveryId, DeliveryState, Destination, Digest, FailureRecord, FoldRequest, Folded,
    NewDelivery, Subject, clock::add,
};

/// What tells one group from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    fingerprint: String,
    reporter: String,
    instance: String,
    destination: Destination,
}

impl Route {
    pub(super) fn new(fingerprint: &str, delivery: &NewDelivery) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            reporter: delivery.reporter.clone(),
            instance: delivery.instance.clone(),
            destination: delivery.destination.clone(),
        }
    }
}

/// Failures that are alike, for one destination.
#[derive(Debug)]
pub(super) struct Group {
    ends: Timestamp,
    interval: Duration,
    pub(super) held: BTreeSet<u64>,
}

/// Counts what a digest tells.
#[derive(Default)]
struct Tally<'a> {
    first: Option<Timestamp>,
    last: Option<&'a FailureRecord>,
    hosts: BTreeMap<&'a str, u64>,
}

impl<'a> Tally<'a> {
    fn count(&mut self, failure: &'a FailureRecord) {
        let at = failure.finished;
        self.first = Some(self.first.map_or(at, |f| f.min(at)));
        if self.last.is_none_or(|l| l.finished <= at) {
            self.last = Some(failure);
        }
        *self.hosts.entry(&failure.host).or_default() += 1;
    }

    fn digest(self, id: String, fingerprint: &str, count: u64) -> Option<Digest> {
        let example = self.last?.clone();
        let mut digest = Digest::new(id, fingerprint, count, example);
        digest.first = self.first?;
        digest.host_count = self.hosts.len() as u64;
        let mut hosts: Vec<(&str, u64)> = self.hosts.into_iter().collect();
        hosts.sort_by_key(|(_, n)| Reverse(*n));
        hosts.truncate(Digest::MOST_HOSTS);
        digest.hosts = hosts.iter().map(|(h, n)| ((*h).to_owned(), *n)).collect();
        Some(digest)
    }
}

impl State {
    /// Whether something that comes now is held; if not, it opens the group.
    pub(super) fn enter(&mut self, route: &Route, interval: Duration, now: Timestamp) -> bool {
        if let Some(group) = self.groups.get_mut(route)
            && (group.ends > now || !group.held.is_empty())
        {
            group.interval = interval;
            return true;
        }
        self.groups.insert(
            route.clone(),
            Group {
                ends: add(now, interval),
                interval,
                held: BTreeSet::new(),
            },
        );
        false
    }

    /// Notes that a group holds a delivery.
    pub(super) fn hold(&mut self, seq: u64, route: Route) {
        if let Some(group) = self.groups.get_mut(&route) {
            group.held.insert(seq);
        }
        if let Some(item) = self.items.get_mut(&seq) {
            item.held_by = Some(route);
        }
    }

    pub(super) fn fold(&mut self, request: &FoldRequest) -> Folded {
        let now = request.now;
        let ended: Vec<Route> = self
            .groups
            .iter()
            .filter(|(_, g)| g.ends <= now)
            .map(|(route, _)| route.clone())
            .collect();
        let mut out = Folded::default();
        for route in ended {
            let Some(group) = self.groups.get_mut(&route) else {
                continue;
            };
            let held = std::mem::take(&mut group.held);
            if held.is_empty() {
                self.groups.remove(&route);
                continue;
            }
            group.ends = add(now, group.interval);
            out.digests += 1;
            out.deliveries += held.len() as u64;
            self.tell_together(&request.watcher, route, held, now);
        }
        out.next = self.groups.values().map(|g| g.ends).min();
        out
    }

    fn tell_together(&mut self, watcher: &str, route: Route, held: BTreeSet<u64>, now: Timestamp) {
        let count = held.len() as u64;
        let mut tally = Tally::default();
        for failure in held.iter().filter_map(|seq| self.failure_of(*seq)) {
            tally.count(failure);
        }
        let id = held.first().and_then(|seq| self.items.get(seq));
        let id = id.map(|i| i.delivery.id.as_str().to_owned());
        let Some(digest) = id.and_then(|id| tally.digest(id, &route.fingerprint, count)) else {
            return;
        };
        let subject = Subject::Digest(Arc::new(digest));
        let key = subject.key();
        let id = DeliveryId::derive(watcher, &key, &route.reporter, &route.instance, 0);
        let delivery = NewDelivery::new(
            id.clone(),
            route.reporter,
            route.instance,
            route.destination,
        )
        .because(format!("digest of {count}"));
        for seq in &held {
            if let Some(item) = self.items.get_mut(seq) {
                item.digest = Some(id.clone());
            }
            self.shift(*seq, DeliveryState::Folded, now);
        }
        let told = held.last().and_then(|seq| self.items.get(seq));
        let due = told.map_or(now, |i| i.enqueued.min(now));
        let tale = self.add_tale(subject, key);
        let seq = self.add(delivery, tale, 0, now, DeliveryState::Pending);
        // At once, also where `now` is the end of all time, so that every group ends.
        self.put_off(seq, due);
        if let Some(item) = self.items.get_mut(&seq) {
            item.folds = held.into_iter().collect();
        }
    }

    fn failure_of(&self, seq: u64) -> Option<&FailureRecord> {
        let Item { tale, .. } = self.items.get(&seq)?;
        self.tales.get(tale)?.subject.failure()
    }
}
