#![doc = include_str!("../README.md")]

mod check;
mod cli;
mod file;
mod once;
mod options;
mod past;
mod plan;
mod service;
mod values;
mod watch;
mod words;

use std::process::ExitCode;

use notifier_runtime::Env;

/// The program's name in messages.
const NAME: &str = "smtp-relay-check";

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect(), &Env::system())
}
