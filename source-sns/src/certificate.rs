//! The certificate that a message was signed with.

use notifier_core::jiff::Timestamp;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use x509_parser::{
    extensions::GeneralName, oid_registry::OID_PKCS1_RSAENCRYPTION, pem::parse_x509_pem,
    prelude::X509Certificate,
};

use crate::SignatureVersion;

/// A key, and when it may be used.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// `RSAPublicKey` (RFC 8017 A.1.1) in DER.
    key: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    /// Reads the first certificate of a PEM. `must_be_sns`: it must be one of Amazon's for SNS.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(pem: &[u8], must_be_sns: bool) -> Result<Self, &'static str> {
        let (_, pem) = parse_x509_pem(pem).map_err(|_| "it is no PEM")?;
        if pem.label != "CERTIFICATE" {
            return Err("it is no certificate");
        }
        let found = pem.parse_x509().map_err(|_| "it is no certificate")?;
        if must_be_sns && !names_sns(&found) {
            return Err("it is not one of Amazon's for SNS");
        }
        let key = found.public_key();
        if key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
            return Err("its key is none of RSA");
        }
        let validity = found.validity();
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| "its dates are wrong");
        Ok(Self {
            key: key.subject_public_key.data.to_vec(),
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
        })
    }

    /// Whether it holds at a time.
    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether its key signed a text.
    pub(crate) fn signed(&self, version: SignatureVersion, text: &[u8], signature: &[u8]) -> bool {
        let algorithm = match version {
            SignatureVersion::V1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            SignatureVersion::V2 => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.key)
            .verify(text, signature)
            .is_ok()
    }
}

/// Whether one of its names is SNS': `sns.amazonaws.com`, or that of a region.
fn names_sns(found: &X509Certificate<'_>) -> bool {
    let is_sns = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("sns")
            && (name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn"))
    };
    let mut common = found.subject().iter_common_name();
    if common.any(|c| c.as_str().is_ok_and(is_sns)) {
        return true;
    }
    let alternatives = found.subject_alternative_name().ok().flatten();
    alternatives.is_some_and(|a| {
        let mut names = a.value.general_names.iter();
        names.any(|n| matches!(n, GeneralName::DNSName(name) if is_sns(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .pem()
    }

    #[test]
    fn what_is_no_certificate_of_sns() {
        for (pem, must, why) in [
            ("", false, "it is no PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                false,
                "it is no certificate",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                false,
                "it is no certificate",
            ),
            (
                &made(&["evil.example"]),
                true,
                "it is not one of Amazon's for SNS",
            ),
            (
                &made(&["sns.amazonaws.com.evil.example"]),
                true,
                "it is not one of Amazon's for SNS",
            ),
            (
                &made(&["s3.amazonaws.com"]),
                true,
                "it is not one of Amazon's for SNS",
            ),
            // rcgen's key is one of an elliptic curve.
            (
                &made(&["sns.amazonaws.com"]),
                true,
                "its key is none of RSA",
            ),
            (&made(&["evil.example"]), false, "its key is none of RSA"),
        ] {
            assert_eq!(Certificate::read(pem.as_bytes(), must).unwrap_err(), why);
        }
    }
}
