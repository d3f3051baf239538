//! The parts of a mail: their encodings, and how they are put together (RFC 2045, 2046).

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The longest line of a text that goes as it is.
const PLAIN_LINE: usize = 240;

/// The longest line of quoted-printable and of base64 (RFC 2045 §6.7, §6.8).
const ENCODED_LINE: usize = 76;

/// A part with its own headers.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its headers, each line with its CRLF.
    headers: String,
    /// Its content, encoded: ASCII, lines of at most 998 octets that end in CRLF, but for the last.
    content: String,
}

impl Part {
    /// A text, such as `plain` or `html`. Line feeds are its line breaks; everything else,
    /// a carriage return or a NUL too, reads back as it was.
    pub(crate) fn text(kind: &str, text: &str) -> Self {
        let (encoding, content) = if goes_as_it_is(text) {
            ("7bit", text.replace('\n', "\r\n"))
        } else {
            let quoted = quoted_printable(text);
            let base64 = lines(&STANDARD.encode(text.replace('\n', "\r\n")));
            if quoted.len() <= base64.len() {
                ("quoted-printable", quoted)
            } else {
                ("base64", base64)
            }
        };
        Self {
            headers: format!(
                "Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
            ),
            content,
        }
    }

    /// A file: as text if it is one, byte for byte if not. `name` is ASCII without blanks or quotes.
    pub(crate) fn file(name: &str, bytes: &[u8]) -> Self {
        let mut part = match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self::text("plain", text),
            _ => Self {
                headers: "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
                    .to_owned(),
                content: lines(&STANDARD.encode(bytes)),
            },
        };
        part.headers += &format!("Content-Disposition: attachment; filename=\"{name}\"\r\n");
        part
    }

    /// Several parts as one; `kind` is `mixed` or `alternative`. The boundary is made of `seed`,
    /// which is the same on every attempt, and of what it takes so that no part holds it.
    pub(crate) fn multipart(kind: &str, seed: &str, parts: &[Self]) -> Self {
        let taken = |boundary: &str| parts.iter().any(|part| part.content.contains(boundary));
        let mut boundary = format!("=_{seed}");
        for n in 1_u64.. {
            if !taken(&boundary) {
                break;
            }
            boundary = format!("=_{seed}_{n}");
        }
        let mut content = String::new();
        for Self {
            headers,
            content: inner,
        } in parts
        {
            content += &format!("--{boundary}\r\n{headers}\r\n{inner}\r\n");
        }
        content += &format!("--{boundary}--\r\n");
        Self {
            headers: format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n"),
            content,
        }
    }

    /// The headers, an empty line and the content, which is what a mail ends with. The last line
    /// has its CRLF.
    pub(crate) fn finish(self) -> String {
        let mut whole = format!("{}\r\n{}", self.headers, self.content);
        if !whole.ends_with("\r\n") {
            whole += "\r\n";
        }
        whole
    }
}

/// Whether nothing on the way changes a text that is not encoded: short lines of printable ASCII
/// and tabs without blanks at their ends, none that begins with a dot or `From `, and a line
/// break at the end, which a mail has anyhow.
fn goes_as_it_is(text: &str) -> bool {
    let is_safe = |line: &str| {
        line.len() <= PLAIN_LINE
            && line.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
            && !line.ends_with([' ', '\t'])
            && !line.starts_with('.')
            && !line.starts_with("From ")
    };
    (text.is_empty() || text.ends_with('\n')) && text.split('\n').all(is_safe)
}

/// Quoted-printable (RFC 2045 §6.7). Line feeds are line breaks. A text without one at its end
/// has a soft one there, so that the mail's own does not count.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let mut used = 0;
        let bytes = line.as_bytes();
        for (at, &b) in bytes.iter().enumerate() {
            let is_last = at + 1 == bytes.len();
            let raw = match b {
                b'=' => false,
                // What some software takes for the end of the mail, or of the one before.
                b'.' => used > 0,
                b'F' => used > 0 || !bytes[at..].starts_with(b"From "),
                b' ' | b'\t' => !is_last,
                b => b.is_ascii_graphic(),
            };
            let length = if raw { 1 } else { 3 };
            // One is left for the sign of a soft line break.
            if used + length > ENCODED_LINE - 1 {
                out += "=\r\n";
                used = 0;
            }
            // The first on a line now: it may have to be encoded after all.
            let raw = raw && !(used == 0 && (b == b'.' || bytes[at..].starts_with(b"From ")));
            if raw {
                out.push(char::from(b));
                used += 1;
            } else {
                out += &format!("={b:02X}");
                used += 3;
            }
        }
        if lines.peek().is_some() {
            out += "\r\n";
        } else if !line.is_empty() {
            out += "=\r\n";
        }
    }
    out
}

/// Base64 in lines, each with its CRLF.
fn lines(base64: &str) -> String {
    let mut out = String::with_capacity(base64.len() + base64.len() / 32);
    for at in (0..base64.len()).step_by(ENCODED_LINE) {
        out += &base64[at..base64.len().min(at + ENCODED_LINE)];
        out += "\r\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_goes_as_it_is() {
        let part = Part::text("plain", "\na b\n\tc\n").finish();
        assert!(part.ends_with("7bit\r\n\r\n\r\na b\r\n\tc\r\n"), "{part}");
        let part = Part::text("plain", "").finish();
        assert!(part.ends_with("7bit\r\n\r\n"), "{part}");
    }

    #[test]
    fn what_may_be_changed_on_the_way_is_encoded() {
        for (text, wanted) in [
            ("a", "a=\r\n"),
            ("a \n", "a=20\r\n"),
            ("a\t\n", "a=09\r\n"),
            (".\n", "=2E\r\n"),
            ("From x\n", "=46rom x\r\n"),
            ("a=\r\n", "a=3D=0D\r\n"),
            ("\0\n", "=00\r\n"),
            ("ä\n", "=C3=A4\r\n"),
            ("a\n.b", "a\r\n=2Eb=\r\n"),
        ] {
            assert_eq!(quoted_printable(text), wanted);
            assert!(!goes_as_it_is(text), "{text:?}");
        }
        let long = quoted_printable(&format!("{}.From me\n", "x".repeat(75)));
        assert_eq!(long, format!("{}=\r\n=2EFrom me\r\n", "x".repeat(75)));
    }

    #[test]
    fn the_shorter_encoding_is_taken() {
        let part = Part::text("plain", &"日本語".repeat(100)).finish();
        assert!(part.contains("base64\r\n"), "{part}");
        assert!(part.lines().all(|l| l.len() <= ENCODED_LINE));
        let part = Part::text("plain", &"x".repeat(10_000)).finish();
        assert!(part.contains("quoted-printable\r\n"), "{part}");
    }

    #[test]
    fn a_boundary_never_stands_in_a_part() {
        let parts = [
            Part::text("plain", "--=_id\n"),
            Part::text("plain", "=_id_1\n"),
        ];
        let whole = Part::multipart("mixed", "id", &parts).finish();
        assert!(
            whole.starts_with("Content-Type: multipart/mixed; boundary=\"=_id_2\"\r\n"),
            "{whole}"
        );
        assert_eq!(whole.matches("--=_id_2").count(), 3);
    }

    #[test]
    fn a_file_that_is_no_text_goes_byte_for_byte() {
        let part = Part::file("stdout.txt", b"a\xff\n").finish();
        assert!(part.contains("application/octet-stream"), "{part}");
        assert!(
            part.ends_with("filename=\"stdout.txt\"\r\n\r\nYf8K\r\n"),
            "{part}"
        );
    }
}
