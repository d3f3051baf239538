//! A reporter of your own: it "sends" text messages to a pager, and routing,
//! retries and templates come from the engine.
//!
//! `cargo run -p notifier-examples --example custom_reporter`
#![expect(clippy::print_stdout, reason = "an example")]

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use notifiers::{
    BackendSettings, Capability, Destination, Engine, Error, ErrorKind, FailureRecord, Markup,
    MessageTemplates, OptionGroup, OptionKind, OptionSpec, Origin, Receipt, Reconciled, Report,
    ReportOptions, Reporter, Result, Settings, jiff::Timestamp,
};

/// Declared once: flags, environment, file keys, task labels and help follow from it.
const OPTIONS: OptionGroup = OptionGroup::new(
    "pager",
    &[
        OptionSpec::new("number", "whom to page").label(),
        OptionSpec::new("format", "the message")
            .kind(OptionKind::Template)
            .default("{{ .failure.Name }} died: {{ .failure.State }} {{ config \"hint\" }}"),
    ],
);

#[derive(Debug)]
struct Pager {
    templates: MessageTemplates,
    calls: AtomicU32,
}

#[async_trait]
impl Reporter for Pager {
    fn scheme(&self) -> &'static str {
        OPTIONS.name
    }

    fn capability(&self) -> Capability {
        Capability::default()
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        Ok(settings
            .get("number")
            .map(|n| Destination::new(OPTIONS.name, [n], n)))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let number = opts.settings.require("number")?;
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            // The first call gets a busy line: the engine tries again, with the same id.
            return Err(Error::new(ErrorKind::Unavailable, "the line is busy"));
        }
        let rendered = self.templates.render(opts.settings, report);
        println!("to {number}, attempt {}: {}", opts.attempt, rendered.text);
        let receipt = Receipt::delivered(number);
        Ok(match rendered.fault {
            Some(fault) => receipt.with_warning(fault),
            None => receipt,
        })
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    async fn check(&self, settings: &Settings) -> Result<()> {
        settings.require("number").map(|_| ())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut settings = BackendSettings::new(OPTIONS);
    settings.set(Origin::Flag, "number", "+1 555 0100")?;
    let pager = Pager {
        templates: MessageTemplates::compile(&settings, "format", Markup::Plain)?,
        calls: AtomicU32::new(0),
    };
    let engine = Engine::builder("default")
        .reporter_with(settings, pager)
        .build()?;

    // The task's own labels say who else is paged, and add a hint to the text.
    let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
        .with_label("complainer_pager_instances", "default,owner")
        .with_label("complainer_pager_instance_owner_number", "+1 555 0199")
        .with_label("complainer_pager_hint", "(see the runbook)");
    engine.submit(&failure).await?;

    let summary = engine
        .run(async {
            while engine.stats().delivered < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await
            }
        })
        .await?;
    println!(
        "delivered {}, retried {}",
        summary.delivered,
        engine.stats().retries
    );
    Ok(())
}
