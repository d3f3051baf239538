//! Text as Jira Data Center wants it: wiki markup. The template's text goes as it is; in
//! data, what would be markup is escaped.

use crate::{
    MAX_TEXT,
    markup::{Piece, pieces},
    neutral::original,
};

/// Room kept for the mark that says how much was cut.
const MARK: usize = 64;

/// Ends a block of code for readers, and not for Jira.
const ZERO_WIDTH: char = '\u{200b}';

/// The text to send, and how many characters were cut.
pub(crate) fn text(rendered: &str) -> (String, usize) {
    let mut out = Cut::default();
    for piece in pieces(rendered) {
        match piece {
            Piece::Text(text) => {
                let mut rest = text.chars().peekable();
                let mut last = None;
                while let Some(c) = rest.next() {
                    out.push(&escape(c, last, rest.peek().copied()), "");
                    last = Some(c);
                }
            }
            // A log that could not be found has no address.
            Piece::Link { text, url } if url.trim().is_empty() => out.push(&inside_link(text), ""),
            Piece::Link { text, url } => {
                out.push(&format!("[{}|{}]", inside_link(text), address(url)), "");
            }
            Piece::Code { open, text, close } => {
                let end = if open.starts_with("{code") {
                    "{code}"
                } else {
                    "{noformat}"
                };
                out.push(&parameters(open), end);
                for c in inside_code(text).chars() {
                    out.push(c.encode_utf8(&mut [0; 4]), end);
                }
                // Without an end, all that follows would be code.
                out.close(end);
                debug_assert!(close.is_empty() || close == end);
            }
        }
    }
    out.finish()
}

fn is_kept(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\r' | '\t')
}

/// The address of a link: data in it cannot end it.
fn address(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        match original(c) {
            Some(data) => out.push_str(&format!("%{:02X}", u32::from(data))),
            None if is_kept(c) => out.push(c),
            None => {}
        }
    }
    out
}

/// The signs at the beginning of a block of code: data in them cannot end them, nor begin
/// another parameter.
fn parameters(open: &str) -> String {
    open.chars()
        .filter_map(|c| match original(c) {
            Some('{' | '}' | '|' | '\\') => None,
            Some(data) => Some(data),
            None if c.is_control() => Some(' '),
            None => Some(c),
        })
        .collect()
}

/// One character outside links and code. Only stand-ins, which are data, are escaped.
fn escape(c: char, last: Option<char>, next: Option<char>) -> String {
    let plain = |c: char| {
        if is_kept(c) {
            c.to_string()
        } else {
            String::new()
        }
    };
    let Some(data) = original(c) else {
        return plain(c);
    };
    let follows = next.map(|n| original(n).unwrap_or(n));
    match data {
        '{' | '[' => format!("\\{data}"),
        // A picture: `!http://…!`. An exclamation mark at a word's end is none.
        '!' if follows.is_some_and(|n| !n.is_whitespace() && n != '!')
            && last.is_none_or(|l| !l.is_alphanumeric()) =>
        {
            "\\!".to_owned()
        }
        // Two are a line break, and one takes the sense of a sign away.
        '\\' if follows.is_some_and(|n| n.is_ascii_punctuation()) => "&#92;".to_owned(),
        _ => data.to_string(),
    }
}

fn inside_link(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (original(c), c) {
            (Some(data), _) => out.push_str(&format!("&#{};", u32::from(data))),
            (None, c) if is_kept(c) => out.push(c),
            _ => {}
        }
    }
    out
}

/// Data cannot end the block that it stands in.
fn inside_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match original(c) {
            Some('{') => {
                out.push('{');
                out.push(ZERO_WIDTH);
            }
            Some(data) => out.push(data),
            None if is_kept(c) => out.push(c),
            None => {}
        }
    }
    // Only where it would be an end: elsewhere a brace is a brace.
    let mut tidy = String::with_capacity(out.len());
    let mut rest = out.as_str();
    while let Some(n) = rest.find(ZERO_WIDTH) {
        let after = &rest[n + ZERO_WIDTH.len_utf8()..];
        tidy.push_str(&rest[..n]);
        let is_end = ["noformat", "code"].iter().any(|w| {
            after
                .get(..w.len())
                .is_some_and(|a| a.eq_ignore_ascii_case(w))
        });
        if is_end {
            tidy.push(ZERO_WIDTH);
        }
        rest = after;
    }
    tidy.push_str(rest);
    tidy
}

/// A text that ends in time.
#[derive(Default)]
struct Cut {
    text: String,
    size: usize,
    /// Where to cut, and with what end, if it becomes too long.
    at: usize,
    end: &'static str,
    missing: usize,
}

impl Cut {
    /// Adds what is not to be cut through; `end` closes the block it stands in.
    fn push(&mut self, part: &str, end: &'static str) {
        if part.is_empty() {
            return;
        }
        let room = MAX_TEXT - MARK;
        self.size += part.encode_utf16().count();
        self.text.push_str(part);
        if self.size <= room {
            self.at = self.text.len();
            self.end = end;
        } else {
            self.missing += part.chars().count();
        }
    }

    /// Adds the end of a block.
    fn close(&mut self, end: &'static str) {
        let missing = self.missing;
        self.push(end, "");
        // The mark's own end is no character of the text.
        if missing > 0 {
            self.missing = missing;
        }
    }

