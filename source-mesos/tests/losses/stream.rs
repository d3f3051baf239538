//! What only the stream of events tells.

use std::{collections::BTreeSet, time::Duration};

use notifier_core::LogLocator as _;
use notifier_testkit::mesos::{Death, ExecutorKind, FakeCluster, MesosVersion};
use serde_json::json;
use source_mesos::Api;

use crate::scene::*;

/// The end overtakes the start: its event tells that the task runs, in the state of one that
/// failed. The status comes when the scheduler has acknowledged the start.
#[tokio::test]
async fn stream_a_task_that_dies_fast_is_told_with_its_message() {
    let scene = Scene::of(Api::Stream, cluster().await).await;
    let tasks = launch_many(&scene.cluster, "marathon", 2);
    for task in &tasks {
        scene.cluster.fail(task, Death::failed().exit(4).fast());
    }
    // The one at once, the other when a look has seen its end without a status.
    scene.cluster.acknowledge(&tasks[0]);
    scene
        .audience
        .until("looking", |_| scene.cluster.calls("GET_STATE") > 0)
        .await;
    tokio::time::sleep(SHORT).await;
    scene.cluster.acknowledge(&tasks[1]);
    let failures = scene.told(2).await;
    for task in &tasks {
        let f = of(&failures, task);
        scene.has_facts(f, task, "TASK_FAILED");
        scene.has_logs(f, task).await;
        scene.tells(f, Some("Command exited with status 4"), None, Some(4));
    }
}

/// Updates of 1.0 have no status. Before 1.7 there is none of an end that an earlier update
/// announced. The state is looked at because of the update.
#[tokio::test]
async fn stream_a_status_that_no_event_tells_is_looked_for() {
    let looked_for = async |version, death: Death| {
        let cluster = start(FakeCluster::builder().version(version), 1).await;
        let tasks = launch_many(&cluster, "marathon", 3);
        let scene = Scene::of(Api::Stream, cluster).await;
        let looks = || scene.cluster.calls("GET_STATE");
        // There is one after the snapshot anyway.
        scene.audience.until("looking", |_| looks() == 1).await;
        for task in &tasks {
            scene.cluster.fail(task, death.clone());
            scene.cluster.acknowledge(task);
        }
        let failures = scene.told(3).await;
        assert_eq!(looks(), 2);
        for task in &tasks {
            let f = of(&failures, task);
            scene.has_facts(f, task, "TASK_FAILED");
            scene.has_logs(f, task).await;
            scene.tells_status_1(f);
        }
    };
    tokio::join!(
        looked_for(MesosVersion::V1_0, Death::failed()),
        looked_for(MesosVersion::V1_4, Death::failed().fast()),
    );
}

