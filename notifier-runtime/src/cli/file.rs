//! The file of `-config`: TOML with the same options.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use notifiers::{OptionKind, OptionSpec};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Env, Place, Problems, Section, nearest};

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;
/// The largest file that a `{ file = … }` value may name.
const MAX_SECRET_FILE: u64 = 64 << 10;

/// One value of the file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) section: usize,
    pub(super) spec: &'static OptionSpec,
    pub(super) instance: Option<String>,
    pub(super) values: Vec<String>,
    /// `FILE:LINE:COLUMN: key`, for messages.
    pub(super) at: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) found: Vec<Found>,
    /// Tables under `reporters`, in the order of the file.
    pub(super) reporters: Vec<String>,
    /// It is not TOML: what it sets is not known.
    pub(super) broken: bool,
}

/// Reads a file whole; the error says what and where.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let bytes =
        bounded(path, MAX_FILE).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    String::from_utf8(bytes).map_err(|e| {
        format!(
            "{}: byte {} is not UTF-8",
            path.display(),
            e.utf8_error().valid_up_to() + 1
        )
    })
}

fn bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Reads a file that holds one value.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let bytes = bounded(path, MAX_SECRET_FILE)
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let mut text =
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
    // Editors and `echo` end a file with one line break that is not part of the value.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Reads the text of a file against the declared options.
pub(super) fn load(
    path: &Path,
    text: &str,
    sections: &[Section],
    own_keys: &[&str],
    env: &Env,
    problems: &mut Problems,
) -> Content {
    let mut r = Reader {
        path,
        text,
        sections,
        own_keys,
        env,
        problems,
        out: Content::default(),
        seen: BTreeSet::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        r.top(table.get_ref());
    } else {
        r.out.broken = true;
        // The parser goes on after an error; later ones on one line follow from the first.
        let mut lines = BTreeSet::new();
        for e in errors {
            let at = e.span().map_or(0, |s| s.start);
            if lines.len() < 5 && lines.insert(position(text, at).0) {
                // Only the reason: toml's own display quotes the line, which may hold a secret.
                let why = e.message().lines().next().unwrap_or("it is not TOML");
                // TOML cannot hold a value and tables of one name.
                let hint = if why.contains("dotted key") && text.contains("[reporters.") {
                    "; leave out `reporters = …`: the tables [reporters.x] say which there are"
                } else {
                    ""
                };
                r.wrong(at, &format!("{why}{hint}"));
            }
        }
    }
    r.out
}

/// Line and column of a byte, from 1; columns count characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (
        before.matches('\n').count() + 1,
        before[start..].chars().count() + 1,
    )
}

/// `-`, `_` and `.` are one in a key of the file.
fn plain(key: &str) -> String {
    key.chars()
        .map(|c| if matches!(c, '_' | '.') { '-' } else { c })
        .collect()
}

fn shown(key: &str) -> String {
    let cut: String = key.chars().take(40).collect();
    format!("{cut:?}")
}

type Entry<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

