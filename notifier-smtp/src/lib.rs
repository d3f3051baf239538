#![doc = include_str!("../README.md")]

mod address;
mod attempt;
mod builder;
mod delay;
mod dial;
mod envelope;
mod error;
mod login;
mod mail;
mod options;
mod pool;
mod probe;
mod progress;
mod reporter;
#[cfg(test)]
mod rig;
mod server;
mod session;
mod tls;
mod transaction;

pub use crate::{
    builder::{SmtpFactory, SmtpReporterBuilder},
    mail::{CHRONOS_FORMAT, CHRONOS_SUBJECT, DEFAULT_FORMAT, DEFAULT_SUBJECT},
    options::{OPTIONS, SCHEME},
    reporter::SmtpReporter,
};
