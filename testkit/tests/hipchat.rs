//! The fake HipChat, through a plain client.
#![cfg(feature = "hipchat")]

mod common;

use std::time::{Duration, UNIX_EPOCH};

use common::client;
use notifier_testkit::hipchat::{FakeHipchat, HipchatReply, RateLimit};
use serde_json::{Value, json};

async fn post(hipchat: &FakeHipchat, room: &str, token: &str, body: &Value) -> reqwest::Response {
    client()
        .post(format!("{}room/{room}/notification", hipchat.base_url()))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
}

async fn status(hipchat: &FakeHipchat, room: &str, token: &str, body: &Value) -> u16 {
    post(hipchat, room, token, body).await.status().as_u16()
}

fn number(answer: &reqwest::Response, header: &str) -> u64 {
    answer.headers()[header].to_str().unwrap().parse().unwrap()
}

/// Whether a reset lies so many seconds, or a second less, behind the last request.
fn soon(hipchat: &FakeHipchat, reset: u64, within: u64) -> bool {
    let requests = hipchat.server().requests();
    let now = requests[requests.len() - 1].arrived_at;
    let now = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    (now + within - 1..=now + within + 1).contains(&reset)
}

#[tokio::test]
async fn messages_are_parsed() {
    let hipchat = FakeHipchat::start().await.unwrap();
    let (ops, two) = (hipchat.room("ops"), hipchat.room("room two+"));
    assert_eq!(ops, hipchat.room("ops"));
    assert_ne!(ops, two);
    let body = json!({"message": "<b>a</b>", "color": "red", "notify": true, "from": "bot"});
    let answer = post(&hipchat, "ops", &ops, &body).await;
    assert_eq!(answer.status(), 204);
    assert!(answer.bytes().await.unwrap().is_empty());
    let body = json!({"message": "b", "message_format": "text"});
    assert_eq!(status(&hipchat, "room%20two+", &two, &body).await, 204);
    let received = hipchat.wait_for(2, Duration::from_secs(5)).await;
    let (a, b) = (&received[0], &received[1]);
    assert_eq!((a.room.as_str(), a.message.as_str()), ("ops", "<b>a</b>"));
    assert_eq!(
        (a.message_format.as_str(), a.color.as_str()),
        ("html", "red")
    );
    assert_eq!((a.from.as_deref(), a.judged), (Some("bot"), Some(204)));
    assert_eq!(
        (b.room.as_str(), b.message_format.as_str()),
        ("room two+", "text")
    );
    assert_eq!(b.color, "yellow");
    assert!(a.arrived <= b.arrived);
}

#[tokio::test]
async fn bad_messages_are_refused() {
    let hipchat = FakeHipchat::start().await.unwrap();
    let (ops, dev, user) = (hipchat.room("ops"), hipchat.room("dev"), hipchat.user());
    let body = json!({"message": "a"});
    for (room, token, body, expected) in [
        ("ops", ops.as_str(), &body, 204),
        ("ops", user.as_str(), &body, 204),
        ("ops", dev.as_str(), &body, 403),
        ("ops", "nobody", &body, 401),
        ("none", ops.as_str(), &body, 404),
        ("ops/x", ops.as_str(), &body, 404),
        ("ops", ops.as_str(), &json!({"message": ""}), 400),
        (
            "ops",
            ops.as_str(),
            &json!({"message": "a", "color": "blue"}),
            400,
        ),
        ("ops", ops.as_str(), &json!([1]), 400),
    ] {
        assert_eq!(
            status(&hipchat, room, token, body).await,
            expected,
            "{room} {body}"
        );
    }
    let answer = post(&hipchat, "ops", "nobody", &body).await;
    let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(said["error"]["code"], 401);
    // A token in the address counts for nothing.
    let url = format!(
        "{}room/ops/notification?auth_token={ops}",
        hipchat.base_url()
    );
    let sent = client()
        .post(&url)
        .header("Content-Type", "application/json");
    assert_eq!(
        sent.body(body.to_string()).send().await.unwrap().status(),
        401
    );
    let bearer = format!("Bearer {ops}");
    let sent = client()
        .get(&url)
        .header("Authorization", &bearer)
        .send()
        .await;
    assert_eq!(sent.unwrap().status(), 405);
    let sent = client()
        .post(&url)
        .header("Authorization", &bearer)
        .body("{\"message\":\"a\"}");
    assert_eq!(sent.send().await.unwrap().status(), 400, "no content type");
    hipchat.remove_room("ops");
    assert_eq!(status(&hipchat, "ops", &user, &body).await, 404);
    assert_eq!(hipchat.received().len(), 2);
}

