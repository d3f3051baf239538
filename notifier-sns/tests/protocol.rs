//! What is published, and what follows from an answer.

use std::{sync::Arc, time::Duration};

use notifier_core::{
    BackendSettings, Clock, Delivery, DeliveryId, Digest, Document, Error, ErrorKind,
    FailureRecord, LabelGrammar, Links, ManualClock, Next, Notice, Origin, Receipt, Report,
    ReportOptions, Reporter, Retry, Scope, Subject, SystemClock,
    jiff::{SignedDuration, Timestamp},
};
use notifier_sns::{OPTIONS, SnsReporter, SnsReporterBuilder};
use notifier_testkit::{
    http::{Action, Reply},
    sns::{FakeSns, Published, SnsReply},
};

fn failure() -> FailureRecord {
    let mut f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
        .with_label("team", "shop");
    f.host = "node-7".to_owned();
    f
}

fn report() -> Report {
    Report::failure(failure()).with_links(Links::new("http://a/stdout", ""))
}

async fn fake() -> FakeSns {
    let sns = FakeSns::start().await.unwrap();
    sns.key("AKID", "s3cr3t");
    sns
}

fn builder(sns: &FakeSns, topic: &str) -> SnsReporterBuilder {
    SnsReporter::builder()
        .topic(topic)
        .endpoint(&sns.url())
        .keys("AKID", "s3cr3t")
        .set("timeout", "30s")
}

