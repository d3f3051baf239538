//! Calls of the operator API.

use notifier_testkit::mesos::FakeCluster;
use serde_json::{Value, json};

use super::common::client;

pub(crate) fn post(base: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    client()
        .post(format!("{base}/api/v1"))
        .header("Content-Type", "application/json")
        .body(body)
}

pub(crate) async fn call(cluster: &FakeCluster, kind: &str) -> Value {
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

pub(crate) fn ids(list: &Value) -> Vec<&str> {
    let tasks = list.as_array().map(Vec::as_slice).unwrap_or_default();
    tasks
        .iter()
        .map(|task| task["task_id"]["value"].as_str().unwrap())
        .collect()
}
