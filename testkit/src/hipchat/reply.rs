use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http::{Action, Delivery, Reply};

/// What a room answers to one message instead of judging it.
///
/// Whether the message counts as [received](super::FakeHipchat::received) is part of it:
/// each constructor says so, [`posted`](Self::posted) changes it.
#[derive(Debug, Clone)]
#[must_use]
pub struct HipchatReply {
    pub(crate) action: Action,
    pub(crate) posted: bool,
    /// Judge the message as without a script, but deliver the answer in this way.
    pub(crate) judged: Option<Delivery>,
    /// The room's limit is spent for so long from the arrival of the message.
    spent: Option<Duration>,
    pub(crate) tag: Option<&'static str>,
}

impl HipchatReply {
    /// Any answer of the server beneath. Does not count as received.
    pub fn action(action: impl Into<Action>) -> Self {
        Self {
            action: action.into(),
            posted: false,
            judged: None,
            spent: None,
            tag: None,
        }
    }

    /// 204. Received.
    pub fn ok() -> Self {
        Self::action(Reply::new(204)).posted(true)
    }

    /// 204 that says that no more may follow for so long, in whole seconds, rounded up.
    /// Received.
    pub fn last(rest: Duration) -> Self {
        Self::ok().spent(rest)
    }

    /// A status with HipChat's JSON for errors. Not received.
    pub fn error(status: u16, message: &str) -> Self {
        Self::action(error(status, message))
    }

    /// 429 until so much later, by `X-FloodControl-Reset` in whole seconds, rounded up. Not
    /// received.
    pub fn rate_limited(rest: Duration) -> Self {
        Self::error(429, "Rate limit exceeded").spent(rest)
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

    /// Takes the message, then resets the connection. Received.
    pub fn reset_after_body() -> Self {
        Self::action(Action::ResetAfterBody).posted(true)
    }

    /// The normal verdict, this much later.
    pub fn late(delay: Duration) -> Self {
        let delivery = Delivery::new().delay(delay);
        Self {
            judged: Some(delivery.clone()),
            ..Self::action(Action::Normal(delivery))
        }
    }

    /// Whether the message counts as received.
    pub fn posted(mut self, posted: bool) -> Self {
        self.posted = posted;
        self
    }

    /// A word of the test's own, found again at the [message](super::HipchatMessage::tag).
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = Some(tag);
        self
    }

    fn spent(mut self, rest: Duration) -> Self {
        self.spent = Some(rest);
        self
    }

    /// The answer to a message that arrived then.
    pub(crate) fn answer(&self, arrived: SystemTime) -> Action {
        match (self.action.clone(), self.spent) {
            (Action::Reply(reply), Some(rest)) => {
                let reset = unix_seconds(arrived + rest);
                Action::Reply(limit_headers(reply, "FloodControl", 30, 0, reset))
            }
            (action, _) => action,
        }
    }
}

/// A status with HipChat's JSON for errors.
pub(crate) fn error(status: u16, message: &str) -> Reply {
    let kind = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Error",
    };
    Reply::json(
        status,
        &serde_json::json!({ "error": { "code": status, "type": kind, "message": message } }),
    )
}

/// The three headers of one limit.
pub(crate) fn limit_headers(
    reply: Reply,
    name: &str,
    limit: u32,
    remaining: u32,
    reset: u64,
) -> Reply {
    reply
        .header(format!("X-{name}-Limit"), limit.to_string())
        .header(format!("X-{name}-Remaining"), remaining.to_string())
        .header(format!("X-{name}-Reset"), reset.to_string())
}

/// Seconds since 1970, rounded up.
pub(crate) fn unix_seconds(when: SystemTime) -> u64 {
    let since = when.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() + u64::from(since.subsec_nanos() > 0)
}
