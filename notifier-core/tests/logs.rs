//! Logs on their way: stored as long as that moves on, and read by reports.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use notifier_core::{jiff::Timestamp, memory::MemoryReporter, *};
use tokio::time::sleep;

/// Ten pieces of a log, with a pause before each.
#[derive(Debug)]
struct Agent {
    pause: Duration,
}

#[async_trait]
impl LogLocator for Agent {
    async fn locate(&self, _: &FailureRecord) -> Result<Vec<LogStream>> {
        Ok(["stdout", "stderr"]
            .map(|n| LogStream::new(n, format!("http://agent/{n}")))
            .into())
    }
    async fn open(&self, _: &FailureRecord, log: &LogStream, part: LogPart) -> Result<OpenLog> {
        if log.name == "stderr" {
            return Err(Error::new(ErrorKind::Rejected, "stderr is gone"));
        }
        let pause = self.pause;
        let pieces = stream::iter(0..10).then(move |n| async move {
            sleep(pause).await;
            Ok(format!("piece {n} s3cret\n").into())
        });
        let skip = match part {
            LogPart::Whole => 0,
            LogPart::Last(n) => 10 - (n as usize).div_ceil(15).min(10),
        };
        Ok(OpenLog::new(Some(150), pieces.skip(skip).boxed()))
    }
}

/// Keeps what it is given; may stand still at the end.
#[derive(Debug, Default)]
struct Store {
    stands_still: bool,
    /// After each piece.
    pause: Duration,
}

#[async_trait]
impl Uploader for Store {
    fn scheme(&self) -> &'static str {
        "store"
    }
    async fn upload(
        &self,
        _: &FailureRecord,
        _: &LogStream,
        content: &dyn LogContent,
    ) -> Result<ObjectRef> {
        let mut log = content.open(LogPart::Whole).await?;
        let mut size = 0;
        while let Some(piece) = log.bytes.next().await {
            size += piece?.len();
            sleep(self.pause).await;
        }
        if self.stands_still {
            std::future::pending::<()>().await;
        }
        Ok(ObjectRef(size.into()))
    }
    async fn link(&self, object: &ObjectRef) -> Result<String> {
        Ok(format!("http://store/{}", object.0))
    }
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What came of one failure's logs, and how long it took.
async fn links(
    pause: u64,
    store: Store,
    settings: impl FnOnce(&mut engine::Timing),
) -> (String, String, u64) {
    let seen = Arc::new(Seen::default());
    let mut timing = engine::Timing::default();
    settings(&mut timing);
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&seen))
        .locator(
            "cluster",
            Agent {
                pause: Duration::from_secs(pause),
            },
        )
        .uploader(store)
        .timing(timing)
        .build()
        .unwrap();
    let began = tokio::time::Instant::now();
    engine.submit(&failure()).await.unwrap();
    engine.run_until_idle().await.unwrap();
    let links = seen.0.lock().unwrap().clone().unwrap();
    (links.stdout, links.missing, began.elapsed().as_secs())
}

fn failure() -> FailureRecord {
    let mut f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    f.source = "cluster".into();
    f.with_default_key()
}

/// Keeps the links of the last report.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<Links>>);

#[async_trait]
impl Reporter for Seen {
    fn scheme(&self) -> &'static str {
        "seen"
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, _: &Settings) -> Result<Option<Destination>> {
        Ok(Some(Destination::new("seen", ["x"], "x")))
    }
    async fn report(&self, report: &Report, _: &ReportOptions<'_>) -> Result<Receipt> {
        *self.0.lock().unwrap() = Some(report.links().clone());
        Ok(Receipt::delivered("x"))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}

const GONE: &str = "stderr not stored: stderr is gone";

