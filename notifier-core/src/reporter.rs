//! Who is told: the [`Reporter`] trait and its answers.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    BackendSettings, DEFAULT_NAME, Delivery, DeliveryId, Error, OptionGroup, Report, ReportOptions,
    Result, Retry, Settings, failure::hash_parts,
};

/// Sends reports to one service.
///
/// One object serves every instance: what differs between them comes with each
/// report as [`ReportOptions::settings`]. A reporter sends once and answers; it
/// never retries by itself and never waits for a rate limit, since the engine does
/// both and remembers them over a restart. The mistake everyone makes: to answer
/// "failed" for an error after the request was sent, when the message may have
/// arrived. Say [`Delivery::Unknown`] then.
///
/// Dropping the future must be safe: the engine drops it when the attempt takes too long.
///
/// ```
/// use async_trait::async_trait;
/// use notifier_core::*;
///
/// #[derive(Debug)]
/// struct Pager;
///
/// #[async_trait]
/// impl Reporter for Pager {
///     fn scheme(&self) -> &'static str { "pager" }
///     fn capability(&self) -> Capability { Capability::default() }
///     fn destination(&self, s: &Settings) -> Result<Option<Destination>> {
///         Ok(s.get("number").map(|n| Destination::new("pager", [n], n)))
///     }
///     async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
///         let text = report.summary();
///         // … send `text` to the number, with `opts.id` as its id …
///         Ok(Receipt::delivered(opts.settings.require("number")?))
///     }
///     async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
///         Ok(Reconciled::CannotTell)
///     }
///     async fn check(&self, _: &Settings) -> Result<()> { Ok(()) }
/// }
/// ```
#[async_trait]
pub trait Reporter: fmt::Debug + Send + Sync + 'static {
    /// The reporter's name, as in `-reporters=slack` and in labels.
    fn scheme(&self) -> &'static str;

    /// What it can do.
    fn capability(&self) -> Capability;

    /// Where these settings send to. `None`: this instance is not configured, and nothing is sent.
    ///
    /// Reports of one destination share a queue, a rate limit and a back-off.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the settings make no sense.
    fn destination(&self, settings: &Settings) -> Result<Option<Destination>>;

    /// Sends one report.
    ///
    /// # Errors
    /// An error stands for all targets. With several targets, give each its own
    /// answer in the [`Receipt`] instead.
    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt>;

    /// Asks the service whether an earlier attempt, whose outcome is unknown, arrived.
    ///
    /// Only called if [`Capability::reconcile`] says that it can be asked.
    ///
    /// # Errors
    /// If the service cannot be asked now. It is asked again later.
    async fn reconcile(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Reconciled>;

    /// A cheap probe of the settings that sends nothing visible.
    ///
    /// # Errors
    /// What is wrong with them.
    async fn check(&self, settings: &Settings) -> Result<()>;
}

/// Comfort for programs that send without an engine.
#[async_trait]
pub trait ReporterExt: Reporter {
    /// Sends one report with these settings, once, under the id that a watcher of the default name gives it.
    ///
    /// # Errors
    /// As [`Reporter::report`].
    async fn send_once(&self, report: &Report, settings: &Settings) -> Result<Receipt> {
        let (key, instance) = (report.subject().key(), settings.instance());
        let id = DeliveryId::derive(DEFAULT_NAME, &key, self.scheme(), instance, 0);
        self.report(report, &ReportOptions::new(&id, settings))
            .await
    }
}

impl<T: Reporter + ?Sized> ReporterExt for T {}

