#![doc = include_str!("../README.md")]

mod api;
mod cursor;
mod entry;
mod job;
mod judge;
mod list;
mod notify;
mod options;
mod outgoing;
mod record;
mod rule;
mod source;
mod task_id;
mod told;
mod watch;

pub use notifier_core::Backlog;

pub use crate::{
    notify::Notify,
    options::{ChronosBuilder, OPTIONS, SCHEME},
    source::ChronosSource,
};
