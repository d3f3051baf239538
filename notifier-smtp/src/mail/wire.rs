//! The last look at a mail before it goes out.

/// The longest line, its CRLF not counted (RFC 5321 §4.5.3.1.6).
const LONGEST: usize = 998;

/// What is wrong with a mail, if anything is: a line that is too long, a bare CR or LF, a NUL, an
/// end without CRLF, octets beyond ASCII that nobody said would come.
pub(crate) fn fault(data: &[u8], may_be_utf8: bool) -> Option<String> {
    let Some(body) = data.strip_suffix(b"\r\n") else {
        return Some("it does not end in CRLF".to_owned());
    };
    let mut lines = body.split(|b| *b == b'\n').enumerate().peekable();
    while let Some((n, line)) = lines.next() {
        // The last one's CRLF is taken off already.
        let line = if lines.peek().is_none() {
            line
        } else if let Some(line) = line.strip_suffix(b"\r") {
            line
        } else {
            return Some(format!("line {} ends in a bare LF", n + 1));
        };
        let what = if line.contains(&b'\r') {
            "holds a bare CR"
        } else if line.contains(&0) {
            "holds a NUL"
        } else if line.len() > LONGEST {
            "is longer than 998 octets"
        } else if !may_be_utf8 && !line.is_ascii() {
            "is not ASCII"
        } else {
            continue;
        };
        return Some(format!("line {} {what}", n + 1));
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_must_not_go_out_is_seen() {
        let long = format!("{}\r\n", "x".repeat(999));
        for (data, fault) in [
            ("a: b\r\n\r\nx", Some("it does not end in CRLF")),
            ("a\nb\r\n", Some("line 1 ends in a bare LF")),
            ("a\rb\r\n", Some("line 1 holds a bare CR")),
            ("a\r\n\r\r\n", Some("line 2 holds a bare CR")),
            ("a\r\nb\0\r\n", Some("line 2 holds a NUL")),
            (&long, Some("line 1 is longer than 998 octets")),
            ("a\r\nä\r\n", Some("line 2 is not ASCII")),
            (&long[1..], None),
            ("a: b\r\n\r\n.x\r\n", None),
        ] {
            assert_eq!(
                super::fault(data.as_bytes(), false).as_deref(),
                fault,
                "{data:?}"
            );
        }
        assert_eq!(super::fault("ä\r\n".as_bytes(), true), None);
    }
}
