//! The handler before an engine, and posts signed as SNS signs them.

use std::{sync::Arc, time::Duration};

use notifier_core::{
    Clock as _, Engine, ManualClock, SystemClock,
    memory::{MemoryOutbox, MemoryReporter},
};
use notifier_testkit::{
    http::Reply,
    sns::{SnsMessage, SnsSender},
};
use source_sns::{Handler, HandlerBuilder, Received, RefusalKind, Request};

const WAIT: Duration = Duration::from_secs(60);

fn builder(sns: &SnsSender) -> HandlerBuilder {
    Handler::builder([sns.topic()]).endpoint(sns.url())
}

fn engine(reporter: &Arc<MemoryReporter>) -> Engine {
    Engine::builder("default")
        .reporter(Arc::clone(reporter))
        .build()
        .unwrap()
}

/// What the handler makes of a message that came over HTTP.
async fn receive(handler: &Handler, message: &SnsMessage) -> Result<Received, RefusalKind> {
    let (headers, body) = (message.headers(), message.body());
    let header = |name: &str| {
        let mut all = headers.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    };
    let request = Request::new(&header, body.as_bytes()).query(message.query());
    handler.receive(&request).await.map_err(|r| r.kind())
}

async fn status(handler: &Handler, engine: &Engine, message: &SnsMessage) -> u16 {
    let (headers, body) = (message.headers(), message.body());
    let header = |name: &str| {
        let mut all = headers.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    };
    let request = Request::new(&header, body.as_bytes()).from("127.0.0.1:1");
    handler.handle(engine, &request).await.status
}

