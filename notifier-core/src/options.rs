//! Options: declared once, settable by flag, environment, file and task label.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{DEFAULT_INSTANCE, Error, LabelScope, Result, Secret, filter, policy};

/// What an option's value looks like. Values are kept as text and checked
/// against their kind when they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// Any text.
    Text,
    /// `true`, `false`, `1`, `0`, `t`, `f`, `yes`, `no`, `on`, `off`.
    Bool,
    /// A duration with units: `5s`, `1m30s`, `250ms`, `72h`.
    Duration,
    /// A whole number, zero or more.
    Integer,
    /// A number of bytes: `65536`, `64KiB`, `1.5MiB`, `1GiB`, `10MB`.
    Size,
    /// An absolute `http://` or `https://` address.
    Url,
    /// A path of a file.
    Path,
    /// A template in Go's `text/template` language.
    Template,
    /// A regular expression.
    Regex,
    /// Several values, separated by commas.
    List,
    /// A rate: `1/s`, `90/m`, `1/s:50`, or `unlimited`; see [`Rate`](crate::policy::Rate).
    Rate,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl OptionKind {
    /// The kind as shown in help and tables.
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Bool => "bool".into(),
            Self::Duration => "duration".into(),
            Self::Integer => "number".into(),
            Self::Size => "size".into(),
            Self::Url => "URL".into(),
            Self::Path => "path".into(),
            Self::Template => "template".into(),
            Self::Regex => "regex".into(),
            Self::List => "list".into(),
            Self::Rate => "rate".into(),
            Self::Choice(words) => words.join("|"),
        }
    }
}

/// The declaration of one option. From it come the flag, the environment
/// variable, the file key, the task label, `--help` and the table in the docs.
///
/// ```
/// use notifier_core::{OptionGroup, OptionKind, OptionSpec};
/// const OPTIONS: &[OptionSpec] = &[
///     OptionSpec::new("hook_url", "where to post").kind(OptionKind::Url).secret().label(),
///     OptionSpec::new("format", "the message").kind(OptionKind::Template).default("{{ .failure.Name }}"),
/// ];
/// let group = OptionGroup::new("pager", OPTIONS);
/// assert_eq!(group.flag(&OPTIONS[0]), "pager.hook_url");
/// assert_eq!(group.env(&OPTIONS[0]).as_deref(), Some("PAGER_HOOK_URL"));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OptionSpec {
    /// The name within its group: `hook_url`.
    pub key: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// What the value looks like.
    pub kind: OptionKind,
    /// The value unless set.
    pub default: Option<&'static str>,
    /// The environment variable, where it is not `GROUP_KEY`.
    pub env: Option<&'static str>,
    /// Other names of the flag, as equals.
    pub aliases: &'static [&'static str],
    /// Never shown, in help, logs or errors.
    pub secret: bool,
    /// May be set by a task's label.
    pub label: bool,
    /// May be given several times.
    pub repeated: bool,
}

impl OptionSpec {
    /// A text option without a default.
    pub const fn new(key: &'static str, help: &'static str) -> Self {
        Self {
            key,
            help,
            kind: OptionKind::Text,
            default: None,
            env: None,
            aliases: &[],
            secret: false,
            label: false,
            repeated: false,
        }
    }

    /// Sets what the value looks like.
    #[must_use]
    pub const fn kind(mut self, kind: OptionKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the default.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// Sets the environment variable's name.
    #[must_use]
    pub const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// Adds other names of the flag, whole: `framework-whitelist`.
    #[must_use]
    pub const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    /// Marks the value as one that is never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Lets task labels set it. Not for options that send a credential to a host.
    #[must_use]
    pub const fn label(mut self) -> Self {
        self.label = true;
        self
    }

    /// Lets it be given several times.
    #[must_use]
    pub const fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }

