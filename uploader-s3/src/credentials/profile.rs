//! The files of AWS's command line: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Using shared config and credentials
//! files", read 2026-11-21.

use std::{collections::BTreeMap, fmt, io};

use notifier_core::{Error, ErrorKind, Result, Secret};

use super::{Found, chain};
use crate::{Environment, sign::Keys};

/// One profile out of both files.
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) region: Option<String>,
    /// The file that nobody named and that cannot be read, and why.
    pub(super) unread: Option<String>,
    values: BTreeMap<String, String>,
}

impl Profile {
    /// The profile that `AWS_PROFILE` names, or `default`; empty if there is none of it.
    /// A file in the usual place that cannot be read is as good as none: services run
    /// with a home that is no folder, or not theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if a file that a variable names is there and cannot be read,
    /// [`ErrorKind::Config`] if a profile that was asked for is in neither.
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let home = env.get("HOME").or_else(|| env.get("USERPROFILE"));
        let path = |variable: &str, file: &str| match env.get(variable) {
            Some(path) => Some((path, true)),
            None => home.as_ref().map(|h| (format!("{h}/.aws/{file}"), false)),
        };
        let asked = env.get("AWS_PROFILE");
        let name = asked.clone().unwrap_or_else(|| "default".to_owned());
        let mut values = BTreeMap::new();
        let mut is_there = false;
        let mut unread = None;
        let config = path("AWS_CONFIG_FILE", "config");
        let credentials = path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        // The second has the last word.
        for (path, with_word) in [(config, true), (credentials, false)] {
            let Some((path, is_named)) = path else {
                continue;
            };
            match chain::read_file(&path) {
                Ok(text) => {
                    if let Some(found) = section(&text, &name, with_word) {
                        is_there = true;
                        values.extend(found);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) if !is_named => unread = Some(format!("{path}: {e}")),
                Err(e) => {
                    return Err(
                        Error::new(ErrorKind::Io, format!("{path}: cannot be read")).with_source(e)
                    );
                }
            }
        }
        if asked.is_some() && !is_there {
            let unread = unread.map(|u| format!(" ({u})")).unwrap_or_default();
            return Err(Error::config(format!(
                "AWS_PROFILE: there is no profile {name:?} in AWS's files{unread}"
            )));
        }
        Ok(Self {
            region: values.get("region").cloned(),
            name,
            unread,
            values,
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The keys that stand in it.
    pub(super) fn keys(&self) -> Result<Option<Found>> {
        let pair = (
            self.get("aws_access_key_id"),
            self.get("aws_secret_access_key"),
        );
        match pair {
            (Some(id), Some(secret)) => {
                let from = format!("profile {}", self.name);
                return Ok(Some(Found {
                    keys: Keys {
                        id: chain::checked(id.to_owned(), &from)?,
                        secret: Secret::from(secret),
                        token: self.get("aws_session_token").map(Secret::from),
                    },
                    dies: None,
                }));
            }
            (None, None) => {}
            _ => {
                return Err(Error::config(format!(
                    "profile {} has only one of aws_access_key_id and aws_secret_access_key",
                    self.name
                )));
            }
        }
        let other = [
            "source_profile",
            "credential_source",
            "credential_process",
            "sso_session",
            "sso_start_url",
            "login_session",
        ]
        .into_iter()
        .find(|k| self.get(k).is_some());
        match other {
            Some(key) => Err(Error::config(format!(
                "profile {} uses {key}, which is not supported: give keys, or role_arn with web_identity_token_file",
                self.name
            ))),
            None => Ok(None),
        }
    }
}

/// Values may be secrets.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// What a file says of a profile, `None` if it does not name it. In `config` all names
/// but `default` have the word `profile` before them.
fn section(text: &str, profile: &str, with_word: bool) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut is_ours = false;
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            let mut words = name.split_whitespace();
            let (first, second) = (words.next().unwrap_or_default(), words.next());
            let name = match second {
                None => (!with_word || first == "default").then_some(first),
                Some(name) => (with_word && first == "profile").then_some(name),
            };
            is_ours = name == Some(profile);
            if is_ours {
                found.get_or_insert_default();
            }
        } else if is_ours
            // Lines of settings within a setting, such as those of `s3 =`.
            && !is_nested
            && let Some((key, value)) = line.split_once('=')
            && let Some(found) = &mut found
        {
            let value = value.split(" #").next().unwrap_or(value).trim();
            if !value.is_empty() {
                found.insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = "# a comment\n[default]\nregion = eu-west-1\ns3 =\n    region = wrong\n\n[profile team]\nregion=us-east-2 # near\nrole_arn = arn:x\n[team]\nregion = wrong\n[sso-session team]\nregion = wrong\n";

    #[test]
    fn profiles_are_read() {
        let default = section(CONFIG, "default", true).unwrap();
        assert_eq!(default["region"], "eu-west-1");
        let team = section(CONFIG, "team", true).unwrap();
        assert_eq!(team["region"], "us-east-2");
        assert_eq!(team["role_arn"], "arn:x");
        assert!(section(CONFIG, "other", true).is_none());
        let keys = "[team]\naws_access_key_id = A\nAWS_SECRET_ACCESS_KEY = b=c==\n";
        let team = section(keys, "team", false).unwrap();
        assert_eq!(team["aws_secret_access_key"], "b=c==");
    }

    #[test]
    fn both_files_make_one_profile() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("config"), CONFIG).unwrap();
        std::fs::write(
            at("credentials"),
            "[team]\naws_access_key_id = AKTEAM\naws_secret_access_key = s3cret\n",
        )
        .unwrap();
        let (config, credentials) = (at("config"), at("credentials"));
        let env = move |profile: Option<&'static str>| {
            let (config, credentials) = (config.clone(), credentials.clone());
            Environment::new(move |name| match name {
                "AWS_CONFIG_FILE" => Some(config.clone()),
                "AWS_SHARED_CREDENTIALS_FILE" => Some(credentials.clone()),
                "AWS_PROFILE" => profile.map(str::to_owned),
                _ => None,
            })
        };
        let team = Profile::read(&env(Some("team"))).unwrap();
        assert_eq!(team.region.as_deref(), Some("us-east-2"));
        assert_eq!(team.keys().unwrap().unwrap().keys.id, "AKTEAM");
        assert!(!format!("{team:?}").contains("s3cret"));
        let default = Profile::read(&env(None)).unwrap();
        assert_eq!(default.region.as_deref(), Some("eu-west-1"));
        assert!(default.keys().unwrap().is_none());
        let e = Profile::read(&env(Some("nobody"))).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_only_if_it_was_named() {
        let env = |variables: &'static [(&str, &str)]| {
            Environment::new(move |name| {
                let mut variables = variables.iter();
                let found = variables.find(|(n, _)| *n == name)?;
                Some(found.1.to_owned())
            })
        };
        let profile = Profile::read(&env(&[("HOME", "/dev/null")])).unwrap();
        assert!(profile.keys().unwrap().is_none());
        let unread = profile.unread.unwrap();
        assert!(unread.contains("/dev/null/.aws/credentials"), "{unread}");
        for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            let named = Environment::new(move |n| (n == name).then(|| "/dev/null/x".to_owned()));
            let e = Profile::read(&named).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Io, "{name}");
            assert!(e.to_string().contains("/dev/null/x"), "{e}");
        }
        let asked = env(&[("HOME", "/dev/null"), ("AWS_PROFILE", "team")]);
        let e = Profile::read(&asked).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
        assert!(e.to_string().contains("/dev/null/.aws"), "{e}");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let profile = Profile {
            name: "x".into(),
            region: None,
            unread: None,
            values: BTreeMap::from([("credential_process".into(), "run s3cret".into())]),
        };
        let e = profile.keys().unwrap_err().to_string();
        assert!(
            e.contains("credential_process") && !e.contains("s3cret"),
            "{e}"
        );
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(text in "[\\[\\]a-c =#\\n\\t]{0,60}") {
            let _ = section(&text, "a", true);
            let _ = section(&text, "a", false);
        }
    }
}
