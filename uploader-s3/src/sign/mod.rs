//! Signatures, version 2 and version 4: text in, text out.

pub(crate) mod v2;
pub(crate) mod v4;

use std::fmt;

use hmac::{Hmac, Mac, digest::KeyInit};
use notifier_core::Secret;

/// A key pair to sign with, and the token that goes with a temporary one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
}

/// Nothing is shown.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("temporary", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

/// A name and a value, of a query or a header. In a query `None` is a name alone.
pub(crate) type Pair<'a> = (&'a str, Option<&'a str>);

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    mac::<Hmac<sha2::Sha256>>(key, text)
}

fn hmac_sha1(key: &[u8], text: &str) -> Vec<u8> {
    mac::<Hmac<sha1::Sha1>>(key, text)
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    // Any length is a key for HMAC (RFC 2104 §3); an empty result signs nothing.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}
