//! The stream of failures.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
    vec,
};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use notifier_core::{
    Batch, Clock, Error, FailureKey, FailureRecord, Result, Settings, Source, jiff::Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::{
    task::spawn_blocking,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use crate::{
    Backlog, MesosBuilder, MesosLogLocator,
    identity::{Identity, Sightings},
    leader::{Found, Leader},
    recall::Recall,
    sandbox::Trace,
    state::Task,
};

/// The version of the cursor's form.
const CURSOR: u32 = 1;
/// How many failures a batch holds at most.
const BATCH: usize = 500;
/// More tasks are identified off the async threads.
const BLOCKING: usize = 1000;
/// A status this much older than the first start, in milliseconds, was there before it:
/// so much the clocks of agents may be behind.
const MARGIN_MS: i64 = 60_000;

/// The failures of a Mesos cluster, by polling the state of its leading master.
///
/// Each successful poll yields a [`Batch`], or several of at most 500 failures each; a poll
/// that no master answered yields an error. The next one comes after the same interval. See the [crate's documentation](crate).
pub struct MesosSource {
    name: String,
    interval: Duration,
    states: Vec<String>,
    backlog: Backlog,
    leader: Leader,
    clock: Arc<dyn Clock>,
}

impl MesosSource {
    /// A source and its locator for a cluster with these masters: `http://host:port`,
    /// `https://user:secret@host/mesos`, or `host:port`; each entry may be a list.
    pub fn builder<I>(masters: I) -> MesosBuilder
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        MesosBuilder::new(masters)
    }

    /// The source and the locator that the options say.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names the option.
    pub fn from_settings<I>(
        masters: I,
        settings: &Settings,
        backlog: Backlog,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, MesosLogLocator)>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        MesosBuilder::from_settings(masters, settings, clock)?
            .backlog(backlog)
            .build()
    }

    pub(crate) fn new(
        name: String,
        interval: Duration,
        states: Vec<String>,
        backlog: Backlog,
        leader: Leader,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name,
            interval,
            states,
            backlog,
            leader,
            clock,
        }
    }
}

impl fmt::Debug for MesosSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MesosSource")
            .field("name", &self.name)
            .field("interval", &self.interval)
            .field("states", &self.states)
            .field("backlog", &self.backlog)
            .field("leader", &self.leader)
            .finish_non_exhaustive()
    }
}

impl Source for MesosSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        let started = cursor.is_some() || self.backlog == Backlog::Report;
        let cursor = match cursor {
            Some(value) => read_cursor(value),
            None => Cursor::default(),
        };
        let begun = self.clock.now().as_millisecond();
        let watch = Watch {
            source: *self,
            ticks: None,
            sightings: cursor.sightings.clone(),
            cursor: Arc::new(cursor),
            recall: Recall::default(),
            baseline: None,
            begun,
            handed: Arc::new(Handed {
                started: AtomicBool::new(started),
                keys: Mutex::default(),
                cursor: Mutex::default(),
            }),
            pending: None,
            skipped: 0,
        };
        stream::unfold(watch, |mut watch| async move {
            let pending = match watch.pending.take() {
                Some(pending) => pending,
                None => {
                    watch.tick().await;
                    match watch.poll().await {
                        Ok(pending) => pending,
                        Err(e) => return Some((Err(e), watch)),
                    }
                }
            };
            let batch = watch.batch(pending);
            Some((Ok(batch), watch))
        })
        .boxed()
    }
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

fn read_cursor(value: serde_json::Value) -> Cursor {
    match serde_json::from_value::<Cursor>(value) {
        Ok(cursor) if cursor.version == CURSOR => cursor,
        Ok(cursor) => {
            tracing::warn!(
                version = cursor.version,
                "the stored cursor is of another version; failures seen without a status may be told again"
            );
            Cursor::default()
        }
        Err(_) => {
            tracing::warn!(
                "the stored cursor cannot be read; failures seen without a status may be told again"
            );
            Cursor::default()
        }
    }
}

/// What the other side has stored.
struct Handed {
    /// A batch was stored, now or before an earlier start.
    started: AtomicBool,
    /// Keys that are stored and still listed.
    keys: Mutex<HashSet<FailureKey>>,
    /// The cursor that was stored last, since this start.
    cursor: Mutex<Option<Arc<Cursor>>>,
}

