use std::{io::Read, sync::Arc};

use flate2::read::GzDecoder;
use notifier_core::{BackendSettings, Digest, Links, LogTail};
use notifier_testkit::{conformance::hostile_failures, sentry::faults};
use proptest::prelude::*;

use super::*;
use crate::{OPTIONS, envelope::Envelope, release};

const NOW: &str = "2026-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn failure() -> FailureRecord {
    let mut f = FailureRecord::new(
        "web.app.1",
        "web.app",
        "TASK_FAILED",
        "2026-03-01T10:00:00.75Z".parse().unwrap(),
    )
    .with_label("team", "x")
    .with_label("complainer_sentry_instances", "default,ext")
    .with_label("complainer_sentry_dsn", "http://k2:s2@host/9");
    f.started = Some("2026-03-01T08:58:59.25Z".parse().unwrap());
    f.host = "agent-1".to_owned();
    f.framework = "marathon".to_owned();
    f.image = "reg/web:2".to_owned();
    f.message = Some("Command exited with status 3".to_owned());
    f.reason = Some("REASON_COMMAND_EXECUTOR_FAILED".to_owned());
    f.exit_code = Some(3);
    f.owners = vec!["core@example.com".to_owned()];
    f.source = "main".to_owned();
    f
}

fn links() -> Links {
    Links::new("http://agent-1:5051/stdout", "http://agent-1:5051/stderr")
}

fn named(f: &FailureRecord) -> Named {
    let mut cuts = Cuts::default();
    Named {
        release: release::of_image(&f.image, &mut cuts),
        environment: release::environment("production", &mut cuts),
        fingerprint: vec![one_line(&f.framework), one_line(&f.name)],
        cuts,
    }
}

fn make(report: &Report, named: Named, logs: &[Attachment]) -> (Event, Option<Error>) {
    let settings = BackendSettings::new(OPTIONS).instance("default");
    let id = DeliveryId::new("0123456789abcdef0123456789abcdef");
    Event::new(report, &id, &settings, named, logs, now())
}

fn json(event: &Event) -> Value {
    serde_json::to_value(event).unwrap()
}

fn pretty(event: &Event) -> String {
    let mut json = json(event);
    json["sdk"]["version"] = "VERSION".into();
    serde_json::to_string_pretty(&json).unwrap()
}

fn log(name: &'static str, text: &str) -> Attachment {
    Attachment {
        log: name,
        tail: LogTail::new(text, true),
    }
}

