//! What is sent to Sentry, what it answers, and what follows from it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Clock, Delivery, DeliveryId, Error, ErrorKind, FailureRecord, LabelGrammar,
    Links, LogReader, LogTail, ManualClock, Next, Origin, Receipt, Report, ReportOptions, Reporter,
    Retry, Scope, jiff::Timestamp,
};
use notifier_http::{GuestPolicy, HttpClient};
use notifier_sentry::{OPTIONS, SentryReporter, SentryReporterBuilder};
use notifier_testkit::sentry::{FakeSentry, SentryReply};
use tokio::sync::Barrier;

const NOW: &str = "2026-03-01T12:00:00Z";

fn failure() -> FailureRecord {
    let mut f = FailureRecord::new(
        "web.app.1",
        "web.app",
        "TASK_FAILED",
        "2026-03-01T10:00:07.75Z".parse().unwrap(),
    );
    f.started = Some("2026-03-01T10:00:00.25Z".parse().unwrap());
    f.host = "127.0.0.1".to_owned();
    f.framework = "marathon".to_owned();
    f.image = "reg/web:2".to_owned();
    f
}

fn report() -> Report {
    Report::failure(failure()).with_links(Links::new("http://a/stdout", "http://a/stderr"))
}

/// Logs of so many bytes, or none that can be read.
#[derive(Debug)]
struct Tails(Option<usize>);

#[async_trait]
impl LogReader for Tails {
    async fn tail(&self, name: &str, most: usize) -> notifier_core::Result<Option<LogTail>> {
        let Some(size) = self.0 else {
            return Err(Error::new(ErrorKind::Unavailable, "the agent is away"));
        };
        let log = format!("{name}\n{}", "line\n".repeat(size / 5));
        let start = log.len().saturating_sub(most);
        Ok(Some(LogTail::new(&log.as_bytes()[start..], start > 0)))
    }
}

/// Logs each of which is read when the other is, too.
#[derive(Debug)]
struct Together(Barrier);

#[async_trait]
impl LogReader for Together {
    async fn tail(&self, name: &str, _: usize) -> notifier_core::Result<Option<LogTail>> {
        self.0.wait().await;
        Ok(Some(LogTail::new(name, false)))
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW.parse().unwrap()))
}

async fn sentry() -> (FakeSentry, SentryReporterBuilder) {
    let fake = FakeSentry::start().await.unwrap();
    let builder = SentryReporter::builder().dsn(&fake.dsn("p")).clock(clock());
    (fake, builder)
}

fn is_done(receipt: &Receipt, warnings: usize) {
    assert_eq!(
        (receipt.next(), receipt.warnings.len()),
        (Next::Done, warnings),
        "{receipt:?}"
    );
}

/// What the recordings of complainer 1.7.0 have: key, project, message, `server_name`, the
/// tag `task_state`, and `extra`.
#[tokio::test]
async fn a_failure_is_sent_as_the_original_sent_it() {
    let (fake, builder) = sentry().await;
    is_done(&builder.build().unwrap().send(&report()).await.unwrap(), 0);
    let sent = &fake.attempts()[0];
    assert_eq!(sent.judged, Some(200));
    assert_eq!(sent.message(), "Task web.app died with status TASK_FAILED");
    assert_eq!(sent.event["server_name"], "127.0.0.1");
    assert_eq!(sent.event["tags"]["task_state"], "TASK_FAILED");
    assert_eq!(
        sent.event["extra"],
        serde_json::json!({
            "container.image": "reg/web:2",
            "framework.name": "marathon",
            "logs.stderr": "http://a/stderr",
            "logs.stdout": "http://a/stdout",
            "task.id": "web.app.1",
            "timings.finished": "2026-03-01T10:00:07Z",
            "timings.lifetime": "7s",
            "timings.started": "2026-03-01T10:00:00Z",
        })
    );
    // Where that comparison looks for the event.
    assert_eq!(sent.request.header("content-encoding"), Some("gzip"));
    assert_eq!(
        sent.request.header("content-type"),
        Some("application/x-sentry-envelope")
    );
}

