//! In-memory implementations of every trait: test doubles for users, and the
//! outbox of watchers that keep nothing on disk.
//!
//! ```
//! use std::sync::Arc;
//! use notifier_core::{Engine, FailureRecord, jiff::Timestamp, memory::MemoryReporter};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> notifier_core::Result<()> {
//! let reporter = Arc::new(MemoryReporter::new());
//! let engine = Engine::builder("default").reporter(reporter.clone()).build()?;
//! engine.submit(&FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)).await?;
//! engine.run_until_idle().await?;
//! assert_eq!(reporter.texts(), ["Task web (web.1) died with status TASK_FAILED"]);
//! # Ok(()) }
//! ```

mod outbox;
mod reporter;
mod source;
mod uploader;

pub use self::{
    outbox::MemoryOutbox, reporter::MemoryReporter, source::MemorySource, uploader::MemoryUploader,
};
