//! What answers mean, whoever gives them.
//!
//! | answer | verdict |
//! |---|---|
//! | in `webhook.success` | it arrived |
//! | in `webhook.retry` | later; a 5xx but 503 may have arrived, which its id settles |
//! | a redirect, 401, 403, 404, 405, 407, 410, 511 | never, for the whole destination: nothing of the message is in them |
//! | others | never |
//!
//! Statuses as RFC 9110 §15 has them, and RFC 6585 and RFC 8470 §5.2.

use notifier_core::{Error, ErrorKind, Result, Retry, Scope, redact::Redactor};
use notifier_http::Answer;

use crate::codes::Codes;

/// What a status means beside its table of verdicts.
fn advice(status: u16) -> &'static str {
    match status {
        401 => "; see webhook.token, webhook.user and webhook.signing_key",
        405 => "; see webhook.method",
        410 => "; it is gone for good: take it out of the settings or set another webhook.url",
        413 => "; see webhook.body for a smaller one",
        415 => "; see webhook.content_type",
        _ => "",
    }
}

/// Reads an answer. `secrets` are masked in what is quoted of it.
///
/// # Errors
/// What the table above says.
pub(crate) fn read(
    answer: &Answer,
    success: &Codes,
    retry: &Codes,
    secrets: &Redactor,
) -> Result<()> {
    let status = answer.status();
    if success.has(status) {
        return Ok(());
    }
    let e = answer.error();
    let is_refused = matches!(status, 300..=399 | 401 | 403 | 404 | 405 | 407 | 410 | 511);
    let (again, scope) = if retry.has(status) {
        let after = answer.retry_after();
        (Retry::Later { after }, Scope::Message)
    } else if is_refused {
        (Retry::Never, Scope::Destination)
    } else {
        (Retry::Never, Scope::Message)
    };
    let text = format!("{e}{}", advice(status));
    let kind = match e.kind() {
        // What is never tried again was refused, whatever it is called.
        ErrorKind::InvalidResponse | ErrorKind::Unavailable | ErrorKind::RateLimited
            if again == Retry::Never =>
        {
            ErrorKind::Rejected
        }
        kind => kind,
    };
    Err(Error::new(kind, secrets.redact(&text))
        .with_retry(again)
        .with_delivery(e.delivery())
        .with_scope(scope)
        .with_code(status.to_string()))
}
