//! Failed runs as the cluster tells them, judged as Chronos does.

mod common;

use common::{Audience, LONG, SHORT, alone, both, briefs, mesos, polling};
use futures_util::StreamExt as _;
use notifier_core::{FailureRecord, Source as _};
use notifier_testkit::{
    chronos::{FakeChronos, JobSpec, Verdict},
    mesos::{Death, FakeCluster, TaskSpec},
};
use source_chronos::Notify;

fn names(failures: &[FailureRecord]) -> Vec<&str> {
    failures.iter().map(|f| f.name.as_str()).collect()
}

async fn pair() -> (FakeChronos, FakeCluster) {
    let cluster = FakeCluster::start().await.unwrap();
    (FakeChronos::start().await.unwrap(), cluster)
}

#[tokio::test]
async fn the_last_attempt_is_told_with_all_that_is_known() {
    let (chronos, cluster) = pair().await;
    chronos.job(
        JobSpec::new("nightly")
            .owner("a@mail.example , b@mail.example")
            .owner_name("The A")
            .retries(2)
            .argument("--all")
            .env("COMPLAINER_SMTP_TO", "c@mail.example")
            .env("DB_PASSWORD", "hunter2-secret"),
    );
    let told = Audience::of(both(&chronos, &cluster).cluster_name("prod"));
    told.is_ready(&cluster).await;
    let run = chronos.run(&cluster, "nightly");
    assert_eq!(run.fail(Death::failed().exit(3)), Verdict::Retried);
    let second = run.retry();
    assert_eq!(second.fail(Death::failed().exit(3)), Verdict::Retried);
    let third = second.retry();
    assert_eq!(third.fail(Death::failed().exit(3)), Verdict::Failed);
    let f = told.count(1).await.remove(0);
    assert_eq!((f.name.as_str(), f.id.as_str()), ("nightly", third.id()));
    assert_eq!((f.attempt, f.exit_code), (Some(3), Some(3)));
    assert_eq!(f.owners, ["a@mail.example", "b@mail.example"]);
    assert_eq!(
        (f.state.as_str(), f.framework.as_str()),
        ("TASK_FAILED", "chronos")
    );
    assert_eq!((f.source.as_str(), f.locator.is_some()), ("mesos", true));
    assert!(
        f.message
            .as_deref()
            .is_some_and(|m| m.contains("exited with status 3"))
    );
    assert_eq!(f.labels.len(), 1);
    assert_eq!(f.labels["complainer_smtp_to"], "c@mail.example");
    let counted = chronos.counters("nightly").unwrap();
    let at = counted.last_error.unwrap();
    let at = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    for (name, value) in [
        ("case", "failed"),
        ("cluster", "prod"),
        ("retries", "2"),
        ("attempts", "3"),
        ("failures", "1"),
        ("runs", "3"),
        ("at", at.as_str()),
        ("will_retry", "false"),
        ("schedule", counted.schedule.as_str()),
        ("owner_name", "The A"),
        ("disabled", "false"),
        ("arguments", "--all"),
    ] {
        assert_eq!(
            f.details.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    assert!(!f.details.contains_key("parents") && !f.details.contains_key("last_success"));
    let all = format!("{:?}{:?}", serde_json::to_string(&f), told.store().cursor);
    assert!(!all.contains("hunter2"), "{all}");
}

#[tokio::test]
async fn every_attempt_is_told_if_asked_for() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(1));
    let told = Audience::of(both(&chronos, &cluster).notify(Notify::Every));
    told.is_ready(&cluster).await;
    let run = chronos.run(&cluster, "a");
    run.fail(Death::failed());
    let first = told.count(1).await.remove(0);
    assert_eq!(first.details["case"], "attempt");
    assert_eq!(first.details["will_retry"], "true");
    run.retry().fail(Death::lost());
    told.count(2).await;
    // Failed for good: no attempts from now on.
    chronos.run(&cluster, "a").fail(Death::failed());
    let all = told.count(3).await;
    assert_eq!(briefs(&all), ["a attempt 1", "a failed 2", "a failed 1"]);
    assert_eq!(all[2].details["failures"], "2");
    assert_eq!(all[2].details["runs"], "3");
    told.looks_again(&chronos).await;
    told.count(3).await;
}

