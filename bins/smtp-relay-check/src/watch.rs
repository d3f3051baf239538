//! Telling of changes through reporters.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::{self, BoxStream, StreamExt};
use notifier_runtime::{
    Cli, Context, Env, Exit, Fatal, Feed, Invocation, Parsed, Problems, log, visible,
};
use notifiers::{Batch, FailureRecord, LabelGrammar, Result, Source, SystemClock};
use smtp_probe::{
    Check, Report,
    change::{Change, Course, News},
};
use tokio::sync::mpsc;

use crate::{
    NAME,
    file::TABLES,
    options::TOP,
    plan::{Job, Plan, place_of},
    service::{App, Board, Schedule, Seen, router, runtime, stopped},
};

/// How many reports may wait to be taken in.
const WAITING: usize = 1024;
/// The longest part of a message, in characters.
const MOST_TEXT: usize = 400;

/// Reporters that keep faults, to be closed by people: a recovery would be one more.
const ONLY_FAULTS: [&str; 2] = ["sentry", "jira"];

/// One line: which relay, how it stands, why, what to do.
const LINE: &str = "Mail relay {{ .failure.Name }} is {{ .failure.State }}: {{ .failure.Message }}{{ with index .failure.Details \"hint\" }} ({{ . }}){{ end }}";
const RECORD: &str = "{{ .failure.Finished.Format \"2006-01-02T15:04:05Z07:00\" }} {{ .failure.State }} {{ .failure.Name }}: {{ .failure.Message }}{{ with index .failure.Details \"hint\" }} ({{ . }}){{ end }}{{ .nl }}";
const SUBJECT: &str = "[{{ .failure.State }}] mail relay {{ .failure.Name }}";
const TEXT: &str = "Mail relay {{ .failure.Name }} is {{ .failure.State }}.\n\n{{ .failure.Message }}\n{{ with index .failure.Details \"hint\" }}\n{{ . }}\n{{ end }}\nServer: {{ .failure.Slave }}\nTime:   {{ .failure.Finished.Format \"2006-01-02 15:04:05 MST\" }}\n";
const FIELDS: &str = "Project:COMPLAINER;Issue Type:Bug;Summary:Mail relay {{ .failure.Name }} is {{ .failure.State }};Description:{{ .failure.Message }}";
const COLOR: &str = "{{ if eq .failure.State \"RECOVERED\" }}green{{ else if eq .failure.State \"DEGRADED\" }}yellow{{ else }}red{{ end }}";

/// The settings of the reporters and of the outbox.
pub(crate) fn cli() -> Cli {
    let own: Vec<&'static str> = TABLES
        .iter()
        .chain(TOP)
        .copied()
        .filter(|k| *k != "listen")
        .collect();
    Cli::watcher(
        NAME,
        env!("CARGO_PKG_VERSION"),
        "Tells of changes of mail relays.",
    )
    .own_keys(&own)
    .preset("uploader", "noop")
    .preset("slack.format", LINE)
    .preset("hipchat.format", LINE)
    .preset("hipchat.color", COLOR)
    .preset("file.format", RECORD)
    .preset("smtp.subject", SUBJECT)
    .preset("smtp.format", TEXT)
    .preset("jira.fields", FIELDS)
    .check(by_mail_alone)
}

/// News of a relay that is down would wait in that relay.
fn by_mail_alone(parsed: &Parsed, problems: &mut Problems) {
    let reporters = parsed.program.list("reporters");
    if !reporters.is_empty() && reporters.iter().all(|r| *r == "smtp") {
        problems.push(
            "reporters: news of a mail relay must not go by mail alone; add one that needs none, such as slack or file",
        );
    }
}

/// What the file and the environment say of the reporters and of the outbox.
pub(crate) fn settings(plan: &Plan, env: &Env) -> std::result::Result<Parsed, Fatal> {
    let mut args: Vec<std::ffi::OsString> = Vec::new();
    for key in ["config", "listen"] {
        if let Some(value) = plan.run.text(key) {
            args.push(format!("-{key}={value}").into());
        }
    }
    match cli().parse(args, env)? {
        Invocation::Run(parsed) => Ok(parsed),
        Invocation::Print(_) => Err(Fatal::new(
            Exit::Internal,
            "the settings ask for a help text",
        )),
    }
}

/// Watches until a signal.
pub(crate) fn run(plan: Plan, env: &Env) -> std::result::Result<(), Fatal> {
    let cli = cli();
    let parsed = settings(&plan, env)?;
    let masker = parsed.masker();
    let watching = || -> std::result::Result<(), Fatal> {
        let context = Context::new(parsed)?;
        log::init(&context.settings.log, &context.masker)?;
        let runtime = runtime()?;
        let result = runtime.block_on(watch(&cli, &context, plan));
        runtime.shutdown_timeout(Duration::from_millis(200));
        result
    };
    watching().map_err(|fatal| Fatal::new(fatal.exit, masker.mask(&fatal.message)))
}

async fn watch(cli: &Cli, context: &Context, plan: Plan) -> std::result::Result<(), Fatal> {
    let stop = stopped()?;
    let plan = Arc::new(plan);
    let board = Board::new(&plan, Arc::new(SystemClock));
    let (tell, seen) = mpsc::channel(WAITING);
    let grammar = context.settings.grammar.clone();
    let source = RelaySource::new(plan.jobs.clone(), grammar, seen);
    let schedule = Schedule::start(Arc::clone(&board), Some(tell));
    let feed =
        Feed::new(source).routes(move |engine| router(App::new(plan, board, Some(engine.clone()))));
    let done = notifier_runtime::watch(cli, context, |_| Ok(feed), stop).await;
    schedule.stop().await;
    done.map(|_| ())
}

