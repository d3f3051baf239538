//! How large things may be, and how they are cut.
//!
//! Sizes as of develop.sentry.dev (event payloads, envelopes, size limits), read 2026. Sentry
//! cuts a longer value by itself and marks it, but refuses an item or an envelope that is
//! too large as a whole.

use std::{borrow::Cow, collections::BTreeMap};

/// The longest message, in characters.
pub const MAX_MESSAGE: usize = 8192;
/// The most that is attached of one log, in bytes.
pub const MAX_LOG_TAIL: u64 = 1 << 20;

/// `server_name` and `logger`, in characters.
pub(crate) const NAME: usize = 64;
/// `environment`, in bytes.
pub(crate) const ENVIRONMENT: usize = 64;
/// `release`, in bytes.
pub(crate) const RELEASE: usize = 200;
/// A tag's value, in characters.
pub(crate) const TAG: usize = 200;
/// An element of the fingerprint, in characters; this one is ours.
pub(crate) const FINGERPRINT: usize = 200;
/// Elements of the fingerprint; this one is ours.
pub(crate) const FINGERPRINTS: usize = 16;
/// A label's name within `extra`, in characters; this one is ours.
pub(crate) const LABEL: usize = 200;
/// An item of `extra`, in bytes of JSON: 16 KiB, less some room.
pub(crate) const EXTRA: usize = 16_000;
/// All of `extra`, in bytes of JSON: 256 KiB, less some room.
pub(crate) const EXTRAS: usize = 250_000;
/// The texts in a context, in bytes of JSON; a whole context may have 8 KiB.
pub(crate) const LONG_TEXT: usize = 4_000;
/// The same, for one of several.
pub(crate) const SHORT_TEXT: usize = 300;
/// Names in a list within a context: owners, agents.
pub(crate) const NAMES: usize = 10;
/// The last lines of a log within a context: how many, and in bytes of JSON.
pub(crate) const LAST_LINES: (usize, usize) = (20, 6_000);
/// The message of an event that is made as small as possible, in characters.
pub(crate) const SHORT_MESSAGE: usize = 1024;

/// What stands where something was cut.
const MARK: char = '…';

/// Which values were cut, for a warning.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// The first of them.
    names: Vec<String>,
    /// The last of them: parts of one value are told once.
    last: String,
    more: usize,
    /// What there was no room for, by kind.
    left_out: BTreeMap<&'static str, u64>,
}

impl Cuts {
    pub(crate) fn add(&mut self, name: &str) {
        if self.last == name {
            return;
        }
        name.clone_into(&mut self.last);
        if self.names.len() < 5 {
            self.names.push(cut(name, 60).into_owned());
        } else {
            self.more += 1;
        }
    }

    /// At most so many characters.
    pub(crate) fn chars(&mut self, name: &str, text: &str, most: usize) -> String {
        let short = cut(text, most);
        if matches!(short, Cow::Owned(_)) {
            self.add(name);
        }
        short.into_owned()
    }

