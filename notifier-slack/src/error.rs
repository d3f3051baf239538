//! What Slack's answers mean.
//!
//! Words as of docs.slack.dev (`chat.postMessage`) and api.slack.com's changelog of
//! 2016-05-17 (webhook errors), read 2026. A hook answers 200 with `ok`, or a status
//! with one word; the Web API and its look-alikes answer 200 with JSON.

use std::time::Duration;

use notifier_core::{Delivery, Error, ErrorKind, Result, Retry, Scope};
use notifier_http::{Answer, MAX_RETRY_AFTER};
use serde::Deserialize;

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

#[derive(Deserialize)]
struct Json {
    ok: Option<bool>,
    success: Option<bool>,
    error: Option<String>,
    retry_after: Option<f64>,
}

/// Reads an answer. `slack`: the host is Slack's own, which always says `ok`.
pub(crate) fn read(answer: &Answer, slack: bool) -> Result<(), Refusal> {
    let text = answer.text();
    let text = text.trim();
    let json: Option<Json> = text
        .starts_with('{')
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    let word = match &json {
        Some(j) if j.ok == Some(false) || j.error.is_some() => j.error.as_deref(),
        Some(_) => None,
        None => Some(text),
    }
    .filter(|w| is_word(w));
    if answer.is_success() {
        let yes = match &json {
            Some(j) => {
                j.error.is_none()
                    && (j.ok == Some(true) || (j.ok.is_none() && j.success == Some(true)))
            }
            None => text.eq_ignore_ascii_case("ok") || (text.is_empty() && !slack),
        };
        if yes {
            return Ok(());
        }
    }
    let after = answer
        .retry_after()
        .or_else(|| {
            let seconds = json.as_ref()?.retry_after?;
            Duration::try_from_secs_f64(seconds).ok()
        })
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
        return Err(Refusal::Error(match word {
            Some(word) => {
                Error::new(ErrorKind::Rejected, format!("{who} refuses: {word}")).with_code(word)
            }
            None => Error::new(
                ErrorKind::InvalidResponse,
                format!("{who} answered {} but did not say ok", answer.status()),
            )
            .with_code(answer.status().to_string()),
        }));
    }
    let e = answer.error();
    Err(Refusal::Error(match answer.status() {
        // Nothing of the message is in a hook's address: it is the hook that is refused.
        403 | 404 | 410 => e.with_scope(Scope::Destination),
        _ => e,
    }))
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
