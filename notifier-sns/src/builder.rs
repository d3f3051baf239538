//! Setting a reporter up in a program of one's own.

use std::sync::Arc;

use notifier_core::{Clock, Result, SettingsBuilder, SystemClock};

use crate::{OPTIONS, SnsReporter};

/// Sets up an [`SnsReporter`] without the notifier's engine.
///
/// ```
/// use notifier_sns::SnsReporter;
/// let sns = SnsReporter::builder()
///     .topic("arn:aws:sns:eu-west-1:123456789012:alerts")
///     .format("{{ .failure.Name }} died")
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SnsReporterBuilder {
    settings: SettingsBuilder,
    clock: Arc<dyn Clock>,
}

impl SnsReporterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            settings: SettingsBuilder::new(OPTIONS),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets an option by its name, such as `connect_timeout`; see [`OPTIONS`].
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The topic's ARN.
    pub fn topic(self, arn: &str) -> Self {
        self.set("topic", arn)
    }

    /// Where to publish instead of Amazon's own address for the topic's region.
    pub fn endpoint(self, url: &str) -> Self {
        self.set("endpoint", url)
    }

    /// The keys to sign with, which are secrets. Default: those of AWS' own places.
    pub fn keys(self, id: &str, secret: &str) -> Self {
        self.set("access_key", id).set("secret_key", secret)
    }

    /// The template of the subject. Default [`DEFAULT_SUBJECT`](crate::DEFAULT_SUBJECT).
    pub fn subject(self, template: &str) -> Self {
        self.set("subject", template)
    }

    /// The template of the text. Default [`DEFAULT_FORMAT`](crate::DEFAULT_FORMAT).
    pub fn format(self, template: &str) -> Self {
        self.set("format", template)
    }

    /// What the message is made of: `text`, `document` or `both`, the default.
    pub fn body(self, word: &str) -> Self {
        self.set("body", word)
    }

    /// The clock to sign by. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) or
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) with the option's name.
    pub fn build(self) -> Result<SnsReporter> {
        SnsReporter::new(&self.settings.build()?, self.clock)
    }
}
