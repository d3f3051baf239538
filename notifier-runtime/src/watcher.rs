//! The options that every watcher has, and their values.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notifiers::{
    DEFAULT_NAME, DEFAULT_PREFIX, Engine, FrameworkFilter, LabelGrammar, OptionKind, OptionSpec,
    Result,
    engine::{EngineBuilder, GroupBy, OnUnknown, Timing},
    policy::Backoff,
};

use crate::{
    Cli, Parsed, Problems, ProgramSettings, http::PprofAccess, log, outbox::OutboxSettings,
    registry,
};

/// The options of every watcher, under the original's names where it has them.
pub const WATCHER_OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("name", "the watcher's name; its labels are complainer_NAME_…, and complainer_… for the name \"default\"")
        .env("COMPLAINER_NAME")
        .default(DEFAULT_NAME),
    OptionSpec::new("default", "whether each reporter has the instance \"default\" without a label saying so")
        .kind(OptionKind::Bool)
        .env("COMPLAINER_DEFAULT")
        .default("true"),
    OptionSpec::new("reporters", "reporters to use, separated by commas; unless set, those that the file of -config has tables for")
        .kind(OptionKind::List)
        .env("COMPLAINER_REPORTERS"),
    OptionSpec::new("uploader", "where logs are kept; noop leaves them where they are")
        .env("COMPLAINER_UPLOADER"),
    OptionSpec::new("framework-allow", "regular expression: only failures of frameworks that one of these matches are reported")
        .kind(OptionKind::Regex)
        .env("NOTIFIER_FRAMEWORK_ALLOW")
        .aliases(&["framework-whitelist"])
        .repeated(),
    OptionSpec::new("framework-deny", "regular expression: failures of frameworks that one of these matches are ignored, whatever -framework-allow says")
        .kind(OptionKind::Regex)
        .env("NOTIFIER_FRAMEWORK_DENY")
        .aliases(&["framework-blacklist"])
        .repeated(),
    OptionSpec::new("label-prefix", "what routing labels begin with")
        .env("NOTIFIER_LABEL_PREFIX")
        .default(DEFAULT_PREFIX),
    OptionSpec::new("config", "TOML file with these options; -help says what beats what")
        .kind(OptionKind::Path)
        .env("NOTIFIER_CONFIG"),
    OptionSpec::new("outbox", "where messages wait until they are delivered: memory, which does not outlive the process, or sqlite:PATH; unless set, a file in the state folder if there is one, else memory")
        .env("NOTIFIER_OUTBOX"),
    OptionSpec::new("state-dir", "folder for what outlives the process, made if it is missing; unless set, the first of STATE_DIRECTORY, as systemd sets it")
        .kind(OptionKind::Path)
        .env("NOTIFIER_STATE_DIR"),
    OptionSpec::new("outbox-size", "how many messages may wait; when it is full, failures wait at their source")
        .kind(OptionKind::Integer)
        .env("NOTIFIER_OUTBOX_SIZE")
        .default("100000"),
    OptionSpec::new("backlog", "what becomes of failures that are there at the first start: skip, as the original does, or report")
        .kind(OptionKind::Choice(&["skip", "report"]))
        .env("NOTIFIER_BACKLOG")
        .default("skip"),
    OptionSpec::new("retry.max-age", "after this, what does not arrive is given up and kept as a dead letter")
        .kind(OptionKind::Duration)
        .env("NOTIFIER_RETRY_MAX_AGE")
        .default("72h"),
    OptionSpec::new("retry.max-interval", "the longest wait that is chosen for a message by itself; waits begin at 1s and double. In an outage one message is tried at least each minute, and the others wait for it")
        .kind(OptionKind::Duration)
        .env("NOTIFIER_RETRY_MAX_INTERVAL")
        .default("5m"),
    OptionSpec::new("on-unknown", "what to do when nobody can tell whether a message arrived: retry may send it twice, drop may lose it")
        .kind(OptionKind::Choice(&["retry", "drop"]))
        .env("NOTIFIER_ON_UNKNOWN")
        .default("retry"),
    OptionSpec::new("group.interval", "how long failures like one that was just told are held, to be told as one digest; 0 tells each by itself")
        .kind(OptionKind::Duration)
        .env("NOTIFIER_GROUP_INTERVAL")
        .default("0"),
    OptionSpec::new("group.by", "failures for which this comes out the same are like each other")
        .kind(OptionKind::Template)
        .env("NOTIFIER_GROUP_BY")
        .default(GroupBy::DEFAULT),
    OptionSpec::new("log-timeout", "how long finding a failure's logs may take, and the agent may keep one waiting that is stored; the report then goes without")
        .kind(OptionKind::Duration)
        .env("NOTIFIER_LOG_TIMEOUT")
        .default("15s"),
    OptionSpec::new("upload-timeout", "how long storing a failure's logs may take in all, however fast it goes; the report then goes without")
        .kind(OptionKind::Duration)
        .env("NOTIFIER_UPLOAD_TIMEOUT")
        .default("5m"),
    OptionSpec::new("shutdown-timeout", "after SIGTERM or SIGINT, how long what is in flight may take to finish")
        .kind(OptionKind::Duration)
        .env("NOTIFIER_SHUTDOWN_TIMEOUT")
        .default("8s"),
];

