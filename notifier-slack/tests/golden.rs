//! The messages that complainer 1.7.0 sends for the same failures and settings.

use std::collections::BTreeMap;

use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, LabelGrammar, Links, Next, Origin, Report,
    ReportOptions, Reporter, jiff::Timestamp,
};
use notifier_http::HttpClient;
use notifier_slack::{OPTIONS, SlackReporter};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

const SANDBOX: &str =
    "http://127.0.0.1:5051/files/download?path=/var/lib/mesos/slaves/S1/frameworks/F/executors";

async fn text_of(
    name: &str,
    id: &str,
    state: &str,
    links: Option<Links>,
    labels: &[(&str, &str)],
) -> serde_json::Value {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&server)
        .await;
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "hook_url", &server.uri()).unwrap();
    s.set(Origin::Flag, "channel", "#mesos").unwrap();
    s.set(Origin::Flag, "username", "Mesos Cluster").unwrap();
    s.set(Origin::Flag, "icon_emoji", ":mesos:").unwrap();
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let grammar = LabelGrammar::default();
    let settings = s.resolve(&grammar.scope(&labels), "default");
    let slack = SlackReporter::new(&s, HttpClient::new().unwrap()).unwrap();
    let links = links.unwrap_or_else(|| {
        let base = format!("{SANDBOX}/{id}/runs/R");
        Links::new(format!("{base}/stdout"), format!("{base}/stderr"))
    });
    let report = Report::failure(FailureRecord::new(id, name, state, Timestamp::UNIX_EPOCH))
        .with_links(links);
    let delivery = DeliveryId::new("x");
    let receipt = slack
        .report(&report, &ReportOptions::new(&delivery, &settings))
        .await
        .unwrap();
    assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
    server.received_requests().await.unwrap()[0]
        .body_json()
        .unwrap()
}

fn default_text(name: &str, id: &str, state: &str) -> String {
    let base = format!("{SANDBOX}/{id}/runs/R");
    format!(
        "Task {name} ({id}) died with status {state} [<{base}/stdout|stdout>, <{base}/stderr|stderr>]"
    )
}

#[tokio::test]
async fn the_default_message_is_that_of_the_original() {
    for (name, id, state) in [
        ("plain.app", "plain.app.1f2e3d", "TASK_FAILED"),
        ("lost.app", "lost.app.77", "TASK_LOST"),
        ("error.app", "error.app.88", "TASK_ERROR"),
        ("uni \"q\" 's' 日本", "uni.app.日本", "TASK_FAILED"),
    ] {
        assert_eq!(
            text_of(name, id, state, None, &[]).await,
            serde_json::json!({
                "channel": "#mesos",
                "icon_emoji": ":mesos:",
                "text": default_text(name, id, state),
                "username": "Mesos Cluster",
                "unfurl_links": false,
                "unfurl_media": false,
            })
        );
    }
}

#[tokio::test]
async fn labels_set_channel_name_and_icons() {
    let labels = [
        ("complainer_slack_channel", "#other"),
        ("complainer_slack_username", "bot"),
        ("complainer_slack_icon_emoji", ":x:"),
        (
            "complainer_default_slack_instance_default_icon_url",
            "http://my.com/a.png",
        ),
    ];
    let body = text_of("room.app", "room.app.2", "TASK_FAILED", None, &labels).await;
    assert_eq!(
        (
            &body["channel"],
            &body["username"],
            &body["icon_emoji"],
            &body["icon_url"]
        ),
        (
            &"#other".into(),
            &"bot".into(),
            &":x:".into(),
            &"http://my.com/a.png".into()
        )
    );
}

#[tokio::test]
async fn data_neither_mentions_nor_links_and_missing_logs_are_text() {
    let body = text_of(
        "<!channel> & co",
        "a|b",
        "TASK_FAILED",
        Some(Links::new("", "http://a/x|y>z")),
        &[],
    )
    .await;
    assert_eq!(
        body["text"],
        "Task &lt;!channel&gt; &amp; co (a|b) died with status TASK_FAILED [stdout, <http://a/x%7Cy%3Ez|stderr>]"
    );
}
