//! A reply of the relay.

use std::str::FromStr;

use crate::{Fault, Hidden};

/// The most lines of a reply.
pub const MOST_LINES: usize = 100;
/// The most octets of a line of a reply, its end not counted.
pub const LONGEST_LINE: usize = 4096;
/// The most octets of a reply.
pub const MOST_OCTETS: usize = 64 * 1024;

/// Whole, with one code in all of its lines (RFC 5321 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// Its code: 250.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// 2yz.
    pub fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// 421: the relay closes the connection, whatever was asked (RFC 5321 §3.8).
    pub fn is_closing(&self) -> bool {
        self.code() == 421
    }

    /// The texts of its lines, codes left out.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The same, with what is hidden masked.
    pub(crate) fn covered(mut self, hidden: &Hidden) -> Self {
        if !hidden.is_empty() {
            for line in &mut self.lines {
                *line = hidden.cover(line).into_owned();
            }
        }
        self
    }

    /// The enhanced status code that leads the text (RFC 2034), as `5.1.1`, if its class is that of the reply.
    pub fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split_whitespace().next()?;
        let mut parts = word.split('.');
        let class = parts.next()?;
        let is_number =
            |p: &str| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
        let is_ours = class == (self.code / 100).to_string();
        let rest: Vec<&str> = parts.collect();
        (is_ours && rest.len() == 2 && rest.into_iter().all(is_number)).then_some(word)
    }

    /// The code, with the enhanced one behind it: `550 5.1.1`.
    pub fn codes(&self) -> String {
        match self.enhanced() {
            Some(enhanced) => format!("{} {enhanced}", self.code()),
            None => self.code().to_string(),
        }
    }

    /// The text of all lines, the enhanced code left out.
    pub fn text(&self) -> String {
        let enhanced = self.enhanced();
        let lines: Vec<&str> = self
            .lines()
            .map(|line| {
                let line = line.trim();
                let bare = enhanced.and_then(|code| line.strip_prefix(code));
                bare.filter(|rest| rest.is_empty() || rest.starts_with(' '))
                    .map_or(line, str::trim_start)
            })
            .filter(|line| !line.is_empty())
            .collect();
        lines.join(" ")
    }

    /// The id under which the relay queued the mail, which its log has too.
    pub fn queue_id(&self) -> Option<String> {
        let text = self.text();
        let words: Vec<&str> = text.split_whitespace().collect();
        let follows = |words: &[&str], marks: &[&str]| {
            let n = marks.len();
            words.windows(n + 1).find_map(|w| {
                let same = marks.iter().zip(w).all(|(m, w)| m.eq_ignore_ascii_case(w));
                same.then(|| w[n].to_owned())
            })
        };
        let found = follows(&words, &["queued", "as"])
            .or_else(|| {
                words
                    .iter()
                    .find_map(|w| Some(w.strip_prefix("id=")?.to_owned()))
            })
            .or_else(|| match words.first()?.to_ascii_lowercase().as_str() {
                "ok:" => words.get(1).map(|w| (*w).to_owned()),
                _ => None,
            })?;
        let id = found.trim_matches(['<', '>', '(', ')', '[', ']', ',', ';', '.', '"']);
        let is_id = |c: char| c.is_ascii_alphanumeric() || "-_.@=+/".contains(c);
        // A word of the sentence is none: ids have a digit.
        let fits = (4..=128).contains(&id.len()) && id.chars().all(is_id);
        (fits && id.bytes().any(|b| b.is_ascii_digit())).then(|| id.to_owned())
    }
}

/// A whole reply, its lines divided by CRLF.
///
/// ```
/// use smtp_wire::Reply;
/// let reply: Reply = "550 5.1.1 no such user".parse()?;
/// assert_eq!((reply.code(), reply.enhanced()), (550, Some("5.1.1")));
/// # Ok::<(), smtp_wire::Fault>(())
/// ```
impl FromStr for Reply {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let mut parts = Parts::default();
        let mut lines = text.split("\r\n").peekable();
        while let Some(line) = lines.next() {
            match (parts.add(line.as_bytes()), lines.peek()) {
                (Ok(Some(reply)), None) => return Ok(reply),
                (Ok(None), Some(_)) => {}
                (Ok(_), _) => {
                    return Err(Fault::Malformed("lines that are no one reply".to_owned()));
                }
                (Err(what), _) => return Err(Fault::Malformed(what)),
            }
        }
        Err(Fault::Closed)
    }
}

/// The lines of a reply that is not whole yet.
#[derive(Debug, Default)]
pub struct Parts {
    code: Option<u16>,
    lines: Vec<String>,
    octets: usize,
}

