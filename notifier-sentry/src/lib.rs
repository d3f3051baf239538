#![doc = include_str!("../README.md")]

mod dsn;
mod envelope;
mod error;
mod fingerprint;
mod limits;
mod options;
mod payload;
mod quota;
mod release;
mod reporter;

pub use crate::{
    limits::{MAX_LOG_TAIL, MAX_MESSAGE},
    options::{DEFAULT_ENVIRONMENT, DEFAULT_FINGERPRINT, OPTIONS, SCHEME},
    reporter::{SentryFactory, SentryReporter, SentryReporterBuilder},
};
