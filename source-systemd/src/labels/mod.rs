//! Labels out of unit files, their drop-ins and environment files.
//!
//! | where | line | label |
//! |---|---|---|
//! | any section | `X-Complainer-Slack-Channel=#ops` | `complainer_slack_channel` |
//! | any section | `X-Notifier-Owner=web` | `notifier_owner` |
//! | `[X-Notifier]` | `complainer_slack_channel=#ops` | `complainer_slack_channel` |
//! | `[X-Notifier]` | `team=web` | `team` |
//! | `Environment=`, `EnvironmentFile=` | `COMPLAINER_SLACK_CHANNEL=#ops` | `complainer_slack_channel` |
//!
//! systemd takes no notice of sections and keys whose names begin with `X-`
//! (systemd.unit(5)), so that nothing changes for it.

mod environment;
mod file;
mod specifier;
mod unit_file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub(crate) use self::specifier::Scope;
use self::unit_file::Entry;

/// The most labels of a unit.
const MAX_LABELS: usize = 256;
/// The longest value of a label, in bytes.
const MAX_VALUE: usize = 8 << 10;
/// The prefix that always holds, beside that of routing labels.
const OWN_PREFIX: &str = "notifier";
/// The section whose keys are all labels.
const OWN_SECTION: &str = "X-Notifier";

/// The files that a unit is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Files<'a> {
    /// The unit's file, if it has one.
    pub(crate) fragment: Option<&'a Path>,
    /// Its drop-ins, in systemd's order: the last one counts.
    pub(crate) drop_ins: &'a [PathBuf],
    /// Environment files that hold for every unit. The unit's own are found in its file.
    pub(crate) environment_files: &'a [PathBuf],
}

/// The labels of a unit. `prefixes` are what routing labels begin with.
///
/// The lines of unit files beat the unit's environment, which beats the files that hold for all. A
/// file that cannot be read counts as empty: that of an environment is often for root alone.
pub(crate) async fn of(
    scope: Scope<'_>,
    files: Files<'_>,
    prefixes: &[String],
) -> BTreeMap<String, String> {
    let names = Names::new(prefixes);
    let mut labels = BTreeMap::new();
    for path in files.environment_files {
        if let Some(text) = file::read(path.clone()).await {
            names.take_environment(&environment::parse(&text), &mut labels);
        }
    }
    let mut entries = Vec::new();
    for path in files
        .fragment
        .into_iter()
        .chain(files.drop_ins.iter().map(PathBuf::as_path))
    {
        match file::read(path.to_owned()).await {
            Some(text) => entries.extend(unit_file::parse(&text)),
            None => tracing::debug!(
                unit = scope.unit,
                path = %path.display(),
                "this part of the unit cannot be read: its labels do not count"
            ),
        }
    }
    let mut of_unit = BTreeMap::new();
    names.take_environment(&environment::variables(&entries, &scope), &mut of_unit);
    for path in environment::files(&entries, &scope) {
        for path in file::matching(path).await {
            if let Some(text) = file::read(path).await {
                names.take_environment(&environment::parse(&text), &mut of_unit);
            }
        }
    }
    labels.append(&mut of_unit);
    names.take_lines(&entries, &scope, &mut labels);
    while labels.len() > MAX_LABELS {
        labels.pop_last();
    }
    labels
}

/// The variables of environment files; a later one beats.
pub(crate) async fn variables(files: &[PathBuf]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in files {
        if let Some(text) = file::read(path.clone()).await {
            found.extend(environment::parse(&text));
        }
    }
    found
}

/// What labels are called.
#[derive(Debug)]
struct Names {
    /// A prefix as a label has it, and as it is looked for: lower case, `-` as `_`.
    prefixes: Vec<(String, String)>,
}

impl Names {
    fn new(prefixes: &[String]) -> Self {
        let all = prefixes.iter().map(String::as_str).chain([OWN_PREFIX]);
        Self {
            prefixes: all
                .filter(|p| !p.is_empty())
                .map(|p| (p.to_owned(), plain(p)))
                .collect(),
        }
    }

    /// The label of a name that begins with a prefix.
    fn routed(&self, name: &str) -> Option<String> {
        let name = plain(name);
        self.prefixes.iter().find_map(|(prefix, plain)| {
            let rest = name.strip_prefix(plain.as_str())?.strip_prefix('_')?;
            (!rest.is_empty()).then(|| format!("{prefix}_{rest}"))
        })
    }

    /// The label of a key in a unit file.
    fn key(&self, section: &str, key: &str) -> Option<String> {
        let own = section.eq_ignore_ascii_case(OWN_SECTION);
        match strip_x(key) {
            Some(rest) => self.routed(rest).or_else(|| own.then(|| plain(rest))),
            None => own.then(|| key.to_owned()),
        }
        .filter(|label| !label.is_empty())
    }

