//! The reporter.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, DEFAULT_INSTANCE, Destination, Error, OptionGroup, Receipt,
    Reconciled, Report, ReportOptions, Reporter, ReporterExt as _, ReporterFactory, Result,
    Settings, parse_duration, redact::Redactor,
};
use notifier_http::HttpClient;

use crate::{
    OPTIONS, SCHEME, WebhookReporterBuilder,
    error::read,
    payload::{self, Templates},
    request::{Manner, host, redactor},
};

/// What an attempt may take beyond its request.
const MARGIN: Duration = Duration::from_secs(10);

/// Sends reports to an HTTP endpoint, signed, and with an id that stays the same on every attempt.
///
/// Whoever takes webhooks is to take each id once, as Standard Webhooks ask: so an attempt whose answer was lost is
/// made again under the same id.
#[derive(Debug)]
pub struct WebhookReporter {
    http: HttpClient,
    templates: Templates,
    settings: Settings,
    patience: Duration,
    warned: AtomicBool,
}

impl WebhookReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> WebhookReporterBuilder {
        WebhookReporterBuilder::new()
    }

    /// A reporter of these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) if a template cannot be compiled,
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if headers, keys, credentials or codes make no sense.
    pub fn new(settings: &BackendSettings, http: HttpClient) -> Result<Self> {
        // An instance that only labels name has the values of all.
        for instance in settings.instances().chain([""]) {
            let settings = settings.instance(instance);
            Manner::read(&settings)?;
            payload::check(&settings)?;
        }
        let timeouts = settings.all_values("timeout");
        let longest = timeouts.iter().filter_map(|d| parse_duration(d)).max();
        Ok(Self {
            http,
            templates: Templates::compile(settings)?,
            settings: settings.instance(DEFAULT_INSTANCE),
            patience: longest.map_or(Duration::ZERO, |d| d + MARGIN),
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
    /// As [`Reporter::report`]; [`ErrorKind::Config`](notifier_core::ErrorKind::Config) without an address.
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.send_once(report, &self.settings).await
    }

    fn warn_once(&self, manner: &Manner) {
        if manner.holds_back() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an address from a task's label gets neither webhook.headers nor credentials nor a signature"
            );
        }
    }
}

/// The error again, with known secrets masked in its text.
fn masked(e: Error, secrets: &Redactor) -> Error {
    let text = e.to_string();
    match secrets.redact(&text) {
        std::borrow::Cow::Borrowed(_) => e,
        std::borrow::Cow::Owned(text) => Error::new(e.kind(), text)
            .with_retry(e.retry())
            .with_delivery(e.delivery())
            .with_scope(e.scope()),
    }
}

#[async_trait]
impl Reporter for WebhookReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default()
            .with_idempotent(true)
            .with_patience(self.patience)
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        Ok(settings
            .get("url")
            .map(|url| Destination::new(SCHEME, [url], &host(url))))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let settings = opts.settings;
        let url = settings.require("url")?;
        let manner = Manner::read(settings)?;
        self.warn_once(&manner);
        let payload = self
            .templates
            .payload(report, opts, manner.is_guest())
            .await?;
        let secrets = redactor(settings);
        let answer = manner
            .request(
                &self.http,
                url,
                opts.id.as_str(),
                &payload.content_type,
                payload.body,
                &payload.headers,
            )
            .send()
            .await
            .map_err(|e| masked(e, &secrets))?;
        read(&answer, &manner.success, &manner.retry, &secrets)?;
        let mut receipt = Receipt::delivered(host(url));
        receipt.warnings = payload.warnings;
        Ok(receipt)
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    /// Checks the settings only: a webhook does nothing that is not seen.
    async fn check(&self, settings: &Settings) -> Result<()> {
        let url = settings.require("url")?;
        Manner::read(settings)?;
        payload::check(settings)?;
        self.http.for_origin(settings.origin("url")).check_url(url)
    }
}

/// Makes a [`WebhookReporter`] out of settings.
#[derive(Clone, Debug, Default)]
pub struct WebhookFactory {
    http: Option<HttpClient>,
}

impl WebhookFactory {
    /// A factory whose reporters share this client. [`Default`] makes a new client for each.
    pub fn new(http: HttpClient) -> Self {
        Self { http: Some(http) }
    }
}

impl ReporterFactory for WebhookFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        let http = HttpClient::or_new(self.http.clone())?;
        Ok(Arc::new(WebhookReporter::new(settings, http)?))
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::Origin;

    use super::*;

    #[test]
    fn without_an_address_nothing_is_sent() {
        let r = WebhookReporter::builder().build().unwrap();
        assert_eq!(r.destination(r.settings()).unwrap(), None);
    }

    #[test]
    fn the_destination_shows_the_host_and_hides_the_rest() {
        let to = |url: &str| {
            let r = WebhookReporter::builder().url(url).build().unwrap();
            let d = r.destination(r.settings()).unwrap().unwrap();
            assert!(!format!("{r:?} {d}").contains("s3cret"));
            d
        };
        let a = to("https://u:s3cret@hooks.example/s3cret");
        assert!(a.as_str().starts_with("webhook:hooks.example:"), "{a}");
        assert_eq!(a, to("https://u:s3cret@hooks.example/s3cret"));
        assert_ne!(a, to("https://u:s3cret@hooks.example/0ther"));
    }

    #[test]
    fn what_is_wrong_in_any_instance_stops_the_start() {
        let mut s = BackendSettings::new(OPTIONS);
        s.set_instance("team", "headers", "s3cret").unwrap();
        let http = HttpClient::new().unwrap();
        let e = WebhookReporter::new(&s, http.clone())
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("webhook.headers") && !e.contains("s3cret"),
            "{e}"
        );
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, "template", "{{").unwrap();
        let e = WebhookReporter::new(&s, http.clone())
            .unwrap_err()
            .to_string();
        assert!(e.starts_with("webhook.template"), "{e}");
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, "timeout", "5m").unwrap();
        let r = WebhookReporter::new(&s, http).unwrap();
        assert_eq!(r.capability().patience, Duration::from_secs(310));
    }
}
