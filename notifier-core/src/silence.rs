//! What is not to be told for a while: [`Silence`].

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::{Error, FailureRecord, Result, filter, redact};

/// Says that failures of some kind are not told until a time.
///
/// Failures that all matchers match are kept as [silenced](crate::DeliveryState::Silenced),
/// with the silence's words as the reason; they can be replayed.
///
/// ```
/// use notifier_core::{FailureRecord, Silence, jiff::Timestamp};
/// let silence = Silence::new(
///     "maintenance",
///     vec!["framework=chronos".parse()?, "name=~^backup-".parse()?],
///     "2026-11-21T10:00:00Z".parse().unwrap(),
///     "2026-11-21T12:00:00Z".parse().unwrap(),
/// );
/// let now: Timestamp = "2026-11-21T11:00:00Z".parse().unwrap();
/// let mut failure = FailureRecord::new("1", "backup-db", "TASK_FAILED", now);
/// assert!(!silence.covers(&failure, now));
/// failure.framework = "chronos".into();
/// assert!(silence.covers(&failure, now));
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// What it is about: all must match, and there is at least one.
    pub matchers: Vec<Matcher>,
    /// From when on it holds.
    pub starts: Timestamp,
    /// Until when it holds.
    pub ends: Timestamp,
    /// Who made it.
    #[serde(default)]
    pub author: String,
    /// Why.
    #[serde(default)]
    pub note: String,
}

impl Silence {
    /// A silence without author and note: set them directly.
    pub fn new(
        id: impl Into<String>,
        matchers: Vec<Matcher>,
        starts: Timestamp,
        ends: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            matchers,
            starts,
            ends,
            author: String::new(),
            note: String::new(),
        }
    }

    /// Whether it holds at this time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.starts <= now && now < self.ends
    }

    /// Whether this failure is not to be told now. One without matchers covers nothing.
    pub fn covers(&self, failure: &FailureRecord, now: Timestamp) -> bool {
        self.holds(now)
            && !self.matchers.is_empty()
            && self.matchers.iter().all(|m| m.matches(failure))
    }

    /// The reason, for people.
    pub fn reason(&self) -> String {
        let mut out = format!("silence {} until {}", self.id, self.ends);
        if !self.author.is_empty() {
            out += &format!(" by {}", self.author);
        }
        if !self.note.is_empty() {
            out += &format!(": {}", self.note);
        }
        out
    }
}

/// One condition on a failure: `name=web`, `host!=agent-1`, `framework=~^chron`,
/// `label.team!~ops|dev`.
///
/// The fields are `id`, `name`, `host`, `framework`, `image`, `state`, `reason`,
/// `message`, `source` and `label.KEY`; one that is not there is empty. Expressions match
/// anywhere in the value, unless they say `^` and `$`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Matcher {
    field: String,
    test: Test,
    value: String,
    expression: Option<Regex>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    Is,
    IsNot,
    Matches,
    MatchesNot,
}

impl Test {
    const ALL: [(&'static str, Self); 4] = [
        ("!=", Self::IsNot),
        ("!~", Self::MatchesNot),
        ("=~", Self::Matches),
        ("=", Self::Is),
    ];

    fn sign(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, t)| *t == self)
            .map_or("=", |(sign, _)| sign)
    }
}

const FIELDS: [&str; 9] = [
    "id",
    "name",
    "host",
    "framework",
    "image",
    "state",
    "reason",
    "message",
    "source",
];

impl Matcher {
    /// Whether it holds for a failure.
    pub fn matches(&self, failure: &FailureRecord) -> bool {
        let value = self.value_in(failure);
        let found = || self.expression.as_ref().is_some_and(|e| e.is_match(value));
        match self.test {
            Test::Is => value == self.value,
            Test::IsNot => value != self.value,
            Test::Matches => found(),
            Test::MatchesNot => !found(),
        }
    }

    fn value_in<'a>(&self, f: &'a FailureRecord) -> &'a str {
        match self.field.as_str() {
            "id" => &f.id,
            "name" => &f.name,
            "host" => &f.host,
            "framework" => &f.framework,
            "image" => &f.image,
            "state" => &f.state,
            "reason" => f.reason.as_deref().unwrap_or_default(),
            "message" => f.message.as_deref().unwrap_or_default(),
            "source" => &f.source,
            field => field
                .strip_prefix("label.")
                .and_then(|key| f.labels.get(key))
                .map(String::as_str)
                .unwrap_or_default(),
        }
    }
}

impl FromStr for Matcher {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let at = text.find(['=', '!']).ok_or_else(|| {
            Error::config(format!(
                "{text:?} is not a condition, such as name=web, host!=a, framework=~^chron or label.team=ops"
            ))
        })?;
        let (field, rest) = text.split_at(at);
        let (sign, test) = Test::ALL
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(|| {
                Error::config(format!("{text:?}: behind {field:?} comes =, !=, =~ or !~"))
            })?;
        let (field, value) = (field.trim(), &rest[sign.len()..]);
        let is_label = field.strip_prefix("label.").is_some_and(|k| !k.is_empty());
        if !is_label && !FIELDS.contains(&field) {
            return Err(Error::config(format!(
                "{text:?}: a failure has no field {field:?}; there are {} and label.KEY",
                FIELDS.join(", ")
            )));
        }
        let expression = match test {
            Test::Matches | Test::MatchesNot => Some(filter::expression(value)?),
            _ => None,
        };
        Ok(Self {
            field: field.to_owned(),
            test,
            value: value.to_owned(),
            expression,
        })
    }
}

impl TryFrom<String> for Matcher {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Matcher> for String {
    fn from(m: Matcher) -> Self {
        format!("{}{}{}", m.field, m.test.sign(), m.value)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.field, self.test, &self.value) == (&other.field, other.test, &other.value)
    }
}

impl Eq for Matcher {}

/// As it is written, with the value of a label that names a secret masked.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.field.strip_prefix("label.") {
            Some(key) => redact::label(key, &self.value),
            None => &self.value,
        };
        write!(f, "{}{}{value}", self.field, self.test.sign())
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matcher({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_tells() {
        let mut f = FailureRecord::new("web.1", "web", "TASK_LOST", Timestamp::UNIX_EPOCH)
            .with_label("team", "ops");
        f.framework = "marathon".to_owned();
        for (text, holds) in [
            ("name=web", true),
            ("name=we", false),
            ("name!=we", true),
            ("framework=~^mara", true),
            ("framework!~^mara", false),
            ("label.team=ops", true),
            ("label.none=", true),
            ("label.team!~x", true),
            ("reason=", true),
            ("message=~a=b", false),
        ] {
            let m: Matcher = text.parse().unwrap();
            assert_eq!(m.matches(&f), holds, "{text}");
            assert_eq!(String::from(m), text);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for wrong in ["", "web", "task=1", "label.=x", "name!web", "name=~(", "=x"] {
            assert!(wrong.parse::<Matcher>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_kept_as_it_is_written() {
        let mut s = Silence::new(
            "1",
            vec!["label.api_token=hush".parse().unwrap()],
            Timestamp::UNIX_EPOCH,
            Timestamp::UNIX_EPOCH,
        );
        s.author = "ops".to_owned();
        let json = serde_json::to_string(&s).unwrap();
        assert_eq!(serde_json::from_str::<Silence>(&json).unwrap(), s);
        assert!(!format!("{s:?} {}", s.matchers[0]).contains("hush"));
    }
}
