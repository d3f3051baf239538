//! The engine: joins sources, routing, the outbox, log look-up and reporters.
//!
//! One direction: a source's batch is filtered, routed by its labels, and
//! [enqueued](crate::Outbox::enqueue) in one commit; only then is the source told.
//! A log worker settles each failure's logs once. Each destination has a worker
//! and a position of its own, so one that hangs delays no other. How a destination stands
//! (its rate, what it asked for, whether it is dead) is kept with what waits for it, and
//! outlives the process as the outbox does.

mod builder;
mod group;
mod health;
mod keeping;
mod logs;
mod notice;
mod router;
mod stats;
mod worker;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

pub use self::{
    builder::{EngineBuilder, OnUnknown, Timing},
    group::GroupBy,
    router::{Decision, Route},
    stats::EngineStats,
};
use self::{
    health::Health,
    router::{Lane, Router},
    stats::Counters,
};
use crate::{
    Ack, Batch, Clock, Destination, EnqueueBatch, Enqueued, Error, ErrorKind, Failure,
    FailureRecord, Grouping, LogLocator, NewReport, Outbox, Result, Silence, Source, Subject,
    Uploader, lock, redact::Redactor,
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
    group: Option<GroupBy>,
    counters: Counters,
    health: Health,
    sources: Mutex<Vec<Box<dyn Source>>>,
    /// Destinations that have a worker.
    working: Mutex<HashMap<Destination, Arc<Notify>>>,
    /// How destinations are sent to, as far as it is known.
    lanes: Mutex<HashMap<Destination, Lane>>,
    /// A worker has ended: look for work again.
    ended: Notify,
    /// Why the outbox cannot be used any more.
    broken: Mutex<Option<Error>>,
    broke: Notify,
    /// Somebody runs this engine.
    running: AtomicBool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Everything goes on.
    Run,
    /// Nothing more is leased; what is in flight is finished.
    Finish,
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
        let mut decision = self.shared.router.decide(failure);
        decision.fingerprint = self.shared.grouping(failure).map(|g| g.fingerprint);
        decision
    }

    /// Reads the sources and sends what there is to send, until `shutdown` resolves.
    ///
    /// Then sources are not read further. With an outbox that does not outlive the
    /// process, what can be sent now is sent for three quarters of [`Timing::drain`];
    /// with one that does, nothing new is begun. What is in flight is finished within
    /// the rest of the bound. Everything else stays in the outbox.
    ///
    /// Sources are read in the first run; a later run of the same engine has none.
    ///
    /// # Errors
    /// If the outbox cannot be used at start, if the engine is running already, or if
    /// a part of it ends by a fault of the program. Other errors are logged, counted,
    /// and tried again.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary> {
        let shared = &self.shared;
        if shared.running.swap(true, Ordering::SeqCst) {
            return Err(Error::internal("the engine is running already"));
        }
        let _running = Running(shared);
        lock(&shared.working).clear();
        *lock(&shared.broken) = None;
        let now = shared.clock.now();
        let taken = shared.outbox.claim(shared.router.name(), now).await?;
        if taken > 0 {
            tracing::info!(
                leases = taken,
                "took back what an earlier run had begun; it may have arrived"
            );
        }
        shared.health.restore(shared.outbox.destinations().await?);
        let names: Vec<String> = lock(&shared.sources)
            .iter()
            .map(|s| s.name().to_owned())
            .collect();
        let mut cursors = Vec::with_capacity(names.len());
        for name in &names {
            cursors.push(shared.outbox.cursor(name).await?);
        }
        let sources = std::mem::take(&mut *lock(&shared.sources));
        let mut reading = JoinSet::new();
        for (source, cursor) in sources.into_iter().zip(cursors) {
            reading.spawn(read(Arc::clone(shared), source, cursor));
        }
        let (phase, phases) = watch::channel(Phase::Run);
        let mut working = JoinSet::new();
        working.spawn(logs::settle(Arc::clone(shared), phases.clone()));
        working.spawn(keeping::keep(Arc::clone(shared), phases.clone()));
        working.spawn(worker::dispatch(Arc::clone(shared), phases));

        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = reading.join_next() => {
                    if ended.is_err() {
                        let e = Error::internal("a source panicked; it is not read any more");
                        shared.health.unreadable("engine", &e);
                        tracing::error!("{e}");
                    }
                }
                Some(_) = working.join_next() => {
                    return Err(Error::internal("a part of the engine ended by a fault"));
                }
                () = shared.broke.notified() => break,
            }
        }
        tracing::info!("stopping: no more failures are read");
        reading.abort_all();
        while reading.join_next().await.is_some() {}
        let broken = lock(&shared.broken).take();
        if let Some(e) = broken {
            working.shutdown().await;
            return Err(e);
        }
        let deadline = tokio::time::Instant::now() + shared.timing.drain;
        if !shared.outbox.is_durable() {
            // Nobody will tell later of what is held.
            keeping::fold(shared, jiff::Timestamp::MAX).await;
            let drain = shared.timing.drain.mul_f32(0.75);
            let _ = tokio::time::timeout(drain, self.wait_idle()).await;
        }
        // What is under way is waited for; what is not by then is cut, and counts as
        // unknown when its lease is taken back.
        let _ = phase.send(Phase::Finish);
        let all = async { while working.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(deadline, all).await;
        working.shutdown().await;

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
        let sources = SetAside::new(&self.shared);
        let idle = self.clone();
        let summary = self.run(async move { idle.wait_idle().await }).await;
        drop(sources);
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
            // In this order: what is leased in between shows in the second look.
            let pending = shared.outbox.pending().await;
            let stats = shared.outbox.stats().await;
            let busy = match (pending, stats) {
                (Ok(pending), Ok(stats)) => {
                    stats.unsettled > 0
                        || stats.leased > 0
                        || pending.iter().any(|(_, due)| *due <= now)
                        || changes.has_changed().unwrap_or(false)
                }
                // Who cannot be asked is not idle.
                _ => true,
            };
            if !busy {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(200), changed(&mut changes)).await;
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
        let (commit, ack) = self.route(source, batch).await;
        let done = self.commit(commit).await?;
        ack.done();
        Ok(done)
    }

    /// Says what is to be sent for a batch.
    async fn route(&self, source: &str, batch: Batch) -> (EnqueueBatch, Ack) {
        let now = self.clock.now();
        let mut commit = EnqueueBatch::new(source, now);
        let silences = if batch.failures.is_empty() {
            Vec::new()
        } else {
            self.silences(now).await
        };
        for record in batch.failures {
            if let Some(on_secrets) = &self.on_secrets {
                on_secrets.tell(&self.router.secrets(&record));
            }
            let decision = self.router.decide(&record);
            let deliveries = self.router.deliveries(&record, &decision);
            let record = Arc::new(record);
            let mut report = NewReport::failure(Arc::clone(&record), deliveries);
            if let Some(silence) = silences.iter().find(|s| s.covers(&record, now)) {
                tracing::info!(task = %record.id, key = %record.key, silence = silence.id, "silenced");
                report = report.with_silence(silence.reason());
            } else if let Some(group) = self.grouping(&record) {
                report = report.with_group(group);
            }
            commit.reports.push(report);
        }
        commit.seen = batch.baseline;
        commit.listed = batch.listed;
        commit.cursor = batch.cursor;
        (commit, batch.ack)
    }

    async fn commit(&self, commit: EnqueueBatch) -> Result<Enqueued> {
        let log: Vec<_> = commit
            .reports
            .iter()
            .filter_map(|r| match &r.subject {
                Subject::Failure(f) => Some((Arc::clone(f), r.deliveries.len())),
                _ => None,
            })
            .collect();
        let done = match self.outbox.enqueue(commit).await {
            Ok(done) => {
                self.health.readable(OUTBOX);
                done
            }
            Err(e) => {
                self.outbox_failed(&e);
                self.health.unreadable(OUTBOX, &e);
                return Err(e);
            }
        };
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

    /// The silences that hold now. One that cannot be read silences nothing.
    async fn silences(&self, now: jiff::Timestamp) -> Vec<Silence> {
        match self.outbox.silences().await {
            Ok(all) => all.into_iter().filter(|s| s.holds(now)).collect(),
            Err(e) => {
                self.outbox_failed(&e);
                tracing::error!(error = %e.report(), "cannot read the silences; none holds");
                Vec::new()
            }
        }
    }

    fn grouping(&self, failure: &FailureRecord) -> Option<Grouping> {
        let group = self.group.as_ref()?;
        let redactor = self.redactor.with(self.router.secrets(failure));
        Some(group.of(failure, &redactor))
    }

    /// Notes that a source, or a part of it, cannot be read; says so when that is new.
    fn unreadable(&self, source: &str, e: &Error) {
        if self.health.unreadable(source, e) {
            tracing::warn!(source, error = %e.report(), "cannot read the source");
        } else {
            tracing::debug!(source, error = %e.report(), "still cannot read the source");
        }
    }

    /// Notes an error of the outbox. One that no waiting helps ends the run: what is
    /// damaged is not used on.
    fn outbox_failed(&self, e: &Error) {
        let is_final = !e.is_retryable() && matches!(e.kind(), ErrorKind::Config | ErrorKind::Io);
        if is_final {
            lock(&self.broken).get_or_insert_with(|| e.copy());
            self.broke.notify_one();
        }
    }
}

