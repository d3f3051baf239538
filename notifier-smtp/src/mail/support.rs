//! What the tests of mails share.

use mail_parser::{Message, MessageParser};
use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, Origin, Report, ReportOptions, Result, Settings,
    jiff::Timestamp,
};

use super::{Composer, Mail};
use crate::OPTIONS;

/// Settings of a sender and these.
pub(super) fn settings(values: &[(&str, &str)]) -> BackendSettings {
    let mut settings = BackendSettings::new(OPTIONS);
    settings
        .set(Origin::Flag, "from", "Alerts <alerts@example.com>")
        .unwrap();
    for (key, value) in values {
        settings.set(Origin::Flag, key, value).unwrap();
    }
    settings
}

/// The mail of a report, as the default instance sends it.
pub(super) fn compose(report: &Report, values: &[(&str, &str)]) -> Result<Mail> {
    let settings = settings(values);
    let instance = settings.instance("default");
    compose_as(report, &settings, &instance, None)
}

pub(super) fn compose_as(
    report: &Report,
    settings: &BackendSettings,
    instance: &Settings,
    largest: Option<usize>,
) -> Result<Mail> {
    let composer = Composer::new(settings)?;
    let id = DeliveryId::new("0123456789abcdef0123456789abcdef");
    let options = ReportOptions::new(&id, instance);
    block_on(composer.compose(report, &options, largest))
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// The failure of chronos.md's own example.
pub(super) fn nightly() -> FailureRecord {
    let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let id = "ct:1767323040000:0:nightly-report:";
    let mut failure = FailureRecord::new(id, "nightly-report", "TASK_FAILED", at);
    failure.owners = vec!["owner@example.com".to_owned()];
    failure
}

pub(super) fn parse(mail: &Mail) -> Message<'_> {
    MessageParser::default().parse(&mail.data).unwrap()
}

/// The text of a mail with line feeds for its line breaks.
pub(super) fn text(mail: &Mail) -> String {
    let parsed = parse(mail);
    let text = parsed.body_text(0).unwrap_or_default();
    text.replace("\r\n", "\n")
}

/// The names of a mail's header fields.
pub(super) fn names(mail: &Mail) -> Vec<String> {
    let whole = String::from_utf8_lossy(&mail.data);
    let headers = whole.split("\r\n\r\n").next().unwrap_or_default();
    let lines = headers
        .split("\r\n")
        .filter(|l| !l.starts_with([' ', '\t']));
    lines
        .map(|line| line.split(':').next().unwrap_or_default().to_owned())
        .collect()
}
