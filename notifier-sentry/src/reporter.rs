//! The reporter.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join;
use notifier_core::{
    BackendSettings, Capability, Clock, Delivered, Destination, Error, ErrorKind, Markup,
    MessageTemplates, OptionGroup, Receipt, Reconciled, Report, ReportOptions, Reporter,
    ReporterExt as _, ReporterFactory, Result, Settings, SettingsBuilder, Subject, SystemClock,
};
use notifier_http::HttpClient;

use crate::{
    OPTIONS, SCHEME,
    dsn::Dsn,
    envelope::{Attachment, CONTENT_TYPE, Envelope},
    error::{Refusal, limited, read},
    fingerprint::Fingerprints,
    limits::{Cuts, MAX_LOG_TAIL},
    payload::{Event, Named},
    quota::Quotas,
    release,
};

/// Sends reports to Sentry, or to what takes its place, as events.
///
/// An event has the delivery's id on every attempt, and Sentry drops a repeat that comes within
/// about an hour: to try again after a lost answer makes no second event until then.
#[derive(Debug)]
pub struct SentryReporter {
    http: HttpClient,
    environment: MessageTemplates,
    release: MessageTemplates,
    fingerprints: Fingerprints,
    settings: Settings,
    quotas: Quotas,
    clock: Arc<dyn Clock>,
}

impl SentryReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> SentryReporterBuilder {
        SentryReporterBuilder {
            settings: SettingsBuilder::new(OPTIONS),
            http: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A reporter of these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Template`] if a template cannot be compiled, [`ErrorKind::Config`] if a DSN
    /// or the size of a log's end makes no sense.
    pub fn new(settings: &BackendSettings, http: HttpClient) -> Result<Self> {
        for dsn in settings.all_values("dsn") {
            Dsn::parse(&dsn)?;
        }
        for size in settings.all_values("log_tail") {
            if notifier_core::parse_size(&size).is_none_or(|n| n > MAX_LOG_TAIL) {
                return Err(Error::config(format!(
                    "{SCHEME}.log_tail: {size} is more than 1MiB"
                )));
            }
        }
        Ok(Self {
            http,
            environment: MessageTemplates::compile(settings, "environment", Markup::Plain)?,
            release: MessageTemplates::compile(settings, "release", Markup::Plain)?,
            fingerprints: Fingerprints::compile(settings)?,
            settings: settings.instance(notifier_core::DEFAULT_INSTANCE),
            quotas: Quotas::default(),
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets the clock that limits are counted by. Default: the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`]; [`ErrorKind::Config`] without a DSN.
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.settings.require("dsn")?;
        self.send_once(report, &self.settings).await
    }

    /// What templates make of the failure; nothing for reports without one.
    fn named(&self, report: &Report, settings: &Settings, warnings: &mut Vec<Error>) -> Named {
        let report = match report.subject() {
            Subject::Failure(_) => report.clone(),
            Subject::Digest(d) => {
                let whole = report.clone();
                Report::failure(d.example.clone())
                    .with_config(move |key| whole.config(key))
                    .with_redactor(report.redactor().clone())
                    .with_now(report.now())
                    .with_zone(report.zone().clone())
            }
            _ => return Named::default(),
        };
        let mut text = |key: &str, templates: &MessageTemplates| {
            settings.get(key)?;
            let rendered = templates.render(settings, &report);
            let Some(fault) = rendered.fault else {
                return Some(rendered.text);
            };
            // What is rendered then is a text for people.
            let what = format!("the event was sent without its {key}: the template failed");
            warnings.push(Error::new(ErrorKind::Template, what).with_source(fault));
            Some(String::new())
        };
        let environment = text("environment", &self.environment);
        let release = text("release", &self.release);
        let image = report.subject().failure().map_or("", |f| f.image.as_str());
        let mut cuts = Cuts::default();
        Named {
            environment: environment
                .as_deref()
                .and_then(|text| release::environment(text, &mut cuts)),
            release: match release {
                Some(text) => release::release(&text, &mut cuts),
                None => release::of_image(&report.redactor().redact(image), &mut cuts),
            },
            fingerprint: self
                .fingerprints
                .render(settings, &report, &mut cuts, warnings),
            cuts,
        }
    }

    /// The ends of the logs, as far as they are wanted and can be read.
    async fn logs(
        &self,
        report: &Report,
        settings: &Settings,
        warnings: &mut Vec<Error>,
    ) -> Vec<Attachment> {
        let most = settings.size("log_tail").unwrap_or(0).min(MAX_LOG_TAIL);
        let mut logs = Vec::new();
        if most == 0 {
            return logs;
        }
        let most = usize::try_from(most).unwrap_or(0);
        // At once: an agent that does not answer is waited for once.
        let (stdout, stderr) = join(
            report.log_tail("stdout", most),
            report.log_tail("stderr", most),
        )
        .await;
        for (log, tail) in [("stdout", stdout), ("stderr", stderr)] {
            match tail {
                Ok(Some(tail)) if !tail.bytes.is_empty() => logs.push(Attachment { log, tail }),
                Ok(_) => {}
                Err(e) => warnings.push(
                    Error::new(e.kind(), format!("the event was sent without {log}"))
                        .with_source(e),
                ),
            }
        }
        logs
    }

    /// Posts an envelope once. The number is that of its bytes, unpacked.
    async fn post(
        &self,
        http: &HttpClient,
        dsn: &Dsn,
        to: &Destination,
        envelope: &Envelope,
    ) -> (Result<(), Refusal>, usize) {
        let (body, size) = match envelope.pack(self.clock.now()) {
            Ok(packed) => packed,
            Err(e) => return (Err(Refusal::Error(e)), 0),
        };
        let sent = http
            .post(dsn.endpoint())
            .secret_url()
            .secret_header("X-Sentry-Auth", &dsn.auth())
            .header("Content-Encoding", "gzip")
            .body(CONTENT_TYPE, body)
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(e) => return (Err(Refusal::Error(e)), size),
        };
        let (verdict, quota) = read(&answer, &dsn.redactor());
        self.quotas.note(to, quota, self.clock.now());
        (verdict, size)
    }
}

