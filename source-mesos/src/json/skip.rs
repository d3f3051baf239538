//! Passing over an object or a list, whatever is in it.

use super::block::Block;

/// Looks for the end of an object or a list. Only strings and the balance of brackets are
/// minded, 64 bytes at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skipper {
    /// So many brackets are open.
    depth: u64,
    /// All ones within a string, else zero.
    in_string: u64,
    /// One if the next byte is escaped, else zero.
    escape: u64,
}

impl Skipper {
    /// To be fed what comes after the opening bracket.
    pub(super) fn new() -> Self {
        Self {
            depth: 1,
            in_string: 0,
            escape: 0,
        }
    }

    /// How many of these bytes belong to it, if it ends in them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<64>();
        // A copy can live in registers.
        let mut skipper = *self;
        for (i, block) in blocks.iter().enumerate() {
            if let Some(end) = skipper.block(block, 64) {
                return Some(i * 64 + end);
            }
        }
        if !rest.is_empty() {
            let mut block = [b' '; 64];
            block[..rest.len()].copy_from_slice(rest);
            if let Some(end) = skipper.block(&block, rest.len()) {
                return Some(blocks.len() * 64 + end);
            }
        }
        *self = skipper;
        None
    }

    /// The same for a block of which so many bytes count and the others are spaces.
    #[inline(always)]
    fn block(&mut self, bytes: &[u8; 64], len: usize) -> Option<usize> {
        let block = Block::of(bytes);
        let quotes = if block.backslashes | self.escape == 0 {
            block.quotes
        } else {
            block.quotes & !self.escaped(block.backslashes, len)
        };
        // From each opening quote to before the closing one.
        let strings = ones_to_left(quotes) ^ self.in_string;
        self.in_string = ((strings << (64 - len)) as i64 >> 63) as u64;

        let opens = block.opens & !strings;
        let closes = block.closes & !strings;
        let down = u64::from(closes.count_ones());
        if down >= self.depth
            && let Some(end) = self.end(opens, closes)
        {
            return Some(end);
        }
        self.depth = self.depth + u64::from(opens.count_ones()) - down;
        None
    }

    /// Where the last open bracket is closed, if it is.
    fn end(&self, opens: u64, mut closes: u64) -> Option<usize> {
        let mut down = 0;
        while closes != 0 {
            let before = (closes & closes.wrapping_neg()) - 1;
            down += 1;
            if self.depth + u64::from((opens & before).count_ones()) == down {
                return Some(closes.trailing_zeros() as usize + 1);
            }
            closes &= closes - 1;
        }
        None
    }

    /// The bytes that are escaped: those after a backslash that is not escaped itself.
    fn escaped(&mut self, backslashes: u64, len: usize) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let backslashes = backslashes & !self.escape;
        let follows = backslashes << 1 | self.escape;
        // Adding a run of ones to the bit it starts at carries to the bit after it: runs that
        // start at even and at odd places have the escaped bytes at different ones.
        let odd_starts = backslashes & !EVEN & !follows;
        let (ends, carry) = odd_starts.overflowing_add(backslashes);
        let escaped = (EVEN ^ (ends << 1)) & follows;
        self.escape = if len == 64 {
            u64::from(carry)
        } else {
            escaped >> len & 1
        };
        escaped
    }
}

/// Each bit is the parity of itself and those below.
#[inline]
fn ones_to_left(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same byte by byte.
    fn slow(bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escaped) = (1, false, false);
        for (i, byte) in bytes.iter().enumerate() {
            if escaped {
                escaped = false;
                if *byte == b'"' || *byte == b'\\' {
                    continue;
                }
            }
            match byte {
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(i + 1);
            }
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn blocks_are_as_good_as_bytes(
            text in r#"([{}\[\]]|\\{1,3}|"|"[a\\\[{"]{0,70}"|x{0,40}|é|[\x00-\x1f]){0,60}"#,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = format!("{text}\"]]]]}}}}}}}}");
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut skipper = Skipper::new();
            let end = cuts.windows(2).find_map(|w| {
                skipper.feed(&bytes[w[0]..w[1]]).map(|end| w[0] + end)
            });
            prop_assert_eq!(end, slow(bytes));
            prop_assert_eq!(Skipper::new().feed(bytes), slow(bytes));
        }
    }
}
