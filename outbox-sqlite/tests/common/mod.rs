//! What the tests share.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses a part"
)]

use std::{path::PathBuf, time::Duration};

use notifier_core::{
    Attempt, DeliveryId, DeliveryState, Destination, EnqueueBatch, FailureRecord, Lease,
    LeaseRequest, Logs, NewDelivery, NewReport, Outbox, Outcome, Settlement, Subject, Verdict,
    jiff::Timestamp,
};
use outbox_sqlite::{SqliteOptions, SqliteOutbox};
use tempfile::TempDir;

/// A folder with an outbox in it.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.sqlite");
        Self { dir, path }
    }

    pub(crate) fn open(&self) -> SqliteOutbox {
        SqliteOutbox::open(&self.path, SqliteOptions::default()).unwrap()
    }

    /// SQL of somebody else's.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(&self.path).unwrap();
        conn.busy_timeout(Duration::from_secs(5)).unwrap();
        conn
    }
}

/// Seconds since some day.
pub(crate) fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

pub(crate) fn to(name: &str) -> Destination {
    Destination::from_stored(name)
}

pub(crate) fn record(n: u64) -> FailureRecord {
    let mut f = FailureRecord::new(
        format!("web.{n}"),
        "web",
        "TASK_FAILED",
        at(i64::try_from(n).unwrap()),
    );
    f.host = format!("agent-{}", n % 3);
    f.framework = "marathon".to_owned();
    f.with_label("team", "core")
}

pub(crate) fn report(n: u64, destination: &str) -> NewReport {
    let record = record(n);
    let id = DeliveryId::derive("w", &record.key, "slack", destination, 0);
    let delivery =
        NewDelivery::new(id, "slack", destination, to(destination)).because("asked for by default");
    NewReport::failure(record, vec![delivery])
}

/// As [`report`], with this label.
pub(crate) fn labelled(n: u64, destination: &str, key: &str, value: &str) -> NewReport {
    NewReport::failure(
        record(n).with_label(key, value),
        report(n, destination).deliveries,
    )
}

/// A label of a failure.
pub(crate) fn label<'a>(subject: &'a Subject, key: &str) -> Option<&'a str> {
    subject.failure()?.labels.get(key).map(String::as_str)
}

pub(crate) fn id_of(r: &NewReport) -> DeliveryId {
    r.deliveries[0].id.clone()
}

pub(crate) fn batch(now: i64, reports: impl IntoIterator<Item = NewReport>) -> EnqueueBatch {
    reports
        .into_iter()
        .fold(EnqueueBatch::new("mesos", at(now)), EnqueueBatch::with)
}

/// Settles the logs of everything that waits for that.
pub(crate) async fn settle_logs(o: &dyn Outbox, now: i64) -> usize {
    let leases = o
        .lease_logs(LeaseRequest::new(10_000, at(now), at(now + 60)))
        .await
        .unwrap();
    let settled = leases.iter().map(|lease| async move {
        let logs = Logs::missing("none asked for");
        o.settle_logs(lease, logs).await.unwrap();
    });
    futures_util::future::join_all(settled).await;
    leases.len()
}

pub(crate) async fn lease(o: &dyn Outbox, destination: &str, max: usize, now: i64) -> Vec<Lease> {
    o.lease(
        &to(destination),
        LeaseRequest::new(max, at(now), at(now + 60)),
    )
    .await
    .unwrap()
}

pub(crate) fn verdict(verdict: Verdict, now: i64) -> Settlement {
    let outcome = match verdict {
        Verdict::Done => Outcome::Delivered,
        Verdict::Dead => Outcome::Dead,
        _ => Outcome::Retry,
    };
    Settlement::new(verdict, Attempt::new(at(now), outcome))
}

/// The whole way of what is due to a destination.
pub(crate) async fn deliver(o: &dyn Outbox, destination: &str, now: i64) -> Vec<DeliveryId> {
    settle_logs(o, now).await;
    let leases = lease(o, destination, 10_000, now).await;
    let settled = leases.iter().map(|l| async move {
        o.settle(l, verdict(Verdict::Done, now)).await.unwrap();
        l.delivery.id.clone()
    });
    futures_util::future::join_all(settled).await
}

pub(crate) async fn state(o: &dyn Outbox, id: &DeliveryId) -> Option<DeliveryState> {
    o.story(id).await.unwrap().map(|s| s.view.state)
}

/// How many failures a digest stands for.
pub(crate) fn digest_count(s: &Subject) -> u64 {
    match s {
        Subject::Digest(d) => d.count,
        _ => 0,
    }
}
