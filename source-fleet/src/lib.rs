#![doc = include_str!("../README.md")]

mod api;
mod cursor;
mod endpoint;
mod fall;
mod glob;
mod http;
mod labels;
mod lost;
mod options;
mod record;
mod source;
mod ticket;
mod tracker;
mod watch;
mod wire;

pub use notifier_core::Backlog;

pub use crate::{
    options::{FleetBuilder, OPTIONS, SCHEME},
    source::FleetSource,
};
