//! The message as HipChat wants it: within its limits, as JSON.
//!
//! Members and sizes as of developer.atlassian.com/server/hipchat/messages, read 2026.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::html::{cut, cut_text, first, shows};

/// The longest message, in characters as HipChat may count them (UTF-16 units, of which
/// there are never fewer than characters), entities and tags included.
pub const MAX_MESSAGE: usize = 10_000;

/// The longest name of a sender, in the same characters.
pub const MAX_FROM: usize = 64;

/// What the text of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Html,
    Text,
}

impl Format {
    /// The format of an option's value; HTML unless it says `text`.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "text" => Self::Text,
            _ => Self::Html,
        }
    }

    /// Without what no client shows; `None` if nothing is left to see.
    pub(crate) fn tidy(self, text: &str) -> Option<String> {
        let text = printable(text);
        let text = match self {
            Self::Html => unlink(&text),
            Self::Text => text,
        };
        self.shows(&text).then_some(text)
    }

    /// The text within HipChat's limit and how much is missing; `None` if nothing to see is
    /// left.
    pub(crate) fn cut(self, text: &str) -> Option<(Cow<'_, str>, usize)> {
        let (short, missing) = match self {
            Self::Html => cut(text, MAX_MESSAGE),
            Self::Text => cut_text(text, MAX_MESSAGE),
        };
        let kept = match missing {
            0 => &*short,
            _ => short.rsplit_once("… (").map_or("", |(kept, _)| kept),
        };
        self.shows(kept).then_some((short, missing))
    }

    fn shows(self, text: &str) -> bool {
        match self {
            Self::Html => shows(text),
            Self::Text => !text.trim().is_empty(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Payload<'a> {
    pub(crate) message_format: Format,
    pub(crate) color: &'static str,
    pub(crate) notify: bool,
    pub(crate) message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) card: Option<Map<String, Value>>,
}

/// A sender's name within HipChat's limit, on one line.
pub(crate) fn sender(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    first(line.trim(), MAX_FROM).trim_end().to_owned()
}

/// Without control characters but line feeds and tabs.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Turns links without an address, `<a href="">stdout</a>`, into their text: a log that
/// could not be found has none.
fn unlink(text: &str) -> String {
    const OPEN: &str = "<a href=\"\">";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once(OPEN) {
        out.push_str(before);
        rest = link;
        match link.find("</a>") {
            Some(end) => {
                out.push_str(&link[..end]);
                rest = &link[end + "</a>".len()..];
            }
            None => out.push_str(OPEN),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_set_is_sent() {
        let mut p = Payload {
            message_format: Format::Html,
            color: "red",
            notify: true,
            message: "m",
            from: "",
            card: None,
        };
        assert_eq!(
            serde_json::to_string(&p).unwrap(),
            r#"{"message_format":"html","color":"red","notify":true,"message":"m"}"#
        );
        p.message_format = Format::of("text");
        p.from = "f";
        p.card = Some(Map::new());
        assert_eq!(
            serde_json::to_string(&p).unwrap(),
            r#"{"message_format":"text","color":"red","notify":true,"message":"m","from":"f","card":{}}"#
        );
    }

    #[test]
    fn a_link_without_an_address_becomes_its_text() {
        for (text, tidied) in [
            (
                "died [<a href=\"\">stdout</a>, <a href=\"http://h\">stderr</a>]",
                Some("died [stdout, <a href=\"http://h\">stderr</a>]"),
            ),
            ("x <a href=\"\">y", Some("x <a href=\"\">y")),
            ("a\0b\u{1b}[31mc\u{85}\r\nd\te", Some("ab[31mc\nd\te")),
            ("<b> </b>\0", None),
        ] {
            assert_eq!(Format::Html.tidy(text).as_deref(), tidied);
        }
        let text = "<a href=\"\">x</a>";
        assert_eq!(Format::Text.tidy(text).as_deref(), Some(text));
        assert_eq!(Format::Text.tidy(" \n"), None);
    }

    #[test]
    fn what_the_limit_leaves_nothing_of_is_told() {
        let long = format!(
            "<a href=\"http://h/{}\">stdout</a> died",
            "x".repeat(MAX_MESSAGE)
        );
        assert_eq!(Format::Html.cut(&long), None);
        let long = format!("died {long}");
        let (short, missing) = Format::Html.cut(&long).unwrap();
        assert_eq!(short, format!("died … ({missing} more characters)"));
        assert_eq!(Format::Text.cut("x").unwrap(), (Cow::Borrowed("x"), 0));
        assert!(Format::Text.cut(&"x".repeat(MAX_MESSAGE + 1)).unwrap().1 > 0);
    }

    #[test]
    fn a_sender_is_one_short_line() {
        assert_eq!(sender(" a\nb\0 "), "a b");
        assert_eq!(sender(&"🦀".repeat(50)), "🦀".repeat(32));
        assert_eq!(sender(&format!("{} b", "a".repeat(63))), "a".repeat(63));
        assert_eq!(sender("\n"), "");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_all_fits(text in any::<String>()) {
            prop_assert!(sender(&text).encode_utf16().count() <= MAX_FROM);
            for format in [Format::Html, Format::Text] {
                if let Some(text) = format.tidy(&text.repeat(40)) {
                    let _ = format.cut(&text);
                }
            }
        }
    }
}