fn dsn(settings: &Settings) -> Result<Dsn> {
    Dsn::parse(settings.require("dsn")?)
}

#[async_trait]
impl Reporter for SentryReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default().with_idempotent(true)
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        match settings.get("dsn") {
            Some(text) => Ok(Some(Dsn::parse(text)?.destination())),
            None => Ok(None),
        }
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let settings = opts.settings;
        let dsn = dsn(settings)?;
        let to = dsn.destination();
        let http = self.http.for_origin(settings.origin("dsn"));
        let left = self.quotas.left(&to, self.clock.now());
        if let Some(wait) = left.event {
            let text = format!(
                "{} wants no events for another {} s: nothing was sent",
                dsn.shown(),
                wait.as_secs_f64().ceil()
            );
            return Err(limited(text, wait));
        }
        let mut warnings = Vec::new();
        let mut attachments = self.logs(report, settings, &mut warnings).await;
        let named = self.named(report, settings, &mut warnings);
        let now = self.clock.now();
        let (event, cut) = Event::new(report, opts.id, settings, named, &attachments, now);
        warnings.extend(cut);
        if !attachments.is_empty() && left.attachment.is_some() {
            attachments.clear();
            warnings.push(Error::new(
                ErrorKind::RateLimited,
                "the event was sent without the logs: no attachments are wanted for now",
            ));
        }
        let mut envelope = Envelope { event, attachments };
        let (verdict, size) = self.post(&http, &dsn, &to, &envelope).await;
        match verdict {
            Ok(()) => {}
            Err(Refusal::Error(e)) => return Err(e),
            // Refused for its size, so certainly not taken: once more, smaller.
            Err(Refusal::Shrink(refused)) => {
                let Some(missing) = envelope.shrink(size)? else {
                    return Err(refused);
                };
                self.post(&http, &dsn, &to, &envelope).await.0?;
                warnings.push(
                    Error::new(
                        ErrorKind::TooLarge,
                        format!("the event was sent without {missing}"),
                    )
                    .with_source(refused),
                );
            }
        }
        let delivered = Delivered::with_id(envelope.event.event_id);
        let mut receipt = Receipt::default().and(dsn.shown(), Ok(delivered));
        receipt.warnings = warnings;
        Ok(receipt)
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    /// Checks the DSN and its address only: whatever is sent makes an event.
    async fn check(&self, settings: &Settings) -> Result<()> {
        self.http
            .for_origin(settings.origin("dsn"))
            .check_url(dsn(settings)?.endpoint())
    }
}

/// Sets up a [`SentryReporter`] without the notifier's engine.
///
/// ```
/// use notifier_sentry::SentryReporter;
/// let sentry = SentryReporter::builder()
///     .dsn("https://0123456789abcdef0123456789abcdef@sentry.example/8")
///     .environment("production")
///     .log_tail("64KiB")
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SentryReporterBuilder {
    settings: SettingsBuilder,
    http: Option<HttpClient>,
    clock: Arc<dyn Clock>,
}

impl SentryReporterBuilder {
    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The DSN of the project. It is a secret and never shown.
    pub fn dsn(self, dsn: &str) -> Self {
        self.set("dsn", dsn)
    }

    /// The template of the environment. Default [`DEFAULT_ENVIRONMENT`](crate::DEFAULT_ENVIRONMENT).
    pub fn environment(self, template: &str) -> Self {
        self.set("environment", template)
    }

    /// The template of the release. Default: `name@tag` of the container image.
    pub fn release(self, template: &str) -> Self {
        self.set("release", template)
    }

    /// How bad a failure is: `fatal`, `error`, `warning`, `info` or `debug`. Default `error`.
    pub fn level(self, level: &str) -> Self {
        self.set("level", level)
    }

    /// The logger. Default `notifiers`.
    pub fn logger(self, logger: &str) -> Self {
        self.set("logger", logger)
    }

    /// What events of one issue have in common. Default [`DEFAULT_FINGERPRINT`](crate::DEFAULT_FINGERPRINT).
    pub fn fingerprint(self, templates: &str) -> Self {
        self.set("fingerprint", templates)
    }

    /// How much of the end of each log is attached, such as `64KiB`. Default `0`, nothing.
    pub fn log_tail(self, size: &str) -> Self {
        self.set("log_tail", size)
    }

    /// The HTTP client. Default [`HttpClient::new`].
    pub fn http(mut self, client: HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// The clock that limits are counted by. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the reporter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::Template`] with the option's name.
    pub fn build(self) -> Result<SentryReporter> {
        let http = HttpClient::or_new(self.http)?;
        Ok(SentryReporter::new(&self.settings.build()?, http)?.with_clock(self.clock))
    }
}

/// Makes a [`SentryReporter`] out of settings.
#[derive(Clone, Debug, Default)]
pub struct SentryFactory {
    http: Option<HttpClient>,
}

impl SentryFactory {
    /// A factory whose reporters share this client. [`Default`] makes a new client for each.
    pub fn new(http: HttpClient) -> Self {
        Self { http: Some(http) }
    }
}

impl ReporterFactory for SentryFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        let http = HttpClient::or_new(self.http.clone())?;
        Ok(Arc::new(SentryReporter::new(settings, http)?))
    }
}
