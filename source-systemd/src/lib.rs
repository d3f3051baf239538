#![doc = include_str!("../README.md")]

mod bus;
mod error;
mod journal;
mod labels;
mod monitor;
mod options;
mod record;
mod source;
mod unit;
mod watch;

pub use notifier_core::Backlog;

pub use crate::{
    monitor::unit_name,
    options::{OPTIONS, SCHEME, SystemdBuilder},
    source::SystemdSource,
};
