//! A failure that was seen, on its way to be told.

use std::time::Duration;

use notifier_core::{FailureKey, jiff::Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A unit on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    #[serde(rename = "u")]
    pub(crate) unit: String,
    /// Empty where no machine has it.
    #[serde(rename = "m", default, skip_serializing_if = "String::is_empty")]
    pub(crate) machine: String,
}

/// How sure it is that it is a failure of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sign {
    /// It was seen well before, or it is told whatever comes.
    Fell,
    /// It was seen for the first time, and had failed.
    Appeared,
    /// It was seen for the first time on a machine on which fleet does not have it any more:
    /// left over there, unless it stays.
    Stale,
    /// It had failed with another file, of this hash: systemd says so on until the new one is started.
    Replaced(String),
    /// No machine has it, though it should run.
    Lost,
}

/// A failure that was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fall {
    #[serde(flatten)]
    pub(crate) place: Place,
    #[serde(rename = "h", default, skip_serializing_if = "String::is_empty")]
    pub(crate) hash: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) load: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) active: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) sub: String,
    pub(crate) sign: Sign,
    /// When it was first seen, in milliseconds: what tells it from others of this unit there.
    #[serde(rename = "t")]
    pub(crate) stamp: i64,
    /// Since when it waits.
    #[serde(skip)]
    pub(crate) since: Option<Instant>,
    /// It is being stored, in the batch of this number.
    #[serde(skip)]
    pub(crate) flight: Option<u64>,
    /// How often it could not be stored, and not before when it is tried again.
    #[serde(skip)]
    pub(crate) refused: u32,
    #[serde(skip)]
    pub(crate) not_before: Option<Instant>,
}

impl Fall {
    /// The identity of the failure, for a source of this name.
    pub(crate) fn key(&self, source: &str) -> FailureKey {
        let Place { unit, machine } = &self.place;
        let stamp = self.stamp.to_string();
        FailureKey::of_parts(["fleet", source, unit, machine, &self.hash, &stamp])
    }

    /// When it was first seen.
    pub(crate) fn seen(&self) -> Timestamp {
        Timestamp::from_millisecond(self.stamp).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// It may turn out to be none.
    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self.sign, Sign::Stale | Sign::Replaced(_))
    }

    pub(crate) fn has_waited(&self, so_long: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= so_long)
    }

    /// It could not be stored: it is tried again by itself, later each time.
    pub(crate) fn refuse(&mut self) {
        let wait = Duration::from_millis(200) * (1 << self.refused.min(8));
        self.flight = None;
        self.refused += 1;
        self.not_before = Some(Instant::now() + wait);
    }

    /// It can be handed over now, as far as that goes.
    pub(crate) fn is_free(&self) -> bool {
        self.flight.is_none() && self.not_before.is_none_or(|at| at <= Instant::now())
    }
}

#[cfg(test)]
pub(crate) fn fall(unit: &str, machine: &str, sign: Sign, stamp: i64) -> Fall {
    Fall {
        place: Place {
            unit: unit.to_owned(),
            machine: machine.to_owned(),
        },
        hash: "h".to_owned(),
        load: "loaded".to_owned(),
        active: "failed".to_owned(),
        sub: "failed".to_owned(),
        sign,
        stamp,
        since: None,
        flight: None,
        refused: 0,
        not_before: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_that_of_source_place_hash_and_time() {
        let one = fall("a.service", "m", Sign::Fell, 7);
        let text = serde_json::to_string(&one).unwrap();
        let back: Fall = serde_json::from_str(&text).unwrap();
        assert_eq!(back.key("fleet"), one.key("fleet"));
        for other in [
            fall("b.service", "m", Sign::Fell, 7),
            fall("a.service", "n", Sign::Fell, 7),
            fall("a.service", "m", Sign::Fell, 8),
        ] {
            assert_ne!(other.key("fleet"), one.key("fleet"));
        }
        assert_ne!(one.key("fleet"), one.key("other"));
        assert_eq!(
            one.key("x"),
            fall("a.service", "m", Sign::Stale, 7).key("x")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_comes_back_later_each_time() {
        let mut one = fall("a.service", "m", Sign::Fell, 7);
        assert!(one.is_free());
        let mut waits = Vec::new();
        for _ in 0..10 {
            one.refuse();
            assert!(!one.is_free());
            let at = one.not_before.unwrap();
            waits.push(at - Instant::now());
            tokio::time::sleep_until(at).await;
            assert!(one.is_free());
        }
        assert_eq!(waits[0], Duration::from_millis(200));
        assert_eq!(waits[9], Duration::from_millis(51_200));
    }
}
