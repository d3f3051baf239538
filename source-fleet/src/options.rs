//! The options of the group `fleet`, and the builder that they set.

use std::{fmt, sync::Arc, time::Duration};

use notifier_core::{
    Backlog, Clock, DEFAULT_PREFIX, Error, OptionGroup, OptionKind, OptionSpec, Result, Settings,
    SystemClock,
};
use notifier_http::{BasicLogin, HttpClient};

use crate::{
    FleetSource,
    api::Api,
    endpoint::Endpoint,
    glob::Choice,
    http::{Get, Http},
    source::Config,
};

/// The section's name.
pub const SCHEME: &str = "fleet";

const MIB: u64 = 1024 * 1024;
/// In place of any longer time, which a point in time could not hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "endpoint",
            "addresses of fleet's API, http://HOST:PORT or unix:///var/run/fleet.sock, separated by commas; the first that answers is asked",
        )
        .kind(OptionKind::List),
        OptionSpec::new(
            "name",
            "what this fleet is called; part of the identity of its failures",
        )
        .default("fleet"),
        OptionSpec::new(
            "credentials",
            "USER:PASSWORD for a proxy before fleet's API, or file:PATH of a file that holds it",
        )
        .secret(),
        OptionSpec::new("interval", "how often the states of all units are read")
            .kind(OptionKind::Duration)
            .default("5s"),
        OptionSpec::new(
            "units",
            "units that are watched, separated by commas; * stands for any characters, ? for one. Unset: all",
        )
        .kind(OptionKind::List),
        OptionSpec::new("ignore", "units that are not watched, as in units")
            .kind(OptionKind::List),
        OptionSpec::new(
            "settle",
            "how long what is not certain must last: a unit that no machine has, a failure that may be of a replaced file or left over on another machine, and an answer that is missing",
        )
        .kind(OptionKind::Duration)
        .default("60s"),
        OptionSpec::new(
            "lost",
            "whether a unit is told as LOST that is to be launched and that no machine has",
        )
        .kind(OptionKind::Bool)
        .default("false"),
        OptionSpec::new("timeout", "the longest that one request to fleet may take")
            .kind(OptionKind::Duration)
            .default("10s"),
        OptionSpec::new("max_answer", "the longest page that is read")
            .kind(OptionKind::Size)
            .default("16MiB"),
    ],
);

/// Sets up a [`FleetSource`].
///
/// ```
/// use std::time::Duration;
/// use source_fleet::FleetSource;
///
/// let source = FleetSource::builder(["unix:///var/run/fleet.sock"])
///     .interval(Duration::from_secs(10))
///     .units(["web@*.service"])
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[must_use]
pub struct FleetBuilder {
    endpoints: Vec<String>,
    name: String,
    credentials: Option<BasicLogin>,
    choice: Choice,
    interval: Duration,
    settle: Duration,
    tells_lost: bool,
    timeout: Duration,
    max_answer: u64,
    backlog: Backlog,
    prefix: String,
    http: Option<HttpClient>,
    clock: Arc<dyn Clock>,
}

