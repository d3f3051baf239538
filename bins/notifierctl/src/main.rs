#![doc = include_str!("../README.md")]

mod check;
mod cli;
mod input;
mod options;
mod render;
mod send;

use std::process::ExitCode;

use notifier_runtime::{Env, print};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &Env::system()).into()
}

/// The program's name in messages.
const NAME: &str = "notifierctl";
