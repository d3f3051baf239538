//! When to try again, and how fast to send.

mod backoff;
mod rate;

pub(crate) use self::rate::{MAX_AGE, RATE};
pub use self::{backoff::Backoff, rate::Rate};
