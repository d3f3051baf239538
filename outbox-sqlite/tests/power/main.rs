//! The store's files as they would stand after a power cut, at many moments under load.
//!
//! A program works with an outbox while a small preloaded library (`shim.c`) records each
//! file operation, in order, together with what the program was told. Then the test makes
//! images: all that was synced until some moment, and of the rest nothing, all, or any part of
//! it. On each the outbox has to start, with everything in it that was acknowledged.
//!
//! `NOTIFIER_TEST_POWER_IMAGES` asks for more images, `NOTIFIER_TEST_POWER_SEED` for the ones of a seed;
//! `NOTIFIER_TEST_POWER_KEEP` names a folder in which the log and the images that are wrong are kept.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod disk;
mod images;
mod known;
mod load;
mod mark;
mod plain;
mod record;
mod verify;

use std::{
    path::Path,
    process::{Command, Output},
};

/// What the recorded program is to do, and where; not set in tests.
const ROLE: &str = "NOTIFIER_TEST_POWER_ROLE";
const FOLDER: &str = "NOTIFIER_TEST_POWER_FOLDER";

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but these"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The recorder; if there is none, says so by the test's name.
#[expect(clippy::print_stderr, reason = "the test runner counts these lines")]
fn shim_or_skip(name: &str) -> Option<&'static Path> {
    match record::shim() {
        Ok(shim) => Some(shim),
        Err(why) => {
            eprintln!("SKIPPED {name}: {why}");
            None
        }
    }
}

/// Runs this very program once more, recorded, in a role.
fn child(role: &str, shim: &Path, folder: &Path, log: &Path) -> Output {
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    program
        .args(["--exact", "the_recorded_program", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, folder);
    record::run(&mut program, shim, folder, log)
}

/// Where the recorded program begins. Of the tests it is none: without a role it does nothing.
#[test]
fn the_recorded_program() {
    let (Some(role), Some(folder)) = (variable(ROLE), variable(FOLDER)) else {
        return;
    };
    match role.split_once(' ') {
        Some((number, seed)) => load::Program {
            number: number.parse().expect("a number"),
            seed: seed.parse().expect("a seed"),
        }
        .run(folder.as_ref()),
        None => plain::write(folder.as_ref()),
    }
}
