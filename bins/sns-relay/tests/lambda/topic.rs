//! A topic that invokes the function.

use std::time::{Duration, Instant};

use notifier_testkit::{
    slack::{FakeSlack, SlackReply},
    sns::{SnsMessage, SnsSender},
};
use notifiers::{DeliveryId, Document, FailureRecord, Report, jiff::Timestamp};
use serde_json::{Value, json};

use crate::{
    scene::{Scene, event, sns, text},
    support,
};

/// What a notifier publishes.
fn document(id: &str) -> String {
    let mut failure =
        FailureRecord::new("web.1", "web.service", "EXIT_CODE", Timestamp::UNIX_EPOCH)
            .with_label("complainer_slack_channel", "#team")
            .with_detail("unit", "web.service");
    failure.message = Some("main process exited with status 7".to_owned());
    failure.host = "worker-17".to_owned();
    Document::of(&Report::failure(failure), &DeliveryId::new(id), "text").to_json()
}

/// The message that SNS posts, as the function gets it.
fn as_record(message: &SnsMessage) -> Value {
    let posted: Value = serde_json::from_str(&message.body()).unwrap();
    let mut record = json!({"Subject": null, "MessageAttributes": {}});
    for (name, value) in posted.as_object().unwrap() {
        record[name.replace("URL", "Url")] = value.clone();
    }
    record
}

/// What Slack was asked, without what is of the hook itself.
fn asked(slack: &FakeSlack) -> Vec<(Value, Vec<(String, String)>)> {
    let of_hook =
        |name: &str| ["host", "content-length"].contains(&name.to_ascii_lowercase().as_str());
    slack
        .received()
        .into_iter()
        .map(|m| {
            let mut headers = m.request.headers;
            headers.retain(|(name, _)| !of_hook(name));
            (m.payload, headers)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_told_as_over_http() {
    let (scene, http) = (Scene::new().await, support::Scene::new().await);
    let from = SnsSender::start().await.unwrap();
    let relay = http
        .relay(&[
            &format!("-relay.topics={}", from.topic()),
            &format!("-relay.endpoint={}", from.url()),
        ])
        .await;
    let instance = scene.launch(&[("RELAY_TOPICS", from.topic())]);
    let alert =
        "ALERT - CoreOS unit failure: my_app@1 unit failed. Host: worker-17 platform: staging";
    let messages = [
        from.notification(alert)
            .attribute("complainer_slack_channel", "#ops"),
        from.notification(&document("d-1")),
        from.notification("{\"notifier\": 1, \"kind\": \"broken\"}"),
        from.signed(from.notification("with a subject").with("Subject", "disk")),
    ];
    for message in &messages {
        let posted = from.post(&relay.endpoint(), message).await.unwrap();
        assert_eq!(posted.status, 200, "{}", relay.log());
        let answer = scene.invoke(&event(&as_record(message))).await;
        assert_eq!(answer.response(), json!({"messages": 1, "deliveries": 1}));
    }
    assert_eq!(http.told(messages.len()).await.len(), messages.len());
    relay.stop().await;
    let told = asked(&scene.slack);
    assert_eq!(told, asked(&http.slack), "{}", instance.log());
    assert_eq!(told.len(), messages.len());
    assert_eq!(told[0].0["text"], alert);
    assert_eq!(told[1].0["channel"], "#team");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again_and_what_is_done_is_not() {
    let scene = Scene::new().await;
    let instance = scene.launch_both(&[]);
    let event = text("m-1", "disk full");
    scene.slack_is_busy();
    let (kind, why) = scene.invoke(&event).await.error();
    assert_eq!(kind, "Undelivered");
    assert!(
        why.contains("m-1: slack default:") && why.contains("slow down"),
        "{why}"
    );
    assert!(!why.contains("file"), "{why}");
    assert_eq!(scene.lines(), ["disk full"], "{}", instance.log());
    assert!(scene.texts().is_empty());

    // What comes meanwhile is not held up by it.
    let other = scene.invoke(&text("m-2", "other")).await;
    assert_eq!(other.error().0, "Undelivered");
    scene.slack_works();
    assert_eq!(scene.invoke(&event).await.response()["deliveries"], 2);
    assert_eq!(scene.texts(), ["disk full"]);
    assert_eq!(scene.lines(), ["disk full", "other"]);

    // What is known to be told is not sent at all.
    let requests = scene.slack.server().requests().len();
    assert_eq!(scene.invoke(&event).await.response()["deliveries"], 2);
    assert_eq!(scene.slack.server().requests().len(), requests);
    assert_eq!(scene.lines(), ["disk full", "other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_fails_each_time_until_it_is_taken() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    let event = text("m-1", "disk full");
    let gone = SlackReply::word(404, "no_service");
    scene.slack.script_all("main", [gone.clone(), gone]);
    for _ in 0..2 {
        let (kind, why) = scene.invoke(&event).await.error();
        assert_eq!(kind, "Undelivered");
        assert!(why.contains("no_service") || why.contains("404"), "{why}");
    }
    assert_eq!(scene.invoke(&event).await.response()["messages"], 1);
    assert_eq!(scene.slack.attempts().len(), 3, "{}", instance.log());
    assert_eq!(scene.texts(), ["disk full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_published_twice_is_told_once() {
    let scene = Scene::new().await;
    let _instance = scene.launch(&[]);
    for id in ["m-1", "m-2", "m-2"] {
        let answer = scene.invoke(&event(&sns(id, &document("d-1")))).await;
        assert_eq!(answer.response()["deliveries"], 1);
    }
    assert_eq!(scene.texts().len(), 1);
    // By itself it is the same one still.
    let document = serde_json::from_str(&document("d-1")).unwrap();
    assert_eq!(scene.invoke(&document).await.response()["deliveries"], 1);
    assert_eq!(scene.texts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_topic_fails_the_invocation() {
    let scene = Scene::new().await;
    let _instance = scene.launch(&[("RELAY_TOPICS", "arn:aws:sns:eu-west-1:123456789012:mine")]);
    let (kind, why) = scene.invoke(&text("m-1", "x")).await.error();
    assert_eq!(kind, "Undelivered");
    assert!(why.contains("relay.topics"), "{why}");
    assert!(scene.slack.attempts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_a_line_for_each_invocation_and_no_secret() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    let hook = scene.slack.hook_url("main");
    let secret = hook.rsplit('/').next().unwrap();
    let done = scene.invoke(&text("m-1", "one")).await.request_id;
    scene
        .slack
        .script("main", SlackReply::word(404, &format!("no hook {secret}")));
    let failed = scene.invoke(&text("m-2", "two")).await;
    assert!(!failed.error().1.contains(secret), "{failed:?}");
    let is_whole = |log: &str| {
        let ended = log.lines().filter(|l| l.contains("invocation "));
        ended.count() == 2 && log.ends_with('\n')
    };
    let end = Instant::now() + support::WAIT;
    let log = loop {
        let log = instance.log();
        if is_whole(&log) {
            break log;
        }
        assert!(Instant::now() < end, "{log}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for (id, says) in [
        (done, "invocation done"),
        (failed.request_id, "invocation failed"),
    ] {
        let lines = log
            .lines()
            .filter(|l| l.contains("invocation ") && l.contains(&id));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains(says), "{log}");
    }
    assert!(!log.contains(secret) && !log.contains("stopping:"), "{log}");
}