#[tokio::test]
async fn the_key_is_in_a_header_and_the_dsn_nowhere_else() {
    let fake = FakeSentry::start().await.unwrap();
    let key = fake.key("p");
    let dsn = fake.dsn("p").replace('@', ":0ldsecret@");
    let r = SentryReporter::builder().dsn(&dsn).build().unwrap();
    let receipt = r.send(&report()).await.unwrap();
    is_done(&receipt, 0);
    let sent = &fake.attempts()[0];
    let auth = sent.request.header("x-sentry-auth").unwrap();
    assert!(auth.starts_with("Sentry sentry_version=7, sentry_client=notifier-sentry/"));
    assert!(auth.ends_with(&format!(", sentry_key={key}, sentry_secret=0ldsecret")));
    let elsewhere = format!(
        "{} {} {} {receipt:?} {r:?}",
        sent.request.target, sent.header, sent.event
    );
    assert!(!elsewhere.contains(&key) && !elsewhere.contains("0ldsecret"));
    assert!(sent.header.get("dsn").is_none());
    assert!(sent.header["sent_at"].is_string());
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_is_dropped() {
    let (fake, builder) = sentry().await;
    let r = builder.build().unwrap();
    let id = DeliveryId::new("0123456789abcdef0123456789abcdef");
    for attempt in 1..=2 {
        let opts = ReportOptions::new(&id, r.settings()).after(attempt, None);
        let receipt = r.report(&report(), &opts).await.unwrap();
        assert_eq!(
            receipt.targets[0].verdict.as_ref().unwrap().id.as_deref(),
            Some(id.as_str())
        );
    }
    assert_eq!((fake.attempts().len(), fake.received().len()), (2, 1));
    assert_eq!(fake.received()[0].event_id(), id.as_str());
    assert_eq!(fake.received()[0].header["event_id"], id.as_str());
}

#[tokio::test]
async fn templates_name_environment_release_and_fingerprint() {
    let (fake, builder) = sentry().await;
    let r = builder
        .environment("{{ .failure.Framework }}/{{ config \"environment\" }}")
        .release("{{ .failure.Image }}")
        .fingerprint("{{ .failure.Name }};default")
        .level("fatal")
        .logger("cluster-1")
        .build()
        .unwrap();
    let report = report().with_config(|key| match key {
        "environment" => "a b".to_owned(),
        _ => String::new(),
    });
    is_done(&r.send(&report).await.unwrap(), 0);
    let event = &fake.received()[0].event;
    assert_eq!(event["environment"], "marathon-a-b");
    assert_eq!(event["release"], "reg_web:2");
    assert_eq!(
        event["fingerprint"],
        serde_json::json!(["web.app", "{{ default }}"])
    );
    assert_eq!(
        (&event["level"], &event["logger"]),
        (&"fatal".into(), &"cluster-1".into())
    );
}

#[tokio::test]
async fn what_nothing_names_is_the_images_release_and_no_environment() {
    let (fake, builder) = sentry().await;
    is_done(&builder.build().unwrap().send(&report()).await.unwrap(), 0);
    let event = &fake.received()[0].event;
    assert_eq!(event["release"], "web@2");
    assert_eq!(event.get("environment"), None);
    assert_eq!(
        event["fingerprint"],
        serde_json::json!(["marathon", "web.app", "TASK_FAILED"])
    );
    assert!(!event["fingerprint"].to_string().contains("web.app.1"));
}

#[tokio::test]
async fn a_template_that_fails_loses_its_part_only() {
    let (fake, builder) = sentry().await;
    let r = builder
        .environment("{{ .failure.Nope }}")
        .release("{{ .failure.Nope }}")
        .build()
        .unwrap();
    let receipt = r.send(&report()).await.unwrap();
    is_done(&receipt, 2);
    assert_eq!(
        receipt.warnings[0].to_string(),
        "the event was sent without its environment: the template failed"
    );
    let event = &fake.received()[0].event;
    assert_eq!(
        (event.get("environment"), event.get("release")),
        (None, None)
    );
}

#[tokio::test]
async fn labels_set_project_level_and_logger() {
    let fake = FakeSentry::start().await.unwrap();
    let (all, own) = (fake.dsn("all"), fake.dsn("own"));
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "dsn", &all).unwrap();
    let labels = [
        ("complainer_sentry_dsn", own.as_str()),
        ("complainer_sentry_level", "warning"),
        ("complainer_sentry_log_tail", "4KiB"),
    ];
    let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let grammar = LabelGrammar::default();
    let settings = s.resolve(&grammar.scope(&labels), "default");
    assert_eq!(settings.origin("dsn"), Some(Origin::Label));
    let id = DeliveryId::new("x");
    let opts = ReportOptions::new(&id, &settings);

    // An address from a label is a guest, and loopback is closed to guests.
    let closed = SentryReporter::new(&s, HttpClient::new().unwrap()).unwrap();
    let e = closed.report(&report(), &opts).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.retry(), e.delivery()),
        (ErrorKind::Config, Retry::Never, Delivery::NotDelivered)
    );
    let e = closed.check(&settings).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Config);
    closed.check(&s.instance("default")).await.unwrap();
    assert!(fake.attempts().is_empty());

    let http = HttpClient::builder()
        .guests(GuestPolicy::parse("", ["127.0.0.0/8"]).unwrap())
        .build()
        .unwrap();
    let open = SentryReporter::new(&s, http).unwrap();
    let logs = report().with_logs(Arc::new(Tails(Some(90))));
    is_done(&open.report(&logs, &opts).await.unwrap(), 0);
    open.check(&settings).await.unwrap();
    let sent = &fake.received()[0];
    assert_eq!(sent.project, "own");
    assert_eq!(sent.event["level"], "warning");
    assert_eq!(sent.attachments.len(), 2);
}

