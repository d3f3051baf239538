//! What is sent, what answers mean, and what nobody is to see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use notifier_core::{
    BackendSettings, Clock as _, Delivery, DeliveryId, Document, Error, ErrorKind, FailureRecord,
    LabelGrammar, Links, ManualClock, Next, Origin, Receipt, Report, ReportOptions, Reporter,
    Retry, Scope, Settings, SystemClock, jiff::Timestamp,
};
use notifier_http::{GuestPolicy, HttpClient};
use notifier_testkit::{
    http::{Body, Delivery as Way, Reply},
    webhook::{FakeWebhook, WebhookReply},
};
use notifier_webhook::{OPTIONS, WebhookReporter};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn report() -> Report {
    let f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    Report::failure(f).with_links(Links::new("http://a/stdout", "http://a/stderr"))
}

/// A fake with one hook, and what leads to it.
struct Rig {
    fake: FakeWebhook,
    settings: BackendSettings,
    http: HttpClient,
}

impl Rig {
    async fn new(set: &[(&str, &str)]) -> Self {
        let fake = FakeWebhook::start().await.unwrap();
        let mut settings = BackendSettings::new(OPTIONS);
        settings.set(Origin::Flag, "url", &fake.url("a")).unwrap();
        for (key, value) in set {
            settings.set(Origin::Flag, key, value).unwrap();
        }
        Self {
            fake,
            settings,
            http: HttpClient::new().unwrap(),
        }
    }

    async fn send_with(&self, settings: &Settings, attempt: u32) -> Result<Receipt, Error> {
        let reporter = WebhookReporter::new(&self.settings, self.http.clone()).unwrap();
        let id = DeliveryId::new("0123456789abcdef");
        let opts = ReportOptions::new(&id, settings).after(attempt, None);
        reporter.report(&report(), &opts).await
    }

    async fn send(&self) -> Result<Receipt, Error> {
        self.send_with(&self.settings.instance("default"), 1).await
    }

    async fn refused(&self, reply: WebhookReply) -> Error {
        self.fake.script("a", reply);
        self.send().await.unwrap_err()
    }
}

#[tokio::test]
async fn a_document_that_a_notifier_reads_is_posted() {
    let rig = Rig::new(&[("signing_key", KEY)]).await;
    rig.fake.require_signature("a", [KEY]);
    assert_eq!(rig.send().await.unwrap().next(), Next::Done);
    let call = &rig.fake.received()[0];
    let got = Document::parse(&call.text).unwrap();
    assert_eq!(got.id.as_str(), call.id);
    assert_eq!(got.into_failure().id, "web.1");
    assert_eq!(call.content_type, "application/json; charset=utf-8");
    let request = &call.request;
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("idempotency-key"), Some("0123456789abcdef"));
    let agent = request.header("user-agent").unwrap();
    assert!(agent.starts_with("notifiers/"), "{agent}");
    assert_eq!(
        request.header("content-length"),
        Some(call.text.len().to_string().as_str())
    );
    assert!(request.header("authorization").is_none());
}