macro_rules! forward_reporter {
    ($($t:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: Reporter + ?Sized> Reporter for $t {
            fn scheme(&self) -> &'static str { (**self).scheme() }
            fn capability(&self) -> Capability { (**self).capability() }
            fn destination(&self, settings: &Settings) -> Result<Option<Destination>> { (**self).destination(settings) }
            async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> { (**self).report(report, opts).await }
            async fn reconcile(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Reconciled> { (**self).reconcile(report, opts).await }
            async fn check(&self, settings: &Settings) -> Result<()> { (**self).check(settings).await }
        }
    )*};
}
forward_reporter!(Arc<T>, Box<T>);

/// What a reporter can do; the engine and the conformance suite go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    /// How many reports may be under way at once to one destination, at least 1. Default 1, which keeps their order.
    pub concurrency: usize,
    /// The service drops a second message of the same delivery id. Default false.
    pub idempotent: bool,
    /// The service can be asked whether a message arrived. Default false.
    pub reconcile: bool,
    /// How long one report may take at most, where that is more than the engine's usual
    /// bound of an attempt: a mail server has ten minutes to answer. Default 0.
    pub patience: Duration,
}

impl Default for Capability {
    fn default() -> Self {
        Self {
            concurrency: 1,
            idempotent: false,
            reconcile: false,
            patience: Duration::ZERO,
        }
    }
}

impl Capability {
    /// Sets how many reports may be under way at once to one destination.
    #[must_use]
    pub fn with_concurrency(mut self, n: usize) -> Self {
        self.concurrency = n.max(1);
        self
    }

    /// The service drops a second message of the same delivery id.
    #[must_use]
    pub fn with_idempotent(mut self, yes: bool) -> Self {
        self.idempotent = yes;
        self
    }

    /// The service can be asked whether a message arrived.
    #[must_use]
    pub fn with_reconcile(mut self, yes: bool) -> Self {
        self.reconcile = yes;
        self
    }

    /// Sets how long one report may take at most.
    #[must_use]
    pub fn with_patience(mut self, longest: Duration) -> Self {
        self.patience = longest;
        self
    }
}

/// Where reports go: a credential and a channel, without either's secret.
///
/// ```
/// use notifier_core::Destination;
/// let d = Destination::new("slack", ["https://hooks.example/secret", "#ops"], "#ops");
/// assert!(d.as_str().starts_with("slack:#ops:"));
/// assert!(!d.as_str().contains("secret"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Destination(String);

impl Destination {
    /// A destination of a reporter. `parts` are what tells it from others and are
    /// only hashed; `shown` is for people, and cut to 60 characters.
    pub fn new<'a>(scheme: &str, parts: impl IntoIterator<Item = &'a str>, shown: &str) -> Self {
        let hash = hash_parts(parts);
        let shown: String = shown.chars().filter(|c| !c.is_control()).take(60).collect();
        Self(format!("{scheme}:{shown}:{}", &hash[..12]))
    }

    /// A destination as read from a store.
    pub fn from_stored(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The destination as text, fit for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Delivered {
    /// The service's own id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where a person sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Delivered {
    /// With the service's own id.
    pub fn with_id(id: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            url: None,
        }
    }
}

/// One target's answer: a recipient's, a channel's.
#[derive(Debug)]
#[non_exhaustive]
pub struct TargetReceipt {
    /// Which target, without secrets.
    pub target: String,
    /// Arrived, or why not: the error says whether to try again and whether it may have arrived.
    pub verdict: Result<Delivered>,
}

impl TargetReceipt {
    /// One target's answer.
    pub fn new(target: impl Into<String>, verdict: Result<Delivered>) -> Self {
        Self {
            target: target.into(),
            verdict,
        }
    }
}

/// The answers of all targets of one attempt.
///
/// ```
/// use notifier_core::{Error, ErrorKind, Next, Receipt};
/// let r = Receipt::delivered("a@example.com")
///     .and("b@example.com", Err(Error::new(ErrorKind::Unavailable, "450 try later")))
///     .with_progress(serde_json::json!({ "done": ["a@example.com"] }));
/// assert!(matches!(r.next(), Next::Retry { after: None, unknown: false }));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "a receipt says whether the message arrived"]
pub struct Receipt {
    /// Each target's answer.
    pub targets: Vec<TargetReceipt>,
    /// What the next attempt needs to know: kept with the delivery and handed back as [`ReportOptions::progress`].
    pub progress: Option<serde_json::Value>,
    /// What went less than well though the message was sent: a broken template, a cut text. Counted and logged.
    pub warnings: Vec<Error>,
}

