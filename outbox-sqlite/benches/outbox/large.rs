//! An outbox with a million rows.

use std::{
    fs,
    ops::Range,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use notifier_core::{
    Attempt, DeliveryFilter, DeliveryId, EnqueueBatch, FailureKey, LeaseRequest, Logs, NewReport,
    Outbox as _, Outcome, Result, Settlement, Subject, Verdict,
};
use outbox_sqlite::SqliteOutbox;
use rusqlite::Connection;

use crate::{
    Extent,
    load::{destination, options, report, runtime, time},
    say,
    table::Table,
};

/// What a child is to do; not set otherwise.
const ROLE: &str = "OUTBOX_BENCH_ROLE";
/// Failures in a batch while the file is filled, and later.
const BATCHES: [i64; 2] = [5000, 1000];
/// As many rows as there are.
const MOST: i64 = 1_000_000;
/// More than a backlog may take of memory.
const MEMORY: u64 = 64 << 20;

/// Fills an outbox, opens it, and looks at it.
pub(crate) fn measure(extent: Extent, folder: &Path, table: &mut Table) {
    let rows: i64 = extent.pick(MOST, MOST, 2000);
    let path = folder.join("large.db");
    say(&format!("\n{rows} rows are written"));
    fill(&path, rows);
    as_one(&path, false);
    let holding = role("hold", &path, rows - 1);
    let more = extent.pick(10_000, 10_000, 1000);
    let growing = role("grow", &path, more);
    as_one(&path, true);
    table.time(
        format!("open with {rows} finished rows"),
        open(&path, extent),
        Duration::from_secs(1),
    );
    table.time(
        format!("story at {rows} rows, the slowest"),
        story(&path, rows, extent),
        Duration::from_millis(100),
    );
    table.memory(format!("memory above start, {rows} open"), holding, MEMORY);
    table.memory(
        format!("memory above start, {more} enqueued behind them"),
        growing,
        MEMORY,
    );
    let size = fs::metadata(&path).map_or(0, |m| m.len());
    say(&format!("the file has {} MiB", size >> 20));
}

/// The longest that opening takes.
fn open(path: &Path, extent: Extent) -> Duration {
    (0..extent.pick(10, 5, 1))
        .map(|_| {
            let begun = Instant::now();
            let outbox = SqliteOutbox::open(path, options()).expect("an outbox");
            let took = begun.elapsed();
            drop(outbox);
            took
        })
        .max()
        .unwrap_or_default()
}

/// The longest that looking up one delivery takes.
fn story(path: &Path, rows: i64, extent: Extent) -> Duration {
    let outbox = SqliteOutbox::open(path, options()).expect("an outbox");
    let mut rng = fastrand::Rng::with_seed(1);
    let longest = runtime().block_on(async {
        let mut longest = Duration::ZERO;
        for _ in 0..extent.pick(1000, 300, 3) {
            let id = id(rng.i64(0..rows));
            let begun = Instant::now();
            let story = outbox.story(&id).await.expect("an answer");
            longest = longest.max(begun.elapsed());
            assert!(story.is_some_and(|s| s.attempts.len() == 1));
        }
        longest
    });
    drop(outbox);
    longest
}

/// A failure with ids in order, so that a million of them are written fast.
fn in_order(number: i64) -> NewReport {
    let mut report = report(number);
    if let Subject::Failure(record) = &mut report.subject {
        Arc::make_mut(record).key = FailureKey::new(id(number).as_str());
    }
    report.deliveries[0].id = id(number);
    report
}

/// In order, and over the whole range: those that come later lie between them.
fn id(number: i64) -> DeliveryId {
    let step = u128::MAX / u128::from(MOST.unsigned_abs());
    DeliveryId::new(format!("{:032x}", u128::from(number.unsigned_abs()) * step))
}

fn fill(path: &Path, rows: i64) {
    let outbox = SqliteOutbox::open(path, options()).expect("an outbox");
    let filled = runtime().block_on(enqueue(&outbox, 0..rows, BATCHES[0], in_order));
    filled.expect("the outbox answers");
}

async fn enqueue(
    outbox: &SqliteOutbox,
    numbers: Range<i64>,
    size: i64,
    report: impl Fn(i64) -> NewReport,
) -> Result<()> {
    let mut first = numbers.start;
    while first < numbers.end {
        let next = numbers.end.min(first + size);
        let mut batch = EnqueueBatch::new("mesos", time(first));
        batch.reports.extend((first..next).map(&report));
        outbox.enqueue(batch).await?;
        first = next;
    }
    Ok(())
}

/// Sends one, and then does the same to all others, at once: settles their logs, and either
/// that is all or they are finished too.
fn as_one(path: &Path, finish: bool) {
    let sent = runtime().block_on(async {
        let outbox = SqliteOutbox::open(path, options())?;
        outbox.claim("bench", time(0)).await?;
        send(&outbox, 1).await
    });
    let sent = sent.expect("one is sent").pop().expect("one");
    let connection = Connection::open(path).expect("the file");
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN IMMEDIATE;")
        .expect("a transaction");
    connection
        .execute(
            "CREATE TEMP TABLE one AS SELECT * FROM deliveries WHERE id = ?1",
            [sent.as_str()],
        )
        .expect("a table");
    connection
        .execute_batch(
            "UPDATE subjects SET logs = (SELECT logs FROM subjects WHERE id = (SELECT subject FROM one))
             WHERE logs IS NULL;
             UPDATE deliveries SET ready = 1 WHERE finished IS NULL AND ready = 0;",
        )
        .expect("all logs are settled");
    if finish {
        connection
            .execute_batch(
                "INSERT INTO attempts SELECT d.sequence, a.number, a.at, a.latency_ms, a.outcome, a.code, a.detail
                 FROM deliveries d, attempts a
                 WHERE a.delivery = (SELECT sequence FROM one) AND d.finished IS NULL;
                 UPDATE deliveries SET state = one.state, ready = one.ready, attempts = one.attempts,
                 finished = one.finished FROM one WHERE deliveries.finished IS NULL;",
            )
            .expect("all are finished");
    }
    connection.execute_batch("COMMIT").expect("a commit");
}

/// Sends what is in line, up to so many.
async fn send(outbox: &SqliteOutbox, most: usize) -> Result<Vec<DeliveryId>> {
    let (now, until) = (time(i64::from(i32::MAX)), time(i64::from(u32::MAX)));
    for lease in outbox
        .lease_logs(LeaseRequest::new(most, now, until))
        .await?
    {
        outbox
            .settle_logs(&lease, Logs::missing("there are none"))
            .await?;
    }
    let mut sent = Vec::new();
    for lease in outbox
        .lease(&destination(), LeaseRequest::new(most, now, until))
        .await?
    {
        let attempt = Attempt::new(now, Outcome::Delivered);
        outbox
            .settle(&lease, Settlement::new(Verdict::Done, attempt))
            .await?;
        sent.push(lease.delivery.id);
    }
    Ok(sent)
}

/// Runs a part in a process of its own; answers how much memory it took above its start.
fn role(role: &str, path: &Path, rows: i64) -> u64 {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .env(ROLE, format!("{role} {rows} {}", path.display()))
        .output()
        .expect("this program runs");
    let told = String::from_utf8_lossy(&output.stdout);
    told.trim().parse().unwrap_or_else(|_| {
        panic!("{role}: {told}{}", String::from_utf8_lossy(&output.stderr));
    })
}

/// Does what a child is to do, if this is one.
pub(crate) fn child() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "benches have no settings but this"
    )]
    let Ok(asked) = std::env::var(ROLE) else {
        return false;
    };
    let mut parts = asked.splitn(3, ' ');
    let mut next = || parts.next().expect("a role has three parts");
    let (role, rows, path) = (next(), next(), next());
    let rows = rows.parse().expect("a number of rows");
    let runtime = runtime();
    let before = peak();
    let done = runtime.block_on(async {
        let outbox = SqliteOutbox::open(path, options())?;
        outbox.claim("bench", time(0)).await?;
        match role {
            // Their ids are as they are, all over the place.
            "grow" => enqueue(&outbox, 0..rows, BATCHES[1], report).await,
            _ => hold(&outbox, rows).await,
        }
    });
    done.expect("the outbox answers");
    say(&peak().saturating_sub(before).to_string());
    true
}

/// What a watcher does with a backlog.
async fn hold(outbox: &SqliteOutbox, rows: i64) -> Result<()> {
    let open = outbox.stats().await?.open();
    assert_eq!(i64::try_from(open), Ok(rows));
    for _ in 0..20 {
        assert!(!send(outbox, 50).await?.is_empty());
        assert_eq!(outbox.pending().await?.len(), 1);
    }
    let mut filter = DeliveryFilter::default();
    filter.limit = 1000;
    assert_eq!(outbox.inspect(&filter).await?.len(), 1000);
    assert!(outbox.story(&id(rows / 2)).await?.is_some());
    Ok(())
}

/// The most memory that this process had until now.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB"));
    kib.and_then(|n| n.trim().parse::<u64>().ok())
        .unwrap_or_default()
        << 10
}
