//! A fake S3: buckets by path, objects whole or in parts.
//!
//! [`FakeS3`] takes what is put into it without keeping more than the beginning of each
//! object: size and SHA-256 tell whether the bytes are the right ones, however many. It
//! enforces the documented limits of keys and parts, refuses a body that is not what its
//! `Content-MD5` or `x-amz-content-sha256` says, and completes an object only by a list
//! of its parts with the right tags. Signatures are not checked, only that there is one:
//! real servers do that.
//!
//! Narrower than S3: parts come in order, each perhaps again, and a list leaves out none
//! before its last. What S3 would take beyond that is refused with `NotImplemented`.

mod list;
mod server;
mod wire;

use std::fmt;

pub use server::FakeS3;

/// An object as it is stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredObject {
    /// Its path, decoded: `/bucket/key`.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its bytes, or the first [`MOST_KEPT`] of them.
    pub head: Vec<u8>,
    /// How many parts it came in; 0 if it came whole.
    pub parts: usize,
    /// The headers it was announced with, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// How much of an object is kept.
pub const MOST_KEPT: usize = 256 * 1024;

impl StoredObject {
    /// The value of the first header with this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A refusal: status and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal(u16, &'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}
