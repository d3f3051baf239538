//! Go's quoted strings and characters, both ways.

use super::{Rune, is_print, runes};

/// The bytes between double quotes or backquotes; `None` where an escape is not Go's.
pub(crate) fn unquote(literal: &str) -> Option<Vec<u8>> {
    let (quote, inner) = split_quotes(literal)?;
    if quote == '`' {
        return Some(inner.bytes().filter(|&b| b != b'\r').collect());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, tail) = unquote_one(rest, quote)?;
        match unit {
            Unit::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(b) => out.push(b),
        }
        rest = tail;
    }
    Some(out)
}

/// The number of a character constant such as `'a'`.
pub(crate) fn unquote_char(literal: &str) -> Result<u32, String> {
    let inner = literal.strip_prefix('\'').unwrap_or(literal);
    let (unit, tail) = unquote_one(inner, '\'').ok_or("invalid syntax")?;
    if tail != "'" {
        return Err(format!(
            "malformed character constant: {}",
            crate::error::excerpt(literal)
        ));
    }
    Ok(match unit {
        Unit::Char(c) => u32::from(c),
        Unit::Byte(b) => u32::from(b),
    })
}

fn split_quotes(literal: &str) -> Option<(char, &str)> {
    let quote = literal.chars().next()?;
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    Some((quote, inner))
}

enum Unit {
    Char(char),
    Byte(u8),
}

fn unquote_one(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first == quote || first == '\n' {
        return None;
    }
    if first != '\\' {
        return Some((Unit::Char(first), chars.as_str()));
    }
    let kind = chars.next()?;
    let rest = chars.as_str();
    let simple = match kind {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        '\'' | '"' if kind == quote => kind,
        'x' => {
            let (value, rest) = digits(rest, 2, 16)?;
            return Some((Unit::Byte(u8::try_from(value).ok()?), rest));
        }
        'u' | 'U' => {
            let (value, rest) = digits(rest, if kind == 'u' { 4 } else { 8 }, 16)?;
            return Some((Unit::Char(char::from_u32(value)?), rest));
        }
        '0'..='7' => {
            let (value, rest) = digits(text.get(1..)?, 3, 8)?;
            return Some((Unit::Byte(u8::try_from(value).ok()?), rest));
        }
        _ => return None,
    };
    Some((Unit::Char(simple), rest))
}

fn digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let head = text.get(..count)?;
    if !head.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some((u32::from_str_radix(head, radix).ok()?, text.get(count..)?))
}

/// How the characters of a quoted string are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoting {
    pub(crate) mark: char,
    pub(crate) ascii: bool,
}

/// Writes bytes as a Go string literal.
pub(crate) fn quote(bytes: &[u8], ascii: bool, out: &mut Vec<u8>) {
    let quoting = Quoting { mark: '"', ascii };
    out.push(b'"');
    for (_, rune) in runes(bytes) {
        match rune {
            Rune::Char(c) => quoting.push(c, out),
            Rune::Broken(b) => out.extend_from_slice(format!("\\x{b:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Writes a character as a Go character literal.
pub(crate) fn quote_char(c: char, ascii: bool, out: &mut Vec<u8>) {
    out.push(b'\'');
    Quoting { mark: '\'', ascii }.push(c, out);
    out.push(b'\'');
}

impl Quoting {
    fn push(self, c: char, out: &mut Vec<u8>) {
        if c == self.mark || c == '\\' {
            out.push(b'\\');
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
        if is_print(c) && (c.is_ascii() || !self.ascii) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
        let escaped = match c {
            '\x07' => "\\a".to_owned(),
            '\x08' => "\\b".to_owned(),
            '\x0c' => "\\f".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\x0b' => "\\v".to_owned(),
            '\0'..=' ' | '\x7f' => format!("\\x{:02x}", u32::from(c)),
            '\u{10000}'.. => format!("\\U{:08x}", u32::from(c)),
            _ => format!("\\u{:04x}", u32::from(c)),
        };
        out.extend_from_slice(escaped.as_bytes());
    }
}

/// Whether the bytes can stand between backquotes.
pub(crate) fn can_backquote(bytes: &[u8]) -> bool {
    runes(bytes).all(|(_, rune)| match rune {
        Rune::Char(c) => c == '\t' || !(c < ' ' || matches!(c, '`' | '\x7f' | '\u{feff}')),
        Rune::Broken(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_what_go_unquotes() {
        for (literal, want) in [
            (r#""a\tb\u00e9\x41\"""#, Some("a\tbéA\"".as_bytes())),
            (r#""\377\xff""#, Some(&b"\xff\xff"[..])),
            (r#""\400""#, None),
            (r#""\ud800""#, None),
            (r#""\'""#, None),
            (r#""\q""#, None),
            ("`r\\n\r`", Some(&b"r\\n"[..])),
        ] {
            assert_eq!(unquote(literal).as_deref(), want, "{literal}");
        }
    }

    #[test]
    fn characters_have_one_unit() {
        assert_eq!(unquote_char("'a'"), Ok(97));
        assert_eq!(unquote_char(r"'\''"), Ok(39));
        assert_eq!(unquote_char("'日'"), Ok(0x65e5));
        assert!(
            unquote_char("'ab'").is_err()
                && unquote_char("''").is_err()
                && unquote_char(r#"'\"'"#).is_err()
        );
    }

    #[test]
    fn quotes_as_go_quotes() {
        let mut out = Vec::new();
        quote("a\"b\n\u{ad}日\x7f".as_bytes(), false, &mut out);
        assert_eq!(out, "\"a\\\"b\\n\\u00ad日\\x7f\"".as_bytes());
    }
}
