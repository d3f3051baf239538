//! A mixed load on an outbox, by many at once, that says what it does.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use notifier_core::{
    Attempt, DeliveryId, Destination, EnqueueBatch, Error, ErrorKind, FailureKey, FailureRecord,
    FoldRequest, Grouping, Lease, LeaseRequest, Logs, NewDelivery, NewReport, Notice, Outbox as _,
    Outcome, Settlement, Silence, Subject, Verdict, jiff::Timestamp, policy::Rate,
};
use outbox_sqlite::{SqliteOptions, SqliteOutbox};
use serde_json::json;

use crate::mark::{Act, Ended, How, Marks, Told};

/// The store's name in its folder.
pub(crate) const STORE: &str = "outbox.db";
/// The name of what is not in it yet.
pub(crate) const JOURNAL: &str = "outbox.db-wal";
/// The watcher's name.
pub(crate) const WATCHER: &str = "power";
/// How long finished deliveries are kept.
pub(crate) const KEEP_DONE: Duration = Duration::from_secs(8 * 60);
/// The time at which all begins.
const START: i64 = 1_700_000_000_000;
/// How far the clock goes with each call, in milliseconds.
const TICK: i64 = 800;
/// How many do something at once.
const TASKS: u64 = 24;
/// Where things are sent.
const DESTINATIONS: u64 = 6;
/// As many open deliveries are enough.
const ENOUGH: i64 = 60;

/// How the store is opened, by the load and by who looks at what is left of it.
pub(crate) fn options() -> SqliteOptions {
    let mut options = SqliteOptions::default();
    options.keep_done = KEEP_DONE;
    options
}

pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a time")
}

pub(crate) fn destination(i: u64) -> Destination {
    let name = format!("channel-{i}");
    Destination::new("chat", [name.as_str()], &name)
}

/// All destinations.
pub(crate) fn destinations() -> impl Iterator<Item = Destination> {
    (0..DESTINATIONS).map(destination)
}

pub(crate) fn progress(value: u64) -> serde_json::Value {
    json!({ "sent": value })
}

/// One program: opens the outbox, works with it, closes it, and does so once more. Each
/// but the last is killed in the middle of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// Which one, from 0.
    pub(crate) number: u64,
    pub(crate) seed: u64,
}

/// What the tasks of a program share.
#[derive(Debug)]
struct Load {
    program: u64,
    marks: Marks,
    now: AtomicI64,
    /// Numbers names of failures.
    names: AtomicU64,
    /// About how many deliveries are open.
    open: AtomicI64,
    /// Calls that may be made still.
    left: AtomicI64,
    /// Whether it ends by being killed.
    is_killed: bool,
    /// Ids that can be replayed or, if dead, discarded.
    finished: Mutex<Vec<(String, Ended)>>,
}

impl Program {
    /// How many there are.
    pub(crate) const ALL: u64 = 3;

    /// How many calls are made between one opening and the next.
    const CALLS: i64 = 450;

    /// Whether it is killed.
    pub(crate) fn is_killed(self) -> bool {
        self.number + 1 < Self::ALL
    }

    /// Runs it.
    pub(crate) fn run(self, folder: &Path) {
        let marks = Marks::open(folder);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let mut load = Load {
            program: self.number,
            marks,
            // An hour later than the one before: that one took less.
            now: AtomicI64::new(START + i64::try_from(self.number).expect("few") * 3_600_000),
            names: AtomicU64::new(0),
            open: AtomicI64::new(0),
            left: AtomicI64::new(Self::CALLS),
            is_killed: false,
            finished: Mutex::default(),
        };
        load = runtime.block_on(load.work(folder, self.seed));
        load.left = AtomicI64::new(Self::CALLS);
        load.is_killed = self.is_killed();
        runtime.block_on(load.work(folder, self.seed + 1));
    }
}

