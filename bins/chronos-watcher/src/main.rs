#![doc = include_str!("../README.md")]

use std::process::ExitCode;

use notifier_runtime::{Cli, Feed};

fn cli() -> Cli {
    Cli::chronos_watcher(env!("CARGO_PKG_VERSION")).check(Feed::check(Feed::chronos))
}

fn main() -> ExitCode {
    notifier_runtime::run(&cli(), |context| {
        notifier_runtime::watch_until_signal(cli(), context, Feed::chronos)
    })
}