fn ordered<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut all: Vec<Entry<'a, 'i>> = table.iter().collect();
    all.sort_by_key(|(k, _)| k.span().start);
    all
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    sections: &'a [Section],
    /// What the program reads by itself.
    own_keys: &'a [&'a str],
    env: &'a Env,
    problems: &'a mut Problems,
    out: Content,
    seen: BTreeSet<(usize, &'static str, Option<String>)>,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> String {
        let (line, column) = position(self.text, at);
        format!("{}:{line}:{column}", self.path.display())
    }

    fn wrong(&mut self, at: usize, why: &str) {
        let line = format!("{}: {why}", self.place(at));
        self.problems.push(line);
    }

    fn unknown(&mut self, span: &Range<usize>, key: &str, whole: &str, known: &[&str]) {
        let inside = if whole.is_empty() {
            String::new()
        } else {
            format!(" in [{whole}]")
        };
        let hint = nearest(&plain(key), known)
            .map(|n| format!("; did you mean {n:?}?"))
            .unwrap_or_default();
        self.wrong(
            span.start,
            &format!("unknown key {}{inside}{hint}", shown(key)),
        );
    }

    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in ordered(table) {
            let name = key.get_ref().as_ref();
            match (name, value.get_ref()) {
                (own, _) if self.own_keys.iter().any(|k| plain(k) == plain(own)) => {}
                ("reporters", DeValue::Table(t)) => self.backends(t, Place::Reporter),
                ("uploaders", DeValue::Table(t)) => self.backends(t, Place::Uploader),
                _ => match (self.section(name, Place::Section), value.get_ref()) {
                    (Some(i), DeValue::Table(t)) => self.options(t, i, name, None),
                    _ => self.program(key, value, String::new()),
                },
            }
        }
    }

    fn section(&self, name: &str, place: Place) -> Option<usize> {
        self.sections
            .iter()
            .position(|s| s.place == place && plain(s.group.name) == plain(name))
    }

    /// A key of the program itself; `[log] level` is `log.level`.
    fn program(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        prefix: String,
    ) {
        let whole = format!("{prefix}{}", plain(key.get_ref()));
        let found = self.sections.iter().enumerate().find_map(|(i, s)| {
            let mut specs = s.group.options.iter();
            let is = |o: &&OptionSpec| {
                plain(o.key) == whole || o.aliases.iter().any(|a| plain(a) == whole)
            };
            (s.place == Place::Program)
                .then(|| specs.find(is))
                .flatten()
                .map(|o| (i, o))
        });
        if let Some((section, spec)) = found {
            // The file that names another file would never be read.
            if spec.key == super::CONFIG {
                return self.wrong(key.span().start, "a file cannot name another one");
            }
            return self.value(section, spec, None, spec.key, key, value);
        }
        let table = match value.get_ref() {
            DeValue::Table(t) => t,
            _ => {
                let known: Vec<String> = self
                    .sections
                    .iter()
                    .filter(|s| s.place == Place::Program)
                    .flat_map(|s| s.group.options.iter().map(|o| plain(o.key)))
                    .chain(self.sections.iter().map(|s| s.group.name.to_owned()))
                    .chain(self.own_keys.iter().map(|t| (*t).to_owned()))
                    .collect();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                return self.unknown(&key.span(), &whole, "", &known);
            }
        };
        if !self
            .sections
            .iter()
            .filter(|s| s.place == Place::Program)
            .any(|s| {
                s.group
                    .options
                    .iter()
                    .any(|o| plain(o.key).starts_with(&format!("{whole}-")))
            })
        {
            let names: Vec<&str> = self
                .sections
                .iter()
                .filter(|s| s.place == Place::Section)
                .map(|s| s.group.name)
                .chain(["reporters", "uploaders", "log"])
                .chain(self.own_keys.iter().copied())
                .collect();
            return self.unknown(&key.span(), &whole, "", &names);
        }
        for (k, v) in ordered(table) {
            self.program(k, v, format!("{whole}-"));
        }
    }

    /// `[reporters.slack]` and the like.
    fn backends(&mut self, table: &DeTable<'_>, place: Place) {
        let what = if place == Place::Reporter {
            "reporters"
        } else {
            "uploaders"
        };
        for (key, value) in ordered(table) {
            let name = key.get_ref().as_ref();
            let at = key.span().start;
            let whole = format!("{what}.{name}");
            match (self.section(name, place), value.get_ref()) {
                (Some(i), DeValue::Table(t)) => {
                    let section = &self.sections[i];
                    if place == Place::Reporter {
                        self.out.reporters.push(section.group.name.to_owned());
                    }
                    self.options(t, i, &whole, None);
                }
                (Some(_), _) => self.wrong(at, &format!("{what}.{name} is a table: [{whole}]")),
                (None, _) => {
                    let known: Vec<&str> = self
                        .sections
                        .iter()
                        .filter(|s| s.place == place)
                        .map(|s| s.group.name)
                        .collect();
                    self.unknown(&key.span(), name, what, &known);
                }
            }
        }
    }

    fn options(
        &mut self,
        table: &DeTable<'_>,
        section: usize,
        whole: &str,
        instance: Option<&str>,
    ) {
        let s = &self.sections[section];
        let per_instance = matches!(s.place, Place::Reporter);
        for (key, value) in ordered(table) {
            let name = plain(key.get_ref());
            if name == "instances" && per_instance && instance.is_none() {
                let DeValue::Table(t) = value.get_ref() else {
                    self.wrong(
                        key.span().start,
                        &format!("instances is a table: [{whole}.instances.NAME]"),
                    );
                    continue;
                };
                for (k, v) in ordered(t) {
                    let inner = k.get_ref().as_ref();
                    match v.get_ref() {
                        DeValue::Table(t) if !inner.is_empty() => {
                            self.options(
                                t,
                                section,
                                &format!("{whole}.instances.{inner}"),
                                Some(inner),
                            );
                        }
                        _ => self.wrong(
                            k.span().start,
                            &format!(
                                "an instance is a table with a name: [{whole}.instances.NAME]"
                            ),
                        ),
                    }
                }
                continue;
            }
            match s.group.options.iter().find(|o| plain(o.key) == name) {
                Some(spec) => {
                    let label = format!("{whole}.{}", spec.key);
                    self.value(section, spec, instance, &label, key, value);
                }
                None => {
                    let known: Vec<&str> = s.group.options.iter().map(|o| o.key).collect();
                    self.unknown(&key.span(), key.get_ref(), whole, &known);
                }
            }
        }
    }

    fn value(
        &mut self,
        section: usize,
        spec: &'static OptionSpec,
        instance: Option<&str>,
        label: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let at = key.span().start;
        let instance = instance.map(str::to_owned);
        if !self.seen.insert((section, spec.key, instance.clone())) {
            return self.wrong(at, &format!("{label} is set twice"));
        }
        let start = value.span().start;
        let values = match value.get_ref() {
            DeValue::Array(list) if spec.repeated || spec.kind == OptionKind::List => {
                let mut out = Vec::new();
                for item in list.iter() {
                    match scalar(item.get_ref()) {
                        Ok(v) => out.push(v),
                        Err(why) => {
                            return self.wrong(item.span().start, &format!("{label}: {why}"));
                        }
                    }
                }
                if spec.kind == OptionKind::List {
                    vec![out.join(",")]
                } else {
                    out
                }
            }
            DeValue::Array(_) => {
                return self.wrong(start, &format!("{label} takes one value, not a list"));
            }
            DeValue::Table(t) => match self.reference(t) {
                Ok(v) => vec![v],
                Err(why) => return self.wrong(start, &format!("{label}: {why}")),
            },
            other => match scalar(other) {
                Ok(v) => vec![v],
                Err(why) => return self.wrong(start, &format!("{label}: {why}")),
            },
        };
        let place = self.place(at);
        self.out.found.push(Found {
            section,
            spec,
            instance,
            values,
            at: format!("{place}: {label}"),
        });
    }

    /// `{ file = "/run/secrets/x" }` or `{ env = "NAME" }`.
    fn reference(&self, table: &DeTable<'_>) -> Result<String, String> {
        const FORM: &str = "a value is a text, or { file = \"PATH\" }, or { env = \"NAME\" }";
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            return Err(FORM.to_owned());
        };
        let Some(name) = value.get_ref().as_str().filter(|n| !n.is_empty()) else {
            return Err(FORM.to_owned());
        };
        match key.get_ref().as_ref() {
            "env" => match self.env.get(name) {
                Some(Ok(v)) => Ok(v.to_owned()),
                Some(Err(e)) => Err(format!("environment variable {}: {e}", shown(name))),
                None => Err(format!("environment variable {} is not set", shown(name))),
            },
            "file" => {
                let path: PathBuf = match self.path.parent() {
                    Some(folder) => folder.join(name),
                    None => PathBuf::from(name),
                };
                let text = secret(&path)?;
                if text.is_empty() {
                    return Err(format!("{} is empty", path.display()));
                }
                Ok(text)
            }
            _ => Err(FORM.to_owned()),
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(s) => Ok(s.as_ref().to_owned()),
        DeValue::Integer(n) => i128::from_str_radix(n.as_str(), n.radix())
            .map(|n| n.to_string())
            .map_err(|_| "the number is too large".to_owned()),
        DeValue::Float(f) => Ok(f.as_str().to_owned()),
        DeValue::Boolean(b) => Ok(b.to_string()),
        DeValue::Datetime(_) => {
            Err("a date is not a value of any option; put it in quotes".to_owned())
        }
        DeValue::Array(_) => Err("a list inside a list".to_owned()),
        DeValue::Table(_) => Err("a table inside a list".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("a\nbü c", 6), (2, 4));
        assert_eq!(position("a\nbü c", 999), (2, 5));
        // Inside a character: its start.
        assert_eq!(position("ü", 1), (1, 1));
    }
}
