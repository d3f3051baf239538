//! Outboxes to look into, and the built program.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use assert_cmd::Command;
use notifiers::{
    Attempt, Clock, DeliveryId, DeliveryState, Destination, EnqueueBatch, Enqueued, FailureRecord,
    Grouping, LeaseRequest, Logs, NewDelivery, NewReport, Outbox, Outcome, Settlement, SystemClock,
    Verdict,
    jiff::Timestamp,
    sqlite::{SqliteOptions, SqliteOutbox},
};
use serde_json::Value;

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) fn ago(seconds: u64) -> Timestamp {
    now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

/// Where everything goes in these tests.
pub(crate) fn ops() -> Destination {
    Destination::new("slack", ["https://hooks.example/x", "#ops"], "#ops")
}

pub(crate) fn failure(id: &str) -> FailureRecord {
    let finished = "2026-11-21T10:00:00Z".parse().unwrap();
    let mut f = FailureRecord::new(id, "web", "TASK_FAILED", finished);
    f.framework = "marathon".to_owned();
    f.host = "agent-1".to_owned();
    f.source = "mesos".to_owned();
    f.with_default_key()
}

pub(crate) fn id_of(f: &FailureRecord) -> DeliveryId {
    DeliveryId::derive("default", &f.key, "slack", "default", 0)
}

/// A failure that one instance of Slack is to be told of.
pub(crate) fn report(f: &FailureRecord, id: DeliveryId) -> NewReport {
    let delivery = NewDelivery::new(id, "slack", "default", ops()).because("implicit default");
    NewReport::failure(f.clone(), vec![delivery])
}

/// An outbox in a folder of its own.
pub(crate) struct Store {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Store {
    pub(crate) fn new() -> Self {
        let store = Self {
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        };
        drop(store.open());
        store
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.file("outbox.sqlite")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn open(&self) -> SqliteOutbox {
        SqliteOutbox::open(self.path(), SqliteOptions::default()).unwrap()
    }

    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn enqueue(&self, reports: Vec<NewReport>, at: Timestamp) -> Enqueued {
        let mut batch = EnqueueBatch::new("mesos", at);
        batch.reports = reports;
        self.wait(self.open().enqueue(batch)).unwrap()
    }

    /// A failure whose delivery waits.
    pub(crate) fn waits(&self, f: &FailureRecord) -> DeliveryId {
        self.enqueue(vec![report(f, id_of(f))], now());
        id_of(f)
    }

    /// A failure whose delivery was tried and ended so.
    pub(crate) fn tried(
        &self,
        f: &FailureRecord,
        verdict: Verdict,
        attempt: Attempt,
    ) -> DeliveryId {
        let id = self.waits(f);
        self.work(verdict, attempt);
        id
    }

    /// Settles all logs, and what is due with them.
    pub(crate) fn work(&self, verdict: Verdict, attempt: Attempt) {
        self.wait(async {
            let outbox = self.open();
            outbox.claim("default", now()).await.unwrap();
            let until = now().checked_add(Duration::from_secs(60)).unwrap();
            let all = || LeaseRequest::new(1_000, now(), until);
            for lease in outbox.lease_logs(all()).await.unwrap() {
                let logs = Logs::missing("the agent does not answer");
                outbox.settle_logs(&lease, logs).await.unwrap();
            }
            for lease in outbox.lease(&ops(), all()).await.unwrap() {
                let settlement = Settlement::new(verdict, attempt.clone());
                outbox.settle(&lease, settlement).await.unwrap();
            }
        });
    }

    /// A failure that was given up.
    pub(crate) fn dead(&self, id: &str) -> DeliveryId {
        self.tried(&failure(id), Verdict::Dead, refused("channel_not_found"))
    }

    pub(crate) fn state(&self, id: &DeliveryId) -> DeliveryState {
        let story = self.wait(self.open().story(id)).unwrap();
        story.unwrap().view.state
    }

    /// `n` failures that are alike: one is told, the others are held.
    pub(crate) fn storm(&self, n: usize, at: Timestamp, interval: Duration) -> Vec<DeliveryId> {
        let failures: Vec<FailureRecord> = (0..n).map(|i| failure(&format!("storm.{i}"))).collect();
        let group = Grouping::new("marathon web TASK_FAILED", interval);
        let reports = failures
            .iter()
            .map(|f| report(f, id_of(f)).with_group(group.clone()));
        self.enqueue(reports.collect(), at);
        failures.iter().map(id_of).collect()
    }

    /// Runs the program with this outbox.
    pub(crate) fn ctl(&self, args: &[&str]) -> Ran {
        let (command, rest) = args.split_at(2.min(args.len()));
        let outbox = format!("--outbox=sqlite:{}", self.path().display());
        ctl(&[command, &[outbox.as_str()], rest].concat(), &[])
    }

    /// The same, with JSON out of it.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.ctl(&[args, &["--json"]].concat());
        ran.ok();
        ran.json()
    }
}

pub(crate) fn refused(words: &str) -> Attempt {
    let mut attempt = Attempt::new(now(), Outcome::Dead);
    attempt.code = Some("rejected".to_owned());
    attempt.detail = words.to_owned();
    attempt.latency_ms = 120;
    attempt
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ok(&self) -> &Self {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self
    }

    /// It failed with this code, and with one line that says so much.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, why: &str) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(
            self.err.starts_with("notifierctl: ") && self.err.contains(why),
            "{self:?}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Nothing in it acts on a terminal.
    #[track_caller]
    pub(crate) fn tame(&self) -> &Self {
        let acts =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!self.out.chars().any(acts), "{:?}", self.out);
        assert!(!self.err.chars().any(acts), "{:?}", self.err);
        self
    }
}

pub(crate) fn ctl(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let out = Command::new(env!("CARGO_BIN_EXE_notifierctl"))
        .env_clear()
        .envs(env.iter().copied())
        .args(args)
        .output()
        .unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    Ran {
        code: out.status.code().unwrap(),
        out: text(out.stdout),
        err: text(out.stderr),
    }
}
