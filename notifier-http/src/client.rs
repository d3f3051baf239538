//! The client and its builder.

#[cfg(unix)]
use std::path::PathBuf;
use std::{fmt, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use notifier_core::{Clock, Error, Origin, Result, SystemClock};
use reqwest::{Method, redirect, retry};

use crate::{GuestPolicy, HttpSettings, Request, guest::GuestResolver, tls::Tls};

/// The time for one request in all, unless set.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The time for look-up, connection and TLS handshake, unless set.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause in an answer read as a stream, unless set.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// In place of any longer time, which a point in time could not hold.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many bytes of an answer are read, unless set.
pub const MAX_ANSWER: usize = 64 * 1024;
/// What requests name themselves, unless set.
pub const USER_AGENT: &str = concat!("notifiers/", env!("CARGO_PKG_VERSION"));

/// Shorter than the idle time-out of common servers and balancers, so that a request
/// seldom meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(20);
const POOL_PER_HOST: usize = 4;

/// An HTTP client: a cheap handle, to be cloned.
///
/// It never follows a redirect, never repeats a request, keeps no cookies, reads
/// answers up to a limit, and shows no URL's secret. [`for_origin`](Self::for_origin)
/// gives the guarded client for addresses that come from task labels.
#[derive(Clone)]
pub struct HttpClient {
    pub(crate) inner: Arc<Inner>,
    pub(crate) guest: bool,
}

pub(crate) struct Inner {
    pub(crate) trusted: reqwest::Client,
    pub(crate) guarded: reqwest::Client,
    pub(crate) guests: Arc<GuestPolicy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle: Duration,
}

impl HttpClient {
    /// A client with every setting at its default.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](notifier_core::ErrorKind::Internal) if TLS cannot be set up.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// The client that was given, or a new one with every setting at its default.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn or_new(given: Option<Self>) -> Result<Self> {
        given.map_or_else(Self::new, Ok)
    }

    /// A client to be set up.
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder::default()
    }

    /// This client for a URL that came from there: guarded by the [`GuestPolicy`] if
    /// from a task's label, this client itself otherwise.
    #[must_use]
    pub fn for_origin(&self, origin: Option<Origin>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            guest: self.guest || origin == Some(Origin::Label),
        }
    }

    /// The guarded client, whatever the URL's origin.
    #[must_use]
    pub fn guarded(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            guest: true,
        }
    }

    /// The time by the client's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// A request. The URL is checked when it is sent.
    pub fn request(&self, method: Method, url: &str) -> Request {
        Request::new(self.clone(), method, url)
    }

    /// A GET request.
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: &str) -> Request {
        self.request(Method::PUT, url)
    }

    /// Checks a URL without sending anything: its scheme, and, for a guarded client, a
    /// host that is an address.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config), without the URL in its text.
    pub fn check_url(&self, url: &str) -> Result<()> {
        let url = url::Url::parse(url)
            .map_err(|e| Error::config(format!("the address is not a URL ({e})")))?;
        if self.guest {
            return self
                .inner
                .guests
                .check_url(&url)
                .map_err(|r| Error::config(r.to_string()));
        }
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Error::config("the address is not an http or https URL"));
        }
        Ok(())
    }

    pub(crate) fn transport(&self) -> &reqwest::Client {
        if self.guest {
            &self.inner.guarded
        } else {
            &self.inner.trusted
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("guest", &self.guest)
            .field("timeout", &self.inner.timeout)
            .field("guests", &self.inner.guests)
            .finish_non_exhaustive()
    }
}

/// Sets up an [`HttpClient`].
///
/// ```
/// use std::time::Duration;
/// use notifier_http::{GuestPolicy, HttpClient};
///
/// let client = HttpClient::builder()
///     .timeout(Some(Duration::from_secs(3)))
///     .guests(GuestPolicy::parse("public", [])?)
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct HttpClientBuilder {
    connect_timeout: Duration,
    timeout: Option<Duration>,
    idle_timeout: Duration,
    user_agent: String,
    gzip: bool,
    env_proxy: bool,
    #[cfg(unix)]
    unix_socket: Option<PathBuf>,
    tls: Tls,
    guests: GuestPolicy,
    clock: Arc<dyn Clock>,
}

