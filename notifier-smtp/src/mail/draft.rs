//! A mail that is put together, and made to fit.

use notifier_core::Markup;

use super::{body::Part, logs::File};

/// What is made of a report, before it is one text.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The headers but for those of the body, each line with its CRLF.
    pub(crate) headers: String,
    /// What boundaries are made of.
    pub(crate) seed: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) files: Vec<File>,
    /// What is missing, told at the end of the text.
    pub(crate) notes: Vec<String>,
}

/// The least of a log that is worth to be attached.
const LEAST_FILE: usize = 256;

/// The least of a text that is worth to be sent.
const LEAST_TEXT: usize = 64;

impl Draft {
    /// The whole. If it is larger than `largest`, files are cut from their beginnings, then left
    /// out, then the HTML is, then the text is cut; each is told.
    pub(crate) fn finish(&mut self, largest: Option<usize>, warnings: &mut Vec<String>) -> String {
        let known = self.notes.len();
        let whole = match largest {
            Some(largest) => self.fit(largest),
            None => self.whole(),
        };
        warnings.extend_from_slice(&self.notes[known..]);
        whole
    }

    fn fit(&mut self, largest: usize) -> String {
        let whole = self.whole();
        if whole.len() <= largest {
            return whole;
        }
        let why = format!("the relay takes mails of at most {largest} octets");
        let files = std::mem::take(&mut self.files);
        let known = self.notes.len();
        let mut share = largest.saturating_sub(self.whole().len()) / files.len().max(1);
        while !files.is_empty() && share >= LEAST_FILE {
            self.notes.truncate(known);
            self.files.clear();
            for file in &files {
                let short = file.clone().shortened(share);
                if short.bytes.len() < file.bytes.len() {
                    let (log, left) = (file.log, short.bytes.len());
                    self.notes.push(format!(
                        "the attached {log} is cut to its last {left} octets: {why}"
                    ));
                }
                self.files.push(short);
            }
            let whole = self.whole();
            if whole.len() <= largest {
                return whole;
            }
            share = share / 3 * 2;
        }
        self.files.clear();
        self.notes.truncate(known);
        for file in &files {
            self.notes
                .push(format!("{} is not attached: {why}", file.log));
        }
        let mut whole = self.whole();
        if whole.len() > largest && self.html.take().is_some() {
            self.notes
                .push(format!("the text is sent without its HTML: {why}"));
            whole = self.whole();
        }
        if whole.len() > largest {
            let text = std::mem::take(&mut self.text);
            self.notes.push(format!("the text is cut: {why}"));
            let mut room = largest.saturating_sub(self.whole().len()).min(text.len());
            self.text = shortened(&text, room);
            whole = self.whole();
            while whole.len() > largest && room >= LEAST_TEXT {
                room = room / 3 * 2;
                self.text = shortened(&text, room);
                whole = self.whole();
            }
        }
        whole
    }

    fn whole(&self) -> String {
        let mut text = self.text.clone();
        let mut html = self.html.clone();
        for note in &self.notes {
            add_note(&mut text, note);
            if let Some(html) = &mut html {
                add_html_note(html, note);
            }
        }
        let mut part = Part::text("plain", &text);
        if let Some(html) = html {
            let seed = format!("{}a", self.seed);
            part = Part::multipart("alternative", &seed, &[part, Part::text("html", &html)]);
        }
        if !self.files.is_empty() {
            let files = self.files.iter();
            let files = files.map(|file| Part::file(&format!("{}.txt", file.log), &file.bytes));
            let parts: Vec<Part> = std::iter::once(part).chain(files).collect();
            part = Part::multipart("mixed", &format!("{}m", self.seed), &parts);
        }
        format!("{}{}", self.headers, part.finish())
    }
}

fn add_note(text: &mut String, note: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    *text += &format!("({note})\n");
}

fn add_html_note(html: &mut String, note: &str) {
    let end = html.rfind("</body>").unwrap_or(html.len());
    let note = format!("<p>({})</p>\n", Markup::Html.escape(note));
    html.insert_str(end, &note);
}

