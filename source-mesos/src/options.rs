//! The options of the group `mesos`, and the builder that they set.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use notifier_core::{
    Backlog, Clock, Error, OptionGroup, OptionKind, OptionSpec, Result, Secret, Settings,
    SystemClock, redact,
};
use notifier_http::HttpClient;

use crate::{
    MesosLogLocator, MesosSource,
    addresses::{Named, parse_masters, split_masters},
    body::Pace,
    credentials::{Credentials, Hidden, credentials, read_file},
    error,
    masters::Masters,
    registry::Registries,
    subscription::FOR_EVER,
    wanted::{KILLED_LIMIT, KILLED_UNHEALTHY, Wanted},
};

/// The options of this source: flags `-mesos.interval` and so on. Which masters there
/// are, and whether failures before the first start are reported, the program asks itself.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    "mesos",
    &[
        OptionSpec::new("name", "what the cluster is called; part of the identity of its failures").default("mesos"),
        OptionSpec::new("api", "stream: events of the operator API (Mesos 1.0 and later); poll: the state, at an interval; auto: stream, poll for as long as there is none")
            .kind(OptionKind::Choice(&["auto", "stream", "poll"]))
            .default("auto"),
        OptionSpec::new("interval", "how often the state is read while it is polled")
            .kind(OptionKind::Duration)
            .default("5s"),
        OptionSpec::new("sweep", "how often the state is read beside the stream, for what no event tells")
            .kind(OptionKind::Duration)
            .default("30s"),
        OptionSpec::new("states", "ends of tasks that are failures; KILLED_UNHEALTHY and KILLED_LIMIT are kills after failed health checks and at a limit; KILLED (all kills) can be added")
            .kind(OptionKind::List)
            .default("FAILED,ERROR,LOST,DROPPED,GONE,GONE_BY_OPERATOR,UNREACHABLE,KILLED_UNHEALTHY,KILLED_LIMIT"),
        OptionSpec::new("timeout", "longest silence of a master or agent while it is asked")
            .kind(OptionKind::Duration)
            .default("10s"),
        OptionSpec::new("ca", "PEM file with CA certificates to trust beside those of the system")
            .kind(OptionKind::Path),
        OptionSpec::new("cert", "PEM file with the client certificate").kind(OptionKind::Path),
        OptionSpec::new("key", "PEM file with the key of the client certificate, if it is not in the same file")
            .kind(OptionKind::Path),
        OptionSpec::new("user", "principal for HTTP Basic"),
        OptionSpec::new("password", "its secret, or file:/path of a file that holds it").secret(),
        OptionSpec::new("token", "bearer token, or file:/path of a file that holds it").secret(),
        OptionSpec::new("trusted-hosts", "hosts (HOST or HOST:PORT) that get the credentials when a master redirects there, beside the masters named")
            .kind(OptionKind::List),
        OptionSpec::new("agent-scheme", "how agents are asked and linked to; by default as the leading master")
            .kind(OptionKind::Choice(&["http", "https"])),
        OptionSpec::new("agent-user", "principal for agents, if it is not that for masters"),
        OptionSpec::new("agent-password", "its secret, or file:/path").secret(),
        OptionSpec::new("agent-token", "bearer token for agents, if it is not that for masters, or file:/path")
            .secret(),
        OptionSpec::new("max-state-size", "largest state that is read, unpacked: 512MiB, 1GiB").default("512MiB"),
    ],
);

/// The ends that are failures unless set: all but `TASK_FINISHED` and `TASK_KILLED`, of which
/// those after failed health checks (`TASK_KILLED_UNHEALTHY`) and at a limit of the container
/// (`TASK_KILLED_LIMIT`) are. These two are no states of Mesos.
pub const DEFAULT_STATES: &[&str] = &[
    "TASK_FAILED",
    "TASK_ERROR",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
    "TASK_UNREACHABLE",
    KILLED_UNHEALTHY,
    KILLED_LIMIT,
];

const OTHER_STATES: &[&str] = &["TASK_KILLED", "TASK_FINISHED", "TASK_UNKNOWN"];

const MIB: u64 = 1024 * 1024;

