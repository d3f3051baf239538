use std::sync::Arc;

use notifier_core::{Digest, Links, Notice, Origin, Subject, jiff::Timestamp, redact::Redactor};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::OPTIONS;

fn record() -> FailureRecord {
    FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
        .with_label("team", "shop")
        .with_label("api_token", "s3cr3t-label")
}

fn report() -> Report {
    Report::failure(record()).with_links(Links::new("https://a/out?k=AKEYnine9", ""))
}

async fn payload_of(report: &Report, set: &[(&str, &str)], is_guest: bool) -> Payload {
    let mut s = BackendSettings::new(OPTIONS);
    for (key, value) in set {
        s.set(Origin::Flag, key, value).unwrap();
    }
    let settings = s.instance("default");
    let id = DeliveryId::new("2b9");
    Templates::compile(&s)
        .unwrap()
        .payload(report, &ReportOptions::new(&id, &settings), is_guest)
        .await
        .unwrap()
}

async fn payload(set: &[(&str, &str)]) -> Payload {
    payload_of(&report(), set, false).await
}

fn value(payload: &Payload) -> Value {
    serde_json::from_slice(&payload.body).unwrap()
}

const MESSAGE: &str =
    "Task web (web.1) died with status TASK_FAILED [stdout: https://a/out?k=AKEYnine9, stderr: ]";

#[tokio::test]
async fn each_body_has_its_type_and_the_message() {
    for (body, mode, kind, at) in [
        ("document", "structured", JSON, "/text"),
        (
            "alertmanager",
            "structured",
            JSON,
            "/alerts/0/annotations/summary",
        ),
        ("cloudevents", "structured", CLOUDEVENT, "/data/text"),
        ("cloudevents", "binary", JSON, "/text"),
    ] {
        let p = payload(&[("body", body), ("mode", mode)]).await;
        assert_eq!(p.content_type, kind, "{body}");
        assert_eq!(value(&p).pointer(at), Some(&json!(MESSAGE)), "{body}");
        assert_eq!(p.headers.is_empty(), mode == "structured", "{body}");
        assert!(p.warnings.is_empty());
        assert!(!String::from_utf8(p.body).unwrap().contains("s3cr3t-label"));
    }
    let p = payload(&[("body", "text")]).await;
    assert_eq!((p.content_type.as_str(), p.body), (TEXT, MESSAGE.into()));
    let p = payload(&[("body", "text"), ("content_type", "text/markdown")]).await;
    assert_eq!(p.content_type, "text/markdown");
}

#[tokio::test]
async fn a_template_makes_the_whole_body() {
    let template = r#"{"content": {{ .failure.Details.text | toJson }}, "team": {{ .failure.Labels.team | toJson }}}"#;
    let set = [("body", "template"), ("template", template)];
    let p = payload(&set).await;
    assert_eq!(value(&p), json!({"content": MESSAGE, "team": "shop"}));
    assert_eq!((p.content_type.as_str(), p.warnings.len()), (JSON, 0));
    // What is no failure is told by the same template.
    let digest = Digest::new("1", "web", 7, record());
    let p = payload_of(&Report::new(Subject::Digest(Arc::new(digest))), &set, false).await;
    let content = value(&p)["content"].as_str().unwrap().to_owned();
    assert!(content.starts_with("7 more tasks like web"), "{content}");
    let notice = Notice::new("slack:#a", "it answers 403", Timestamp::UNIX_EPOCH);
    let template = r#"{"content": {{ .failure.Details.text | toJson }}}"#;
    let set = [("body", "template"), ("template", template)];
    let p = payload_of(&Report::new(Subject::Notice(Arc::new(notice))), &set, false).await;
    let content = value(&p)["content"].as_str().unwrap().to_owned();
    assert!(content.contains("it answers 403"), "{content}");
}

#[tokio::test]
async fn a_template_that_fails_sends_the_document_with_the_fault() {
    for (template, kind, why) in [
        (
            "{{ .failure.Name.x }}",
            "application/json",
            "webhook.template",
        ),
        (
            "{\"a\": ",
            "application/json",
            "gave no JSON (line 1, column 6)",
        ),
        ("{} {}", "application/vnd.x+json", "gave no JSON"),
        ("", "application/json", "is not set"),
        (
            "{{ range $a := stringSlice \"1\" \"2\" }}{{ printf \"%600000s\" \"x\" }}{{ end }}",
            "text/plain",
            "webhook.template",
        ),
    ] {
        let p = payload(&[
            ("body", "template"),
            ("template", template),
            ("content_type", kind),
        ])
        .await;
        assert_eq!(p.content_type, JSON);
        let document = value(&p);
        assert_eq!(document["failure"]["id"], "web.1");
        let text = document["text"].as_str().unwrap();
        assert!(text.starts_with(MESSAGE), "{text}");
        assert!(
            text.contains("(the template failed: ") && text.contains(why),
            "{text}"
        );
        assert_eq!(p.warnings[0].kind(), ErrorKind::Template);
    }
}

