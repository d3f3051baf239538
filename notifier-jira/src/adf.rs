//! Documents as Jira Cloud wants them: the Atlassian Document Format, version 1.
//!
//! As of developer.atlassian.com/cloud/jira/platform/apis/document/structure, read 2026.

use serde_json::{Value, json};

use crate::{
    MAX_TEXT,
    markup::{Block, Inline, blocks},
    neutral::restore,
};

/// The longest document, as JSON in UTF-16 units. Jira's limit holds for a form of its own
/// of it, so a fifth is left free.
pub(crate) const MAX_DOCUMENT: usize = MAX_TEXT / 5 * 4;

/// Room kept for the paragraph that says how much was cut, and for what encloses all.
const MARK: usize = 200;

/// A document, and how many characters of the text were cut.
pub(crate) fn document(text: &str) -> (Value, usize) {
    let mut room = Room(MAX_DOCUMENT - MARK);
    let mut content = Vec::new();
    let mut missing = 0;
    for block in blocks(text) {
        missing += match block {
            Block::Code { language, text } => code(&mut content, &mut room, language, text),
            Block::Paragraph(lines) => paragraph(&mut content, &mut room, &lines),
        };
    }
    if missing > 0 {
        let mark = format!("… ({missing} more characters)");
        content.push(json!({ "type": "paragraph", "content": [{ "type": "text", "text": mark }] }));
    }
    (
        json!({ "version": 1, "type": "doc", "content": content }),
        missing,
    )
}

/// What is left of the longest document.
struct Room(usize);

impl Room {
    fn size(node: &Value) -> usize {
        // Between two nodes stands a comma.
        node.to_string().encode_utf16().count() + 1
    }

    /// Takes the room of a node, if there is as much.
    fn take(&mut self, node: &Value) -> bool {
        let size = Self::size(node);
        let fits = size <= self.0;
        if fits {
            self.0 -= size;
        } else {
            // Nothing smaller comes after what was left out.
            self.0 = 0;
        }
        fits
    }
}

/// A text as a document may hold it: without control characters, stand-ins put back.
fn clean(text: &str, lines: bool) -> String {
    restore(text)
        .chars()
        .filter(|c| {
            (!c.is_control() || *c == '\t' || (lines && *c == '\n'))
                && !matches!(c, '\u{fffe}' | '\u{ffff}')
        })
        .collect()
}

/// How long a text is as JSON, without its quotes.
fn json_size(text: &str) -> usize {
    Room::size(&Value::from(text)) - 3
}

/// The beginning of a text that has room, and how many characters are missing.
fn cut(text: &str, most: usize) -> (&str, usize) {
    if json_size(text) <= most {
        return (text, 0);
    }
    let (mut end, mut used) = (0, 0);
    for c in text.chars() {
        used += json_size(c.encode_utf8(&mut [0; 4]));
        if used > most {
            break;
        }
        end += c.len_utf8();
    }
    (&text[..end], text[end..].chars().count())
}

fn code(content: &mut Vec<Value>, room: &mut Room, language: Option<&str>, text: &str) -> usize {
    let text = clean(text, true);
    let mut node = json!({ "type": "codeBlock" });
    if let Some(language) = language {
        node["attrs"] = json!({ "language": language });
    }
    let frame = Room::size(&node) + Room::size(&json!({"type": "text", "text": ""})) + 20;
    if frame > room.0 {
        room.0 = 0;
        return text.chars().count();
    }
    let (text, missing) = cut(&text, room.0 - frame);
    if !text.is_empty() {
        node["content"] = json!([{ "type": "text", "text": text }]);
    }
    if room.take(&node) {
        content.push(node);
    }
    if missing > 0 {
        room.0 = 0;
    }
    missing
}

