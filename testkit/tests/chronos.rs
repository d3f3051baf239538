//! The fake Chronos, through a plain client.
#![cfg(feature = "chronos")]

mod common;

use common::client;
use notifier_core::jiff::Timestamp;
use notifier_testkit::{
    chronos::{FakeChronos, JobSpec, Verdict},
    mesos::{Death, FakeCluster, TaskState},
};
use serde_json::{Value, json};

async fn get(chronos: &FakeChronos, path: &str) -> (u16, String) {
    let url = format!("{}{path}", chronos.url());
    let answer = client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn jobs(chronos: &FakeChronos) -> Vec<Value> {
    let (status, text) = get(chronos, "/v1/scheduler/jobs").await;
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millisecond(1_767_323_040_000 + second * 1000 + 78).unwrap()
}

#[tokio::test]
async fn retries_come_first_and_then_none_until_a_success() {
    let chronos = FakeChronos::start().await.unwrap();
    chronos.set_now(Some(at(0)));
    chronos.job(JobSpec::new("a").retries(1));
    let run = chronos.run_alone("a");
    assert_eq!(run.id(), "ct:1767323040078:0:a:");
    assert_eq!(run.fail(Death::failed()), Verdict::Retried);
    assert_eq!(chronos.counters("a").unwrap().errors, 0);
    let second = run.retry();
    assert_eq!(second.attempt(), 1);
    assert_eq!(second.fail(Death::lost()), Verdict::Failed);
    // Failed for good: no retries any more.
    chronos.set_now(Some(at(1)));
    assert_eq!(
        chronos.run_alone("a").fail(Death::failed()),
        Verdict::Failed
    );
    let c = chronos.counters("a").unwrap();
    assert_eq!(
        (c.errors, c.errors_since_success, c.disabled),
        (2, 2, false)
    );
    assert_eq!(c.last_error, Some(at(1)));
    // Until it succeeds.
    chronos.set_now(Some(at(2)));
    assert_eq!(chronos.run_alone("a").succeed(), Verdict::Succeeded);
    assert_eq!(
        chronos.run_alone("a").fail(Death::failed()),
        Verdict::Retried
    );
    let c = chronos.counters("a").unwrap();
    assert_eq!((c.errors, c.errors_since_success, c.successes), (2, 0, 1));
    for death in [Death::killed(), Death::error(), Death::gone()] {
        assert_eq!(chronos.run_alone("a").fail(death), Verdict::Ignored);
    }
}

#[tokio::test]
async fn jobs_are_disabled_for_failures_and_at_the_end_of_their_schedule() {
    let chronos = FakeChronos::start().await.unwrap();
    chronos.disable_after_failures(2);
    chronos.job(JobSpec::new("a").retries(0));
    assert_eq!(
        chronos.run_alone("a").fail(Death::failed()),
        Verdict::Failed
    );
    assert_eq!(
        chronos.run_alone("a").fail(Death::failed()),
        Verdict::Disabled
    );
    chronos.job(JobSpec::new("b").schedule("R2/2026-01-01T00:00:00.000Z/PT1H"));
    assert_eq!(chronos.run_alone("b").succeed(), Verdict::Succeeded);
    assert_eq!(chronos.run_alone("b").succeed(), Verdict::Exhausted);
    let b = chronos.counters("b").unwrap();
    assert!(b.disabled && b.schedule.starts_with("R0/"), "{b:?}");
    chronos.set_disabled("b", false);
    assert!(!chronos.counters("b").unwrap().disabled);
}

#[tokio::test]
async fn counting_can_be_held() {
    let chronos = FakeChronos::start().await.unwrap();
    chronos.job(JobSpec::new("a").retries(0));
    chronos.hold_counting();
    assert_eq!(chronos.run_alone("a").fail(Death::failed()), Verdict::Held);
    assert_eq!(chronos.counters("a").unwrap().errors, 0);
    assert_eq!(chronos.count_held(), [Verdict::Failed]);
    assert_eq!(chronos.counters("a").unwrap().errors, 1);
}

#[tokio::test]
async fn runs_are_tasks_of_a_cluster() {
    let cluster = FakeCluster::start().await.unwrap();
    let chronos = FakeChronos::start().await.unwrap();
    chronos.job(JobSpec::new("a").argument("--day").argument("3;"));
    let run = chronos.run(&cluster, "a");
    assert!(run.id().ends_with(":0:a:--day 3"), "{}", run.id());
    assert_eq!(run.task().unwrap().id(), run.id());
    let state = format!("{}/master/state", cluster.leader_url().unwrap());
    let text = client()
        .get(state)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains("ChronosTask:a"), "{text}");
    run.fail(Death::failed());
    assert_eq!(cluster.framework("chronos").count(TaskState::Failed), 1);
    let other = chronos.run(&cluster, "a");
    assert_ne!(other.id(), run.id());
    other.fail_unseen(Death::failed());
    assert_eq!(cluster.framework("chronos").count(TaskState::Failed), 1);
}

