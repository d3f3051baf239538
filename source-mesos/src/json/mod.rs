//! JSON read as it comes, of which only a small part is looked at.

mod block;
mod members;
mod skip;
mod text;
mod walk;
mod word;

use std::{borrow::Cow, fmt};

pub(crate) use members::{glance, pick};
pub(crate) use walk::{Choice, Kind, Visit, Walker};

/// What was read is not the JSON it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    what: &'static str,
    /// So many bytes into the text; none if the text as a whole is meant.
    at: Option<u64>,
}

impl Malformed {
    /// JSON, but not what was asked for.
    pub(crate) fn whole(what: &'static str) -> Self {
        Self { what, at: None }
    }

    fn at(what: &'static str, at: u64) -> Self {
        Self { what, at: Some(at) }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        match self.at {
            Some(at) => write!(f, " at byte {at}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Malformed {}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// What a key says, given with its quotes.
fn key_of(quoted: &[u8]) -> Cow<'_, [u8]> {
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    // Keys that matter can be unescaped.
    match serde_json::from_slice::<String>(quoted) {
        Ok(key) => Cow::Owned(key.into_bytes()),
        Err(_) => Cow::Borrowed(inner),
    }
}
