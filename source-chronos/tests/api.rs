//! What the API alone tells, and how it is asked.

mod common;

use std::time::Duration;

use common::{Audience, LONG, SHORT, alone, both, briefs};
use notifier_testkit::{
    chronos::{FakeChronos, JobSpec, Verdict},
    http::{Action, Reply},
    mesos::{Death, FakeCluster},
};
use serde_json::json;
use source_chronos::{Backlog, ChronosSource, Notify};

async fn chronos() -> FakeChronos {
    FakeChronos::start().await.unwrap()
}

#[tokio::test]
async fn failures_are_told_by_their_count() {
    let chronos = chronos().await;
    chronos.disable_after_failures(3);
    chronos.job(JobSpec::new("a").retries(1).owner("x@mail.example"));
    let told = Audience::of(alone(&chronos).cluster_name("prod"));
    told.has_list().await;
    let run = chronos.run_alone("a");
    assert_eq!(run.fail(Death::failed()), Verdict::Retried);
    told.looks_again(&chronos).await;
    told.count(0).await;
    run.retry().fail(Death::failed());
    let f = told.count(1).await.remove(0);
    assert_eq!(
        (f.id.as_str(), f.name.as_str(), f.attempt),
        ("a", "a", None)
    );
    assert_eq!(
        (f.state.as_str(), f.message.as_deref()),
        ("CHRONOS_FAILED", None)
    );
    assert_eq!(
        (f.source.as_str(), f.framework.as_str()),
        ("chronos", "chronos")
    );
    assert_eq!(f.owners, ["x@mail.example"]);
    let last = chronos.counters("a").unwrap().last_error.unwrap();
    assert_eq!(f.finished.as_millisecond(), last.as_millisecond());
    for (name, value) in [
        ("case", "failed"),
        ("failures", "1"),
        ("will_retry", "false"),
        ("cluster", "prod"),
        ("attempts", "2"),
        ("disabled", "false"),
    ] {
        assert_eq!(f.details[name], value, "{name}");
    }
    chronos.run_alone("a").fail(Death::failed());
    assert_eq!(told.count(2).await[1].details["failures"], "2");
    assert_eq!(
        chronos.run_alone("a").fail(Death::failed()),
        Verdict::Disabled
    );
    let f = told.count(3).await.remove(2);
    assert_eq!(
        (f.state.as_str(), f.details["failures"].as_str()),
        ("CHRONOS_DISABLED", "3")
    );
    assert_eq!(f.details["case"], "disabled");
    assert!(f.message.is_none());
    told.looks_again(&chronos).await;
    told.count(3).await;
}

#[tokio::test]
async fn what_happens_to_jobs_is_told_once_each() {
    let chronos = chronos().await;
    chronos.jobs([
        JobSpec::new("manual"),
        JobSpec::new("ends").schedule("R1/2026-01-01T00:00:00.000Z/PT1H"),
        JobSpec::new("goes").owner("x@mail.example"),
        JobSpec::new("was").disabled(true),
        JobSpec::new("loud").retries(0).env("CHRONOS_NOTIFY", "2"),
    ]);
    let told = Audience::of(alone(&chronos));
    told.has_list().await;
    chronos.set_disabled("manual", true);
    let f = told.count(1).await.remove(0);
    assert_eq!(
        (f.state.as_str(), f.details["case"].as_str()),
        ("CHRONOS_DISABLED", "disabled")
    );
    assert_eq!(f.message.as_deref(), Some("the job was disabled"));
    assert_eq!(chronos.run_alone("ends").succeed(), Verdict::Exhausted);
    assert_eq!(told.count(2).await[1].state, "CHRONOS_EXHAUSTED");
    chronos.delete("goes");
    let f = told.count(3).await.remove(2);
    assert_eq!((f.state.as_str(), f.owners.len()), ("CHRONOS_DELETED", 1));
    // Enabled and disabled again is another event.
    chronos.set_disabled("manual", false);
    told.looks_again(&chronos).await;
    chronos.set_disabled("manual", true);
    told.count(4).await;
    // From the second failure on.
    chronos.run_alone("loud").fail(Death::failed());
    told.looks_again(&chronos).await;
    told.count(4).await;
    chronos.run_alone("loud").fail(Death::failed());
    let all = told.count(5).await;
    assert_eq!(
        briefs(&all),
        [
            "manual disabled",
            "ends exhausted",
            "goes deleted",
            "manual disabled",
            "loud failed"
        ]
    );
    // A new job, and one of the same name as one that went.
    chronos.jobs([
        JobSpec::new("goes").disabled(true),
        JobSpec::new("fresh").retries(0),
    ]);
    told.looks_again(&chronos).await;
    told.count(5).await;
    chronos.run_alone("fresh").fail(Death::failed());
    assert_eq!(told.count(6).await[5].name, "fresh");
}

