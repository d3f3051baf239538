#![doc = include_str!("../README.md")]

mod attributes;
mod builder;
mod credentials;
mod error;
mod fifo;
mod http;
mod link;
mod options;
mod payload;
mod reporter;
mod subject;
mod text;
mod topic;

pub use crate::{
    attributes::MOST_ATTRIBUTES,
    builder::SnsReporterBuilder,
    options::{DEFAULT_FORMAT, DEFAULT_GROUP, DEFAULT_SUBJECT, OPTIONS, SCHEME},
    payload::{MAX_SIZE, MAX_SMS},
    reporter::{SnsFactory, SnsReporter},
    subject::MAX_SUBJECT,
};
