#![doc = include_str!("../README.md")]

mod api;
mod credentials;
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

pub use crate::{
    notify::Notify,
    options::{Backlog, ChronosBuilder, OPTIONS, SCHEME},
    source::ChronosSource,
};
