//! The documented limits of room notifications.

use serde_json::Value;

/// Characters of a message.
const MAX_MESSAGE: usize = 10_000;
/// Characters of a sender's name.
const MAX_FROM: usize = 64;
/// Characters of a card's title.
const MAX_TITLE: usize = 500;
const COLORS: [&str; 6] = ["yellow", "green", "red", "purple", "gray", "random"];
const STYLES: [&str; 5] = ["file", "image", "application", "link", "media"];

/// Judges a notification; what is wrong with it otherwise.
pub(crate) fn judge(body: &Value) -> Result<(), &'static str> {
    if !body.is_object() {
        return Err("the body is not a JSON object");
    }
    let message = body["message"].as_str().ok_or("message is not a string")?;
    if !(1..=MAX_MESSAGE).contains(&count(message)) {
        return Err("message must have 1 to 10000 characters");
    }
    one_of(
        body,
        "message_format",
        &["html", "text"],
        "message_format must be html or text",
    )?;
    one_of(body, "color", &COLORS, "color is none of the six")?;
    if !body["notify"].is_boolean() && !body["notify"].is_null() {
        return Err("notify must be a boolean");
    }
    match &body["from"] {
        Value::Null => {}
        Value::String(from) if count(from) <= MAX_FROM => {}
        _ => return Err("from must be a string of at most 64 characters"),
    }
    match &body["card"] {
        Value::Null => Ok(()),
        Value::Object(_) => card(&body["card"]),
        _ => Err("card must be an object"),
    }
}

fn card(card: &Value) -> Result<(), &'static str> {
    one_of(card, "style", &STYLES, "card.style is none of the five")?;
    let long = |name: &str| card[name].as_str().map(count);
    if card["style"].is_null() || long("id").unwrap_or_default() == 0 {
        return Err("a card must have style and id");
    }
    if !long("title").is_some_and(|n| (1..=MAX_TITLE).contains(&n)) {
        return Err("card.title must have 1 to 500 characters");
    }
    Ok(())
}

fn one_of(of: &Value, name: &str, words: &[&str], why: &'static str) -> Result<(), &'static str> {
    match &of[name] {
        Value::Null => Ok(()),
        Value::String(word) if words.contains(&word.as_str()) => Ok(()),
        _ => Err(why),
    }
}

/// The larger of the two ways to count characters.
fn count(text: &str) -> usize {
    text.chars().count().max(text.encode_utf16().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notifications_are_judged_by_the_documented_limits() {
        for (body, ok) in [
            (json!({"message": "hi"}), true),
            (
                json!({"message": "hi", "message_format": "text", "color": "gray", "notify": false, "from": "a"}),
                true,
            ),
            (json!({"message": "é".repeat(10_000)}), true),
            (json!({"message": "é".repeat(10_001)}), false),
            (json!({"message": "🙂".repeat(5_001)}), false),
            (json!({"message": ""}), false),
            (json!({"message": 3}), false),
            (json!({}), false),
            (json!([]), false),
            (json!({"message": "a", "message_format": "HTML"}), false),
            (json!({"message": "a", "color": "blue"}), false),
            (json!({"message": "a", "notify": "yes"}), false),
            (json!({"message": "a", "from": "x".repeat(64)}), true),
            (json!({"message": "a", "from": "x".repeat(65)}), false),
            (json!({"message": "a", "card": "x"}), false),
            (
                json!({"message": "a", "card": {"style": "link", "id": "1"}}),
                false,
            ),
            (
                json!({"message": "a", "card": {"style": "link", "id": "1", "title": "t"}}),
                true,
            ),
            (
                json!({"message": "a", "card": {"style": "x", "id": "1", "title": "t"}}),
                false,
            ),
        ] {
            let start: String = body.to_string().chars().take(80).collect();
            assert_eq!(judge(&body).is_ok(), ok, "{start}");
        }
    }
}