    /// Takes the variables whose names begin with a prefix.
    fn take_environment(&self, variables: &[(String, String)], to: &mut BTreeMap<String, String>) {
        for (name, value) in variables {
            if let Some(label) = self.routed(name).filter(|_| value.len() <= MAX_VALUE) {
                to.insert(label, value.clone());
            }
        }
    }

    /// Takes the lines of unit files: a later one beats, one without a value takes back what was said.
    fn take_lines(&self, entries: &[Entry], scope: &Scope<'_>, to: &mut BTreeMap<String, String>) {
        for entry in entries {
            let Some(label) = self.key(&entry.section, &entry.key) else {
                continue;
            };
            if entry.value.is_empty() {
                to.remove(&label);
                continue;
            }
            let value = scope.expand(&unit_file::unquote(&entry.value));
            if value.len() <= MAX_VALUE {
                to.insert(label, value);
            }
        }
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

fn strip_x(key: &str) -> Option<&str> {
    key.strip_prefix("X-").or_else(|| key.strip_prefix("x-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> Scope<'static> {
        Scope::new("web@blue.service", "node-1.example")
    }

    fn lines(texts: &[&str], prefix: &str) -> Vec<(String, String)> {
        let entries: Vec<Entry> = texts.iter().flat_map(|t| unit_file::parse(t)).collect();
        let mut labels = BTreeMap::new();
        Names::new(&[prefix.to_owned()]).take_lines(&entries, &scope(), &mut labels);
        labels.into_iter().collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn every_form_of_a_line_is_a_label() {
        let file = "[Unit]\nDescription=Web\nX-Complainer-Slack-Channel = #ops\n\
            [Service]\nX-NOTIFIER-Owner=%p on %H\nX-Other=no\nX-Complainer=no\nteam=no\n\
            [X-Notifier]\ncomplainer_slack_instance_my-Team_channel=#team\nTeam=web\nX-Room=7\n";
        assert_eq!(
            lines(&[file], "complainer"),
            pairs(&[
                ("Team", "web"),
                ("complainer_slack_channel", "#ops"),
                ("complainer_slack_instance_my-Team_channel", "#team"),
                ("notifier_owner", "web on node-1.example"),
                ("room", "7"),
            ])
        );
    }

    #[test]
    fn a_drop_in_beats_and_an_empty_value_takes_back() {
        let file = "[X-Notifier]\nX-Complainer-A=1\nX-Complainer-B=2\nX-Complainer-C=3\n";
        let drop_in = "[X-Notifier]\nX-Complainer-A=4\nX-Complainer-B=\nX-Complainer-C=\"\"\n";
        assert_eq!(
            lines(&[file, drop_in], "complainer"),
            pairs(&[("complainer_a", "4"), ("complainer_c", "")])
        );
    }

    #[test]
    fn the_prefix_is_a_setting_and_keeps_its_form() {
        let file = "[Unit]\nX-My-Team-Slack-Channel=#a\nX-Complainer-Slack-Channel=#b\n";
        assert_eq!(
            lines(&[file], "My-team"),
            pairs(&[("My-team_slack_channel", "#a")])
        );
        let mut labels = BTreeMap::new();
        let variables = pairs(&[("MY_TEAM_X", "1"), ("NOTIFIER_OWNER", "o"), ("PATH", "/")]);
        Names::new(&["My-team".to_owned()]).take_environment(&variables, &mut labels);
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            pairs(&[("My-team_x", "1"), ("notifier_owner", "o")])
        );
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,300}", name in ".{0,40}", prefix in ".{0,10}") {
            let entries = unit_file::parse(&text);
            let scope = Scope::new(&name, &prefix);
            let mut labels = BTreeMap::new();
            let names = Names::new(std::slice::from_ref(&prefix));
            names.take_lines(&entries, &scope, &mut labels);
            names.take_environment(&environment::parse(&text), &mut labels);
            names.take_environment(&environment::variables(&entries, &scope), &mut labels);
            environment::files(&entries, &scope);
        }

        #[test]
        fn lines_that_look_like_ours_do_not_panic(
            text in "(\\[(X-Notifier|Service)\\]|X-Complainer-|Environment(File)?=|[\\\\\"' %@ni=\n#;]|[a-c]){0,60}"
        ) {
            let entries = unit_file::parse(&text);
            let mut labels = BTreeMap::new();
            Names::new(&["complainer".to_owned()]).take_lines(&entries, &scope(), &mut labels);
            environment::variables(&entries, &scope());
            environment::files(&entries, &scope());
            environment::parse(&text);
        }
    }
}
