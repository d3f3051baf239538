//! The variables of a unit: `Environment=` and `EnvironmentFile=` (systemd.exec(5)).

use std::path::{Path, PathBuf};

use super::{
    specifier::Scope,
    unit_file::{Entry, words},
};

/// The most variables of a file, and the most files of a unit.
const MAX_VARIABLES: usize = 4096;
const MAX_FILES: usize = 32;

/// The variables of a file, in order, as systemd reads them.
///
/// Values may be quoted, several parts one behind the other. In double quotes a backslash holds
/// before `"`, `\`, `` ` `` and `$`; without quotes before everything; in single quotes nowhere.
/// Before a line break it joins two lines. Lines that begin with `#` or `;` are comments.
pub(crate) fn parse(text: &str) -> Vec<(String, String)> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Start,
        Key,
        BeforeValue,
        Value,
        Single,
        Double,
        Comment,
    }
    let mut found = Vec::new();
    let mut at = At::Start;
    let (mut key, mut value) = (String::new(), String::new());
    // How much of the value stays when spaces at its end go.
    let mut kept = 0;
    let mut chars = text.chars().chain(['\n']);
    let mut end = |key: &mut String, value: &mut String, kept: &mut usize| {
        value.truncate(*kept);
        let name = std::mem::take(key);
        let value = std::mem::take(value);
        *kept = 0;
        if is_name(name.trim()) && found.len() < MAX_VARIABLES {
            found.push((name.trim().to_owned(), value));
        }
    };
    while let Some(c) = chars.next() {
        let newline = matches!(c, '\n' | '\r');
        match at {
            At::Start if matches!(c, '#' | ';') => at = At::Comment,
            At::Start if c.is_ascii_whitespace() => {}
            At::Start => {
                key.push(c);
                at = At::Key;
            }
            At::Key if newline => {
                key.clear();
                at = At::Start;
            }
            At::Key if c == '=' => at = At::BeforeValue,
            At::Key => key.push(c),
            At::BeforeValue | At::Value if newline => {
                end(&mut key, &mut value, &mut kept);
                at = At::Start;
            }
            At::BeforeValue if c == '\'' => at = At::Single,
            At::BeforeValue if c == '"' => at = At::Double,
            At::BeforeValue if c.is_ascii_whitespace() => {}
            At::BeforeValue | At::Value if c == '\\' => {
                at = At::Value;
                if let Some(c) = chars.next().filter(|c| !matches!(c, '\n' | '\r')) {
                    value.push(c);
                }
                kept = value.len();
            }
            At::BeforeValue | At::Value => {
                at = At::Value;
                value.push(c);
                if !c.is_ascii_whitespace() {
                    kept = value.len();
                }
            }
            At::Single if c == '\'' => at = At::BeforeValue,
            At::Double if c == '"' => at = At::BeforeValue,
            At::Double if c == '\\' => {
                match chars.next() {
                    Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                    Some('\n') | None => {}
                    Some(c) => value.extend(['\\', c]),
                }
                kept = value.len();
            }
            At::Single | At::Double => {
                value.push(c);
                kept = value.len();
            }
            At::Comment if c == '\\' => {
                let _ = chars.next();
            }
            At::Comment if newline => at = At::Start,
            At::Comment => {}
        }
    }
    // A quote that is not closed ends with the file.
    if matches!(at, At::Single | At::Double) {
        if value.ends_with('\n') {
            value.pop();
        }
        kept = kept.min(value.len());
    }
    if !matches!(at, At::Start | At::Key | At::Comment) {
        end(&mut key, &mut value, &mut kept);
    }
    found
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The variables of `Environment=`. An empty one takes back all before it.
pub(crate) fn variables(entries: &[Entry], scope: &Scope<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in settings(entries, "Environment") {
        if entry.value.is_empty() {
            found.clear();
        }
        for word in words(&entry.value) {
            if let Some((name, value)) = word.split_once('=')
                && found.len() < MAX_VARIABLES
            {
                found.push((name.to_owned(), scope.expand(value)));
            }
        }
    }
    found
}

/// The files of `EnvironmentFile=`, in order, without the `-` for those that may be missing. An
/// empty one takes back all before it.
pub(crate) fn files(entries: &[Entry], scope: &Scope<'_>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in settings(entries, "EnvironmentFile") {
        let path = scope.expand(entry.value.strip_prefix('-').unwrap_or(&entry.value));
        if path.is_empty() {
            found.clear();
        } else if Path::new(&path).is_absolute() && found.len() < MAX_FILES {
            found.push(PathBuf::from(path));
        }
    }
    found
}

fn settings<'a>(entries: &'a [Entry], key: &'a str) -> impl Iterator<Item = &'a Entry> {
    // Of the sections that have it, a unit has one.
    let sections = ["Service", "Socket", "Mount", "Swap"];
    entries
        .iter()
        .filter(move |e| e.key == key && sections.contains(&e.section.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::unit_file;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    /// What systemd 252 gives a unit with such a file.
    #[test]
    fn values_are_those_that_systemd_reads() {
        for (text, expected) in [
            ("A=b\n", &[("A", "b")][..]),
            ("A=b", &[("A", "b")]),
            ("A = b  c  \n", &[("A", "b  c")]),
            ("A=\n B=1\n", &[("A", ""), ("B", "1")]),
            ("A='b \\n c'\n", &[("A", "b \\n c")]),
            ("A=\"b \\\" \\$ \\n\"\n", &[("A", "b \" $ \\n")]),
            ("A=\"b\"'c'd\n", &[("A", "bcd")]),
            ("A=\"b\" \"c\"\nB=\"b\" c\n", &[("A", "bc"), ("B", "bc")]),
            ("A\r\nB=1\r\n", &[("B", "1")]),
            ("A=b\\ \\#c\n", &[("A", "b #c")]),
            ("A=b\\\nc\n", &[("A", "bc")]),
            ("A=\"b\\\nc\"\n", &[("A", "bc")]),
            ("A=\"b\nc\"\n", &[("A", "b\nc")]),
            ("A=b # c\n", &[("A", "b # c")]),
            ("# A=b\n;B=c\nC=d\n", &[("C", "d")]),
            ("# goes on \\\nA=b\nB=c\n", &[("B", "c")]),
            ("export A=b\n1A=b\nA-B=c\nB=1\n", &[("B", "1")]),
            ("A\nB=1\n", &[("B", "1")]),
            ("A='open", &[("A", "open")]),
        ] {
            assert_eq!(parse(text), pairs(expected), "{text:?}");
        }
    }

    #[test]
    fn the_units_own_lines_are_read() {
        let scope = Scope::new("web@blue.service", "h");
        let entries = unit_file::parse(
            "[Service]\nEnvironment=A=1 \"B=2 3\" C=%i\nEnvironment=D=4\n\
             EnvironmentFile=/etc/a\nEnvironmentFile=\nEnvironmentFile=-/etc/%p/%i.env\nEnvironmentFile=rel\n\
             [Unit]\nEnvironment=E=5\n",
        );
        assert_eq!(
            variables(&entries, &scope),
            pairs(&[("A", "1"), ("B", "2 3"), ("C", "blue"), ("D", "4")])
        );
        assert_eq!(
            files(&entries, &scope),
            [PathBuf::from("/etc/web/blue.env")]
        );
        let entries = unit_file::parse("[Service]\nEnvironment=A=1\nEnvironment=\n");
        assert_eq!(variables(&entries, &scope), []);
    }
}