fn failure(received: Result<Received, RefusalKind>) -> notifier_core::FailureRecord {
    match received {
        Ok(Received::Failure(f)) => *f,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_signed_notification_is_believed() {
    let sns = SnsSender::start().await.unwrap();
    let handler = builder(&sns).build().unwrap();
    let m = sns
        .notification("disk \"full\"\n\u{1f4a3}")
        .with("Subject", "storage")
        .attribute("complainer_slack_channel", "#ops");
    let m = sns.signed(m);
    let f = failure(receive(&handler, &m).await);
    assert_eq!((f.id.as_str(), f.name.as_str()), (m.id(), "storage"));
    assert_eq!(f.details["text"], "disk \"full\"\n\u{1f4a3}");
    assert_eq!(f.labels["complainer_slack_channel"], "#ops");
    let none = builder(&sns)
        .decoder(source_sns::Decoder::new().attribute_labels(false))
        .build()
        .unwrap();
    assert!(failure(receive(&none, &m).await).labels.is_empty());
}

#[tokio::test]
async fn version_1_is_believed_unless_it_is_not_to_be() {
    let sns = SnsSender::start().await.unwrap();
    let m = sns.version_1();
    let any = builder(&sns).max_age(Duration::ZERO);
    let f = failure(receive(&any.build().unwrap(), &m).await);
    assert_eq!(f.name, "fleet");
    let changed = m.clone().with("Message", "another");
    let any = builder(&sns).max_age(Duration::ZERO).build().unwrap();
    assert_eq!(
        receive(&any, &changed).await.unwrap_err(),
        RefusalKind::Signature
    );
    let only = builder(&sns).max_age(Duration::ZERO).only_v2(true);
    assert_eq!(
        receive(&only.build().unwrap(), &m).await.unwrap_err(),
        RefusalKind::SignatureVersion
    );
    assert_eq!(
        receive(&builder(&sns).build().unwrap(), &m)
            .await
            .unwrap_err(),
        RefusalKind::Stale
    );
}

#[tokio::test]
async fn forgeries_are_refused() {
    let sns = SnsSender::start().await.unwrap();
    let foreign = SnsSender::of_topic("arn:aws:sns:eu-west-1:999999999999:fleet-alert")
        .await
        .unwrap();
    let handler = builder(&sns).max_body(10_000).build().unwrap();
    let good = || sns.notification("text");
    assert!(receive(&handler, &good()).await.is_ok());
    use RefusalKind as K;
    let cert = |url: &str| good().with("SigningCertURL", url);
    for (what, message, kind) in [
        (
            "another text",
            good().with("Message", "other"),
            K::Signature,
        ),
        ("a subject added", good().with("Subject", "s"), K::Signature),
        ("another id", good().with("MessageId", "m-1"), K::Signature),
        (
            "another type",
            good()
                .with("Type", "SubscriptionConfirmation")
                .with("Token", "t")
                .with("SubscribeURL", "x"),
            K::Signature,
        ),
        ("no signature", good().with("Signature", ""), K::Signature),
        ("no base64", good().with("Signature", "!"), K::Signature),
        (
            "called version 1",
            good().with("SignatureVersion", "1"),
            K::Signature,
        ),
        (
            "version 3",
            good().with("SignatureVersion", "3"),
            K::SignatureVersion,
        ),
        ("another key", sns.signed_by_another(good()), K::Signature),
        (
            "another's certificate",
            good().with("SigningCertURL", sns.other_cert_url()),
            K::Signature,
        ),
        (
            "a foreign topic, well signed",
            foreign
                .notification("x")
                .with("SigningCertURL", sns.cert_url()),
            K::ForeignTopic,
        ),
        (
            "a listed topic in a foreign message",
            foreign
                .notification("x")
                .with("TopicArn", sns.topic())
                .with("SigningCertURL", sns.cert_url()),
            K::Signature,
        ),
        (
            "a certificate of elsewhere",
            cert("https://evil.example/a.pem"),
            K::Certificate,
        ),
        (
            "a certificate of a bucket",
            cert("https://sns.s3-eu-west-1.amazonaws.com/a.pem"),
            K::Certificate,
        ),
        (
            "a certificate within",
            cert("http://169.254.169.254/latest/a.pem"),
            K::Certificate,
        ),
        (
            "a certificate in a file",
            cert("file:///etc/a.pem"),
            K::Certificate,
        ),
        (
            "no certificate",
            good().with("SigningCertURL", sns.server().url("/nothing.pem")),
            K::CertificateUnavailable,
        ),
        ("old", sns.signed(good().published_ago(25 * 3600)), K::Stale),
        ("unknown type", good().with("Type", "Other"), K::UnknownType),
        ("no topic", good().without("TopicArn"), K::Malformed),
        (
            "large",
            sns.signed(good().with("Message", "x".repeat(10_000))),
            K::TooLarge,
        ),
        ("raw without being asked", good().raw(), K::Raw),
    ] {
        assert_eq!(
            receive(&handler, &message).await.unwrap_err(),
            kind,
            "{what}"
        );
    }
    let visits = sns.server().requests();
    assert!(
        visits.iter().all(|r| r.path().ends_with(".pem")),
        "{visits:?}"
    );
}

#[tokio::test]
async fn subscriptions_of_listed_topics_are_confirmed_and_no_others() {
    let sns = SnsSender::start().await.unwrap();
    let elsewhere = SnsSender::start().await.unwrap();
    let handler = builder(&sns).build().unwrap();
    // Where it says to go is not where it goes.
    let m = sns.confirmation().with("SubscribeURL", elsewhere.url());
    let m = sns.signed(m);
    let got = receive(&handler, &m).await;
    assert!(matches!(got, Ok(Received::Confirmed(t)) if t.as_str() == sns.topic()));
    assert!(sns.wait_confirmed(1, WAIT).await);
    assert_eq!(elsewhere.server().accepted(), 0);

    let forged = sns.confirmation().with("Token", "abc");
    assert_eq!(
        receive(&handler, &forged).await.unwrap_err(),
        RefusalKind::Signature
    );
    let of_another = SnsSender::of_topic("arn:aws:sns:eu-west-1:1:t")
        .await
        .unwrap();
    let foreign = of_another
        .confirmation()
        .with("SigningCertURL", sns.cert_url());
    assert_eq!(
        receive(&handler, &foreign).await.unwrap_err(),
        RefusalKind::ForeignTopic
    );
    let refused = sns.signed(sns.confirmation().with("Token", "never-issued"));
    assert_eq!(
        receive(&handler, &refused).await.unwrap_err(),
        RefusalKind::Unconfirmed
    );
    assert_eq!(sns.confirmed().len(), 1);

    let m = sns.confirmation();
    sns.server().next(Reply::new(503));
    assert_eq!(
        receive(&handler, &m).await.unwrap_err(),
        RefusalKind::ConfirmationUnavailable
    );
    assert!(receive(&handler, &m).await.is_ok(), "SNS tries again");
    assert!(matches!(
        receive(&handler, &sns.unsubscription()).await,
        Ok(Received::Unsubscribed(_))
    ));
    assert_eq!(
        sns.confirmed().len(),
        2,
        "nobody subscribes again by itself"
    );
}

#[tokio::test]
async fn the_token_is_not_said_again() {
    let sns = SnsSender::start().await.unwrap();
    let handler = builder(&sns).build().unwrap();
    assert!(receive(&handler, &sns.notification("text")).await.is_ok());
    let m = sns.signed(sns.confirmation().with("Token", "t0p-s3cret-t0ken"));
    let said = Reply::text(400, "the token t0p-s3cret-t0ken is invalid");
    sns.server().next(said);
    let body = m.body();
    let none = |_: &str| None;
    let refusal = handler
        .receive(&Request::new(&none, body.as_bytes()))
        .await
        .unwrap_err();
    let said = format!("{refusal:?} {}", notifier_core::Chain::new(&refusal));
    assert_eq!(refusal.kind(), RefusalKind::Unconfirmed, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn raw_deliveries_need_the_secret() {
    let sns = SnsSender::start().await.unwrap();
    let handler = builder(&sns).raw_secret("let-me-in").build().unwrap();
    let raw = || sns.notification("disk full").raw();
    // sns:let-me-in, sns:let-me-on, let-me-in
    for (header, kind) in [
        ("Basic c25zOmxldC1tZS1pbg==", None),
        ("basic c25zOmxldC1tZS1pbg==", None),
        ("Basic c25zOmxldC1tZS1vbg==", Some(RefusalKind::Raw)),
        ("Basic bGV0LW1lLWlu", Some(RefusalKind::Raw)),
        ("Basic !", Some(RefusalKind::Raw)),
        ("Bearer let-me-in", Some(RefusalKind::Raw)),
        ("", Some(RefusalKind::Raw)),
    ] {
        let got = receive(&handler, &raw().header("Authorization", header)).await;
        assert_eq!(got.err(), kind, "{header}");
    }
    let f = failure(receive(&handler, &raw().with_query("a=b&secret=let-me-in")).await);
    assert_eq!(
        (f.name.as_str(), f.details["text"].as_str()),
        ("fleet-alert", "disk full")
    );
    for (query, kind) in [
        ("secret=let-me", RefusalKind::Raw),
        ("other=let-me-in", RefusalKind::Unauthenticated),
    ] {
        let got = receive(&handler, &raw().with_query(query)).await;
        assert_eq!(got.unwrap_err(), kind);
    }
    let let_in = |m: SnsMessage| m.raw().with_query("secret=let-me-in");
    for (message, kind) in [
        (
            raw().with("TopicArn", "arn:aws:sns:eu-west-1:1:other"),
            RefusalKind::ForeignTopic,
        ),
        (raw().with("TopicArn", "no"), RefusalKind::Malformed),
        (raw().with("MessageId", ""), RefusalKind::Malformed),
        (
            raw().with("Type", "SubscriptionConfirmation"),
            RefusalKind::UnknownType,
        ),
    ] {
        assert_eq!(receive(&handler, &let_in(message)).await.unwrap_err(), kind);
    }
    // The secret opens nothing but raw deliveries.
    let forged = sns
        .notification("x")
        .with("Message", "y")
        .with_query("secret=let-me-in");
    assert_eq!(
        receive(&handler, &forged).await.unwrap_err(),
        RefusalKind::Signature
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_ask_for_one_certificate() {
    let sns = Arc::new(SnsSender::start().await.unwrap());
    let handler = Arc::new(builder(&sns).build().unwrap());
    let all: Vec<_> = (0..40)
        .map(|n| {
            let (handler, m) = (Arc::clone(&handler), sns.notification(&n.to_string()));
            tokio::spawn(async move { receive(&handler, &m).await.is_ok() })
        })
        .collect();
    for one in all {
        assert!(one.await.unwrap());
    }
    assert_eq!(sns.cert_requests(), 1);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_is_no_verdict() {
    let sns = SnsSender::start().await.unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let handler = builder(&sns)
        .clock(Arc::<ManualClock>::clone(&clock))
        .max_age(Duration::ZERO)
        .build()
        .unwrap();
    let m = sns.notification("text");
    sns.server().refuse();
    for _ in 0..3 {
        assert_eq!(
            receive(&handler, &m).await.unwrap_err(),
            RefusalKind::CertificateUnavailable
        );
    }
    sns.server().restore().unwrap();
    clock.advance(Duration::from_secs(11));
    assert!(receive(&handler, &m).await.is_ok());

    // A day later it is asked for again, and the old one serves while there is no new one.
    clock.advance(Duration::from_secs(23 * 3600));
    sns.server().always(Reply::new(500));
    assert!(receive(&handler, &m).await.is_ok());
    let asked = sns.cert_requests();
    clock.advance(Duration::from_secs(3600));
    assert!(receive(&handler, &m).await.is_ok());
    assert_eq!(sns.cert_requests(), asked + 1);
}

#[tokio::test]
async fn what_is_no_certificate_is_refused() {
    let sns = SnsSender::start().await.unwrap();
    for (reply, kind) in [
        (
            Reply::text(200, "<html>"),
            RefusalKind::CertificateUnavailable,
        ),
        (
            Reply::text(200, SnsSender::cert_pem("x").repeat(100)),
            RefusalKind::CertificateUnavailable,
        ),
        (
            Reply::redirect(302, sns.other_cert_url()),
            RefusalKind::CertificateUnavailable,
        ),
    ] {
        let handler = builder(&sns).build().unwrap();
        sns.server().clear();
        sns.server().always_on("/Simple", reply);
        let got = receive(&handler, &sns.notification("x")).await;
        assert_eq!(got.unwrap_err(), kind);
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_loses_nothing() {
    let sns = SnsSender::start().await.unwrap();
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::new(now - Duration::from_secs(3600)));
    let handler = builder(&sns).clock(Arc::<ManualClock>::clone(&clock));
    let handler = handler.build().unwrap();
    let m = sns.notification("x");
    let refusal = receive(&handler, &m).await.unwrap_err();
    assert_eq!((refusal, refusal.status()), (RefusalKind::Clock, 503));
    clock.advance(Duration::from_secs(3600));
    assert!(receive(&handler, &m).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_asked_for_again() {
    let sns = SnsSender::start().await.unwrap();
    // The certificate ends with the year 2098.
    let ends: notifier_core::jiff::Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(ends - Duration::from_secs(60)));
    let handler = builder(&sns)
        .clock(Arc::<ManualClock>::clone(&clock))
        .max_age(Duration::ZERO)
        .build()
        .unwrap();
    let m = sns.notification("x");
    assert!(receive(&handler, &m).await.is_ok());
    clock.advance(Duration::from_secs(3600));
    for asked in [2, 2] {
        let refusal = receive(&handler, &m).await.unwrap_err();
        assert_eq!(
            (refusal, refusal.status()),
            (RefusalKind::CertificateUnavailable, 503)
        );
        assert_eq!(sns.cert_requests(), asked);
    }
}

#[tokio::test]
async fn invented_addresses_are_not_all_asked_for() {
    let sns = SnsSender::start().await.unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let handler = builder(&sns).clock(clock).build().unwrap();
    for n in 0..200 {
        let url = sns
            .server()
            .url(&format!("/SimpleNotificationService-{n}.pem"));
        let m = sns.notification("x").with("SigningCertURL", url);
        assert_eq!(
            receive(&handler, &m).await.unwrap_err(),
            RefusalKind::CertificateUnavailable
        );
    }
    assert_eq!(sns.cert_requests(), 30);
}

#[tokio::test]
async fn what_comes_again_is_told_once() {
    let sns = SnsSender::start().await.unwrap();
    let handler = builder(&sns).build().unwrap();
    let reporter = Arc::new(MemoryReporter::new());
    let engine = engine(&reporter);
    let m = sns.notification("disk full");
    for _ in 0..3 {
        assert_eq!(status(&handler, &engine, &m).await, 200);
    }
    // Attributes are not signed: another one makes no other message.
    let again = m.clone().attribute("notifier.id", "another");
    assert_eq!(status(&handler, &engine, &again).await, 200);
    let forged = m.clone().with("Message", "other");
    assert_eq!(status(&handler, &engine, &forged).await, 403);
    engine.run_until_idle().await.unwrap();
    assert_eq!(reporter.told().len(), 1);
}

#[tokio::test]
async fn a_full_outbox_is_said_to_sns() {
    let sns = SnsSender::start().await.unwrap();
    let handler = builder(&sns).build().unwrap();
    let reporter = Arc::new(MemoryReporter::new());
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&reporter))
        .outbox(MemoryOutbox::with_capacity(1))
        .build()
        .unwrap();
    let (first, second) = (sns.notification("1"), sns.notification("2"));
    assert_eq!(status(&handler, &engine, &first).await, 200);
    assert_eq!(status(&handler, &engine, &second).await, 503);
    engine.run_until_idle().await.unwrap();
    assert_eq!(
        status(&handler, &engine, &second).await,
        200,
        "SNS tries again"
    );
    engine.run_until_idle().await.unwrap();
    let told = reporter.texts();
    let of_ours = told.iter().filter(|t| t.contains("NOTIFICATION"));
    assert_eq!(of_ours.count(), 2, "{told:?}");
}

#[test]
fn settings_are_told_wrong_all_at_once() {
    let wrong = Handler::builder(["arn:aws:sns:eu-west-1:1:t", "t*"])
        .endpoint("ftp://u:hunter22@x")
        .cert_hosts(["a b"])
        .raw_secret("q9x")
        .max_body(0)
        .build()
        .unwrap_err()
        .to_string();
    for part in [
        "relay.topics: \"t*\"",
        "relay.endpoint: ",
        "relay.cert_hosts: \"a b\"",
        "relay.raw_secret: ",
        "relay.max_body: ",
        "RELAY_TOPICS",
    ] {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
    assert!(
        !wrong.contains("hunter22") && !wrong.contains("q9x"),
        "{wrong}"
    );
    let none: [&str; 0] = [];
    assert!(Handler::builder(none).build().is_err());
}
