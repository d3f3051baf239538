use notifiers::{DeliveryId, Report};
use serde_json::{Value, json};

use super::*;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:fleet-alert";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:alerts";

fn reader() -> EventReader {
    reader_of(&[])
}

fn reader_of(topics: &[&str]) -> EventReader {
    EventReader {
        decoder: Decoder::new(),
        topics: topics.iter().map(|t| t.parse().unwrap()).collect(),
    }
}

fn read(event: &Value) -> Result<Event, String> {
    reader().read(&event.to_string(), Timestamp::UNIX_EPOCH)
}

fn envelope(id: &str, message: &str) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": TOPIC,
        "Subject": null,
        "Message": message,
        "Timestamp": "2026-01-09T11:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "c2ln",
        "MessageAttributes": {"env": {"Type": "String", "Value": "prod"}},
    })
}

fn sns(message: &str) -> Value {
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": format!("{TOPIC}:1"),
        "Sns": envelope("m-1", message),
    }]})
}

fn queued(id: &str, body: &str, queue: &str, group: Option<&str>) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": "r",
        "body": body,
        "attributes": {"SentTimestamp": "1767956400000", "MessageGroupId": group},
        "messageAttributes": {"env": {"stringValue": "prod", "dataType": "String", "stringListValues": []}},
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
    })
}

fn document() -> String {
    let f = FailureRecord::new("web.1", "web.service", "EXIT_CODE", Timestamp::UNIX_EPOCH);
    Document::of(&Report::failure(f), &DeliveryId::new("d-1"), "text").to_json()
}

#[test]
fn records_of_sns() {
    let event = read(&sns("unit failed")).unwrap();
    assert_eq!(event.origin, EventOrigin::Sns);
    let [item] = &event.items[..] else { panic!() };
    let letter = item.letter.as_ref().unwrap();
    assert_eq!((item.id.as_str(), &item.group), ("m-1", &None));
    assert_eq!(letter.message.as_deref(), Some("unit failed"));
    assert_eq!(letter.details["topic"], TOPIC);
    assert_eq!(letter.details["env"], "prod");
    assert_eq!(letter.finished.to_string(), "2026-01-09T11:00:00Z");
    let event = read(&sns(&document())).unwrap();
    assert_eq!(event.items[0].letter.as_ref().unwrap().name, "web.service");
}

#[test]
fn a_queue_in_between_changes_nothing_of_what_is_told() {
    let direct = read(&sns("unit failed")).unwrap();
    let body = envelope("m-1", "unit failed").to_string();
    let event = read(&json!({"Records": [queued("q-1", &body, QUEUE, Some("g"))]})).unwrap();
    assert_eq!(event.origin, EventOrigin::Sqs);
    assert_eq!(event.items[0].id, "q-1");
    assert_eq!(
        event.items[0].group, None,
        "a standard queue keeps no order"
    );
    assert_eq!(
        event.items[0].letter.as_ref().unwrap(),
        direct.items[0].letter.as_ref().unwrap()
    );
}

#[test]
fn raw_messages_of_a_queue() {
    let fifo = format!("{QUEUE}.fifo");
    let event = read(&json!({"Records": [
        queued("q-1", "disk full", &fifo, Some("g")),
        queued("q-2", &document(), &fifo, Some("h")),
        queued("q-3", "{\"Type\": \"Other\"}", &fifo, None),
    ]}))
    .unwrap();
    let letters: Vec<&FailureRecord> = event
        .items
        .iter()
        .map(|i| i.letter.as_ref().unwrap())
        .collect();
    assert_eq!(letters[0].name, "alerts.fifo");
    assert_eq!(letters[0].details["env"], "prod");
    assert_eq!(letters[0].finished.as_millisecond(), 1_767_956_400_000);
    assert_eq!(letters[1].name, "web.service");
    assert_eq!(letters[2].details["text"], "{\"Type\": \"Other\"}");
    let groups: Vec<_> = event.items.iter().map(|i| i.group.as_deref()).collect();
    assert_eq!(groups, [Some("g"), Some("h"), None]);
}

#[test]
fn a_foreign_topic_is_refused_alone() {
    let other = "arn:aws:sns:eu-west-1:123456789012:other";
    let mut foreign = envelope("m-2", "x");
    foreign["TopicArn"] = other.into();
    let event = json!({"Records": [
        queued("q-1", &envelope("m-1", "x").to_string(), QUEUE, None),
        queued("q-2", &foreign.to_string(), QUEUE, None),
        queued("q-3", "raw", QUEUE, None),
    ]});
    let event = reader_of(&[TOPIC])
        .read(&event.to_string(), Timestamp::UNIX_EPOCH)
        .unwrap();
    let taken: Vec<bool> = event.items.iter().map(|i| i.letter.is_ok()).collect();
    assert_eq!(taken, [true, false, true]);
    let why = event.items[1].letter.as_ref().unwrap_err();
    assert!(why.contains(other) && why.contains("relay.topics"), "{why}");
}

#[test]
fn a_document_by_itself() {
    let event = reader().read(&document(), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(
        (event.origin, event.items[0].id.as_str()),
        (EventOrigin::Caller, "d-1")
    );
    let why = read(&json!({"notifier": 7})).unwrap_err();
    assert!(why.contains("version 7"), "{why}");
}

#[test]
fn nothing_is_no_error() {
    for nothing in [json!({}), json!(null), json!({"Records": []})] {
        let event = read(&nothing).unwrap();
        assert_eq!((event.origin, event.items.len()), (EventOrigin::Nobody, 0));
    }
}

#[test]
fn what_is_not_known_is_named() {
    let mut mixed = sns("x");
    let other = queued("q", "x", QUEUE, None);
    mixed["Records"].as_array_mut().unwrap().push(other);
    for (event, says) in [
        (
            json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]}),
            "from aws:s3",
        ),
        (json!({"Records": [{"kinesis": {}}]}), "does not say where"),
        (mixed, "from aws:sqs"),
        (json!({"key1": "value1", "key2": 1}), "members key1, key2"),
        (json!({"a\u{1b}[31m": 1}), "members a\\u{1b}[31m"),
        (json!([1]), "an array"),
        (json!("x"), "a string"),
        (json!(7), "a number"),
        (json!(true), "a truth value"),
        (json!({"Records": 7}), "documents (line"),
        (
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"MessageId": "s3cr3t"}}]}),
            "documents (line",
        ),
        (
            json!({"Records": [{"eventSource": "aws:sqs", "body": "s3cr3t"}]}),
            "documents (line",
        ),
    ] {
        let why = read(&event).unwrap_err();
        assert!(
            why.contains(says) && why.lines().count() == 1,
            "{event}: {why}"
        );
        assert!(!why.contains("s3cr3t") && !why.contains("value1"), "{why}");
    }
    let many: serde_json::Map<String, Value> =
        (0..100).map(|n| (format!("{n:0>80}"), json!(n))).collect();
    assert!(read(&Value::from(many)).unwrap_err().len() < 800);
}