fn paragraph(content: &mut Vec<Value>, room: &mut Room, lines: &[Vec<Inline<'_>>]) -> usize {
    let mut nodes: Vec<Value> = Vec::new();
    let mut missing = 0;
    let frame = Room::size(&json!({ "type": "paragraph", "content": [] }));
    room.0 = room.0.saturating_sub(frame);
    for (n, line) in lines.iter().enumerate() {
        if n > 0 && room.0 > 0 {
            let node = json!({ "type": "hardBreak" });
            if room.take(&node) {
                nodes.push(node);
            }
        }
        for part in line {
            let (text, url) = match part {
                Inline::Text(text) => (clean(text, false), None),
                Inline::Link { text, url } => (clean(text, false), Some(clean(url, false))),
            };
            if text.is_empty() {
                continue;
            }
            let mut node = json!({ "type": "text", "text": "" });
            if let Some(url) = &url {
                node["marks"] = json!([{ "type": "link", "attrs": { "href": url } }]);
            }
            let frame = Room::size(&node);
            // A link is not cut: half of its text would hardly be missed, all of it would.
            let (short, left) = match (frame <= room.0, url.is_some()) {
                (false, _) => ("", text.chars().count()),
                (true, false) => cut(&text, room.0 - frame),
                (true, true) if json_size(&text) <= room.0 - frame => (text.as_str(), 0),
                (true, true) => ("", text.chars().count()),
            };
            missing += left;
            if !short.is_empty() {
                node["text"] = json!(short);
                if room.take(&node) {
                    nodes.push(node);
                }
            }
            if left > 0 {
                room.0 = 0;
            }
        }
    }
    // What is only line breaks shows nothing.
    while nodes.last().is_some_and(|n| n["type"] == "hardBreak") {
        nodes.pop();
    }
    if nodes.iter().any(|n| n["type"] == "text") {
        content.push(json!({ "type": "paragraph", "content": nodes }));
    }
    missing
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::neutral::neutral;

    #[test]
    fn the_default_description() {
        let (doc, missing) = document("[stdout|http://a/?b=c], [stderr|], ID=x.1\nb");
        assert_eq!(missing, 0);
        assert_eq!(
            doc,
            json!({ "version": 1, "type": "doc", "content": [{ "type": "paragraph", "content": [
                { "type": "text", "text": "stdout", "marks": [{ "type": "link", "attrs": { "href": "http://a/?b=c" } }] },
                { "type": "text", "text": ", " },
                { "type": "text", "text": "stderr" },
                { "type": "text", "text": ", ID=x.1" },
                { "type": "hardBreak" },
                { "type": "text", "text": "b" },
            ]}]})
        );
    }

    #[test]
    fn data_is_no_markup() {
        let data = neutral("[a|http://evil] {code}");
        let (doc, _) = document(&format!("{{noformat}}{data}{{noformat}}\n{data}"));
        assert_eq!(
            doc["content"],
            json!([
                { "type": "codeBlock", "content": [{ "type": "text", "text": "[a|http://evil] {code}" }] },
                { "type": "paragraph", "content": [{ "type": "text", "text": "[a|http://evil] {code}" }] },
            ])
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        for text in [
            "x".repeat(40_000),
            "\u{1f980}\"\\".repeat(40_000),
            "a\n".repeat(40_000),
            "a\n\n".repeat(40_000),
            format!("{{code}}{}{{code}}tail", "y\n".repeat(40_000)),
            "[a|http://b] ".repeat(10_000),
        ] {
            let (doc, missing) = document(&text);
            let size = doc.to_string().encode_utf16().count();
            assert!(size <= MAX_DOCUMENT, "{size}");
            assert!(size > MAX_DOCUMENT / 2, "{size}");
            assert!(missing > 0);
            let mark = format!("… ({missing} more characters)");
            assert!(doc.to_string().contains(&mark), "{missing}");
            check(&doc);
        }
    }

    /// The rules of the format, as far as such documents can break them.
    fn check(doc: &Value) {
        assert_eq!((&doc["version"], &doc["type"]), (&json!(1), &json!("doc")));
        for block in doc["content"].as_array().unwrap() {
            let inner = block["content"].as_array();
            match block["type"].as_str().unwrap() {
                "paragraph" => {
                    for node in inner.unwrap() {
                        match node["type"].as_str().unwrap() {
                            "hardBreak" => {}
                            "text" => {
                                let text = node["text"].as_str().unwrap();
                                assert!(!text.is_empty() && !text.contains(['\n', '\0']));
                                for mark in node["marks"].as_array().into_iter().flatten() {
                                    assert_eq!(mark["type"], "link");
                                    assert!(!mark["attrs"]["href"].as_str().unwrap().is_empty());
                                }
                            }
                            other => panic!("{other}"),
                        }
                    }
                }
                "codeBlock" => {
                    for node in inner.into_iter().flatten() {
                        assert_eq!(node["type"], "text");
                        assert!(node.get("marks").is_none());
                        assert!(!node["text"].as_str().unwrap().is_empty());
                    }
                }
                other => panic!("{other}"),
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_makes_a_document(text in any::<String>()) {
            check(&document(&text).0);
        }

        #[test]
        fn markup_makes_a_document(
            parts in proptest::collection::vec(prop_oneof![
                Just("{noformat}".to_owned()), Just("{code:java}".to_owned()), Just("{code}".to_owned()),
                Just("[a|http://b]".to_owned()), Just("[|]".to_owned()), Just("\n".to_owned()),
                Just(" ".to_owned()), "\\PC{0,9}", Just("\0\u{7}".to_owned()), (1usize..9000).prop_map(|n| "é\"".repeat(n)),
            ], 0..20)
        ) {
            let (doc, _) = document(&parts.concat());
            check(&doc);
            prop_assert!(doc.to_string().encode_utf16().count() <= MAX_DOCUMENT);
        }
    }
}
