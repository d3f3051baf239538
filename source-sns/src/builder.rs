//! What a handler is made of.

use std::{sync::Arc, time::Duration};

use notifier_core::{Clock, Error, Result, Secret, Settings, SystemClock, redact};
use notifier_http::HttpClient;
use url::Url;

use crate::{
    Decoder, Handler, MAX_BODY, TextForm, TopicArn,
    confirm::Confirmer,
    hosts::CertHosts,
    options::{OPTIONS, SCHEME},
    refusal::Refusals,
    store::Store,
    verify::Verifier,
};

/// Sets up a [`Handler`].
#[must_use]
#[derive(Debug)]
pub struct HandlerBuilder {
    topics: Vec<String>,
    cert_hosts: Vec<String>,
    endpoint: Option<String>,
    takes_v1: bool,
    raw_secret: Option<Secret>,
    max_age: Duration,
    max_body: usize,
    decoder: Decoder,
    http: Option<HttpClient>,
    clock: Arc<dyn Clock>,
}

impl HandlerBuilder {
    pub(crate) fn new<I>(topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self {
            topics: topics.into_iter().map(|t| t.as_ref().to_owned()).collect(),
            cert_hosts: crate::hosts::AMAZON.split(',').map(str::to_owned).collect(),
            endpoint: None,
            takes_v1: true,
            raw_secret: None,
            max_age: Duration::from_secs(24 * 3600),
            max_body: MAX_BODY,
            decoder: Decoder::new(),
            http: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A builder with the values of [`OPTIONS`]. `label_prefix` is what routing labels begin with.
    pub fn from_settings(settings: &Settings, label_prefix: &str, http: HttpClient) -> Self {
        let mut b = Self::new(settings.list("topics"))
            .cert_hosts(settings.list("cert_hosts"))
            .only_v2(settings.get("signature") == Some("v2"))
            .decoder(Decoder::from_settings(settings, label_prefix))
            .http(http);
        b.endpoint = settings.get("endpoint").map(str::to_owned);
        b.raw_secret = settings.get("raw_secret").map(Secret::from);
        if let Some(age) = settings.duration("max_age") {
            b.max_age = age;
        }
        if let Some(size) = settings.size("max_body") {
            b.max_body = usize::try_from(size).unwrap_or(usize::MAX);
        }
        b
    }

    /// Hosts that certificates may come from; see the option `cert_hosts`. Default: Amazon's.
    pub fn cert_hosts<I>(mut self, hosts: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.cert_hosts = hosts.into_iter().map(|h| h.as_ref().to_owned()).collect();
        self
    }

    /// The address of SNS for confirmations, where it is not Amazon's. Certificates may come
    /// from it too.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Whether signatures of version 1 are refused. Default: they are accepted.
    pub fn only_v2(mut self, only: bool) -> Self {
        self.takes_v1 = !only;
        self
    }

    /// Accepts raw deliveries from who knows this. Default: none are accepted.
    pub fn raw_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.raw_secret = Some(secret.into());
        self
    }

    /// How long ago a message may have been published. Default 24 h. Zero: any time.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// The longest body, in bytes. Default [`MAX_BODY`].
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// What makes failures of messages. Default [`Decoder::new`].
    pub fn decoder(mut self, decoder: Decoder) -> Self {
        self.decoder = decoder;
        self
    }

    /// The client that asks for certificates and confirms. Default: one with every setting at its default.
    pub fn http(mut self, http: HttpClient) -> Self {
        self.http = Some(http);
        self
    }

    /// The clock that a message's age is told by. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The handler.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names all that is wrong.
    pub fn build(self) -> Result<Handler> {
        let mut wrong = Vec::new();
        let mut topics: Vec<TopicArn> = Vec::new();
        for text in &self.topics {
            match text.trim().parse::<TopicArn>() {
                Ok(topic) if topics.contains(&topic) => {}
                Ok(topic) => topics.push(topic),
                Err(e) => wrong.push(named("topics", &format!("{text:?} is {e}"))),
            }
        }
        if self.topics.is_empty() {
            wrong.push(named(
                "topics",
                "set the ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:alerts",
            ));
        }
        let endpoint = self.endpoint.as_deref().map(|e| e.trim_end_matches('/'));
        if let Some(Err(what)) = endpoint.map(check_endpoint) {
            wrong.push(named("endpoint", &what));
        }
        if self.cert_hosts.is_empty() {
            wrong.push(named(
                "cert_hosts",
                "set a host that certificates may come from",
            ));
        }
        let hosts = CertHosts::parse(self.cert_hosts.iter().map(String::as_str));
        let hosts = match endpoint {
            Some(endpoint) => hosts.and_then(|h| h.with_origin(endpoint)),
            None => hosts,
        };
        let hosts = hosts.map_err(|e| wrong.push(named("cert_hosts", &e.to_string())));
        if self
            .raw_secret
            .as_ref()
            .is_some_and(|s| s.expose().len() < redact::MIN_SECRET)
        {
            wrong.push(named(
                "raw_secret",
                "a secret of fewer than 6 characters is none",
            ));
        }
        if self.max_body == 0 {
            wrong.push(named("max_body", "it must be more than 0"));
        }
        let (Ok(hosts), true) = (hosts, wrong.is_empty()) else {
            return Err(Error::config(wrong.join("; ")));
        };
        let http = HttpClient::or_new(self.http)?;
        Ok(Handler {
            topics,
            verifier: Verifier {
                hosts,
                store: Store::new(http.clone()),
                clock: self.clock,
                takes_v1: self.takes_v1,
                max_age: self.max_age,
            },
            confirmer: Confirmer {
                http,
                endpoint: endpoint.map(str::to_owned),
            },
            decoder: self.decoder,
            raw_secret: self.raw_secret,
            max_body: self.max_body,
            refusals: Refusals::default(),
        })
    }
}

impl Decoder {
    /// What the options `text` and `attribute_labels` of [`OPTIONS`] say. `label_prefix` is what routing labels begin with.
    pub fn from_settings(settings: &Settings, label_prefix: &str) -> Self {
        let form = match settings.get("text") {
            Some("json") => TextForm::Json,
            _ => TextForm::Plain,
        };
        Self::new()
            .text(form)
            .attribute_labels(settings.bool("attribute_labels"))
            .label_prefix(label_prefix)
    }
}

fn check_endpoint(text: &str) -> Result<(), String> {
    let shown = redact::url(text);
    let Ok(url) = Url::parse(text) else {
        return Err(format!("{shown} is no URL"));
    };
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match is_plain {
        true => Ok(()),
        false => Err(format!(
            "{shown} is more or less than an address, such as http://127.0.0.1:4566"
        )),
    }
}

/// What is wrong with an option, by its name.
fn named(option: &str, what: &str) -> String {
    let spec = OPTIONS.find(option);
    let variable = spec.and_then(|s| OPTIONS.env(s)).unwrap_or_default();
    format!("{SCHEME}.{option}: {what} (-{SCHEME}.{option} or {variable})")
}
