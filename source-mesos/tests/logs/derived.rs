//! Directories that no list has any more: they are derived from what the ids say.

use super::*;

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
