//! Which failures of a cluster come out, how often and with what key.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Watch, builder};
use notifier_core::{Error, ErrorKind, FailureRecord, ManualClock, jiff::Timestamp};
use notifier_testkit::{
    http::{Action, End, Reply},
    mesos::{
        Auth, Death, ExecutorKind, FakeCluster, MesosVersion, RedirectStyle, TaskSpec, TaskState,
    },
};
use source_mesos::Backlog;

fn ids(failures: &[FailureRecord]) -> Vec<&str> {
    let mut ids: Vec<&str> = failures.iter().map(|f| f.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

/// The next poll fails.
async fn error(watch: &mut Watch) -> Error {
    watch.item().await.expect_err("a batch came")
}

#[tokio::test]
async fn a_failure_carries_what_the_master_knows() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.agent(0).advertise("localhost");
    let spec = TaskSpec::new("web.1")
        .name("web")
        .framework("marathon")
        .image("nginx:1")
        .label("team", "a")
        .label("team", "b")
        .started_at(1_466_138_472.75);
    let task = cluster.launch_failed(spec, Death::failed().at(1_466_138_479.9));
    let f = Watch::of(&cluster).one().await;
    assert_eq!(
        (f.id.as_str(), f.name.as_str(), f.state.as_str()),
        ("web.1", "web", "TASK_FAILED")
    );
    assert_eq!(
        (f.host.as_str(), f.framework.as_str(), f.image.as_str()),
        ("localhost", "marathon", "nginx:1")
    );
    assert_eq!(
        f.started,
        Some(Timestamp::from_second(1_466_138_472).unwrap())
    );
    assert_eq!(f.finished, Timestamp::from_second(1_466_138_479).unwrap());
    assert_eq!(
        (f.labels["team"].as_str(), f.source.as_str()),
        ("b", "mesos")
    );
    assert_eq!((&f.message, &f.reason, f.exit_code), (&None, &None, None));
    let locator = f.locator.unwrap();
    assert_eq!(locator["agent"], task.agent_id());
    assert_eq!(locator["finished_ms"], 1_466_138_479_900i64);
    assert_eq!(locator["containers"][0], task.run_id());
}

#[tokio::test]
async fn each_failure_comes_once_and_by_choice_of_state() {
    let cluster = FakeCluster::start().await.unwrap();
    let deaths = [
        ("failed", Death::failed()),
        ("error", Death::error()),
        ("lost", Death::lost()),
        ("dropped", Death::dropped()),
        ("gone", Death::gone()),
        ("operator", Death::gone_by_operator()),
        ("killed", Death::killed()),
        ("finished", Death::finished()),
    ];
    for (id, death) in deaths {
        cluster.launch_failed(TaskSpec::new(id), death);
    }
    cluster.launch(TaskSpec::new("running"));
    let mut watch = Watch::of(&cluster);
    assert_eq!(
        ids(&watch.next().await),
        ["dropped", "error", "failed", "gone", "lost", "operator"]
    );
    let batch = watch.batch().await;
    assert!(batch.failures.is_empty());
    assert_eq!(batch.listed.unwrap().len(), 6);
    batch.ack.done();
    cluster.launch_failed(TaskSpec::new("late"), Death::failed().at(1_000_000.0));
    assert_eq!(ids(&watch.next().await), ["late"]);

    let mut chosen = Watch::new(
        builder(&cluster.masters_flag()).states(["KILLED", "TASK_FINISHED"]),
        None,
    );
    assert_eq!(ids(&chosen.next().await), ["finished", "killed"]);
}

#[tokio::test]
async fn unacknowledged_torn_down_and_unreachable_tasks_are_seen() {
    let cluster = FakeCluster::builder().agents(2).start().await.unwrap();
    cluster.launch_failed(
        TaskSpec::new("held").framework("slow"),
        Death::failed().unacknowledged(),
    );
    cluster.launch_failed(TaskSpec::new("batch.1").framework("batch"), Death::failed());
    cluster.framework("batch").tear_down();
    cluster.agent(1).advertise("lost.example");
    cluster.launch(TaskSpec::new("on-lost").agent(1));
    let mut watch = Watch::of(&cluster);
    let first = watch.next().await;
    assert_eq!(ids(&first), ["batch.1", "held"]);
    assert!(first.iter().any(|f| f.framework == "batch"));

    cluster.agent(1).lose();
    let lost = watch.one().await;
    assert_eq!(
        (lost.id.as_str(), lost.state.as_str()),
        ("on-lost", "TASK_LOST")
    );
    // The master has forgotten the agent, we have not.
    assert_eq!(lost.host, "lost.example");
}

#[tokio::test]
async fn unreachable_tasks_are_failures_unless_chosen_otherwise() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.framework("aware").partition_aware(true);
    cluster.launch(TaskSpec::new("a").framework("aware"));
    let mut plain = Watch::of(&cluster);
    let mut chosen = Watch::new(builder(&cluster.masters_flag()).states(["LOST"]), None);
    cluster.agent(0).lose();
    assert!(chosen.next().await.is_empty());
    let f = plain.one().await;
    assert_eq!((f.id.as_str(), f.state.as_str()), ("a", "TASK_UNREACHABLE"));
}

