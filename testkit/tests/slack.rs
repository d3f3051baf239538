//! The fake Slack, through a plain client.
#![cfg(feature = "slack")]

mod common;

use std::time::{Duration, SystemTime};

use common::client;
use notifier_testkit::slack::{FakeSlack, RateBody, RateLimit, SlackReply};
use serde_json::{Value, json};

/// Posts JSON; returns status and body.
async fn post(url: &str, payload: &Value) -> (u16, String) {
    let answer = client()
        .post(url)
        .body(payload.to_string())
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn answer(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

#[tokio::test]
async fn messages_are_parsed() {
    let slack = FakeSlack::start().await.unwrap();
    let (one, two) = (slack.hook_url("T1"), slack.hook_url("T2"));
    assert_ne!(one, two);
    assert_eq!(one, slack.hook_url("T1"));
    assert!(one.contains("/services/T1/B"));
    let payload = json!({
        "text": "a", "channel": "#ops", "username": "bot", "icon_emoji": ":x:",
        "icon_url": "http://x.test/i.png", "thread_ts": "1.2",
    });
    assert_eq!(post(&one, &payload).await, answer(200, "ok"));
    let form = "payload=%7B%22text%22%3A%22by+form%22%7D";
    let sent = client()
        .post(&two)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);

    let received = slack.received();
    let first = &received[0];
    assert_eq!(
        (first.hook.as_str(), first.text.as_str(), first.truncated),
        ("T1", "a", false)
    );
    assert_eq!(first.channel.as_deref(), Some("#ops"));
    assert_eq!(first.username.as_deref(), Some("bot"));
    assert_eq!(first.icon_emoji.as_deref(), Some(":x:"));
    assert_eq!(first.icon_url.as_deref(), Some("http://x.test/i.png"));
    assert_eq!(first.thread_ts.as_deref(), Some("1.2"));
    assert_eq!(first.payload, payload);
    assert_eq!(
        (received[1].hook.as_str(), received[1].text.as_str()),
        ("T2", "by form")
    );
    assert!(first.arrived <= received[1].arrived);
}

#[tokio::test]
async fn bad_messages_are_refused() {
    let slack = FakeSlack::start().await.unwrap();
    let url = slack.hook_url("T1");
    slack.only_channels(["#ops"]);
    assert_eq!(
        post(&url, &json!({"text": ""})).await,
        answer(400, "no_text")
    );
    assert_eq!(
        post(&url, &json!([1])).await,
        answer(400, "invalid_payload")
    );
    assert_eq!(
        post(&url, &json!({"text": "a", "channel": "#x"})).await,
        answer(404, "channel_not_found")
    );
    assert_eq!(
        post(&url, &json!({"text": "a", "channel": "#ops"})).await,
        answer(200, "ok")
    );
    assert_eq!(client().get(&url).send().await.unwrap().status(), 400);
    let payload = json!({"text": "a"});
    let wrong_token = format!("{}/wrong", url.rsplit_once('/').unwrap().0);
    assert_eq!(
        post(&wrong_token, &payload).await,
        answer(403, "invalid_token")
    );
    let unknown = format!("{}/services/T9/B9/x", slack.url());
    assert_eq!(post(&unknown, &payload).await, answer(404, "no_service"));
    assert_eq!(
        post(&slack.url(), &payload).await,
        answer(404, "no_service")
    );
    slack.remove_hook("T1");
    assert_eq!(post(&url, &payload).await, answer(404, "no_service"));
    assert_eq!(slack.received().len(), 1);
    assert_eq!(slack.attempts().len(), 5);
}

#[tokio::test]
async fn long_texts_are_cut() {
    let slack = FakeSlack::start().await.unwrap();
    let url = slack.hook_url("T1");
    post(&url, &json!({"text": "é".repeat(40_000)})).await;
    post(&url, &json!({"text": "é".repeat(40_001)})).await;
    let received = slack.received();
    assert!(!received[0].truncated && received[1].truncated);
    assert_eq!(received[1].text.chars().count(), 40_000);
}

#[tokio::test]
async fn a_rate_limit_admits_a_burst_and_then_one_a_second() {
    let slack = FakeSlack::start().await.unwrap();
    let (url, other) = (slack.hook_url("T1"), slack.hook_url("T2"));
    slack.rate_limit(Some(RateLimit::per_second(0.5).burst(2)));
    let payload = json!({"text": "a"});
    assert_eq!(post(&url, &payload).await.0, 200);
    assert_eq!(post(&url, &payload).await.0, 200);
    let refused = client()
        .post(&url)
        .body(payload.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "2");
    let body: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&body["error"], &body["retry_after"]),
        (&json!("rate_limited"), &json!(2))
    );
    assert_eq!(post(&other, &payload).await.0, 200);
    slack.rate_limit(Some(RateLimit::per_second(0.5).body(RateBody::Word)));
    assert_eq!(post(&url, &payload).await, answer(429, "rate_limited"));
    slack.rate_limit(None);
    assert_eq!(post(&url, &payload).await.0, 200);
}

