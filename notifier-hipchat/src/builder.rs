//! How a reporter is made: by a program of its own, or by a watcher.

use std::sync::Arc;

use notifier_core::{
    BackendSettings, OptionGroup, Reporter, ReporterFactory, Result, SettingsBuilder,
};
use notifier_http::HttpClient;

use crate::{HipchatReporter, OPTIONS};

/// Sets up a [`HipchatReporter`] without the notifier's engine.
///
/// ```
/// use notifier_hipchat::HipchatReporter;
/// let hipchat = HipchatReporter::builder()
///     .base_url("https://hipchat.example/v2/")
///     .token("XXXX")
///     .room("ops")
///     .color(r#"{{ if eq .failure.State "TASK_LOST" }}yellow{{ else }}red{{ end }}"#)
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct HipchatReporterBuilder {
    settings: SettingsBuilder,
    http: Option<HttpClient>,
}

impl HipchatReporterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            settings: SettingsBuilder::new(OPTIONS),
            http: None,
        }
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The address of the API. A host alone gets `/v2/`. Default
    /// [`DEFAULT_BASE_URL`](crate::DEFAULT_BASE_URL).
    pub fn base_url(self, url: &str) -> Self {
        self.set("base_url", url)
    }

    /// The token of the room or of a user. It is a secret and never shown.
    pub fn token(self, token: &str) -> Self {
        self.set("token", token)
    }

    /// The room, by name or number.
    pub fn room(self, room: &str) -> Self {
        self.set("room", room)
    }

    /// The template of the message. Default [`DEFAULT_FORMAT`](crate::DEFAULT_FORMAT), or
    /// [`DEFAULT_TEXT_FORMAT`](crate::DEFAULT_TEXT_FORMAT)
    /// with [`plain_text`](Self::plain_text).
    pub fn format(self, template: &str) -> Self {
        self.set("format", template)
    }

    /// Send plain text, in which `@mentions` work, and not HTML. Default no.
    pub fn plain_text(self, yes: bool) -> Self {
        self.set("message_format", if yes { "text" } else { "html" })
    }

    /// The template of the colour, one of [`COLORS`](crate::COLORS). Default
    /// [`DEFAULT_COLOR`](crate::DEFAULT_COLOR).
    pub fn color(self, template: &str) -> Self {
        self.set("color", template)
    }

    /// Whether the message makes a sound and the like. Default yes.
    pub fn notify(self, yes: bool) -> Self {
        self.set("notify", if yes { "true" } else { "false" })
    }

    /// The template of a name beside the token's own, cut to [`MAX_FROM`](crate::MAX_FROM)
    /// characters.
    pub fn from(self, template: &str) -> Self {
        self.set("from", template)
    }

    /// The template of a card, a JSON object of at most [`MAX_CARD`](crate::MAX_CARD) bytes.
    pub fn card(self, template: &str) -> Self {
        self.set("card", template)
    }

    /// The HTTP client. Default [`HttpClient::new`].
    pub fn http(mut self, client: HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) or
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) with the option's name.
    pub fn build(self) -> Result<HipchatReporter> {
        let http = HttpClient::or_new(self.http)?;
        HipchatReporter::new(&self.settings.build()?, http)
    }
}

/// Makes a [`HipchatReporter`] out of settings.
#[derive(Clone, Debug, Default)]
pub struct HipchatFactory {
    http: Option<HttpClient>,
}

impl HipchatFactory {
    /// A factory whose reporters share this client. [`Default`] makes a new client for each.
    pub fn new(http: HttpClient) -> Self {
        Self { http: Some(http) }
    }
}

impl ReporterFactory for HipchatFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        let http = HttpClient::or_new(self.http.clone())?;
        Ok(Arc::new(HipchatReporter::new(settings, http)?))
    }
}