/// Reports become changes that are worth telling.
pub(crate) struct RelaySource {
    jobs: Vec<Job>,
    grammar: LabelGrammar,
    seen: mpsc::Receiver<Seen>,
}

impl RelaySource {
    pub(crate) fn new(jobs: Vec<Job>, grammar: LabelGrammar, seen: mpsc::Receiver<Seen>) -> Self {
        Self {
            jobs,
            grammar,
            seen,
        }
    }
}

impl fmt::Debug for RelaySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaySource")
            .field("targets", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

/// How each target has stood, by its name: what the outbox keeps for us.
type Courses = BTreeMap<String, Course>;

impl Source for RelaySource {
    fn name(&self) -> &str {
        NAME
    }

    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        let mut courses: Courses = match cursor.map(serde_json::from_value) {
            None => Courses::default(),
            Some(Ok(courses)) => courses,
            Some(Err(error)) => {
                tracing::warn!(%error, "how the targets stood cannot be read; what is wrong now is told anew");
                Courses::default()
            }
        };
        courses.retain(|name, _| self.jobs.iter().any(|j| j.target.name == *name));
        // What is stored for sure: a batch that is not stored has changed nothing.
        let stored = Arc::new(Mutex::new(courses));
        stream::unfold((self, stored), |(mut source, stored)| async move {
            let batch = source.next(&stored).await?;
            Some((Ok(batch), (source, stored)))
        })
        .boxed()
    }
}

impl RelaySource {
    /// The next report that changes something. `None` once nobody reports any more.
    async fn next(&mut self, stored: &Arc<Mutex<Courses>>) -> Option<Batch> {
        loop {
            let (index, report) = self.seen.recv().await?;
            let Some(job) = self.jobs.get(index) else {
                continue;
            };
            let mut courses = lock(stored).clone();
            let course = courses.entry(job.target.name.clone()).or_default();
            let before = course.clone();
            let change = course.observe(report.overall.into(), report.started, job.damping);
            if *course == before && change.is_none() {
                continue;
            }
            let news = change.map(|change| record(job, &self.grammar, &report, &change));
            // A map of such values always becomes JSON.
            let cursor = serde_json::to_value(&courses).unwrap_or_default();
            let stored = Arc::clone(stored);
            let batch = Batch::new(news.into_iter().collect())
                .with_cursor(cursor)
                .with_ack(move || *lock(&stored) = courses);
            return Some(batch);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What reporters are told. Its details are `address`, `was`, `lasted`, and of the check that
/// decided `check`, `phase`, `class`, `code` and `hint`.
fn record(job: &Job, grammar: &LabelGrammar, report: &Report, change: &Change) -> FailureRecord {
    let target = &job.target;
    let name = target.name.as_str();
    let address = place_of(target);
    let mut out = FailureRecord::new(name, name, change.news.word(), report.started);
    out.host.clone_from(&address);
    out.source = NAME.to_owned();
    out.labels.clone_from(&job.labels);
    if change.news == News::Recovered {
        for reporter in ONLY_FAULTS {
            let label = format!("{}_{}_{reporter}_instances", grammar.prefix, grammar.name);
            out.labels.entry(label).or_default();
        }
    }
    let bad = report
        .decisive()
        .filter(|c| c.state > smtp_probe::State::Ok);
    let found = match bad {
        Some(check) => sentence(check),
        None => "all is well".to_owned(),
    };
    out.message = Some(match (change.news, change.from) {
        (News::Recovered, Some(from)) if from != change.to => {
            format!(
                "all is well again after {} of being {from}",
                short(change.lasted)
            )
        }
        (News::Recovered, _) => format!("all has been well for {}", short(change.lasted)),
        (News::Flapping, _) => format!(
            "{} changes within {}; now {}: {found}; nothing more is told until it keeps still for as long",
            change.changes,
            short(job.damping.window),
            change.to,
        ),
        (News::Down | News::Degraded, _) => found,
    });
    out = out
        .with_detail("address", address)
        .with_detail("lasted", short(change.lasted));
    if let Some(from) = change.from {
        out = out.with_detail("was", from.word());
    }
    if let Some(check) = bad {
        let class = check.class.map_or("", |c| c.word());
        out.reason = Some(match class {
            "" => check.id.to_owned(),
            class => format!("{}/{class}", check.id),
        });
        out = out
            .with_detail("check", check.id)
            .with_detail("phase", check.phase.word())
            .with_detail("class", class);
        if let Some(code) = check.code {
            out = out.with_detail("code", code.to_string());
        }
        if let Some(hint) = &check.hint {
            out = out.with_detail("hint", visible(hint, MOST_TEXT));
        }
    }
    // The key has the state and the time in it, as they are now.
    out.with_default_key()
}

fn sentence(check: &Check) -> String {
    let text = visible(&check.text, MOST_TEXT);
    match &check.subject {
        None => format!("{}: {text}", check.id),
        Some(subject) => format!("{} {}: {text}", check.id, visible(subject, 100)),
    }
}

/// `90s`, `5m`, `2h5m`, `3d4h`.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |big: u64, b: &str, small: u64, s: &str| match small {
        0 => format!("{big}{b}"),
        small => format!("{big}{b}{small}{s}"),
    };
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..=119 => format!("{seconds}s"),
        120..=7199 => two(seconds / 60, "m", seconds % 60, "s"),
        7200..=172_799 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests;
