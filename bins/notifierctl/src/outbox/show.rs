//! `notifierctl outbox show`: the whole story of one delivery.

use clap::{Arg, ArgMatches, Command};
use notifier_runtime::{Exit, Fatal};
use notifiers::{
    Attempt, DeliveryFilter, DeliveryState, DeliveryView, DestinationState, FailureRecord, Logs,
    Outbox, Outcome, Story, Subject,
    jiff::Timestamp,
    redact::{self, Redactor},
};
use serde_json::{Value, json};

use super::{
    list::{delivery, words},
    pages::{Pages, find},
    stats::standing,
};
use crate::{
    cli::json,
    out::Out,
    text::{LINE, masked, shown},
    when,
};

/// How many members of a digest are named.
const MEMBERS: usize = 20;
/// How many deliveries are looked at for them.
const MOST_READ: usize = 5_000;

pub(super) fn command() -> Command {
    Command::new("show")
        .about("Tells the whole story of one delivery.")
        .arg(
            Arg::new("id")
                .value_name("ID")
                .required(true)
                .help("its id, or the first digits of it"),
        )
        .arg(json())
}

/// What is known of a delivery and of what is around it.
struct Known {
    story: Story,
    /// How its destination stands.
    standing: DestinationState,
    /// When the first delivery to its destination can be sent, its rate included.
    next: Option<Timestamp>,
    /// The other generations of it.
    replays: Vec<DeliveryView>,
    /// What it tells together, if it is a digest; the first few.
    members: Vec<DeliveryView>,
    redactor: Redactor,
}

pub(super) async fn run(
    m: &ArgMatches,
    outbox: &dyn Outbox,
    now: Timestamp,
) -> Result<Exit, Fatal> {
    let name = m
        .get_one::<String>("id")
        .map(String::as_str)
        .unwrap_or_default();
    let known = Known::read(outbox, name).await?;
    let mut out = Out::new();
    if m.get_flag("json") {
        out.json(&known.json(now))?;
    } else {
        out.text(&known.text(now))?;
    }
    Ok(Exit::Ok)
}

impl Known {
    async fn read(outbox: &dyn Outbox, name: &str) -> Result<Self, Fatal> {
        let gone = || Fatal::new(Exit::Data, format!("there is no delivery {name:?}"));
        let id = find(outbox, &[name]).await?.pop().ok_or_else(gone)?;
        let story = outbox.story(&id).await?.ok_or_else(gone)?;
        let to = &story.view.delivery.destination;
        let standing = outbox.destinations().await?;
        let standing = standing.into_iter().find(|(d, _)| d == to).map(|(_, s)| s);
        let pending = outbox.pending().await?;
        let next = pending.into_iter().find(|(d, _)| d == to).map(|(_, t)| t);
        let secrets = story.subject.failure().map(FailureRecord::secret_labels);
        Ok(Self {
            standing: standing.unwrap_or_default(),
            next,
            replays: replays(outbox, &story.view).await?,
            members: members(outbox, &story).await?,
            redactor: Redactor::new(secrets.into_iter().flatten()),
            story,
        })
    }

    /// What happens next, in words.
    fn outlook(&self, now: Timestamp) -> String {
        let view = &self.story.view;
        match view.state {
            DeliveryState::Pending if self.story.logs.is_none() => {
                "the failure's logs are looked for, then it is sent".to_owned()
            }
            DeliveryState::Pending => {
                let mut parts = vec![if view.due > now {
                    format!("it is due at {}", when::near(view.due, now))
                } else {
                    "it is due".to_owned()
                }];
                match (self.standing.not_before, self.next) {
                    (Some(t), _) if t > now => parts.push(format!(
                        "its destination is left alone until {}",
                        when::near(t, now)
                    )),
                    (_, Some(t)) if t > now && t > view.due => parts.push(format!(
                        "its destination takes the next message at {}",
                        when::near(t, now)
                    )),
                    _ => {}
                }
                parts.join(", ")
            }
            DeliveryState::Leased => "it is being sent".to_owned(),
            DeliveryState::Held => "it is held for a digest".to_owned(),
            DeliveryState::Folded => match &view.digest {
                Some(digest) => format!("the digest {digest} tells it, and it ends as that does"),
                None => "a digest tells it, and it ends as that does".to_owned(),
            },
            _ => "nothing; `notifierctl outbox replay` sends it again".to_owned(),
        }
    }

