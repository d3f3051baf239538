use std::time::Duration;

use serde_json::json;

use crate::http::{Action, Delivery, Reply};

/// Why an envelope is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) detail: String,
    pub(crate) causes: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            causes: Vec::new(),
        }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(413, detail)
    }

    pub(crate) fn causes(mut self, causes: Vec<String>) -> Self {
        self.causes = causes;
        self
    }

    pub(crate) fn reply(&self) -> Reply {
        let value = match self.causes.is_empty() {
            true => json!({ "detail": self.detail }),
            false => json!({ "detail": self.detail, "causes": self.causes }),
        };
        Reply::json(self.status, &value)
    }
}

/// What a project answers to one envelope instead of judging it.
///
/// Whether its event counts as [received](super::FakeSentry::received) is part of it:
/// each constructor says so, [`stored`](Self::stored) changes it.
#[derive(Debug, Clone)]
#[must_use]
pub struct SentryReply {
    pub(crate) action: Action,
    pub(crate) stored: bool,
    /// Judge the envelope as without a script, but deliver the answer in this way.
    pub(crate) judged: Option<Delivery>,
    pub(crate) tag: Option<&'static str>,
}

impl SentryReply {
    /// Any answer of the server beneath. Does not count as received.
    pub fn action(action: impl Into<Action>) -> Self {
        Self {
            action: action.into(),
            stored: false,
            judged: None,
            tag: None,
        }
    }

    /// 200 and an id. Received.
    pub fn ok() -> Self {
        Self::action(accepted()).stored(true)
    }

    /// 200 with `X-Sentry-Rate-Limits`, such as `60:error:key`. Received.
    pub fn ok_with_limits(header: &str) -> Self {
        Self::action(accepted().header("X-Sentry-Rate-Limits", header)).stored(true)
    }

    /// The normal verdict, delivered late, slowly or cut.
    pub fn judged(delivery: Delivery) -> Self {
        Self {
            judged: Some(delivery.clone()),
            ..Self::action(Action::Normal(delivery))
        }
    }

    /// A status without a body. Not received.
    pub fn status(status: u16) -> Self {
        Self::action(Action::status(status))
    }

    /// A status with JSON `{"detail":…}`, and with `causes` if there are any. Not received.
    pub fn detail(status: u16, detail: &str, causes: &[&str]) -> Self {
        let causes = causes.iter().map(|c| (*c).to_owned()).collect();
        Self::action(Refusal::new(status, detail).causes(causes).reply())
    }

    /// A status with the header `X-Sentry-Error`, as old servers say why. Not received.
    pub fn sentry_error(status: u16, text: &str) -> Self {
        Self::action(Reply::new(status).header("X-Sentry-Error", text))
    }

    /// 429 with `Retry-After` in whole seconds. Not received.
    pub fn rate_limited(after: Duration) -> Self {
        Self::action(Reply::new(429).header("Retry-After", after.as_secs().to_string()))
    }

    /// 429 with `X-Sentry-Rate-Limits`, such as `60:error:key, 2700:default;error:organization`.
    /// Not received.
    pub fn limits(header: &str) -> Self {
        Self::action(Reply::new(429).header("X-Sentry-Rate-Limits", header))
    }

    /// An HTML page with this status. Not received.
    pub fn html(status: u16) -> Self {
        Self::action(Reply::html(status))
    }

    /// Takes the request and never answers. Not received.
    pub fn hang() -> Self {
        Self::action(Action::Hang)
    }

    /// Resets the connection with the body unread. Not received.
    pub fn reset_before_body() -> Self {
        Self::action(Action::ResetBeforeBody)
    }

    /// Takes the event, then resets the connection. Received.
    pub fn reset_after_body() -> Self {
        Self::action(Action::ResetAfterBody).stored(true)
    }

    /// A redirect: a status (301, 302, 307, 308) and where to. Not received.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::action(Reply::redirect(status, location))
    }

    /// Whether the event counts as received.
    pub fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// A word of the test's own, found again at the [attempt](super::SentryAttempt::tag).
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = Some(tag);
        self
    }
}

fn accepted() -> Reply {
    Reply::json(200, &json!({ "id": "0".repeat(32) }))
}
