//! The message as Slack wants it: escaped, within its limits, as JSON.
//!
//! Sizes and escapes as of docs.slack.dev (`chat.postMessage`, formatting message
//! text), read 2026.

use std::borrow::Cow;

use notifier_core::Settings;
use serde::Serialize;

/// The longest text, in characters as Slack may count them (UTF-16 units, of which there
/// are never fewer than characters). Slack cuts what is longer.
pub const MAX_TEXT: usize = 40_000;

/// The longest text of the plain form that is sent when Slack refuses the first.
pub const PLAIN_TEXT: usize = 3_500;

/// Room kept for the mark that says how much was cut.
const MARK: usize = 48;

#[derive(Debug, Serialize)]
pub(crate) struct Payload<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icon_emoji: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icon_url: &'a str,
    /// No previews: links lead to logs.
    unfurl_links: bool,
    unfurl_media: bool,
}

impl<'a> Payload<'a> {
    pub(crate) fn new(settings: &'a Settings, text: &'a str) -> Self {
        Self {
            channel: settings.text("channel"),
            username: settings.text("username"),
            text,
            icon_emoji: settings.text("icon_emoji"),
            icon_url: settings.text("icon_url"),
            unfurl_links: false,
            unfurl_media: false,
        }
    }
}

/// Removes control characters but line feeds and tabs, and turns links without an
/// address, `<|stdout>`, into their text: a log that could not be found has none.
pub(crate) fn tidy(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("<|") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        match inner.find(['<', '>']) {
            Some(end) if inner[end..].starts_with('>') => {
                out.push_str(&inner[..end]);
                rest = &inner[end + 1..];
            }
            _ => {
                out.push_str("<|");
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The markup's parts that must not be cut through: an entity, a link, else one character.
fn next_part(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let end = match first {
        '&' => text
            .as_bytes()
            .iter()
            .take(12)
            .position(|b| *b == b';')
            .map(|n| n + 1)
            .filter(|n| {
                *n > 2
                    && text.as_bytes()[1..n - 1]
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || *b == b'#')
            }),
        '<' => text[1..]
            .find(['<', '>'])
            .filter(|n| text[1 + n..].starts_with('>'))
            .map(|n| n + 2),
        _ => None,
    };
    Some(&text[..end.unwrap_or(first.len_utf8())])
}

fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The text with at most `max` characters, and how many were cut. Neither an entity nor
/// a link is cut through, and the end says how much is missing.
pub(crate) fn cut(text: &str, max: usize) -> (Cow<'_, str>, usize) {
    let whole = size(text);
    if whole <= max {
        return (Cow::Borrowed(text), 0);
    }
    let room = max.saturating_sub(MARK);
    let (mut end, mut used) = (0, 0);
    while let Some(part) = next_part(&text[end..]) {
        let n = size(part);
        if used + n > room {
            break;
        }
        used += n;
        end += part.len();
    }
    let missing = whole - used;
    (
        Cow::Owned(format!("{}… ({missing} more characters)", &text[..end])),
        missing,
    )
}

/// The plain form: links as text and address, cut to [`PLAIN_TEXT`].
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(part) = next_part(rest) {
        rest = &rest[part.len()..];
        match part.strip_prefix('<').and_then(|p| p.strip_suffix('>')) {
            // Mentions are no links and stay as they are.
            Some(inner) if !inner.starts_with(['@', '#', '!']) => match inner.split_once('|') {
                Some((url, label)) => {
                    out.push_str(label);
                    out.push(' ');
                    out.push_str(url);
                }
                None => out.push_str(inner),
            },
            _ => out.push_str(part),
        }
    }
    cut(&out, PLAIN_TEXT).0.into_owned()
}

#[cfg(test)]
mod tests {
    use notifier_core::{BackendSettings, Markup, Origin};
    use proptest::prelude::*;

    use super::*;
    use crate::OPTIONS;

    #[test]
    fn only_members_with_a_value_are_sent() {
        let mut s = BackendSettings::new(OPTIONS);
        let json = |s: &BackendSettings| {
            serde_json::to_string(&Payload::new(&s.instance("default"), "hi")).unwrap()
        };
        assert_eq!(
            json(&s),
            r#"{"text":"hi","unfurl_links":false,"unfurl_media":false}"#
        );
        for (k, v) in [
            ("channel", "#a"),
            ("username", "b"),
            ("icon_emoji", ":c:"),
            ("icon_url", "http://d/"),
        ] {
            s.set(Origin::Flag, k, v).unwrap();
        }
        assert_eq!(
            json(&s),
            r##"{"channel":"#a","username":"b","text":"hi","icon_emoji":":c:","icon_url":"http://d/","unfurl_links":false,"unfurl_media":false}"##
        );
    }

    #[test]
    fn a_link_without_an_address_becomes_its_text() {
        for (text, tidied) in [
            ("died [<|stdout>, <|stderr>]", "died [stdout, stderr]"),
            (
                "[<http://a|stdout>, <|stderr>]",
                "[<http://a|stdout>, stderr]",
            ),
            ("a <| b", "a <| b"),
            ("<|a <http://b|c>", "<|a <http://b|c>"),
            ("<|>", ""),
            ("a\0b\u{1b}[31mc\u{85}\r\nd\te", "ab[31mc\nd\te"),
        ] {
            assert_eq!(tidy(text), tidied);
        }
    }

    #[test]
    fn cuts_between_parts_and_says_how_much_is_missing() {
        let link = "<http://agent.example/log|stdout>";
        let text = format!("{}{link}{}", "x".repeat(40), "y".repeat(200));
        let (short, missing) = cut(&text, 100);
        assert_eq!(short, format!("{}… (233 more characters)", "x".repeat(40)));
        assert_eq!(missing, 233);
        let (short, _) = cut(
            "&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;",
            55,
        );
        assert_eq!(short, "&amp;… (55 more characters)");
        assert_eq!(cut("short", 5), (Cow::Borrowed("short"), 0));
    }

    #[test]
    fn the_plain_form_has_no_links_and_keeps_mentions() {
        assert_eq!(
            plain("died <!here> <@U1> [<http://a/?b&amp;c|stdout>, <http://d>] 1 &lt; 2 < 3"),
            "died <!here> <@U1> [stdout http://a/?b&amp;c, http://d] 1 &lt; 2 < 3"
        );
        assert!(size(&plain(&"🦀".repeat(5000))) <= PLAIN_TEXT);
    }

    /// Text as templates make it: escaped data, entities, links, wide characters.
    fn markup() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "\\PC{0,8}".prop_map(|s| Markup::Slack.escape(&s)),
            Just("&amp;".to_owned()),
            Just("🦀é日".to_owned()),
            "[a-z]{1,9}".prop_map(|s| format!("<http://{s}.example/?a&amp;b|{s}>")),
        ];
        proptest::collection::vec(part, 0..60).prop_map(|v| v.concat())
    }

    proptest! {
        #[test]
        fn a_cut_text_is_short_enough_and_well_formed(text in markup(), max in 50usize..400) {
            let (short, missing) = cut(&text, max);
            prop_assert!(size(&short) <= max);
            prop_assert_eq!(missing == 0, short == text);
            prop_assert_eq!(short.matches('<').count(), short.matches('>').count());
            let bare = short.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!bare.contains('&'), "{}", short);
        }

        #[test]
        fn nothing_panics(text in any::<String>(), max in 0usize..300) {
            cut(&text, max);
            plain(&text);
            tidy(&text);
        }

        #[test]
        fn escaped_data_can_neither_mention_nor_link(text in any::<String>()) {
            prop_assert!(!Markup::Slack.escape(&text).contains(['<', '>']));
        }
    }
}
