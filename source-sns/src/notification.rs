//! What SNS posts to an HTTP endpoint.

use std::{collections::BTreeMap, fmt};

use notifier_core::jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    TopicArn,
    refusal::{Refusal, RefusalKind},
};

/// The longest id, token and version, in bytes.
const LONGEST: usize = 2048;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotificationType {
    /// Something was published.
    Notification,
    /// A subscription waits to be confirmed.
    SubscriptionConfirmation,
    /// A subscription was ended.
    UnsubscribeConfirmation,
}

impl NotificationType {
    /// The word of SNS.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// The version of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureVersion {
    /// RSA with SHA-1.
    V1,
    /// RSA with SHA-256.
    V2,
}

/// A message as SNS posts it: JSON with `Type`, `MessageId`, `TopicArn`, `Message`, `Timestamp`,
/// `SignatureVersion`, `Signature` and `SigningCertURL`; `Subject` and `MessageAttributes` where the
/// publisher gave them; `Token` and `SubscribeURL` in confirmations.
/// (docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html, read 2026-11)
///
/// Nothing of it is verified. Members that are not known are passed over. `Debug` shows what may be shown.
pub struct Notification {
    /// What it is for.
    pub kind: NotificationType,
    /// The message's id, the same for each try of a delivery.
    pub message_id: String,
    /// The topic.
    pub topic: TopicArn,
    /// What was published as the subject.
    pub subject: Option<String>,
    /// What was published.
    pub message: String,
    /// When it was published.
    pub published: Timestamp,
    /// The message's attributes by name, as text. They are not signed.
    pub attributes: BTreeMap<String, String>,
    /// The version of the signature.
    pub version: SignatureVersion,
    /// The token to confirm with.
    pub(crate) token: Option<String>,
    pub(crate) subscribe_url: Option<String>,
    /// As it was written, since that is what is signed.
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) cert_url: String,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "MessageId")]
    message_id: String,
    #[serde(rename = "TopicArn")]
    topic: String,
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Message")]
    message: String,
    #[serde(rename = "Timestamp")]
    timestamp: String,
    #[serde(rename = "SignatureVersion")]
    version: String,
    #[serde(rename = "Signature")]
    signature: String,
    #[serde(rename = "SigningCertURL")]
    cert_url: String,
    #[serde(rename = "Token")]
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    #[serde(rename = "MessageAttributes")]
    attributes: Option<BTreeMap<String, Value>>,
}

