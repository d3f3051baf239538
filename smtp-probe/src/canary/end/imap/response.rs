//! What a server's response says (RFC 3501 §7). What is not known, or not as it should be, says nothing.

use std::borrow::Cow;

/// OK, NO and their like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    /// Greeted as somebody who is logged in already.
    Preauth,
    Bye,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response<'a> {
    /// `+`: the rest of a command may come.
    Go,
    /// The answer to the command of this tag, or something besides if there is none.
    Said {
        tag: Option<&'a str>,
        status: Status,
        /// What is in brackets: `UIDNEXT 5`.
        code: &'a str,
        text: &'a str,
    },
    /// Capabilities.
    Offers(&'a str),
    /// Numbers of mails.
    Found(Vec<u32>),
    Mail(Fetched<'a>),
    Other,
}

/// What is said of a mail.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched<'a> {
    pub(super) uid: u32,
    /// The part that was asked for.
    pub(super) data: Option<Cow<'a, [u8]>>,
    /// When it came there: `22-Nov-2026 04:21:27 +0000`.
    pub(super) date: Option<String>,
}

/// Reads a response.
pub(super) fn read(bytes: &[u8]) -> Response<'_> {
    let (first, rest) = word(bytes);
    match first {
        b"+" => Response::Go,
        b"*" => {
            let (kind, after) = word(rest);
            let kind = text(kind).to_ascii_uppercase();
            match kind.as_str() {
                "CAPABILITY" => Response::Offers(text(after)),
                "SEARCH" => Response::Found(numbers(after)),
                number if number.parse::<u32>().is_ok() => mail(after),
                _ => said(None, rest),
            }
        }
        tag => said(Some(text(tag)), rest),
    }
}

/// The first word, and what comes after its space.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| *b == b' ');
    end.map_or((bytes, b""), |n| (&bytes[..n], &bytes[n + 1..]))
}

/// As far as it is text.
fn text(bytes: &[u8]) -> &str {
    let valid = bytes.utf8_chunks().next();
    valid.map_or("", |chunk| chunk.valid())
}

