//! A job as Chronos tells it, and what is kept of it.

use std::{collections::BTreeMap, fmt};

use notifier_core::{jiff::Timestamp, redact};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The longest text that is kept of one field, in bytes.
const LONGEST: usize = 4096;
/// How many labels a job may have.
const LABELS: usize = 100;
/// What Chronos takes where a job does not say.
const RETRIES: u32 = 2;
/// The variable that says from which failure on a job is told.
pub(crate) const NOTIFY: &str = "CHRONOS_NOTIFY";

/// What is known of a job. Of its environment only what routes and `CHRONOS_NOTIFY`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    #[serde(rename = "n")]
    pub(crate) name: String,
    /// As Chronos has it: addresses separated by commas.
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    pub(crate) owner: String,
    #[serde(rename = "on", default, skip_serializing_if = "String::is_empty")]
    pub(crate) owner_name: String,
    #[serde(rename = "r")]
    pub(crate) retries: u32,
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    pub(crate) schedule: String,
    /// Names separated by commas.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub(crate) parents: String,
    /// Separated by blanks.
    #[serde(rename = "a", default, skip_serializing_if = "String::is_empty")]
    pub(crate) arguments: String,
    #[serde(rename = "d", default, skip_serializing_if = "is_false")]
    pub(crate) disabled: bool,
    /// `errorCount`: runs that failed for good.
    #[serde(rename = "e", default)]
    pub(crate) errors: u64,
    /// `errorsSinceLastSuccess`.
    #[serde(rename = "er", default)]
    pub(crate) errors_in_a_row: u64,
    /// As Chronos writes it, or empty.
    #[serde(rename = "ls", default, skip_serializing_if = "String::is_empty")]
    pub(crate) last_success: String,
    /// As Chronos writes it, or empty.
    #[serde(rename = "le", default, skip_serializing_if = "String::is_empty")]
    pub(crate) last_error: String,
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub(crate) notify: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(yes: &bool) -> bool {
    !yes
}

impl Job {
    /// Of a JSON object; nothing if it has no name. Fields of odd types count as absent.
    pub(crate) fn read(json: &[u8], prefix: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(json).ok()?;
        if wire.name.is_empty() {
            return None;
        }
        let mut job = Self {
            name: wire.name,
            owner: wire.owner,
            owner_name: wire.owner_name,
            retries: wire
                .retries
                .map_or(RETRIES, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            schedule: wire.schedule,
            parents: wire.parents.0.join(", "),
            arguments: wire.arguments.0.join(" "),
            disabled: wire.disabled,
            errors: wire.errors.unwrap_or(0),
            errors_in_a_row: wire.errors_in_a_row.unwrap_or(0),
            last_success: wire.last_success,
            last_error: wire.last_error,
            notify: None,
            labels: BTreeMap::new(),
        };
        cut(&mut job.parents);
        cut(&mut job.arguments);
        for (name, value) in wire.environment.0 {
            if name.eq_ignore_ascii_case(NOTIFY) {
                job.notify = Some(value);
            } else if let Some(label) = label(&name, prefix)
                && job.labels.len() < LABELS
            {
                job.labels.insert(label, value);
            }
        }
        Some(job)
    }

    /// The owners, split as Chronos does: at commas, with white space around them dropped.
    pub(crate) fn owners(&self) -> Vec<String> {
        self.owner
            .split(',')
            .map(str::trim)
            .filter(|owner| !owner.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn success_time(&self) -> Option<Timestamp> {
        self.last_success.parse().ok()
    }

    pub(crate) fn error_time(&self) -> Option<Timestamp> {
        self.last_error.parse().ok()
    }

    /// Its schedule ran out: `R0/…` is left of it.
    pub(crate) fn has_run_out(&self) -> bool {
        self.schedule.starts_with("R0/")
    }

    /// Whether it differs in what is worth a commit of its own. Successes are not, and neither
    /// is that a schedule went on for them.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let counted = |j: &Self| (j.retries, j.disabled, j.errors, j.errors_in_a_row);
        fn texts(j: &Job) -> [&str; 6] {
            [
                &j.name,
                &j.owner,
                &j.owner_name,
                &j.parents,
                &j.arguments,
                &j.last_error,
            ]
        }
        counted(self) != counted(other)
            || texts(self) != texts(other)
            || self.notify != other.notify
            || self.labels != other.labels
    }

    /// What of it may lie in a store unsealed: no label that is a secret.
    pub(crate) fn to_keep(&self) -> Self {
        let mut job = self.clone();
        job.labels
            .retain(|key, value| !redact::is_secret_label(key, value));
        job
    }
}

/// Values of labels are not shown.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("retries", &self.retries)
            .field("disabled", &self.disabled)
            .field("errors", &self.errors)
            .field("last_success", &self.last_success)
            .field("last_error", &self.last_error)
            .finish_non_exhaustive()
    }
}