/// The options of the HTTP interface and of the logs.
pub const SERVICE_OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("listen", "address of the HTTP interface, HOST:PORT or :PORT; off unless set, here or as PORT in the environment")
        .env("COMPLAINER_LISTEN"),
    OptionSpec::new("pprof", "who may use /debug/pprof/: nobody, programs on this host, or everybody")
        .kind(OptionKind::Choice(&["off", "loopback", "on"]))
        .env("NOTIFIER_PPROF")
        .default("loopback"),
    OptionSpec::new("log.level", "error, warn, info, debug or trace; more for a part: info,source_mesos=debug")
        .env("NOTIFIER_LOG_LEVEL")
        .default("info"),
    OptionSpec::new("log.format", "the form of the log on the standard error output")
        .kind(OptionKind::Choice(&["text", "json"]))
        .env("NOTIFIER_LOG_FORMAT")
        .default("text"),
];

/// The values of [`WATCHER_OPTIONS`] and [`SERVICE_OPTIONS`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatcherSettings {
    /// The watcher's name.
    pub name: String,
    /// How it reads labels.
    pub grammar: LabelGrammar,
    /// Which frameworks it reports.
    pub filter: FrameworkFilter,
    /// The reporters to use, each once, in the order given.
    pub reporters: Vec<String>,
    /// The uploader to use.
    pub uploader: String,
    /// The file the settings came from.
    pub config: Option<PathBuf>,
    /// Where messages wait.
    pub outbox: OutboxSettings,
    /// After this, what does not arrive is given up.
    pub max_age: Duration,
    /// The longest wait between two attempts.
    pub max_interval: Duration,
    /// What to do when nobody can tell whether a message arrived.
    pub on_unknown: OnUnknown,
    /// The template of what failures have in common that are like each other.
    pub group_by: String,
    /// How long failures like one that was just told are held; zero if none are.
    pub group_interval: Duration,
    /// The time for a failure's logs.
    pub log_timeout: Duration,
    /// The time for storing a failure's logs in all.
    pub upload_timeout: Duration,
    /// The time for one request to a service.
    pub request_timeout: Duration,
    /// The time to finish after a signal.
    pub shutdown_timeout: Duration,
    /// The address of the HTTP interface, as given.
    pub listen: Option<String>,
    /// Who may profile.
    pub pprof: PprofAccess,
    /// What is logged.
    pub log: log::LogSettings,
}

