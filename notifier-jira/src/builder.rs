//! Making reporters.

use std::sync::Arc;

use notifier_core::{
    BackendSettings, Clock, OptionGroup, Reporter, ReporterFactory, Result, SettingsBuilder,
    SystemClock,
};
use notifier_http::HttpClient;

use crate::{JiraReporter, OPTIONS};

/// Sets up a [`JiraReporter`] without the notifier's engine.
///
/// ```
/// use notifier_jira::JiraReporter;
/// let jira = JiraReporter::builder()
///     .url("https://example.atlassian.net")
///     .username("me@example.com")
///     .password("api-token")
///     .fields("Project:OPS;Issue Type:Bug;Summary:{{ .failure.Name }} died")
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct JiraReporterBuilder {
    settings: SettingsBuilder,
    http: Option<HttpClient>,
    clock: Arc<dyn Clock>,
}

impl Default for JiraReporterBuilder {
    fn default() -> Self {
        Self {
            settings: SettingsBuilder::new(OPTIONS),
            http: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl JiraReporterBuilder {
    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The address of Jira.
    pub fn url(self, url: &str) -> Self {
        self.set("url", url)
    }

    /// The user, or the e-mail address for Jira Cloud. Without one, the password is sent as a
    /// personal access token.
    pub fn username(self, name: &str) -> Self {
        self.set("username", name)
    }

    /// The password, API token or personal access token. It is a secret and never shown.
    pub fn password(self, password: &str) -> Self {
        self.set("password", password)
    }

    /// The status of closed issues, default [`DEFAULT_CLOSED_STATUS`](crate::DEFAULT_CLOSED_STATUS);
    /// empty for every status of the category Done.
    pub fn issue_closed_status(self, status: &str) -> Self {
        self.set("issue_closed_status", status)
    }

    /// The fields, as `key:value;…`. Default [`DEFAULT_FIELDS`](crate::DEFAULT_FIELDS).
    pub fn fields(self, fields: &str) -> Self {
        self.set("fields", fields)
    }

    /// What to do if there is an issue: `ignore`, `comment` or `reopen`. Default `ignore`.
    pub fn on_repeat(self, policy: &str) -> Self {
        self.set("on_repeat", policy)
    }

    /// How much of the end of each log to attach, as `64KiB`. Default 0, none.
    pub fn attach_logs(self, size: &str) -> Self {
        self.set("attach_logs", size)
    }

    /// The HTTP client. Default [`HttpClient::new`].
    pub fn http(mut self, client: HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// The clock. Default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) or
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) with the option's name.
    pub fn build(self) -> Result<JiraReporter> {
        let http = HttpClient::or_new(self.http)?;
        JiraReporter::new(&self.settings.build()?, http, self.clock)
    }
}

/// Makes a [`JiraReporter`] out of settings.
#[derive(Clone, Debug)]
pub struct JiraFactory {
    http: Option<HttpClient>,
    clock: Arc<dyn Clock>,
}

impl Default for JiraFactory {
    fn default() -> Self {
        Self {
            http: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl JiraFactory {
    /// A factory whose reporters share this client. [`Default`] makes a new client for each.
    pub fn new(http: HttpClient) -> Self {
        Self {
            http: Some(http),
            ..Self::default()
        }
    }

    /// Sets the clock of its reporters. Default [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl ReporterFactory for JiraFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        // Found at the start rather than at the first failure.
        for instance in settings.instances() {
            let values = settings.instance(instance);
            if values.get("url").is_some() {
                values.require("password")?;
            }
        }
        let http = HttpClient::or_new(self.http.clone())?;
        Ok(Arc::new(JiraReporter::new(
            settings,
            http,
            Arc::clone(&self.clock),
        )?))
    }
}