#[tokio::test]
async fn the_key_is_the_same_in_every_list() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch_failed(TaskSpec::new("a"), Death::failed().unacknowledged());
    let mut watch = Watch::of(&cluster);
    let key = watch.one().await.key;
    cluster.acknowledge(&task);
    let batch = watch.batch().await;
    assert!(batch.failures.is_empty());
    assert_eq!(batch.listed.unwrap(), std::slice::from_ref(&key));
    cluster.framework("marathon").tear_down();
    let other = Watch::of(&cluster).one().await;
    assert_eq!(other.key, key);
    let renamed = Watch::new(builder(&cluster.masters_flag()).name("other"), None)
        .one()
        .await;
    assert_ne!(renamed.key, key);
}

#[tokio::test]
async fn a_task_without_a_status_is_told_once_with_the_time_it_was_seen() {
    let cluster = FakeCluster::start().await.unwrap();
    let clock = Arc::new(ManualClock::new("2016-06-17T04:41:19.5Z".parse().unwrap()));
    let build = || builder(&cluster.masters_flag()).clock(Arc::<ManualClock>::clone(&clock));
    let bare = cluster.launch(TaskSpec::new("bare").without_statuses());
    let death = || Death::failed().at(1_466_138_478.5).state_only();
    cluster.fail(&bare, death());
    let ahead = cluster.launch(TaskSpec::new("ahead"));
    cluster.fail(&ahead, death());

    let mut watch = Watch::new(build(), None);
    let first = watch.next().await;
    assert_eq!(ids(&first), ["ahead", "bare"]);
    for f in &first {
        assert_eq!(f.finished.to_string(), "2016-06-17T04:41:19Z", "{f}");
        assert_eq!(f.locator.as_ref().unwrap().get("finished_ms"), None);
    }
    clock.advance(Duration::from_secs(60));
    assert!(watch.next().await.is_empty());

    // A restart between the two does not matter, and neither does a dropped batch.
    let mut again = Watch::new(build(), watch.cursor.clone());
    cluster.acknowledge(&ahead);
    let batch = again.batch().await;
    let mut keys: Vec<_> = first.iter().map(|f| f.key.clone()).collect();
    keys.sort();
    let mut listed = batch.listed.clone().unwrap();
    listed.sort();
    assert_eq!(listed, keys);
    drop(batch);
    again.all(2).await;
    cluster.acknowledge(&bare);
    assert!(watch.next().await.is_empty());
    assert!(again.next().await.is_empty());

    // The id fails again: that is new.
    cluster.launch_failed(TaskSpec::new("ahead"), Death::failed().at(1_900_000_000.0));
    let f = watch.one().await;
    assert!(!keys.contains(&f.key));
}

#[tokio::test]
async fn a_task_id_that_fails_again_is_a_new_failure() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("ct:1"), Death::failed());
    let mut watch = Watch::of(&cluster);
    let first = watch.one().await;
    cluster.launch_failed(TaskSpec::new("ct:1"), Death::failed());
    let second = watch.one().await;
    assert_eq!(first.id, second.id);
    assert_ne!(first.key, second.key);
    let (one, two) = (watch.logs(&first).await, watch.logs(&second).await);
    assert_ne!(one[0].url, two[0].url);
}