impl WatcherSettings {
    /// Reads the values.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifiers::ErrorKind::Config) if an expression or the log level is wrong.
    pub fn read(p: &ProgramSettings) -> Result<Self> {
        let grammar = LabelGrammar::new(p.text("name"))
            .with_prefix(p.text("label-prefix"))
            .with_implicit_default(p.bool("default"));
        let mut reporters: Vec<String> = Vec::new();
        for name in p.list("reporters") {
            if !reporters.iter().any(|r| r == name) {
                reporters.push(name.to_owned());
            }
        }
        Ok(Self {
            name: p.text("name").to_owned(),
            grammar,
            filter: FrameworkFilter::new(p.all("framework-allow"), p.all("framework-deny"))?,
            reporters,
            uploader: p.text("uploader").to_owned(),
            config: p.get("config").map(PathBuf::from),
            outbox: OutboxSettings::choose(
                p.get("outbox"),
                p.get("state-dir").map(Path::new),
                p.text("name"),
                p.integer("outbox-size")
                    .map_or(1, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            )?,
            max_age: p.duration("retry.max-age").unwrap_or_default(),
            max_interval: p.duration("retry.max-interval").unwrap_or_default(),
            on_unknown: match p.text("on-unknown") {
                "drop" => OnUnknown::Drop,
                _ => OnUnknown::Retry,
            },
            group_by: p.text("group.by").to_owned(),
            group_interval: p.duration("group.interval").unwrap_or_default(),
            log_timeout: p.duration("log-timeout").unwrap_or_default(),
            upload_timeout: p.duration("upload-timeout").unwrap_or_default(),
            request_timeout: p.duration("request-timeout").unwrap_or_default(),
            shutdown_timeout: p.duration("shutdown-timeout").unwrap_or_default(),
            listen: p.get("listen").map(str::to_owned),
            pprof: PprofAccess::from_word(p.text("pprof")),
            log: log::LogSettings::new(p.text("log.level"), p.text("log.format"))?,
        })
    }

    /// An engine with all that these settings say but its outbox, reporters and sources.
    ///
    /// # Errors
    /// [`ErrorKind::Template`](notifiers::ErrorKind::Template) if the template of `-group.by` does not compile.
    pub fn engine(&self) -> Result<EngineBuilder> {
        let mut timing = Timing::default();
        timing.logs = self.log_timeout;
        timing.upload = self.upload_timeout;
        // The last resort comes behind the bound of a request, whatever that is.
        timing.attempt = timing
            .attempt
            .max(self.request_timeout.saturating_add(Duration::from_secs(10)));
        timing.drain = self.shutdown_timeout;
        timing.max_age = self.max_age;
        timing.on_unknown = self.on_unknown;
        let base = timing.backoff.base.min(self.max_interval);
        timing.backoff = Backoff::new(base, self.max_interval);
        let engine = Engine::builder(&self.name)
            .label_prefix(&self.grammar.prefix)
            .implicit_default(self.grammar.implicit_default)
            .filter(self.filter.clone())
            .timing(timing);
        // A wrong template is told even where it is not used.
        let group = GroupBy::new(&self.group_by, self.group_interval)?;
        Ok(if self.group_interval.is_zero() {
            engine
        } else {
            engine.group(group)
        })
    }
}

impl Cli {
    /// The command line of a watcher: [`WATCHER_OPTIONS`], [`SERVICE_OPTIONS`], the
    /// options of the shared HTTP client, of every reporter and uploader of this
    /// build, and the checks that go with them. Add the source's own.
    ///
    /// ```
    /// use notifier_runtime::Cli;
    /// let cli = Cli::watcher("cron-watcher", "1.0.0", "Tells of failed cron jobs.");
    /// assert!(cli.help().contains("-slack.hook_url"));
    /// ```
    #[must_use]
    pub fn watcher(name: &'static str, version: &'static str, about: &'static str) -> Self {
        registry::declare(
            Self::new(name, version, about)
                .program("Watcher", WATCHER_OPTIONS)
                .program("HTTP interface and log", SERVICE_OPTIONS)
                .program(
                    "Requests to other services",
                    notifiers::http::OPTIONS.options,
                )
                .port_for("listen")
                .state_directory_for("state-dir")
                .require(&["uploader", "reporters"])
                .check(check),
        )
    }
}

fn check(parsed: &Parsed, problems: &mut Problems) {
    let p = &parsed.program;
    if let Err(e) = WatcherSettings::read(p).and_then(|s| s.engine()) {
        problems.push(e.report().to_string());
    }
    if let Some(address) = p.get("listen")
        && let Err(why) = crate::http::parse_listen(address)
    {
        problems.push(format!("listen: {why}"));
    }
    if p.integer("outbox-size") == Some(0) {
        problems.push("outbox-size: at least 1 message must be able to wait");
    }
    if p.duration("retry.max-interval")
        .is_some_and(|d| d.is_zero())
    {
        problems.push("retry.max-interval: it must be longer than 0");
    }
    if !p.list("label-urls.allow").is_empty() {
        let http = parsed.backend(notifiers::http::OPTIONS).instance("");
        if let Err(e) = notifiers::http::HttpSettings::read(&http) {
            problems.push(e.report().to_string());
        }
    }
}

/// Where the Mesos cluster is.
#[cfg(feature = "mesos")]
pub const MASTERS_OPTIONS: &[OptionSpec] = &[OptionSpec::new(
    "masters",
    "addresses of the Mesos masters, http://host:port, separated by commas",
)
.kind(OptionKind::List)
.env("COMPLAINER_MASTERS")];

/// What only `mesos-watcher` has.
#[cfg(feature = "mesos")]
pub const DEMO_OPTIONS: &[OptionSpec] = &[OptionSpec::new(
    "demo",
    "by itself: show the watcher at work on a bundled cluster, and end",
)
.kind(OptionKind::Bool)
.default("false")];

/// The templates of `sns-relay` by their flags: the text where there is one, else what the reporter says by default.
#[cfg(feature = "sns-source")]
static TOLD: std::sync::LazyLock<Vec<(String, String)>> = std::sync::LazyLock::new(|| {
    let told = |text: &str, otherwise: &str| {
        format!(
            "{{{{ with index .failure.Details \"text\" }}}}{text}{{{{ else }}}}{otherwise}{{{{ end }}}}"
        )
    };
    let mut all = Vec::new();
    for group in registry::reporter_groups() {
        let default = |key| group.find(key).and_then(|o| Some((o, o.default?)));
        if let Some((option, text)) = default("format")
            && text.contains("{{")
        {
            // A record of a file ends its line.
            let whole = if text.ends_with("{{ .nl }}") {
                "{{ . }}{{ $.nl }}"
            } else {
                "{{ . }}"
            };
            all.push((group.flag(option), told(whole, text)));
        }
        #[cfg(feature = "smtp")]
        if group.name == notifiers::smtp::SCHEME {
            let flag = |key| format!("{}.{key}", group.name);
            let subject = told("{{ $.failure.Name }}", notifiers::smtp::DEFAULT_SUBJECT);
            all.push((flag("subject"), subject));
            all.push((
                flag("format"),
                told("{{ . }}\n", notifiers::smtp::DEFAULT_FORMAT),
            ));
        }
        if let Some((option, text)) = default("fields") {
            // Jira: one template for each field.
            let field = |field: &str| match field.split_once(':') {
                Some((name @ "Summary", otherwise)) => {
                    format!("{name}:{}", told("{{ $.failure.Name }}", otherwise))
                }
                Some((name @ "Description", otherwise)) => {
                    format!("{name}:{}", told("{{ . }}", otherwise))
                }
                _ => field.to_owned(),
            };
            let fields: Vec<String> = text.split(';').map(field).collect();
            all.push((group.flag(option), fields.join(";")));
        }
    }
    all
});

// The programs' command lines are declared here because `notifierctl` checks their files and
// prints their options too.
impl Cli {
    /// The command line of `mesos-watcher`.
    #[cfg(feature = "mesos")]
    #[must_use]
    pub fn mesos_watcher(version: &'static str) -> Self {
        Self::watcher(
            "mesos-watcher",
            version,
            "Tells the right people when a task dies on Apache Mesos. Takes the command line, \
             the environment, the labels and the templates of Complainer 1.7.0.",
        )
        .program("Mesos", MASTERS_OPTIONS)
        .program("Demonstration", DEMO_OPTIONS)
        .section("Source mesos", notifiers::mesos::OPTIONS)
        .require(&["masters"])
    }

