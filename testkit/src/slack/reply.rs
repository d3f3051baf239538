use std::time::{Duration, SystemTime};

use crate::http::{Action, Body, Delivery, Reply};

/// What a hook answers to one message instead of judging it.
///
/// Whether the message counts as [received](super::FakeSlack::received) is part of it:
/// each constructor says so, [`posted`](Self::posted) changes it.
#[derive(Debug, Clone)]
#[must_use]
pub struct SlackReply {
    pub(crate) action: Action,
    pub(crate) posted: bool,
    /// Judge the message as without a script, but deliver the answer in this way.
    pub(crate) judged: Option<Delivery>,
    pub(crate) tag: Option<&'static str>,
}

impl SlackReply {
    /// Any answer of the server beneath. Does not count as received.
    pub fn action(action: impl Into<Action>) -> Self {
        Self {
            action: action.into(),
            posted: false,
            judged: None,
            tag: None,
        }
    }

    /// 200 and `ok`. Received.
    pub fn ok() -> Self {
        Self::word(200, "ok").posted(true)
    }

    /// The normal verdict, delivered late, slowly or cut.
    pub fn judged(delivery: Delivery) -> Self {
        Self {
            judged: Some(delivery.clone()),
            ..Self::action(Action::Normal(delivery))
        }
    }

    /// A status and one word: `word(403, "invalid_token")`, `word(404, "no_service")`,
    /// `word(410, "channel_is_archived")`, `word(500, "rollup_error")`; a status of 200
    /// with an error word is possible too. Not received.
    pub fn word(status: u16, word: &str) -> Self {
        Self::action(Reply::text(status, word))
    }

    /// 200 and JSON `{"ok":false,"error":<word>}`. Not received.
    pub fn json_error(word: &str) -> Self {
        Self::action(Reply::json(
            200,
            &serde_json::json!({ "ok": false, "error": word }),
        ))
    }

    /// 429 with `Retry-After` in whole seconds, rounded up. Not received.
    pub fn rate_limited(after: Duration) -> Self {
        Self::action(too_many(whole_seconds(after), RateBody::Json))
    }

    /// 429 with `Retry-After` as an HTTP date. Not received.
    pub fn rate_limited_until(when: SystemTime) -> Self {
        Self::action(Reply::text(429, "rate_limited").header("Retry-After", http_date(when)))
    }

    /// An HTML page with this status (500, 502, 503, 504). Not received.
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

    /// The normal verdict, one byte at a time with this pause between.
    pub fn drip(every: Duration) -> Self {
        Self::judged(Delivery::new().drip(1, every))
    }

    /// The normal verdict, this much later.
    pub fn late(delay: Duration) -> Self {
        Self::judged(Delivery::new().delay(delay))
    }

    /// 200 and an answer of `bytes` bytes that begins like `ok`. Received.
    pub fn huge(bytes: u64) -> Self {
        Self::action(Reply::new(200).body(Body::repeated("ok ", bytes))).posted(true)
    }

    /// 200 and an answer that never ends. Received.
    pub fn endless() -> Self {
        Self::action(Reply::new(200).body(Body::endless("ok "))).posted(true)
    }

    /// A redirect: a status (301, 302, 307, 308) and where to. Not received.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::action(Reply::redirect(status, location))
    }

    /// Whether the message counts as received.
    pub fn posted(mut self, posted: bool) -> Self {
        self.posted = posted;
        self
    }

    /// A word of the test's own, found again at the [message](super::SlackMessage::tag).
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = Some(tag);
        self
    }
}

/// The body of an answer 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RateBody {
    /// `{"ok":false,"error":"rate_limited","retry_after":N}`. The default.
    #[default]
    Json,
    /// The word `rate_limited`.
    Word,
    /// A page of a proxy.
    Html,
    /// Nothing.
    Empty,
}

/// 429 in the given form.
pub(crate) fn too_many(seconds: u64, body: RateBody) -> Reply {
    let reply = match body {
        RateBody::Json => {
            let value =
                serde_json::json!({ "ok": false, "error": "rate_limited", "retry_after": seconds });
            Reply::json(429, &value)
        }
        RateBody::Word => Reply::text(429, "rate_limited"),
        RateBody::Html => Reply::html(429),
        RateBody::Empty => Reply::new(429),
    };
    reply.header("Retry-After", seconds.to_string())
}

/// Whole seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The form of RFC 9110, section 5.6.7; times it cannot express become 1970.
fn http_date(when: SystemTime) -> String {
    let timestamp = jiff::Timestamp::try_from(when).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&timestamp)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let when = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(when), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }
}
