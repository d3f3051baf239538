//! Whether a chain leads to an authority that is trusted.

use std::time::Duration;

use notifier_core::jiff::Timestamp;
use rustls::{
    CertificateError, Error, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};

use super::{certificate::Certificate, links::is_linked};

/// What is wrong with a chain, its dates left aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The server's certificate is signed by itself.
    SelfSigned,
    /// It sends its own certificate only, and its issuer is not known here.
    Alone { issuer: String },
    /// It sends some certificates, and the issuer of the last one is not known here.
    BreaksOff { last: String, issuer: String },
    /// It leads to an authority that is sent along and not trusted.
    ForeignRoot { root: String },
    /// The signature is not by the authority that it names.
    BadSignature { issuer: String },
    /// Anything else, for people.
    Other(String),
}

/// Whether the dates alone are wrong.
fn is_of_time(e: &Error) -> bool {
    use CertificateError as C;
    matches!(
        e,
        Error::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }
        )
    )
}

/// Whether it holds at this time.
pub(crate) fn holds(
    der: &[CertificateDer<'_>],
    chain: &[Certificate],
    roots: &RootCertStore,
    at: Timestamp,
) -> bool {
    verify(der, roots, at).is_ok() || (is_given(&chain[0], roots) && chain[0].is_current(at))
}

/// Whether a certificate that signed itself is one of those that are trusted: it needs no chain.
fn is_given(leaf: &Certificate, roots: &RootCertStore) -> bool {
    leaf.is_self_issued() && roots.roots.iter().any(|anchor| leaf.is_of(anchor))
}

fn verify(der: &[CertificateDer<'_>], roots: &RootCertStore, at: Timestamp) -> Result<(), Error> {
    let (leaf, others) = der
        .split_first()
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let leaf = ParsedCertificate::try_from(leaf)?;
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(&leaf, roots, others, at, algorithms.all)
}

/// Looks for a flaw that is there whatever the time: an expired chain is no untrusted one. It is
/// verified at a time when it held; if there was none, since its parts were made one after the
/// other, the signatures count.
pub(crate) fn flaw(
    der: &[CertificateDer<'_>],
    chain: &[Certificate],
    roots: &RootCertStore,
    now: Timestamp,
) -> Option<Flaw> {
    if is_given(&chain[0], roots) {
        return None;
    }
    for at in [now, within(chain, now), within(&chain[..1], now)] {
        match verify(der, roots, at) {
            Ok(()) => return None,
            Err(e) if is_of_time(&e) => {}
            Err(e) => return Some(told(&e, chain)),
        }
    }
    // What is sent along is no authority of ours, but it shows whether the server's own is sound.
    let mut near = roots.clone();
    near.add_parsable_certificates(der[1..].iter().cloned().map(CertificateDer::into_owned));
    match verify(&der[..1], &near, chain[0].not_before) {
        Err(e) if !is_of_time(&e) => Some(told(&e, chain)),
        _ if is_linked(der, roots) => None,
        _ => Some(told(
            &Error::InvalidCertificate(CertificateError::UnknownIssuer),
            chain,
        )),
    }
}

/// The time nearest to `now` at which all of these are valid; if there is none, one of the first.
fn within(chain: &[Certificate], now: Timestamp) -> Timestamp {
    let from = chain.iter().map(|c| c.not_before).max().unwrap_or(now);
    let until = chain.iter().map(|c| c.not_after).min().unwrap_or(now);
    now.max(from).min(until)
}

fn told(e: &Error, chain: &[Certificate]) -> Flaw {
    let leaf = &chain[0];
    if leaf.is_self_issued() {
        return Flaw::SelfSigned;
    }
    match e {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {}
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            return Flaw::BadSignature {
                issuer: leaf.issuer.clone(),
            };
        }
        e => return Flaw::Other(other(e)),
    }
    // Up to where what was sent leads. Each is stepped on once: they may go in a circle.
    let mut last = leaf;
    for _ in 1..chain.len() {
        match chain.iter().find(|c| *c != last && last.is_issued_by(c)) {
            Some(next) if !last.is_self_issued() => last = next,
            _ => break,
        }
    }
    if last.is_self_issued() {
        Flaw::ForeignRoot {
            root: last.subject.clone(),
        }
    } else if chain.len() == 1 {
        Flaw::Alone {
            issuer: last.issuer.clone(),
        }
    } else {
        Flaw::BreaksOff {
            last: last.subject.clone(),
            issuer: last.issuer.clone(),
        }
    }
}

/// A rare flaw, in words.
fn other(e: &Error) -> String {
    use CertificateError as C;
    let Error::InvalidCertificate(e) = e else {
        return e.to_string();
    };
    match e {
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "it is not made for servers (extended key usage)".to_owned()
        }
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that is not taken any more (SHA-1, or too short a key)"
                .to_owned()
        }
        C::UnhandledCriticalExtension => "it has a critical extension that is not known".to_owned(),
        C::Other(what) if what.to_string().contains("CaUsedAsEndEntity") => {
            "it is the certificate of an authority, and serves as that of a server".to_owned()
        }
        e => e.to_string(),
    }
}