    /// Checks a value against the kind. The error names the kind, and the value only if it is no secret.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the value is not of the kind.
    pub fn check(&self, value: &str) -> Result<()> {
        let shown = || match self.kind {
            _ if self.secret => crate::redact::MASK.to_owned(),
            // What was meant as an address may hold a password.
            OptionKind::Url => format!("{:?}", crate::redact::url(value)),
            _ => format!("{value:?}"),
        };
        match self.kind {
            OptionKind::Bool => {
                parse_bool(value).ok_or_else(|| {
                    Error::config(format!("{} is neither true nor false", shown()))
                })?;
            }
            OptionKind::Duration => {
                parse_duration(value).ok_or_else(|| {
                    Error::config(format!(
                        "{} is not a duration (such as 5s, 1m30s or 250ms)",
                        shown()
                    ))
                })?;
            }
            OptionKind::Integer => {
                value
                    .parse::<u64>()
                    .map_err(|_| Error::config(format!("{} is not a whole number", shown())))?;
            }
            OptionKind::Size => {
                parse_size(value).ok_or_else(|| {
                    Error::config(format!(
                        "{} is not a size (such as 65536, 64KiB or 1GiB)",
                        shown()
                    ))
                })?;
            }
            OptionKind::Url => {
                let scheme = crate::redact::Parts::of(value).map(|u| u.scheme.to_ascii_lowercase());
                match scheme.as_deref() {
                    Some("http" | "https") => {}
                    Some(_) => {
                        return Err(Error::config(format!(
                            "{} is not an http or https URL",
                            shown()
                        )));
                    }
                    None => {
                        return Err(Error::config(format!(
                            "{} is not a URL, such as https://host/path",
                            shown()
                        )));
                    }
                }
            }
            OptionKind::Regex => {
                filter::expression(value).map_err(|e| {
                    if self.secret {
                        Error::config("it is not a regular expression")
                    } else {
                        e
                    }
                })?;
            }
            OptionKind::Rate => {
                policy::Rate::read(value)?;
            }
            OptionKind::Choice(words) if !words.contains(&value) => {
                return Err(Error::config(format!(
                    "{} is not one of {}",
                    shown(),
                    words.join(", ")
                )));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A backend's options under its name.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OptionGroup {
    /// The backend's name, `slack`; empty for options of the program itself.
    pub name: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
}

impl OptionGroup {
    /// A group of options.
    pub const fn new(name: &'static str, options: &'static [OptionSpec]) -> Self {
        Self { name, options }
    }

    /// The option of this key.
    pub fn find(&self, key: &str) -> Option<&'static OptionSpec> {
        self.options.iter().find(|o| o.key == key)
    }

    /// The flag without its dash: `slack.hook_url`, or the key alone in a group without a name.
    pub fn flag(&self, spec: &OptionSpec) -> String {
        if self.name.is_empty() {
            spec.key.to_owned()
        } else {
            format!("{}.{}", self.name, spec.key)
        }
    }

    /// The environment variable, if it has one.
    ///
    /// An option of a named group has `GROUP_KEY` unless it says otherwise; one of
    /// the program itself has what it says.
    pub fn env(&self, spec: &OptionSpec) -> Option<String> {
        match spec.env {
            Some("") => None,
            Some(name) => Some(name.to_owned()),
            None if self.name.is_empty() => None,
            None => Some(
                format!("{}_{}", self.name, spec.key)
                    .chars()
                    .map(|c| {
                        if c.is_ascii_alphanumeric() {
                            c.to_ascii_uppercase()
                        } else {
                            '_'
                        }
                    })
                    .collect(),
            ),
        }
    }

    /// The short form of the task label, if labels may set the option: `complainer_slack_hook_url`.
    pub fn label(&self, spec: &OptionSpec, prefix: &str) -> Option<String> {
        (spec.label && !self.name.is_empty())
            .then(|| format!("{prefix}_{}_{}", self.name, spec.key))
    }
}

/// Where a value came from, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The declaration.
    Default,
    /// The file, `[reporters.slack]`.
    File,
    /// The environment.
    Env,
    /// The command line.
    Flag,
    /// The file, `[reporters.slack.instances.x]`.
    FileInstance,
    /// A label of the task.
    Label,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Env => "environment",
            Self::Flag => "flag",
            Self::FileInstance => "file (instance)",
            Self::Label => "label",
        })
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    value: String,
    origin: Origin,
}

/// What a backend was told before any failure came: flags, environment and file.
///
/// Specific beats general: label of the task, file of the instance, flag,
/// environment, file, default. An empty value counts as unset, except that of a
/// flag: as in Go, it takes back what environment, file and default say.
///
/// ```
/// use notifier_core::{BackendSettings, OptionGroup, OptionSpec, Origin};
/// const GROUP: OptionGroup = OptionGroup::new("pager", &[OptionSpec::new("channel", "room").label()]);
/// let mut s = BackendSettings::new(GROUP);
/// s.set(Origin::File, "channel", "#file")?;
/// s.set(Origin::Flag, "channel", "#flag")?;
/// s.set_instance("team", "channel", "#team")?;
/// assert_eq!(s.instance("default").get("channel"), Some("#flag"));
/// assert_eq!(s.instance("team").get("channel"), Some("#team"));
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone)]
pub struct BackendSettings {
    group: OptionGroup,
    base: BTreeMap<&'static str, Vec<Entry>>,
    instances: BTreeMap<String, BTreeMap<&'static str, String>>,
}

