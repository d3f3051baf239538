//! The label grammar: how a task's labels say where its failures go.

use std::collections::BTreeMap;

/// The instance that is used unless labels name others.
pub const DEFAULT_INSTANCE: &str = "default";

/// The watcher's name for which the short label forms hold.
pub const DEFAULT_NAME: &str = "default";

/// The prefix of routing labels unless another is set.
pub const DEFAULT_PREFIX: &str = "complainer";

/// How a watcher reads routing labels; with a task's labels it makes a [`LabelScope`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelGrammar {
    /// What routing labels begin with, `complainer` by default.
    pub prefix: String,
    /// The watcher's name, `default` by default.
    pub name: String,
    /// Whether each reporter has the instance `default` without a label saying so.
    pub implicit_default: bool,
}

impl Default for LabelGrammar {
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.to_owned(),
            name: DEFAULT_NAME.to_owned(),
            implicit_default: true,
        }
    }
}

impl LabelGrammar {
    /// The grammar of a watcher of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Sets the prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets whether the instance `default` is implicit.
    #[must_use]
    pub fn with_implicit_default(mut self, implicit: bool) -> Self {
        self.implicit_default = implicit;
        self
    }

    /// The labels of one task as this watcher reads them.
    pub fn scope<'a>(&'a self, labels: &'a BTreeMap<String, String>) -> LabelScope<'a> {
        LabelScope {
            grammar: self,
            labels,
        }
    }
}

/// The labels of one task as one watcher reads them.
///
/// With P the prefix, N the watcher's name, R a reporter, I an instance and K a
/// key, a label's full name is `P_N_R_instance_I_K`. Default parts may be left out:
///
/// | form | holds when | tried |
/// |---|---|---|
/// | `P_N_R_instance_I_K` | always | first |
/// | `P_R_instance_I_K` | N is `default` | second |
/// | `P_N_R_K` | I is `default` | third |
/// | `P_R_K` | N and I are `default` | last |
///
/// An empty value counts as unset. `P_N_R_instances` (or `P_R_instances` where N
/// is `default`) lists the instances of a reporter, separated by commas; an empty
/// list means none. Without such a label there is one instance, `default`, or
/// none if the watcher does not imply it.
///
/// ```
/// use std::collections::BTreeMap;
/// use notifier_core::LabelGrammar;
///
/// let labels: BTreeMap<String, String> = [
///     ("complainer_slack_instances", "default,team"),
///     ("complainer_slack_channel", "#all"),
///     ("complainer_slack_instance_team_channel", "#team"),
/// ].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
///
/// let grammar = LabelGrammar::default();
/// let scope = grammar.scope(&labels);
/// assert_eq!(scope.instances("slack"), ["default", "team"]);
/// assert_eq!(scope.get("slack", "default", "channel"), Some("#all"));
/// assert_eq!(scope.get("slack", "team", "channel"), Some("#team"));
/// assert_eq!(scope.instances("file"), ["default"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LabelScope<'a> {
    grammar: &'a LabelGrammar,
    labels: &'a BTreeMap<String, String>,
}

