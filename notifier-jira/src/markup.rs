//! The markup of a template's text: links, blocks of code, paragraphs. Nothing else of
//! Jira's wiki syntax is understood.

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    /// Lines without an empty one between them.
    Paragraph(Vec<Vec<Inline<'a>>>),
    /// `{noformat}` or `{code:language}`.
    Code {
        language: Option<&'a str>,
        text: &'a str,
    },
}

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inline<'a> {
    Text(&'a str),
    /// `[text|url]`; without an address it is a text.
    Link {
        text: &'a str,
        url: &'a str,
    },
}

/// A piece of a text: markup's own signs, or what stands between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Link {
        text: &'a str,
        url: &'a str,
    },
    Code {
        /// The signs at its beginning, `{code:java}`.
        open: &'a str,
        text: &'a str,
        /// Those at its end; empty if there are none.
        close: &'a str,
    },
}

/// Takes a text apart. Put together again, the pieces are the text.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(n) = text[at..].find(['{', '[']) {
        at += n;
        let found = code(&text[at..]).or_else(|| link(&text[at..]));
        let Some((piece, len)) = found else {
            at += 1;
            continue;
        };
        if from < at {
            out.push(Piece::Text(&text[from..at]));
        }
        out.push(piece);
        at += len;
        from = at;
    }
    if from < text.len() {
        out.push(Piece::Text(&text[from..]));
    }
    out
}

/// A block of code at the beginning of a text, and its length.
fn code(text: &str) -> Option<(Piece<'_>, usize)> {
    let end = text.get(..200).unwrap_or(text).find('}')? + 1;
    let open = &text[..end];
    let inside = &open[1..end - 1];
    let close = match inside.split_once([':', ' ']).map_or(inside, |(w, _)| w) {
        "noformat" => "{noformat}",
        "code" => "{code}",
        _ => return None,
    };
    let body = &text[end..];
    let (text, close) = match body.find(close) {
        Some(n) => (&body[..n], &body[n..n + close.len()]),
        None => (body, ""),
    };
    Some((
        Piece::Code { open, text, close },
        end + text.len() + close.len(),
    ))
}

/// A link at the beginning of a text, and its length.
fn link(text: &str) -> Option<(Piece<'_>, usize)> {
    let inside = text.strip_prefix('[')?;
    let bar = inside.find(['|', '[', ']', '\n', '{'])?;
    let label = &inside[..bar];
    let rest = inside[bar..].strip_prefix('|')?;
    let end = rest.find(['|', '[', ']', '\n'])?;
    let url = &rest[..end];
    if !rest[end..].starts_with(']') || label.trim().is_empty() || !is_address(url) {
        return None;
    }
    Some((
        Piece::Link { text: label, url },
        1 + label.len() + 1 + url.len() + 1,
    ))
}

/// Whether a link may lead there: the web, a mailbox, or nowhere, for a log that is missing.
fn is_address(url: &str) -> bool {
    if url.trim().is_empty() {
        return true;
    }
    let scheme = url.split_once(':').map_or("", |(s, _)| s);
    ["http", "https", "mailto"]
        .iter()
        .any(|s| scheme.eq_ignore_ascii_case(s))
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The language of a block of code: `java` of `{code:title=x|java}`.
fn language(open: &str) -> Option<&str> {
    let inside = open.strip_prefix('{')?.strip_suffix('}')?;
    let (_, parameters) = inside.split_once(':')?;
    parameters
        .split('|')
        .find(|p| !p.contains('='))
        .or_else(|| {
            parameters
                .split('|')
                .find_map(|p| p.strip_prefix("language="))
        })
        .map(str::trim)
        .filter(|l| {
            !l.is_empty()
                && l.len() <= 30
                && l.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+#-_.".contains(c))
        })
}

/// The document that a text is.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut out = Vec::new();
    let mut lines: Vec<Vec<Inline<'_>>> = Vec::new();
    let mut line: Vec<Inline<'_>> = Vec::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                let mut first = true;
                for part in text.split('\n') {
                    if !std::mem::take(&mut first) {
                        end_line(&mut out, &mut lines, &mut line);
                    }
                    let part = part.strip_suffix('\r').unwrap_or(part);
                    if !part.is_empty() {
                        line.push(Inline::Text(part));
                    }
                }
            }
            Piece::Link { text, url } if url.trim().is_empty() => line.push(Inline::Text(text)),
            Piece::Link { text, url } => line.push(Inline::Link { text, url }),
            Piece::Code { open, text, .. } => {
                end_line(&mut out, &mut lines, &mut line);
                end_paragraph(&mut out, &mut lines);
                let text = text.strip_prefix('\r').unwrap_or(text);
                let text = text.strip_prefix('\n').unwrap_or(text);
                let text = text.strip_suffix('\n').unwrap_or(text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                out.push(Block::Code {
                    language: language(open),
                    text,
                });
            }
        }
    }
    end_line(&mut out, &mut lines, &mut line);
    end_paragraph(&mut out, &mut lines);
    out
}

