//! What came back.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use jiff::Timestamp;
use notifier_core::{ByteStream, Delivery, Error, ErrorKind, Result, redact, redact::Redactor};
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use crate::{
    client::FOR_EVER,
    error::{status_error, transport_error},
    request::within,
    retry_after::{http_date, retry_after},
};

const EXCERPT: usize = 200;

/// Status and headers, common to both forms of answer.
struct Head {
    status: u16,
    headers: HeaderMap,
    who: String,
    redactor: Redactor,
    url: Url,
    now: Timestamp,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    fn retry_after(&self) -> Option<Duration> {
        // The other side's own clock, if it shows one: both dates are then wrong by the same.
        let now = self
            .header(DATE.as_str())
            .and_then(http_date)
            .unwrap_or(self.now);
        retry_after(self.header(RETRY_AFTER.as_str())?, now)
    }

    fn location(&self) -> Option<Url> {
        self.url.join(self.header(LOCATION.as_str())?).ok()
    }

    fn error(&self, excerpt: &str) -> Error {
        let e = status_error(self.status, &self.who, self.retry_after());
        let text = match self.location() {
            Some(to) if (300..400).contains(&self.status) => format!(
                "{} answered {} with a redirect to {}, which is not followed",
                self.who,
                self.status,
                redact::origin(to.as_str())
            ),
            _ if !excerpt.is_empty() => format!("{e}: {excerpt}"),
            _ => return e,
        };
        let (retry, delivery, scope) = (e.retry(), e.delivery(), e.scope());
        Error::new(e.kind(), text)
            .with_retry(retry)
            .with_delivery(delivery)
            .with_scope(scope)
            .with_code(self.status.to_string())
    }
}

/// An answer whose body has been read, up to a limit.
pub struct Answer {
    head: Head,
    body: Bytes,
    truncated: bool,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// True for 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.head.status)
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// What `Retry-After` says, at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        self.head.retry_after()
    }

    /// Where a redirect points to, as a whole URL. It was not followed.
    pub fn location(&self) -> Option<Url> {
        self.head.location()
    }

    /// The body, or its beginning.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// True if there was more than was read.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// The body as text; bytes that are none are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The other side as it may be shown.
    pub fn who(&self) -> &str {
        &self.head.who
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`InvalidResponse`](ErrorKind::InvalidResponse) if it is none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let cut = if self.truncated { " and was cut" } else { "" };
            Error::new(
                ErrorKind::InvalidResponse,
                format!("the answer of {} is not the expected JSON{cut}", self.head.who),
            )
            // Serde's text may quote a value: only its place is told.
            .with_source(Error::new(
                ErrorKind::InvalidResponse,
                format!("line {} column {}", e.line(), e.column()),
            ))
        })
    }

    /// The beginning of the body on one line, at most 200 characters, without control
    /// characters and with the request's own secrets masked. Empty for HTML pages.
    pub fn excerpt(&self) -> String {
        let text = self.text();
        let start = text.trim_start();
        let html = self
            .header("content-type")
            .is_some_and(|t| t.contains("html"))
            || start.get(..5).is_some_and(|s| {
                s.eq_ignore_ascii_case("<html") || s.eq_ignore_ascii_case("<!doc")
            });
        if html {
            return String::new();
        }
        // Masked before it is cut, so that no half of a secret is left.
        let masked = self.head.redactor.redact(start);
        let mut out = String::new();
        for (n, c) in masked.chars().enumerate() {
            if n == EXCERPT {
                out.push('…');
                break;
            }
            if !c.is_control() && !c.is_whitespace() {
                out.push(c);
            } else if !out.ends_with(' ') {
                out.push(' ');
            }
        }
        out.truncate(out.trim_end().len());
        out
    }

    /// This answer as an error, by [`status_error`]'s table, with the body's
    /// [`excerpt`](Self::excerpt) in its text.
    pub fn error(&self) -> Error {
        self.head.error(&self.excerpt())
    }

    /// The answer if its status is 2xx.
    ///
    /// # Errors
    /// [`error`](Self::error) otherwise.
    pub fn success(self) -> Result<Self> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(self.error())
        }
    }
}

/// Neither header values nor the body are shown.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("from", &self.head.who)
            .field("status", &self.head.status)
            .field("bytes", &self.body.len())
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}

