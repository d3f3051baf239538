//! Numbers, truth values and null.

/// True for bytes a word is made of.
pub(super) fn is_part(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.') || byte.is_ascii_alphanumeric()
}

/// True for the words of JSON, and for the numbers that are none: some writers let them
/// through.
pub(super) fn is_word(word: &[u8]) -> bool {
    matches!(word, b"true" | b"false" | b"null") || is_number(word) || is_no_number(word)
}

fn is_number(word: &[u8]) -> bool {
    fn digits(word: &[u8]) -> Option<&[u8]> {
        let n = word.iter().take_while(|b| b.is_ascii_digit()).count();
        (n > 0).then(|| &word[n..])
    }
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let rest = match word.strip_prefix(b"0") {
        Some(rest) => Some(rest),
        None => digits(word),
    };
    let Some(mut rest) = rest else { return false };
    if let Some(fraction) = rest.strip_prefix(b".") {
        match digits(fraction) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            _ => exponent,
        };
        match digits(exponent) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// `nan` and `inf` in all their spellings.
pub(super) fn is_no_number(word: &[u8]) -> bool {
    let signs = word.iter().take_while(|b| **b == b'-').count();
    let word = &word[signs..];
    [&b"infinity"[..], b"inf", b"nan"]
        .iter()
        .any(|n| word.eq_ignore_ascii_case(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_json_and_numbers_that_are_none() {
        for good in [
            "true",
            "false",
            "null",
            "0",
            "-0",
            "10",
            "1.25",
            "0.5e-3",
            "1E+9",
            "-7",
            "nan",
            "-NaN",
            "inf",
            "--inf",
            "-Infinity",
        ] {
            assert!(is_word(good.as_bytes()), "{good}");
        }
        for bad in [
            "", "-", "01", "1.", ".5", "+1", "1e", "1e+", "True", "nul", "nulll", "nanx", "1nan",
            "0x1", "1-1", "infin", "1.2.3",
        ] {
            assert!(!is_word(bad.as_bytes()), "{bad}");
        }
    }
}
