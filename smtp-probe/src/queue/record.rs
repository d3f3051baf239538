//! A message in the queue.

use notifier_core::jiff::Timestamp;

/// The most different reasons that are kept of one message; it may have thousands of recipients.
const MOST_REASONS: usize = 8;

/// One that waits, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// `deferred`, `active` and so on.
    pub(super) queue: String,
    pub(super) id: String,
    pub(super) arrival: Option<Timestamp>,
    /// Why its recipients wait, each reason once.
    pub(super) reasons: Vec<String>,
}

impl Record {
    /// One more recipient's reason; an empty one is none.
    pub(super) fn add_reason(&mut self, reason: &str) {
        let is_new = !self.reasons.iter().any(|r| r == reason);
        if !reason.is_empty() && is_new && self.reasons.len() < MOST_REASONS {
            self.reasons.push(reason.to_owned());
        }
    }

    /// Takes what it is called by showq(8) and `postqueue -j`, or leaves it.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match name {
            "queue_name" => value.clone_into(&mut self.queue),
            "queue_id" => value.clone_into(&mut self.id),
            "time" | "arrival_time" => {
                // Nothing came in 1970: that is a file that says nothing of it.
                let seconds = value.trim().parse().ok().filter(|s| *s > 0);
                self.arrival = seconds.and_then(|s| Timestamp::from_second(s).ok());
            }
            "reason" | "delay_reason" => self.add_reason(value),
            _ => {}
        }
    }
}

/// Whom a list of the queue is read to.
pub(super) trait Sink: Send + 'static {
    /// Takes one more; whether it wants the rest.
    fn take(&mut self, record: Record) -> bool;
}
