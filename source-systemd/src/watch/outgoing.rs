//! What is to be handed over, and is kept until it is stored.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use notifier_core::{Batch, FailureKey, FailureRecord, jiff::Timestamp};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

/// How many failures a batch holds at most.
const BATCH: usize = 500;
/// What was not stored is handed over again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// A failure, and when it was seen.
pub(crate) type Seen = (FailureRecord, Timestamp);

/// A batch that was handed over.
#[derive(Debug, Default)]
struct Flight {
    failures: Vec<Seen>,
    baseline: Vec<FailureKey>,
}

/// Failures on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    waiting: VecDeque<Seen>,
    baseline: Vec<FailureKey>,
    /// Not before this time, since the last batch was not stored.
    not_before: Option<Instant>,
    flights: BTreeMap<u64, Flight>,
    next: u64,
    send: UnboundedSender<(u64, bool)>,
    landed: UnboundedReceiver<(u64, bool)>,
}

/// Tells what becomes of a batch.
struct Ticket {
    number: u64,
    is_stored: bool,
    send: UnboundedSender<(u64, bool)>,
}

impl Ticket {
    fn stored(&mut self) {
        self.is_stored = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Nobody may be there any more.
        let _ = self.send.send((self.number, self.is_stored));
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        let (send, landed) = unbounded_channel();
        Self {
            waiting: VecDeque::new(),
            baseline: Vec::new(),
            not_before: None,
            flights: BTreeMap::new(),
            next: 0,
            send,
            landed,
        }
    }
}

impl Outgoing {
    pub(crate) fn push(&mut self, failure: FailureRecord, seen: Timestamp) {
        self.waiting.push_back((failure, seen));
    }

    /// Adds what counts as seen and is not told.
    pub(crate) fn skip(&mut self, keys: impl IntoIterator<Item = FailureKey>) {
        self.baseline.extend(keys);
    }

    /// When the oldest that is not stored was seen.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let flying = self.flights.values().flat_map(|f| &f.failures);
        flying.chain(&self.waiting).map(|(_, seen)| *seen).min()
    }

    /// The units of which something is not stored.
    pub(crate) fn units(&self) -> impl Iterator<Item = &str> {
        let flying = self.flights.values().flat_map(|f| &f.failures);
        flying.chain(&self.waiting).map(|(f, _)| f.id.as_str())
    }

    /// When there is something to hand over; none if there is nothing.
    pub(crate) fn due(&self) -> Option<Instant> {
        let has_some = !self.waiting.is_empty() || !self.baseline.is_empty();
        has_some.then(|| self.not_before.unwrap_or_else(Instant::now))
    }

    /// The next batch, which may be empty; `cursor` is asked for its note once the batch's failures are taken out.
    pub(crate) fn batch(
        &mut self,
        cursor: impl FnOnce(&Self) -> Option<serde_json::Value>,
    ) -> Batch {
        let held = self.not_before.is_some_and(|at| Instant::now() < at);
        let flight = match held {
            true => Flight::default(),
            false => Flight {
                failures: self
                    .waiting
                    .drain(..self.waiting.len().min(BATCH))
                    .collect(),
                baseline: std::mem::take(&mut self.baseline),
            },
        };
        let failures = flight.failures.iter().map(|(f, _)| f.clone()).collect();
        let mut batch = Batch::new(failures).with_baseline(flight.baseline.clone());
        // What is in earlier batches and not stored holds the cursor back.
        if let Some(cursor) = cursor(self) {
            batch = batch.with_cursor(cursor);
        }
        let number = self.next;
        self.next += 1;
        self.flights.insert(number, flight);
        let mut ticket = Ticket {
            number,
            is_stored: false,
            send: self.send.clone(),
        };
        batch.with_ack(move || ticket.stored())
    }

    /// Waits until something became of a batch.
    pub(crate) async fn land(&mut self) {
        if let Some(news) = self.landed.recv().await {
            self.take_in(news);
        }
    }

    /// Takes in what became of batches so far.
    pub(crate) fn land_now(&mut self) {
        while let Ok(news) = self.landed.try_recv() {
            self.take_in(news);
        }
    }

    fn take_in(&mut self, (number, is_stored): (u64, bool)) {
        let Some(flight) = self.flights.remove(&number) else {
            return;
        };
        let is_empty = flight.failures.is_empty() && flight.baseline.is_empty();
        if is_stored || is_empty {
            return;
        }
        for seen in flight.failures.into_iter().rev() {
            self.waiting.push_front(seen);
        }
        self.baseline.extend(flight.baseline);
        self.not_before = Some(Instant::now() + AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &str, at: i64) -> Seen {
        let at = Timestamp::from_second(at).unwrap();
        (FailureRecord::new(name, name, "X", at), at)
    }

    fn names(batch: &Batch) -> Vec<&str> {
        batch.failures.iter().map(|f| f.id.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_stored_comes_again_in_order() {
        let mut out = Outgoing::default();
        assert_eq!(out.due(), None);
        for (name, at) in [("a", 1), ("b", 2)] {
            let (f, at) = failure(name, at);
            out.push(f, at);
        }
        out.skip([FailureKey::new("k")]);
        let batch = out.batch(|out| {
            assert_eq!(out.oldest(), None);
            None
        });
        assert_eq!(names(&batch), ["a", "b"]);
        assert_eq!(out.oldest().unwrap().as_second(), 1);
        drop(batch);
        out.land().await;
        let (f, at) = failure("c", 3);
        out.push(f, at);
        assert!(out.due().unwrap() > Instant::now());
        assert!(out.batch(|_| None).failures.is_empty());
        tokio::time::advance(AGAIN).await;
        let batch = out.batch(|_| None);
        assert_eq!(names(&batch), ["a", "b", "c"]);
        assert_eq!(batch.baseline, [FailureKey::new("k")]);
        batch.ack.done();
        out.land_now();
        assert_eq!((out.due(), out.oldest()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn batches_have_a_bound() {
        let mut out = Outgoing::default();
        for n in 0..BATCH + 1 {
            let (f, at) = failure(&n.to_string(), 1);
            out.push(f, at);
        }
        let first = out.batch(|_| None);
        let second = out.batch(|out| {
            // The first one is not stored.
            assert!(out.oldest().is_some());
            None
        });
        assert_eq!((first.failures.len(), second.failures.len()), (BATCH, 1));
    }
}