impl Load {
    /// Opens the store, works until no more calls may be made, and closes it.
    async fn work(self, folder: &Path, seed: u64) -> Self {
        let path = folder.join(STORE);
        let store = Arc::new(SqliteOutbox::open(&path, options()).expect("the store opens"));
        let load = Arc::new(self);
        let (call, now) = load.asked(Act::Claim);
        store.claim(WATCHER, now).await.expect("nobody else leases");
        load.marks.acknowledged(call, Vec::new());

        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..TASKS {
            let mut task = Task {
                load: Arc::clone(&load),
                store: Arc::clone(&store),
                rng: Rng::with_seed(seed.wrapping_mul(1000) + number),
                number,
            };
            tasks.spawn(async move {
                while task.load.is_killed || task.load.left.load(Ordering::Relaxed) > 0 {
                    task.step().await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no task panics");
        }
        drop(store);
        Arc::into_inner(load).expect("all tasks have ended")
    }

    /// Notes what is asked for, a moment later than all before.
    fn asked(&self, act: Act) -> (u64, Timestamp) {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 && self.is_killed {
            // As kill -9 does: no destructor runs, other calls are under way.
            std::process::abort();
        }
        let now = self.now.fetch_add(TICK, Ordering::Relaxed) + TICK;
        (self.marks.asked(now, act), time(now))
    }

    fn answered<T>(
        &self,
        call: u64,
        answer: Result<T, Error>,
        ids: impl FnOnce(&T) -> Vec<String>,
    ) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.marks.acknowledged(call, ids(&answer));
                Some(answer)
            }
            Err(e) if e.kind() == ErrorKind::Rejected => {
                self.marks.refused(call);
                None
            }
            Err(e) => panic!("{}", e.report()),
        }
    }
}

/// One of many that do something at once.
#[derive(Debug)]
struct Task {
    load: Arc<Load>,
    store: Arc<SqliteOutbox>,
    rng: Rng,
    number: u64,
}

fn none<T>(_: &T) -> Vec<String> {
    Vec::new()
}

impl Task {
    async fn step(&mut self) {
        match self.rng.u32(..100) {
            0..30 if self.load.open.load(Ordering::Relaxed) < ENOUGH => self.enqueue().await,
            0..60 => self.send().await,
            60..80 => self.settle_logs().await,
            80..88 => self.fold().await,
            88..91 => self.replay().await,
            91..93 => self.discard().await,
            93..96 => self.silence().await,
            // The first program leaves it to SQLite when the journal is written back.
            96..98 if self.load.program > 0 => self.vacuum().await,
            // Lets others go first.
            _ => tokio::time::sleep(Duration::from_micros(300)).await,
        }
    }

    fn some_record(&mut self) -> FailureRecord {
        let number = self.load.names.fetch_add(1, Ordering::Relaxed);
        let now = time(self.load.now.load(Ordering::Relaxed));
        let id = format!("task-{}-{number}", self.load.program);
        let mut record = FailureRecord::new(id, "task", "TASK_FAILED", now);
        record.host = format!("agent-{}", self.rng.u32(..40));
        record.framework = "marathon".to_owned();
        // Now and then one that takes several pages.
        let length = if self.rng.u32(..20) == 0 { 9000 } else { 400 };
        record.message = Some(
            (0..self.rng.usize(..length))
                .map(|_| self.rng.alphanumeric())
                .collect(),
        );
        record
    }

    fn some_deliveries(&mut self, key: &FailureKey) -> Vec<NewDelivery> {
        let count = [0, 1, 1, 1, 1, 1, 2, 2][self.rng.usize(..8)];
        let first = self.rng.u64(..DESTINATIONS);
        (first..first + count)
            .map(|i| {
                let instance = format!("channel-{}", i % DESTINATIONS);
                let id = DeliveryId::derive(WATCHER, key, "chat", &instance, 0);
                NewDelivery::new(id, "chat", instance, destination(i % DESTINATIONS))
                    .because("label")
            })
            .collect()
    }

