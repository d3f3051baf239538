//! A report as Alertmanager's webhook sends it, version 4 (prometheus/alertmanager, `notify/webhook` and
//! `template.Data`): one alert in one group.

use std::collections::BTreeMap;

use notifier_core::{Concern, FailureRecord, Report, Subject, jiff::Timestamp, redact::Redactor};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The end of what goes on, as Go writes a time that is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

type Pairs = BTreeMap<String, String>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    receiver: String,
    status: &'static str,
    alerts: [Alert; 1],
    group_labels: Pairs,
    common_labels: Pairs,
    common_annotations: Pairs,
    #[serde(rename = "externalURL")]
    external_url: String,
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: &'static str,
    labels: Pairs,
    annotations: Pairs,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

impl Group {
    /// A report whose failure was masked already, with the message for people.
    pub(crate) fn of(
        report: &Report,
        masked: Option<&FailureRecord>,
        text: &str,
        receiver: &str,
    ) -> Self {
        let (name, since, more) = match report.subject() {
            Subject::Failure(f) => ("TaskFailed", f.finished, 0),
            Subject::Digest(d) => ("TaskFailed", d.last, d.count.saturating_sub(1)),
            Subject::Notice(n) | Subject::Recovery(n) => match n.concern {
                Concern::Outbox => ("NotifierOutboxFills", n.since, 0),
                _ => ("NotifierDestinationDead", n.since, 0),
            },
            _ => ("Notifier", report.now(), 0),
        };
        let is_over = matches!(report.subject(), Subject::Recovery(_));
        let links = report.links();
        let mut labels = Pairs::new();
        let mut annotations = Pairs::new();
        add(&mut labels, "alertname", name);
        add(&mut annotations, "summary", text);
        match report.subject() {
            Subject::Notice(n) | Subject::Recovery(n) => {
                add(&mut labels, "job", &mask(report.redactor(), &n.destination));
                add(
                    &mut annotations,
                    "description",
                    &mask(report.redactor(), &n.text),
                );
            }
            _ => {}
        }
        if let Some(f) = masked {
            describe(f, &mut labels, &mut annotations);
        }
        add(&mut annotations, "stdout_url", &links.stdout);
        add(&mut annotations, "stderr_url", &links.stderr);
        let group_labels: Pairs = labels
            .iter()
            .filter(|(key, _)| matches!(key.as_str(), "alertname" | "job"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let shown: Vec<String> = group_labels
            .iter()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        let status = if is_over { "resolved" } else { "firing" };
        Self {
            receiver: receiver.to_owned(),
            status,
            alerts: [Alert {
                status,
                fingerprint: fingerprint(&labels, since),
                labels: labels.clone(),
                annotations: annotations.clone(),
                starts_at: since.to_string(),
                ends_at: match is_over {
                    true => report.now().to_string(),
                    false => NO_TIME.to_owned(),
                },
                generator_url: [&links.stderr, &links.stdout]
                    .into_iter()
                    .find(|url| !url.is_empty())
                    .cloned()
                    .unwrap_or_default(),
            }],
            group_labels,
            common_labels: labels,
            common_annotations: annotations,
            external_url: String::new(),
            version: "4",
            group_key: format!("{{}}:{{{}}}", shown.join(", ")),
            truncated_alerts: more,
        }
    }
}

fn mask(redactor: &Redactor, text: &str) -> String {
    redactor.redact(text).into_owned()
}

/// What is known of a failure: what tells it from others as labels, the rest as annotations.
fn describe(f: &FailureRecord, labels: &mut Pairs, annotations: &mut Pairs) {
    add(labels, "job", &f.name);
    add(labels, "instance", &f.host);
    add(labels, "id", &f.id);
    add(labels, "state", &f.state);
    add(labels, "framework", &f.framework);
    add(labels, "source", &f.source);
    f.labels
        .iter()
        .for_each(|(key, value)| add(labels, key, value));
    add(
        annotations,
        "description",
        f.message.as_deref().unwrap_or_default(),
    );
    add(
        annotations,
        "reason",
        f.reason.as_deref().unwrap_or_default(),
    );
    add(annotations, "image", &f.image);
    if let Some(code) = f.exit_code {
        add(annotations, "exit_code", &code.to_string());
    }
    f.details
        .iter()
        .for_each(|(key, value)| add(annotations, key, value));
}

/// Adds a pair under a name that Prometheus takes, `[a-zA-Z_][a-zA-Z0-9_]*`, unless it is empty or there is one.
fn add(pairs: &mut Pairs, name: &str, value: &str) {
    let mut name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if !value.is_empty() && !name.is_empty() {
        pairs.entry(name).or_insert_with(|| value.to_owned());
    }
}

/// 16 hexadecimal digits of the labels and the time: the same when it is over.
fn fingerprint(labels: &Pairs, since: Timestamp) -> String {
    let mut hash = Sha256::new();
    for (key, value) in labels {
        hash.update(format!("{key:?}={value:?},"));
    }
    hash.update(since.to_string());
    let hash = hash.finalize();
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier_core::{Digest, Links, Notice};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn failure() -> FailureRecord {
        let mut f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
            .with_label("team", "shop")
            .with_label("my-label.x", "1")
            .with_label("job", "other")
            .with_detail("unit", "web.service");
        f.host = "agent1".to_owned();
        f.exit_code = Some(7);
        f
    }

    fn group(report: &Report) -> Value {
        let masked = report.subject().failure();
        serde_json::to_value(Group::of(report, masked, "web died", "team")).unwrap()
    }

    #[test]
    fn a_failure_is_one_alert_that_fires() {
        let report = Report::failure(failure()).with_links(Links::new("https://a/out", ""));
        let alert = json!({
            "status": "firing",
            "labels": {
                "alertname": "TaskFailed", "job": "web", "instance": "agent1", "id": "web.1",
                "state": "TASK_FAILED", "team": "shop", "my_label_x": "1",
            },
            "annotations": {
                "summary": "web died", "exit_code": "7", "unit": "web.service",
                "stdout_url": "https://a/out",
            },
            "startsAt": "1970-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://a/out",
            "fingerprint": group(&report)["alerts"][0]["fingerprint"],
        });
        assert_eq!(
            group(&report),
            json!({
                "receiver": "team",
                "status": "firing",
                "alerts": [alert],
                "groupLabels": {"alertname": "TaskFailed", "job": "web"},
                "commonLabels": alert["labels"],
                "commonAnnotations": alert["annotations"],
                "externalURL": "",
                "version": "4",
                "groupKey": "{}:{alertname=\"TaskFailed\", job=\"web\"}",
                "truncatedAlerts": 0,
            })
        );
        let print = alert["fingerprint"].as_str().unwrap();
        assert!(print.len() == 16 && print.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn a_digest_counts_what_it_leaves_out() {
        let digest = Digest::new("1", "web", 17, failure());
        let report = Report::new(Subject::Digest(Arc::new(digest)));
        assert_eq!(group(&report)["truncatedAlerts"], 16);
    }

    #[test]
    fn a_recovery_resolves_what_a_notice_told() {
        let notice = Arc::new(Notice::new("slack:#a", "403", Timestamp::UNIX_EPOCH));
        let now: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        let fires = group(&Report::new(Subject::Notice(Arc::clone(&notice))));
        let over = group(&Report::new(Subject::Recovery(notice)).with_now(now));
        assert_eq!(fires["alerts"][0]["labels"], over["alerts"][0]["labels"]);
        let print = &fires["alerts"][0]["fingerprint"];
        assert_eq!(print, &over["alerts"][0]["fingerprint"]);
        assert_eq!(
            (&fires["status"], &over["status"]),
            (&json!("firing"), &json!("resolved"))
        );
        assert_eq!(over["alerts"][0]["endsAt"], "2024-05-06T07:08:09Z");
        assert_eq!(fires["alerts"][0]["annotations"]["description"], "403");
    }

    proptest! {
        #[test]
        fn names_are_those_that_prometheus_takes(key in ".{1,20}") {
            let mut pairs = Pairs::new();
            add(&mut pairs, &key, "x");
            let name = pairs.keys().next().unwrap();
            prop_assert!(!name.starts_with(|c: char| c.is_ascii_digit()));
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        }
    }
}
