//! What stays between one start and the next.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fall::{Fall, Place};

const VERSION: u32 = 1;
/// The most failed units that are kept.
const MOST: usize = 20_000;

/// The note of where the source stands.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) version: u32,
    /// The last stamp that was given.
    #[serde(rename = "t")]
    pub(crate) stamp: i64,
    /// The first look is over.
    #[serde(default)]
    pub(crate) based: bool,
    /// What has failed, and is told or in `falls`.
    #[serde(default)]
    pub(crate) failed: Vec<Failed>,
    /// What is to be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) falls: Vec<Fall>,
    /// The units of which it was told that no machine has them; nothing if that was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<Vec<String>>,
}

/// A unit that has failed on a machine, and the hash of its file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    #[serde(flatten)]
    pub(crate) place: Place,
    #[serde(rename = "h", default, skip_serializing_if = "String::is_empty")]
    pub(crate) hash: String,
}

impl Cursor {
    /// The one that was kept, or nothing if it cannot be read.
    pub(crate) fn read(value: Value) -> Option<Self> {
        match serde_json::from_value::<Self>(value) {
            Ok(cursor) if cursor.version == VERSION => Some(cursor),
            Ok(cursor) => {
                tracing::warn!(
                    version = cursor.version,
                    "the stored cursor is of another version; what has failed in fleet is learned anew"
                );
                None
            }
            Err(_) => {
                tracing::warn!(
                    "the stored cursor cannot be read; what has failed in fleet is learned anew"
                );
                None
            }
        }
    }

    /// One of so many failed units, in order: those behind the 20,000th are left out.
    pub(crate) fn new(failed: Vec<(Place, String)>) -> Self {
        if failed.len() > MOST {
            tracing::warn!(
                failed = failed.len(),
                kept = MOST,
                "too many units have failed to remember all: after a restart some are told again"
            );
        }
        let failed = failed.into_iter().take(MOST);
        Self {
            version: VERSION,
            failed: failed.map(|(place, hash)| Failed { place, hash }).collect(),
            ..Self::default()
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
    use crate::fall::{Sign, fall};

    #[test]
    fn it_comes_back_equal() {
        let one = fall("a.service", "m", Sign::Replaced("old".to_owned()), 7);
        let mut cursor = Cursor::new(vec![(one.place.clone(), "h".to_owned())]);
        cursor.stamp = 9;
        cursor.based = true;
        cursor.falls = vec![one, fall("b.service", "", Sign::Lost, 8)];
        cursor.lost = Some(vec!["b.service".to_owned()]);
        let value = cursor.value().unwrap();
        let back = Cursor::read(value.clone()).unwrap();
        assert_eq!(back.value().unwrap(), value);
        assert!(back.based && back.falls[0].is_doubtful());
    }

    #[test]
    fn others_count_as_none_and_too_many_are_cut() {
        for odd in [json!({"version": 9, "t": 0}), json!(7), json!({})] {
            assert!(Cursor::read(odd).is_none());
        }
        let place = fall("a.service", "m", Sign::Fell, 7).place;
        let all = vec![(place, String::new()); MOST + 5];
        assert_eq!(Cursor::new(all).failed.len(), MOST);
    }
}
