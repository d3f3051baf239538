use std::time::Duration;

use crate::http::{Action, Delivery, Reply};

/// What a hook answers to one call instead of judging it.
///
/// Whether the call has an effect is part of it: each constructor says so, [`taken`](Self::taken) changes it.
#[derive(Debug, Clone)]
#[must_use]
pub struct WebhookReply {
    pub(crate) action: Action,
    pub(crate) taken: bool,
    /// Judge the call as without a script, but deliver the answer in this way.
    pub(crate) judged: Option<Delivery>,
}

impl WebhookReply {
    /// Any answer of the server beneath. Has no effect.
    pub fn action(action: impl Into<Action>) -> Self {
        Self {
            action: action.into(),
            taken: false,
            judged: None,
        }
    }

    /// A status without a body. Has an effect if it is a 2xx.
    pub fn status(status: u16) -> Self {
        Self::action(Reply::new(status)).taken((200..300).contains(&status))
    }

    /// A status with a text. Has an effect if it is a 2xx.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::action(Reply::text(status, text)).taken((200..300).contains(&status))
    }

    /// An HTML page with this status. Has no effect.
    pub fn html(status: u16) -> Self {
        Self::action(Reply::html(status))
    }

    /// A status with `Retry-After` in whole seconds, rounded up. Has no effect.
    pub fn retry_after(status: u16, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::action(Reply::new(status).header("Retry-After", seconds.to_string()))
    }

    /// A redirect. Has no effect.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::action(Reply::redirect(status, location))
    }

    /// Takes the call and never answers. Has an effect.
    pub fn hang() -> Self {
        Self::action(Action::Hang).taken(true)
    }

    /// Resets the connection with the body unread. Has no effect.
    pub fn reset_before_body() -> Self {
        Self::action(Action::ResetBeforeBody)
    }

    /// Takes the call, then resets the connection. Has an effect.
    pub fn reset_after_body() -> Self {
        Self::action(Action::ResetAfterBody).taken(true)
    }

    /// The normal verdict, delivered in this way: late, in drops, cut.
    pub fn delivered(delivery: Delivery) -> Self {
        Self {
            judged: Some(delivery.clone()),
            ..Self::action(Action::Normal(delivery))
        }
    }

    /// Whether the call has an effect.
    pub fn taken(mut self, taken: bool) -> Self {
        self.taken = taken;
        self
    }
}
