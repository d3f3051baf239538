//! What comes of an invocation.

use serde_json::Value;

/// What became of an invocation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The invocation's id.
    pub request_id: String,
    /// What it came to.
    pub outcome: Outcome,
}

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The function answered; [`Value::Null`] if not with JSON.
    Response(Value),
    /// The function failed: Lambda tries an asynchronous event again.
    Error {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
    /// The program ended, or asked for the next event without an answer.
    Exited,
    /// There was no answer a minute after the deadline.
    TimedOut,
}

impl Answer {
    /// What the function answered.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn response(&self) -> Value {
        match &self.outcome {
            Outcome::Response(value) => value.clone(),
            other => panic!("the invocation should have been answered: {other:?}"),
        }
    }

    /// Why it failed: type and message.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn error(&self) -> (String, String) {
        match &self.outcome {
            Outcome::Error { kind, message } => (kind.clone(), message.clone()),
            other => panic!("the invocation should have failed: {other:?}"),
        }
    }
}