#[tokio::test]
async fn a_batch_that_is_not_acknowledged_comes_again() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::of(&cluster);
    let dropped = watch.batch().await;
    assert_eq!(ids(&dropped.failures), ["a"]);
    drop(dropped);
    cluster.launch_failed(TaskSpec::new("b"), Death::failed());
    assert_eq!(ids(&watch.all(2).await), ["a", "b"]);
    assert!(watch.next().await.is_empty());
}

#[tokio::test]
async fn what_was_there_before_the_first_start_is_skipped() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("old"), Death::failed());
    let build = || builder(&cluster.masters_flag()).backlog(Backlog::Skip);
    let mut watch = Watch::new(build(), None);
    let first = watch.batch().await;
    assert!(first.failures.is_empty());
    assert_eq!(first.baseline, first.listed.clone().unwrap());
    assert_eq!(first.baseline.len(), 1);
    // Not stored: it is still the first start, but what comes now is new.
    drop(first);
    cluster.launch_failed(TaskSpec::new("new"), Death::failed());
    let second = watch.batch().await;
    assert_eq!(
        (second.baseline.len(), ids(&second.failures)),
        (1, vec!["new"])
    );
    let cursor = second.cursor.clone();
    second.ack.done();
    assert!(watch.next().await.is_empty());

    // After a restart everything listed is handed over once; the outbox knows it.
    cluster.launch_failed(TaskSpec::new("meanwhile"), Death::failed());
    let mut again = Watch::new(build(), cursor);
    assert_eq!(ids(&again.next().await), ["meanwhile", "new", "old"]);
    assert!(again.next().await.is_empty());
}

/// An answer of a master with these ended tasks.
fn state(tasks: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "version": "1.9.0", "pid": "m@1:1", "leader": "m@1:1",
        "slaves": [{"id": "S", "hostname": "h", "pid": "slave(1)@1.1.1.1:5051"}],
        "frameworks": [{"id": "F", "name": "fw", "completed_tasks": tasks}],
    })
}

fn dead(id: &str, at: Option<f64>) -> serde_json::Value {
    let statuses = match at {
        Some(at) => serde_json::json!([{"state": "TASK_FAILED", "timestamp": at}]),
        None => serde_json::json!([]),
    };
    serde_json::json!({"id": id, "state": "TASK_FAILED", "slave_id": "S", "statuses": statuses})
}

#[tokio::test]
async fn what_shows_after_the_first_start_is_new_however_old_it_is() {
    let server = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    let start: Timestamp = "2016-06-17T04:41:19.5Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(start));
    server.next(Reply::json(200, &state(&serde_json::json!([]))));
    let mut watch = Watch::new(
        builder(&server.url("")).backlog(Backlog::Skip).clock(clock),
        None,
    );
    assert!(watch.next().await.is_empty());
    let hours_ago = start.as_second() as f64 - 7200.0;
    server.next(Reply::json(
        200,
        &state(&serde_json::json!([dead("old", Some(hours_ago))])),
    ));
    assert_eq!(ids(&watch.next().await), ["old"]);
}

