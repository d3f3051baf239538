#![doc = include_str!("../README.md")]

mod command;

use std::process::ExitCode;

use notifier_runtime::{Cli, Exit, Fatal, Feed, run_args, watch_until_signal};

use crate::command::Command;

/// What stands in `-version`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    match Command::of(std::env::args_os().skip(1).collect()) {
        Command::Watch(args) => run_args(&watcher(), args, |context| {
            watch_until_signal(watcher(), context, Feed::units)
        }),
        Command::Unit(name, args) => {
            let cli = Cli::systemd_unit(VERSION).check(Feed::check(Feed::systemd));
            run_args(&cli, args, async move |context| {
                let unit = notifiers::systemd::unit_name(&name)?;
                notifier_runtime::tell_of_unit(&context, &unit).await
            })
        }
        Command::Drain(args) => run_args(&Cli::systemd_drain(VERSION), args, async |context| {
            notifier_runtime::drain(&context).await
        }),
        Command::Wrong(why) => Fatal::new(Exit::Usage, why).report("systemd-watcher"),
    }
}

fn watcher() -> Cli {
    Cli::systemd_watcher(VERSION).check(Feed::check(Feed::units))
}
