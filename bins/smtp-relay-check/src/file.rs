//! The file of `--config`: tables `[defaults]` and `[[target]]`, beside those of a watcher.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use notifier_runtime::{Cli, Problems, table};
use notifiers::{OptionKind, OptionSpec};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    check,
    options::{RUN, TARGET, TOP, all, find},
    values::Values,
};

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// The tables that this program reads by itself.
pub(crate) const TABLES: [&str; 2] = ["defaults", "target"];

/// One `[[target]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Where it is; none where the table only says how /probe checks an address.
    pub(crate) address: Option<String>,
    pub(crate) values: Values,
    /// Labels of the messages, which say where they go.
    pub(crate) labels: BTreeMap<String, String>,
    /// `FILE:LINE`, for messages.
    pub(crate) at: String,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) defaults: Values,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) targets: Vec<Table>,
    /// What stands at its top: `listen`, …
    pub(crate) top: Values,
}

/// Reads a file. `watcher` knows the keys of a watcher.
pub(crate) fn read(path: &Path, watcher: &Cli, problems: &mut Problems) -> Content {
    match load(path) {
        Ok(text) => parse(&path.display().to_string(), &text, watcher, problems),
        Err(why) => {
            problems.push(format!("config: cannot read {}: {why}", path.display()));
            Content::default()
        }
    }
}

fn load(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, Read as _};

    if path.is_dir() {
        return Err(Error::other("it is a folder"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Error::other("it is not UTF-8"))
}

fn parse(file: &str, text: &str, watcher: &Cli, problems: &mut Problems) -> Content {
    let mut reader = Reader {
        file,
        text,
        problems,
    };
    let mut out = Content::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(e) = errors.first() {
        // Only the reason: toml's own display quotes the line, which may hold a secret.
        let why = e.message().lines().next().unwrap_or("it is not TOML");
        reader.wrong(e.span().map_or(0, |s| s.start), why);
        return out;
    }
    for (key, value) in ordered(table.get_ref()) {
        let at = key.span().start;
        let name = key.get_ref().replace('_', "-");
        match (name.as_str(), value.get_ref()) {
            ("defaults", DeValue::Table(t)) => {
                let read = reader.table(t, "defaults", false);
                (out.defaults, out.labels) = (read.values, read.labels);
            }
            ("defaults", _) => reader.wrong(at, "defaults is a table: [defaults]"),
            ("target", DeValue::Array(list)) => {
                for item in list.iter() {
                    match item.get_ref() {
                        DeValue::Table(t) => {
                            let mut read = reader.table(t, "target", true);
                            read.at = reader.line(item.span().start);
                            out.targets.push(read);
                        }
                        _ => reader.wrong(item.span().start, "a target is a table: [[target]]"),
                    }
                }
            }
            ("target", _) => reader.wrong(at, "target is a list of tables: [[target]]"),
            (top, _) if TOP.contains(&top) => reader.value(&mut out.top, top, at, value),
            (other, _) if is_watchers(watcher, other) => {}
            (other, _) => {
                let known = TABLES.iter().chain(TOP).copied();
                reader.unknown(
                    at,
                    other,
                    "",
                    known.chain(["reporters", "outbox", "state-dir", "log"]),
                );
            }
        }
    }
    named_once(&out.targets, reader.problems);
    out
}

/// Two targets of one name could not be told apart.
fn named_once(targets: &[Table], problems: &mut Problems) {
    for (i, target) in targets.iter().enumerate() {
        if targets[..i].iter().any(|t| t.name == target.name) {
            problems.push(format!(
                "{}: target: there are two called {:?}; give them a name each",
                target.at, target.name
            ));
        }
    }
}

/// Whether a watcher has a key or a table of this name at the top of its file.
fn is_watchers(watcher: &Cli, key: &str) -> bool {
    let first = |text: &str| text.split(['.', '-']).next().unwrap_or_default().to_owned();
    let plain = |text: &str| text.replace(['_', '.'], "-");
    table::tables(watcher)
        .iter()
        .any(|t| match t.file_table.is_empty() {
            // `log.level` may be the key `log-level` or a table `log`.
            true => t
                .group
                .options
                .iter()
                .any(|o| plain(o.key) == key || (o.key.contains('.') && first(o.key) == key)),
            false => first(&t.file_table) == key,
        })
}

type Entry<'a, 'i> = (&'a Spanned<Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn ordered<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut all: Vec<Entry<'a, 'i>> = table.iter().collect();
    all.sort_by_key(|(k, _)| k.span().start);
    all
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    /// Where a byte is, counted from 1, in characters.
    fn line(&self, byte: usize) -> String {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        format!("{}:{line}:{column}", self.file)
    }

    fn wrong(&mut self, at: usize, why: &str) {
        let line = format!("{}: {why}", self.line(at));
        self.problems.push(line);
    }

    fn unknown<'k>(
        &mut self,
        at: usize,
        key: &str,
        table: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        let near =
            nearest(key, known).map(|n| format!("; did you mean {:?}?", n.replace('-', "_")));
        let inside = match table {
            "" => String::new(),
            table => format!(" in [{table}]"),
        };
        let shown: String = key.chars().take(40).collect();
        self.wrong(
            at,
            &format!("unknown key {shown:?}{inside}{}", near.unwrap_or_default()),
        );
    }

    fn table(&mut self, table: &DeTable<'_>, title: &str, is_target: bool) -> Table {
        let mut out = Table::default();
        for (key, value) in ordered(table) {
            let at = key.span().start;
            let name = key.get_ref().replace('_', "-");
            match (name.as_str(), value.get_ref()) {
                ("name", DeValue::String(s)) if is_target && is_name(s) => {
                    s.as_ref().clone_into(&mut out.name)
                }
                ("name", _) if is_target => self.wrong(
                    at,
                    "name is a text of 1 to 100 characters, none of them a control character",
                ),
                ("address", DeValue::String(s)) if is_target => {
                    out.address = Some(s.as_ref().to_owned())
                }
                ("address", _) if is_target => {
                    self.wrong(at, "address is a text, such as \"relay.example:25\"")
                }
                ("labels", DeValue::Table(t)) => {
                    for (k, v) in ordered(t) {
                        match v.get_ref().as_str() {
                            Some(v) => drop(
                                out.labels
                                    .insert(k.get_ref().as_ref().to_owned(), v.to_owned()),
                            ),
                            None => self.wrong(k.span().start, "a label is a text"),
                        }
                    }
                }
                ("labels", _) => self.wrong(at, "labels is a table of texts"),
                (name, _) if find(TARGET, name).is_some() => {
                    self.value(&mut out.values, name, at, value)
                }
                (name, _) if find(RUN, name).is_some() => {
                    self.wrong(
                        at,
                        &format!("{name:?} is said on the command line, not for a target"),
                    );
                }
                (name, _) => {
                    let own = ["name", "address"]
                        .into_iter()
                        .filter(|_| is_target)
                        .chain(["labels"]);
                    let known: Vec<&str> = own.chain(all(TARGET).map(|o| o.key)).collect();
                    self.unknown(at, name, title, known.into_iter());
                }
            }
        }
        if is_target && out.name.is_empty() {
            match &out.address {
                Some(address) => address.clone_into(&mut out.name),
                None => {
                    let at = table.values().map(|v| v.span().start).min().unwrap_or(0);
                    self.wrong(
                        at,
                        "a target needs an address, or a name for /probe?module=NAME",
                    );
                }
            }
        }
        out
    }

    fn value(&mut self, out: &mut Values, key: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        let Some(spec) = find(TARGET, key).or_else(|| find(RUN, key)) else {
            return;
        };
        if out.has(spec.key) {
            return self.wrong(at, &format!("{key} is set twice"));
        }
        let items: Result<Vec<String>, String> = match value.get_ref() {
            DeValue::Array(list) if spec.repeated || is_pair(spec.key) => {
                list.iter().map(|v| scalar(spec, v.get_ref())).collect()
            }
            DeValue::Array(_) => Err("it takes one value, not a list".to_owned()),
            one => scalar(spec, one).map(|v| vec![v]),
        };
        let items = items.map(|items| match is_pair(spec.key) {
            true => vec![items.join(",")],
            false => items,
        });
        let checked = items.and_then(|items| {
            items.iter().try_for_each(|v| check::value(spec, v))?;
            Ok(items)
        });
        match checked {
            Ok(items) => out.set(spec, items),
            Err(why) => self.wrong(at, &format!("{}: {why}", key.replace('-', "_"))),
        }
    }
}

