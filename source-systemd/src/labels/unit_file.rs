//! Unit files as systemd.syntax(7) has them.

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) section: String,
    pub(crate) key: String,
    /// Without spaces around it, and with its quotes.
    pub(crate) value: String,
}

/// The assignments of a file, in order. What is none is passed over, as systemd does with a warning.
///
/// A line that ends in a backslash goes on in the next one, with a space in its place; comments in
/// between are passed over.
pub(crate) fn parse(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = String::new();
    let mut whole = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with(['#', ';']) && lines.peek().is_some() {
            continue;
        }
        if !line.trim_start().starts_with(['#', ';']) {
            whole.push_str(line);
            if goes_on(line) && lines.peek().is_some() {
                whole.pop();
                whole.push(' ');
                continue;
            }
        }
        let line = std::mem::take(&mut whole);
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').unwrap_or(name).to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            entries.push(Entry {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            });
        }
    }
    entries
}

/// Whether a line ends in a backslash that is not itself escaped.
fn goes_on(line: &str) -> bool {
    line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

/// A value without the quotes around the whole of it; between them, escapes count.
pub(crate) fn unquote(value: &str) -> String {
    let inner = ['"', '\''].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        let mut escaped = false;
        let closes = |c: char| {
            let plain = !std::mem::take(&mut escaped);
            escaped = plain && c == '\\';
            plain && c == quote
        };
        // One that closes earlier is not the quote of the whole, and so is one whose last is escaped.
        (!inner.chars().any(closes) && !goes_on(inner)).then_some(inner)
    });
    inner.map_or_else(|| value.to_owned(), unescape)
}

/// The words of a value, with quotes and escapes as systemd.syntax(7) has them.
pub(crate) fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (_, '\\') => {
                let word = word.get_or_insert_default();
                escape(&mut chars, word);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out),
            c => out.push(c),
        }
    }
    out
}

/// What stands behind a backslash. One that is no escape stays as it is.
fn escape(chars: &mut std::str::Chars<'_>, out: &mut String) {
    let Some(c) = chars.next() else {
        return out.push('\\');
    };
    let number = |digits: usize, max: u32, start: &mut std::str::Chars<'_>| {
        let text: String = start.clone().take(digits).collect();
        let is_number = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(&text, 16)
            .ok()
            .filter(|n| is_number && (1..=max).contains(n));
        let value = value.and_then(char::from_u32);
        if value.is_some() {
            start.nth(digits - 1);
        }
        value
    };
    let plain = match c {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        's' => Some(' '),
        '\\' | '"' | '\'' => Some(c),
        // A byte alone is no character.
        'x' => number(2, 0x7f, chars),
        'u' => number(4, u32::MAX, chars),
        'U' => number(8, u32::MAX, chars),
        _ => None,
    };
    match plain {
        Some(c) => out.push(c),
        None => out.extend(['\\', c]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String)> {
        parse(text).into_iter().map(|e| (e.key, e.value)).collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn lines_go_on_and_comments_are_passed_over() {
        let text =
            "; c\n#c\n[Unit]\n  A = b \\\n# in between\n  c\\\n\td\nB=x\\\\\nC=\nnone\nD=a=b\n";
        assert_eq!(
            values(text),
            pairs(&[("A", "b    c \td"), ("B", "x\\\\"), ("C", ""), ("D", "a=b")])
        );
        assert_eq!(values("A=b\\"), pairs(&[("A", "b\\")]));
        assert_eq!(values("A=b\\\n# last"), pairs(&[("A", "b")]));
        assert_eq!(values("A=b\r\nB=c\r\n"), pairs(&[("A", "b"), ("B", "c")]));
    }

    #[test]
    fn sections_are_those_of_the_last_heading() {
        let of = |t| parse(t).into_iter().map(|e| e.section).collect::<Vec<_>>();
        assert_eq!(of("A=1\n[X]\nB=1\n[Y\nC=1\n"), ["", "X", "Y"]);
    }

    #[test]
    fn quotes_around_the_whole_are_taken_off() {
        for (value, plain) in [
            ("a b", "a b"),
            ("\"a  b\"", "a  b"),
            ("'a\\tb'", "a\tb"),
            ("\"a\\\"b\"", "a\"b"),
            ("\"a\" and \"b\"", "\"a\" and \"b\""),
            ("\"", "\""),
            ("\"\"", ""),
            ("\"a\\\"", "\"a\\\""),
            ("\\x41", "\\x41"),
            ("\"\\x41\\u00e4\\q\\xzz\\x80\"", "Aä\\q\\xzz\\x80"),
        ] {
            assert_eq!(unquote(value), plain, "{value}");
        }
    }

    #[test]
    fn words_are_those_of_the_shell_without_expansion() {
        for (value, expected) in [
            ("A=b C=d", &["A=b", "C=d"][..]),
            ("\"A=b c\" 'D=\"e\"'", &["A=b c", "D=\"e\""]),
            ("A=\"b c\"d", &["A=b cd"]),
            ("A=\\x23x \"\"", &["A=#x", ""]),
            ("\"open end", &["open end"]),
            ("  ", &[]),
        ] {
            assert_eq!(words(value), expected, "{value}");
        }
    }
}
