//! The engine: joins sources, routing, the outbox, log look-up and reporters.
//!
//! One direction: a source's batch is filtered, routed by its labels, and
//! [enqueued](crate::Outbox::enqueue) in one commit; only then is the source told.
//! A log worker settles each failure's logs once. Each destination has a worker
//! and a position of its own, so one that hangs delays no other.

mod builder;
mod health;
mod logs;
mod router;
mod stats;
mod worker;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

pub use self::{
    builder::{EngineBuilder, OnUnknown, Timing},
    router::{Decision, Route},
    stats::EngineStats,
};
use self::{health::Health, router::Router, stats::Counters};
use crate::{
    Batch, Clock, Destination, EnqueueBatch, Enqueued, Error, ErrorKind, Failure, FailureRecord,
    LogLocator, NewFailure, Outbox, Result, Source, Uploader, lock, redact::Redactor,
};

/// Takes failures in, and sees to it that everyone is told.
///
/// A handle: clones share one engine. Build it with [`Engine::builder`], then
/// either [`run`](Self::run) it with its sources until told to stop, or
/// [`submit`](Self::submit) failures to it from a scheduler of your own while `run` goes on in a task.
///
/// ```
/// use std::sync::Arc;
/// use notifier_core::{Engine, FailureRecord, jiff::Timestamp, memory::MemoryReporter};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> notifier_core::Result<()> {
/// let reporter = Arc::new(MemoryReporter::new());
/// let engine = Engine::builder("default").reporter(reporter.clone()).build()?;
///
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let running = tokio::spawn({
///     let engine = engine.clone();
///     async move { engine.run(async { stopped.await.ok(); }).await }
/// });
/// engine.submit(&FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)).await?;
/// stop.send(()).ok();
/// let summary = running.await.unwrap()?; // what is in flight is finished first
/// assert_eq!(summary.delivered, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all tasks of an engine share.
pub(crate) struct Shared {
    router: Router,
    uploader: Arc<dyn Uploader>,
    locators: BTreeMap<String, Arc<dyn LogLocator>>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    timing: Timing,
    redactor: Redactor,
    zone: jiff::tz::TimeZone,
    on_secrets: Option<builder::OnSecrets>,
    counters: Counters,
    health: Health,
    sources: Mutex<Vec<Box<dyn Source>>>,
    /// Destinations that have a worker.
    working: Mutex<HashSet<Destination>>,
    /// A worker has ended: look for work again.
    ended: Notify,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that are still open. They are lost if the outbox does not outlive the process.
    pub open: u64,
    /// Whether `open` is lost.
    pub lost: bool,
}

impl Engine {
    /// Begins a new engine. `name` is the watcher's name, `default` for most.
    pub fn builder(name: impl Into<String>) -> EngineBuilder {
        EngineBuilder::new(name.into())
    }

    /// Takes one failure in. When this returns, the outbox has it.
    ///
    /// Handing over the same failure (by its [key](Failure::key)) again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] if the outbox is at its limit, or the outbox' own error. The
    /// failure is not kept then: hand it over again.
    pub async fn submit(&self, failure: &(impl Failure + ?Sized)) -> Result<Enqueued> {
        let mut record = FailureRecord::from_failure(failure);
        if record.source.is_empty() {
            "embedded".clone_into(&mut record.source);
        }
        let source = record.source.clone();
        self.shared.enqueue(&source, Batch::new(vec![record])).await
    }

    /// Where a failure would go and why, without sending anything.
    pub fn explain(&self, failure: &FailureRecord) -> Decision {
        self.shared.router.decide(failure)
    }

    /// Reads the sources and sends what there is to send, until `shutdown` resolves.
    ///
    /// Then sources are not read further, and what can be sent now is sent within
    /// [`Timing::drain`]. What is to be retried later stays in the outbox.
    ///
    /// # Errors
    /// If the outbox cannot be used at start. Later errors are logged, counted, and tried again.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary> {
        let shared = &self.shared;
        let taken = shared.outbox.recover().await?;
        if taken > 0 {
            tracing::info!(leases = taken, "took back the leases of an earlier run");
        }
        let sources: Vec<_> = lock(&shared.sources).drain(..).collect();
        let mut reading = JoinSet::new();
        for source in sources {
            let cursor = shared.outbox.cursor(source.name()).await?;
            reading.spawn(read(Arc::clone(shared), source, cursor));
        }
        let (stop, stopping) = watch::channel(false);
        let mut working = JoinSet::new();
        working.spawn(logs::settle(Arc::clone(shared), stopping.clone()));
        working.spawn(worker::dispatch(Arc::clone(shared), stopping));

        shutdown.await;
        tracing::info!("stopping: no more failures are read");
        reading.abort_all();
        while reading.join_next().await.is_some() {}
        let drained = tokio::time::timeout(shared.timing.drain, self.wait_idle())
            .await
            .is_ok();
        let _ = stop.send(true);
        // Workers end by themselves now; those in the middle of an attempt were waited for.
        if drained {
            while working.join_next().await.is_some() {}
        }
        working.abort_all();
        let stats = shared.outbox.stats().await?;
        let counted = shared.counters.snapshot();
        let summary = Summary {
            delivered: counted.delivered,
            dead: counted.dead,
            open: stats.open(),
            lost: stats.open() > 0 && !shared.outbox.is_durable(),
        };
        if summary.lost {
            tracing::warn!(
                deliveries = summary.open,
                "stopped with messages not sent; they are lost, since the outbox is in memory"
            );
        } else if summary.open > 0 {
            tracing::info!(
                deliveries = summary.open,
                "stopped; what is not sent is kept"
            );
        }
        Ok(summary)
    }

    /// Sends what can be sent now, without reading sources, and returns when nothing is due.
    ///
    /// For programs that submit failures and end, and for tests.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until_idle(&self) -> Result<Summary> {
        let idle = self.clone();
        let sources = std::mem::take(&mut *lock(&self.shared.sources));
        let summary = self.run(async move { idle.wait_idle().await }).await;
        *lock(&self.shared.sources) = sources;
        summary
    }

    /// Resolves when nothing is due: no logs are looked for, nothing is being sent,
    /// and what is left is to be tried later.
    async fn wait_idle(&self) {
        let shared = &self.shared;
        let mut changes = shared.outbox.changes();
        loop {
            changes.mark_unchanged();
            let now = shared.clock.now();
            let busy = match (shared.outbox.stats().await, shared.outbox.pending().await) {
                (Ok(stats), Ok(pending)) => {
                    stats.unsettled > 0
                        || stats.leased > 0
                        || pending.iter().any(|(d, due)| {
                            *due <= now && !shared.health.is_paused(d, tokio::time::Instant::now())
                        })
                }
                _ => false,
            };
            if !busy {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(200), changes.changed()).await;
        }
    }

    /// Whether every source can be read; the reasons if not.
    ///
    /// # Errors
    /// One line for each source that cannot be read, joined by `; `.
    pub fn health(&self) -> std::result::Result<(), String> {
        self.shared.health.sources()
    }

    /// What was done since the start.
    pub fn stats(&self) -> EngineStats {
        self.shared.counters.snapshot()
    }

    /// The outbox, for looking into it.
    pub fn outbox(&self) -> &Arc<dyn Outbox> {
        &self.shared.outbox
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("router", &self.shared.router)
            .field("outbox", &self.shared.outbox)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Routes a batch and commits it, then tells the source.
    async fn enqueue(&self, source: &str, batch: Batch) -> Result<Enqueued> {
        let now = self.clock.now();
        let mut commit = EnqueueBatch::new(source, now);
        for record in batch.failures {
            if let Some(on_secrets) = &self.on_secrets {
                on_secrets.tell(&record);
            }
            let decision = self.router.decide(&record);
            let deliveries = self.router.deliveries(&record, &decision);
            commit.failures.push(NewFailure::new(record, deliveries));
        }
        commit.seen = batch.baseline;
        commit.listed = batch.listed;
        commit.cursor = batch.cursor;
        let log: Vec<_> = commit
            .failures
            .iter()
            .map(|f| (Arc::clone(&f.record), f.deliveries.len()))
            .collect();
        let done = self.outbox.enqueue(commit).await?;
        batch.ack.done();
        if done.new > 0 {
            for (f, deliveries) in log {
                if deliveries == 0 {
                    tracing::debug!(key = %f.key, task = %f.id, "failure seen, nobody is to be told");
                } else {
                    tracing::debug!(key = %f.key, task = %f.id, deliveries, "failure taken in");
                }
            }
        }
        self.counters.enqueued(&done);
        Ok(done)
    }
}

/// Reads one source until it ends.
async fn read(shared: Arc<Shared>, source: Box<dyn Source>, cursor: Option<serde_json::Value>) {
    let name = source.name().to_owned();
    let mut events = source.events(cursor);
    while let Some(item) = events.next().await {
        match item {
            Ok(batch) => {
                shared.health.readable(&name);
                // A batch that cannot be stored is not acknowledged: the source hands it
                // over again. Waiting here is what keeps it from being read further.
                if let Err(e) = shared.enqueue(&name, batch).await {
                    let full = e.kind() == ErrorKind::Full;
                    shared.counters.refused();
                    tracing::error!(source = %name, error = %e.report(), "cannot keep failures; they are read again later");
                    wait_for_room(&shared, full).await;
                }
            }
            Err(e) => {
                shared.counters.source_error();
                if shared.health.unreadable(&name, &e) {
                    tracing::warn!(source = %name, error = %e.report(), "cannot read the source");
                } else {
                    tracing::debug!(source = %name, error = %e.report(), "still cannot read the source");
                }
            }
        }
    }
    tracing::debug!(source = %name, "the source has ended");
}

async fn wait_for_room(shared: &Shared, full: bool) {
    let mut changes = shared.outbox.changes();
    let wait = if full {
        Duration::from_secs(1)
    } else {
        Duration::from_secs(5)
    };
    let _ = tokio::time::timeout(wait, changes.changed()).await;
}

/// An error of an attempt that took too long.
fn took_too_long(limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("no answer within {}", human(limit)),
    )
}

/// A duration for people: `10s`, `1m30s`, `250ms`.
fn human(d: Duration) -> String {
    if d.subsec_millis() != 0 && d < Duration::from_secs(10) {
        return format!("{}ms", d.as_millis());
    }
    let s = d.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, 0, 0) => format!("{h}h"),
        (h, m, 0) => format!("{h}h{m}m"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}
