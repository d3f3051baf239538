//! Finding and reading the logs of failed tasks.

mod common;

use std::time::Duration;

use common::{Watch, builder};
use notifier_core::{ErrorKind, FailureRecord, LogLocator as _, LogStream, Retry};
use notifier_testkit::{
    http::{Action, End, Reply, ScriptedServer},
    mesos::{Death, ExecutorKind, FakeCluster, MesosVersion, Stream, TaskSpec},
};

fn state_requests(cluster: &FakeCluster, agent: usize) -> usize {
    cluster
        .agent(agent)
        .requests()
        .iter()
        .filter(|r| r.path().contains("/state"))
        .count()
}

async fn failed(cluster: &FakeCluster) -> (Watch, FailureRecord) {
    let mut watch = Watch::of(cluster);
    let f = watch.one().await;
    (watch, f)
}

#[tokio::test]
async fn the_logs_of_every_kind_of_executor_are_found() {
    for version in [
        MesosVersion::V0_28,
        MesosVersion::V1_0,
        MesosVersion::V1_4,
        MesosVersion::V1_11,
    ] {
        let cluster = FakeCluster::builder()
            .agents(2)
            .version(version)
            .start()
            .await
            .unwrap();
        let kinds = [
            ("command", ExecutorKind::Command),
            ("custom", ExecutorKind::Custom),
            ("nested", ExecutorKind::Nested { depth: 1 }),
            ("deep", ExecutorKind::Nested { depth: 2 }),
            ("pod", ExecutorKind::Pod),
        ];
        // Before 1.2 no status tells a container, so nested ones cannot be found.
        let tells = version == MesosVersion::V1_4 || version == MesosVersion::V1_11;
        let mut tasks = Vec::new();
        for (id, kind) in kinds {
            let is_nested = matches!(kind, ExecutorKind::Nested { .. });
            let pod_is_new = kind == ExecutorKind::Pod && version == MesosVersion::V0_28;
            let pod_has_type = version != MesosVersion::V1_0;
            if (is_nested && !tells) || pod_is_new || (kind == ExecutorKind::Pod && !pod_has_type) {
                continue;
            }
            let task = cluster.launch(TaskSpec::new(id).executor(kind));
            cluster.set_log(&task, Stream::Stderr, format!("stderr of {id}\n"));
            cluster.fail(&task, Death::failed());
            tasks.push(task);
        }
        let mut watch = Watch::of(&cluster);
        let failures = watch.next().await;
        assert_eq!(failures.len(), tasks.len());
        for task in tasks {
            let f = failures.iter().find(|f| f.id == task.id()).unwrap();
            let logs = watch.logs(f).await;
            assert_eq!(
                (logs[0].name.as_str(), logs[1].name.as_str()),
                ("stdout", "stderr")
            );
            let agent = cluster.agent_url(task.agent());
            assert!(
                logs[1]
                    .url
                    .starts_with(&format!("{agent}/files/download?path=/var/lib/mesos/")),
                "{}",
                logs[1].url
            );
            let text = watch.read(f, &logs[1]).await.unwrap();
            assert_eq!(
                String::from_utf8(text).unwrap(),
                format!("stderr of {}\n", f.id),
                "{version}"
            );
        }
    }
}

#[tokio::test]
async fn running_executors_and_ended_frameworks_are_searched_too() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(
        TaskSpec::new("kept")
            .executor(ExecutorKind::Custom)
            .keep_executor(),
        Death::failed(),
    );
    cluster.launch_failed(TaskSpec::new("down").framework("batch"), Death::failed());
    cluster.framework("batch").tear_down();
    let mut watch = Watch::of(&cluster);
    let failures = watch.next().await;
    assert_eq!(failures.len(), 2);
    for f in &failures {
        assert_eq!(watch.logs(f).await.len(), 2, "{f}");
    }
}

