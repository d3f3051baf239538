//! All tests that look at the crate from outside.

#![expect(
    clippy::print_stderr,
    reason = "skipped tests say so, and comparisons report how many agree"
)]

mod functions;
mod go_compare;
mod limits;
mod properties;
mod shared;
mod support;
mod table;
