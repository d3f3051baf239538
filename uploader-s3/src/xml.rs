//! What is read of a store's XML: the text of single elements.

/// The longest text that is taken out.
const MOST: usize = 8192;

/// The text of the first element of this name that holds no other element.
pub(crate) fn text(xml: &str, name: &str) -> Option<String> {
    let mut rest = xml;
    loop {
        rest = &rest[rest.find('<')? + 1..];
        let Some(after) = rest.strip_prefix(name) else {
            continue;
        };
        if !after.starts_with(['>', ' ', '\t', '\r', '\n', '/']) {
            continue;
        }
        let (tag, content) = after.split_once('>')?;
        if tag.ends_with('/') {
            return Some(String::new());
        }
        let end = content.find('<')?;
        if end > MOST || !content[end..].starts_with("</") {
            return None;
        }
        return Some(unescape(&content[..end]));
    }
}

/// Whether there is an element of this name.
pub(crate) fn has(xml: &str, name: &str) -> bool {
    xml.match_indices('<').any(|(at, _)| {
        xml[at + 1..]
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['>', ' ', '\t', '\r', '\n', '/']))
    })
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        let known = end.and_then(|end| Some((entity(&rest[1..end])?, end)));
        match known {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Text as it may stand in an element.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_single_elements() {
        let xml = "<?xml version=\"1.0\"?>\n<Error xmlns=\"x\"><Code>Slow&amp;Down</Code><Message/><A b=\"1\">&#65;&#x42;&nope;</A><Codes>x</Codes></Error>";
        assert_eq!(text(xml, "Code").as_deref(), Some("Slow&Down"));
        assert_eq!(text(xml, "Codes").as_deref(), Some("x"));
        assert_eq!(text(xml, "Message").as_deref(), Some(""));
        assert_eq!(text(xml, "A").as_deref(), Some("AB&nope;"));
        assert_eq!(text(xml, "Error"), None);
        assert_eq!(text(xml, "Cod"), None);
        assert!(has(xml, "Error") && !has(xml, "Err"));
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(xml in "[<>/&;#xA-C é\"=]{0,60}") {
            let _ = text(&xml, "A");
            let _ = has(&xml, "A");
        }

        #[test]
        fn what_is_escaped_comes_back(value in "\\PC{0,60}") {
            let xml = format!("<R><A>{}</A></R>", escape(&value));
            prop_assert_eq!(text(&xml, "A"), Some(value));
        }
    }
}