#[tokio::test]
async fn a_first_start_during_a_change_of_leaders_tells_nothing_old() {
    let server = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    let start: Timestamp = "2016-06-17T04:41:19.5Z".parse().unwrap();
    let at = |seconds: f64| Some(start.as_millisecond() as f64 / 1000.0 + seconds);
    let clock = Arc::new(ManualClock::new(start));
    let build = |backlog| {
        builder(&server.url(""))
            .backlog(backlog)
            .clock(Arc::<ManualClock>::clone(&clock))
    };
    let answer = |tasks: &[serde_json::Value]| {
        server.next(Reply::json(200, &state(&tasks.to_vec().into())));
    };
    // The new leader has not heard of its agents and their tasks yet.
    let mut fresh = state(&serde_json::json!([]));
    fresh["recovered_slaves"] = fresh["slaves"].take();
    server.next(Reply::json(200, &fresh));
    let mut watch = Watch::new(build(Backlog::Skip), None);
    assert!(watch.next().await.is_empty());
    clock.advance(Duration::from_secs(600));
    let all = [
        dead("old", at(-100_000.0)),
        dead("just before", at(-61.0)),
        dead("at the time", at(-59.0)),
        dead("later", at(10.0)),
        dead("no status", None),
    ];
    answer(&all);
    let batch = watch.batch().await;
    let told = ["at the time", "later", "no status"];
    assert_eq!(
        (ids(&batch.failures), batch.baseline.len()),
        (told.to_vec(), 2)
    );
    let cursor = batch.cursor.clone();
    assert!(cursor.is_some());
    // Not stored: the same again, in halves.
    drop(batch);
    assert_eq!(ids(&watch.all(3).await), told);
    answer(&all);
    let batch = watch.batch().await;
    assert_eq!((batch.failures.len(), batch.baseline.len()), (0, 2));
    batch.ack.done();
    answer(&all);
    let batch = watch.batch().await;
    assert_eq!((batch.failures.len(), batch.baseline.len()), (0, 0));

    // It holds over a restart.
    clock.advance(Duration::from_secs(86_400));
    let older = [dead("older", at(-200_000.0)), dead("late", at(700.0))];
    answer(&older);
    let batch = Watch::new(build(Backlog::Skip), cursor).batch().await;
    assert_eq!(
        (ids(&batch.failures), batch.baseline.len()),
        (vec!["late"], 1)
    );
    answer(&older);
    let batch = Watch::new(build(Backlog::Report), None).batch().await;
    assert_eq!((batch.failures.len(), batch.baseline.len()), (2, 0));
}

#[tokio::test]
async fn many_failures_come_in_several_batches() {
    let server = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    // One has no status, so that the cursor says something.
    let tasks: Vec<_> = (0..1201)
        .map(|n| dead(&format!("t{n}"), (n > 0).then_some(1_466_138_479.5)))
        .collect();
    server.always(Reply::json(200, &state(&tasks.into())));
    let mut watch = Watch::new(builder(&server.url("")), None);
    let mut got = Vec::new();
    // The one that is dropped comes again in halves, in turn with the rest.
    let batches = [
        (500, true),
        (500, false),
        (250, true),
        (201, true),
        (250, true),
    ];
    for (n, (size, acked)) in batches.iter().enumerate() {
        let batch = watch.batch().await;
        assert_eq!(batch.failures.len(), *size);
        assert_eq!(
            batch.listed.as_ref().map(Vec::len),
            (n == 0).then_some(1201)
        );
        // The very first one carries it too; after that, it says nothing new.
        assert_eq!(batch.cursor.is_some(), n == 0, "{n}");
        if *acked {
            got.extend(batch.failures.iter().map(|f| f.key.clone()));
            batch.ack.done();
        }
    }
    assert_eq!(server.requests().len(), 1);
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 1201);
    assert!(watch.next().await.is_empty());
}

#[tokio::test]
async fn a_cursor_comes_when_it_says_something_new() {
    let server = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    let answer = |tasks: &[serde_json::Value]| {
        server.next(Reply::json(200, &state(&tasks.to_vec().into())));
    };
    let mut watch = Watch::new(builder(&server.url("")), None);
    let many: Vec<_> = (0..600)
        .map(|n| dead(&format!("t{n}"), Some(1_466_138_479.5)))
        .collect();
    let with: Vec<_> = many.iter().cloned().chain([dead("bare", None)]).collect();
    answer(&[]);
    answer(&many);
    answer(&with);
    answer(&with);
    answer(&with);
    for (failures, has_cursor, acked) in [
        (0, true, true),
        (500, false, true),
        (100, false, true),
        (1, true, false),
        (1, true, true),
        (0, false, true),
    ] {
        let batch = watch.batch().await;
        assert_eq!(
            (batch.failures.len(), batch.cursor.is_some()),
            (failures, has_cursor)
        );
        if acked {
            batch.ack.done();
        }
    }
}

#[tokio::test]
async fn a_number_that_is_none_does_not_blind() {
    let server = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    let tasks = serde_json::json!([dead("a", Some(7.0)), dead("good", Some(8.0))]);
    let body = state(&tasks).to_string().replace("7.0", "nan");
    server.always(Reply::text(200, body));
    assert_eq!(
        ids(&Watch::new(builder(&server.url("")), None).next().await),
        ["a", "good"]
    );
}

