//! Against Bugsink, a server that speaks Sentry's protocol and is not ours.
//!
//! It checks events by Sentry's published schema, counts one of the same id once, and keeps
//! the envelopes that arrive.

mod support;

use std::{process::Command, sync::Arc};

use async_trait::async_trait;
use notifier_core::{
    DeliveryId, ErrorKind, FailureRecord, Links, LogReader, LogTail, Next, Report, ReportOptions,
    Reporter, Result, Retry, Scope, Subject,
};
use notifier_sentry::SentryReporter;
use notifier_testkit::{conformance::hostile_failures, peer};
use serde_json::Value;
use support::Talk;

/// Its name in what a run of the tests says.
const NAME: &str = "Bugsink";

struct Bugsink {
    talk: Talk,
    _folder: tempfile::TempDir,
}

impl Bugsink {
    /// `None`, said aloud, where it is not installed.
    fn start() -> Option<Self> {
        let python = peer::path(NAME, "NOTIFIER_TEST_BUGSINK")?.join("python");
        let folder = tempfile::tempdir().unwrap();
        let talk = Talk::start(
            Command::new(python)
                .arg(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/tests/python/run_bugsink.py"
                ))
                .arg(folder.path()),
        );
        assert!(talk.answer()["port"].is_u64());
        Some(Self {
            talk,
            _folder: folder,
        })
    }

    /// A new project: its number and its DSN.
    fn project(&self, name: &str) -> (u64, String) {
        let made = self.talk.ask(format!("project {name}"));
        let dsn = made["dsn"].as_str().unwrap().to_owned();
        (made["id"].as_u64().unwrap(), dsn)
    }

    fn events(&self, project: u64) -> Value {
        self.talk.ask(format!("events {project}"))
    }
}

#[derive(Debug)]
struct Log;

#[async_trait]
impl LogReader for Log {
    async fn tail(&self, name: &str, _: usize) -> Result<Option<LogTail>> {
        Ok((name == "stderr").then(|| LogTail::new("Traceback\n\nboom\n", true)))
    }
}

fn failure() -> FailureRecord {
    let mut f = FailureRecord::new(
        "web.1",
        "web",
        "TASK_FAILED",
        "2026-03-01T10:00:00Z".parse().unwrap(),
    )
    .with_label("team", "core")
    .with_label("complainer_sentry_token", "canary-token");
    f.host = "agent-1".to_owned();
    f.image = "reg/web:2".to_owned();
    f.message = Some("Command exited with status 3".to_owned());
    f.reason = Some("REASON_COMMAND_EXECUTOR_FAILED".to_owned());
    f.exit_code = Some(3);
    f
}

/// One server for all: it takes seconds to start.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_by_a_server_that_is_not_ours() {
    let Some(bugsink) = Bugsink::start() else {
        return;
    };
    stored_once(&bugsink).await;
    wrong_key(&bugsink).await;
    hostile(&bugsink).await;
    peer::ran(NAME);
}

/// Sent twice it is there once, with what was sent, and the attachment came along.
async fn stored_once(bugsink: &Bugsink) {
    let (project, dsn) = bugsink.project("once");
    let r = SentryReporter::builder()
        .dsn(&dsn)
        .log_tail("64KiB")
        .environment("ci")
        .build()
        .unwrap();
    let report = Report::failure(failure())
        .with_links(Links::new("http://a/stdout", "http://a/stderr"))
        .with_logs(Arc::new(Log));
    let id = DeliveryId::new("0123456789abcdef0123456789abcdef");
    for attempt in 1..=2 {
        let opts = ReportOptions::new(&id, r.settings()).after(attempt, None);
        let receipt = r.report(&report, &opts).await.unwrap();
        assert_eq!(
            (receipt.next(), receipt.warnings.len()),
            (Next::Done, 0),
            "{receipt:?}"
        );
    }
    let has = bugsink.events(project);
    let events = has["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{has}");
    let (event, tags) = (&events[0]["data"], &events[0]["tags"]);
    assert_eq!(events[0]["id"], id.as_str());
    assert_eq!(
        event["logentry"]["formatted"],
        "Task web died with status TASK_FAILED"
    );
    assert_eq!(event["extra"]["labels.team"], "core");
    assert_eq!(event["contexts"]["task"]["exit_code"], 3);
    assert_eq!(
        event["contexts"]["stderr"]["last_lines"],
        "Traceback\n\nboom"
    );
    assert_eq!(tags["task_state"], "TASK_FAILED");
    assert_eq!(
        (&tags["release"], &tags["environment"]),
        (&"web@2".into(), &"ci".into())
    );
    assert_eq!(has["issues"].as_array().unwrap().len(), 1);
    assert_eq!(has["issues"][0]["digested"], 1);
    // Both envelopes came over the wire, packed, each with the file.
    let envelopes = has["envelopes"].as_array().unwrap();
    assert_eq!(envelopes.len(), 2);
    for e in envelopes {
        assert_eq!(e["event_id"], id.as_str());
        assert_eq!(e["has_dsn"], false);
        let files = e["files"].as_array().unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0]["head"]["filename"], "stderr-tail.log");
        assert_eq!(files[0]["text"], "Traceback\n\nboom\n");
    }
    assert!(!has.to_string().contains("canary-token"));
}

async fn wrong_key(bugsink: &Bugsink) {
    let (project, dsn) = bugsink.project("wrong");
    let (scheme, rest) = dsn.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let wrong = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
    let r = SentryReporter::builder()
        .dsn(&format!("{scheme}://{wrong}@{host}"))
        .build()
        .unwrap();
    let e = r.send(&Report::failure(failure())).await.unwrap_err();
    assert_eq!(
        (e.retry(), e.scope()),
        (Retry::Never, Scope::Destination),
        "{e:?}"
    );
    assert!(!format!("{e:?} {}", e.report()).contains(wrong));
    assert_ne!(e.kind(), ErrorKind::Config);

    let nowhere = dsn.rsplit_once('/').unwrap().0.to_owned() + "/99999";
    let r = SentryReporter::builder().dsn(&nowhere).build().unwrap();
    let e = r.send(&Report::failure(failure())).await.unwrap_err();
    assert_eq!((e.retry(), e.scope()), (Retry::Never, Scope::Destination));
    assert_eq!(bugsink.events(project)["events"], Value::Array(Vec::new()));
}

/// Nothing hostile breaks the schema, by which what is wrong is dropped without a word.
async fn hostile(bugsink: &Bugsink) {
    let (project, dsn) = bugsink.project("hostile");
    let r = SentryReporter::builder().dsn(&dsn).build().unwrap();
    let mut reports: Vec<Report> = hostile_failures()
        .into_iter()
        .map(|(_, f)| Report::failure(f))
        .collect();
    for (kind, json) in [
        (
            "notice",
            r#"{"destination":"slack:#ops:0","text":"it answers 404","since":"2026-03-01T09:00:00Z"}"#,
        ),
        (
            "recovery",
            r#"{"destination":"slack:#ops:0","text":"it answers 404","since":"2026-03-01T09:00:00Z"}"#,
        ),
    ] {
        reports.push(Report::new(Subject::from_json(kind, json).unwrap()));
    }
    for (n, report) in reports.iter().enumerate() {
        // Some of them are one death.
        let id = DeliveryId::new(format!("{:032x}", n + 1));
        let opts = ReportOptions::new(&id, r.settings());
        let receipt = r.report(report, &opts).await.unwrap();
        assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    }
    let has = bugsink.events(project);
    let stored = has["events"].as_array().unwrap().len();
    assert_eq!(stored, reports.len(), "{}", bugsink.talk.said());
}
