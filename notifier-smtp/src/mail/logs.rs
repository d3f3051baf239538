//! The failure's logs in a mail: their last lines, and their ends as files.

use notifier_core::{Error, LogTail, Report, Result, Settings};

/// The logs, the one with what went wrong first.
const NAMES: [&str; 2] = ["stderr", "stdout"];

/// The most characters of a line that is shown.
const LINE: usize = 1000;

/// The most of a log that is read for the lines that are shown.
const MOST_SHOWN: usize = 256 * 1024;

/// Checks a log's name.
///
/// # Errors
/// Config, if there is no such log.
pub(crate) fn check(name: &str) -> Result<()> {
    if NAMES.contains(&name) {
        Ok(())
    } else {
        Err(Error::config(format!(
            "smtp.attach: {name:?} is neither stdout nor stderr"
        )))
    }
}

/// What was read of the logs.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// The last lines of a log, for the text.
    pub(crate) lines: String,
    /// The ends of those to attach.
    pub(crate) files: Vec<File>,
    /// What could not be read, for the text.
    pub(crate) notes: Vec<String>,
    /// The same, and which names are none.
    pub(crate) warnings: Vec<String>,
}

/// The end of a log to attach.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// `stdout` or `stderr`.
    pub(crate) log: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_cut: bool,
}

impl Logs {
    /// Reads what the settings want of them, each log once.
    pub(crate) async fn read(report: &Report, settings: &Settings, shown: bool) -> Self {
        let mut logs = Self::default();
        let wanted = settings.list("attach");
        let most_attached = usize::try_from(settings.size("attach_size").unwrap_or_default());
        let most_attached = most_attached.unwrap_or(usize::MAX);
        let lines = usize::try_from(settings.integer("log_lines").unwrap_or_default());
        let lines = lines.unwrap_or(usize::MAX);
        let most_shown = lines.saturating_mul(LINE).min(MOST_SHOWN);
        let wrong = wanted.iter().filter_map(|name| check(name).err());
        logs.warnings.extend(wrong.map(|e| e.to_string()));
        for name in NAMES {
            let attached = wanted.contains(&name) && most_attached > 0;
            let show = shown && most_shown > 0 && logs.lines.is_empty();
            let most =
                if attached { most_attached } else { 0 }.max(if show { most_shown } else { 0 });
            if most == 0 {
                continue;
            }
            match report.log_tail(name, most).await {
                Ok(Some(tail)) if !tail.bytes.is_empty() => {
                    if show {
                        logs.lines = last_lines(&tail.bytes, lines);
                    }
                    if attached {
                        logs.files
                            .push(File::new(name, tail).shortened(most_attached));
                    }
                }
                Ok(_) => {}
                Err(e) => {
                    let why = e.to_string();
                    let why = report
                        .redactor()
                        .redact(&why)
                        .replace(char::is_control, " ");
                    let text = format!("the log {name} cannot be read: {why}");
                    logs.warnings.push(text.clone());
                    logs.notes.push(text);
                }
            }
        }
        // In the order in which people look for them.
        logs.files.sort_by_key(|file| std::cmp::Reverse(file.log));
        logs
    }
}

impl File {
    fn new(log: &'static str, tail: LogTail) -> Self {
        Self {
            log,
            bytes: tail.bytes,
            is_cut: tail.is_cut,
        }
    }

    /// Its last so many bytes at most, from a whole line if it has lines, else from a whole character.
    pub(crate) fn shortened(mut self, most: usize) -> Self {
        let over = self.bytes.len().saturating_sub(most);
        if over > 0 {
            self.is_cut = true;
            self.bytes.drain(..over);
            let line = self.bytes.iter().position(|b| *b == b'\n');
            if let Some(line) = line.filter(|line| *line < self.bytes.len() / 2) {
                self.bytes.drain(..=line);
            }
        }
        if self.is_cut {
            // What is left of a character of UTF-8 (at most three octets).
            let rest = self.bytes.iter().take(3).take_while(|b| **b & 0xC0 == 0x80);
            let rest = rest.count();
            self.bytes.drain(..rest);
        }
        self
    }
}

/// The last lines of a log, without the line break at their end; long ones are cut.
fn last_lines(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let last = text.rsplit('\n').take(lines);
    let last: Vec<&str> = last.map(|line| line.trim_end_matches('\r')).collect();
    let shown = last
        .iter()
        .rev()
        .map(|line| match line.char_indices().nth(LINE) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => (*line).to_owned(),
        });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown() {
        let lines = |n| last_lines(b"a\nb\nc\n\n", n);
        assert_eq!(lines(1), "c");
        assert_eq!(lines(2), "b\nc");
        assert_eq!(lines(9), "a\nb\nc");
        assert_eq!(last_lines(b"a\r\nb\rc\r\n", 9), "a\nb\rc");
        let long = format!("a\n{}\nb", "€".repeat(LINE + 1));
        let shown = format!("a\n{}…\nb", "€".repeat(LINE));
        assert_eq!(last_lines(long.as_bytes(), 3), shown);
    }

    #[test]
    fn a_file_is_cut_at_its_start_and_at_a_line() {
        let file = |text: &str| File::new("stdout", LogTail::new(text.as_bytes(), false));
        let cut = file("one\ntwo\nthree and four\n").shortened(17);
        assert_eq!(cut.bytes, b"three and four\n");
        assert!(cut.is_cut);
        let cut = file("€€").shortened(5);
        assert_eq!(cut.bytes, "€".as_bytes());
        assert!(!file("a").shortened(1).is_cut);
    }
}
