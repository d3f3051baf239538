//! What was handed over already, and what stays between one start and the next.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use notifier_core::{Batch, Clock, Error, FailureKey, FailureRecord, Result};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::spawn_blocking};

use crate::{
    Backlog,
    identity::{Identity, Sightings},
    state::{Seconds, Task},
};

/// The version of the cursor's form.
const CURSOR: u32 = 1;
/// More tasks are identified off the async threads.
const BLOCKING: usize = 1000;
/// A status this much older than the first start, in milliseconds, was there before it:
/// so much the clocks of agents may be behind.
const MARGIN_MS: i64 = 60_000;

/// A task that died, and which death that is.
pub(crate) type Death = (Task, Identity);

/// What one listing of all deaths says.
pub(crate) struct Listing {
    /// Those that are not stored yet and are to be.
    pub(crate) fresh: Vec<Death>,
    /// Those that count as seen.
    pub(crate) baseline: Vec<FailureKey>,
    pub(crate) listed: Vec<FailureKey>,
}

/// Which deaths are known.
pub(crate) struct Ledger {
    cluster: String,
    backlog: Backlog,
    clock: Arc<dyn Clock>,
    sightings: Sightings,
    /// The last one made.
    cursor: Arc<Cursor>,
    /// What was there at the very first listing, until that is stored.
    baseline: Option<HashSet<FailureKey>>,
    /// When this began, in milliseconds.
    begun: i64,
    handed: Arc<Handed>,
}

/// What is kept in the store from one start to the next. That there is one at all says
/// that the first start is over.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    version: u32,
    #[serde(default)]
    sightings: Sightings,
    /// In milliseconds; only where what was there before is skipped, and the master did
    /// not know all of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_start: Option<i64>,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            version: CURSOR,
            sightings: Sightings::default(),
            first_start: None,
        }
    }
}

impl Cursor {
    fn read(value: serde_json::Value) -> Self {
        match serde_json::from_value::<Self>(value) {
            Ok(cursor) if cursor.version == CURSOR => cursor,
            Ok(cursor) => {
                tracing::warn!(
                    version = cursor.version,
                    "the stored cursor is of another version; failures seen without a status may be told again"
                );
                Self::default()
            }
            Err(_) => {
                tracing::warn!(
                    "the stored cursor cannot be read; failures seen without a status may be told again"
                );
                Self::default()
            }
        }
    }
}

/// What the other side has stored.
#[derive(Default)]
struct Handed {
    /// A batch was stored, now or before an earlier start.
    started: AtomicBool,
    /// Keys that are stored and still listed.
    keys: Mutex<HashSet<FailureKey>>,
    /// The cursor that was stored last, since this start.
    cursor: Mutex<Option<Arc<Cursor>>>,
    /// Until the first batch is stored: what was there before the first start.
    founding: Mutex<HashSet<FailureKey>>,
    /// Keys of failures that were handed over and are not stored yet.
    on_the_way: Mutex<HashSet<FailureKey>>,
    /// Failures that were not stored when they were handed over, batch by batch.
    returned: Mutex<VecDeque<Vec<FailureRecord>>>,
    is_returned: Notify,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handed {
    /// It is stored, or on the way there.
    fn has(&self, key: &FailureKey) -> bool {
        locked(&self.keys).contains(key) || locked(&self.on_the_way).contains(key)
    }
}

/// Failures on their way. Those that are not stored come back.
struct OnTheWay {
    failures: Vec<FailureRecord>,
    handed: Arc<Handed>,
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        // In halves: if it is one failure that cannot be stored, the others are not held up.
        let second = self.failures.split_off(self.failures.len() / 2);
        let first = std::mem::take(&mut self.failures);
        let halves = [first, second].into_iter().filter(|half| !half.is_empty());
        let mut returned = locked(&self.handed.returned);
        returned.extend(halves);
        if !returned.is_empty() {
            self.handed.is_returned.notify_one();
        }
    }
}