    /// The command line of `chronos-watcher`, which takes Chronos' own flags for mail.
    #[cfg(feature = "chronos")]
    #[must_use]
    pub fn chronos_watcher(version: &'static str) -> Self {
        Self::watcher(
            "chronos-watcher",
            version,
            "Mails the owners of a job when it fails on Chronos. Takes Chronos' own flags for mail, \
             and writes its mails unless told otherwise. With -masters it sees each failed run as it \
             happens, else what Chronos' API shows.",
        )
        .program("Mesos", MASTERS_OPTIONS)
        .section("Source chronos", notifiers::chronos::OPTIONS)
        .section("Source mesos", notifiers::mesos::OPTIONS)
        .also_called(&[
            ("mail_from", "smtp.from"),
            ("mail_server", "smtp.server"),
            ("mail_user", "smtp.user"),
            ("mail_password", "smtp.password"),
            ("cluster_name", "chronos.cluster_name"),
            ("http_credentials", "chronos.credentials"),
            ("disable_after_failures", "chronos.disable_after_failures"),
            ("mesos_framework_name", "chronos.framework"),
            ("master", "masters"),
        ])
        .switch("mail_ssl", "smtp.tls", "implicit")
        .preset("reporters", "smtp")
        .preset("uploader", "noop")
        .preset("smtp.format", "chronos")
    }

