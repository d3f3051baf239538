//! Why something was refused, and how often that is said.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use notifier_core::{
    Error,
    jiff::{SignedDuration, Timestamp},
};

/// How far apart two lines of the log are that say the same kind of refusal.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// What was wrong, with what it is answered.
///
/// SNS tries 5xx and 429 again and gives the other statuses up, so that what is no fault of the
/// sender's has a 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The body is longer than may be: 413.
    TooLarge,
    /// The body is no message of SNS: 400.
    Malformed,
    /// The type of the message is none that SNS has: 400.
    UnknownType,
    /// The topic is none of those listed: 403.
    ForeignTopic,
    /// A raw delivery, which is not accepted, or with a wrong secret: 403.
    Raw,
    /// A raw delivery without a secret: 401, and SNS sends what is in the address.
    Unauthenticated,
    /// The version of the signature is not accepted: 403.
    SignatureVersion,
    /// The address of the certificate is not one of SNS: 403.
    Certificate,
    /// What is at that address is no certificate of SNS that holds now, or it cannot be had: 503.
    CertificateUnavailable,
    /// The signature is not of this message: 403.
    Signature,
    /// The message is too old: 403.
    Stale,
    /// The message is of the future, so that our clock is wrong: 503.
    Clock,
    /// SNS did not take the confirmation, and will not: 403.
    Unconfirmed,
    /// SNS cannot be asked to confirm now: 503.
    ConfirmationUnavailable,
    /// What was sent cannot be stored now: 503.
    Unavailable,
}

impl RefusalKind {
    /// The HTTP status that it is answered with.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Malformed | Self::UnknownType => 400,
            Self::Unauthenticated => 401,
            Self::ForeignTopic
            | Self::Raw
            | Self::SignatureVersion
            | Self::Certificate
            | Self::Signature
            | Self::Stale
            | Self::Unconfirmed => 403,
            Self::CertificateUnavailable
            | Self::Clock
            | Self::ConfirmationUnavailable
            | Self::Unavailable => 503,
        }
    }

    /// The word for it in logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too large",
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown type",
            Self::ForeignTopic => "foreign topic",
            Self::Raw => "raw delivery",
            Self::Unauthenticated => "unauthenticated",
            Self::SignatureVersion => "signature version",
            Self::Certificate => "certificate",
            Self::CertificateUnavailable => "certificate unavailable",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Clock => "clock",
            Self::Unconfirmed => "unconfirmed",
            Self::ConfirmationUnavailable => "confirmation unavailable",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What was wrong, in words. They hold neither body nor token nor signature.
#[derive(Debug)]
pub struct Refusal {
    kind: RefusalKind,
    why: String,
    source: Option<Error>,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, why: impl Into<String>) -> Self {
        Self {
            kind,
            why: why.into(),
            source: None,
        }
    }

    pub(crate) fn because(mut self, source: Error) -> Self {
        self.source = Some(source);
        self
    }

    /// What was wrong.
    pub fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// The HTTP status that it is answered with.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

/// Says refusals in the log: each kind once a minute, with how many there were.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<RefusalKind, Told>>);

/// A kind of refusal that was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    /// How many there were in all.
    count: u64,
}

impl Refusals {
    /// Counts it, and tells it unless one of its kind was told within the last minute.
    pub(crate) fn tell(&self, refusal: &Refusal, from: &str, now: Timestamp) {
        let Some(count) = self.is_due(refusal.kind, now) else {
            return;
        };
        let why = notifier_core::Chain::new(refusal);
        tracing::warn!(
            kind = refusal.kind.word(),
            status = refusal.status(),
            from,
            so_far = count,
            "refused: {why}"
        );
    }

    /// How many there were, if it is to be told now.
    fn is_due(&self, kind: RefusalKind, now: Timestamp) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.entry(kind).or_insert(Told {
            at: Timestamp::MIN,
            count: 0,
        });
        known.count += 1;
        let since = now.duration_since(known.at);
        // A clock that was set back must not silence it.
        let is_due = since >= APART || since.is_negative();
        if is_due {
            known.at = now;
        }
        is_due.then_some(known.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_a_minute_with_its_count() {
        let all = Refusals::default();
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut told = Vec::new();
        for s in [0, 1, 59, 60, 61, 200, 100] {
            told.push(all.is_due(RefusalKind::Signature, at(s)));
        }
        assert_eq!(told, [Some(1), None, None, Some(4), None, Some(6), Some(7)]);
        assert_eq!(all.is_due(RefusalKind::Stale, at(1)), Some(1));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        use RefusalKind as K;
        for kind in [
            K::CertificateUnavailable,
            K::Clock,
            K::ConfirmationUnavailable,
            K::Unavailable,
        ] {
            assert_eq!(kind.status(), 503, "{kind:?}");
        }
        for kind in [
            K::Signature,
            K::ForeignTopic,
            K::Raw,
            K::Certificate,
            K::Stale,
        ] {
            assert_eq!(kind.status(), 403, "{kind:?}");
        }
        assert_eq!(
            (
                K::TooLarge.status(),
                K::UnknownType.status(),
                K::Unauthenticated.status()
            ),
            (413, 400, 401)
        );
    }
}