impl BackendSettings {
    /// Nothing but defaults.
    pub fn new(group: OptionGroup) -> Self {
        Self {
            group,
            base: BTreeMap::new(),
            instances: BTreeMap::new(),
        }
    }

    /// The declared options.
    pub fn group(&self) -> OptionGroup {
        self.group
    }

    /// The backend's name.
    pub fn name(&self) -> &'static str {
        self.group.name
    }

    /// Sets a value for all instances.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if there is no such option, or the value is not of its kind.
    pub fn set(&mut self, origin: Origin, key: &str, value: &str) -> Result<()> {
        let spec = self.spec(key)?;
        if value.is_empty() {
            // As in Go, an empty flag is a value: it takes back what is weaker.
            if origin != Origin::Flag {
                return Ok(());
            }
        } else {
            spec.check(value).map_err(|e| self.named(spec, &e))?;
        }
        let entries = self.base.entry(spec.key).or_default();
        entries.retain(|e| e.origin != origin);
        entries.push(Entry {
            value: value.to_owned(),
            origin,
        });
        entries.sort_by_key(|e| std::cmp::Reverse(e.origin));
        Ok(())
    }

    /// Sets a value for one instance, as a file does.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if there is no such option, or the value is not of its kind.
    pub fn set_instance(&mut self, instance: &str, key: &str, value: &str) -> Result<()> {
        let spec = self.spec(key)?;
        if value.is_empty() {
            return Ok(());
        }
        spec.check(value).map_err(|e| self.named(spec, &e))?;
        self.instances
            .entry(instance.to_owned())
            .or_default()
            .insert(spec.key, value.to_owned());
        Ok(())
    }

    fn spec(&self, key: &str) -> Result<&'static OptionSpec> {
        self.group.find(key).ok_or_else(|| {
            let known: Vec<&str> = self.group.options.iter().map(|o| o.key).collect();
            Error::config(format!(
                "{} has no option {key:?}; it has {}",
                self.group.name,
                known.join(", ")
            ))
        })
    }

    fn named(&self, spec: &OptionSpec, e: &Error) -> Error {
        Error::config(format!("{}: {e}", self.group.flag(spec)))
    }

    /// The instances that need no label: `default`, and those that the file names.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        std::iter::once(DEFAULT_INSTANCE).chain(
            self.instances
                .keys()
                .map(String::as_str)
                .filter(|i| *i != DEFAULT_INSTANCE),
        )
    }

    /// The settings of one instance before any label.
    pub fn instance(&self, instance: &str) -> Settings {
        let mut values = BTreeMap::new();
        for spec in self.group.options {
            let own = self.instances.get(instance).and_then(|i| i.get(spec.key));
            let entry = match (own, self.base.get(spec.key).and_then(|e| e.first())) {
                (Some(v), _) => Some(Entry {
                    value: v.clone(),
                    origin: Origin::FileInstance,
                }),
                (None, Some(e)) => Some(e.clone()),
                (None, None) => spec.default.map(|d| Entry {
                    value: d.to_owned(),
                    origin: Origin::Default,
                }),
            };
            if let Some(entry) = entry
                && !entry.value.is_empty()
            {
                values.insert(spec.key, entry);
            }
        }
        Settings {
            group: self.group,
            instance: instance.to_owned(),
            values,
            invalid: Vec::new(),
        }
    }

    /// The settings of one instance for one task.
    ///
    /// A label's value that is not of its option's kind is left out and told in
    /// [`Settings::invalid`]: a wrong label must not lose the message.
    pub fn resolve(&self, labels: &LabelScope<'_>, instance: &str) -> Settings {
        let mut s = self.instance(instance);
        for spec in self.group.options.iter().filter(|o| o.label) {
            for (label, v) in labels.values(self.group.name, instance, spec.key) {
                match spec.check(v) {
                    Ok(()) => {
                        let entry = Entry {
                            value: v.to_owned(),
                            origin: Origin::Label,
                        };
                        s.values.insert(spec.key, entry);
                        break;
                    }
                    Err(e) => s.invalid.push(format!("label {label}: {e}")),
                }
            }
        }
        s
    }

    /// Every value that one option has in some instance, the default included.
    pub fn all_values(&self, key: &str) -> Vec<String> {
        let mut names: Vec<&str> = self.instances.keys().map(String::as_str).collect();
        names.push(DEFAULT_INSTANCE);
        // An instance that only labels name has the values of all.
        names.push("");
        let mut out: Vec<String> = Vec::new();
        for n in names {
            if let Some(v) = self.instance(n).get(key)
                && !out.iter().any(|o| o == v)
            {
                out.push(v.to_owned());
            }
        }
        out
    }

    /// Every secret value, for masking.
    pub fn secrets(&self) -> Vec<String> {
        let mut out = Vec::new();
        for spec in self.group.options.iter().filter(|o| o.secret) {
            out.extend(
                self.base
                    .get(spec.key)
                    .into_iter()
                    .flatten()
                    .map(|e| e.value.clone()),
            );
            out.extend(
                self.instances
                    .values()
                    .filter_map(|i| i.get(spec.key))
                    .cloned(),
            );
        }
        out
    }
}

