//! What may be published: the documented limits
//! (docs.aws.amazon.com/sns/latest/api/API_Publish.html and …/dg/sns-message-attributes.html, read 2026).

use super::publish::{Published, Refusal};

/// The most bytes of a message and its attributes.
const MAX_SIZE: usize = 262_144;
/// The most characters of a subject.
const MAX_SUBJECT: usize = 100;
/// The most characters of a group or of an id in a FIFO topic.
const MAX_ID: usize = 128;
/// The most bytes of a text message.
const MAX_SMS: usize = 1_600;

fn refused(what: &str) -> Result<(), Refusal> {
    Err(Refusal::new(
        400,
        "InvalidParameter",
        format!("Invalid parameter: {what}"),
    ))
}

/// Whether SNS takes it for a topic of this kind.
pub(super) fn judge(m: &Published, is_fifo: bool) -> Result<(), Refusal> {
    if m.message.is_empty() {
        return refused("Empty message");
    }
    let attributes = m.attributes.iter();
    let around: usize = attributes
        .map(|(n, (t, v))| n.len() + t.len() + v.len())
        .sum();
    if m.message.len() + around > MAX_SIZE {
        return refused("Message too long");
    }
    if let Some(subject) = &m.subject {
        let is_fit = (1..=MAX_SUBJECT).contains(&subject.len())
            && subject.bytes().all(|b| (b' '..=b'~').contains(&b))
            && !subject.starts_with(' ');
        if !is_fit {
            return refused("Subject");
        }
    }
    if m.is_structured {
        structure(&m.message)?;
    }
    if !m.message.chars().all(is_taken) {
        return refused("Message has characters that are not allowed");
    }
    if m.attributes.len() > 10 {
        return refused("more attributes than a queue with raw delivery takes");
    }
    for (name, (kind, value)) in &m.attributes {
        attribute(name, kind, value)?;
    }
    match (is_fifo, &m.group, &m.dedup) {
        (true, None, _) => refused("The MessageGroupId parameter is required for FIFO topics"),
        (true, _, None) => refused(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        ),
        (false, _, Some(_)) => refused("MessageDeduplicationId Reason: not a FIFO topic"),
        _ => [&m.group, &m.dedup]
            .into_iter()
            .flatten()
            .all(|id| (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
            .then_some(())
            .ok_or_else(|| {
                Refusal::new(
                    400,
                    "InvalidParameter",
                    "Invalid parameter: an id of FIFO".into(),
                )
            }),
    }
}

/// `MessageStructure=json`: an object of strings, with `default`.
fn structure(message: &str) -> Result<(), Refusal> {
    let Ok(serde_json::Value::Object(each)) = serde_json::from_str(message) else {
        return refused("Message Structure - JSON message body failed to parse");
    };
    if !each.values().all(serde_json::Value::is_string) {
        return refused("Message Structure - a value is no string");
    }
    if !each.contains_key("default") {
        return refused("Message Structure - No default entry in JSON message body");
    }
    if each["default"].as_str() == Some("") {
        return refused("Message Structure - Empty default entry");
    }
    match each.get("sms").and_then(|v| v.as_str()) {
        Some(sms) if sms.len() > MAX_SMS => refused("a text message of more than 1,600 bytes"),
        _ => Ok(()),
    }
}

fn attribute(name: &str, kind: &str, value: &str) -> Result<(), Refusal> {
    let lower = name.to_ascii_lowercase();
    let is_name = (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.");
    if !is_name {
        return refused("the name of an attribute");
    }
    if !matches!(kind, "String" | "String.Array" | "Number" | "Binary") {
        return refused("the type of an attribute");
    }
    if value.is_empty() || !value.chars().all(is_taken) {
        return Err(Refusal::new(
            400,
            "ParameterValueInvalid",
            format!(
                "The message attribute '{name}' must contain non-empty message attribute value"
            ),
        ));
    }
    Ok(())
}

/// The characters of XML 1.0.
fn is_taken(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
