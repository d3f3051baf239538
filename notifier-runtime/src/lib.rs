#![doc = include_str!("../README.md")]

mod cli;
mod exit;
mod feed;
pub mod http;
pub mod log;
mod mask;
pub mod outbox;
pub mod registry;
pub mod signal;
mod start;
pub mod table;
mod visible;
mod watch;
mod watcher;

#[cfg(feature = "mesos")]
pub use crate::watcher::{DEMO_OPTIONS, MASTERS_OPTIONS};
pub use crate::{
    cli::{Cli, Env, Invocation, NotUtf8, Parsed, Problems, ProgramSettings},
    exit::{Exit, Fatal},
    feed::Feed,
    mask::{MAX_LEARNED, Masker},
    start::{Context, complain, print, run},
    visible::{visible, visible_json},
    watch::{watch, watch_until_signal},
    watcher::{SERVICE_OPTIONS, WATCHER_OPTIONS, WatcherSettings},
};
