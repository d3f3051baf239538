//! What a notification tells, as a failure.

use std::collections::BTreeMap;

use notifier_core::{DEFAULT_PREFIX, Document, FailureKey, FailureRecord, jiff::Timestamp, redact};

/// The state of a failure that was a plain text.
pub const NOTIFICATION: &str = "NOTIFICATION";

/// What the names of attributes begin with that become labels, beside the labels' own prefix.
const OURS: &str = "notifier.";

/// Attributes of the reporter `sns`, for filter policies. As they are not signed, they say nothing here.
const FOR_FILTERS: [&str; 2] = ["notifier.id", "notifier.kind"];

/// How a plain text is told, as `.failure.Details.text`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextForm {
    /// As it is.
    #[default]
    Plain,
    /// As a JSON string, in quotes and with line breaks as `\n`.
    Json,
}

/// Makes failures of notifications.
///
/// * A [`Document`] becomes the failure that it tells of, whole. Its key is of the document's id, so one
///   that is published twice is told once.
/// * Any other text becomes a failure in the state [`NOTIFICATION`]: id and key are of the message's
///   id, the name is the subject or else the topic's name, the message is the text. In its
///   details are `text`, `topic` (the ARN), and `subject` if there is one. The source is the topic's name.
/// * A document that cannot be read is told as a plain text, with a warning in the log.
///
/// Attributes are added: `complainer_…` (the labels' prefix) as the label of that name,
/// `notifier.A.B` as the label `complainer_A_B`, all others as details. What the document says is
/// stronger. Those that [are secret](redact::is_secret_label) are no details.
///
/// ```
/// use notifier_core::jiff::Timestamp;
/// use source_sns::Decoder;
///
/// let topic = "arn:aws:sns:eu-west-1:123456789012:fleet-alert";
/// let attributes = [("notifier.slack.channel".to_owned(), "#ops".to_owned())].into();
/// let told = Decoder::new().decode(topic, "0d7c…", None, "disk full", &attributes, Timestamp::UNIX_EPOCH);
/// assert_eq!((told.name.as_str(), told.details["text"].as_str()), ("fleet-alert", "disk full"));
/// assert_eq!(told.labels["complainer_slack_channel"], "#ops");
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    text: TextForm,
    prefix: String,
    labels: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Plain texts as they are, and labels that begin with `complainer`.
    pub fn new() -> Self {
        Self {
            text: TextForm::default(),
            prefix: DEFAULT_PREFIX.to_owned(),
            labels: true,
        }
    }

    /// How plain texts are told.
    #[must_use]
    pub fn text(mut self, form: TextForm) -> Self {
        self.text = form;
        self
    }

    /// What routing labels begin with. Default `complainer`.
    #[must_use]
    pub fn label_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Whether attributes may be labels. Default true. Those that may not are left out.
    #[must_use]
    pub fn attribute_labels(mut self, may: bool) -> Self {
        self.labels = may;
        self
    }

    /// The failure that a notification tells of. `attributes` are its message attributes by name;
    /// `timestamp` is when it was published.
    pub fn decode(
        &self,
        topic_arn: &str,
        message_id: &str,
        subject: Option<&str>,
        message: &str,
        attributes: &BTreeMap<String, String>,
        timestamp: Timestamp,
    ) -> FailureRecord {
        let mut failure = match Document::looks_like(message) {
            true => match Document::parse(message) {
                Ok(document) => Some(document.into_failure()),
                Err(e) => {
                    tracing::warn!(
                        topic = topic_arn,
                        message_id,
                        error = %e.report(),
                        "a document cannot be read, and is told as the text that it is"
                    );
                    None
                }
            },
            false => None,
        }
        .unwrap_or_else(|| self.of_text(topic_arn, message_id, subject, message, timestamp));
        for (name, value) in attributes {
            if FOR_FILTERS.contains(&name.as_str()) {
                continue;
            }
            match self.label_of(name) {
                Some(label) if self.labels => {
                    failure.labels.entry(label).or_insert_with(|| value.clone());
                }
                None if !redact::is_secret_label(name, value) => {
                    let detail = failure.details.entry(name.clone());
                    detail.or_insert_with(|| value.clone());
                }
                _ => {}
            }
        }
        failure
    }

    fn of_text(
        &self,
        topic_arn: &str,
        message_id: &str,
        subject: Option<&str>,
        message: &str,
        timestamp: Timestamp,
    ) -> FailureRecord {
        let topic = topic_arn.rsplit(':').next().unwrap_or(topic_arn);
        let subject = subject.filter(|s| !s.trim().is_empty());
        let name = subject.unwrap_or(topic);
        let mut f = FailureRecord::new(message_id, name, NOTIFICATION, timestamp)
            .with_detail("topic", topic_arn)
            .with_detail(
                "text",
                match self.text {
                    TextForm::Plain => message.to_owned(),
                    TextForm::Json => serde_json::Value::from(message).to_string(),
                },
            );
        if let Some(subject) = subject {
            f = f.with_detail("subject", subject);
        }
        f.message = Some(message.to_owned());
        topic.clone_into(&mut f.source);
        f.key = FailureKey::of_parts(["sns", topic_arn, message_id]);
        f
    }

    /// The label that an attribute is, if it is one.
    fn label_of(&self, attribute: &str) -> Option<String> {
        let prefix = &self.prefix;
        if let Some(rest) = attribute.strip_prefix(OURS) {
            return Some(format!("{prefix}_{}", rest.replace('.', "_")));
        }
        let rest = attribute.strip_prefix(prefix.as_str())?;
        rest.starts_with('_').then(|| attribute.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::{DeliveryId, Report};
    use proptest::prelude::*;

    use super::*;

    const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";

    fn none() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn pairs<const N: usize>(of: [(&str, &str); N]) -> BTreeMap<String, String> {
        of.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn decode(message: &str, attributes: &BTreeMap<String, String>) -> FailureRecord {
        Decoder::new().decode(
            TOPIC,
            "id-1",
            None,
            message,
            attributes,
            Timestamp::UNIX_EPOCH,
        )
    }

    fn document(id: &str) -> String {
        let mut f = FailureRecord::new("web.1", "web.service", "EXIT_CODE", Timestamp::UNIX_EPOCH)
            .with_label("complainer_slack_channel", "#team")
            .with_detail("unit", "web.service");
        f.source = "systemd".to_owned();
        Document::of(&Report::failure(f), &DeliveryId::new(id), "text").to_json()
    }

    #[test]
    fn a_text_is_a_notification() {
        let f = decode("disk\n\"full\"", &none());
        assert_eq!(
            (f.id.as_str(), f.name.as_str(), f.state.as_str()),
            ("id-1", "alerts", NOTIFICATION)
        );
        assert_eq!(f.message.as_deref(), Some("disk\n\"full\""));
        assert_eq!(f.source, "alerts");
        assert_eq!(
            f.details,
            pairs([("text", "disk\n\"full\""), ("topic", TOPIC)])
        );
        let again =
            |id| Decoder::new().decode(TOPIC, id, Some("S"), "x", &none(), Timestamp::UNIX_EPOCH);
        assert_eq!(again("id-1").key, f.key);
        assert_ne!(again("id-2").key, f.key);
        assert_eq!(again("id-2").name, "S");
        assert_eq!(again("id-2").details["subject"], "S");
        let json = Decoder::new().text(TextForm::Json).decode(
            TOPIC,
            "1",
            Some(" "),
            "disk\n\"full\"",
            &none(),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(json.details["text"], r#""disk\n\"full\"""#);
        assert_eq!(json.name, "alerts");
    }

    #[test]
    fn a_document_is_the_failure_it_tells_of() {
        let f = decode(&document("d1"), &none());
        assert_eq!(
            (f.name.as_str(), f.state.as_str()),
            ("web.service", "EXIT_CODE")
        );
        assert_eq!(f.source, "systemd");
        assert!(!f.details.contains_key("text"));
        let other = Decoder::new().decode(
            TOPIC,
            "id-2",
            None,
            &document("d1"),
            &none(),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            other.key, f.key,
            "two messages of one document are told once"
        );
        assert_ne!(decode(&document("d2"), &none()).key, f.key);
    }

    #[test]
    fn a_broken_document_is_told_as_its_text() {
        for text in [
            document("d1").replace("\"notifier\":1", "\"notifier\":9"),
            "{\"notifier\": 1, \"kind\": \"failure\"}".to_owned(),
        ] {
            let f = decode(&text, &none());
            assert_eq!(
                (f.state.as_str(), &f.details["text"]),
                (NOTIFICATION, &text)
            );
        }
    }

    #[test]
    fn attributes_are_labels_and_details() {
        let attributes = pairs([
            ("complainer_slack_channel", "#mine"),
            ("notifier.slack.username", "relay"),
            ("complainers", "no label"),
            ("notifier.id", "2b9"),
            ("notifier.kind", "failure"),
            ("env", "prod"),
            ("text", "not this"),
            ("db_password", "hunter2"),
        ]);
        let f = decode("x", &attributes);
        assert_eq!(
            f.labels,
            pairs([
                ("complainer_slack_channel", "#mine"),
                ("complainer_slack_username", "relay"),
            ])
        );
        assert_eq!(
            f.details,
            pairs([
                ("complainers", "no label"),
                ("env", "prod"),
                ("text", "x"),
                ("topic", TOPIC)
            ])
        );
        let f = decode(&document("d"), &attributes);
        assert_eq!(f.labels["complainer_slack_channel"], "#team");
        assert_eq!(f.details["env"], "prod");
        let none = Decoder::new().attribute_labels(false).decode(
            TOPIC,
            "1",
            None,
            "x",
            &attributes,
            Timestamp::UNIX_EPOCH,
        );
        assert!(none.labels.is_empty());
        assert!(!none.details.contains_key("notifier.slack.username"));
        let other = Decoder::new().label_prefix("ops").decode(
            TOPIC,
            "1",
            None,
            "x",
            &pairs([("notifier.a.b", "1"), ("ops_c", "2"), ("complainer_d", "3")]),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(other.labels, pairs([("ops_a_b", "1"), ("ops_c", "2")]));
    }

    proptest! {
        #[test]
        fn any_text_is_told_whole(text in ".*", subject in proptest::option::of(".*")) {
            prop_assume!(!Document::looks_like(&text));
            let f = Decoder::new().decode(TOPIC, "1", subject.as_deref(), &text, &none(), Timestamp::UNIX_EPOCH);
            prop_assert_eq!(&f.details["text"], &text);
            prop_assert!(!f.name.trim().is_empty());
        }
    }
}
