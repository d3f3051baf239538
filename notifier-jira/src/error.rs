//! What Jira's answers mean.
//!
//! Sources: developer.atlassian.com/cloud/jira/platform/rest/v3 (status codes) and
//! …/rate-limiting (page of 2026-03-05); for Data Center
//! confluence.atlassian.com/adminjiraserver "Improving instance stability with rate
//! limiting"; all read 2026.

use std::{collections::BTreeMap, time::Duration};

use notifier_core::{Delivery, Error, ErrorKind, Retry, Scope, jiff::Timestamp, redact::Redactor};
use notifier_http::{Answer, MAX_RETRY_AFTER, status_error};
use serde_json::Value;

/// What was asked of Jira.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// What there is: nothing is changed, so nothing can have arrived.
    Look,
    /// The issues that a query finds; nothing is changed.
    Search,
    /// One issue, or what is kept with it; nothing is changed.
    Read,
    /// A new issue.
    Create,
    /// A comment, or a note beside the issue.
    Comment,
    /// Another status.
    Transition,
    /// A file.
    Attach,
}

impl Step {
    fn changes(self) -> bool {
        !matches!(self, Self::Look | Self::Search | Self::Read)
    }

    /// Whether it is about one issue that is there: what is refused there says nothing of
    /// others.
    fn is_of_one_issue(self) -> bool {
        matches!(
            self,
            Self::Read | Self::Comment | Self::Transition | Self::Attach
        )
    }
}

/// How much of what Jira says is told.
const MOST_SAID: usize = 300;

/// An error without an answer, for this step.
pub(crate) fn unanswered(e: Error, step: Step) -> Error {
    if step.changes() {
        e
    } else {
        e.with_delivery(Delivery::NotDelivered)
    }
}

/// What an answer says went wrong, by field, and in general under an empty name.
pub(crate) fn complaints(answer: &Answer) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let Ok(json) = serde_json::from_slice::<Value>(answer.body()) else {
        return out;
    };
    let mut general: Vec<&str> = json["errorMessages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    general.extend(json["message"].as_str());
    if !general.is_empty() {
        out.insert(String::new(), general.join(" "));
    }
    for (field, why) in json["errors"].as_object().into_iter().flatten().take(50) {
        let why = why.as_str().map_or_else(|| why.to_string(), str::to_owned);
        out.insert(field.clone(), why);
    }
    out
}

/// The complaints on one line, cut, without control characters and known secrets.
fn said(answer: &Answer, redactor: &Redactor) -> String {
    let complaints = complaints(answer);
    if complaints.is_empty() {
        return answer.excerpt();
    }
    let whole: Vec<String> = complaints
        .iter()
        .map(|(field, why)| match field.as_str() {
            "" => why.clone(),
            field => format!("{field}: {why}"),
        })
        .collect();
    one_line(&redactor.redact(&whole.join("; ")), MOST_SAID)
}

/// The beginning of a text, without line breaks and other controls.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out.trim().to_owned()
}

/// When to come again, in the several ways that Jira says it.
fn wait(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let reset = || {
        let at: Timestamp = answer.header("x-ratelimit-reset")?.trim().parse().ok()?;
        Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
    };
    let refill = || {
        let seconds = answer.header("x-ratelimit-interval-seconds")?;
        seconds.trim().parse().ok().map(Duration::from_secs)
    };
    answer
        .retry_after()
        .or_else(|| (answer.status() == 429).then(|| reset().or_else(refill))?)
        .map(|d| d.min(MAX_RETRY_AFTER))
}

/// Why a login is refused, if that is more than a wrong password.
fn locked_out(answer: &Answer) -> bool {
    let has = |name: &str, word: &str| answer.header(name).is_some_and(|v| v.contains(word));
    has("x-authentication-denied-reason", "CAPTCHA_CHALLENGE")
        || has("x-seraph-loginreason", "AUTHENTICATION_DENIED")
}

/// An answer that is not what was asked for, as an error.
pub(crate) fn refused(answer: &Answer, step: Step, redactor: &Redactor, now: Timestamp) -> Error {
    let status = answer.status();
    let after = wait(answer, now);
    let base = status_error(status, answer.who(), after);
    let said = said(answer, redactor);
    let mut text = base.to_string();
    if let (300..400, Some(to)) = (status, answer.location()) {
        let to = notifier_core::redact::origin(to.as_str());
        text = format!(
            "{text}, a redirect to {to}, which is not followed; set -jira.url to where Jira is"
        );
    }
    if !said.is_empty() {
        text = format!("{text}: {said}");
    }
    let (mut kind, mut retry, mut delivery) = (base.kind(), base.retry(), base.delivery());
    let mut scope = base.scope();
    match status {
        401 | 403 => {
            scope = Scope::Destination;
            if locked_out(answer) {
                kind = ErrorKind::Unauthenticated;
                text = format!(
                    "{text}; Jira wants a CAPTCHA after failed logins: log in once with a browser as this user, then replay"
                );
            } else if status == 401 {
                text = format!("{text}; check -jira.username and -jira.password");
            } else {
                text = format!("{text}; the user may not do this");
                if step.is_of_one_issue() {
                    scope = Scope::Message;
                }
            }
        }
        // Before an issue is sent also what stands in front of a Jira that restarts.
        404 if matches!(step, Step::Create | Step::Look | Step::Search) => {
            (kind, scope) = (ErrorKind::Config, Scope::Destination);
        }
        400 if step == Step::Look => {
            (kind, scope) = (ErrorKind::Config, Scope::Destination);
        }
        410 => {
            (kind, scope) = (ErrorKind::Config, Scope::Destination);
            text = format!("{text}; this Jira has the endpoint no more");
        }
        300..400 => (kind, scope) = (ErrorKind::Config, Scope::Destination),
        400 if step == Step::Search => {
            (kind, scope) = (ErrorKind::Config, Scope::Destination);
            text = format!("{text}; check -jira.issue_closed_status and the project");
        }
        409 if step == Step::Transition => {
            (kind, retry) = (ErrorKind::Unavailable, Retry::Later { after });
        }
        200..300 => {
            text = format!(
                "{} answered {status} with something else than was asked for",
                answer.who()
            );
        }
        _ => {}
    }
    if !step.changes() {
        delivery = Delivery::NotDelivered;
    }
    Error::new(kind, text)
        .with_retry(retry)
        .with_delivery(delivery)
        .with_scope(scope)
        .with_code(status.to_string())
}

/// Whether an answer to a new issue complains of fields that are not ours to set: they are
/// required, and the option does not name them. Then no issue can be made here.
pub(crate) fn is_about_others(complaints: &BTreeMap<String, String>, sent: &[String]) -> bool {
    !complaints.is_empty()
        && complaints
            .keys()
            .all(|field| !field.is_empty() && !sent.contains(field))
}

/// Whether an issue, or what is kept with it, is closed to this user, and to no other
/// request of it.
pub(crate) fn is_closed_to_us(e: &Error) -> bool {
    e.kind() == ErrorKind::PermissionDenied && e.scope() == Scope::Message
}

/// A setting that does not fit what Jira has; nothing can be sent until a person changes it.
pub(crate) fn config(text: impl Into<String>) -> Error {
    Error::config(text).with_scope(Scope::Destination)
}
