//! What Slack's answers mean.
//!
//! Words as of docs.slack.dev (`chat.postMessage`) and api.slack.com's changelog of
//! 2016-05-17 (webhook errors), read 2026. A hook answers 200 with `ok`, or a status
//! with one word; the Web API and its look-alikes answer 200 with JSON.

use std::time::Duration;

use notifier_core::{Delivery, Error, ErrorKind, Result, Retry, Scope};
use notifier_http::{Answer, MAX_RETRY_AFTER};
use serde_json::Value;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Slack does not take this form; a plain, short one may do. Certainly not posted.
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

/// What a body says, whatever wrote it.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    /// It was posted.
    Yes,
    /// It was not, for a reason that may be known.
    No(Option<&'a str>),
    /// Neither, in words that may be a reason.
    Unclear(Option<&'a str>),
}

/// The fields of a body in JSON; those of an unexpected type count as missing.
struct Json(Value);

impl Json {
    fn read(text: &str) -> Option<Self> {
        let v: Value = text
            .starts_with('{')
            .then(|| serde_json::from_str(text).ok())??;
        Some(Self(v))
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(b) => Some(*b),
            Value::String(s) => s.parse().ok(),
            _ => None,
        }
    }

    fn error(&self) -> Option<&str> {
        self.0.get("error")?.as_str().filter(|s| !s.is_empty())
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds = match self.0.get("retry_after")? {
            Value::String(s) => s.trim().parse().ok()?,
            v => v.as_f64()?,
        };
        (seconds >= 0.0)
            .then(|| Duration::from_secs_f64(seconds.min(MAX_RETRY_AFTER.as_secs_f64())))
    }
}

fn said<'a>(text: &'a str, json: Option<&'a Json>) -> Said<'a> {
    let Some(json) = json else {
        return match text {
            t if t.eq_ignore_ascii_case("ok") => Said::Yes,
            t => Said::Unclear(Some(t)),
        };
    };
    let error = json.error();
    match (json.flag("ok"), json.flag("success")) {
        (Some(true), _) => Said::Yes,
        (Some(false), _) | (None, Some(false)) => Said::No(error),
        (None, Some(true)) if error.is_none() => Said::Yes,
        (None, _) if error.is_some() => Said::No(error),
        (None, _) => Said::Unclear(None),
    }
}

/// Reads an answer, and what was strange about it if it was a yes. `slack`: the host is
/// Slack's own, which always says `ok`.
pub(crate) fn read(answer: &Answer, slack: bool) -> Result<Option<Error>, Refusal> {
    let text = answer.text();
    let text = text.trim();
    let json = Json::read(text.trim_start_matches('\u{feff}'));
    let said = said(text, json.as_ref());
    let word = match said {
        Said::Yes => None,
        Said::No(w) | Said::Unclear(w) => w.filter(|w| is_word(w)),
    };
    if answer.is_success() && said == Said::Yes {
        return Ok(None);
    }
    let after = answer
        .retry_after()
        .or_else(|| json.as_ref()?.retry_after())
        .map(|d| d.min(MAX_RETRY_AFTER));
    let who = answer.who();
    if answer.status() == 429 {
        return Err(Refusal::Error(
            Error::new(ErrorKind::RateLimited, format!("{who} asks to slow down"))
                .with_retry(Retry::Later { after })
                .with_code("429"),
        ));
    }
    if let Some(word) = word
        && let Some(known) = by_word(word)
    {
        return Err(known.refusal(who, word, after));
    }
    if answer.is_success() {
        return not_ok(&said, word, who, answer.status(), slack);
    }
    let e = answer.error();
    Err(match answer.status() {
        // Nothing of the message is in a hook's address: it is the hook that is refused.
        403 | 404 | 410 => Refusal::Error(e.with_scope(Scope::Destination)),
        413 => Refusal::Shrink(e),
        _ => Refusal::Error(e),
    })
}

