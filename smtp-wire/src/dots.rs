//! A message as it goes over the wire after DATA (RFC 5321 §4.5.2).

/// The message with its dots doubled at the start of lines, and the lone dot that ends it.
///
/// `None` if it has a CR or an LF alone: relays differ in what they take for the end of a
/// line then, and one message could be made into two (RFC 5321 §2.3.8).
pub fn stuff(data: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(data.len() + data.len() / 64 + 8);
    let mut rest = data;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        wire.extend_from_slice(b"\r\n");
        rest = match end {
            Some(_) => after.strip_prefix(b"\r\n")?,
            None => after,
        };
    }
    wire.extend_from_slice(b".\r\n");
    Some(wire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a relay reads it.
    fn unstuff(wire: &[u8]) -> Vec<u8> {
        let text = wire.strip_suffix(b".\r\n").unwrap();
        let mut out = Vec::new();
        for line in text.split_inclusive(|b| *b == b'\n') {
            assert_ne!(line, b".\r\n", "the message ends early");
            assert!(line.ends_with(b"\r\n"));
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        out
    }

    #[test]
    fn dots_are_doubled_at_the_start_of_lines() {
        for (data, want) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            (
                "a\r\n.\r\n..b\r\nc.d\r\n",
                "a\r\n..\r\n...b\r\nc.d\r\n.\r\n",
            ),
            ("\r\n\r\n", "\r\n\r\n.\r\n"),
        ] {
            assert_eq!(stuff(data.as_bytes()).unwrap(), want.as_bytes(), "{data:?}");
        }
    }

    #[test]
    fn a_lone_cr_or_lf_is_refused() {
        for data in [
            "a\nb", "a\rb", "a\n.\nb", "a\r", "a\n", "a\r\r\n", "a\r\n\n", "a\n\r\n", "a\r\n\r",
        ] {
            assert_eq!(stuff(data.as_bytes()), None, "{data:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stuffed_reads_back(lines in prop::collection::vec("[.a-c]{0,4}", 0..8)) {
            let data: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
            prop_assert_eq!(unstuff(&stuff(data.as_bytes()).unwrap()), data.as_bytes());
        }
    }
}
