//! The stream of events: what it tells, how it is kept up, and what is done without it.

mod common;

use std::time::Duration;

use common::{Audience, CORRUPTIONS, TICK, builder};
use futures_util::future::join_all;
use notifier_testkit::mesos::{
    Auth, Corruption, Death, ExecutorKind, FakeCluster, MesosVersion, StreamCut, TaskSpec,
};
use source_mesos::{Api, Backlog};

fn streaming(cluster: &FakeCluster) -> Audience {
    Audience::of(
        builder(&cluster.masters_flag())
            .api(Api::Stream)
            .sweep(Duration::from_secs(60)),
    )
}

#[tokio::test]
async fn a_failure_is_told_with_what_only_events_say() {
    let cluster = FakeCluster::start().await.unwrap();
    let audience = streaming(&cluster);
    audience.is_streaming(&cluster).await;
    let task = cluster.launch(
        TaskSpec::new("web.1")
            .name("web")
            .image("nginx:1")
            .label("team", "a")
            .status_data(b"PASSWORD=hunter2".as_slice()),
    );
    let death = Death::failed()
        .exit(3)
        .reason("REASON_COMMAND_EXECUTOR_FAILED");
    cluster.fail(&task, death);
    let f = audience.one("web.1").await;
    assert_eq!(
        (f.name.as_str(), f.image.as_str(), f.framework.as_str()),
        ("web", "nginx:1", "marathon")
    );
    assert_eq!(f.labels["team"], "a");
    assert_eq!(f.message.as_deref(), Some("Command exited with status 3"));
    assert_eq!(f.reason.as_deref(), Some("REASON_COMMAND_EXECUTOR_FAILED"));
    assert_eq!(f.exit_code, Some(3));
    assert!(f.started.is_some());
    let locator = f.locator.as_ref().unwrap();
    assert_eq!(locator["containers"][0], task.run_id());
    assert_eq!(locator["mesos"], "1.11.0");
    let shown = format!("{f:?} {}", serde_json::to_string(&f).unwrap());
    for secret in ["hunter2", "UEFTU1dPUkQ9aHVudGVyMg"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // It came by the stream, not by a look.
    assert_eq!(cluster.calls("GET_STATE"), 0);
}

/// Failures go on while something is done to the stream; all are told, each once.
async fn survives(cluster: &FakeCluster, what: impl Fn(&FakeCluster, usize)) {
    let audience = streaming(cluster);
    audience.is_streaming(cluster).await;
    for n in 0..4 {
        cluster.launch_failed(TaskSpec::new(format!("before.{n}")), Death::failed());
        what(cluster, n);
        cluster.launch_failed(TaskSpec::new(format!("after.{n}")), Death::failed());
        audience
            .until("told of both", |a| {
                let failures = a.failures();
                ["before", "after"]
                    .iter()
                    .all(|when| failures.iter().any(|f| f.id == format!("{when}.{n}")))
            })
            .await;
    }
    let failures = audience.count(8).await;
    assert!(failures.iter().all(|f| f.message.is_some()), "{failures:?}");
    assert_eq!(cluster.streams().most_open, 1);
}

#[tokio::test]
async fn a_stream_that_is_closed_is_opened_again() {
    let cluster = FakeCluster::start().await.unwrap();
    survives(&cluster, |c, _| c.cut_streams(StreamCut::Close)).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_is_opened_again() {
    let cluster = FakeCluster::start().await.unwrap();
    survives(&cluster, |c, _| c.cut_streams(StreamCut::Reset)).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_within_a_record_is_opened_again() {
    let cluster = FakeCluster::start().await.unwrap();
    survives(&cluster, |c, _| c.cut_streams(StreamCut::MidRecord)).await;
}

#[tokio::test]
async fn a_stream_that_stalls_is_dead_after_two_heartbeats() {
    let cluster = FakeCluster::builder()
        .heartbeat(Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    survives(&cluster, |c, n| {
        c.cut_streams(if n % 2 == 0 {
            StreamCut::Stall
        } else {
            StreamCut::HeartbeatStop
        });
    })
    .await;
}

async fn survives_corruption(corruption: Corruption) {
    let cluster = FakeCluster::start().await.unwrap();
    let audience = Audience::of(
        builder(&cluster.masters_flag())
            .api(Api::Stream)
            .sweep(Duration::from_millis(500)),
    );
    audience.is_streaming(&cluster).await;
    cluster.corrupt_stream(corruption);
    for n in 0..6 {
        cluster.launch_failed(TaskSpec::new(format!("t.{n}")), Death::failed());
        if n == 2 {
            // Of a new stream.
            cluster.corrupt_stream(corruption);
            cluster.cut_streams(StreamCut::Close);
        }
    }
    let failures = audience.count(6).await;
    assert!(
        failures.iter().all(|f| f.message.is_some()),
        "{corruption:?}"
    );
}

#[tokio::test]
async fn corrupt_records_cost_nothing() {
    join_all(CORRUPTIONS.map(survives_corruption)).await;
}

#[tokio::test]
async fn without_a_stream_the_state_is_polled_until_there_is_one() {
    let cluster = FakeCluster::builder()
        .auth(Auth::basic("u", "p"))
        .operator_auth(Auth::basic("other", "p"))
        .start()
        .await
        .unwrap();
    let b = builder(&cluster.masters_flag())
        .api(Api::Auto)
        .basic("u", "p".into());
    let audience = Audience::of(b);
    cluster.launch_failed(TaskSpec::new("polled"), Death::failed());
    let f = audience.one("polled").await;
    assert_eq!(f.message, None);
    assert_eq!(audience.errors(), [""; 0]);
    cluster.set_operator_auth(None);
    audience.is_streaming(&cluster).await;
    cluster.launch_failed(TaskSpec::new("streamed"), Death::failed());
    assert!(audience.one("streamed").await.message.is_some());
    // Nothing is polled any more.
    let polls = cluster.polls();
    tokio::time::sleep(TICK * 5).await;
    assert!(cluster.polls() <= polls + 1);
    audience.count(2).await;
}

#[tokio::test]
async fn versions_without_an_operator_api_are_polled() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V0_28)
        .masters(2)
        .start()
        .await
        .unwrap();
    let audience = Audience::of(builder(&cluster.masters_flag()).api(Api::Auto));
    cluster.launch_failed(TaskSpec::new("old"), Death::failed());
    audience.one("old").await;
    assert_eq!(audience.errors(), [""; 0]);
}

#[tokio::test]
async fn a_stream_that_must_be_is_an_error_without_one() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V0_28)
        .start()
        .await
        .unwrap();
    let audience = streaming(&cluster);
    audience.until("an error", |a| !a.errors().is_empty()).await;
    let e = audience.errors().remove(0);
    assert!(
        e.starts_with("no Mesos master could be subscribed to: http://127.0.0.1:"),
        "{e}"
    );
    assert!(e.ends_with("answered 404"), "{e}");
}

