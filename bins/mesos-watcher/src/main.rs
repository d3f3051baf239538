#![doc = include_str!("../README.md")]

mod demo;
mod run;

use std::process::ExitCode;

use notifier_runtime::{Cli, Feed};

fn cli() -> Cli {
    Cli::mesos_watcher(env!("CARGO_PKG_VERSION")).check(Feed::check(Feed::mesos))
}

fn main() -> ExitCode {
    if let Some(code) = run::demo_if_asked(&cli()) {
        return code;
    }
    notifier_runtime::run(&cli(), |context| {
        notifier_runtime::watch_until_signal(cli(), context, Feed::mesos)
    })
}