#[tokio::test]
async fn an_unreadable_first_poll_is_no_baseline() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("old"), Death::failed());
    cluster.master(0).next(Action::status(503));
    let mut watch = Watch::new(
        builder(&cluster.masters_flag()).backlog(Backlog::Skip),
        None,
    );
    error(&mut watch).await;
    assert_eq!(watch.batch().await.baseline.len(), 1);
}

#[tokio::test]
async fn a_cursor_of_another_kind_is_no_first_start() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    for cursor in [
        serde_json::json!({"version": 99}),
        serde_json::json!("?"),
        serde_json::json!({}),
    ] {
        let mut watch = Watch::new(
            builder(&cluster.masters_flag()).backlog(Backlog::Skip),
            Some(cursor),
        );
        assert_eq!(ids(&watch.next().await), ["a"]);
    }
}

#[tokio::test]
async fn labels_of_a_pod_outlive_its_executor() {
    let cluster = FakeCluster::start().await.unwrap();
    let pod = cluster.launch(
        TaskSpec::new("pod.web")
            .executor(ExecutorKind::Pod)
            .executor_label("team", "pods")
            .executor_label("tier", "front")
            .label("tier", "own"),
    );
    let mut watch = Watch::of(&cluster);
    assert!(watch.next().await.is_empty());
    cluster.fail(&pod, Death::failed());
    let f = watch.one().await;
    assert_eq!(
        (f.labels["team"].as_str(), f.labels["tier"].as_str()),
        ("pods", "own")
    );
}

#[tokio::test]
async fn text_that_is_not_utf8_and_odd_ids_come_through() {
    let cluster = FakeCluster::start().await.unwrap();
    let id = "uni <a> & \"b\" 日本:%41+#?";
    cluster.launch_failed(
        TaskSpec::new(id).label_bytes("raw", b"x\xff\xfey"),
        Death::failed(),
    );
    let mut watch = Watch::of(&cluster);
    let f = watch.one().await;
    assert_eq!(
        (f.id.as_str(), f.labels["raw"].as_str()),
        (id, "x\u{fffd}\u{fffd}y")
    );
    assert!(watch.next().await.is_empty());
}

#[tokio::test]
async fn a_broken_answer_is_an_error_and_never_half_a_listing() {
    let cluster = FakeCluster::start().await.unwrap();
    for n in 0..50 {
        cluster.launch_failed(TaskSpec::new(format!("t{n}")), Death::failed());
    }
    let master = cluster.master(0);
    let mut watch = Watch::of(&cluster);
    let broken: Vec<(Action, &str)> = vec![
        (Action::garbage(), "not the state of a Mesos master"),
        (Action::html(200), "not the state of a Mesos master"),
        (Action::html(502), "answered 502"),
        (Action::truncated(3000, End::Close), "broke"),
        (Action::truncated(3000, End::Reset), "broke"),
        (Action::CloseAfterBody, "broke"),
        (Action::status(500), "answered 500"),
        (
            Reply::json(200, &serde_json::json!({"pid": "x", "leader": "x"})).into(),
            "not the state",
        ),
        (
            Reply::text(200, "{\"frameworks\": [").into(),
            "not the state",
        ),
    ];
    for (action, words) in broken {
        master.next(action.clone());
        let e = error(&mut watch).await.to_string();
        assert!(
            e.starts_with("no Mesos master could be read: http://127.0.0.1:"),
            "{e}"
        );
        assert!(e.contains(words), "{action:?}: {e}");
    }
    assert_eq!(watch.next().await.len(), 50);
}

#[tokio::test]
async fn a_state_over_the_limit_is_an_error() {
    let cluster = FakeCluster::start().await.unwrap();
    let mut watch = Watch::new(builder(&cluster.masters_flag()).max_state_size(100), None);
    let e = error(&mut watch).await;
    assert!(e.to_string().contains("is longer than 100 bytes"), "{e}");
}

#[tokio::test]
async fn a_silent_master_is_an_error_and_a_slow_one_is_not() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let build = || builder(&cluster.masters_flag()).timeout(Duration::from_secs(1));
    let mut watch = Watch::new(build(), None);
    // Longer than the time-out in all, but never silent for so long.
    cluster
        .master(0)
        .next(Action::dripping(60, Duration::from_millis(50)));
    assert_eq!(ids(&watch.next().await), ["a"]);
    cluster.master(0).hang();
    let e = error(&mut watch).await;
    assert_eq!(e.kind(), ErrorKind::Timeout);
    assert!(
        e.to_string().ends_with(": no answer in time") && e.is_retryable(),
        "{e}"
    );
    cluster.master(0).restore().unwrap();
    assert!(watch.next().await.is_empty());
}

