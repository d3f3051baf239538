//! The reporter.

use std::sync::Arc;

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, Clock, DEFAULT_INSTANCE, Destination, Error, ErrorKind, Links,
    Markup, MessageTemplates, Origin, Receipt, Reconciled, Report, ReportOptions, Reporter,
    ReporterExt as _, Result, Settings, Subject, SystemClock,
};
use notifier_http::HttpClient;

use crate::{
    COLORS, DEFAULT_COLOR, DEFAULT_FORMAT, DEFAULT_TEXT_FORMAT, HipchatReporterBuilder, OPTIONS,
    SCHEME,
    address::{Address, check_all},
    card::card,
    error::{is_form, read},
    payload::{Format, MAX_MESSAGE, Payload, sender},
    rate::{Limits, Windows},
};

/// Posts reports to rooms of HipChat, as room notifications of its API version 2.
///
/// HipChat has no way to ask whether a message arrived, and none to recognise a second one:
/// after an answer that was lost, a second message is possible.
#[derive(Debug)]
pub struct HipchatReporter {
    http: HttpClient,
    own: BackendSettings,
    settings: Settings,
    html: MessageTemplates,
    text: MessageTemplates,
    /// What plain text has in place of [`DEFAULT_FORMAT`].
    text_default: Settings,
    color: MessageTemplates,
    from: MessageTemplates,
    card: MessageTemplates,
    windows: Windows,
}