impl FleetBuilder {
    pub(crate) fn new<I>(endpoints: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self {
            endpoints: texts(endpoints),
            name: SCHEME.to_owned(),
            credentials: None,
            choice: Choice::default(),
            interval: Duration::from_secs(5),
            settle: Duration::from_secs(60),
            tells_lost: false,
            timeout: Duration::from_secs(10),
            max_answer: 16 * MIB,
            backlog: Backlog::default(),
            prefix: DEFAULT_PREFIX.to_owned(),
            http: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A builder with the values of [`OPTIONS`]. What is wrong with them is told by
    /// [`build`](Self::build), all at once.
    pub fn from_settings(settings: &Settings, http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        let mut b = Self::new(settings.list("endpoint")).http(http).clock(clock);
        if let Some(name) = settings.get("name") {
            b.name = name.to_owned();
        }
        b.credentials = settings
            .get("credentials")
            .map(|text| BasicLogin::new("fleet.credentials", text));
        b.choice.units = texts(settings.list("units"));
        b.choice.ignore = texts(settings.list("ignore"));
        b.interval = settings.duration("interval").unwrap_or(b.interval);
        b.settle = settings.duration("settle").unwrap_or(b.settle);
        b.timeout = settings.duration("timeout").unwrap_or(b.timeout);
        b.max_answer = settings.size("max_answer").unwrap_or(b.max_answer);
        b.tells_lost = settings.bool("lost");
        b
    }

    /// What this fleet is called. Default `fleet`. It is the source's name, and part of the
    /// identity of its failures.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// `USER:PASSWORD` for HTTP Basic, or `file:PATH` of a file that holds it and is read
    /// anew for each request. Default: none; fleet itself asks for none.
    pub fn credentials(mut self, credentials: &str) -> Self {
        self.credentials = Some(BasicLogin::new("fleet.credentials", credentials));
        self
    }

    /// The units that are watched, with `*` for any characters and `?` for one. Default: all.
    pub fn units<I>(mut self, patterns: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.choice.units = texts(patterns);
        self
    }

    /// The units that are not watched. Default: none.
    pub fn ignore<I>(mut self, patterns: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.choice.ignore = texts(patterns);
        self
    }

    /// How often the states are read. Default 5 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long what is not certain must last. Default 60 s.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Whether units are told that are to be launched and that no machine has for
    /// [`settle`](Self::settle). Default: no.
    pub fn lost(mut self, yes: bool) -> Self {
        self.tells_lost = yes;
        self
    }

    /// The longest that one request may take. Default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest page that is read, in bytes. Default 16 MiB.
    pub fn max_answer(mut self, bytes: u64) -> Self {
        self.max_answer = bytes;
        self
    }

    /// What becomes of units that have failed before the very first look. Default
    /// [`Backlog::Skip`].
    pub fn backlog(mut self, backlog: Backlog) -> Self {
        self.backlog = backlog;
        self
    }

    /// What routing labels begin with. Default `complainer`.
    pub fn label_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The client for endpoints over TCP. Default: one with every setting at its default.
    pub fn http(mut self, http: HttpClient) -> Self {
        self.http = Some(http);
        self
    }

    /// The clock that dates failures. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names all that is wrong.
    pub fn build(mut self) -> Result<FleetSource> {
        let mut all = Vec::new();
        let endpoints = endpoints(&self.endpoints, &mut all);
        if self.name.trim().is_empty() {
            all.push(wrong("name", "a name is needed"));
        }
        for (option, value) in [("interval", self.interval), ("timeout", self.timeout)] {
            if value.is_zero() {
                all.push(wrong(option, "it must be longer than 0"));
            }
        }
        if let Some(Err(e)) = self.credentials.as_ref().map(BasicLogin::check) {
            all.push(wrong("credentials", &e.report().to_string()));
        }
        if !all.is_empty() {
            return Err(Error::config(all.join("; ")));
        }
        let http = HttpClient::or_new(self.http.take())?;
        let max = usize::try_from(self.max_answer).unwrap_or(usize::MAX);
        let timeout = self.timeout.min(LONGEST);
        let get = Http::new(&http, endpoints, self.credentials.clone(), timeout, max)?;
        Ok(self.over(Arc::new(get)))
    }

    /// The source, over whatever gets its pages.
    pub(crate) fn over(self, get: Arc<dyn Get>) -> FleetSource {
        let only = self.choice.only().map(str::to_owned);
        FleetSource {
            api: Api::new(get, self.timeout.min(LONGEST), only),
            config: Config {
                name: self.name,
                choice: self.choice,
                interval: self.interval.min(LONGEST),
                settle: self.settle.min(LONGEST),
                tells_lost: self.tells_lost,
                backlog: self.backlog,
                prefix: self.prefix,
                clock: self.clock,
            },
        }
    }
}

fn texts<I>(all: I) -> Vec<String>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    all.into_iter().map(|t| t.as_ref().to_owned()).collect()
}

/// What is wrong with an option, by the name of its flag and its variable.
fn wrong(option: &str, what: &str) -> String {
    let place = format!("{SCHEME}.{option}");
    let what = what.trim_start_matches(&format!("{place}: "));
    let variable = place.replace('.', "_").to_uppercase();
    format!("{place}: {what} (-{place} or {variable})")
}

/// The endpoints, each once. What is wrong with them is added to `all`.
fn endpoints(texts: &[String], all: &mut Vec<String>) -> Vec<Endpoint> {
    let mut out: Vec<Endpoint> = Vec::new();
    let mut is_set = false;
    let texts = texts.iter().flat_map(|t| t.split(',')).map(str::trim);
    for text in texts.filter(|text| !text.is_empty()) {
        is_set = true;
        match Endpoint::parse(text) {
            Ok(endpoint) if out.contains(&endpoint) => {}
            Ok(endpoint) => out.push(endpoint),
            Err(what) => all.push(wrong("endpoint", &what)),
        }
    }
    if !is_set {
        let what = "set an address of fleet's API, such as unix:///var/run/fleet.sock";
        all.push(wrong("endpoint", what));
    }
    out
}

impl fmt::Debug for FleetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &String| {
            Endpoint::parse(text).map_or_else(|_| "?".to_owned(), |endpoint| endpoint.shown())
        };
        f.debug_struct("FleetBuilder")
            .field(
                "endpoints",
                &self.endpoints.iter().map(shown).collect::<Vec<_>>(),
            )
            .field("name", &self.name)
            .field("choice", &self.choice)
            .field("interval", &self.interval)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