async fn send_one(sns: &FakeSns, builder: SnsReporterBuilder, report: &Report) -> Published {
    let sent = builder.build().unwrap().send(report).await.unwrap();
    assert_eq!(sent.next(), Next::Done, "{sent:?}");
    let mut all = sns.received();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn a_failure_is_told_people_and_programs() {
    let sns = fake().await;
    let m = send_one(&sns, builder(&sns, &sns.topic("alerts")), &report()).await;
    assert_eq!(m.subject.as_deref(), Some("TASK_FAILED: web"));
    let text = "Task web (web.1) died with status TASK_FAILED on node-7\nstdout: http://a/stdout";
    assert_eq!(m.text_for("email"), text);
    assert_eq!(m.text_for("sms"), text);
    for program in ["https", "lambda", "sqs", "firehose"] {
        let document = Document::parse(&m.text_for(program)).unwrap();
        assert_eq!(document.text, text);
        let value = |name: &str| m.attributes[name].1.clone();
        assert_eq!(document.id.as_str(), value("notifier.id"));
        assert_eq!(value("notifier.kind"), "failure");
        let got = document.into_failure();
        assert_eq!(
            (got.name.as_str(), got.labels["team"].as_str()),
            ("web", "shop")
        );
    }
    assert!(m.group.is_none() && m.dedup.is_none());
}

#[tokio::test]
async fn each_body_is_what_it_says() {
    for body in ["text", "document"] {
        let sns = fake().await;
        let topic = sns.topic("alerts");
        let b = builder(&sns, &topic)
            .body(body)
            .format("{{ .failure.Name }} died");
        let m = send_one(&sns, b, &report()).await;
        assert!(!m.is_structured);
        match body {
            "text" => assert_eq!(m.message, "web died"),
            _ => assert_eq!(Document::parse(&m.message).unwrap().text, "web died"),
        }
    }
}

#[tokio::test]
async fn telephones_may_have_a_text_of_their_own() {
    let sns = fake().await;
    let b = builder(&sns, &sns.topic("alerts")).set("sms", "{{ .failure.Name }}!");
    let m = send_one(&sns, b, &report()).await;
    assert_eq!(m.text_for("sms"), "web!");
    assert!(m.text_for("email").starts_with("Task web"));
}

#[tokio::test]
async fn every_kind_of_report_goes_to_every_kind_of_topic() {
    let notice = Arc::new(Notice::new(
        "slack",
        "it answers 403",
        Timestamp::UNIX_EPOCH,
    ));
    let digest = Digest::new("d", "web failed", 17, failure());
    for name in ["alerts", "alerts.fifo"] {
        for (subject, kind, group) in [
            (Subject::Digest(Arc::new(digest.clone())), "digest", "web"),
            (Subject::Notice(Arc::clone(&notice)), "notice", "notifier"),
            (
                Subject::Recovery(Arc::clone(&notice)),
                "recovery",
                "notifier",
            ),
        ] {
            let sns = fake().await;
            let b = builder(&sns, &sns.topic(name))
                .set("attributes", "team={{ .failure.Labels.team }}")
                .set("sms", "{{ .failure.Name }} is the only one!");
            let m = send_one(&sns, b, &Report::new(subject)).await;
            assert_eq!(m.text_for("sms"), m.text_for("email"));
            assert_eq!(m.attributes["notifier.kind"].1, kind);
            assert_eq!(m.attributes.contains_key("team"), kind == "digest");
            assert!(m.subject.is_some());
            let group = name.ends_with(".fifo").then(|| group.to_owned());
            assert_eq!(m.group, group);
        }
    }
}

#[tokio::test]
async fn what_makes_a_subject_impossible_is_mended_or_it_is_left_out() {
    for (template, expected) in [
        ("", None),
        ("{{ .failure.Image }}", None),
        ("日本", None),
        ("a\nb", Some("a b".to_owned())),
        (
            &*"long ".repeat(40),
            Some(format!("{}...", &"long ".repeat(40)[..97])),
        ),
        // A template that fails costs the subject, not the message.
        (
            "{{ .failure.Nope }}",
            Some("Task web (web.1) died with status TASK_FAILED".to_owned()),
        ),
    ] {
        let sns = fake().await;
        let b = builder(&sns, &sns.topic("alerts")).subject(template);
        let m = send_one(&sns, b, &report()).await;
        assert_eq!(m.subject, expected, "{template}");
    }
}

#[tokio::test]
async fn an_empty_text_is_replaced_and_told() {
    let sns = fake().await;
    let topic = sns.topic("alerts");
    let r = builder(&sns, &topic)
        .body("text")
        .format("{{ .failure.Image }}\0")
        .build()
        .unwrap();
    let sent = r.send(&report()).await.unwrap();
    assert_eq!(sent.warnings.len(), 1, "{sent:?}");
    assert_eq!(
        sns.received()[0].message,
        "Task web (web.1) died with status TASK_FAILED"
    );
}

#[tokio::test]
async fn what_is_too_large_arrives_shorter_and_is_told() {
    let sns = fake().await;
    let topic = sns.topic("alerts");
    for (body, f) in [
        (
            "document",
            failure().with_detail("journal", "x\n".repeat(200_000)),
        ),
        ("both", failure().with_label("big", "\"".repeat(200_000))),
        ("text", {
            let mut f = failure();
            f.message = Some("é".repeat(200_000));
            f
        }),
    ] {
        let r = builder(&sns, &topic).body(body).build().unwrap();
        let sent = r.send(&Report::failure(f)).await.unwrap();
        assert_eq!(sent.next(), Next::Done, "{body}: {sent:?}");
        let told = sent.warnings[0].to_string();
        assert!(told.contains("left out: "), "{told}");
    }
    assert_eq!(sns.received().len(), 3);
}

async fn again(r: &SnsReporter, report: &Report, id: &str, attempt: u32) -> Receipt {
    let id = DeliveryId::new(id);
    let opts = ReportOptions::new(&id, r.settings()).after(attempt, None);
    r.report(report, &opts).await.unwrap()
}

#[tokio::test]
async fn a_fifo_topic_drops_an_attempt_again_and_nothing_else() {
    let sns = fake().await;
    let r = builder(&sns, &sns.topic("alerts.fifo")).build().unwrap();
    for (id, attempt) in [("one", 1), ("one", 2), ("replayed", 1)] {
        assert_eq!(again(&r, &report(), id, attempt).await.next(), Next::Done);
    }
    let notice = Arc::new(Notice::new("slack", "403", Timestamp::UNIX_EPOCH));
    for subject in [
        Subject::Notice(Arc::clone(&notice)),
        Subject::Recovery(notice),
    ] {
        let sent = again(&r, &Report::new(subject), "same", 1).await;
        assert_eq!(sent.next(), Next::Done);
    }
    assert_eq!(sns.attempts().len(), 5);
    assert_eq!(sns.received().len(), 4);
    assert_eq!(sns.received()[0].group.as_deref(), Some("web"));
}

#[tokio::test]
async fn a_lost_answer_of_a_fifo_topic_makes_no_second_message() {
    let sns = fake().await;
    sns.script(SnsReply::Taken(Action::ResetAfterBody));
    let r = builder(&sns, &sns.topic("alerts.fifo"))
        .set("group", "{{ config \"group\" }}")
        .build()
        .unwrap();
    let id = DeliveryId::new("one");
    let opts = ReportOptions::new(&id, r.settings());
    let e = r.report(&report(), &opts).await.unwrap_err();
    assert_eq!(e.delivery(), Delivery::Unknown);
    assert_eq!(again(&r, &report(), "one", 2).await.next(), Next::Done);
    assert_eq!((sns.attempts().len(), sns.received().len()), (2, 1));
    assert_eq!(sns.received()[0].group.as_deref(), Some("notifier"));
}

#[tokio::test]
async fn requests_go_to_the_topics_region_and_labels_name_topics_only() {
    let sns = fake().await;
    let mut s = BackendSettings::new(OPTIONS);
    for (key, value) in [
        ("topic", sns.topic("alerts").as_str()),
        ("endpoint", &sns.url()),
        ("access_key", "AKID"),
        ("secret_key", "s3cr3t"),
        ("region", "eu-central-1"),
    ] {
        s.set(Origin::Flag, key, value).unwrap();
    }
    let r = SnsReporter::new(&s, Arc::new(SystemClock)).unwrap();
    let other = sns.topic_in("ap-southeast-2", "others");
    let f = failure()
        .with_label("complainer_sns_topic", &other)
        .with_label("complainer_sns_endpoint", "http://127.0.0.1:1/");
    let grammar = LabelGrammar::default();
    let settings = s.resolve(&grammar.scope(&f.labels), "default");
    let id = DeliveryId::new("one");
    let opts = ReportOptions::new(&id, &settings);
    let sent = r.report(&Report::failure(f), &opts).await.unwrap();
    assert_eq!(sent.next(), Next::Done);
    // The signature is for the region of the topic, or it would not have been taken.
    assert_eq!(sns.received()[0].topic, other);
}

fn error_of(sent: Result<Receipt, Error>) -> Error {
    sent.expect_err("it was refused")
}

#[tokio::test]
async fn keys_and_topics_that_are_wrong_are_told_without_a_secret() {
    for (id, secret, name, kind, code) in [
        (
            "AKID",
            "wr0ngs3cr3t",
            "alerts",
            ErrorKind::Unauthenticated,
            "SignatureDoesNotMatch",
        ),
        (
            "OTHERID",
            "s3cr3t",
            "alerts",
            ErrorKind::Unauthenticated,
            "InvalidClientTokenId",
        ),
        ("AKID", "s3cr3t", "missing", ErrorKind::Rejected, "NotFound"),
    ] {
        let sns = fake().await;
        let topic = sns.topic("alerts").replace("alerts", name);
        let r = builder(&sns, &topic).keys(id, secret).build().unwrap();
        let e = error_of(r.send(&report()).await);
        assert_eq!(
            (e.kind(), e.retry(), e.scope(), e.code()),
            (kind, Retry::Never, Scope::Destination, Some(code))
        );
        let shown = format!("{e:?} {} {r:?}", e.report());
        assert!(shown.contains(&topic), "{shown}");
        assert!(
            !shown.contains(secret) && !shown.contains("AKID"),
            "{shown}"
        );
        assert!(sns.received().is_empty());
        // The check finds it, too, and without a message.
        let e = r.check(r.settings()).await.unwrap_err();
        assert_eq!(e.code(), Some(code));
        assert_eq!(sns.attempts().len(), 1);
    }
}

#[tokio::test]
async fn the_check_passes_with_keys_that_may_only_publish() {
    let sns = fake().await;
    let topic = sns.topic("alerts");
    let r = builder(&sns, &topic).build().unwrap();
    r.check(r.settings()).await.unwrap();
    sns.only_publish();
    r.check(r.settings()).await.unwrap();
    assert_eq!(sns.asked(), [topic.as_str(), &topic]);
    assert!(sns.attempts().is_empty());
}

#[tokio::test]
async fn a_wrong_clock_is_set_by_the_services_within_the_attempt() {
    for off in [
        SignedDuration::from_hours(3),
        SignedDuration::from_mins(-45),
    ] {
        let sns = fake().await;
        let topic = sns.topic("alerts");
        let clock = Arc::new(ManualClock::new(SystemClock.now() + off));
        let r = builder(&sns, &topic).clock(clock).build().unwrap();
        let sent = r.send(&report()).await.unwrap();
        assert_eq!(sent.next(), Next::Done);
        assert!(sent.warnings[0].to_string().contains("clock"), "{sent:?}");
        let codes: Vec<_> = sns.attempts().iter().map(|m| m.refused).collect();
        assert_eq!(codes, [Some("SignatureDoesNotMatch"), None]);
        // And stays so.
        let sent = r.send(&report()).await.unwrap();
        assert!(sent.warnings.is_empty());
        assert_eq!(sns.attempts().len(), 3);
    }
}

#[tokio::test]
async fn a_service_that_finds_the_time_wrong_though_it_is_not_is_asked_later() {
    let sns = fake().await;
    let r = builder(&sns, &sns.topic("alerts")).build().unwrap();
    for code in ["RequestExpired", "RequestTimeTooSkewed"] {
        sns.script(SnsReply::Error(403, code));
        let e = error_of(r.send(&report()).await);
        assert!(
            e.is_retryable() && e.delivery() == Delivery::NotDelivered,
            "{e:?}"
        );
    }
    assert_eq!(sns.attempts().len(), 2);
}

#[tokio::test]
async fn keys_of_the_settings_that_expired_are_told_at_once() {
    let sns = fake().await;
    sns.temporary_key("ASIA", "s3cr3t", "t0ken");
    let r = builder(&sns, &sns.topic("alerts"))
        .keys("ASIA", "s3cr3t")
        .set("session_token", "t0ken")
        .build()
        .unwrap();
    assert_eq!(r.send(&report()).await.unwrap().next(), Next::Done);
    sns.expire("ASIA");
    let e = error_of(r.send(&report()).await);
    assert_eq!((e.code(), e.retry()), (Some("ExpiredToken"), Retry::Never));
    assert_eq!(sns.attempts().len(), 2);
}

#[tokio::test]
async fn connections_are_used_again() {
    let sns = fake().await;
    let r = builder(&sns, &sns.topic("alerts")).build().unwrap();
    for _ in 0..20 {
        assert_eq!(r.send(&report()).await.unwrap().next(), Next::Done);
    }
    assert_eq!(sns.received().len(), 20);
    assert!(sns.server().accepted() < 20, "{:?}", sns.server());
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_as_long_as_was_said() {
    let sns = fake().await;
    sns.script(SnsReply::Taken(Action::Hang));
    let r = builder(&sns, &sns.topic("alerts"))
        .set("timeout", "200ms")
        .build()
        .unwrap();
    let report = report();
    let sending = tokio::time::timeout(Duration::from_secs(60), r.send(&report));
    let e = error_of(sending.await.expect("the time-out is its own"));
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Timeout, Delivery::Unknown)
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_at_the_start() {
    let topic = "arn:aws:sns:eu-west-1:123456789012:alerts";
    for (pairs, why) in [
        (&[("topic", "alerts")][..], "sns.topic"),
        (&[("region", "evil.example/")], "sns.region"),
        (&[("access_key", "AKIDs3cr3t")], "sns.secret_key is missing"),
        (&[("secret_key", "s3cr3t")], "sns.access_key is missing"),
        (&[("session_token", "s3cr3t")], "sns.access_key is missing"),
        (&[("timeout", "0")], "sns.timeout"),
        (&[("connect_timeout", "2m")], "sns.connect_timeout"),
        (&[("attributes", "a b=c")], "sns.attributes"),
        (&[("format", "{{ .failure.Name")], "sns.format"),
        (&[("subject", "{{ nope }}")], "sns.subject"),
        (&[("group", "{{ nope }}")], "sns.group"),
        (&[("sms", "{{ nope }}")], "sns.sms"),
        (&[("body", "json")], "sns.body"),
        (&[("endpoint", "sns.example")], "sns.endpoint"),
        (
            &[("endpoint", "http://s3cr3t@sns.example/")],
            "sns.endpoint has",
        ),
        (
            &[("endpoint", "http://u:s3cr3t@sns.example")],
            "sns.endpoint has",
        ),
        (
            &[("endpoint", "https://sns.example/?k=s3cr3t")],
            "sns.endpoint has",
        ),
    ] {
        let mut b = SnsReporter::builder().topic(topic);
        for (key, value) in pairs {
            b = b.set(key, value);
        }
        let e = b.build().unwrap_err();
        assert!(e.to_string().contains(why), "{e}");
        assert!(!format!("{e:?}").contains("s3cr3t"), "{e:?}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let sns = fake().await;
    let r = builder(&sns, &sns.topic("alerts")).build().unwrap();
    let yes = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>";
    for (status, kind, delivery) in [
        (200, ErrorKind::InvalidResponse, Delivery::Unknown),
        (404, ErrorKind::Rejected, Delivery::NotDelivered),
    ] {
        let text = format!("{yes}{}", " ".repeat(2 << 20));
        sns.script(SnsReply::Other(Reply::text(status, text).into()));
        let e = error_of(r.send(&report()).await);
        assert_eq!((e.kind(), e.delivery()), (kind, delivery), "{e:?}");
    }
    assert_eq!(r.send(&report()).await.unwrap().next(), Next::Done);
}

/// Cut off by the engine, an attempt that got no keys would count as one that may have arrived.
#[test]
fn an_attempt_may_take_as_long_as_its_settings_say() {
    let patience = |t: &str| {
        let r = SnsReporter::builder().set("timeout", t).build().unwrap();
        r.capability().patience
    };
    assert_eq!(patience("10s"), Duration::from_secs(70));
    assert_eq!(patience("1m"), Duration::from_secs(370));
}

#[test]
fn without_a_topic_nothing_is_sent_and_destinations_are_told_apart() {
    let to = |b: SnsReporterBuilder| {
        let r = b.build().unwrap();
        r.destination(r.settings()).unwrap()
    };
    assert_eq!(to(SnsReporter::builder()), None);
    let topic = |arn: &str| {
        SnsReporter::builder()
            .topic(arn)
            .keys("AKIDs3cr3t", "s3cr3t")
    };
    let a = to(topic("arn:aws:sns:eu-west-1:123456789012:alerts")).unwrap();
    assert!(a.as_str().starts_with("sns:alerts:"), "{a}");
    assert_ne!(
        a,
        to(topic("arn:aws:sns:eu-west-2:123456789012:alerts")).unwrap()
    );
    assert!(!a.as_str().contains("s3cr3t"));
}