    fn json(&self, now: Timestamp) -> Value {
        let short = |v: &DeliveryView| {
            json!({
                "id": v.delivery.id.as_str(),
                "state": v.state.as_str(),
                "generation": v.generation,
                "enqueued": v.enqueued,
            })
        };
        let mut view = delivery(&self.story.view);
        view["progress"] = self.story.view.progress.clone().unwrap_or_default();
        let whole = json!({
            "delivery": view,
            "kind": self.story.subject.kind(),
            "subject": subject(&self.story.subject),
            "logs": self.story.logs.as_ref().map(logs_json),
            "attempts": self.story.attempts,
            "destination": self.standing,
            "destination_next": self.next,
            "next": self.outlook(now),
            "folds": self.story.folds,
            "members": self.members.iter().map(short).collect::<Vec<_>>(),
            "generations": self.replays.iter().map(short).collect::<Vec<_>>(),
        });
        masked(&self.redactor, whole)
    }

    fn text(&self, now: Timestamp) -> String {
        let view = &self.story.view;
        let mut page = Page::new(&self.redactor);
        page.heading(&format!("delivery {}", view.delivery.id));
        let finished = match view.finished {
            Some(t) => format!(", finished {}", when::near(t, now)),
            None => String::new(),
        };
        page.line("state", &format!("{}{finished}", view.state));
        page.line("to", view.delivery.destination.as_str());
        page.line(
            "by",
            &format!(
                "{}, instance {}",
                view.delivery.reporter, view.delivery.instance
            ),
        );
        page.some("why", &view.delivery.why);
        page.line("about", &view.about);
        page.line("key", view.key.as_str());
        page.line("enqueued", &when::near(view.enqueued, now));
        if view.generation > 0 {
            page.line("generation", &format!("{}: a replay", view.generation));
        }
        if let Some(digest) = &view.digest {
            page.line("digest", digest.as_str());
        }
        if let Some(progress) = &view.progress {
            page.line("progress", &progress.to_string());
        }
        for other in &self.replays {
            let what = format!(
                "{}, {}, enqueued {}",
                other.delivery.id,
                other.state,
                when::near(other.enqueued, now)
            );
            page.line(&format!("gen. {}", other.generation), &what);
        }
        self.subject(&mut page, now);
        page.heading("logs");
        logs(&mut page, self.story.logs.as_ref());
        page.heading(&format!(
            "attempts: {}, {} of them unknown",
            view.attempts, view.unknown
        ));
        let before = u64::from(view.attempts).saturating_sub(self.story.attempts.len() as u64);
        if before > 0 {
            page.line("…", &format!("{before} earlier ones are not remembered"));
        }
        for (n, attempt) in (before + 1..).zip(&self.story.attempts) {
            page.line(&n.to_string(), &tried(attempt));
        }
        page.heading("next");
        page.line("delivery", &self.outlook(now));
        page.line("destination", &standing(&self.standing, now));
        page.out
    }

    fn subject(&self, page: &mut Page<'_>, now: Timestamp) {
        match &self.story.subject {
            Subject::Failure(f) => {
                page.heading("failure");
                failure(page, f, now);
            }
            Subject::Digest(d) => {
                page.heading(&format!(
                    "digest of {} failures, for {} deliveries",
                    d.count, self.story.folds
                ));
                page.line("alike in", &d.fingerprint);
                page.line("first", &when::near(d.first, now));
                page.line("last", &when::near(d.last, now));
                let hosts: Vec<String> =
                    d.hosts.iter().map(|(h, n)| format!("{h} ({n})")).collect();
                page.line("agents", &format!("{}: {}", d.host_count, hosts.join(", ")));
                for member in &self.members {
                    page.line("tells", member.delivery.id.as_str());
                }
                if self.story.folds > self.members.len() as u64 {
                    page.line("", &format!("{} are told", self.story.folds));
                }
                page.heading("the last of them");
                failure(page, &d.example, now);
            }
            Subject::Notice(n) | Subject::Recovery(n) => {
                page.heading(self.story.subject.kind());
                page.line("about", &n.destination);
                page.line("text", &n.text);
                page.line("since", &when::near(n.since, now));
            }
            _ => {}
        }
    }
}

/// The deliveries of the same report to the same instance, but for this one.
async fn replays(outbox: &dyn Outbox, view: &DeliveryView) -> Result<Vec<DeliveryView>, Fatal> {
    let mut filter = DeliveryFilter::default();
    filter.key = Some(view.key.clone());
    filter.reporter = Some(view.delivery.reporter.clone());
    let mut pages = Pages::new(outbox, filter, MOST_READ);
    let mut out = Vec::new();
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(out);
        }
        out.extend(page.into_iter().filter(|other| {
            other.delivery.instance == view.delivery.instance
                && other.delivery.id != view.delivery.id
        }));
    }
}

