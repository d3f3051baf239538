//! The event: what Sentry shows of a report.
//!
//! Fields as of develop.sentry.dev (event payloads), read 2026.

use std::collections::{BTreeMap, BTreeSet};

use notifier_core::{
    Concern, DeliveryId, Digest, Error, ErrorKind, FailureKey, FailureRecord, Notice, Report,
    Result, Settings, Subject,
    jiff::Timestamp,
    redact::{self, Redactor},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    envelope::Attachment,
    limits::{
        Cuts, EXTRA, EXTRAS, FINGERPRINT, LABEL, LAST_LINES, LONG_TEXT, MAX_MESSAGE, NAME, NAMES,
        SHORT_MESSAGE, SHORT_TEXT, TAG, cut, cut_json, end_json, json_len, one_line, plain,
    },
};

/// What `extra` holds of a label begins with this.
const LABELS: &str = "labels.";
/// What stays of `extra` in the smallest form.
const TASK_ID: &str = "task.id";

/// Who made an event.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sdk {
    name: &'static str,
    version: &'static str,
}

impl Sdk {
    pub(crate) const OURS: Self = Self {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
    };
}

#[derive(Debug, Serialize)]
struct LogEntry {
    formatted: String,
}

/// An event within the limits.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    pub(crate) event_id: String,
    timestamp: String,
    platform: &'static str,
    level: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    logger: String,
    logentry: LogEntry,
    #[serde(skip_serializing_if = "String::is_empty")]
    server_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    tags: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    contexts: BTreeMap<&'static str, Map<String, Value>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fingerprint: Vec<String>,
    sdk: Sdk,
}

/// What templates and settings say about an event.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) fingerprint: Vec<String>,
    /// What of these was cut.
    pub(crate) cuts: Cuts,
}

impl Event {
    /// The event of a report, and a warning if something had to be cut or left out.
    pub(crate) fn new(
        report: &Report,
        id: &DeliveryId,
        settings: &Settings,
        named: Named,
        logs: &[Attachment],
        now: Timestamp,
    ) -> (Self, Option<Error>) {
        let mut maker = Maker::new(report, named.cuts);
        let level = match report.subject() {
            Subject::Recovery(_) => "info",
            _ => settings.get("level").unwrap_or("error"),
        };
        let at = match report.subject() {
            Subject::Failure(f) => f.finished,
            Subject::Digest(d) => d.last,
            Subject::Notice(n) => n.since,
            _ => report.now(),
        };
        let logger = maker.name("logger", settings.text("logger"));
        let mut event = Self {
            event_id: event_id(id),
            timestamp: format!(
                "{:.3}",
                at.clamp(Timestamp::UNIX_EPOCH, now.max(Timestamp::UNIX_EPOCH))
            ),
            platform: "other",
            level: level.to_owned(),
            logger,
            logentry: LogEntry {
                formatted: String::new(),
            },
            server_name: String::new(),
            release: named.release,
            environment: named.environment,
            tags: BTreeMap::new(),
            contexts: BTreeMap::new(),
            extra: BTreeMap::new(),
            fingerprint: named.fingerprint,
            sdk: Sdk::OURS,
        };
        match report.subject() {
            Subject::Failure(f) => {
                event.logentry.formatted = maker.message(f);
                maker.failure(&mut event, f);
            }
            Subject::Digest(d) => {
                event.logentry.formatted = maker.summary();
                maker.failure(&mut event, &d.example);
                maker.digest(&mut event, d);
            }
            Subject::Notice(n) | Subject::Recovery(n) => {
                event.logentry.formatted = maker.summary();
                maker.notice(&mut event, n);
            }
            _ => event.logentry.formatted = maker.summary(),
        }
        for log in logs {
            maker.lines(&mut event, log);
        }
        (event, maker.warning())
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|e| Error::internal("the event cannot be written as JSON").with_source(e))
    }

    /// Leaves out the last lines of the logs.
    pub(crate) fn drop_lines(&mut self) {
        self.contexts.retain(|name, _| !is_log(name));
    }

    /// Leaves out the labels.
    pub(crate) fn drop_labels(&mut self) {
        self.extra.retain(|name, _| !name.starts_with(LABELS));
    }

    /// Leaves out all but a short message, tags and the task's id.
    pub(crate) fn shorten(&mut self) {
        self.contexts.clear();
        self.extra.retain(|name, _| name == TASK_ID);
        self.logentry.formatted = cut(&self.logentry.formatted, SHORT_MESSAGE).into_owned();
    }
}

fn is_log(name: &str) -> bool {
    matches!(name, "stdout" | "stderr")
}

