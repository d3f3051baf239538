//! Streams of events of the fake cluster.
#![cfg(feature = "mesos")]

mod common;
#[path = "common/operator.rs"]
mod operator;

use std::time::{Duration, Instant};

use notifier_testkit::mesos::{
    Corruption, Death, FakeCluster, Listing, MesosVersion, StreamCut, TaskSpec, TaskState,
};
use operator::{call, ids, post};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(60);

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
    let silent = TaskSpec::new("silent").agent(0);
    cluster.launch_failed(silent, Death::failed().state_only());
    cluster.agent(2).partition();
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
    assert_eq!(recovered.len(), 2);
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
    let silent = events.next().await;
    assert_eq!(line(&silent), "TASK_ADDED silent TASK_FAILED");
    assert_eq!(
        silent["task_added"]["task"]["statuses"][1]["message"],
        "Command exited with status 1"
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
    // It was lost before the failover, and its framework is not known.
    cluster.agent(2).restore().unwrap();
    assert_eq!(
        events.lines(3).await,
        [
            "AGENT_ADDED",
            "FRAMEWORK_ADDED other false true",
            "TASK_ADDED three TASK_RUNNING"
        ]
    );
    cluster.settle();
    assert_eq!(
        events.lines(1).await,
        ["FRAMEWORK_UPDATED other true false"]
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
