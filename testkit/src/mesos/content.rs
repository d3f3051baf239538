//! Contents of files, and text that may hold bytes that are no UTF-8.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use crate::http::Body;

/// The length of a line of generated logs, in bytes, with its end.
const LINE: u64 = 64;

/// Bytes from 0x80 that are no UTF-8 live in strings as U+F780 to U+F7FF.
const PRIVATE: u32 = 0xf700;

/// The contents of a file in a sandbox.
#[derive(Clone)]
pub struct LogContent(Kind);

#[derive(Clone)]
enum Kind {
    Bytes(Arc<[u8]>),
    Lines(u64),
}

impl LogContent {
    /// `len` bytes of numbered lines of 64 bytes, made when they are read.
    #[must_use]
    pub fn generated(len: u64) -> Self {
        Self(Kind::Lines(len))
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.len() as u64,
            Kind::Lines(len) => *len,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `length` bytes from `offset` on.
    #[must_use]
    pub fn slice(&self, offset: u64, length: usize) -> Vec<u8> {
        let rest = self.len().saturating_sub(offset).min(length as u64) as usize;
        match &self.0 {
            Kind::Bytes(bytes) => bytes
                .iter()
                .skip(offset as usize)
                .take(rest)
                .copied()
                .collect(),
            Kind::Lines(_) => {
                let mut out = vec![0; rest];
                fill(offset, &mut out);
                out
            }
        }
    }

    pub(crate) fn body(&self) -> Body {
        match &self.0 {
            Kind::Bytes(bytes) => Arc::clone(bytes).into(),
            Kind::Lines(len) => Body::generated(*len, fill),
        }
    }

    /// Appends bytes; generated contents become real ones.
    pub(crate) fn append(&mut self, more: &[u8]) {
        let mut all = self.slice(0, usize::MAX);
        all.extend_from_slice(more);
        *self = all.into();
    }
}

fn fill(offset: u64, buffer: &mut [u8]) {
    let mut at = 0;
    while at < buffer.len() {
        let position = offset + at as u64;
        let mut line = [b'.'; LINE as usize];
        // Fits: 20 digits at most and a short word.
        let _ = write!(&mut line[..], "{:012} generated ", position / LINE);
        line[LINE as usize - 1] = b'\n';
        let from = (position % LINE) as usize;
        let count = (line.len() - from).min(buffer.len() - at);
        buffer[at..at + count].copy_from_slice(&line[from..from + count]);
        at += count;
    }
}

impl Default for LogContent {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl fmt::Debug for LogContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogContent")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl From<Vec<u8>> for LogContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }
}

impl From<&[u8]> for LogContent {
    fn from(bytes: &[u8]) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }
}

impl<const N: usize> From<&[u8; N]> for LogContent {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<String> for LogContent {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for LogContent {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// Text in which bytes that are no UTF-8 stand as private characters.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(
            chunk
                .invalid()
                .iter()
                .filter_map(|byte| char::from_u32(PRIVATE + u32::from(*byte))),
        );
    }
    text
}

/// The byte that a private character stands for.
pub(crate) fn byte_of(char: char) -> Option<u8> {
    let code = u32::from(char).checked_sub(PRIVATE)?;
    u8::try_from(code).ok().filter(|byte| *byte >= 0x80)
}

/// Turns the private characters of serialised text back into the bytes they stand for.
pub(crate) fn bytes_of(serialised: Vec<u8>) -> Vec<u8> {
    // U+F780..U+F7FF is EF 9E 80..BF and EF 9F 80..BF.
    let is_private = |w: &[u8]| w[0] == 0xef && (w[1] == 0x9e || w[1] == 0x9f);
    if !serialised.windows(3).any(is_private) {
        return serialised;
    }
    let mut out = Vec::with_capacity(serialised.len());
    let mut rest = serialised.as_slice();
    while let Some(first) = rest.first() {
        if rest.len() >= 3 && is_private(rest) {
            out.push(rest[2] | if rest[1] == 0x9f { 0x40 } else { 0 });
            rest = &rest[3..];
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_bytes_survive_the_way_through_text() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes_of(text_of(&all).into_bytes()), all);
        assert_eq!(text_of("grün".as_bytes()), "grün");
    }

    #[test]
    fn generated_lines_are_the_same_from_any_offset() {
        let content = LogContent::generated(1000);
        let all = content.slice(0, 5000);
        assert_eq!(all.len(), 1000);
        assert_eq!(content.slice(333, 100), all[333..433]);
        assert_eq!(content.slice(990, 100), all[990..]);
        assert!(content.slice(2000, 10).is_empty());
        assert!(all.starts_with(b"000000000000 generated ...") && all[63] == b'\n');
    }
}
