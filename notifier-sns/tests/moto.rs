//! Against moto, whose SNS, SQS and IAM check signatures by code that is not ours.

use std::{path::Path, process::Stdio, time::Duration};

use notifier_core::{Document, FailureRecord, Next, Report, Reporter as _, jiff::Timestamp};
use notifier_sns::{SnsReporter, SnsReporterBuilder};
use notifier_testkit::peer;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Far more than it takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

struct Moto {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    known: Value,
}

impl Moto {
    async fn start(programs: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto/boot.py");
        let mut child = Command::new(programs.join("python"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut moto = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            _child: child,
            known: Value::Null,
        };
        moto.known = moto.line().await;
        moto
    }

    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("it answers").unwrap().expect("it goes on");
        serde_json::from_str(&line).unwrap()
    }

    fn text(&self, name: &str) -> &str {
        self.known[name].as_str().unwrap()
    }

    fn reporter(&self, topic: &str) -> SnsReporterBuilder {
        SnsReporter::builder()
            .topic(self.known["topics"][topic].as_str().unwrap())
            .endpoint(self.text("url"))
            .keys(self.text("key"), self.text("secret"))
            .set("timeout", "1m")
    }

    /// What the queue behind a topic received, at least `n` of them.
    async fn received(&mut self, topic: &str, n: usize) -> Vec<Value> {
        let mut all = Vec::new();
        for _ in 0..200 {
            self.input
                .write_all(format!("{topic}\n").as_bytes())
                .await
                .unwrap();
            let Value::Array(more) = self.line().await else {
                panic!("it answers with a list");
            };
            all.extend(more);
            if all.len() >= n {
                return all;
            }
        }
        panic!("{} of {n} messages in the queue", all.len());
    }
}

fn report(name: &str) -> Report {
    let f = FailureRecord::new(
        format!("{name}.1"),
        name,
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    );
    Report::failure(f.with_label("team", "Köln & «shop»"))
}

#[tokio::test]
async fn moto_takes_what_is_signed_by_the_right_key_alone() {
    const NAME: &str = "notifier-sns against moto";
    let Some(programs) = peer::path(NAME, "NOTIFIER_TEST_MOTO") else {
        return;
    };
    let mut moto = Moto::start(&programs).await;

    for (id, secret, code) in [
        (moto.text("key"), "wr0ngs3cr3t", "SignatureDoesNotMatch"),
        (
            "AKIAUNKNOWN0451",
            moto.text("secret"),
            "InvalidClientTokenId",
        ),
    ] {
        let r = moto.reporter("alerts").keys(id, secret).build().unwrap();
        let e = r.send(&report("refused")).await.unwrap_err();
        assert_eq!(e.code(), Some(code), "{}", e.report());
        let e = r.check(r.settings()).await.unwrap_err();
        assert_eq!(e.code(), Some(code), "{}", e.report());
    }
    let topic = moto.known["topics"]["alerts"].as_str().unwrap();
    let missing = topic.replace("alerts", "missing");
    let r = moto.reporter("alerts").topic(&missing).build().unwrap();
    let e = r.send(&report("refused")).await.unwrap_err();
    assert_eq!(e.code(), Some("NotFound"), "{}", e.report());

    let r = moto
        .reporter("alerts")
        .set("attributes", "team={{ .failure.Labels.team }}")
        .build()
        .unwrap();
    r.check(r.settings()).await.unwrap();
    let sent = r.send(&report("web")).await.unwrap();
    assert_eq!(sent.next(), Next::Done, "{sent:?}");
    let got = moto.received("alerts", 1).await;
    assert_eq!(got.len(), 1, "{got:?}");
    let body = &got[0]["body"];
    assert_eq!(body["Subject"], "TASK_FAILED: web");
    assert_eq!(body["MessageAttributes"]["team"]["Value"], "Köln & «shop»");
    let document = Document::parse(body["Message"].as_str().unwrap()).unwrap();
    let id = &body["MessageAttributes"]["notifier.id"]["Value"];
    assert_eq!(id, document.id.as_str());
    assert_eq!(document.into_failure().labels["team"], "Köln & «shop»");

    // The first is dropped as a second one of its id; the group is the task's name.
    let r = moto.reporter("alerts.fifo").body("text").build().unwrap();
    for _ in 0..2 {
        let sent = r.send(&report("web")).await.unwrap();
        assert_eq!(sent.next(), Next::Done, "{sent:?}");
    }
    let sent = r.send(&report("db")).await.unwrap();
    assert_eq!(sent.next(), Next::Done, "{sent:?}");
    let got = moto.received("alerts.fifo", 2).await;
    let groups: Vec<&Value> = got
        .iter()
        .map(|m| &m["attributes"]["MessageGroupId"])
        .collect();
    assert_eq!(groups, ["web", "db"]);
    assert!(
        got[0]["body"]["Message"]
            .as_str()
            .unwrap()
            .starts_with("Task web (web.1) died"),
        "{got:?}"
    );
    peer::ran(NAME);
}