#[tokio::test]
async fn from_the_nth_run_in_a_row_on() {
    let (chronos, cluster) = pair().await;
    chronos.jobs([
        JobSpec::new("a").retries(0),
        JobSpec::new("loud")
            .retries(5)
            .env("CHRONOS_NOTIFY", "every"),
        JobSpec::new("odd")
            .retries(0)
            .env("chronos_notify", "sometimes"),
    ]);
    let told = Audience::of(both(&chronos, &cluster).notify(Notify::After(2)));
    told.is_ready(&cluster).await;
    let fail = |job: &str| chronos.run(&cluster, job).fail(Death::failed());
    fail("a");
    fail("loud");
    assert_eq!(briefs(&told.count(1).await), ["loud attempt 1"]);
    fail("a");
    told.count(2).await;
    chronos.run(&cluster, "a").succeed();
    fail("a");
    fail("odd");
    fail("odd");
    told.until("told of odd", |a| {
        a.failures().iter().any(|f| f.name == "odd")
    })
    .await;
    fail("a");
    assert_eq!(
        briefs(&told.count(4).await),
        ["loud attempt 1", "a failed 1", "odd failed 1", "a failed 1"]
    );
}

#[tokio::test]
async fn a_success_gives_retries_back() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(1));
    let told = Audience::of(both(&chronos, &cluster).notify(Notify::Every));
    told.is_ready(&cluster).await;
    let mut n = 0;
    for (succeeds, wanted) in [(false, "attempt"), (true, "attempt"), (true, "attempt")] {
        if succeeds {
            chronos.run(&cluster, "a").succeed();
        }
        let run = chronos.run(&cluster, "a");
        assert_eq!(run.fail(Death::failed()), Verdict::Retried);
        n += 1;
        assert_eq!(told.count(n).await[n - 1].details["case"], wanted);
        assert_eq!(run.retry().fail(Death::failed()), Verdict::Failed);
        n += 1;
        assert_eq!(told.count(n).await[n - 1].details["case"], "failed");
    }
}

#[tokio::test]
async fn a_job_that_is_disabled_for_its_failures_is_told_once() {
    let (chronos, cluster) = pair().await;
    chronos.disable_after_failures(2);
    chronos.jobs([JobSpec::new("a").retries(0), JobSpec::new("b").retries(0)]);
    for known in [0, 2] {
        let told = Audience::of(both(&chronos, &cluster).disable_after_failures(known));
        told.is_ready(&cluster).await;
        let job = if known == 0 { "a" } else { "b" };
        assert_eq!(
            chronos.run(&cluster, job).fail(Death::failed()),
            Verdict::Failed
        );
        told.count(1).await;
        assert_eq!(
            chronos.run(&cluster, job).fail(Death::failed()),
            Verdict::Disabled
        );
        let f = told.count(2).await.remove(1);
        assert_eq!(
            (f.details["case"].as_str(), f.details["failures"].as_str()),
            ("disabled", "2")
        );
        assert_eq!(
            (f.details["disabled"].as_str(), f.state.as_str()),
            ("true", "TASK_FAILED")
        );
        told.looks_again(&chronos).await;
        told.count(2).await;
    }
}

#[tokio::test]
async fn who_is_slow_to_count_is_waited_for() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    let told = Audience::of(both(&chronos, &cluster));
    told.is_ready(&cluster).await;
    chronos.hold_counting();
    let run = chronos.run(&cluster, "a");
    assert_eq!(run.fail(Death::failed()), Verdict::Held);
    told.until("holding it", |a| {
        a.cursor_says(|c| c.get("waiting").is_some())
    })
    .await;
    told.looks_again(&chronos).await;
    told.count(0).await;
    chronos.count_held();
    let f = told.count(1).await.remove(0);
    assert_eq!(f.details["case"], "failed");
}

#[tokio::test]
async fn nobody_waits_for_ever_and_nothing_is_told_twice() {
    let (chronos, cluster) = pair().await;
    chronos.disable_after_failures(1);
    chronos.jobs([JobSpec::new("a").retries(0), JobSpec::new("b").retries(0)]);
    let told = Audience::of(both(&chronos, &cluster).settle(SHORT));
    told.is_ready(&cluster).await;
    chronos.hold_counting();
    chronos.run(&cluster, "a").fail(Death::failed());
    let f = told.count(1).await.remove(0);
    assert_eq!(f.details["case"], "failed");
    // Counted at last, and disabled for it: the same event.
    assert_eq!(chronos.count_held(), [Verdict::Disabled]);
    told.looks_again(&chronos).await;
    chronos.run(&cluster, "b").fail(Death::failed());
    assert_eq!(names(&told.count(2).await), ["a", "b"]);
}

