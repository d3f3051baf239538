//! What a kill leaves behind.

mod common;

use std::sync::Arc;

use common::{Audience, SHORT, alone, both, briefs};
use notifier_core::{
    Engine, FailureRecord,
    memory::{MemoryOutbox, MemoryReporter},
};
use notifier_testkit::{
    chronos::{FakeChronos, JobSpec, Run, Verdict},
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
        a.cursor_says(|c| c.get("waiting").is_some())
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

/// Whatever happens to jobs: told is what Chronos gave up, in order, once, over kills.
#[tokio::test]
async fn what_is_told_is_what_chronos_gave_up() {
    let (chronos, cluster) = pair().await;
    let jobs = ["a", "b", "c"];
    for (retries, job) in (0..).zip(jobs) {
        chronos.job(JobSpec::new(job).retries(retries));
    }
    let mut dice = fastrand::Rng::with_seed(6);
    let mut told = Audience::of(both(&chronos, &cluster));
    told.is_ready(&cluster).await;
    let mut before = Vec::new();
    let mut wanted = Vec::new();
    let mut next: [Option<Run>; 3] = [None, None, None];
    let mut failed = 0;
    for _ in 0..80 {
        let job = dice.usize(..jobs.len());
        let run = next[job]
            .take()
            .unwrap_or_else(|| chronos.run(&cluster, jobs[job]));
        if dice.u8(..4) == 0 {
            run.succeed();
        } else {
            match run.fail(Death::failed()) {
                Verdict::Failed => wanted.push(run.id().to_owned()),
                Verdict::Retried => next[job] = Some(run.retry()),
                other => panic!("{other:?}"),
            }
            failed += 1;
        }
        if dice.u8(..8) == 0 {
            before.extend(told.failures());
            let store = told.stop();
            told = Audience::resuming(both(&chronos, &cluster), store);
        }
        told.until("judging all", |a| {
            a.cursor_says(|c| {
                let judged = c["judged"].as_str().map_or(0, str::len) / 16;
                judged == failed && c.get("waiting").is_none()
            })
        })
        .await;
    }
    before.extend(told.failures());
    let ids: Vec<&str> = before.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, wanted);
    assert!(wanted.len() > 20 && failed > wanted.len() + 10, "{failed}");
    assert!(before.iter().all(|f| f.details["will_retry"] == "false"));
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
    let told = names();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains(":0:a:") && told[1].contains(":0:b:"),
        "{told:?}"
    );
}