/// Where failures are heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// The stream of events; the state is polled for as long as there is none, because the
    /// version is too old or refuses it, or because it does not come about.
    #[default]
    Auto,
    /// The stream of events (`SUBSCRIBE` of the operator API, Mesos 1.0 and later), with a
    /// look at the whole state now and then.
    Stream,
    /// The state, at an interval.
    Poll,
}

/// Sets up a [`MesosSource`] and its [`MesosLogLocator`].
///
/// ```
/// use std::time::Duration;
/// use source_mesos::{Backlog, MesosSource};
///
/// let (source, locator) = MesosSource::builder(["http://m1.example:5050", "m2.example:5050"])
///     .name("production")
///     .interval(Duration::from_secs(10))
///     .states(["TASK_FAILED", "KILLED"])
///     .backlog(Backlog::Report)
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct MesosBuilder {
    masters: Vec<String>,
    name: String,
    api: Api,
    interval: Duration,
    sweep: Duration,
    states: Vec<String>,
    backlog: Backlog,
    timeout: Duration,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    credentials: Option<Credentials>,
    trusted_hosts: Vec<String>,
    agent_scheme: Option<String>,
    agent_credentials: Option<Credentials>,
    max_state_size: u64,
    clock: Arc<dyn Clock>,
}

impl MesosBuilder {
    pub(crate) fn new<I>(masters: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self {
            masters: masters.into_iter().map(|m| m.as_ref().to_owned()).collect(),
            name: "mesos".to_owned(),
            api: Api::default(),
            interval: Duration::from_secs(5),
            sweep: Duration::from_secs(30),
            states: DEFAULT_STATES.iter().map(|s| (*s).to_owned()).collect(),
            backlog: Backlog::default(),
            timeout: Duration::from_secs(10),
            ca: None,
            cert: None,
            key: None,
            credentials: None,
            trusted_hosts: Vec::new(),
            agent_scheme: None,
            agent_credentials: None,
            max_state_size: 512 * MIB,
            clock: Arc::new(SystemClock),
        }
    }

    /// A builder with the values of [`OPTIONS`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names the option.
    pub fn from_settings<I>(masters: I, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut b = Self::new(masters).clock(clock);
        if let Some(name) = settings.get("name") {
            b.name = name.to_owned();
        }
        b.api = match settings.get("api") {
            Some("stream") => Api::Stream,
            Some("poll") => Api::Poll,
            _ => Api::Auto,
        };
        if let Some(interval) = settings.duration("interval") {
            b.interval = interval;
        }
        if let Some(sweep) = settings.duration("sweep") {
            b.sweep = sweep;
        }
        if settings.get("states").is_some() {
            b.states = settings
                .list("states")
                .into_iter()
                .map(str::to_owned)
                .collect();
        }
        if let Some(timeout) = settings.duration("timeout") {
            b.timeout = timeout;
        }
        if let Some(size) = settings.get("max-state-size") {
            b.max_state_size = parse_size(size).ok_or_else(|| {
                Error::config(format!(
                    "mesos.max-state-size: {size:?} is not a size (such as 512MiB or 1GiB)"
                ))
            })?;
        }
        let path = |key| settings.get(key).map(PathBuf::from);
        (b.ca, b.cert, b.key) = (path("ca"), path("cert"), path("key"));
        b.credentials = credentials(settings, "user", "password", "token")?;
        b.agent_credentials = credentials(settings, "agent-user", "agent-password", "agent-token")?;
        b.trusted_hosts = settings
            .list("trusted-hosts")
            .into_iter()
            .map(str::to_owned)
            .collect();
        b.agent_scheme = settings.get("agent-scheme").map(str::to_owned);
        Ok(b)
    }

    /// What the cluster is called. Default `mesos`. It is part of the identity of its
    /// failures: under another name they are new.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Where failures are heard of. Default [`Api::Auto`].
    pub fn api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// How often the state is read beside the stream of events, for what no event tells:
    /// tasks whose scheduler is away, tasks that come back with an agent. Default 30 s.
    pub fn sweep(mut self, sweep: Duration) -> Self {
        self.sweep = sweep;
        self
    }

    /// How often the state is read while it is polled. Default 5 s. A master keeps the last
    /// 1000 ended tasks of a framework: more than that in one interval are lost to polling.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The task states that are failures, with or without `TASK_`. Default [`DEFAULT_STATES`].
    pub fn states<I>(mut self, states: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.states = states.into_iter().map(Into::into).collect();
        self
    }