#[tokio::test]
async fn without_a_container_id_the_run_is_known_by_the_time_of_death() {
    let cluster = FakeCluster::start().await.unwrap();
    let mut runs = Vec::new();
    for n in 0..3 {
        let task = cluster.launch(TaskSpec::new("ct:1").without_container_status());
        cluster.set_log(&task, Stream::Stdout, format!("run {n}"));
        cluster.fail(&task, Death::failed().at(1_466_138_400.0 + f64::from(n)));
        runs.push(task);
    }
    let mut watch = Watch::of(&cluster);
    let mut failures = watch.next().await;
    failures.sort_by_key(|f| f.finished);
    for (n, f) in failures.iter().enumerate() {
        let logs = watch.logs(f).await;
        assert_eq!(
            watch.read(f, &logs[0]).await.unwrap(),
            format!("run {n}").as_bytes()
        );
    }
}

#[tokio::test]
async fn links_are_for_people_and_requests_are_encoded() {
    let cluster = FakeCluster::builder()
        .work_dir("/var/lib/me sos+x")
        .start()
        .await
        .unwrap();
    let id = "uni 日本 <a> & \"b\"|%41+#?=:";
    let task = cluster.launch(TaskSpec::new(id));
    cluster.set_log(&task, Stream::Stdout, "found");
    cluster.fail(&task, Death::failed());
    let (watch, f) = failed(&cluster).await;
    let logs = watch.logs(&f).await;
    let url = &logs[0].url;
    assert!(url.contains("/me%20sos%2Bx/slaves/"), "{url}");
    assert!(
        url.contains("/executors/uni%20日本%20%3Ca%3E%20%26%20%22b%22%7C%2541%2B%23?=:/runs/"),
        "{url}"
    );
    assert!(url.ends_with("/stdout"), "{url}");
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"found");
}

#[tokio::test]
async fn agents_share_a_host_name_and_not_a_port() {
    let cluster = FakeCluster::builder().agents(3).start().await.unwrap();
    for agent in 0..3 {
        cluster.agent(agent).advertise("localhost");
        let task = cluster.launch(TaskSpec::new("same").agent(agent));
        cluster.set_log(&task, Stream::Stdout, format!("agent {agent}"));
        cluster.fail(&task, Death::failed());
    }
    let mut watch = Watch::of(&cluster);
    let failures = watch.next().await;
    assert_eq!(failures.len(), 3);
    let mut texts = Vec::new();
    for f in &failures {
        let logs = watch.logs(f).await;
        assert!(
            logs[0].url.starts_with("http://localhost:"),
            "{}",
            logs[0].url
        );
        texts.push(String::from_utf8(watch.read(f, &logs[0]).await.unwrap()).unwrap());
    }
    texts.sort();
    assert_eq!(texts, ["agent 0", "agent 1", "agent 2"]);
}

#[tokio::test]
async fn a_host_name_that_leads_nowhere_is_left_for_the_address() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.agent(0).advertise("no-such-host.invalid");
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    let logs = watch.logs(&f).await;
    assert!(
        logs[0].url.starts_with("http://no-such-host.invalid:"),
        "{}",
        logs[0].url
    );
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");
}

#[tokio::test]
async fn one_look_up_serves_all_failures_of_an_agent() {
    let cluster = FakeCluster::start().await.unwrap();
    for n in 0..20 {
        cluster.launch_failed(TaskSpec::new(format!("t{n}")), Death::failed());
    }
    let mut watch = Watch::of(&cluster);
    let failures = watch.next().await;
    cluster
        .agent(0)
        .next(Action::delayed(Duration::from_millis(100)));
    let all =
        futures_util::future::join_all(failures.iter().map(|f| watch.locator.locate(f))).await;
    assert!(
        all.iter()
            .all(|logs| logs.as_ref().is_ok_and(|l| l.len() == 2))
    );
    assert_eq!(state_requests(&cluster, 0), 1);
}

#[tokio::test]
async fn an_executor_newer_than_the_look_up_is_found() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (mut watch, f) = failed(&cluster).await;
    watch.logs(&f).await;
    cluster.launch_failed(TaskSpec::new("b"), Death::failed());
    let f = watch.one().await;
    assert_eq!(watch.logs(&f).await.len(), 2);
    assert_eq!(state_requests(&cluster, 0), 2);
}

#[tokio::test]
async fn a_look_up_goes_on_when_nobody_waits() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    cluster
        .agent(0)
        .next(Action::delayed(Duration::from_millis(200)));
    let short = tokio::time::timeout(Duration::from_millis(50), watch.locator.locate(&f)).await;
    assert!(short.is_err());
    watch.logs(&f).await;
    assert_eq!(state_requests(&cluster, 0), 1);
}

