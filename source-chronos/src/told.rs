//! Which failures of the cluster were judged already.

use std::{collections::HashMap, time::Duration};

use notifier_core::FailureKey;
use tokio::time::Instant;

/// How many digits are kept of a key: 64 bits of its hash.
const DIGITS: usize = 16;
/// How many keys are remembered.
const MOST: usize = 16_384;
/// For how long a key is remembered that is not listed.
const UNLISTED: Duration = Duration::from_secs(15 * 60);

/// The keys of failures that were judged, so that one which is handed over again, after a
/// restart say, is neither told nor counted again.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    keys: HashMap<String, Seen>,
    next: u64,
}

#[derive(Debug)]
struct Seen {
    order: u64,
    at: Instant,
}

fn short(key: &FailureKey) -> String {
    let mut hash = FailureKey::of_parts([key.as_str()]).as_str().to_owned();
    hash.truncate(DIGITS);
    hash
}

impl Judged {
    /// Of what [`text`](Self::text) made.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut judged = Self::default();
        let mut rest = text;
        while let Some((key, after)) = rest.split_at_checked(DIGITS) {
            judged.put(key.to_owned());
            rest = after;
        }
        judged
    }

    /// All keys, the oldest first.
    pub(crate) fn text(&self) -> String {
        let mut keys: Vec<(&String, u64)> = self.keys.iter().map(|(k, s)| (k, s.order)).collect();
        keys.sort_unstable_by_key(|(_, order)| *order);
        keys.into_iter().map(|(k, _)| k.as_str()).collect()
    }

    fn put(&mut self, key: String) -> bool {
        let seen = Seen {
            order: self.next,
            at: Instant::now(),
        };
        self.next += 1;
        self.keys.insert(key, seen).is_none()
    }

    /// Notes a key; false if it was there.
    pub(crate) fn note(&mut self, key: &FailureKey) -> bool {
        let is_new = self.put(short(key));
        if self.keys.len() > MOST {
            self.shrink();
        }
        is_new
    }

    /// Drops an eighth, the oldest first, so that it is seldom done.
    fn shrink(&mut self) {
        let mut orders: Vec<u64> = self.keys.values().map(|s| s.order).collect();
        let nth = orders.len() - MOST + MOST / 8;
        let (_, oldest, _) = orders.select_nth_unstable(nth);
        let oldest = *oldest;
        self.keys.retain(|_, s| s.order >= oldest);
    }

    /// Forgets what the cluster lists no more, after a while.
    pub(crate) fn retain(&mut self, listed: &[FailureKey]) {
        let now = Instant::now();
        if self
            .keys
            .values()
            .all(|s| now.duration_since(s.at) < UNLISTED)
        {
            return;
        }
        for key in listed {
            if let Some(seen) = self.keys.get_mut(&short(key)) {
                seen.at = now;
            }
        }
        self.keys.retain(|_, s| now.duration_since(s.at) < UNLISTED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> FailureKey {
        FailureKey::new(format!("k{n}"))
    }

    #[tokio::test(start_paused = true)]
    async fn keys_outlive_a_restart_and_not_their_listing() {
        let mut judged = Judged::default();
        assert!(judged.note(&key(1)) && judged.note(&key(2)) && !judged.note(&key(1)));
        let mut again = Judged::of_text(&judged.text());
        assert_eq!(again.text().len(), 2 * DIGITS);
        assert!(!again.note(&key(1)) && again.note(&key(3)));
        again.retain(&[key(2)]);
        assert!(!again.note(&key(3)));
        tokio::time::advance(UNLISTED).await;
        again.retain(&[key(2)]);
        assert!(!again.note(&key(2)) && again.note(&key(1)));
    }

    #[tokio::test]
    async fn their_number_is_bounded() {
        let mut judged = Judged::default();
        for n in 0..=MOST {
            judged.note(&key(n));
        }
        assert!(judged.keys.len() <= MOST && judged.keys.len() > MOST / 2);
        assert!(!judged.note(&key(MOST)) && judged.note(&key(0)));
    }

    #[test]
    fn odd_texts_are_read_without_fault() {
        for text in ["", "short", "0123456789abcdef0", "ééééééééééééééééé"] {
            let _ = Judged::of_text(text);
        }
    }
}