impl<'a> LabelScope<'a> {
    /// The instances of a reporter that this task asks for, each once, in the order of the label.
    ///
    /// Spaces around a name and empty names are dropped.
    pub fn instances(&self, reporter: &str) -> Vec<&'a str> {
        match self.instances_label(reporter) {
            Some((_, list)) => {
                let mut seen = std::collections::HashSet::new();
                list.split(',')
                    .map(str::trim)
                    .filter(|n| !n.is_empty() && seen.insert(*n))
                    .collect()
            }
            None if self.grammar.implicit_default => vec![DEFAULT_INSTANCE],
            None => Vec::new(),
        }
    }

    /// The label (key and value) that lists a reporter's instances, if there is one.
    pub fn instances_label(&self, reporter: &str) -> Option<(String, &'a str)> {
        let LabelGrammar {
            prefix: p, name: n, ..
        } = self.grammar;
        let mut keys = vec![format!("{p}_{n}_{reporter}_instances")];
        if n == DEFAULT_NAME {
            keys.push(format!("{p}_{reporter}_instances"));
        }
        keys.into_iter()
            .find_map(|k| self.labels.get(&k).map(|v| (k, v.as_str())))
    }

    /// The value of a key for one instance of a reporter.
    pub fn get(&self, reporter: &str, instance: &str, key: &str) -> Option<&'a str> {
        self.forms(reporter, instance, key)
            .into_iter()
            .find_map(|k| {
                self.labels
                    .get(&k)
                    .map(String::as_str)
                    .filter(|v| !v.is_empty())
            })
    }

    /// All labels that set this key, name and value, the most specific first.
    pub(crate) fn values(
        &self,
        reporter: &str,
        instance: &str,
        key: &str,
    ) -> impl Iterator<Item = (String, &'a str)> {
        let labels = self.labels;
        self.forms(reporter, instance, key)
            .into_iter()
            .filter_map(move |k| {
                let v = labels.get(&k).filter(|v| !v.is_empty())?;
                Some((k, v.as_str()))
            })
    }

    /// The names that a label may have for this key, the most specific first.
    pub fn forms(&self, reporter: &str, instance: &str, key: &str) -> Vec<String> {
        let LabelGrammar {
            prefix: p, name: n, ..
        } = self.grammar;
        let mut forms = vec![format!("{p}_{n}_{reporter}_instance_{instance}_{key}")];
        if n == DEFAULT_NAME {
            forms.push(format!("{p}_{reporter}_instance_{instance}_{key}"));
        }
        if instance == DEFAULT_INSTANCE {
            forms.push(format!("{p}_{n}_{reporter}_{key}"));
        }
        if n == DEFAULT_NAME && instance == DEFAULT_INSTANCE {
            forms.push(format!("{p}_{reporter}_{key}"));
        }
        forms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    /// One row per form: with it and all less specific ones set, it wins.
    #[test]
    fn each_form_wins_over_the_shorter_ones() {
        let forms = [
            "complainer_default_slack_instance_default_channel",
            "complainer_slack_instance_default_channel",
            "complainer_default_slack_channel",
            "complainer_slack_channel",
        ];
        let g = LabelGrammar::default();
        for i in 0..forms.len() {
            let l = labels(&forms[i..].iter().map(|f| (*f, *f)).collect::<Vec<_>>());
            assert_eq!(
                g.scope(&l).get("slack", "default", "channel"),
                Some(forms[i])
            );
        }
        assert_eq!(
            g.scope(&labels(&[])).forms("slack", "default", "channel"),
            forms
        );
    }

    #[test]
    fn short_forms_belong_to_the_default_name_and_instance() {
        let all = labels(&[
            ("complainer_slack_channel", "short"),
            ("complainer_dog_slack_channel", "named"),
            ("complainer_slack_instance_team_channel", "instance"),
        ]);
        let default = LabelGrammar::default();
        assert_eq!(
            default.scope(&all).get("slack", "team", "channel"),
            Some("instance")
        );
        assert_eq!(default.scope(&all).get("slack", "other", "channel"), None);
        let dog = LabelGrammar::new("dog");
        assert_eq!(
            dog.scope(&all).get("slack", "default", "channel"),
            Some("named")
        );
        assert_eq!(dog.scope(&all).get("slack", "team", "channel"), None);
    }

    #[test]
    fn an_empty_value_is_unset_and_an_empty_list_means_none() {
        let g = LabelGrammar::default();
        let l = labels(&[
            ("complainer_default_slack_channel", ""),
            ("complainer_slack_channel", "#a"),
            ("complainer_slack_instances", ""),
        ]);
        assert_eq!(g.scope(&l).get("slack", "default", "channel"), Some("#a"));
        assert!(g.scope(&l).instances("slack").is_empty());
        // The longer list wins even when it is empty.
        let l = labels(&[
            ("complainer_default_slack_instances", ""),
            ("complainer_slack_instances", "default"),
        ]);
        assert!(g.scope(&l).instances("slack").is_empty());
    }

    #[test]
    fn the_default_instance_is_implicit_or_not() {
        let none = labels(&[]);
        let opt_in = LabelGrammar::new("dog").with_implicit_default(false);
        assert!(opt_in.scope(&none).instances("slack").is_empty());
        let asked = labels(&[("complainer_dog_slack_instances", "default, x,,default")]);
        assert_eq!(opt_in.scope(&asked).instances("slack"), ["default", "x"]);
        // Another watcher's list is not ours.
        let other = labels(&[("complainer_slack_instances", "default")]);
        assert!(opt_in.scope(&other).instances("slack").is_empty());
    }

    #[test]
    fn the_prefix_is_a_setting() {
        let l = labels(&[
            ("notify_slack_channel", "#x"),
            ("complainer_slack_channel", "#y"),
        ]);
        let g = LabelGrammar::default().with_prefix("notify");
        assert_eq!(g.scope(&l).get("slack", "default", "channel"), Some("#x"));
    }
}