    /// What becomes of failures before the very first start. Default [`Backlog::Skip`].
    pub fn backlog(mut self, backlog: Backlog) -> Self {
        self.backlog = backlog;
        self
    }

    /// The longest silence of a master or agent while it is asked. Default 10 s. The
    /// whole time of an answer is not limited.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts the CA certificates of a PEM file beside those of the system.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }

    /// Shows a client certificate. `key` may be `None` if it is in the same PEM file.
    pub fn client_cert(mut self, cert: impl Into<PathBuf>, key: Option<PathBuf>) -> Self {
        self.cert = Some(cert.into());
        self.key = key;
        self
    }

    /// HTTP Basic for masters, and for agents unless set apart.
    pub fn basic(mut self, user: impl Into<String>, password: Secret) -> Self {
        self.credentials = Some(Credentials::Basic {
            user: user.into(),
            password: Hidden::Value(password),
        });
        self
    }

    /// A bearer token for masters, and for agents unless set apart.
    pub fn bearer(mut self, token: Secret) -> Self {
        self.credentials = Some(Credentials::Bearer(Hidden::Value(token)));
        self
    }

    /// HTTP Basic for agents.
    pub fn agent_basic(mut self, user: impl Into<String>, password: Secret) -> Self {
        self.agent_credentials = Some(Credentials::Basic {
            user: user.into(),
            password: Hidden::Value(password),
        });
        self
    }

    /// A bearer token for agents.
    pub fn agent_bearer(mut self, token: Secret) -> Self {
        self.agent_credentials = Some(Credentials::Bearer(Hidden::Value(token)));
        self
    }

    /// `http` or `https` for agents. Default: as the leading master.
    pub fn agent_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.agent_scheme = Some(scheme.into());
        self
    }

    /// Hosts (`HOST` or `HOST:PORT`) that get the credentials when a master redirects
    /// there. Default: none beside the masters.
    pub fn trusted_hosts<I>(mut self, hosts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.trusted_hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// The largest state that is read, in bytes, unpacked. Default 512 MiB.
    pub fn max_state_size(mut self, bytes: u64) -> Self {
        self.max_state_size = bytes;
        self
    }

    /// The clock that dates failures without a status. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source, and the locator to be given to the engine under the source's name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names what is wrong.
    pub fn build(self) -> Result<(MesosSource, MesosLogLocator)> {
        if self.name.trim().is_empty() {
            return Err(Error::config("mesos.name: a name is needed"));
        }
        if self.interval.is_zero() {
            return Err(Error::config("mesos.interval: it must be longer than 0"));
        }
        if self.sweep.is_zero() {
            return Err(Error::config("mesos.sweep: it must be longer than 0"));
        }
        if self.timeout.is_zero() {
            return Err(Error::config("mesos.timeout: it must be longer than 0"));
        }
        let states = parse_states(&self.states)?;
        let Named {
            masters,
            #[cfg(feature = "zookeeper")]
            ensembles,
        } = parse_masters(&self.masters)?;
        if let Some(scheme) = &self.agent_scheme
            && !matches!(scheme.as_str(), "http" | "https")
        {
            return Err(Error::config(format!(
                "mesos.agent-scheme: {scheme:?} is not one of http, https"
            )));
        }
        let timeout = self.timeout.min(FOR_EVER);
        let mut http = HttpClient::builder()
            .timeout(None)
            .idle_timeout(timeout)
            .connect_timeout(timeout.min(notifier_http::CONNECT_TIMEOUT))
            .gzip(true)
            .clock(Arc::clone(&self.clock));
        if let Some(path) = &self.ca {
            http = http
                .ca_file(path)
                .map_err(|e| error::option("mesos.ca", &e))?;
        }
        match (&self.cert, &self.key) {
            (None, None) => {}
            (None, Some(_)) => return Err(Error::config("mesos.key: it needs mesos.cert")),
            (Some(cert), None) => {
                http = http
                    .client_cert_file(cert)
                    .map_err(|e| error::option("mesos.cert", &e))?;
            }
            (Some(cert), Some(key)) => {
                let mut pem = read_file("mesos.cert", cert)?;
                pem.push(b'\n');
                pem.extend(read_file("mesos.key", key)?);
                http = http
                    .client_pem(&pem)
                    .map_err(|e| error::option("mesos.cert", &e))?;
            }
        }
        let client = http.build()?;
        // A name and password inside one master's address count for all of them.
        let shared = self
            .credentials
            .or_else(|| masters.iter().find_map(|m| m.credentials.clone()));
        let for_agents = self.agent_credentials.or_else(|| shared.clone());
        for credentials in [&shared, &for_agents].into_iter().flatten() {
            credentials.check()?;
        }
        let max = usize::try_from(self.max_state_size).unwrap_or(usize::MAX);
        let pace = Pace::of(timeout);
        #[cfg(feature = "zookeeper")]
        let registries = {
            let scheme = match self.agent_scheme.as_deref() {
                Some("https") => "https",
                _ => "http",
            };
            Registries::new(ensembles, scheme)
        };
        #[cfg(not(feature = "zookeeper"))]
        let registries = Registries::default();
        let masters = Masters::new(
            client.clone(),
            masters,
            registries,
            shared,
            self.trusted_hosts,
            pace,
        );
        let locator = MesosLogLocator::new(client, self.agent_scheme, for_agents, max, pace);
        let source = MesosSource {
            name: self.name,
            api: self.api,
            interval: self.interval.min(FOR_EVER),
            sweep: self.sweep.min(FOR_EVER),
            backlog: self.backlog,
            wanted: Arc::new(Wanted::new(states)),
            masters: Arc::new(masters),
            locator: locator.clone(),
            max,
            clock: self.clock,
        };
        Ok((source, locator))
    }
}

