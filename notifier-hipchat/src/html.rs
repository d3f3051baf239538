//! HTML within HipChat's limit: cut between its parts, and closed again.

use std::borrow::Cow;

/// Room kept for the mark that says how much was cut.
const MARK: usize = 48;

/// The longest entity that is taken for one.
const ENTITY: usize = 34;

/// Elements that have no end tag.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Characters as HipChat may count them: UTF-16 units, of which there are never fewer than
/// characters.
pub(crate) fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A part of a text that must not be cut through.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// A character, an entity, a comment.
    Whole(&'a str),
    /// A start tag, and the name to close it by.
    Open(&'a str, &'a str),
    /// An end tag and its name.
    Close(&'a str, &'a str),
    /// A tag without an end: it has the rest of the text in it.
    Torn,
}

impl<'a> Part<'a> {
    /// The part at the beginning.
    fn first(text: &'a str) -> Option<Self> {
        let first = text.chars().next()?;
        Some(match first {
            '&' => Self::Whole(&text[..entity(text).unwrap_or(1)]),
            '<' => tag(text),
            c => Self::Whole(&text[..c.len_utf8()]),
        })
    }
}

/// The length of the entity at the beginning, if there is one.
fn entity(text: &str) -> Option<usize> {
    let end = text.bytes().take(ENTITY).position(|b| b == b';')?;
    let name = &text[1..end];
    let inner = name.strip_prefix('#').unwrap_or(name);
    (!inner.is_empty() && inner.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(end + 1)
}

/// What a `<` at the beginning stands for.
fn tag(text: &str) -> Part<'_> {
    if text.starts_with("<!--") {
        return match text.find("-->") {
            Some(end) => Part::Whole(&text[..end + 3]),
            None => Part::Torn,
        };
    }
    let close = text.starts_with("</");
    let name_at = if close { 2 } else { 1 };
    let begins = text[name_at..].starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins && !text.starts_with("<!") && !text.starts_with("<?") && !close {
        return Part::Whole(&text[..1]);
    }
    let Some(end) = tag_end(text) else {
        return Part::Torn;
    };
    let whole = &text[..end];
    let name = text[name_at..end]
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    match (begins, close) {
        (false, _) => Part::Whole(whole),
        (_, true) => Part::Close(whole, name),
        _ if whole.ends_with("/>") || VOID.iter().any(|v| v.eq_ignore_ascii_case(name)) => {
            Part::Whole(whole)
        }
        _ => Part::Open(whole, name),
    }
}

/// Where the tag at the beginning ends. A `>` between quotes does not end it.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut value = false;
    for (at, b) in text.bytes().enumerate().skip(1) {
        match (quote, b) {
            (Some(q), _) if q == b => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at + 1),
            // Only behind a `=` does a quote begin a value.
            (None, b'"' | b'\'') if value => (quote, value) = (Some(b), false),
            (None, b'=') => value = true,
            (None, _) if b.is_ascii_whitespace() => {}
            (None, _) => value = false,
        }
    }
    None
}

/// The text with at most `max` characters, and how many were cut. No tag and no entity is
/// cut through, what is open is closed, and the end says how much is missing.
pub(crate) fn cut(text: &str, max: usize) -> (Cow<'_, str>, usize) {
    let whole = size(text);
    if whole <= max {
        return (Cow::Borrowed(text), 0);
    }
    let room = max.saturating_sub(MARK);
    let mut open: Vec<&str> = Vec::new();
    // The length of what is kept, in bytes and in characters, and that of the end tags owed.
    let (mut end, mut used, mut owed) = (0, 0, 0);
    while let Some(part) = Part::first(&text[end..]) {
        let (part, kept, owes) = match part {
            Part::Torn => break,
            Part::Whole(part) => (part, open.len(), 0),
            Part::Open(part, name) => {
                open.push(name);
                (part, open.len(), closing(name))
            }
            Part::Close(part, name) => {
                // What is open inside is closed with it; an end tag of nothing closes nothing.
                let at = open.iter().rposition(|o| o.eq_ignore_ascii_case(name));
                (part, at.unwrap_or(open.len()), 0)
            }
        };
        let freed: usize = open[kept..].iter().map(|name| closing(name)).sum();
        let n = size(part);
        if used + n + owed + owes - freed > room {
            if owes > 0 {
                open.pop();
            }
            break;
        }
        open.truncate(kept);
        owed = owed + owes - freed;
        used += n;
        end += part.len();
    }
    let missing = whole - used;
    let mut out = text[..end].to_owned();
    for name in open.iter().rev() {
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    }
    out.push_str(&format!("… ({missing} more characters)"));
    (Cow::Owned(out), missing)
}