/// The label that a variable of the environment stands for: its name, in lower case if it has
/// no lower-case letter, where it begins with the prefix.
fn label(name: &str, prefix: &str) -> Option<String> {
    let begins = |text: &str| {
        text.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|rest| !rest.is_empty())
    };
    if begins(name) {
        return Some(name.to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let is_upper = !name.bytes().any(|b| b.is_ascii_lowercase());
    (is_upper && begins(&lower)).then_some(lower)
}

/// The fields that matter; serde passes over the others.
#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "text")]
    owner: String,
    #[serde(default, rename = "ownerName", deserialize_with = "text")]
    owner_name: String,
    #[serde(default, deserialize_with = "number")]
    retries: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    schedule: String,
    #[serde(default)]
    parents: Texts,
    #[serde(default)]
    arguments: Texts,
    #[serde(default, deserialize_with = "flag")]
    disabled: bool,
    #[serde(default, rename = "errorCount", deserialize_with = "number")]
    errors: Option<u64>,
    #[serde(
        default,
        rename = "errorsSinceLastSuccess",
        deserialize_with = "number"
    )]
    errors_in_a_row: Option<u64>,
    #[serde(default, rename = "lastSuccess", deserialize_with = "text")]
    last_success: String,
    #[serde(default, rename = "lastError", deserialize_with = "text")]
    last_error: String,
    #[serde(default, rename = "environmentVariables")]
    environment: Variables,
}

fn cut(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|i| text.is_char_boundary(*i));
        text.truncate(end.unwrap_or(0));
    }
}

fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::String(mut text) => {
            cut(&mut text);
            text
        }
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    })
}

fn number<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Number(n) => n.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

fn flag<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Bool(yes) => yes,
        Value::String(text) => text == "true",
        _ => false,
    })
}

/// The texts of a list.
#[derive(Default)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Value::Array(all) = Value::deserialize(d)? else {
            return Ok(Self::default());
        };
        let texts = all.into_iter().filter_map(|v| match v {
            Value::String(text) => Some(text),
            _ => None,
        });
        Ok(Self(texts.collect()))
    }
}

/// The pairs of a list of `{name, value}`.
#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Value::Array(all) = Value::deserialize(d)? else {
            return Ok(Self::default());
        };
        let pairs = all.iter().filter_map(|v| {
            let get = |key: &str| v.get(key)?.as_str().map(str::to_owned);
            let (name, mut value) = (get("name")?, get("value")?);
            cut(&mut value);
            Some((name, value))
        });
        Ok(Self(pairs.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Job> {
        Job::read(json.as_bytes(), "complainer")
    }

    #[test]
    fn fields_and_odd_types() {
        let job = read(
            r#"{"name":"a","owner":"x@h , y@h,,","ownerName":7,"retries":"3","errorCount":4,
            "errorsSinceLastSuccess":null,"lastError":"2016-06-17T04:41:19.171Z","disabled":"true",
            "parents":["p",1,"q"],"command":["?"],"newer":{"than":"us"},"arguments":"no list"}"#,
        )
        .unwrap();
        assert_eq!(job.owners(), ["x@h", "y@h"]);
        assert_eq!((job.owner_name.as_str(), job.retries), ("7", 3));
        assert_eq!((job.errors, job.errors_in_a_row), (4, 0));
        assert_eq!((job.parents.as_str(), job.disabled), ("p, q", true));
        assert_eq!(job.arguments, "");
        assert!(job.error_time().is_some() && job.success_time().is_none());
        assert_eq!(read(r#"{"name":"a","retries":-1}"#).unwrap().retries, 2);
        for none in [r#"{"owner":"a"}"#, r#"{"name":["a"]}"#, "[]", "7", "{"] {
            assert!(read(none).is_none(), "{none}");
        }
    }

    #[test]
    fn of_the_environment_only_what_routes() {
        let job = read(
            r#"{"name":"a","environmentVariables":[
            {"name":"DB_PASSWORD","value":"s3cret"},{"name":"chronos_notify","value":"every"},
            {"name":"complainer_smtp_to","value":"x@h"},{"name":"COMPLAINER_SLACK_CHANNEL","value":"ops"},
            {"name":"Complainer_x","value":"no"},{"name":"complainer_","value":"no"},
            {"name":"complainerx_y","value":"no"},{"name":"complainer_sentry_dsn","value":"https://u:p@h/1"},
            {"name":7},"odd"]}"#,
        )
        .unwrap();
        assert_eq!(job.notify.as_deref(), Some("every"));
        let labels: Vec<&str> = job.labels.keys().map(String::as_str).collect();
        assert_eq!(
            labels,
            [
                "complainer_sentry_dsn",
                "complainer_slack_channel",
                "complainer_smtp_to"
            ]
        );
        let kept = serde_json::to_string(&job.to_keep()).unwrap();
        assert!(!kept.contains("u:p@h") && kept.contains("x@h"), "{kept}");
        assert!(!format!("{job:?}").contains("u:p@h"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let owner = "é".repeat(LONGEST);
        let job = read(&format!(r#"{{"name":"a","owner":"{owner}"}}"#)).unwrap();
        assert_eq!(job.owner.len(), LONGEST);
    }

    #[test]
    fn a_success_alone_is_not_worth_a_commit() {
        let job = read(r#"{"name":"a","lastSuccess":"x","errorCount":1}"#).unwrap();
        let mut other = job.clone();
        other.last_success = "y".to_owned();
        assert!(!job.differs(&other));
        other.errors = 2;
        assert!(job.differs(&other));
    }
}
