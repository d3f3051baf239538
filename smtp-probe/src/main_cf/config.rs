//! The settings of a configuration.

use std::collections::BTreeMap;

use super::{
    defaults,
    expand::expand,
    lines::{Line, logical, words},
};

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file's name.
    pub(super) file: String,
    /// From 1 on.
    pub(super) line: usize,
    /// The service of master.cf that it is for.
    pub(super) service: Option<String>,
}

/// `name = value`, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    /// Nothing is expanded in it.
    pub(super) value: String,
    pub(super) place: Place,
    /// Its physical lines.
    pub(super) pieces: Vec<(usize, String)>,
}

impl Setting {
    /// The line that has this word, if it is another than the first.
    pub(super) fn line_of(&self, word: &str) -> Option<usize> {
        let mut pieces = self.pieces.iter().skip(1);
        let found = pieces.find(|(_, text)| text.contains(word));
        found.map(|(line, _)| *line)
    }
}

/// All settings; the last one of a name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    settings: BTreeMap<String, Setting>,
    /// Those that a later one of the same name undid, and the line of that one.
    pub(super) undone: Vec<(Setting, usize)>,
    /// Lines that are no `name = value`.
    pub(super) malformed: Vec<Place>,
    /// What `$config_directory` is unless set.
    folder: String,
}

impl Config {
    /// Reads main.cf or what `postconf -n` prints.
    pub(super) fn parse(text: &str, file: &str, folder: &str) -> Self {
        let mut config = Self {
            folder: folder.to_owned(),
            ..Self::default()
        };
        for line in logical(text) {
            let place = Place {
                file: file.to_owned(),
                line: line.number(),
                service: None,
            };
            match setting(&line, place.clone()) {
                Some(setting) => config.put(setting),
                None => config.malformed.push(place),
            }
        }
        config
    }

    fn put(&mut self, setting: Setting) {
        let line = setting.place.line;
        if let Some(before) = self.settings.insert(setting.name.clone(), setting) {
            self.undone.push((before, line));
        }
    }

    /// The same with what a service says otherwise.
    pub(super) fn with(&self, overrides: &[Setting]) -> Self {
        let mut config = self.clone();
        for setting in overrides {
            config
                .settings
                .insert(setting.name.clone(), setting.clone());
        }
        config
    }

    /// All that count, by name.
    pub(super) fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.values()
    }

    /// How it is written, if it is.
    pub(super) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    /// Whether it is written.
    pub(super) fn has(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// Its value, or its default's, with all names in it replaced.
    pub(super) fn value(&self, name: &str) -> String {
        let raw = self.raw(name).unwrap_or_default();
        self.expanded(&raw)
    }

    /// Replaces the names in a text.
    pub(super) fn expanded(&self, text: &str) -> String {
        expand(text, &|name| self.raw(name)).trim().to_owned()
    }

    fn raw(&self, name: &str) -> Option<String> {
        if let Some(setting) = self.settings.get(name) {
            return Some(setting.value.clone());
        }
        if name == "config_directory" {
            return Some(self.folder.clone());
        }
        if name == "mydomain"
            && let Some(host) = self.settings.get("myhostname")
            && let Some((_, domain)) = host.value.split_once('.')
        {
            return Some(domain.to_owned());
        }
        defaults::default(name).map(str::to_owned)
    }

    /// Its words.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        words(&self.value(name))
    }

    /// Whether it is `yes`.
    pub(super) fn is_yes(&self, name: &str) -> bool {
        self.value(name).eq_ignore_ascii_case("yes")
    }
}

fn setting(line: &Line, place: Place) -> Option<Setting> {
    let text = line.text();
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    Some(Setting {
        name: name.to_owned(),
        value: value.trim().to_owned(),
        place,
        pieces: line.pieces.clone(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_one_counts() {
        let config = Config::parse("a = 1\nb=$a\na = 2\nno setting\n", "main.cf", "/x");
        assert_eq!(config.value("b"), "2");
        let (undone, line) = &config.undone[0];
        assert_eq!((undone.place.line, *line), (1, 3));
        assert_eq!(config.malformed[0].line, 4);
        assert_eq!(config.value("config_directory"), "/x");
    }

    #[test]
    fn a_word_is_found_on_its_line() {
        let config = Config::parse("a = one,\n  two,\n  three\n", "main.cf", "/x");
        let setting = config.setting("a").unwrap();
        assert_eq!(setting.line_of("three"), Some(3));
        assert_eq!(setting.line_of("one"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r"(?s)([a-z_]{1,6}( = |=|\n |\n)[$ {}a-z0-9,./:]{0,12}\r?\n?){0,20}|.{0,200}") {
            let config = Config::parse(&text, "main.cf", "/etc/postfix");
            for setting in config.settings() {
                let _ = config.list(&setting.name);
            }
        }
    }
}
