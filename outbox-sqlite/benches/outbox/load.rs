//! An outbox that is asked by many at once.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use notifier_core::{
    Attempt, DeliveryId, Destination, EnqueueBatch, FailureRecord, LeaseRequest, Logs, NewDelivery,
    NewReport, Outbox as _, Outcome, Settlement, Subject, Verdict, jiff::Timestamp,
};
use outbox_sqlite::{SqliteOptions, SqliteOutbox};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::PRODUCERS;

/// Logs settled at a time.
const LOGS: usize = 1000;

pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).expect("a time")
}

pub(crate) fn destination() -> Destination {
    Destination::new("slack", ["#ops"], "#ops")
}

/// A failure as it is usual.
pub(crate) fn report(number: i64) -> NewReport {
    let id = format!("web.3f9c1b2e-33a1-11e6-9c2d-{number:012}");
    let mut record = FailureRecord::new(id, "web", "TASK_FAILED", time(number))
        .with_label("team", "shop")
        .with_label("complainer_slack_channel", "#ops");
    record.host = "agent-17.example.com".to_owned();
    record.framework = "marathon".to_owned();
    record.image = "registry.example.com/shop/web:1.17.3".to_owned();
    record.message = Some("Container exited with status 137".to_owned());
    record.reason = Some("REASON_COMMAND_EXECUTOR_FAILED".to_owned());
    let record = record.with_default_key();
    let id = DeliveryId::derive("bench", &record.key, "slack", "default", 0);
    let delivery = NewDelivery::new(id, "slack", "default", destination()).because("by default");
    NewReport::failure(record, vec![delivery])
}

/// What is kept of one, for SQLite alone.
pub(crate) fn body() -> String {
    let report = report(0);
    let Subject::Failure(record) = &report.subject else {
        unreachable!("a failure");
    };
    serde_json::to_string(&**record).expect("a failure is JSON")
}

/// How the outboxes here are opened: with room for two million.
pub(crate) fn options() -> SqliteOptions {
    SqliteOptions::default().with_capacity(2_000_000)
}

/// Runs what waits.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime")
}

/// An outbox, and a clock that goes on by a millisecond with each failure.
#[derive(Debug)]
pub(crate) struct Load {
    runtime: Runtime,
    outbox: Arc<SqliteOutbox>,
    clock: Arc<AtomicI64>,
}

impl Load {
    pub(crate) fn new(path: &Path) -> Self {
        let runtime = runtime();
        let outbox = SqliteOutbox::open(path, options()).expect("an outbox");
        runtime
            .block_on(outbox.claim("bench", time(0)))
            .expect("a claim");
        Self {
            runtime,
            outbox: Arc::new(outbox),
            clock: Arc::new(AtomicI64::new(0)),
        }
    }

    fn now(&self) -> Timestamp {
        time(self.clock.load(Ordering::Relaxed))
    }

    /// So many failures, each in a batch of its own, by 64 at once.
    pub(crate) fn enqueue(&self, count: u64) -> Duration {
        let left = Arc::new(AtomicU64::new(count));
        let begun = Instant::now();
        self.runtime.block_on(async {
            let mut producers = JoinSet::new();
            for _ in 0..PRODUCERS {
                let (left, outbox) = (Arc::clone(&left), Arc::clone(&self.outbox));
                let clock = Arc::clone(&self.clock);
                producers.spawn(async move {
                    let take = |n: u64| n.checked_sub(1);
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                        .is_ok()
                    {
                        let number = clock.fetch_add(1, Ordering::Relaxed);
                        let batch = EnqueueBatch::new("mesos", time(number)).with(report(number));
                        outbox.enqueue(batch).await.expect("an answer");
                    }
                });
            }
            producers.join_all().await;
        });
        begun.elapsed()
    }

    /// Adds so many whose logs are settled, untimed; leases them 64 at a time and settles each.
    pub(crate) fn send(&self, count: u64) -> Duration {
        self.runtime.block_on(async {
            let mut batch = EnqueueBatch::new("mesos", self.now());
            for _ in 0..count {
                batch
                    .reports
                    .push(report(self.clock.fetch_add(1, Ordering::Relaxed)));
            }
            self.outbox.enqueue(batch).await.expect("an answer");
            self.settle_logs().await;
            let begun = Instant::now();
            self.settle().await;
            begun.elapsed()
        })
    }

    async fn settle_logs(&self) {
        loop {
            let request = LeaseRequest::new(LOGS, self.now(), time(i64::from(u32::MAX)));
            let leases = self.outbox.lease_logs(request).await.expect("leases");
            if leases.is_empty() {
                return;
            }
            let mut settled = JoinSet::new();
            for lease in leases {
                let outbox = Arc::clone(&self.outbox);
                settled.spawn(async move {
                    let logs = Logs::missing("there are none");
                    outbox
                        .settle_logs(&lease, logs)
                        .await
                        .expect("logs are settled");
                });
            }
            settled.join_all().await;
        }
    }

    async fn settle(&self) {
        let most = usize::try_from(PRODUCERS).expect("64");
        loop {
            let now = self.now();
            let request = LeaseRequest::new(most, now, time(i64::from(u32::MAX)));
            let leases = self
                .outbox
                .lease(&destination(), request)
                .await
                .expect("leases");
            if leases.is_empty() {
                return;
            }
            let mut settled = JoinSet::new();
            for lease in leases {
                let outbox = Arc::clone(&self.outbox);
                settled.spawn(async move {
                    let attempt = Attempt::new(now, Outcome::Delivered);
                    let done = Settlement::new(Verdict::Done, attempt);
                    outbox.settle(&lease, done).await.expect("it is settled");
                });
            }
            settled.join_all().await;
        }
    }
}
