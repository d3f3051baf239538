#![doc = include_str!("../README.md")]

mod error;
mod lane;
mod options;
mod payload;
mod place;
mod reporter;

pub use crate::{
    options::{DEFAULT_FORMAT, DEFAULT_NAME, OPTIONS, SCHEME},
    reporter::{FileFactory, FileReporter, FileReporterBuilder},
};
