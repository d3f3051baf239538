//! A report as a CloudEvent 1.0: its attributes around the document, in JSON (JSON event format §3) or in headers
//! (HTTP protocol binding §3.1).

use notifier_core::{DeliveryId, Document, Report, Subject};
use serde::Serialize;

/// The longest `subject`, in characters.
const MOST: usize = 200;

#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: &'a Document,
}

impl<'a> Event<'a> {
    pub(crate) fn of(report: &Report, id: &'a DeliveryId, document: &'a Document) -> Self {
        let subject = report.subject();
        let time = match subject {
            Subject::Failure(f) => f.finished,
            Subject::Digest(d) => d.last,
            Subject::Notice(n) => n.since,
            // A recovery happens when it is told.
            _ => report.now(),
        };
        let (source, about) = match subject {
            Subject::Notice(n) | Subject::Recovery(n) => ("", n.destination.as_str()),
            _ => subject
                .failure()
                .map(|f| (f.source.as_str(), f.name.as_str()))
                .unwrap_or_default(),
        };
        let about = report.redactor().redact(about);
        Self {
            specversion: "1.0",
            id: id.as_str(),
            // A reference to a URI: whatever cannot stand in one is encoded.
            source: format!(
                "/notifier/{}",
                encoded(source, |b| b.is_ascii_alphanumeric()
                    || b"-._~".contains(&b))
            ),
            kind: format!("notifier.{}", subject.kind()),
            // No controls are allowed in an attribute (§3 "Type System").
            subject: about
                .chars()
                .filter(|c| !c.is_control())
                .take(MOST)
                .collect(),
            time: time.to_string(),
            datacontenttype: "application/json",
            data: document,
        }
    }

    /// The attributes as headers; the document is then the body. `datacontenttype` is `Content-Type`.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("ce-specversion", self.specversion),
            ("ce-id", self.id),
            ("ce-source", &self.source),
            ("ce-type", &self.kind),
            ("ce-time", &self.time),
        ];
        if !self.subject.is_empty() {
            headers.push(("ce-subject", &self.subject));
        }
        headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), header(value)))
            .collect()
    }
}

/// A header's value, percent-encoded as §3.1.3.2 asks: blanks, quotes, percent signs, and all but visible ASCII.
fn header(text: &str) -> String {
    encoded(text, |b| b.is_ascii_graphic() && !b"\"%".contains(&b))
}

fn encoded(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier_core::{FailureRecord, Notice, jiff::Timestamp};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::headers::is_value;

    fn event_of(report: &Report) -> (Value, Vec<(String, String)>) {
        let id = DeliveryId::new("2b9");
        let document = Document::of(report, &id, "text");
        let event = Event::of(report, &id, &document);
        (serde_json::to_value(&event).unwrap(), event.headers())
    }

    #[test]
    fn a_failure_in_both_modes() {
        let mut f = FailureRecord::new("web.1", "we b\"é\n", "TASK_FAILED", Timestamp::UNIX_EPOCH);
        f.source = "mesos/1 ".to_owned();
        let (event, headers) = event_of(&Report::failure(f));
        for (name, value) in [
            ("specversion", "1.0"),
            ("id", "2b9"),
            ("source", "/notifier/mesos%2F1%20"),
            ("type", "notifier.failure"),
            ("subject", "we b\"é"),
            ("time", "1970-01-01T00:00:00Z"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(event[name], value);
        }
        assert_eq!(event["data"]["failure"]["id"], "web.1");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            headers,
            [
                ("ce-specversion", "1.0"),
                ("ce-id", "2b9"),
                ("ce-source", "/notifier/mesos%252F1%2520"),
                ("ce-type", "notifier.failure"),
                ("ce-time", "1970-01-01T00:00:00Z"),
                ("ce-subject", "we%20b%22%C3%A9"),
            ]
        );
    }

    #[test]
    fn a_recovery_happens_now() {
        let notice = Arc::new(Notice::new("slack:#a", "403", Timestamp::UNIX_EPOCH));
        let now: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        let (event, _) = event_of(&Report::new(Subject::Recovery(notice)).with_now(now));
        assert_eq!(event["type"], "notifier.recovery");
        assert_eq!(event["time"], "2024-05-06T07:08:09Z");
        assert_eq!(event["source"], "/notifier/");
    }

    proptest! {
        #[test]
        fn headers_can_be_sent(name in ".*", source in ".*") {
            let mut f = FailureRecord::new("1", name, "X", Timestamp::UNIX_EPOCH);
            f.source = source;
            for (_, value) in event_of(&Report::failure(f)).1 {
                prop_assert!(is_value(&value) && !value.contains(' '), "{}", value);
            }
        }
    }
}
