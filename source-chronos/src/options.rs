//! The options of the group `chronos`, and the builder that they set.

use std::{fmt, sync::Arc, time::Duration};

use notifier_core::{
    Backlog, Clock, DEFAULT_PREFIX, Error, OptionGroup, OptionKind, OptionSpec, Result, Settings,
    Source, SystemClock, redact,
};
use notifier_http::{BasicLogin, HttpClient};

use crate::{
    ChronosSource, Notify,
    api::Api,
    source::{Config, Frameworks},
};

/// The section's name.
pub const SCHEME: &str = "chronos";

const MIB: u64 = 1024 * 1024;

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "urls",
            "addresses of Chronos, http://HOST:PORT, separated by commas; the first that answers is asked",
        )
        .kind(OptionKind::List),
        OptionSpec::new(
            "name",
            "what this Chronos is called; part of the identity of what only its API tells",
        )
        .default("chronos"),
        OptionSpec::new(
            "credentials",
            "USER:PASSWORD for Chronos' API, or file:PATH of a file that holds it",
        )
        .secret(),
        OptionSpec::new("interval", "how often the list of jobs is read")
            .kind(OptionKind::Duration)
            .default("30s"),
        OptionSpec::new(
            "notify",
            "which failures of a job are told: every, one for each failed run; final, when Chronos gives up; or a number N, from the N-th failed run in a row. A job's own variable CHRONOS_NOTIFY, or its task's label of that name, says it for that job",
        )
        .default("final"),
        OptionSpec::new(
            "cluster_name",
            "name of the cluster for subjects, as Chronos' own --cluster_name",
        ),
        OptionSpec::new(
            "framework",
            "Mesos framework whose tasks are Chronos': its name, or what the name begins with before a dash. Unset: chronos, and whatever has tasks with ids of Chronos",
        ),
        OptionSpec::new(
            "disable_after_failures",
            "what Chronos' own --disable_after_failures is set to; 0: it disables no job",
        )
        .kind(OptionKind::Integer)
        .default("0"),
        OptionSpec::new(
            "settle",
            "the longest that a failure waits to learn what Chronos makes of it",
        )
        .kind(OptionKind::Duration)
        .default("30s"),
        OptionSpec::new("timeout", "the longest that one request to Chronos may take")
            .kind(OptionKind::Duration)
            .default("20s"),
        OptionSpec::new("max_answer", "the longest list of jobs that is read")
            .kind(OptionKind::Size)
            .default("64MiB"),
    ],
);

/// Sets up a [`ChronosSource`].
///
/// ```
/// use std::time::Duration;
/// use source_chronos::{ChronosSource, Notify};
///
/// let source = ChronosSource::builder(["http://chronos.example:4400"])
///     .notify(Notify::After(2))
///     .interval(Duration::from_secs(60))
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[must_use]
pub struct ChronosBuilder {
    urls: Vec<String>,
    name: String,
    credentials: Option<BasicLogin>,
    interval: Duration,
    notify: Notify,
    cluster: String,
    framework: Option<String>,
    disable_after: u64,
    settle: Duration,
    timeout: Duration,
    max_answer: u64,
    backlog: Backlog,
    prefix: String,
    inner: Option<Box<dyn Source>>,
    http: Option<HttpClient>,
    clock: Arc<dyn Clock>,
    /// What is wrong with the settings.
    wrong: Vec<String>,
}

impl ChronosBuilder {
    pub(crate) fn new<I>(urls: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self {
            urls: urls.into_iter().map(|u| u.as_ref().to_owned()).collect(),
            name: SCHEME.to_owned(),
            credentials: None,
            interval: Duration::from_secs(30),
            notify: Notify::default(),
            cluster: String::new(),
            framework: None,
            disable_after: 0,
            settle: Duration::from_secs(30),
            timeout: Duration::from_secs(20),
            max_answer: 64 * MIB,
            backlog: Backlog::default(),
            prefix: DEFAULT_PREFIX.to_owned(),
            inner: None,
            http: None,
            clock: Arc::new(SystemClock),
            wrong: Vec::new(),
        }
    }

