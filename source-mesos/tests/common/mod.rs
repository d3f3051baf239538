//! A watched fake cluster.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::BoxStream};
use notifier_core::{
    Batch, Error, FailureKey, FailureRecord, LogLocator as _, LogPart, LogStream, Source as _,
    SystemClock,
};
use notifier_testkit::mesos::{Corruption, FakeCluster};
use source_mesos::{Api, Backlog, MesosBuilder, MesosLogLocator, MesosSource};
use tokio::task::JoinHandle;

/// Everything that can be wrong with an answer or a record.
pub(crate) const CORRUPTIONS: [Corruption; 10] = [
    Corruption::TruncatedBody,
    Corruption::Html,
    Corruption::Garbage,
    Corruption::BadLength,
    Corruption::HugeLength,
    Corruption::EmptyRecord,
    Corruption::InvalidUtf8,
    Corruption::UnknownEvent,
    Corruption::Status(500),
    Corruption::Status(503),
];

pub(crate) const TICK: Duration = Duration::from_millis(20);

/// A source of a fake cluster that is polled by hand, more or less: each [`next`](Self::next) is a poll.
pub(crate) struct Watch {
    pub(crate) stream: BoxStream<'static, Result<Batch, Error>>,
    pub(crate) locator: MesosLogLocator,
    pub(crate) cursor: Option<serde_json::Value>,
}

pub(crate) fn builder(masters: &str) -> MesosBuilder {
    MesosSource::builder([masters])
        .api(Api::Poll)
        .interval(TICK)
        .timeout(Duration::from_secs(2))
        .backlog(Backlog::Report)
        .clock(Arc::new(SystemClock))
}

impl Watch {
    pub(crate) fn new(builder: MesosBuilder, cursor: Option<serde_json::Value>) -> Self {
        let (source, locator) = builder.build().unwrap();
        Self {
            stream: Box::new(source).events(cursor.clone()),
            locator,
            cursor,
        }
    }

    pub(crate) fn of(cluster: &FakeCluster) -> Self {
        Self::new(builder(&cluster.masters_flag()), None)
    }

    pub(crate) async fn item(&mut self) -> Result<Batch, Error> {
        tokio::time::timeout(Duration::from_secs(20), self.stream.next())
            .await
            .expect("no poll")
            .expect("the stream ended")
    }

    /// The next batch, not acknowledged.
    pub(crate) async fn batch(&mut self) -> Batch {
        self.item().await.unwrap()
    }

    /// The failures of the next poll, acknowledged.
    pub(crate) async fn next(&mut self) -> Vec<FailureRecord> {
        let batch = self.batch().await;
        if batch.cursor.is_some() {
            self.cursor = batch.cursor;
        }
        batch.ack.done();
        batch.failures
    }

    /// So many failures, of one poll or of several. What is on its way twice before it is
    /// acknowledged counts once: the outbox knows it by its key.
    pub(crate) async fn all(&mut self, n: usize) -> Vec<FailureRecord> {
        let mut failures: Vec<FailureRecord> = Vec::new();
        while failures.len() < n {
            for f in self.next().await {
                if failures.iter().all(|known| known.key != f.key) {
                    failures.push(f);
                }
            }
        }
        assert_eq!(failures.len(), n, "{failures:?}");
        failures
    }

    /// The only failure of the next poll.
    pub(crate) async fn one(&mut self) -> FailureRecord {
        let mut failures = self.next().await;
        assert_eq!(failures.len(), 1, "{failures:?}");
        failures.remove(0)
    }

    pub(crate) async fn logs(&self, failure: &FailureRecord) -> Vec<LogStream> {
        self.locator.locate(failure).await.unwrap()
    }

    pub(crate) async fn read(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
    ) -> Result<Vec<u8>, Error> {
        read(&self.locator, failure, log).await
    }
}

async fn read(
    locator: &MesosLogLocator,
    failure: &FailureRecord,
    log: &LogStream,
) -> Result<Vec<u8>, Error> {
    let mut stream = locator.open(failure, log, LogPart::Whole).await?.bytes;
    let mut out = Vec::new();
    while let Some(piece) = stream.next().await {
        out.extend_from_slice(&piece?);
    }
    Ok(out)
}

