//! The store: addresses, signing, sending, and trying again.

mod attempt;
mod silence;

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use md5::Md5;
use notifier_core::{Delivery, Error, ErrorKind, Result, Secret, redact};
use notifier_http::{Answer, HttpClient, Method};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use self::{attempt::Tried, silence::Silence};
use crate::{
    call::{Call, Digest, Payload},
    credentials::Credentials,
    key::{self, PathStyle},
    sign::{Keys, Pair, v2, v4},
};

/// How often a request is sent at most, in a row.
const TRIES: u32 = 4;

/// The first pause between two tries, about; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause, whatever the store asks for: who waits for the upload has a limit too.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What stays without an answer for longer is sent once more at most.
const QUICK: Duration = Duration::from_secs(1);

/// The slowest connection that is waited for, in bytes a second.
pub(crate) const SLOWEST: u64 = 256 * 1024;

/// What the name of the bucket stands in for in an address.
pub(crate) const BUCKET: &str = "${bucket}";

/// How requests are signed.
#[derive(Clone, Debug)]
pub(crate) enum Version {
    V2,
    V4 { region: String },
}

/// A store and its one bucket.
pub(crate) struct Store {
    pub(crate) http: HttpClient,
    pub(crate) scheme: &'static str,
    /// The address of a bucket, with [`BUCKET`] in it or not.
    pub(crate) address: String,
    pub(crate) bucket: String,
    pub(crate) version: Version,
    pub(crate) credentials: Credentials,
    /// How long a request may take, its body aside.
    pub(crate) timeout: Duration,
    skew: AtomicI64,
    without_acl: AtomicBool,
    silence: Silence,
}

/// Where an object is.
struct Place {
    url: Url,
    /// As the header `Host` has it.
    host: String,
    /// `/bucket/key`, as version 2 signs it.
    resource: String,
}

impl Store {
    /// # Errors
    /// [`ErrorKind::Config`] if the address or the bucket cannot be used.
    pub(crate) fn new(
        http: HttpClient,
        scheme: &'static str,
        address: String,
        bucket: String,
        version: Version,
        credentials: Credentials,
        timeout: Duration,
    ) -> Result<Self> {
        let store = Self {
            http,
            scheme,
            address,
            bucket,
            version,
            credentials,
            timeout,
            skew: AtomicI64::new(0),
            without_acl: AtomicBool::new(false),
            silence: Silence::default(),
        };
        store.place(&store.bucket, "")?;
        Ok(store)
    }

    /// What goes with a body: the hash that the signature wants.
    pub(crate) fn digest(&self) -> Digest {
        match self.version {
            Version::V2 => Digest::Md5(Md5::new()),
            Version::V4 { .. } => Digest::Sha256(Sha256::new()),
        }
    }