/// What a 2xx means that says neither yes nor a reason that is known.
fn not_ok(
    said: &Said<'_>,
    word: Option<&str>,
    who: &str,
    status: u16,
    slack: bool,
) -> Result<Option<Error>, Refusal> {
    let e = |kind, text: String| Error::new(kind, text).with_code(status.to_string());
    let strange = format!("{who} answered {status} but did not say ok");
    match (said, word) {
        // A page is some proxy's: nobody knows whether the message went further.
        (Said::Unclear(Some(text)), _) if text.starts_with('<') => {
            Err(Refusal::Error(e(ErrorKind::InvalidResponse, strange)))
        }
        // A word like Slack's for a refusal, though a new one.
        (_, Some(word)) if word.contains('_') => Err(Refusal::Error(
            e(ErrorKind::Rejected, format!("{who} refuses: {word}")).with_code(word),
        )),
        // A look-alike that answers 2xx has it; to try again would be to tell it again.
        (Said::Unclear(_), _) if !slack => Ok(Some(e(
            ErrorKind::InvalidResponse,
            format!("{strange}: taken as delivered"),
        ))),
        (_, Some(word)) => Err(Refusal::Error(
            e(ErrorKind::Rejected, format!("{who} refuses: {word}")).with_code(word),
        )),
        (Said::No(_), None) => Err(Refusal::Error(e(
            ErrorKind::Rejected,
            format!("{who} refuses, and does not say why"),
        ))),
        _ => Err(Refusal::Error(e(ErrorKind::InvalidResponse, strange))),
    }
}

fn is_word(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// What a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    RateLimited,
    Retry,
    Ambiguous,
    Unauthenticated,
    Denied,
    Channel,
    Shrink,
}

fn by_word(word: &str) -> Option<Known> {
    Some(match word {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Known::RateLimited,
        "service_unavailable" | "request_timeout" | "team_added_to_org" | "rollup_error" => {
            Known::Retry
        }
        "internal_error" | "fatal_error" => Known::Ambiguous,
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired"
        | "no_service" | "no_team" | "invalid_token" => Known::Unauthenticated,
        "missing_scope" | "action_prohibited" | "ekm_access_denied" => Known::Denied,
        w if w.starts_with("restricted_action") => Known::Denied,
        "channel_not_found"
        | "not_in_channel"
        | "is_archived"
        | "channel_is_archived"
        | "posting_to_general_channel_denied"
        | "user_not_found" => Known::Channel,
        "msg_too_long"
        | "msg_blocks_too_long"
        | "invalid_blocks"
        | "invalid_payload"
        | "too_many_attachments"
        | "invalid_attachments" => Known::Shrink,
        _ => return None,
    })
}

