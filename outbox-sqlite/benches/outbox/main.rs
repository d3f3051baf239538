//! What the outbox costs beside SQLite alone, and how it does with a million rows.
//!
//! `cargo bench -p outbox-sqlite`, shorter with `-- --quick`. The table at the end has the
//! ratios, and the bounds that are promised.

mod bare;
mod large;
mod load;
mod table;

use std::{cell::Cell, process::ExitCode, time::Duration};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use load::Load;

use crate::{bare::Bare, table::Table};

/// How many ask at once.
const PRODUCERS: i64 = 64;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What the published figures come from.
    Whole,
    /// The same in less time (`--quick`).
    Quick,
    /// As little as shows that it works: nothing that is measured counts.
    Smoke,
}

impl Extent {
    /// What the command line asks for; `None` if nothing is to be run.
    fn asked() -> Option<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| args.iter().any(|a| a == flag);
        if has("--list") {
            None
        } else if has("--test") || !(has("--bench") || has("--quick")) {
            Some(Self::Smoke)
        } else if has("--quick") {
            Some(Self::Quick)
        } else {
            Some(Self::Whole)
        }
    }

    /// One of three values.
    pub(crate) fn pick<T>(self, whole: T, quick: T, smoke: T) -> T {
        match self {
            Self::Whole => whole,
            Self::Quick => quick,
            Self::Smoke => smoke,
        }
    }
}

fn main() -> ExitCode {
    if large::child() {
        return ExitCode::SUCCESS;
    }
    let Some(extent) = Extent::asked() else {
        return ExitCode::SUCCESS;
    };
    let seconds = extent.pick(10, 3, 1);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(seconds))
        .without_plots()
        .configure_from_args();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");

    let mut table = Table::new(extent);
    enqueue(&mut criterion, &mut table, folder.path());
    send(&mut criterion, &mut table, folder.path());
    criterion.final_summary();
    large::measure(extent, folder.path(), &mut table);
    say(&table.to_string());
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
pub(crate) fn say(what: &str) {
    println!("{what}");
}

/// Measures one thing, and answers how long it took for one of what it is done for.
fn each(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut run: impl FnMut(u64) -> Duration,
) -> Duration {
    let sum = Cell::new((Duration::ZERO, 0));
    group.bench_function(name, |b| {
        b.iter_custom(|count| {
            // At least what is asked for at once.
            let whole = count.max(PRODUCERS.unsigned_abs());
            let took = run(whole);
            let (time, done) = sum.get();
            sum.set((time + took, done + whole));
            took.mul_f64(fraction(count, whole))
        });
    });
    let (time, done) = sum.get();
    time.mul_f64(fraction(1, done.max(1)))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn enqueue(criterion: &mut Criterion, table: &mut Table, folder: &std::path::Path) {
    let mut group = criterion.benchmark_group("durable enqueue, 64 producers");
    let body = load::body();
    let load = Load::new(&folder.join("enqueue.db"));
    let ours = each(&mut group, "outbox", |count| load.enqueue(count));
    drop(load);

    let mut bare = Some(Bare::new(&folder.join("enqueue-each.db")));
    let alone = each(&mut group, "SQLite, a commit each", |count| {
        let (again, took) = bare
            .take()
            .expect("it comes back")
            .enqueue_each(&body, count);
        bare = Some(again);
        took
    });
    let mut bare = Some(Bare::new(&folder.join("enqueue-grouped.db")));
    let grouped = each(&mut group, "SQLite, commits in groups", |count| {
        let (again, took) = bare
            .take()
            .expect("it comes back")
            .enqueue_grouped(&body, count);
        bare = Some(again);
        took
    });
    group.finish();
    table.ratios("durable enqueue, 64 producers", ours, alone, grouped);
}

fn send(criterion: &mut Criterion, table: &mut Table, folder: &std::path::Path) {
    let mut group = criterion.benchmark_group("lease and settle, 64 at a time");
    let body = load::body();
    let load = Load::new(&folder.join("send.db"));
    let ours = each(&mut group, "outbox", |count| load.send(count));
    drop(load);

    let bare = Bare::new(&folder.join("send-each.db"));
    let alone = each(&mut group, "SQLite, a commit each", |count| {
        bare.send(&body, count, false)
    });
    let bare = Bare::new(&folder.join("send-grouped.db"));
    let grouped = each(&mut group, "SQLite, commits in groups", |count| {
        bare.send(&body, count, true)
    });
    group.finish();
    table.ratios("lease and settle, 64 at a time", ours, alone, grouped);
}
