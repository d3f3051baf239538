//! The fake cluster, through a plain client.
#![cfg(feature = "mesos")]

mod common;

use std::time::{Duration, Instant};

use common::client;
use notifier_testkit::http::{Action, End};
use notifier_testkit::mesos::{
    Auth, Death, ExecutorKind, FakeCluster, Listing, LogContent, MesosVersion, RedirectStyle,
    ServerId, Stream, TaskHandle, TaskSpec, TaskState,
};
use serde_json::{Value, json};

async fn get(url: &str) -> (u16, Vec<u8>) {
    let answer = client().get(url).send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

async fn json_of(url: &str) -> Value {
    let (status, body) = get(url).await;
    assert_eq!(status, 200, "{url}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

async fn state(cluster: &FakeCluster) -> Value {
    json_of(&format!("{}/master/state", cluster.leader_url().unwrap())).await
}

/// The ids in a list of the first framework.
fn ids(state: &Value, list: &str) -> Vec<String> {
    let tasks = state["frameworks"][0][list]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tasks
        .iter()
        .map(|task| task["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The address of a file route for a path, percent-encoded.
fn file_url(cluster: &FakeCluster, task: &TaskHandle, route: &str, path: &str) -> String {
    let query = url_encode(path);
    format!(
        "{}/files/{route}?path={query}",
        cluster.agent_url(task.agent())
    )
}

fn url_encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_task_lives_and_fails() {
    let cluster = FakeCluster::builder()
        .agents(2)
        .name("test")
        .start()
        .await
        .unwrap();
    let task = cluster.launch(
        TaskSpec::new("web.1")
            .image("img:1")
            .label("team", "blue")
            .user("nobody")
            .started_at(1_000.123_456_7),
    );
    let before = state(&cluster).await;
    assert_eq!(ids(&before, "tasks"), ["web.1"]);
    assert_eq!(before["pid"], before["leader"]);
    assert_eq!(before["cluster"], "test");
    assert!(cluster.fail(&task, Death::failed().exit(3).at(1007.5)));
    assert!(!cluster.fail(&task, Death::failed()));
    let after = state(&cluster).await;
    assert!(ids(&after, "tasks").is_empty());
    let shown = &after["frameworks"][0]["completed_tasks"][0];
    assert_eq!(shown["state"], "TASK_FAILED");
    assert_eq!(shown["name"], "web");
    assert_eq!(shown["executor_id"], "");
    assert_eq!(shown["slave_id"], task.agent_id());
    assert_eq!(shown["framework_id"], task.framework_id());
    assert_eq!(shown["labels"], json!([{"key": "team", "value": "blue"}]));
    assert_eq!(shown["container"]["docker"]["image"], "img:1");
    let statuses = shown["statuses"].as_array().unwrap();
    assert_eq!(
        (&statuses[0]["state"], &statuses[0]["timestamp"]),
        (&json!("TASK_RUNNING"), &json!(1000.12346))
    );
    assert_eq!(
        (&statuses[1]["state"], &statuses[1]["timestamp"]),
        (&json!("TASK_FAILED"), &json!(1007.5))
    );
    assert_eq!(
        statuses[1]["container_status"]["container_id"],
        json!({"value": task.run_id()})
    );
    assert!(statuses[1].get("message").is_none());
    let metrics = json_of(&format!("{}/metrics/snapshot", cluster.master_url(0))).await;
    assert_eq!(metrics["master/tasks_failed"], 1.0);
}

#[tokio::test]
async fn followers_redirect_or_serve_an_empty_state() {
    let cluster = FakeCluster::builder().masters(3).start().await.unwrap();
    cluster.launch(TaskSpec::new("a"));
    let follower = cluster.master_url(1);
    let leader = cluster.leader_url().unwrap();
    let location = async |url: String| {
        let answer = client().get(url).send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.headers()["location"].to_str().unwrap().to_owned(),
        )
    };
    let place = leader.trim_start_matches("http:").to_owned();
    assert_eq!(
        location(format!("{follower}/master/state?a=b")).await,
        (307, format!("{place}/master/state?a=b"))
    );
    assert_eq!(
        location(format!("{follower}/redirect")).await,
        (307, place.clone())
    );
    cluster.redirect_style(RedirectStyle::Found);
    assert_eq!(
        location(format!("{follower}/state")).await,
        (302, format!("{leader}/state"))
    );
    cluster.redirect_style(RedirectStyle::Absolute);
    assert_eq!(
        location(format!("{follower}/state")).await,
        (307, format!("{leader}/state"))
    );
    assert_eq!(get(&format!("{follower}/master/health")).await.0, 200);

    assert_eq!(cluster.failover(), 1);
    assert!(cluster.master(1).leads());
    assert_eq!(ids(&state(&cluster).await, "tasks"), ["a"]);
    cluster.no_leader();
    for index in 0..3 {
        let (status, body) = get(&format!("{}/state", cluster.master_url(index))).await;
        assert_eq!((status, body.as_slice()), (503, &b"No leader elected"[..]));
    }
    cluster.redirect_loop();
    let next = cluster.master_url(0);
    assert_eq!(
        location(format!("{}/state", cluster.master_url(2))).await.1,
        format!("{next}/state")
    );
    cluster.master(2).lead();
    assert_eq!(cluster.masters_flag().split(',').count(), 3);
    assert_eq!(ids(&state(&cluster).await, "tasks"), ["a"]);

    let old = FakeCluster::builder()
        .masters(2)
        .version(MesosVersion::V0_28)
        .start()
        .await
        .unwrap();
    old.launch(TaskSpec::new("a"));
    let stale = json_of(&format!("{}/master/state.json", old.master_url(1))).await;
    assert_ne!(stale["pid"], stale["leader"]);
    assert_eq!(stale["frameworks"], json!([]));
    old.no_leader();
    assert!(
        json_of(&format!("{}/state", old.master_url(1)))
            .await
            .get("leader")
            .is_none()
    );
}

#[tokio::test]
async fn an_empty_failover_fills_as_agents_come_back() {
    let cluster = FakeCluster::builder()
        .masters(2)
        .agents(2)
        .start()
        .await
        .unwrap();
    let one = cluster.launch(TaskSpec::new("one").agent(0));
    let two = cluster.launch(TaskSpec::new("two").agent(1));
    cluster.fail(&two, Death::failed());
    assert_eq!(cluster.failover_empty(), 1);
    let seen = state(&cluster).await;
    assert_eq!(
        (
            seen["frameworks"].as_array().unwrap().len(),
            seen["slaves"].as_array().unwrap().len()
        ),
        (0, 0)
    );
    assert_eq!(seen["recovered_slaves"].as_array().unwrap().len(), 2);
    cluster.framework("marathon").reconnect();
    cluster.agent(0).restore().unwrap();
    let seen = state(&cluster).await;
    assert_eq!(
        (ids(&seen, "tasks"), ids(&seen, "completed_tasks")),
        (vec!["one".to_owned()], vec![])
    );
    cluster.settle();
    assert_eq!(ids(&state(&cluster).await, "completed_tasks"), ["two"]);
    assert_eq!(cluster.listing_of(&one), Some(Listing::Tasks));
}

#[tokio::test]
async fn lost_agents_make_tasks_unreachable_and_come_back() {
    let cluster = FakeCluster::builder().agents(2).start().await.unwrap();
    cluster.framework("aware").partition_aware(true);
    let aware = cluster.launch(TaskSpec::new("a").framework("aware").agent(0));
    let plain = cluster.launch(TaskSpec::new("b").framework("plain").agent(0));
    let other = cluster.launch(TaskSpec::new("c").framework("plain").agent(1));
    cluster.agent(0).lose();
    assert_eq!(cluster.state_of(&aware), Some(TaskState::Unreachable));
    assert_eq!(cluster.state_of(&plain), Some(TaskState::Lost));
    assert_eq!(cluster.state_of(&other), Some(TaskState::Running));
    assert_eq!(cluster.listing_of(&plain), Some(Listing::Unreachable));
    assert_eq!(ids(&state(&cluster).await, "unreachable_tasks"), ["a"]);
    assert!(
        client()
            .get(cluster.agent_url(0))
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    assert!(cluster.fail(&plain, Death::failed()));
    assert_eq!(cluster.state_of(&plain), Some(TaskState::Lost));

    cluster.agent(0).restore().unwrap();
    assert_eq!(cluster.state_of(&aware), Some(TaskState::Running));
    assert_eq!(cluster.listing_of(&aware), Some(Listing::Tasks));
    assert_eq!(cluster.state_of(&plain), Some(TaskState::Failed));
    assert_eq!(cluster.listing_of(&plain), Some(Listing::Completed));
    assert_eq!(get(&format!("{}/state", cluster.agent_url(0))).await.0, 200);

    cluster.agent(0).partition();
    cluster.agent(0).mark_gone();
    assert_eq!(cluster.listing_of(&aware), Some(Listing::Completed));
    cluster.agent(1).mark_gone();
    assert_eq!(cluster.state_of(&other), Some(TaskState::Lost));

    let old = FakeCluster::builder()
        .version(MesosVersion::V1_0)
        .start()
        .await
        .unwrap();
    let task = old.launch(TaskSpec::new("a"));
    old.agent(0).partition();
    assert_eq!(
        (old.state_of(&task), old.listing_of(&task)),
        (Some(TaskState::Lost), Some(Listing::Completed))
    );
    assert!(
        state(&old).await["frameworks"][0]
            .get("unreachable_tasks")
            .is_none()
    );
}

#[tokio::test]
async fn unacknowledged_tasks_stay_listed() {
    let cluster = FakeCluster::start().await.unwrap();
    let marathon = cluster.framework("marathon");
    let held = cluster.launch_failed(TaskSpec::new("held"), Death::failed().unacknowledged());
    let silent = cluster.launch_failed(TaskSpec::new("silent"), Death::failed().state_only());
    marathon.disconnect();
    let away = cluster.launch_failed(TaskSpec::new("away"), Death::failed());
    let seen = state(&cluster).await;
    assert_eq!(ids(&seen, "tasks"), ["held", "silent", "away"]);
    assert_eq!(seen["frameworks"][0]["connected"], false);
    let shown = &seen["frameworks"][0]["tasks"][1];
    assert_eq!(shown["state"], "TASK_FAILED");
    assert_eq!(shown["statuses"].as_array().unwrap().len(), 1);
    assert!(cluster.acknowledge(&silent));
    let shown = state(&cluster).await["frameworks"][0]["completed_tasks"][0].clone();
    assert_eq!(shown["statuses"][1]["state"], "TASK_FAILED");
    marathon.reconnect();
    for task in [held, away] {
        assert_eq!(cluster.listing_of(&task), Some(Listing::Completed));
        assert!(!cluster.acknowledge(&task));
    }
    assert_eq!(marathon.count(TaskState::Failed), 3);
}

#[tokio::test]
async fn frameworks_are_torn_down() {
    let cluster = FakeCluster::start().await.unwrap();
    let failed = cluster.launch_failed(TaskSpec::new("failed"), Death::failed());
    let running = cluster.launch(TaskSpec::new("running"));
    let old = cluster.framework("marathon").id();
    cluster.framework("marathon").tear_down();
    let seen = state(&cluster).await;
    assert_eq!(seen["frameworks"], json!([]));
    let gone = &seen["completed_frameworks"][0];
    assert_eq!(gone["id"], json!(old));
    assert_eq!(gone["completed_tasks"].as_array().unwrap().len(), 2);
    assert_eq!(cluster.state_of(&running), Some(TaskState::Killed));
    assert_eq!(cluster.state_of(&failed), Some(TaskState::Failed));
    assert_ne!(cluster.framework("marathon").id(), old);
    let agent = json_of(&format!("{}/state", cluster.agent_url(0))).await;
    assert_eq!(
        agent["completed_frameworks"][0]["completed_executors"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn rings_turn_over() {
    let cluster = FakeCluster::builder()
        .max_completed_tasks(3)
        .max_completed_executors(2)
        .start()
        .await
        .unwrap();
    let first = cluster.launch_failed(TaskSpec::new("0"), Death::failed());
    for n in 1..5 {
        cluster.launch_failed(TaskSpec::new(n.to_string()), Death::failed());
    }
    assert_eq!(
        ids(&state(&cluster).await, "completed_tasks"),
        ["2", "3", "4"]
    );
    assert_eq!(cluster.listing_of(&first), Some(Listing::Evicted));
    let agent = json_of(&format!("{}/state", cluster.agent_url(0))).await;
    let executors = agent["completed_frameworks"][0]["completed_executors"]
        .as_array()
        .unwrap()
        .clone();
    let shown: Vec<_> = executors
        .iter()
        .map(|executor| executor["id"].as_str().unwrap())
        .collect();
    assert_eq!(shown, ["3", "4"]);
    // The files outlive the list, by all their paths.
    let run = first.log_directory();
    let latest = format!("{}/latest", run.rsplit_once('/').unwrap().0);
    let short = format!(
        "/frameworks/{}/executors/0/runs/latest",
        first.framework_id()
    );
    let statuses = async || {
        let mut statuses = Vec::new();
        for directory in [run, &latest, &short] {
            let path = format!("{directory}/stdout");
            let url = file_url(&cluster, &first, "download", &path);
            statuses.push(get(&url).await.0);
        }
        statuses
    };
    assert_eq!(statuses().await, [200; 3]);
    cluster.collect_sandbox(&first);
    assert_eq!(statuses().await, [404; 3]);
    let work_dir = agent["flags"]["work_dir"].as_str().unwrap();
    assert!(run.starts_with(work_dir));
}

#[tokio::test]
async fn sandboxes_follow_the_kind_of_executor() {
    let cluster = FakeCluster::start().await.unwrap();
    for (kind, suffix) in [
        (ExecutorKind::Command, "".to_owned()),
        (ExecutorKind::Custom, "".to_owned()),
        (ExecutorKind::Pod, "/tasks/t".to_owned()),
        (ExecutorKind::Nested { depth: 2 }, "nested".to_owned()),
    ] {
        let task = cluster.launch(TaskSpec::new("t").executor(kind));
        cluster.set_log(&task, Stream::Stderr, format!("{kind:?}"));
        cluster.set_file(&task, "data/core", "x");
        let mut directories = vec![task.log_directory().to_owned()];
        if suffix == "nested" {
            assert_eq!(task.log_directory().matches("/containers/").count(), 2);
        } else {
            directories.push(format!("{}{suffix}", task.directory()));
            let latest = task.directory().rsplit_once('/').unwrap().0;
            directories.push(format!("{latest}/latest{suffix}"));
            let (framework, executor) = (task.framework_id(), task.executor_id());
            directories.push(format!(
                "/frameworks/{framework}/executors/{executor}/runs/latest{suffix}"
            ));
        }
        for directory in directories {
            let url = file_url(&cluster, &task, "download", &format!("{directory}/stderr"));
            assert_eq!(
                get(&url).await,
                (200, format!("{kind:?}").into_bytes()),
                "{directory}"
            );
            let listed = json_of(&file_url(&cluster, &task, "browse", &directory)).await;
            let names: Vec<_> = listed
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["path"].as_str().unwrap().to_owned())
                .collect();
            for name in ["stdout", "stderr", "data"] {
                assert!(names.contains(&format!("{directory}/{name}")), "{names:?}");
            }
            let url = file_url(
                &cluster,
                &task,
                "download",
                &format!("{directory}/data/core"),
            );
            assert_eq!(get(&url).await.1, b"x");
        }
        if kind != ExecutorKind::Command && kind != ExecutorKind::Custom {
            cluster.set_executor_log(&task, Stream::Stderr, "of the executor");
            let url = file_url(
                &cluster,
                &task,
                "download",
                &format!("{}/stderr", task.directory()),
            );
            assert_eq!(get(&url).await.1, b"of the executor");
            let listed = json_of(&file_url(&cluster, &task, "browse", task.directory())).await;
            assert!(listed.to_string().contains("/containers\""));
            let path = format!("{}/containers", task.directory());
            let listed = json_of(&file_url(&cluster, &task, "browse", &path)).await;
            assert_eq!(listed.as_array().unwrap().len(), 1);
        }
        cluster.kill(&task);
    }
}

#[tokio::test]
async fn files_answer_with_true_statuses() {
    let cluster = FakeCluster::builder()
        .work_dir("/tmp/mesos work+dir")
        .start()
        .await
        .unwrap();
    let task = cluster.launch(TaskSpec::new("ct:1:0:job: x"));
    let stderr = format!("{}/stderr", task.log_directory());
    cluster.set_log(&task, Stream::Stderr, b"a\xff\"\n");
    for route in ["browse", "read", "download"] {
        let base = format!("{}/files/{route}", cluster.agent_url(0));
        assert_eq!(get(&base).await.0, 400);
        assert_eq!(get(&format!("{base}?path=")).await.0, 400);
        assert_eq!(get(&format!("{base}?path=/etc/passwd")).await.0, 404);
        assert_eq!(
            get(&file_url(&cluster, &task, route, &format!("{stderr}.1")))
                .await
                .0,
            404
        );
        assert_eq!(
            get(&file_url(
                &cluster,
                &task,
                route,
                &format!("{}/../x", task.directory())
            ))
            .await
            .0,
            404
        );
    }
    assert_eq!(
        get(&file_url(&cluster, &task, "download", task.directory()))
            .await
            .0,
        400
    );
    assert_eq!(
        get(&file_url(&cluster, &task, "read", task.directory()))
            .await
            .0,
        400
    );
    let read = file_url(&cluster, &task, "read", &stderr);
    assert_eq!(
        json_of(&format!("{read}&offset=-1")).await,
        json!({"data": "", "offset": 4})
    );
    assert_eq!(
        json_of(&format!("{read}&offset=9")).await,
        json!({"data": "", "offset": 4})
    );
    assert_eq!(
        get(&format!("{read}&offset=0")).await.1,
        b"{\"data\":\"a\xff\\\"\\n\",\"offset\":0}"
    );
    for bad in ["offset=-2", "offset=x", "offset=0&length=-7"] {
        assert_eq!(get(&format!("{read}&{bad}")).await.0, 400);
    }
    cluster.append_log(&task, Stream::Stderr, b"more");
    assert_eq!(
        json_of(&format!("{read}&offset=4&length=2")).await["data"],
        "mo"
    );
    cluster.deny_sandboxes(true);
    assert_eq!(get(&read).await.0, 403);
    cluster.deny_sandboxes(false);
    cluster.collect_sandbox(&task);
    assert_eq!(get(&read).await.0, 404);
}

#[tokio::test]
async fn huge_logs_are_streamed() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch(TaskSpec::new("t"));
    let size = 3_000_000_007;
    cluster.set_log(&task, Stream::Stdout, LogContent::generated(size));
    let stdout = format!("{}/stdout", task.log_directory());
    let read = file_url(&cluster, &task, "read", &stdout);
    assert_eq!(json_of(&format!("{read}&offset=-1")).await["offset"], size);
    let page = json_of(&format!("{read}&offset=0&length=1000000")).await;
    assert_eq!(page["data"].as_str().unwrap().len(), 64 * 1024);
    let tail = json_of(&format!("{read}&offset={}", size - 5)).await;
    assert_eq!(tail["data"].as_str().unwrap().len(), 5);
    let mut answer = client()
        .get(file_url(&cluster, &task, "download", &stdout))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.content_length(), Some(size));
    let mut got = 0;
    while got < 1_000_000 {
        got += answer.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn an_id_that_runs_again_has_its_own_sandbox() {
    let cluster = FakeCluster::start().await.unwrap();
    let first = cluster.launch(TaskSpec::new("job"));
    cluster.set_log(&first, Stream::Stderr, "first");
    cluster.fail(&first, Death::failed());
    let second = cluster.launch_failed(TaskSpec::new("job"), Death::failed());
    cluster.set_log(&second, Stream::Stderr, "second");
    assert_ne!(first.run_id(), second.run_id());
    assert_eq!(
        ids(&state(&cluster).await, "completed_tasks"),
        ["job", "job"]
    );
    let of = async |directory: &str| {
        get(&file_url(
            &cluster,
            &first,
            "download",
            &format!("{directory}/stderr"),
        ))
        .await
        .1
    };
    assert_eq!(of(first.directory()).await, b"first");
    assert_eq!(of(second.directory()).await, b"second");
    let latest = format!(
        "/frameworks/{}/executors/job/runs/latest",
        first.framework_id()
    );
    assert_eq!(of(&latest).await, b"second");
}

#[tokio::test]
async fn pods_share_an_executor_and_die_together() {
    let cluster = FakeCluster::start().await.unwrap();
    let spec = |id: &str| {
        TaskSpec::new(id)
            .executor(ExecutorKind::Pod)
            .executor_id("instance-pod.1")
            .agent(0)
    };
    let one = cluster.launch(spec("pod.1.a").executor_label("team", "blue"));
    let two = cluster.launch(spec("pod.1.b"));
    assert_eq!(one.run_id(), two.run_id());
    assert_ne!(one.container_id(), two.container_id());
    let seen = state(&cluster).await;
    let executor = &seen["frameworks"][0]["executors"][0];
    assert_eq!(
        (&executor["executor_id"], &executor["type"]),
        (&json!("instance-pod.1"), &json!("DEFAULT"))
    );
    assert_eq!(
        executor["labels"],
        json!([{"key": "team", "value": "blue"}])
    );
    let container =
        &seen["frameworks"][0]["tasks"][0]["statuses"][0]["container_status"]["container_id"];
    assert_eq!(
        container,
        &json!({"parent": {"value": one.run_id()}, "value": one.container_id()})
    );
    cluster.fail(&one, Death::failed());
    assert_eq!(cluster.state_of(&two), Some(TaskState::Killed));
    let agent = json_of(&format!("{}/slave(1)/state", cluster.agent_url(0))).await;
    let ended = &agent["completed_frameworks"][0]["completed_executors"][0];
    assert_eq!(ended["container"], one.run_id());
    assert_eq!(ended["directory"], one.directory());
    assert_eq!(ended["completed_tasks"].as_array().unwrap().len(), 2);
    assert!(
        state(&cluster).await["frameworks"][0]["executors"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let cluster = FakeCluster::builder()
        .auth(Auth::basic("user", "secret"))
        .start()
        .await
        .unwrap();
    let url = format!("{}/state", cluster.master_url(0));
    let refused = client().get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["www-authenticate"],
        "Basic realm=\"mesos-master-readonly\""
    );
    assert_eq!(
        client()
            .get(&url)
            .basic_auth("user", Some("secret"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        client()
            .get(&url)
            .basic_auth("user", Some("wrong"))
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    assert_eq!(get(&format!("{}/state", cluster.agent_url(0))).await.0, 401);
    assert_eq!(
        get(&format!("{}/health", cluster.master_url(0))).await.0,
        200
    );
    cluster.set_agent_auth(Some(Auth::bearer("abc")));
    let agent = format!("{}/state", cluster.agent_url(0));
    assert_eq!(
        client()
            .get(&agent)
            .bearer_auth("abc")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    cluster.set_master_auth(None);
    assert_eq!(get(&url).await.0, 200);
}

#[tokio::test]
async fn paths_depend_on_the_version() {
    for (version, json_path) in [
        (MesosVersion::V0_28, 200),
        (MesosVersion::V1_4, 200),
        (MesosVersion::new(1, 8, 0), 404),
        (MesosVersion::V1_11, 404),
    ] {
        let cluster = FakeCluster::builder()
            .version(version)
            .start()
            .await
            .unwrap();
        for path in ["/state", "/master/state", "/version", "/health", "/flags"] {
            assert_eq!(
                get(&format!("{}{path}", cluster.master_url(0))).await.0,
                200
            );
        }
        for base in [
            cluster.master_url(0),
            format!("{}/master", cluster.master_url(0)),
            cluster.agent_url(0),
        ] {
            assert_eq!(
                get(&format!("{base}/state.json")).await.0,
                json_path,
                "{version}"
            );
        }
        let seen = state(&cluster).await;
        assert_eq!(
            seen["slaves"][0].get("port").is_some(),
            version >= MesosVersion::new(1, 8, 0)
        );
        assert_eq!(
            json_of(&format!("{}/version", cluster.agent_url(0))).await["version"],
            version.to_string()
        );
        let posted = client()
            .post(format!("{}/api/v1", cluster.master_url(0)))
            .body("{}")
            .send()
            .await
            .unwrap();
        // Without a content type.
        let expected = if version == MesosVersion::V0_28 {
            404
        } else {
            400
        };
        assert_eq!(posted.status(), expected);
    }
}

#[tokio::test]
async fn faults_and_records() {
    let cluster = FakeCluster::builder().gzip(false).start().await.unwrap();
    cluster.launch(TaskSpec::new("a").label_bytes("bad", b"x\xffy"));
    let url = format!("{}/master/state", cluster.master_url(0));
    let body = get(&url).await.1;
    assert!(body.windows(5).any(|window| window == b"\"x\xffy\""));
    cluster.master(0).next(Action::truncated(100, End::Close));
    let cut = client().get(&url).send().await.unwrap();
    assert_eq!(cut.content_length(), Some(body.len() as u64));
    assert!(cut.bytes().await.is_err());
    cluster.master(0).next(Action::garbage());
    assert!(serde_json::from_slice::<Value>(&get(&url).await.1).is_err());
    cluster
        .master(0)
        .next(Action::delayed(Duration::from_millis(60)));
    let start = Instant::now();
    assert_eq!(get(&url).await.1, body);
    assert!(start.elapsed() >= Duration::from_millis(60));
    get(&cluster.agent_url(0)).await;
    let seen: Vec<_> = cluster
        .requests()
        .iter()
        .map(|recorded| (recorded.server, recorded.request.target.clone()))
        .collect();
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[4], (ServerId::Agent(0), "/".to_owned()));
    assert_eq!(cluster.polls(), 4);
    let waiting = cluster.clone();
    let poller =
        tokio::spawn(async move { waiting.wait_for_polls(1, Duration::from_secs(5)).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    get(&url).await;
    assert!(poller.await.unwrap());
    assert!(!cluster.wait_for_polls(1, Duration::from_millis(10)).await);
    cluster.clear_requests();
    assert!(cluster.requests().is_empty());
}

#[tokio::test]
async fn thousands_of_tasks_are_quick() {
    let cluster = FakeCluster::builder()
        .agents(4)
        .max_completed_tasks(10_000)
        .start()
        .await
        .unwrap();
    let start = Instant::now();
    for n in 0..10_000 {
        let task = cluster.launch(
            TaskSpec::new(format!("app.{n}"))
                .image("img")
                .label("k", "v"),
        );
        if n % 2 == 0 {
            cluster.fail(&task, Death::failed());
        }
    }
    let seen = state(&cluster).await;
    assert_eq!(
        (
            ids(&seen, "tasks").len(),
            ids(&seen, "completed_tasks").len()
        ),
        (5000, 5000)
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn times_can_be_set_and_clocks_differ() {
    let cluster = FakeCluster::builder().agents(2).start().await.unwrap();
    cluster.set_time(Some(5000.0));
    cluster.agent(1).skew(-100.0);
    let one = cluster.launch(TaskSpec::new("a").agent(0));
    let two = cluster.launch(TaskSpec::new("b").agent(1));
    assert_eq!(cluster.last_timestamp_of(&one), Some(5000.0));
    assert_eq!(cluster.last_timestamp_of(&two), Some(4900.0));
    cluster.update(&one, TaskState::Running, Some(false));
    cluster.agent(0).advertise("agent.test");
    cluster.master(0).advertise("master.test");
    let empty = cluster.launch(TaskSpec::new("c").without_statuses());
    let seen = state(&cluster).await;
    let tasks = &seen["frameworks"][0]["tasks"];
    assert_eq!(tasks[0]["statuses"].as_array().unwrap().len(), 1);
    assert_eq!(tasks[0]["statuses"][0]["healthy"], false);
    assert_eq!(tasks[2]["statuses"], json!([]));
    assert_eq!(
        (&seen["slaves"][0]["hostname"], &seen["hostname"]),
        (&json!("agent.test"), &json!("master.test"))
    );
    assert_eq!(cluster.last_timestamp_of(&empty), None);
}