#[tokio::test]
async fn the_ends_of_the_logs_are_attached_if_wanted() {
    let (fake, builder) = sentry().await;
    // From the first whole line on.
    let r = builder.log_tail("100").build().unwrap();
    let logs = report().with_logs(Arc::new(Tails(Some(1000))));
    is_done(&r.send(&logs).await.unwrap(), 0);
    let sent = &fake.received()[0];
    let files: Vec<_> = sent
        .attachments
        .iter()
        .map(|a| (a.filename.as_str(), a.content_type.as_str(), a.bytes.len()))
        .collect();
    assert_eq!(
        files,
        [
            ("stdout-tail.log", "text/plain", 95),
            ("stderr-tail.log", "text/plain", 95)
        ]
    );
    assert!(sent.event["contexts"]["stderr"]["last_lines"].is_string());

    let (fake, builder) = sentry().await;
    let logs = report().with_logs(Arc::new(Tails(Some(1000))));
    is_done(&builder.build().unwrap().send(&logs).await.unwrap(), 0);
    assert!(fake.received()[0].attachments.is_empty());

    // What cannot be read is told, and nothing waits for it.
    let (fake, builder) = sentry().await;
    let r = builder.log_tail("64KiB").build().unwrap();
    let receipt = r
        .send(&report().with_logs(Arc::new(Tails(None))))
        .await
        .unwrap();
    is_done(&receipt, 2);
    assert_eq!(
        receipt.warnings[0].report().to_string(),
        "the event was sent without stdout: the agent is away"
    );
    assert!(fake.received()[0].attachments.is_empty());
}

#[tokio::test]
async fn both_logs_are_read_at_once() {
    let (fake, builder) = sentry().await;
    let r = builder.log_tail("64KiB").build().unwrap();
    let logs = report().with_logs(Arc::new(Together(Barrier::new(2))));
    let sent = tokio::time::timeout(Duration::from_secs(60), r.send(&logs)).await;
    is_done(&sent.expect("one waits for the other").unwrap(), 0);
    let attempts = fake.attempts();
    let logs = attempts[0].attachments.iter();
    let logs: Vec<_> = logs.map(|a| (&*a.filename, &*a.bytes)).collect();
    assert_eq!(
        logs,
        [
            ("stdout.log", &b"stdout"[..]),
            ("stderr.log", &b"stderr"[..])
        ]
    );
}

