//! How complainer lost failures: a row for each way, in both modes. Each failure is told
//! whole and once, and what a poller cannot see is marked.
//!
//! Row 14, the cost of a large state in memory and time, is measured by a benchmark.

#[path = "../common/mod.rs"]
mod common;
mod scene;
mod stream;

use futures_util::future::join_all;
use notifier_core::{FailureRecord, LogLocator as _};
use notifier_testkit::{
    http::Action,
    mesos::{Auth, Death, ExecutorKind, FakeCluster, Listing, StreamCut, TaskSpec, TaskState},
};
use source_mesos::{Api, Backlog, MesosBuilder};

use crate::scene::*;
use common::Audience;

macro_rules! losses {
    ($($row:ident)*) => {$(
        mod $row {
            use source_mesos::Api;

            #[tokio::test]
            async fn stream() {
                super::$row(Api::Stream).await;
            }

            #[tokio::test]
            async fn poll() {
                super::$row(Api::Poll).await;
            }
        }
    )*};
}

losses! {
    row_01_executors_of_every_kind
    row_02_lost_agents
    row_03_schedulers_that_do_not_acknowledge
    row_04_frameworks_that_are_torn_down
    row_05_masters_that_are_away
    row_06_agents_that_are_away
    row_07_more_failures_than_a_master_keeps
    row_08_more_executors_than_an_agent_keeps
    row_09_ids_that_fail_twice_within_a_second
    row_10_other_ends_than_failed_error_and_lost
    row_11_agents_of_another_port_with_a_login_and_an_odd_directory
    row_12_restarts
    row_13_message_reason_and_exit_code
}

/// An executor was searched whose id is that of the task, which only the executors of
/// commands have. Failures of all others were not told at all.
async fn row_01_executors_of_every_kind(api: Api) {
    let cluster = start(FakeCluster::builder(), 2).await;
    let tasks = [
        ("command", ExecutorKind::Command),
        ("custom", ExecutorKind::Custom),
        ("nested", ExecutorKind::Nested { depth: 1 }),
        ("deep", ExecutorKind::Nested { depth: 2 }),
        ("pod", ExecutorKind::Pod),
    ]
    .map(|(id, kind)| {
        let spec = spec("marathon", id)
            .executor(kind)
            .executor_id(format!("runner of {id}"))
            .executor_label("owner", "runner");
        launch(&cluster, spec)
    });
    // Its neighbour in the pod is killed with it, which is no failure.
    let neighbour = spec("marathon", "neighbour")
        .executor(ExecutorKind::Pod)
        .executor_id("runner of pod")
        .agent(tasks[4].agent());
    let neighbour = launch(&cluster, neighbour);
    assert_eq!(neighbour.run_id(), tasks[4].run_id());
    let scene = Scene::of(api, cluster).await;
    for task in &tasks {
        scene.cluster.fail(task, Death::failed().exit(7));
    }
    assert_eq!(scene.cluster.state_of(&neighbour), Some(TaskState::Killed));
    let failures = scene.told_and_listed(tasks.len(), 2).await;
    for task in &tasks {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        let owner = (task.id() != "command").then_some("runner");
        assert_eq!(f.labels.get("owner").map(String::as_str), owner, "{f}");
        let message = match owner {
            None => "Command exited with status 7",
            Some(_) => "Container exited with status 7",
        };
        scene.tells(f, Some(message), None, Some(7));
    }
}

