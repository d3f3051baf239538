//! Why an agent does not answer, or not as hoped for.

use std::time::Duration;

use notifier_core::{Delivery, Error, ErrorKind, Retry};

/// Why something could not be had from an agent.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) kind: ErrorKind,
    pub(super) text: String,
    /// For how long to leave it alone.
    pub(super) pause: Duration,
    /// Asking again may help.
    pub(super) again: bool,
    /// No connection came about.
    pub(super) no_connection: bool,
    /// It is about the agent as a whole, whatever it is asked for.
    pub(super) whole: bool,
}

impl Trouble {
    /// One that may be over when it is asked again.
    pub(super) fn passing(kind: ErrorKind, text: String, pause: Duration) -> Self {
        Self {
            kind,
            text,
            pause,
            again: true,
            no_connection: false,
            whole: false,
        }
    }

    /// One that stays.
    pub(super) fn lasting(kind: ErrorKind, text: String, pause: Duration) -> Self {
        Self {
            again: false,
            ..Self::passing(kind, text, pause)
        }
    }

    /// As an error; `after` is when it may be asked again.
    pub(super) fn error(&self, after: Option<Duration>) -> Error {
        let retry = if self.again {
            Retry::Later { after }
        } else {
            Retry::Never
        };
        Error::new(self.kind, self.text.clone())
            .with_retry(retry)
            .with_delivery(Delivery::NotDelivered)
    }
}
