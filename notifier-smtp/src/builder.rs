//! Making reporters.

use std::sync::Arc;

use notifier_core::{
    BackendSettings, OptionGroup, Reporter, ReporterFactory, Result, SettingsBuilder,
};

use crate::{OPTIONS, SmtpReporter, reporter::no_server, server::Server};

/// Sets up an [`SmtpReporter`] without the notifier's engine.
///
/// ```
/// use notifier_smtp::SmtpReporter;
/// let mail = SmtpReporter::builder()
///     .server("relay.example:587")
///     .from("Alerts <alerts@example.com>")
///     .to("ops@example.com, Someone <someone@example.com>")
///     .tls("opportunistic")
///     .format("{{ .failure.Name }} died")
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SmtpReporterBuilder {
    settings: SettingsBuilder,
}

impl Default for SmtpReporterBuilder {
    fn default() -> Self {
        Self {
            settings: SettingsBuilder::new(OPTIONS),
        }
    }
}

impl SmtpReporterBuilder {
    /// Sets any of the [`OPTIONS`] by its name.
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The relay: `HOST`, `HOST:PORT`, `smtp://HOST:PORT` or `smtps://HOST:PORT`.
    pub fn server(self, server: &str) -> Self {
        self.option("server", server)
    }

    /// How TLS is used: `required`, `implicit`, `opportunistic` or `none`. Default `implicit`
    /// with `smtps://`, `required` with a user, a `ca` or a `tls_name`, else `opportunistic`.
    pub fn tls(self, mode: &str) -> Self {
        self.option("tls", mode)
    }

    /// A PEM file of certificate authorities to trust instead of the system's.
    pub fn ca(self, path: &str) -> Self {
        self.option("ca", path)
    }

    /// The name to log in with.
    pub fn user(self, user: &str) -> Self {
        self.option("user", user)
    }

    /// The password, or `file:PATH`. It is a secret and never shown.
    pub fn password(self, password: &str) -> Self {
        self.option("password", password)
    }

    /// The name to greet with.
    pub fn helo(self, name: &str) -> Self {
        self.option("helo", name)
    }

    /// The sender.
    pub fn from(self, address: &str) -> Self {
        self.option("from", address)
    }

    /// The recipients, separated by commas. Default: the failure's owners.
    pub fn to(self, addresses: &str) -> Self {
        self.option("to", addresses)
    }

    /// More recipients.
    pub fn cc(self, addresses: &str) -> Self {
        self.option("cc", addresses)
    }

    /// Who gets what nobody else takes.
    pub fn fallback(self, addresses: &str) -> Self {
        self.option("fallback", addresses)
    }

    /// The template of the subject.
    pub fn subject(self, template: &str) -> Self {
        self.option("subject", template)
    }

    /// The template of the text, or `default` or `chronos`.
    pub fn format(self, template: &str) -> Self {
        self.option("format", template)
    }

    /// The template of the same as HTML.
    pub fn html_format(self, template: &str) -> Self {
        self.option("html_format", template)
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) or
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) with the option's name.
    pub fn build(self) -> Result<SmtpReporter> {
        whole(&self.settings.build()?)
    }
}

/// A reporter of settings that name a relay and a sender in at least one instance, and a
/// sender in each that has a relay.
fn whole(settings: &BackendSettings) -> Result<SmtpReporter> {
    let mut is_named = false;
    for instance in settings.instances() {
        let values = settings.instance(instance);
        if Server::read(&values)?.is_some() {
            is_named = true;
            values.require("from")?;
        }
    }
    match is_named {
        true => SmtpReporter::new(settings),
        false => Err(no_server(
            &settings.instance(notifier_core::DEFAULT_INSTANCE),
        )),
    }
}

/// Makes an [`SmtpReporter`] out of settings.
#[derive(Clone, Debug, Default)]
pub struct SmtpFactory;

impl ReporterFactory for SmtpFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        Ok(Arc::new(whole(settings)?))
    }
}
