use std::{collections::VecDeque, sync::Mutex, time::Duration};

use async_trait::async_trait;

use crate::{
    Capability, DeliveryId, Destination, OptionGroup, OptionSpec, Receipt, Reconciled, Report,
    ReportOptions, Reporter, Result, Settings, lock,
};

/// What a [`MemoryReporter`] was told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Told {
    /// The delivery's id.
    pub id: DeliveryId,
    /// Which attempt it was.
    pub attempt: u32,
    /// The instance.
    pub instance: String,
    /// The built-in text of the report.
    pub text: String,
    /// When, on tokio's clock.
    pub at: tokio::time::Instant,
}

enum Script {
    Answer(Result<Receipt>),
    Wait(Duration),
    Hang,
}

/// A reporter that keeps what it is told, and answers as scripted.
///
/// Without a script it delivers. Scripted answers are used up in order, one for each report.
pub struct MemoryReporter {
    scheme: &'static str,
    capability: Capability,
    told: Mutex<Vec<Told>>,
    script: Mutex<VecDeque<Script>>,
}

impl MemoryReporter {
    /// Its only option, `channel`, which labels may set.
    pub const OPTIONS: OptionGroup = OptionGroup::new(
        "memory",
        &[OptionSpec::new("channel", "where to, for people")
            .default("memory")
            .label()],
    );

    /// A reporter named `memory`.
    pub fn new() -> Self {
        Self::named("memory")
    }

    /// A reporter of another name.
    pub fn named(scheme: &'static str) -> Self {
        Self {
            scheme,
            capability: Capability::default(),
            told: Mutex::default(),
            script: Mutex::default(),
        }
    }

    /// Sets what it says it can do.
    #[must_use]
    pub fn with_capability(mut self, capability: Capability) -> Self {
        self.capability = capability;
        self
    }

    /// Answers one report with this.
    pub fn answer(&self, answer: Result<Receipt>) {
        lock(&self.script).push_back(Script::Answer(answer));
    }

    /// Waits before it delivers one report.
    pub fn wait(&self, time: Duration) {
        lock(&self.script).push_back(Script::Wait(time));
    }

    /// Never answers one report.
    pub fn hang(&self) {
        lock(&self.script).push_back(Script::Hang);
    }

    /// Everything it was told, every attempt.
    pub fn told(&self) -> Vec<Told> {
        lock(&self.told).clone()
    }

    /// The built-in texts of everything it was told.
    pub fn texts(&self) -> Vec<String> {
        lock(&self.told).iter().map(|t| t.text.clone()).collect()
    }
}

impl Default for MemoryReporter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for MemoryReporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryReporter({})", self.scheme)
    }
}

#[async_trait]
impl Reporter for MemoryReporter {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        let channel = settings.text("channel");
        Ok(Some(Destination::new(self.scheme, [channel], channel)))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        lock(&self.told).push(Told {
            id: opts.id.clone(),
            attempt: opts.attempt,
            instance: opts.settings.instance().to_owned(),
            text: report.summary(),
            at: tokio::time::Instant::now(),
        });
        let next = lock(&self.script).pop_front();
        match next {
            Some(Script::Answer(answer)) => return answer,
            Some(Script::Wait(time)) => tokio::time::sleep(time).await,
            Some(Script::Hang) => std::future::pending().await,
            None => {}
        }
        Ok(Receipt::delivered(opts.settings.text("channel")))
    }

    async fn reconcile(&self, _: &Report, opts: &ReportOptions<'_>) -> Result<Reconciled> {
        // Everything it was told arrived.
        Ok(if lock(&self.told).iter().any(|t| &t.id == opts.id) {
            Reconciled::Delivered(Receipt::delivered(opts.settings.text("channel")))
        } else {
            Reconciled::NotDelivered
        })
    }

    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}
