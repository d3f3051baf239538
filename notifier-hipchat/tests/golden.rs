//! The notifications that complainer 1.7.0 sends for the same failures and settings.

use std::collections::BTreeMap;

use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, LabelGrammar, Links, Next, Origin, Report,
    ReportOptions, Reporter, jiff::Timestamp,
};
use notifier_hipchat::{HipchatReporter, OPTIONS};
use notifier_http::HttpClient;
use notifier_testkit::http::{Action, Reply, Request, ScriptedServer};
use serde_json::{Value, json};

const SANDBOX: &str = "http://10.0.0.7:5051/files/download?path=/mesos/slaves/S1/frameworks/F";

/// Path, token and body of what goes out for each instance of one task.
async fn sent(name: &str, state: &str, labels: &[(&str, &str)]) -> Vec<(String, String, Value)> {
    let server = ScriptedServer::with_service(|_: &Request| Action::from(Reply::new(204)))
        .await
        .unwrap();
    let mut own = BackendSettings::new(OPTIONS);
    for (key, value) in [
        ("base_url", server.url("/v2/")),
        ("token", "TOKEN".to_owned()),
        ("room", "ops".to_owned()),
    ] {
        own.set(Origin::Flag, key, &value).unwrap();
    }
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.replace("@HOST@", &server.url(""))))
        .collect();
    // Its own server is at a loopback address, which labels may not name but for the same host.
    let hipchat = HipchatReporter::new(&own, HttpClient::new().unwrap()).unwrap();
    let grammar = LabelGrammar::default();
    let scope = grammar.scope(&labels);
    let report = Report::failure(FailureRecord::new(
        format!("{name}.1"),
        name,
        state,
        Timestamp::UNIX_EPOCH,
    ))
    .with_links(Links::new(
        format!("{SANDBOX}/stdout"),
        format!("{SANDBOX}/stderr"),
    ));
    for instance in scope.instances("hipchat") {
        let settings = own.resolve(&scope, instance);
        if hipchat.destination(&settings).unwrap().is_none() {
            continue;
        }
        let id = DeliveryId::new(instance);
        let opts = ReportOptions::new(&id, &settings);
        let receipt = hipchat.report(&report, &opts).await.unwrap();
        assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
    }
    server
        .requests()
        .iter()
        .map(|r| {
            let token = r.header("authorization").unwrap().to_owned();
            (r.target.clone(), token, r.json().unwrap())
        })
        .collect()
}

fn body(name: &str, state: &str) -> Value {
    json!({
        "color": "red",
        "message": format!("Task {name} ({name}.1) died with status {state} [<a href=\"{SANDBOX}/stdout\">stdout</a>, <a href=\"{SANDBOX}/stderr\">stderr</a>]"),
        "message_format": "html",
        "notify": true,
    })
}

#[tokio::test]
async fn the_default_message_is_that_of_the_original() {
    for (name, state) in [
        ("app", "TASK_FAILED"),
        ("lost.app", "TASK_LOST"),
        ("say \"hi\" it's 日本", "TASK_ERROR"),
    ] {
        assert_eq!(
            sent(name, state, &[]).await,
            [(
                "/v2/room/ops/notification".to_owned(),
                "Bearer TOKEN".to_owned(),
                body(name, state)
            )]
        );
    }
}

#[tokio::test]
async fn labels_set_address_token_and_room() {
    type Sent = [(&'static str, &'static str)];
    let cases: [(&[(&str, &str)], &Sent); 6] = [
        (
            &[
                ("complainer_hipchat_room", "dev ops"),
                ("complainer_hipchat_token", "T2"),
            ],
            &[("/v2/room/dev%20ops/notification", "T2")],
        ),
        (
            &[
                ("complainer_hipchat_instances", "default,team"),
                ("complainer_hipchat_instance_team_room", "42"),
                ("complainer_hipchat_instance_team_token", "T3"),
            ],
            &[
                ("/v2/room/ops/notification", "TOKEN"),
                ("/v2/room/42/notification", "T3"),
            ],
        ),
        (
            &[("complainer_hipchat_base_url", "@HOST@/proxy/v2/")],
            &[("/proxy/v2/room/ops/notification", "TOKEN")],
        ),
        (
            &[("complainer_hipchat_instances", "team")],
            &[("/v2/room/ops/notification", "TOKEN")],
        ),
        (
            &[("complainer_default_hipchat_instance_default_room", "x")],
            &[("/v2/room/x/notification", "TOKEN")],
        ),
        // An empty label counts as none.
        (
            &[("complainer_hipchat_room", "")],
            &[("/v2/room/ops/notification", "TOKEN")],
        ),
    ];
    for (labels, expected) in cases {
        let mut found: Vec<(String, String)> = sent("app", "TASK_FAILED", labels)
            .await
            .into_iter()
            .map(|(path, token, _)| (path, token))
            .collect();
        let mut expected: Vec<(String, String)> = expected
            .iter()
            .map(|(path, token)| ((*path).to_owned(), format!("Bearer {token}")))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{labels:?}");
    }
}
