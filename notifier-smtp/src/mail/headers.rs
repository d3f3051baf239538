//! Header fields: encoded where they have to be, and folded.

use crate::address::{Address, is_atext, quoted};

use super::words::{self, LONGEST};

/// Where a line is folded (RFC 5322 §2.1.1), its CRLF not counted.
const FOLD: usize = 78;

/// Header fields as they go over the wire, each line with its CRLF.
#[derive(Debug, Default)]
pub(crate) struct Headers(String);

impl Headers {
    /// Adds a field of one's own making: ASCII without controls, folded at its blanks.
    pub(crate) fn plain(&mut self, name: &str, value: &str) {
        let tokens: Vec<String> = value.split(' ').map(str::to_owned).collect();
        self.folded(name, &tokens);
    }

    /// Adds a field of free text (RFC 5322 §2.2.1). Controls become blanks. A text that cannot
    /// be folded and read back as it was is encoded (RFC 2047); but for one leading blank, which
    /// stays as it is, and which mail software drops.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        let value: String = value.chars().map(visible).collect();
        if is_plain(value.strip_prefix(' ').unwrap_or(&value), LONGEST) {
            self.plain(name, &value);
        } else {
            self.folded(name, &words::encode(&value));
        }
    }

    /// Adds a field that a person wrote. ASCII stays as it is, so that addresses and links in it
    /// work, as long as a line has room for its words.
    pub(crate) fn written(&mut self, name: &str, value: &str) {
        if value.is_ascii() && value.split(' ').all(|word| word.len() <= MOST_WORD) {
            self.plain(name, value);
        } else {
            self.folded(name, &words::encode(value));
        }
    }

    /// Adds a list of addresses; nothing if there is none. Those beyond [`MOST_ADDRESSES`] are
    /// left out: how many.
    pub(crate) fn addresses<'a>(
        &mut self,
        name: &str,
        list: impl IntoIterator<Item = &'a Address>,
    ) -> usize {
        let mut tokens: Vec<String> = Vec::new();
        let mut list = list.into_iter();
        let (mut room, mut left) = (MOST_ADDRESSES, 0);
        for address in &mut list {
            let more = mailbox(address);
            let length: usize = more.iter().map(|token| token.len() + 1).sum();
            if length > room {
                left = 1;
                break;
            }
            room -= length;
            if let Some(last) = tokens.last_mut() {
                last.push(',');
            }
            tokens.extend(more);
        }
        if !tokens.is_empty() {
            self.folded(name, &tokens);
        }
        left + list.count()
    }

    /// Adds a field; a line may be broken before each token but the first.
    fn folded(&mut self, name: &str, tokens: &[String]) {
        self.0 += name;
        self.0.push(':');
        let mut line = name.len() + 1;
        let mut is_blank = true;
        for token in tokens {
            // Neither a line of blanks nor an empty first line: some software ends the headers there.
            if !is_blank && !token.is_empty() && line + 1 + token.len() > FOLD {
                self.0 += "\r\n";
                line = 0;
            }
            self.0.push(' ');
            self.0 += token;
            line += 1 + token.len();
            is_blank &= token.is_empty();
        }
        self.0 += "\r\n";
    }

    /// The fields, each line with its CRLF.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// The longest word that is written as it is in [`Headers::written`]: a name of 60 and a word of
/// 900 are less than a line of 998.
pub(crate) const MOST_WORD: usize = 900;

/// The most octets of a list of addresses. Relays refuse mails with larger headers than they
/// like: Sendmail with 32 KiB unless told otherwise, all fields together.
const MOST_ADDRESSES: usize = 12 * 1024;

/// The most characters of a name before an address.
const MOST_NAME: usize = 200;

/// A character as it may stand in a header.
fn visible(c: char) -> char {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        ' '
    } else {
        c
    }
}

/// Whether a text of ASCII reads back as it was: single blanks between words that fit on a line,
/// and nothing that looks like an encoded word.
fn is_plain(text: &str, longest: usize) -> bool {
    text.is_ascii()
        && !text.contains("=?")
        && (text.is_empty()
            || text
                .split(' ')
                .all(|word| !word.is_empty() && word.len() <= longest))
}

