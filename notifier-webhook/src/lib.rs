#![doc = include_str!("../README.md")]

mod alertmanager;
mod builder;
mod cloudevents;
mod codes;
mod error;
mod fit;
mod headers;
mod options;
mod payload;
mod reporter;
mod request;
mod signature;

pub use crate::{
    builder::WebhookReporterBuilder,
    fit::MAX_BODY,
    options::{DEFAULT_FORMAT, OPTIONS, SCHEME},
    reporter::{WebhookFactory, WebhookReporter},
};