#[tokio::test]
async fn a_fault_shows_no_secret() {
    let report = report().with_redactor(Redactor::new(["AKEYnine9"]));
    let template = "{{ .failure.Name.AKEYnine9 }}";
    let set = [("body", "template"), ("template", template)];
    let p = payload_of(&report, &set, false).await;
    let text = value(&p)["text"].as_str().unwrap().to_owned();
    let (_, fault) = text.split_once("(the template failed: ").unwrap();
    assert!(
        fault.contains("***") && !fault.contains("AKEYnine9"),
        "{fault}"
    );
}

#[tokio::test]
async fn what_is_no_json_is_not_checked() {
    let set = [
        ("body", "template"),
        ("template", "a={{ .failure.Name | urlquery }}"),
        ("content_type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(payload(&set).await.body, b"a=web");
}

#[tokio::test]
async fn links_stay_whole_and_a_tasks_address_gets_no_secret_of_the_template() {
    let redactor = Redactor::new(["AKEYnine9"]);
    let report = report().with_redactor(redactor);
    let template = "{{ .failure.Details.text }} {{ .stdoutURL }} AKEYnine9";
    let set = [
        ("body", "template"),
        ("template", template),
        ("content_type", "text/plain"),
    ];
    let sent = |p: Payload| String::from_utf8(p.body).unwrap();
    let own = sent(payload_of(&report, &set, false).await);
    assert_eq!(
        own,
        format!("{MESSAGE} https://a/out?k=AKEYnine9 AKEYnine9")
    );
    let guest = sent(payload_of(&report, &set, true).await);
    assert!(!guest.contains("AKEYnine9"), "{guest}");
}

#[tokio::test]
async fn an_empty_message_is_replaced_and_a_large_body_cut() {
    let p = payload(&[("format", "{{ \"\" }}")]).await;
    assert_eq!(
        value(&p)["text"],
        "Task web (web.1) died with status TASK_FAILED"
    );
    assert!(p.warnings[0].to_string().contains("empty message"));
    let journal = "a line of the journal\n".repeat(100_000);
    let report = Report::failure(record().with_detail("journal", journal));
    for body in ["document", "alertmanager", "cloudevents"] {
        let p = payload_of(&report, &[("body", body)], false).await;
        assert!(p.body.len() <= MAX_BODY, "{body}");
        assert_eq!(p.warnings[0].kind(), ErrorKind::TooLarge);
        let text = String::from_utf8(p.body).unwrap();
        serde_json::from_str::<Value>(&text).unwrap();
        assert!(text.contains("of the journal\\n\"") && text.contains("TASK_FAILED"));
    }
    let p = payload_of(
        &report,
        &[
            ("body", "text"),
            ("format", "{{ .failure.Details.journal }}"),
        ],
        false,
    )
    .await;
    assert!(p.body.len() <= MAX_BODY && !p.warnings.is_empty());
}

#[test]
fn types_that_are_none_and_a_missing_template_stop_the_start() {
    let settings = |set: &[(&str, &str)]| {
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in set {
            s.set(Origin::Flag, key, value).unwrap();
        }
        s.instance("default")
    };
    for wrong in ["json", "a/b\nc", "é/x", "; a/b"] {
        let e = check(&settings(&[("content_type", wrong)])).unwrap_err();
        assert!(e.to_string().starts_with("webhook.content_type"), "{e}");
    }
    assert!(check(&settings(&[("body", "template")])).is_err());
    assert!(check(&settings(&[("body", "template"), ("template", "x")])).is_ok());
    assert!(check(&settings(&[("content_type", "a/b; charset=utf-8")])).is_ok());
    for (kind, is) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/cloudevents+json", true),
        ("text/plain", false),
        ("application/jsonl", false),
    ] {
        assert_eq!(is_json(kind), is, "{kind}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a failure says, a body of JSON is JSON and says it.
    #[test]
    fn bodies_are_json(name in ".*", message in ".*", key in ".*", value_of in ".*") {
        let mut f = FailureRecord::new("1", name.as_str(), "X", Timestamp::UNIX_EPOCH)
            .with_label(key, value_of);
        f.message = Some(message.clone());
        let report = Report::failure(f);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for body in ["document", "alertmanager", "cloudevents"] {
            let p = runtime.block_on(payload_of(&report, &[("body", body)], false));
            let sent = value(&p);
            let said = match body {
                "document" => &sent["failure"]["message"],
                "cloudevents" => &sent["data"]["failure"]["message"],
                _ => {
                    let annotations = &sent["alerts"][0]["annotations"];
                    if message.is_empty() {
                        continue;
                    }
                    &annotations["description"]
                }
            };
            prop_assert_eq!(said, &json!(message));
        }
    }
}