/// Secret values are masked.
impl fmt::Debug for BackendSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.instances.keys().map(String::as_str).collect();
        names.insert(0, DEFAULT_INSTANCE);
        let mut m = f.debug_map();
        for n in names {
            m.entry(&n, &self.instance(n));
        }
        m.finish()
    }
}

/// The values that hold for one report: those of one instance, with the task's labels over them.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    group: OptionGroup,
    instance: String,
    values: BTreeMap<&'static str, Entry>,
    invalid: Vec<String>,
}

impl PartialEq for OptionGroup {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && std::ptr::eq(self.options, other.options)
    }
}

impl Eq for OptionGroup {}

impl Settings {
    /// The instance these are for.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// A value as text, `None` if unset.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|e| e.value.as_str())
    }

    /// A value as text, empty if unset.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// A value that must not be seen.
    pub fn secret(&self, key: &str) -> Option<Secret> {
        self.get(key).map(Secret::from)
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) that names the flag and the environment variable to set.
    pub fn require(&self, key: &str) -> Result<&str> {
        self.get(key).ok_or_else(|| {
            let hint = match self.group.find(key) {
                Some(spec) => {
                    let env = self
                        .group
                        .env(spec)
                        .map(|e| format!(" or {e}"))
                        .unwrap_or_default();
                    format!("set -{}{env}", self.group.flag(spec))
                }
                None => "it is not declared".to_owned(),
            };
            Error::config(format!(
                "{}, instance {}: {key} is missing ({hint})",
                self.group.name, self.instance
            ))
        })
    }

    /// A duration. Values were checked when they were set.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.get(key).and_then(parse_duration)
    }

    /// A truth value, false if unset.
    pub fn bool(&self, key: &str) -> bool {
        self.get(key).and_then(parse_bool).unwrap_or(false)
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(|v| v.parse().ok())
    }

    /// A number of bytes.
    pub fn size(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(parse_size)
    }

    /// The parts of a comma-separated list, trimmed, without empty ones.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.text(key)
            .split(',')
            .map(str::trim)
            .filter(|v| !v.is_empty())
            .collect()
    }

    /// Where a value came from, `None` if unset.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        self.values.get(key).map(|e| e.origin)
    }

    /// What was wrong with labels, one line each, without secrets.
    pub fn invalid(&self) -> &[String] {
        &self.invalid
    }
}

/// Secret values are masked.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut m = f.debug_map();
        for (key, e) in &self.values {
            let secret = self.group.find(key).is_some_and(|s| s.secret);
            m.entry(
                key,
                &if secret {
                    crate::redact::MASK
                } else {
                    &e.value
                },
            );
        }
        m.finish()
    }
}

/// Reads a truth value as Go's flags do, and `yes`, `no`, `on`, `off` besides.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a duration as Go does: `5s`, `1m30s`, `1.5h`, `250ms`, `0`. Never negative.
///
/// ```
/// use std::time::Duration;
/// use notifier_core::parse_duration;
/// assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
/// assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5400)));
/// assert_eq!(parse_duration("5"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let n = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..n].parse().ok()?;
        rest = &rest[n..];
        let u = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..u] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        total += value * unit;
        rest = &rest[u..];
    }
    Duration::try_from_secs_f64(total)
        .ok()
        .filter(|d| *d <= Duration::from_secs(100 * 365 * 86400))
}

