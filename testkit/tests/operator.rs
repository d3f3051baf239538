//! The operator API of the fake cluster: calls, and streams of events.
#![cfg(feature = "mesos")]

mod common;

use std::time::{Duration, Instant};

use common::client;
use notifier_testkit::mesos::{
    Auth, Corruption, Death, ExecutorKind, FakeCluster, Listing, MesosVersion, StreamCut, TaskSpec,
    TaskState,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(60);

fn post(base: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    client()
        .post(format!("{base}/api/v1"))
        .header("Content-Type", "application/json")
        .body(body)
}

async fn call(cluster: &FakeCluster, kind: &str) -> Value {
    let answer = post(
        &cluster.leader_url().unwrap(),
        json!({"type": kind}).to_string(),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let bytes = answer.bytes().await.unwrap();
    let value: Value = serde_json::from_str(&String::from_utf8_lossy(&bytes)).unwrap();
    assert_eq!(value["type"], kind);
    value[kind.to_lowercase()].clone()
}

/// A subscription, read record by record.
struct Events {
    answer: reqwest::Response,
    buffer: Vec<u8>,
}

impl Events {
    async fn open(cluster: &FakeCluster) -> Self {
        let base = cluster.leader_url().unwrap();
        let answer = post(&base, r#"{"type":"SUBSCRIBE"}"#)
            .header("Accept", "application/json")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["transfer-encoding"], "chunked");
        assert!(!answer.headers().contains_key("content-encoding"));
        Self {
            answer,
            buffer: Vec::new(),
        }
    }

    /// Opens a subscription and takes its snapshot.
    async fn start(cluster: &FakeCluster) -> (Self, Value) {
        let mut events = Self::open(cluster).await;
        let snapshot = events.next().await;
        assert_eq!(snapshot["type"], "SUBSCRIBED");
        (events, snapshot["subscribed"].clone())
    }

    /// The next record as bytes; `Ok(None)` at an orderly end.
    async fn record(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                let length: usize = line.parse().map_err(|_| format!("length {line}"))?;
                if length > 1 << 30 {
                    return Err(format!("length {line}"));
                }
                if self.buffer.len() > at + length {
                    let record = self.buffer[at + 1..=at + length].to_vec();
                    self.buffer.drain(..=at + length);
                    return Ok(Some(record));
                }
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) if self.buffer.is_empty() => return Ok(None),
                Ok(None) => return Err("half a record".to_owned()),
                Err(error) => return Err(format!("{error:?}")),
            }
        }
    }

    /// The next event that is not a heartbeat.
    async fn next(&mut self) -> Value {
        loop {
            let record = tokio::time::timeout(SOON, self.record()).await.unwrap();
            let event: Value = serde_json::from_slice(&record.unwrap().unwrap()).unwrap();
            if event["type"] != "HEARTBEAT" {
                return event;
            }
        }
    }

    /// The next `count` events as short lines.
    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(line(&self.next().await));
        }
        lines
    }

    /// Nothing but heartbeats comes.
    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(QUIET, self.next()).await.is_err()
    }
}

/// An event in short: its type, its subject and the states it tells.
fn line(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap();
    let body = &event[kind.to_lowercase()];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    match kind {
        "TASK_ADDED" => {
            let task = &body["task"];
            let (id, state) = (text(&task["task_id"]["value"]), text(&task["state"]));
            format!("{kind} {id} {state}")
        }
        "TASK_UPDATED" => {
            let status = &body["status"];
            let (id, outer, inner) = (
                text(&status["task_id"]["value"]),
                text(&body["state"]),
                text(&status["state"]),
            );
            format!("{kind} {id} {outer} {inner}")
        }
        "FRAMEWORK_ADDED" | "FRAMEWORK_UPDATED" => {
            let framework = &body["framework"];
            let name = text(&framework["framework_info"]["name"]);
            let (connected, recovered) = (&framework["connected"], &framework["recovered"]);
            format!("{kind} {name} {connected} {recovered}")
        }
        "FRAMEWORK_REMOVED" => format!("{kind} {}", text(&body["framework_info"]["name"])),
        _ => kind.to_owned(),
    }
}