impl Known {
    fn refusal(self, who: &str, word: &str, after: Option<Duration>) -> Refusal {
        let e = |kind, text: String| Error::new(kind, text).with_code(word);
        let later = Retry::Later { after };
        Refusal::Error(match self {
            Self::RateLimited => e(
                ErrorKind::RateLimited,
                format!("{who} asks to slow down: {word}"),
            )
            .with_retry(later),
            Self::Retry => e(
                ErrorKind::Unavailable,
                format!("{who} cannot post it now: {word}"),
            )
            .with_retry(later),
            Self::Ambiguous => e(
                ErrorKind::Unavailable,
                format!("{who} failed while posting it: {word}"),
            )
            .with_retry(later)
            .with_delivery(Delivery::Unknown),
            Self::Unauthenticated => e(
                ErrorKind::Unauthenticated,
                format!("{who} does not know this webhook: {word}"),
            )
            .with_scope(Scope::Destination),
            Self::Denied => e(
                ErrorKind::PermissionDenied,
                format!("{who} does not let this webhook post: {word}"),
            )
            .with_scope(Scope::Destination),
            Self::Channel => e(
                ErrorKind::Rejected,
                format!("{who} cannot post into this channel: {word}"),
            )
            .with_scope(Scope::Destination),
            Self::Shrink => {
                return Refusal::Shrink(e(
                    ErrorKind::Rejected,
                    format!("{who} does not take the message: {word}"),
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_leniently() {
        for (text, expected) in [
            ("ok", Said::Yes),
            ("OK", Said::Yes),
            (r#"{"ok":true,"retry_after":"5"}"#, Said::Yes),
            (r#"{"ok":true,"error":{"a":1}}"#, Said::Yes),
            (r#"{"ok":true,"error":"x","success":false}"#, Said::Yes),
            (r#"{"ok":"true"}"#, Said::Yes),
            (r#"{"success":true,"retry_after":[]}"#, Said::Yes),
            (r#"{"ok":false}"#, Said::No(None)),
            (r#"{"success":false,"error":7}"#, Said::No(None)),
            (r#"{"ok":false,"error":"a b"}"#, Said::No(Some("a b"))),
            (r#"{"error":"no_service"}"#, Said::No(Some("no_service"))),
            (r#"{"result":"success"}"#, Said::Unclear(None)),
            ("success", Said::Unclear(Some("success"))),
            ("", Said::Unclear(Some(""))),
        ] {
            assert_eq!(said(text, Json::read(text).as_ref()), expected, "{text}");
        }
        for (value, seconds) in [
            ("3", Some(3.0)),
            ("1.5", Some(1.5)),
            (r#""30""#, Some(30.0)),
            ("1e300", Some(3600.0)),
            (r#""inf""#, Some(3600.0)),
            ("-1", None),
            (r#""soon""#, None),
            (r#""NaN""#, None),
            ("null", None),
        ] {
            let json = Json::read(&format!(r#"{{"retry_after":{value}}}"#)).unwrap();
            assert_eq!(
                json.retry_after().map(|d| d.as_secs_f64()),
                seconds,
                "{value}"
            );
        }
    }

    #[test]
    fn slack_itself_must_say_ok() {
        for (text, slack, kind) in [
            ("", true, Some(ErrorKind::InvalidResponse)),
            ("<html>", true, Some(ErrorKind::InvalidResponse)),
            ("\u{feff}ok", true, Some(ErrorKind::InvalidResponse)),
            ("success", true, Some(ErrorKind::Rejected)),
            (r#"{"ok":false}"#, true, Some(ErrorKind::Rejected)),
            ("success", false, None),
            ("", false, None),
            (r#"{"ok":false}"#, false, Some(ErrorKind::Rejected)),
        ] {
            let json = Json::read(text);
            let said = said(text, json.as_ref());
            let word = Some(text).filter(|w| is_word(w));
            let found = not_ok(&said, word, "https://x", 200, slack);
            assert_eq!(found.err().map(|r| Error::from(r).kind()), kind, "{text:?}");
        }
    }

    #[test]
    fn words_have_their_verdicts() {
        let later = Retry::Later { after: None };
        for (word, kind, retry, delivery, scope) in [
            (
                "rate_limited",
                ErrorKind::RateLimited,
                later,
                Delivery::NotDelivered,
                Scope::Message,
            ),
            (
                "rollup_error",
                ErrorKind::Unavailable,
                later,
                Delivery::NotDelivered,
                Scope::Message,
            ),
            (
                "fatal_error",
                ErrorKind::Unavailable,
                later,
                Delivery::Unknown,
                Scope::Message,
            ),
            (
                "no_service",
                ErrorKind::Unauthenticated,
                Retry::Never,
                Delivery::NotDelivered,
                Scope::Destination,
            ),
            (
                "action_prohibited",
                ErrorKind::PermissionDenied,
                Retry::Never,
                Delivery::NotDelivered,
                Scope::Destination,
            ),
            (
                "restricted_action_read_only_channel",
                ErrorKind::PermissionDenied,
                Retry::Never,
                Delivery::NotDelivered,
                Scope::Destination,
            ),
            (
                "channel_is_archived",
                ErrorKind::Rejected,
                Retry::Never,
                Delivery::NotDelivered,
                Scope::Destination,
            ),
            (
                "invalid_payload",
                ErrorKind::Rejected,
                Retry::Never,
                Delivery::NotDelivered,
                Scope::Message,
            ),
        ] {
            let refusal = by_word(word).unwrap().refusal("https://x", word, None);
            assert_eq!(
                matches!(refusal, Refusal::Shrink(_)),
                word == "invalid_payload"
            );
            let e = Error::from(refusal);
            assert_eq!(
                (e.kind(), e.retry(), e.delivery(), e.scope()),
                (kind, retry, delivery, scope),
                "{word}"
            );
            assert_eq!(e.code(), Some(word));
        }
        assert_eq!(by_word("something_new"), None);
        assert!(
            is_word("no_service") && !is_word("<html>") && !is_word("No service") && !is_word("")
        );
    }
}
