//! The fake Sentry, through a plain client.
#![cfg(feature = "sentry")]

mod common;

use std::io::Write;
use std::time::Duration;

use common::client;
use flate2::{Compression, write::GzEncoder};
use notifier_testkit::sentry::{FakeSentry, SentryReply, faults};
use reqwest::Response;
use serde_json::{Value, json};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn event() -> Value {
    json!({
        "event_id": ID, "timestamp": "2026-01-01T00:00:00Z", "platform": "other",
        "level": "error", "logentry": { "formatted": "Task web died" },
    })
}

fn envelope(event: &Value) -> String {
    let id = event["event_id"].as_str().unwrap_or_default();
    let event = event.to_string();
    format!(
        "{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n{event}\n\
         {{\"type\":\"attachment\",\"length\":4,\"filename\":\"stderr.log\",\"content_type\":\"text/plain\"}}\na\n\nb\n",
        event.len()
    )
}

/// Posts to the address of a DSN, with the header made of its key.
async fn post(dsn: &str, body: impl Into<Vec<u8>>, gzip: bool) -> Response {
    let rest = dsn.strip_prefix("http://").unwrap();
    let (key, rest) = rest.split_once('@').unwrap();
    let (host, project) = rest.split_once('/').unwrap();
    let mut request = client()
        .post(format!("http://{host}/api/{project}/envelope/"))
        .header("Content-Type", "application/x-sentry-envelope")
        .header(
            "X-Sentry-Auth",
            format!("Sentry sentry_version=7, sentry_client=test/1, sentry_key={key}"),
        );
    let mut body = body.into();
    if gzip {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&body).unwrap();
        body = packed.finish().unwrap();
        request = request.header("Content-Encoding", "gzip");
    }
    request.body(body).send().await.unwrap()
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

fn limits(answer: &Response) -> Option<&str> {
    answer.headers().get("x-sentry-rate-limits")?.to_str().ok()
}

#[tokio::test]
async fn events_are_taken_once_with_their_files() {
    let sentry = FakeSentry::start().await.unwrap();
    let dsn = sentry.dsn("a");
    assert_eq!(dsn, sentry.dsn("a"));
    assert!(dsn.contains(&sentry.key("a")));
    assert_ne!(dsn, sentry.dsn("b"));
    for gzip in [false, true] {
        let answer = post(&dsn, envelope(&event()), gzip).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(json_of(answer).await["id"], ID);
    }
    let received = sentry.received();
    assert_eq!((received.len(), sentry.attempts().len()), (1, 2));
    let first = &received[0];
    assert_eq!((first.project.as_str(), first.event_id()), ("a", ID));
    assert_eq!(first.message(), "Task web died");
    assert_eq!(first.attachments[0].filename, "stderr.log");
    assert_eq!(first.attachments[0].bytes, b"a\n\nb");
    assert_eq!(first.size, envelope(&event()).len());
    // Another project has it not.
    assert_eq!(
        post(&sentry.dsn("b"), envelope(&event()), true)
            .await
            .status(),
        200
    );
    assert_eq!(sentry.wait_for(2, Duration::from_secs(5)).await.len(), 2);
    assert!(!format!("{sentry:?}").contains(&sentry.key("a")));
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_told() {
    let sentry = FakeSentry::start().await.unwrap();
    let dsn = sentry.dsn("a");
    let wrong_key = dsn.replace(&sentry.key("a"), &"0f".repeat(16));
    let nowhere = format!("{}/99", dsn.rsplit_once('/').unwrap().0);
    let mut long = event();
    long["logger"] = "x".repeat(65).into();
    let mut large = event();
    large["user"] = json!({ "id": "x".repeat(1 << 20) });
    for (dsn, body, status, why) in [
        (
            &wrong_key,
            envelope(&event()),
            403,
            "bad sentry DSN public key",
        ),
        (&nowhere, envelope(&event()), 404, "no such project"),
        (
            &dsn,
            "garbage".to_owned(),
            400,
            "the envelope's header is no JSON object",
        ),
        (&dsn, envelope(&long), 400, "invalid event data"),
        (&dsn, envelope(&large), 413, "event exceeds the size limit"),
    ] {
        let answer = post(dsn, body, true).await;
        assert_eq!(answer.status(), status, "{why}");
        assert_eq!(json_of(answer).await["detail"], why);
    }
    assert!(sentry.received().is_empty());
    let attempts = sentry.attempts();
    assert_eq!(attempts[2].faults.len(), 2);
    assert!(attempts[2].faults[1].starts_with("logger: "));
    assert_eq!(faults(envelope(&long).as_bytes()).len(), 1);
    assert!(faults(envelope(&event()).as_bytes()).is_empty());

    // Without any authorization, and without a known coding.
    let url = format!("{}/api/1/envelope/", sentry.url());
    let answer = client().post(&url).body("x").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    sentry.max_body(Some(10));
    assert_eq!(post(&dsn, envelope(&event()), true).await.status(), 413);
    sentry.remove_project("a");
    assert_eq!(post(&dsn, envelope(&event()), true).await.status(), 404);
}

#[tokio::test]
async fn limits_hold_by_category() {
    let sentry = FakeSentry::start().await.unwrap();
    let dsn = sentry.dsn("a");
    sentry.limit("a", "attachment", Duration::from_secs(3600));
    let answer = post(&dsn, envelope(&event()), true).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(limits(&answer), Some("3600:attachment:key:quota_exceeded"));
    assert!(sentry.received()[0].attachments.is_empty());
    sentry.limit("a", "error", Duration::from_secs(60));
    let answer = post(&dsn, envelope(&event()), true).await;
    assert_eq!(answer.status(), 429);
    assert!(limits(&answer).unwrap().contains("60:error:key"));
    sentry.limit("a", "error", Duration::ZERO);
    sentry.limit("a", "attachment", Duration::ZERO);
    let answer = post(&dsn, envelope(&event()), true).await;
    assert_eq!((answer.status().as_u16(), limits(&answer)), (200, None));
}

#[tokio::test]
async fn scripts_come_first() {
    let sentry = FakeSentry::start().await.unwrap();
    let dsn = sentry.dsn("a");
    sentry.script_all(
        "a",
        [
            SentryReply::rate_limited(Duration::from_secs(7)).tag("limited"),
            SentryReply::limits("9:error:key"),
            SentryReply::sentry_error(403, "no"),
            SentryReply::detail(400, "no", &["because"]),
            SentryReply::ok_with_limits("5::key"),
            SentryReply::html(502),
        ],
    );
    let mut told = Vec::new();
    for _ in 0..7 {
        let answer = post(&dsn, envelope(&event()), true).await;
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let said = header("retry-after").or(header("x-sentry-rate-limits"));
        told.push((answer.status().as_u16(), said.or(header("x-sentry-error"))));
    }
    let some = |t: &str| Some(t.to_owned());
    assert_eq!(
        told,
        [
            (429, some("7")),
            (429, some("9:error:key")),
            (403, some("no")),
            (400, None),
            (200, some("5::key")),
            (502, None),
            (200, None),
        ]
    );
    assert_eq!(sentry.script_left("a"), 0);
    // The last one was a repeat.
    assert_eq!(sentry.received().len(), 1);
    let attempts = sentry.attempts();
    assert_eq!(
        (attempts[0].tag, attempts[0].judged),
        (Some("limited"), None)
    );
    assert_eq!(attempts[6].judged, Some(200));
    sentry.clear();
    assert!(sentry.attempts().is_empty());
}
