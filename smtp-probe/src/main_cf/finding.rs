//! What a rule found.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{
    config::{Config, Place, Setting},
    files::Files,
    master::Master,
};
use crate::report::{Check, Class, Phase, State};

/// Characters of a value that are shown.
const SHOWN: usize = 160;

/// What rules look at.
pub(super) struct Review<'a> {
    pub(super) config: &'a Config,
    pub(super) master: Option<&'a Master>,
    pub(super) files: &'a dyn Files,
    /// Where main.cf is.
    pub(super) folder: &'a Path,
    /// The octets that a message must be allowed to have.
    pub(super) min_size: u64,
    pub(super) findings: Vec<Finding>,
}

/// One thing to mend, or to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: &'static str,
    /// [`State::Ok`] is for what is good to know only.
    pub(super) state: State,
    /// The parameter, or another word for what it is about.
    pub(super) subject: String,
    /// Where; nowhere if it is about what is not set.
    pub(super) place: Option<Place>,
    pub(super) value: String,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Review<'_> {
    /// Notes something of a parameter, set or not.
    pub(super) fn find(
        &mut self,
        rule: &'static str,
        state: State,
        parameter: &str,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let setting = self.config.setting(parameter);
        self.findings.push(Finding {
            rule,
            state,
            subject: parameter.to_owned(),
            place: setting.map(|s| s.place.clone()),
            value: setting.map(shown).unwrap_or_default(),
            what: what.into(),
            hint: hint.into(),
        });
    }

    /// Notes something of a word in a parameter, which may stand on a line of its own.
    pub(super) fn find_word(
        &mut self,
        rule: &'static str,
        state: State,
        (parameter, word): (&str, &str),
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let setting = self.config.setting(parameter);
        let what = match setting.and_then(|s| s.line_of(word)) {
            Some(line) => format!("line {line}: {}", what.into()),
            None => what.into(),
        };
        self.find(rule, state, parameter, what, hint);
    }

    /// Notes something of a place.
    pub(super) fn find_at(
        &mut self,
        rule: &'static str,
        state: State,
        (subject, place): (&str, &Place),
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding {
            rule,
            state,
            subject: subject.to_owned(),
            place: Some(place.clone()),
            value: String::new(),
            what: what.into(),
            hint: hint.into(),
        });
    }

    /// Where a file is: at its path, or else beside main.cf under its name, as in a folder of
    /// sources that is yet to be installed.
    pub(super) fn locate(&self, path: &Path) -> Option<PathBuf> {
        if self.files.modified(path).is_some() {
            return Some(path.to_owned());
        }
        let beside = self.folder.join(path.file_name()?);
        self.files.modified(&beside).map(|_| beside)
    }

    /// A path of a value, which may be relative to main.cf.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// A value, without what may be a password in it.
fn shown(setting: &Setting) -> String {
    if setting.name.contains("password") || setting.name.contains("passwd") {
        let types: Vec<&str> = super::lines::words(&setting.value)
            .iter()
            .filter_map(|word| KINDS.iter().find(|k| word.starts_with(**k)).copied())
            .collect();
        return format!("{}…", types.join(" "));
    }
    short(&setting.value)
}

/// Types of tables whose names cannot hold a password.
const KINDS: &[&str] = &[
    "hash:",
    "btree:",
    "lmdb:",
    "cdb:",
    "texthash:",
    "static:",
    "inline:",
];

/// The start of a long text, on one line.
pub(super) fn short(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String =
        printable
            .collect::<String>()
            .split_whitespace()
            .fold(String::new(), |mut all, word| {
                if !all.is_empty() {
                    all.push(' ');
                }
                all + word
            });
    if let Some((at, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(at);
        text.push('…');
    }
    text
}

impl Finding {
    /// What two findings of the same thing have in common.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.rule, &self.subject, &self.what) == (other.rule, &other.subject, &other.what)
    }

    pub(super) fn check(self) -> Check {
        let mut text = String::new();
        if self.state == State::Ok {
            text.push_str("info: ");
        }
        match &self.place {
            None => text.push_str(&format!("{} is not set", self.subject)),
            Some(place) => {
                if place.file != "main.cf" {
                    text.push_str(&format!("{} ", place.file));
                }
                text.push_str(&format!("line {}", place.line));
                if let Some(service) = &place.service {
                    text.push_str(&format!(" ({service})"));
                }
                text.push_str(&format!(": {}", self.subject));
                if !self.value.is_empty() {
                    text.push_str(&format!(" = {}", self.value));
                }
            }
        }
        text.push_str(&format!(": {}", self.what));
        let place = self.place.as_ref();
        let data = json!({
            "rule": self.rule,
            "file": place.map(|p| &p.file),
            "line": place.map(|p| p.line),
            "service": place.and_then(|p| p.service.as_ref()),
            "value": self.value,
        });
        let check = Check::ok("main_cf", Phase::Lint, text).subject(self.subject);
        let check = check.state(self.state).hint(self.hint).data(data);
        match self.state {
            State::Ok => check,
            _ => check.class(Class::Local),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let text = "smtp_sasl_password_maps = inline:{ {relay = user:hunter2} } hash:/x\n";
        let config = Config::parse(text, "main.cf", "/x");
        let setting = config.setting("smtp_sasl_password_maps").unwrap();
        assert_eq!(shown(setting), "inline: hash:…");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(short("a \n  b\tc"), "a b c");
        let long = short(&"ä".repeat(500));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }
}
