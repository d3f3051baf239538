//! The tables that settings name: whether they are there, of a type that is there, and well written.

use std::path::{Path, PathBuf};

use super::super::{
    finding::Review,
    lines::{logical, unbraced, words},
    names::distance,
    tables::{INDEXED, PLUGINS, Table},
};
use crate::report::State;

/// Parameters of which a word that begins with a slash is a file of words.
const LISTS: &[&str] = &[
    "mydestination",
    "mynetworks",
    "relay_domains",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
];

pub(super) fn look(review: &mut Review<'_>) {
    for parameter in LISTS.iter().filter(|p| review.config.has(p)) {
        for word in review.config.list(parameter) {
            let path = word.trim_start_matches('!');
            if path.starts_with('/') && review.files.modified(Path::new(path)).is_none() {
                let what = "Postfix refuses all mail for it";
                missing(
                    review,
                    (parameter, &word),
                    Path::new(path),
                    what,
                    "write it, or remove it here",
                );
            }
        }
    }
    let all: Vec<(String, Vec<String>)> = review
        .config
        .settings()
        .map(|s| (s.name.clone(), review.config.list(&s.name)))
        .collect();
    let installed = installed(review);
    for (parameter, words) in all {
        // Postfix makes these by itself.
        let is_cache = parameter.contains("_cache_") || parameter == "address_verify_map";
        if is_cache {
            continue;
        }
        let is_maps = ["_maps", "_map", "_checks", "_database", "_table"]
            .iter()
            .any(|end| parameter.ends_with(end));
        for table in words.iter().flat_map(|w| nested(w)) {
            // Elsewhere a colon may be of a transport or a socket.
            if !is_maps && !table.is_known() {
                continue;
            }
            if kind(review, &parameter, &table, installed.as_deref()) {
                file(review, &parameter, &table);
            }
        }
    }
}

/// The table of a word, or those within `unionmap:{…}` and `pipemap:{…}`.
fn nested(word: &str) -> Vec<Table> {
    match Table::parse(word) {
        Some(table) if ["unionmap", "pipemap"].contains(&table.kind.as_str()) => {
            let inner = unbraced(&table.name).unwrap_or_default();
            words(inner)
                .iter()
                .filter_map(|w| Table::parse(w))
                .collect()
        }
        Some(table) => vec![table],
        None => Vec::new(),
    }
}

/// The types that dynamicmaps.cf beside main.cf has; `None` if there is no such file.
fn installed(review: &Review<'_>) -> Option<Vec<String>> {
    let mut files = vec![review.folder.join("dynamicmaps.cf")];
    files.extend(review.files.list(&review.folder.join("dynamicmaps.cf.d")));
    let texts: Vec<String> = files.iter().filter_map(|f| review.files.read(f)).collect();
    if texts.is_empty() {
        return None;
    }
    let lines = texts.iter().flat_map(|t| logical(t));
    let types = lines.filter_map(|l| l.text().split_whitespace().next().map(str::to_owned));
    Some(types.collect())
}

/// Whether the type is one that there is.
fn kind(
    review: &mut Review<'_>,
    parameter: &str,
    table: &Table,
    installed: Option<&[String]>,
) -> bool {
    let Table { kind, .. } = table;
    let at = (parameter, &*format!("{kind}:"));
    if !table.is_known() {
        let what = format!("{kind} is no type of table");
        let hint = "see postconf -m for those that there are";
        review.find_word("table-type", State::Crit, at, what, hint);
        return false;
    }
    if PLUGINS.contains(&kind.as_str()) {
        match installed {
            Some(types) if types.contains(kind) => {}
            Some(_) => {
                let what = format!(
                    "the type {kind} is not installed, says dynamicmaps.cf: mail is refused with 451"
                );
                let hint = format!("install postfix-{kind}, or use another type");
                review.find_word("table-type", State::Crit, at, what, hint);
            }
            None => {
                let what = format!(
                    "{kind} is a part of its own in most packages, and there is no dynamicmaps.cf that says whether it is installed"
                );
                let hint =
                    format!("see that postconf -m has {kind}; if not, install postfix-{kind}");
                review.find_word("table-type", State::Warn, at, what, hint);
            }
        }
    }
    true
}

