#![doc = include_str!("../README.md")]

mod error;
mod options;
mod payload;
mod reporter;

pub use crate::{
    options::{DEFAULT_FORMAT, OPTIONS, SCHEME},
    payload::{MAX_TEXT, PLAIN_TEXT},
    reporter::{SlackFactory, SlackReporter, SlackReporterBuilder},
};