/// Takes in everything that a source hands over, as the engine does.
pub(crate) struct Audience {
    told: Arc<Mutex<Told>>,
    pub(crate) locator: MesosLogLocator,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Told {
    failures: Vec<FailureRecord>,
    errors: Vec<String>,
    /// The outbox takes each key once.
    keys: HashSet<FailureKey>,
    cursor: Option<serde_json::Value>,
    batches: usize,
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Audience {
    pub(crate) fn of(builder: MesosBuilder) -> Self {
        Self::resuming(builder, None)
    }

    /// One that goes on where another one ended.
    pub(crate) fn resuming(builder: MesosBuilder, cursor: Option<serde_json::Value>) -> Self {
        Self::with(builder, cursor, HashSet::new())
    }

    /// Ends: its cursor and its outbox, which outlive a restart.
    pub(crate) fn stop(self) -> (Option<serde_json::Value>, HashSet<FailureKey>) {
        self.task.abort();
        let mut told = self.told.lock().unwrap();
        (told.cursor.take(), std::mem::take(&mut told.keys))
    }

    pub(crate) fn with(
        builder: MesosBuilder,
        cursor: Option<serde_json::Value>,
        keys: HashSet<FailureKey>,
    ) -> Self {
        let (source, locator) = builder.build().unwrap();
        let mut events = Box::new(source).events(cursor.clone());
        let told = Arc::new(Mutex::new(Told {
            keys,
            cursor,
            ..Told::default()
        }));
        let ear = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Some(item) = events.next().await {
                let mut told = ear.lock().unwrap();
                match item {
                    Ok(batch) => {
                        told.batches += 1;
                        told.keys.extend(batch.baseline);
                        for failure in batch.failures {
                            if told.keys.insert(failure.key.clone()) {
                                told.failures.push(failure);
                            }
                        }
                        if batch.cursor.is_some() {
                            told.cursor = batch.cursor;
                        }
                        batch.ack.done();
                    }
                    Err(e) => told.errors.push(e.report().to_string()),
                }
            }
        });
        Self {
            told,
            locator,
            task,
        }
    }

    pub(crate) fn failures(&self) -> Vec<FailureRecord> {
        self.told.lock().unwrap().failures.clone()
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.told.lock().unwrap().errors.clone()
    }

    pub(crate) fn cursor(&self) -> Option<serde_json::Value> {
        self.told.lock().unwrap().cursor.clone()
    }

    /// A batch came.
    pub(crate) fn has_begun(&self) -> bool {
        self.told.lock().unwrap().batches > 0
    }

    /// How many batches came.
    pub(crate) fn batches(&self) -> usize {
        self.told.lock().unwrap().batches
    }

    /// Waits for so many more batches: each look brings one at least.
    pub(crate) async fn more_batches(&self, more: usize) {
        let goal = self.batches() + more;
        self.until("looking again", |a| a.batches() >= goal).await;
    }

    pub(crate) async fn read(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
    ) -> Result<Vec<u8>, Error> {
        read(&self.locator, failure, log).await
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        while !is_so(self) {
            assert!(
                tokio::time::Instant::now() < end,
                "not {what}; errors: {:?}",
                self.errors()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The first batch is there, and events come.
    pub(crate) async fn is_streaming(&self, cluster: &FakeCluster) {
        self.until("streaming", |a| {
            a.told.lock().unwrap().batches > 0 && cluster.streams().open == 1
        })
        .await;
    }

    /// Waits until so many failures were told in all, and a little longer for one too many.
    pub(crate) async fn count(&self, n: usize) -> Vec<FailureRecord> {
        self.until(&format!("{n} failures"), |a| a.failures().len() >= n)
            .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let failures = self.failures();
        assert_eq!(failures.len(), n, "{failures:?}");
        failures
    }

    /// The failure of a task, told once.
    pub(crate) async fn one(&self, id: &str) -> FailureRecord {
        let of = |a: &Self| -> Vec<FailureRecord> {
            a.failures().into_iter().filter(|f| f.id == id).collect()
        };
        self.until(&format!("told of {id}"), |a| !of(a).is_empty())
            .await;
        let mut found = of(self);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}