/// An answer whose body is still to be read.
pub struct StreamAnswer {
    head: Head,
    response: reqwest::Response,
    idle: Duration,
    deadline: Option<Instant>,
}

impl StreamAnswer {
    pub(crate) fn new(
        response: reqwest::Response,
        who: String,
        redactor: Redactor,
        url: Url,
        idle: Duration,
        deadline: Option<Instant>,
        now: Timestamp,
    ) -> Self {
        let head = Head {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            who,
            redactor,
            url,
            now,
        };
        Self {
            head,
            response,
            idle,
            deadline,
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// True for 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.head.status)
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Where a redirect points to, as a whole URL. It was not followed.
    pub fn location(&self) -> Option<Url> {
        self.head.location()
    }

    /// The length that the other side announced.
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Another longest pause between pieces than the client's, such as for a stream of
    /// events that says how often it is heard of.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = idle.min(FOR_EVER);
        self
    }

    /// The answer if its status is 2xx. Otherwise the beginning of the body is read for the error's text.
    ///
    /// # Errors
    /// By [`status_error`]'s table.
    pub async fn success(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let deadline = Instant::now() + self.idle;
        Err(self.collect(2048, false, Some(deadline)).await?.error())
    }

    async fn chunk(&mut self, deadline: Option<Instant>) -> Result<Option<Bytes>> {
        let until = deadline.unwrap_or_else(|| Instant::now() + self.idle);
        within(until, &self.head.who, self.response.chunk())
            .await?
            .map_err(|e| transport_error(e, &self.head.who))
    }

    /// Reads the whole body, at most `max` bytes.
    ///
    /// # Errors
    /// [`InvalidResponse`](ErrorKind::InvalidResponse) if it is longer, and as [`into_stream`](Self::into_stream).
    pub async fn read_all(self, max: usize) -> Result<Answer> {
        let deadline = self.deadline;
        self.collect(max, true, deadline).await
    }

    pub(crate) async fn collect(
        mut self,
        max: usize,
        strict: bool,
        deadline: Option<Instant>,
    ) -> Result<Answer> {
        let mut body = BytesMut::new();
        let mut truncated = false;
        loop {
            match self.chunk(deadline).await {
                Ok(None) => break,
                Ok(Some(piece)) if body.len() + piece.len() <= max => {
                    body.extend_from_slice(&piece)
                }
                Ok(Some(_)) if strict => return Err(too_long(&self.head.who, max as u64)),
                Ok(Some(piece)) => {
                    body.extend_from_slice(&piece[..max - body.len()]);
                    truncated = true;
                    break;
                }
                // What a refusal means does not hang on the rest of its text.
                Err(_) if !self.is_success() => {
                    truncated = true;
                    break;
                }
                Err(e) => return Err(e.with_delivery(Delivery::Unknown)),
            }
        }
        Ok(Answer {
            head: self.head,
            body: body.freeze(),
            truncated,
        })
    }

    /// The body in pieces, at most `max` bytes in all. It ends after the first error.
    ///
    /// Items are errors of kind [`Timeout`](ErrorKind::Timeout) if the other side pauses for longer than the
    /// idle time-out, [`Unavailable`](ErrorKind::Unavailable) if the connection breaks before
    /// the announced end, [`InvalidResponse`](ErrorKind::InvalidResponse) if the body is longer than `max`.
    pub fn into_stream(self, max: u64) -> ByteStream {
        Box::pin(stream::unfold(
            Some((self, 0u64)),
            move |state| async move {
                let (mut this, read) = state?;
                let deadline = this.deadline;
                match this.chunk(deadline).await {
                    Ok(None) => None,
                    Ok(Some(piece)) => {
                        let read = read + piece.len() as u64;
                        if read > max {
                            Some((Err(too_long(&this.head.who, max)), None))
                        } else {
                            Some((Ok(piece), Some((this, read))))
                        }
                    }
                    Err(e) => Some((Err(e), None)),
                }
            },
        ))
    }
}

fn too_long(who: &str, max: u64) -> Error {
    Error::new(
        ErrorKind::InvalidResponse,
        format!("the answer of {who} is longer than {max} bytes"),
    )
}

impl fmt::Debug for StreamAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamAnswer")
            .field("from", &self.head.who)
            .field("status", &self.head.status)
            .finish_non_exhaustive()
    }
}
