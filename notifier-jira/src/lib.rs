#![doc = include_str!("../README.md")]

mod adf;
mod api;
mod attach;
mod builder;
mod cache;
mod error;
mod fields;
mod instance;
mod issue;
mod jql;
mod lookup;
mod markup;
mod message;
mod meta;
mod neutral;
mod options;
mod payload;
mod progress;
mod project;
mod recent;
mod registry;
mod repeat;
mod reporter;
mod run;
mod search;
mod value;
mod wiki;

pub use crate::{
    builder::{JiraFactory, JiraReporterBuilder},
    options::{DEFAULT_CLOSED_STATUS, DEFAULT_FIELDS, MAX_TEXT, OPTIONS, SCHEME},
    reporter::JiraReporter,
};
