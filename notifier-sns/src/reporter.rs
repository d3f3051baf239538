//! Publishing.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sns::{
    error::{ProvideErrorMetadata, SdkError},
    types::MessageAttributeValue,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use notifier_core::{
    BackendSettings, Capability, Clock, Delivered, Destination, Document, Error, ErrorKind, Markup,
    MessageTemplates, OptionGroup, Receipt, Reconciled, Report, ReportOptions, Reporter,
    ReporterExt as _, ReporterFactory, Result, Settings, Subject, SystemClock,
};
use tracing::{Dispatch, instrument::WithSubscriber as _};

use crate::{
    OPTIONS, SCHEME,
    attributes::{self, AttributeTemplates},
    builder::SnsReporterBuilder,
    error, fifo,
    link::{Access, Link, Links},
    options::Body,
    payload::{MAX_SIZE, Parts},
    subject::subject,
    text::taken,
    topic::Topic,
};

/// Publishes reports to topics of Amazon SNS.
///
/// A standard topic cannot be asked whether a message arrived, and does not recognise a second
/// one: after an answer that was lost, a second message is possible. A FIFO topic drops it for
/// five minutes.
#[derive(Debug)]
pub struct SnsReporter {
    links: Links,
    format: MessageTemplates,
    sms: MessageTemplates,
    subject: MessageTemplates,
    group: MessageTemplates,
    attributes: AttributeTemplates,
    settings: Settings,
    patience: Duration,
}

/// How often keys are got and the message is sent at most, by [`Mended`], and what else takes time.
const TRIES: u32 = 3;
const MARGIN: Duration = Duration::from_secs(10);

/// What is published.
struct Message {
    subject: Option<String>,
    message: String,
    is_structured: bool,
    attributes: attributes::Attributes,
    /// Group and id, in a FIFO topic.
    fifo: Option<(String, String)>,
}

