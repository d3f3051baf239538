use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use crate::{Destination, Error, lock, policy::Backoff};

/// The longest that a destination is left alone because it does not answer, if it
/// did not ask for longer itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Which sources can be read, and which destinations are left alone for now.
#[derive(Debug, Default)]
pub(super) struct Health {
    sources: Mutex<BTreeMap<String, String>>,
    destinations: Mutex<HashMap<Destination, Trouble>>,
}

#[derive(Debug, Default)]
struct Trouble {
    paused: Option<Instant>,
    /// Failures in a row.
    strikes: u32,
}

impl Health {
    pub(super) fn readable(&self, source: &str) {
        if lock(&self.sources).remove(source).is_some() {
            tracing::info!(source, "the source can be read again");
        }
    }

    /// Notes an error; true if the source could be read until now or fails in another way.
    pub(super) fn unreadable(&self, source: &str, error: &Error) -> bool {
        let text = error.report().to_string();
        lock(&self.sources)
            .insert(source.to_owned(), text.clone())
            .is_none_or(|old| old != text)
    }

    pub(super) fn sources(&self) -> Result<(), String> {
        let bad = lock(&self.sources);
        if bad.is_empty() {
            return Ok(());
        }
        Err(bad
            .iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect::<Vec<_>>()
            .join("; "))
    }

    /// Leaves a destination alone until then.
    pub(super) fn pause(&self, destination: &Destination, until: Instant) {
        let mut all = lock(&self.destinations);
        let trouble = all.entry(destination.clone()).or_default();
        trouble.paused = trouble.paused.max(Some(until));
    }

    /// It does not answer: leaves it alone, longer each time.
    pub(super) fn fails(&self, destination: &Destination, backoff: &Backoff) {
        let mut all = lock(&self.destinations);
        let trouble = all.entry(destination.clone()).or_default();
        let wait = backoff.wait(trouble.strikes, None, &mut fastrand::Rng::new());
        trouble.strikes += 1;
        // The first failure may be the message's own fault: others are not held up by it.
        if trouble.strikes > 1 {
            trouble.paused = trouble
                .paused
                .max(Some(Instant::now() + wait.min(LONGEST_PAUSE)));
        }
    }

    /// It answers.
    pub(super) fn works(&self, destination: &Destination) {
        lock(&self.destinations).remove(destination);
    }

    /// Until when a destination is left alone.
    pub(super) fn paused_until(&self, destination: &Destination, now: Instant) -> Option<Instant> {
        lock(&self.destinations)
            .get(destination)?
            .paused
            .filter(|t| *t > now)
    }

    pub(super) fn is_paused(&self, destination: &Destination, now: Instant) -> bool {
        self.paused_until(destination, now).is_some()
    }
}
