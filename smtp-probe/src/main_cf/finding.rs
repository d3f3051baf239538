//! What a rule found.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    config::{Config, Place, Setting},
    files::Files,
    master::{Master, Service},
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

impl<'a> Review<'a> {
    /// One of a main.cf alone.
    pub(super) fn new(config: &'a Config, files: &'a dyn Files, folder: &'a Path) -> Self {
        Self {
            config,
            master: None,
            files,
            folder,
            min_size: 0,
            findings: Vec::new(),
        }
    }

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
        // Beside an installed main.cf are other files of that name.
        if path.starts_with(self.folder) {
            return None;
        }
        let beside = self.folder.join(path.file_name()?);
        self.files.modified(&beside).map(|_| beside)
    }

    /// Whether it is one that a Postfix of this machine runs by, and no source of one.
    pub(super) fn is_installed(&self) -> bool {
        let queue = self.path(&self.config.value("queue_directory"));
        let is_own = self.config.has("queue_directory") || self.folder.starts_with("/etc");
        is_own && self.files.is_folder(&queue)
    }

    /// Whether only programs of the same machine reach its servers of SMTP.
    pub(super) fn is_local(&self) -> bool {
        let interfaces = self.config.list("inet_interfaces");
        let programs = ["smtpd", "postscreen"];
        let here = |s: &&Service| s.kind == "inet" && programs.contains(&s.program.as_str());
        match self.master {
            Some(master) => {
                let mut servers = master.services.iter().filter(here);
                servers.all(|s| s.is_local(&interfaces))
            }
            None => Service::default().is_local(&interfaces),
        }
    }

    /// A path of a value, which may be relative to main.cf.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// Findings of one rule for one setting that are told.
const MOST: usize = 20;

/// Leaves out what would be told too often, and says how often at the last that is left.
pub(super) fn most(findings: Vec<Finding>) -> Vec<Finding> {
    let mut left: Vec<Finding> = Vec::new();
    let mut told: BTreeMap<(&'static str, String, Option<Place>), (usize, usize)> = BTreeMap::new();
    for found in findings {
        let key = (found.rule, found.subject.clone(), found.place.clone());
        let (many, last) = told.entry(key).or_default();
        *many += 1;
        if *many <= MOST {
            *last = left.len();
            left.push(found);
        }
    }
    for (many, last) in told.into_values().filter(|(many, _)| *many > MOST) {
        let more = format!(" (and {} more of the kind)", many - MOST);
        left[last].what.push_str(&more);
    }
    left
}

/// A value, without what may be a password in it.
fn shown(setting: &Setting) -> String {
    let holds_secret = |name: &str| {
        let words = ["password", "passwd", "secret", "token"];
        words.iter().any(|w| name.contains(w)) || name.ends_with("_pw")
    };
    if holds_secret(&setting.name) {
        let types: Vec<&str> = super::lines::words(&setting.value)
            .iter()
            .filter_map(|word| KINDS.iter().find(|k| word.starts_with(**k)).copied())
            .collect();
        return format!("{}…", types.join(" "));
    }
    short(&without_key(&setting.value))
}

/// A name of a block list, or a text with such names, without the key of a customer in it.
pub(crate) fn without_key(text: &str) -> String {
    const KEYED: &str = ".dq.spamhaus.net";
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find(KEYED) {
        // KEY.LIST.dq.spamhaus.net
        let (before, after) = rest.split_at(at);
        let start = before
            .rfind(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
            .map_or(0, |at| at + 1);
        let list = before[start..].rsplit('.').next().unwrap_or_default();
        shown.push_str(&before[..start]);
        if list.len() < before.len() - start {
            shown.push_str("….");
        }
        shown.push_str(list);
        shown.push_str(&after[..KEYED.len()]);
        rest = &after[KEYED.len()..];
    }
    shown + rest
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
    fn no_key_is_shown() {
        let text = "bind_pw = hunter2\nx = a, reject_rbl_client hunter2.zen.dq.spamhaus.net=127.0.0.2, hunter2.dbl.DQ.spamhaus.net*3, zen.dq.spamhaus.net b\n";
        let config = Config::parse(text, "main.cf", "/x");
        assert_eq!(shown(config.setting("bind_pw").unwrap()), "…");
        assert_eq!(
            shown(config.setting("x").unwrap()),
            "a, reject_rbl_client ….zen.dq.spamhaus.net=127.0.0.2, ….dbl.DQ.spamhaus.net*3, zen.dq.spamhaus.net b"
        );
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(short("a \n  b\tc"), "a b c");
        let long = short(&"ä".repeat(500));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }
}
