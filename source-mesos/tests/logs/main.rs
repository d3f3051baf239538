//! Finding and reading the logs of failed tasks.

#[path = "../common/mod.rs"]
mod common;
mod derived;
mod parts;
mod scripted;

use std::time::Duration;

use common::{Watch, builder};
use notifier_core::{ErrorKind, FailureRecord, LogLocator as _, LogStream, Retry};
use notifier_testkit::{
    http::{Action, Delivery, End, Reply, ScriptedServer},
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

fn browses(cluster: &FakeCluster, agent: usize) -> usize {
    cluster
        .agent(agent)
        .count_requests(|r| r.path().starts_with("/files/browse"))
}

/// The path a link leads to.
fn path(log: &LogStream) -> String {
    let url = url::Url::parse(&log.url).unwrap();
    let (_, path) = url.query_pairs().next().unwrap();
    path.into_owned()
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
        let failures = watch.all(tasks.len()).await;
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
    // Where the run is known, its directory is; where it is not, the newest is asked for.
    for (version, without) in [
        (MesosVersion::V1_11, false),
        (MesosVersion::V1_11, true),
        (MesosVersion::V1_0, false),
        (MesosVersion::new(0, 24, 1), false),
    ] {
        let cluster = FakeCluster::builder()
            .version(version)
            .start()
            .await
            .unwrap();
        let spec = |id: &str| match without {
            true => TaskSpec::new(id).without_container_status(),
            false => TaskSpec::new(id),
        };
        cluster.launch_failed(spec("a"), Death::failed());
        let (mut watch, f) = failed(&cluster).await;
        watch.logs(&f).await;
        let states = state_requests(&cluster, 0);
        cluster.launch_failed(spec("b"), Death::failed());
        let f = watch.one().await;
        let logs = watch.logs(&f).await;
        assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting b\n");
        assert_eq!(state_requests(&cluster, 0), states, "{version}");
        assert!(browses(&cluster, 0) >= 1, "{version}");
    }
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
    assert_eq!((state_requests(&cluster, 0), browses(&cluster, 0)), (1, 1));
}

#[tokio::test]
async fn a_dripping_agent_holds_nobody_up_for_long() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::new(
        builder(&cluster.masters_flag()).timeout(Duration::from_secs(1)),
        None,
    );
    let f = watch.one().await;
    let state = Reply::json(200, &serde_json::json!({"id": "x".repeat(4096)}));
    let drip = Delivery::new().drip(1, Duration::from_millis(50));
    cluster.agent(0).next(state.delivery(drip));
    let start = std::time::Instant::now();
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert!(e.to_string().ends_with("answers too slowly"), "{e}");
    assert!(start.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn what_is_gone_is_said() {
    let cluster = FakeCluster::builder()
        .max_completed_executors(1)
        .start()
        .await
        .unwrap();
    let collected = cluster.launch_failed(TaskSpec::new("collected"), Death::failed());
    cluster.collect_sandbox(&collected);
    let last = cluster.launch_failed(TaskSpec::new("last"), Death::failed());
    let mut watch = Watch::of(&cluster);
    let failures = watch.next().await;
    let of = |id: &str| failures.iter().find(|f| f.id == id).unwrap();
    let address = cluster.agent_url(0).replace("http://", "");
    let e = watch.locator.locate(of("collected")).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!(
            "the sandbox is gone from agent {address}: its executor is not listed, and its directory is not there"
        )
    );
    assert!(!e.is_retryable());

    // The executor is listed and its files are collected: a link, and no log.
    let f = of("last");
    let logs = watch.logs(f).await;
    cluster.collect_sandbox(&last);
    let e = watch.read(f, &logs[0]).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("stdout is gone from agent {address}")
    );
    // The old state says nothing of an executor that came later.
    let later = cluster.launch_failed(TaskSpec::new("later"), Death::failed());
    cluster.collect_sandbox(&later);
    let f = watch.one().await;
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("the sandbox is gone from agent {address}: its directory is not there")
    );
    assert_eq!(state_requests(&cluster, 0), 1);
    tokio::time::sleep(Duration::from_millis(5200)).await;
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("the sandbox was removed from agent {address} (garbage collected)")
    );
    assert!(!e.is_retryable());
}

#[tokio::test]
async fn all_failures_of_a_storm_are_found() {
    let cluster = FakeCluster::start().await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|n| cluster.launch_failed(TaskSpec::new(format!("t{n}")), Death::failed()))
        .collect();
    let mut watch = Watch::of(&cluster);
    let failures = watch.next().await;
    assert_eq!(failures.len(), 200);
    // The agent keeps the last 150.
    for n in 0..151 {
        cluster.finish(&cluster.launch(TaskSpec::new(format!("after{n}"))));
    }
    let agent = cluster.agent(0);
    let delay = Duration::from_millis(20);
    agent.slow(delay);
    let all =
        futures_util::future::join_all(failures.iter().map(|f| watch.locator.locate(f))).await;
    for (f, logs) in failures.iter().zip(all) {
        let task = tasks.iter().find(|t| t.id() == f.id).unwrap();
        let logs = logs.unwrap();
        assert_eq!(path(&logs[1]), format!("{}/stderr", task.log_directory()));
    }
    assert_eq!(state_requests(&cluster, 0), 1);
    assert_eq!(browses(&cluster, 0), 200);
    // No more than 16 at a time: the next one comes when the first has been answered.
    let mut arrived: Vec<_> = agent
        .requests()
        .iter()
        .filter(|r| r.path() == "/files/browse")
        .map(|r| r.arrived)
        .collect();
    arrived.sort();
    assert!(arrived.windows(17).all(|w| w[16] - w[0] >= delay));
}
