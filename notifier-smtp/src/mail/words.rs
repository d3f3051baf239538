//! Encoded words: text beyond ASCII in headers (RFC 2047).

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The longest encoded word that is made here: with a header's name before it, it is on a line
/// that is shorter than the 76 of RFC 2047 §2.
pub(crate) const LONGEST: usize = 60;

const Q: &str = "=?utf-8?q?";
const B: &str = "=?utf-8?b?";
const END: &str = "?=";

/// The room between the beginning and the end of a word.
const ROOM: usize = LONGEST - Q.len() - END.len();

/// The words of a text, to be set apart by blanks, which do not count (§6.2). Each holds whole
/// characters (§5) and can stand in a name before an address (§5 rule 3). The encoding is Q,
/// which people can read, unless that is half as long again as B.
pub(crate) fn encode(text: &str) -> Vec<String> {
    let length: usize = text.chars().map(q_len).sum();
    if length * 2 <= text.len().div_ceil(3) * 4 * 3 {
        let words = chunks(text, ROOM, q_len);
        let encode = |word: &str| word.chars().map(q).collect::<String>();
        words
            .map(|word| format!("{Q}{}{END}", encode(word)))
            .collect()
    } else {
        let words = chunks(text, ROOM / 4 * 3, char::len_utf8);
        words
            .map(|word| format!("{B}{}{END}", STANDARD.encode(word)))
            .collect()
    }
}

/// A character in the encoding Q.
fn q(c: char) -> String {
    match c {
        ' ' => "_".to_owned(),
        c if c.is_ascii_alphanumeric() || matches!(c, '!' | '*' | '+' | '-' | '/') => c.to_string(),
        c => {
            let bytes = c.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
            bytes.iter().map(|b| format!("={b:02X}")).collect()
        }
    }
}

fn q_len(c: char) -> usize {
    q(c).len()
}

/// The text in pieces of whole characters that have room.
fn chunks(text: &str, room: usize, len: impl Fn(char) -> usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut used = 0;
        let mut fits = |&(_, c): &(usize, char)| {
            used += len(c);
            used > room
        };
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().find(|at| fits(at));
        let (piece, left) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = left;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_taken_unless_it_is_long() {
        assert_eq!(encode("für alle"), ["=?utf-8?q?f=C3=BCr_alle?="]);
        assert_eq!(encode("日本"), ["=?utf-8?b?5pel5pys?="]);
    }

    #[test]
    fn words_are_short_and_hold_whole_characters() {
        for text in [
            "é".repeat(300),
            "日".repeat(300),
            "a😀".repeat(200),
            "x".repeat(999),
        ] {
            for word in encode(&text) {
                assert!(word.len() <= LONGEST, "{word}");
                if let Some(b) = word.strip_prefix(B) {
                    let bytes = STANDARD.decode(b.strip_suffix(END).unwrap()).unwrap();
                    assert!(String::from_utf8(bytes).is_ok(), "{word}");
                }
            }
        }
    }
}
