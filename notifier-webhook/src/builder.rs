//! Setting up a reporter in a program of one's own.

use notifier_core::{Result, SettingsBuilder};
use notifier_http::HttpClient;

use crate::{OPTIONS, WebhookReporter};

/// Sets up a [`WebhookReporter`] without the notifier's engine.
///
/// ```
/// use notifier_webhook::WebhookReporter;
/// let webhook = WebhookReporter::builder()
///     .url("https://alerts.example/in")
///     .signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
///     .set("body", "cloudevents")
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct WebhookReporterBuilder {
    settings: SettingsBuilder,
    http: Option<HttpClient>,
}

impl WebhookReporterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            settings: SettingsBuilder::new(OPTIONS),
            http: None,
        }
    }

    /// Any [option](crate::OPTIONS), by its key: `body`, `method`, `success`, …
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The address. It is a secret and never shown.
    pub fn url(self, url: &str) -> Self {
        self.set("url", url)
    }

    /// The key to sign with: `whsec_` and base64; several separated by blanks.
    pub fn signing_key(self, key: &str) -> Self {
        self.set("signing_key", key)
    }

    /// A bearer token.
    pub fn token(self, token: &str) -> Self {
        self.set("token", token)
    }

    /// Headers to send, `Name: value`, each on a line of its own.
    pub fn headers(self, headers: &str) -> Self {
        self.set("headers", headers)
    }

    /// The template of the message for people. Default [`DEFAULT_FORMAT`](crate::DEFAULT_FORMAT).
    pub fn format(self, template: &str) -> Self {
        self.set("format", template)
    }

    /// The template of the whole body.
    pub fn template(self, template: &str) -> Self {
        self.set("body", "template").set("template", template)
    }

    /// The HTTP client, whose clock gives the times that are sent. Default [`HttpClient::new`].
    pub fn http(mut self, client: HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) or
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) with the option's name.
    pub fn build(self) -> Result<WebhookReporter> {
        let http = HttpClient::or_new(self.http)?;
        WebhookReporter::new(&self.settings.build()?, http)
    }
}
