//! What the outbox costs beside SQLite alone, and how it does with a million rows.
//!
//! `cargo bench -p outbox-sqlite`, shorter with `-- --quick`. The table at the end has the
//! ratios, and the bounds that are promised.

mod bare;
mod large;
mod load;
mod table;

use std::{path::Path, process::ExitCode, time::Duration};

use criterion::Criterion;
use load::Load;
pub(crate) use notifier_testkit::bench::{Extent, say};

use crate::{bare::Bare, table::Table};

/// How many ask at once.
const PRODUCERS: i64 = 64;

fn main() -> ExitCode {
    if large::child() {
        return ExitCode::SUCCESS;
    }
    // What is no flag is criterion's: which of the benchmarks to run.
    let flags = std::env::args().skip(1).filter(|a| a.starts_with('-'));
    let Some(extent) = Extent::of("outbox", flags) else {
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
    enqueue(folder.path()).measure(extent, &mut criterion, &mut table);
    send(folder.path()).measure(extent, &mut criterion, &mut table);
    criterion.final_summary();
    large::measure(extent, folder.path(), &mut table);
    say(&table.to_string());
    ExitCode::SUCCESS
}

/// One thing done in three ways. Each answers how long so many took.
struct Ways<'a> {
    name: &'static str,
    ways: [Way<'a>; 3],
}

type Way<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// What the three are called.
const WAYS: [&str; 3] = [
    "outbox",
    "SQLite, a commit each",
    "SQLite, commits in groups",
];

impl Ways<'_> {
    fn measure(mut self, extent: Extent, criterion: &mut Criterion, table: &mut Table) {
        let least = PRODUCERS.unsigned_abs();
        let mut group = criterion.benchmark_group(self.name);
        for (name, way) in WAYS.iter().zip(&mut self.ways) {
            group.bench_function(*name, |b| {
                b.iter_custom(|count| {
                    // At least what is asked for at once.
                    let whole = count.max(least);
                    way(whole).mul_f64(fraction(count, whole))
                });
            });
        }
        group.finish();

        // For the ratios in turn: what else the disk has to do changes from second to second.
        let counts = extent.pick([32, 4, 32], [32, 4, 32], [1, 1, 1]);
        let rounds: Vec<[Duration; 3]> = (0..extent.pick(41, 15, 1))
            .map(|_| {
                let mut took = [Duration::ZERO; 3];
                for ((took, way), n) in took.iter_mut().zip(&mut self.ways).zip(counts) {
                    *took = way(n * least).mul_f64(fraction(1, n * least));
                }
                took
            })
            .collect();
        table.ratios(self.name, &rounds);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn enqueue(folder: &Path) -> Ways<'static> {
    let load = Load::new(&folder.join("enqueue.db"));
    let bare = |name: &str| Some(Bare::new(&folder.join(name)));
    let (mut alone, mut grouped) = (bare("enqueue-each.db"), bare("enqueue-grouped.db"));
    let body = load::body();
    let same = body.clone();
    Ways {
        name: "durable enqueue, 64 producers",
        ways: [
            Box::new(move |count| load.enqueue(count)),
            Box::new(move |count| {
                let bare = alone.take().expect("it comes back");
                let (bare, took) = bare.enqueue_each(&body, count);
                alone = Some(bare);
                took
            }),
            Box::new(move |count| {
                let bare = grouped.take().expect("it comes back");
                let (bare, took) = bare.enqueue_grouped(&same, count);
                grouped = Some(bare);
                took
            }),
        ],
    }
}

fn send(folder: &Path) -> Ways<'static> {
    let load = Load::new(&folder.join("send.db"));
    let alone = Bare::new(&folder.join("send-each.db"));
    let grouped = Bare::new(&folder.join("send-grouped.db"));
    let body = load::body();
    let same = body.clone();
    Ways {
        name: "lease and settle, 64 at a time",
        ways: [
            Box::new(move |count| load.send(count)),
            Box::new(move |count| alone.send(&body, count, false)),
            Box::new(move |count| grouped.send(&same, count, true)),
        ],
    }
}
