//! Reporter and fake, with a proxy between them that holds every request and every answer
//! against the OpenAPI documents of Jira Cloud and of Jira Data Center.
//!
//! Neither is ours: what the fake lets pass and Jira would not, the documents refuse, and
//! what the fake answers and Jira never would, too. Not asked for through it: attachments,
//! which the documents describe in a way that no request fits, and properties of users,
//! which are not in the documents.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, Links, Next, Origin, Report, ReportOptions,
    Reporter, jiff::Timestamp,
};
use notifier_http::HttpClient;
use notifier_jira::{JiraReporter, OPTIONS};
use notifier_testkit::{
    jira::{Endpoint, FakeJira},
    peer,
};
use serde_json::{Value, json};

/// Their name in what a run of the tests says.
const NAME: &str = "prism with Jira Cloud's and Data Center's OpenAPI documents";

/// The proxy and a document; `None`, said aloud, where one is missing.
fn peers(document: &str) -> Option<(PathBuf, PathBuf)> {
    let prism = peer::path(NAME, "NOTIFIER_TEST_PRISM")?;
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/specs");
    let path = specs.join(document);
    if !path.exists() {
        peer::skipped(NAME, &format!("../shared/specs has no {document}"));
        return None;
    }
    Some((prism, path))
}

/// Makes a document fit for checking: examples that are JSON in a text become JSON, fields
/// may be more than objects, JSON is no text, an answer without content has none, and paths
/// are whole.
fn mend(document: &Path) -> Value {
    let text = std::fs::read_to_string(document).unwrap();
    let mut doc: Value = serde_json::from_str(&text).unwrap();
    mend_examples(&mut doc);
    mend_fields(&mut doc);
    doc["servers"] = json!([{ "url": "/" }]);
    let paths = doc["paths"].as_object().unwrap().clone();
    let mut whole = serde_json::Map::new();
    for (path, operations) in paths {
        if path == "/rest/api/3/serverInfo" {
            // Version 2 of it answers the same, and has no document of its own.
            whole.insert(path.replace("/3/", "/2/"), operations.clone());
        }
        let path = match path.starts_with("/api/") {
            true => format!("/rest{path}"),
            false => path,
        };
        whole.insert(path, operations);
    }
    doc["paths"] = Value::Object(whole);
    doc
}

