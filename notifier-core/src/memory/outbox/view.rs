//! What can be looked at.

use std::ops::Bound;

use jiff::Timestamp;

use super::state::{Item, State};
use crate::{
    DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, Destination, DestinationState,
    FailureKey, OutboxStats, Story, Subject,
};

impl State {
    pub(super) fn pending(&self) -> Vec<(Destination, Timestamp)> {
        self.places
            .iter()
            .filter_map(|(destination, place)| {
                let (due, _) = place.dues.first()?;
                let at = place
                    .rate_next
                    .max(place.state.not_before)
                    .map_or(*due, |at| at.max(*due));
                Some((destination.clone(), at))
            })
            .collect()
    }

    pub(super) fn destinations(&self) -> Vec<(Destination, DestinationState)> {
        self.places
            .iter()
            .filter(|(_, place)| place.state != DestinationState::default())
            .map(|(destination, place)| (destination.clone(), place.state))
            .collect()
    }

    pub(super) fn inspect(&self, filter: &DeliveryFilter) -> Vec<DeliveryView> {
        let behind = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = match filter.limit {
            0 => usize::MAX,
            n => n,
        };
        let views = |(seq, item): (&u64, &Item)| {
            let key = &self.tales.get(&item.tale)?.key;
            fits(filter, item, key).then(|| self.view(*seq, item))?
        };
        if filter.newest_first {
            let range = self.items.range((Bound::Unbounded, behind)).rev();
            range.filter_map(views).take(limit).collect()
        } else {
            let range = self.items.range((behind, Bound::Unbounded));
            range.filter_map(views).take(limit).collect()
        }
    }

    fn view(&self, sequence: u64, item: &Item) -> Option<DeliveryView> {
        let tale = self.tales.get(&item.tale)?;
        Some(DeliveryView {
            delivery: item.delivery.clone(),
            key: tale.key.clone(),
            about: tale.subject.about(),
            state: item.state,
            attempts: item.attempts,
            unknown: item.unknown,
            last: item.history.back().cloned(),
            progress: item.progress.clone(),
            enqueued: item.enqueued,
            due: item.due,
            finished: item.finished,
            generation: item.generation,
            sequence,
            digest: item.digest.clone(),
        })
    }

    pub(super) fn story(&self, id: &DeliveryId) -> Option<Story> {
        let sequence = self.ids.get(id)?;
        let item = self.items.get(sequence)?;
        let tale = self.tales.get(&item.tale)?;
        Some(Story {
            view: self.view(*sequence, item)?,
            subject: tale.subject.clone(),
            logs: tale.logs.clone(),
            attempts: item.history.iter().cloned().collect(),
            folds: match &tale.subject {
                Subject::Digest(d) => d.count,
                _ => 0,
            },
        })
    }

    pub(super) fn stats(&self, capacity: u64) -> OutboxStats {
        let looked_for = self
            .tales
            .values()
            .filter(|t| t.looking && t.waiting > 0)
            .count();
        OutboxStats {
            pending: self.count(DeliveryState::Pending),
            leased: self.count(DeliveryState::Leased),
            held: self.count(DeliveryState::Held),
            folded: self.count(DeliveryState::Folded),
            done: self.count(DeliveryState::Done),
            dead: self.count(DeliveryState::Dead),
            silenced: self.count(DeliveryState::Silenced),
            dropped: self.count(DeliveryState::Dropped),
            unsettled: (self.unsettled.len() + looked_for) as u64,
            seen: self.seen.len() as u64,
            unknown: self.unknown,
            capacity,
        }
    }
}

fn fits(filter: &DeliveryFilter, item: &Item, key: &FailureKey) -> bool {
    let d = &item.delivery;
    filter.state.is_none_or(|s| s == item.state)
        && filter
            .destination
            .as_ref()
            .is_none_or(|x| *x == d.destination)
        && filter.reporter.as_ref().is_none_or(|x| *x == d.reporter)
        && filter.key.as_ref().is_none_or(|x| x == key)
        && filter
            .id_prefix
            .as_ref()
            .is_none_or(|x| d.id.as_str().starts_with(x.as_str()))
        && filter.since.is_none_or(|at| item.enqueued >= at)
        && filter.before.is_none_or(|at| item.enqueued < at)
}