fn end_line<'a>(
    out: &mut Vec<Block<'a>>,
    lines: &mut Vec<Vec<Inline<'a>>>,
    line: &mut Vec<Inline<'a>>,
) {
    let is_blank = line
        .iter()
        .all(|i| matches!(i, Inline::Text(t) if t.trim().is_empty()));
    if is_blank {
        line.clear();
        end_paragraph(out, lines);
    } else {
        lines.push(std::mem::take(line));
    }
}

fn end_paragraph<'a>(out: &mut Vec<Block<'a>>, lines: &mut Vec<Vec<Inline<'a>>>) {
    if !lines.is_empty() {
        out.push(Block::Paragraph(std::mem::take(lines)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(t: &str) -> Inline<'_> {
        Inline::Text(t)
    }

    #[test]
    fn links_code_and_paragraphs() {
        let found = blocks(
            "a [b|http://c/?d=e] f\ng\n\n\nh{noformat}\n[x|http://y]\n*z*\n{noformat}i{code:java}{code}",
        );
        assert_eq!(
            found,
            [
                Block::Paragraph(vec![
                    vec![
                        text("a "),
                        Inline::Link {
                            text: "b",
                            url: "http://c/?d=e"
                        },
                        text(" f")
                    ],
                    vec![text("g")]
                ]),
                Block::Paragraph(vec![vec![text("h")]]),
                Block::Code {
                    language: None,
                    text: "[x|http://y]\n*z*"
                },
                Block::Paragraph(vec![vec![text("i")]]),
                Block::Code {
                    language: Some("java"),
                    text: ""
                },
            ]
        );
    }

    #[test]
    fn what_is_no_link_is_text() {
        for t in [
            "[a]",
            "[a|b]",
            "[|http://a]",
            "[a|javascript:b]",
            "[a|http://b c]",
            "[a|http://b|c]",
            "[a|http://b",
            "[a\n|http://b]",
            "*bold* h1. {color:red} !x.png! ||a||",
        ] {
            assert!(
                pieces(t).iter().all(|p| matches!(p, Piece::Text(_))),
                "{t:?}"
            );
        }
        assert_eq!(
            blocks("[stdout|], [stderr|]"),
            [Block::Paragraph(vec![vec![
                text("stdout"),
                text(", "),
                text("stderr")
            ]])]
        );
        assert_eq!(
            pieces("[[a|http://b]")[1],
            Piece::Link {
                text: "a",
                url: "http://b"
            }
        );
    }

    #[test]
    fn code_knows_its_language_and_needs_no_end() {
        for (open, is) in [
            ("{code}", None),
            ("{code:java}", Some("java")),
            ("{code:title=a.c|borderStyle=solid|c++}", Some("c++")),
            ("{code:language=sql|title=x}", Some("sql")),
            ("{code:<b>}", None),
        ] {
            assert_eq!(language(open), is, "{open}");
        }
        assert_eq!(
            blocks("{code}\na"),
            [Block::Code {
                language: None,
                text: "a"
            }]
        );
        assert_eq!(blocks(" \n \r\n"), []);
    }

    fn whole(pieces: &[Piece<'_>]) -> String {
        pieces
            .iter()
            .map(|p| match p {
                Piece::Text(t) => (*t).to_owned(),
                Piece::Link { text, url } => format!("[{text}|{url}]"),
                Piece::Code { open, text, close } => format!("{open}{text}{close}"),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn pieces_are_the_text(text in any::<String>()) {
            prop_assert_eq!(whole(&pieces(&text)), text);
        }

        #[test]
        fn pieces_of_markup_are_the_text(
            parts in proptest::collection::vec(prop_oneof![
                Just("{noformat}"), Just("{code:java}"), Just("{code}"), Just("[a|http://b]"),
                Just("[a|]"), Just("["), Just("|"), Just("]"), Just("{"), Just("\n"), Just("x"), Just("é"),
            ], 0..30)
        ) {
            let text = parts.concat();
            prop_assert_eq!(whole(&pieces(&text)), text.clone());
            for block in blocks(&text) {
                if let Block::Paragraph(lines) = block {
                    prop_assert!(!lines.is_empty());
                    for line in lines {
                        prop_assert!(!line.is_empty());
                    }
                }
            }
        }
    }
}
