//! The suite of `notifier-testkit`, with files.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_file::{FileReporter, OPTIONS};
use notifier_testkit::conformance::{Harness, Row, RowVerdict, Scenario, Setup, reporter, suite};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const FORMAT: &str = "record {{ .failure.Name }} {{ .failure.ID }}{{ .nl }}";

struct Files {
    dir: tempfile::TempDir,
    /// Where what the rows are about is made.
    rows: PathBuf,
    next: AtomicUsize,
    reporter: Arc<FileReporter>,
}

fn settings(path: &Path) -> BackendSettings {
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "name", path.to_str().unwrap()).unwrap();
    s.set(Origin::Flag, "format", FORMAT).unwrap();
    s
}

/// What system calls say of files, and what it means. `dir` is a folder to make them in.
fn table(dir: &Path) -> Vec<(&'static str, RowVerdict, PathBuf)> {
    use RowVerdict as V;
    let (later, dead) = (V::Retry { after: None }, V::DeadDestination);
    let path = |name: &str| dir.join(name);
    std::fs::write(path("file"), "").unwrap();
    if std::fs::symlink_metadata(path("link")).is_err() {
        symlink(path("file"), path("link")).unwrap();
    }
    if !path("pipe").exists() {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, path("pipe"), FileType::Fifo, mode, 0).unwrap();
    }
    let mut rows = vec![
        ("a new file", V::Delivered, path("new")),
        ("a file that is there", V::Delivered, path("file")),
        ("ENOSPC", later, "/dev/full".into()),
        // Where no memory ever is, and the write is refused by the kernel.
        ("EIO", later, "/proc/self/mem".into()),
        ("ENOENT, of the folder", later, path("no/such/log")),
        ("ENXIO, of a pipe", later, path("pipe")),
        ("EISDIR", dead, dir.to_owned()),
        ("ENOTDIR", dead, path("file/log")),
        ("ELOOP", dead, path("link")),
        ("ENAMETOOLONG", dead, path(&"x".repeat(300))),
        // Nobody may write it, the superuser neither; EROFS where all of it is read-only.
        ("EACCES or EROFS", dead, "/sys/kernel/uevent_seqnum".into()),
    ];
    let locked = path("locked");
    if !locked.exists() {
        std::fs::write(&locked, "").unwrap();
        std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o400)).unwrap();
    }
    // The superuser may.
    if std::fs::File::options().append(true).open(&locked).is_err() {
        rows.push(("EACCES", dead, locked));
    }
    rows
}

#[async_trait]
impl Harness for Files {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<FileReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let path = match scenario {
            Scenario::Deliver => self
                .dir
                .path()
                .join(self.next.fetch_add(1, Ordering::SeqCst).to_string()),
            Scenario::Unavailable => "/dev/full".into(),
            Scenario::RefuseDestination => self.dir.path().to_owned(),
            Scenario::Row(n) => table(&self.rows).into_iter().nth(n)?.2,
            _ => return None,
        };
        let setup = Setup::new(settings(&path).instance("default"));
        Some(setup.with_received(move || {
            let regular = path.starts_with(std::env::temp_dir()) && path.is_file();
            if !regular {
                // `/dev/full` takes nothing, and can be read for ever.
                return Vec::new();
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(text.is_empty() || text.ends_with('\n'), "{text}");
            // No name of a task makes two lines of one.
            text.lines().map(str::to_owned).collect()
        }))
    }

    fn rows(&self) -> Vec<Row> {
        table(&self.rows)
            .into_iter()
            .map(|(answer, verdict, _)| Row::new(answer, verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let reporter = FileReporter::new(&settings(&dir.path().join("first"))).unwrap();
    let rows = dir.path().join("rows");
    std::fs::create_dir(&rows).unwrap();
    Files {
        dir,
        rows,
        next: AtomicUsize::new(0),
        reporter: Arc::new(reporter),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn file_conforms() {
    let results = suite(&files()).await;
    results.assert();
    // What only a service on the other side of a network can do. A file counts no attempts.
    assert_eq!(
        results.skipped().collect::<Vec<_>>(),
        [
            "told to slow down, it says retry later, after the time asked for",
            "told to slow down without a time, it says retry later",
            "refused, it says never",
            "cut off without an answer, it says that it may have arrived",
            "without an answer in time, it says that it may have arrived",
            "no report is tried more than once",
        ],
        "{results}"
    );
}

#[tokio::test]
async fn the_short_form_of_the_suite_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let s = settings(&path);
    reporter(FileReporter::new(&s).unwrap(), &s.instance("default"))
        .await
        .assert();
    assert!(std::fs::metadata(&path).unwrap().len() > 1000);
}