impl Notification {
    /// Reads a body.
    ///
    /// # Errors
    /// [`RefusalKind::Malformed`], [`RefusalKind::UnknownType`], or
    /// [`RefusalKind::SignatureVersion`] for one that is neither 1 nor 2.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let malformed = |why: &str| Refusal::new(RefusalKind::Malformed, why);
        // Serde's text may quote a value: only its place is told.
        let wire: Wire = serde_json::from_slice(body).map_err(|e| {
            malformed(&format!(
                "the body is no message of SNS (line {} column {})",
                e.line(),
                e.column()
            ))
        })?;
        let kind = match wire.kind.as_str() {
            "Notification" => NotificationType::Notification,
            "SubscriptionConfirmation" => NotificationType::SubscriptionConfirmation,
            "UnsubscribeConfirmation" => NotificationType::UnsubscribeConfirmation,
            _ => {
                return Err(Refusal::new(
                    RefusalKind::UnknownType,
                    "the message's type is none that SNS has",
                ));
            }
        };
        let topic = wire
            .topic
            .parse()
            .map_err(|e| malformed("TopicArn is no ARN of a topic").because(e))?;
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=128).contains(&wire.message_id.len()) || !wire.message_id.bytes().all(is_id) {
            return Err(malformed("MessageId is no id"));
        }
        let published: Timestamp = wire
            .timestamp
            .parse()
            .map_err(|_| malformed("Timestamp is no time"))?;
        let version = match wire.version.as_str() {
            "1" => SignatureVersion::V1,
            "2" => SignatureVersion::V2,
            _ => {
                return Err(Refusal::new(
                    RefusalKind::SignatureVersion,
                    "the version of the signature is neither 1 nor 2",
                ));
            }
        };
        let confirms = kind != NotificationType::Notification;
        let is_token = |t: &String| {
            (1..=LONGEST).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())
        };
        if confirms && !(wire.token.as_ref().is_some_and(is_token) && wire.subscribe_url.is_some())
        {
            return Err(malformed("a confirmation without Token and SubscribeURL"));
        }
        if wire.signature.len() > LONGEST {
            return Err(malformed("Signature is too long"));
        }
        let attributes = wire.attributes.unwrap_or_default();
        Ok(Self {
            kind,
            message_id: wire.message_id,
            topic,
            subject: wire.subject,
            message: wire.message,
            published,
            attributes: attributes
                .into_iter()
                .filter_map(|(name, a)| Some((name, a.get("Value")?.as_str()?.to_owned())))
                .collect(),
            version,
            token: wire.token,
            subscribe_url: wire.subscribe_url,
            timestamp: wire.timestamp,
            signature: wire.signature,
            cert_url: wire.cert_url,
        })
    }

    /// The text that is signed: names and values, a line each, in the order of their names.
    /// (docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html)
    pub(crate) fn signed_text(&self) -> String {
        let subject = self.subject.as_deref();
        let (subscribe, token) = (self.subscribe_url.as_deref(), self.token.as_deref());
        let is_told = self.kind == NotificationType::Notification;
        let members = [
            ("Message", Some(self.message.as_str())),
            ("MessageId", Some(self.message_id.as_str())),
            ("Subject", subject.filter(|_| is_told)),
            ("SubscribeURL", subscribe.filter(|_| !is_told)),
            ("Timestamp", Some(self.timestamp.as_str())),
            ("Token", token.filter(|_| !is_told)),
            ("TopicArn", Some(self.topic.as_str())),
            ("Type", Some(self.kind.word())),
        ];
        let mut text = String::with_capacity(self.message.len() + 512);
        for (name, value) in members {
            if let Some(value) = value {
                text.push_str(name);
                text.push('\n');
                text.push_str(value);
                text.push('\n');
            }
        }
        text
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("kind", &self.kind)
            .field("message_id", &self.message_id)
            .field("topic", &self.topic)
            .field("published", &self.published)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
            "Subject": "My First Message",
            "Message": "Hello\nworld!",
            "Timestamp": "2012-05-02T00:54:06.655Z",
            "SignatureVersion": "1",
            "Signature": "s1gn4ture",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3.pem",
            "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
            "MessageAttributes": {
                "a": {"Type": "String", "Value": "1"},
                "odd": {"Type": "String", "Value": 1},
            },
        })
    }

    fn parse(body: &Value) -> Result<Notification, Refusal> {
        Notification::parse(body.to_string().as_bytes())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut b = body();
        b[name] = value;
        b
    }

    fn without(name: &str) -> Value {
        let mut b = body();
        b.as_object_mut().unwrap().remove(name);
        b
    }

    #[test]
    fn a_notification() {
        let n = parse(&body()).unwrap();
        assert_eq!(
            n.signed_text(),
            "Message\nHello\nworld!\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\n\
             Subject\nMy First Message\nTimestamp\n2012-05-02T00:54:06.655Z\n\
             TopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\nType\nNotification\n"
        );
        assert_eq!(n.attributes, [("a".to_owned(), "1".to_owned())].into());
        assert!(!format!("{n:?}").contains("s1gn4ture"));
        for none in [without("Subject"), with("Subject", Value::Null)] {
            let text = parse(&none).unwrap().signed_text();
            assert!(!text.contains("Subject"), "{text}");
        }
        assert!(
            parse(&with("Subject", json!("")))
                .unwrap()
                .signed_text()
                .contains("Subject\n\n")
        );
    }

    #[test]
    fn a_confirmation() {
        let mut b = with("Type", json!("SubscriptionConfirmation"));
        assert_eq!(parse(&b).unwrap_err().kind(), RefusalKind::Malformed);
        b["Token"] = json!("t0k3n");
        b["SubscribeURL"] = json!("https://sns.us-west-2.amazonaws.com/?Token=t0k3n");
        let n = parse(&b).unwrap();
        assert_eq!(
            n.signed_text(),
            "Message\nHello\nworld!\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\n\
             SubscribeURL\nhttps://sns.us-west-2.amazonaws.com/?Token=t0k3n\n\
             Timestamp\n2012-05-02T00:54:06.655Z\nToken\nt0k3n\n\
             TopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\nType\nSubscriptionConfirmation\n"
        );
        assert!(!format!("{n:?}").contains("t0k3n"));
        b["Token"] = json!("t 0");
        assert!(parse(&b).is_err());
    }

    #[test]
    fn what_is_none() {
        for (b, kind) in [
            (json!([]), RefusalKind::Malformed),
            (json!({}), RefusalKind::Malformed),
            (without("MessageId"), RefusalKind::Malformed),
            (without("Message"), RefusalKind::Malformed),
            (without("Signature"), RefusalKind::Malformed),
            (without("SigningCertURL"), RefusalKind::Malformed),
            (with("Message", json!({"a": 1})), RefusalKind::Malformed),
            (with("MessageId", json!("a b")), RefusalKind::Malformed),
            (with("MessageId", json!("")), RefusalKind::Malformed),
            (
                with("TopicArn", json!("secret-text")),
                RefusalKind::Malformed,
            ),
            (
                with("Timestamp", json!("yesterday")),
                RefusalKind::Malformed,
            ),
            (
                with("Signature", json!("s".repeat(3000))),
                RefusalKind::Malformed,
            ),
            (
                with("SignatureVersion", json!("3")),
                RefusalKind::SignatureVersion,
            ),
            (with("Type", json!("Evil")), RefusalKind::UnknownType),
        ] {
            let e = parse(&b).unwrap_err();
            assert_eq!(e.kind(), kind, "{b}");
            let shown = notifier_core::Chain::new(&e).to_string();
            assert!(!shown.contains("secret-text"), "{shown}");
        }
        let twice = body()
            .to_string()
            .replacen('{', "{\"Message\": \"other\",", 1);
        assert!(Notification::parse(twice.as_bytes()).is_err());
        let deep = format!("{{\"Type\": {}", "[".repeat(100_000));
        assert!(Notification::parse(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Notification::parse(&bytes);
        }
    }
}