/// Bounds may be written as a list of two numbers.
fn is_pair(key: &str) -> bool {
    find(TARGET, key)
        .and_then(|o| o.default)
        .is_some_and(|d| check::bounds(d, false).is_ok() || check::bounds(d, true).is_ok())
}

fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A value as text. Numbers and booleans are themselves only where an option is one: a quoted
/// `"yes"`, or a number among addresses, is a slip.
fn scalar(spec: &OptionSpec, value: &DeValue<'_>) -> Result<String, String> {
    let is_bool = spec.kind == OptionKind::Bool;
    let is_number = is_pair(spec.key)
        || matches!(
            spec.kind,
            OptionKind::Integer | OptionKind::Size | OptionKind::Duration
        );
    match value {
        DeValue::Boolean(b) if is_bool => Ok(b.to_string()),
        _ if is_bool => Err("it is true or false, without quotes".to_owned()),
        DeValue::String(s) => Ok(s.as_ref().to_owned()),
        DeValue::Integer(_) | DeValue::Float(_) if !is_number => Err("it is a text".to_owned()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Ok(n.to_string()),
            Err(_) => Err("the number is too large".to_owned()),
        },
        DeValue::Float(f) => Ok(f.as_str().to_owned()),
        _ if is_number => Err("it is a number, or a text such as \"30s\"".to_owned()),
        _ => Err("it is a text".to_owned()),
    }
}

/// The known word nearest to a wrong one, if one is near.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|k| (distance(word, k), k))
        .filter(|(d, k)| *d <= 1 + k.len().min(word.len()) / 4)
        .min()
        .map(|(_, k)| k)
}

/// How many letters must be changed, added, left out or swapped with the next.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
