//! What Jira Cloud is sent, against the schema that Atlassian publishes for its documents
//! (npm `@atlaskit/adf-schema`), by a validator that is not ours.

use std::{path::Path, process::Command, sync::Arc};

use notifier_core::{
    BackendSettings, DeliveryId, Digest, FailureRecord, Links, Next, Notice, Origin, Report,
    ReportOptions, Reporter, Subject, jiff::Timestamp,
};
use notifier_http::HttpClient;
use notifier_jira::{JiraReporter, OPTIONS};
use notifier_testkit::{conformance::hostile_failures, jira::FakeJira, peer};
use serde_json::{Value, json};

/// Its name in what a run of the tests says.
const NAME: &str = "Atlassian's document schema";

/// Says of each document of a file whether it is one, as a list of truth values.
const VALIDATE: &str = "
const [schema, documents] = process.argv.slice(1);
const Ajv = require('ajv-draft-04');
const validate = new Ajv({ strict: false }).compile(require(schema));
const read = JSON.parse(require('fs').readFileSync(documents, 'utf8'));
console.log(JSON.stringify(read.map((d) => validate(d) ? '' : JSON.stringify(validate.errors.slice(0, 3)))));
";

/// What is wrong with each document; empty texts for those that are right.
fn validate(schema: &Path, documents: &[Value]) -> Vec<String> {
    let name = format!("notifier-jira-adf-{}.json", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, json!(documents).to_string()).unwrap();
    // The validator lies beside the schema.
    let folder = schema
        .ancestors()
        .find(|p| p.ends_with("node_modules"))
        .and_then(Path::parent)
        .unwrap();
    let out = Command::new("node")
        .current_dir(folder)
        .args(["-e", VALIDATE])
        .args([schema, &file])
        .output()
        .unwrap();
    let _ = std::fs::remove_file(&file);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The documents that come of reports under a template: descriptions and comments.
async fn documents(description: &str, reports: &[Report]) -> Vec<Value> {
    let jira = FakeJira::cloud().await.unwrap();
    let mut s = BackendSettings::new(OPTIONS);
    let fields = format!("Project:OPS;Issue Type:Bug;Summary:x;Description:{description}");
    for (k, v) in [
        ("url", jira.url().as_str()),
        ("username", &jira.user()),
        ("password", &jira.token()),
        ("fields", &fields),
        ("on_repeat", "comment"),
    ] {
        s.set(Origin::Flag, k, v).unwrap();
    }
    let http = HttpClient::new().unwrap();
    let reporter = JiraReporter::new(&s, http, jira.clock()).unwrap();
    let settings = s.instance("default");
    for (n, report) in reports.iter().enumerate() {
        // An issue, and a comment on it.
        for again in 0..2 {
            let id = DeliveryId::new(format!("{n:08}-{again}"));
            let opts = ReportOptions::new(&id, &settings);
            let receipt = reporter.report(report, &opts).await.unwrap();
            assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
        }
        for issue in jira.issues() {
            jira.set_status(&issue.key, "Closed");
        }
    }
    let mut out = Vec::new();
    for issue in jira.issues() {
        if !issue.description().is_null() {
            out.push(issue.description().clone());
        }
        out.extend(issue.comments.iter().map(|c| c.body.clone()));
    }
    out
}

#[tokio::test]
async fn what_is_sent_is_a_document() {
    let Some(schema) = peer::path(NAME, "NOTIFIER_TEST_ADF") else {
        return;
    };
    let links = Links::new("http://agent.example/a|b]?c=d&e", "");
    let mut reports: Vec<Report> = hostile_failures()
        .into_iter()
        .map(|(_, f)| Report::failure(f).with_links(links.clone()))
        .collect();
    let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    let digest = Arc::new(Digest::new("1", "web failed", 17, failure));
    let notice = Arc::new(Notice::new("slack:#ops:01", "404", Timestamp::UNIX_EPOCH));
    reports.push(Report::new(Subject::Digest(digest)));
    reports.push(Report::new(Subject::Notice(Arc::clone(&notice))));
    reports.push(Report::new(Subject::Recovery(notice)));
    let mut all = Vec::new();
    for description in [
        "[stdout|{{ .stdoutURL }}], [stderr|{{ .stderrURL }}], ID={{ .failure.ID }}",
        "{noformat}{{ .failure.Message }}{noformat}",
        "a\n\nb\n{{ .failure.Name }}\n{code:java}\n{{ .failure.Name }}\n{code}[{{ .failure.Name }}|http://x]",
        "{code}{code}",
        "{{ .failure.Labels.team }}\n{{ .failure.Image }}[a|mailto:b@c]",
    ] {
        all.extend(documents(description, &reports).await);
    }
    assert!(all.len() > 150, "{}", all.len());
    // Those that must be refused show that the validator works.
    let bad = [
        json!("text"),
        json!({ "type": "doc", "content": [] }),
        json!({ "type": "doc", "version": 1, "content": [{ "type": "text", "text": "x" }] }),
        json!({ "type": "doc", "version": 1, "content": [{ "type": "paragraph", "content": [{ "type": "text", "text": "" }] }] }),
    ];
    let good = all.len();
    all.extend(bad);
    let verdicts = validate(&schema, &all);
    assert_eq!(verdicts.len(), all.len());
    for (n, why) in verdicts.iter().enumerate() {
        if n < good {
            assert_eq!(why, "", "{}", all[n]);
        } else {
            assert_ne!(why, "", "{}", all[n]);
        }
    }
    peer::ran(NAME);
}
