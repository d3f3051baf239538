//! Calls of the operator API of the fake cluster.
#![cfg(feature = "mesos")]

mod common;
#[path = "common/operator.rs"]
mod operator;

use std::time::Duration;

use common::client;
use notifier_testkit::mesos::{Auth, Corruption, Death, ExecutorKind, FakeCluster, TaskSpec};
use operator::{call, ids, post};
use serde_json::{Value, json};

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
    let soon = Duration::from_millis(10);
    assert!(cluster.wait_for_calls("GET_HEALTH", 8, soon).await);
    assert!(!cluster.wait_for_calls("GET_HEALTH", 9, soon).await);

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
async fn big_tasks_have_the_size_of_real_ones() {
    let count = 2000;
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
    cluster.launch_all(specs);

    let base = cluster.master_url(0);
    let client = client();
    let size = async |v1: bool| {
        let request = if v1 {
            client
                .post(format!("{base}/api/v1"))
                .header("Content-Type", "application/json")
                .body(r#"{"type":"GET_STATE"}"#)
        } else {
            client.get(format!("{base}/state"))
        };
        let bytes = request
            .timeout(Duration::from_secs(100))
            .send()
            .await
            .unwrap();
        bytes.bytes().await.unwrap().len() / count
    };
    let (v0, v1) = (size(false).await, size(true).await);
    assert!((1500..1800).contains(&v0), "{v0}");
    assert!((2300..2800).contains(&v1), "{v1}");
}
