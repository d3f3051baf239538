//! One request.

use std::{fmt, future::Future, time::Duration};

use bytes::Bytes;
use notifier_core::{ByteStream, Error, Result, Secret, redact, redact::Redactor};
use reqwest::{
    Body, Method,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    Answer, HttpClient, MAX_ANSWER, StreamAnswer,
    client::FOR_EVER,
    error::{timeout, transport_error},
};

/// A request to be sent once, by [`send`](Self::send) or [`stream`](Self::stream).
///
/// ```no_run
/// # async fn f() -> notifier_core::Result<()> {
/// use notifier_http::HttpClient;
/// let client = HttpClient::new()?;
/// let answer = client
///     .post("https://hooks.example/services/T/B/secret")
///     .secret_url()
///     .json(&serde_json::json!({ "text": "hello" }))
///     .send()
///     .await?
///     .success()?;
/// assert_eq!(answer.text(), "ok");
/// # Ok(()) }
/// ```
#[must_use = "a request does nothing until sent"]
pub struct Request {
    client: HttpClient,
    method: Method,
    url: Option<Url>,
    /// The other side as it may be shown.
    who: String,
    headers: HeaderMap,
    body: Option<Body>,
    timeout: Option<Option<Duration>>,
    max: usize,
    strict: bool,
    secrets: Vec<Secret>,
    fault: Option<Error>,
}

impl Request {
    pub(crate) fn new(client: HttpClient, method: Method, url: &str) -> Self {
        let timeout = None;
        Self {
            client,
            method,
            url: Url::parse(url).ok(),
            who: redact::url(url),
            headers: HeaderMap::new(),
            body: None,
            timeout,
            max: MAX_ANSWER,
            strict: false,
            secrets: Vec::new(),
            fault: None,
        }
    }

    /// The URL is a secret as a whole: errors show scheme, host and port only.
    pub fn secret_url(mut self) -> Self {
        if let Some(url) = &self.url {
            self.who = redact::origin(url.as_str());
            self.secrets.push(Secret::from(url.as_str()));
        }
        self
    }