/// Masters are shown without user information.
impl fmt::Debug for MesosBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.masters.join(",");
        let masters: Vec<String> = split_masters(&list).into_iter().map(redact::url).collect();
        f.debug_struct("MesosBuilder")
            .field("masters", &masters)
            .field("name", &self.name)
            .field("api", &self.api)
            .field("interval", &self.interval)
            .field("sweep", &self.sweep)
            .field("states", &self.states)
            .field("backlog", &self.backlog)
            .field("timeout", &self.timeout)
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("credentials", &self.credentials)
            .field("trusted_hosts", &self.trusted_hosts)
            .field("agent_scheme", &self.agent_scheme)
            .field("agent_credentials", &self.agent_credentials)
            .field("max_state_size", &self.max_state_size)
            .finish_non_exhaustive()
    }
}

fn parse_states(states: &[String]) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for state in states.iter().map(|s| s.trim()).filter(|s| !s.is_empty()) {
        let upper = state.to_ascii_uppercase();
        let whole = if upper.starts_with("TASK_") {
            upper
        } else {
            format!("TASK_{upper}")
        };
        if !DEFAULT_STATES
            .iter()
            .chain(OTHER_STATES)
            .any(|s| *s == whole)
        {
            let all: Vec<&str> = DEFAULT_STATES.iter().chain(OTHER_STATES).copied().collect();
            return Err(Error::config(format!(
                "mesos.states: {state:?} is not one of {}",
                all.join(", ")
            )));
        }
        if !out.contains(&whole) {
            out.push(whole);
        }
    }
    if out.is_empty() {
        return Err(Error::config("mesos.states: at least one state is needed"));
    }
    Ok(out)
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let n: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1024,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => 1024 * MIB,
        _ => return None,
    };
    n.checked_mul(unit).filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use notifier_core::{BackendSettings, Origin};

    use super::*;

    fn settings(values: &[(&str, &str)]) -> Settings {
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in values {
            s.set(Origin::Flag, key, value).unwrap();
        }
        s.instance("default")
    }

    fn built(masters: &[&str], values: &[(&str, &str)]) -> Result<(MesosSource, MesosLogLocator)> {
        MesosBuilder::from_settings(masters, &settings(values), Arc::new(SystemClock))?.build()
    }

    fn refused(values: &[(&str, &str)]) -> String {
        built(&["http://m:5050"], values).unwrap_err().to_string()
    }

    #[test]
    fn defaults_of_the_declaration_and_of_the_builder_agree() {
        let of_settings =
            MesosBuilder::from_settings(["m:1"], &settings(&[]), Arc::new(SystemClock)).unwrap();
        let mut plain = MesosBuilder::new(["m:1"]);
        plain.states = parse_states(&plain.states).unwrap();
        let mut of_settings = of_settings;
        of_settings.states = parse_states(&of_settings.states).unwrap();
        assert_eq!(format!("{of_settings:?}"), format!("{plain:?}"));
    }

    #[test]
    fn wrong_masters_are_named_without_their_secrets() {
        let refused = |m: &str| built(&[m], &[]).unwrap_err().to_string();
        assert_eq!(
            refused(""),
            "no Mesos master is named (such as http://master.example:5050)"
        );
        #[cfg(not(feature = "zookeeper"))]
        assert!(refused("zk://u:s3cr3t@z:2181/mesos").contains("need the feature `zookeeper`"));
        for bad in [
            "zk://u:s3cr3t@z:2181",
            "http://u:s3cr3t@",
            "http://u:s3cr3t@h:99999",
            "ftp://u:s3cr3t@h",
        ] {
            assert!(!refused(bad).contains("s3cr3t"), "{}", refused(bad));
        }
    }

    #[test]
    fn errors_name_the_option() {
        assert!(
            refused(&[("states", "FAILED,NOPE")])
                .starts_with("mesos.states: \"NOPE\" is not one of TASK_FAILED")
        );
        assert!(refused(&[("states", "RUNNING")]).starts_with("mesos.states:"));
        assert!(refused(&[("states", ",")]).starts_with("mesos.states:"));
        assert_eq!(
            refused(&[("interval", "0s")]),
            "mesos.interval: it must be longer than 0"
        );
        assert!(
            refused(&[("max-state-size", "huge")])
                .starts_with("mesos.max-state-size: \"huge\" is not a size")
        );
        assert_eq!(
            refused(&[("user", "u")]),
            "mesos.user: it needs mesos.password"
        );
        assert_eq!(
            refused(&[("agent-password", "p")]),
            "mesos.agent-password: it needs mesos.agent-user"
        );
        assert!(
            refused(&[("token", "t"), ("user", "u"), ("password", "p")])
                .starts_with("mesos.token: it excludes")
        );
        assert!(
            refused(&[("token", "file:/no/such")])
                .starts_with("mesos.token: /no/such cannot be read")
        );
        assert!(refused(&[("ca", "/no/such")]).starts_with("mesos.ca:"));
        assert_eq!(
            refused(&[("key", "/no/such")]),
            "mesos.key: it needs mesos.cert"
        );
        assert!(refused(&[("cert", "/no/such"), ("key", "/no")]).starts_with("mesos.cert:"));
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("512MiB"), Some(512 * MIB));
        assert_eq!(parse_size("1 gib"), Some(1024 * MIB));
        assert_eq!(parse_size("4096"), Some(4096));
        for bad in [
            "",
            "0",
            "x",
            "1TB",
            "-1",
            "99999999999999999999",
            "99999999999999GiB",
        ] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn states_may_be_short() {
        let states =
            parse_states(&["failed".into(), " TASK_KILLED".into(), "FAILED".into()]).unwrap();
        assert_eq!(states, ["TASK_FAILED", "TASK_KILLED"]);
    }

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "t0ken-value\n").unwrap();
        let value = format!("file:{}", path.display());
        assert_eq!(
            Hidden::new("mesos.token", &value).read().unwrap().expose(),
            "t0ken-value"
        );
        let built = built(
            &["http://admin:hunter22@m:5050"],
            &[
                ("token", &value),
                ("agent-user", "ag3nt-user"),
                ("agent-password", "ag3nt-secret"),
            ],
        )
        .unwrap();
        let builder =
            MesosBuilder::new(["http://admin:hunter22@m:5050"]).bearer("t0ken-value".into());
        let shown = format!(
            "{built:?} {:?}",
            parse_masters(&["http://admin:hunter22@m:5050".into()])
                .unwrap()
                .masters
        );
        for secret in ["hunter22", "admin", "t0ken", "ag3nt-user", "ag3nt-secret"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        let shown = format!("{builder:?}");
        assert!(
            !shown.contains("hunter22") && !shown.contains("t0ken"),
            "{shown}"
        );
    }
}
