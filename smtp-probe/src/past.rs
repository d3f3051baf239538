//! What a run leaves for the next one.

use notifier_core::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a run leaves for the next one. Kept as JSON between runs of a program; an empty one is
/// right too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Past {
    /// How long the queue was, and when, the oldest first; the last ten minutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depths: Vec<Depth>,
    /// Canaries that had not come when a run ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<Sent>,
}

/// How long the queue was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// When.
    pub at: Timestamp,
    /// Messages of all queues.
    pub messages: u64,
}

/// A canary that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub at: Timestamp,
    /// What proves that a mail is this one.
    #[serde(default)]
    pub code: String,
    /// The relay's id of it, if it said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
}
