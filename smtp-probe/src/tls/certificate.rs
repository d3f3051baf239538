//! What a certificate says of itself.

use std::net::IpAddr;

use notifier_core::jiff::Timestamp;
use rustls::pki_types::TrustAnchor;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
    x509::X509Name,
};

/// The most names that are told.
const MOST_NAMES: usize = 20;
/// The most characters of a name.
const LONGEST_NAME: usize = 120;

/// The parts of a certificate (RFC 5280) that a verdict needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its common name, else all of its name.
    pub(crate) subject: String,
    /// That of who signed it.
    pub(crate) issuer: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    key_der: Vec<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Alternative names: host names and addresses.
    pub(crate) names: Vec<String>,
}

impl Certificate {
    /// Reads one in DER. `None` if it is none.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let validity = parsed.validity();
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |found| {
            let all = found.value.general_names.iter().filter_map(alternative);
            all.take(MOST_NAMES).collect()
        });
        Some(Self {
            subject: shown(parsed.subject()),
            issuer: shown(parsed.issuer()),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            key_der: parsed.public_key().raw.to_vec(),
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            names,
        })
    }

    /// Whether it names itself as who signed it.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject_der == self.issuer_der
    }

    /// Whether it is valid at this time, by its own dates.
    pub(crate) fn is_current(&self, at: Timestamp) -> bool {
        self.not_before <= at && at <= self.not_after
    }

    /// Whether it is this authority's own, by name and key.
    pub(crate) fn is_of(&self, anchor: &TrustAnchor<'_>) -> bool {
        self.subject_der == sequence(&anchor.subject)
            && self.key_der == sequence(&anchor.subject_public_key_info)
    }

    /// Whether it may have been signed by `other`, by name.
    pub(crate) fn is_issued_by(&self, other: &Self) -> bool {
        self.issuer_der == other.subject_der
    }
}

fn shown(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next();
    let text = common
        .and_then(|n| n.as_str().ok())
        .map_or_else(|| name.to_string(), str::to_owned);
    printable(&text)
}

/// What a stranger wrote, for one line.
fn printable(text: &str) -> String {
    let tidy = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(LONGEST_NAME).map(tidy).collect()
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(printable(name)),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// An authority's parts come without the head of their SEQUENCE (X.690 §8.1.3); here it is again.
pub(super) fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|b| **b == 0).count()..];
    let mut der = vec![0x30];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        // There are at most eight octets of it.
        _ => {
            der.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            der.extend_from_slice(length);
        }
    }
    der.extend_from_slice(content);
    der
}