#[tokio::test]
async fn an_agent_that_refuses_is_left_alone_for_a_while() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    cluster.agent(0).refuse();
    let address = cluster.agent_url(0).replace("http://", "");
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let e = watch.locator.locate(&f).await.unwrap_err();
        assert_eq!(
            e.to_string(),
            format!("agent {address} does not answer (connection refused)")
        );
        let Retry::Later { after: Some(after) } = e.retry() else {
            panic!("{e:?}")
        };
        pauses.push(after);
        tokio::time::sleep(after.min(Duration::from_millis(450))).await;
    }
    assert!(
        pauses[1] < Duration::from_secs(1) && pauses[2] > Duration::from_secs(20),
        "{pauses:?}"
    );
    cluster.agent(0).restore().unwrap();
    watch.locator.locate(&f).await.unwrap_err();
    assert_eq!(state_requests(&cluster, 0), 0);
}

#[tokio::test]
async fn an_agent_that_is_away_for_a_moment_is_asked_again() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    cluster.agent(0).refuse();
    watch.locator.locate(&f).await.unwrap_err();
    cluster.agent(0).restore().unwrap();
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(watch.logs(&f).await.len(), 2);
}

#[tokio::test]
async fn a_silent_agent_holds_nobody_up_for_long() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::new(
        builder(&cluster.masters_flag()).timeout(Duration::from_secs(1)),
        None,
    );
    let f = watch.one().await;
    cluster.agent(0).hang();
    let address = cluster.agent_url(0).replace("http://", "");
    for _ in 0..3 {
        let e = watch.locator.locate(&f).await.unwrap_err();
        assert_eq!(e.to_string(), format!("agent {address} does not answer"));
    }
    assert_eq!(state_requests(&cluster, 0), 1);
}

#[tokio::test]
async fn a_dripping_agent_holds_nobody_up_for_long() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::new(
        builder(&cluster.masters_flag()).timeout(Duration::from_millis(500)),
        None,
    );
    let f = watch.one().await;
    cluster
        .agent(0)
        .next(Action::dripping(1, Duration::from_millis(100)));
    let start = std::time::Instant::now();
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert!(e.to_string().ends_with("answers too slowly"), "{e}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_gone_is_said() {
    let cluster = FakeCluster::builder()
        .agents(2)
        .max_completed_executors(1)
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("pushed-out").agent(0), Death::failed());
    let last = cluster.launch_failed(TaskSpec::new("last").agent(0), Death::failed());
    let mut watch = Watch::of(&cluster);
    let failures = watch.next().await;
    let address = cluster.agent_url(0).replace("http://", "");
    let gone = failures.iter().find(|f| f.id == "pushed-out").unwrap();
    let e = watch.locator.locate(gone).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("the sandbox is gone from agent {address}")
    );
    assert!(!e.is_retryable());

    // The executor is listed and its files are collected: a link, and no log.
    let f = failures.iter().find(|f| f.id == "last").unwrap();
    let logs = watch.logs(f).await;
    cluster.collect_sandbox(&last);
    let e = watch.read(f, &logs[0]).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("stdout is gone from agent {address}")
    );
}

#[tokio::test]
async fn a_lost_agent_is_said() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch(TaskSpec::new("a"));
    let mut watch = Watch::of(&cluster);
    watch.next().await;
    cluster.agent(0).lose();
    let f = watch.one().await;
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert!(e.to_string().contains("does not answer"), "{e}");
    // Who starts now has never known the agent.
    let mut late = Watch::of(&cluster);
    let f = late.one().await;
    assert_eq!(f.host, "");
    let e = late.locator.locate(&f).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("the master does not know agent {}", cluster.agent(0).id())
    );
}

#[tokio::test]
async fn error_pages_are_no_logs() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    let logs = watch.logs(&f).await;
    let agent = cluster.agent(0);
    for (action, kind) in [
        (Action::html(200), ErrorKind::InvalidResponse),
        (Action::html(404), ErrorKind::Rejected),
        (Action::status(403), ErrorKind::PermissionDenied),
        (Action::status(500), ErrorKind::Unavailable),
        (Action::status(307), ErrorKind::Unavailable),
        (Action::truncated(5, End::Close), ErrorKind::Unavailable),
    ] {
        agent.next(action.clone());
        assert_eq!(
            watch.read(&f, &logs[0]).await.unwrap_err().kind(),
            kind,
            "{action:?}"
        );
    }
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");
}

