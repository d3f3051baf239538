//! `notifierctl explain`.

use std::{ffi::OsString, sync::Arc, time::Duration};

use clap::ArgMatches;
use notifier_runtime::{
    Cli, Env, Exit, Fatal, Invocation, Masker, Parsed, Problems, WatcherSettings, log,
    outbox::Place, registry,
};
use notifiers::{
    BackendSettings, Clock, DeliveryFilter, DeliveryState, DeliveryView, Destination, Engine,
    FailureRecord, OptionKind, OptionSpec, Origin, Outbox, Silence, Subject, SystemClock,
    engine::Route, jiff::Timestamp, policy::Rate, redact::Redactor, sqlite::SqliteOutbox,
};
use serde_json::{Value, json};

use crate::{
    NAME, input,
    out::Out,
    outbox::{Named, Pages},
    print,
    silence::as_json,
    text::{LINE, masked, shown},
    when,
};

/// How many deliveries to one destination are looked at for one like the failure.
const MOST_READ: usize = 1_000;

/// What stands before each instance of a reporter.
const REPORTER: &str = "reporter";

/// Options beside a watcher's.
const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("failure", "the failure as JSON; - is the standard input")
        .kind(OptionKind::Path),
    OptionSpec::new("json", "print one JSON object")
        .kind(OptionKind::Bool)
        .default("false"),
];

fn cli() -> Cli {
    Cli::every_watcher(env!("CARGO_PKG_VERSION"))
        .for_tool(
            "notifierctl explain",
            "Says where a failure would go and why, and sends nothing. Reads the settings of a \
             watcher; options that have no part in it are taken and do nothing. The watcher's \
             outbox, if there is one, is asked for silences and for what was told before.",
        )
        .program("Explain", OPTIONS)
        .require(&["failure", "reporters"])
}

pub(crate) fn run(m: &ArgMatches, env: &Env) -> Result<Exit, Fatal> {
    let args: Vec<OsString> = m
        .get_many::<OsString>("rest")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let parsed = match cli().parse(args, env)? {
        Invocation::Run(parsed) => parsed,
        Invocation::Print(text) => return Ok(print(NAME, &text)),
    };
    let settings = WatcherSettings::read(&parsed.program)?;
    let masker = parsed.masker();
    // Labels that are wrong are told as a watcher tells them.
    let level = if parsed.program.origin("log.level") == Some(Origin::Default) {
        log::LogSettings::new("warn", parsed.program.text("log.format"))?
    } else {
        settings.log.clone()
    };
    log::init(&level, &masker)?;
    crate::block_on(explain(&parsed, &settings, &masker)).map_err(|f| {
        let message = masker.mask(&f.message).into_owned();
        Fatal::new(f.exit, message)
    })
}

/// The reporters as far as they tell where things go.
fn reporters(
    parsed: &Parsed,
    settings: &WatcherSettings,
) -> Result<Vec<registry::Built>, Problems> {
    let client = registry::http_client(parsed)?;
    let mut problems = Problems::new();
    let mut built = Vec::new();
    for factory in registry::reporters(&client) {
        let group = factory.options();
        if !settings.reporters.iter().any(|n| n == group.name) {
            continue;
        }
        let own = parsed.backend(group);
        // A reporter may open the files that its settings name, which is the watcher's
        // to do: it is built without them, and asked with them.
        let files = group.options.iter().any(|o| o.kind == OptionKind::Path);
        let bare = files
            .then(|| factory.build(&BackendSettings::new(group)).ok())
            .flatten();
        let reporter = match bare {
            Some(reporter) => Some(reporter),
            None => problems.take(factory.build(&own)),
        };
        if let Some(reporter) = reporter {
            built.push((own, reporter));
        }
    }
    problems.masked(&parsed.redactor()).into_result()?;
    Ok(built)
}