/// The parts that complainer 1.7.0 sends are the same here: message, `server_name`, the tag
/// `task_state`, and `extra` but for the labels that hold secrets.
#[test]
fn a_failure_is_the_originals_event_and_more() {
    let f = failure();
    let report = Report::failure(f.clone()).with_links(links());
    let (event, warning) = make(&report, named(&f), &[]);
    assert!(warning.is_none());
    insta::assert_snapshot!(pretty(&event), @r#"
    {
      "contexts": {
        "task": {
          "exit_code": 3,
          "message": "Command exited with status 3",
          "owners": [
            "core@example.com"
          ],
          "reason": "REASON_COMMAND_EXECUTOR_FAILED",
          "source": "main"
        }
      },
      "environment": "production",
      "event_id": "0123456789abcdef0123456789abcdef",
      "extra": {
        "container.image": "reg/web:2",
        "framework.name": "marathon",
        "labels.complainer_sentry_instances": "default,ext",
        "labels.team": "x",
        "logs.stderr": "http://agent-1:5051/stderr",
        "logs.stdout": "http://agent-1:5051/stdout",
        "task.id": "web.app.1",
        "timings.finished": "2026-03-01T10:00:00Z",
        "timings.lifetime": "1h1m1s",
        "timings.started": "2026-03-01T08:58:59Z"
      },
      "fingerprint": [
        "marathon",
        "web.app"
      ],
      "level": "error",
      "logentry": {
        "formatted": "Task web.app died with status TASK_FAILED"
      },
      "logger": "notifiers",
      "platform": "other",
      "release": "web@2",
      "sdk": {
        "name": "notifier-sentry",
        "version": "VERSION"
      },
      "server_name": "agent-1",
      "tags": {
        "exit_code": "3",
        "framework": "marathon",
        "reason": "REASON_COMMAND_EXECUTOR_FAILED",
        "task": "web.app",
        "task_state": "TASK_FAILED"
      },
      "timestamp": "2026-03-01T10:00:00.750Z"
    }
    "#);
}

#[test]
fn a_digest_is_the_same_issue_with_its_count() {
    let f = failure();
    let mut d = Digest::new("1", "web failed", 17, f.clone());
    d.first = "2026-03-01T09:00:00Z".parse().unwrap();
    let report = Report::new(Subject::Digest(Arc::new(d))).with_links(links());
    let event = json(&make(&report, named(&f), &[]).0);
    insta::assert_snapshot!(
        serde_json::to_string(&json!([event["logentry"], event["contexts"]["digest"], event["tags"]["report"], event["fingerprint"]])).unwrap(),
        @r#"[{"formatted":"17 more tasks like web.app (web.app.1) died with status TASK_FAILED between 2026-03-01T09:00:00Z and 2026-03-01T10:00:00.75Z on 1 agent: agent-1 (17)"},{"count":17,"first":"2026-03-01T09:00:00Z","host_count":1,"hosts":[{"count":17,"host":"agent-1"}],"last":"2026-03-01T10:00:00Z","like":"web failed"},"digest",["marathon","web.app"]]"#
    );
    assert_eq!(event["extra"]["task.id"], "web.app.1");
}

#[test]
fn a_notice_and_its_recovery_are_one_issue() {
    let n = Arc::new(Notice::new(
        "slack:#ops:0123456789ab",
        "it answers 404",
        "2026-03-01T09:00:00Z".parse().unwrap(),
    ));
    let notice = make(
        &Report::new(Subject::Notice(Arc::clone(&n))),
        Named::default(),
        &[],
    )
    .0;
    insta::assert_snapshot!(pretty(&notice), @r#"
    {
      "contexts": {
        "notice": {
          "destination": "slack:#ops:0123456789ab",
          "since": "2026-03-01T09:00:00Z",
          "text": "it answers 404"
        }
      },
      "event_id": "0123456789abcdef0123456789abcdef",
      "fingerprint": [
        "notifiers",
        "destination",
        "slack:#ops:0123456789ab"
      ],
      "level": "error",
      "logentry": {
        "formatted": "Messages to slack:#ops:0123456789ab do not arrive since 2026-03-01T09:00:00Z: it answers 404"
      },
      "logger": "notifiers",
      "platform": "other",
      "sdk": {
        "name": "notifier-sentry",
        "version": "VERSION"
      },
      "tags": {
        "report": "notice"
      },
      "timestamp": "2026-03-01T09:00:00.000Z"
    }
    "#);
    let recovery = make(&Report::new(Subject::Recovery(n)), Named::default(), &[]).0;
    assert_eq!(recovery.fingerprint, notice.fingerprint);
    assert_eq!(recovery.level, "info");
}

#[test]
fn labels_that_hold_secrets_never_leave() {
    let mut f = failure();
    for key in [
        "complainer_sentry_instance_ext_dsn",
        "complainer_default_sentry_dsn",
        "complainer_slack_hook_url",
        "complainer_hipchat_token",
        "complainer_jira_password",
        "DB_PASSWORD",
        "githubToken",
    ] {
        f.labels.insert(key.to_owned(), "s3cret-value".to_owned());
    }
    f.labels
        .insert("proxy".to_owned(), "http://user:hunter22@proxy/".to_owned());
    // What they hold does not leave by another way either.
    f.labels
        .insert("args".to_owned(), "--x s3cret-value".to_owned());
    f.message = Some("cannot use s3cret-value".to_owned());
    let report = Report::failure(f.clone());
    let logs = [log("stderr", "with s3cret-value in it")];
    let text = pretty(&make(&report, named(&f), &logs).0);
    assert!(
        !text.contains("s3cret-value") && !text.contains("hunter22"),
        "{text}"
    );
    let event = json(&make(&report, named(&f), &logs).0);
    let labels: Vec<_> = event["extra"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(k, _)| k.starts_with("labels."))
        .map(|(k, v)| (k.as_str(), v.as_str().unwrap()))
        .collect();
    assert_eq!(
        labels,
        [
            ("labels.args", "--x ***"),
            ("labels.complainer_sentry_instances", "default,ext"),
            ("labels.team", "x"),
        ]
    );
}

#[test]
fn times_are_as_the_original_writes_them() {
    let at = |s| Timestamp::from_second(s).unwrap();
    for (started, finished, is) in [
        (0, 0, "0s"),
        (0, 7, "7s"),
        (0, 61, "1m1s"),
        (0, 3661, "1h1m1s"),
        (0, 360_000, "100h0m0s"),
        (7, 0, "-7s"),
    ] {
        assert_eq!(lifetime(at(started), at(finished)), is);
    }
    let mut f = failure();
    f.started = None;
    let event = json(&make(&Report::failure(f), Named::default(), &[]).0);
    assert_eq!(event["extra"]["timings.finished"], "2026-03-01T10:00:00Z");
    assert_eq!(event["extra"].get("timings.started"), None);
    assert_eq!(event["extra"].get("timings.lifetime"), None);
}

#[test]
fn a_death_in_the_future_is_one_of_now() {
    for (finished, is) in [
        (Timestamp::MAX, "2026-03-01T12:00:00.000Z"),
        (Timestamp::MIN, "1970-01-01T00:00:00.000Z"),
    ] {
        let mut f = failure();
        f.finished = finished;
        let event = make(&Report::failure(f), Named::default(), &[]).0;
        assert_eq!(event.timestamp, is);
    }
}

#[test]
fn an_id_that_sentry_does_not_take_is_made_one() {
    let id = |text: &str| event_id(&DeliveryId::new(text));
    let own = "0123456789abcdef0123456789abcdef";
    assert_eq!(id(own), own);
    for other in ["x", "", "0123456789ABCDEF0123456789abcdef"] {
        let made = id(other);
        assert!(made.len() == 32 && made != other && made == id(other));
    }
    assert_ne!(id("x"), id("y"));
}

#[test]
fn what_is_too_long_is_cut_with_a_mark_and_told() {
    let mut f = failure();
    f.name = "n".repeat(9000);
    f.host = "h".repeat(65);
    f.labels.insert("long".to_owned(), "é".repeat(9000));
    for n in 0..40 {
        f.labels.insert(format!("more-{n}"), "x".repeat(15_000));
    }
    let (event, warning) = make(&Report::failure(f.clone()), named(&f), &[]);
    let text = &event.logentry.formatted;
    assert_eq!(text.chars().count(), MAX_MESSAGE);
    assert!(text.ends_with("n… died with status TASK_FAILED"));
    assert_eq!(event.server_name, format!("{}…", "h".repeat(63)));
    assert!(event.extra["labels.long"].ends_with("é…"));
    insta::assert_snapshot!(warning.unwrap().to_string(), @"the event was made to fit sentry's limits; cut: message, server_name, task, labels.long; left out: 25 of the labels");
}

#[test]
fn lists_and_names_that_are_too_long_are_told_too() {
    let mut f = failure();
    f.image = format!("web:{}", "t".repeat(300));
    f.owners = vec!["o".repeat(101); NAMES + 2];
    f.labels.insert("k".repeat(LABEL + 1), "x".to_owned());
    let (event, warning) = make(&Report::failure(f.clone()), named(&f), &[]);
    assert_eq!(event.release.as_ref().map(String::len), Some(200));
    let owners = event.contexts["task"]["owners"].as_array().unwrap();
    assert_eq!(owners.len(), NAMES);
    assert!(owners[0].as_str().unwrap().ends_with("o…"));
    let told = warning.unwrap().to_string();
    let label = format!("labels.{}…", "k".repeat(52));
    assert_eq!(
        told,
        format!(
            "the event was made to fit sentry's limits; cut: release, task.owners, {label}; left out: 2 of the owners"
        )
    );

    let mut d = Digest::new("1", "web failed", 17, failure());
    d.hosts = vec![("h".repeat(101), 1); NAMES + 1];
    d.host_count = 30;
    let report = Report::new(Subject::Digest(Arc::new(d)));
    let (event, warning) = make(&report, Named::default(), &[]);
    assert_eq!(
        event.contexts["digest"]["hosts"].as_array().unwrap().len(),
        NAMES
    );
    insta::assert_snapshot!(warning.unwrap().to_string(), @"the event was made to fit sentry's limits; cut: digest.hosts; left out: 20 of the agents");

    let n = Arc::new(Notice::new("d".repeat(201), "it answers 404", now()));
    let report = Report::new(Subject::Notice(n));
    let (event, warning) = make(&report, Named::default(), &[]);
    assert_eq!(event.fingerprint[2], format!("{}…", "d".repeat(199)));
    insta::assert_snapshot!(warning.unwrap().to_string(), @"the event was made to fit sentry's limits; cut: fingerprint");
}

#[test]
fn the_last_lines_of_a_log_are_a_context() {
    let lines: String = (0..50).map(|n| format!("line {n}\u{1b}[0m\r\n")).collect();
    let logs = [log("stdout", &lines), log("stderr", "\n\n")];
    let f = failure();
    let event = json(&make(&Report::failure(f.clone()), named(&f), &logs).0);
    let text = event["contexts"]["stdout"]["last_lines"].as_str().unwrap();
    assert!(text.starts_with("line 30[0m\nline 31") && text.ends_with("line 49[0m"));
    assert_eq!(event["contexts"].get("stderr"), None);
    let long = [log("stdout", &"x".repeat(100_000))];
    let event = json(&make(&Report::failure(f.clone()), named(&f), &long).0);
    let text = event["contexts"]["stdout"]["last_lines"].as_str().unwrap();
    assert!(text.starts_with("…x") && json_len(text) == LAST_LINES.1);
}

#[test]
fn a_smaller_form_lacks_more_step_by_step() {
    let f = failure().with_label("big", "x".repeat(4000));
    let whole = || Envelope {
        event: make(
            &Report::failure(f.clone()).with_links(links()),
            named(&f),
            &[log("stdout", "a\nb")],
        )
        .0,
        attachments: vec![log("stdout", &"x".repeat(100_000))],
    };
    let mut e = whole();
    assert_eq!(e.shrink(100_000).unwrap().unwrap(), "the attached logs");
    assert!(e.event.contexts.contains_key("stdout"));
    let mut e = whole();
    e.attachments.clear();
    assert_eq!(
        e.shrink(16_000).unwrap().unwrap(),
        "the last lines of the logs, the labels"
    );
    assert_eq!(e.event.extra["logs.stdout"], links().stdout);
    let mut e = whole();
    e.shrink(0).unwrap().unwrap();
    assert_eq!(e.event.extra.len(), 1);
    assert_eq!(e.event.tags["task_state"], "TASK_FAILED");
    assert_eq!(e.shrink(0).unwrap(), None);
}

#[test]
fn an_envelope_is_packed_with_the_time_of_sending_and_without_a_dsn() {
    let f = failure();
    let e = Envelope {
        event: make(&Report::failure(f.clone()), named(&f), &[]).0,
        attachments: vec![log("stdout", "a\nb")],
    };
    let (packed, size) = e.pack(now()).unwrap();
    let mut text = String::new();
    GzDecoder::new(packed.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.len(), size);
    let lines: Vec<&str> = text.split('\n').collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lines[0],
        format!(
            r#"{{"event_id":"0123456789abcdef0123456789abcdef","sent_at":"2026-03-01T12:00:00.000Z","sdk":{{"name":"notifier-sentry","version":"{version}"}}}}"#
        )
    );
    assert_eq!(
        lines[1],
        format!(r#"{{"type":"event","length":{}}}"#, lines[2].len())
    );
    assert_eq!(
        lines[3],
        r#"{"type":"attachment","length":3,"filename":"stdout-tail.log","content_type":"text/plain","attachment_type":"event.attachment"}"#
    );
    assert_eq!(lines[4..], ["a", "b", ""]);
}

fn unpacked(e: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    e.write(&e.event.to_json().unwrap(), now(), &mut out)
        .unwrap();
    out
}

/// `smaller`: so is the smallest form.
fn taken(report: &Report, named: Named, logs: Vec<Attachment>, smaller: bool) {
    let (event, _) = make(report, named, &logs);
    let mut e = Envelope {
        event,
        attachments: logs,
    };
    let found = faults(&unpacked(&e));
    assert!(found.is_empty(), "{found:?}");
    if smaller {
        e.shrink(0).unwrap();
        let found = faults(&unpacked(&e));
        assert!(found.is_empty(), "smaller: {found:?}");
    }
}

#[test]
fn hostile_failures_are_taken() {
    for (_, f) in hostile_failures() {
        let named = named(&f);
        taken(
            &Report::failure(f).with_links(links()),
            named,
            Vec::new(),
            true,
        );
    }
}

/// What texts are made of that break what was written for ordinary ones.
const PIECES: &[&str] = &[
    "",
    "a",
    " ",
    "\n",
    "\r\n\t",
    "\0",
    "\u{1b}[31m",
    "\u{85}\u{2028}",
    "\"",
    "\\",
    "/",
    ".",
    ":",
    "@",
    "latest",
    "None",
    "é",
    "日本",
    "🦀",
    "\u{fffe}",
    "e\u{301}",
    "{{ default }}",
    "sha256:0f",
    "web:2",
    "labels.a",
    "dsn",
    "http://a:b@c/",
    "null",
    "</script>",
    "\u{202e}",
];

/// Seldom long.
fn text() -> impl Strategy<Value = String> {
    let piece = || proptest::sample::select(PIECES);
    let times = prop_oneof![150 => 0usize..4, 1 => 0usize..20_000];
    (piece(), times, piece(), any::<char>())
        .prop_map(|(a, n, b, c)| format!("{}{b}{c}", a.repeat(n)))
}

fn hostile() -> impl Strategy<Value = FailureRecord> {
    let names = proptest::collection::vec(text(), 9);
    let labels = proptest::collection::btree_map(text(), text(), 0..4);
    let times = (any::<i32>(), any::<Option<i32>>());
    (names, labels, times, any::<Option<i32>>()).prop_map(|(t, labels, (at, began), code)| {
        let time = |s: i32| Timestamp::from_second(i64::from(s) * 40).unwrap();
        let mut f = FailureRecord::new(&*t[0], &*t[1], &*t[2], time(at));
        f.host.clone_from(&t[3]);
        f.framework.clone_from(&t[4]);
        f.image.clone_from(&t[5]);
        f.message = Some(t[6].clone());
        f.reason = Some(t[7].clone());
        f.owners = vec![t[8].clone(); 12];
        f.started = began.map(time);
        f.exit_code = code;
        f.labels = labels;
        f
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn any_event_is_within_the_limits_and_taken(
        f in hostile(),
        environment in text(),
        log in text(),
        kind in 0..40,
    ) {
        let mut cuts = Cuts::default();
        let named = Named {
            release: release::release(&log, &mut cuts)
                .or_else(|| release::of_image(&f.image, &mut cuts)),
            environment: release::environment(&environment, &mut cuts),
            fingerprint: vec!["x".to_owned()],
            cuts,
        };
        let notice = Notice::new(&*f.name, &*f.id, f.finished);
        let subject = match kind % 4 {
            0 => Subject::Digest(Arc::new(Digest::new("1", &*log, 17, f))),
            1 => Subject::Notice(Arc::new(notice)),
            _ => Subject::Failure(Arc::new(f)),
        };
        let links = Links::new(&*log, &*environment);
        let logs = vec![self::log("stdout", &log)];
        taken(&Report::new(subject).with_links(links), named, logs, kind % 10 == 0);
    }
}