#[tokio::test]
async fn labels_of_an_executor_that_is_gone_come_from_its_agent() {
    for api in [Api::Stream, Api::Poll] {
        let cluster = FakeCluster::start().await.unwrap();
        let audience = Audience::of(
            builder(&cluster.masters_flag())
                .api(api)
                .sweep(Duration::from_secs(60)),
        );
        audience.until("a first answer", Audience::has_begun).await;
        let pod = |id: &str| {
            TaskSpec::new(id)
                .executor(ExecutorKind::Pod)
                .executor_label("team", "pods")
                .label("own", id)
        };
        // Its executor lives for no time at all.
        cluster.launch_failed(pod("p.1"), Death::failed());
        let f = audience.one("p.1").await;
        assert_eq!(
            (&*f.labels["team"], &*f.labels["own"]),
            ("pods", "p.1"),
            "{api:?}"
        );
        // Without its agent it is told all the same.
        cluster.agent(0).refuse();
        cluster.launch_failed(pod("p.2"), Death::failed());
        assert_eq!(audience.one("p.2").await.labels["own"], "p.2");
        audience.count(2).await;
    }
}

#[tokio::test]
async fn what_a_master_adds_to_a_task_that_had_ended_is_no_second_death() {
    let cluster = FakeCluster::start().await.unwrap();
    let audience = Audience::of(
        builder(&cluster.masters_flag())
            .api(Api::Stream)
            .sweep(Duration::from_millis(300)),
    );
    audience.is_streaming(&cluster).await;
    let torn = cluster.launch(TaskSpec::new("torn").framework("slow"));
    let lost = cluster.launch(TaskSpec::new("lost").framework("other"));
    cluster.framework("slow").hold_acknowledgements();
    cluster.framework("other").hold_acknowledgements();
    for task in [&torn, &lost] {
        cluster.fail(task, Death::failed().exit(3));
    }
    audience.count(2).await;
    cluster.framework("slow").tear_down();
    cluster.agent(0).lose();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for f in audience.count(2).await {
        assert_eq!(
            (&*f.state, f.exit_code),
            ("TASK_FAILED", Some(3)),
            "{}",
            f.id
        );
    }
}

