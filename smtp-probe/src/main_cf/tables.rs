//! Tables that settings name: `hash:/etc/postfix/virtual`.

use std::path::PathBuf;

use super::{
    finding::Review,
    lines::{Line, logical, unbraced, words},
};

/// Keys that are read of a table.
const MOST: usize = 10_000;

/// Types whose source is a text of keys and values, made into a file by postmap.
pub(super) const INDEXED: &[(&str, &[&str])] = &[
    ("hash", &["db"]),
    ("btree", &["db"]),
    ("lmdb", &["lmdb"]),
    ("cdb", &["cdb"]),
    ("dbm", &["dir", "pag"]),
    ("sdbm", &["dir", "pag"]),
];

/// Types that Postfix has everywhere.
const BUILT_IN: &[&str] = &[
    "btree",
    "cidr",
    "environ",
    "fail",
    "hash",
    "inline",
    "internal",
    "memcache",
    "nis",
    "netinfo",
    "pipemap",
    "proxy",
    "randmap",
    "regexp",
    "socketmap",
    "static",
    "tcp",
    "texthash",
    "unionmap",
    "unix",
    "debug",
    "multi_server",
];

/// Types that packages bring (dynamicmaps.cf).
pub(super) const PLUGINS: &[&str] = &[
    "cdb", "dbm", "ldap", "lmdb", "mongodb", "mysql", "nisplus", "pcre", "pgsql", "sdbm", "sqlite",
];

/// `type:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) kind: String,
    pub(super) name: String,
}

/// The keys of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// It has an answer to all.
    All,
    /// These only.
    Some(Vec<String>),
}

/// A key, its value, and the line in the source.
pub(super) type Entry = (String, String, usize);

impl Table {
    /// Reads a word that names a table; `proxy:` is looked through.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix("proxy:").unwrap_or(word);
        let (kind, name) = word.split_once(':')?;
        let is_type =
            !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_type && kind.starts_with(|c: char| c.is_ascii_lowercase())).then(|| Self {
            kind: kind.to_owned(),
            name: name.trim().to_owned(),
        })
    }

    /// Whether Postfix knows the type at all.
    pub(super) fn is_known(&self) -> bool {
        BUILT_IN.contains(&self.kind.as_str()) || PLUGINS.contains(&self.kind.as_str())
    }

    /// The file that a person writes, if it is of one.
    pub(super) fn source(&self) -> Option<PathBuf> {
        let is_file = INDEXED.iter().any(|(kind, _)| *kind == self.kind)
            || ["texthash", "cidr", "regexp", "pcre"].contains(&self.kind.as_str())
            || (["ldap", "mysql", "pgsql", "sqlite", "mongodb", "memcache"]
                .contains(&self.kind.as_str())
                && self.name.starts_with('/'));
        (is_file && !self.name.starts_with('{')).then(|| PathBuf::from(&self.name))
    }

    /// The entries of it, if they can be seen.
    pub(super) fn entries(&self, review: &Review<'_>) -> Option<Vec<Entry>> {
        if self.kind == "inline" {
            return Some(inline(&self.name));
        }
        if ![
            "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "cidr",
        ]
        .contains(&self.kind.as_str())
        {
            return None;
        }
        let path = review.locate(&review.path(&self.name))?;
        let text = review.files.read(&path)?;
        let lines = logical(&text);
        Some(lines.iter().take(MOST).map(entry).collect())
    }

    /// The keys of it, if they can be seen.
    pub(super) fn keys(&self, review: &Review<'_>) -> Option<Keys> {
        match self.kind.as_str() {
            "static" => Some(Keys::All),
            "fail" => Some(Keys::Some(Vec::new())),
            "regexp" | "pcre" => {
                let path = review.locate(&review.path(&self.name))?;
                let text = review.files.read(&path)?;
                let takes_all = |line: &Line| {
                    let text = line.text();
                    ["/./", "/.*/", "/^/", "/.+/", "/^.*$/", "//"]
                        .iter()
                        .any(|all| text.starts_with(all))
                };
                logical(&text).iter().any(takes_all).then_some(Keys::All)
            }
            _ => {
                let entries = self.entries(review)?;
                Some(Keys::Some(
                    entries.into_iter().map(|(key, ..)| key).collect(),
                ))
            }
        }
    }
}

fn entry(line: &Line) -> Entry {
    let text = line.text();
    let (key, value) = match text.split_once(char::is_whitespace) {
        Some((key, value)) => (key.to_owned(), value.trim().to_owned()),
        None => (text, String::new()),
    };
    (key, value, line.number())
}

/// `{ key = value, { key = value } }`.
fn inline(name: &str) -> Vec<Entry> {
    let inner = unbraced(name).unwrap_or(name);
    let spaced = inner
        .replace(" = ", "=")
        .replace("= ", "=")
        .replace(" =", "=");
    let entries = words(&spaced).into_iter().take(MOST);
    let pairs = entries.filter_map(|word| {
        let pair = unbraced(&word).unwrap_or(&word);
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned(), 0))
    });
    pairs.collect()
}

/// A list in a file, without its comments.
pub(super) fn plain(text: &str) -> String {
    let lines: Vec<String> = logical(text).iter().map(Line::text).collect();
    lines.join("\n")
}

/// The words of a list, those of the tables and files that it names among them, each with the word
/// of the list that brought it; `true` if one of them has everything in it.
pub(super) fn names(
    review: &Review<'_>,
    parameter: &str,
) -> (Vec<(String, String)>, Option<String>) {
    let mut names = Vec::new();
    let mut everything = None;
    for word in review.config.list(parameter) {
        if word.starts_with('!') {
            continue;
        }
        if word.starts_with('/') {
            if let Some(text) = review.files.read(&review.path(&word)) {
                let listed = words(&plain(&text)).into_iter().take(MOST);
                names.extend(listed.map(|name| (name, word.clone())));
            }
        } else if let Some(table) = Table::parse(&word) {
            match table.keys(review) {
                Some(Keys::All) => everything = Some(word),
                Some(Keys::Some(keys)) => {
                    names.extend(keys.into_iter().map(|name| (name, word.clone())));
                }
                None => {}
            }
        } else {
            names.push((word.clone(), word));
        }
    }
    (names, everything)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_what_is_none() {
        let table = Table::parse("proxy:hash:/etc/aliases").unwrap();
        assert_eq!(
            (table.kind.as_str(), table.name.as_str()),
            ("hash", "/etc/aliases")
        );
        assert_eq!(Table::parse("2001:db8::1"), None);
        assert_eq!(Table::parse("[::1]:25"), None);
        assert_eq!(Table::parse("plain"), None);
    }

    #[test]
    fn inline_tables_are_read() {
        let pairs = inline("{ {a@b.example = c/}, d=e , f = g }");
        let keys: Vec<(&str, &str)> = pairs.iter().map(|(k, v, _)| (&**k, &**v)).collect();
        assert_eq!(keys, [("a@b.example", "c/"), ("d", "e"), ("f", "g")]);
    }
}
