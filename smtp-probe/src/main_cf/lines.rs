//! Logical lines: the common form of Postfix' files (postconf(5), master(5), postmap(1)).

/// A line with those that continue it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Each physical line, its number from 1 and its text without spaces at its ends.
    pub(super) pieces: Vec<(usize, String)>,
}

impl Line {
    /// The number of the first.
    pub(super) fn number(&self) -> usize {
        self.pieces.first().map_or(0, |(number, _)| *number)
    }

    /// All of it, on one line.
    pub(super) fn text(&self) -> String {
        let pieces: Vec<&str> = self.pieces.iter().map(|(_, text)| text.as_str()).collect();
        pieces.join(" ")
    }
}

/// A line that begins with a space continues the one before; empty lines and comments are left out, even
/// between the two.
pub(super) fn logical(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (at, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let piece = (at + 1, trimmed.to_owned());
        match lines.last_mut() {
            Some(line) if raw.starts_with([' ', '\t']) => line.pieces.push(piece),
            _ => lines.push(Line {
                pieces: vec![piece],
            }),
        }
    }
    lines
}

/// The words of a list: spaces and commas divide it, braces keep together.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (c.is_whitespace() || c == ',') {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What is between the braces of `{ … }`.
pub(super) fn unbraced(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix('{')?.strip_suffix('}')?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_continued_over_comments() {
        let lines = logical("# head\r\na = 1,\r\n\r\n# within\r\n  2\r\n\t3\r\nb = 4\n");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].text(), "a = 1, 2 3");
        assert_eq!(lines[0].number(), 2);
        assert_eq!(lines[0].pieces[2], (6, "3".to_owned()));
        assert_eq!((lines[1].number(), lines[1].text().as_str()), (7, "b = 4"));
    }

    #[test]
    fn braces_keep_words_together() {
        assert_eq!(
            words("a, inline:{ {b = c}, d=e } f"),
            ["a", "inline:{ {b = c}, d=e }", "f"]
        );
        assert_eq!(words(" ,, \t"), Vec::<String>::new());
        assert_eq!(unbraced("{ a = b }"), Some("a = b"));
    }
}