#[tokio::test]
async fn what_was_there_before_is_told_if_asked_for() {
    for backlog in [Backlog::Skip, Backlog::Report] {
        let chronos = chronos().await;
        chronos.jobs([
            JobSpec::new("failed").retries(0),
            JobSpec::new("fine").retries(0),
            JobSpec::new("off").disabled(true),
            JobSpec::new("later").retries(0),
        ]);
        chronos.run_alone("failed").fail(Death::failed());
        chronos.run_alone("failed").fail(Death::failed());
        chronos.run_alone("fine").fail(Death::failed());
        chronos.run_alone("fine").succeed();
        chronos.set_counters("fine", |c| {
            c.last_error = Some(notifier_core::jiff::Timestamp::UNIX_EPOCH)
        });
        let told = Audience::of(alone(&chronos).backlog(backlog));
        told.has_list().await;
        chronos.run_alone("later").fail(Death::failed());
        let is_there = |a: &Audience| a.failures().iter().any(|f| f.name == "later");
        told.until("told of later", is_there).await;
        let mut all = briefs(&told.failures());
        all.sort();
        match backlog {
            Backlog::Skip => assert_eq!(all, ["later failed"]),
            Backlog::Report => assert_eq!(all, ["failed failed", "later failed", "off disabled"]),
        }
    }
}

#[tokio::test]
async fn an_empty_list_may_be_a_chronos_that_has_only_begun() {
    let chronos = chronos().await;
    chronos.jobs([JobSpec::new("a").retries(0), JobSpec::new("b")]);
    let told = Audience::of(alone(&chronos));
    told.has_list().await;
    let nothing = Reply::json(200, &json!([]));
    for _ in 0..3 {
        chronos
            .server()
            .next_on("/v1/scheduler/jobs", nothing.clone());
    }
    chronos.run_alone("a").fail(Death::failed());
    assert_eq!(briefs(&told.count(1).await), ["a failed"]);
    // One that is left out of one list is not gone either.
    let half = Reply::json(200, &json!([{"name": "a", "errorCount": 1}]));
    chronos.server().next_on("/v1/scheduler/jobs", half);
    told.looks_again(&chronos).await;
    told.count(1).await;
    chronos.delete("b");
    assert_eq!(briefs(&told.count(2).await), ["a failed", "b deleted"]);
}

#[tokio::test]
async fn odd_jobs_cost_only_themselves() {
    let chronos = chronos().await;
    chronos.odd_entries([
        json!(7),
        json!("text"),
        json!(null),
        json!([1]),
        json!({}),
        json!({"name": 7.5e3, "owner": {"a": 1}, "retries": "many"}),
        json!({"name": ["no"]}),
    ]);
    chronos.jobs([
        JobSpec::new("a")
            .retries(0)
            .field("owner", json!(["x@mail.example"]))
            .field("environmentVariables", json!({"K": "v"}))
            .field("lastSuccess", json!(null))
            .field("disabled", json!("false"))
            .field("arguments", json!("x"))
            .field("newer", json!({"deep": [[[[[[]]]]]]})),
        JobSpec::new("b").retries(0).owner("x@mail.example"),
    ]);
    let told = Audience::of(alone(&chronos));
    told.has_list().await;
    chronos.run_alone("a").fail(Death::failed());
    chronos.run_alone("b").fail(Death::failed());
    let mut all = told.count(2).await;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(briefs(&all), ["a failed", "b failed"]);
    assert!(all[0].owners.is_empty());
    assert_eq!(all[1].owners, ["x@mail.example"]);
    // What cannot be read is not gone.
    chronos.delete("a");
    told.looks_again(&chronos).await;
    told.count(2).await;
}

#[tokio::test]
async fn ten_thousand_jobs() {
    let chronos = chronos().await;
    let spec = |n: usize| {
        JobSpec::new(format!("job-{n:05}"))
            .retries(0)
            .owner(format!("owner-{n}@mail.example"))
    };
    chronos.jobs((0..10_000).map(spec));
    let builder = || alone(&chronos).interval(Duration::from_secs(1));
    let told = Audience::of(builder());
    told.has_list().await;
    chronos.run_alone("job-07777").fail(Death::failed());
    let f = told.count(1).await.remove(0);
    assert_eq!(f.owners, ["owner-7777@mail.example"]);
    let store = told.stop();
    let kept = store.cursor.as_ref().unwrap()["jobs"].as_array().unwrap();
    assert_eq!(kept.len(), 10_000);
    chronos.run_alone("job-04444").fail(Death::failed());
    let told = Audience::resuming(builder(), store);
    assert_eq!(briefs(&told.count(1).await), ["job-04444 failed"]);
}

