//! The suite of `notifier-testkit`, with files.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_file::{FileReporter, OPTIONS};
use notifier_testkit::conformance::{Harness, Scenario, Setup, reporter, suite};

const FORMAT: &str = "record {{ .failure.Name }} {{ .failure.ID }}{{ .nl }}";

struct Files {
    dir: tempfile::TempDir,
    next: AtomicUsize,
    reporter: Arc<FileReporter>,
}

fn settings(path: &Path) -> BackendSettings {
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "name", path.to_str().unwrap()).unwrap();
    s.set(Origin::Flag, "format", FORMAT).unwrap();
    s
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
            _ => return None,
        };
        let setup = Setup::new(settings(&path).instance("default"));
        Some(setup.with_received(move || {
            if scenario == Scenario::Unavailable {
                // `/dev/full` takes nothing, and can be read for ever.
                return Vec::new();
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(text.is_empty() || text.ends_with('\n'), "{text}");
            // No name of a task makes two lines of one.
            text.lines().map(str::to_owned).collect()
        }))
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let reporter = FileReporter::new(&settings(&dir.path().join("first"))).unwrap();
    Files {
        dir,
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
