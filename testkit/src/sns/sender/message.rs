//! A message as SNS posts it.

use std::{collections::BTreeMap, fmt::Write as _, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Map, Value, json};

use crate::http::wall_clock;

/// What SNS posts: a JSON object in a plain text body, with headers that repeat some of it. What is
/// changed after it was signed makes it a forgery.
#[derive(Clone, Debug)]
pub struct SnsMessage {
    fields: Map<String, Value>,
    raw: bool,
    query: Option<String>,
    extra: BTreeMap<String, String>,
}

impl SnsMessage {
    pub(super) fn notification(topic: &str, id: &str, message: &str) -> Self {
        Self::of(json!({
            "Type": "Notification",
            "MessageId": id,
            "TopicArn": topic,
            "Message": message,
            "Timestamp": timestamp(wall_clock()),
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        }))
    }

    pub(super) fn confirmation(topic: &str, id: &str, token: &str, base: &str) -> Self {
        Self::of(json!({
            "Type": "SubscriptionConfirmation",
            "MessageId": id,
            "TopicArn": topic,
            "Message": format!("You have chosen to subscribe to the topic {topic}.\nTo confirm the subscription, visit the SubscribeURL included in this message."),
            "Token": token,
            "SubscribeURL": format!("{base}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}"),
            "Timestamp": timestamp(wall_clock()),
        }))
    }

    pub(super) fn version_1(signature: &str) -> Self {
        Self::of(json!({
            "Type": "Notification",
            "MessageId": "266ab798-3e00-511e-9368-f8afdaa6e23b",
            "TopicArn": super::SnsSender::TOPIC,
            "Subject": "fleet",
            "Message": "ALERT - CoreOS unit failure: my_app@1 unit failed. Host: worker-17 platform: staging",
            "Timestamp": "2026-01-02T03:04:05.678Z",
            "SignatureVersion": "1",
            "Signature": signature,
        }))
    }

    fn of(value: Value) -> Self {
        let Value::Object(fields) = value else {
            unreachable!("an object")
        };
        Self {
            fields,
            raw: false,
            query: None,
            extra: BTreeMap::new(),
        }
    }

    /// Sets a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a member out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.remove(name);
        self
    }

    /// Adds a message attribute of type String. Attributes are not signed.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        let all = self.fields.entry("MessageAttributes").or_insert(json!({}));
        all[name] = json!({"Type": "String", "Value": value});
        self
    }

    /// Publishes it so many seconds ago. Sign it again afterwards.
    #[must_use]
    pub fn published_ago(self, seconds: u64) -> Self {
        let at = wall_clock() - std::time::Duration::from_secs(seconds);
        self.with("Timestamp", timestamp(at))
    }

    /// Posts it as a raw delivery: the message alone, what else there is in headers.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Posts it with one more header, such as `Authorization`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.extra.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Posts it with this query in place of the endpoint's.
    #[must_use]
    pub fn with_query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    /// The query that it is posted with, if it has one of its own.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// A member that is text; empty if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// The message's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.get("MessageId")
    }

    /// The body as it is posted.
    ///
    /// # Panics
    /// Never: text makes JSON.
    #[must_use]
    pub fn body(&self) -> String {
        match self.raw {
            true => self.get("Message").to_owned(),
            false => serde_json::to_string_pretty(&self.fields).expect("text members make JSON"),
        }
    }

    /// The headers as they are posted, names and values.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            (
                "User-Agent".to_owned(),
                "Amazon Simple Notification Service Agent".to_owned(),
            ),
            (
                "Content-Type".to_owned(),
                "text/plain; charset=UTF-8".to_owned(),
            ),
            (
                "x-amz-sns-message-type".to_owned(),
                self.get("Type").to_owned(),
            ),
            ("x-amz-sns-message-id".to_owned(), self.id().to_owned()),
            (
                "x-amz-sns-topic-arn".to_owned(),
                self.get("TopicArn").to_owned(),
            ),
        ];
        if self.raw {
            headers.push(("x-amz-sns-rawdelivery".to_owned(), "true".to_owned()));
        }
        headers.extend(self.extra.clone());
        headers
    }

    pub(super) fn sign(self, key: &KeyPair) -> Self {
        let names: &[&str] = match self.get("Type") {
            "Notification" => &[
                "Message",
                "MessageId",
                "Subject",
                "Timestamp",
                "TopicArn",
                "Type",
            ],
            _ => &[
                "Message",
                "MessageId",
                "SubscribeURL",
                "Timestamp",
                "Token",
                "TopicArn",
                "Type",
            ],
        };
        let mut text = String::new();
        for name in names.iter().filter(|name| self.fields.contains_key(**name)) {
            let _ = write!(text, "{name}\n{}\n", self.get(name));
        }
        let signature = key.sign(text.as_bytes()).expect("RSA signs any text");
        self.with("SignatureVersion", "2")
            .with("Signature", STANDARD.encode(signature))
    }
}

/// `2026-01-02T03:04:05.678Z`.
fn timestamp(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_of_sns() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
        assert_eq!(timestamp(at), "2026-01-02T03:04:05.678Z");
        assert_eq!(
            timestamp(SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z"
        );
    }
}
