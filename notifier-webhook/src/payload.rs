//! What is sent: a body in the form that the settings ask for.

use notifier_core::{
    BackendSettings, DeliveryId, Document, DocumentSubject, Error, ErrorKind, FailureRecord,
    Markup, MessageTemplates, Report, ReportOptions, Result, Settings,
};
use serde::de::IgnoredAny;

use crate::{
    alertmanager::Group,
    cloudevents::Event,
    fit::{self, MAX_BODY},
    headers::is_value,
};

const JSON: &str = "application/json; charset=utf-8";
const CLOUDEVENT: &str = "application/cloudevents+json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// How much of a log is read for a template that shows it, in bytes.
const LOG: usize = 16 * 1024;

/// A body, and what goes with it.
pub(crate) struct Payload {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    /// What went less than well with it.
    pub(crate) warnings: Vec<Error>,
}

/// The templates of all instances.
#[derive(Debug)]
pub(crate) struct Templates {
    format: MessageTemplates,
    body: MessageTemplates,
}

impl Templates {
    pub(crate) fn compile(settings: &BackendSettings) -> Result<Self> {
        let compile = |key| MessageTemplates::compile(settings, key, Markup::Plain);
        Ok(Self {
            format: compile("format")?,
            body: compile("template")?,
        })
    }

    /// The body of a report. There always is one: where a template fails, the document goes in its place.
    pub(crate) async fn payload(
        &self,
        report: &Report,
        opts: &ReportOptions<'_>,
        is_guest: bool,
    ) -> Result<Payload> {
        let settings = opts.settings;
        let mut warnings = Vec::new();
        let shows_log = ["format", "template"]
            .into_iter()
            .any(|key| MessageTemplates::mentions(settings.text(key), "logTail"));
        let with_log = match shows_log {
            true => Some(with_log(report, &mut warnings).await),
            false => None,
        };
        let report = with_log.as_ref().unwrap_or(report);
        let text = self.text(report, settings, &mut warnings);
        let document = Document::of(report, opts.id, text.as_str());
        let mut payload = match settings.text("body") {
            "text" => {
                let (text, missing) = fit::text(&text, MAX_BODY);
                warnings.extend(fit::warning(missing));
                Payload {
                    body: text.into_bytes(),
                    content_type: content_type(settings, TEXT),
                    headers: Vec::new(),
                    warnings: Vec::new(),
                }
            }
            "template" => match self.whole(report, settings, &document, is_guest) {
                Ok(payload) => payload,
                Err(fault) => {
                    let why = fault.to_string();
                    let why = report.redactor().redact(&why);
                    let text = format!("{text}\n(the template failed: {why})");
                    let document = Document::of(report, opts.id, text);
                    warnings.push(fault);
                    json(&document, JSON.to_owned(), Vec::new())?
                }
            },
            "alertmanager" => {
                let group = Group::of(report, failure(&document), &text, settings.instance());
                json(&group, content_type(settings, JSON), Vec::new())?
            }
            "cloudevents" => event(report, opts.id, &document, settings)?,
            _ => json(&document, content_type(settings, JSON), Vec::new())?,
        };
        warnings.append(&mut payload.warnings);
        payload.warnings = warnings;
        Ok(payload)
    }

    /// The message for people, which is never empty.
    fn text(&self, report: &Report, settings: &Settings, warnings: &mut Vec<Error>) -> String {
        let rendered = self.format.render(settings, report);
        warnings.extend(rendered.fault);
        let text = rendered.text.replace('\0', "");
        match text.trim_end() {
            "" => {
                warnings.push(Error::new(
                    ErrorKind::Template,
                    "webhook.format gave an empty message; the built-in text was sent",
                ));
                report
                    .text_redactor()
                    .redact(&report.summary())
                    .into_owned()
            }
            text => text.to_owned(),
        }
    }

