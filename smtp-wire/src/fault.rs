//! What goes wrong on a connection.

use std::time::Duration;

/// What may be wrong with a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The other side closed it.
    #[error("closed the connection")]
    Closed,
    /// Nothing came for so long.
    #[error("was silent for {}s", .0.as_secs_f64())]
    Stalled(Duration),
    /// It broke; what the system says of it.
    #[error("lost the connection ({0})")]
    Broken(String),
    /// What came is no SMTP.
    #[error("sent {0}")]
    Malformed(String),
}
