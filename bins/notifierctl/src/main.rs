#![doc = include_str!("../README.md")]

mod check;
mod cli;
mod explain;
mod input;
mod options;
mod out;
mod outbox;
mod render;
mod send;
mod silence;
mod text;
mod when;

use std::{future::Future, process::ExitCode, time::Duration};

use notifier_runtime::{Env, Exit, Fatal, print};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &Env::system()).into()
}

/// The program's name in messages.
const NAME: &str = "notifierctl";

/// Runs to the end what waits for something.
fn block_on<T>(work: impl Future<Output = Result<T, Fatal>>) -> Result<T, Fatal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot start: {e}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}