/// Reads a number of bytes, with a unit of 1024 (`KiB`, `MiB`, `GiB`, `TiB`) or of 1000 (`kB`,
/// `MB`, `GB`, `TB`), in letters of any case; without one it counts bytes.
///
/// ```
/// use notifier_core::parse_size;
/// assert_eq!(parse_size("64KiB"), Some(65536));
/// assert_eq!(parse_size("1.5 MB"), Some(1_500_000));
/// assert_eq!(parse_size("0"), Some(0));
/// assert_eq!(parse_size("64K"), None);
/// ```
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let n = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (value, unit) = text.split_at(n);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    if let Ok(whole) = value.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    if unit == 1 {
        return None;
    }
    let bytes = value.parse::<f64>().ok()? * unit as f64;
    // Beyond it a float no longer counts bytes.
    (bytes <= (1u64 << 53) as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelGrammar;

    const GROUP: OptionGroup = OptionGroup::new(
        "pager",
        &[
            OptionSpec::new("url", "address")
                .kind(OptionKind::Url)
                .secret()
                .label(),
            OptionSpec::new("channel", "room").label(),
            OptionSpec::new("wait", "time")
                .kind(OptionKind::Duration)
                .default("5s"),
            OptionSpec::new("color", "colour")
                .kind(OptionKind::Choice(&["red", "green"]))
                .label(),
        ],
    );

    #[test]
    fn specific_beats_general() {
        let mut s = BackendSettings::new(GROUP);
        let labels = BTreeMap::from([("complainer_pager_channel".to_owned(), "#label".to_owned())]);
        let g = LabelGrammar::default();
        let steps: [(Origin, &str); 3] = [
            (Origin::File, "#file"),
            (Origin::Env, "#env"),
            (Origin::Flag, "#flag"),
        ];
        for (origin, value) in steps {
            s.set(origin, "channel", value).unwrap();
            assert_eq!(s.instance("default").get("channel"), Some(value));
            assert_eq!(s.instance("default").origin("channel"), Some(origin));
        }
        s.set_instance("default", "channel", "#instance").unwrap();
        assert_eq!(s.instance("default").get("channel"), Some("#instance"));
        let r = s.resolve(&g.scope(&labels), "default");
        assert_eq!(
            (r.get("channel"), r.origin("channel")),
            (Some("#label"), Some(Origin::Label))
        );
    }

    #[test]
    fn the_order_of_setting_does_not_matter_and_empty_is_unset() {
        let mut s = BackendSettings::new(GROUP);
        s.set(Origin::Flag, "channel", "#flag").unwrap();
        s.set(Origin::File, "channel", "#file").unwrap();
        s.set(Origin::Env, "channel", "").unwrap();
        assert_eq!(s.instance("x").get("channel"), Some("#flag"));
        // An empty flag takes back what is weaker, as in Go.
        s.set(Origin::Flag, "channel", "").unwrap();
        assert_eq!(s.instance("x").get("channel"), None);
    }

    #[test]
    fn errors_name_the_option_and_hide_secrets() {
        let mut s = BackendSettings::new(GROUP);
        let e = s
            .set(Origin::Flag, "url", "s3cret")
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("pager.url: *** is not a URL, such as https://host/path"),
            "{e}"
        );
        let e = s.set(Origin::Flag, "wait", "5").unwrap_err().to_string();
        assert_eq!(
            e,
            "pager.wait: \"5\" is not a duration (such as 5s, 1m30s or 250ms)"
        );
        let e = s.set(Origin::Flag, "nope", "5").unwrap_err().to_string();
        assert_eq!(
            e,
            "pager has no option \"nope\"; it has url, channel, wait, color"
        );
        let e = s
            .instance("default")
            .require("url")
            .unwrap_err()
            .to_string();
        assert_eq!(
            e,
            "pager, instance default: url is missing (set -pager.url or PAGER_URL)"
        );
    }

    #[test]
    fn a_wrong_label_is_left_out_and_told() {
        let mut s = BackendSettings::new(GROUP);
        s.set(Origin::Flag, "color", "red").unwrap();
        let labels = BTreeMap::from([("complainer_pager_color".to_owned(), "blue".to_owned())]);
        let g = LabelGrammar::default();
        let r = s.resolve(&g.scope(&labels), "default");
        assert_eq!(r.get("color"), Some("red"));
        assert_eq!(
            r.invalid(),
            ["label complainer_pager_color: \"blue\" is not one of red, green"]
        );
    }

    #[test]
    fn debug_hides_secrets() {
        let mut s = BackendSettings::new(GROUP);
        s.set(Origin::Flag, "url", "https://h.example/s3cret")
            .unwrap();
        s.set_instance("x", "url", "https://h.example/0ther")
            .unwrap();
        let d = format!("{s:?} {:?}", s.instance("x"));
        assert!(!d.contains("s3cret") && !d.contains("0ther"), "{d}");
        assert_eq!(s.secrets().len(), 2);
    }
}