/// The length of an end tag.
fn closing(name: &str) -> usize {
    name.len() + "</>".len()
}

/// Plain text with at most `max` characters, and how many were cut.
pub(crate) fn cut_text(text: &str, max: usize) -> (Cow<'_, str>, usize) {
    let whole = size(text);
    if whole <= max {
        return (Cow::Borrowed(text), 0);
    }
    let short = first(text, max.saturating_sub(MARK));
    let missing = whole - size(short);
    (
        Cow::Owned(format!("{short}… ({missing} more characters)")),
        missing,
    )
}

/// The beginning of a text, of at most `max` characters.
pub(crate) fn first(text: &str, max: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.len_utf16();
        used > max
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// True if somebody who looks at this HTML sees something.
pub(crate) fn shows(text: &str) -> bool {
    let mut rest = text;
    while let Some(part) = Part::first(rest) {
        let part = match part {
            Part::Torn => return false,
            Part::Whole(p) if !p.starts_with('<') || p == "<" => {
                if !p.trim().is_empty() {
                    return true;
                }
                p
            }
            // A picture is something too.
            Part::Whole(p) if p.get(1..4).is_some_and(|n| n.eq_ignore_ascii_case("img")) => {
                return true;
            }
            Part::Whole(p) | Part::Open(p, _) | Part::Close(p, _) => p,
        };
        rest = &rest[part.len()..];
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text with every tag, and whether each start tag has its end tag and no other.
    fn well_formed(text: &str) -> bool {
        let (mut open, mut rest) = (Vec::new(), text);
        while let Some(part) = Part::first(rest) {
            let part = match part {
                Part::Torn => return false,
                Part::Whole("<" | "&") => return false,
                Part::Whole(p) => p,
                Part::Open(p, name) => {
                    open.push(name);
                    p
                }
                Part::Close(p, name) => {
                    if open.pop() != Some(name) {
                        return false;
                    }
                    p
                }
            };
            rest = &rest[part.len()..];
        }
        open.is_empty()
    }

    /// The text without the mark and the end tags in front of it.
    fn without_mark(short: &str) -> &str {
        let mut rest = &short[..short.rfind("… (").unwrap()];
        while let Some(at) = rest.rfind("</").filter(|at| {
            rest.ends_with('>')
                && rest[at + 2..rest.len() - 1]
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric())
        }) {
            rest = &rest[..at];
        }
        rest
    }

    #[test]
    fn parts_are_found() {
        for (text, part) in [
            ("ab", Part::Whole("a")),
            ("日b", Part::Whole("日")),
            ("&amp;b", Part::Whole("&amp;")),
            ("&#x27;b", Part::Whole("&#x27;")),
            ("&;b", Part::Whole("&")),
            ("& b;", Part::Whole("&")),
            ("&日;", Part::Whole("&")),
            ("<a href='x>y'>b", Part::Open("<a href='x>y'>", "a")),
            ("<a title=it's>b", Part::Open("<a title=it's>", "a")),
            ("<B>c", Part::Open("<B>", "B")),
            ("</b >c", Part::Close("</b >", "b")),
            ("<br>c", Part::Whole("<br>")),
            ("<BR/>c", Part::Whole("<BR/>")),
            ("<x/>c", Part::Whole("<x/>")),
            ("<!-- > -->c", Part::Whole("<!-- > -->")),
            ("<!doctype>c", Part::Whole("<!doctype>")),
            ("< c", Part::Whole("<")),
            ("<3", Part::Whole("<")),
            ("<a href=\"x>", Part::Torn),
            ("<a ", Part::Torn),
            ("<!--x", Part::Torn),
        ] {
            assert_eq!(Part::first(text), Some(part), "{text}");
        }
        assert_eq!(Part::first(""), None);
    }

    #[test]
    fn what_is_open_is_closed_and_the_end_says_how_much_is_missing() {
        let text = format!("<b>x <i>{}</i></b>", "y".repeat(200));
        let (short, missing) = cut(&text, 100);
        let kept = 100 - MARK - "</i></b>".len();
        let ys = kept - "<b>x <i>".len();
        assert_eq!(
            short,
            format!(
                "<b>x <i>{}</i></b>… ({missing} more characters)",
                "y".repeat(ys)
            )
        );
        assert_eq!(missing, size(&text) - kept);
        assert_eq!(cut("<b>ab</b>", 9), (Cow::Borrowed("<b>ab</b>"), 0));
    }

    #[test]
    fn a_tag_that_does_not_fit_is_left_out() {
        let text = format!("died <a href=\"http://h/{}\">stdout</a>", "x".repeat(200));
        let (short, _) = cut(&text, 100);
        assert!(short.starts_with("died … ("), "{short}");
        let text = format!("a <a href=\"{}", "x".repeat(200));
        let (short, _) = cut(&text, 100);
        assert!(short.starts_with("a … ("), "{short}");
        let text = "&amp;".repeat(40);
        let (short, _) = cut(&text, 100);
        assert!(
            short.starts_with("&amp;") && !short.contains("&… "),
            "{short}"
        );
    }

    #[test]
    fn plain_text_is_cut_between_characters() {
        assert_eq!(cut_text("abc", 3), (Cow::Borrowed("abc"), 0));
        let text = "🦀".repeat(60);
        let (short, missing) = cut_text(&text, 101);
        assert_eq!(
            short,
            format!("{}… ({missing} more characters)", "🦀".repeat(26))
        );
        assert_eq!(first("a🦀b", 2), "a");
    }

    #[test]
    fn what_shows_nothing_is_known() {
        for (text, yes) in [
            ("x", true),
            ("<b> <i>x</i></b>", true),
            ("<img src=x>", true),
            ("&lt;", true),
            ("1 < 2", true),
            ("<b> \n</b><br>", false),
            ("<!-- x -->", false),
            ("<a href=\"", false),
            ("", false),
        ] {
            assert_eq!(shows(text), yes, "{text}");
        }
    }

    /// Well-formed HTML of nested elements.
    fn markup() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[a-z 日🦀é\n]{1,30}",
            Just("&amp;".to_owned()),
            Just("&#34;".to_owned()),
            Just("<br>".to_owned()),
            Just("<!-- a > b -->".to_owned()),
            Just("<img src='a>b' alt=\"&lt;\">".to_owned()),
        ];
        leaf.prop_recursive(8, 200, 6, |inner| {
            let name = prop_oneof![Just("a"), Just("b"), Just("strong"), Just("ul"), Just("h1")];
            let attribute = prop_oneof![
                Just(String::new()),
                "[a-z>'/ ]{0,20}".prop_map(|v| format!(" href=\"{v}\"")),
            ];
            (name, attribute, proptest::collection::vec(inner, 0..6))
                .prop_map(|(n, a, v)| format!("<{n}{a}>{}</{n}>", v.concat()))
        })
    }

    proptest! {
        #[test]
        fn cut_html_is_short_well_formed_and_a_beginning(text in markup(), max in 60usize..300) {
            prop_assert!(well_formed(&text), "{text}");
            let (short, missing) = cut(&text, max);
            prop_assert!(size(&short) <= max);
            prop_assert!(well_formed(&short), "{short}");
            prop_assert_eq!(missing == 0, short == text);
            if missing > 0 {
                prop_assert!(text.starts_with(without_mark(&short)));
            }
        }

        #[test]
        fn any_text_is_cut_to_a_beginning_that_fits(text in "[<>/&;='\" abi!-]{0,200}", max in 50usize..120) {
            let (short, missing) = cut(&text, max);
            prop_assert!(size(&short) <= max.max(MARK));
            if missing > 0 {
                prop_assert!(text.starts_with(without_mark(&short)));
            }
        }

        #[test]
        fn nothing_panics(text in any::<String>(), max in 0usize..300) {
            cut(&text, max);
            cut_text(&text, max);
            shows(&text);
            prop_assert!(size(first(&text, max)) <= max);
        }
    }
}
