use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use notifiers::{
    BackendSettings, Error, OptionGroup, OptionSpec, Origin, Result, Secret, parse_bool,
    parse_duration, parse_size,
    redact::{MASK, Redactor},
};

use super::Env;

/// What a command line, the environment and a file said.
///
/// `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parsed {
    /// The program's own options.
    pub program: ProgramSettings,
    /// The options of each source, reporter and uploader, by its name.
    pub backends: BTreeMap<&'static str, BackendSettings>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) command_line: Vec<String>,
    pub(crate) env: Env,
}

impl Parsed {
    /// The environment it was read from, for libraries that have variables of their own.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Every secret value that was given, whether it counts or not, and the passwords in addresses.
    pub fn secrets(&self) -> Vec<Secret> {
        self.secrets.clone()
    }

    /// Masks all of [`secrets`](Self::secrets) in a text.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(
            self.secrets
                .iter()
                .flat_map(|s| crate::mask::forms(s.expose())),
        )
    }

    /// A new masker of all of [`secrets`](Self::secrets), for the log and for what is learned later.
    pub fn masker(&self) -> crate::Masker {
        crate::Masker::new(self.secrets.iter().map(Secret::expose))
    }

    /// The arguments with secrets masked, without the program's name.
    pub fn command_line(&self) -> &[String] {
        &self.command_line
    }

    /// The settings of a group as a backend reads them; only defaults if it was not
    /// declared. Also for a group of the program itself, whose name is empty.
    pub fn backend(&self, group: OptionGroup) -> BackendSettings {
        if let Some(settings) = self.backends.get(group.name) {
            return settings.clone();
        }
        let mut settings = BackendSettings::new(group);
        if group.name.is_empty() {
            for spec in group.options {
                for (origin, values) in self.program.entries(spec.key) {
                    // The value was checked when it came in.
                    let _ = settings.set(*origin, spec.key, &values.join(","));
                }
            }
        }
        settings
    }
}

#[derive(Clone)]
struct Slot {
    spec: &'static OptionSpec,
    /// The strongest first.
    entries: Vec<(Origin, Vec<String>)>,
}

impl Slot {
    fn strongest(&self) -> Option<(Origin, &[String])> {
        self.entries.first().map(|(o, v)| (*o, v.as_slice()))
    }
}

/// The values of a program's own options.
///
/// A value was checked against its option's kind when it was set; a getter of
/// another kind answers `None`, `false` or an empty list.
#[derive(Clone, Default)]
pub struct ProgramSettings(BTreeMap<&'static str, Slot>);

impl ProgramSettings {
    pub(crate) fn declare(&mut self, options: &'static [OptionSpec]) {
        for spec in options {
            self.0.insert(
                spec.key,
                Slot {
                    spec,
                    entries: Vec::new(),
                },
            );
        }
    }

    pub(crate) fn spec(&self, key: &str) -> Option<&'static OptionSpec> {
        self.0.get(key).map(|s| s.spec)
    }

    /// Values that are empty or not of the option's kind are left out.
    pub(crate) fn set(&mut self, spec: &'static OptionSpec, origin: Origin, values: Vec<String>) {
        let values: Vec<String> = values
            .into_iter()
            .filter(|v| !v.is_empty() && spec.check(v).is_ok())
            .collect();
        if let (Some(slot), false) = (self.0.get_mut(spec.key), values.is_empty()) {
            slot.entries.push((origin, values));
            slot.entries.sort_by_key(|(o, _)| std::cmp::Reverse(*o));
        }
    }

    fn entries(&self, key: &str) -> &[(Origin, Vec<String>)] {
        self.0.get(key).map_or(&[], |s| s.entries.as_slice())
    }

    /// A value as text, the default included. Of a repeated option, the last one.
    pub fn get(&self, key: &str) -> Option<&str> {
        let slot = self.0.get(key)?;
        match slot.strongest() {
            Some((_, v)) => v.last().map(String::as_str),
            None => slot.spec.default,
        }
    }

    /// A value as text, empty if unset.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// A value that must not be seen.
    pub fn secret(&self, key: &str) -> Option<Secret> {
        self.get(key).map(Secret::from)
    }

    /// A truth value, `false` if unset.
    pub fn bool(&self, key: &str) -> bool {
        self.get(key).and_then(parse_bool).unwrap_or(false)
    }

    /// A duration.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.get(key).and_then(parse_duration)
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

    /// Every value of a repeated option, in the order given. The strongest origin gives all of them.
    pub fn all(&self, key: &str) -> Vec<&str> {
        match self.0.get(key) {
            None => Vec::new(),
            Some(slot) => match slot.strongest() {
                Some((_, v)) => v.iter().map(String::as_str).collect(),
                None => slot.spec.default.into_iter().collect(),
            },
        }
    }

    /// Where a value came from, `None` if unset.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        let slot = self.0.get(key)?;
        match slot.strongest() {
            Some((o, _)) => Some(o),
            None => slot.spec.default.map(|_| Origin::Default),
        }
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifiers::ErrorKind::Config) that names the flag and the environment variable to set.
    pub fn require(&self, key: &str) -> Result<&str> {
        self.get(key).ok_or_else(|| {
            let env = self
                .spec(key)
                .and_then(|s| OptionGroup::new("", &[]).env(s))
                .map(|e| format!(" or {e}"))
                .unwrap_or_default();
            Error::config(format!("{key} is missing: set -{key}{env}"))
        })
    }
}

/// Secret values and passwords in addresses are masked.
impl fmt::Debug for ProgramSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut m = f.debug_map();
        for (key, slot) in &self.0 {
            if let Some(value) = self.get(key) {
                let parts: Vec<Cow<'_, str>> = value.split(',').map(hide_password).collect();
                m.entry(
                    key,
                    &if slot.spec.secret {
                        MASK.to_owned()
                    } else {
                        parts.join(",")
                    },
                );
            }
        }
        m.finish()
    }
}

fn hide_password(value: &str) -> Cow<'_, str> {
    match url::Url::parse(value.trim()) {
        Ok(u) if u.password().is_some() => Cow::Owned(notifiers::redact::url(value.trim())),
        _ => Cow::Borrowed(value),
    }
}
