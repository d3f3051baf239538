//! Uploaders out of settings.

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use notifier_core::{
    BackendSettings, DEFAULT_INSTANCE, Error, Markup, MessageTemplates, OptionGroup, Result,
    Secret, Settings, Uploader, UploaderFactory,
};
use notifier_http::HttpClient;
use url::Url;

use crate::{
    Environment, MAX_V4_LINK, S3AWS, S3AWS_OPTIONS, S3GOAMZ, S3GOAMZ_OPTIONS,
    budget::Budget,
    credentials::{Chain, Credentials, profile},
    key,
    sign::Keys,
    store::{BUCKET, Store, Version},
    uploader::S3Uploader,
};

/// How long a request may take, beside the time for its body, unless set.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where `s3` is, in the region of a store that is not AWS and says none.
const DEFAULT_REGION: &str = "us-east-1";

/// Makes the uploader `s3aws`: AWS S3 and what signs as it does now, with version 4.
#[derive(Clone, Debug)]
pub struct S3AwsFactory {
    http: HttpClient,
    environment: Environment,
    timeout: Duration,
    zone: TimeZone,
}

impl S3AwsFactory {
    /// A factory whose uploaders use this client, and an empty environment.
    pub fn new(http: HttpClient) -> Self {
        Self {
            http,
            environment: Environment::default(),
            timeout: TIMEOUT,
            zone: TimeZone::UTC,
        }
    }

    /// Where AWS's own variables are looked up, for keys and region that are not set.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// How long one request may take; 1 s more for each 256 KiB of its body. Default 10 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time zone that the prefix shows times in, as messages do. Default UTC.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    fn store(&self, s: &Settings) -> Result<Store> {
        let bucket = bucket(s, S3AWS)?;
        let profile = profile::Profile::read(&self.environment);
        let region = s
            .get("region")
            .map(str::to_owned)
            .or_else(|| self.environment.get("AWS_REGION"))
            .or_else(|| self.environment.get("AWS_DEFAULT_REGION"))
            .or_else(|| profile.as_ref().ok().and_then(|p| p.region.clone()));
        let region = match (region, s.get("endpoint")) {
            (Some(region), _) => region,
            (None, Some(_)) => DEFAULT_REGION.to_owned(),
            (None, None) => s.require("region")?.to_owned(),
        };
        if !region
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
        {
            return Err(Error::config(format!(
                "{S3AWS}.region: {region:?} is not a region's name"
            )));
        }
        let credentials = match keys(s)? {
            Some(keys) => {
                if keys.token.is_some() {
                    tracing::warn!(
                        uploader = S3AWS,
                        "links die with the temporary key they are signed with"
                    );
                }
                Credentials::fixed(keys)
            }
            None => Credentials::chain(Chain::new(self.environment.clone(), Some(region.clone()))),
        };
        Store::new(
            self.http.clone(),
            S3AWS,
            address(s, &bucket, &region)?,
            bucket,
            Version::V4 { region },
            credentials,
            self.timeout,
        )
    }
}

impl UploaderFactory for S3AwsFactory {
    fn options(&self) -> OptionGroup {
        S3AWS_OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Uploader>> {
        let s = settings.instance(DEFAULT_INSTANCE);
        let life = life(&s, S3AWS)?;
        if life > MAX_V4_LINK {
            return Err(Error::config(format!(
                "{S3AWS}.timeout: {} is too long: a link signed with version 4 works for at most 168h (7 days)",
                s.text("timeout")
            )));
        }
        let mut headers = Vec::new();
        match (s.get("sse"), s.get("sse_kms_key_id")) {
            (None | Some("AES256"), Some(_)) => {
                return Err(Error::config(format!(
                    "{S3AWS}.sse_kms_key_id needs -{S3AWS}.sse=aws:kms"
                )));
            }
            (sse, key) => {
                headers.extend(sse.map(|v| ("x-amz-server-side-encryption", v.to_owned())));
                headers.extend(
                    key.map(|v| ("x-amz-server-side-encryption-aws-kms-key-id", v.to_owned())),
                );
            }
        }
        headers.extend(
            s.get("storage_class")
                .map(|v| ("x-amz-storage-class", v.to_owned())),
        );
        for (name, value) in &headers {
            if !value.chars().all(|c| c.is_ascii_graphic()) {
                return Err(Error::config(format!(
                    "{S3AWS}: {value:?} cannot be sent as {name}"
                )));
            }
        }
        let zone = self.zone.clone();
        build(settings, s.clone(), self.store(&s)?, zone, life, headers)
    }
}

/// Makes the uploader `s3goamz`: Ceph's gateway and its kin, with version 2.
#[derive(Clone, Debug)]
pub struct S3GoamzFactory {
    http: HttpClient,
    timeout: Duration,
    zone: TimeZone,
}

impl S3GoamzFactory {
    /// A factory whose uploaders use this client.
    pub fn new(http: HttpClient) -> Self {
        Self {
            http,
            timeout: TIMEOUT,
            zone: TimeZone::UTC,
        }
    }