/// The first deliveries that a digest tells.
async fn members(outbox: &dyn Outbox, story: &Story) -> Result<Vec<DeliveryView>, Fatal> {
    let mut out = Vec::new();
    if !matches!(story.subject, Subject::Digest(_)) {
        return Ok(out);
    }
    let view = &story.view;
    let mut filter = DeliveryFilter::default();
    filter.destination = Some(view.delivery.destination.clone());
    filter.reporter = Some(view.delivery.reporter.clone());
    filter.newest_first = true;
    // They were enqueued before it.
    filter.after = Some(view.sequence);
    let mut pages = Pages::new(outbox, filter, MOST_READ);
    loop {
        let page = pages.next().await?;
        if page.is_empty() || out.len() >= MEMBERS {
            out.truncate(MEMBERS);
            return Ok(out);
        }
        let told = page
            .into_iter()
            .filter(|v| v.digest.as_ref() == Some(&view.delivery.id));
        out.extend(told);
    }
}

fn tried(attempt: &Attempt) -> String {
    let outcome = match attempt.outcome {
        Outcome::Delivered => "it arrived",
        Outcome::Retry => "it did not arrive and is tried again",
        Outcome::Unknown => "it may have arrived",
        Outcome::Dead => "it did not arrive and was given up",
        _ => "it ended",
    };
    let words = words(attempt);
    let words = if words.is_empty() {
        words
    } else {
        format!(": {words}")
    };
    format!(
        "{}, after {} ms: {outcome}{words}",
        attempt.at, attempt.latency_ms
    )
}

fn failure(page: &mut Page<'_>, f: &FailureRecord, now: Timestamp) {
    page.line("id", &f.id);
    page.line("name", &f.name);
    page.line("state", &f.state);
    page.some("reason", f.reason.as_deref().unwrap_or_default());
    page.some("message", f.message.as_deref().unwrap_or_default());
    if let Some(code) = f.exit_code {
        page.line("exit code", &code.to_string());
    }
    page.some("agent", &f.host);
    page.some("framework", &f.framework);
    page.some("image", &f.image);
    if let Some(t) = f.started {
        page.line("started", &when::near(t, now));
    }
    page.line("finished", &when::near(f.finished, now));
    page.some("owners", &f.owners.join(", "));
    page.some("source", &f.source);
    for (key, value) in &f.labels {
        let key = shown(page.redactor, key, LINE);
        page.line("label", &format!("{key}={}", redact::label(&key, value)));
    }
}

fn logs(page: &mut Page<'_>, logs: Option<&Logs>) {
    let Some(logs) = logs else {
        return page.line("", "not settled yet");
    };
    if let Some(why) = &logs.missing {
        page.line("missing", why);
    }
    for log in &logs.streams {
        let place = match (&log.object, &log.error) {
            (Some(_), _) => "stored".to_owned(),
            (None, Some(why)) => format!("left at {}: {why}", redact::url(&log.stream.url)),
            (None, None) => format!("left at {}", redact::url(&log.stream.url)),
        };
        page.line(&log.stream.name, &place);
    }
    if logs.missing.is_none() && logs.streams.is_empty() {
        page.line("", "none");
    }
}

/// What it is about, as JSON without secrets.
fn subject(subject: &Subject) -> Value {
    let read = subject.to_json().ok();
    let mut value: Value = read
        .and_then(|t| serde_json::from_str(&t).ok())
        .unwrap_or_default();
    for path in ["", "/example"] {
        let Some(Value::Object(f)) = value.pointer_mut(path) else {
            continue;
        };
        // The source's own notes are not for people.
        f.remove("locator");
        f.remove("log_streams");
        if let Some(Value::Object(labels)) = f.get_mut("labels") {
            for (key, value) in labels {
                if let Value::String(text) = value
                    && redact::is_secret_label(key, text)
                {
                    *text = redact::MASK.to_owned();
                }
            }
        }
    }
    value
}

fn logs_json(logs: &Logs) -> Value {
    let streams: Vec<Value> = logs
        .streams
        .iter()
        .map(|l| {
            json!({
                "name": l.stream.name,
                "url": redact::url(&l.stream.url),
                "stored": l.object.is_some(),
                "error": l.error,
            })
        })
        .collect();
    json!({ "missing": logs.missing, "streams": streams })
}

/// Lines below headings.
struct Page<'a> {
    redactor: &'a Redactor,
    out: String,
}

impl<'a> Page<'a> {
    fn new(redactor: &'a Redactor) -> Self {
        Self {
            redactor,
            out: String::new(),
        }
    }

    fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let text = shown(self.redactor, text, LINE);
        self.out.push_str(&format!("{text}\n"));
    }

    fn line(&mut self, name: &str, text: &str) {
        let name = shown(self.redactor, name, 20);
        let text = shown(self.redactor, text, LINE);
        let line = format!("  {name:<11} {text}");
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// A line, unless there is nothing to say.
    fn some(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.line(name, text);
        }
    }
}
