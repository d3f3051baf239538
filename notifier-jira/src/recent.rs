//! Issues that the search need not know yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use notifier_core::jiff::Timestamp;

use crate::cache::lock;

/// How long an issue is remembered after it was last seen.
pub(crate) const LIFE: Duration = Duration::from_secs(3600);

/// How many are remembered.
const MOST: usize = 10_000;

/// What is known of the issue of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its key.
    Issue(String),
    /// It was asked for, by this delivery, and may be there.
    Asked(String),
}

/// Issues by their marker.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    known: Mutex<HashMap<String, (Timestamp, Known)>>,
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

fn age(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

impl Recent {
    /// One at a time for each marker: what waits here is short, a few requests.
    pub(crate) async fn turn(&self, marker: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.turns);
            if turns.len() >= MOST {
                turns.retain(|_, t| t.strong_count() > 0);
            }
            let known = turns.get(marker).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::<tokio::sync::Mutex<()>>::default();
                turns.insert(marker.to_owned(), Arc::downgrade(&new));
                new
            })
        };
        turn.lock_owned().await
    }

    /// What is known, and since when.
    pub(crate) fn get(&self, marker: &str, now: Timestamp) -> Option<(Duration, Known)> {
        let (at, known) = lock(&self.known).get(marker)?.clone();
        Some((age(now, at), known)).filter(|(age, _)| *age < LIFE)
    }

    pub(crate) fn note(&self, marker: &str, now: Timestamp, what: Known) {
        let mut known = lock(&self.known);
        if known.len() >= MOST && !known.contains_key(marker) {
            known.retain(|_, (at, _)| age(now, *at) < LIFE);
        }
        if known.len() >= MOST {
            // The older half, so that this is seldom.
            let mut ages: Vec<Timestamp> = known.values().map(|(at, _)| *at).collect();
            ages.sort_unstable();
            let middle = ages[ages.len() / 2];
            known.retain(|_, (at, _)| *at > middle);
        }
        known.insert(marker.to_owned(), (now, what));
    }

    pub(crate) fn forget(&self, marker: &str) {
        lock(&self.known).remove(marker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    #[tokio::test]
    async fn remembers_for_a_while_and_within_bounds() {
        let r = Recent::default();
        r.note("a", at(0), Known::Issue("A-1".into()));
        assert_eq!(
            r.get("a", at(10)),
            Some((Duration::from_secs(10), Known::Issue("A-1".into())))
        );
        assert_eq!(r.get("a", at(3600)), None);
        for n in 0..3 * i64::try_from(MOST).unwrap() {
            r.note(&n.to_string(), at(n / 100), Known::Asked("d".into()));
        }
        assert!(lock(&r.known).len() <= MOST);
        let last = (3 * MOST - 1).to_string();
        assert!(r.get(&last, at(300)).is_some());
        let turn = r.turn("a").await;
        assert!(lock(&r.turns).get("a").unwrap().strong_count() > 0);
        drop(turn);
        assert_eq!(lock(&r.turns).get("a").unwrap().strong_count(), 0);
    }
}