    /// The time by the store's clock, as far as it is known to differ from ours.
    fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew.load(Ordering::Relaxed));
        let now = self.http.now();
        now.checked_add(skew).unwrap_or(now)
    }

    fn place(&self, bucket: &str, key: &str) -> Result<Place> {
        key::check_bucket(bucket)?;
        let style = match self.version {
            Version::V2 => PathStyle::Go,
            Version::V4 { .. } => PathStyle::Strict,
        };
        let base = self.address.replace(BUCKET, bucket);
        let path = format!("/{}", style.encode(key));
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let wrong = |why: &str| {
            Error::config(format!(
                "{}.endpoint: {} {why}",
                self.scheme,
                redact::url(&base)
            ))
        };
        let url = Url::parse(&url).map_err(|e| wrong("is not an address").with_source(e))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("is not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not hold a user or password"));
        }
        // What is sent must be what is signed.
        if url.query().is_some() || url.fragment().is_some() || !url.path().ends_with(&path) {
            return Err(wrong("must end with its path"));
        }
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(wrong("has no host")),
        };
        Ok(Place {
            url,
            host,
            resource: format!("/{bucket}{path}"),
        })
    }

    /// A link that works for so long.
    pub(crate) async fn link(&self, bucket: &str, key: &str, life: Duration) -> Result<String> {
        let place = self.place(bucket, key)?;
        let keys = self.credentials.get(&self.http).await?;
        let now = self.now();
        let query = match &self.version {
            Version::V4 { region } => {
                let scope = v4::Scope {
                    region,
                    service: "s3",
                    time: now,
                };
                v4::presigned_query(&keys, scope, &place.host, place.url.path(), life.as_secs())
            }
            Version::V2 => {
                let life = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
                let until = now.as_second().saturating_add(life);
                v2::presigned_query(&keys, &place.resource, until)
            }
        };
        Ok(format!("{}?{query}", place.url))
    }

    /// Whether it is worth asking now.
    ///
    /// # Errors
    /// If the store did not answer a moment ago.
    pub(crate) fn answers(&self) -> Result<()> {
        self.silence.check(Instant::now())
    }

    /// Sends a request until it is taken or refused for good. Every status but 2xx is an error.
    ///
    /// # Errors
    /// Of a completion, with [`Delivery::Unknown`] if one of the tries may have been carried out.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Answer> {
        let place = self.place(&self.bucket, call.key)?;
        let ask = self.silence.ask(Instant::now())?;
        let (mut tries, mut slow) = (0, 0);
        let mut tried = Tried::default();
        loop {
            let started = Instant::now();
            let failed = match self.once(call, &place, &ask, &mut tried).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => continue,
                Err(failed) => failed,
            };
            let error = failed.error;
            tries += 1;
            let is_timeout = error.kind() == ErrorKind::Timeout;
            slow += u32::from(is_timeout || (failed.is_silence && started.elapsed() >= QUICK));
            let is_left_alone = failed.is_silence && (ask.is_probe() || self.answers().is_err());
            if !error.is_retryable() || tries >= TRIES || slow >= 2 || is_left_alone {
                // A completion that takes its time is no silence.
                if failed.is_silence && !(is_timeout && call.completes()) {
                    ask.silent(started, Instant::now(), error.kind());
                }
                return Err(match tried.perhaps_done {
                    true => error.with_delivery(Delivery::Unknown),
                    false => error,
                });
            }
            tracing::debug!(uploader = self.scheme, error = %error.report(), tries, "tried again");
            tokio::time::sleep(pause(tries, failed.after)).await;
        }
    }

    /// `bare`: without a word on who may read it.
    fn signed(
        &self,
        call: &Call<'_>,
        place: &Place,
        keys: &Keys,
        bare: bool,
    ) -> notifier_http::Request {
        let now = self.now();
        let empty;
        let payload = match &call.payload {
            Some(p) => p,
            None => {
                empty = Payload::new(bytes::Bytes::new(), self.digest());
                &empty
            }
        };
        let mut headers: Vec<(&str, &str)> = Vec::new();
        for (name, value) in call.headers {
            if *name != "x-amz-acl" || !bare {
                headers.push((name, value));
            }
        }
        if let Some(token) = &keys.token {
            headers.push(("x-amz-security-token", token.expose()));
        }
        let (stamp, authorization);
        match &self.version {
            Version::V4 { region } => {
                let scope = v4::Scope {
                    region,
                    service: "s3",
                    time: now,
                };
                stamp = scope.stamp();
                headers.push(("x-amz-date", &stamp));
                headers.push(("x-amz-content-sha256", &payload.hash));
                let mut all = headers.clone();
                all.push(("host", &place.host));
                all.extend(call.content_type.map(|t| ("content-type", t)));
                authorization = v4::authorization(
                    keys,
                    scope,
                    &v4::Message {
                        method: call.method.as_str(),
                        path: place.url.path(),
                        query: call.query,
                        headers: &all,
                        payload: &payload.hash,
                    },
                );
            }
            Version::V2 => {
                stamp = v2::date(now);
                let md5 = match call.payload {
                    Some(_) => payload.hash.as_str(),
                    None => "",
                };
                authorization = v2::authorization(
                    keys,
                    &v2::Message {
                        method: call.method.as_str(),
                        md5,
                        content_type: call.content_type.unwrap_or_default(),
                        date: &stamp,
                        headers: &headers,
                        resource: &place.resource,
                        query: call.query,
                    },
                );
                headers.push(("date", &stamp));
                if !md5.is_empty() {
                    headers.push(("content-md5", md5));
                }
            }
        }
        let mut url = place.url.clone();
        if !call.query.is_empty() {
            url.set_query(Some(&query(call.query)));
        }
        let mut request = self
            .http
            .request(call.method.clone(), url.as_str())
            .secret_url()
            .secret_header("authorization", &Secret::from(authorization));
        for (name, value) in headers {
            request = if name == "x-amz-security-token" {
                request.secret_header(name, &Secret::from(value))
            } else {
                request.header(name, value)
            };
        }
        if let (Some(content_type), Some(payload)) = (call.content_type, &call.payload) {
            let length = payload.bytes.len().to_string();
            request = request
                .body(content_type, payload.bytes.clone())
                .header("content-length", &length);
        }
        request
    }

    /// Whether the store can be reached, and the keys and the bucket are right, as far as
    /// that can be asked without a right beyond storing.
    pub(crate) async fn check(&self) -> Result<()> {
        let call = Call {
            method: Method::GET,
            key: "",
            query: &[("location", None)],
            content_type: None,
            headers: &[],
            payload: None,
            element: None,
        };
        match self.send(&call).await {
            // The keys are known, and may not ask this: who stores needs not.
            Err(e) if e.code() == Some("AccessDenied") => Ok(()),
            other => other.map(drop),
        }
    }

    /// The size of an object, where the store tells it.
    pub(crate) async fn size(&self, key: &str) -> Option<u64> {
        let call = Call {
            method: Method::HEAD,
            key,
            query: &[],
            content_type: None,
            headers: &[],
            payload: None,
            element: None,
        };
        let answer = self.send(&call).await.ok()?;
        answer.header("content-length")?.parse().ok()
    }
}

fn query(pairs: &[Pair<'_>]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{}={}", key::encode(name), key::encode(value)),
            None => key::encode(name).into_owned(),
        })
        .collect();
    pairs.join("&")
}

fn pause(tries: u32, after: Option<Duration>) -> Duration {
    let most = FIRST_PAUSE.saturating_mul(1 << tries.min(8));
    let pause = most.mul_f64(0.5 + fastrand::f64() / 2.0);
    pause.max(after.unwrap_or_default()).min(LONGEST_PAUSE)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("at", &redact::origin(&self.address))
            .field("bucket", &self.bucket)
            .field("version", &self.version)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
