//! Finding and reading the logs of failed tasks.

mod common;

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

#[tokio::test]
async fn every_kind_of_executor_is_found_after_it_left_the_list() {
    for version in [
        MesosVersion::V0_28,
        MesosVersion::V1_0,
        MesosVersion::V1_4,
        MesosVersion::V1_11,
    ] {
        let cluster = FakeCluster::builder()
            .version(version)
            .work_dir("/var/lib/me sos+x")
            .max_completed_executors(1)
            .start()
            .await
            .unwrap();
        let tells = version == MesosVersion::V1_4 || version == MesosVersion::V1_11;
        let mut tasks = Vec::new();
        for (id, kind) in [
            ("command 日本", ExecutorKind::Command),
            ("custom", ExecutorKind::Custom),
            ("nested", ExecutorKind::Nested { depth: 1 }),
            ("deep", ExecutorKind::Nested { depth: 2 }),
            ("pod", ExecutorKind::Pod),
        ] {
            if !tells && !matches!(kind, ExecutorKind::Command | ExecutorKind::Custom) {
                continue;
            }
            let task = cluster.launch(TaskSpec::new(id).executor(kind));
            cluster.set_log(&task, Stream::Stderr, format!("stderr of {id}\n"));
            cluster.fail(&task, Death::failed());
            tasks.push(task);
        }
        cluster.launch(TaskSpec::new("other"));
        cluster.finish(&cluster.launch(TaskSpec::new("last")));
        let mut watch = Watch::of(&cluster);
        let failures = watch.all(tasks.len()).await;
        for f in &failures {
            let task = tasks.iter().find(|t| t.id() == f.id).unwrap();
            let logs = watch.logs(f).await;
            if tells {
                assert_eq!(path(&logs[1]), format!("{}/stderr", task.log_directory()));
            } else {
                assert!(path(&logs[1]).ends_with("/runs/latest/stderr"));
            }
            let text = watch.read(f, &logs[1]).await.unwrap();
            assert_eq!(
                String::from_utf8(text).unwrap(),
                format!("stderr of {}\n", f.id),
                "{version}"
            );
        }
        assert_eq!(state_requests(&cluster, 0), 1, "{version}");
    }
}

#[tokio::test]
async fn an_agent_that_lists_nothing_tells_its_work_directory() {
    for version in [MesosVersion::V1_0, MesosVersion::V1_4, MesosVersion::V1_11] {
        let cluster = FakeCluster::builder()
            .version(version)
            .work_dir("/srv/mesos")
            .max_completed_executors(0)
            .start()
            .await
            .unwrap();
        cluster.launch_failed(TaskSpec::new("a"), Death::failed());
        let (watch, f) = failed(&cluster).await;
        let logs = watch.logs(&f).await;
        assert!(
            path(&logs[0]).starts_with("/srv/mesos/slaves/"),
            "{}",
            logs[0].url
        );
        assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");
    }
}

#[tokio::test]
async fn a_task_id_used_again_has_the_logs_of_its_own_run() {
    let cluster = FakeCluster::builder()
        .max_completed_executors(1)
        .start()
        .await
        .unwrap();
    for n in 0..4 {
        let task = cluster.launch(TaskSpec::new("ct:1"));
        cluster.set_log(&task, Stream::Stdout, format!("run {n}"));
        cluster.fail(&task, Death::failed().at(1_466_138_400.0 + f64::from(n)));
    }
    let mut watch = Watch::of(&cluster);
    let mut failures = watch.next().await;
    failures.sort_by_key(|f| f.finished);
    assert_eq!(failures.len(), 4);
    for (n, f) in failures.iter().enumerate() {
        let logs = watch.logs(f).await;
        assert_eq!(
            watch.read(f, &logs[0]).await.unwrap(),
            format!("run {n}").as_bytes()
        );
    }
}

#[tokio::test]
async fn without_a_container_id_another_run_is_not_taken_for_the_own_one() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_0)
        .max_completed_executors(1)
        .start()
        .await
        .unwrap();
    for n in 0..2 {
        let task = cluster.launch(TaskSpec::new("ct:1"));
        cluster.set_log(&task, Stream::Stdout, format!("run {n}"));
        cluster.fail(&task, Death::failed().at(1_466_138_400.0 + f64::from(n)));
    }
    let mut watch = Watch::of(&cluster);
    let mut failures = watch.next().await;
    failures.sort_by_key(|f| f.finished);
    let e = watch.locator.locate(&failures[0]).await.unwrap_err();
    assert!(e.to_string().starts_with("the sandbox is gone"), "{e}");
    let logs = watch.logs(&failures[1]).await;
    assert_eq!(watch.read(&failures[1], &logs[0]).await.unwrap(), b"run 1");
    assert_eq!(browses(&cluster, 0), 0);
}

