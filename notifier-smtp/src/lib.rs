#![doc = include_str!("../README.md")]

mod address;
mod attempt;
mod builder;
mod delay;
mod dial;
mod dialogue;
mod dots;
mod envelope;
mod error;
mod link;
mod login;
mod mail;
mod offers;
mod options;
mod pool;
mod probe;
mod progress;
mod reply;
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