#[tokio::test]
async fn a_dripping_master_does_not_hold_the_poll() {
    let drips = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    let good = FakeCluster::start().await.unwrap();
    good.launch_failed(TaskSpec::new("a"), Death::failed());
    let build = |masters: &str| builder(masters).timeout(Duration::from_millis(500));
    let page = Reply::text(200, " ".repeat(5000));
    drips.always(
        page.delivery(notifier_testkit::http::Delivery::new().drip(1, Duration::from_millis(200))),
    );
    let e = error(&mut Watch::new(build(&drips.url("")), None)).await;
    assert_eq!(e.kind(), ErrorKind::Timeout);
    assert!(
        e.to_string().ends_with("its answer comes too slowly"),
        "{e}"
    );
    let both = format!("{},{}", drips.url(""), good.masters_flag());
    assert_eq!(ids(&Watch::new(build(&both), None).next().await), ["a"]);
}

#[tokio::test]
async fn the_leader_is_found_by_every_kind_of_redirect() {
    for style in [
        RedirectStyle::ProtocolRelative,
        RedirectStyle::Absolute,
        RedirectStyle::Found,
    ] {
        let cluster = FakeCluster::builder().masters(3).start().await.unwrap();
        cluster.redirect_style(style);
        cluster.launch_failed(TaskSpec::new("a"), Death::failed());
        cluster.master(2).lead();
        // Only the first is named.
        let mut watch = Watch::new(builder(&cluster.master_url(0)), None);
        assert_eq!(ids(&watch.next().await), ["a"]);
        let before = cluster.master(0).requests().len();
        assert!(watch.next().await.is_empty());
        assert_eq!(
            cluster.master(0).requests().len(),
            before,
            "the last leader is asked first"
        );
        // It dies; the first knows the new one.
        cluster.master(2).refuse();
        cluster.master(1).lead();
        cluster.launch_failed(TaskSpec::new("b"), Death::failed());
        assert_eq!(ids(&watch.next().await), ["b"]);
    }
}

#[tokio::test]
async fn before_1_0_the_leader_is_found_by_its_pid() {
    let cluster = FakeCluster::builder()
        .masters(2)
        .version(MesosVersion::V0_28)
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    cluster.master(1).lead();
    let mut watch = Watch::of(&cluster);
    assert_eq!(ids(&watch.next().await), ["a"]);
    cluster.no_leader();
    let e = error(&mut watch).await.to_string();
    assert_eq!(e.matches("not the leader").count(), 2, "{e}");
    let mut alone = Watch::new(builder(&cluster.master_url(0)), None);
    error(&mut alone).await;
}

#[tokio::test]
async fn the_oldest_path_is_tried_too() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::new(0, 22, 0))
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::of(&cluster);
    let f = watch.one().await;
    let logs = watch.logs(&f).await;
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");
}

#[tokio::test]
async fn a_failover_tells_nothing_twice() {
    let cluster = FakeCluster::builder().masters(2).start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::of(&cluster);
    let key = watch.one().await.key;
    for _ in 0..3 {
        cluster.failover_empty();
        assert!(watch.next().await.is_empty());
        cluster.settle();
        // What came back may be handed over again, but never under another key.
        for f in watch.next().await {
            assert_eq!(f.key, key);
        }
    }
}

#[tokio::test]
async fn errors_say_of_each_master_what_is_wrong() {
    let cluster = FakeCluster::builder().masters(2).start().await.unwrap();
    let mut watch = Watch::of(&cluster);
    watch.next().await;
    cluster.no_leader();
    let e = error(&mut watch).await;
    assert_eq!(e.to_string().matches("No leader elected").count(), 2, "{e}");
    assert!(e.is_retryable());
    cluster.redirect_loop();
    let e = error(&mut watch).await;
    assert!(e.to_string().contains("redirects in a loop"), "{e}");
    cluster.master(0).refuse();
    cluster.master(1).refuse();
    let mut e = error(&mut watch).await;
    // One that was being asked just then says so.
    while e.to_string().contains("broke before") {
        e = error(&mut watch).await;
    }
    let (one, two) = (cluster.master_url(0), cluster.master_url(1));
    assert_eq!(
        e.to_string(),
        format!(
            "no Mesos master could be read: {one}: connection refused; {two}: connection refused"
        )
    );
    cluster.master(0).restore().unwrap();
    cluster.master(0).lead();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    assert_eq!(ids(&watch.next().await), ["a"]);
}