#[tokio::test]
async fn a_task_that_never_ran_has_no_logs_of_another_one() {
    let cluster = FakeCluster::builder()
        .max_completed_executors(1)
        .start()
        .await
        .unwrap();
    for death in [Death::failed(), Death::dropped(), Death::error()] {
        let spec = TaskSpec::new("ct:1").without_container_status();
        cluster.launch_failed(spec, death);
    }
    cluster.launch_failed(TaskSpec::new("last"), Death::failed());
    let mut watch = Watch::of(&cluster);
    for f in &watch.next().await {
        let found = watch.locator.locate(f).await;
        let ran = f.state == "TASK_FAILED";
        assert_eq!(found.is_ok(), ran, "{}: {found:?}", f.state);
    }
}

#[tokio::test]
async fn an_agent_that_does_not_show_its_state_has_paths_that_need_none() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.agent(0).always_on("/state", Action::status(403));
    let kinds = [
        ("command", ExecutorKind::Command),
        ("nested", ExecutorKind::Nested { depth: 2 }),
        ("pod", ExecutorKind::Pod),
    ];
    for (id, kind) in kinds {
        let task = cluster.launch(TaskSpec::new(id).executor(kind));
        cluster.set_log(&task, Stream::Stdout, format!("stdout of {id}\n"));
        cluster.fail(&task, Death::failed());
    }
    let gone = cluster.launch_failed(TaskSpec::new("gone"), Death::failed());
    cluster.collect_sandbox(&gone);
    let mut watch = Watch::of(&cluster);
    for f in &watch.next().await {
        if f.id == "gone" {
            let e = watch.locator.locate(f).await.unwrap_err();
            assert!(
                e.to_string().ends_with("does not let us see its state"),
                "{e}"
            );
            assert_eq!(e.kind(), ErrorKind::PermissionDenied);
            continue;
        }
        let logs = watch.logs(f).await;
        assert!(
            path(&logs[0]).starts_with("/frameworks/"),
            "{}",
            logs[0].url
        );
        let text = watch.read(f, &logs[0]).await.unwrap();
        assert_eq!(text, format!("stdout of {}\n", f.id).as_bytes());
    }
    assert_eq!(state_requests(&cluster, 0), 1);

    // Before 1.5 there are none.
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .start()
        .await
        .unwrap();
    cluster.agent(0).always_on("/state", Action::status(403));
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert!(
        e.to_string().ends_with("does not let us see its state"),
        "{e}"
    );
    assert_eq!(browses(&cluster, 0), 0);
}

#[tokio::test]
async fn a_slow_state_is_not_waited_for() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let mut watch = Watch::new(
        builder(&cluster.masters_flag()).timeout(Duration::from_secs(10)),
        None,
    );
    let f = watch.one().await;
    cluster
        .agent(0)
        .next_on("/state", Action::delayed(Duration::from_secs(5)));
    let start = std::time::Instant::now();
    let logs = watch.logs(&f).await;
    assert!(start.elapsed() < Duration::from_millis(4500));
    assert!(
        path(&logs[0]).starts_with("/frameworks/"),
        "{}",
        logs[0].url
    );
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");
    // It was read to its end meanwhile.
    tokio::time::sleep(Duration::from_millis(5500).saturating_sub(start.elapsed())).await;
    let logs = watch.logs(&f).await;
    assert!(
        path(&logs[0]).starts_with("/var/lib/mesos/"),
        "{}",
        logs[0].url
    );
    assert_eq!(state_requests(&cluster, 0), 1);
}

#[tokio::test]
async fn a_sandbox_that_may_not_be_seen_has_links_all_the_same() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (mut watch, f) = failed(&cluster).await;
    watch.logs(&f).await;
    let b = cluster.launch_failed(TaskSpec::new("b"), Death::failed());
    let f = watch.one().await;
    let agent = cluster.agent(0);
    for action in [
        Action::status(403),
        Action::status(401),
        Action::status(500),
        Action::status(302),
        Action::html(200),
        Action::html(404),
        Action::CloseAfterBody,
    ] {
        agent.next(action.clone());
        let logs = watch.logs(&f).await;
        assert_eq!(
            path(&logs[0]),
            format!("{}/stdout", b.log_directory()),
            "{action:?}"
        );
    }
    // A connection that broke was tried once more.
    assert_eq!(browses(&cluster, 0), 8);
    cluster.deny_sandboxes(true);
    let logs = watch.logs(&f).await;
    let e = watch.read(&f, &logs[0]).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_left_alone_and_its_links_are_made() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (mut watch, f) = failed(&cluster).await;
    watch.logs(&f).await;
    for n in 0..40 {
        cluster.launch_failed(TaskSpec::new(format!("t{n}")), Death::failed());
    }
    let failures = watch.next().await;
    cluster.agent(0).hang();
    for _ in 0..2 {
        let all =
            futures_util::future::join_all(failures.iter().map(|f| watch.locator.locate(f))).await;
        for (f, logs) in failures.iter().zip(all) {
            let at = path(&logs.unwrap()[0]);
            assert!(at.contains(&format!("/executors/{}/runs/", f.id)), "{at}");
        }
        assert!((1..=16).contains(&browses(&cluster, 0)));
    }
}