/// `a@b` or `Name <a@b>`, a line may be broken between the parts.
fn mailbox(address: &Address) -> Vec<String> {
    let name = address.name.chars().map(visible).take(MOST_NAME);
    let name: String = name.collect();
    let name = name.trim();
    if name.is_empty() {
        // Quotes that stand alone are taken for a name by some.
        let is_plain = !address.local.starts_with('"');
        return vec![if is_plain {
            address.to_string()
        } else {
            format!("<{address}>")
        }];
    }
    let in_quotes = quoted(name);
    let mut tokens = if is_plain(name, LONGEST) && name.chars().all(|c| c == ' ' || is_atext(c)) {
        name.split(' ').map(str::to_owned).collect()
    } else if name.is_ascii()
        && !name.contains("=?")
        && !name.contains("  ")
        && in_quotes.len() <= LONGEST
    {
        vec![in_quotes]
    } else {
        words::encode(name)
    };
    tokens.push(format!("<{address}>"));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        let mut headers = Headers::default();
        headers.text("Subject", value);
        headers.finish()
    }

    fn to(list: &[&str]) -> String {
        let list: Vec<Address> = list.iter().map(|a| Address::read(a).unwrap()).collect();
        let mut headers = Headers::default();
        headers.addresses("To", &list);
        headers.finish()
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(text("a b"), "Subject: a b\r\n");
        assert_eq!(text(" [Chronos] a"), "Subject:  [Chronos] a\r\n");
        let long = ["1234567"; 12].join(" ");
        assert_eq!(
            text(&long),
            format!(
                "Subject: {}\r\n {}\r\n",
                ["1234567"; 8].join(" "),
                ["1234567"; 4].join(" ")
            )
        );
    }

    #[test]
    fn what_would_not_read_back_is_encoded() {
        assert_eq!(text("für"), "Subject: =?utf-8?q?f=C3=BCr?=\r\n");
        assert_eq!(text("a  b"), "Subject: =?utf-8?q?a__b?=\r\n");
        assert_eq!(
            text("=?utf-8?q?a?="),
            "Subject: =?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=\r\n"
        );
        assert!(text(&"x".repeat(2000)).lines().all(|l| l.len() <= 76));
    }

    #[test]
    fn no_line_is_begun_by_data() {
        let folded = text("a\r\nBcc: x@y\r\n\r\nbody");
        assert_eq!(folded.matches("\r\n").count(), 1, "{folded}");
        assert!(!folded.contains("\nBcc"), "{folded}");
    }

    #[test]
    fn names_are_quoted_or_encoded_and_addresses_never() {
        assert_eq!(to(&["a@b"]), "To: a@b\r\n");
        assert_eq!(
            to(&["Ops Team <a@b>", "c@d"]),
            "To: Ops Team <a@b>, c@d\r\n"
        );
        assert_eq!(to(&["\"Ops, Inc\" <a@b>"]), "To: \"Ops, Inc\" <a@b>\r\n");
        assert_eq!(
            to(&["Jürgen <a@b>"]),
            "To: =?utf-8?q?J=C3=BCrgen?= <a@b>\r\n"
        );
        assert_eq!(
            to(&["\"=?x?=\" <a@b>"]),
            "To: =?utf-8?b?PT94Pz0=?= <a@b>\r\n"
        );
        assert_eq!(to(&["\"a b\"@c"]), "To: <\"a b\"@c>\r\n");
        assert_eq!(to(&[]), "");
        let many = vec!["someone.with.a.name@example.com"; 40];
        assert!(to(&many).lines().all(|l| l.len() <= FOLD));
        let name = "é".repeat(100_000);
        assert!(to(&[&format!("{name} <a@b>")]).len() < 3000);
    }

    #[test]
    fn a_long_list_is_cut_between_addresses() {
        let of = |n: usize| -> (String, usize) {
            let address = Address::read("someone@example.com").unwrap();
            let mut headers = Headers::default();
            let left = headers.addresses("To", &vec![address; n]);
            (headers.finish(), left)
        };
        assert_eq!(of(500).1, 0);
        let (text, left) = of(10_000);
        assert!(text.len() < 14_000 && text.ends_with("someone@example.com\r\n"));
        assert_eq!(text.matches('@').count() + left, 10_000);
    }
}
