//! The way to one region: a client of the SDK, its keys, and what time it is there.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_config::{
    BehaviorVersion, SdkConfig, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::region::ProfileFileRegionProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sdk_sns::{
    Client,
    config::{
        Builder, IdentityCache, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use notifier_core::{Clock, Error, Result, Settings};

use crate::{credentials::Keys, http, topic::is_region};

/// The most ways that are kept: a task's label may name any region.
const MOST: usize = 64;

/// The longest of either time-out.
const LONGEST: Duration = Duration::from_secs(60);

/// Keys of the settings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct OwnKeys {
    id: String,
    secret: String,
    token: Option<String>,
}

impl OwnKeys {
    pub(crate) fn to_credentials(&self) -> Credentials {
        Credentials::new(
            self.id.as_str(),
            self.secret.as_str(),
            self.token.clone(),
            None,
            "settings",
        )
    }
}

/// How to get at the service, as the settings say. Never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    /// The topic's region.
    region: String,
    sts_region: Option<String>,
    endpoint: Option<String>,
    profile: Option<String>,
    pub(crate) keys: Option<OwnKeys>,
    pub(crate) timeout: Duration,
    connect_timeout: Duration,
    proxy: bool,
}

impl Access {
    /// Reads it, for a topic in this region.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) with what is wrong.
    pub(crate) fn read(settings: &Settings, region: &str) -> Result<Self> {
        let owned = |key: &str| settings.get(key).map(str::to_owned);
        let time = |key: &str| match settings.duration(key) {
            Some(t) if !t.is_zero() && t <= LONGEST => Ok(t),
            _ => Err(Error::config(format!(
                "sns.{key}: {:?} is not more than 0 and at most 1m",
                settings.text(key)
            ))),
        };
        let keys = match (
            owned("access_key"),
            owned("secret_key"),
            owned("session_token"),
        ) {
            (Some(id), Some(secret), token) => Some(OwnKeys { id, secret, token }),
            (None, None, None) => None,
            (None, Some(_), _) => return Err(needs("access_key", "secret_key")),
            (Some(_), None, _) => return Err(needs("secret_key", "access_key")),
            (None, None, Some(_)) => return Err(needs("access_key", "session_token")),
        };
        let sts_region = owned("region");
        if let Some(region) = sts_region.as_deref().filter(|r| !is_region(r)) {
            return Err(Error::config(format!(
                "sns.region: {region:?} is no region such as eu-west-1"
            )));
        }
        let endpoint = owned("endpoint");
        if endpoint.as_deref().is_some_and(has_more) {
            return Err(Error::config(
                "sns.endpoint has a user, a password, a query or a fragment in it, which requests to AWS have no room for",
            ));
        }
        Ok(Self {
            region: region.to_owned(),
            sts_region,
            endpoint,
            profile: owned("profile"),
            keys,
            timeout: time("timeout")?,
            connect_timeout: time("connect_timeout")?,
            proxy: settings.bool("proxy"),
        })
    }

    /// What AWS' own places say: variables and files. Asks nobody, but makes ready to.
    pub(crate) async fn load(&self, http: SharedHttpClient, clock: &Arc<Ahead>) -> SdkConfig {
        let mut files = ProfileFileRegionProvider::builder();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .time_source(SharedClock(Arc::clone(clock)));
        if let Some(profile) = &self.profile {
            files = files.profile_name(profile);
            loader = loader.profile_name(profile);
        }
        let region = RegionProviderChain::first_try(self.sts_region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(files.build())
            .or_else(Region::new(self.region.clone()));
        if let Some(keys) = &self.keys {
            loader = loader.credentials_provider(keys.to_credentials());
        }
        loader.region(region).load().await
    }
}

/// Whether an address has more than a scheme, a host, a port and a path.
fn has_more(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '\\']).next().unwrap_or_default();
    rest.contains(['?', '#']) || host.contains('@')
}

fn needs(missing: &str, there: &str) -> Error {
    Error::config(format!("sns.{missing} is missing: sns.{there} is set"))
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The clock, set right by what the service said last.
#[derive(Debug)]
pub(crate) struct Ahead {
    clock: Arc<dyn Clock>,
    /// How far the service's is ahead, in milliseconds.
    millis: AtomicI64,
}

/// What a clock may be off before the service refuses a request is five minutes
/// (docs.aws.amazon.com/IAM, "Signature Version 4"); less than this is no reason.
const SKEW: Duration = Duration::from_secs(2 * 60);

impl Ahead {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            millis: AtomicI64::new(0),
        }
    }

    /// Sets it by the service's time. Whether that makes a difference that may matter.
    pub(crate) fn set_by(&self, service: SystemTime) -> bool {
        let off = match service.duration_since(self.now()) {
            Ok(ahead) => ahead,
            Err(e) => e.duration(),
        };
        if off < SKEW {
            return false;
        }
        let own = SystemTime::from(self.clock.now());
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let ahead = match service.duration_since(own) {
            Ok(ahead) => millis(ahead),
            Err(e) => -millis(e.duration()),
        };
        self.millis.store(ahead, Ordering::Relaxed);
        true
    }
}

impl TimeSource for Ahead {
    fn now(&self) -> SystemTime {
        let own = SystemTime::from(self.clock.now());
        let millis = self.millis.load(Ordering::Relaxed);
        let by = Duration::from_millis(millis.unsigned_abs());
        let set = match millis {
            0.. => own.checked_add(by),
            _ => own.checked_sub(by),
        };
        set.unwrap_or(own)
    }
}

#[derive(Debug)]
struct SharedClock(Arc<Ahead>);

impl TimeSource for SharedClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// A client with its keys.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<Ahead>,
}

impl Link {
    async fn open(access: Access, http: SharedHttpClient, clock: Arc<dyn Clock>) -> Self {
        let clock = Arc::new(Ahead::new(clock));
        let found = access.load(http.clone(), &clock).await;
        let (region, endpoint) = (access.region.clone(), access.endpoint.clone());
        let times = TimeoutConfig::builder()
            .connect_timeout(access.connect_timeout)
            .operation_timeout(access.timeout)
            .build();
        let first = found.credentials_provider();
        let keys = Arc::new(Keys::new(access, http, Arc::clone(&clock), first));
        let mut config = Builder::from(&found)
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::from(Arc::clone(&keys) as Arc<dyn ProvideCredentials>))
            // Who calls us tries again, and knows of limits and of restarts.
            .retry_config(RetryConfig::disabled())
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(times);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self {
            client: Client::from_conf(config.build()),
            keys,
            clock,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// The ways that were used, by how they are got at.
pub(crate) struct Links {
    clock: Arc<dyn Clock>,
    /// Without proxies and with them.
    http: [OnceLock<SharedHttpClient>; 2],
    open: tokio::sync::Mutex<HashMap<Access, Arc<Link>>>,
}

impl Links {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            http: [OnceLock::new(), OnceLock::new()],
            open: tokio::sync::Mutex::default(),
        }
    }

    /// The way of these settings to a region. Asks nobody.
    pub(crate) async fn get(&self, access: Access) -> Arc<Link> {
        let mut open = self.open.lock().await;
        if let Some(link) = open.get(&access) {
            return Arc::clone(link);
        }
        if open.len() >= MOST {
            open.clear();
        }
        let http = self.http[usize::from(access.proxy)].get_or_init(|| http::client(access.proxy));
        let link = Link::open(access.clone(), http.clone(), Arc::clone(&self.clock)).await;
        let link = Arc::new(link);
        open.insert(access, Arc::clone(&link));
        link
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}