/// Of a task that no snapshot and no event told before, ids are known, and what a look finds.
#[tokio::test]
async fn stream_an_update_of_an_unknown_task_is_told_with_its_ids() {
    let cluster = cluster().await;
    let framework = cluster.framework("marathon").id();
    let agent = cluster.agent(0).id();
    let scene = Scene::of(Api::Stream, cluster).await;
    let update = |id: &str, framework: &str, agent: &str| {
        json!({"type": "TASK_UPDATED", "task_updated": {
            "framework_id": {"value": framework},
            "state": "TASK_FAILED",
            "status": {
                "task_id": {"value": id},
                "state": "TASK_FAILED",
                "source": "SOURCE_EXECUTOR",
                "message": "Command exited with status 9",
                "agent_id": {"value": agent},
                "executor_id": {"value": id},
                "timestamp": STARTED as f64 + 0.25,
                "container_status": {"container_id": {"value": "ghost-run"}},
            },
        }})
    };
    scene.cluster.publish(&update("ghost", "F-0", "S-0"));
    scene.cluster.publish(&update("stray", &framework, &agent));
    scene.cluster.publish(&update("ghost", "F-0", "S-0"));
    let failures = scene.told(2).await;
    assert!(scene.cluster.calls("GET_STATE") > 0);
    let seen: BTreeSet<_> = failures
        .iter()
        .map(|f| {
            (
                f.id.as_str(),
                f.name.as_str(),
                f.framework.as_str(),
                f.host.as_str(),
            )
        })
        .collect();
    let expected = [
        ("ghost", "ghost", "", ""),
        ("stray", "stray", "marathon", HOST),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    for f in &failures {
        assert_eq!(f.state, "TASK_FAILED");
        assert_eq!(f.finished.as_second(), STARTED);
        scene.tells(f, Some("Command exited with status 9"), None, Some(9));
        let e = scene.audience.locator.locate(f).await.unwrap_err();
        assert!(!e.is_retryable(), "{e}");
    }
}

/// A new leader knows nothing of an agent until it is back; tasks that failed meanwhile are
/// added at their end.
#[tokio::test]
async fn stream_a_task_that_is_added_dead_after_a_failover_is_told() {
    let cluster = start(FakeCluster::builder().masters(2), 2).await;
    let tasks = launch_many(&cluster, "marathon", 4);
    let scene = Scene::of(Api::Stream, cluster).await;
    let cluster = &scene.cluster;
    let opened = cluster.streams().opened;
    cluster.failover_empty();
    assert!(cluster.wait_for_streams(opened + 1, PATIENCE).await);
    scene.listens().await;
    for task in &tasks {
        cluster.fail(task, Death::failed());
    }
    let looks = cluster.calls("GET_STATE");
    cluster.settle_agent(0);
    cluster.settle_agent(1);
    scene
        .audience
        .until("told of all", |a| a.failures().len() == 4)
        .await;
    assert_eq!(cluster.calls("GET_STATE"), looks);
    cluster.framework("marathon").reconnect();
    let failures = scene.told(4).await;
    for task in &tasks {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
}

/// An agent repeats a status whose acknowledgement was lost.
#[tokio::test]
async fn stream_an_update_that_is_repeated_tells_nothing_new() {
    let scene = Scene::of(Api::Stream, cluster().await).await;
    let task = launch(&scene.cluster, spec("marathon", "web"));
    scene.cluster.fail(&task, Death::failed());
    for _ in 0..3 {
        scene.cluster.repeat_update(&task);
    }
    scene.audience.one("web").await;
    scene.cluster.repeat_update(&task);
    let failures = scene.told_and_listed(1, 2).await;
    scene.is_whole(&failures[0], &task, "TASK_FAILED").await;
    scene.tells_status_1(&failures[0]);
}

/// Before 1.5 there are no heartbeats: silence says nothing.
#[tokio::test]
async fn stream_of_1_4_stays_open_without_heartbeats() {
    let settings = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .heartbeat(Duration::from_millis(50));
    let scene = Scene::of(Api::Stream, start(settings, 1).await).await;
    let task = launch(&scene.cluster, spec("marathon", "web"));
    tokio::time::sleep(SHORT).await;
    assert_eq!(scene.cluster.streams().opened, 1);
    scene.cluster.fail(&task, Death::failed());
    scene.audience.one("web").await;
    assert_eq!(scene.cluster.streams().opened, 1);
    let failures = scene.told(1).await;
    scene.is_whole(&failures[0], &task, "TASK_FAILED").await;
    scene.tells_status_1(&failures[0]);
}

/// No event tells of executors, whose labels are those of the pod. A look finds them while
/// the executor is there, as it is for a moment after its last task; later only the agent
/// knows them.
#[tokio::test]
async fn stream_a_pod_that_fails_at_once_has_the_labels_of_its_executor() {
    let scene = Scene::of(Api::Stream, cluster().await).await;
    let spec = |id: &str| {
        spec("marathon", id)
            .executor(ExecutorKind::Pod)
            .executor_label("owner", id)
    };
    let tasks = [
        spec("pod.1").keep_executor(),
        spec("pod.2").keep_executor(),
        spec("gone"),
    ]
    .map(|spec| {
        let task = launch(&scene.cluster, spec);
        scene.cluster.fail(&task, Death::failed());
        task
    });
    let failures = scene.told(3).await;
    for task in &tasks {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        assert_eq!(f.labels.get("owner").map(String::as_str), Some(task.id()));
        scene.tells(f, Some("Container exited with status 1"), None, Some(1));
    }
}
