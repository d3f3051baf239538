//! The values of options by their keys, and what beats what.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use notifiers::{OptionKind, OptionSpec, parse_bool, parse_duration, parse_size};

/// Values that were set, each of its option's kind. A canary's may hold a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Values(BTreeMap<&'static str, Vec<String>>);

impl Values {
    /// Sets values that were checked. A list is divided at its commas.
    pub(crate) fn set(&mut self, spec: &OptionSpec, values: impl IntoIterator<Item = String>) {
        let split = |value: String| -> Vec<String> {
            match spec.kind {
                OptionKind::List => value
                    .split(',')
                    .map(|v| v.trim().to_owned())
                    .filter(|v| !v.is_empty() || value.is_empty())
                    .collect(),
                _ => vec![value],
            }
        };
        let values: Vec<String> = values.into_iter().flat_map(split).collect();
        self.0.insert(spec.key, values);
    }

    /// These, and those of a weaker place where there are none.
    pub(crate) fn over(&self, weaker: &Self) -> Self {
        let mut out = weaker.0.clone();
        out.extend(self.0.clone());
        Self(out)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// All values, none if it is not set.
    pub(crate) fn list(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// The last value; an empty one counts as unset.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let last = self.0.get(key).and_then(|v| v.last());
        last.map(String::as_str).filter(|v| !v.is_empty())
    }

    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    pub(crate) fn bool(&self, key: &str) -> bool {
        self.text(key).and_then(parse_bool).unwrap_or(false)
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        self.text(key).and_then(parse_duration)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.text(key).and_then(|v| v.parse().ok())
    }

    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        self.text(key).and_then(parse_size)
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(key, values)| match *key {
            "canary" => (key, vec!["***"]),
            _ => (key, values.iter().map(String::as_str).collect()),
        });
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{TARGET, find};

    #[test]
    fn the_stronger_place_counts_and_lists_are_divided() {
        let rcpt = find(TARGET, "rcpt").unwrap();
        let level = find(TARGET, "level").unwrap();
        let (mut flags, mut file) = (Values::default(), Values::default());
        flags.set(rcpt, ["a@x, b@x".to_owned(), "c@x".to_owned()]);
        file.set(rcpt, ["d@x".to_owned()]);
        file.set(level, ["live".to_owned(), "deep".to_owned()]);
        let both = flags.over(&file);
        assert_eq!(both.list("rcpt").unwrap(), ["a@x", "b@x", "c@x"]);
        assert_eq!(both.text("level"), Some("deep"));
        assert!(!both.has("tls") && both.text("tls").is_none());
        let mut null = Values::default();
        null.set(find(TARGET, "from").unwrap(), [String::new()]);
        assert_eq!(null.list("from").unwrap(), [""]);
        null.set(
            find(TARGET, "canary").unwrap(),
            ["imap://a:s3cret@h".to_owned()],
        );
        let shown = format!("{null:?}");
        assert!(
            shown.contains("from") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