    /// How long one request may take; 1 s more for each 256 KiB of its body. Default 10 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time zone that the prefix shows times in, as messages do. Default UTC.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }
}

impl UploaderFactory for S3GoamzFactory {
    fn options(&self) -> OptionGroup {
        S3GOAMZ_OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Uploader>> {
        let s = settings.instance(DEFAULT_INSTANCE);
        let bucket = bucket(&s, S3GOAMZ)?;
        s.require("access_key")?;
        s.require("secret_key")?;
        let Some(keys) = keys(&s)? else {
            return Err(Error::internal("keys that are there are not found"));
        };
        let store = Store::new(
            self.http.clone(),
            S3GOAMZ,
            s.require("endpoint")?.to_owned(),
            bucket,
            Version::V2,
            Credentials::fixed(keys),
            self.timeout,
        )?;
        let life = life(&s, S3GOAMZ)?;
        build(settings, s, store, self.zone.clone(), life, Vec::new())
    }
}

fn build(
    settings: &BackendSettings,
    instance: Settings,
    store: Store,
    zone: TimeZone,
    life: Duration,
    mut headers: Vec<(&'static str, String)>,
) -> Result<Arc<dyn Uploader>> {
    headers.push(("x-amz-acl", "private".to_owned()));
    let compress = instance.bool("gzip");
    if compress {
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    Ok(Arc::new(S3Uploader {
        store: Arc::new(store),
        prefix: MessageTemplates::compile(settings, "prefix", Markup::Plain)?,
        life,
        zone,
        most: match instance.size("max_size") {
            None | Some(0) => u64::MAX,
            Some(most) => most,
        },
        compress,
        headers,
        budget: Budget::new(),
        settings: instance,
    }))
}

fn bucket(s: &Settings, scheme: &str) -> Result<String> {
    let bucket = s.require("bucket")?;
    key::check_bucket(bucket).map_err(|e| Error::config(format!("{scheme}.bucket: {e}")))?;
    Ok(bucket.to_owned())
}

fn life(s: &Settings, scheme: &str) -> Result<Duration> {
    let life = s.duration("timeout").unwrap_or(MAX_V4_LINK);
    if life < Duration::from_secs(1) {
        return Err(Error::config(format!(
            "{scheme}.timeout: a link has to work for at least 1s"
        )));
    }
    Ok(life)
}

/// The keys that are set, both or none.
fn keys(s: &Settings) -> Result<Option<Keys>> {
    if s.get("access_key").is_none() && s.get("secret_key").is_none() {
        return match s.get("session_token") {
            None => Ok(None),
            Some(_) => s.require("access_key").map(|_| None),
        };
    }
    let id = s.require("access_key")?;
    // It stands in links and in a header.
    if !id.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Error::config(
            "access_key: it holds blanks or other than ASCII",
        ));
    }
    Ok(Some(Keys {
        id: id.to_owned(),
        secret: Secret::from(s.require("secret_key")?),
        token: s.secret("session_token"),
    }))
}

/// The address of a bucket of AWS or of the endpoint.
fn address(s: &Settings, bucket: &str, region: &str) -> Result<String> {
    let in_path = match s.get("path_style") {
        Some(_) => s.bool("path_style"),
        // A certificate for *.host does not cover two labels.
        None => s.get("endpoint").is_some() || bucket.contains('.'),
    };
    let base = match s.get("endpoint") {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://s3.{region}.amazonaws.com.cn"),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    if in_path {
        return Ok(format!("{base}/{BUCKET}"));
    }
    let url = Url::parse(&base)
        .map_err(|e| Error::config(format!("{S3AWS}.endpoint is not a URL")).with_source(e))?;
    if !matches!(url.host(), Some(url::Host::Domain(_))) {
        return Err(Error::config(format!(
            "{S3AWS}.endpoint: the bucket cannot be put before an address of numbers: set -{S3AWS}.path_style"
        )));
    }
    Ok(base.replacen("://", &format!("://{BUCKET}."), 1))
}

#[cfg(test)]
#[path = "factory_tests.rs"]
mod tests;