impl Ledger {
    pub(crate) fn new(
        cluster: &str,
        backlog: Backlog,
        clock: Arc<dyn Clock>,
        cursor: Option<serde_json::Value>,
    ) -> Self {
        let handed = Handed {
            started: AtomicBool::new(cursor.is_some() || backlog == Backlog::Report),
            ..Handed::default()
        };
        if cursor.is_some() {
            tracing::info!(
                cluster,
                "going on after a pause: what died meanwhile is told, but for what the master \
                 has let go of its lists of ended tasks, 1000 of each framework unless it is set otherwise"
            );
        }
        let cursor = cursor.map_or_else(Cursor::default, Cursor::read);
        Self {
            cluster: cluster.to_owned(),
            backlog,
            begun: clock.now().as_millisecond(),
            clock,
            sightings: cursor.sightings.clone(),
            cursor: Arc::new(cursor),
            baseline: None,
            handed: Arc::new(handed),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Identifies all deaths that a master lists. `settling` says that it does not know
    /// all of them yet.
    pub(crate) async fn list(&mut self, deaths: Vec<Task>, settling: bool) -> Result<Listing> {
        let now = self.now();
        let sightings = std::mem::take(&mut self.sightings);
        let sorted = if deaths.len() < BLOCKING {
            sort(sightings, deaths, &self.handed, &self.cluster, now)
        } else {
            let (handed, cluster) = (Arc::clone(&self.handed), self.cluster.clone());
            let sorted =
                spawn_blocking(move || sort(sightings, deaths, &handed, &cluster, now)).await;
            match sorted {
                Ok(sorted) => sorted,
                Err(e) => {
                    self.sightings = self.cursor.sightings.clone();
                    return Err(Error::internal(format!(
                        "the tasks could not be identified: {e}"
                    )));
                }
            }
        };
        self.sightings = sorted.sightings;
        self.renew_cursor();
        if self.handed.started.load(Ordering::Acquire) {
            self.baseline = None;
        } else if self.baseline.is_none() {
            // What died since this began was not there before, however late it is listed.
            let was_there = |i: &&Identity| i.status_ms.is_none_or(|ms| ms < self.begun);
            let there = sorted.fresh.iter().map(|(_, i)| i).filter(was_there);
            self.baseline = Some(there.map(|i| i.key.clone()).collect());
            if settling {
                self.cursor = Arc::new(Cursor {
                    version: CURSOR,
                    sightings: self.sightings.clone(),
                    first_start: Some(self.begun),
                });
            }
        }
        let (old, fresh): (Vec<_>, Vec<_>) = sorted
            .fresh
            .into_iter()
            .partition(|(_, identity)| self.was_before(identity));
        let baseline: Vec<_> = old.into_iter().map(|(_, identity)| identity.key).collect();
        if !self.handed.started.load(Ordering::Acquire) {
            locked(&self.handed.founding).extend(baseline.iter().cloned());
        }
        Ok(Listing {
            fresh,
            baseline,
            listed: sorted.listed,
        })
    }

    /// Identifies a death that was told by an event; nothing if it is stored already, or
    /// was there before the first start, which it was not if the event told it as it happened.
    pub(crate) fn event(&mut self, task: &Task, died: Seconds, is_news: bool) -> Option<Identity> {
        let identity = self.sightings.bind(&self.cluster, task, died);
        self.renew_cursor();
        let is_known = self.handed.has(&identity.key);
        let was_before = if is_news {
            self.was_listed_before(&identity)
        } else {
            self.was_before(&identity)
        };
        (!is_known && !was_before).then_some(identity)
    }

    fn renew_cursor(&mut self) {
        if self.sightings != self.cursor.sightings {
            self.cursor = Arc::new(Cursor {
                version: CURSOR,
                sightings: self.sightings.clone(),
                first_start: self.cursor.first_start,
            });
        }
    }

    /// The failure was there before the first start: it was listed then, or would have been
    /// had its master, new at that time, heard of all agents already.
    fn was_before(&self, identity: &Identity) -> bool {
        self.was_listed_before(identity)
            || self.backlog == Backlog::Skip
                && matches!(
                    (identity.status_ms, self.cursor.first_start),
                    (Some(died), Some(start)) if died < start.saturating_sub(MARGIN_MS)
                )
    }

    fn was_listed_before(&self, identity: &Identity) -> bool {
        let listed = self.baseline.as_ref();
        listed.is_some_and(|b| b.contains(&identity.key))
    }

    /// Makes a batch. The cursor goes with the last batch of a listing, if it says something
    /// new; but the very first is not to be stored without one, or a restart would take
    /// itself for the first start. For the same reason what was there before it goes with
    /// every batch until one is stored. What is not stored [comes back](Self::returned).
    pub(crate) fn batch(
        &self,
        failures: Vec<FailureRecord>,
        mut baseline: Vec<FailureKey>,
        listed: Option<Vec<FailureKey>>,
        is_last: bool,
    ) -> Batch {
        if !self.handed.started.load(Ordering::Acquire) {
            baseline = locked(&self.handed.founding).iter().cloned().collect();
        }
        let on_the_way = failures.iter().map(|f| f.key.clone());
        locked(&self.handed.on_the_way).extend(on_the_way);
        let mut keys: Vec<FailureKey> = failures.iter().map(|f| f.key.clone()).collect();
        keys.extend(baseline.iter().cloned());
        let mut on_the_way = OnTheWay {
            failures: failures.clone(),
            handed: Arc::clone(&self.handed),
        };
        let mut batch = Batch::new(failures).with_baseline(baseline);
        if let Some(listed) = listed {
            batch = batch.with_listed(listed);
        }
        let mut cursor = None;
        let is_stored = match &*locked(&self.handed.cursor) {
            Some(stored) => !is_last || Arc::ptr_eq(stored, &self.cursor),
            None => false,
        };
        if !is_stored {
            // It holds texts and numbers only.
            if let Ok(value) = serde_json::to_value(&*self.cursor) {
                batch = batch.with_cursor(value);
                cursor = Some(Arc::clone(&self.cursor));
            }
        }
        batch.with_ack(move || {
            on_the_way.failures.clear();
            let handed = &on_the_way.handed;
            let mut on_the_way_still = locked(&handed.on_the_way);
            for key in &keys {
                on_the_way_still.remove(key);
            }
            drop(on_the_way_still);
            locked(&handed.keys).extend(keys);
            if cursor.is_some() {
                *locked(&handed.cursor) = cursor;
            }
            handed.started.store(true, Ordering::Release);
            *locked(&handed.founding) = HashSet::new();
        })
    }

    /// Failures that were handed over and not stored.
    pub(crate) fn returned(&self) -> Option<Vec<FailureRecord>> {
        locked(&self.handed.returned).pop_front()
    }

    pub(crate) fn has_returned(&self) -> bool {
        !locked(&self.handed.returned).is_empty()
    }

    /// Resolves when there are some of these.
    pub(crate) async fn is_returned(&self) {
        self.handed.is_returned.notified().await;
    }
}

/// The deaths of one listing, each once.
struct Sorted {
    sightings: Sightings,
    listed: Vec<FailureKey>,
    /// Those that are not stored yet.
    fresh: Vec<Death>,
}

fn sort(
    mut sightings: Sightings,
    deaths: Vec<Task>,
    handed: &Handed,
    cluster: &str,
    now: i64,
) -> Sorted {
    let identities = sightings.identify(cluster, now, &deaths);
    let mut seen = HashSet::with_capacity(deaths.len());
    let mut listed = Vec::with_capacity(deaths.len());
    let mut fresh = Vec::new();
    for (task, identity) in deaths.into_iter().zip(identities) {
        if !seen.insert(identity.key.clone()) {
            continue;
        }
        listed.push(identity.key.clone());
        if !handed.has(&identity.key) {
            fresh.push((task, identity));
        }
    }
    locked(&handed.keys).retain(|k| seen.contains(k));
    Sorted {
        sightings,
        listed,
        fresh,
    }
}
