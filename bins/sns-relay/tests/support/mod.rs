//! A running relay, and whom it tells.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use notifier_testkit::{
    program::{Ended, Program},
    slack::FakeSlack,
};
use tempfile::TempDir;

/// How long whatever has to happen may take.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

/// A fake Slack, and a folder in which outboxes outlive relays.
pub(crate) struct Scene {
    pub(crate) slack: FakeSlack,
    folder: TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self {
            slack: FakeSlack::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a relay that tells Slack, with more flags; the last one counts of those that are there twice.
    pub(crate) async fn relay(&self, more: &[&str]) -> Relay {
        let hook = self.slack.hook_url("main");
        let state = self.path("state");
        let mut flags = vec![
            "-listen=127.0.0.1:0".to_owned(),
            "-reporters=slack".to_owned(),
            "-slack.rate=unlimited".to_owned(),
            "-retry.max-interval=1s".to_owned(),
            format!("-slack.hook_url={hook}"),
            format!("-state-dir={}", state.display()),
        ];
        flags.extend(more.iter().map(|f| (*f).to_owned()));
        Relay::start(&flags).await
    }

    /// What Slack was told, once there are so many messages.
    pub(crate) async fn told(&self, n: usize) -> Vec<String> {
        let all = self.slack.wait_for(n, WAIT).await;
        all.into_iter().map(|m| m.text).collect()
    }
}

/// A running relay.
pub(crate) struct Relay {
    pub(crate) program: Program,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

impl Relay {
    pub(crate) async fn start(flags: &[String]) -> Self {
        let mut program = Program::start(env!("CARGO_BIN_EXE_sns-relay"), flags, &[]);
        let end = Instant::now() + WAIT;
        let address = loop {
            let log = program.stderr();
            let said = log.split("address=").nth(1);
            // The whole line must be there.
            if let Some((address, _)) = said.and_then(|rest| rest.split_once(char::is_whitespace)) {
                break address.to_owned();
            }
            let ended = program.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "not started:\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Self { program, address }
    }

    /// Where SNS posts to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/sns", self.address)
    }

    pub(crate) fn log(&self) -> String {
        self.program.stderr()
    }

    /// Waits until the log has these words.
    pub(crate) async fn says(&self, words: &str) {
        let end = Instant::now() + WAIT;
        while !self.log().contains(words) {
            assert!(
                Instant::now() < end,
                "{words:?} is not said:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) -> Ended {
        let ended = self.program.stop().await;
        assert!(
            ended.status.success() && !ended.stderr.contains("panicked"),
            "{}\n{}",
            ended.status,
            ended.stderr
        );
        ended
    }
}
