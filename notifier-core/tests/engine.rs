//! The engine from outside, with paused time and no sockets.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{
    engine::{OnUnknown, Timing},
    memory::{MemoryOutbox, MemoryReporter, MemorySource},
    *,
};
use support::{clock, failure, start};
use tokio::time::Instant;

/// The latencies of a fast reporter, with or without a neighbour that hangs for ever.
async fn latencies(neighbour_hangs: bool) -> Vec<Duration> {
    let fast = Arc::new(MemoryReporter::named("file"));
    let slow = Arc::new(MemoryReporter::named("slack"));
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&fast))
        .reporter(Arc::clone(&slow))
        .clock(clock())
        .build()
        .unwrap();
    if neighbour_hangs {
        for _ in 0..100 {
            slow.hang();
        }
    }
    let running = start(&engine);
    let mut out = Vec::new();
    for i in 0..50 {
        let sent = Instant::now();
        engine.submit(&failure(&format!("t{i}"))).await.unwrap();
        while fast.told().len() <= i {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        out.push(fast.told()[i].at - sent);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    if neighbour_hangs {
        assert!(slow.told().len() < 50, "the neighbour was meant to hang");
    } else {
        assert_eq!(slow.told().len(), 50);
    }
    running.task.abort();
    out
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_for_ever_delays_no_other() {
    assert_eq!(latencies(true).await, latencies(false).await);
}

#[tokio::test(start_paused = true)]
async fn one_instance_that_hangs_does_not_delay_another_of_the_same_reporter() {
    let r = Arc::new(MemoryReporter::new());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    r.hang();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let other = failure("b").with_label("complainer_memory_channel", "#other");
    engine.submit(&other).await.unwrap();
    engine.submit(&failure("c")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(r.texts().len(), 2, "{:?}", r.texts());
    running.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_temporary_error_is_tried_again_with_the_same_id_and_progress() {
    let r = Arc::new(MemoryReporter::new());
    r.answer(Ok(Receipt::default()
        .and("a", Err(Error::new(ErrorKind::Unavailable, "busy")))
        .with_progress(serde_json::json!({"b": "done"}))));
    r.answer(Err(
        Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_secs(60))
    ));
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(r.told().len(), 2);
    // Another message to the same destination waits too: it was told to slow down.
    engine.submit(&failure("b")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(r.told().len(), 2, "asked to wait 60 s");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = r.told();
    assert_eq!(told.len(), 4);
    let a: Vec<_> = told.iter().filter(|t| t.text.contains("(a)")).collect();
    assert_eq!(a.iter().map(|t| t.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(a.iter().all(|t| t.id == a[0].id));
    let summary = running.stop().await;
    assert_eq!((summary.delivered, summary.open), (2, 0));
    assert_eq!(engine.stats().retries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_as_a_dead_letter_and_can_be_replayed() {
    let r = Arc::new(MemoryReporter::new());
    r.answer(Err(
        Error::new(ErrorKind::Rejected, "no such channel").with_code("channel_not_found")
    ));
    let outbox = Arc::new(MemoryOutbox::new());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .outbox(Arc::clone(&outbox))
        .clock(clock())
        .build()
        .unwrap();
    engine.submit(&failure("a")).await.unwrap();
    let summary = engine.run_until_idle().await.unwrap();
    assert_eq!((summary.dead, summary.open), (1, 0));
    let dead = outbox
        .inspect(&DeliveryFilter::state(DeliveryState::Dead))
        .await
        .unwrap();
    let last = dead[0].last.as_ref().unwrap();
    assert_eq!(
        (last.code.as_deref(), last.detail.as_str()),
        (Some("channel_not_found"), "no such channel")
    );

    let again = outbox
        .replay("default", &dead[0].delivery.id, clock().now())
        .await
        .unwrap();
    assert_ne!(again, dead[0].delivery.id);
    engine.run_until_idle().await.unwrap();
    assert_eq!(r.told().last().unwrap().id, again);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_arrive_in_time_is_given_up() {
    let r = Arc::new(MemoryReporter::new());
    for _ in 0..10_000 {
        r.answer(Err(Error::new(ErrorKind::Unavailable, "down")));
    }
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(71 * 3600)).await;
    assert_eq!(engine.stats().dead, 0);
    let waits: Vec<_> = r.told().windows(2).map(|w| w[1].at - w[0].at).collect();
    assert!(
        waits.iter().all(|w| *w <= Duration::from_secs(301)),
        "{waits:?}"
    );
    assert!(waits[0] >= Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(engine.stats().dead, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_asked_for_where_it_can_be() {
    let lost = || Err(Error::new(ErrorKind::Timeout, "lost"));
    // Can be asked: it had arrived, so it is not sent again.
    let r =
        Arc::new(MemoryReporter::new().with_capability(Capability::default().with_reconcile(true)));
    r.answer(lost());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (
            r.told().len(),
            engine.stats().delivered,
            engine.stats().possible_doubles
        ),
        (1, 1, 0)
    );
    running.stop().await;

    // Cannot be asked: sent again, and counted.
    let r = Arc::new(MemoryReporter::new());
    r.answer(lost());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((r.told().len(), engine.stats().possible_doubles), (2, 1));
    running.stop().await;

    // Or given up, for those who rather lose one.
    let r = Arc::new(MemoryReporter::new());
    r.answer(lost());
    let mut timing = Timing::default();
    timing.on_unknown = OnUnknown::Drop;
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .timing(timing)
        .build()
        .unwrap();
    engine.submit(&failure("a")).await.unwrap();
    assert_eq!(engine.run_until_idle().await.unwrap().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_failure_is_told_once_and_a_batch_is_acknowledged_after_the_commit() {
    let r = Arc::new(MemoryReporter::new());
    let (sender, source) = MemorySource::new("cluster");
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .source(source)
        .clock(clock())
        .build()
        .unwrap();
    let acked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&acked);
    let outbox = Arc::clone(engine.outbox());
    let kept = Arc::new(Mutex::new(0));
    let at_ack = Arc::clone(&kept);
    sender.send_batch(Ok(Batch::new(vec![failure("a"), failure("b")]).with_ack(
        move || {
            count.fetch_add(1, Ordering::SeqCst);
            let stats = futures_util::FutureExt::now_or_never(outbox.stats())
                .unwrap()
                .unwrap();
            *at_ack.lock().unwrap() = stats.open();
        },
    )));
    sender.send(failure("a"));
    sender.send_batch(Err(Error::new(ErrorKind::Unavailable, "no master")));
    let running = start(&engine);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(acked.load(Ordering::SeqCst), 1);
    assert_eq!(*kept.lock().unwrap(), 2, "acknowledged before it was kept");
    assert_eq!(r.texts().len(), 2);
    assert_eq!(engine.health(), Err("cluster: no master".into()));
    sender.send_batch(Ok(Batch::default()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.health(), Ok(()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_refuses_whole_batches_and_does_not_acknowledge() {
    let r = Arc::new(MemoryReporter::new());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .outbox(MemoryOutbox::with_capacity(2))
        .clock(clock())
        .build()
        .unwrap();
    engine.submit(&failure("a")).await.unwrap();
    engine.submit(&failure("b")).await.unwrap();
    let e = engine.submit(&failure("c")).await.unwrap_err();
    assert_eq!((e.kind(), e.is_retryable()), (ErrorKind::Full, true));
    engine.run_until_idle().await.unwrap();
    assert_eq!(engine.submit(&failure("c")).await.unwrap().new, 1);
    engine.run_until_idle().await.unwrap();
    let texts = r.texts();
    assert_eq!(texts.iter().filter(|t| t.starts_with("Task")).count(), 3);
    assert!(texts.iter().any(|t| t.starts_with("The outbox")));
}

#[derive(Debug)]
struct Locator {
    calls: AtomicUsize,
    hang: bool,
}

#[async_trait]
impl LogLocator for Locator {
    async fn locate(&self, f: &FailureRecord) -> Result<Vec<LogStream>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.hang {
            std::future::pending::<()>().await;
        }
        if f.id == "gone" {
            return Err(Error::new(ErrorKind::Rejected, "the sandbox is gone"));
        }
        Ok(vec![
            LogStream::new("stdout", "http://a/out"),
            LogStream::new("stderr", "http://a/err"),
        ])
    }
    async fn open(&self, _: &FailureRecord, _: &LogStream, _: LogPart) -> Result<OpenLog> {
        Err(Error::internal("not read by the uploader noop"))
    }
}

/// Keeps what reports say of logs.
#[derive(Debug, Default)]
struct Keeper(Mutex<Vec<(String, String)>>);

#[async_trait]
impl Reporter for Keeper {
    fn scheme(&self) -> &'static str {
        "keeper"
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, s: &Settings) -> Result<Option<Destination>> {
        Ok(Some(Destination::new(
            "keeper",
            [s.instance()],
            s.instance(),
        )))
    }
    async fn report(&self, report: &Report, _: &ReportOptions<'_>) -> Result<Receipt> {
        let links = report.links();
        self.0
            .lock()
            .unwrap()
            .push((links.stderr.clone(), links.missing.clone()));
        if report.subject().failure().is_some_and(|f| f.id == "panic") {
            panic!("a reporter of somebody else's");
        }
        Ok(Receipt::delivered("keeper"))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}

fn from_cluster(id: &str) -> FailureRecord {
    let mut f = failure(id);
    f.source = "cluster".into();
    f.with_default_key()
}

#[tokio::test(start_paused = true)]
async fn logs_are_found_once_per_failure_and_their_absence_is_told() {
    let keeper = Arc::new(Keeper::default());
    let locator = Arc::new(Locator {
        calls: AtomicUsize::new(0),
        hang: false,
    });
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&keeper))
        .locator("cluster", Arc::clone(&locator))
        .clock(clock())
        .build()
        .unwrap();
    let twice = from_cluster("a").with_label("complainer_keeper_instances", "default,team");
    engine.submit(&twice).await.unwrap();
    engine.submit(&from_cluster("gone")).await.unwrap();
    engine.run_until_idle().await.unwrap();
    let mut kept = keeper.0.lock().unwrap().clone();
    kept.sort();
    assert_eq!(
        kept,
        [
            (String::new(), "the sandbox is gone".to_owned()),
            ("http://a/err".to_owned(), String::new()),
            ("http://a/err".to_owned(), String::new()),
        ]
    );
    assert_eq!(locator.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_locator_that_hangs_costs_the_links_and_not_the_report() {
    let keeper = Arc::new(Keeper::default());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&keeper))
        .locator(
            "cluster",
            Locator {
                calls: AtomicUsize::new(0),
                hang: true,
            },
        )
        .clock(clock())
        .build()
        .unwrap();
    engine.submit(&from_cluster("a")).await.unwrap();
    engine.run_until_idle().await.unwrap();
    assert_eq!(keeper.0.lock().unwrap()[0].1, "not found within 15s");
}

#[tokio::test(start_paused = true)]
async fn a_reporter_that_panics_is_one_that_failed() {
    let keeper = Arc::new(Keeper::default());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&keeper))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("panic")).await.unwrap();
    engine.submit(&failure("b")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(engine.stats().delivered, 1);
    assert!(engine.stats().retries >= 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_in_flight_within_a_bound() {
    let r = Arc::new(MemoryReporter::new());
    r.wait(Duration::from_secs(3));
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let summary = running.stop().await;
    assert_eq!(
        (summary.delivered, summary.open, summary.lost),
        (1, 0, false)
    );

    let r = Arc::new(MemoryReporter::new());
    r.hang();
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .clock(clock())
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&failure("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    let summary = running.stop().await;
    assert_eq!((summary.open, summary.lost), (1, true));
    assert!(
        before.elapsed() <= Duration::from_secs(9),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn ten_thousand_failures_to_a_thousand_destinations_all_arrive() {
    let r = Arc::new(MemoryReporter::new());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&r))
        .build()
        .unwrap();
    let running = start(&engine);
    for i in 0..10_000 {
        let f = failure(&format!("t{i}"))
            .with_label("complainer_memory_channel", format!("#{}", i % 1_000));
        engine.submit(&f).await.unwrap();
    }
    while engine.stats().delivered < 10_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(r.told().len(), 10_000);
    running.stop().await;
}
