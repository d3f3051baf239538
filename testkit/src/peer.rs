//! Tests against real programs: where those are, and what a run of the tests says of them.
//!
//! A test that needs a program asks [`path`] for it, or looks for it by itself and calls [`skipped`], and
//! calls [`ran`] when it is done. Both write a line of their own to the standard error output, `RAN name` and
//! `SKIPPED name: reason`, which `cargo xtask test` gathers.

use std::path::PathBuf;

/// The program that a run of the tests names in an environment variable. `None`, said aloud, if it names none that is there.
#[must_use]
pub fn path(name: &str, variable: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the test run says where it is"
    )]
    let path = std::env::var_os(variable).map(PathBuf::from);
    let path = path.filter(|p| p.exists());
    if path.is_none() {
        skipped(name, &format!("{variable} does not name it"));
    }
    path
}

/// Says that a test was not run, and why.
#[expect(clippy::print_stderr, reason = "a skipped test is said aloud")]
pub fn skipped(name: &str, why: &str) {
    eprintln!("SKIPPED {name}: {why}");
}

/// Says that a test ran against a real program.
#[expect(clippy::print_stderr, reason = "read by who runs the tests")]
pub fn ran(name: &str) {
    eprintln!("RAN {name}");
}
