#![doc = include_str!("../README.md")]

mod cli;
mod exit;
mod feed;
pub mod http;
pub mod log;
mod mask;
mod once;
pub mod outbox;
pub mod registry;
pub mod signal;
mod start;
pub mod table;
#[cfg(feature = "systemd")]
mod units;
mod visible;
mod watch;
mod watcher;

#[cfg(feature = "systemd")]
pub use crate::units::{UNIT_OPTIONS, tell_of_unit};
#[cfg(feature = "mesos")]
pub use crate::watcher::{DEMO_OPTIONS, MASTERS_OPTIONS};
pub use crate::{
    cli::{Cli, Env, Invocation, NotUtf8, Parsed, Problems, ProgramSettings},
    exit::{Exit, Fatal},
    feed::Feed,
    mask::{MAX_LEARNED, Masker},
    once::{drain, tell},
    start::{Context, complain, print, run, run_args},
    visible::{visible, visible_json},
    watch::{watch, watch_until_signal},
    watcher::{SERVICE_OPTIONS, WATCHER_OPTIONS, WatcherSettings},
};