    fn finish(mut self) -> (String, usize) {
        if self.size <= MAX_TEXT {
            return (self.text, 0);
        }
        self.text.truncate(self.at);
        let missing = self.missing;
        self.text
            .push_str(&format!("{}… ({missing} more characters)", self.end));
        (self.text, missing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::neutral::neutral;

    #[test]
    fn the_templates_text_stays() {
        for t in [
            "[stdout|http://127.0.0.1:5051/files/download?path=/a/b.1/c], ID=b/c:d \"e\" it's",
            "*bold* {color:red}x{color} h1. [a] {code:java}\n[x]{code} !pic.png! \\\\ a\r\nb",
            "",
        ] {
            assert_eq!(text(t), (t.to_owned(), 0));
        }
        assert_eq!(text("[stdout|], [stderr|] a\0\u{7}").0, "stdout, stderr a");
        assert_eq!(text("{noformat}x").0, "{noformat}x{noformat}");
    }

    #[test]
    fn data_is_no_markup() {
        for (data, sent) in [
            (
                "b/c:d http://x/?y=z \"q\" it's *a* _b_",
                "b/c:d http://x/?y=z \"q\" it's *a* _b_",
            ),
            ("[a|http://evil]", "\\[a|http://evil]"),
            ("{code}", "\\{code}"),
            ("!http://evil/x.png!", "\\!http://evil/x.png!"),
            ("failed! again!", "failed! again!"),
            ("a\\{b", "a&#92;\\{b"),
            ("C:\\temp", "C:\\temp"),
            ("a\\\\b", "a&#92;\\b"),
        ] {
            assert_eq!(text(&neutral(data)).0, sent, "{data}");
        }
        let data = neutral("a]|{b");
        assert_eq!(
            text(&format!("[{data}|http://c]")).0,
            "[a&#93;&#124;&#123;b|http://c]"
        );
        let data = neutral("[x] {y} {NoFormat} {code} {noformat}");
        assert_eq!(
            text(&format!("{{noformat}}{data}{{noformat}}")).0,
            "{noformat}[x] {y} {\u{200b}NoFormat} {\u{200b}code} {\u{200b}noformat}{noformat}"
        );
    }

    #[test]
    fn data_in_addresses_and_parameters() {
        let data = neutral("a]!http://evil/p.png![y|http://evil");
        assert_eq!(
            text(&format!("[task|http://m/{data}]")).0,
            "[task|http://m/a%5D%21http://evil/p.png%21%5By%7Chttp://evil]"
        );
        let data = neutral("a}b|c{d[e]");
        assert_eq!(
            text(&format!("{{code:title={data}|java}}x{{code}}")).0,
            "{code:title=abcd[e]|java}x{code}"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let (short, missing) = text(&"x".repeat(40_000));
        assert_eq!(missing, 40_000 - (MAX_TEXT - MARK));
        assert!(short.ends_with(&format!("x… ({missing} more characters)")));
        let (short, _) = text(&format!("{{code}}{}{{code}}", "y".repeat(40_000)));
        assert!(short.contains("y{code}… ("), "{}", &short[32_000..]);
        assert_eq!(text(&"x".repeat(MAX_TEXT)), ("x".repeat(MAX_TEXT), 0));
    }

    proptest! {
        #[test]
        fn never_too_long(text in any::<String>(), n in 1usize..3000) {
            let (short, missing) = super::text(&neutral(&text).repeat(n));
            prop_assert!(short.encode_utf16().count() <= MAX_TEXT);
            if missing == 0 {
                prop_assert!(!short.contains("more characters)") || text.contains("more"));
            }
        }

        #[test]
        fn data_opens_nothing(data in any::<String>()) {
            let (sent, _) = super::text(&neutral(&data));
            // Every brace and bracket that opens has its own backslash before it.
            let mut escaped = false;
            for c in sent.chars() {
                prop_assert!(escaped || !matches!(c, '{' | '['), "{}", sent);
                escaped = c == '\\' && !escaped;
            }
        }

        #[test]
        fn data_in_an_address_opens_nothing(data in any::<String>()) {
            let (sent, _) = super::text(&format!("[t|http://m/{}]", neutral(&data)));
            let opened = if sent.starts_with("[t|") { &sent[1..] } else { &sent };
            let mut escaped = false;
            for c in opened.chars() {
                prop_assert!(escaped || !matches!(c, '{' | '['), "{}", sent);
                escaped = c == '\\' && !escaped;
            }
            if !data.contains(|c: char| c.is_whitespace() || c.is_control()) {
                prop_assert_eq!(sent.matches([']', '|', '!']).count(), 2, "{}", sent);
            }
        }

        #[test]
        fn data_in_parameters_opens_nothing(data in "[ -~\\PC]{0,30}") {
            let (sent, _) = super::text(&format!("{{code:title={}}}x{{code}}", neutral(&data)));
            prop_assert_eq!(sent.matches(['{', '}', '|', '\\']).count(), 4, "{}", sent);
            prop_assert!(!sent.contains(|c| original(c).is_some()), "{}", sent);
        }

        #[test]
        fn data_ends_no_code(data in any::<String>()) {
            let (sent, missing) = super::text(&format!("{{noformat}}{}{{noformat}}", neutral(&data)));
            prop_assert_eq!(sent.matches("{noformat}").count(), 2);
            prop_assert_eq!(missing, 0);
        }
    }
}
