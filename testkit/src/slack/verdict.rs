//! The documented limits of incoming webhooks.

use serde_json::Value;

use crate::http::Request;

/// Characters of a text that survive; the rest is cut off.
pub(crate) const MAX_TEXT: usize = 40_000;
/// Blocks in a message.
const MAX_BLOCKS: usize = 50;
/// Characters in the text of a section.
const MAX_SECTION: usize = 3000;
/// Fields of a section, and characters in each.
const MAX_FIELDS: (usize, usize) = (10, 2000);
/// Characters in a header.
const MAX_HEADER: usize = 150;
/// Elements of a context.
const MAX_CONTEXT: usize = 10;
/// Characters of all blocks together; not documented, observed.
const MAX_BLOCK_CHARACTERS: usize = 13_200;
/// Old attachments in a message.
const MAX_ATTACHMENTS: usize = 100;

/// A refusal: status and word.
pub(crate) type Refusal = (u16, &'static str);

const INVALID: Refusal = (400, "invalid_payload");
const BLOCKS: Refusal = (400, "invalid_blocks");

/// The payload of a request: its JSON, or the form field `payload`.
pub(crate) fn payload(request: &Request) -> Result<Value, Refusal> {
    if request.method != "POST" {
        return Err(INVALID);
    }
    let form = request.header("Content-Type").is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("application/x-www-form-urlencoded")
    });
    let parsed = if form {
        let field = request
            .form()
            .into_iter()
            .find(|(name, _)| name == "payload");
        field.and_then(|(_, text)| serde_json::from_str(&text).ok())
    } else {
        request.json()
    };
    parsed.filter(Value::is_object).ok_or(INVALID)
}

/// Judges a payload.
pub(crate) fn judge(payload: &Value) -> Result<(), Refusal> {
    for name in [
        "text",
        "channel",
        "username",
        "icon_emoji",
        "icon_url",
        "thread_ts",
    ] {
        if payload
            .get(name)
            .is_some_and(|value| !value.is_string() && !value.is_null())
        {
            return Err(INVALID);
        }
    }
    let list = |name| match payload.get(name) {
        None | Some(Value::Null) => Ok(&[][..]),
        Some(Value::Array(list)) => Ok(list.as_slice()),
        Some(_) => Err(INVALID),
    };
    let (blocks, attachments) = (list("blocks")?, list("attachments")?);
    let text = payload
        .get("text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if text.is_empty() && blocks.is_empty() && attachments.is_empty() {
        return Err((400, "no_text"));
    }
    if attachments.len() > MAX_ATTACHMENTS {
        return Err((400, "too_many_attachments"));
    }
    if blocks.len() > MAX_BLOCKS || !blocks.iter().all(block_is_valid) {
        return Err(BLOCKS);
    }
    if blocks.iter().map(characters).sum::<usize>() > MAX_BLOCK_CHARACTERS {
        return Err(BLOCKS);
    }
    Ok(())
}

/// The larger of the two ways to count characters.
pub(crate) fn count(text: &str) -> usize {
    text.chars().count().max(text.encode_utf16().count())
}

fn text_of(object: Option<&Value>) -> Option<&str> {
    object?.get("text")?.as_str()
}

fn block_is_valid(block: &Value) -> bool {
    let text = text_of(block.get("text"));
    match block.get("type").and_then(Value::as_str) {
        Some("section") => {
            let fields = block.get("fields").and_then(Value::as_array);
            let fields_fit = fields.is_none_or(|fields| {
                fields.len() <= MAX_FIELDS.0
                    && fields
                        .iter()
                        .all(|field| text_of(Some(field)).is_some_and(|t| count(t) <= MAX_FIELDS.1))
            });
            let text_fits = match block.get("text") {
                None => fields.is_some(),
                Some(_) => text.is_some_and(|text| (1..=MAX_SECTION).contains(&count(text))),
            };
            fields_fit && text_fits
        }
        Some("header") => {
            let plain = block.pointer("/text/type").and_then(Value::as_str) == Some("plain_text");
            plain && text.is_some_and(|text| (1..=MAX_HEADER).contains(&count(text)))
        }
        Some("context") => block
            .get("elements")
            .and_then(Value::as_array)
            .is_some_and(|elements| (1..=MAX_CONTEXT).contains(&elements.len())),
        Some(_) => true,
        None => false,
    }
}

/// The characters of all strings under a `text` key.
fn characters(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if name == "text" => count(text),
                _ => characters(value),
            })
            .sum(),
        Value::Array(list) => list.iter().map(characters).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_are_judged_by_the_documented_limits() {
        let section =
            |n| json!({"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(n)}});
        let header =
            |n| json!({"type": "header", "text": {"type": "plain_text", "text": "x".repeat(n)}});
        for (payload, verdict) in [
            (json!({"text": "hi"}), Ok(())),
            (json!({"text": "x".repeat(50_000)}), Ok(())),
            (json!({"text": "", "channel": "#a"}), Err((400, "no_text"))),
            (json!({}), Err((400, "no_text"))),
            (json!({"text": 3}), Err(INVALID)),
            (json!({"text": "a", "channel": 3}), Err(INVALID)),
            (json!({"text": "a", "icon_url": {}}), Err(INVALID)),
            (json!({"blocks": {}}), Err(INVALID)),
            (json!({"blocks": [section(3000)]}), Ok(())),
            (json!({"blocks": [section(3001)]}), Err(BLOCKS)),
            (json!({"blocks": [section(0)]}), Err(BLOCKS)),
            (json!({"blocks": vec![section(10); 50]}), Ok(())),
            (json!({"blocks": vec![section(10); 51]}), Err(BLOCKS)),
            (json!({"blocks": vec![section(2900); 5]}), Err(BLOCKS)),
            (json!({"blocks": [header(150)]}), Ok(())),
            (json!({"blocks": [header(151)]}), Err(BLOCKS)),
            (json!({"blocks": [{"text": "x"}]}), Err(BLOCKS)),
            (json!({"attachments": vec![json!({}); 100]}), Ok(())),
            (
                json!({"attachments": vec![json!({}); 101]}),
                Err((400, "too_many_attachments")),
            ),
        ] {
            let start: String = payload.to_string().chars().take(80).collect();
            assert_eq!(judge(&payload), verdict, "{start}");
        }
    }

    #[test]
    fn characters_are_counted_the_larger_way() {
        assert_eq!(count("aé"), 2);
        assert_eq!(count("🙂"), 2);
    }
}
