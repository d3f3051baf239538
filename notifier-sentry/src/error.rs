//! What Sentry's answers mean.
//!
//! Statuses and words as of develop.sentry.dev (envelopes, rate limiting) and getsentry/relay's
//! endpoints, read 2026. A refusal says why in `X-Sentry-Error`, or in JSON as `detail` and `causes`.

use std::time::Duration;

use notifier_core::{Error, ErrorKind, Scope, redact::Redactor};
use notifier_http::{Answer, status_error};
use serde_json::Value;

use crate::quota::{Quota, USUAL};

/// The longest that is quoted of an answer, in characters.
const QUOTE: usize = 200;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is too large; a smaller one may do. Certainly not taken.
    Shrink(Error),
    /// Everything else.
    Error(Error),
}

impl From<Refusal> for Error {
    fn from(r: Refusal) -> Self {
        match r {
            Refusal::Shrink(e) | Refusal::Error(e) => e,
        }
    }
}

/// What an answer says, and what is not wanted for now.
pub(crate) fn read(answer: &Answer, redactor: &Redactor) -> (Result<(), Refusal>, Quota) {
    let mut quota = answer
        .header("x-sentry-rate-limits")
        .map(Quota::parse)
        .unwrap_or_default();
    if answer.status() == 429 && quota.event.is_none() {
        // No limit of the header is about events: what holds is what it says beside it.
        let wait = answer.retry_after().unwrap_or(USUAL);
        quota.event = Some(wait);
    }
    (verdict(answer, redactor, quota), quota)
}

fn verdict(answer: &Answer, redactor: &Redactor, quota: Quota) -> Result<(), Refusal> {
    let words = words(answer, redactor);
    let lower = words.to_ascii_lowercase();
    let status = answer.status();
    if answer.is_success() {
        return if is_page(answer) {
            let text = format!("{} answered {status} with a page of HTML", answer.who());
            Err(Refusal::Error(
                Error::new(ErrorKind::InvalidResponse, text).with_code(status.to_string()),
            ))
        } else {
            Ok(())
        };
    }
    let e = told(answer, &words);
    Err(match status {
        429 => Refusal::Error(limited(
            format!("{} asks to slow down", answer.who()),
            quota.event.unwrap_or(USUAL),
        )),
        // Old servers refuse what they have: an earlier attempt arrived.
        403 if lower.contains("same id") && lower.contains("exist") => return Ok(()),
        413 => Refusal::Shrink(e),
        400 if is_about_size(&lower) => Refusal::Shrink(e),
        // A filter of the project's looked at this one event.
        403 if lower.contains("filter") => Refusal::Error(e),
        // No word of the event is in the address and in the key.
        301..=399 | 401 | 403 | 404 | 405 | 410 => Refusal::Error(e.with_scope(Scope::Destination)),
        _ => Refusal::Error(e),
    })
}

/// Nothing is taken for so long.
pub(crate) fn limited(text: String, wait: Duration) -> Error {
    Error::new(ErrorKind::RateLimited, text)
        .with_retry_after(wait)
        .with_code("429")
}

/// The usual error of a status, with the server's words and what to do.
fn told(answer: &Answer, words: &str) -> Error {
    if answer.location().is_some() && (300..400).contains(&answer.status()) {
        return answer.error();
    }
    let e = status_error(answer.status(), answer.who(), answer.retry_after());
    let mut text = e.to_string();
    if !words.is_empty() {
        text.push_str(": ");
        text.push_str(words);
    }
    text.push_str(match answer.status() {
        401 | 403 => "; see whether the DSN's key is still good",
        404 => "; see whether the DSN's project and host are right",
        _ => "",
    });
    Error::new(e.kind(), text)
        .with_retry(e.retry())
        .with_delivery(e.delivery())
        .with_scope(e.scope())
        .with_code(answer.status().to_string())
}

/// Why a server refuses, on one line, without the DSN's keys; empty if it does not say.
fn words(answer: &Answer, redactor: &Redactor) -> String {
    if answer.is_success() {
        return String::new();
    }
    let said = match answer.header("x-sentry-error") {
        Some(text) => text.to_owned(),
        None => match answer.json::<Value>() {
            Ok(json) => detail(&json),
            Err(_) => answer.excerpt(),
        },
    };
    let said = redactor.redact(&said);
    crate::limits::cut(&crate::limits::one_line(&said), QUOTE).into_owned()
}

fn detail(json: &Value) -> String {
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let what = ["detail", "error", "message"].into_iter().find_map(text);
    let causes = json.get("causes").and_then(Value::as_array);
    what.into_iter()
        .chain(causes.into_iter().flatten().filter_map(Value::as_str))
        .collect::<Vec<_>>()
        .join(": ")
}

fn is_about_size(words: &str) -> bool {
    [
        "too large",
        "too big",
        "too long",
        "exceed",
        "size limit",
        "oversize",
    ]
    .iter()
    .any(|w| words.contains(w))
}

fn is_page(answer: &Answer) -> bool {
    answer
        .header("content-type")
        .is_some_and(|t| t.contains("html"))
        || answer.text().trim_start().starts_with('<')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_read_from_every_form() {
        for (json, is) in [
            (json!({"detail": "a", "causes": ["b", "c"]}), "a: b: c"),
            (json!({"detail": "a", "causes": "b"}), "a"),
            (json!({"error": "x"}), "x"),
            (json!({"message": "x"}), "x"),
            (json!({"detail": 7}), ""),
            (json!(["x"]), ""),
        ] {
            assert_eq!(detail(&json), is, "{json}");
        }
    }

    #[test]
    fn words_about_size_are_known() {
        for words in [
            "envelope exceeded size limits for type 'event'",
            "event too large",
            "max length (1048576) exceeded",
        ] {
            assert!(is_about_size(words), "{words}");
        }
        for words in ["", "invalid json", "missing event id"] {
            assert!(!is_about_size(words), "{words}");
        }
    }
}
