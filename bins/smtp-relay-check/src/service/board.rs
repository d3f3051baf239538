//! What was found last, for each target.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notifiers::{Clock, jiff::Timestamp};
use smtp_probe::{Prober, Report, State};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::MOST_AT_ONCE;
use crate::{
    past::Store,
    plan::{Job, Plan},
};

/// What was found last.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) report: Report,
    /// When the probe was over.
    pub(crate) ended: Timestamp,
}

/// How a target stands now.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) last: Option<Last>,
    /// How long ago the last probe was over.
    pub(crate) age: Option<Duration>,
    /// Whether that is too long ago, or there was none.
    pub(crate) is_stale: bool,
}

impl Standing {
    /// Whether mail can be taken, as far as is known.
    pub(crate) fn is_well(&self) -> bool {
        !self.is_stale
            && self
                .last
                .as_ref()
                .is_some_and(|l| l.report.overall <= State::Warn)
    }
}

/// Leave to probe: one at a time for each server, and so many at once in all.
#[derive(Debug)]
pub(crate) struct Leave {
    _turn: OwnedMutexGuard<()>,
    _place: OwnedSemaphorePermit,
}

/// What was found last, and what is under way.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) jobs: Vec<Job>,
    last: Mutex<Vec<(Option<Last>, u64)>>,
    store: Mutex<Store>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    turns: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

impl Board {
    pub(crate) fn new(plan: &Plan, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            jobs: plan.jobs.clone(),
            last: Mutex::new(vec![(None, 0); plan.jobs.len()]),
            store: Mutex::new(Store::open(plan.run.path("state"))),
            clock,
            places: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            turns: Mutex::default(),
        })
    }

    /// Waits until a server may be probed.
    pub(crate) async fn leave(&self, server: &str) -> Leave {
        let turn = {
            let mut turns = lock(&self.turns);
            // What nobody waits for is forgotten.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(server.to_owned()).or_default())
        };
        let turn = turn.lock_owned().await;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        Leave {
            _turn: turn,
            _place: place,
        }
    }

    /// A prober of a target that goes on where the last run of the program ended.
    pub(crate) fn prober(&self, index: usize) -> Option<Prober> {
        let job = self.jobs.get(index)?;
        let past = lock(&self.store).take(&job.target.name);
        Some(Prober::new(job.target.clone()).with_past(past))
    }

    /// Probes a target, and notes what was found.
    pub(crate) async fn probe(self: &Arc<Self>, index: usize, prober: &mut Prober) -> Report {
        let leave = self.leave(&server(prober.target())).await;
        let report = prober.run().await;
        drop(leave);
        let last = Last {
            report: report.clone(),
            ended: self.clock.now(),
        };
        if let Some(entry) = lock(&self.last).get_mut(index) {
            *entry = (Some(last), entry.1 + 1);
        }
        if lock(&self.store).is_kept() {
            self.keep(prober).await;
        }
        report
    }

    /// Writes down what is left for the next run of the program.
    async fn keep(self: &Arc<Self>, prober: &Prober) {
        let (name, past) = (prober.target().name.clone(), prober.past().clone());
        let board = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || {
            let mut store = lock(&board.store);
            store.put(&name, past);
            store.save();
        });
        // It does not fail; that it was cut off at the end does not matter.
        let _ = kept.await;
    }

    /// How a target stands now. A result is too old after two intervals and the longest time of a probe.
    pub(crate) fn standing(&self, index: usize) -> Standing {
        let last = lock(&self.last)
            .get(index)
            .and_then(|(last, _)| last.clone());
        let now = self.clock.now();
        let age = last
            .as_ref()
            .map(|l| Duration::try_from(now.duration_since(l.ended)).unwrap_or_default());
        let most = self.jobs.get(index).map(longest).unwrap_or_default();
        let is_stale = age.is_none_or(|age| age > most);
        Standing {
            last,
            age,
            is_stale,
        }
    }

    /// How often a target was probed.
    pub(crate) fn runs(&self, index: usize) -> u64 {
        lock(&self.last).get(index).map_or(0, |(_, runs)| *runs)
    }

    /// What was found last at each target that was probed.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let last = lock(&self.last);
        last.iter()
            .filter_map(|(last, _)| Some(last.as_ref()?.report.clone()))
            .collect()
    }
}

/// So many times `limits.total` a probe may take that is slow everywhere: dialogues, the queue.
const DIALOGUES: u32 = 4;
/// So many times more with the battery of an open relay.
const BATTERY: u32 = 7;

/// From the end of a probe to the end of the next, at most, and one interval more.
fn longest(job: &Job) -> Duration {
    let limits = &job.target.limits;
    let canary = match &job.target.canary {
        Some(_) => limits.canary,
        None => Duration::ZERO,
    };
    let dialogues = match &job.target.open_relay {
        Some(_) => DIALOGUES + BATTERY,
        None => DIALOGUES,
    };
    job.interval
        .saturating_mul(2)
        .saturating_add(limits.total.saturating_mul(dialogues))
        .saturating_add(canary)
}

/// What is probed one at a time.
pub(crate) fn server(target: &smtp_probe::Target) -> String {
    format!("{} {}", target.host, target.port)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use smtp_probe::{Battery, Target};

    use super::*;

    #[test]
    fn a_probe_that_is_slow_everywhere_is_not_too_late() {
        let second = Duration::from_secs(1);
        let mut job = Job {
            target: Target::new("relay.example", 25),
            interval: second,
            damping: smtp_probe::change::Damping::default(),
            labels: BTreeMap::new(),
        };
        job.target.limits.total = second * 10;
        assert_eq!(longest(&job), second * 42);
        job.target.open_relay = Some(Battery::default());
        assert_eq!(longest(&job), second * 112);
    }
}
