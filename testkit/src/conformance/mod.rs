//! Suites that say whether an implementation keeps the promises of a trait.
//!
//! The shortest use, for a reporter that needs no server:
//!
//! ```
//! use async_trait::async_trait;
//! use notifier_core::*;
//!
//! #[derive(Debug)]
//! struct Pager;
//!
//! #[async_trait]
//! impl Reporter for Pager {
//!     fn scheme(&self) -> &'static str { "pager" }
//!     fn capability(&self) -> Capability { Capability::default() }
//!     fn destination(&self, s: &Settings) -> Result<Option<Destination>> {
//!         Ok(s.get("number").map(|n| Destination::new("pager", [n], n)))
//!     }
//!     async fn report(&self, _: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
//!         Ok(Receipt::delivered(opts.settings.require("number")?))
//!     }
//!     async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
//!         Ok(Reconciled::CannotTell)
//!     }
//!     async fn check(&self, _: &Settings) -> Result<()> { Ok(()) }
//! }
//!
//! const GROUP: OptionGroup = OptionGroup::new("pager", &[OptionSpec::new("number", "whom to call")]);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let mut settings = BackendSettings::new(GROUP);
//! settings.set(Origin::Flag, "number", "555-0100")?;
//! notifier_testkit::conformance::reporter(Pager, &settings.instance("default")).await.assert();
//! # Ok(()) }
//! ```
//!
//! The short form sees answers only: whether a message arrived it cannot know, counts as
//! skipped, and [`Results`] says so.
//!
//! A reporter with a service behind it implements [`Harness`], by which the suite
//! makes that service fail in each [`Scenario`] it can, and calls [`suite`]. With
//! [`Setup::with_received`] and [`Setup::with_attempts`] it looks at what arrived as well,
//! and [`Results::assert_complete`] makes sure that nothing was left out.
//!
//! For an outbox there is [`outbox`], with an [`OutboxHarness`] that opens it and ends its process.

mod failure;
mod harness;
mod hostile;
mod outbox;
mod reporter;
mod results;
mod verdict;

pub use self::{
    failure::failure,
    harness::{Harness, Row, RowVerdict, Scenario, Setup},
    hostile::hostile_failures,
    outbox::{OutboxHarness, outbox, outbox_case},
    reporter::{reporter, suite},
    results::{Case, Outcome, Results},
};
