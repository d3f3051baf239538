//! The one error type of all traits in this crate.

use std::{error::Error as StdError, fmt, time::Duration};

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What happened, in one word.
///
/// The kind is for people and for counting. Whether to try again and whether
/// the message may have arrived are separate questions: [`Error::retry`] and
/// [`Error::delivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing or wrong. Nothing was sent.
    Config,
    /// A template cannot be parsed or rendered.
    Template,
    /// The other side cannot be reached, or says that it cannot serve now.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// The other side asks to slow down.
    RateLimited,
    /// Credentials are missing, wrong or expired.
    Unauthenticated,
    /// The credentials are good but not for this.
    PermissionDenied,
    /// The other side understood the request and refuses it.
    Rejected,
    /// The request is larger than the other side takes.
    TooLarge,
    /// The answer makes no sense: wrong type, cut short, over a size limit.
    InvalidResponse,
    /// A local file or device failed.
    Io,
    /// A bounded queue is full.
    Full,
    /// Whether to send is not known yet: this message waits, what else goes there does not.
    Pending,
    /// A fault of the program itself.
    Internal,
}

impl ErrorKind {
    /// The kind as a short lower-case word with hyphens, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Template => "template",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate-limited",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission-denied",
            Self::Rejected => "rejected",
            Self::TooLarge => "too-large",
            Self::InvalidResponse => "invalid-response",
            Self::Io => "io",
            Self::Full => "full",
            Self::Pending => "pending",
            Self::Internal => "internal",
        }
    }

    const fn usual_retry(self) -> Retry {
        match self {
            Self::Unavailable
            | Self::Timeout
            | Self::RateLimited
            | Self::InvalidResponse
            | Self::Io
            | Self::Full
            | Self::Pending => Retry::Later { after: None },
            _ => Retry::Never,
        }
    }

    const fn usual_delivery(self) -> Delivery {
        match self {
            Self::Timeout | Self::InvalidResponse => Delivery::Unknown,
            _ => Delivery::NotDelivered,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// May the same thing be tried again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// No: it would fail in the same way until a person changes something.
    Never,
    /// Yes, not before `after` where the other side said so.
    Later {
        /// The wait asked for by the other side, from now.
        after: Option<Duration>,
    },
    /// It could have been, but the time for it has run out.
    Exhausted,
}

/// Did the message arrive although there was an error?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Certainly not.
    NotDelivered,
    /// It may have: the request was sent and the answer was lost.
    Unknown,
}

/// How far a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// One target of several: a recipient. It says nothing of the destination, in a refusal
    /// for good or for now.
    Target,
    /// This one message.
    Message,
    /// Everything for this destination: a revoked token, a deleted channel.
    Destination,
}

/// An error of a reporter, uploader, source, locator or outbox.
///
/// One opaque, pointer-sized type for all of them, so that a list of reporters
/// can share it. It answers two separate questions: [may it be tried
/// again](Error::retry), and [may it have arrived](Error::delivery). The usual
/// answers follow from the [`ErrorKind`] and can be set apart.
///
/// `Display` is one lower-case line about its own layer, without the cause: that
/// is reached through [`source`](StdError::source), and [`Error::report`] prints
/// the whole chain once. Messages must not hold secrets or a URL's query; for
/// URLs use [`crate::redact::url`].
///
/// ```
/// use std::time::Duration;
/// use notifier_core::{Delivery, Error, ErrorKind, Retry};
///
/// let e = Error::new(ErrorKind::RateLimited, "slack answered 429")
///     .with_retry_after(Duration::from_secs(30));
/// assert_eq!(e.retry(), Retry::Later { after: Some(Duration::from_secs(30)) });
/// assert_eq!(e.delivery(), Delivery::NotDelivered);
/// assert_eq!(e.to_string(), "slack answered 429");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    delivery: Delivery,
    scope: Scope,
    message: String,
    code: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind with the kind's usual answers.
    ///
    /// `message`: one lower-case line about this layer, no full stop, no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: kind.usual_retry(),
            delivery: kind.usual_delivery(),
            scope: Scope::Message,
            message: message.into(),
            code: None,
            source: None,
        }))
    }

    /// Shorthand for [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Shorthand for [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds the cause. Its text must hold no secret either.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets the answer to "may it be tried again?".
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// May be tried again, not before `after`.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.with_retry(Retry::Later { after: Some(after) })
    }

    /// Sets the answer to "did it arrive?".
    #[must_use]
    pub fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    /// Sets how far a refusal reaches; [`Scope::Message`] unless set.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.0.scope = scope;
        self
    }

    /// Adds the other side's own code: an HTTP status, an SMTP reply, a word
    /// such as `channel_not_found`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// May the same thing be tried again?
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// May the message have arrived all the same?
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// How far a refusal reaches.
    pub fn scope(&self) -> Scope {
        self.0.scope
    }

    /// The other side's own code, if it gave one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// True if waiting may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.retry, Retry::Later { .. })
    }

    /// The same error again, with its causes as text.
    pub(crate) fn copy(&self) -> Self {
        let i = &self.0;
        Self(Box::new(Inner {
            kind: i.kind,
            retry: i.retry,
            delivery: i.delivery,
            scope: i.scope,
            message: self.report().to_string(),
            code: i.code.clone(),
            source: None,
        }))
    }

    /// Displays this error and its causes, each once: `a: b: c`.
    pub fn report(&self) -> Chain<'_> {
        Chain(self)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Error");
        s.field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("retry", &self.0.retry)
            .field("delivery", &self.0.delivery);
        if let Some(code) = &self.0.code {
            s.field("code", code);
        }
        if let Some(source) = &self.0.source {
            s.field("source", &source.to_string());
        }
        s.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

impl From<notifier_template::Error> for Error {
    fn from(e: notifier_template::Error) -> Self {
        Self::new(ErrorKind::Template, e.to_string()).with_source(e)
    }
}

/// Displays an error and its causes on one line; see [`Error::report`].
#[derive(Debug)]
pub struct Chain<'a>(&'a (dyn StdError + 'static));

impl<'a> Chain<'a> {
    /// The chain of any error.
    pub fn new(error: &'a (dyn StdError + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(e) = next {
            let text = e.to_string();
            // Some libraries repeat their cause in their own text: print it once.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            next = e.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_pointer_wide_and_shareable() {
        fn shareable<T: Send + Sync + 'static>() {}
        shareable::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn chain_prints_each_layer_once() {
        let inner = Error::new(ErrorKind::Io, "no such file");
        let twice = Error::new(ErrorKind::Io, "cannot open: no such file").with_source(inner);
        let outer = Error::config("cannot read the template").with_source(twice);
        assert_eq!(outer.to_string(), "cannot read the template");
        assert_eq!(
            outer.report().to_string(),
            "cannot read the template: cannot open: no such file"
        );
    }

    #[test]
    fn usual_answers_follow_the_kind() {
        assert!(!Error::config("x").is_retryable());
        let t = Error::new(ErrorKind::Timeout, "x");
        assert!(t.is_retryable());
        assert_eq!(t.delivery(), Delivery::Unknown);
        let r = Error::new(ErrorKind::Rejected, "x");
        assert_eq!(
            (r.retry(), r.delivery()),
            (Retry::Never, Delivery::NotDelivered)
        );
    }
}
