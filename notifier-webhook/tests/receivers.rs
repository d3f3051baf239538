//! What is sent, read by the Python libraries of Standard Webhooks and of CloudEvents.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use notifier_core::{FailureRecord, Next, Report, jiff::Timestamp};
use notifier_testkit::{
    peer,
    webhook::{FakeWebhook, WebhookCall},
};
use notifier_webhook::WebhookReporter;
use serde_json::{Value, json};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PEER: &str = "standardwebhooks";

/// Sends one report to a receiver that refuses nothing.
async fn call(keys: &str, set: &[(&str, &str)]) -> WebhookCall {
    let fake = FakeWebhook::start().await.unwrap();
    let mut builder = WebhookReporter::builder()
        .url(&fake.url("a"))
        .signing_key(keys);
    for (key, value) in set {
        builder = builder.set(key, value);
    }
    let failure = FailureRecord::new("wéb.1", "wéb \"1\"", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    let receipt = builder
        .build()
        .unwrap()
        .send(&Report::failure(failure))
        .await
        .unwrap();
    assert_eq!(receipt.next(), Next::Done);
    fake.received().remove(0)
}

fn row(key: &str, call: &WebhookCall, body: &str, event: bool) -> Value {
    let headers: BTreeMap<String, &String> = call
        .request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    json!({"key": key, "headers": headers, "body": body, "event": event})
}

#[tokio::test]
async fn the_libraries_of_receivers_take_it() {
    let Some(bin) = peer::path(PEER, "NOTIFIER_TEST_STANDARD_WEBHOOKS") else {
        return;
    };
    let plain = call(KEY, &[]).await;
    let both = call(&format!("{KEY} {NEW}"), &[("body", "text")]).await;
    let structured = call(NEW, &[("body", "cloudevents")]).await;
    let binary = call(NEW, &[("body", "cloudevents"), ("mode", "binary")]).await;
    let rows = json!([
        row(KEY, &plain, &plain.text, false),
        row(KEY, &both, &both.text, false),
        row(NEW, &both, &both.text, false),
        row(NEW, &structured, &structured.text, true),
        row(NEW, &binary, &binary.text, true),
        // What is forged is not taken.
        row(NEW, &plain, &plain.text, false),
        row(KEY, &plain, &format!("{} ", plain.text), false),
    ]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers.py");
    let mut python = Command::new(bin.join("python3"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(rows.to_string().as_bytes()).unwrap();
    drop(stdin);
    let ended = python.wait_with_output().unwrap();
    assert!(ended.status.success());
    let found: Vec<Value> = serde_json::from_slice(&ended.stdout).unwrap();
    for (n, row) in found.iter().enumerate() {
        assert_eq!(row["verified"] == json!(true), n < 5, "{n}: {row}");
    }
    assert_eq!(found.len(), 7);
    for (row, call) in [(&found[3], &structured), (&found[4], &binary)] {
        let event = &row["event"];
        assert_eq!(event["id"], call.id.as_str());
        assert_eq!(event["type"], "notifier.failure");
        assert_eq!(event["data"]["failure"]["id"], "wéb.1");
    }
    assert_eq!(found[3]["event"]["subject"], "wéb \"1\"");
    peer::ran(PEER);
}
