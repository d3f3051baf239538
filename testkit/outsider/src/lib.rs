//! What somebody writes outside the workspace. `tests/conformance.rs` counts the lines.

use async_trait::async_trait;
use notifier_core::{jiff::Timestamp, *};

// reporter: begin
/// Sends reports to a print shop, which answers with an error while it is closed.
#[derive(Debug)]
pub struct Printer;

#[async_trait]
impl Reporter for Printer {
    fn scheme(&self) -> &'static str {
        "printer"
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        Ok(settings.get("queue").map(|q| Destination::new("printer", [q], q)))
    }
    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let queue = opts.settings.require("queue")?;
        if queue == "closed" {
            return Err(Error::new(ErrorKind::Unavailable, "the print shop is closed"));
        }
        println!("{} {}", opts.id, report.summary());
        Ok(Receipt::delivered(queue))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, settings: &Settings) -> Result<()> {
        settings.require("queue").map(|_| ())
    }
}
// reporter: end

/// Its options.
pub const OPTIONS: OptionGroup =
    OptionGroup::new("printer", &[OptionSpec::new("queue", "which printer").label()]);

/// A job of a scheduler of one's own.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// When it ended.
    pub ended: Timestamp,
}

// failure: begin
impl Failure for Job {
    fn id(&self) -> &str {
        &self.name
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn state(&self) -> &str {
        "FAILED"
    }
    fn finished(&self) -> Timestamp {
        self.ended
    }
}
// failure: end