/// What follows from a [`Receipt`].
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// All targets have it.
    Done,
    /// Some target is to be tried again.
    Retry {
        /// The longest wait that a target asked for.
        after: Option<Duration>,
        /// Some target may have it already.
        unknown: bool,
    },
    /// Nothing is left to try and some target does not have it.
    Dead,
}

impl Receipt {
    /// The only target has it.
    pub fn delivered(target: impl Into<String>) -> Self {
        Self::default().and(target, Ok(Delivered::default()))
    }

    /// Adds a target's answer.
    pub fn and(mut self, target: impl Into<String>, verdict: Result<Delivered>) -> Self {
        self.targets.push(TargetReceipt::new(target, verdict));
        self
    }

    /// Sets what the next attempt needs to know.
    pub fn with_progress(mut self, progress: serde_json::Value) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Adds what went less than well.
    pub fn with_warning(mut self, warning: Error) -> Self {
        self.warnings.push(warning);
        self
    }

    /// What follows. A receipt without targets is done.
    pub fn next(&self) -> Next {
        let (mut retry, mut unknown, mut dead, mut wait) = (false, false, false, None);
        for t in &self.targets {
            if let Err(e) = &t.verdict {
                match e.retry() {
                    Retry::Later { after } => {
                        retry = true;
                        unknown |= e.delivery() == Delivery::Unknown;
                        wait = wait.max(after);
                    }
                    _ => dead = true,
                }
            }
        }
        if retry {
            Next::Retry {
                after: wait,
                unknown,
            }
        } else if dead {
            Next::Dead
        } else {
            Next::Done
        }
    }

    /// The first target's error, if there is one.
    pub fn error(&self) -> Option<&Error> {
        self.targets.iter().find_map(|t| t.verdict.as_ref().err())
    }
}

/// The answer to "did the earlier attempt arrive?"
#[derive(Debug)]
#[non_exhaustive]
pub enum Reconciled {
    /// Yes.
    Delivered(Receipt),
    /// No: send it again.
    NotDelivered,
    /// The service cannot tell.
    CannotTell,
}

/// Makes a reporter out of settings: what a binary registers for each backend.
pub trait ReporterFactory: fmt::Debug + Send + Sync + 'static {
    /// The options, under the reporter's name.
    fn options(&self) -> OptionGroup;

    /// Builds the reporter. Everything that can be found wrong is found here: templates are compiled, files opened.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) or [`ErrorKind::Template`](crate::ErrorKind::Template)
    /// with one line that names the option.
    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn object_safe(_: &dyn Reporter, _: &dyn ReporterFactory) {}

    #[test]
    fn traits_are_object_safe() {
        let _ = object_safe;
    }

    #[test]
    fn the_worst_target_that_can_be_helped_decides() {
        let dead = || Err(Error::new(ErrorKind::Rejected, "no"));
        let later = |s| {
            Err(Error::new(ErrorKind::RateLimited, "later")
                .with_retry_after(Duration::from_secs(s)))
        };
        assert_eq!(Receipt::default().next(), Next::Done);
        assert_eq!(Receipt::delivered("a").and("b", dead()).next(), Next::Dead);
        let r = Receipt::default()
            .and("a", dead())
            .and("b", later(3))
            .and("c", later(9));
        assert_eq!(
            r.next(),
            Next::Retry {
                after: Some(Duration::from_secs(9)),
                unknown: false
            }
        );
        let r = Receipt::default().and("a", Err(Error::new(ErrorKind::Timeout, "lost")));
        assert_eq!(
            r.next(),
            Next::Retry {
                after: None,
                unknown: true
            }
        );
    }
}
