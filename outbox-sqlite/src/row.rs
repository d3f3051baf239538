//! Values as they are stored: times, and the checksums of rows.

use notifier_core::jiff::Timestamp;

/// A time as it is stored.
pub(crate) fn ms(t: Timestamp) -> i64 {
    t.as_millisecond()
}

/// A stored time.
pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// A time to the nanosecond, for rates.
pub(crate) fn ns(t: Timestamp) -> i64 {
    i64::try_from(t.as_nanosecond()).unwrap_or(i64::MAX)
}

/// A time that was stored to the nanosecond.
pub(crate) fn time_ns(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::MAX)
}

/// `t` less a span of time, as it is stored.
pub(crate) fn before(t: Timestamp, span: std::time::Duration) -> i64 {
    ms(t).saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// `t` and a span of time, as it is stored.
pub(crate) fn after(t: Timestamp, span: std::time::Duration) -> i64 {
    ms(t).saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// CRC-32 over parts, each with its length before it.
pub(crate) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> i64 {
    let mut h = crc32fast::Hasher::new();
    for p in parts {
        h.update(&(p.len() as u64).to_be_bytes());
        h.update(p);
    }
    i64::from(h.finalize())
}

/// The checksum of a row of `subjects`.
pub(crate) fn subject_checksum(key: &[u8], kind: &[u8], body: &[u8]) -> i64 {
    checksum([key, kind, body])
}

/// What never changes in a row of `deliveries`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed<'a> {
    pub(crate) id: &'a [u8],
    /// The key of its subject.
    pub(crate) key: &'a [u8],
    pub(crate) reporter: &'a [u8],
    pub(crate) instance: &'a [u8],
    pub(crate) destination: &'a [u8],
    pub(crate) why: &'a [u8],
    pub(crate) enqueued: i64,
    pub(crate) generation: i64,
}

impl Fixed<'_> {
    pub(crate) fn checksum(&self) -> i64 {
        checksum([
            self.id,
            self.key,
            self.reporter,
            self.instance,
            self.destination,
            self.why,
            &self.enqueued.to_be_bytes(),
            &self.generation.to_be_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive() {
        for at in [0, -1, 1_700_000_000_123] {
            assert_eq!(ms(time(at)), at);
        }
        assert_eq!(time(i64::MAX), Timestamp::MAX);
        assert_eq!(time(i64::MIN), Timestamp::MIN);
        let t: Timestamp = "2026-11-21T10:00:00.123456789Z".parse().unwrap();
        assert_eq!(time_ns(ns(t)), t);
        assert_eq!(time_ns(ns(Timestamp::MAX)), time_ns(i64::MAX));
    }

    #[test]
    fn each_byte_and_each_border_counts() {
        let sum = subject_checksum(b"key", b"failure", b"{}");
        assert_ne!(sum, subject_checksum(b"key", b"failure", b"{ "));
        assert_ne!(sum, subject_checksum(b"keyf", b"ailure", b"{}"));
    }
}
