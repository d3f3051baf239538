//! Which units are watched, and what labels they get.

use std::collections::{BTreeMap, HashMap};

use notifier_core::{Error, Result};

/// Units that are chosen by their names, properties, and a file of labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Patterns of names; one has to match.
    pub(crate) units: Vec<String>,
    /// Patterns of names; none may match.
    pub(crate) ignore: Vec<String>,
    /// Properties and patterns of their values; all have to match.
    pub(crate) properties: Vec<(String, String)>,
    /// Units of a file, if there is one; one has to match.
    pub(crate) file: Option<LabelFile>,
}

impl Choice {
    /// Whether a unit's name is chosen.
    pub(crate) fn takes(&self, unit: &str) -> bool {
        self.units.iter().any(|p| matches(p, unit))
            && !self.ignore.iter().any(|p| matches(p, unit))
            && self.file.as_ref().is_none_or(|f| f.takes(unit))
    }

    /// Whether a unit's properties are chosen. One that is not known matches nothing but `*`.
    pub(crate) fn takes_properties(&self, of: &HashMap<String, String>) -> bool {
        self.properties.iter().all(|(name, pattern)| {
            let value = of.get(name).map(String::as_str);
            value.map_or(pattern == "*", |value| matches(pattern, value))
        })
    }

    /// The names of the properties that are asked for.
    pub(crate) fn names(&self) -> Vec<String> {
        self.properties.iter().map(|(n, _)| n.clone()).collect()
    }
}

/// `NAME=GLOB`.
pub(crate) fn property(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, pattern)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), pattern.trim().to_owned()))
        }
        _ => Err(Error::config(format!(
            "{text:?} is not NAME=PATTERN, such as Slice=system.slice"
        ))),
    }
}

/// A file with a line for each pattern of units: `web-*.service = team=web complainer_slack_channel="#web ops"`.
///
/// Empty lines and those that begin with `#` or `;` do not count; what is told later beats what is told before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelFile {
    lines: Vec<(String, Vec<(String, String)>)>,
}

impl LabelFile {
    /// Reads its text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let (pattern, labels) = line.split_once('=').unwrap_or((line, ""));
            let pattern = pattern.trim();
            if pattern.is_empty() || pattern.contains(char::is_whitespace) {
                return Err(Error::config(format!(
                    "line {number}: no pattern of units before the first ="
                )));
            }
            let labels = self::labels(labels).ok_or_else(|| {
                Error::config(format!("line {number}: not NAME=VALUE NAME=\"VALUE\" …"))
            })?;
            lines.push((pattern.to_owned(), labels));
        }
        Ok(Self { lines })
    }

    fn takes(&self, unit: &str) -> bool {
        self.lines.iter().any(|(pattern, _)| matches(pattern, unit))
    }

    /// Adds a unit's labels.
    pub(crate) fn add(&self, unit: &str, to: &mut BTreeMap<String, String>) {
        for (_, labels) in self.lines.iter().filter(|(p, _)| matches(p, unit)) {
            for (name, value) in labels {
                to.insert(name.clone(), value.clone());
            }
        }
    }
}

/// `NAME=VALUE NAME="VALUE WITH SPACES"`.
fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
        };
        if !next.is_empty() && !next.starts_with(char::is_whitespace) {
            return None;
        }
        out.push((name.to_owned(), value.to_owned()));
        rest = next.trim_start();
    }
    Some(out)
}

/// Whether a pattern of glob(7) matches the whole text: `*`, `?`, `[a-z]`, `[!a-z]`, `\` before a character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on if it does not fit: behind the last star, one character further each time.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() || p < pattern.len() {
        if pattern.get(p) == Some(&'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        let fits = text.get(t).and_then(|c| one(&pattern[p..], *c));
        match (fits, &mut retry) {
            (Some(used), _) => (p, t) = (p + used, t + 1),
            (None, Some((after, from))) if *from < text.len() => {
                *from += 1;
                (p, t) = (*after, *from);
            }
            _ => return false,
        }
    }
    true
}

/// How many characters of the pattern stand for this one, if they do.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        '[' => match set(pattern, c) {
            Some((fits, used)) => fits.then_some(used),
            // Without an end it is a bracket.
            None => (c == '[').then_some(1),
        },
        other => (*other == c).then_some(1),
    }
}

/// Whether a set such as `[!a-z]` has a character, and how long the set is. None if it has no end.
fn set(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let is_not = matches!(pattern.get(1), Some('!' | '^'));
    let first = if is_not { 2 } else { 1 };
    // A bracket that comes first is one of the set.
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|c| *c == ']')?;
    let mut all = &pattern[first..end];
    let mut has = false;
    while let Some(low) = all.first() {
        if all.len() > 2 && all[1] == '-' {
            has |= (*low..=all[2]).contains(&c);
            all = &all[3..];
        } else {
            has |= *low == c;
            all = &all[1..];
        }
    }
    Some((has != is_not, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, is) in [
            ("*.service", "web.service", true),
            ("*.service", ".service", true),
            ("*.service", "web.socket", false),
            ("web-?.service", "web-1.service", true),
            ("web-[0-9].service", "web-7.service", true),
            ("web-[!0-9].service", "web-7.service", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("web@*.service", "web@a\\x2db.service", true),
            ("é?", "éa", true),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn units_properties_and_the_file() {
        let file = LabelFile::parse(
            "# teams\nweb-*.service = team=web complainer_slack_channel=\"#web ops\"\nweb-1.service=team=first\ndb.service\n",
        )
        .unwrap();
        let choice = Choice {
            units: vec!["*.service".to_owned()],
            ignore: vec!["*-test.service".to_owned()],
            properties: vec![property("Slice = system.*").unwrap()],
            file: Some(file.clone()),
        };
        assert!(choice.takes("web-1.service") && choice.takes("db.service"));
        assert!(!choice.takes("web-test.service") && !choice.takes("other.service"));
        let of = |slice: &str| HashMap::from([("Slice".to_owned(), slice.to_owned())]);
        assert!(choice.takes_properties(&of("system.slice")));
        assert!(!choice.takes_properties(&of("user.slice")));
        assert!(!choice.takes_properties(&HashMap::new()));
        let mut labels = BTreeMap::from([("team".to_owned(), "none".to_owned())]);
        file.add("web-1.service", &mut labels);
        assert_eq!(labels["team"], "first");
        assert_eq!(labels["complainer_slack_channel"], "#web ops");
        for bad in ["= a=b", "a b = c=d", "a = b", "a = b=\"c", "a = b=\"c\"d"] {
            let e = LabelFile::parse(&format!("\n{bad}"))
                .unwrap_err()
                .to_string();
            assert!(e.contains("line 2"), "{bad}: {e}");
        }
        assert!(property("Slice").is_err() && property("=a").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(pattern in "[*?\\[\\]!a-c\\\\-]{0,12}", text in "[a-c\\[\\]-]{0,12}", file in ".{0,80}") {
            matches(&pattern, &text);
            let _ = LabelFile::parse(&file);
        }

        #[test]
        fn a_text_matches_itself(text in "[a-z.@_-]{0,20}") {
            prop_assert!(matches(&text, &text));
            let with_star = format!("*{text}*");
            let longer = format!("x{text}y");
            prop_assert!(matches(&with_star, &longer));
        }
    }
}
