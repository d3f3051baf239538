//! The time in a long queue id (postconf(5), `enable_long_queue_ids`).

use notifier_core::jiff::Timestamp;

/// Digits and consonants, so that no id is a word.
const DIGITS: &[u8; 52] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/// When the message of this id came; nothing if it is a short id.
///
/// The seconds in base 52, four digits of microseconds, `z`, and the inode in base 51, which has
/// no `z`.
pub(super) fn arrival(id: &str) -> Option<Timestamp> {
    let (time, inode) = id.rsplit_once('z')?;
    let at = time.len().checked_sub(4)?;
    // An id is ASCII, or none.
    let (seconds, micros) = (time.get(..at)?, time.get(at..)?);
    if seconds.len() < 6 || inode.is_empty() {
        return None;
    }
    number(inode)?;
    let micros = number(micros).filter(|m| *m < 1_000_000)?;
    let seconds = i64::try_from(number(seconds)?).ok()?;
    Timestamp::new(seconds, i32::try_from(micros * 1000).ok()?).ok()
}

fn number(text: &str) -> Option<u64> {
    text.bytes().try_fold(0_u64, |n, byte| {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        n.checked_mul(52)?.checked_add(u64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(mut n: u64, width: usize) -> String {
        let mut digits = Vec::new();
        while n > 0 || digits.len() < width {
            digits.push(DIGITS[usize::try_from(n % 52).unwrap()]);
            n /= 52;
        }
        digits.reverse();
        String::from_utf8(digits).unwrap()
    }

    #[test]
    fn a_real_one_is_read() {
        // The last `z` divides; another one is a digit.
        for id in ["4jWKZS0gRfz2x", "4jWKZS0gRzz2x"] {
            let at = arrival(id).map(Timestamp::as_second);
            assert_eq!(at, Some(1_795_189_888), "{id}");
        }
    }

    #[test]
    fn short_ids_have_no_time() {
        for id in [
            "",
            "z",
            "3F2A9C1D0B7E",
            "ABCDEFz1",
            "0zz",
            "ééééééééééz1",
            "4jWKZSzzzzz2x",
            "zzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(arrival(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..4_000_000_000_u64, micros in 0..1_000_000_u64, inode in 0..u64::from(u32::MAX)) {
            // In base 51: without the last digit.
            let mut rest = inode;
            let mut inode = String::new();
            loop {
                inode.insert(0, char::from(DIGITS[usize::try_from(rest % 51).unwrap()]));
                rest /= 51;
                if rest == 0 { break; }
            }
            let id = format!("{}{}z{inode}", text(seconds, 6), text(micros, 4));
            let at = arrival(&id).unwrap();
            prop_assert_eq!(at.as_second(), i64::try_from(seconds).unwrap());
            prop_assert_eq!(at.subsec_microsecond(), i32::try_from(micros % 1_000_000).unwrap());
        }

        #[test]
        fn nothing_makes_it_panic(id in ".*") {
            let _ = arrival(&id);
        }
    }
}