/// What health calls the outbox.
const OUTBOX: &str = "outbox";

/// Reads one source until it ends.
async fn read(shared: Arc<Shared>, source: Box<dyn Source>, cursor: Option<serde_json::Value>) {
    let name = source.name().to_owned();
    let mut events = source.events(cursor);
    while let Some(item) = events.next().await {
        match item {
            Ok(mut batch) => {
                match batch.trouble.take() {
                    None => shared.health.readable(&name),
                    Some(e) => shared.unreadable(&name, &e),
                }
                let (commit, ack) = shared.route(&name, batch).await;
                if keep(&shared, &name, commit).await {
                    ack.done();
                }
            }
            Err(e) => {
                shared.counters.source_error();
                shared.unreadable(&name, &e);
            }
        }
    }
    tracing::info!(source = %name, "the source has ended");
}

/// How often a batch is tried that cannot be stored though there is room.
const TRIES: u32 = 12;

/// Stores a batch. While there is no room it waits for some, which is what keeps the
/// source from being read further. False if it cannot be stored: it is not acknowledged
/// then, and the source hands it over again.
async fn keep(shared: &Shared, source: &str, commit: EnqueueBatch) -> bool {
    let mut tries = 0;
    loop {
        let Err(e) = shared.commit(commit.clone()).await else {
            return true;
        };
        let is_full = e.kind() == ErrorKind::Full;
        tries += u32::from(!is_full);
        shared.counters.refused();
        tracing::error!(source, error = %e.report(), "cannot keep failures; the source waits");
        tokio::time::sleep(Duration::from_secs(if is_full { 1 } else { 5 })).await;
        if !e.is_retryable() || tries >= TRIES {
            return false;
        }
    }
}

/// Resolves at the next change; never, if nobody is left to tell of one.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending().await
    }
}

/// The mark that somebody runs the engine.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::SeqCst);
    }
}

/// The sources, taken out for as long as this lives.
struct SetAside<'a> {
    shared: &'a Shared,
    sources: Vec<Box<dyn Source>>,
}

impl<'a> SetAside<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            sources: std::mem::take(&mut *lock(&shared.sources)),
        }
    }
}

impl Drop for SetAside<'_> {
    fn drop(&mut self) {
        lock(&self.shared.sources).append(&mut self.sources);
    }
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
