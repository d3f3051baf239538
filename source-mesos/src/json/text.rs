//! Strings.

use super::block;

/// Looks for the end of a string. Its escapes are checked; control characters are let
/// through, as some writers do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    escape: Escape,
    /// Something in it is escaped.
    pub(super) has_escapes: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    /// After a backslash.
    Kind,
    /// So many hexadecimal digits are to come.
    Hex(u8),
}

impl Text {
    /// To be fed what comes after the opening quote: how many of these bytes belong to it, if
    /// it ends in them. An error says where an escape is none.
    #[inline]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, usize> {
        let mut at = 0;
        while at < bytes.len() {
            if let Escape::None = self.escape {
                at += plain(&bytes[at..]);
                match bytes.get(at) {
                    Some(b'"') => return Ok(Some(at + 1)),
                    Some(_) => {
                        self.escape = Escape::Kind;
                        self.has_escapes = true;
                    }
                    None => return Ok(None),
                }
            } else {
                self.escape = match (self.escape, bytes[at]) {
                    (Escape::Kind, b'u') => Escape::Hex(4),
                    (Escape::Kind, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                        Escape::None
                    }
                    (Escape::Hex(left), digit) if digit.is_ascii_hexdigit() => match left {
                        1 => Escape::None,
                        _ => Escape::Hex(left - 1),
                    },
                    _ => return Err(at),
                };
            }
            at += 1;
        }
        Ok(None)
    }
}

/// So many bytes come before a quote or a backslash.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<16>();
    for (i, block) in blocks.iter().enumerate() {
        let found = block::ends(block);
        if found != 0 {
            return i * 16 + found.trailing_zeros() as usize;
        }
    }
    let is_plain = |b: &&u8| !matches!(**b, b'"' | b'\\');
    blocks.len() * 16 + rest.iter().take_while(is_plain).count()
}