#[tokio::test]
async fn failures_while_nobody_listened_are_told_after_a_restart() {
    let chronos = chronos().await;
    chronos.jobs([
        JobSpec::new("a").retries(0),
        JobSpec::new("b"),
        JobSpec::new("c"),
    ]);
    let told = Audience::of(alone(&chronos));
    told.has_list().await;
    chronos.run_alone("a").fail(Death::failed());
    told.count(1).await;
    let store = told.stop();
    chronos.run_alone("a").fail(Death::failed());
    chronos.run_alone("a").fail(Death::failed());
    chronos.set_disabled("b", true);
    chronos.delete("c");
    let told = Audience::resuming(alone(&chronos), store);
    let mut all = briefs(&told.count(3).await);
    all.sort();
    assert_eq!(all, ["a failed", "b disabled", "c deleted"]);
    let failed = told.failures().into_iter().find(|f| f.name == "a").unwrap();
    assert_eq!(failed.details["failures"], "3");
    // Nothing of it again after another.
    let told = Audience::resuming(alone(&chronos), told.stop());
    told.looks_again(&chronos).await;
    told.count(0).await;
}

#[tokio::test]
async fn both_forms_are_known_and_remembered() {
    let chronos = chronos().await;
    chronos.new_api(false);
    chronos.job(JobSpec::new("a").retries(0));
    let told = Audience::of(alone(&chronos));
    told.has_list().await;
    told.looks_again(&chronos).await;
    let new = |r: &notifier_testkit::http::Request| r.path() == "/v1/scheduler/jobs";
    assert_eq!(chronos.server().count_requests(new), 1);
    // An upgrade.
    chronos.new_api(true);
    chronos.run_alone("a").fail(Death::failed());
    told.count(1).await;
    assert!(told.errors().is_empty(), "{:?}", told.errors());
}