    /// A builder with the values of [`OPTIONS`]. What is wrong with them is told by
    /// [`build`](Self::build), all at once.
    ///
    /// # Errors
    /// None so far.
    pub fn from_settings(
        settings: &Settings,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut b = Self::new(settings.list("urls")).http(http).clock(clock);
        if let Some(name) = settings.get("name") {
            b.name = name.to_owned();
        }
        b.credentials = settings
            .get("credentials")
            .map(|text| BasicLogin::new("chronos.credentials", text));
        if let Some(interval) = settings.duration("interval") {
            b.interval = interval;
        }
        if let Some(notify) = settings.get("notify") {
            match Notify::parse(notify) {
                Some(notify) => b.notify = notify,
                None => b.wrong.push(wrong(
                    "notify",
                    &format!("{notify:?} is neither every nor final nor a number from 1 on"),
                )),
            }
        }
        b.cluster = settings.text("cluster_name").to_owned();
        b.framework = settings.get("framework").map(str::to_owned);
        if let Some(failures) = settings.get("disable_after_failures") {
            match failures.parse() {
                Ok(failures) => b.disable_after = failures,
                Err(_) => b.wrong.push(wrong(
                    "disable_after_failures",
                    &format!("{failures:?} is not a whole number from 0 on"),
                )),
            }
        }
        if let Some(settle) = settings.duration("settle") {
            b.settle = settle;
        }
        if let Some(timeout) = settings.duration("timeout") {
            b.timeout = timeout;
        }
        if let Some(size) = settings.size("max_answer") {
            b.max_answer = size;
        }
        Ok(b)
    }

    /// What this Chronos is called. Default `chronos`. It is the source's name, and part of
    /// the identity of what only the API tells.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// `USER:PASSWORD` for HTTP Basic, or `file:PATH` of a file that holds it and is read
    /// anew for each request. Default: none.
    pub fn credentials(mut self, credentials: &str) -> Self {
        self.credentials = Some(BasicLogin::new("chronos.credentials", credentials));
        self
    }

    /// How often the list of jobs is read. Default 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Which failed runs are told. Default [`Notify::Final`].
    pub fn notify(mut self, notify: Notify) -> Self {
        self.notify = notify;
        self
    }

    /// The cluster's name for subjects. Default: none.
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// The Mesos framework whose tasks are Chronos': its name, or what the name begins with
    /// before a dash. Default: `chronos`, and whatever has tasks with ids of Chronos.
    pub fn framework(mut self, name: impl Into<String>) -> Self {
        self.framework = Some(name.into());
        self
    }

    /// After how many failures in a row Chronos disables a job. Default 0: it does not.
    pub fn disable_after_failures(mut self, failures: u64) -> Self {
        self.disable_after = failures;
        self
    }

    /// The longest that a failure waits to learn what Chronos makes of it. Default 30 s.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// The longest that one request may take. Default 20 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest list of jobs that is read, in bytes. Default 64 MiB.
    pub fn max_answer(mut self, bytes: u64) -> Self {
        self.max_answer = bytes;
        self
    }

    /// What becomes of what the API tells at the very first start. Default [`Backlog::Skip`].
    pub fn backlog(mut self, backlog: Backlog) -> Self {
        self.backlog = backlog;
        self
    }

    /// What variables of a job begin with that become labels, before an underscore. Default
    /// `complainer`.
    pub fn label_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The source that tells of each failed run: a cluster's. Default: none, and only what
    /// the API counts is told.
    pub fn inner(mut self, inner: impl Into<Option<Box<dyn Source>>>) -> Self {
        self.inner = inner.into();
        self
    }

    /// The client for the API. Default: one with every setting at its default.
    pub fn http(mut self, http: HttpClient) -> Self {
        self.http = Some(http);
        self
    }

