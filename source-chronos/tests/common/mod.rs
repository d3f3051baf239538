//! A watched fake Chronos, with a fake cluster beside it.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt as _;
use notifier_core::{FailureKey, FailureRecord, Source};
use notifier_testkit::{chronos::FakeChronos, conformance, mesos::FakeCluster};
use source_chronos::{ChronosBuilder, ChronosSource};
use source_mesos::{Api, MesosSource};
use tokio::task::JoinHandle;

/// Longer than any test takes: who waits for so long waits for something else.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// So short that nothing comes before it by chance.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// A source of the API alone that looks often.
pub(crate) fn alone(chronos: &FakeChronos) -> ChronosBuilder {
    ChronosSource::builder([chronos.url()])
        .interval(Duration::from_millis(30))
        .timeout(LONG)
        .settle(LONG)
}

/// A source of the API and a cluster.
pub(crate) fn both(chronos: &FakeChronos, cluster: &FakeCluster) -> ChronosBuilder {
    alone(chronos).inner(mesos(cluster))
}

pub(crate) fn mesos(cluster: &FakeCluster) -> Box<dyn Source> {
    let (source, _) = MesosSource::builder([cluster.masters_flag()])
        .interval(Duration::from_millis(30))
        .sweep(Duration::from_millis(300))
        .build()
        .unwrap();
    Box::new(source)
}

/// One that polls the cluster.
pub(crate) fn polling(cluster: &FakeCluster) -> Box<dyn Source> {
    let (source, _) = MesosSource::builder([cluster.masters_flag()])
        .api(Api::Poll)
        .interval(Duration::from_millis(20))
        .build()
        .unwrap();
    Box::new(source)
}

/// What outlives a restart: the keys that were stored, and the cursor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) keys: HashSet<FailureKey>,
    pub(crate) cursor: Option<serde_json::Value>,
}

#[derive(Debug, Default)]
struct Told {
    store: Store,
    failures: Vec<FailureRecord>,
    errors: Vec<String>,
    batches: usize,
    /// The last item was an error, or a batch with trouble.
    is_ill: bool,
    /// How often it became ill, or ill in another way, as health says it.
    outbreaks: usize,
    /// Items that were errors.
    items: usize,
    /// So many batches are refused.
    refused: usize,
}

/// Takes in everything that a source hands over, as the engine does.
pub(crate) struct Audience {
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Audience {
    pub(crate) fn of(builder: ChronosBuilder) -> Self {
        Self::resuming(builder, Store::default())
    }

    /// One that goes on where another one ended.
    pub(crate) fn resuming(builder: ChronosBuilder, store: Store) -> Self {
        Self::with(builder, store, 0)
    }

    /// One whose store refuses so many batches with failures in them.
    pub(crate) fn refusing(builder: ChronosBuilder, refused: usize) -> Self {
        Self::with(builder, Store::default(), refused)
    }

    fn with(builder: ChronosBuilder, store: Store, refused: usize) -> Self {
        let source = builder.build().unwrap();
        let mut events = Box::new(source).events(store.cursor.clone());
        let told = Arc::new(Mutex::new(Told {
            store,
            refused,
            ..Told::default()
        }));
        let ear = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Some(item) = events.next().await {
                let mut told = ear.lock().unwrap();
                let trouble = match &item {
                    Ok(batch) => batch.trouble.as_ref(),
                    Err(e) => Some(e),
                };
                let trouble = trouble.map(|e| e.report().to_string());
                let is_known = told.is_ill && told.errors.last() == trouble.as_ref();
                told.is_ill = trouble.is_some();
                told.outbreaks += usize::from(trouble.is_some() && !is_known);
                told.errors.extend(trouble);
                let Ok(batch) = item else {
                    told.items += 1;
                    continue;
                };
                if told.refused > 0 && !batch.failures.is_empty() {
                    told.refused -= 1;
                    continue;
                }
                told.batches += 1;
                told.store.keys.extend(batch.baseline);
                for failure in batch.failures {
                    conformance::failure(&failure).assert();
                    if told.store.keys.insert(failure.key.clone()) {
                        told.failures.push(failure);
                    }
                }
                if batch.cursor.is_some() {
                    told.store.cursor = batch.cursor;
                }
                batch.ack.done();
            }
        });
        Self { told, task }
    }

    /// Ends as by a kill: what is stored stays.
    pub(crate) fn stop(self) -> Store {
        self.task.abort();
        self.told.lock().unwrap().store.clone()
    }

    pub(crate) fn store(&self) -> Store {
        self.told.lock().unwrap().store.clone()
    }

    pub(crate) fn failures(&self) -> Vec<FailureRecord> {
        self.told.lock().unwrap().failures.clone()
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.told.lock().unwrap().errors.clone()
    }

    pub(crate) fn is_ill(&self) -> bool {
        self.told.lock().unwrap().is_ill
    }

    /// How often health said that it is ill, and how many items were errors.
    pub(crate) fn outbreaks(&self) -> (usize, usize) {
        let told = self.told.lock().unwrap();
        (told.outbreaks, told.items)
    }

    pub(crate) fn batches(&self) -> usize {
        self.told.lock().unwrap().batches
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + Duration::from_secs(120);
        while !is_so(self) {
            assert!(
                tokio::time::Instant::now() < end,
                "not {what}; told: {:?}; errors: {:?}",
                briefs(&self.failures()),
                self.errors()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether the cursor that is stored says so; false without one.
    pub(crate) fn cursor_says(&self, is_so: impl FnOnce(&serde_json::Value) -> bool) -> bool {
        let told = self.told.lock().unwrap();
        told.store.cursor.as_ref().is_some_and(is_so)
    }

    /// A list was read, and what it says is stored.
    pub(crate) async fn has_list(&self) {
        self.until("reading a list", |a| {
            a.cursor_says(|c| c.get("listed").is_some())
        })
        .await;
    }

    /// A list was read, and events of the cluster come.
    pub(crate) async fn is_ready(&self, cluster: &FakeCluster) {
        self.has_list().await;
        self.until("streaming", |a| {
            a.cursor_says(|c| c.get("inner").is_some()) && cluster.streams().open == 1
        })
        .await;
    }

    /// So many failures have been told in all.
    pub(crate) async fn count(&self, n: usize) -> Vec<FailureRecord> {
        self.until(&format!("{n} failures"), |a| a.failures().len() >= n)
            .await;
        let failures = self.failures();
        assert_eq!(failures.len(), n, "{:?}", briefs(&failures));
        failures
    }

    /// Several more lists are read and taken in.
    pub(crate) async fn looks_again(&self, chronos: &FakeChronos) {
        let goal = chronos.lists() + 5;
        self.until("looking again", |_| chronos.lists() >= goal)
            .await;
    }
}

/// Job, case and attempt of each.
pub(crate) fn briefs(failures: &[FailureRecord]) -> Vec<String> {
    failures.iter().map(brief).collect()
}

pub(crate) fn brief(f: &FailureRecord) -> String {
    let case = f.details.get("case").map_or("", String::as_str);
    match f.attempt {
        Some(n) => format!("{} {case} {n}", f.name),
        None => format!("{} {case}", f.name),
    }
}
