//! 10,000 failures in a minute: what the watcher needs for them, and what is told.

#[path = "../footprint/process.rs"]
#[expect(dead_code, reason = "the other bench needs more of it")]
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use notifier_testkit::{
    mesos::{Death, FakeCluster, TaskSpec},
    slack::{FakeSlack, SlackMessage},
};
use process::Process;
use support::{Extent, Result, Table, WAIT, Watcher, tell};

/// What is over the idle memory, in bytes, at most.
const MOST_MEMORY: u64 = 64 * 1024 * 1024;
const JOBS: usize = 4;

fn main() -> ExitCode {
    support::run("storm", measure)
}

#[derive(Clone, Copy)]
struct Plan {
    failures: usize,
    over: Duration,
    interval: Duration,
}

async fn measure(extent: Extent) -> Result<Table> {
    let plan = Plan {
        failures: extent.pick(10_000, 2_000, 40),
        over: Duration::from_secs_f64(extent.pick(60.0, 12.0, 0.5)),
        interval: Duration::from_secs_f64(extent.pick(20.0, 5.0, 0.5)),
    };
    let mut table = Table::new(
        support::heading("storm", extent),
        &["", "with storm control", "without", "at most"],
    );
    let with = storm(plan, true).await?;
    let without = storm(plan, false).await?;
    let mut row = |name: &str, value: fn(&Found) -> String, most: &str| {
        table.row([name.into(), value(&with), value(&without), most.into()]);
    };
    row("failures", |f| f.failures.to_string(), "");
    row("Slack: messages", |f| f.messages.to_string(), "");
    row("Slack: failures that they tell", |f| f.told.to_string(), "");
    row(
        "Slack: messages in the fullest second",
        |f| f.fullest.to_string(),
        "",
    );
    row("file: records", |f| f.records.to_string(), "");
    row(
        "file: failures that they tell",
        |f| f.recorded.to_string(),
        "",
    );
    row(
        "memory above idle, at its peak",
        |f| {
            f.memory.map_or("not known here".into(), |m| {
                format!("{:.1} MB", megabytes(m))
            })
        },
        "67.1 MB",
    );
    row(
        "until all is told",
        |f| format!("{:.1} s", f.took.as_secs_f64()),
        "",
    );
    table.note(format!(
        "{} failures of {JOBS} jobs over {} s. With: -group.interval={} s, Slack at its usual rate of \
         1/s after a burst of 20. Without: every failure by itself, Slack at 1000/s. The outbox is \
         SQLite with a sync for each commit.",
        plan.failures,
        plan.over.as_secs_f64(),
        plan.interval.as_secs_f64()
    ));
    for (name, found) in [("with", &with), ("without", &without)] {
        if found.told != plan.failures || found.recorded != plan.failures {
            return Err(format!("{name}: not all are told: {found:?}").into());
        }
        if extent != Extent::Smoke && found.memory.is_some_and(|m| m > MOST_MEMORY) {
            return Err(format!("{name}: too much memory: {found:?}").into());
        }
    }
    Ok(table)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[derive(Debug)]
struct Found {
    failures: usize,
    messages: usize,
    /// Failures told in messages, by themselves or in a digest.
    told: usize,
    fullest: usize,
    records: usize,
    recorded: usize,
    memory: Option<u64>,
    took: Duration,
}

async fn storm(plan: Plan, control: bool) -> Result<Found> {
    tell(&format!(
        "{} failures, {} storm control",
        plan.failures,
        if control { "with" } else { "without" }
    ));
    let cluster = FakeCluster::builder().agents(5).start().await?;
    let slack = FakeSlack::start().await?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("failures.log");
    let mut flags = vec![
        "-reporters=slack,file".into(),
        "-uploader=noop".into(),
        "-log.level=warn".into(),
        format!("-state-dir={}", folder.path().display()),
        format!("-masters={}", cluster.masters_flag()),
        format!("-slack.hook_url={}", slack.hook_url("main")),
        "-slack.channel=#bench".into(),
        "-slack.format={{ .failure.ID }}".into(),
        format!("-file.name={}", log.display()),
        "-file.format={{ .failure.ID }}{{ .nl }}".into(),
    ];
    if control {
        flags.push(format!("-group.interval={}ms", plan.interval.as_millis()));
    } else {
        flags.push("-slack.rate=1000/s".into());
    }
    let watcher = Watcher::start(&flags)?;
    if !cluster.wait_for_streams(1, WAIT).await {
        return Err(watcher.error("it does not subscribe"));
    }
    tokio::time::sleep(plan.interval.min(Duration::from_secs(3))).await;
    let process = Process(watcher.child.id());
    let idle = process.memory();
    process.reset_peak();

    let begun = tokio::time::Instant::now();
    for i in 0..plan.failures {
        let at = plan.over.mul_f64(share(i, plan.failures));
        tokio::time::sleep_until(begun + at).await;
        let name = format!("job-{}", i % JOBS);
        let task = cluster.launch(TaskSpec::new(format!("{name}.{i}")).name(name));
        cluster.fail(&task, Death::failed());
    }
    let patience = Instant::now() + WAIT + 4 * plan.over;
    let took = loop {
        let (told, recorded) = (told(&slack.received()), recorded(&log).1);
        if told >= plan.failures && recorded >= plan.failures {
            break begun.elapsed();
        }
        if Instant::now() > patience {
            return Err(watcher.error(format!("only {told} and {recorded} are told")));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let messages = slack.received();
    let (records, recorded) = recorded(&log);
    let memory = process
        .peak()
        .zip(idle)
        .map(|(peak, idle)| peak.saturating_sub(idle));
    Ok(Found {
        failures: plan.failures,
        messages: messages.len(),
        told: told(&messages),
        fullest: fullest(&messages),
        records,
        recorded,
        memory,
        took,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn share(i: usize, of: usize) -> f64 {
    i as f64 / of as f64
}

/// The failures that a text tells: as many as a digest says, else one.
fn count(text: &str) -> usize {
    let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
    match number.parse() {
        Ok(count) if rest.starts_with("more tasks") => count,
        _ => 1,
    }
}

fn told(messages: &[SlackMessage]) -> usize {
    messages.iter().map(|m| count(&m.text)).sum()
}

/// The records of a file, and the failures that they tell.
fn recorded(log: &Path) -> (usize, usize) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines();
    (lines.clone().count(), lines.map(count).sum())
}

/// The most messages in any second.
fn fullest(messages: &[SlackMessage]) -> usize {
    let mut times: Vec<_> = messages.iter().map(|m| m.arrived).collect();
    times.sort_unstable();
    let second = |from: &Instant| {
        let in_it = times
            .iter()
            .filter(|t| **t >= *from && **t - *from < Duration::from_secs(1));
        in_it.count()
    };
    times.iter().map(second).max().unwrap_or(0)
}
