//! Tables and lines of what others wrote.

use notifier_runtime::visible;
use notifiers::redact::Redactor;
use serde_json::Value;

/// The longest text in a cell of a table, in characters.
pub(crate) const CELL: usize = 48;
/// The longest text on a line of its own, in characters.
pub(crate) const LINE: usize = 400;

/// A text with secrets masked, in one line, cut, and with nothing in it that acts on a terminal.
pub(crate) fn shown(redactor: &Redactor, text: &str, most: usize) -> String {
    visible(&redactor.redact(text), most).into_owned()
}

/// The same JSON with secrets masked in its texts.
pub(crate) fn masked(redactor: &Redactor, mut value: Value) -> Value {
    fn walk(redactor: &Redactor, value: &mut Value) {
        match value {
            Value::String(s) => {
                if let std::borrow::Cow::Owned(new) = redactor.redact(s) {
                    *s = new;
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|v| walk(redactor, v)),
            Value::Object(map) => map.values_mut().for_each(|v| walk(redactor, v)),
            _ => {}
        }
    }
    if !redactor.is_empty() {
        walk(redactor, &mut value);
    }
    value
}

/// A size for people: `512 B`, `3.1 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Rows below a heading, in columns.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            widths: heading.iter().map(|h| h.len()).collect(),
        }
    }

    /// The heading and the first rows. Later ones keep to the same columns.
    pub(crate) fn first(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heading: Vec<String> = self.heading.iter().map(|h| h.to_uppercase()).collect();
        self.line(&heading) + &self.more(rows)
    }

    pub(crate) fn more(&self, rows: &[Vec<String>]) -> String {
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut out = String::new();
        for (cell, width) in row.iter().zip(&self.widths) {
            out.push_str(cell);
            let pad = (width + 2).saturating_sub(cell.chars().count()).max(2);
            out.extend(std::iter::repeat_n(' ', pad));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up() {
        let mut t = Table::new(&["id", "what"]);
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            t.first(&[row("abcd", "x"), row("ü", "")]),
            "ID    WHAT\nabcd  x\nü\n"
        );
        assert_eq!(t.more(&[row("longer", "y")]), "longer  y\n");
    }

    #[test]
    fn secrets_are_masked_in_texts_and_never_in_the_structure() {
        let r = Redactor::new(["attempts", "\",\"a\":\""]);
        let v = masked(
            &r,
            json!({ "attempts": ["3 attempts", { "b": "\",\"a\":\"" }], "n": 1 }),
        );
        assert_eq!(v, json!({ "attempts": ["3 ***", { "b": "***" }], "n": 1 }));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(3 << 20), "3.0 MiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }
}
