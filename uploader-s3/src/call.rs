//! One request to a store, before it is signed.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use md5::Md5;
use notifier_http::Method;
use sha2::{Digest as _, Sha256};

use crate::sign::{Pair, hex};

/// What a completion is answered with.
pub(crate) const COMPLETED: &str = "CompleteMultipartUploadResult";

/// A hash that is made while bytes come in.
#[derive(Clone, Debug)]
pub(crate) enum Digest {
    Sha256(Sha256),
    Md5(Md5),
}

impl Digest {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(d) => d.update(bytes),
            Self::Md5(d) => d.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(d) => hex(&d.finalize()),
            Self::Md5(d) => STANDARD.encode(d.finalize()),
        }
    }
}

/// A body with its hash, in the form in which the store wants it.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    /// SHA-256 in hexadecimal, or MD5 in base64.
    pub(crate) hash: String,
}

impl Payload {
    pub(crate) fn of(bytes: Bytes, digest: Digest) -> Self {
        Self {
            bytes,
            hash: digest.finish(),
        }
    }

    pub(crate) fn new(bytes: Bytes, mut digest: Digest) -> Self {
        digest.update(&bytes);
        Self::of(bytes, digest)
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Empty for the bucket itself.
    pub(crate) key: &'a str,
    pub(crate) query: &'a [Pair<'a>],
    /// With a payload, always.
    pub(crate) content_type: Option<&'static str>,
    /// Names in lower case.
    pub(crate) headers: &'a [(&'static str, String)],
    /// `None` for a request without a body.
    pub(crate) payload: Option<Payload>,
    /// The element that a good answer holds; without it the answer is none.
    pub(crate) element: Option<&'static str>,
}

impl Call<'_> {
    /// Whether it makes one object of its parts.
    pub(crate) fn completes(&self) -> bool {
        self.element == Some(COMPLETED)
    }
}
