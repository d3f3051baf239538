//! Which units have failed where: what was seen last, and what follows from what is seen now.
//!
//! Every row that was read is true of its time, also in a list that is not whole; that a row is
//! absent says nothing but that it is not known.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use notifier_core::jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    fall::{Fall, Place, Sign},
    wire::{Row, Unit},
};

/// The most failed units that are remembered while nothing is heard of them.
const MOST_MISSING: usize = 10_000;

/// What is known of a unit on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    hash: String,
    has_failed: bool,
    /// Since when it is absent.
    missing: Option<Instant>,
}

/// What fleet says of a unit now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    There(Unit),
    /// There is no such unit.
    Gone,
    /// It could not be asked.
    Unknown,
}

/// Follows rows, and finds failures in them.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    known: HashMap<Place, Known>,
    /// Failures that are not stored yet, in the order in which they were seen.
    pub(crate) falls: Vec<Fall>,
    /// The last stamp that was given.
    pub(crate) stamp: i64,
    /// There is something new to be kept.
    pub(crate) is_changed: bool,
}

impl Tracker {
    /// Goes on where a cursor ended: these have failed, and that was told or is in `falls`.
    pub(crate) fn resume(failed: Vec<(Place, String)>, mut falls: Vec<Fall>, stamp: i64) -> Self {
        let now = Instant::now();
        for fall in &mut falls {
            fall.since = Some(now);
        }
        let known = failed.into_iter().map(|(place, hash)| {
            let known = Known {
                hash,
                has_failed: true,
                missing: None,
            };
            (place, known)
        });
        Self {
            known: known.collect(),
            falls,
            stamp,
            is_changed: false,
        }
    }

    /// A stamp for what is read now: the time, and later than every stamp before.
    pub(crate) fn next_stamp(&mut self, now: Timestamp) -> i64 {
        self.stamp = now.as_millisecond().max(self.stamp + 1);
        self.stamp
    }

    /// Takes in a row. In a baseline what is seen for the first time is not told.
    pub(crate) fn see(&mut self, row: &Row, stamp: i64, is_baseline: bool) {
        if !row.is_known() {
            return;
        }
        let place = Place {
            unit: row.unit.clone(),
            machine: row.machine.clone(),
        };
        let has_failed = row.has_failed();
        let Some(known) = self.known.get_mut(&place) else {
            let known = Known {
                hash: row.hash.clone(),
                has_failed,
                missing: None,
            };
            self.known.insert(place.clone(), known);
            if has_failed {
                self.is_changed = true;
                if !is_baseline {
                    self.falls.push(fall_of(place, row, Sign::Appeared, stamp));
                }
            }
            return;
        };
        known.missing = None;
        let is_same = known.hash == row.hash || known.hash.is_empty() || row.hash.is_empty();
        let before = if row.hash.is_empty() {
            known.hash.clone()
        } else {
            std::mem::replace(&mut known.hash, row.hash.clone())
        };
        let sign = match (known.has_failed, has_failed) {
            (_, false) => {
                self.is_changed |= std::mem::replace(&mut known.has_failed, false);
                self.drop_doubts(&place);
                return;
            }
            (true, true) if is_same => return,
            (true, true) => {
                self.drop_doubts(&place);
                Sign::Replaced(before)
            }
            (false, true) => {
                known.has_failed = true;
                Sign::Fell
            }
        };
        self.is_changed = true;
        self.falls.push(fall_of(place, row, sign, stamp));
    }

    fn drop_doubts(&mut self, place: &Place) {
        let before = self.falls.len();
        self.falls
            .retain(|f| !(f.is_doubtful() && f.flight.is_none() && f.place == *place));
        self.is_changed |= self.falls.len() < before;
    }

    /// Takes in which places a whole list has: the others are not known any more.
    pub(crate) fn listed(&mut self, places: &HashSet<Place>) {
        let now = Instant::now();
        // What has not failed and comes back failed has failed either way.
        self.known
            .retain(|place, known| known.has_failed || places.contains(place));
        for (place, known) in &mut self.known {
            if !places.contains(place) {
                known.missing.get_or_insert(now);
            }
        }
        let doubts = |f: &Fall| f.is_doubtful() && f.flight.is_none();
        for fall in self
            .falls
            .extract_if(.., |f| doubts(f) && !places.contains(&f.place))
        {
            self.is_changed = true;
            if let (Sign::Replaced(before), Some(known)) =
                (fall.sign, self.known.get_mut(&fall.place))
            {
                known.hash = before;
            }
        }
        self.forget_the_oldest();
    }

