//! Signatures from certificate to certificate, whatever their dates.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor},
};
use x509_parser::{
    prelude::{FromDer as _, X509Certificate},
    x509::SubjectPublicKeyInfo,
};

use super::certificate::sequence;

/// The most signatures that are looked at: a server may send any number of certificates.
const MOST: usize = 100;

/// Whether the first of these leads to an authority that is trusted: by the names, by the
/// signatures, and over those only that may sign others.
pub(super) fn is_linked(der: &[CertificateDer<'_>], roots: &RootCertStore) -> bool {
    let chain: Vec<X509Certificate<'_>> = der
        .iter()
        .filter_map(|d| Some(X509Certificate::from_der(d).ok()?.1))
        .collect();
    let mut left = MOST;
    let mut signed_by = |one: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>| {
        left = left.saturating_sub(1);
        left > 0 && one.verify_signature(Some(key)).is_ok()
    };
    // Each is come to once: they may go in a circle.
    let mut reached = vec![0];
    let mut next = 0;
    while let Some(one) = reached.get(next).and_then(|&n| chain.get(n)) {
        next += 1;
        let is_root = |anchor: &TrustAnchor<'_>| {
            one.issuer().as_raw() == sequence(&anchor.subject)
                && SubjectPublicKeyInfo::from_der(&sequence(&anchor.subject_public_key_info))
                    .is_ok_and(|(_, key)| signed_by(one, &key))
        };
        if roots.roots.iter().any(is_root) {
            return true;
        }
        for (n, other) in chain.iter().enumerate() {
            let is_new = !reached.contains(&n) && other.is_ca();
            if is_new
                && one.issuer().as_raw() == other.subject().as_raw()
                && signed_by(one, other.public_key())
            {
                reached.push(n);
            }
        }
    }
    false
}
