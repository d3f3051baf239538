//! Labels out of a unit's lines.
//!
//! The grammar is that of unit files elsewhere: `X-PREFIX-…` in any section, every key of
//! `[X-Notifier]`, and variables of `Environment=` that begin with the prefix.

use std::collections::BTreeMap;

use crate::wire::Unit;

/// The prefix that always holds, beside that of routing labels.
const OWN_PREFIX: &str = "notifier";
/// The section whose keys are all labels.
const OWN_SECTION: &str = "X-Notifier";
/// The most labels of a unit.
const MAX_LABELS: usize = 256;
/// The longest value of a label, in bytes.
const MAX_VALUE: usize = 8 * 1024;

/// The labels of a unit on a host. `prefix` is what routing labels begin with.
pub(crate) fn of(unit: &Unit, name: &str, host: &str, prefix: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let sections = ["Service", "Socket", "Mount", "Swap"];
    let environment = unit
        .options
        .iter()
        .filter(|(section, key, _)| key == "Environment" && sections.contains(&section.as_str()));
    for (_, _, value) in environment {
        if value.trim().is_empty() {
            labels.clear();
        }
        for word in words(value) {
            if let Some((key, value)) = word.split_once('=')
                && let Some(label) = routed(key, prefix)
                && value.len() <= MAX_VALUE
            {
                put(&mut labels, label, expand(value, name, host));
            }
        }
    }
    for (section, key, value) in &unit.options {
        let Some(label) = label_of(section, key, prefix) else {
            continue;
        };
        let value = value.trim();
        if value.is_empty() {
            labels.remove(&label);
        } else if value.len() <= MAX_VALUE {
            put(&mut labels, label, expand(unquoted(value), name, host));
        }
    }
    labels
}

fn put(labels: &mut BTreeMap<String, String>, label: String, value: String) {
    let is_new = !labels.contains_key(&label);
    if value.len() <= MAX_VALUE && !(is_new && labels.len() >= MAX_LABELS) {
        labels.insert(label, value);
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// The label of a name that begins with a prefix.
fn routed(name: &str, prefix: &str) -> Option<String> {
    let name = plain(name);
    [prefix, OWN_PREFIX].into_iter().find_map(|prefix| {
        let rest = name.strip_prefix(&plain(prefix))?.strip_prefix('_')?;
        (!rest.is_empty()).then(|| format!("{prefix}_{rest}"))
    })
}

fn label_of(section: &str, key: &str, prefix: &str) -> Option<String> {
    let is_own = section.eq_ignore_ascii_case(OWN_SECTION);
    let label = match key.strip_prefix("X-").or_else(|| key.strip_prefix("x-")) {
        Some(rest) => routed(rest, prefix).or_else(|| is_own.then(|| plain(rest))),
        None => is_own.then(|| key.to_owned()),
    };
    label.filter(|label| !label.is_empty())
}

/// Without the quotes around all of it.
fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

/// The words of `Environment=`: apart by spaces, quotes hold them together (systemd.syntax(7)).
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Replaces `%n`, `%N`, `%p`, `%i`, `%H` and `%%` (systemd.unit(5)). Others stay as they are.
fn expand(text: &str, unit: &str, host: &str) -> String {
    let name = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    let (prefix, instance) = name.split_once('@').unwrap_or((name, ""));
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push_str(unit),
            Some('N') => out.push_str(name),
            Some('p') => out.push_str(prefix),
            Some('i') => out.push_str(instance),
            Some('H') => out.push_str(host),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(lines: &[(&str, &str, &str)], prefix: &str) -> Vec<(String, String)> {
        let unit = Unit {
            options: lines
                .iter()
                .map(|(s, n, v)| ((*s).to_owned(), (*n).to_owned(), (*v).to_owned()))
                .collect(),
            ..Unit::default()
        };
        of(&unit, "web@blue.service", "10.0.0.1", prefix)
            .into_iter()
            .collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn every_form_of_a_line() {
        let all = labels(
            &[
                ("Unit", "X-Complainer-Slack-Channel", "\"#ops\""),
                ("X-Fleet", "X-NOTIFIER-Owner", "%p of %i on %H, 100%%"),
                ("X-Fleet", "MachineOf", "db.service"),
                (
                    "X-Notifier",
                    "complainer_slack_instance_my-Team_channel",
                    "#team",
                ),
                ("X-Notifier", "X-Room", "7"),
                ("X-Notifier", "X-Gone", "1"),
                ("X-Notifier", "X-Gone", ""),
                ("Service", "team", "no"),
                (
                    "Service",
                    "Environment",
                    "A=1 'COMPLAINER_SMTP_TO=a b' COMPLAINER_=no",
                ),
                ("Unit", "Environment", "COMPLAINER_X=no"),
            ],
            "complainer",
        );
        assert_eq!(
            all,
            pairs(&[
                ("complainer_slack_channel", "#ops"),
                ("complainer_slack_instance_my-Team_channel", "#team"),
                ("complainer_smtp_to", "a b"),
                ("notifier_owner", "web of blue on 10.0.0.1, 100%"),
                ("room", "7"),
            ])
        );
    }

    #[test]
    fn the_prefix_is_a_setting() {
        let lines = [
            ("Unit", "X-My-Team-A", "%n"),
            ("Unit", "X-Complainer-A", "2"),
            ("Service", "Environment", "MY_TEAM_B=%N"),
            ("Service", "Environment", ""),
            ("Service", "Environment", "MY_TEAM_C=%x%"),
        ];
        assert_eq!(
            labels(&lines, "My-team"),
            pairs(&[("My-team_a", "web@blue.service"), ("My-team_c", "%x%")])
        );
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_fault(key in "\\PC{0,20}", value in "\\PC{0,40}") {
            let _ = labels(&[("X-Notifier", &key, &value), ("Service", "Environment", &value)], "x");
        }
    }
}
