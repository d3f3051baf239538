//! What makes a message ours.

use std::sync::OnceLock;

use notifier_core::jiff::Timestamp;
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::past::Sent;

/// The header that has the mark.
pub(crate) const FIELD: &str = "X-Canary";

/// Octets of an id and of a code, each twice as long in hex.
const ID: usize = 12;
const CODE: usize = 16;

/// The key of this process: what others mark is not ours.
static KEY: OnceLock<Option<hmac::Key>> = OnceLock::new();

/// `ID UNIX-MS HMAC`: an id of 24 hex digits that nobody can guess, when it was made, and a code
/// over both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) id: String,
    /// To the millisecond.
    pub(crate) at: Timestamp,
    code: String,
}

impl Mark {
    /// A new one. `None` if the system has no random numbers.
    pub(crate) fn new(at: Timestamp) -> Option<Self> {
        let random = SystemRandom::new();
        let key = KEY.get_or_init(|| hmac::Key::generate(hmac::HMAC_SHA256, &random).ok());
        let mut id = [0; ID];
        random.fill(&mut id).ok()?;
        Some(Self::signed(hex(&id), at, key.as_ref()?))
    }

    fn signed(id: String, at: Timestamp, key: &hmac::Key) -> Self {
        let ms = at.as_millisecond();
        let tag = hmac::sign(key, format!("{id} {ms}").as_bytes());
        Self {
            code: hex(&tag.as_ref()[..CODE]),
            at: Timestamp::from_millisecond(ms).unwrap_or(at),
            id,
        }
    }

    /// The header's value.
    pub(crate) fn value(&self) -> String {
        format!("{} {} {}", self.id, self.at.as_millisecond(), self.code)
    }

    /// Reads a header's value, whoever made it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (id, ms, code) = (words.next()?, words.next()?, words.next()?);
        let is_hex = |t: &str, octets: usize| {
            t.len() == 2 * octets && t.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if words.next().is_some() || !is_hex(id, ID) || !is_hex(code, CODE) {
            return None;
        }
        Some(Self {
            id: id.to_owned(),
            at: Timestamp::from_millisecond(ms.parse().ok()?).ok()?,
            code: code.to_owned(),
        })
    }

    /// What is kept of it for later runs.
    pub(crate) fn sent(&self, queue_id: Option<String>) -> Sent {
        Sent {
            id: self.id.clone(),
            at: self.at,
            code: self.code.clone(),
            queue_id,
        }
    }

    /// What an earlier run kept.
    pub(crate) fn of(sent: &Sent) -> Option<Self> {
        Self::read(&format!(
            "{} {} {}",
            sent.id,
            sent.at.as_millisecond(),
            sent.code
        ))
    }

    /// The part of the Message-ID before the at sign.
    pub(crate) fn message(&self) -> String {
        format!("canary.{}", self.id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_two_are_alike_and_each_reads_back() {
        let at = "2026-11-22T10:00:00.123456Z".parse().unwrap();
        let (a, b) = (Mark::new(at).unwrap(), Mark::new(at).unwrap());
        assert_ne!(a.id, b.id);
        assert_ne!(a.code, b.code);
        assert_eq!(Mark::read(&a.value()).as_ref(), Some(&a));
        assert_eq!(Mark::of(&a.sent(None)).as_ref(), Some(&a));
        assert!(a.value().len() < 80 && a.value().is_ascii());
    }

    #[test]
    fn another_key_makes_another_code() {
        let at = "2026-11-22T10:00:00Z".parse().unwrap();
        let key = |k: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, k);
        let one = Mark::signed("00".repeat(ID), at, &key(b"a"));
        let other = Mark::signed("00".repeat(ID), at, &key(b"b"));
        assert_ne!(one, other);
        assert_eq!(one, Mark::signed("00".repeat(ID), at, &key(b"a")));
    }

    #[test]
    fn what_is_no_mark_is_not_read() {
        let good = format!("{} 1795307122000 {}", "a1".repeat(ID), "b2".repeat(CODE));
        assert!(Mark::read(&good).is_some());
        for bad in [
            String::new(),
            "a b c".to_owned(),
            format!("{good} more"),
            good.to_uppercase(),
            good.replacen("1795307122000", "99999999999999999999", 1),
            good.replacen("1795307122000", "9223372036854775807", 1),
            good.replacen("a1", "g1", 1),
        ] {
            assert_eq!(Mark::read(&bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,100}") {
            if let Some(mark) = Mark::read(&text) {
                prop_assert_eq!(Mark::read(&mark.value()), Some(mark));
            }
        }
    }
}
