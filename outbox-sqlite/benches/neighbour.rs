//! What one destination that hangs costs the others: the engine over the durable outbox,
//! from the submitting of a failure to its arrival.
//!
//! Two engines run side by side, on one disk and at one pace. In one of them a second
//! destination hangs, in the other it answers; after half of the time they change places.

use std::{
    fmt,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use notifier_core::{
    Capability, Destination, Engine, FailureRecord, Receipt, Reconciled, Report, ReportOptions,
    Reporter, Result, Settings, jiff::Timestamp,
};
use outbox_sqlite::{SqliteOptions, SqliteOutbox};

/// Failures each second.
const PACE: u32 = 50;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let has = |flag: &str| args.iter().any(|a| a == flag);
    if has("--list") {
        return ExitCode::SUCCESS;
    }
    let (is_test, is_quick) = (
        has("--test") || !(has("--bench") || has("--quick")),
        has("--quick"),
    );
    let failures = if is_test {
        10
    } else if is_quick {
        500
    } else {
        3_000
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let measured = runtime.map_err(|e| e.to_string()).and_then(|r| {
        r.block_on(measure(failures))
            .map_err(|e| e.report().to_string())
    });
    match measured {
        Ok(_) if is_test => say("neighbour works"),
        Ok([alone, beside]) => {
            say(&format!(
                "\nfrom submit to arrival, {} failures each, {PACE} a second\n",
                alone.len()
            ));
            say("                neighbour answers   neighbour hangs   ratio");
            for (name, part) in [("median", 0.5), ("p90", 0.9), ("p99", 0.99)] {
                let (a, b) = (quantile(&alone, part), quantile(&beside, part));
                say(&format!(
                    "{name:<16}{:<20}{:<18}{:.3}",
                    shown(a),
                    shown(b),
                    b.as_secs_f64() / a.as_secs_f64()
                ));
            }
            say("\nbound: the p99 moves by less than 5 %");
        }
        Err(e) => {
            say(&e);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn say(text: &str) {
    println!("{text}");
}

fn shown(d: Duration) -> String {
    format!("{:.2} ms", d.as_secs_f64() * 1e3)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index of a few thousand"
)]
fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// The sorted times beside a neighbour that answers, and beside one that hangs.
async fn measure(failures: usize) -> Result<[Vec<Duration>; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for swapped in [false, true] {
        let folder = tempfile::tempdir().map_err(io)?;
        let mut pairs = Vec::new();
        for hangs in [swapped, !swapped] {
            let path = folder.path().join(format!("{hangs}.sqlite"));
            pairs.push((hangs, Pair::start(hangs, &path)?));
        }
        for i in 0..failures / 2 {
            for (_, pair) in &pairs {
                pair.submit(i).await?;
            }
            tokio::time::sleep(Duration::from_secs(1) / PACE).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        for (hangs, pair) in &pairs {
            let mut told = pair.fast.times();
            if told.len() != failures / 2 {
                return Err(notifier_core::Error::internal(format!(
                    "{} of {} are told",
                    told.len(),
                    failures / 2
                )));
            }
            times[usize::from(*hangs)].append(&mut told);
            pair.running.abort();
        }
    }
    for t in &mut times {
        t.sort_unstable();
    }
    Ok(times)
}

fn io(e: std::io::Error) -> notifier_core::Error {
    notifier_core::Error::new(notifier_core::ErrorKind::Io, "no folder can be made").with_source(e)
}

/// An engine with a destination that is measured and one beside it.
struct Pair {
    engine: Engine,
    fast: Arc<Target>,
    running: tokio::task::JoinHandle<Result<notifier_core::engine::Summary>>,
}

impl Pair {
    fn start(hangs: bool, path: &std::path::Path) -> Result<Self> {
        let fast = Arc::new(Target::new("fast", false));
        let engine = Engine::builder("default")
            .outbox(SqliteOutbox::open(path, SqliteOptions::default())?)
            .reporter(Arc::clone(&fast))
            .reporter(Target::new("beside", hangs))
            .build()?;
        let running = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run(std::future::pending()).await }
        });
        Ok(Self {
            engine,
            fast,
            running,
        })
    }

    async fn submit(&self, i: usize) -> Result<()> {
        let id = i.to_string();
        let failure = FailureRecord::new(&id, "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
        self.fast.begun(id);
        self.engine.submit(&failure).await.map(drop)
    }
}

struct Target {
    name: &'static str,
    hangs: bool,
    times: Mutex<(std::collections::HashMap<String, Instant>, Vec<Duration>)>,
}

impl Target {
    fn new(name: &'static str, hangs: bool) -> Self {
        Self {
            name,
            hangs,
            times: Mutex::default(),
        }
    }

    fn begun(&self, id: String) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.0.insert(id, Instant::now());
    }

    fn times(&self) -> Vec<Duration> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.1.clone()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl Reporter for Target {
    fn scheme(&self) -> &'static str {
        self.name
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, _: &Settings) -> Result<Option<Destination>> {
        Ok(Some(Destination::new(self.name, [], "")))
    }
    async fn report(&self, report: &Report, _: &ReportOptions<'_>) -> Result<Receipt> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let id = report
            .subject()
            .failure()
            .map(|f| f.id.as_str())
            .unwrap_or_default();
        if let Some(begun) = times.0.remove(id) {
            times.1.push(begun.elapsed());
        }
        Ok(Receipt::delivered(""))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}