#[tokio::test]
async fn basic_and_bearer_are_shown_to_masters_and_agents() {
    for (auth, is_basic) in [
        (Auth::basic("watcher", "s3cret-value"), true),
        (Auth::bearer("t0ken-value"), false),
    ] {
        let cluster = FakeCluster::builder()
            .masters(2)
            .auth(auth)
            .start()
            .await
            .unwrap();
        cluster.launch_failed(TaskSpec::new("a"), Death::failed());
        cluster.master(1).lead();
        let with = |b: source_mesos::MesosBuilder| {
            if is_basic {
                b.basic("watcher", "s3cret-value".into())
            } else {
                b.bearer("t0ken-value".into())
            }
        };
        let mut watch = Watch::new(with(builder(&cluster.masters_flag())), None);
        let f = watch.one().await;
        let logs = watch.logs(&f).await;
        assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");

        let mut without = Watch::of(&cluster);
        let e = error(&mut without).await;
        assert_eq!(e.kind(), ErrorKind::Unauthenticated);
        assert!(
            e.to_string()
                .contains("401, the credentials are missing or wrong"),
            "{e}"
        );
        let shown = format!("{:?} {e:?}", watch.locator);
        assert!(
            !shown.contains("s3cret") && !shown.contains("t0ken"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn credentials_in_an_address_count_and_do_not_show() {
    let auth = Auth::basic("watcher", "s3cret-value");
    let cluster = FakeCluster::builder()
        .masters(2)
        .auth(auth)
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    cluster.master(1).lead();
    let with = cluster
        .masters_flag()
        .replacen("http://", "http://watcher:s3cret-value@", 1);
    let mut watch = Watch::new(builder(&with), None);
    assert_eq!(ids(&watch.next().await), ["a"]);
    cluster.set_master_auth(Some(Auth::basic("watcher", "changed")));
    let e = error(&mut watch).await;
    let shown = format!("{e} {e:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("watcher:"),
        "{shown}"
    );
}

#[tokio::test]
async fn credentials_do_not_follow_to_strangers() {
    let cluster = FakeCluster::builder()
        .masters(2)
        .master_auth(Auth::bearer("t0ken-value"))
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    cluster.master(1).lead();
    let only_first = || builder(&cluster.master_url(0)).bearer("t0ken-value".into());
    let e = error(&mut Watch::new(only_first(), None)).await;
    let stranger = cluster.master_url(1);
    assert!(
        e.to_string().contains(&format!(
            "redirects to {stranger}, which gets no credentials"
        )),
        "{e}"
    );
    assert!(cluster.master(1).requests().is_empty());
    let trusted = only_first().trusted_hosts([stranger.trim_start_matches("http://")]);
    assert_eq!(ids(&Watch::new(trusted, None).next().await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_kept_also_after_errors() {
    let server = notifier_testkit::http::ScriptedServer::start()
        .await
        .unwrap();
    server.always(Action::status(500));
    let b = builder(&server.url("")).interval(Duration::from_secs(5));
    let mut watch = Watch::new(b, None);
    let start = tokio::time::Instant::now();
    for n in 0..4 {
        // The fake answers in real time while ours stands still, or jumps to the next timer.
        let _ = futures_util::StreamExt::next(&mut watch.stream).await;
        assert!(
            start.elapsed() >= Duration::from_secs(5 * n),
            "{n}: {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn states_of_tasks_change_on_the_way_to_death() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch(TaskSpec::new("a").state(TaskState::Staging));
    let mut watch = Watch::of(&cluster);
    for state in [TaskState::Starting, TaskState::Running, TaskState::Killing] {
        cluster.update(&task, state, None);
        assert!(watch.next().await.is_empty());
    }
    cluster.fail(&task, Death::failed());
    assert_eq!(watch.one().await.state, "TASK_FAILED");
}
