//! What Go knows about text: letters, quoting, numbers.

pub(crate) mod float;
pub(crate) mod number;
pub(crate) mod quote;
mod tables;

/// Whether Go takes the character for a letter.
pub(crate) fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphabetic()
    } else {
        within(tables::LETTER, c)
    }
}

/// Whether Go takes the character for a decimal digit.
pub(crate) fn is_digit(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_digit()
    } else {
        within(tables::DIGIT, c)
    }
}

/// Whether Go prints the character as it is inside quotes.
pub(crate) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        matches!(c, ' '..='~')
    } else {
        within(tables::PRINT, c)
    }
}

/// Whether the name could be written in a template.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || is_letter(c))
        && chars.all(|c| c == '_' || is_letter(c) || is_digit(c))
}

fn within(table: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    table
        .binary_search_by(|&(first, last)| {
            if last < c {
                std::cmp::Ordering::Less
            } else if first > c {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
        .is_ok()
}

/// A character, or a byte that begins none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rune {
    Char(char),
    Broken(u8),
}

impl Rune {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Char(c) => c.len_utf8(),
            Self::Broken(_) => 1,
        }
    }
}

/// Splits bytes into characters; each byte that fits into none stands alone, as in Go.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = (usize, Rune)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rune = first_rune(bytes.get(at..)?)?;
        let here = at;
        at += rune.len();
        Some((here, rune))
    })
}

pub(crate) fn first_rune(bytes: &[u8]) -> Option<Rune> {
    let &first = bytes.first()?;
    let width = match first {
        0..0x80 => return Some(Rune::Char(char::from(first))),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some(Rune::Broken(first)),
    };
    let decoded = bytes
        .get(..width)
        .and_then(|b| std::str::from_utf8(b).ok())
        .and_then(|s| s.chars().next());
    Some(decoded.map_or(Rune::Broken(first), Rune::Char))
}

pub(crate) fn count_runes(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().count(),
        Err(_) => runes(bytes).count(),
    }
}

/// The text, with U+FFFD in place of each byte that is none.
pub(crate) fn to_text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => runes(error.as_bytes())
            .map(|(_, rune)| match rune {
                Rune::Char(c) => c,
                Rune::Broken(_) => char::REPLACEMENT_CHARACTER,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_byte_is_replaced_alone() {
        assert_eq!(
            to_text(b"a\xe6\x97b\xe6\x97\xa5".to_vec()),
            "a\u{fffd}\u{fffd}b日"
        );
        assert_eq!(count_runes(b"\xed\xa0\x80x"), 4);
    }

    #[test]
    fn letters_and_digits_are_gos() {
        assert!(is_letter('日') && is_letter('é') && !is_letter('\u{345}') && !is_letter('Ⅷ'));
        assert!(is_digit('٣') && !is_digit('²'));
        assert!(!is_print('\u{a0}') && !is_print('\u{ad}') && is_print('日'));
    }
}
