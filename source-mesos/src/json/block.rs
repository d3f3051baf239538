//! Where in 64 bytes the characters are that tell strings and brackets.

use wide::{CmpEq as _, i8x16};

/// A bit for each byte, the first one lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Brackets and braces that open, in strings as well.
    pub(super) opens: u64,
    pub(super) closes: u64,
}

impl Block {
    #[inline]
    pub(super) fn of(bytes: &[u8; 64]) -> Self {
        let mut block = Self {
            quotes: 0,
            backslashes: 0,
            opens: 0,
            closes: 0,
        };
        let (quarters, _) = bytes.as_chunks::<16>();
        for (i, quarter) in quarters.iter().enumerate() {
            let quarter = load(quarter);
            let mask = |of, byte| u64::from(mask(is(of, byte))) << (16 * i);
            block.quotes |= mask(quarter, b'"');
            block.backslashes |= mask(quarter, b'\\');
            // A bracket differs from a brace of the same side by this bit only, and no other
            // byte does.
            let brackets = quarter | i8x16::splat(0x20);
            block.opens |= mask(brackets, b'{');
            block.closes |= mask(brackets, b'}');
        }
        block
    }
}

/// The quotes and backslashes of 16 bytes, in the same form.
#[inline]
pub(super) fn ends(bytes: &[u8; 16]) -> u16 {
    let bytes = load(bytes);
    mask(is(bytes, b'"') | is(bytes, b'\\'))
}

#[inline]
fn load(bytes: &[u8; 16]) -> i8x16 {
    i8x16::from(bytes.map(u8::cast_signed))
}

/// All ones where this byte is.
#[inline]
fn is(bytes: i8x16, byte: u8) -> i8x16 {
    bytes.cmp_eq(i8x16::splat(byte.cast_signed()))
}

#[inline]
fn mask(bytes: i8x16) -> u16 {
    bytes.move_mask() as u16
}
