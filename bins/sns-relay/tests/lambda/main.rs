//! The built relay as a Lambda function, before a fake runtime API.
#![cfg(feature = "lambda")]

mod deploy;
mod events;
mod instance;
mod queue;
mod scene;
#[expect(dead_code, reason = "only some of it is used here")]
#[path = "../support/mod.rs"]
mod support;
mod topic;
