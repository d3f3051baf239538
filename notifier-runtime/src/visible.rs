//! Text of others, fit for a terminal.

use std::borrow::Cow;

/// Control characters, and those that turn the direction of text, break lines or are not seen.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text in one line of at most `most` characters, in which nothing acts on a terminal. What
/// would act is shown escaped, and what is cut off is told.
///
/// ```
/// use notifier_runtime::visible;
/// assert_eq!(visible("a\nb\u{1b}[31m", 80), "a\\nb\\u{1b}[31m");
/// assert_eq!(visible("abcdefgh", 5), "abcde… (8 bytes)");
/// ```
pub fn visible(text: &str, most: usize) -> Cow<'_, str> {
    let fits = text.chars().nth(most).is_none();
    if fits && !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars().take(most) {
        if acts(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if !fits {
        out.push_str(&format!("… ({} bytes)", text.len()));
    }
    Cow::Owned(out)
}

/// JSON text in which nothing acts on a terminal.
///
/// ```
/// use notifier_runtime::visible_json;
/// assert_eq!(visible_json("{\"a\":\"\u{9b}1m\"}".into()), "{\"a\":\"\\u009b1m\"}");
/// ```
pub fn visible_json(json: String) -> String {
    // What acts stands in strings only, but for the line breaks of the layout.
    let escape = |c: char| acts(c) && c != '\n';
    if !json.chars().any(escape) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if escape(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped_and_the_rest_is_left() {
        assert_eq!(visible("ünï ✓", 5), "ünï ✓");
        assert_eq!(
            visible("\u{202e}x\r\u{85}\u{7f}", 9),
            "\\u{202e}x\\r\\u{85}\\u{7f}"
        );
        assert_eq!(visible("üüü", 2), "üü… (6 bytes)");
        assert_eq!(visible("", 0), "");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a\u{9b}": "\u{2028}\n\"\\\u{7f}" });
        for text in [value.to_string(), format!("{value:#}")] {
            let safe = visible_json(text);
            assert!(!safe.chars().any(|c| acts(c) && c != '\n'), "{safe}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
                value
            );
        }
    }
}
