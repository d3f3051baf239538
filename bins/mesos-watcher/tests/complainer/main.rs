//! Everything that Complainer is told by flag, environment and label, and what it does then.
//! `docs/complainer.md` lists each with its test; [`page`] holds it to that.

#[path = "../support/mod.rs"]
mod support;

mod file;
mod hipchat;
mod jira;
mod page;
mod program;
mod s3;
mod sentry;
mod slack;
mod stage;