#[tokio::test]
async fn an_agent_in_trouble_is_asked_again_soon() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    for action in [
        Action::status(503),
        Action::garbage(),
        Action::truncated(10, End::Close),
    ] {
        cluster.agent(0).next(action.clone());
        let e = watch.locator.locate(&f).await.unwrap_err();
        let Retry::Later { after: Some(after) } = e.retry() else {
            panic!("{action:?}: {e:?}")
        };
        assert!(after <= Duration::from_secs(2));
        tokio::time::sleep(after).await;
    }
    assert_eq!(watch.logs(&f).await.len(), 2);
}

#[tokio::test]
async fn notes_of_another_hand_are_errors() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, mut f) = failed(&cluster).await;
    let bare = LogStream::new("stdout", "http://x/");
    assert!(watch.read(&f, &bare).await.is_err());
    for locator in [
        None,
        Some(serde_json::json!("?")),
        Some(serde_json::json!({"port": "x"})),
        Some(serde_json::json!({})),
    ] {
        f.locator = locator;
        assert!(watch.locator.locate(&f).await.is_err());
    }
}

#[tokio::test]
async fn a_large_log_comes_in_pieces() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch(TaskSpec::new("a"));
    cluster.set_log(&task, Stream::Stdout, vec![b'x'; 3_000_000]);
    cluster.fail(&task, Death::failed());
    let (watch, f) = failed(&cluster).await;
    let logs = watch.logs(&f).await;
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap().len(), 3_000_000);
}

/// The original's links, to the letter: an agent that knows the framework by another id,
/// runs without a container id, and an id in another alphabet.
#[tokio::test]
async fn links_are_those_of_the_original() {
    use serde_json::json;

    let (master, agent) = (
        ScriptedServer::start().await.unwrap(),
        ScriptedServer::start().await.unwrap(),
    );
    let (port, pid) = (
        agent.addr().port(),
        format!("master@127.0.0.1:{}", master.addr().port()),
    );
    let task = |id: &str| {
        json!({"id": id, "name": "n", "framework_id": "fw-marathon", "executor_id": "", "slave_id": "S1", "state": "TASK_FAILED",
            "statuses": [{"state": "TASK_RUNNING", "timestamp": 1.25}, {"state": "TASK_FAILED", "timestamp": 7.75}]})
    };
    let ids = ["plain.app.1f2e3d", "uni.app.日本"];
    let state = json!({"version": "1.4.1", "pid": pid, "leader": pid,
        "slaves": [{"id": "S1", "hostname": "127.0.0.1", "port": port, "pid": format!("slave(1)@127.0.0.1:{port}")}],
        "frameworks": [{"id": "fw-marathon", "name": "marathon", "completed_tasks": ids.map(task)}]});
    master.always(Reply::json(200, &state));
    let executor = |id: &str| {
        json!({"id": id, "name": "", "source": id, "tasks": [], "completed_tasks": [],
            "directory": format!("/var/lib/mesos/slaves/S1/frameworks/F/executors/{id}/runs/R")})
    };
    let state = json!({"id": "S1", "frameworks": [{"id": "F", "name": "marathon",
        "executors": [executor(ids[0])], "completed_executors": [executor(ids[1])]}], "completed_frameworks": []});
    agent.always(Reply::json(200, &state));

    let mut watch = Watch::new(builder(&master.url("")), None);
    let failures = watch.next().await;
    assert_eq!(failures.len(), 2);
    for f in &failures {
        let start = format!(
            "http://127.0.0.1:{port}/files/download?path=/var/lib/mesos/slaves/S1/frameworks/F/executors"
        );
        let logs = watch.logs(f).await;
        assert_eq!(logs[0].url, format!("{start}/{}/runs/R/stdout", f.id));
        assert_eq!(logs[1].url, format!("{start}/{}/runs/R/stderr", f.id));
    }
}
