//! What was said, before any of it is looked at.

use std::path::Path;

use notifiers::{OptionSpec, Origin};

pub(super) struct Entry {
    pub(super) section: usize,
    pub(super) spec: &'static OptionSpec,
    pub(super) origin: Origin,
    /// The name it was set by, for messages.
    pub(super) label: String,
    pub(super) values: Vec<String>,
}

/// Everything that was said.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) entries: Vec<Entry>,
    pub(super) instances: Vec<(usize, String, &'static OptionSpec, String, Vec<String>)>,
    /// The file could not be read: what it sets is not known, so nothing is missing.
    pub(super) broken: bool,
}

impl Raw {
    pub(super) fn add(
        &mut self,
        section: usize,
        spec: &'static OptionSpec,
        origin: Origin,
        label: String,
        values: Vec<String>,
    ) {
        let same = |e: &&mut Entry| {
            e.section == section && e.origin == origin && std::ptr::eq(e.spec, spec)
        };
        match self.entries.iter_mut().find(same) {
            Some(e) if spec.repeated => e.values.extend(values),
            Some(e) => (e.values, e.label) = (values, label),
            None => self.entries.push(Entry {
                section,
                spec,
                origin,
                label,
                values,
            }),
        }
    }

    /// The strongest value of an option, before there are settings.
    pub(super) fn last(&self, key: &str, section: impl Fn(usize) -> bool) -> Option<String> {
        self.entries
            .iter()
            .filter(|e| e.spec.key == key && section(e.section))
            .filter_map(|e| {
                e.values
                    .last()
                    .filter(|v| !v.is_empty())
                    .map(|v| (e.origin, v))
            })
            .max_by_key(|(o, _)| *o)
            .map(|(_, v)| v.clone())
    }
}

/// Keeps what must be masked of a value: all of a secret, the user and password of an address.
pub(super) fn learn(secrets: &mut Vec<String>, spec: &OptionSpec, value: &str) {
    if value.is_empty() {
        return;
    }
    if spec.secret {
        secrets.push(value.to_owned());
        // Some secrets may be named by file: what is in it must not be seen either.
        if let Some(path) = value.strip_prefix("file:")
            && let Ok(text) = super::file::secret(Path::new(path))
        {
            secrets.push(text);
        }
        return;
    }
    for part in value.split(',') {
        if let Ok(u) = url::Url::parse(part.trim())
            && let Some(password) = u.password().filter(|p| !p.is_empty())
        {
            secrets.push(format!("{}:{password}", u.username()));
            secrets.push(password.to_owned());
        }
    }
}
