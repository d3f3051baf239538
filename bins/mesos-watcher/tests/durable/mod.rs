//! A watched cluster, and a watcher whose outbox outlives it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use notifier_testkit::{
    mesos::{Death, FakeCluster, FakeClusterBuilder, TaskSpec},
    slack::FakeSlack,
};
use notifiers::Outbox;
use outbox_sqlite::{SqliteOptions, SqliteOutbox};
use tempfile::TempDir;

use crate::support::Watcher;

/// How long whatever has to happen may take.
pub(crate) const WAIT: Duration = Duration::from_secs(180);

/// What the ids of the tasks begin with that show that the watcher has begun.
const BEGUN: &str = "begun.";

/// Where things fail, who is told, and where the watcher keeps what it has to.
pub(crate) struct Scene {
    pub(crate) cluster: FakeCluster,
    pub(crate) slack: FakeSlack,
    folder: TempDir,
}

impl Scene {
    pub(crate) async fn new(cluster: FakeClusterBuilder) -> Self {
        Self {
            cluster: cluster.start().await.unwrap(),
            slack: FakeSlack::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The outbox' file.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("state/outbox.sqlite")
    }

    /// The flags of a watcher that tells a hook of Slack and a file. The last one counts of
    /// those that are there twice.
    pub(crate) fn flags(&self, more: &[&str]) -> Vec<String> {
        let mut flags = vec![
            format!("-masters={}", self.cluster.masters_flag()),
            format!("-state-dir={}", self.path("state").display()),
            format!("-slack.hook_url={}", self.slack.hook_url("main")),
            format!("-file.name={}", self.path("failures.log").display()),
        ];
        let fixed = [
            "-uploader=noop",
            "-reporters=slack,file",
            "-slack.format={{ .failure.ID }}",
            "-slack.rate=unlimited",
            "-file.format={{ .failure.ID }}{{ .nl }}",
            "-mesos.interval=200ms",
            "-mesos.sweep=2s",
            "-retry.max-interval=1s",
        ];
        flags.extend(fixed.iter().chain(more).map(|flag| (*flag).to_owned()));
        flags
    }

    pub(crate) fn start(&self, more: &[&str]) -> Watcher {
        crate::support::start(&self.flags(more), &[])
    }

    /// Waits until a watcher that was started for the first time knows what was there
    /// before it, so that what fails from now on is told.
    pub(crate) async fn has_begun(&self, watcher: &mut Watcher) {
        let mut n = 0;
        let log = self.path("failures.log");
        self.until(watcher, "the first failure told", async || {
            self.fail(&format!("{BEGUN}{n}"));
            n += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::fs::metadata(&log).is_ok_and(|file| file.len() > 0)
        })
        .await;
        self.until_empty(watcher).await;
    }

    /// Lets a task fail.
    pub(crate) fn fail(&self, id: &str) {
        self.cluster
            .launch_failed(TaskSpec::new(id), Death::failed());
    }

    /// The tasks that the file tells of.
    pub(crate) fn in_file(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("failures.log")).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with(BEGUN));
        lines.map(str::to_owned).collect()
    }

    /// The tasks that Slack was told of.
    pub(crate) fn in_slack(&self) -> Vec<String> {
        let told = self
            .slack
            .received()
            .into_iter()
            .map(|message| message.text);
        told.filter(|text| !text.starts_with(BEGUN)).collect()
    }

    /// The outbox, beside the watcher that uses it.
    pub(crate) fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::open_existing(self.store(), SqliteOptions::default()).unwrap()
    }

    /// Waits until nothing is left to tell.
    pub(crate) async fn until_empty(&self, watcher: &mut Watcher) {
        let outbox = self.outbox();
        self.until(watcher, "the outbox empty", async || {
            let stats = outbox.stats().await.unwrap();
            stats.open() + stats.unsettled == 0
        })
        .await;
    }

    /// Waits for something, as long as the watcher runs.
    pub(crate) async fn until(
        &self,
        watcher: &mut Watcher,
        what: &str,
        mut is_so: impl AsyncFnMut() -> bool,
    ) {
        let end = Instant::now() + WAIT;
        while !is_so().await {
            let ended = watcher.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "not {what}; ended: {ended:?}; told: {} in the file, {} in slack\n{}",
                self.in_file().len(),
                self.in_slack().len(),
                trouble(&watcher.stderr())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Ends a watcher as `kill -9` does; returns its log.
pub(crate) async fn kill(mut watcher: Watcher) -> String {
    let ended = watcher.child.try_wait().unwrap();
    assert!(
        ended.is_none(),
        "it has ended by itself: {ended:?}\n{}",
        trouble(&watcher.stderr())
    );
    watcher.child.kill().unwrap();
    watcher.end(WAIT).await.stderr
}

/// Tells a watcher to stop, and looks whether it does so in order; returns its log.
pub(crate) async fn stop(watcher: Watcher) -> String {
    let ended = watcher.stop().await;
    let log = ended.stderr;
    assert!(
        ended.status.success() && !log.contains("panicked"),
        "{}\n{}",
        ended.status,
        trouble(&log)
    );
    assert_eq!(ended.stdout, "");
    log
}

/// Each of these was told once, and nothing else.
pub(crate) fn assert_once(told: &[String], expected: &[String], who: &str) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in told {
        *times.entry(id).or_default() += 1;
    }
    let missing: Vec<_> = expected
        .iter()
        .filter(|id| !times.contains_key(id.as_str()))
        .collect();
    for id in expected {
        if times.get(id.as_str()) == Some(&1) {
            times.remove(id.as_str());
        }
    }
    assert!(
        missing.is_empty() && times.is_empty(),
        "{who}: missing {missing:?}; twice or of nobody {times:?}"
    );
}

/// A log without what went well.
pub(crate) fn trouble(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|l| !l.contains(" delivered ")).collect();
    lines[lines.len().saturating_sub(80)..].join("\n")
}
