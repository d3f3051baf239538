//! The reporter.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, Destination, Error, ErrorKind, Markup, MessageTemplates,
    OptionGroup, Receipt, Reconciled, Report, ReportOptions, Reporter, ReporterExt as _,
    ReporterFactory, Result, Settings, SettingsBuilder,
};
use notifier_http::HttpClient;

use crate::{
    OPTIONS, SCHEME,
    error::{Refusal, read},
    payload::{MAX_TEXT, Payload, cut, plain, tidy},
};

/// Posts reports to Slack's incoming webhooks, or to what takes their place.
///
/// Slack has no way to ask whether a message arrived, and none to recognise a
/// second one: after an answer that was lost, a second message is possible.
#[derive(Debug)]
pub struct SlackReporter {
    http: HttpClient,
    templates: MessageTemplates,
    settings: Settings,
    warned: AtomicBool,
}

impl SlackReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> SlackReporterBuilder {
        SlackReporterBuilder {
            settings: SettingsBuilder::new(OPTIONS),
            http: None,
        }
    }

    /// A reporter of these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Template`] if a template cannot be compiled.
    pub fn new(settings: &BackendSettings, http: HttpClient) -> Result<Self> {
        Ok(Self {
            http,
            templates: MessageTemplates::compile(settings, "format", Markup::Slack)?,
            settings: settings.instance(notifier_core::DEFAULT_INSTANCE),
            warned: AtomicBool::new(false),
        })
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`]; [`ErrorKind::Config`] without a webhook.
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.settings.require("hook_url")?;
        self.send_once(report, &self.settings).await
    }

    /// The text to send, within Slack's limit, and what went less than well with it.
    fn text(&self, report: &Report, settings: &Settings) -> (String, Vec<Error>) {
        let mut warnings = Vec::new();
        let rendered = self.templates.render(settings, report);
        warnings.extend(rendered.fault);
        let mut text = tidy(&rendered.text);
        if text.trim().is_empty() {
            warnings.push(Error::new(
                ErrorKind::Template,
                "slack.format gave an empty message; the built-in text was sent",
            ));
            text = Markup::Slack.escape(&report.redactor().redact(&report.summary()));
        }
        let (short, missing) = cut(&text, MAX_TEXT);
        if missing > 0 {
            warnings.push(Error::new(
                ErrorKind::TooLarge,
                format!("the message was cut by {missing} characters to slack's {MAX_TEXT}"),
            ));
        }
        let short = short.into_owned();
        (short, warnings)
    }

    async fn post(
        &self,
        http: &HttpClient,
        url: &str,
        payload: &Payload<'_>,
    ) -> Result<Option<Error>, Refusal> {
        let answer = http
            .post(url)
            .secret_url()
            .json(payload)
            .send()
            .await
            .map_err(Refusal::Error)?;
        read(&answer, is_slack(url))
    }

    fn warn_once(&self, settings: &Settings, url: &str) {
        let set: Vec<&str> = ["channel", "username", "icon_emoji", "icon_url"]
            .into_iter()
            .filter(|k| settings.get(k).is_some())
            .collect();
        if !set.is_empty() && is_slack(url) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                options = set.join(", "),
                "webhooks made by Slack apps ignore these options; only those of legacy integrations obey them"
            );
        }
    }
}

/// True for Slack's own hosts, the one for governments included.
fn is_slack(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|u| {
        matches!(
            u.host_str(),
            Some("hooks.slack.com" | "hooks.slack-gov.com")
        )
    })
}

fn target(settings: &Settings) -> &str {
    settings.get("channel").unwrap_or("webhook")
}

#[async_trait]
impl Reporter for SlackReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default()
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        Ok(settings
            .get("hook_url")
            .map(|url| Destination::new(SCHEME, [url, settings.text("channel")], target(settings))))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let settings = opts.settings;
        let url = settings.require("hook_url")?;
        let http = self.http.for_origin(settings.origin("hook_url"));
        self.warn_once(settings, url);
        let (text, mut warnings) = self.text(report, settings);
        match self.post(&http, url, &Payload::new(settings, &text)).await {
            Ok(strange) => warnings.extend(strange),
            Err(Refusal::Error(e)) => return Err(e),
            // Refused for its form, so certainly not posted: once more, plain and short.
            Err(Refusal::Shrink(refused)) => {
                let strange = self
                    .post(&http, url, &Payload::new(settings, &plain(&text)))
                    .await?;
                warnings.extend(strange);
                warnings.push(
                    Error::new(
                        ErrorKind::Rejected,
                        "a short, plain form of the message was sent",
                    )
                    .with_source(refused),
                );
            }
        }
        let mut receipt = Receipt::delivered(target(settings));
        receipt.warnings = warnings;
        Ok(receipt)
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    /// Checks the address only: a webhook does nothing that is not seen.
    async fn check(&self, settings: &Settings) -> Result<()> {
        let url = settings.require("hook_url")?;
        self.http
            .for_origin(settings.origin("hook_url"))
            .check_url(url)
    }
}

/// Sets up a [`SlackReporter`] without the notifier's engine.
///
/// ```
/// use notifier_slack::SlackReporter;
/// let slack = SlackReporter::builder()
///     .hook_url("https://hooks.slack.com/services/T000/B000/XXXX")
///     .channel("#mesos")
///     .format("{{ .failure.Name }} died")
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SlackReporterBuilder {
    settings: SettingsBuilder,
    http: Option<HttpClient>,
}

impl SlackReporterBuilder {
    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The webhook. It is a secret and never shown.
    pub fn hook_url(self, url: &str) -> Self {
        self.set("hook_url", url)
    }

    /// The channel; webhooks made by Slack apps ignore it.
    pub fn channel(self, channel: &str) -> Self {
        self.set("channel", channel)
    }

    /// The name to post with; webhooks made by Slack apps ignore it.
    pub fn username(self, name: &str) -> Self {
        self.set("username", name)
    }

    /// The icon to post with; webhooks made by Slack apps ignore it.
    pub fn icon_emoji(self, emoji: &str) -> Self {
        self.set("icon_emoji", emoji)
    }

    /// The address of an icon to post with; webhooks made by Slack apps ignore it.
    pub fn icon_url(self, url: &str) -> Self {
        self.set("icon_url", url)
    }

    /// The template. Default [`DEFAULT_FORMAT`](crate::DEFAULT_FORMAT).
    pub fn format(self, template: &str) -> Self {
        self.set("format", template)
    }

    /// The HTTP client. Default [`HttpClient::new`].
    pub fn http(mut self, client: HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::Template`] with the option's name.
    pub fn build(self) -> Result<SlackReporter> {
        let http = HttpClient::or_new(self.http)?;
        SlackReporter::new(&self.settings.build()?, http)
    }
}

/// Makes a [`SlackReporter`] out of settings.
#[derive(Clone, Debug, Default)]
pub struct SlackFactory {
    http: Option<HttpClient>,
}

impl SlackFactory {
    /// A factory whose reporters share this client. [`Default`] makes a new client for each.
    pub fn new(http: HttpClient) -> Self {
        Self { http: Some(http) }
    }
}

impl ReporterFactory for SlackFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        let http = HttpClient::or_new(self.http.clone())?;
        Ok(Arc::new(SlackReporter::new(settings, http)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_webhook_nothing_is_sent() {
        let r = SlackReporter::builder().channel("#a").build().unwrap();
        assert_eq!(r.destination(r.settings()).unwrap(), None);
    }

    #[test]
    fn the_destination_tells_channels_apart_and_hides_the_webhook() {
        let to = |url: &str, channel: &str| {
            let r = SlackReporter::builder()
                .hook_url(url)
                .channel(channel)
                .build()
                .unwrap();
            let d = r.destination(r.settings()).unwrap().unwrap();
            assert!(!format!("{r:?} {d}").contains("s3cret"));
            d
        };
        let a = to("https://hooks.slack.com/services/s3cret", "#a");
        assert!(a.as_str().starts_with("slack:#a:"), "{a}");
        assert_eq!(a, to("https://hooks.slack.com/services/s3cret", "#a"));
        assert_ne!(a, to("https://hooks.slack.com/services/s3cret", "#b"));
        assert_ne!(a, to("https://hooks.slack.com/services/0ther", "#a"));
        assert!(
            to("https://hooks.slack.com/s3cret", "")
                .as_str()
                .starts_with("slack:webhook:")
        );
    }

    #[test]
    fn a_wrong_webhook_is_not_shown() {
        let e = SlackReporter::builder()
            .hook_url("s3cret")
            .build()
            .unwrap_err();
        assert!(
            e.to_string()
                .starts_with("slack.hook_url: *** is not a URL"),
            "{e}"
        );
    }
}
