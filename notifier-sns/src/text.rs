//! Texts that SNS takes: which characters, and how long.

use std::borrow::Cow;

/// Whether SNS and the queues behind it take a character: those of XML 1.0 without controls
/// but tab and line break (docs.aws.amazon.com/AWSSimpleQueueService, SendMessage, read 2026).
fn is_taken(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    }
}

/// The text without characters that are not taken.
pub(crate) fn taken(text: &str) -> Cow<'_, str> {
    match text.chars().all(is_taken) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().filter(|c| is_taken(*c)).collect()),
    }
}

/// JSON with the characters that are not taken as escapes.
pub(crate) fn taken_json(json: String) -> String {
    // The controls of ASCII are escapes already, but for the last; outside strings there are no others.
    if json.chars().all(is_taken) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        match is_taken(c) {
            true => out.push(c),
            false => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out
}

/// The longest beginning that takes at most so many bytes.
pub(crate) fn head(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What one character takes.
pub(crate) type Cost = fn(char) -> usize;

/// As it is, in UTF-8.
pub(crate) fn plain(c: char) -> usize {
    c.len_utf8()
}

/// In a string of JSON (RFC 8259 section 7), as serde_json writes it.
pub(crate) fn json(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// In a string of JSON in a string of JSON.
pub(crate) fn json_in_json(c: char) -> usize {
    match c {
        '"' | '\\' => 4,
        '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 3,
        c if c < ' ' => 7,
        c => c.len_utf8(),
    }
}

/// What a text takes.
pub(crate) fn size(text: &str, cost: Cost) -> usize {
    text.chars().map(cost).sum()
}

/// The text in at most `room`, and how many bytes of it were cut. The end says how much is
/// missing, where there is room to say so.
pub(crate) fn cut(text: &str, room: usize, cost: Cost) -> (Cow<'_, str>, usize) {
    if size(text, cost) <= room {
        return (Cow::Borrowed(text), 0);
    }
    let mark = |missing: usize| format!("\n… {missing} bytes more");
    // The most that it can take.
    let mut left = room.saturating_sub(size(&mark(text.len()), cost));
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let Some(rest) = left.checked_sub(cost(c)) else {
            break;
        };
        left = rest;
        end = at + c.len_utf8();
    }
    let missing = text.len() - end;
    let mut out = text[..end].to_owned();
    let mark = mark(missing);
    if size(&mark, cost) <= room - size(&out, cost) {
        out.push_str(&mark);
    }
    (Cow::Owned(out), missing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_json(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    #[test]
    fn what_is_cut_says_so() {
        let text = "x".repeat(200);
        let (short, missing) = cut(&text, 100, plain);
        assert_eq!(missing, 200 - 81);
        assert_eq!(short, format!("{}\n… 119 bytes more", "x".repeat(81)));
        assert_eq!(cut("abc", 3, plain), (Cow::Borrowed("abc"), 0));
        assert_eq!(cut("äb", 1, plain), (Cow::Borrowed(""), 3));
    }

    #[test]
    fn controls_are_left_out_of_texts_and_escaped_in_json() {
        assert_eq!(taken("a\0\u{1b}\u{9b}\u{7f}\tb\n\u{ffff}"), "a\tb\n");
        let json = as_json("a\0\u{7f}\u{fffe}b");
        let out = taken_json(json);
        assert_eq!(out, r#""a\u0000\u007f\ufffeb""#);
        assert_eq!(
            serde_json::from_str::<String>(&out).unwrap(),
            "a\0\u{7f}\u{fffe}b"
        );
    }

    proptest! {
        #[test]
        fn costs_are_what_serde_json_writes(text in "\\PC{0,30}|[\\x00-\\x7f\"\\\\\u{80}-\u{10ffff}]{0,30}") {
            let one = as_json(&text);
            prop_assert_eq!(size(&text, json), one.len() - 2);
            // The quotes of the inner one take two bytes each.
            prop_assert_eq!(size(&text, json_in_json), as_json(&one).len() - 2 - 4);
            prop_assert_eq!(size(&text, plain), text.len());
        }

        #[test]
        fn a_cut_fits_and_begins_as_the_text_does(text in "[a-c\"\\n\\\\äß漢🦀]{0,120}", room in 0_usize..300) {
            for cost in [plain as Cost, json, json_in_json] {
                let (short, missing) = cut(&text, room, cost);
                prop_assert!(size(&short, cost) <= room);
                prop_assert_eq!(missing == 0, *short == *text);
                prop_assert!(text.starts_with(&short[..text.len() - missing]));
            }
        }

        #[test]
        fn what_is_taken_stays(text in "[ -~\\n\\täöü漢🦀]{0,60}") {
            prop_assert_eq!(taken(&text), &*text);
            prop_assert_eq!(taken_json(text.clone()), text);
        }
    }
}