#[tokio::test]
async fn jobs_have_the_fields_of_their_release() {
    let chronos = FakeChronos::start().await.unwrap();
    chronos.set_now(Some(at(0)));
    chronos.jobs([
        JobSpec::new("a")
            .owner("x@h,y@h")
            .owner_name("X")
            .env("K", "v")
            .field("cpus", json!("odd"))
            .field("command", Value::Null),
        JobSpec::new("b").parent("a").retries(0),
    ]);
    chronos.run_alone("b").fail(Death::failed());
    let all = jobs(&chronos).await;
    let (a, b) = (&all[0], &all[1]);
    assert_eq!(
        (&a["owner"], &a["ownerName"]),
        (&json!("x@h,y@h"), &json!("X"))
    );
    assert_eq!(
        a["environmentVariables"],
        json!([{"name": "K", "value": "v"}])
    );
    assert_eq!((&a["lastError"], &a["cpus"]), (&json!(""), &json!("odd")));
    assert!(a.get("command").is_none() && a.get("parents").is_none());
    assert_eq!(b["lastError"], "2026-01-02T03:04:00.078Z");
    assert_eq!(
        (&b["errorCount"], &b["parents"]),
        (&json!(1), &json!(["a"]))
    );
    assert!(b.get("schedule").is_none() && b.get("fetch").is_some());
    chronos.new_api(false);
    assert_eq!(get(&chronos, "/v1/scheduler/jobs").await.0, 404);
    let (_, old) = get(&chronos, "/scheduler/jobs").await;
    assert!(old.contains("epsilon") && !old.contains("fetch"), "{old}");
    assert_eq!(chronos.lists(), 3);
}

#[tokio::test]
async fn the_other_paths() {
    let chronos = FakeChronos::start().await.unwrap();
    chronos.jobs([JobSpec::new("a b"), JobSpec::new("c").parent("a b")]);
    chronos.run_alone("a b").succeed();
    chronos.run_alone("c").fail(Death::killed());
    let (status, job) = get(&chronos, "/v1/scheduler/job/a%20b").await;
    assert!(status == 200 && job.contains("\"successCount\":1"), "{job}");
    let (status, text) = get(&chronos, "/v1/scheduler/job/none").await;
    assert!(status == 400 && text.contains("\\n\\tat "), "{text}");
    let (_, text) = get(&chronos, "/v1/scheduler/jobs/summary").await;
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["jobs"][0]["state"], "success");
    assert_eq!(summary["jobs"][1]["state"], "fresh");
    let (_, csv) = get(&chronos, "/v1/scheduler/graph/csv").await;
    assert_eq!(
        csv,
        "node,a b,success,idle\nnode,c,fresh,idle\nlink,a b,c\n"
    );
    let (_, found) = get(&chronos, "/v1/scheduler/jobs/search?name=A&limit=1").await;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&found).unwrap().len(), 1);
    let (_, stat) = get(&chronos, "/v1/scheduler/job/stat/c").await;
    assert!(stat.contains("\"status\":\"killed\""), "{stat}");
    for path in ["/leader", "/v1/scheduler/leader"] {
        let leader = chronos.server().addr().to_string();
        let (_, text) = get(&chronos, path).await;
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap()["leader"],
            leader
        );
    }
    chronos.leader(None);
    assert_eq!(get(&chronos, "/leader").await.0, 404);
    assert_eq!(get(&chronos, "/ping").await, (200, "pong\n".to_owned()));
    chronos.delete("c");
    assert_eq!(jobs(&chronos).await.len(), 1);
    chronos.broken_proxy(true);
    assert_eq!(get(&chronos, "/v1/scheduler/jobs").await.0, 500);
}

#[tokio::test]
async fn credentials_are_demanded() {
    let chronos = FakeChronos::start().await.unwrap();
    chronos.credentials("ops", "pw");
    assert_eq!(get(&chronos, "/v1/scheduler/jobs").await.0, 401);
    assert_eq!(get(&chronos, "/ping").await.0, 200);
    let url = format!("{}/v1/scheduler/jobs", chronos.url());
    let answer = client().get(url).basic_auth("ops", Some("pw")).send();
    assert_eq!(answer.await.unwrap().status(), 200);
}
