//! The stream of failures.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use notifier_core::{
    Batch, Clock, FailureKey, FailureRecord, Result, Settings, Source, jiff::Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

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

/// The failures of a Mesos cluster, by polling the state of its leading master.
///
/// Each successful poll yields a [`Batch`]; a poll that no master answered yields an
/// error, and the next one comes after the same interval. See the [crate's documentation](crate).
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
        let sightings = cursor.map(read_cursor).unwrap_or_default();
        let watch = Watch {
            source: *self,
            ticks: None,
            sightings,
            recall: Recall::default(),
            baseline: None,
            handed: Arc::new(Handed {
                started: AtomicBool::new(started),
                keys: Mutex::default(),
            }),
            skipped: 0,
        };
        stream::unfold(watch, |mut watch| async move {
            watch.tick().await;
            let item = watch.poll().await;
            Some((item, watch))
        })
        .boxed()
    }
}

/// What is kept in the store from one start to the next. That there is one at all says
/// that the first start is over.
#[derive(Serialize, Deserialize)]
struct Cursor {
    version: u32,
    #[serde(default)]
    sightings: Sightings,
}

fn read_cursor(value: serde_json::Value) -> Sightings {
    match serde_json::from_value::<Cursor>(value) {
        Ok(cursor) if cursor.version == CURSOR => cursor.sightings,
        Ok(cursor) => {
            tracing::warn!(
                version = cursor.version,
                "the stored cursor is of another version; failures seen without a status may be told again"
            );
            Sightings::default()
        }
        Err(_) => {
            tracing::warn!(
                "the stored cursor cannot be read; failures seen without a status may be told again"
            );
            Sightings::default()
        }
    }
}

/// What the other side has stored.
struct Handed {
    /// A batch was stored, now or before an earlier start.
    started: AtomicBool,
    /// Keys that are stored and still listed.
    keys: Mutex<HashSet<FailureKey>>,
}

impl Handed {
    fn keys(&self) -> MutexGuard<'_, HashSet<FailureKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running source.
struct Watch {
    source: MesosSource,
    ticks: Option<Interval>,
    sightings: Sightings,
    recall: Recall,
    /// What was there at the very first poll, until that is stored.
    baseline: Option<HashSet<FailureKey>>,
    handed: Arc<Handed>,
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

    async fn poll(&mut self) -> Result<Batch> {
        let Found { mut snapshot, base } = self.source.leader.read().await?;
        self.recall.learn(&mut snapshot, Instant::now());
        if snapshot.skipped != self.skipped {
            self.skipped = snapshot.skipped;
            tracing::warn!(
                tasks = self.skipped,
                "tasks without an id or a state were left out"
            );
        }
        let deaths: Vec<Task> = snapshot
            .tasks
            .into_iter()
            .filter(|t| self.source.states.contains(&t.state))
            .collect();
        let now = self.source.clock.now();
        let identities = self
            .sightings
            .identify(&self.source.name, now.as_millisecond(), &deaths);

        let mut seen = HashSet::new();
        let mut listed = Vec::new();
        let mut fresh = Vec::new();
        {
            let mut keys = self.handed.keys();
            for (task, identity) in deaths.iter().zip(identities) {
                if !seen.insert(identity.key.clone()) {
                    continue;
                }
                listed.push(identity.key.clone());
                if !keys.contains(&identity.key) {
                    fresh.push((task, identity));
                }
            }
            keys.retain(|k| seen.contains(k));
        }
        if self.handed.started.load(Ordering::Acquire) {
            self.baseline = None;
        } else {
            self.baseline.get_or_insert(seen);
        }
        let (mut baseline, mut failures, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (task, identity) in fresh {
            keys.push(identity.key.clone());
            if self
                .baseline
                .as_ref()
                .is_some_and(|b| b.contains(&identity.key))
            {
                baseline.push(identity.key);
            } else {
                failures.push(self.record(task, identity, base.scheme(), &snapshot.version));
            }
        }
        tracing::debug!(
            listed = listed.len(),
            new = failures.len(),
            baseline = baseline.len(),
            "polled"
        );
        let cursor = Cursor {
            version: CURSOR,
            sightings: self.sightings.clone(),
        };
        let mut batch = Batch::new(failures)
            .with_baseline(baseline)
            .with_listed(listed);
        // It holds texts and numbers only.
        if let Ok(cursor) = serde_json::to_value(cursor) {
            batch = batch.with_cursor(cursor);
        }
        let handed = Arc::clone(&self.handed);
        Ok(batch.with_ack(move || {
            handed.keys().extend(keys);
            handed.started.store(true, Ordering::Release);
        }))
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
