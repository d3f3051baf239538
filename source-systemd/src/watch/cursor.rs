//! What stays between one start and the next.

use std::collections::BTreeMap;

use notifier_core::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the cursor's form.
const VERSION: u32 = 1;
/// The most units whose failure is noted.
pub(crate) const MOST: usize = 1000;

/// The note of where the source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    version: u32,
    /// When the source was started for the first time: what was before is not told.
    pub(crate) first: Timestamp,
    /// All that failed before this time is stored, or in `failed`.
    pub(crate) since: Timestamp,
    /// The run that each unit which is failed now failed with, as it is known: at most [`MOST`].
    #[serde(default)]
    pub(crate) failed: BTreeMap<String, String>,
}

impl Cursor {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            version: VERSION,
            first: now,
            since: now,
            failed: BTreeMap::new(),
        }
    }

    /// The one that was kept. One that cannot be read counts as none.
    pub(crate) fn read(value: Value) -> Option<Self> {
        match serde_json::from_value::<Self>(value) {
            Ok(cursor) if cursor.version == VERSION => Some(cursor),
            _ => {
                tracing::warn!(
                    "the stored cursor cannot be read: what failed while nobody watched is not told"
                );
                None
            }
        }
    }

    /// As it is kept.
    pub(crate) fn value(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_comes_back_equal() {
        let mut cursor = Cursor::new(Timestamp::UNIX_EPOCH);
        cursor.failed.insert("a.service".to_owned(), "x".to_owned());
        assert_eq!(Cursor::read(cursor.value().unwrap()), Some(cursor));
    }

    #[test]
    fn others_count_as_none() {
        for odd in [
            json!(7),
            json!({}),
            json!({"version": 2, "first": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z"}),
        ] {
            assert_eq!(Cursor::read(odd), None);
        }
    }
}
