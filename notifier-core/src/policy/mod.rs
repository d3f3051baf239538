//! How often and how long: policies that the engine follows.

mod backoff;

pub use backoff::Backoff;