fn file(review: &mut Review<'_>, parameter: &str, table: &Table) {
    let Some(source) = table.source() else { return };
    let written = format!("{}:{}", table.kind, table.name);
    let at = (parameter, written.as_str());
    if source.is_relative() {
        let what = format!(
            "{written} is a relative path, and is looked for where the program happens to be"
        );
        review.find_word(
            "relative-path",
            State::Warn,
            at,
            what,
            "write the whole path",
        );
    }
    misnamed(review, at, &source);
    let source = review.path(&table.name);
    let Some(path) = review.locate(&source) else {
        let hint = match INDEXED.iter().any(|(kind, _)| *kind == table.kind) {
            true => format!("write it and run postmap {written}, or remove it here"),
            false => "write it, or remove it here".to_owned(),
        };
        let what = "mail that needs it is refused with 451";
        missing(review, at, &source, what, &hint);
        return;
    };
    index(review, at, table, &path);
    // What is in a table of passwords is nobody's business.
    if !parameter.contains("passw") {
        content(review, at, table, &path);
    }
}

/// A file that is not there; in a folder that is elsewhere it may be on another machine.
fn missing(review: &mut Review<'_>, at: (&str, &str), path: &Path, what: &str, hint: &str) {
    let is_here = path.starts_with(review.folder);
    let state = if is_here { State::Crit } else { State::Warn };
    let where_ = if is_here { "" } else { " on this machine" };
    let what = format!("{} is not there{where_}: {what}", path.display());
    review.find_word("table-missing", state, at, what, hint);
}

/// A file with the name of another parameter.
fn misnamed(review: &mut Review<'_>, at: (&str, &str), source: &Path) {
    let (parameter, written) = at;
    let checks = [
        "body_checks",
        "header_checks",
        "mime_header_checks",
        "nested_header_checks",
    ];
    let name = source
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    if checks.contains(&parameter)
        && checks.contains(&name)
        && name != parameter
        && name != "header_checks"
    {
        let what = format!(
            "{written} has the name of another parameter, {name}: its rules are used on other lines than it says"
        );
        let hint = format!("set {name} = {written}, if that is meant");
        review.find_word("table-misnamed", State::Warn, at, what, hint);
    }
}

/// The file that postmap makes of it.
fn index(review: &mut Review<'_>, at: (&str, &str), table: &Table, path: &Path) {
    let Some((_, ends)) = INDEXED.iter().find(|(kind, _)| *kind == table.kind) else {
        return;
    };
    let command = if at.0.starts_with("alias_") {
        "postalias"
    } else {
        "postmap"
    };
    let Some(written) = review.files.modified(path) else {
        return;
    };
    for end in *ends {
        let mut index = path.as_os_str().to_owned();
        index.push(format!(".{end}"));
        let index = PathBuf::from(index);
        let hint = format!("run {command} {}:{}", table.kind, table.name);
        match review.files.modified(&index) {
            None => {
                // A folder of sources has no made files.
                let is_installed = path == review.path(&table.name);
                let state = if is_installed { State::Crit } else { State::Ok };
                let what = format!(
                    "{} was not made: mail that needs it is refused with 451",
                    index.display()
                );
                review.find_word("table-index", state, at, what, hint);
            }
            Some(made) if made < written => {
                let what = format!(
                    "{} is newer than {}: what was changed does not count",
                    path.display(),
                    index.display()
                );
                review.find_word("table-index", State::Warn, at, what, hint);
            }
            Some(_) => {}
        }
    }
}