/// Tasks of a lost agent are in a list that was not read, and those of frameworks that
/// know of partitions end in a state that was not asked for.
async fn row_02_lost_agents(api: Api) {
    let cluster = cluster().await;
    cluster.framework("aware").partition_aware(true);
    let lost = launch_many(&cluster, "marathon", 20);
    let unreachable = launch_many(&cluster, "aware", 1);
    let ended = ["marathon", "aware"].map(|framework| {
        ["failed", "finished"].map(|end| {
            let id = format!("{framework}.{end}");
            launch(&cluster, spec(framework, &id))
        })
    });
    let scene = Scene::of(api, cluster).await;
    let cluster = &scene.cluster;
    for [failed, finished] in &ended {
        cluster.fail(failed, Death::failed().unacknowledged());
        cluster.fail(finished, Death::finished().unacknowledged());
    }
    scene.audience.count(2).await;
    let agent = cluster.agent(0);
    agent.lose();
    // Those that had ended are not lost too, although their masters add such a status.
    let failures = scene.told(23).await;
    for (tasks, state) in [(&lost, "TASK_LOST"), (&unreachable, "TASK_UNREACHABLE")] {
        for task in tasks {
            assert_eq!(cluster.listing_of(task), Some(Listing::Unreachable));
            let f = of(&failures, task);
            scene.has_facts(f, task, state);
            scene.has_times(f, task);
            let why = (Some("health check timed out"), Some("REASON_AGENT_REMOVED"));
            scene.tells(f, why.0, why.1, None);
        }
    }
    // The logs are on the agent: they are there again when it is.
    let first = of(&failures, &lost[0]);
    let e = scene.audience.locator.locate(first).await.unwrap_err();
    assert!(e.is_retryable(), "{e}");
    agent.restore().unwrap();
    assert_eq!(cluster.state_of(&lost[0]), Some(TaskState::Running));
    let logs = scene.logs_in_the_end(first).await;
    scene.reads(first, &lost[0], &logs).await;
    for task in lost[1..].iter().chain(&unreachable) {
        scene.has_logs(of(&failures, task), task).await;
    }
    for [failed, _] in &ended {
        let f = of(&failures, failed);
        scene.is_whole(f, failed, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
    // A task that lives again can die again.
    cluster.fail(&lost[3], Death::failed());
    let failures = scene.told(24).await;
    let f = failures.last().unwrap();
    scene.is_whole(f, &lost[3], "TASK_FAILED").await;
    scene.tells_status_1(f);
}

/// A task stays among those that live until the scheduler has acknowledged its end, and if
/// that took longer than 30 s the failure was too old to be told. Where the scheduler had
/// not acknowledged the start either, there is no event and no status of the end.
async fn row_03_schedulers_that_do_not_acknowledge(api: Api) {
    let cluster = cluster().await;
    let slow = launch_many(&cluster, "slow", 5);
    let away = launch_many(&cluster, "away", 5);
    let back = launch_many(&cluster, "back", 5);
    let scene = Scene::with(api, cluster, |b| b.sweep(SHORT)).await;
    let cluster = &scene.cluster;
    cluster.framework("slow").hold_acknowledgements();
    for name in ["away", "back"] {
        cluster.framework(name).disconnect();
    }
    for task in &slow {
        cluster.fail(task, Death::failed());
    }
    for task in away.iter().chain(&back) {
        cluster.fail(task, Death::failed().state_only());
    }
    scene.looks().await;
    // In time: the stream waits some seconds for a status that is still to come.
    if scene.streams() {
        assert!(scene.audience.failures().len() <= 5);
    }
    cluster.framework("back").reconnect();
    scene
        .audience
        .until("told of all", |a| a.failures().len() == 15)
        .await;
    scene.looks().await;
    let failures = scene.audience.count(15).await;
    for task in &slow {
        assert_eq!(cluster.listing_of(task), Some(Listing::Tasks));
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
    for task in &back {
        assert_eq!(cluster.listing_of(task), Some(Listing::Completed));
        let f = of(&failures, task);
        scene.has_facts(f, task, "TASK_FAILED");
        scene.has_logs(f, task).await;
        scene.tells_status_1(f);
    }
    for task in &away {
        assert_eq!(cluster.listing_of(task), Some(Listing::Tasks));
        let f = of(&failures, task);
        scene.has_facts(f, task, "TASK_FAILED");
        scene.has_logs(f, task).await;
        // Nobody knows why until the scheduler is back.
        scene.tells(f, None, None, None);
    }
    // Now there is a status, with another time than that of the first sight.
    for name in ["slow", "away"] {
        cluster.framework(name).reconnect();
    }
    assert_eq!(cluster.listing_of(&away[0]), Some(Listing::Completed));
    for task in &back {
        cluster.repeat_update(task);
    }
    scene.looks().await;
    scene.told(15).await;
}

/// Tasks of a framework that has ended are in a list that was not read.
async fn row_04_frameworks_that_are_torn_down(api: Api) {
    let cluster = cluster().await;
    let batch = launch_many(&cluster, "batch", 7);
    let unheard = launch_many(&cluster, "unheard", 5);
    let heard = launch_many(&cluster, "heard", 5);
    let scene = Scene::of(api, cluster).await;
    let cluster = &scene.cluster;
    for name in ["unheard", "heard"] {
        cluster.framework(name).hold_acknowledgements();
    }
    for task in &heard {
        cluster.fail(task, Death::failed());
    }
    scene
        .audience
        .until("told of 5", |a| a.failures().len() == 5)
        .await;
    for task in batch[..5].iter().chain(&unheard) {
        cluster.fail(task, Death::failed());
    }
    let died = |task| cluster.last_timestamp_of(task).unwrap() as i64;
    let held: Vec<_> = unheard.iter().chain(&heard).collect();
    let held: Vec<_> = held.into_iter().map(|task| (task, died(task))).collect();
    for name in ["batch", "unheard", "heard"] {
        cluster.framework(name).tear_down();
    }
    // Two were alive and are killed.
    let failures = scene.told(15).await;
    for task in &batch[..5] {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
    // All that has not been acknowledged gets the status of a kill as well.
    for (task, died) in held {
        let f = of(&failures, task);
        scene.has_facts(f, task, "TASK_FAILED");
        scene.has_logs(f, task).await;
        scene.tells_status_1(f);
        assert_eq!(f.finished.as_second(), died);
    }
}

/// What was older than 30 s when it was first seen was dropped.
async fn row_05_masters_that_are_away(api: Api) {
    let cluster = cluster().await;
    let tasks = launch_many(&cluster, "marathon", 5);
    let now = launch(&cluster, TaskSpec::new("clock"));
    let now = cluster.last_timestamp_of(&now).unwrap();
    let scene = Scene::of(api, cluster).await;
    let master = scene.cluster.master(0);
    let trouble = |words: &'static str| {
        scene
            .audience
            .until(words, move |a| a.errors().iter().any(|e| e.contains(words)))
    };
    master.always(Action::status(500));
    scene.cluster.cut_streams(StreamCut::Close);
    trouble("answered 500").await;
    master.clear();
    master.refuse();
    for task in &tasks {
        scene.cluster.fail(task, Death::failed().at(now - 40.0));
    }
    trouble("connection refused").await;
    assert!(scene.audience.failures().is_empty());
    master.restore().unwrap();
    let failures = scene.told(5).await;
    for task in &tasks {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
}

/// A look-up of logs that went wrong was not tried again, and the failure was not told.
async fn row_06_agents_that_are_away(api: Api) {
    let scene = Scene::of(api, cluster().await).await;
    let tasks = launch_many(&scene.cluster, "marathon", 5);
    let agent = scene.cluster.agent(0);
    agent.refuse();
    for task in &tasks {
        scene.cluster.fail(task, Death::failed());
    }
    let failures = scene.told(5).await;
    for f in &failures {
        let e = scene.audience.locator.locate(f).await.unwrap_err();
        assert!(e.is_retryable(), "{e}");
    }
    agent.restore().unwrap();
    for task in &tasks {
        let f = of(&failures, task);
        let logs = scene.logs_in_the_end(f).await;
        scene.reads(f, task, &logs).await;
        scene.has_facts(f, task, "TASK_FAILED");
        scene.has_times(f, task);
        scene.tells_status_1(f);
    }
    // While they are read.
    let f = of(&failures, &tasks[0]);
    let logs = scene.logs_in_the_end(f).await;
    agent.next(Action::status(503));
    let e = scene.audience.read(f, &logs[0]).await.unwrap_err();
    assert!(e.is_retryable(), "{e}");
    scene.reads(f, &tasks[0], &logs).await;
}

/// A master keeps the last 1000 ended tasks of a framework. What is pushed out between two
/// polls no poller can see; the stream tells it as it happens.
async fn row_07_more_failures_than_a_master_keeps(api: Api) {
    let settings = FakeCluster::builder()
        .max_completed_tasks(100)
        .max_completed_executors(400);
    let scene = Scene::of(api, start(settings, 1).await).await;
    // No poll comes between: nothing is awaited.
    let mut tasks = Vec::new();
    for chunk in 0..4 {
        let spec = |n| spec("marathon", &format!("storm.{chunk}.{n}"));
        let burst: Vec<_> = (0..100).map(|n| launch(&scene.cluster, spec(n))).collect();
        for task in &burst {
            scene.cluster.fail(task, Death::failed());
        }
        tasks.extend(burst);
    }
    let visible = if scene.streams() {
        &tasks[..]
    } else {
        &tasks[300..]
    };
    let failures = scene.told(visible.len()).await;
    for (n, task) in visible.iter().enumerate() {
        let f = of(&failures, task);
        scene.has_facts(f, task, "TASK_FAILED");
        scene.has_times(f, task);
        scene.tells_status_1(f);
        if n % 20 == 0 {
            scene.has_logs(f, task).await;
        }
    }
}

/// An agent keeps the last 150 ended executors of a framework. Failures of those before
/// were not told at all.
async fn row_08_more_executors_than_an_agent_keeps(api: Api) {
    // Slow polls leave the processor to the logs.
    let set = |b: MesosBuilder| b.interval(SHORT);
    let scene = Scene::with(api, cluster().await, set).await;
    let tasks = launch_many(&scene.cluster, "marathon", 300);
    for task in &tasks {
        scene.cluster.fail(task, Death::failed());
    }
    let failures = scene.told(300).await;
    join_all(tasks.iter().map(|task| async {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }))
    .await;
}

/// An id was told once a minute, and its logs were those of any of its runs.
async fn row_09_ids_that_fail_twice_within_a_second(api: Api) {
    let scene = Scene::of(api, cluster().await).await;
    let runs = [0.2, 0.7].map(|fraction| {
        let task = launch(&scene.cluster, spec("chronos", "ct:1:0:nightly:"));
        let at = STARTED as f64 + 60.0 + fraction;
        scene.cluster.fail(&task, Death::failed().at(at));
        task
    });
    assert_ne!(runs[0].run_id(), runs[1].run_id());
    let failures = scene.told_and_listed(2, 2).await;
    for task in &runs {
        // The locator's note names the run.
        let of_run = |f: &&FailureRecord| {
            let locator = f.locator.as_ref().unwrap();
            locator["containers"][0] == task.run_id()
        };
        let f = failures.iter().find(of_run).unwrap();
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
}

/// Only `TASK_FAILED`, `TASK_ERROR` and `TASK_LOST` were failures. A kill at a limit of the
/// container differs from others by its reason only, which no poller sees.
async fn row_10_other_ends_than_failed_error_and_lost(api: Api) {
    let cluster = start(FakeCluster::builder(), 2).await;
    cluster.framework("aware").partition_aware(true);
    let deaths = [
        ("gone", Death::gone(), "TASK_GONE"),
        (
            "by-operator",
            Death::gone_by_operator(),
            "TASK_GONE_BY_OPERATOR",
        ),
        ("dropped", Death::dropped(), "TASK_DROPPED"),
        ("unhealthy", Death::unhealthy(), "TASK_KILLED"),
        (
            "limit",
            Death::killed()
                .reason("REASON_CONTAINER_LIMITATION_MEMORY")
                .message("Memory limit exceeded"),
            "TASK_KILLED",
        ),
        ("killed", Death::killed(), "TASK_KILLED"),
        ("finished", Death::finished(), "TASK_FINISHED"),
    ]
    .map(|(id, death, state)| (launch(&cluster, spec("aware", id).agent(0)), death, state));
    let unreachable = launch(&cluster, spec("aware", "unreachable").agent(1));
    let scene = Scene::of(api, cluster).await;
    for (task, death, _) in &deaths {
        scene.cluster.fail(task, death.clone());
    }
    scene.cluster.agent(1).partition();
    let told = if scene.streams() {
        &deaths[..5]
    } else {
        &deaths[..4]
    };
    let failures = scene.told(told.len() + 1).await;
    for (task, _, state) in told {
        let f = of(&failures, task);
        scene.is_whole(f, task, state).await;
        let healthy = (task.id() == "unhealthy").then_some(false);
        assert_eq!(f.healthy, healthy, "{f}");
        let (message, reason) = match task.id() {
            "gone" => (
                Some("Executor terminated"),
                Some("REASON_EXECUTOR_TERMINATED"),
            ),
            "by-operator" => (
                Some("Agent has been marked gone"),
                Some("REASON_AGENT_REMOVED_BY_OPERATOR"),
            ),
            "dropped" => (
                Some("Agent restarted before the task was launched"),
                Some("REASON_AGENT_RESTARTED"),
            ),
            "limit" => (
                Some("Memory limit exceeded"),
                Some("REASON_CONTAINER_LIMITATION_MEMORY"),
            ),
            _ => (None, None),
        };
        scene.tells(f, message, reason, None);
    }
    let f = of(&failures, &unreachable);
    scene.is_whole(f, &unreachable, "TASK_UNREACHABLE").await;
}

/// Agents were asked on port 5051, without a login, and paths were not encoded: no logs, and
/// so no report.
async fn row_11_agents_of_another_port_with_a_login_and_an_odd_directory(api: Api) {
    let settings = FakeCluster::builder()
        .agent_auth(Auth::basic("watcher", "s3cret"))
        .work_dir("/var/lib/mesos dir+x#1");
    let scene = Scene::with(api, start(settings, 2).await, |b| {
        b.agent_basic("watcher", "s3cret".into())
    })
    .await;
    let tasks = [
        ExecutorKind::Command,
        ExecutorKind::Pod,
        ExecutorKind::Nested { depth: 2 },
        ExecutorKind::Custom,
    ]
    .map(|kind| {
        let id = format!("{kind:?}: 100% & #1+1 日本");
        let task = launch(&scene.cluster, spec("marathon", &id).executor(kind));
        scene.cluster.fail(&task, Death::failed().exit(1));
        task
    });
    let failures = scene.told(tasks.len()).await;
    for task in &tasks {
        let f = of(&failures, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        let logs = scene.audience.locator.locate(f).await.unwrap();
        for log in logs {
            let start = "?path=/var/lib/mesos%20dir%2Bx%231/slaves/";
            assert!(log.url.contains(start), "{}", log.url);
        }
    }
}

/// The first poll after a start told nothing: what had failed before was lost.
async fn row_12_restarts(api: Api) {
    let cluster = cluster().await;
    let old = launch(&cluster, spec("marathon", "old"));
    cluster.fail(&old, Death::failed());
    let earlier = launch_many(&cluster, "earlier", 3);
    let later = launch_many(&cluster, "later", 5);
    let late = launch_many(&cluster, "late", 1).remove(0);
    let set = |b: MesosBuilder| b.backlog(Backlog::Skip).sweep(SHORT);
    let mut scene = Scene::with(api, cluster, set).await;
    let cluster = scene.cluster.clone();
    cluster.framework("late").disconnect();
    for task in &earlier {
        cluster.fail(task, Death::failed());
    }
    // A poller tells it at once; beside the stream its status is waited for.
    cluster.fail(&late, Death::failed().state_only());
    scene.looks().await;
    let first = scene.told(if scene.streams() { 3 } else { 4 }).await;
    for task in &earlier {
        scene.is_whole(of(&first, task), task, "TASK_FAILED").await;
    }

    let (cursor, keys) = scene.audience.stop();
    for task in &later {
        cluster.fail(task, Death::failed());
    }
    // An id of before, and an end that was seen before and has a status only now.
    let again = launch(&cluster, spec("earlier", "earlier.0"));
    cluster.fail(&again, Death::failed().at(STARTED as f64));
    cluster.framework("late").reconnect();
    scene.audience = Audience::with(set(settings(api, &cluster)), cursor, keys);
    scene.listens().await;
    let second = scene.told(if scene.streams() { 7 } else { 6 }).await;
    for task in &later {
        let f = of(&second, task);
        scene.is_whole(f, task, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
    let f = of(&second, &again);
    scene.is_whole(f, &again, "TASK_FAILED").await;
    if scene.streams() {
        let f = of(&second, &late);
        scene.is_whole(f, &late, "TASK_FAILED").await;
        scene.tells_status_1(f);
    }
}

/// `/state` never had message, reason and exit code, and still has not: a poller tells
/// none, the stream does.
async fn row_13_message_reason_and_exit_code(api: Api) {
    let scene = Scene::of(api, cluster().await).await;
    let lines = format!("one\ntwo \"quoted\" \\ {}", "\u{1f4a5}".repeat(1000));
    let deaths = [
        (
            Death::failed()
                .exit(3)
                .reason("REASON_COMMAND_EXECUTOR_FAILED"),
            Some("Command exited with status 3"),
            Some("REASON_COMMAND_EXECUTOR_FAILED"),
            Some(3),
        ),
        (
            Death::failed().signal("SIGSEGV"),
            Some("Command terminated with signal SIGSEGV"),
            None,
            None,
        ),
        (
            Death::out_of_memory(),
            Some("Memory limit exceeded: Requested: 32MB Maximum Used: 32MB"),
            Some("REASON_CONTAINER_LIMITATION_MEMORY"),
            None,
        ),
        (
            Death::failed().message(lines.as_str()),
            Some(lines.as_str()),
            None,
            None,
        ),
        (
            Death::lost(),
            Some("Executor terminated"),
            Some("REASON_EXECUTOR_TERMINATED"),
            None,
        ),
    ];
    let tasks = launch_many(&scene.cluster, "marathon", deaths.len());
    for (task, (death, ..)) in tasks.iter().zip(&deaths) {
        scene.cluster.fail(task, death.clone());
    }
    let failures = scene.told(deaths.len()).await;
    for (task, (_, message, reason, exit)) in tasks.iter().zip(deaths) {
        let f = of(&failures, task);
        let state = if reason == Some("REASON_EXECUTOR_TERMINATED") {
            "TASK_LOST"
        } else {
            "TASK_FAILED"
        };
        scene.is_whole(f, task, state).await;
        scene.tells(f, message, reason, exit);
    }
}