/// The delivery's id if it is one that Sentry takes, else one that is derived from it.
fn event_id(id: &DeliveryId) -> String {
    let text = id.as_str();
    let fits = text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if fits {
        text.to_owned()
    } else {
        FailureKey::of_parts(["sentry", text]).as_str().to_owned()
    }
}

/// A time in whole seconds, `2016-06-17T04:41:19Z`.
fn time(t: Timestamp) -> String {
    Timestamp::from_second(t.as_second())
        .unwrap_or(t)
        .to_string()
}

/// The time between two points in whole seconds, as Go writes it: `7s`, `1h1m1s`.
fn lifetime(started: Timestamp, finished: Timestamp) -> String {
    let seconds = finished.as_second() - started.as_second();
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (h, m) {
        (0, 0) => format!("{sign}{s}s"),
        (0, _) => format!("{sign}{m}m{s}s"),
        _ => format!("{sign}{h}h{m}m{s}s"),
    }
}

struct Maker<'a> {
    report: &'a Report,
    /// Masks secrets of settings and of this task's labels.
    redactor: Redactor,
    cuts: Cuts,
}

impl<'a> Maker<'a> {
    fn new(report: &'a Report, cuts: Cuts) -> Self {
        let labels = report.subject().failure().map(|f| &f.labels);
        let secrets = labels
            .into_iter()
            .flatten()
            .filter(|(k, v)| redact::is_secret_label(k, v))
            .map(|(_, v)| v);
        Self {
            report,
            redactor: report.redactor().with(secrets),
            cuts,
        }
    }

    /// Data without known secrets and control characters.
    fn data(&self, text: &str) -> String {
        plain(&self.redactor.redact(text))
    }

    /// The same, on one line.
    fn line(&self, text: &str) -> String {
        one_line(&self.redactor.redact(text))
    }

    fn name(&mut self, what: &str, text: &str) -> String {
        let line = self.line(text);
        self.cuts.chars(what, &line, NAME)
    }

    fn summary(&mut self) -> String {
        self.cuts
            .chars("message", &self.report.summary(), MAX_MESSAGE)
    }

    /// The original's message. How it ends stays whole.
    fn message(&mut self, f: &FailureRecord) -> String {
        let state = self.data(&f.state);
        let state = self.cuts.chars("message", &state, TAG);
        let end = format!(" died with status {state}");
        let name = format!("Task {}", self.data(&f.name));
        let room = MAX_MESSAGE - end.chars().count();
        self.cuts.chars("message", &name, room) + &end
    }

    fn tag(&mut self, event: &mut Event, key: &'static str, text: &str) {
        let line = self.line(text);
        if !line.is_empty() {
            event.tags.insert(key, self.cuts.chars(key, &line, TAG));
        }
    }

    fn failure(&mut self, event: &mut Event, f: &FailureRecord) {
        event.server_name = self.name("server_name", &f.host);
        self.tag(event, "task_state", &f.state);
        self.tag(event, "task", &f.name);
        self.tag(event, "framework", &f.framework);
        self.tag(event, "reason", f.reason.as_deref().unwrap_or_default());
        if let Some(code) = f.exit_code {
            event.tags.insert("exit_code", code.to_string());
        }
        self.task(event, f);
        self.extra(event, f);
    }

    /// What the original does not tell, in a context of its own.
    fn task(&mut self, event: &mut Event, f: &FailureRecord) {
        let report = self.report;
        let mut task = Map::new();
        let mut text = |key: &str, text: Option<&str>, most: usize| {
            if let Some(text) = text.filter(|t| !t.is_empty()) {
                let text = self.data(text);
                let text = self.cuts.json(&format!("task.{key}"), &text, most);
                task.insert(key.to_owned(), text.into());
            }
        };
        text("message", f.message.as_deref(), LONG_TEXT);
        text("reason", f.reason.as_deref(), SHORT_TEXT);
        text("source", Some(&f.source), SHORT_TEXT);
        let missing = report.links().missing.as_str();
        text("logs_missing", Some(missing), 3 * SHORT_TEXT);
        if !f.owners.is_empty() {
            let owners = f.owners.iter().take(NAMES);
            let owners = owners.map(|o| self.in_list("task.owners", o)).collect();
            task.insert("owners".to_owned(), owners);
            let more = f.owners.len().saturating_sub(NAMES);
            self.cuts.leave_out("owners", more as u64);
        }
        for (key, value) in [
            ("exit_code", f.exit_code.map(Value::from)),
            ("healthy", f.healthy.map(Value::from)),
            ("attempt", f.attempt.map(Value::from)),
        ] {
            if let Some(value) = value {
                task.insert(key.to_owned(), value);
            }
        }
        if !task.is_empty() {
            event.contexts.insert("task", task);
        }
    }