/// What is written in it.
fn content(review: &mut Review<'_>, at: (&str, &str), table: &Table, path: &Path) {
    let Some(text) = review.files.read(path) else {
        return;
    };
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    if ["regexp", "pcre"].contains(&table.kind.as_str()) {
        for line in logical(&text) {
            let text = line.text();
            let is_rule = text.starts_with(['/', '!', '#', '|', '%', '@', ':', ';', '~'])
                || text.starts_with("if ")
                || text.starts_with("if!")
                || text.starts_with("if/")
                || text.starts_with("endif");
            if !is_rule {
                let what = format!(
                    "line {} of {name} is no /pattern/ and its result",
                    line.number()
                );
                let hint = "write /pattern/ action, or take a type for plain keys";
                review.find_word("table-syntax", State::Warn, at, what, hint);
                return;
            }
        }
        return;
    }
    let is_alias = at.0.starts_with("alias_");
    if is_alias
        || !["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"]
            .contains(&table.kind.as_str())
    {
        return;
    }
    let Some(entries) = table.entries(review) else {
        return;
    };
    let own = review.config.value("mydomain");
    let mut told = 0_usize;
    for (key, value, line) in entries {
        for what in wrong(at.0, &key, &value, &own) {
            let what = format!("line {line} of {name}: {what}");
            let hint = format!("mend it and run postmap {}", at.1);
            review.find_word("table-syntax", State::Warn, at, what, hint);
            told += 1;
        }
        if told >= 5 {
            return;
        }
    }
}

/// What is wrong with an entry.
fn wrong(parameter: &str, key: &str, value: &str, own: &str) -> Vec<String> {
    if value.is_empty() {
        return vec![format!("{key} has no value")];
    }
    let is_of_addresses =
        parameter.starts_with("virtual_alias") || parameter.starts_with("canonical");
    let mut wrong: Vec<String> = Vec::new();
    for part in [key, value] {
        if part.contains("\\@") {
            wrong.push(format!(
                "{part} has a backslash, which becomes a part of the address"
            ));
        }
    }
    let domain_of = |text: &str| text.rsplit_once('@').map(|(_, d)| d.to_ascii_lowercase());
    let Some(key) = domain_of(key).filter(|_| is_of_addresses) else {
        return wrong;
    };
    for target in words(value).iter().filter_map(|w| domain_of(w)) {
        let mut known = [key.as_str(), own].into_iter();
        if let Some(known) = known.find(|known| is_slip(&target, known)) {
            wrong.push(format!("{target} looks like a slip for {known}"));
        }
    }
    wrong
}

/// Whether a domain is another but for a letter or two. Another number or another end is another domain.
fn is_slip(domain: &str, known: &str) -> bool {
    let end = |name: &str| name.rsplit_once('.').map(|(_, end)| end.to_owned());
    let digits = |name: &str| -> String { name.matches(|c: char| c.is_ascii_digit()).collect() };
    let most = if known.len() < 10 { 1 } else { 2 };
    domain != known
        && known.len() > 5
        && end(domain) == end(known)
        && digits(domain) == digits(known)
        && distance(domain, known, most).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_in_entries() {
        let wrong = |key, value| wrong("virtual_alias_maps", key, value, "corp.example").join("; ");
        for fine in ["b@other.example", "root, b@corp.example"] {
            assert_eq!(wrong("a@corp.example", fine), "");
        }
        assert!(wrong("a@corp.example", r"b\@corp.example").contains("backslash"));
        assert!(wrong("a@corp.example", "root, b@copr.example").contains("slip"));
        let both = wrong("a@yourdomain", r"a\@yourdoamin");
        assert!(
            both.contains("backslash") && both.contains("slip"),
            "{both}"
        );
        assert!(wrong("a@corp.example", "").contains("no value"));
        for (key, other) in [
            ("a@mail1.corp.example", "a@mail2.corp.example"),
            ("a@firm.de", "a@firm.eu"),
            ("a@abcd.de", "a@axyd.de"),
        ] {
            assert_eq!(wrong(key, other), "");
        }
    }

    #[test]
    fn tables_within_tables() {
        let kinds: Vec<String> = nested("pipemap:{hash:/a, regexp:/b}")
            .into_iter()
            .map(|t| t.kind)
            .collect();
        assert_eq!(kinds, ["hash", "regexp"]);
    }
}
