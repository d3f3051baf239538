use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::Notify;

use super::{Engine, GroupBy, Shared, health::Health, router::Router, stats::Counters};
use crate::{
    BackendSettings, Clock, Error, FrameworkFilter, LabelGrammar, LogLocator, NoopUploader,
    OptionGroup, Outbox, Reporter, Result, Source, SystemClock, Uploader,
    memory::{MemoryOutbox, MemoryReporter},
    policy::Backoff,
    redact::Redactor,
};

/// Time bounds of an engine.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Timing {
    /// One attempt to send, as a last resort over the reporter's own time-outs. 60 s by default.
    pub attempt: Duration,
    /// Finding a failure's logs, and waiting for a piece of one that is stored; after it the report goes without. 15 s by default.
    pub logs: Duration,
    /// Finding and storing a failure's logs in all, however fast it goes. 5 min by default.
    pub upload: Duration,
    /// Finishing what is in flight at the end. 8 s by default.
    pub drain: Duration,
    /// After this, what does not arrive is given up. 72 h by default.
    pub max_age: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// What to do when an attempt's outcome is unknown and the service cannot be asked.
    pub on_unknown: OnUnknown,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(60),
            logs: Duration::from_secs(15),
            upload: Duration::from_secs(300),
            drain: Duration::from_secs(8),
            max_age: Duration::from_secs(72 * 3600),
            backoff: Backoff::default(),
            on_unknown: OnUnknown::Retry,
        }
    }
}

/// What to do when nobody can tell whether a message arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnknown {
    /// Send it again with the same id, and count a possible double.
    #[default]
    Retry,
    /// Give it up: rather a loss than a double.
    Drop,
}

/// What is told of secrets in labels.
pub(super) struct OnSecrets(Box<Told>);

type Told = dyn Fn(&[&str]) + Send + Sync;

impl OnSecrets {
    pub(super) fn tell(&self, secrets: &[&str]) {
        if !secrets.is_empty() {
            (self.0)(secrets);
        }
    }
}

impl fmt::Debug for OnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnSecrets")
    }
}

/// Puts an [`Engine`] together.
#[derive(Debug)]
#[must_use]
pub struct EngineBuilder {
    grammar: LabelGrammar,
    filter: FrameworkFilter,
    reporters: Vec<(BackendSettings, Arc<dyn Reporter>)>,
    uploader: Arc<dyn Uploader>,
    locators: BTreeMap<String, Arc<dyn LogLocator>>,
    outbox: Option<Arc<dyn Outbox>>,
    clock: Arc<dyn Clock>,
    timing: Timing,
    redactor: Redactor,
    zone: jiff::tz::TimeZone,
    on_secrets: Option<OnSecrets>,
    group: Option<GroupBy>,
    sources: Vec<Box<dyn Source>>,
}

impl EngineBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            grammar: LabelGrammar::new(name),
            filter: FrameworkFilter::default(),
            reporters: Vec::new(),
            uploader: Arc::new(NoopUploader),
            locators: BTreeMap::new(),
            outbox: None,
            clock: Arc::new(SystemClock),
            timing: Timing::default(),
            redactor: Redactor::default(),
            zone: jiff::tz::TimeZone::UTC,
            on_secrets: None,
            group: None,
            sources: Vec::new(),
        }
    }

    /// Sets what routing labels begin with; `complainer` unless set.
    pub fn label_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.grammar.prefix = prefix.into();
        self
    }

    /// Sets whether every reporter has the instance `default` without a label; true unless set.
    pub fn implicit_default(mut self, implicit: bool) -> Self {
        self.grammar.implicit_default = implicit;
        self
    }

    /// Sets which frameworks' failures are reported; all unless set.
    pub fn filter(mut self, filter: FrameworkFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Adds a reporter that takes no settings.
    pub fn reporter(self, reporter: impl Reporter) -> Self {
        let group = if reporter.scheme() == MemoryReporter::OPTIONS.name {
            MemoryReporter::OPTIONS
        } else {
            OptionGroup::new(reporter.scheme(), &[])
        };
        self.reporter_with(BackendSettings::new(group), reporter)
    }

    /// Adds a reporter with its settings. Its options' group must bear its name.
    pub fn reporter_with(mut self, settings: BackendSettings, reporter: impl Reporter) -> Self {
        self.reporters.push((settings, Arc::new(reporter)));
        self
    }

    /// Sets where logs are kept; they stay where they are unless set.
    pub fn uploader(mut self, uploader: impl Uploader) -> Self {
        self.uploader = Arc::new(uploader);
        self
    }

    /// Adds what finds the logs of one source's failures.
    pub fn locator(mut self, source: impl Into<String>, locator: impl LogLocator) -> Self {
        self.locators.insert(source.into(), Arc::new(locator));
        self
    }

    /// Sets the outbox; a [`MemoryOutbox`] unless set.
    pub fn outbox(mut self, outbox: impl Outbox) -> Self {
        self.outbox = Some(Arc::new(outbox));
        self
    }

    /// Sets the clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the time bounds.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets secrets that must not get into messages, besides those of the reporters' settings.
    pub fn redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Sets the time zone that templates show times in; UTC unless set.
    pub fn zone(mut self, zone: jiff::tz::TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Sets what is told the values of labels that are secret, by [their keys](crate::redact::names_secret)
    /// or by the declaration of the option they set,
    /// before anything is done with them: a log writer that masks them, say.
    pub fn on_secret_labels(mut self, f: impl Fn(&[&str]) + Send + Sync + 'static) -> Self {
        self.on_secrets = Some(OnSecrets(Box::new(f)));
        self
    }

    /// Switches storm control on: failures that are alike are told in digests, but for the
    /// first; each failure is told by itself unless set.
    pub fn group(mut self, by: GroupBy) -> Self {
        self.group = Some(by);
        self
    }

    /// Adds a source.
    pub fn source(mut self, source: impl Source) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if two reporters or two sources have one name.
    pub fn build(self) -> Result<Engine> {
        let mut names = HashSet::new();
        for (settings, reporter) in &self.reporters {
            if settings.name() != reporter.scheme() {
                return Err(Error::config(format!(
                    "the reporter {} was given the settings of {}",
                    reporter.scheme(),
                    settings.name()
                )));
            }
            if !names.insert(reporter.scheme()) {
                return Err(Error::config(format!(
                    "there are two reporters named {}",
                    reporter.scheme()
                )));
            }
        }
        let mut names = HashSet::new();
        for source in &self.sources {
            if !names.insert(source.name().to_owned()) {
                return Err(Error::config(format!(
                    "there are two sources named {}",
                    source.name()
                )));
            }
        }
        let redactor = self.redactor.with(
            self.reporters
                .iter()
                .flat_map(|(settings, _)| settings.secrets()),
        );
        Ok(Engine {
            shared: Arc::new(Shared {
                router: Router::new(self.grammar, self.filter, self.reporters),
                uploader: self.uploader,
                locators: self.locators,
                outbox: self.outbox.unwrap_or_else(|| Arc::new(MemoryOutbox::new())),
                clock: self.clock,
                timing: self.timing,
                redactor,
                zone: self.zone,
                on_secrets: self.on_secrets,
                group: self.group,
                counters: Counters::default(),
                health: Health::default(),
                sources: Mutex::new(self.sources),
                working: Mutex::default(),
                lanes: Mutex::default(),
                ended: Notify::new(),
                broken: Mutex::default(),
                broke: Notify::new(),
                running: AtomicBool::new(false),
            }),
        })
    }
}