#[tokio::test]
async fn what_is_set_is_sent() {
    for (set, name, value) in [
        (vec![("token", "t0ken")], "authorization", "Bearer t0ken"),
        (
            vec![("user", "Aladdin"), ("password", "open sesame")],
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (vec![("headers", "X-A: 1\nX-B: 2")], "x-b", "2"),
        (
            vec![("body", "cloudevents"), ("mode", "binary")],
            "ce-id",
            "0123456789abcdef",
        ),
        (
            vec![("body", "cloudevents")],
            "content-type",
            "application/cloudevents+json; charset=utf-8",
        ),
        (
            vec![("body", "text")],
            "content-type",
            "text/plain; charset=utf-8",
        ),
        (
            vec![("content_type", "application/x+json")],
            "content-type",
            "application/x+json",
        ),
    ] {
        let rig = Rig::new(&set).await;
        assert_eq!(rig.send().await.unwrap().next(), Next::Done, "{set:?}");
        let call = &rig.fake.received()[0];
        assert_eq!(call.request.header(name), Some(value), "{set:?}");
    }
    for method in ["PUT", "PATCH"] {
        let rig = Rig::new(&[("method", method)]).await;
        assert_eq!(rig.send().await.unwrap().next(), Next::Done);
        assert_eq!(rig.fake.received()[0].request.method, method);
    }
}

#[tokio::test]
async fn each_attempt_has_the_same_id_and_its_own_time() {
    let mut rig = Rig::new(&[("signing_key", KEY)]).await;
    rig.fake.require_signature("a", [KEY]);
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let begin = clock.now().as_second();
    rig.http = HttpClient::builder()
        .clock(Arc::clone(&clock) as _)
        .build()
        .unwrap();
    let settings = rig.settings.instance("default");
    rig.fake.script("a", WebhookReply::reset_after_body());
    let e = rig.send_with(&settings, 1).await.unwrap_err();
    assert_eq!((e.delivery(), e.is_retryable()), (Delivery::Unknown, true));
    clock.advance(Duration::from_secs(7));
    assert_eq!(
        rig.send_with(&settings, 2).await.unwrap().next(),
        Next::Done
    );
    let calls = rig.fake.attempts();
    let times: Vec<i64> = calls.iter().filter_map(|c| c.timestamp).collect();
    assert_eq!(times, [begin, begin + 7]);
    assert_eq!(calls[0].id, calls[1].id);
    assert!(calls.iter().all(|c| rig.fake.is_signed("a", c)));
    // Taken twice, told once.
    assert_eq!((rig.fake.received().len(), rig.fake.repeats()), (1, 1));
}

#[tokio::test]
async fn keys_are_replaced_without_a_gap() {
    for (ours, theirs) in [
        (KEY.to_owned(), KEY),
        (format!("{KEY} {NEW}"), KEY),
        (format!("{KEY} {NEW}"), NEW),
        (NEW.to_owned(), NEW),
    ] {
        let rig = Rig::new(&[("signing_key", &ours)]).await;
        rig.fake.require_signature("a", [theirs]);
        assert_eq!(rig.send().await.unwrap().next(), Next::Done, "{ours}");
    }
    let rig = Rig::new(&[("signing_key", KEY)]).await;
    rig.fake.require_signature("a", [NEW]);
    let e = rig.send().await.unwrap_err();
    assert_eq!((e.code(), e.scope()), (Some("401"), Scope::Destination));
    assert!(e.to_string().contains("webhook.signing_key"), "{e}");
}

#[tokio::test]
async fn grafanas_receivers_can_check_it() {
    let set = [
        ("signing_key", "a key of Grafana"),
        ("signature", "grafana"),
    ];
    let rig = Rig::new(&set).await;
    let name = "X-Grafana-Alerting-Signature";
    rig.fake
        .require_grafana("a", "a key of Grafana", name, None);
    assert_eq!(rig.send().await.unwrap().next(), Next::Done);
    let call = &rig.fake.received()[0];
    assert!(call.request.header("webhook-signature").is_none());
    let mut timed = set.to_vec();
    timed.extend([
        ("signature_header", "X-Sig"),
        ("timestamp_header", "X-Time"),
    ]);
    let rig = Rig::new(&timed).await;
    rig.fake
        .require_grafana("a", "a key of Grafana", "X-Sig", Some("X-Time"));
    assert_eq!(rig.send().await.unwrap().next(), Next::Done);
}

#[tokio::test]
async fn answers_mean_what_the_settings_say() {
    let rig = Rig::new(&[("success", "200,409"), ("retry", "404,503")]).await;
    let later = Retry::Later { after: None };
    for (status, kind, retry) in [
        (404, ErrorKind::Rejected, later),
        (503, ErrorKind::Unavailable, later),
        (429, ErrorKind::Rejected, Retry::Never),
        (500, ErrorKind::Rejected, Retry::Never),
        // It has it, for all that is known, and does not say what it should.
        (202, ErrorKind::Rejected, Retry::Never),
    ] {
        let e = rig.refused(WebhookReply::status(status)).await;
        assert_eq!((e.kind(), e.retry()), (kind, retry), "{status}");
        assert_eq!(e.code(), Some(status.to_string().as_str()));
    }
    for status in [200, 409] {
        rig.fake.script("a", WebhookReply::status(status));
        assert_eq!(rig.send().await.unwrap().next(), Next::Done, "{status}");
    }
}

#[tokio::test]
async fn what_is_gone_is_told_and_a_redirect_is_not_followed() {
    let rig = Rig::new(&[("token", "s3cr3t-token")]).await;
    let e = rig.refused(WebhookReply::status(410)).await;
    assert_eq!((e.retry(), e.scope()), (Retry::Never, Scope::Destination));
    assert!(e.to_string().contains("gone for good"), "{e}");
    let other = FakeWebhook::start().await.unwrap();
    for status in [301, 302, 303, 307, 308] {
        let e = rig
            .refused(WebhookReply::redirect(status, other.url("b")))
            .await;
        assert_eq!((e.retry(), e.scope()), (Retry::Never, Scope::Destination));
        assert!(e.to_string().contains("which is not followed"), "{e}");
        assert!(!e.to_string().contains(&other.path("b")), "{e}");
    }
    assert!(other.server().requests().is_empty());
}

#[tokio::test]
async fn huge_slow_and_empty_answers() {
    let rig = Rig::new(&[]).await;
    let huge = |status| {
        let body = Body::endless("nothing ");
        WebhookReply::action(Reply::new(status).body(body)).taken(status == 200)
    };
    rig.fake.script("a", huge(200));
    assert_eq!(rig.send().await.unwrap().next(), Next::Done);
    let e = rig.refused(huge(400)).await;
    assert!(e.to_string().chars().count() < 400, "{e}");
    rig.fake.script("a", WebhookReply::status(204));
    assert_eq!(rig.send().await.unwrap().next(), Next::Done);

    // A request has its own time, whatever the client's.
    let mut rig = Rig::new(&[("timeout", "200ms")]).await;
    rig.http = HttpClient::builder().timeout(None).build().unwrap();
    let e = rig.refused(WebhookReply::hang()).await;
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Timeout, Delivery::Unknown)
    );
    let drip = Way::new().drip(1, Duration::from_secs(60));
    let e = rig
        .refused(WebhookReply::action(Reply::text(200, "ok").delivery(drip)))
        .await;
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Timeout, Delivery::Unknown)
    );
}