#[tokio::test(start_paused = true)]
async fn a_log_is_stored_as_long_as_that_moves_on() {
    let (stdout, missing, took) = links(10, Store::default(), |_| {}).await;
    assert_eq!(
        (stdout.as_str(), missing.as_str()),
        ("http://store/150", GONE)
    );
    assert_eq!(took, 100);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_falls_silent_leaves_the_log_where_it_is() {
    let (stdout, missing, passed) = links(20, Store::default(), |_| {}).await;
    assert_eq!(stdout, "http://agent/stdout");
    let why = "stdout not stored: nothing to read within 15s";
    assert_eq!(missing, format!("{why}; {GONE}"));
    assert_eq!(passed, 15);
}

/// A store that is slow with what it has is not an agent that is silent.
#[tokio::test(start_paused = true)]
async fn a_slow_store_is_waited_for() {
    let slow = Store {
        pause: Duration::from_secs(20),
        ..Store::default()
    };
    let (stdout, missing, passed) = links(1, slow, |_| {}).await;
    assert_eq!(
        (stdout.as_str(), missing.as_str()),
        ("http://store/150", GONE)
    );
    assert_eq!(passed, 10 + 10 * 20);
    let stuck = Store {
        stands_still: true,
        ..Store::default()
    };
    let (_, missing, passed) = links(1, stuck, |_| {}).await;
    assert_eq!(
        missing,
        format!("stdout not stored: not stored within 5m; {GONE}")
    );
    assert_eq!(passed, 300);
}

#[tokio::test(start_paused = true)]
async fn storing_has_a_bound_in_all() {
    let (stdout, missing, took) = links(10, Store::default(), |t| {
        t.upload = Duration::from_secs(60);
    })
    .await;
    assert_eq!(stdout, "http://agent/stdout");
    assert_eq!(
        missing,
        format!("stdout not stored: not stored within 1m; {GONE}")
    );
    assert_eq!(took, 60);
}

/// Keeps the end of both logs.
#[derive(Debug, Default)]
struct Tails(Mutex<Vec<String>>);

#[async_trait]
impl Reporter for Tails {
    fn scheme(&self) -> &'static str {
        "tails"
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, _: &Settings) -> Result<Option<Destination>> {
        Ok(Some(Destination::new("tails", ["x"], "x")))
    }
    async fn report(&self, report: &Report, _: &ReportOptions<'_>) -> Result<Receipt> {
        let mut tails = Vec::new();
        for (name, most) in [
            ("stdout", 20),
            ("stdout", 1000),
            ("stderr", 20),
            ("other", 20),
        ] {
            tails.push(match report.log_tail(name, most).await {
                Ok(Some(tail)) => {
                    format!("{:?} {}", String::from_utf8_lossy(&tail.bytes), tail.is_cut)
                }
                Ok(None) => "none".to_owned(),
                Err(e) => e.to_string(),
            });
        }
        *self.0.lock().unwrap() = tails;
        Ok(Receipt::delivered("x"))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_reads_the_end_of_a_log_without_secrets() {
    for (pause, expected) in [
        (
            0,
            [
                r#""piece 9 ***\n" true"#,
                "\"piece 0 ***\\npiece 1 ***\\npiece 2 ***\\npiece 3 ***\\npiece 4 ***\\npiece 5 ***\\npiece 6 ***\\npiece 7 ***\\npiece 8 ***\\npiece 9 ***\\n\" false",
                "stderr is gone",
                "none",
            ],
        ),
        (
            11,
            [
                "stdout not read within 10s",
                "stdout not read within 10s",
                "stderr is gone",
                "none",
            ],
        ),
    ] {
        let tails = Arc::new(Tails::default());
        let engine = Engine::builder("default")
            .reporter(Arc::clone(&tails))
            .locator(
                "cluster",
                Agent {
                    pause: Duration::from_secs(pause),
                },
            )
            .redactor(redact::Redactor::new(["s3cret"]))
            .build()
            .unwrap();
        engine.submit(&failure()).await.unwrap();
        engine.run_until_idle().await.unwrap();
        assert_eq!(*tails.0.lock().unwrap(), expected);
    }
}

/// A reporter of a test has no logs to read.
#[tokio::test]
async fn without_a_reader_there_is_no_log() {
    let _ = MemoryReporter::new();
    let report = Report::failure(failure());
    assert_eq!(report.log_tail("stdout", 10).await.unwrap(), None);
}