/// The beginning of a text.
fn shortened(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let ellipsis = if end < text.len() { "…\n" } else { "" };
    format!("{}{ellipsis}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str, html: Option<&str>, files: &[(&'static str, usize)]) -> Draft {
        Draft {
            headers: "Subject: a\r\n".to_owned(),
            seed: "id".to_owned(),
            text: text.to_owned(),
            html: html.map(str::to_owned),
            files: files
                .iter()
                .map(|(log, lines)| File {
                    log,
                    bytes: "a line of a log\n".repeat(*lines).into_bytes(),
                    is_cut: false,
                })
                .collect(),
            notes: Vec::new(),
        }
    }

    fn fitted(mut draft: Draft, largest: usize) -> (String, Vec<String>) {
        let mut warnings = Vec::new();
        let whole = draft.finish(Some(largest), &mut warnings);
        (whole, warnings)
    }

    #[test]
    fn what_fits_is_left_alone() {
        let all = || {
            draft(
                "text\n",
                Some("<p>a</p>"),
                &[("stdout", 10), ("stderr", 10)],
            )
        };
        let whole = all().whole();
        let (fits, warnings) = fitted(all(), whole.len());
        assert_eq!(fits, whole);
        assert!(warnings.is_empty());
    }

    #[test]
    fn files_are_cut_first() {
        let files = [("stdout", 1000), ("stderr", 1)];
        let (whole, warnings) = fitted(draft("text\n", None, &files), 8000);
        assert!(whole.len() <= 8000 && whole.len() > 3000, "{}", whole.len());
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("the attached stdout is cut to its last "),
            "{warnings:?}"
        );
        assert!(whole.contains("(the attached stdout is cut"), "{whole}");
        assert!(whole.contains("stderr.txt"), "{whole}");
    }

    #[test]
    fn then_they_are_left_out_then_the_html_then_the_text_is_cut() {
        let files = [("stdout", 1000)];
        let text = "a line of text\n".repeat(100);
        let html = "<p>a line</p>\n".repeat(1000);
        let all = || draft(&text, Some(&html), &files);
        let room = draft(&text, Some(&html), &[]).whole().len() + 300;
        let (whole, warnings) = fitted(all(), room);
        assert!(whole.len() <= room && !whole.contains("stdout.txt"));
        assert!(whole.contains("(stdout is not attached: ") && whole.contains("<p>(stdout is not"));
        assert_eq!(warnings.len(), 1);
        let (whole, warnings) = fitted(all(), 4000);
        assert!(whole.len() <= 4000 && !whole.contains("text/html"));
        assert_eq!(warnings.len(), 2);
        let (whole, warnings) = fitted(all(), 1000);
        assert!(
            whole.len() <= 1000 && whole.contains("a line of text"),
            "{whole}"
        );
        assert_eq!(warnings.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn what_does_not_fit_has_nothing_left_to_leave_out(
            text in "([a-z ]{0,30}\n|ä{0,50}){0,40}",
            html in proptest::option::of("[a-z<>\n]{0,500}"),
            lines in 0..200_usize,
            largest in 0..6000_usize,
        ) {
            let mut mail = draft(&text, html.as_deref(), &[("stdout", lines), ("stderr", 3)]);
            let before = mail.whole().len();
            let whole = mail.finish(Some(largest), &mut Vec::new());
            if before <= largest {
                proptest::prop_assert!(mail.notes.is_empty());
            } else if whole.len() > largest {
                proptest::prop_assert!(mail.files.is_empty() && mail.html.is_none());
                proptest::prop_assert!(mail.text.len() <= LEAST_TEXT + "…\n".len());
            }
        }
    }

    #[test]
    fn what_cannot_fit_is_made_as_small_as_it_can_be() {
        let (whole, _) = fitted(draft(&"ä".repeat(500), None, &[]), 10);
        assert!(whole.starts_with("Subject: a\r\n"));
    }
}
