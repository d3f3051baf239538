//! What an outcome means: may it be tried again, may it have arrived?

use std::{error::Error as StdError, io, time::Duration};

use notifier_core::{Delivery, Error, ErrorKind, Retry, Scope};
use reqwest::StatusCode;

use crate::guest::Refused;

/// The error for an answer whose status is not the one hoped for.
///
/// `who` is the other side as it may be shown (no path or query that is a secret).
/// `after` is what its `Retry-After` said, used only where trying again makes sense.
///
/// | status | kind | again | arrived |
/// |---|---|---|---|
/// | 429 | rate-limited | later | no |
/// | 503 | unavailable | later | no |
/// | 408, 425 | unavailable | later | no |
/// | other 5xx | unavailable | later | unknown |
/// | 401 | unauthenticated, whole destination | never | no |
/// | 403 | permission-denied | never | no |
/// | 407, 511 | config, whole destination | never | no |
/// | 413, 414, 431 | too-large | never | no |
/// | 501, 505, 3xx, other 4xx | rejected | never | no |
/// | 1xx, 2xx | invalid-response | later | unknown |
pub fn status_error(status: u16, who: &str, after: Option<Duration>) -> Error {
    use ErrorKind as K;
    let later = Retry::Later { after };
    let (kind, retry, delivery) = match status {
        429 => (K::RateLimited, later, Delivery::NotDelivered),
        503 | 408 | 425 => (K::Unavailable, later, Delivery::NotDelivered),
        401 => (K::Unauthenticated, Retry::Never, Delivery::NotDelivered),
        403 => (K::PermissionDenied, Retry::Never, Delivery::NotDelivered),
        407 | 511 => (K::Config, Retry::Never, Delivery::NotDelivered),
        413 | 414 | 431 => (K::TooLarge, Retry::Never, Delivery::NotDelivered),
        300..=499 | 501 | 505 => (K::Rejected, Retry::Never, Delivery::NotDelivered),
        500.. => (K::Unavailable, later, Delivery::Unknown),
        _ => (K::InvalidResponse, later, Delivery::Unknown),
    };
    let scope = match status {
        401 | 407 | 511 => Scope::Destination,
        _ => Scope::Message,
    };
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason());
    let message = match reason {
        Some(r) => format!("{who} answered {status} {r}"),
        None => format!("{who} answered {status}"),
    };
    Error::new(kind, message)
        .with_retry(retry)
        .with_delivery(delivery)
        .with_scope(scope)
        .with_code(status.to_string())
}

/// The error for a request that got no answer.
///
/// Only what failed while connecting is known not to have arrived. The client says
/// that of look-up, connection and TLS handshake; of everything later, a time-out
/// included, it cannot say how much was sent.
pub(crate) fn transport_error(e: reqwest::Error, who: &str) -> Error {
    let e = e.without_url();
    if let Some(refused) = find::<Refused>(&e) {
        return Error::config(refused.to_string());
    }
    if e.is_builder() {
        return Error::config(format!("the request to {who} cannot be made")).with_source(e);
    }
    if e.is_connect() {
        if let Some(tls) = find::<rustls::Error>(&e)
            && is_certificate(tls)
        {
            return Error::config(format!("the TLS certificate of {who} is refused"))
                .with_scope(Scope::Destination)
                .with_source(tls.clone());
        }
        let what = if e.is_timeout() {
            "no connection in time to"
        } else if e.is_dns() {
            "cannot look up the address of"
        } else {
            "cannot connect to"
        };
        return Error::new(ErrorKind::Unavailable, format!("{what} {who}")).with_source(e);
    }
    if e.is_timeout() {
        return timeout(who).with_source(e);
    }
    lost(who).with_source(e)
}

/// No answer in time; it may have arrived.
pub(crate) fn timeout(who: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("no answer in time from {who}"))
}

/// The connection broke after the request may have been sent.
pub(crate) fn lost(who: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the connection to {who} broke before its answer was whole"),
    )
    .with_delivery(Delivery::Unknown)
}

fn is_certificate(e: &rustls::Error) -> bool {
    use rustls::AlertDescription as A;
    match e {
        rustls::Error::InvalidCertificate(_) | rustls::Error::UnsupportedNameType => true,
        rustls::Error::AlertReceived(a) => matches!(
            a,
            A::BadCertificate
                | A::CertificateRequired
                | A::CertificateRevoked
                | A::CertificateUnknown
                | A::UnknownCA
                | A::AccessDenied
        ),
        _ => false,
    }
}

/// The cause of this type, also one wrapped in an I/O error, which hides it from `source`.
fn find<'a, T: StdError + 'static>(e: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(e);
    while let Some(e) = next {
        if let Some(found) = e.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = e.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_answers() {
        let after = Some(Duration::from_secs(7));
        let later = Retry::Later { after };
        let never = Retry::Never;
        let (no, unknown) = (Delivery::NotDelivered, Delivery::Unknown);
        for (status, kind, retry, delivery) in [
            (429, ErrorKind::RateLimited, later, no),
            (408, ErrorKind::Unavailable, later, no),
            (425, ErrorKind::Unavailable, later, no),
            (500, ErrorKind::Unavailable, later, unknown),
            (502, ErrorKind::Unavailable, later, unknown),
            (503, ErrorKind::Unavailable, later, no),
            (504, ErrorKind::Unavailable, later, unknown),
            (522, ErrorKind::Unavailable, later, unknown),
            (599, ErrorKind::Unavailable, later, unknown),
            (501, ErrorKind::Rejected, never, no),
            (401, ErrorKind::Unauthenticated, never, no),
            (403, ErrorKind::PermissionDenied, never, no),
            (407, ErrorKind::Config, never, no),
            (400, ErrorKind::Rejected, never, no),
            (404, ErrorKind::Rejected, never, no),
            (409, ErrorKind::Rejected, never, no),
            (410, ErrorKind::Rejected, never, no),
            (418, ErrorKind::Rejected, never, no),
            (422, ErrorKind::Rejected, never, no),
            (413, ErrorKind::TooLarge, never, no),
            (301, ErrorKind::Rejected, never, no),
            (308, ErrorKind::Rejected, never, no),
            (204, ErrorKind::InvalidResponse, later, unknown),
        ] {
            let e = status_error(status, "https://a.example", after);
            assert_eq!(
                (e.kind(), e.retry(), e.delivery()),
                (kind, retry, delivery),
                "{status}"
            );
            assert_eq!(e.code(), Some(status.to_string().as_str()));
        }
        for status in 100..=999 {
            let e = status_error(status, "x", None);
            assert_eq!(e.is_retryable(), e.retry() == Retry::Later { after: None });
        }
        assert_eq!(status_error(401, "x", None).scope(), Scope::Destination);
        assert_eq!(status_error(404, "x", None).scope(), Scope::Message);
        assert_eq!(
            status_error(404, "x", None).to_string(),
            "x answered 404 Not Found"
        );
    }

    #[test]
    fn a_cause_inside_an_io_error_is_found() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let e = io::Error::new(io::ErrorKind::InvalidData, tls);
        assert!(find::<rustls::Error>(&e).is_some_and(is_certificate));
        assert!(find::<Refused>(&e).is_none());
    }
}