    fn forget_the_oldest(&mut self) {
        let mut missing: Vec<(Instant, Place)> = self
            .missing()
            .map(|(place, since)| (since, place.clone()))
            .collect();
        if missing.len() > MOST_MISSING {
            missing.sort();
            for (_, place) in missing.drain(..missing.len() - MOST_MISSING) {
                self.forget(&place);
            }
        }
    }

    fn missing(&self) -> impl Iterator<Item = (&Place, Instant)> {
        self.known
            .iter()
            .filter_map(|(place, known)| Some((place, known.missing?)))
    }

    /// The failed ones that are absent, those that are so longest first.
    pub(crate) fn absent(&self) -> Vec<Place> {
        let mut all: Vec<(Instant, &Place)> = self.missing().map(|(p, since)| (since, p)).collect();
        all.sort();
        all.into_iter().map(|(_, place)| place.clone()).collect()
    }

    fn forget(&mut self, place: &Place) {
        self.is_changed |= self.known.remove(place).is_some();
    }

    /// Takes in what fleet says of a unit that is absent: what is not there any more, and not
    /// to be there, fails anew when it fails again.
    pub(crate) fn explain(&mut self, place: &Place, said: &Said) {
        let is_over = match said {
            Said::Gone => true,
            Said::Unknown => false,
            Said::There(unit) => unit.desired == "inactive" || unit.is_elsewhere(&place.machine),
        };
        if is_over {
            self.forget(place);
        }
    }

    /// Says of the failures which are to be told now, by what fleet says of each unit and
    /// whether all is known of its machine. Those that turn out to be none are dropped.
    pub(crate) fn judge(
        &mut self,
        settle: Duration,
        said: impl Fn(&str) -> Said,
        is_machine_known: impl Fn(&str) -> bool,
    ) -> Vec<usize> {
        let before = self.falls.len();
        self.falls.retain(|fall| {
            let is_none = matches!(fall.sign, Sign::Replaced(_))
                && fall.flight.is_none()
                && fall.has_waited(settle)
                && matches!(said(&fall.place.unit), Said::There(unit) if unit.desired != "launched");
            !is_none
        });
        self.is_changed |= self.falls.len() < before;
        let mut due = Vec::new();
        for (at, fall) in self.falls.iter_mut().enumerate() {
            let said = said(&fall.place.unit);
            if fall.sign == Sign::Appeared
                && let Said::There(unit) = &said
            {
                fall.sign = match unit.is_elsewhere(&fall.place.machine) {
                    true => Sign::Stale,
                    false => Sign::Fell,
                };
                self.is_changed = true;
            }
            let is_clear = said != Said::Unknown && is_machine_known(&fall.place.machine);
            let is_due = match fall.sign {
                Sign::Fell | Sign::Appeared | Sign::Lost => is_clear || fall.has_waited(settle),
                Sign::Stale => fall.has_waited(settle),
                Sign::Replaced(_) => {
                    fall.has_waited(settle) && (is_clear || fall.has_waited(settle * 2))
                }
            };
            if is_due && fall.is_free() {
                due.push(at);
            }
        }
        due
    }

    /// The places that have failed, with their hashes; those that are there first.
    pub(crate) fn failed(&self) -> Vec<(Place, String)> {
        let mut all: Vec<_> = self.known.iter().filter(|(_, k)| k.has_failed).collect();
        all.sort_by_key(|(place, known)| (known.missing.is_some(), *place));
        all.into_iter()
            .map(|(place, known)| (place.clone(), known.hash.clone()))
            .collect()
    }
}

fn fall_of(place: Place, row: &Row, sign: Sign, stamp: i64) -> Fall {
    Fall {
        place,
        hash: row.hash.clone(),
        load: row.load.clone(),
        active: row.active.clone(),
        sub: row.sub.clone(),
        sign,
        stamp,
        since: Some(Instant::now()),
        flight: None,
        refused: 0,
        not_before: None,
    }
}

#[cfg(test)]
mod tests;
