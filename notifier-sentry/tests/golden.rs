//! What complainer 1.7.0 sent for the same failures and settings, as recorded from it.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use flate2::read::GzDecoder;
use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, LabelGrammar, Links, Next, Origin, Report,
    ReportOptions, Reporter, jiff::Timestamp,
};
use notifier_http::{GuestPolicy, HttpClient};
use notifier_sentry::{OPTIONS, SentryReporter};
use notifier_testkit::{
    http::{Reply, Request, ScriptedServer},
    peer,
};
use serde_json::{Value, json};

/// What it is called in what a run of the tests says.
const NAME: &str = "sentry events of the original";
/// The second in which all tasks of the recording ended.
const ENDED: i64 = 1_772_359_200;
const SANDBOX: &str =
    "http://127.0.0.1:5051/files/download?path=/var/lib/mesos/slaves/S1/frameworks/F/executors";

fn read(name: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/rig")
        .join(name);
    match fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) => {
            peer::skipped(NAME, &format!("{} is not here", path.display()));
            None
        }
    }
}

/// A failure of the scenario, as the recording's master tells it.
fn failure(f: &Value) -> FailureRecord {
    let text = |key: &str, default: &str| f[key].as_str().unwrap_or(default).to_owned();
    let at = |s| Timestamp::from_second(s).unwrap();
    let mut r = FailureRecord::new(
        text("id", ""),
        text("name", ""),
        text("state", "TASK_FAILED"),
        at(ENDED),
    );
    r.started = Some(at(ENDED - f["life"].as_i64().unwrap_or(7)));
    r.host = "127.0.0.1".to_owned();
    r.framework = "marathon".to_owned();
    r.image = text("image", "img:1");
    r.message = Some("Command exited with status 1".to_owned());
    let labels = f["labels"].as_object().into_iter().flatten();
    r.labels = labels
        .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
        .collect();
    r
}

/// A request as the recording shows it.
fn shown(request: &Request) -> Value {
    let mut text = String::new();
    GzDecoder::new(request.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    let event: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    let auth = request.header("x-sentry-auth").unwrap();
    let (_, key) = auth.split_once("sentry_key=").unwrap();
    let extra: BTreeMap<&str, String> = event["extra"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(k, _)| !k.starts_with("labels.complainer_"))
        .map(|(k, v)| {
            let text = v.as_str().unwrap();
            let text = match text.parse::<Timestamp>() {
                Ok(t) => format!("@T{:+}@", t.as_second() - ENDED),
                Err(_) => text.to_owned(),
            };
            (k.as_str(), text)
        })
        .collect();
    json!({
        "to": "sentry",
        "project": request.path().split('/').nth(2).unwrap(),
        "key": key.split([',', ' ']).next().unwrap(),
        "message": event["logentry"]["formatted"],
        "server_name": event["server_name"],
        "task_state": event["tags"]["task_state"],
        "extra": extra,
    })
}

#[tokio::test]
async fn the_events_are_those_of_the_original() {
    let (Some(scenario), Some(golden)) =
        (read("scenarios/sentry.json"), read("golden/sentry.json"))
    else {
        return;
    };
    let server = ScriptedServer::start().await.unwrap();
    server.always(Reply::json(200, &json!({ "id": "0".repeat(32) })));
    let host = server.addr().to_string();
    let scenario: Value =
        serde_json::from_str(&scenario.to_string().replace("@SINKHOST@", &host)).unwrap();
    let mut s = BackendSettings::new(OPTIONS);
    for arg in scenario["args"].as_array().unwrap() {
        if let Some(dsn) = arg.as_str().unwrap().strip_prefix("--sentry.dsn=") {
            s.set(Origin::Flag, "dsn", dsn).unwrap();
        }
    }
    let http = HttpClient::builder()
        .guests(GuestPolicy::parse("", ["127.0.0.0/8"]).unwrap())
        .build()
        .unwrap();
    let reporter = SentryReporter::new(&s, http).unwrap();
    let grammar = LabelGrammar::default();
    let mut n = 0;
    for f in scenario["failures"].as_array().unwrap() {
        let f = failure(f);
        let labels = f.labels.clone();
        let scope = grammar.scope(&labels);
        let base = format!("{SANDBOX}/{}/runs/R", f.id);
        let report = Report::failure(f).with_links(Links::new(
            format!("{base}/stdout"),
            format!("{base}/stderr"),
        ));
        for instance in scope.instances("sentry") {
            n += 1;
            let settings = s.resolve(&scope, instance);
            let id = DeliveryId::new(n.to_string());
            let opts = ReportOptions::new(&id, &settings);
            let receipt = reporter.report(&report, &opts).await.unwrap();
            assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
        }
    }
    let sorted = |mut all: Vec<Value>| {
        all.sort_by_key(Value::to_string);
        all
    };
    let sent = server.requests().iter().map(shown).collect();
    let recorded = golden["requests"].as_array().unwrap().clone();
    assert_eq!(sorted(sent), sorted(recorded));
}