    /// As many whole characters as fit into so many bytes, without a mark.
    pub(crate) fn bytes<'a>(&mut self, name: &str, text: &'a str, most: usize) -> &'a str {
        let mut end = text.len().min(most);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if end < text.len() {
            self.add(name);
        }
        &text[..end]
    }

    /// At most so many bytes of JSON, quotes included.
    pub(crate) fn json(&mut self, name: &str, text: &str, most: usize) -> String {
        let short = cut_json(text, most);
        if matches!(short, Cow::Owned(_)) {
            self.add(name);
        }
        short.into_owned()
    }

    /// So many of a kind were left out.
    pub(crate) fn leave_out(&mut self, kind: &'static str, number: u64) {
        if number > 0 {
            *self.left_out.entry(kind).or_default() += number;
        }
    }

    /// What was cut or left out, if anything: `cut: message, labels.a and 3 more; left out: 2 of
    /// the labels`.
    pub(crate) fn told(&self) -> Option<String> {
        let mut parts = Vec::new();
        if !self.names.is_empty() {
            let more = match self.more {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            parts.push(format!("cut: {}{more}", self.names.join(", ")));
        }
        if !self.left_out.is_empty() {
            let kinds = self.left_out.iter();
            let kinds: Vec<String> = kinds
                .map(|(kind, n)| format!("{n} of the {kind}"))
                .collect();
            parts.push(format!("left out: {}", kinds.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The text without control characters but line feeds and tabs.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// The text on one line, without control characters and space around it.
pub(crate) fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| match c {
            c if c.is_control() || c.is_whitespace() => ' ',
            c => c,
        })
        .collect();
    line.trim().to_owned()
}

/// The beginning of a text, with at most so many characters, the mark included.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most || text.chars().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    let end = text
        .char_indices()
        .nth(most.saturating_sub(1))
        .map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

/// How many bytes a character has in JSON as it is written here.
fn json_size(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// How many bytes a text has in JSON, quotes included.
pub(crate) fn json_len(text: &str) -> usize {
    2 + text.chars().map(json_size).sum::<usize>()
}

/// The beginning of a text, with at most so many bytes of JSON, quotes and mark included.
pub(crate) fn cut_json(text: &str, most: usize) -> Cow<'_, str> {
    if json_len(text) <= most {
        return Cow::Borrowed(text);
    }
    let end = fitting(text.chars(), most);
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

/// The end of a text, with at most so many bytes of JSON, quotes and mark included.
pub(crate) fn end_json(text: &str, most: usize) -> Cow<'_, str> {
    if json_len(text) <= most {
        return Cow::Borrowed(text);
    }
    let start = text.len() - fitting(text.chars().rev(), most);
    Cow::Owned(format!("{MARK}{}", &text[start..]))
}

/// How many bytes of these characters fit into so many bytes of JSON, beside quotes and mark.
fn fitting(chars: impl Iterator<Item = char>, most: usize) -> usize {
    let mut room = most.saturating_sub(2 + MARK.len_utf8());
    let mut bytes = 0;
    for c in chars {
        let size = json_size(c);
        if size > room {
            break;
        }
        room -= size;
        bytes += c.len_utf8();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_say_so_and_do_not_break_letters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 3), "日本語");
        assert_eq!(cut("日本語日", 3), "日本…");
        assert_eq!(cut_json("a\"b", 6), "a\"b");
        assert_eq!(cut_json("a\"\"\"bcd", 9), "a\"…");
        assert_eq!(end_json("abcdefgh", 9), "…efgh");
        assert_eq!(one_line(" a\nb\u{85}c\0 "), "a b c");
        assert_eq!(plain("a\0\r\n\u{1b}[b\t"), "a\n[b\t");
    }

    #[test]
    fn cuts_are_told_once_and_shortly() {
        let mut cuts = Cuts::default();
        assert_eq!(cuts.told(), None);
        cuts.chars("message", "abcd", 3);
        cuts.chars("logger", "abc", 3);
        cuts.chars("message", "abcd", 3);
        assert_eq!(cuts.told().as_deref(), Some("cut: message"));
        for n in 0..9 {
            cuts.add(&format!("labels.{n}"));
        }
        assert_eq!(
            cuts.told().as_deref(),
            Some("cut: message, labels.0, labels.1, labels.2, labels.3 and 5 more")
        );
        let mut cuts = Cuts::default();
        assert_eq!(cuts.bytes("release", "aé", 3), "aé");
        cuts.leave_out("labels", 0);
        assert_eq!(cuts.told(), None);
        assert_eq!(cuts.bytes("release", "aé", 2), "a");
        cuts.leave_out("owners", 3);
        cuts.leave_out("labels", 1);
        cuts.leave_out("labels", 1);
        assert_eq!(
            cuts.told().as_deref(),
            Some("cut: release; left out: 2 of the labels, 3 of the owners")
        );
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in any::<String>(), most in 5usize..80) {
            prop_assert_eq!(json_len(&text), serde_json::to_string(&text).unwrap().len());
            prop_assert!(cut(&text, most).chars().count() <= most);
            for short in [cut_json(&text, most), end_json(&text, most)] {
                prop_assert!(json_len(&short) <= most, "{}", short);
                prop_assert_eq!(matches!(short, Cow::Borrowed(_)), json_len(&text) <= most);
            }
        }
    }
}
