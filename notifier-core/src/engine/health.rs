use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use tokio::time::Instant;

use crate::{Destination, Error, lock};

/// Which sources can be read, and which destinations asked to be left alone.
#[derive(Debug, Default)]
pub(super) struct Health {
    sources: Mutex<BTreeMap<String, String>>,
    paused: Mutex<HashMap<Destination, Instant>>,
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
        let mut paused = lock(&self.paused);
        let now = Instant::now();
        paused.retain(|_, t| *t > now);
        let t = paused.entry(destination.clone()).or_insert(until);
        *t = (*t).max(until);
    }

    /// Until when a destination is left alone.
    pub(super) fn paused_until(&self, destination: &Destination, now: Instant) -> Option<Instant> {
        lock(&self.paused)
            .get(destination)
            .copied()
            .filter(|t| *t > now)
    }

    pub(super) fn is_paused(&self, destination: &Destination, now: Instant) -> bool {
        self.paused_until(destination, now).is_some()
    }
}