    async fn enqueue(&mut self) {
        let mut told = Vec::new();
        let mut reports = Vec::new();
        for _ in 0..self.rng.u32(1..6) {
            let record = self.some_record();
            let key = record.key.clone();
            let deliveries = self.some_deliveries(&key);
            let ids = deliveries.iter().map(|d| d.id.to_string()).collect();
            let mut report = NewReport::failure(record, deliveries);
            let how = match self.rng.u32(..20) {
                0..6 => {
                    let fingerprint = format!("group-{}", self.rng.u32(..3));
                    report = report.with_group(Grouping::new(fingerprint, Duration::from_secs(60)));
                    How::Grouped
                }
                6 => {
                    report = report.with_silence("maintenance");
                    How::Silenced
                }
                _ => How::Plain,
            };
            told.push(Told {
                key: key.to_string(),
                ids,
                how,
            });
            reports.push(report);
        }
        let cursor =
            self.load.program * 1_000_000 + self.load.names.fetch_add(1, Ordering::Relaxed);
        let source = format!("source-{}", self.number);
        let (call, now) = self.load.asked(Act::Enqueue {
            source: source.clone(),
            cursor,
            reports: told,
        });
        let mut batch = EnqueueBatch::new(source, now);
        if self.rng.u32(..8) == 0 {
            batch.listed = Some(reports.iter().map(|r| r.subject.key()).collect());
        }
        batch.reports = reports;
        batch.cursor = Some(json!(cursor));
        let answer = self.store.enqueue(batch).await;
        if let Some(enqueued) = self.load.answered(call, answer, none) {
            let open = enqueued.deliveries - enqueued.silenced - enqueued.held;
            self.load
                .open
                .fetch_add(i64::try_from(open).expect("few"), Ordering::Relaxed);
        }
    }

    /// A request, and whether what it leases is left to run out.
    fn lease_request(&mut self, now: Timestamp) -> (LeaseRequest, bool) {
        let is_left = self.rng.u32(..20) == 0;
        // Longer than a program runs.
        let span = if is_left { 30_000 } else { 3_600_000 };
        let until = time(now.as_millisecond() + span);
        (
            LeaseRequest::new(self.rng.usize(1..10), now, until),
            is_left,
        )
    }

    async fn send(&mut self) {
        let to = self.rng.u64(..DESTINATIONS);
        let (call, now) = self.load.asked(Act::Lease);
        let (mut request, is_left) = self.lease_request(now);
        if to == 0 {
            request = request.with_rate(Some(Rate::new(2, Duration::from_secs(1))));
        }
        let answer = self.store.lease(&destination(to), request).await;
        let ids = |leases: &Vec<Lease>| leases.iter().map(|l| l.delivery.id.to_string()).collect();
        let leases = self.load.answered(call, answer, ids).unwrap_or_default();
        if is_left {
            return;
        }
        for lease in leases {
            self.attempt(&lease).await;
        }
    }

    async fn attempt(&mut self, lease: &Lease) {
        let id = lease.delivery.id.to_string();
        if self.rng.u32(..6) == 0 {
            let value = self.rng.u64(..1000);
            let (call, _) = self.load.asked(Act::Progress {
                id: id.clone(),
                value,
            });
            let answer = self.store.save_progress(lease, progress(value)).await;
            self.load.answered(call, answer, none);
        }
        match self.rng.u32(..100) {
            // It runs out long after; only who claims takes it back.
            0..4 => return,
            4..8 => {
                let (call, _) = self.load.asked(Act::Release { id });
                let answer = self.store.release(lease).await;
                self.load.answered(call, answer, none);
                return;
            }
            _ => {}
        }
        let now = self.load.now.load(Ordering::Relaxed);
        let (verdict, outcome) = match self.rng.u32(..100) {
            0..75 => (Ended::Done, Outcome::Delivered),
            75..83 => (Ended::Dead, Outcome::Dead),
            _ => (
                Ended::RetryAt(now + self.rng.i64(0..60_000)),
                Outcome::Retry,
            ),
        };
        let notice = (verdict == Ended::Dead && self.rng.u32(..4) == 0).then(|| {
            let about = format!("{}#{id}", lease.delivery.destination);
            let notice = Subject::Notice(Arc::new(Notice::new(about, "gone", time(now))));
            let id = DeliveryId::derive(WATCHER, &notice.key(), "chat", "channel-1", 0);
            NewReport::new(
                notice,
                vec![NewDelivery::new(id, "chat", "channel-1", destination(1))],
            )
        });
        let value = (self.rng.u32(..4) == 0).then(|| self.rng.u64(..1000));
        let (call, now) = self.load.asked(Act::Settle {
            id: id.clone(),
            verdict,
            progress: value,
            notice: notice.as_ref().map(|n| n.deliveries[0].id.to_string()),
        });
        let verdict_of = match verdict {
            Ended::Done => Verdict::Done,
            Ended::Dead => Verdict::Dead,
            Ended::RetryAt(at) => Verdict::RetryAt(time(at)),
        };
        let mut settlement = Settlement::new(verdict_of, Attempt::new(now, outcome))
            .with_progress(value.map(progress));
        settlement.notices.extend(notice);
        let answer = self.store.settle(lease, settlement).await;
        let settled = self.load.answered(call, answer, none).is_some();
        if settled && !matches!(verdict, Ended::RetryAt(_)) {
            self.load.open.fetch_sub(1, Ordering::Relaxed);
            let mut finished = self.load.finished.lock().expect("no panic");
            finished.push((id, verdict));
        }
    }