impl HipchatReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> HipchatReporterBuilder {
        HipchatReporterBuilder::new()
    }

    /// A reporter of these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Template`] if a template cannot be compiled, [`ErrorKind::Config`] if an
    /// address cannot be used.
    pub fn new(settings: &BackendSettings, http: HttpClient) -> Result<Self> {
        check_all(settings)?;
        let compile = |key, markup| MessageTemplates::compile(settings, key, markup);
        let mut text_default = BackendSettings::new(OPTIONS);
        text_default.set(Origin::Flag, "format", DEFAULT_TEXT_FORMAT)?;
        Ok(Self {
            http,
            html: compile("format", Markup::Html)?,
            text: compile("format", Markup::Plain)?,
            text_default: text_default.instance(DEFAULT_INSTANCE),
            color: compile("color", Markup::Plain)?,
            from: compile("from", Markup::Plain)?,
            card: compile("card", Markup::Plain)?,
            settings: settings.instance(DEFAULT_INSTANCE),
            own: settings.clone(),
            windows: Windows::new(Arc::new(SystemClock)),
        })
    }

    /// Sets the clock that the times of HipChat's rate limits are compared with. Default
    /// [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.windows = Windows::new(clock);
        self
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`]; [`ErrorKind::Config`] without a token or a room.
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.send_once(report, &self.settings).await
    }

    /// The message within HipChat's limit, and what went less than well with it.
    fn message(
        &self,
        settings: &Settings,
        report: &Report,
        warnings: &mut Vec<Error>,
    ) -> (Format, String) {
        let format = Format::of(settings.text("message_format"));
        let rendered = match format {
            Format::Html => self.html.render(settings, report),
            Format::Text if settings.text("format") == DEFAULT_FORMAT => {
                self.text.render(&self.text_default, report)
            }
            Format::Text => self.text.render(settings, report),
        };
        let mut text = rendered.text;
        if format == Format::Html {
            if rendered.fault.is_some() {
                // Lines of its own, which HTML has none of.
                text = text.trim_end().replace('\n', "<br>");
            }
            link(&mut text, report);
        }
        warnings.extend(rendered.fault);
        let built_in = || {
            let summary = report.redactor().redact(&report.summary()).into_owned();
            match format {
                Format::Html => Markup::Html.escape(&summary),
                Format::Text => summary,
            }
        };
        let text = format.tidy(&text).unwrap_or_else(|| {
            warnings.push(Error::new(
                ErrorKind::Template,
                "hipchat.format gave an empty message; the built-in text was sent",
            ));
            built_in()
        });
        match format.cut(&text) {
            Some((short, 0)) => (format, short.into_owned()),
            Some((short, missing)) => {
                warnings.push(Error::new(
                    ErrorKind::TooLarge,
                    format!(
                        "the message was cut by {missing} characters to hipchat's {MAX_MESSAGE}"
                    ),
                ));
                (format, short.into_owned())
            }
            None => {
                warnings.push(Error::new(
                    ErrorKind::TooLarge,
                    format!("nothing of the message fits into hipchat's {MAX_MESSAGE} characters; the built-in text was sent"),
                ));
                (format, built_in())
            }
        }
    }

    /// The colour: that of the template, as long as there is a failure to show it.
    fn color(
        &self,
        settings: &Settings,
        report: &Report,
        warnings: &mut Vec<Error>,
    ) -> &'static str {
        let Some(shown) = example(report) else {
            return match report.subject() {
                Subject::Recovery(_) => "green",
                _ => DEFAULT_COLOR,
            };
        };
        let rendered = self.color.render(settings, &shown);
        if let Some(fault) = rendered.fault {
            warnings.push(fault);
            return DEFAULT_COLOR;
        }
        let word = rendered.text.trim();
        let found = COLORS.iter().find(|c| c.eq_ignore_ascii_case(word));
        if found.is_none() && !word.is_empty() {
            warnings.push(Error::new(
                ErrorKind::Template,
                format!(
                    "hipchat.color gave none of {}; {DEFAULT_COLOR} was taken",
                    COLORS.join(", ")
                ),
            ));
        }
        found.unwrap_or(&DEFAULT_COLOR)
    }

    /// The name to send with, empty for the token's own.
    fn from(&self, settings: &Settings, report: &Report, warnings: &mut Vec<Error>) -> String {
        let template = settings.text("from");
        let Some(shown) = example(report) else {
            // There is no failure for a template to show.
            return match template.contains("{{") {
                true => String::new(),
                false => sender(template),
            };
        };
        let rendered = self.from.render(settings, &shown);
        match rendered.fault {
            Some(fault) => {
                warnings.push(fault);
                String::new()
            }
            None => sender(&rendered.text),
        }
    }

    async fn post(&self, route: &Route<'_>, payload: &Payload<'_>) -> Result<Option<Error>> {
        let answer = route
            .http
            .post(&route.address.url)
            .bearer(&route.settings.secret("token").unwrap_or_default())
            .json(payload)
            .send()
            .await?;
        let limits = Limits::read(|name| answer.header(name), self.windows.now());
        // A refusal tells of limits too, and of more than this room's.
        self.windows.note(&route.token, &route.room, &limits);
        read(&answer, limits.wait())
    }
}

/// Where one report goes.
struct Route<'a> {
    settings: &'a Settings,
    address: Address,
    http: HttpClient,
    /// What stands for the token, and for the room of it, in the windows.
    token: String,
    room: String,
}

impl<'a> Route<'a> {
    fn of(reporter: &HipchatReporter, settings: &'a Settings) -> Result<Self> {
        let address = Address::read(settings, &reporter.own)?;
        let parts = [settings.text("base_url"), settings.text("token")];
        Ok(Self {
            http: match address.guest {
                true => reporter.http.guarded(),
                false => reporter.http.clone(),
            },
            token: Destination::new(SCHEME, parts, "").as_str().to_owned(),
            room: destination(settings)
                .map(|d| d.as_str().to_owned())
                .unwrap_or_default(),
            settings,
            address,
        })
    }
}

fn destination(settings: &Settings) -> Option<Destination> {
    let parts = [
        settings.get("base_url")?,
        settings.get("token")?,
        settings.get("room")?,
    ];
    Some(Destination::new(SCHEME, parts, parts[2]))
}

/// The room as it may be shown.
fn target(settings: &Settings) -> String {
    let room = settings.text("room").chars();
    room.filter(|c| !c.is_control()).take(60).collect()
}

/// A report for templates other than the message's: of the failure, or of the one that a
/// digest has for an example. What is missing of its logs is the message's to say.
fn example(report: &Report) -> Option<Report> {
    let links = Links::new(&*report.links().stdout, &*report.links().stderr);
    match report.subject() {
        Subject::Failure(_) => Some(report.clone().with_links(links)),
        Subject::Digest(d) => {
            let whole = report.clone();
            Some(
                Report::failure(d.example.clone())
                    .with_links(links)
                    .with_config(move |key| whole.config(key))
                    .with_redactor(report.redactor().clone())
                    .with_now(report.now())
                    .with_zone(report.zone().clone()),
            )
        }
        _ => None,
    }
}

/// Makes links of the addresses in a digest's text: clients look for none in HTML.
fn link(text: &mut String, report: &Report) {
    if !matches!(report.subject(), Subject::Digest(_)) {
        return;
    }
    for (url, name) in [
        (&report.links().stdout, "stdout"),
        (&report.links().stderr, "stderr"),
    ] {
        let web = url.starts_with("http://") || url.starts_with("https://");
        let shown = format!(" {}", Markup::Html.escape(url));
        if let (true, Some(at)) = (web, text.rfind(&shown)) {
            let link = format!(" <a href=\"{}\">{name}</a>", shown.trim_start());
            text.replace_range(at..at + shown.len(), &link);
        }
    }
}

#[async_trait]
impl Reporter for HipchatReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default()
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        Ok(destination(settings))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let settings = opts.settings;
        let route = Route::of(self, settings)?;
        if let Some(rest) = self.windows.wait(&route.token, &route.room) {
            return Err(Error::new(
                ErrorKind::RateLimited,
                "hipchat said that no more messages may be sent now",
            )
            .with_retry_after(rest));
        }
        let mut warnings = Vec::new();
        let (message_format, message) = self.message(settings, report, &mut warnings);
        let from = self.from(settings, report, &mut warnings);
        let mut payload = Payload {
            message_format,
            color: self.color(settings, report, &mut warnings),
            notify: settings.bool("notify"),
            message: &message,
            from: &from,
            card: None,
        };
        if let (Some(_), Subject::Failure(_), Some(shown)) =
            (settings.get("card"), report.subject(), example(report))
        {
            let rendered = self.card.render(settings, &shown);
            let made = match rendered.fault {
                Some(fault) => Err(fault),
                None => card(&rendered.text, opts.id),
            };
            match made {
                Ok(made) => payload.card = made,
                Err(e) => warnings.push(e),
            }
        }
        match self.post(&route, &payload).await {
            Ok(strange) => warnings.extend(strange),
            // Refused for its form, so certainly not posted: once more without the card.
            Err(refused) if payload.card.is_some() && is_form(&refused) => {
                payload.card = None;
                warnings.extend(self.post(&route, &payload).await?);
                warnings.push(
                    Error::new(ErrorKind::Rejected, "the message was sent without its card")
                        .with_source(refused),
                );
            }
            Err(e) => return Err(e),
        }
        let mut receipt = Receipt::delivered(target(settings));
        receipt.warnings = warnings;
        Ok(receipt)
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    /// Checks address, room and whose token goes where: a room's token can do nothing but post.
    async fn check(&self, settings: &Settings) -> Result<()> {
        let route = Route::of(self, settings)?;
        route.http.check_url(&route.address.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_address_token_or_room_is_not_configured() {
        for (base, token, room, yes) in [
            ("http://h/", "T", "a", true),
            ("", "T", "a", false),
            ("http://h/", "", "a", false),
            ("http://h/", "T", "", false),
        ] {
            let r = HipchatReporter::builder()
                .base_url(base)
                .token(token)
                .room(room)
                .build()
                .unwrap();
            assert_eq!(r.destination(r.settings()).unwrap().is_some(), yes);
        }
    }

    #[test]
    fn the_destination_tells_rooms_apart_and_hides_the_token() {
        let to = |base: &str, token: &str, room: &str| {
            let r = HipchatReporter::builder()
                .base_url(base)
                .token(token)
                .room(room)
                .build()
                .unwrap();
            let d = r.destination(r.settings()).unwrap().unwrap();
            assert!(!format!("{r:?} {d}").contains("s3cret"));
            d
        };
        let a = to("http://h/", "s3cret", "ops");
        assert!(a.as_str().starts_with("hipchat:ops:"), "{a}");
        assert_eq!(a, to("http://h/", "s3cret", "ops"));
        for other in [
            to("http://i/", "s3cret", "ops"),
            to("http://h/", "s3cret2", "ops"),
            to("http://h/", "s3cret", "dev"),
        ] {
            assert_ne!(a, other);
        }
    }

    #[test]
    fn what_cannot_work_stops_the_start() {
        let built = |b: HipchatReporterBuilder| b.build().unwrap_err();
        let b = HipchatReporter::builder;
        let e = built(b().base_url("http://u:s3cret@h/"));
        assert!(e.to_string().starts_with("hipchat.base_url: "), "{e}");
        for e in [
            built(b().color("{{")),
            built(b().from("{{ x }}")),
            built(b().card("{{ end }}")),
        ] {
            assert_eq!(e.kind(), ErrorKind::Template);
        }
    }
}