#[tokio::test]
async fn what_is_too_large_goes_out_smaller_once() {
    let (fake, builder) = sentry().await;
    fake.script("p", SentryReply::status(413));
    let r = builder.log_tail("1MiB").build().unwrap();
    let logs = report().with_logs(Arc::new(Tails(Some(500_000))));
    let receipt = r.send(&logs).await.unwrap();
    is_done(&receipt, 1);
    assert_eq!(
        receipt.warnings[0].to_string(),
        "the event was sent without the attached logs"
    );
    let sent = fake.attempts();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].event_id(), sent[1].event_id());
    assert!(sent[0].size > 1_000_000 && sent[1].size < 10_000);
    assert!(sent[1].attachments.is_empty());
    assert!(sent[1].event["extra"]["logs.stdout"].is_string());

    // Refused again: that is the end of it.
    let (fake, builder) = sentry().await;
    fake.max_body(Some(10));
    let e = builder.build().unwrap().send(&report()).await.unwrap_err();
    assert_eq!((e.kind(), e.retry()), (ErrorKind::TooLarge, Retry::Never));
    assert_eq!(fake.attempts().len(), 2);
}

async fn limited(r: &SentryReporter, seconds: u64) {
    let e = r.send(&report()).await.unwrap_err();
    let after = Some(Duration::from_secs(seconds));
    assert_eq!(
        (e.kind(), e.retry(), e.delivery()),
        (
            ErrorKind::RateLimited,
            Retry::Later { after },
            Delivery::NotDelivered
        ),
        "{e}"
    );
}

#[tokio::test]
async fn a_limit_holds_for_the_next_reports_too() {
    for (reply, first) in [
        (
            SentryReply::limits("20:default;error:key, 5::organization"),
            Some(20),
        ),
        (SentryReply::ok_with_limits("20:error:key"), None),
        (SentryReply::rate_limited(Duration::from_secs(20)), Some(20)),
    ] {
        let fake = FakeSentry::start().await.unwrap();
        fake.script("p", reply);
        let clock = clock();
        let r = SentryReporter::builder()
            .dsn(&fake.dsn("p"))
            .clock(Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>)
            .build()
            .unwrap();
        match first {
            Some(seconds) => limited(&r, seconds).await,
            None => is_done(&r.send(&report()).await.unwrap(), 0),
        }
        clock.advance(Duration::from_secs(5));
        // Nothing is sent, and the wait is what is left of it.
        limited(&r, 15).await;
        assert_eq!(fake.attempts().len(), 1);
        clock.advance(Duration::from_secs(15));
        is_done(&r.send(&report()).await.unwrap(), 0);
        assert_eq!(fake.attempts().len(), 2);
    }
}

#[tokio::test]
async fn limits_are_those_of_a_dsn() {
    let (fake, builder) = sentry().await;
    let r = builder.build().unwrap();
    fake.script("p", SentryReply::status(429));
    limited(&r, 60).await;
    let mut other = BackendSettings::new(OPTIONS);
    other.set(Origin::Flag, "dsn", &fake.dsn("q")).unwrap();
    let (id, settings) = (DeliveryId::new("x"), other.instance("default"));
    let opts = ReportOptions::new(&id, &settings);
    is_done(&r.report(&report(), &opts).await.unwrap(), 0);
}

