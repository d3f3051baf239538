//! How long a canary took, in all and from server to server.

use std::time::Duration;

use notifier_core::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Flight, find::Place, hop::Hop};

/// From the answer to the last dot to the arrival. A file says when that was; else it is the look
/// that found it.
pub(super) fn delivery(
    flight: &Flight,
    place: &Place,
    at: Option<Timestamp>,
    after: Duration,
) -> Duration {
    let Some(at) = at.filter(|_| matches!(place, Place::File(_))) else {
        return after;
    };
    match Duration::try_from(at.duration_since(flight.accepted.taken)) {
        Ok(time) => time.min(after),
        // Written before its answer was read here; far before, it is another clock's time.
        Err(_) if flight.accepted.taken.duration_since(at).as_secs() < 1 => Duration::ZERO,
        Err(_) => after,
    }
}

/// A server on the way, and how long the mail took from the one before.
pub(super) struct Step {
    hop: Hop,
    /// Milliseconds; unknown if a server did not say its time, or clocks differ.
    delay: Option<i128>,
    /// Whether that is to the millisecond; else to the second.
    is_exact: bool,
}

pub(super) fn steps(flight: &Flight, hops: &[Hop]) -> Vec<Step> {
    let mut before = Some((flight.begun, true));
    let mut steps = Vec::new();
    for hop in hops {
        let is_exact = hop.is_exact && before.is_some_and(|(_, exact)| exact);
        let delay = before.zip(hop.at).and_then(|((before, _), at)| {
            let ms = at.duration_since(before).as_millis();
            // Less than nothing within a second is a rounded date.
            (ms > -1000).then_some(ms.max(0))
        });
        before = hop.at.map(|at| (at, hop.is_exact));
        steps.push(Step {
            hop: hop.clone(),
            delay,
            is_exact,
        });
    }
    steps
}

impl Step {
    pub(super) fn data(&self) -> Value {
        json!({
            "by": self.hop.by,
            "from": self.hop.from,
            "with": self.hop.with,
            "tls": self.hop.tls,
            "auth": self.hop.auth,
            "client": self.hop.client,
            "delay_ms": self.delay,
        })
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.hop.by.as_deref().unwrap_or("a server without a name");
        let by: String = by.chars().take(100).flat_map(char::escape_debug).collect();
        match (self.delay, self.is_exact) {
            (None, _) => f.write_str(&by),
            (Some(ms), true) => write!(f, "{by} {ms}ms"),
            (Some(ms), false) if ms < 1000 => write!(f, "{by} <1s"),
            (Some(ms), false) => write!(f, "{by} {}s", ms / 1000),
        }
    }
}
