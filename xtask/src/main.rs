//! The project's one runner.
//!
//! ```text
//! cargo xtask test              the whole test suite, with the real peers it needs
//! cargo xtask test --no-install the same without installing anything
//! cargo xtask deps              dependency direction, features, licences, packaging
//! cargo xtask tables            write the generated tables into the docs
//! cargo xtask tables --check    fail if they are not up to date
//! cargo xtask fuzz [SECONDS] [template | mesos]
//!                               fuzz the template engine and the readers of what masters
//!                               send, or one of them, 60 s each unless told otherwise
//! cargo xtask kills [N]         kill the watcher N times, 200 unless told otherwise, while
//!                               tasks fail, and count what everyone was told
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for terminals"
)]

mod deps;
mod peers;
mod run;
mod tables;
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["test"] => tests::all(true),
        ["test", "--no-install"] => tests::all(false),
        ["deps"] => deps::all(),
        ["tables"] => tables::all(false),
        ["tables", "--check"] => tables::all(true),
        ["fuzz"] => tests::fuzz("60", None),
        ["fuzz", seconds] => tests::fuzz(seconds, None),
        ["fuzz", seconds, which] => tests::fuzz(seconds, Some(which)),
        ["kills"] => tests::kills("200"),
        ["kills", times] => tests::kills(times),
        _ => {
            eprintln!(
                "usage: cargo xtask test [--no-install] | deps | tables [--check] | fuzz [SECONDS] [template | mesos] | kills [N]"
            );
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nFAILED: {why}");
            ExitCode::FAILURE
        }
    }
}