#[tokio::test]
async fn without_attachments_the_event_still_goes_out() {
    let (fake, builder) = sentry().await;
    fake.script("p", SentryReply::ok_with_limits("60:attachment:key"));
    let r = builder.log_tail("1KiB").build().unwrap();
    let logs = report().with_logs(Arc::new(Tails(Some(100))));
    is_done(&r.send(&logs).await.unwrap(), 0);
    let receipt = r.send(&logs).await.unwrap();
    is_done(&receipt, 1);
    let sent = fake.attempts();
    assert_eq!(sent[0].attachments.len(), 2);
    assert!(sent[1].attachments.is_empty());
    assert!(sent[1].event["contexts"]["stdout"].is_object());
}

#[tokio::test]
async fn refusals_say_why_and_show_no_key() {
    let (fake, builder) = sentry().await;
    let key = fake.key("p");
    let r = builder.build().unwrap();
    for (reply, text, scope) in [
        (
            SentryReply::detail(403, &format!("bad key {key}"), &["a", "b"]),
            "answered 403 Forbidden: bad key ***: a: b; see whether the DSN's key is still good",
            Scope::Destination,
        ),
        (
            SentryReply::sentry_error(401, &format!("key {key} unknown")),
            "answered 401 Unauthorized: key *** unknown; see whether the DSN's key is still good",
            Scope::Destination,
        ),
        (
            SentryReply::status(404),
            "answered 404 Not Found; see whether the DSN's project and host are right",
            Scope::Destination,
        ),
        (
            SentryReply::detail(400, "bad\nevent", &[]),
            "answered 400 Bad Request: bad event",
            Scope::Message,
        ),
        (
            SentryReply::html(502),
            "answered 502 Bad Gateway",
            Scope::Message,
        ),
    ] {
        fake.script("p", reply);
        let e = r.send(&report()).await.unwrap_err();
        assert_eq!(e.to_string(), format!("{} {text}", fake.url()));
        assert_eq!(e.scope(), scope);
        assert!(!format!("{e:?} {}", e.report()).contains(&key));
    }
}

#[tokio::test]
async fn a_refused_connection_delivered_nothing() {
    let (fake, builder) = sentry().await;
    fake.server().refuse();
    let e = builder.build().unwrap().send(&report()).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.is_retryable(), e.delivery()),
        (ErrorKind::Unavailable, true, Delivery::NotDelivered)
    );
    assert!(!e.report().to_string().contains(&fake.key("p")));
}

#[test]
fn without_a_dsn_nothing_is_sent() {
    let r = SentryReporter::builder().build().unwrap();
    assert_eq!(r.destination(r.settings()).unwrap(), None);
}

#[test]
fn wrong_options_are_found_when_it_is_built() {
    let b = SentryReporter::builder;
    for (builder, text) in [
        (b().dsn("s3cret"), "sentry.dsn: *** is not a URL"),
        (
            b().dsn("https://s3cret@host.example/"),
            "sentry.dsn names no project at its end",
        ),
        (b().level("bad"), "sentry.level: \"bad\" is not one of"),
        (
            b().log_tail("64K"),
            "sentry.log_tail: \"64K\" is not a size",
        ),
        (
            b().log_tail("2MiB"),
            "sentry.log_tail: 2MiB is more than 1MiB",
        ),
        (b().release("{{"), "sentry.release: parse error at 1:"),
        (
            b().environment("{{ nope }}"),
            "sentry.environment: parse error",
        ),
        (
            b().fingerprint("a;{{ nope }}"),
            "sentry.fingerprint: parse error",
        ),
    ] {
        let e = builder.build().unwrap_err();
        assert!(e.to_string().starts_with(text), "{e}");
        assert!(!format!("{e:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn a_death_long_ago_is_dated_as_it_was() {
    let (fake, builder) = sentry().await;
    let f = FailureRecord::new("a", "a", "TASK_LOST", Timestamp::UNIX_EPOCH);
    let r = builder.build().unwrap();
    is_done(&r.send(&Report::failure(f)).await.unwrap(), 0);
    assert_eq!(
        fake.received()[0].event["timestamp"],
        "1970-01-01T00:00:00.000Z"
    );
    assert_eq!(
        fake.received()[0].header["sent_at"],
        "2026-03-01T12:00:00.000Z"
    );
}
