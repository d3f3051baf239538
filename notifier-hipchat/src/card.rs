//! The card that is shown in place of the message.

use notifier_core::{DeliveryId, Error, ErrorKind, Result};
use serde_json::{Map, Value};

/// The longest card, in bytes of JSON.
pub const MAX_CARD: usize = 16 * 1024;

/// The card that a template gave, with the delivery's id unless it has one; `None` if it
/// gave nothing.
pub(crate) fn card(text: &str, id: &DeliveryId) -> Result<Option<Map<String, Value>>> {
    let wrong = |kind, what: &str| {
        Error::new(
            kind,
            format!("hipchat.card {what}; the message was sent without it"),
        )
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MAX_CARD {
        return Err(wrong(ErrorKind::TooLarge, "gave more than 16 KiB"));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(mut card)) => {
            // By it clients know a card that comes a second time.
            card.entry("id").or_insert_with(|| id.as_str().into());
            Ok(Some(card))
        }
        Ok(_) => Err(wrong(ErrorKind::Template, "gave JSON that is no object")),
        // Serde's text may quote a value: only its place is told.
        Err(e) => Err(wrong(
            ErrorKind::Template,
            &format!(
                "gave no JSON (line {} column {}; give values as {{{{ toJson .failure.Name }}}})",
                e.line(),
                e.column()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_card_is_a_json_object() {
        let id = DeliveryId::new("d1");
        let read = |text: &str| card(text, &id).map(|c| c.map(Value::Object));
        assert_eq!(read(" \n").unwrap(), None);
        assert_eq!(
            read(r#"{"style":"application","title":"x"}"#).unwrap(),
            Some(json!({"style": "application", "title": "x", "id": "d1"}))
        );
        assert_eq!(
            read(r#"{"id":"mine"}"#).unwrap(),
            Some(json!({"id": "mine"}))
        );
        for (text, kind) in [
            ("[1]", ErrorKind::Template),
            ("{", ErrorKind::Template),
            (r#"{"title":"a"b"}"#, ErrorKind::Template),
            (r#"{} x"#, ErrorKind::Template),
            (&"[".repeat(10_000), ErrorKind::Template),
            (
                &format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_CARD)),
                ErrorKind::TooLarge,
            ),
        ] {
            let e = read(text).unwrap_err();
            assert_eq!(e.kind(), kind);
            assert!(
                e.to_string().ends_with("; the message was sent without it"),
                "{e}"
            );
        }
    }
}