    /// What `webhook.template` makes of a report.
    fn whole(
        &self,
        report: &Report,
        settings: &Settings,
        document: &Document,
        is_guest: bool,
    ) -> Result<Payload> {
        let fault =
            |why: String| Error::new(ErrorKind::Template, format!("webhook.template {why}"));
        if settings.get("template").is_none() {
            return Err(fault("is not set, and webhook.body asks for it".to_owned()));
        }
        let rendered = self.body.render(settings, &shown(report, document));
        if let Some(fault) = rendered.fault {
            return Err(fault);
        }
        let mut text = rendered.text;
        if is_guest {
            // The template is the operator's, the address is not.
            text = report.text_redactor().redact(&text).into_owned();
        }
        let content_type = content_type(settings, JSON);
        if text.len() > MAX_BODY {
            return Err(fault(format!("gave more than {MAX_BODY} bytes")));
        }
        if is_json(&content_type)
            && let Err(e) = serde_json::from_str::<IgnoredAny>(&text)
        {
            // Its place is told only: the text may be anything.
            return Err(fault(format!(
                "gave no JSON (line {}, column {})",
                e.line(),
                e.column()
            )));
        }
        Ok(Payload {
            body: text.into_bytes(),
            content_type,
            headers: Vec::new(),
            warnings: Vec::new(),
        })
    }
}

/// Checks `webhook.content_type`, and that a template is there where one is asked for.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    if let Some(kind) = settings.get("content_type")
        && !(is_value(kind)
            && kind
                .split(';')
                .next()
                .is_some_and(|k| k.trim().contains('/')))
    {
        return Err(Error::config(format!(
            "webhook.content_type: {kind:?} is no type, such as application/json"
        )));
    }
    match settings.text("body") == "template" && settings.get("template").is_none() {
        true => Err(Error::config(
            "webhook.body is template, and webhook.template is not set",
        )),
        false => Ok(()),
    }
}

fn content_type(settings: &Settings, usual: &str) -> String {
    settings.get("content_type").unwrap_or(usual).to_owned()
}

/// True for JSON and for what is JSON beneath, as RFC 6839 names it.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind.ends_with("/json") || kind.ends_with("+json")
}

fn json(
    value: &impl serde::Serialize,
    content_type: String,
    headers: Vec<(String, String)>,
) -> Result<Payload> {
    let (body, missing) = fit::json(value, MAX_BODY)?;
    Ok(Payload {
        body,
        content_type,
        headers,
        warnings: fit::warning(missing).into_iter().collect(),
    })
}

fn event(
    report: &Report,
    id: &DeliveryId,
    document: &Document,
    settings: &Settings,
) -> Result<Payload> {
    let event = Event::of(report, id, document);
    match settings.text("mode") {
        "binary" => json(document, content_type(settings, JSON), event.headers()),
        _ => json(&event, content_type(settings, CLOUDEVENT), Vec::new()),
    }
}

/// The failure that a document has in it, masked.
fn failure(document: &Document) -> Option<&FailureRecord> {
    match &document.subject {
        DocumentSubject::Failure { failure, .. } => Some(failure),
        DocumentSubject::Digest { digest, .. } => Some(&digest.example),
        _ => None,
    }
}

/// A report as `webhook.template` sees it: everything is a failure, with the message in its details. It was masked
/// when the document was made; once more would break links in the message, where a signed one names its key.
fn shown(report: &Report, document: &Document) -> Report {
    let failure = document.clone().into_failure();
    let failure = failure.with_detail("text", document.text.as_str());
    let mut links = report.links().clone();
    links.missing = document.logs_missing.clone();
    let whole = report.clone();
    Report::failure(failure)
        .with_links(links)
        .with_config(move |key| whole.config(key))
        .with_log_lines(report.log_lines())
        .with_now(report.now())
        .with_zone(report.zone().clone())
}

/// The report with the end of its log of errors, or of its output if there is none.
async fn with_log(report: &Report, warnings: &mut Vec<Error>) -> Report {
    for name in ["stderr", "stdout"] {
        match report.log_tail(name, LOG).await {
            Ok(Some(tail)) if !tail.bytes.is_empty() => {
                let lines = String::from_utf8_lossy(&tail.bytes);
                return report.clone().with_log_lines(lines.trim_end());
            }
            Ok(_) => {}
            Err(e) => warnings.push(e),
        }
    }
    report.clone()
}

#[cfg(test)]
mod tests;