    fn in_list(&mut self, what: &str, text: &str) -> Value {
        let line = self.line(text);
        self.cuts.json(what, &line, SHORT_TEXT / 3).into()
    }

    /// What the original tells, by its names.
    fn extra(&mut self, event: &mut Event, f: &FailureRecord) {
        let links = self.report.links();
        let fixed = [
            (TASK_ID, self.data(&f.id)),
            ("framework.name", self.data(&f.framework)),
            ("container.image", self.data(&f.image)),
            // Links may be signed: they are to be followed, so nothing is masked.
            ("logs.stdout", plain(&links.stdout)),
            ("logs.stderr", plain(&links.stderr)),
            ("timings.finished", time(f.finished)),
        ];
        let mut extra: BTreeMap<String, String> = fixed
            .into_iter()
            .map(|(name, text)| (name.to_owned(), self.cuts.json(name, &text, EXTRA)))
            .collect();
        if let Some(started) = f.started {
            extra.insert("timings.started".to_owned(), time(started));
            extra.insert("timings.lifetime".to_owned(), lifetime(started, f.finished));
        }
        let mut room = EXTRAS.saturating_sub(extra.iter().map(|(k, v)| size(k, v)).sum());
        let mut seen = BTreeSet::new();
        for (key, value) in &f.labels {
            if redact::is_secret_label(key, value) {
                continue;
            }
            let line = self.line(key);
            let name = cut(&line, LABEL);
            let is_cut = name.len() != line.len();
            let key = format!("{LABELS}{name}");
            let value = self.data(value);
            let short = cut_json(&value, EXTRA);
            let needed = size(&key, &short);
            if needed > room || !seen.insert(key.clone()) {
                self.cuts.leave_out("labels", 1);
                continue;
            }
            room -= needed;
            if is_cut || short.len() != value.len() {
                self.cuts.add(&key);
            }
            extra.insert(key, short.into_owned());
        }
        event.extra = extra;
    }

    fn digest(&mut self, event: &mut Event, d: &Digest) {
        self.tag(event, "report", "digest");
        let hosts = d.hosts.iter().take(NAMES);
        let hosts: Vec<Value> = hosts
            .map(|(host, count)| json!({ "host": self.in_list("digest.hosts", host), "count": count }))
            .collect();
        let of = d.host_count.max(d.hosts.len() as u64);
        self.cuts.leave_out("agents", of - hosts.len() as u64);
        let Value::Object(digest) = json!({
            "like": self.cuts.json("digest.like", &self.line(&d.fingerprint), 3 * SHORT_TEXT),
            "count": d.count,
            "first": time(d.first),
            "last": time(d.last),
            "host_count": d.host_count,
            "hosts": hosts,
        }) else {
            return;
        };
        event.contexts.insert("digest", digest);
    }

    /// A notice and its recovery are one issue.
    fn notice(&mut self, event: &mut Event, n: &Notice) {
        self.tag(event, "report", self.report.subject().kind());
        let concern = match n.concern {
            Concern::Outbox => "outbox",
            _ => "destination",
        };
        let to = self.line(&n.destination);
        event.fingerprint = vec![
            "notifiers".to_owned(),
            concern.to_owned(),
            self.cuts.chars("fingerprint", &to, FINGERPRINT),
        ];
        let text = self.data(&n.text);
        let Value::Object(notice) = json!({
            concern: self.cuts.json("notice", &to, SHORT_TEXT),
            "text": self.cuts.json("notice.text", &text, LONG_TEXT),
            "since": time(n.since),
        }) else {
            return;
        };
        event.contexts.insert("notice", notice);
    }

    /// The last lines of a log, for who does not open the attachment.
    fn lines(&mut self, event: &mut Event, log: &Attachment) {
        let (most, bytes) = LAST_LINES;
        let text = String::from_utf8_lossy(&log.tail.bytes);
        let text = text.trim_end();
        let start = text
            .rmatch_indices('\n')
            .nth(most - 1)
            .map_or(0, |(at, _)| at + 1);
        let text = self.data(&text[start..]);
        if !text.is_empty() {
            let lines = end_json(&text, bytes).into_owned();
            let context = Map::from_iter([("last_lines".to_owned(), lines.into())]);
            event.contexts.insert(log.log, context);
        }
    }

    fn warning(self) -> Option<Error> {
        let told = self.cuts.told()?;
        let text = format!("the event was made to fit sentry's limits; {told}");
        Some(Error::new(ErrorKind::TooLarge, text))
    }
}

/// How many bytes a member of an object has in JSON, with what stands between.
fn size(key: &str, value: &str) -> usize {
    json_len(key) + json_len(value) + 2
}

#[cfg(test)]
mod tests;
