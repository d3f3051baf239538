//! What is to be handed over, and is kept until it is stored.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notifier_core::{Ack, FailureRecord};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

/// How many failures a batch holds at most.
const BATCH: usize = 500;
/// What was not stored is handed over again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// Failures that are to be handed over together, not before a time.
#[derive(Debug)]
struct Group {
    failures: Vec<FailureRecord>,
    not_before: Option<Instant>,
}

/// A batch that was handed over.
#[derive(Debug)]
struct Flight {
    failures: Vec<FailureRecord>,
    /// The inner source's cursor that went along.
    inner: Option<Value>,
}

/// What became of batches, by number: true if it was stored.
#[derive(Debug, Default)]
struct Landed {
    flights: Mutex<Vec<(u64, bool)>>,
    changed: Notify,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells what becomes of a batch.
struct Ticket {
    number: u64,
    is_stored: bool,
    landed: Arc<Landed>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        locked(&self.landed.flights).push((self.number, self.is_stored));
        self.landed.changed.notify_one();
    }
}

impl Ticket {
    fn stored(&mut self) {
        self.is_stored = true;
    }
}

/// Failures on their way out.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    groups: VecDeque<Group>,
    flights: BTreeMap<u64, Flight>,
    landed: Arc<Landed>,
    next: u64,
}

/// What has happened to batches.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct News {
    /// One was not stored, and with it what it said of the cursor.
    pub(crate) has_returned: bool,
    /// The inner source's cursor that was stored.
    pub(crate) inner: Option<Value>,
}

impl Outgoing {
    /// Adds a failure.
    pub(crate) fn push(&mut self, failure: FailureRecord) {
        match self.groups.back_mut() {
            Some(group) if group.not_before.is_none() && group.failures.len() < BATCH => {
                group.failures.push(failure);
            }
            _ => self.groups.push_back(Group {
                failures: vec![failure],
                not_before: None,
            }),
        }
    }

    /// What can be handed over now.
    pub(crate) fn take(&mut self) -> Vec<FailureRecord> {
        let now = Instant::now();
        let is_due = |g: &Group| g.not_before.is_none_or(|at| now >= at);
        let due = self.groups.iter().position(is_due);
        due.and_then(|at| self.groups.remove(at))
            .map(|g| g.failures)
            .unwrap_or_default()
    }

    /// A batch leaves with these, and with what the inner source gave along. The answer is
    /// what is to be called when it is stored.
    pub(crate) fn depart(
        &mut self,
        failures: Vec<FailureRecord>,
        inner: Option<Value>,
        ack: Ack,
    ) -> impl FnOnce() + Send + 'static {
        let number = self.next;
        self.next += 1;
        self.flights.insert(number, Flight { failures, inner });
        let mut ticket = Ticket {
            number,
            is_stored: false,
            landed: Arc::clone(&self.landed),
        };
        move || {
            ack.done();
            ticket.stored();
        }
    }

    /// Takes in what became of batches.
    pub(crate) fn land(&mut self) -> News {
        let mut news = News::default();
        let landed = std::mem::take(&mut *locked(&self.landed.flights));
        for (number, is_stored) in landed {
            let Some(mut flight) = self.flights.remove(&number) else {
                continue;
            };
            if is_stored {
                news.inner = flight.inner.or(news.inner);
                continue;
            }
            news.has_returned = true;
            // In halves: if it is one failure that cannot be stored, the others are not held up.
            let second = flight.failures.split_off(flight.failures.len() / 2);
            for failures in [flight.failures, second] {
                if !failures.is_empty() {
                    self.groups.push_back(Group {
                        failures,
                        not_before: Some(Instant::now() + AGAIN),
                    });
                }
            }
        }
        news
    }

    /// Resolves when there is something to [take in](Self::land).
    pub(crate) fn landed(&self) -> impl Future<Output = ()> + use<> {
        let landed = Arc::clone(&self.landed);
        async move { landed.changed.notified().await }
    }

    /// When the next of it can be handed over, if any waits.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.groups.iter().filter_map(|g| g.not_before).min()
    }

    /// All that is not stored yet.
    pub(crate) fn all(&self) -> impl Iterator<Item = &FailureRecord> {
        let waiting = self.groups.iter().flat_map(|g| &g.failures);
        let flying = self.flights.values().flat_map(|f| &f.failures);
        flying.chain(waiting)
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn failure(id: &str) -> FailureRecord {
        FailureRecord::new(id, id, "S", Timestamp::UNIX_EPOCH)
    }

    fn ids<'a>(all: impl IntoIterator<Item = &'a FailureRecord>) -> Vec<&'a str> {
        all.into_iter().map(|f| f.id.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_stored_comes_back_in_halves() {
        let mut out = Outgoing::default();
        for id in ["a", "b", "c"] {
            out.push(failure(id));
        }
        let batch = out.take();
        assert!(out.take().is_empty());
        let ack = out.depart(batch, Some(json!(1)), Ack::default());
        assert_eq!(ids(out.all()), ["a", "b", "c"]);
        drop(ack);
        out.landed().await;
        let news = out.land();
        assert_eq!((news.has_returned, news.inner), (true, None));
        assert!(out.take().is_empty());
        tokio::time::sleep_until(out.next_time().unwrap()).await;
        assert_eq!(ids(&out.take()), ["a"]);
        let rest = out.take();
        assert_eq!(ids(&rest), ["b", "c"]);
        out.depart(rest, Some(json!(2)), Ack::default())();
        assert_eq!(out.land().inner, Some(json!(2)));
        assert_eq!(out.all().count(), 0);
    }
}