#[tokio::test]
async fn ends_that_chronos_ignores_are_final() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").owner("x@mail.example").retries(5));
    let told = Audience::of(both(&chronos, &cluster));
    told.is_ready(&cluster).await;
    assert_eq!(
        chronos.run(&cluster, "a").fail(Death::error()),
        Verdict::Ignored
    );
    let f = told.count(1).await.remove(0);
    assert_eq!(
        (f.state.as_str(), f.details["will_retry"].as_str()),
        ("TASK_ERROR", "false")
    );
    assert_eq!((f.details["case"].as_str(), f.owners.len()), ("failed", 1));
}

#[tokio::test]
async fn what_the_cluster_does_not_tell_the_api_does() {
    let (chronos, cluster) = pair().await;
    chronos.jobs([JobSpec::new("a").retries(0), JobSpec::new("b").retries(0)]);
    let told = Audience::of(both(&chronos, &cluster).settle(SHORT));
    told.is_ready(&cluster).await;
    let run = chronos.run(&cluster, "a");
    run.fail_unseen(Death::failed());
    let f = told.count(1).await.remove(0);
    assert_eq!(
        (f.state.as_str(), f.source.as_str()),
        ("CHRONOS_FAILED", "chronos")
    );
    // The cluster tells it at last: it is no other failure.
    let at = chronos.counters("a").unwrap().last_error.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    let at = at.as_second() as f64;
    cluster.fail(run.task().unwrap(), Death::failed().at(at));
    chronos.run(&cluster, "b").fail(Death::failed());
    assert_eq!(names(&told.count(2).await), ["a", "b"]);
    told.looks_again(&chronos).await;
    told.count(2).await;
}

#[tokio::test]
async fn chronos_may_be_faster_than_the_cluster() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    let told = Audience::of(both(&chronos, &cluster));
    told.is_ready(&cluster).await;
    let run = chronos.run(&cluster, "a");
    run.fail_unseen(Death::failed());
    told.looks_again(&chronos).await;
    told.count(0).await;
    cluster.fail(run.task().unwrap(), Death::failed());
    assert_eq!(briefs(&told.count(1).await), ["a failed 1"]);
    told.looks_again(&chronos).await;
    told.count(1).await;
}

#[tokio::test]
async fn tasks_of_others_are_passed_over_and_their_listing_is_not() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    cluster.launch_failed(TaskSpec::new("web.0"), Death::failed());
    let source = both(&chronos, &cluster).build().unwrap();
    let mut events = Box::new(source).events(None);
    let mut baseline = Vec::new();
    let mut listed = Vec::new();
    let mut has_launched = false;
    while listed.len() < 2 {
        let batch = events.next().await.unwrap().unwrap();
        assert!(batch.failures.is_empty(), "{:?}", batch.failures);
        baseline.extend(batch.baseline);
        if let Some(keys) = batch.listed {
            listed = keys;
            if !std::mem::replace(&mut has_launched, true) {
                cluster.launch_failed(TaskSpec::new("web.1"), Death::failed());
            }
        }
        batch.ack.done();
    }
    assert!(baseline.iter().all(|key| listed.contains(key)) && !baseline.is_empty());
}

#[tokio::test]
async fn a_batch_that_is_not_stored_comes_again() {
    let (chronos, cluster) = pair().await;
    chronos.jobs([JobSpec::new("a").retries(0), JobSpec::new("b").retries(0)]);
    let told = Audience::refusing(both(&chronos, &cluster), 2);
    told.is_ready(&cluster).await;
    chronos.run(&cluster, "a").fail(Death::failed());
    chronos.run(&cluster, "b").fail(Death::failed());
    let mut all = briefs(&told.count(2).await);
    all.sort();
    assert_eq!(all, ["a failed 1", "b failed 1"]);
}

#[tokio::test]
async fn an_inner_source_that_ends_shows() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    let told = Audience::of(both(&chronos, &cluster).settle(SHORT));
    told.is_ready(&cluster).await;
    cluster.master(0).refuse();
    told.until("ill", Audience::is_ill).await;
    // Told by the API meanwhile; and it stays ill.
    chronos.run_alone("a").fail(Death::failed());
    told.count(1).await;
    told.until("still ill", Audience::is_ill).await;
    cluster.master(0).restore().unwrap();
    told.until("well", |a| !a.is_ill()).await;
}

