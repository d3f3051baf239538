//! A server on the way, by the `Received` field that it wrote (RFC 5321 §4.4).

use std::net::IpAddr;

use notifier_core::jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};

use super::head::Head;

/// The most fields that are read; servers give up on a loop long before (RFC 5321 §6.3).
const MOST: usize = 50;
/// The most octets of a field that are read.
const LONGEST: usize = 4096;

/// Dates are parsed as servers write them: the day of the week may be wrong.
static DATES: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// What a server says of how it got a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    /// The server's name.
    pub(crate) by: Option<String>,
    /// The name that the client greeted with.
    pub(crate) from: Option<String>,
    /// The client's address, as the server saw it.
    pub(crate) client: Option<IpAddr>,
    /// The protocol: `ESMTPSA`.
    pub(crate) with: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) tls: bool,
    /// Whether the client had logged in.
    pub(crate) auth: bool,
    /// When.
    pub(crate) at: Option<Timestamp>,
    /// Whether `at` is better than to the second.
    pub(crate) is_exact: bool,
}

/// The servers on a mail's way, the first one first.
pub(crate) fn way(head: &Head<'_>) -> Vec<Hop> {
    let mut hops: Vec<Hop> = head.all("received").take(MOST).map(Hop::read).collect();
    hops.reverse();
    // A short queue id has the fraction of the second only, and the date may be of the one before.
    let mut last: Option<Timestamp> = None;
    for hop in &mut hops {
        if let (Some(at), Some(before), true) = (hop.at, last, hop.is_exact)
            && at < before
            && let Ok(later) = at.checked_add(SignedDuration::from_secs(1))
            && later.duration_since(before) < SignedDuration::from_secs(1)
        {
            hop.at = Some(later);
        }
        last = hop.at.or(last);
    }
    hops
}

impl Hop {
    /// Reads a field's value. What is not as it should be is left out.
    pub(crate) fn read(text: &str) -> Self {
        let mut hop = Self::default();
        let (clauses, date) = match text.rsplit_once(';') {
            Some((clauses, date)) => (clauses, Some(date)),
            None => (text, None),
        };
        let mut clause = "";
        for token in Tokens(prefix(clauses, LONGEST)) {
            match token {
                Token::Comment(text) => hop.comment(clause, text),
                Token::Word(word) => match clause {
                    "from=" => {
                        hop.client = hop.client.or_else(|| literal(word));
                        hop.from = Some(word.to_owned());
                        clause = "from";
                    }
                    "by=" => {
                        hop.by = Some(word.to_owned());
                        clause = "by";
                    }
                    "with=" => {
                        hop.protocol(word);
                        clause = "with";
                    }
                    "id=" => {
                        hop.id = Some(word.to_owned());
                        clause = "id";
                    }
                    "else=" => clause = "",
                    _ => {
                        clause = match word.to_ascii_lowercase().as_str() {
                            "from" => "from=",
                            "by" => "by=",
                            "with" => "with=",
                            "id" => "id=",
                            "for" | "via" => "else=",
                            _ => clause,
                        }
                    }
                },
            }
        }
        hop.time(date);
        hop
    }

    fn comment(&mut self, clause: &str, text: &str) {
        let lower = text.to_ascii_lowercase();
        if lower.contains("using tls") || lower.contains("version=tls") {
            self.tls = true;
        }
        if lower.contains("authenticated sender") {
            self.auth = true;
        }
        if clause == "from" && self.client.is_none() {
            // `(name [address])`, `([address])`, or `(address)` as qmail has it.
            let word = text.split_ascii_whitespace().next_back();
            self.client = word.and_then(|w| literal(w).or_else(|| w.parse().ok()));
        }
    }

    /// RFC 3848: S for TLS, A for a login.
    fn protocol(&mut self, word: &str) {
        let upper = word.to_ascii_uppercase();
        let rest = upper.strip_prefix("UTF8").unwrap_or(&upper);
        for base in ["ESMTP", "LMTP", "SMTP"] {
            if let Some(rest) = rest.strip_prefix(base) {
                self.tls |= matches!(rest, "S" | "SA");
                self.auth |= matches!(rest, "A" | "SA");
                break;
            }
        }
        self.with = Some(word.to_owned());
    }

    fn time(&mut self, date: Option<&str>) {
        let Some(date) = date.and_then(|d| d.split('(').next()) else {
            return;
        };
        let parsed = DATES.parse_timestamp(prefix(date.trim(), 100));
        let Ok(second) = parsed else {
            return;
        };
        let precise = self.id.as_deref().and_then(|id| precise(id, second));
        self.is_exact = precise.is_some();
        self.at = Some(precise.unwrap_or(second));
    }
}

/// As much of a text as fits.
pub(crate) fn prefix(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
fn literal(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[')?.strip_suffix(']')?;
    let bare = bare.strip_prefix("IPv6:").unwrap_or(bare);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Postfix' queue ids have the time that the queue file was made at: long ones all of it, in base
/// 52, short ones the microseconds, as five hex digits (Postfix, `src/global/mail_queue.h`). The
/// date is of the same moment or a little before.
fn precise(id: &str, second: Timestamp) -> Option<Timestamp> {
    let at = long_id(id).or_else(|| {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
        if !(6..=20).contains(&id.len()) || !id.bytes().all(is_hex) {
            return None;
        }
        let micros = i64::from_str_radix(&id[..5], 16).ok()?;
        let at = second.as_microsecond().checked_add(micros)?;
        (micros < 1_000_000).then_some(at)
    })?;
    let at = Timestamp::from_microsecond(at).ok()?;
    // Else it is an id of another kind that looks like one of these.
    let ahead = at.duration_since(second).as_secs_f64();
    (-1.0..60.0).contains(&ahead).then_some(at)
}

/// Microseconds since 1970 of a long queue id: seconds, four digits of microseconds, `z`, the inode.
fn long_id(id: &str) -> Option<i64> {
    const DIGITS: &[u8; 52] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    let number = |text: &[u8]| {
        text.iter().try_fold(0_i64, |n, b| {
            let digit = DIGITS.iter().position(|d| d == b)?;
            n.checked_mul(52)?.checked_add(i64::try_from(digit).ok()?)
        })
    };
    let time = id.as_bytes().get(..id.rfind('z')?)?;
    if time.len() < 10 {
        return None;
    }
    let (seconds, micros) = time.split_at(time.len() - 4);
    let micros = number(micros).filter(|m| *m < 1_000_000)?;
    number(seconds)?.checked_mul(1_000_000)?.checked_add(micros)
}

enum Token<'a> {
    Word(&'a str),
    /// Without its outer parentheses.
    Comment(&'a str),
}

/// Words and comments, which may nest. One that does not end goes to the end.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.0.trim_start();
        let Some(inner) = rest.strip_prefix('(') else {
            if rest.is_empty() {
                self.0 = rest;
                return None;
            }
            let end = rest.find(|c: char| c.is_whitespace() || c == '(');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.0 = after;
            return Some(Token::Word(word));
        };
        let mut depth = 1_u32;
        let mut is_quoted = false;
        for (n, c) in inner.char_indices() {
            match c {
                _ if is_quoted => is_quoted = false,
                '\\' => is_quoted = true,
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &inner[n + 1..];
                return Some(Token::Comment(&inner[..n]));
            }
        }
        self.0 = "";
        Some(Token::Comment(inner))
    }
}

#[cfg(test)]
mod tests;
