//! What a function is invoked with.

use std::{collections::BTreeMap, fmt};

use notifier_runtime::{Parsed, visible};
use notifiers::{
    Document, Error, FailureRecord,
    jiff::Timestamp,
    sns_source::{self, Decoder, TopicArn},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What records of SNS name as their source.
const SNS: &str = "aws:sns";
/// What records of SQS name as their source.
const SQS: &str = "aws:sqs";
/// How many members of an unknown event are named, and how many characters of each.
const MOST_NAMED: usize = 8;
const LONGEST_NAME: usize = 40;

/// An event, read.
#[derive(Debug)]
pub(crate) struct Event {
    /// Where it comes from.
    pub(crate) origin: EventOrigin,
    /// What it carries, in its order.
    pub(crate) items: Vec<Item>,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventOrigin {
    /// Nobody in particular, with nothing in it: `{}`, `null`, no records.
    Nobody,
    /// Who invoked the function with a [`Document`].
    Caller,
    /// SNS.
    Sns,
    /// SQS: it takes an answer for each message.
    Sqs,
}

/// One message of an event.
#[derive(Debug)]
pub(crate) struct Item {
    /// What it is named by: the `MessageId` of SNS, the `messageId` of SQS, a document's id.
    pub(crate) id: String,
    /// The group of a FIFO queue within which the order is kept.
    pub(crate) group: Option<String>,
    /// What it tells, or why it is not told.
    pub(crate) letter: Result<FailureRecord, String>,
}

/// Reads events.
#[derive(Debug)]
pub(crate) struct EventReader {
    decoder: Decoder,
    /// The topics that are taken; all if there are none.
    topics: Vec<TopicArn>,
}

impl EventReader {
    /// A reader as the section `relay` says. It takes what comes from any topic if none is named.
    ///
    /// # Errors
    /// What is wrong with a topic.
    pub(crate) fn from_settings(parsed: &Parsed) -> notifiers::Result<Self> {
        let settings = parsed.backend(sns_source::OPTIONS).instance("");
        let topic = |arn: &str| {
            arn.parse()
                .map_err(|e| Error::config("relay.topics").with_source(e))
        };
        Ok(Self {
            decoder: Decoder::from_settings(&settings, parsed.program.text("label-prefix")),
            topics: settings
                .list("topics")
                .into_iter()
                .map(topic)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Reads an event's JSON. `now` is for messages that do not say when they were published.
    ///
    /// # Errors
    /// In one line, what it is that is neither records of SNS or SQS nor a document.
    pub(crate) fn read(&self, json: &str, now: Timestamp) -> Result<Event, String> {
        if json.trim() == "null" {
            return Ok(Event::nothing());
        }
        if !json.trim_start().starts_with('{') {
            return Err(format!(
                "the event is {}, and not a JSON object with Records",
                of_json(json)
            ));
        }
        let outline: Outline<'_> = serde_json::from_str(json).map_err(|e| unreadable(&e))?;
        match outline.records {
            Some(records) => self.records(records, now),
            None if outline.is_document => Document::parse(json)
                .map(Event::of_caller)
                .map_err(|e| e.report().to_string()),
            None if outline.members.is_empty() => Ok(Event::nothing()),
            None => Err(format!(
                "an event with the members {}: neither records of {SNS} or {SQS}, nor a notifier's document",
                outline.members.join(", ")
            )),
        }
    }

    fn records(&self, json: &RawValue, now: Timestamp) -> Result<Event, String> {
        let tags: Vec<Tag> = serde_json::from_str(json.get()).map_err(|e| unreadable(&e))?;
        let Some(first) = tags.first().map(|t| t.source.as_str()) else {
            return Ok(Event::nothing());
        };
        let origin = match first {
            SNS => EventOrigin::Sns,
            SQS => EventOrigin::Sqs,
            _ => return Err(not_taken(first)),
        };
        if let Some(other) = tags.iter().find(|t| t.source != first) {
            return Err(not_taken(&other.source));
        }
        let items = match origin {
            EventOrigin::Sqs => {
                let records: Vec<QueueRecord> =
                    serde_json::from_str(json.get()).map_err(|e| unreadable(&e))?;
                records.into_iter().map(|r| self.of_queue(r, now)).collect()
            }
            _ => {
                let records: Vec<TopicRecord> =
                    serde_json::from_str(json.get()).map_err(|e| unreadable(&e))?;
                let of_topic = |r: TopicRecord| Item {
                    id: r.sns.message_id.clone(),
                    group: None,
                    letter: self.of_envelope(&r.sns, now),
                };
                records.into_iter().map(of_topic).collect()
            }
        };
        Ok(Event { origin, items })
    }

    /// A message of a queue: with SNS's envelope around it, or raw.
    fn of_queue(&self, record: QueueRecord, now: Timestamp) -> Item {
        let is_fifo = record.queue.ends_with(".fifo");
        let letter = match Envelope::find(&record.body) {
            Some(envelope) => self.of_envelope(&envelope, now),
            None => {
                let attributes = record.message_attributes.unwrap_or_default();
                let attributes = attributes
                    .into_iter()
                    .filter_map(|(name, a)| Some((name, a.text.or(a.binary)?)))
                    .collect();
                let sent = record.attributes.sent.as_deref();
                let sent = sent.and_then(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok());
                Ok(self.decoder.decode(
                    &record.queue,
                    &record.message_id,
                    None,
                    &record.body,
                    &attributes,
                    sent.unwrap_or(now),
                ))
            }
        };
        Item {
            id: record.message_id,
            group: record.attributes.group.filter(|_| is_fifo),
            letter,
        }
    }

    fn of_envelope(&self, sns: &Envelope, now: Timestamp) -> Result<FailureRecord, String> {
        let topics = &self.topics;
        if !topics.is_empty() && !topics.iter().any(|t| t.as_str() == sns.topic) {
            return Err(format!(
                "the topic {} is not among relay.topics",
                visible(&sns.topic, 400)
            ));
        }
        let attributes = sns.attributes.iter().flatten();
        let attributes = attributes
            .filter_map(|(name, a)| Some((name.clone(), a.value.clone()?)))
            .collect();
        Ok(self.decoder.decode(
            &sns.topic,
            &sns.message_id,
            sns.subject.as_deref(),
            &sns.message,
            &attributes,
            sns.published
                .as_deref()
                .and_then(|t| t.parse().ok())
                .unwrap_or(now),
        ))
    }
}

impl Event {
    fn nothing() -> Self {
        Self {
            origin: EventOrigin::Nobody,
            items: Vec::new(),
        }
    }

    fn of_caller(document: Document) -> Self {
        Self {
            origin: EventOrigin::Caller,
            items: vec![Item {
                id: document.id.to_string(),
                group: None,
                letter: Ok(document.into_failure()),
            }],
        }
    }
}

/// What kind of thing a JSON text is that is no object.
fn of_json(json: &str) -> &'static str {
    match json.trim_start().bytes().next() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a truth value",
        _ => "a number",
    }
}

fn not_taken(source: &str) -> String {
    let source = match source {
        "" => "somewhere that does not say where".into(),
        _ => visible(source, LONGEST_NAME),
    };
    format!("an event from {source}; this function takes those of {SNS} and {SQS}")
}

/// Serde's text may quote what was sent: only the place is told.
fn unreadable(e: &serde_json::Error) -> String {
    format!(
        "the event is not in the form that its source documents (line {} column {})",
        e.line(),
        e.column()
    )
}

/// An event's members, without their values but for the records.
#[derive(Default)]
struct Outline<'a> {
    records: Option<&'a RawValue>,
    is_document: bool,
    /// The first few names.
    members: Vec<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Outline<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Outline<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut outline = Outline::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "Records" {
                        outline.records = Some(map.next_value()?);
                        continue;
                    }
                    outline.is_document |= name == "notifier";
                    map.next_value::<IgnoredAny>()?;
                    if outline.members.len() < MOST_NAMED {
                        let name = visible(&name, LONGEST_NAME).into_owned();
                        outline.members.push(name);
                    }
                }
                Ok(outline)
            }
        }
        from.deserialize_map(Members)
    }
}