    /// Adds a header. A value that is a secret goes to [`secret_header`](Self::secret_header).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.insert(name, value, false);
        self
    }

    /// Adds a header whose value is not shown and is masked in what the other side answers.
    pub fn secret_header(mut self, name: &str, value: &Secret) -> Self {
        self.secrets.push(value.clone());
        self.insert(name, value.expose(), true);
        self
    }

    /// Adds `Authorization: Bearer`.
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.secrets.push(token.clone());
        self.insert(
            AUTHORIZATION.as_str(),
            &format!("Bearer {}", token.expose()),
            true,
        );
        self
    }

    /// Adds `Authorization: Basic`.
    pub fn basic(mut self, user: &str, password: &Secret) -> Self {
        let pair = format!("{user}:{}", password.expose());
        self.secrets.push(password.clone());
        self.secrets.push(Secret::from(pair.as_str()));
        self.insert(
            AUTHORIZATION.as_str(),
            &format!("Basic {}", base64(pair.as_bytes())),
            true,
        );
        self
    }

    fn insert(&mut self, name: &str, value: &str, secret: bool) {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(secret);
                self.headers.insert(name, value);
            }
            _ => self.fault = Some(Error::config(format!("the header {name:?} cannot be sent"))),
        }
    }

    /// Sends JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.body("application/json", json),
            Err(e) => {
                self.fault = Some(Error::internal("the request is no JSON").with_source(e));
                self
            }
        }
    }

    /// Sends these bytes.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Some(Body::from(body.into()));
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// Sends a stream, with its length if that is known.
    pub fn body_stream(
        mut self,
        content_type: &str,
        body: ByteStream,
        length: Option<u64>,
    ) -> Self {
        self.body = Some(Body::wrap_stream(body));
        if let Some(n) = length {
            self.headers.insert(CONTENT_LENGTH, n.into());
        }
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// The time for this request in all, in place of the client's.
    pub fn timeout(mut self, d: Option<Duration>) -> Self {
        self.timeout = Some(d.map(|d| d.min(FOR_EVER)));
        self
    }

    /// How many bytes of the answer are read. Default 64 KiB.
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// A longer answer is an error; otherwise it is cut.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Sends it and reads the answer.
    ///
    /// Any status is an answer: see [`Answer::success`]. Cancel safe in so far as
    /// nothing is left behind; whether it arrived is then unknown.
    ///
    /// # Errors
    /// [`Unavailable`](notifier_core::ErrorKind::Unavailable) if there was no connection (not delivered) or it broke (unknown),
    /// [`Timeout`](notifier_core::ErrorKind::Timeout) (unknown), [`Config`](notifier_core::ErrorKind::Config) if the URL, the certificate or
    /// the guard stands against it, [`InvalidResponse`](notifier_core::ErrorKind::InvalidResponse) if the answer is too long
    /// for a strict request.
    pub async fn send(self) -> Result<Answer> {
        let (max, strict) = (self.max, self.strict);
        let (head, deadline) = self.start().await?;
        head.collect(max, strict, deadline).await
    }

    /// Sends it and returns with the head of the answer, whose body is then read as a stream.
    ///
    /// The whole time is not limited unless set by [`timeout`](Self::timeout) on this
    /// request; the client's idle time-out holds for the head and between pieces.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn stream(mut self) -> Result<StreamAnswer> {
        self.timeout.get_or_insert(None);
        Ok(self.start().await?.0)
    }

    async fn start(self) -> Result<(StreamAnswer, Option<Instant>)> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let Some(url) = self.url else {
            return Err(Error::config("the address is not a URL"));
        };
        let inner = &self.client.inner;
        if self.client.guest {
            inner
                .guests
                .check_url(&url)
                .map_err(|r| Error::config(r.to_string()))?;
        } else if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Error::config(format!(
                "{} is not an http or https URL",
                self.who
            )));
        }
        let total = self.timeout.unwrap_or(inner.timeout);
        let now = Instant::now();
        let deadline = total.map(|d| now + d);
        let mut redactor = Redactor::new(self.secrets.iter().map(Secret::expose));
        if let Some(password) = url.password() {
            redactor = redactor.with([password]);
        }
        let mut rb = self
            .client
            .transport()
            .request(self.method, url.clone())
            .headers(self.headers);
        if let Some(body) = self.body {
            rb = rb.body(body);
        }
        let response = within(deadline.unwrap_or(now + inner.idle), &self.who, rb.send())
            .await?
            .map_err(|e| transport_error(e, &self.who))?;
        let idle = inner.idle;
        let now = inner.clock.now();
        Ok((
            StreamAnswer::new(response, self.who, redactor, url, idle, deadline, now),
            deadline,
        ))
    }
}

pub(crate) async fn within<T>(
    deadline: Instant,
    who: &str,
    work: impl Future<Output = T>,
) -> Result<T> {
    timeout_at(deadline, work).await.map_err(|_| timeout(who))
}

/// Neither path and query nor header values are shown.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("to", &self.who)
            .field(
                "headers",
                &self
                    .headers
                    .keys()
                    .map(HeaderName::as_str)
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

fn base64(bytes: &[u8]) -> String {
    const A: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = char::from(A[(n >> (18 - 6 * i)) as usize & 63]);
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use notifier_core::ErrorKind;

    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let client = HttpClient::new().unwrap();
        let secret = Secret::from("t0ken-abc");
        let r = client
            .post("https://u:pass-w0rd@a.example/services/T/B/s3cret?sig=s1gn")
            .bearer(&secret)
            .header("x-a", "v4lue");
        let shown = format!("{r:?}") + &format!("{:?}", r.secret_url());
        for s in ["t0ken", "pass-w0rd", "s3cret", "s1gn", "v4lue"] {
            assert!(!shown.contains(s), "{shown}");
        }
        assert!(shown.contains("https://a.example"), "{shown}");
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_a_config_error() {
        let client = HttpClient::new().unwrap();
        for r in [
            client.get("s3cret"),
            client.get("file:///s3cret"),
            client.get("http://a.example").header("bad name", "s3cret"),
            client.get("http://a.example").header("x", "a\ns3cret"),
        ] {
            let e = r.send().await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Config);
            let shown = format!("{e:?} {}", e.report());
            assert!(
                !shown.contains("s3cret") || shown.contains("file:"),
                "{shown}"
            );
        }
    }
}