async fn explain(
    parsed: &Parsed,
    settings: &WatcherSettings,
    masker: &Masker,
) -> Result<Exit, Fatal> {
    let now = SystemClock.now();
    let failure = input::failure(parsed.program.text("failure"))?;
    masker.learn(failure.secret_labels());
    let built = reporters(parsed, settings)?;
    let mut engine = settings.engine()?.redactor(parsed.redactor());
    for (own, reporter) in &built {
        engine = engine.reporter_with(own.clone(), Arc::clone(reporter));
    }
    let decision = engine.build()?.explain(&failure);
    let mut whole = Explained {
        routes: Vec::new(),
        past: Past::read(settings, &failure, now).await?,
        failure,
        allowed: decision.allowed,
        fingerprint: decision.fingerprint,
        interval: settings.group_interval,
        now,
    };
    // Asked for what others have in common with the failure, without sending them anywhere.
    let alone = settings.engine()?.redactor(parsed.redactor()).build()?;
    for route in decision.routes {
        let own = built.iter().find(|(own, _)| own.name() == route.reporter);
        let rate = own.and_then(|(own, _)| {
            let scope = settings.grammar.scope(&whole.failure.labels);
            let resolved = own.resolve(&scope, &route.instance);
            Rate::read(resolved.text("rate")).ok().flatten()
        });
        let alike = match (&whole.fingerprint, &route.destination, &whole.past.outbox) {
            (Some(fingerprint), Some(to), Some(outbox)) => {
                let since = now.checked_sub(whole.interval).unwrap_or(Timestamp::MIN);
                alike(outbox, &alone, &route, to, fingerprint, since).await?
            }
            _ => None,
        };
        whole.routes.push(Told { route, rate, alike });
    }
    let mut out = Out::new();
    if parsed.program.bool("json") {
        out.json(&masked(&masker.redactor(), whole.json()))?;
    } else {
        out.text(&masker.mask(&whole.text()))?;
    }
    Ok(Exit::Ok)
}

/// What the watcher's outbox knows.
struct Past {
    outbox: Option<SqliteOutbox>,
    /// Why nothing is known.
    unknown: String,
    /// The silence that covers the failure.
    silence: Option<Silence>,
    /// A delivery of the failure itself.
    seen: Option<DeliveryView>,
}

impl Past {
    async fn read(
        settings: &WatcherSettings,
        failure: &FailureRecord,
        now: Timestamp,
    ) -> Result<Self, Fatal> {
        let mut past = Self {
            outbox: None,
            unknown: String::new(),
            silence: None,
            seen: None,
        };
        match &settings.outbox.place {
            Place::Sqlite(path) if path.exists() => {}
            Place::Sqlite(path) => {
                past.unknown = format!("the outbox {} is not there yet", path.display());
                return Ok(past);
            }
            _ => {
                "no outbox is named: -outbox or -state-dir names one".clone_into(&mut past.unknown);
                return Ok(past);
            }
        }
        let outbox = Named::of(settings.outbox.clone(), &settings.name)?.open()?;
        let silences = outbox.silences().await?;
        past.silence = silences.into_iter().find(|s| s.covers(failure, now));
        let mut filter = DeliveryFilter::default();
        filter.key = Some(failure.key.clone());
        filter.limit = 1;
        past.seen = outbox.inspect(&filter).await?.pop();
        past.outbox = Some(outbox);
        Ok(past)
    }
}

/// A delivery that the failure would be held behind: to the same instance, of a failure
/// like it or of their digest, within the interval.
async fn alike(
    outbox: &dyn Outbox,
    engine: &Engine,
    route: &Route,
    to: &Destination,
    fingerprint: &str,
    since: Timestamp,
) -> Result<Option<DeliveryView>, Fatal> {
    let mut filter = DeliveryFilter::default();
    filter.destination = Some(to.clone());
    filter.reporter = Some(route.reporter.to_owned());
    filter.since = Some(since);
    filter.newest_first = true;
    let mut pages = Pages::new(outbox, filter, MOST_READ);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(None);
        }
        for view in page {
            let counts = view.delivery.instance == route.instance
                && view.generation == 0
                && view.state != DeliveryState::Silenced;
            if !counts {
                continue;
            }
            let Some(story) = outbox.story(&view.delivery.id).await? else {
                continue;
            };
            let same = match &story.subject {
                Subject::Failure(f) => {
                    engine.explain(f).fingerprint.as_deref() == Some(fingerprint)
                }
                Subject::Digest(d) => d.fingerprint == fingerprint,
                _ => false,
            };
            if same {
                return Ok(Some(view));
            }
        }
    }
}

/// One instance of one reporter, and what it would do.
struct Told {
    route: Route,
    rate: Option<Rate>,
    alike: Option<DeliveryView>,
}

