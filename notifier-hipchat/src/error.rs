//! What HipChat's answers mean.
//!
//! Statuses as of developer.atlassian.com/server/hipchat (REST API, rate limits), read
//! 2026. A message that was taken is answered 204 without a body; errors are JSON,
//! `{"error":{"code":…,"type":…,"message":…}}`.

use std::time::Duration;

use notifier_core::{Delivery, Error, ErrorKind, Result, Retry, Scope};
use notifier_http::Answer;
use serde_json::Value;

/// Reads an answer, and what was strange about it if it was a yes. `after`: the wait that
/// its headers name.
pub(crate) fn read(answer: &Answer, after: Option<Duration>) -> Result<Option<Error>> {
    let status = answer.status();
    if answer.is_success() {
        return success(answer);
    }
    let e = answer.error();
    Err(match status {
        429 => e.with_retry(Retry::Later { after }),
        // Not taken, by the documents; there is no way to ask.
        500 | 502 | 503 => e
            .with_retry(Retry::Later { after })
            .with_delivery(Delivery::NotDelivered),
        // Nothing of the message is in token and room: it is these that are refused.
        401 | 403 | 404 | 410 => e.with_scope(Scope::Destination),
        _ => e,
    })
}

/// What a 2xx means, of which HipChat has 204 only.
fn success(answer: &Answer) -> Result<Option<Error>> {
    let (who, status) = (answer.who(), answer.status());
    if status == 204 {
        return Ok(None);
    }
    let e = |kind, text: String| Error::new(kind, text).with_code(status.to_string());
    let strange = format!("{who} answered {status}, not 204");
    let text = answer.text();
    let text = text.trim_start();
    // A page is some proxy's: nobody knows whether the message went further.
    if text.starts_with('<') {
        return Err(e(ErrorKind::InvalidResponse, strange));
    }
    let refused = serde_json::from_str::<Value>(text)
        .is_ok_and(|v| v.get("error").is_some_and(|error| !error.is_null()));
    if refused {
        return Err(e(
            ErrorKind::Rejected,
            format!("{who} refuses: {}", answer.excerpt()),
        ));
    }
    // A look-alike has it; to try again would be to tell it again.
    Ok(Some(e(
        ErrorKind::InvalidResponse,
        format!("{strange}: taken as delivered"),
    )))
}

/// True if HipChat does not take the message as it is, so that one without its card may do.
pub(crate) fn is_form(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Rejected | ErrorKind::TooLarge)
        && matches!(e.code(), Some("400" | "413" | "422"))
}