#[tokio::test]
async fn the_first_that_answers_is_asked() {
    let (one, two) = (chronos().await, chronos().await);
    for c in [&one, &two] {
        c.job(JobSpec::new("a").retries(0));
    }
    one.server().refuse();
    let urls = format!("{},{}", one.url(), two.url());
    let builder = || {
        ChronosSource::builder([urls.as_str()])
            .interval(Duration::from_millis(30))
            .settle(LONG)
    };
    let told = Audience::of(builder());
    told.has_list().await;
    told.looks_again(&two).await;
    one.server().restore().unwrap();
    // It stays with the one that answers.
    let before = one.lists();
    told.looks_again(&two).await;
    assert_eq!(one.lists(), before);
    two.broken_proxy(true);
    one.run_alone("a").fail(Death::failed());
    told.count(1).await;
    assert!(told.errors().is_empty(), "{:?}", told.errors());
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_shows_in_one_line() {
    let chronos = chronos().await;
    chronos.job(JobSpec::new("a").retries(0));
    let redirect = Reply::redirect(307, "http://127.0.0.1:1/v1/scheduler/jobs");
    let cases: [(Action, &str); 8] = [
        (Action::garbage(), "no list of jobs"),
        (Action::html(200), "no list of jobs"),
        (Action::html(404), "is it Chronos?"),
        (
            Reply::json(200, &json!({"jobs": []})).into(),
            "no list of jobs",
        ),
        (redirect.into(), "redirect"),
        (Action::html(503), "503"),
        (Action::CloseAfterBody, "no list of jobs"),
        (
            Reply::text(200, "[{\"name\":\"a\"}").into(),
            "no list of jobs",
        ),
    ];
    for (action, wanted) in cases {
        chronos.server().clear();
        chronos.server().always(action);
        let told = Audience::of(alone(&chronos));
        told.until("ill", Audience::is_ill).await;
        let error = told.errors().remove(0);
        assert!(error.contains(wanted) && !error.contains('\n'), "{error}");
    }
    chronos.server().clear();
    chronos.broken_proxy(true);
    let told = Audience::of(alone(&chronos));
    told.until("ill", Audience::is_ill).await;
    let error = told.errors().remove(0);
    assert!(
        error.contains("500") && !error.contains("\\n") && !error.contains("at org"),
        "{error}"
    );
    chronos.broken_proxy(false);
    told.until("well", |a| !a.is_ill() && a.batches() > 0).await;
    let short = Audience::of(alone(&chronos).max_answer(64));
    short.until("ill", Audience::is_ill).await;
    assert!(
        short.errors()[0].contains("longer than 64 bytes"),
        "{:?}",
        short.errors()
    );
    chronos.server().hang();
    let told = Audience::of(alone(&chronos).timeout(SHORT));
    told.until("ill", Audience::is_ill).await;
    assert!(told.errors()[0].contains("in time"), "{:?}", told.errors());
}

#[tokio::test]
async fn credentials_are_shown_to_chronos_alone() {
    let chronos = chronos().await;
    chronos.credentials("ops", "hunter2:x");
    chronos.job(JobSpec::new("a").retries(0));
    let none = Audience::of(alone(&chronos));
    none.until("ill", Audience::is_ill).await;
    assert!(
        none.errors()[0].contains("set chronos.credentials"),
        "{:?}",
        none.errors()
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pair");
    std::fs::write(&path, "ops:wrong-one\n").unwrap();
    let builder = alone(&chronos).credentials(&format!("file:{}", path.display()));
    let shown = format!("{builder:?}");
    let told = Audience::of(builder);
    told.until("ill", Audience::is_ill).await;
    let error = told.errors().remove(0);
    assert!(
        error.contains("401") && error.contains("check chronos.credentials"),
        "{error}"
    );
    // It is read anew.
    std::fs::write(&path, "ops:hunter2:x\n").unwrap();
    told.has_list().await;
    let all = format!("{shown}{error}{:?}", told.store().cursor);
    assert!(
        !all.contains("hunter2") && !all.contains("wrong-one"),
        "{all}"
    );
    let plain = Audience::of(alone(&chronos).credentials("ops:hunter2:x"));
    plain.has_list().await;
}

#[tokio::test]
async fn while_chronos_is_down_failures_go_out_all_the_same() {
    let cluster = FakeCluster::start().await.unwrap();
    let chronos = chronos().await;
    chronos.jobs([
        JobSpec::new("a").retries(0).owner("x@mail.example"),
        JobSpec::new("b").retries(3),
    ]);
    chronos.server().refuse();
    let told = Audience::of(both(&chronos, &cluster).settle(SHORT));
    told.until("ill and streaming", |a| {
        a.is_ill() && cluster.streams().open == 1
    })
    .await;
    told.until("begun", |a| a.batches() > 0).await;
    // Nothing is known of the jobs: who would be told? It waits for longer than `settle`.
    chronos.run(&cluster, "a").fail(Death::failed());
    let verdict = chronos.run(&cluster, "b").fail(Death::failed());
    assert_eq!(verdict, Verdict::Retried);
    told.until("holding both", |a| {
        a.cursor_says(|c| c["waiting"].as_array().is_some_and(|w| w.len() == 2))
    })
    .await;
    tokio::time::sleep(2 * SHORT).await;
    told.count(0).await;
    // Nor does a kill lose it.
    let told = Audience::resuming(both(&chronos, &cluster).settle(SHORT), told.stop());
    told.until("ill", Audience::is_ill).await;
    tokio::time::sleep(2 * SHORT).await;
    told.count(0).await;
    chronos.server().restore().unwrap();
    let f = told.count(1).await.remove(0);
    assert_eq!((f.name.as_str(), f.attempt), ("a", Some(1)));
    assert_eq!(f.owners, ["x@mail.example"]);
    assert_eq!(f.details["will_retry"], "false");
    told.has_list().await;
    // Known before a restart while it is down.
    let store = told.stop();
    chronos.server().refuse();
    let told = Audience::resuming(
        both(&chronos, &cluster).settle(SHORT).notify(Notify::Every),
        store,
    );
    told.until("ill and streaming", |a| {
        a.is_ill() && cluster.streams().open == 1
    })
    .await;
    chronos.run(&cluster, "a").fail(Death::failed());
    let f = told.count(1).await.remove(0);
    assert_eq!(f.owners, ["x@mail.example"]);
    assert_eq!(f.details["case"], "failed");
    chronos.run(&cluster, "b").fail(Death::failed());
    let f = told.count(2).await.remove(1);
    assert_eq!(
        (f.details["case"].as_str(), f.details["will_retry"].as_str()),
        ("attempt", "true")
    );
    chronos.server().restore().unwrap();
    told.until("well", |a| !a.is_ill()).await;
    // For longer than anything waits.
    let end = tokio::time::Instant::now() + 2 * SHORT;
    while tokio::time::Instant::now() < end {
        told.looks_again(&chronos).await;
    }
    told.count(2).await;
}
