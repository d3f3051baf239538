//! What the benches share: how much to measure, the built watcher as a child, and tables.

use std::{
    fmt,
    fs::{self, File},
    future::Future,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use notifier_runtime::signal;
use notifier_testkit::bench::say;
pub(crate) use notifier_testkit::bench::{Extent, tell};
use tempfile::TempDir;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// How long whatever has to happen may take.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

/// Runs a bench and prints its table. Ends in order at SIGINT and SIGTERM, so that no
/// watcher is left behind.
pub(crate) fn run<F>(name: &str, bench: impl FnOnce(Extent) -> F) -> ExitCode
where
    F: Future<Output = Result<Table>>,
{
    let Some(extent) = Extent::asked(name) else {
        return ExitCode::SUCCESS;
    };
    let whole = async {
        let stop = signal::shutdown()?;
        tokio::select! {
            table = bench(extent) => table,
            signal = stop => Err(format!("stopped by {signal}").into()),
        }
    };
    let table = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::from)
        .and_then(|runtime| runtime.block_on(whole));
    match table {
        Ok(_) if extent == Extent::Smoke => say(&format!("{name} works")),
        Ok(table) => say(&table),
        Err(e) => {
            tell(&format!("{name}: {e}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// A running watcher, ended when dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) child: Child,
    folder: TempDir,
}

impl Watcher {
    /// Starts it with these flags, and with nothing of this environment.
    pub(crate) fn start(flags: &[String]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let child = Command::new(program())
            .env_clear()
            .env("TZ", "UTC")
            .args(flags)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("the watcher does not start: {e}"))?;
        Ok(Self { child, folder })
    }

    /// An error of ours, with what the watcher said.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        format!("{what}; the watcher said:\n{log}").into()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The watcher as it was built.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mesos-watcher"))
}

/// What was built and measured where, as a heading.
pub(crate) fn heading(name: &str, extent: Extent) -> String {
    let built = program().parent().and_then(Path::file_name);
    let profile = built.unwrap_or_default().to_string_lossy();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{name} of mesos-watcher {}, profile {profile}, {} {}, {cpus} CPUs{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        extent.pick("", "; quick", "; not measured"),
    )
}

/// Rows of text in columns.
#[derive(Debug)]
pub(crate) struct Table {
    heading: String,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(heading: String, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|c| (*c).to_owned()).collect();
        Self {
            heading,
            rows: vec![columns],
            notes: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a line below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                let cells = self.rows.iter().filter_map(|row| row.get(c));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        writeln!(f, "\n{}\n", self.heading)?;
        for row in &self.rows {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line += &format!("{cell:width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}