impl Handed {
    fn keys(&self) -> MutexGuard<'_, HashSet<FailureKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cursor(&self) -> MutexGuard<'_, Option<Arc<Cursor>>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one poll found, and what is still to be handed over of it.
struct Pending {
    fresh: vec::IntoIter<(Task, Identity)>,
    baseline: Vec<FailureKey>,
    /// Until the first batch.
    listed: Option<Vec<FailureKey>>,
    scheme: String,
    version: String,
}

/// The deaths of one listing, each once.
struct Sorted {
    sightings: Sightings,
    listed: Vec<FailureKey>,
    /// Those that are not stored yet.
    fresh: Vec<(Task, Identity)>,
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
    let mut keys = handed.keys();
    for (task, identity) in deaths.into_iter().zip(identities) {
        if !seen.insert(identity.key.clone()) {
            continue;
        }
        listed.push(identity.key.clone());
        if !keys.contains(&identity.key) {
            fresh.push((task, identity));
        }
    }
    keys.retain(|k| seen.contains(k));
    drop(keys);
    Sorted {
        sightings,
        listed,
        fresh,
    }
}

/// A running source.
struct Watch {
    source: MesosSource,
    ticks: Option<Interval>,
    sightings: Sightings,
    /// The last one made.
    cursor: Arc<Cursor>,
    recall: Recall,
    /// What was there at the very first poll, until that is stored.
    baseline: Option<HashSet<FailureKey>>,
    /// When this began, in milliseconds.
    begun: i64,
    handed: Arc<Handed>,
    pending: Option<Pending>,
    skipped: usize,
}

impl Watch {
    /// The first time at once, then once in an interval, counted from the last tick.
    async fn tick(&mut self) {
        let every = self.source.interval;
        self.ticks
            .get_or_insert_with(|| {
                let mut ticks = interval(every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                ticks
            })
            .tick()
            .await;
    }

    async fn poll(&mut self) -> Result<Pending> {
        let Found { mut snapshot, base } = self.source.leader.read().await?;
        self.recall.learn(&mut snapshot, Instant::now());
        if snapshot.skipped != self.skipped {
            self.skipped = snapshot.skipped;
            tracing::warn!(
                tasks = self.skipped,
                "tasks that cannot be read, or have no id or state, were left out"
            );
        }
        let now = self.source.clock.now().as_millisecond();
        let sightings = std::mem::take(&mut self.sightings);
        let deaths = snapshot.tasks;
        let Sorted {
            sightings,
            listed,
            fresh,
        } = if deaths.len() < BLOCKING {
            sort(sightings, deaths, &self.handed, &self.source.name, now)
        } else {
            let (handed, name) = (Arc::clone(&self.handed), self.source.name.clone());
            let sorted = spawn_blocking(move || sort(sightings, deaths, &handed, &name, now)).await;
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
        self.sightings = sightings;
        if self.sightings != self.cursor.sightings {
            self.cursor = Arc::new(Cursor {
                version: CURSOR,
                sightings: self.sightings.clone(),
                first_start: self.cursor.first_start,
            });
        }
        if self.handed.started.load(Ordering::Acquire) {
            self.baseline = None;
        } else if self.baseline.is_none() {
            self.baseline = Some(listed.iter().cloned().collect());
            if snapshot.settling {
                self.cursor = Arc::new(Cursor {
                    version: CURSOR,
                    sightings: self.sightings.clone(),
                    first_start: Some(self.begun),
                });
            }
        }
        let (old, fresh): (Vec<_>, Vec<_>) = fresh
            .into_iter()
            .partition(|(_, identity)| self.was_before(identity));
        tracing::debug!(
            listed = listed.len(),
            new = fresh.len(),
            baseline = old.len(),
            "polled"
        );
        Ok(Pending {
            fresh: fresh.into_iter(),
            baseline: old.into_iter().map(|(_, identity)| identity.key).collect(),
            listed: Some(listed),
            scheme: base.scheme().to_owned(),
            version: snapshot.version,
        })
    }

    /// The failure was there before the first start: it was listed then, or would have been
    /// had its master, new at that time, heard of all agents already.
    fn was_before(&self, identity: &Identity) -> bool {
        let listed = self.baseline.as_ref();
        if listed.is_some_and(|b| b.contains(&identity.key)) {
            return true;
        }
        self.source.backlog == Backlog::Skip
            && matches!(
                (identity.status_ms, self.cursor.first_start),
                (Some(died), Some(start)) if died < start.saturating_sub(MARGIN_MS)
            )
    }

    /// The next batch of what a poll found.
    fn batch(&mut self, mut pending: Pending) -> Batch {
        let failures: Vec<FailureRecord> = pending
            .fresh
            .by_ref()
            .take(BATCH)
            .map(|(task, identity)| self.record(&task, identity, &pending.scheme, &pending.version))
            .collect();
        let baseline = std::mem::take(&mut pending.baseline);
        let mut keys: Vec<FailureKey> = failures.iter().map(|f| f.key.clone()).collect();
        keys.extend(baseline.iter().cloned());
        let is_last = pending.fresh.len() == 0;
        let mut batch = Batch::new(failures).with_baseline(baseline);
        if let Some(listed) = pending.listed.take() {
            batch = batch.with_listed(listed);
        }
        // With the last batch of a poll, if it says something new; but the very first is
        // not to be stored without one, or a restart would take itself for the first start.
        let mut cursor = None;
        let is_stored = match &*self.handed.cursor() {
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
        if !is_last {
            self.pending = Some(pending);
        }
        let handed = Arc::clone(&self.handed);
        batch.with_ack(move || {
            handed.keys().extend(keys);
            if cursor.is_some() {
                *handed.cursor() = cursor;
            }
            handed.started.store(true, Ordering::Release);
        })
    }

    fn record(
        &self,
        task: &Task,
        identity: Identity,
        scheme: &str,
        version: &str,
    ) -> FailureRecord {
        let agent = self.recall.agent(&task.agent);
        let mut f = FailureRecord::new(&task.id, &task.name, &task.state, identity.finished);
        f.host = agent.map(|a| a.hostname.clone()).unwrap_or_default();
        f.framework = task.framework_name.as_ref().to_owned();
        f.image.clone_from(&task.image);
        f.started = task
            .start_time()
            .and_then(|t| Timestamp::from_second(t.whole()).ok());
        if !task.executor.is_empty()
            && let Some(labels) = self.recall.labels(&task.framework, &task.executor)
        {
            f.labels.clone_from(labels);
        }
        f.labels
            .extend(task.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        f.source.clone_from(&self.source.name);
        f.key = identity.key;
        let trace = Trace::new(task, agent, scheme, version, identity.status_ms);
        f.locator = serde_json::to_value(trace).ok();
        f
    }
}
