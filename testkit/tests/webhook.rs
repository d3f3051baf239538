//! The fake receiver of webhooks, through a plain client.
#![cfg(feature = "webhook")]

mod common;

use std::time::Duration;

use common::client;
use notifier_core::{Clock as _, SystemClock};
use notifier_testkit::webhook::{FakeWebhook, WebhookReply};

/// The example of Standard Webhooks: its key, and what it signs.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn now() -> i64 {
    SystemClock.now().as_second()
}

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn send(method: &str, url: &str, headers: Headers<'_>, body: &str) -> u16 {
    let mut request = client().request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body.to_owned()).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn calls_are_judged() {
    let fake = FakeWebhook::start().await.unwrap();
    let url = fake.url("a");
    assert_eq!(url, fake.url("a"));
    assert_ne!(url, fake.url("b"));
    let time = now().to_string();
    let (early, late) = ((now() - 400).to_string(), (now() + 400).to_string());
    let kind = ("content-type", "application/json; charset=utf-8");
    let (id, at) = (("webhook-id", "m1"), ("webhook-timestamp", time.as_str()));
    for (method, headers, body, status) in [
        ("POST", &[kind, id, at] as Headers<'_>, "{}", 200),
        ("PUT", &[kind, ("webhook-id", "m2"), at], "[]", 200),
        ("GET", &[kind, id, at], "", 405),
        ("POST", &[kind, at], "{}", 400),
        (
            "POST",
            &[kind, id, at, ("idempotency-key", "m1")],
            "{}",
            200,
        ),
        (
            "POST",
            &[kind, id, at, ("idempotency-key", "m2")],
            "{}",
            400,
        ),
        ("POST", &[kind, id], "{}", 400),
        (
            "POST",
            &[kind, id, ("webhook-timestamp", "soon")],
            "{}",
            400,
        ),
        (
            "POST",
            &[kind, id, ("webhook-timestamp", early.as_str())],
            "{}",
            400,
        ),
        (
            "POST",
            &[kind, id, ("webhook-timestamp", late.as_str())],
            "{}",
            400,
        ),
        ("POST", &[id, at], "{}", 415),
        ("POST", &[kind, id, at], "{", 400),
        ("POST", &[("content-type", "text/plain"), id, at], "{", 200),
    ] {
        assert_eq!(
            send(method, &url, headers, body).await,
            status,
            "{headers:?}"
        );
    }
    assert_eq!(
        send("POST", &fake.server().url("/in/x"), &[kind, id, at], "{}").await,
        404
    );
    let received = fake.received();
    let ids: Vec<&str> = received.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["m1", "m2"]);
    assert_eq!((fake.repeats(), fake.attempts().len()), (2, 13));
    assert_eq!(received[0].timestamp.unwrap().to_string(), time);
    assert_eq!(received[1].json, serde_json::json!([]));
}

#[tokio::test]
async fn signatures_are_checked() {
    let fake = FakeWebhook::start().await.unwrap();
    let kind = ("content-type", "text/plain");
    let time = now().to_string();
    let (id, at) = (("webhook-id", "m1"), ("webhook-timestamp", time.as_str()));

    // Grafana's over the body alone: RFC 4231, test case 2.
    let code = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    let text = "what do ya want for nothing?";
    fake.require_grafana("g", "Jefe", "X-Sig", None);
    for (headers, body, status) in [
        (&[kind, id, at, ("x-sig", code)] as Headers<'_>, text, 200),
        (&[kind, id, at, ("x-sig", code)], "what do ya want", 401),
        (&[kind, id, at, ("x-sig", &code[2..])], text, 401),
        (&[kind, id, at, ("x-sig", "no")], text, 401),
        (&[kind, id, at], text, 401),
    ] {
        assert_eq!(
            send("POST", &fake.url("g"), headers, body).await,
            status,
            "{headers:?}"
        );
    }
    // With the time in front, nothing of it is left out.
    fake.require_grafana("g", "Jefe", "X-Sig", Some("X-Time"));
    let timed = [
        kind,
        id,
        at,
        ("x-sig", code),
        ("x-time", "what do ya want for nothing?"),
    ];
    assert_eq!(send("POST", &fake.url("g"), &timed, "").await, 401);

    fake.require_signature("s", [KEY]);
    for signature in ["", "v1,", "v1,AAAA", "v2,AAAA", "AAAA", "v1,!"] {
        let headers = [kind, id, at, ("webhook-signature", signature)];
        assert_eq!(
            send("POST", &fake.url("s"), &headers, "x").await,
            401,
            "{signature}"
        );
    }
    assert_eq!(fake.received().len(), 1);
}

/// Its time is long ago, so it is refused; its signature is right all the same.
#[tokio::test]
async fn the_published_example_is_right_and_too_old() {
    let fake = FakeWebhook::start().await.unwrap();
    fake.require_signature("s", [OTHER, KEY]);
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let body = r#"{"test": 2432232314}"#;
    assert_eq!(send("POST", &fake.url("s"), &headers, body).await, 400);
    assert!(fake.is_signed("s", &fake.attempts()[0]));
    fake.require_signature("s", [OTHER]);
    assert!(!fake.is_signed("s", &fake.attempts()[0]));
}

#[tokio::test]
async fn scripts_decide_and_an_id_has_one_effect() {
    let fake = FakeWebhook::start().await.unwrap();
    let url = fake.url("a");
    let time = now().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", "m1"),
        ("webhook-timestamp", time.as_str()),
    ];
    fake.script(
        "a",
        WebhookReply::retry_after(503, Duration::from_millis(1500)),
    );
    fake.script("a", WebhookReply::reset_before_body());
    fake.script("a", WebhookReply::reset_after_body());
    fake.script("a", WebhookReply::status(202));
    let plain = || {
        client()
            .post(&url)
            .header("webhook-id", "m1")
            .body("{}")
            .send()
    };
    let answer = plain().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            &answer.headers()["retry-after"] == "2"
        ),
        (503, true)
    );
    assert!(fake.received().is_empty());
    assert!(plain().await.is_err() && fake.received().is_empty());
    assert!(plain().await.is_err());
    assert_eq!(fake.wait_for(1, Duration::from_secs(30)).await.len(), 1);
    assert_eq!(plain().await.unwrap().status(), 202);
    assert_eq!(send("POST", &url, &headers, "{}").await, 200);
    assert_eq!((fake.received().len(), fake.repeats()), (1, 2));
    assert_eq!(fake.attempts().len(), 4);
}