    /// The clock that dates what only the API tells. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names all that is wrong.
    pub fn build(self) -> Result<ChronosSource> {
        let mut all = self.wrong;
        let addresses = addresses(&self.urls, &mut all);
        if self.name.trim().is_empty() {
            all.push(wrong("name", "a name is needed"));
        }
        for (option, value) in [("interval", self.interval), ("timeout", self.timeout)] {
            if value.is_zero() {
                all.push(wrong(option, "it must be longer than 0"));
            }
        }
        if self.notify == Notify::After(0) {
            all.push(wrong("notify", "failed runs count from 1 on"));
        }
        if let Some(Err(e)) = self.credentials.as_ref().map(BasicLogin::check) {
            all.push(wrong("credentials", &e.report().to_string()));
        }
        if !all.is_empty() {
            return Err(Error::config(all.join("; ")));
        }
        let http = HttpClient::or_new(self.http)?;
        let api = Api::new(
            http,
            addresses,
            self.credentials,
            self.timeout,
            self.max_answer,
            self.prefix,
        );
        Ok(ChronosSource {
            config: Config {
                name: self.name,
                cluster: self.cluster,
                notify: self.notify,
                frameworks: Frameworks::new(self.framework),
                disable_after: self.disable_after,
                interval: self.interval.min(LONGEST),
                settle: self.settle.min(LONGEST),
                backlog: self.backlog,
                clock: self.clock,
            },
            api: Arc::new(api),
            inner: self.inner,
        })
    }
}

/// In place of any longer time, which a point in time could not hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What is wrong with an option, by the name of its flag and its variable.
fn wrong(option: &str, what: &str) -> String {
    let place = format!("{SCHEME}.{option}");
    let what = what.trim_start_matches(&format!("{place}: "));
    let variable = place.replace(['.', '-'], "_").to_uppercase();
    format!("{place}: {what} (-{place} or {variable})")
}

/// The addresses, without what the API adds to them. What is wrong with them is added to `all`.
fn addresses(urls: &[String], all: &mut Vec<String>) -> Vec<String> {
    const SUCH: &str = "such as http://chronos.example:4400";
    let texts = urls.iter().flat_map(|u| u.split(',')).map(str::trim);
    let mut out: Vec<String> = Vec::new();
    let mut is_set = false;
    for text in texts.filter(|text| !text.is_empty()) {
        is_set = true;
        match address(text) {
            Ok(base) if out.iter().any(|known| known == base) => {}
            Ok(base) => out.push(base.to_owned()),
            Err(Wrong::Address(what)) => all.push(wrong("urls", &format!("{what}, {SUCH}"))),
            Err(Wrong::Credentials(what)) => all.push(wrong("urls", &what)),
        }
    }
    if !is_set {
        all.push(wrong("urls", &format!("set an address of Chronos, {SUCH}")));
    }
    out
}

/// What is wrong with an address.
enum Wrong {
    Address(String),
    Credentials(String),
}

fn address(text: &str) -> Result<&str, Wrong> {
    let Ok(url) = url::Url::parse(text) else {
        return Err(Wrong::Address("one is no address".to_owned()));
    };
    let shown = redact::url(text);
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Wrong::Address(format!(
            "{shown} is no http or https address"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::Credentials(format!(
            "name and password of {shown} belong into chronos.credentials"
        )));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::Address(format!("{shown} has more than a path")));
    }
    let base = text.trim_end_matches('/');
    Ok(base
        .strip_suffix("/v1/scheduler")
        .or_else(|| base.strip_suffix("/scheduler"))
        .unwrap_or(base))
}

impl fmt::Debug for ChronosBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|u| redact::url(u)).collect();
        f.debug_struct("ChronosBuilder")
            .field("urls", &urls)
            .field("name", &self.name)
            .field("notify", &self.notify)
            .field("interval", &self.interval)
            .field("settle", &self.settle)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