#[tokio::test]
async fn scripts_answer_in_turn() {
    let slack = FakeSlack::start().await.unwrap();
    let (url, other) = (slack.hook_url("T1"), slack.hook_url("T2"));
    slack.script_all(
        "T1",
        [
            SlackReply::word(403, "invalid_token"),
            SlackReply::word(200, "no_text"),
            SlackReply::json_error("internal_error"),
            SlackReply::rate_limited_until(SystemTime::UNIX_EPOCH),
            SlackReply::redirect(307, "http://elsewhere.test/"),
            SlackReply::html(503),
            SlackReply::ok(),
        ],
    );
    let payload = json!({"text": "a"});
    assert_eq!(post(&url, &payload).await, answer(403, "invalid_token"));
    assert_eq!(post(&other, &payload).await, answer(200, "ok"));
    assert_eq!(post(&url, &payload).await, answer(200, "no_text"));
    let (status, body) = post(&url, &payload).await;
    assert_eq!(
        (
            status,
            serde_json::from_str::<Value>(&body).unwrap()["ok"].as_bool()
        ),
        (200, Some(false))
    );
    let limited = client().post(&url).body("{}").send().await.unwrap();
    assert_eq!(
        limited.headers()["retry-after"],
        "Thu, 01 Jan 1970 00:00:00 GMT"
    );
    let moved = client().post(&url).body("{}").send().await.unwrap();
    assert_eq!(
        (
            moved.status().as_u16(),
            moved.headers()["location"].to_str().unwrap()
        ),
        (307, "http://elsewhere.test/")
    );
    assert!(post(&url, &payload).await.1.contains("<html>"));
    assert_eq!(slack.script_left("T1"), 1);
    assert_eq!(post(&url, &payload).await, answer(200, "ok"));
    slack.script_all("T1", [SlackReply::ok().tag("first"), SlackReply::html(500)]);
    assert_eq!(post(&url, &payload).await, answer(200, "ok"));
    slack.clear_script("T1");
    assert_eq!(post(&url, &payload).await, answer(200, "ok"));
    let tags: Vec<_> = slack.received().iter().map(|message| message.tag).collect();
    assert_eq!(tags[tags.len() - 3..], [None, Some("first"), None]);
    assert_eq!(slack.received().len(), 4);
    assert_eq!(slack.attempts().len(), 10);
    assert_eq!(slack.attempts()[0].judged, None);
    assert_eq!(slack.attempts()[1].judged, Some(200));
}

#[tokio::test]
async fn broken_connections_tell_whether_the_message_arrived() {
    let slack = FakeSlack::start().await.unwrap();
    let url = slack.hook_url("T1");
    slack.script_all(
        "T1",
        [
            SlackReply::reset_before_body(),
            SlackReply::reset_after_body(),
        ],
    );
    for (received, requests) in [(0, 1), (1, 2)] {
        assert!(
            client()
                .post(&url)
                .body(r#"{"text":"a"}"#)
                .send()
                .await
                .is_err()
        );
        assert_eq!(slack.received().len(), received);
        assert_eq!(slack.server().requests().len(), requests);
    }
    slack.script("T1", SlackReply::huge(100_000_000));
    let mut answer = client()
        .post(&url)
        .body(r#"{"text":"a"}"#)
        .send()
        .await
        .unwrap();
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"ok "));
    drop(answer);
    slack.script("T1", SlackReply::drip(Duration::from_millis(30)));
    let start = std::time::Instant::now();
    assert_eq!(
        post(&url, &json!({"text": "a"})).await,
        (200, "ok".to_owned())
    );
    assert!(start.elapsed() >= Duration::from_millis(30));
    slack.script("T1", SlackReply::hang());
    let waiting = tokio::time::timeout(
        Duration::from_millis(200),
        client().post(&url).body(r#"{"text":"a"}"#).send(),
    );
    assert!(waiting.await.is_err());
    assert_eq!(slack.received().len(), 3);
    assert_eq!(
        slack
            .wait_for_attempts(4, Duration::from_secs(1))
            .await
            .len(),
        4
    );
    assert_eq!(slack.wait_for(9, Duration::from_millis(20)).await.len(), 3);
}