#[tokio::test]
async fn trouble_of_one_side_is_not_called_over_by_the_other() {
    let (chronos, cluster) = pair().await;
    chronos.job(JobSpec::new("a").retries(0));
    let told = Audience::of(alone(&chronos).inner(polling(&cluster)).settle(SHORT));
    told.has_list().await;
    told.until("begun", |a| a.cursor_says(|c| c.get("inner").is_some()))
        .await;
    chronos.server().refuse();
    told.until("ill", Audience::is_ill).await;
    chronos.server().restore().unwrap();
    told.until("well", |a| !a.is_ill()).await;
    chronos.broken_proxy(true);
    told.until("ill again", Audience::is_ill).await;
    let (batches, outbreaks) = (told.batches(), told.outbreaks());
    told.until("polling on, over failing lists", |a| {
        a.batches() > batches + 20
    })
    .await;
    // Each batch says what is in trouble, and health and the log have it once.
    assert!(told.is_ill(), "{:?}", told.errors());
    assert_eq!(told.outbreaks(), outbreaks);
    chronos.run(&cluster, "a").fail(Death::failed());
    assert_eq!(names(&told.count(1).await), ["a"]);
    assert!(told.is_ill());
    assert_eq!(told.outbreaks(), outbreaks);
    chronos.broken_proxy(false);
    told.until("well", |a| !a.is_ill()).await;
    let batches = told.batches();
    told.until("hearing of polls", |a| a.batches() > batches + 5)
        .await;
}

#[tokio::test]
async fn tasks_may_be_named_by_the_framework() {
    let (chronos, cluster) = pair().await;
    chronos.framework("chronos-dev");
    chronos.job(JobSpec::new("a").retries(0));
    let other = alone(&chronos)
        .inner(mesos(&cluster))
        .framework("chronos-prod");
    let told = Audience::of(
        alone(&chronos)
            .inner(mesos(&cluster))
            .framework("chronos-dev"),
    );
    let deaf = Audience::of(other.settle(LONG));
    told.has_list().await;
    deaf.has_list().await;
    told.until("both streaming", |_| cluster.streams().open == 2)
        .await;
    chronos.run(&cluster, "a").fail(Death::failed());
    assert_eq!(briefs(&told.count(1).await), ["a failed 1"]);
    deaf.looks_again(&chronos).await;
    deaf.count(0).await;
}

#[tokio::test]
async fn all_that_the_first_list_has_counted_is_told_with_it() {
    let (chronos, cluster) = pair().await;
    chronos.jobs([
        JobSpec::new("a").retries(0).owner("x@mail.example"),
        JobSpec::new("b").retries(1),
    ]);
    chronos.server().refuse();
    // Nothing is told by waiting for `settle`.
    let told = Audience::of(both(&chronos, &cluster).settle(LONG));
    told.until("begun", |a| a.cursor_says(|c| c.get("inner").is_some()))
        .await;
    told.until("streaming", |_| cluster.streams().open == 1)
        .await;
    for _ in 0..3 {
        let verdict = chronos.run(&cluster, "a").fail(Death::failed());
        assert_eq!(verdict, Verdict::Failed);
    }
    let run = chronos.run(&cluster, "b");
    assert_eq!(run.fail(Death::failed()), Verdict::Retried);
    assert_eq!(run.retry().fail(Death::failed()), Verdict::Failed);
    let verdict = chronos.run(&cluster, "b").fail(Death::failed());
    assert_eq!(verdict, Verdict::Failed);
    told.until("holding all", |a| {
        a.cursor_says(|c| c["waiting"].as_array().is_some_and(|w| w.len() == 6))
    })
    .await;
    chronos.server().restore().unwrap();
    let all = told.count(5).await;
    let counts = |job: &str| -> Vec<String> {
        let of_job = all.iter().filter(|f| f.name == job);
        of_job.map(|f| f.details["failures"].clone()).collect()
    };
    assert_eq!(counts("a"), ["1", "2", "3"]);
    assert_eq!(counts("b"), ["1", "2"]);
    told.looks_again(&chronos).await;
    told.count(5).await;
}
