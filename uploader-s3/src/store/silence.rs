//! A store that does not answer is left alone for a while.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notifier_core::{Delivery, Error, ErrorKind, Result};
use tokio::time::Instant;

/// For how long.
const ALONE: Duration = Duration::from_secs(30);

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When it answered last, whatever it was.
    heard: Option<Instant>,
    /// It is left alone until then, after an error of this kind.
    until: Option<(Instant, ErrorKind)>,
    /// One asks for all whether it answers again.
    is_probed: bool,
}

impl State {
    fn check(&self, now: Instant) -> Result<()> {
        match self.until {
            Some((until, kind)) if now < until || self.is_probed => {
                let text = format!(
                    "the store does not answer; left alone for {}s",
                    ALONE.as_secs()
                );
                Err(Error::new(kind, text)
                    .with_delivery(Delivery::NotDelivered)
                    .with_retry_after(until.saturating_duration_since(now)))
            }
            _ => Ok(()),
        }
    }
}

impl Silence {
    /// # Errors
    /// If the store is left alone now.
    pub(super) fn check(&self, now: Instant) -> Result<()> {
        self.lock().check(now)
    }

    /// Begins to ask. After the while, one does it for all.
    ///
    /// # Errors
    /// If the store is left alone now.
    pub(super) fn ask(&self, now: Instant) -> Result<Ask<'_>> {
        let mut state = self.lock();
        state.check(now)?;
        let is_probe = state.until.is_some();
        state.is_probed |= is_probe;
        Ok(Ask {
            silence: self,
            is_probe,
        })
    }

    /// Locks, also after a panic elsewhere: each change is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question to the store.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    silence: &'a Silence,
    is_probe: bool,
}

impl Ask<'_> {
    /// Whether others wait for the outcome: then it is not worth a second try.
    pub(super) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// It answered.
    pub(super) fn heard(&self, now: Instant) {
        let mut state = self.silence.lock();
        state.heard = Some(now);
        state.until = None;
    }

    /// It was asked at `since`, and this was all. It is left alone, unless it answered
    /// somebody else meanwhile.
    pub(super) fn silent(&self, since: Instant, now: Instant, kind: ErrorKind) {
        let mut state = self.silence.lock();
        if state.heard.is_none_or(|heard| heard < since) {
            state.until = Some((now + ALONE, kind));
        }
    }
}

impl Drop for Ask<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.silence.lock().is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_left_alone_and_then_one_asks() {
        let (silence, start) = (Silence::default(), Instant::now());
        let ask = silence.ask(start).unwrap();
        assert!(!ask.is_probe());
        ask.silent(start, start + SECOND, ErrorKind::Timeout);
        drop(ask);
        let e = silence.ask(start + 30 * SECOND).unwrap_err();
        assert_eq!(
            e.to_string(),
            "the store does not answer; left alone for 30s"
        );
        assert_eq!(e.kind(), ErrorKind::Timeout);
        assert_eq!(e.delivery(), Delivery::NotDelivered);
        assert!(e.is_retryable());
        // The while is over.
        let later = start + 31 * SECOND;
        silence.check(later).unwrap();
        let probe = silence.ask(later).unwrap();
        assert!(probe.is_probe());
        silence.ask(later).unwrap_err();
        silence.check(later).unwrap_err();
        // Given up: the next one asks.
        drop(probe);
        let probe = silence.ask(later).unwrap();
        assert!(probe.is_probe());
        probe.silent(later, later + SECOND, ErrorKind::Unavailable);
        drop(probe);
        silence.check(later + 30 * SECOND).unwrap_err();
        let probe = silence.ask(later + 31 * SECOND).unwrap();
        probe.heard(later + 31 * SECOND);
        assert!(!silence.ask(later + 31 * SECOND).unwrap().is_probe());
    }

    #[test]
    fn one_that_answers_others_is_not_silent() {
        let (silence, start) = (Silence::default(), Instant::now());
        let (one, other) = (silence.ask(start).unwrap(), silence.ask(start).unwrap());
        other.heard(start + SECOND);
        one.silent(start, start + 2 * SECOND, ErrorKind::Timeout);
        silence.check(start + 2 * SECOND).unwrap();
        one.silent(start + 2 * SECOND, start + 3 * SECOND, ErrorKind::Timeout);
        silence.check(start + 3 * SECOND).unwrap_err();
        // An answer that was under way.
        other.heard(start + 4 * SECOND);
        silence.check(start + 4 * SECOND).unwrap();
    }
}