fn labelled(settings: &BackendSettings, url: &str) -> Settings {
    let labels = BTreeMap::from([("complainer_webhook_url".to_owned(), url.to_owned())]);
    let grammar = LabelGrammar::default();
    settings.resolve(&grammar.scope(&labels), "default")
}

#[tokio::test]
async fn a_tasks_address_is_guarded_and_gets_nothing_of_the_operators() {
    let mut rig = Rig::new(&[
        ("signing_key", KEY),
        ("token", "s3cr3t-token"),
        ("headers", "X-Key: s3cr3t-header"),
    ])
    .await;
    let settings = labelled(&rig.settings, &rig.fake.url("guest"));
    let e = rig.send_with(&settings, 1).await.unwrap_err();
    assert_eq!((e.kind(), e.retry()), (ErrorKind::Config, Retry::Never));
    assert!(e.to_string().contains("loopback"), "{e}");
    assert!(rig.fake.server().requests().is_empty());
    // Where the operator allows it, it is sent there, without what is the operator's.
    rig.http = HttpClient::builder()
        .guests(GuestPolicy::parse("public", ["127.0.0.0/8"]).unwrap())
        .build()
        .unwrap();
    let receipt = rig.send_with(&settings, 1).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    let call = &rig.fake.received()[0];
    assert_eq!(call.hook, "guest");
    for name in ["authorization", "x-key", "webhook-signature"] {
        assert_eq!(call.request.header(name), None, "{name}");
    }
    assert!(call.request.header("webhook-id").is_some());
}

/// Everything a caller of the reporter may show, in every way a request can fail.
#[tokio::test]
async fn no_error_shows_a_secret() {
    let keys = format!("{KEY} {NEW}");
    let set = [
        ("signing_key", keys.as_str()),
        ("token", "s3cr3t-token"),
        ("headers", "X-Key: s3cr3t-header"),
    ];
    let mut rig = Rig::new(&set).await;
    let path = rig.fake.path("a");
    // What a receiver says may be anything.
    let said = format!(
        "{} {path} {} s3cr3t-token s3cr3t-header {KEY} {} Bearer s3cr3t-token",
        rig.fake.url("a"),
        &path[4..],
        &NEW[6..],
    );
    let secrets = [&path[4..], "s3cr3t", &KEY[6..], &NEW[6..]];
    let replies = [
        WebhookReply::text(400, &said),
        WebhookReply::text(401, &said),
        WebhookReply::text(410, &said),
        WebhookReply::text(503, &said),
        WebhookReply::text(600, &said),
        WebhookReply::redirect(302, rig.fake.url("a")),
        WebhookReply::reset_before_body(),
        WebhookReply::reset_after_body(),
    ];
    let mut shown = Vec::new();
    for reply in replies {
        let e = rig.refused(reply).await;
        shown.push(format!("{e} {e:?} {}", e.report()));
    }
    let reporter = WebhookReporter::new(&rig.settings, rig.http.clone()).unwrap();
    let settings = rig.settings.instance("default");
    shown.push(format!("{reporter:?} {settings:?} {:?}", rig.settings));
    shown.push(format!("{:?}", reporter.destination(&settings)));
    let receipt = rig.send().await.unwrap();
    shown.push(format!("{receipt:?}"));
    rig.settings.set(Origin::Flag, "timeout", "200ms").unwrap();
    let e = rig.refused(WebhookReply::hang()).await;
    shown.push(format!("{e} {e:?} {}", e.report()));
    for text in &shown {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert_eq!(shown.len(), 12);
    assert!(shown[0].contains("400"), "{}", shown[0]);
}

#[tokio::test]
async fn check_sends_nothing_and_finds_what_is_wrong() {
    let rig = Rig::new(&[("signing_key", KEY)]).await;
    let reporter = WebhookReporter::new(&rig.settings, rig.http.clone()).unwrap();
    reporter
        .check(&rig.settings.instance("default"))
        .await
        .unwrap();
    let none = BackendSettings::new(OPTIONS).instance("default");
    let e = reporter.check(&none).await.unwrap_err();
    assert!(
        e.to_string().contains("set -webhook.url or WEBHOOK_URL"),
        "{e}"
    );
    let guest = labelled(&rig.settings, "http://127.0.0.1/x");
    assert!(reporter.check(&guest).await.is_err());
    assert!(rig.fake.server().requests().is_empty());
}
