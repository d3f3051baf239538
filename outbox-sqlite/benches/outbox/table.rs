//! The figures, side by side.

use std::{fmt, time::Duration};

use crate::Extent;

/// Rows of text in columns.
#[derive(Debug)]
pub(crate) struct Table {
    heading: String,
    ratios: Vec<Vec<String>>,
    bounds: Vec<Vec<String>>,
}

fn texts<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

impl Table {
    pub(crate) fn new(extent: Extent) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let heading = format!(
            "outbox-sqlite {}, {} {}, {cpus} CPUs{}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            extent.pick("", "; quick", "; not measured"),
        );
        Self {
            heading,
            ratios: vec![texts([
                "one of them takes",
                "outbox",
                "SQLite, a commit each",
                "ratio",
                "SQLite, commits in groups",
                "ratio",
            ])],
            bounds: vec![texts(["", "measured", "bound", ""])],
        }
    }

    /// What one call takes, beside SQLite alone in two ways: the medians of rounds.
    pub(crate) fn ratios(&mut self, name: &str, rounds: &[[Duration; 3]]) {
        let time = |way: usize| {
            let mut times: Vec<Duration> = rounds.iter().map(|r| r[way]).collect();
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or_default()
        };
        let ratio = |way: usize| {
            let of = |r: &[Duration; 3]| r[0].as_secs_f64() / r[way].as_secs_f64();
            let mut ratios: Vec<f64> = rounds.iter().map(of).collect();
            ratios.sort_unstable_by(f64::total_cmp);
            ratios
                .get(ratios.len() / 2)
                .map_or_else(String::new, |r| format!("{r:.2}"))
        };
        self.ratios.push(vec![
            name.to_owned(),
            shown(time(0)),
            shown(time(1)),
            ratio(1),
            shown(time(2)),
            ratio(2),
        ]);
    }

    /// A time, and what it must be below.
    pub(crate) fn time(&mut self, name: String, took: Duration, bound: Duration) {
        self.bound(name, shown(took), shown(bound), took < bound);
    }

    /// Bytes of memory, and what they must be below.
    pub(crate) fn memory(&mut self, name: String, bytes: u64, bound: u64) {
        let mib = |b: u64| {
            format!(
                "{:.1} MiB",
                f64::from(u32::try_from(b >> 10).unwrap_or(u32::MAX)) / 1024.0
            )
        };
        self.bound(name, mib(bytes), mib(bound), bytes < bound);
    }

    fn bound(&mut self, name: String, measured: String, bound: String, is_kept: bool) {
        let kept = if is_kept { "kept" } else { "NOT KEPT" };
        self.bounds
            .push(vec![name, measured, bound, kept.to_owned()]);
    }
}

fn shown(time: Duration) -> String {
    if time < Duration::from_millis(1) {
        format!("{:.1} µs", time.as_secs_f64() * 1e6)
    } else if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

fn columns(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|c| c.chars().count()).max().unwrap_or(0)
    };
    writeln!(f)?;
    for row in rows {
        let cells = row.iter().enumerate();
        let line: String = cells.map(|(i, c)| format!("{c:0$}  ", width(i))).collect();
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.heading)?;
        columns(f, &self.ratios)?;
        columns(f, &self.bounds)
    }
}