#[tokio::test]
async fn a_rate_limit_counts_rooms_and_tokens_and_tells() {
    let hipchat = FakeHipchat::start().await.unwrap();
    let user = hipchat.user();
    let (_, _) = (hipchat.room("a"), hipchat.room("b"));
    let minute = Duration::from_secs(60);
    hipchat.rate_limit(Some(
        RateLimit::default().room(2, minute).token(3, 5 * minute),
    ));
    let body = json!({"message": "a"});
    let first = post(&hipchat, "a", &user, &body).await;
    assert_eq!(first.status(), 204);
    assert_eq!(number(&first, "x-floodcontrol-limit"), 2);
    assert_eq!(number(&first, "x-floodcontrol-remaining"), 1);
    assert_eq!(number(&first, "x-ratelimit-remaining"), 2);
    assert!(soon(&hipchat, number(&first, "x-floodcontrol-reset"), 60));
    assert!(soon(&hipchat, number(&first, "x-ratelimit-reset"), 300));
    let second = post(&hipchat, "a", &user, &body).await;
    assert_eq!(
        (
            second.status().as_u16(),
            number(&second, "x-floodcontrol-remaining")
        ),
        (204, 0)
    );
    assert_eq!(status(&hipchat, "a", &user, &body).await, 429);
    // The token's three are spent, in whatever room.
    assert_eq!(status(&hipchat, "b", &user, &body).await, 429);
    hipchat.rate_limit(None);
    assert_eq!(status(&hipchat, "b", &user, &body).await, 204);
    assert_eq!(hipchat.received().len(), 3);
}

#[tokio::test]
async fn scripts_answer_in_turn() {
    let hipchat = FakeHipchat::start().await.unwrap();
    let (ops, dev) = (hipchat.room("ops"), hipchat.room("dev"));
    hipchat.script_all(
        "ops",
        [
            HipchatReply::error(503, "Later").tag("first"),
            HipchatReply::rate_limited(Duration::from_secs(20)),
            HipchatReply::last(Duration::from_secs(20)),
            HipchatReply::html(502),
            HipchatReply::ok(),
            HipchatReply::late(Duration::from_millis(1)),
        ],
    );
    let body = json!({"message": "a"});
    assert_eq!(status(&hipchat, "ops", &ops, &body).await, 503);
    assert_eq!(status(&hipchat, "dev", &dev, &body).await, 204);
    for expected in [429, 204] {
        let answer = post(&hipchat, "ops", &ops, &body).await;
        assert_eq!(answer.status(), expected);
        assert_eq!(number(&answer, "x-floodcontrol-remaining"), 0);
        assert!(soon(&hipchat, number(&answer, "x-floodcontrol-reset"), 20));
    }
    let page = post(&hipchat, "ops", &ops, &body).await;
    assert!(page.text().await.unwrap().contains("<html>"));
    assert_eq!(hipchat.script_left("ops"), 2);
    assert_eq!(status(&hipchat, "ops", &ops, &json!({})).await, 204);
    assert_eq!(status(&hipchat, "ops", &ops, &json!({})).await, 400);
    assert_eq!(hipchat.attempts()[0].tag, Some("first"));
    assert_eq!(hipchat.attempts().len(), 7);
    assert_eq!(hipchat.received().len(), 3);
    hipchat.clear();
    assert!(hipchat.attempts().is_empty());
}

#[tokio::test]
async fn broken_connections_tell_whether_the_message_arrived() {
    let hipchat = FakeHipchat::start().await.unwrap();
    let token = hipchat.room("ops");
    hipchat.script_all(
        "ops",
        [
            HipchatReply::reset_before_body(),
            HipchatReply::reset_after_body(),
            HipchatReply::hang(),
        ],
    );
    for received in [0, 1] {
        let sent = client()
            .post(format!("{}room/ops/notification", hipchat.base_url()))
            .header("Authorization", format!("Bearer {token}"))
            .body(r#"{"message":"a"}"#);
        assert!(sent.send().await.is_err());
        assert_eq!(hipchat.received().len(), received);
    }
    let body = json!({"message": "a"});
    let waiting = tokio::time::timeout(
        Duration::from_millis(200),
        post(&hipchat, "ops", &token, &body),
    );
    assert!(waiting.await.is_err());
    assert_eq!(hipchat.received().len(), 1);
}