fn said<'a>(tag: Option<&'a str>, bytes: &'a [u8]) -> Response<'a> {
    let (status, rest) = word(bytes);
    let status = match text(status).to_ascii_uppercase().as_str() {
        "OK" => Status::Ok,
        "NO" => Status::No,
        "BAD" => Status::Bad,
        "PREAUTH" => Status::Preauth,
        "BYE" => Status::Bye,
        _ => return Response::Other,
    };
    let rest = text(rest).trim();
    let coded = rest.strip_prefix('[').and_then(|r| r.split_once(']'));
    let (code, text) = coded.unwrap_or(("", rest));
    Response::Said {
        tag,
        status,
        code,
        text: text.trim(),
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let words = text(bytes).split_ascii_whitespace();
    // `(MODSEQ 5)` may come after them.
    words.map_while(|w| w.parse().ok()).collect()
}

fn mail(bytes: &[u8]) -> Response<'_> {
    let (kind, rest) = word(bytes);
    let mut tokens = Tokens(rest);
    if !kind.eq_ignore_ascii_case(b"FETCH") || tokens.next() != Some(Token::Open) {
        return Response::Other;
    }
    let mut uid = None;
    let (mut data, mut date) = (None, None);
    while let Some(Token::Word(name)) = tokens.next() {
        let name = name.to_ascii_uppercase();
        match (name.as_slice(), tokens.next()) {
            (b"UID", Some(Token::Word(n))) => uid = text(n).parse().ok(),
            (b"INTERNALDATE", Some(Token::Text(t))) => {
                date = Some(String::from_utf8_lossy(&t).into_owned());
            }
            (name, Some(Token::Text(t))) if name.starts_with(b"BODY[") => data = Some(t),
            (_, Some(Token::Open)) => {
                let mut depth = 1_u32;
                while depth > 0 {
                    match tokens.next() {
                        Some(Token::Open) => depth += 1,
                        Some(Token::Close) => depth -= 1,
                        Some(_) => {}
                        None => return Response::Other,
                    }
                }
            }
            _ => {}
        }
    }
    uid.map_or(Response::Other, |uid| {
        Response::Mail(Fetched { uid, data, date })
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    Word(&'a [u8]),
    /// A quoted string or a literal.
    Text(Cow<'a, [u8]>),
}

struct Tokens<'a>(&'a [u8]);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.0.trim_ascii_start();
        let (first, after) = rest.split_first()?;
        match first {
            b'(' => self.take(after, Token::Open),
            b')' => self.take(after, Token::Close),
            b'"' => self.quoted(after),
            b'{' => self.literal(after),
            _ => {
                let mut is_in_brackets = false;
                let ends = |b: &u8| {
                    match b {
                        b'[' => is_in_brackets = true,
                        b']' => is_in_brackets = false,
                        _ => {}
                    }
                    !is_in_brackets && matches!(b, b' ' | b'(' | b')' | b'\r' | b'\n')
                };
                let end = rest.iter().position(ends).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                self.take(after, Token::Word(word))
            }
        }
    }
}

impl<'a> Tokens<'a> {
    fn take(&mut self, rest: &'a [u8], token: Token<'a>) -> Option<Token<'a>> {
        self.0 = rest;
        Some(token)
    }

    fn quoted(&mut self, rest: &'a [u8]) -> Option<Token<'a>> {
        let mut text = Vec::new();
        let mut octets = rest.iter().enumerate();
        loop {
            match octets.next()? {
                (n, b'"') => return self.take(&rest[n + 1..], Token::Text(text.into())),
                (_, b'\\') => text.push(*octets.next()?.1),
                (_, octet) => text.push(*octet),
            }
        }
    }

    fn literal(&mut self, rest: &'a [u8]) -> Option<Token<'a>> {
        let close = rest.iter().position(|b| *b == b'}')?;
        let octets: usize = text(&rest[..close]).parse().ok()?;
        let rest = &rest[close + 1..];
        let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
        let (data, rest) = rest.strip_prefix(b"\n")?.split_at_checked(octets)?;
        self.take(rest, Token::Text(data.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_and_notices_are_read() {
        assert_eq!(
            read(b"a7 NO [AUTHENTICATIONFAILED] Authentication failed."),
            Response::Said {
                tag: Some("a7"),
                status: Status::No,
                code: "AUTHENTICATIONFAILED",
                text: "Authentication failed."
            }
        );
        assert_eq!(
            read(b"* bye \xff"),
            Response::Said {
                tag: None,
                status: Status::Bye,
                code: "",
                text: ""
            }
        );
        assert_eq!(read(b"+ "), Response::Go);
        assert_eq!(read(b"* SEARCH"), Response::Found(Vec::new()));
        assert_eq!(
            read(b"* search 4 19 (MODSEQ 5)"),
            Response::Found(vec![4, 19])
        );
        assert_eq!(
            read(b"* CAPABILITY IMAP4rev1 UIDPLUS"),
            Response::Offers("IMAP4rev1 UIDPLUS")
        );
        for other in [
            &b""[..],
            b"* 5 EXISTS",
            b"* FLAGS (\\Seen)",
            b"* 5 FETCH (FLAGS (\\Seen))",
            b"* 5 FETCH (UID 7 FLAGS (",
        ] {
            assert_eq!(read(other), Response::Other);
        }
    }

    #[test]
    fn a_mail_is_read_in_any_order_and_form() {
        let want = |data: &'static [u8]| {
            Response::Mail(Fetched {
                uid: 7,
                data: Some(data.into()),
                date: Some("22-Nov-2026 04:21:27 +0000".to_owned()),
            })
        };
        let mail = b"* 5 FETCH (FLAGS (\\Seen (x)) BODY[]<0> {9}\r\nA: (\"\r\n\r\n UID 7 INTERNALDATE \"22-Nov-2026 04:21:27 +0000\")";
        assert_eq!(read(mail), want(b"A: (\"\r\n\r\n"));
        let mail = b"* 5 fetch (UID 7 INTERNALDATE \"22-Nov-2026 04:21:27 +0000\" BODY[HEADER.FIELDS (\"X-CANARY\" a)]<0> \"a\\\"\\\\b\")";
        assert_eq!(read(mail), want(b"a\"\\b"));
        let Response::Mail(found) = read(b"* 5 FETCH (UID 7 BODY[] NIL)") else {
            panic!("a mail");
        };
        assert_eq!(found.data, None);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            start in "(\\* 1 FETCH \\(|\\* SEARCH |a1 OK \\[|)",
            odd in "[\\[\\](){}\"\\\\0-9A-Z \r\n]{0,60}",
        ) {
            read(&[start.as_bytes(), odd.as_bytes(), &bytes].concat());
        }
    }
}
