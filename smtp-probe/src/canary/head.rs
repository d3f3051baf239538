//! The header of a mail (RFC 5322 §2.2), as whoever wrote it left it.

/// The most octets of a mail that are looked at.
pub(crate) const MOST_OCTETS: usize = 64 * 1024;
/// The most fields that are kept.
const MOST_FIELDS: usize = 500;

/// The fields in their order, and what comes after them.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    /// Names in lower case; values unfolded, what is no text replaced.
    fields: Vec<(String, String)>,
    /// As much of the body as was read.
    pub(crate) body: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads the start of a mail; lines end in LF or CRLF.
    pub(crate) fn read(mail: &'a [u8]) -> Self {
        let mut rest = &mail[..mail.len().min(MOST_OCTETS)];
        let mut fields: Vec<(String, String)> = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|b| *b == b'\n');
            let (line, after) = match end {
                Some(n) => (&rest[..n], &rest[n + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = after;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if matches!(line[0], b' ' | b'\t') {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(String::from_utf8_lossy(line).trim());
                }
                continue;
            }
            let Some(colon) = line.iter().position(|b| *b == b':') else {
                continue;
            };
            let name = line[..colon].trim_ascii_end();
            let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
            if is_name && fields.len() < MOST_FIELDS {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                let value = String::from_utf8_lossy(&line[colon + 1..]);
                fields.push((name, value.trim().to_owned()));
            }
        }
        Self { fields, body: rest }
    }

    /// The first value of a field; its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(n, _)| n == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// All values of a field, the uppermost first.
    pub(crate) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        let found = self.fields.iter().filter(move |(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_unfolded_and_end_at_the_empty_line() {
        for end in ["\n", "\r\n"] {
            let mail = "From nobody Sun Nov 22\nA: one\nReceived: x\n\ty\n  z\nreceived : w\nno field\n\nA: body\n"
                .replace('\n', end);
            let head = Head::read(mail.as_bytes());
            assert_eq!(head.get("a"), Some("one"));
            assert_eq!(head.all("received").collect::<Vec<_>>(), ["x y z", "w"]);
            assert_eq!(head.get("b"), None);
            assert!(head.body.starts_with(b"A: body"));
        }
    }

    #[test]
    fn what_is_hostile_stays_bounded() {
        let mail = [b"A: \0\xff\xfe\n".as_slice(), &b"x: y\n".repeat(20_000)].concat();
        let head = Head::read(&mail);
        assert_eq!(head.fields.len(), MOST_FIELDS);
        assert_eq!(head.get("a"), Some("\0\u{fffd}\u{fffd}"));
        let long = [b"A: ".as_slice(), &vec![b'x'; 1_000_000]].concat();
        assert!(Head::read(&long).get("a").unwrap().len() < MOST_OCTETS);
        let folds = [b"A: x\n".as_slice(), &b" \xff\n".repeat(100_000)].concat();
        assert!(Head::read(&folds).get("a").unwrap().len() <= 2 * MOST_OCTETS);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(mail in prop::collection::vec(any::<u8>(), 0..300)) {
            let head = Head::read(&mail);
            prop_assert!(head.body.len() <= mail.len());
        }
    }
}