    async fn settle_logs(&mut self) {
        let now = time(self.load.now.load(Ordering::Relaxed));
        let (request, is_left) = self.lease_request(now);
        let leases = self
            .store
            .lease_logs(request)
            .await
            .expect("logs are leased");
        if is_left {
            return;
        }
        for lease in leases {
            let key = lease.record.key.to_string();
            let (call, _) = self.load.asked(Act::SettleLogs { key });
            let answer = self
                .store
                .settle_logs(&lease, Logs::missing("none here"))
                .await;
            self.load.answered(call, answer, none);
        }
    }

    async fn fold(&mut self) {
        let (call, now) = self.load.asked(Act::Fold);
        let answer = self.store.fold(FoldRequest::new(WATCHER, now)).await;
        if let Some(folded) = self.load.answered(call, answer, none) {
            let digests = i64::try_from(folded.digests).expect("few");
            self.load.open.fetch_add(digests, Ordering::Relaxed);
        }
    }

    fn some_finished(&mut self, what: Ended) -> Option<String> {
        let mut finished = self.load.finished.lock().expect("no panic");
        let fits = |(_, how): &(String, Ended)| *how == what;
        let at: Vec<usize> = (0..finished.len())
            .filter(|i| fits(&finished[*i]))
            .collect();
        let at = *at.get(self.rng.usize(..at.len().max(1)))?;
        Some(finished.swap_remove(at).0)
    }

    /// As a person does beside the watcher.
    fn beside(&self) -> SqliteOutbox {
        SqliteOutbox::open_existing(self.store.path(), options()).expect("the store opens")
    }

    async fn replay(&mut self) {
        let Some(id) = self.some_finished(Ended::Done) else {
            return;
        };
        let (call, now) = self.load.asked(Act::Replay { id: id.clone() });
        let answer = self
            .beside()
            .replay(WATCHER, &DeliveryId::new(id), now)
            .await;
        if self
            .load
            .answered(call, answer, |id| vec![id.to_string()])
            .is_some()
        {
            self.load.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn discard(&mut self) {
        let Some(id) = self.some_finished(Ended::Dead) else {
            return;
        };
        let (call, now) = self.load.asked(Act::Discard { id: id.clone() });
        let answer = self.beside().discard(&DeliveryId::new(id), now).await;
        self.load.answered(call, answer, none);
    }

    async fn silence(&mut self) {
        let id = format!(
            "silence-{}",
            self.load.names.fetch_add(1, Ordering::Relaxed)
        );
        let (call, now) = self.load.asked(Act::Silence { id: id.clone() });
        let matcher = "name=task".parse().expect("a condition");
        let ends = time(now.as_millisecond() + 86_400_000);
        let answer = self
            .store
            .put_silence(Silence::new(id, vec![matcher], now, ends))
            .await;
        self.load.answered(call, answer, none);
    }

    async fn vacuum(&mut self) {
        let (call, _) = self.load.asked(Act::Vacuum);
        let answer = self.store.vacuum().await;
        self.load.answered(call, answer, none);
    }
}
