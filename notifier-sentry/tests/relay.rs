//! Against the normaliser of Sentry's own relay: it finds nothing to mend or to cut.

mod support;

use std::{process::Command, sync::Arc};

use async_trait::async_trait;
use notifier_core::{
    Digest, FailureRecord, Links, LogReader, LogTail, Next, Notice, Report, Result, Subject,
    jiff::Timestamp,
};
use notifier_sentry::SentryReporter;
use notifier_testkit::{conformance::hostile_failures, peer, sentry::FakeSentry};
use serde_json::{Value, json};
use support::Talk;

/// Its name in what a run of the tests says.
const NAME: &str = "sentry-relay";

/// A log that is long and hard to show.
#[derive(Debug)]
struct Log;

#[async_trait]
impl LogReader for Log {
    async fn tail(&self, _: &str, most: usize) -> Result<Option<LogTail>> {
        let line = "\u{1b}[31m\"quoted\" \\ 日本 🦀 \0\t\r\n";
        let log = line.repeat(most / line.len());
        Ok(Some(LogTail::new(log, true)))
    }
}

fn hard() -> Vec<FailureRecord> {
    let base = |name: &str| FailureRecord::new("a.1", name, "TASK_FAILED", Timestamp::UNIX_EPOCH);
    let mut many = base("many");
    for n in 0..400 {
        many.labels
            .insert(format!("label {n} \""), "\\\"".repeat(9000));
    }
    let mut keys = base("keys");
    for key in ["", ".", "a\nb", "日本", "labels", "__proto__", "$x.y"] {
        keys.labels.insert(key.to_owned(), "\u{0}".to_owned());
    }
    keys.labels.insert("k".repeat(100_000), "x".to_owned());
    let mut odd = base("odd");
    odd.framework = "Marathon (prod), 100% ünïcode".to_owned();
    odd.host = "h".repeat(300);
    odd.image = format!("reg:5000/{}/web:{}", "n".repeat(300), "t".repeat(300));
    odd.exit_code = Some(-1);
    odd.healthy = Some(false);
    odd.attempt = Some(3);
    odd.source = "s".repeat(9000);
    odd.owners = vec!["\"".repeat(5000); 50];
    odd.message = Some("\"\n".repeat(9000));
    odd.reason = Some("r".repeat(9000));
    vec![base("plain"), many, keys, odd]
}

/// The events of all reports, as they were sent.
async fn events() -> Vec<Value> {
    let fake = FakeSentry::start().await.unwrap();
    let r = SentryReporter::builder()
        .dsn(&fake.dsn("p"))
        .environment("{{ .failure.Name }}")
        .log_tail("64KiB")
        .build()
        .unwrap();
    let failures: Vec<FailureRecord> = hostile_failures()
        .into_iter()
        .map(|(_, f)| f)
        .chain(hard())
        .collect();
    let mut subjects = Vec::new();
    for (n, f) in failures.into_iter().enumerate() {
        let mut digest = Digest::new(n.to_string(), f.name.clone(), 17, f.clone());
        digest.hosts = vec![(f.host.clone(), 1); 20];
        let notice = Arc::new(Notice::new(f.name.clone(), f.id.clone(), f.finished));
        subjects.push(Subject::Digest(Arc::new(digest)));
        subjects.push(Subject::Notice(Arc::clone(&notice)));
        subjects.push(Subject::Recovery(notice));
        subjects.push(Subject::Failure(Arc::new(f)));
    }
    for subject in subjects {
        let link = "http://a/?x=\"&y=🦀\n".repeat(2000);
        let report = Report::new(subject)
            .with_links(Links::new(&*link, ""))
            .with_logs(Arc::new(Log));
        assert_eq!(r.send(&report).await.unwrap().next(), Next::Done);
    }
    fake.attempts().into_iter().map(|a| a.event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sentrys_own_normaliser_has_nothing_to_say() {
    let Some(bin) = peer::path(NAME, "NOTIFIER_TEST_SENTRY_RELAY") else {
        return;
    };
    let events = events().await;
    assert!(events.len() > 50);
    let relay = Talk::start(Command::new(bin.join("python")).arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/python/normalize.py"
    )));
    let mut found = Vec::new();
    for event in &events {
        let said = relay.ask(event.to_string());
        if said != json!({ "errors": null, "meta": null, "lost": [] }) {
            let what = format!("{said} of {}", event["logentry"]);
            let what: String = what.chars().take(300).collect();
            found.push(what);
        }
    }
    // What it would say of an event that is wrong.
    let mut wrong = events[0].clone();
    wrong["level"] = "bogus".into();
    let said = relay.ask(wrong.to_string());
    assert!(found.is_empty(), "{}: {}", found.len(), found.join("\n"));
    assert!(said["errors"].is_array(), "{said}");
    peer::ran(NAME);
}