struct Explained {
    failure: FailureRecord,
    allowed: bool,
    fingerprint: Option<String>,
    interval: Duration,
    past: Past,
    routes: Vec<Told>,
    now: Timestamp,
}

impl Explained {
    /// What would become of it there: a word, and the words for people.
    fn fate(&self, told: &Told) -> (&'static str, String) {
        if told.route.destination.is_none() {
            return ("nothing", format!("nothing is sent: {}", told.route.why));
        }
        if let Some(seen) = &self.past.seen {
            let id = &seen.delivery.id;
            return (
                "seen",
                format!("nothing is sent: it was seen before, see the delivery {id}"),
            );
        }
        if let Some(silence) = &self.past.silence {
            return (
                "silenced",
                format!("it is kept and not sent: {}", silence.reason()),
            );
        }
        match &told.alike {
            Some(view) => (
                "held",
                format!(
                    "it is held for a digest: one like it is the delivery {} of {}",
                    view.delivery.id,
                    when::near(view.enqueued, self.now)
                ),
            ),
            None => ("sent", "it is sent at once".to_owned()),
        }
    }

    fn json(&self) -> Value {
        let routes: Vec<Value> = self
            .routes
            .iter()
            .map(|t| {
                let (fate, words) = self.fate(t);
                json!({
                    "reporter": t.route.reporter,
                    "instance": t.route.instance,
                    "destination": t.route.destination.as_ref().map(Destination::as_str),
                    "why": t.route.why,
                    "rate": t.rate.map(|r| r.to_string()),
                    "alike": t.alike.as_ref().map(|v| v.delivery.id.as_str()),
                    "outcome": fate,
                    "words": words,
                })
            })
            .collect();
        json!({
            "key": self.failure.key.as_str(),
            "framework": self.failure.framework,
            "allowed": self.allowed,
            "fingerprint": self.fingerprint,
            "group_interval_seconds": self.interval.as_secs_f64(),
            "outbox_unknown": (!self.past.unknown.is_empty()).then_some(&self.past.unknown),
            "seen": self.past.seen.as_ref().map(|v| v.delivery.id.as_str()),
            "silence": self.past.silence.as_ref().map(as_json),
            "routes": routes,
        })
    }

    fn text(&self) -> String {
        let f = &self.failure;
        let mut out = String::new();
        let none = Redactor::default();
        let mut line = |name: &str, text: &str| {
            let text = shown(&none, text, LINE);
            let gap = if name == REPORTER { "\n" } else { "" };
            out.push_str(&format!("{gap}{name:<12} {text}\n"));
        };
        let host = if f.host.is_empty() { "" } else { " on " };
        line(
            "failure",
            &format!("{} ({}){host}{}, {}", f.name, f.id, f.host, f.state),
        );
        line("key", f.key.as_str());
        let passes = if self.allowed {
            "is reported"
        } else {
            "is not reported: -framework-allow and -framework-deny say so"
        };
        line("framework", &format!("{:?} {passes}", f.framework));
        match (&self.past.unknown, &self.past.seen) {
            (why, _) if !why.is_empty() => line("before", why),
            (_, Some(v)) => line(
                "before",
                &format!("it was seen: the delivery {} is {}", v.delivery.id, v.state),
            ),
            (_, None) => line("before", "no delivery of it is kept"),
        }
        if self.past.outbox.is_some() {
            match &self.past.silence {
                Some(s) => line("silence", &s.reason()),
                None => line("silence", "none covers it"),
            }
        }
        match &self.fingerprint {
            Some(fingerprint) => line(
                "alike in",
                &format!("{fingerprint:?}, for {}", when::short(self.interval)),
            ),
            None if self.interval.is_zero() => {
                line(
                    "alike in",
                    "nothing: each failure is told by itself, since -group.interval is 0",
                );
            }
            None => {}
        }
        for t in &self.routes {
            let r = &t.route;
            line(
                REPORTER,
                &format!("{}, instance {}: {}", r.reporter, r.instance, r.why),
            );
            if let Some(to) = &r.destination {
                line("  to", to.as_str());
                let rate = match t.rate {
                    Some(rate) => format!("{rate}, at most {} at once", rate.burst()),
                    None => "unlimited".to_owned(),
                };
                line("  rate", &rate);
            }
            line("  now", &self.fate(t).1);
        }
        if self.allowed && self.routes.is_empty() {
            line(REPORTER, "none is asked for");
        }
        out
    }
}