impl Default for HttpClientBuilder {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            timeout: Some(TIMEOUT),
            idle_timeout: IDLE_TIMEOUT,
            user_agent: USER_AGENT.to_owned(),
            gzip: false,
            env_proxy: false,
            #[cfg(unix)]
            unix_socket: None,
            tls: Tls::default(),
            guests: GuestPolicy::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl HttpClientBuilder {
    /// The time for look-up, connection and TLS handshake. Default 5 s. Keep it below
    /// [`timeout`](Self::timeout): a time-out while connecting is known not to have
    /// delivered anything, one of the whole request is not.
    pub fn connect_timeout(mut self, d: Duration) -> Self {
        self.connect_timeout = d.min(FOR_EVER);
        self
    }

    /// The time for one request in all, up to the last byte of the answer. Default 10 s.
    /// `None`: no limit in all, only that of [`idle_timeout`](Self::idle_timeout).
    pub fn timeout(mut self, d: Option<Duration>) -> Self {
        self.timeout = d.map(|d| d.min(FOR_EVER));
        self
    }

    /// The longest wait for an answer's first byte and between its pieces, where the
    /// whole time is not limited. Default 30 s.
    pub fn idle_timeout(mut self, d: Duration) -> Self {
        self.idle_timeout = d.min(FOR_EVER);
        self
    }

    /// The `User-Agent`. Default [`USER_AGENT`].
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// Ask for compressed answers and unpack them; limits count unpacked bytes. Default off.
    pub fn gzip(mut self, yes: bool) -> Self {
        self.gzip = yes;
        self
    }

    /// Use the proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name. Default off: a
    /// notifier should not stop because a variable leaked into its environment. The
    /// guarded client never uses a proxy, which would look up and connect in its stead.
    pub fn env_proxy(mut self, yes: bool) -> Self {
        self.env_proxy = yes;
        self
    }

    /// Connects to this unix socket, whatever host and port a URL names. Default: none. The
    /// guarded client never does.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix_socket = Some(path.into());
        self
    }

    /// Trusts more CA certificates, in PEM, beside those of the system.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if there is none in it.
    pub fn ca_pem(mut self, pem: &[u8]) -> Result<Self> {
        self.tls.add_ca(pem, "the CA certificate")?;
        Ok(self)
    }

    /// Trusts the CA certificates of a PEM file beside those of the system.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names the file.
    pub fn ca_file(mut self, path: &Path) -> Result<Self> {
        self.tls.add_ca(&read(path)?, &path.display().to_string())?;
        Ok(self)
    }

    /// Shows a client certificate (PEM, with its private key) to who asks for one; the
    /// guarded client does not.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if either is missing.
    pub fn client_pem(mut self, pem: &[u8]) -> Result<Self> {
        self.tls.set_client(pem, "the client certificate")?;
        Ok(self)
    }

    /// As [`client_pem`](Self::client_pem), from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names the file.
    pub fn client_cert_file(mut self, path: &Path) -> Result<Self> {
        self.tls
            .set_client(&read(path)?, &path.display().to_string())?;
        Ok(self)
    }

    /// Where addresses from labels may lead.
    pub fn guests(mut self, policy: GuestPolicy) -> Self {
        self.guests = policy;
        self
    }

    /// The clock that dates of `Retry-After` are compared with, if the answer has none of its own.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Everything that the program's options say.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if a certificate file cannot be used.
    pub fn settings(mut self, s: &HttpSettings) -> Result<Self> {
        self.connect_timeout = s.connect_timeout;
        self.timeout = Some(s.timeout);
        self.env_proxy = s.env_proxy;
        self.guests = s.guests.clone();
        if let Some(path) = &s.ca_file {
            self = self.ca_file(path)?;
        }
        if let Some(path) = &s.client_cert {
            self = self.client_cert_file(path)?;
        }
        Ok(self)
    }

    /// Builds the client. It reads the system's certificate store; an empty store is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if a certificate or the user agent cannot be used.
    pub fn build(self) -> Result<HttpClient> {
        let (trusted_tls, guest_tls) = self.tls.configs()?;
        let guests = Arc::new(self.guests);
        let base = |tls| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .user_agent(self.user_agent.as_str())
                .connect_timeout(self.connect_timeout)
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                .gzip(self.gzip)
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(POOL_PER_HOST)
        };
        let mut trusted = base(trusted_tls);
        if !self.env_proxy {
            trusted = trusted.no_proxy();
        }
        #[cfg(unix)]
        if let Some(path) = self.unix_socket {
            trusted = trusted.unix_socket(path);
        }
        let guarded = base(guest_tls)
            .no_proxy()
            .dns_resolver(GuestResolver(Arc::clone(&guests)));
        let build = |b: reqwest::ClientBuilder| {
            b.build().map_err(|e| {
                Error::config("the HTTP client cannot be set up").with_source(e.without_url())
            })
        };
        Ok(HttpClient {
            inner: Arc::new(Inner {
                trusted: build(trusted)?,
                guarded: build(guarded)?,
                guests,
                clock: self.clock,
                timeout: self.timeout,
                idle: self.idle_timeout,
            }),
            guest: false,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| Error::config(format!("{}: cannot be read", path.display())).with_source(e))
}
