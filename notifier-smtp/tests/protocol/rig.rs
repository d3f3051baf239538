//! A relay, a reporter that sends to it, and reports to send.

use std::sync::Mutex;

use async_trait::async_trait;
use notifier_core::{
    Checkpoint, DeliveryId, Error, ErrorKind, FailureRecord, Receipt, Report, ReportOptions,
    Reporter as _, Result, jiff::Timestamp,
};
use notifier_smtp::{SmtpReporter, SmtpReporterBuilder};
use notifier_testkit::smtp::FakeSmtp;
use serde_json::Value;

/// Settings that lead there, without TLS.
pub(crate) fn builder(relay: &FakeSmtp) -> SmtpReporterBuilder {
    SmtpReporter::builder()
        .server(&relay.address().to_string())
        .tls("none")
        .from("alerts@example.com")
        .to("ops@example.com")
}

pub(crate) fn report() -> Report {
    let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    Report::failure(failure.with_default_key())
}

/// Sends as the engine does: attempt after attempt, with what the last one kept.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    reporter: &'a SmtpReporter,
    id: DeliveryId,
    pub(crate) progress: Option<Value>,
    attempts: u32,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(reporter: &'a SmtpReporter) -> Self {
        Self {
            reporter,
            id: DeliveryId::new("0123456789abcdef0123456789abcdef"),
            progress: None,
            attempts: 0,
        }
    }

    /// The next attempt.
    pub(crate) async fn attempt(&mut self) -> Receipt {
        self.attempts += 1;
        let saved = Saved::default();
        let opts = ReportOptions::new(&self.id, self.reporter.settings())
            .after(self.attempts, self.progress.as_ref())
            .with_checkpoint(&saved);
        let receipt = self.reporter.report(&report(), &opts).await.unwrap();
        self.progress = receipt.progress.clone();
        receipt
    }

    /// An attempt whose progress was saved so far when the process ended.
    pub(crate) async fn attempt_and_die(&mut self, at_save: usize) {
        self.attempts += 1;
        let saved = Saved {
            most: Some(at_save),
            ..Saved::default()
        };
        let opts = ReportOptions::new(&self.id, self.reporter.settings())
            .after(self.attempts, self.progress.as_ref())
            .with_checkpoint(&saved);
        let _ = self.reporter.report(&report(), &opts).await;
        self.progress = saved.values.lock().unwrap().last().cloned();
    }
}

/// Keeps what is saved; after the most that it takes, nothing.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    values: Mutex<Vec<Value>>,
    most: Option<usize>,
}

#[async_trait]
impl Checkpoint for Saved {
    async fn save(&self, progress: Value) -> Result<()> {
        let mut values = self.values.lock().unwrap();
        if self.most.is_some_and(|most| values.len() >= most) {
            return Err(Error::new(ErrorKind::Io, "the disk is full"));
        }
        values.push(progress);
        Ok(())
    }
}

/// Each target with `ok ID`, or its code and what follows.
pub(crate) fn answers(receipt: &Receipt) -> Vec<String> {
    let one = |t: &notifier_core::TargetReceipt| match &t.verdict {
        Ok(d) => format!("{} ok {}", t.target, d.id.as_deref().unwrap_or("-")),
        Err(e) => {
            let next = if e.is_retryable() { "retry" } else { "dead" };
            format!(
                "{} {} {next}",
                t.target,
                e.code().unwrap_or(e.kind().as_str())
            )
        }
    };
    receipt.targets.iter().map(one).collect()
}

/// Nothing that we sent was against a standard.
pub(crate) fn sound(relay: &FakeSmtp) {
    assert_eq!(relay.faults(), Vec::<String>::new());
}