impl Parts {
    /// Takes a line without its end. `Some` when it was the last one.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn add(&mut self, line: &[u8]) -> Result<Option<Reply>, String> {
        self.octets += line.len() + 2;
        if self.lines.len() == MOST_LINES || self.octets > MOST_OCTETS {
            return Err("a reply without end".to_owned());
        }
        let digits = line.get(..3).and_then(code);
        let Some(code) = digits else {
            return Err("a reply without a code".to_owned());
        };
        let is_last = match line.get(3) {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err("a reply without a code".to_owned()),
        };
        if *self.code.get_or_insert(code) != code {
            return Err("a reply with two codes".to_owned());
        }
        let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
        self.lines.push(text.into_owned());
        let lines = &mut self.lines;
        Ok(is_last.then(|| Reply {
            code,
            lines: std::mem::take(lines),
        }))
    }
}

/// Any of 2yz to 5yz: some relays say 571, and the first digit counts (RFC 5321 §4.2).
fn code(digits: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    text.parse()
        .ok()
        .filter(|code| is_number && (200..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> Reply {
        line.parse().unwrap()
    }

    fn read(lines: &[&str]) -> Result<Option<Reply>, String> {
        let mut parts = Parts::default();
        let mut last = Ok(None);
        for line in lines {
            assert_eq!(last, Ok(None), "before {line}");
            last = parts.add(line.as_bytes());
        }
        last
    }

    #[test]
    fn lines_make_a_reply() {
        let r = read(&["550-5.1.1 no", "550-5.1.1 such", "550 5.1.1 user"])
            .unwrap()
            .unwrap();
        assert_eq!(
            (r.code(), r.enhanced(), r.codes()),
            (550, Some("5.1.1"), "550 5.1.1".to_owned())
        );
        assert_eq!(r.text(), "no such user");
        assert!(r.is_permanent() && !r.is_transient() && !r.is_done());
        assert_eq!(read(&["250"]).unwrap().unwrap().text(), "");
        assert_eq!(read(&["250-", "250 x"]).unwrap().unwrap().text(), "x");
        assert_eq!(read(&["250-a"]), Ok(None));
        assert!(reply("421 bye").is_closing());
        let r = reply("571 5.7.1 blocked");
        assert_eq!((r.code(), r.enhanced()), (571, Some("5.7.1")));
        assert!(r.is_permanent());
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for (lines, why) in [
            (vec!["hello"], "a reply without a code"),
            (vec![""], "a reply without a code"),
            (vec!["25"], "a reply without a code"),
            (vec!["2500 x"], "a reply without a code"),
            (vec!["199 x"], "a reply without a code"),
            (vec!["690 x"], "a reply without a code"),
            (vec!["+25 x"], "a reply without a code"),
            (vec!["25x x"], "a reply without a code"),
            (vec!["250-a", "550 b"], "a reply with two codes"),
            (vec!["250-x"; MOST_LINES + 1], "a reply without end"),
        ] {
            assert_eq!(read(&lines), Err(why.to_owned()));
        }
        let long = format!("250-{}", "x".repeat(4000));
        assert_eq!(
            read(&vec![long.as_str(); 17]),
            Err("a reply without end".to_owned())
        );
        assert_eq!(read(&vec!["250-x"; MOST_LINES]), Ok(None));
    }

    #[test]
    fn an_enhanced_code_is_of_the_replys_class() {
        for (line, want) in [
            ("550 5.7.1 no", Some("5.7.1")),
            ("550 5.7.1", Some("5.7.1")),
            ("450 5.7.1 no", None),
            ("550 5.7 no", None),
            ("550 5.7.1234 no", None),
            ("550 5.7.1: no", None),
            ("550 5.7.1.1 no", None),
            ("550 55.7.1 no", None),
            ("550 10.0.0.1 is closed", None),
            ("354 3.0.0 go", Some("3.0.0")),
        ] {
            assert_eq!(reply(line).enhanced(), want, "{line}");
        }
    }

    #[test]
    fn queue_ids_are_found_where_relays_put_them() {
        for (line, want) in [
            (
                "250 2.0.0 Ok: queued as 4Xk2vB1GZ8z1L",
                Some("4Xk2vB1GZ8z1L"),
            ),
            ("250 2.0.0 Ok: queued as 9F3C21A0B7.", Some("9F3C21A0B7")),
            ("250 OK id=1rT8Qm-0004zK-2p", Some("1rT8Qm-0004zK-2p")),
            ("250 Ok: 0100018f2a-b7-000000", Some("0100018f2a-b7-000000")),
            (
                "250 2.6.0 <a1@b> [InternalId=7] Queued mail for delivery",
                None,
            ),
            ("250 2.0.0 OK  1717 d9443c01a7336-1f4 - gsmtp", None),
            ("250 Ok: thanks", None),
            ("250 ok", None),
            ("250 queued as", None),
            ("250 queued as \u{1b}[31m12345", None),
        ] {
            assert_eq!(reply(line).queue_id().as_deref(), want, "{line}");
        }
    }
}