    /// The command line of `sns-relay`. Texts that came over a topic are told as they are, failures
    /// as each reporter tells them by default.
    #[cfg(feature = "sns-source")]
    #[must_use]
    pub fn sns_relay(version: &'static str) -> Self {
        let cli = Self::watcher(
            "sns-relay",
            version,
            "Takes notifications of Amazon SNS over HTTP, or as a Lambda function, and hands them to \
             any reporter. Text is told as it is; what a notifier published as JSON is told as the \
             failure that it is.",
        )
        .section("Relay", notifiers::sns_source::OPTIONS)
        .preset("uploader", "noop");
        TOLD.iter()
            .fold(cli, |cli, (flag, text)| cli.preset(flag, text))
    }

    /// The declarations of all watchers of this build, with nothing that only one of them has:
    /// for tools that read any watcher's settings.
    #[must_use]
    pub fn every_watcher(version: &'static str) -> Self {
        let cli = Self::watcher("watcher", version, "The options of every watcher.")
            // smtp-relay-check reads these by itself.
            .own_keys(&["defaults", "probe-targets", "state", "target"]);
        #[cfg(feature = "mesos")]
        let cli = cli
            .program("Mesos", MASTERS_OPTIONS)
            .program("Demonstration", DEMO_OPTIONS)
            .section("Source mesos", notifiers::mesos::OPTIONS);
        #[cfg(feature = "chronos")]
        let cli = cli.section("Source chronos", notifiers::chronos::OPTIONS);
        #[cfg(feature = "sns-source")]
        let cli = cli.section("Relay", notifiers::sns_source::OPTIONS);
        #[cfg(feature = "systemd")]
        let cli = cli
            .program("Units", crate::UNIT_OPTIONS)
            .section("Source systemd", notifiers::systemd::OPTIONS);
        #[cfg(feature = "fleet")]
        let cli = cli.section("Source fleet", notifiers::fleet::OPTIONS);
        cli
    }
}