impl SnsReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> SnsReporterBuilder {
        SnsReporterBuilder::new()
    }

    /// A reporter of these settings, on this clock. Asks nobody: keys are looked for when the
    /// first message is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Template`] if a template cannot be compiled, [`ErrorKind::Config`] if another
    /// value makes no sense.
    pub fn new(settings: &BackendSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut patience = Duration::ZERO;
        for instance in settings.instances() {
            let s = settings.instance(instance);
            let region = match s.get("topic") {
                Some(arn) => Topic::parse(arn)?.region,
                None => "",
            };
            let access = Access::read(&s, region)?;
            patience = patience.max(access.timeout * 2 * TRIES + MARGIN);
        }
        let compile = |key| MessageTemplates::compile(settings, key, Markup::Plain);
        Ok(Self {
            links: Links::new(clock),
            format: compile("format")?,
            sms: compile("sms")?,
            subject: compile("subject")?,
            group: compile("group")?,
            attributes: AttributeTemplates::compile(settings)?,
            settings: settings.instance(notifier_core::DEFAULT_INSTANCE),
            patience,
        })
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`]; [`ErrorKind::Config`] without a topic.
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.settings.require("topic")?;
        self.send_once(report, &self.settings).await
    }

    /// The text for people, and what went less than well with it.
    fn text(&self, report: &Report, settings: &Settings) -> (String, Vec<Error>) {
        let mut warnings = Vec::new();
        let rendered = self.format.render(settings, report);
        warnings.extend(rendered.fault);
        let text = taken(&rendered.text);
        if !text.trim().is_empty() {
            return (text.into_owned(), warnings);
        }
        warnings.push(Error::new(
            ErrorKind::Template,
            "sns.format gave an empty message; the built-in text was sent",
        ));
        (
            report.redactor().redact(&report.summary()).into_owned(),
            warnings,
        )
    }

    fn message(
        &self,
        report: &Report,
        opts: &ReportOptions<'_>,
        topic: &Topic<'_>,
    ) -> (Message, Vec<Error>) {
        let settings = opts.settings;
        let (text, mut warnings) = self.text(report, settings);
        let example = example(report);
        // Of a digest its own words: the example alone would look like one more failure.
        let sms = settings.get("sms").and_then(|_| {
            let rendered = self.sms.render(settings, report);
            warnings.extend(rendered.fault);
            Some(rendered.text).filter(|t| !taken(t).trim().is_empty())
        });
        let subject = self.subject_line(report, settings, &mut warnings);
        let (attributes, faults) =
            self.attributes
                .render(settings, opts.id, report.subject(), example.as_ref());
        warnings.extend(faults);
        let fifo = topic.is_fifo().then(|| {
            let group = example.as_ref().map(|r| self.group.render(settings, r));
            let group = match group {
                Some(g) if g.fault.is_none() => fifo::group(&g.text),
                Some(g) => {
                    warnings.extend(g.fault);
                    fifo::group(report.subject().failure().map_or("", |f| &f.name))
                }
                None => fifo::group(""),
            };
            (group, fifo::dedup(opts.id, report.subject()))
        });
        let around = attributes::size(&attributes) + subject.as_ref().map_or(0, String::len);
        let payload = Parts {
            body: Body::of(settings.text("body")),
            text,
            sms,
            document: Document::of(report, opts.id, ""),
        }
        .fit(MAX_SIZE - around);
        if !payload.left_out.is_empty() {
            warnings.push(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the message is larger than sns takes; left out: {}",
                    payload.left_out.join(", ")
                ),
            ));
        }
        let message = Message {
            subject,
            message: payload.message,
            is_structured: payload.is_structured,
            attributes,
            fifo,
        };
        (message, warnings)
    }

    fn subject_line(
        &self,
        report: &Report,
        settings: &Settings,
        warnings: &mut Vec<Error>,
    ) -> Option<String> {
        settings.get("subject")?;
        let Subject::Failure(_) = report.subject() else {
            return subject(&report.redactor().redact(&report.summary()));
        };
        let rendered = self.subject.render(settings, report);
        match rendered.fault {
            None => subject(&rendered.text),
            Some(fault) => {
                warnings.push(fault);
                subject(&report.redactor().redact(&report.summary()))
            }
        }
    }

    /// Publishes; after an answer that a right clock or new keys may change, once more. Tells the
    /// message's id.
    async fn publish(
        &self,
        link: &Link,
        topic: &Topic<'_>,
        message: Message,
        warnings: &mut Vec<Error>,
    ) -> Result<String> {
        let mut request = link
            .client
            .publish()
            .topic_arn(topic.arn)
            .message(message.message)
            .set_subject(message.subject);
        for (name, value) in message.attributes {
            let value = MessageAttributeValue::builder()
                .data_type(attributes::STRING)
                .string_value(value)
                .build()
                .map_err(|e| Error::internal("an attribute without a type").with_source(e))?;
            request = request.message_attributes(name, value);
        }
        if message.is_structured {
            request = request.message_structure("json");
        }
        if let Some((group, id)) = message.fifo {
            request = request.message_group_id(group).message_deduplication_id(id);
        }
        let mut mended = Mended::default();
        let answer = loop {
            link.keys.ready().await?;
            match request.clone().send().await {
                Err(e) if mended.by(link, &e).await => {}
                answer => break answer,
            }
        };
        if mended.clock {
            warnings.push(Error::new(
                ErrorKind::Unavailable,
                "this machine's clock is not that of sns, by which messages are signed",
            ));
        }
        answer
            .map_err(|e| error::request(topic.arn, &e, &link.keys))?
            .message_id
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidResponse,
                    format!("an answer without an id for topic {}", topic.arn),
                )
            })
    }

    async fn link(&self, settings: &Settings, topic: &Topic<'_>) -> Result<Arc<Link>> {
        Ok(self.links.get(Access::read(settings, topic.region)?).await)
    }

    async fn send_message(
        &self,
        settings: &Settings,
        topic: &Topic<'_>,
        message: Message,
        warnings: &mut Vec<Error>,
    ) -> Result<String> {
        let link = self.link(settings, topic).await?;
        self.publish(&link, topic, message, warnings).await
    }

    /// Asks for the topic's attributes.
    async fn ask(&self, settings: &Settings, topic: &Topic<'_>) -> Result<()> {
        let link = self.link(settings, topic).await?;
        let mut mended = Mended::default();
        loop {
            link.keys.ready().await?;
            let request = link.client.get_topic_attributes().topic_arn(topic.arn);
            match request.send().await {
                Ok(_) => return Ok(()),
                Err(e) if mended.by(&link, &e).await => {}
                Err(e) if error::is_denied(&e) => return Ok(()),
                Err(e) => return Err(error::request(topic.arn, &e, &link.keys)),
            }
        }
    }
}

/// What was mended after an answer, each at most once for a request.
#[derive(Debug, Default)]
struct Mended {
    clock: bool,
    keys: bool,
}

impl Mended {
    /// Whether the same request may be taken now: the service said that the time is another and
    /// told its own, or that the keys have expired, and there may be new ones.
    async fn by<E: ProvideErrorMetadata>(
        &mut self,
        link: &Link,
        e: &SdkError<E, HttpResponse>,
    ) -> bool {
        if !self.clock && error::other_time(e).is_some_and(|t| link.clock.set_by(t)) {
            self.clock = true;
            return true;
        }
        if !self.keys && link.keys.can_change() && error::is_expired(e) {
            self.keys = true;
            link.keys.forget().await;
            return true;
        }
        false
    }
}

/// The failure that it is about, or is an example of, as a report with the same secrets and labels.
fn example(report: &Report) -> Option<Report> {
    match report.subject() {
        Subject::Failure(_) => Some(report.clone()),
        Subject::Digest(d) => {
            let labels = report.clone();
            Some(
                Report::failure(d.example.clone())
                    .with_links(report.links().clone())
                    .with_config(move |key| labels.config(key))
                    .with_redactors(report.redactor().clone(), report.text_redactor().clone())
                    .with_now(report.now())
                    .with_zone(report.zone().clone()),
            )
        }
        _ => None,
    }
}

#[async_trait]
impl Reporter for SnsReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default().with_patience(self.patience)
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        let Some(arn) = settings.get("topic") else {
            return Ok(None);
        };
        let topic = Topic::parse(arn)?;
        let parts = [
            arn,
            settings.text("endpoint"),
            settings.text("profile"),
            settings.text("access_key"),
        ];
        Ok(Some(Destination::new(SCHEME, parts, topic.name)))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let topic = Topic::parse(opts.settings.require("topic")?)?;
        let (message, mut warnings) = self.message(report, opts, &topic);
        // The SDK writes what it signs and sends into its own logs, tokens included.
        let id = self
            .send_message(opts.settings, &topic, message, &mut warnings)
            .with_subscriber(Dispatch::none())
            .await?;
        let mut receipt = Receipt::default().and(topic.name, Ok(Delivered::with_id(id)));
        receipt.warnings = warnings;
        Ok(receipt)
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    /// Asks for the topic's attributes, which shows that the keys are good and the topic is there. Keys that may
    /// do nothing but publish are refused that, and pass: whether they may publish shows when they do.
    async fn check(&self, settings: &Settings) -> Result<()> {
        let topic = Topic::parse(settings.require("topic")?)?;
        self.ask(settings, &topic)
            .with_subscriber(Dispatch::none())
            .await
    }
}

/// Makes an [`SnsReporter`] out of settings.
#[derive(Clone, Debug)]
pub struct SnsFactory {
    clock: Arc<dyn Clock>,
}

impl Default for SnsFactory {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl SnsFactory {
    /// A factory whose reporters sign by this clock. [`Default`] takes the machine's.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl ReporterFactory for SnsFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        let reporter = SnsReporter::new(settings, Arc::clone(&self.clock))?;
        Ok(Arc::new(reporter))
    }
}