#[tokio::test]
async fn an_agent_that_is_down_is_said_though_the_path_is_known() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (mut watch, f) = failed(&cluster).await;
    watch.logs(&f).await;
    cluster.launch_failed(TaskSpec::new("b"), Death::failed());
    let f = watch.one().await;
    cluster.agent(0).refuse();
    let address = cluster.agent_url(0).replace("http://", "");
    // Side by side they are one failed connection.
    let all = futures_util::future::join_all((0..20).map(|_| watch.locator.locate(&f))).await;
    for e in all {
        let e = e.unwrap_err();
        assert_eq!(
            e.to_string(),
            format!("agent {address} does not answer (connection refused)")
        );
        assert!(e.is_retryable());
    }
    cluster.agent(0).restore().unwrap();
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(watch.logs(&f).await.len(), 2);
}

/// A failure on a scripted agent, as a newer master would have told it.
fn note(agent: &ScriptedServer, task: &str, containers: &[&str]) -> FailureRecord {
    let mut f = FailureRecord::new(
        task,
        task,
        "TASK_FAILED",
        notifier_core::jiff::Timestamp::UNIX_EPOCH,
    );
    f.locator = Some(
        serde_json::json!({"agent": "S", "scheme": "http", "host": "127.0.0.1",
        "port": agent.addr().port(), "framework": "F", "containers": containers, "mesos": "1.9.0"}),
    );
    f
}

fn locator() -> source_mesos::MesosLogLocator {
    builder("http://127.0.0.1:1").build().unwrap().1
}

fn listing(directories: &[(&str, &str)]) -> Reply {
    let executors: Vec<_> = directories
        .iter()
        .map(|(id, directory)| {
            let run = directory.rsplit(['/', '\\']).next();
            serde_json::json!({"id": id, "container": run, "directory": directory})
        })
        .collect();
    Reply::json(
        200,
        &serde_json::json!({"id": "S", "frameworks": [{"id": "F", "completed_executors": executors}]}),
    )
}

fn browsed(agent: &ScriptedServer) -> Vec<String> {
    let requests = agent.requests();
    let browses = requests.iter().filter(|r| r.path() == "/files/browse");
    browses.map(|r| r.param("path").unwrap()).collect()
}

#[tokio::test]
async fn an_agent_may_move_to_another_work_directory() {
    let agent = ScriptedServer::start().await.unwrap();
    let at = |root: &str, id: &str, run: &str| {
        format!("{root}/slaves/S/frameworks/F/executors/{id}/runs/{run}")
    };
    agent.next_on("/state", listing(&[("a", &at("/old", "a", "1"))]));
    let locator = locator();
    locator.locate(&note(&agent, "a", &["1"])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5100)).await;
    agent.always_on("/state", listing(&[("b", &at("/new", "b", "2"))]));
    agent.next_on("/files/browse", Action::status(404));
    let logs = locator.locate(&note(&agent, "c", &["3"])).await.unwrap();
    assert_eq!(path(&logs[0]), format!("{}/stdout", at("/new", "c", "3")));
    assert_eq!(
        browsed(&agent),
        [at("/old", "c", "3"), at("/new", "c", "3")]
    );
}

#[tokio::test]
async fn the_newest_run_is_not_taken_for_one_that_is_another() {
    let agent = ScriptedServer::start().await.unwrap();
    // Directories of which no work directory can be told.
    let windows = "C:\\w\\slaves\\S\\frameworks\\F\\executors\\t\\runs\\2";
    agent.always_on("/state", listing(&[("t", windows)]));
    let locator = locator();
    let f = note(&agent, "t", &["1"]);
    let e = locator.locate(&f).await.unwrap_err();
    assert!(e.to_string().starts_with("the sandbox is gone"), "{e}");
    assert_eq!(browsed(&agent), [""; 0]);
    // Of an executor that the list does not hold nothing speaks against it.
    let logs = locator.locate(&note(&agent, "u", &["3"])).await.unwrap();
    let virtual_path = "/frameworks/F/executors/u/runs/latest";
    assert_eq!(path(&logs[0]), format!("{virtual_path}/stdout"));
    assert_eq!(browsed(&agent), [virtual_path]);
}

#[tokio::test]
async fn no_path_is_made_of_ids_that_lead_elsewhere() {
    let agent = ScriptedServer::start().await.unwrap();
    let directory = "/w/slaves/S/frameworks/F/executors/a/runs/1";
    agent.always_on("/state", listing(&[("a", directory)]));
    let locator = locator();
    locator.locate(&note(&agent, "a", &["1"])).await.unwrap();
    for (task, container) in [("../../x", "2"), ("..", "2"), ("b", "../../../x")] {
        let f = note(&agent, task, &[container]);
        let e = locator.locate(&f).await.unwrap_err();
        assert!(e.to_string().starts_with("the sandbox is gone"), "{e}");
    }
    assert!(browsed(&agent).iter().all(|p| !p.contains("x")));
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
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .start()
        .await
        .unwrap();
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