#[tokio::test]
async fn a_quiet_cluster_is_left_in_peace() {
    let cluster = FakeCluster::start().await.unwrap();
    let audience = streaming(&cluster);
    audience.is_streaming(&cluster).await;
    cluster.launch(TaskSpec::new("p.1").executor(ExecutorKind::Pod));
    cluster.launch(TaskSpec::new("p.2").executor(ExecutorKind::Pod));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calls = (cluster.calls("GET_EXECUTORS"), cluster.calls("GET_STATE"));
    // The framework and the executors were new.
    assert!(calls.0 <= 2 && calls.1 <= 2, "{calls:?}");
    assert_eq!(cluster.calls("SUBSCRIBE"), 1);
    assert!(audience.batches() <= 4, "{}", audience.batches());
}

#[tokio::test]
async fn an_old_stream_is_not_blamed_for_what_its_snapshot_tells() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .masters(2)
        .start()
        .await
        .unwrap();
    let audience = Audience::of(
        builder(&cluster.masters_flag())
            .api(Api::Stream)
            .sweep(Duration::from_millis(300)),
    );
    audience.is_streaming(&cluster).await;
    cluster.no_leader();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    tokio::time::sleep(Duration::from_secs(6)).await;
    cluster.failover();
    audience.one("a").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.streams().opened, 2);
}

#[tokio::test]
async fn what_dies_before_the_first_answer_is_no_baseline() {
    for api in [Api::Stream, Api::Poll, Api::Auto] {
        let cluster = FakeCluster::start().await.unwrap();
        cluster.launch_failed(TaskSpec::new("before"), Death::failed().at(1_466_138_479.0));
        cluster.no_leader();
        let audience = Audience::of(
            builder(&cluster.masters_flag())
                .api(api)
                .backlog(Backlog::Skip),
        );
        audience.until("an error", |a| !a.errors().is_empty()).await;
        cluster.launch_failed(TaskSpec::new("meanwhile"), Death::failed());
        cluster.failover();
        audience.one("meanwhile").await;
        cluster.launch_failed(TaskSpec::new("after"), Death::failed());
        audience.one("after").await;
        audience.count(2).await;
    }
}

#[tokio::test]
async fn the_clock_of_an_agent_may_be_wrong_by_a_day() {
    for skew in [-86_400.0, 86_400.0] {
        let cluster = FakeCluster::start().await.unwrap();
        let audience = Audience::of(
            builder(&cluster.masters_flag())
                .api(Api::Stream)
                .backlog(Backlog::Skip)
                .sweep(Duration::from_millis(300)),
        );
        audience.is_streaming(&cluster).await;
        cluster.agent(0).skew(skew);
        cluster.launch_failed(TaskSpec::new("plain"), Death::failed());
        let fast = cluster.launch(TaskSpec::new("fast"));
        cluster.fail(&fast, Death::failed().fast());
        // Told without its status, for that does not come in time.
        audience.one("fast").await;
        cluster.acknowledge(&fast);
        tokio::time::sleep(Duration::from_secs(1)).await;
        audience.count(2).await;
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_had_in_one_form_is_read_in_the_other() {
    let cluster = FakeCluster::start().await.unwrap();
    let audience = Audience::of(
        builder(&cluster.masters_flag())
            .api(Api::Stream)
            .sweep(Duration::from_millis(200)),
    );
    audience.is_streaming(&cluster).await;
    // The stream stays open, while other calls of its API fail.
    cluster
        .master(0)
        .always_on("/api/v1", notifier_testkit::http::Action::status(500));
    let silent = cluster.launch(TaskSpec::new("silent"));
    cluster.fail(&silent, Death::failed().state_only());
    audience.one("silent").await;
}

#[tokio::test]
async fn an_agent_that_is_lost_and_then_given_up_costs_a_task_once() {
    for api in [Api::Stream, Api::Poll] {
        let cluster = FakeCluster::start().await.unwrap();
        cluster.framework("aware").partition_aware(true);
        let task = cluster.launch(TaskSpec::new("a").framework("aware"));
        let audience = Audience::of(
            builder(&cluster.masters_flag())
                .api(api)
                .sweep(Duration::from_millis(300)),
        );
        audience.until("a first answer", Audience::has_begun).await;
        cluster.agent(0).partition();
        assert_eq!(audience.one("a").await.state, "TASK_UNREACHABLE");
        let gone = serde_json::json!({"type": "TASK_UPDATED", "task_updated": {
            "framework_id": {"value": task.framework_id()}, "state": "TASK_GONE_BY_OPERATOR",
            "status": {
                "task_id": {"value": "a"}, "agent_id": {"value": task.agent_id()},
                "state": "TASK_GONE_BY_OPERATOR", "source": "SOURCE_MASTER",
                "timestamp": cluster.last_timestamp_of(&task).unwrap() + 60.0,
            },
        }});
        cluster.publish(&gone);
        cluster.publish(&gone);
        cluster.agent(0).mark_gone();
        tokio::time::sleep(Duration::from_secs(1)).await;
        audience.count(1).await;
    }
}