/// A record, as far as all sources of events have it.
#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "eventSource", alias = "EventSource", default)]
    source: String,
}

/// A record of SNS. (docs.aws.amazon.com/lambda/latest/dg/with-sns.html, read 2026-11)
#[derive(Deserialize)]
struct TopicRecord {
    #[serde(rename = "Sns")]
    sns: Envelope,
}

/// A message of SNS, as records and queues have it.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Type", default)]
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
    published: Option<String>,
    #[serde(rename = "MessageAttributes")]
    attributes: Option<BTreeMap<String, Attribute>>,
}

impl Envelope {
    /// The envelope around a message of a queue, if there is one.
    fn find(body: &str) -> Option<Self> {
        if !body.trim_start().starts_with('{') {
            return None;
        }
        let envelope: Self = serde_json::from_str(body).ok()?;
        (envelope.kind == "Notification").then_some(envelope)
    }
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "Value")]
    value: Option<String>,
}

/// A record of SQS. (docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, read 2026-11)
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueRecord {
    message_id: String,
    body: String,
    #[serde(rename = "eventSourceARN", default)]
    queue: String,
    #[serde(default)]
    attributes: QueueAttributes,
    message_attributes: Option<BTreeMap<String, QueueAttribute>>,
}

/// What SQS adds.
#[derive(Default, Deserialize)]
struct QueueAttributes {
    #[serde(rename = "MessageGroupId")]
    group: Option<String>,
    /// In milliseconds since 1970.
    #[serde(rename = "SentTimestamp")]
    sent: Option<String>,
}

#[derive(Deserialize)]
struct QueueAttribute {
    #[serde(rename = "stringValue")]
    text: Option<String>,
    /// In base64.
    #[serde(rename = "binaryValue")]
    binary: Option<String>,
}

#[cfg(test)]
mod tests;
