//! What a kill leaves behind.

mod common;

use std::sync::Arc;

use common::{Audience, SHORT, alone, both, briefs};
use notifier_core::{
    Engine, FailureRecord,
    memory::{MemoryOutbox, MemoryReporter},
};
use notifier_testkit::{
    chronos::{FakeChronos, JobSpec, Verdict},
    mesos::{Death, FakeCluster},
};
use source_chronos::Notify;

async fn pair() -> (FakeChronos, FakeCluster) {
    let cluster = FakeCluster::start().await.unwrap();
    (FakeChronos::start().await.unwrap(), cluster)
}

#[tokio::test]
async fn what_is_held_back_outlives_a_kill_and_the_cluster() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0).owner("x@mail.example"));
    let told = Audience::of(both(&chronos, &cluster));
    told.is_ready(&cluster).await;
    chronos.hold_counting();
    let run = chronos.run(&cluster, "a");
    run.fail(Death::failed().exit(7));
    told.until("holding it", |a| {
        let cursor = a.store().cursor.unwrap_or_default();
        cursor.get("waiting").is_some()
    })
    .await;
    told.count(0).await;
    let store = told.stop();
    chronos.count_held();
    // Another cluster, which knows nothing of it.
    let other = FakeCluster::start().await.unwrap();
    let told = Audience::resuming(both(&chronos, &other), store);
    let f = told.count(1).await.remove(0);
    assert_eq!((f.id.as_str(), f.exit_code), (run.id(), Some(7)));
    assert_eq!((f.details["case"].as_str(), f.owners.len()), ("failed", 1));
    let told = Audience::resuming(both(&chronos, &other), told.stop());
    told.has_list().await;
    told.looks_again(&chronos).await;
    told.count(0).await;
}

#[tokio::test]
async fn runs_are_counted_over_restarts_and_each_once() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(9));
    let builder = || both(&chronos, &cluster).notify(Notify::After(4));
    let told = Audience::of(builder());
    told.is_ready(&cluster).await;
    let runs = |told: &Audience| {
        let cursor = told.store().cursor.unwrap_or_default();
        cursor["jobs"][0]["n"].as_u64().unwrap_or(0)
    };
    let mut store = told.stop();
    for n in 1..=3 {
        let told = Audience::resuming(builder(), store);
        told.until("streaming", |_| cluster.streams().open == 1)
            .await;
        assert_eq!(
            chronos.run(&cluster, "a").fail(Death::failed()),
            Verdict::Retried
        );
        told.until("counting", |a| runs(a) >= n).await;
        told.looks_again(&chronos).await;
        assert_eq!(runs(&told), n);
        told.count(0).await;
        store = told.stop();
    }
    let told = Audience::resuming(builder(), store);
    chronos.run(&cluster, "a").fail(Death::failed());
    let f = told.count(1).await.remove(0);
    assert_eq!(
        (f.details["runs"].as_str(), f.details["case"].as_str()),
        ("4", "attempt")
    );
}

#[tokio::test]
async fn runs_that_fail_meanwhile_are_told_apart() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(2));
    let builder = || both(&chronos, &cluster).notify(Notify::Every);
    let told = Audience::of(builder());
    told.is_ready(&cluster).await;
    let store = told.stop();
    let mut run = chronos.run(&cluster, "a");
    for verdict in [Verdict::Retried, Verdict::Retried, Verdict::Failed] {
        assert_eq!(run.fail(Death::failed()), verdict);
        run = run.retry();
    }
    let told = Audience::resuming(builder(), store);
    let mut all = briefs(&told.count(3).await);
    all.sort();
    assert_eq!(all, ["a attempt 1", "a attempt 2", "a failed 3"]);
    told.looks_again(&chronos).await;
    told.count(3).await;
}

#[tokio::test]
async fn the_very_first_start_tells_nothing_of_before() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    chronos.run(&cluster, "a").fail(Death::failed());
    let told = Audience::of(both(&chronos, &cluster).settle(SHORT));
    told.is_ready(&cluster).await;
    told.looks_again(&chronos).await;
    told.count(0).await;
    // Nor does the second, to which the cluster lists it again.
    let told = Audience::resuming(both(&chronos, &cluster).settle(SHORT), told.stop());
    told.looks_again(&chronos).await;
    chronos.run(&cluster, "a").fail(Death::failed());
    told.until("told", |a| !a.failures().is_empty()).await;
    let all: Vec<FailureRecord> = told.count(1).await;
    assert_eq!(all[0].details["runs"], "1");
}

#[tokio::test]
async fn an_odd_cursor_counts_as_none() {
    let (chronos, _) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    for odd in [
        "7",
        "{}",
        r#"{"version":99}"#,
        r#"{"version":1,"jobs":[1]}"#,
    ] {
        let store = common::Store {
            cursor: serde_json::from_str(odd).ok(),
            ..common::Store::default()
        };
        let told = Audience::resuming(alone(&chronos), store);
        told.has_list().await;
        chronos.run_alone("a").fail(Death::failed());
        told.count(1).await;
    }
}

#[tokio::test]
async fn through_the_engine_and_its_outbox() {
    let (chronos, cluster) = pair().await;
    chronos.jobs([JobSpec::new("a").retries(0), JobSpec::new("b").retries(0)]);
    let outbox = Arc::new(MemoryOutbox::new());
    let reporter = Arc::new(MemoryReporter::new());
    let names = || -> Vec<String> {
        let told = reporter.told();
        told.iter().map(|t| t.text.clone()).collect()
    };
    let until = async |n: usize| {
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        while names().len() < n {
            assert!(tokio::time::Instant::now() < end, "{:?}", names());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    for job in ["a", "b"] {
        let source = both(&chronos, &cluster).build().unwrap();
        let engine = Engine::builder("default")
            .reporter(Arc::clone(&reporter))
            .outbox(Arc::clone(&outbox))
            .source(source)
            .build()
            .unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            engine.run(stop).await
        });
        let lists = chronos.lists();
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        while chronos.lists() < lists + 3 || cluster.streams().open != 1 {
            assert!(tokio::time::Instant::now() < end, "no lists");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        chronos.run(&cluster, job).fail(Death::failed());
        until(if job == "a" { 1 } else { 2 }).await;
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }
    assert_eq!(names(), ["a", "b"]);
}