fn ids(list: &Value) -> Vec<&str> {
    let tasks = list.as_array().map(Vec::as_slice).unwrap_or_default();
    tasks
        .iter()
        .map(|task| task["task_id"]["value"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn requests_are_checked_as_by_mesos() {
    let cluster = FakeCluster::builder().masters(2).start().await.unwrap();
    let url = format!("{}/api/v1", cluster.master_url(0));
    let body = r#"{"type":"GET_HEALTH"}"#;
    let status = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status(client().get(&url)).await, 405);
    assert_eq!(status(client().post(&url).body(body)).await, 400);
    let typed = |kind: &str| {
        let kind = kind.to_owned();
        client().post(&url).header("Content-Type", kind).body(body)
    };
    assert_eq!(status(typed("application/json")).await, 200);
    assert_eq!(status(typed("application/json; charset=utf-8")).await, 415);
    assert_eq!(status(typed("text/plain")).await, 415);
    for bad in ["", "{", "[]", "{}", r#"{"type":"PONY"}"#, r#"{"type":3}"#] {
        assert_eq!(
            status(post(&cluster.master_url(0), bad)).await,
            400,
            "{bad}"
        );
    }
    let accept = |kind: &str| typed("application/json").header("Accept", kind.to_owned());
    assert_eq!(status(accept("application/x-protobuf")).await, 406);
    assert_eq!(
        status(accept("application/x-protobuf, application/json")).await,
        200
    );

    let follower = post(&cluster.master_url(1), body).send().await.unwrap();
    assert_eq!(follower.status(), 307);
    let place = cluster.master_url(0).trim_start_matches("http:").to_owned();
    assert_eq!(
        follower.headers()["location"],
        format!("{place}/api/v1").as_str()
    );
    cluster.no_leader();
    let nobody = post(&cluster.master_url(1), body).send().await.unwrap();
    assert_eq!(nobody.status(), 503);
    assert_eq!(cluster.calls("GET_HEALTH"), 8);

    let off = FakeCluster::builder()
        .operator_api(false)
        .start()
        .await
        .unwrap();
    assert_eq!(status(post(&off.master_url(0), body)).await, 404);
}

#[tokio::test]
async fn the_operator_api_has_a_realm_of_its_own() {
    let cluster = FakeCluster::builder()
        .operator_auth(Auth::basic("ops", "secret"))
        .start()
        .await
        .unwrap();
    let base = cluster.master_url(0);
    let state = client().get(format!("{base}/state")).send().await.unwrap();
    assert_eq!(state.status(), 200);
    let body = r#"{"type":"GET_STATE"}"#;
    let refused = post(&base, body).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["www-authenticate"],
        "Basic realm=\"mesos-master-readwrite\""
    );
    let passed = post(&base, body).basic_auth("ops", Some("secret"));
    assert_eq!(passed.send().await.unwrap().status(), 200);
    cluster.set_master_auth(Some(Auth::bearer("abc")));
    cluster.set_operator_auth(None);
    let passed = post(&base, body).bearer_auth("abc");
    assert_eq!(passed.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn calls_tell_whole_statuses() {
    let cluster = FakeCluster::builder().start().await.unwrap();
    let task = cluster.launch(
        TaskSpec::new("web.1")
            .image("img/web:1")
            .label("team", "blue")
            .status_data("[{\"Env\":[\"SECRET=x\"]}]"),
    );
    cluster.fail(
        &task,
        Death::out_of_memory()
            .message_bytes(b"bad \xff byte")
            .at(1007.5),
    );
    let pod = cluster.launch(
        TaskSpec::new("pod.a")
            .executor(ExecutorKind::Pod)
            .executor_label("team", "green"),
    );
    cluster.framework("other").tear_down();
    let gone = cluster.launch(TaskSpec::new("spark").framework("spark"));
    cluster.framework("spark").tear_down();

    let raw = post(&cluster.master_url(0), r#"{"type":"GET_TASKS"}"#)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert!(raw.windows(10).any(|window| window == b"bad \xff byte"));
    let tasks: Value = serde_json::from_str(&String::from_utf8_lossy(&raw)).unwrap();
    let tasks = &tasks["get_tasks"];
    assert_eq!(ids(&tasks["tasks"]), ["pod.a"]);
    assert_eq!(ids(&tasks["unreachable_tasks"]), [""; 0]);
    assert!(tasks["unreachable_tasks"].is_array());
    assert_eq!(ids(&tasks["completed_tasks"]), ["web.1", "spark"]);
    let web = &tasks["completed_tasks"][0];
    assert_eq!(web["labels"]["labels"][0]["value"], "blue");
    assert_eq!(web["container"]["docker"]["image"], "img/web:1");
    assert!(web.get("executor_id").is_none());
    let status = &web["statuses"][1];
    assert_eq!(status["state"], "TASK_FAILED");
    assert_eq!(status["reason"], "REASON_CONTAINER_LIMITATION_MEMORY");
    assert_eq!(status["source"], "SOURCE_AGENT");
    assert_eq!(status["timestamp"], 1007.5);
    assert_eq!(status["uuid"].as_str().unwrap().len(), 24);
    assert_eq!(web["status_update_uuid"], status["uuid"]);
    assert_eq!(
        status["container_status"]["container_id"]["value"],
        task.run_id()
    );
    assert!(!String::from_utf8_lossy(&raw).contains("\"data\""));
    let killed = &tasks["completed_tasks"][1]["statuses"][1];
    assert_eq!(killed["state"], "TASK_KILLED");
    assert_eq!(killed["reason"], "REASON_FRAMEWORK_REMOVED");
    assert!(killed.get("uuid").is_none());
    assert_eq!(
        gone.framework_id(),
        tasks["completed_tasks"][1]["framework_id"]["value"]
    );
    let nested = &tasks["tasks"][0]["statuses"][0]["container_status"]["container_id"];
    assert_eq!(
        nested,
        &json!({"value": pod.container_id(), "parent": {"value": pod.run_id()}})
    );

    let state = call(&cluster, "GET_STATE").await;
    let executor = &state["get_executors"]["executors"][0];
    assert_eq!(executor["executor_info"]["type"], "DEFAULT");
    assert_eq!(
        executor["executor_info"]["labels"],
        json!({"labels": [{"key": "team", "value": "green"}]})
    );
    assert_eq!(executor["agent_id"]["value"], pod.agent_id());
    let agent = &state["get_agents"]["agents"][0];
    assert_eq!(agent["agent_info"]["id"]["value"], pod.agent_id());
    assert_eq!(agent["agent_info"]["port"], cluster.agent(0).addr().port());
    assert!(agent["pid"].as_str().unwrap().starts_with("slave(1)@"));
    assert!(agent["registered_time"]["nanoseconds"].is_i64());
    assert_eq!(state["get_agents"]["recovered_agents"], json!([]));
    let frameworks = &state["get_frameworks"];
    assert_eq!(
        frameworks["frameworks"][0]["framework_info"]["name"],
        "marathon"
    );
    assert_eq!(frameworks["frameworks"][0]["recovered"], false);
    assert_eq!(
        frameworks["completed_frameworks"].as_array().unwrap().len(),
        2
    );

    for kind in ["GET_AGENTS", "GET_FRAMEWORKS", "GET_EXECUTORS"] {
        assert_eq!(call(&cluster, kind).await, state[kind.to_lowercase()]);
    }
    assert_eq!(call(&cluster, "GET_HEALTH").await["healthy"], true);
    let version = call(&cluster, "GET_VERSION").await;
    assert_eq!(version["version_info"]["version"], "1.11.0");
    let master = call(&cluster, "GET_MASTER").await;
    let port = cluster.master(0).addr().port();
    assert_eq!(master["master_info"]["address"]["port"], port);
    let flags = call(&cluster, "GET_FLAGS").await;
    assert!(flags["flags"].as_array().unwrap().iter().any(|flag| {
        flag == &json!({"name": "max_completed_tasks_per_framework", "value": "1000"})
    }));
}

#[tokio::test]
async fn versions_differ() {
    let old = FakeCluster::builder()
        .version(MesosVersion::V0_28)
        .start()
        .await
        .unwrap();
    let refused = post(&old.master_url(0), r#"{"type":"SUBSCRIBE"}"#).send();
    assert_eq!(refused.await.unwrap().status(), 404);

    for (version, first, launched) in [
        (
            MesosVersion::V1_0,
            vec!["TASK_ADDED a TASK_STAGING"],
            "TASK_UPDATED - TASK_RUNNING -",
        ),
        (
            MesosVersion::V1_4,
            vec![
                "AGENT_ADDED",
                "FRAMEWORK_ADDED marathon true false",
                "TASK_ADDED a TASK_STAGING",
            ],
            "TASK_UPDATED a TASK_RUNNING TASK_RUNNING",
        ),
        (
            MesosVersion::V1_11,
            vec![
                "AGENT_ADDED",
                "FRAMEWORK_ADDED marathon true false",
                "TASK_ADDED a TASK_STAGING",
            ],
            "TASK_UPDATED a TASK_RUNNING TASK_RUNNING",
        ),
    ] {
        let cluster = FakeCluster::builder()
            .version(version)
            .heartbeat(Duration::from_millis(20))
            .start()
            .await
            .unwrap();
        let (mut events, snapshot) = Events::start(&cluster).await;
        let beats = version >= MesosVersion::new(1, 5, 0);
        assert_eq!(
            snapshot.get("heartbeat_interval_seconds"),
            beats.then(|| json!(0.02)).as_ref()
        );
        let empty = if version == MesosVersion::V1_11 {
            json!({"pending_tasks": [], "tasks": [], "unreachable_tasks": [], "completed_tasks": []})
        } else {
            json!({})
        };
        assert_eq!(snapshot["get_state"]["get_tasks"], empty, "{version}");
        let heartbeat = tokio::time::timeout(QUIET * 3, events.record()).await;
        assert_eq!(heartbeat.is_ok(), beats, "{version}");
        if let Ok(heartbeat) = heartbeat {
            assert_eq!(heartbeat.unwrap().unwrap(), br#"{"type":"HEARTBEAT"}"#);
            assert_eq!(
                events.record().await.unwrap().unwrap(),
                br#"{"type":"HEARTBEAT"}"#
            );
        }
        cluster.add_agent().await.unwrap();
        let task = cluster.launch(TaskSpec::new("a"));
        assert_eq!(events.lines(first.len()).await, first, "{version}");
        assert_eq!(events.lines(1).await, [launched]);
        cluster.fail(&task, Death::failed().exit(3));
        let failed = events.next().await["task_updated"].clone();
        assert_eq!(failed["state"], "TASK_FAILED");
        if version == MesosVersion::V1_0 {
            assert_eq!(failed["task_id"]["value"], "a");
            assert_eq!(failed["agent_id"]["value"], task.agent_id());
            assert!(failed.get("status").is_none());
        } else {
            assert_eq!(failed["status"]["message"], "Command exited with status 3");
            assert_eq!(failed["framework_id"]["value"], task.framework_id());
            assert_eq!(
                failed["status"]["container_status"]
                    .get("container_id")
                    .is_some(),
                version >= MesosVersion::V1_4
            );
        }
    }
}

#[tokio::test]
async fn events_go_on_where_the_snapshot_ends() {
    let cluster = FakeCluster::start().await.unwrap();
    let writer = cluster.clone();
    let launcher = tokio::task::spawn_blocking(move || {
        for n in 0..2000 {
            writer.launch(TaskSpec::new(n.to_string()));
        }
    });
    for _ in 0..5 {
        let (mut events, snapshot) = Events::start(&cluster).await;
        let tasks = &snapshot["get_state"]["get_tasks"]["tasks"];
        let mut next = tasks.as_array().unwrap().len();
        // A launch is one step, so the snapshot has no half of it.
        let listed: Vec<_> = (0..next).map(|n| n.to_string()).collect();
        assert_eq!(ids(tasks), listed);
        if next == 0 {
            assert_eq!(
                events.lines(1).await,
                ["FRAMEWORK_ADDED marathon true false"]
            );
        }
        for _ in 0..20.min(2000 - next) {
            assert_eq!(
                events.lines(2).await,
                [
                    format!("TASK_ADDED {next} TASK_STAGING"),
                    format!("TASK_UPDATED {next} TASK_RUNNING TASK_RUNNING")
                ]
            );
            next += 1;
        }
    }
    launcher.await.unwrap();
}

#[tokio::test]
async fn updates_carry_data_and_states_lag() {
    let cluster = FakeCluster::start().await.unwrap();
    let (mut events, _) = Events::start(&cluster).await;
    let task = cluster.launch(TaskSpec::new("a").status_data("secret"));
    events.lines(2).await;
    let running = events.next().await;
    assert_eq!(running["task_updated"]["status"]["data"], "c2VjcmV0");
    cluster.update(&task, TaskState::Running, Some(false));
    let unhealthy = events.next().await["task_updated"]["status"].clone();
    assert_eq!(
        (&unhealthy["healthy"], &unhealthy["reason"]),
        (
            &json!(false),
            &json!("REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")
        )
    );

    assert!(cluster.fail(&task, Death::failed().exit(7).fast()));
    assert_eq!(
        events.lines(1).await,
        ["TASK_UPDATED a TASK_FAILED TASK_RUNNING"]
    );
    assert_eq!(cluster.listing_of(&task), Some(Listing::Tasks));
    assert!(cluster.acknowledge(&task));
    let told = events.next().await;
    assert_eq!(line(&told), "TASK_UPDATED a TASK_FAILED TASK_FAILED");
    assert_eq!(
        told["task_updated"]["status"]["message"],
        "Command exited with status 7"
    );
    assert_eq!(cluster.listing_of(&task), Some(Listing::Completed));
    cluster.repeat_update(&task);
    assert_eq!(events.next().await, told);

    let silent = cluster.launch_failed(TaskSpec::new("b"), Death::failed().state_only());
    assert_eq!(
        events.lines(2).await,
        [
            "TASK_ADDED b TASK_STAGING",
            "TASK_UPDATED b TASK_RUNNING TASK_RUNNING"
        ]
    );
    assert!(events.is_quiet().await);
    let tasks = call(&cluster, "GET_TASKS").await;
    assert_eq!(tasks["tasks"][0]["state"], "TASK_FAILED");
    assert_eq!(tasks["tasks"][0]["status_update_state"], "TASK_RUNNING");
    cluster.acknowledge(&silent);
    assert_eq!(
        events.lines(1).await,
        ["TASK_UPDATED b TASK_FAILED TASK_FAILED"]
    );

    cluster
        .publish(&json!({"type": "AGENT_REMOVED", "agent_removed": {"agent_id": {"value": "x"}}}));
    assert_eq!(events.lines(1).await, ["AGENT_REMOVED"]);
}

#[tokio::test]
async fn until_1_6_what_was_announced_is_not_told_again() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .start()
        .await
        .unwrap();
    let task = cluster.launch(TaskSpec::new("a").state(TaskState::Starting));
    let (mut events, _) = Events::start(&cluster).await;
    cluster.fail(&task, Death::failed().fast());
    assert_eq!(
        events.lines(1).await,
        ["TASK_UPDATED a TASK_FAILED TASK_RUNNING"]
    );
    cluster.acknowledge(&task);
    assert!(events.is_quiet().await);
    let tasks = call(&cluster, "GET_TASKS").await;
    assert_eq!(
        tasks["completed_tasks"][0]["statuses"][2]["message"],
        "Command exited with status 1"
    );
}

#[tokio::test]
async fn schedulers_hold_updates_back() {
    let cluster = FakeCluster::start().await.unwrap();
    let marathon = cluster.framework("marathon");
    let before = cluster.launch(TaskSpec::new("before"));
    let (mut events, _) = Events::start(&cluster).await;
    marathon.hold_acknowledgements();
    cluster.fail(&before, Death::failed());
    assert_eq!(
        events.lines(1).await,
        ["TASK_UPDATED before TASK_FAILED TASK_FAILED"]
    );
    assert_eq!(cluster.listing_of(&before), Some(Listing::Tasks));

    let during = cluster.launch(TaskSpec::new("during"));
    marathon.disconnect();
    cluster.fail(&during, Death::failed());
    assert_eq!(
        events.lines(2).await,
        [
            "TASK_ADDED during TASK_STAGING",
            "TASK_UPDATED during TASK_RUNNING TASK_RUNNING"
        ]
    );
    assert!(events.is_quiet().await);
    assert_eq!(cluster.state_of(&during), Some(TaskState::Failed));
    marathon.reconnect();
    assert_eq!(
        events.lines(2).await,
        [
            "FRAMEWORK_UPDATED marathon true false",
            "TASK_UPDATED during TASK_FAILED TASK_FAILED"
        ]
    );
    for task in [before, during] {
        assert_eq!(cluster.listing_of(&task), Some(Listing::Completed));
    }
}

#[tokio::test]
async fn agents_are_lost_come_back_leave_and_are_gone() {
    let cluster = FakeCluster::builder().agents(3).start().await.unwrap();
    cluster.framework("aware").partition_aware(true);
    let aware = cluster.launch(TaskSpec::new("a").framework("aware").agent(0));
    let plain = cluster.launch(TaskSpec::new("b").agent(0));
    let (mut events, _) = Events::start(&cluster).await;
    cluster.agent(0).lose();
    let lost = events.next().await;
    assert_eq!(
        line(&lost),
        "TASK_UPDATED a TASK_UNREACHABLE TASK_UNREACHABLE"
    );
    let status = &lost["task_updated"]["status"];
    assert_eq!(
        (&status["source"], &status["reason"]),
        (&json!("SOURCE_MASTER"), &json!("REASON_AGENT_REMOVED"))
    );
    assert!(status["unreachable_time"]["nanoseconds"].is_i64());
    assert!(status.get("uuid").is_none());
    assert_eq!(
        events.lines(1).await,
        ["TASK_UPDATED b TASK_LOST TASK_LOST"]
    );
    let tasks = call(&cluster, "GET_TASKS").await;
    assert_eq!(ids(&tasks["unreachable_tasks"]), ["a", "b"]);
    cluster.fail(&plain, Death::failed());
    assert!(events.is_quiet().await);
    cluster.agent(0).restore().unwrap();
    assert_eq!(
        events.lines(3).await,
        [
            "TASK_ADDED a TASK_RUNNING",
            "TASK_ADDED b TASK_FAILED",
            "AGENT_ADDED"
        ]
    );
    cluster.agent(0).unregister();
    assert_eq!(
        events.lines(2).await,
        ["TASK_UPDATED a TASK_LOST TASK_LOST", "AGENT_REMOVED"]
    );
    assert_eq!(cluster.listing_of(&aware), Some(Listing::Completed));
    cluster.agent(0).restore().unwrap();
    assert_eq!(events.lines(1).await, ["AGENT_ADDED"]);

    cluster.launch(TaskSpec::new("c").framework("aware").agent(1));
    let plain = cluster.launch(TaskSpec::new("d").agent(1));
    let held = cluster.launch(TaskSpec::new("e").agent(1));
    cluster.fail(&held, Death::failed().unacknowledged());
    events.lines(7).await;
    cluster.agent(1).mark_gone();
    assert_eq!(
        events.lines(3).await,
        [
            "TASK_UPDATED c TASK_GONE_BY_OPERATOR TASK_GONE_BY_OPERATOR",
            "TASK_UPDATED d TASK_LOST TASK_LOST",
            // It had ended, so only the status is new.
            "TASK_UPDATED e TASK_FAILED TASK_LOST"
        ]
    );
    assert_eq!(cluster.listing_of(&plain), Some(Listing::Unreachable));
    cluster.agent(1).restore().unwrap();
    assert!(!cluster.agent(1).is_registered());
    assert!(events.is_quiet().await);
}

#[tokio::test]
async fn frameworks_end_with_their_tasks() {
    let cluster = FakeCluster::builder().agents(2).start().await.unwrap();
    let (mut events, _) = Events::start(&cluster).await;
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    cluster.launch(TaskSpec::new("b").agent(0));
    events.lines(6).await;
    cluster.framework("marathon").partition_aware(true);
    cluster.agent(0).partition();
    cluster.launch(TaskSpec::new("c").agent(1));
    events.lines(3).await;
    cluster.framework("marathon").tear_down();
    assert_eq!(
        events.lines(3).await,
        [
            "TASK_UPDATED c TASK_KILLED TASK_KILLED",
            "TASK_UPDATED b TASK_KILLED TASK_KILLED",
            "FRAMEWORK_REMOVED marathon"
        ]
    );
    let seen = call(&cluster, "GET_TASKS").await;
    assert_eq!(ids(&seen["completed_tasks"]), ["a", "c", "b"]);
}

#[tokio::test]
async fn a_new_leader_learns_from_agents() {
    let cluster = FakeCluster::builder()
        .masters(2)
        .agents(3)
        .start()
        .await
        .unwrap();
    let done = cluster.launch_failed(TaskSpec::new("done").agent(0), Death::failed());
    cluster.launch(TaskSpec::new("one").agent(0));
    let held = cluster.launch(TaskSpec::new("held").agent(0));
    cluster.fail(&held, Death::failed().unacknowledged());
    cluster.launch(TaskSpec::new("two").agent(1));
    cluster.launch(TaskSpec::new("three").agent(2).framework("other"));
    cluster.launch(TaskSpec::new("spark").framework("spark"));
    cluster.framework("spark").tear_down();
    let (mut events, _) = Events::start(&cluster).await;
    events.record().await.unwrap();
    cluster.failover_empty();
    let ended = tokio::time::timeout(SOON, events.record()).await.unwrap();
    assert!(ended.is_err() || ended == Ok(None), "{ended:?}");
    assert_eq!(cluster.streams().open, 0);

    let (mut events, snapshot) = Events::start(&cluster).await;
    let state = &snapshot["get_state"];
    assert_eq!(state["get_frameworks"]["frameworks"], json!([]));
    assert_eq!(state["get_tasks"]["tasks"], json!([]));
    assert_eq!(state["get_tasks"]["completed_tasks"], json!([]));
    assert_eq!(state["get_agents"]["agents"], json!([]));
    assert_eq!(state["get_frameworks"]["completed_frameworks"], json!([]));
    let recovered = state["get_agents"]["recovered_agents"].as_array().unwrap();
    assert_eq!(recovered.len(), 3);
    assert_eq!(recovered[0]["id"]["value"], held.agent_id());
    cluster.settle_agent(0);
    assert_eq!(
        events.lines(4).await,
        [
            "AGENT_ADDED",
            "FRAMEWORK_ADDED marathon false true",
            "TASK_ADDED one TASK_RUNNING",
            "TASK_ADDED held TASK_FAILED"
        ]
    );
    // The framework was not back, so its completed tasks are forgotten.
    assert_eq!(cluster.listing_of(&done), Some(Listing::Evicted));
    cluster.framework("marathon").reconnect();
    assert_eq!(
        events.lines(1).await,
        ["FRAMEWORK_UPDATED marathon true false"]
    );
    assert_eq!(cluster.listing_of(&held), Some(Listing::Completed));
    cluster.settle_agent(1);
    assert_eq!(
        events.lines(2).await,
        ["TASK_ADDED two TASK_RUNNING", "AGENT_ADDED"]
    );
    cluster.settle();
    assert_eq!(
        events.lines(4).await,
        [
            "AGENT_ADDED",
            "FRAMEWORK_ADDED other false true",
            "TASK_ADDED three TASK_RUNNING",
            "FRAMEWORK_UPDATED other true false"
        ]
    );
    assert!(events.is_quiet().await);
}

#[tokio::test]
async fn streams_are_cut_in_many_ways() {
    let cluster = FakeCluster::builder()
        .heartbeat(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let launch = || cluster.launch(TaskSpec::new("a"));
    launch();
    let rest = async |events: &mut Events| {
        tokio::time::timeout(SOON, async {
            loop {
                match events.record().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        })
        .await
        .unwrap()
    };
    let (mut events, _) = Events::start(&cluster).await;
    cluster.cut_streams(StreamCut::Close);
    assert_eq!(rest(&mut events).await, Ok(()));
    for cut in [StreamCut::Reset, StreamCut::MidRecord] {
        let (mut events, _) = Events::start(&cluster).await;
        cluster.cut_streams(cut);
        rest(&mut events).await.unwrap_err();
        assert_eq!(events.buffer.is_empty(), cut == StreamCut::Reset);
    }
    let (mut events, _) = Events::start(&cluster).await;
    cluster.cut_streams(StreamCut::HeartbeatStop);
    launch();
    assert_eq!(events.lines(1).await, ["TASK_ADDED a TASK_STAGING"]);
    cluster.cut_streams(StreamCut::Stall);
    launch();
    events.lines(1).await;
    assert!(tokio::time::timeout(QUIET, events.record()).await.is_err());
    assert_eq!(cluster.streams().open, 1);
    cluster.cut_streams(StreamCut::Close);
    assert_eq!(rest(&mut events).await, Ok(()));
    let counts = cluster.streams();
    assert_eq!((counts.open, counts.most_open, counts.opened), (0, 1, 4));

    let full = FakeCluster::builder().max_streams(1).start().await.unwrap();
    let (mut first, _) = Events::start(&full).await;
    let (mut second, _) = Events::start(&full).await;
    assert_eq!(rest(&mut first).await, Ok(()));
    full.launch(TaskSpec::new("a"));
    second.lines(1).await;
}

#[tokio::test]
async fn records_are_corrupted_one_by_one() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch(TaskSpec::new("a"));
    let update = || cluster.repeat_update(&task);
    let (mut events, _) = Events::start(&cluster).await;
    events.record().await.unwrap();

    cluster.corrupt_stream(Corruption::EmptyRecord);
    cluster.corrupt_stream(Corruption::UnknownEvent);
    cluster.corrupt_stream(Corruption::Garbage);
    cluster.corrupt_stream(Corruption::InvalidUtf8);
    for _ in 0..4 {
        update();
    }
    cluster.fail(&task, Death::failed());
    assert_eq!(events.record().await.unwrap().unwrap(), b"");
    let right = events.next().await;
    assert_eq!(events.next().await["type"], "PONY_ADDED");
    assert_eq!(events.next().await, right);
    let noise = events.record().await.unwrap().unwrap();
    assert!(serde_json::from_slice::<Value>(&noise).is_err());
    // The first one has no message to corrupt.
    assert_eq!(events.next().await, right);
    let bad = events.record().await.unwrap().unwrap();
    let lossy = String::from_utf8_lossy(&bad);
    assert!(lossy.contains("Command exited with status 1"));
    assert!(std::str::from_utf8(&bad).is_err());

    for corruption in [Corruption::BadLength, Corruption::HugeLength] {
        cluster.corrupt_stream(corruption);
        update();
        let error = events.record().await.unwrap_err();
        assert!(error.starts_with("length"), "{error}");
        events = Events::start(&cluster).await.0;
        events.record().await.unwrap();
    }
    cluster.corrupt_stream(Corruption::TruncatedBody);
    update();
    events.record().await.unwrap_err();
    // Snapshots are records too.
    cluster.corrupt_stream(Corruption::TruncatedBody);
    let mut cut = Events::open(&cluster).await;
    cut.record().await.unwrap_err();
    cluster.corrupt_stream(Corruption::Html);
    cluster.corrupt_stream(Corruption::Status(500));
    for status in [200, 500] {
        let answer = post(&cluster.master_url(0), r#"{"type":"SUBSCRIBE"}"#)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
        assert_ne!(
            answer
                .headers()
                .get("content-type")
                .map(|kind| kind == "application/json"),
            Some(true)
        );
    }
    Events::start(&cluster).await;
}

#[tokio::test]
async fn answers_are_corrupted_one_by_one() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let fetch = async || {
        let answer = post(&cluster.master_url(0), r#"{"type":"GET_TASKS"}"#)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((status, body.to_vec()))
    };
    let right = fetch().await.unwrap().1;
    let json = |body: &[u8]| serde_json::from_slice::<Value>(body);
    for corruption in [
        Corruption::TruncatedBody,
        Corruption::BadLength,
        Corruption::HugeLength,
    ] {
        cluster.corrupt_answer(corruption);
        assert!(fetch().await.is_err(), "{corruption:?}");
    }
    for corruption in [
        Corruption::Html,
        Corruption::Garbage,
        Corruption::EmptyRecord,
        Corruption::InvalidUtf8,
    ] {
        cluster.corrupt_answer(corruption);
        let (status, body) = fetch().await.unwrap();
        assert_eq!(status, 200);
        assert!(json(&body).is_err(), "{corruption:?}");
    }
    cluster.corrupt_answer(Corruption::UnknownEvent);
    let (_, body) = fetch().await.unwrap();
    let expected = json(&right).unwrap();
    assert_eq!(json(&body).unwrap()["get_tasks"], expected["get_tasks"]);
    assert_ne!(body, right);
    cluster.corrupt_answer(Corruption::Status(500));
    assert_eq!(fetch().await.unwrap().0, 500);
    cluster.corrupt_answer(Corruption::Html);
    let state = client()
        .get(format!("{}/state", cluster.master_url(0)))
        .send()
        .await
        .unwrap();
    assert_eq!(state.headers()["content-type"], "text/html");
    assert_eq!(fetch().await.unwrap().1, right);
}

#[tokio::test]
async fn large_answers_are_compressed() {
    client();
    let plain = reqwest::Client::builder().no_gzip().build().unwrap();
    for on in [true, false] {
        let cluster = FakeCluster::builder().gzip(on).start().await.unwrap();
        let state = format!("{}/state", cluster.master_url(0));
        let send = async |accept: Option<&str>| {
            let mut request = plain.get(&state);
            if let Some(accept) = accept {
                request = request.header("Accept-Encoding", accept);
            }
            let answer = request.send().await.unwrap();
            let coding = answer.headers().get("content-encoding").cloned();
            (coding.is_some(), answer.bytes().await.unwrap())
        };
        for n in 0..20 {
            cluster.launch(TaskSpec::new(n.to_string()));
        }
        assert!(!send(None).await.0);
        assert!(!send(Some("br")).await.0);
        let (coded, bytes) = send(Some("gzip, deflate")).await;
        assert_eq!(coded, on);
        assert_eq!(bytes.starts_with(b"\x1f\x8b"), on);
        // The client of the other tests takes gzip and undoes it.
        let read = client().get(&state).send().await.unwrap().bytes().await;
        assert_eq!(read.unwrap(), send(None).await.1);
        let health = post(&cluster.master_url(0), r#"{"type":"GET_HEALTH"}"#);
        let health = health.send().await.unwrap();
        assert!(health.content_length().is_some());
    }
}

#[tokio::test]
async fn slow_snapshots_drip_and_can_be_cut() {
    let cluster = FakeCluster::start().await.unwrap();
    for n in 0..50 {
        cluster.launch(TaskSpec::new(n.to_string()));
    }
    cluster.slow_snapshot(1000, Duration::from_millis(5));
    let start = Instant::now();
    let (mut events, snapshot) = Events::start(&cluster).await;
    assert!(start.elapsed() >= Duration::from_millis(100));
    let tasks = &snapshot["get_state"]["get_tasks"]["tasks"];
    assert_eq!(ids(tasks).len(), 50);
    cluster.launch(TaskSpec::new("a"));
    assert_eq!(events.lines(1).await, ["TASK_ADDED a TASK_STAGING"]);
    let mut events = Events::open(&cluster).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.cut_streams(StreamCut::Reset);
    events.record().await.unwrap_err();
    cluster.slow_snapshot(1, Duration::ZERO);
    Events::start(&cluster).await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_noticed() {
    let cluster = FakeCluster::start().await.unwrap();
    let (mut events, _) = Events::start(&cluster).await;
    let big = "x".repeat(1 << 20);
    for _ in 0..40 {
        cluster.publish(&json!({"type": "BIG", "big": big}));
        tokio::task::yield_now().await;
    }
    assert!(cluster.streams().max_unread > 8 << 20);
    for _ in 0..40 {
        assert_eq!(events.next().await["type"], "BIG");
    }
    drop(events);
    let gone = async {
        while cluster.streams().open > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
    assert!(cluster.wait_for_streams(1, SOON).await);
    assert!(!cluster.wait_for_streams(2, QUIET).await);
}

/// Launches big tasks and fetches the states. Returns the times of the launch and of the
/// slowest fetch.
async fn big_tasks(count: usize) -> (Duration, Duration) {
    let cluster = FakeCluster::builder()
        .agents(20)
        .gzip(false)
        .start()
        .await
        .unwrap();
    let spec = |n: usize| {
        let mut spec = TaskSpec::new(format!("team_app-{n}.0d1f7a3e-6f7a-11e8-8a3e-70b3d5800001"))
            .image("registry.test/team/app:1.2.3")
            .rich();
        for label in 0..4 {
            spec = spec.label(format!("LABEL_{label}"), "a value of some length");
        }
        spec
    };
    let specs: Vec<_> = (0..count).map(spec).collect();
    let start = Instant::now();
    let tasks = cluster.launch_all(specs);
    let launched = start.elapsed();

    let base = cluster.master_url(0);
    let client = client();
    let mut slowest = Duration::ZERO;
    let mut size = async |v1: bool| {
        let request = if v1 {
            client
                .post(format!("{base}/api/v1"))
                .header("Content-Type", "application/json")
                .body(r#"{"type":"GET_STATE"}"#)
        } else {
            client.get(format!("{base}/state"))
        };
        let start = Instant::now();
        let bytes = request.timeout(SOON * 20).send().await.unwrap();
        let length = bytes.bytes().await.unwrap().len();
        slowest = slowest.max(start.elapsed());
        length / count
    };
    let (v0, v1) = (size(false).await, size(true).await);
    assert!((1500..1800).contains(&v0), "{v0}");
    assert!((2300..2800).contains(&v1), "{v1}");
    // No event may cost more when there are more tasks.
    let start = Instant::now();
    for task in tasks.iter().take(1000) {
        cluster.fail(task, Death::failed());
    }
    assert!(start.elapsed() < Duration::from_secs(2));
    (launched, slowest)
}

#[tokio::test]
async fn big_tasks_have_the_size_of_real_ones() {
    big_tasks(2000).await;
}

#[tokio::test]
#[ignore = "takes memory and time; for an optimised build"]
async fn a_large_cluster_is_played_quickly() {
    let (launched, slowest) = big_tasks(65_000).await;
    assert!(launched < Duration::from_secs(2), "{launched:?}");
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");
}
