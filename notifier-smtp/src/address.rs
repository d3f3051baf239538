//! A mail address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use notifier_core::{Error, Result};

/// The most octets of a local part (RFC 5321 §4.5.3.1.1).
const MOST_LOCAL: usize = 64;

/// The most octets of `local@domain`: a path of 256 (RFC 5321 §4.5.3.1.3) less `<` and `>`.
const MOST_WHOLE: usize = 254;

const TOO_LONG: &str = "it is longer than 254 octets";

/// The most octets of a label (RFC 1035 §2.3.4).
const MOST_LABEL: usize = 63;

/// What stands between `<` and `>`, and the name before it.
///
/// The domain is as it goes over the wire: in ASCII (IDNA).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    /// The name before it, without quotes; empty if there is none.
    pub(crate) name: String,
    /// What stands before the last `@`: quoted only where it needs to be.
    pub(crate) local: String,
    /// What stands behind it, in lower case but for the tag of an IPv6 address.
    pub(crate) domain: String,
}

impl Address {
    /// Reads `a@b`, `<a@b>`, `Name <a@b>` or `"Name, Inc" <a@b>` (RFC 5322 §3.4, and UTF-8 as in
    /// RFC 6532). Comments, routes and groups are refused.
    pub(crate) fn read(text: &str) -> Result<Self> {
        Self::parse(text.trim()).map_err(|why| {
            let shown: String = text.trim().chars().take(100).collect();
            Error::config(format!("{shown:?} is no mail address: {why}"))
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it is empty");
        }
        // A line break in an address is an attempt to write a header, or a command.
        if text.chars().any(char::is_control) {
            return Err("it holds a line break or another control character");
        }
        let (name, bare) = match outside_quotes(text, b'<') {
            Some(at) => {
                let bare = text[at + 1..].strip_suffix('>');
                (
                    name(text[..at].trim())?,
                    bare.ok_or("there is no > at its end")?,
                )
            }
            None => (String::new(), text),
        };
        let (local, domain) = bare.rsplit_once('@').ok_or("there is no @ in it")?;
        // Before anything dear is done with it; a character is of four octets at most.
        if bare.len() > 4 * MOST_WHOLE {
            return Err(TOO_LONG);
        }
        let address = Self {
            name,
            local: local_part(local)?,
            domain: domain_part(domain)?,
        };
        if address.local.len() + 1 + address.domain.len() > MOST_WHOLE {
            return Err(TOO_LONG);
        }
        Ok(address)
    }

    /// The parts of a list. Commas in quotes and between `<` and `>` do not count, as long as
    /// those are closed.
    pub(crate) fn split(list: &str) -> Vec<&str> {
        let mut parts = Vec::new();
        let (mut start, mut at) = (0, 0);
        // Where one is not closed, none behind it is looked for: a list takes the time of its length.
        let (mut quotes, mut brackets) = (true, true);
        while let Some(c) = list[at..].chars().next() {
            match c {
                '"' if quotes => match closing_quote(&list[at..]) {
                    Some(end) => at += end,
                    None => quotes = false,
                },
                '<' if brackets => match outside_quotes(&list[at..], b'>') {
                    Some(end) => at += end,
                    None => brackets = false,
                },
                ',' => {
                    parts.push(&list[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
            // At the comma, the quote or the bracket that closes, or at a character of its own.
            at += list[at..].chars().next().map_or(1, char::len_utf8);
        }
        parts.push(&list[start..]);
        let trimmed = parts.into_iter().map(str::trim);
        trimmed.filter(|part| !part.is_empty()).collect()
    }

    /// Whether it needs a relay that takes UTF-8 in addresses (RFC 6531).
    pub(crate) fn needs_utf8(&self) -> bool {
        !self.local.is_ascii()
    }

    /// Whether both name the same mailbox, whatever the names before them.
    pub(crate) fn is_same_mailbox(&self, other: &Self) -> bool {
        self.local == other.local && self.domain == other.domain
    }
}

/// `a@b`, without the name.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// Where this character of ASCII is first, outside quotes.
fn outside_quotes(text: &str, wanted: u8) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'"' => at += closing_quote(&text[at..])?,
            b if b == wanted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the quote ends that this text begins with.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, b) in text.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// The name before an address: words, quoted strings, or both.
fn name(text: &str) -> Result<String, &'static str> {
    let mut out = String::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '"' => {
                let end = closing_quote(&text[at..]).ok_or("a quote in its name is not closed")?;
                out += &unescaped(&text[at + 1..at + end]);
                at += end;
            }
            '(' | ')' | '<' | '>' | '[' | ']' | ':' | ';' | '@' | '\\' | ',' => {
                return Err("its name has to stand in double quotes");
            }
            c => out.push(c),
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    Ok(out)
}

/// What stands in quotes, without the backslashes.
pub(crate) fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// Between quotes, with backslashes before what needs them.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Whether a character may stand in an atom (RFC 5322 §3.2.3, RFC 6532 §3.2).
pub(crate) fn is_atext(c: char) -> bool {
    match c {
        c if c.is_ascii_alphanumeric() => true,
        c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        c => !c.is_whitespace() && !c.is_control(),
    }
}

/// A local part in the one form of several equal ones that has no needless quotes.
fn local_part(text: &str) -> Result<String, &'static str> {
    let content = match text.strip_prefix('"') {
        Some(_) if closing_quote(text) == Some(text.len() - 1) => {
            unescaped(&text[1..text.len() - 1])
        }
        Some(_) => return Err("the quotes before its @ are not closed there"),
        None if is_dot_atom(text) => text.to_owned(),
        None if text.is_empty() => return Err("there is nothing before its @"),
        None => {
            return Err("what is before its @ holds what has to be quoted, or a dot out of place");
        }
    };
    if content.is_empty() {
        return Err("there is nothing before its @");
    }
    if content.chars().any(|c| !c.is_ascii() && !is_atext(c)) {
        return Err("what is before its @ holds a blank that is not ASCII");
    }
    let local = if is_dot_atom(&content) {
        content
    } else {
        quoted(&content)
    };
    if local.len() > MOST_LOCAL {
        return Err("what is before its @ is longer than 64 octets");
    }
    Ok(local)
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// A domain as it goes over the wire, or an address in brackets (RFC 5321 §4.1.3).
fn domain_part(text: &str) -> Result<String, &'static str> {
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.strip_suffix(']');
        return literal
            .and_then(address_literal)
            .ok_or("what is in brackets is neither an IPv4 address nor IPv6: and an IPv6 address");
    }
    if text.is_empty() {
        return Err("there is nothing behind its @");
    }
    let ascii = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(text).map_err(|_| "its domain cannot be written in ASCII (IDNA)")?
    };
    let is_label = |label: &str| {
        (1..=MOST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !ascii.split('.').all(is_label) {
        return Err("its domain is not made of letters, digits, hyphens and single dots");
    }
    Ok(ascii)
}

/// `[1.2.3.4]` or `[IPv6:::1]`, from what stands between the brackets.
fn address_literal(text: &str) -> Option<String> {
    let tag = text
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    let ip = match tag {
        Some(_) => IpAddr::V6(text[5..].parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(text.parse::<Ipv4Addr>().ok()?),
    };
    Some(match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String) {
        let a = Address::read(text).unwrap();
        (a.name, a.local, a.domain)
    }

    fn is(name: &str, local: &str, domain: &str) -> (String, String, String) {
        (name.to_owned(), local.to_owned(), domain.to_owned())
    }

    #[test]
    fn addresses_are_read() {
        for (text, wanted) in [
            ("a@b", is("", "a", "b")),
            (" <A.b+c@Example.COM> ", is("", "A.b+c", "example.com")),
            ("Ops Team <a@b>", is("Ops Team", "a", "b")),
            ("\"Ops, Inc\" <a@b>", is("Ops, Inc", "a", "b")),
            ("\"say \\\"hi\\\"\"<a@b>", is("say \"hi\"", "a", "b")),
            ("\"a < b\" <a@b>", is("a < b", "a", "b")),
            ("Jürgen <a@b>", is("Jürgen", "a", "b")),
            ("\"a b\"@c", is("", "\"a b\"", "c")),
            ("\"plain\"@c", is("", "plain", "c")),
            ("\"x@y\"@c", is("", "\"x@y\"", "c")),
            ("\"x\\\"y\"@c", is("", "\"x\\\"y\"", "c")),
            ("a@[127.0.0.1]", is("", "a", "[127.0.0.1]")),
            ("a@[IPv6:::1]", is("", "a", "[IPv6:::1]")),
            ("a@bücher.example", is("", "a", "xn--bcher-kva.example")),
            (
                "jürgen@bücher.example",
                is("", "jürgen", "xn--bcher-kva.example"),
            ),
            (
                "_x!#$%&'*+-/=?^`{|}~@b-c.d",
                is("", "_x!#$%&'*+-/=?^`{|}~", "b-c.d"),
            ),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
        assert!(Address::read("jürgen@b").unwrap().needs_utf8());
        assert!(!Address::read("a@bücher.example").unwrap().needs_utf8());
    }

    #[test]
    fn what_is_no_address_is_refused_and_says_why() {
        let long = format!("{}@b", "a".repeat(65));
        let wide = format!("a@{}", ["a".repeat(60).as_str(); 5].join("."));
        let label = format!("a@{}.example", "a".repeat(64));
        let huge = format!("a@{}", "ü".repeat(1_000_000));
        for (text, why) in [
            ("", "it is empty"),
            ("alice", "there is no @"),
            ("@b", "nothing before"),
            ("\"\"@b", "nothing before"),
            ("a@", "nothing behind"),
            ("a@b\r\nRCPT TO:<c@d>", "control"),
            ("x\ny <a@b>", "control"),
            ("a\0@b", "control"),
            ("a b@c", "quoted"),
            (".a@b", "quoted"),
            ("a..b@c", "quoted"),
            ("a,b@c", "quoted"),
            ("\"a@b", "quotes"),
            ("\"a\"b@c", "quotes"),
            ("a@b c", "letters"),
            ("a@b.", "letters"),
            ("a@-b", "letters"),
            ("a@b_c", "letters"),
            ("a@[1.2.3]", "brackets"),
            ("a@[::1]", "brackets"),
            ("<a@b", "no >"),
            ("<a@b> x", "no >"),
            ("x (y) <a@b>", "double quotes"),
            ("<@relay:a@b>", "quoted"),
            ("team: a@b;", "quoted"),
            ("a\u{a0}b@c", "quoted"),
            ("\"a\u{a0}b\"@c", "not ASCII"),
            (&long, "64 octets"),
            (&wide, "254 octets"),
            (&label, "letters"),
            (&huge, "254 octets"),
        ] {
            let e = Address::read(text).unwrap_err().to_string();
            assert!(
                e.contains("is no mail address: ") && e.contains(why),
                "{text:?}: {e}"
            );
            assert!(!e.contains(['\r', '\n']), "{e:?}");
        }
    }

    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        let split = Address::split;
        assert_eq!(split("a@b ,  c@d,,"), ["a@b", "c@d"]);
        assert_eq!(split("\"x, y\" <a@b>, c@d"), ["\"x, y\" <a@b>", "c@d"]);
        assert_eq!(split("<a,b@c>, d"), ["<a,b@c>", "d"]);
        assert_eq!(split("<\"a>,b\"@c>, d"), ["<\"a>,b\"@c>", "d"]);
        // What is not closed takes no other address with it.
        assert_eq!(split("\"x <a@b>, c@d"), ["\"x <a@b>", "c@d"]);
        assert_eq!(split("<a@b, c@d"), ["<a@b", "c@d"]);
        assert_eq!(split("ü, \"ü, ü\"@é"), ["ü", "\"ü, ü\"@é"]);
        assert!(split(" , ").is_empty());
    }

    #[test]
    fn what_is_never_closed_takes_no_longer() {
        for (unit, parts) in [
            ("<", 1),
            ("\\\"", 1),
            ("\\\"<", 1),
            ("\",", 1),
            ("<,", 100_001),
        ] {
            let list = format!("{}\"{}", unit, unit.repeat(100_001));
            let found = Address::split(&list);
            assert!(found.len() >= parts, "{unit}: {}", found.len());
            assert!(found.iter().all(|part| Address::read(part).is_err()));
        }
    }
}