fn mend_examples(node: &mut Value) {
    match node {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("example")
                && let Ok(parsed) = serde_json::from_str::<Value>(text)
            {
                map.insert("example".to_owned(), parsed);
            }
            for (name, value) in map {
                if name != "example" {
                    mend_examples(value);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(mend_examples),
        _ => {}
    }
}

fn mend_fields(node: &mut Value) {
    match node {
        Value::Object(map) => {
            if map.get("format").is_some_and(|f| f == "json") {
                map.clear();
            }
            if let Some(more) = map
                .get_mut("properties")
                .and_then(|p| p.get_mut("fields"))
                .and_then(|f| f.get_mut("additionalProperties"))
            {
                *more = json!({});
            }
            // A text whose example is an object.
            if map.get("type").is_some_and(|t| t == "string")
                && map.get("example").is_some_and(Value::is_object)
            {
                map.clear();
            }
            if let Some(Value::Object(answer)) = map.get_mut("204") {
                answer.remove("content");
            }
            map.values_mut().for_each(mend_fields);
        }
        Value::Array(all) => all.iter_mut().for_each(mend_fields),
        _ => {}
    }
}

/// The proxy in front of a fake.
struct Proxy {
    child: Child,
    url: String,
    document: PathBuf,
}

impl Proxy {
    fn start(prism: &Path, document: &Value, jira: &FakeJira, name: &str) -> Self {
        let mut tries = 3;
        loop {
            tries -= 1;
            match Self::try_start(prism, document, jira, name) {
                Some(proxy) => return proxy,
                None => assert!(tries > 0, "the proxy ends at once"),
            }
        }
    }

    /// `None`: it ended, perhaps since another program took the port meanwhile.
    fn try_start(prism: &Path, document: &Value, jira: &FakeJira, name: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let file = format!("notifier-jira-{name}-{}.json", std::process::id());
        let file = std::env::temp_dir().join(file);
        std::fs::write(&file, document.to_string()).unwrap();
        let child = Command::new(prism)
            .args([
                "proxy",
                "--errors",
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .arg(&file)
            .arg(jira.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy starts");
        let mut proxy = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            document: file,
        };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let is_open = TcpStream::connect(("127.0.0.1", port)).is_ok();
            // Whoever listens is it only as long as it runs.
            if proxy.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return None;
            }
            if is_open {
                return Some(proxy);
            }
            assert!(Instant::now() < until, "the proxy does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.document);
    }
}

#[tokio::test]
async fn a_proxy_that_ends_is_not_waited_for() {
    let jira = FakeJira::cloud().await.unwrap();
    let ends = Path::new("false");
    assert!(Proxy::try_start(ends, &json!({}), &jira, "none").is_none());
}

async fn everything(jira: FakeJira, document: &str, name: &str, wrong_search: &str) {
    let Some((prism, document)) = peers(document) else {
        return;
    };
    let proxy = Proxy::start(&prism, &mend(&document), &jira, name);
    let mut s = BackendSettings::new(OPTIONS);
    for (k, v) in [
        ("url", proxy.url.as_str()),
        ("username", &jira.user()),
        ("password", &jira.token()),
        (
            "fields",
            "Project:OPS;Issue Type:Bug;Summary:{{ .failure.Name }} died;Description:[stdout|{{ .stdoutURL }}]\n{code}{{ .failure.Message }}{code};Priority:High;Labels:a,b",
        ),
        ("on_repeat", "reopen"),
    ] {
        s.set(Origin::Flag, k, v).unwrap();
    }
    let http = HttpClient::builder()
        .timeout(Some(Duration::from_secs(30)))
        .build()
        .unwrap();
    let reporter = JiraReporter::new(&s, http, jira.clock()).unwrap();
    let settings = s.instance("default");
    reporter.check(&settings).await.unwrap();
    for n in 0..4 {
        if n == 3 {
            jira.set_status("OPS-1", "Closed");
        }
        let mut f = FailureRecord::new(
            format!("web.{n}"),
            "web \"x\"",
            "TASK_FAILED",
            Timestamp::UNIX_EPOCH,
        );
        f.message = Some("exit code 1".to_owned());
        let report = Report::failure(f).with_links(Links::new("http://agent.example/stdout", ""));
        let id = DeliveryId::new(format!("{n:032x}"));
        let receipt = reporter
            .report(&report, &ReportOptions::new(&id, &settings))
            .await
            .unwrap();
        assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
        assert_eq!(receipt.warnings.len(), 0, "{receipt:?}");
    }
    let issues = jira.issues();
    assert_eq!((issues.len(), issues[0].transitions), (1, 1));
    assert_eq!(
        (issues[0].comments.len(), issues[0].comments[0].edits),
        (1, 2)
    );
    // What is not as the documents say does not pass.
    let wrong = HttpClient::new()
        .unwrap()
        .post(&format!("{}{}", proxy.url, wrong_search))
        .basic(&jira.user(), &jira.token().as_str().into())
        .json(&json!({ "jql": 5 }));
    assert!(!wrong.send().await.unwrap().is_success());
    // All went through the proxy.
    for endpoint in [
        Endpoint::ServerInfo,
        Endpoint::Myself,
        Endpoint::Meta,
        Endpoint::Search,
        Endpoint::Create,
        Endpoint::Read,
        Endpoint::Property,
        Endpoint::SetProperty,
        Endpoint::Comments,
        Endpoint::Comment,
        Endpoint::EditComment,
        Endpoint::Transitions,
        Endpoint::Transition,
    ] {
        assert!(jira.count(endpoint) > 0, "{endpoint:?}");
    }
    peer::ran(NAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_is_as_its_document_says() {
    let jira = FakeJira::cloud().await.unwrap();
    everything(
        jira,
        "jira-cloud-v3.json",
        "cloud",
        "/rest/api/3/search/jql",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_center_is_as_its_document_says() {
    let jira = FakeJira::data_center().await.unwrap();
    everything(jira, "jira-dc-10.3.json", "dc", "/rest/api/2/search").await;
}
