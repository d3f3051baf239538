//! A queue in numbers: what is kept of a list of any length.

use std::collections::BTreeMap;

use notifier_core::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    reason::{Group, shown},
    record::{Record, Sink},
};

/// The most queues that are told apart; Postfix has six.
const MOST_QUEUES: usize = 16;
/// The most different reasons that are counted; later ones count for their kind only.
const MOST_REASONS: usize = 100;
/// The most characters of a reason.
const LONGEST: usize = 200;
/// The most reasons in a report.
const MOST_SHOWN: usize = 10;

/// The messages of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) messages: u64,
    /// When the first of them came, as far as that is known.
    pub(super) oldest: Option<Timestamp>,
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    queues: BTreeMap<String, Depth>,
    /// Messages by what keeps them.
    groups: BTreeMap<Group, u64>,
    /// Messages by reason, and what kind it is of.
    reasons: BTreeMap<String, (Group, u64)>,
}

impl Sink for Tally {
    fn take(&mut self, record: Record) -> bool {
        let is_known = self.queues.contains_key(&record.queue);
        let name = match is_known || self.queues.len() < MOST_QUEUES {
            true if is_known || is_word(&record.queue) => record.queue,
            _ => "other".to_owned(),
        };
        let queue = self.queues.entry(name).or_default();
        queue.messages += 1;
        queue.oldest = match (queue.oldest, record.arrival) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut groups: Vec<Group> = record.reasons.iter().map(|r| Group::of(r)).collect();
        for (reason, group) in record.reasons.iter().zip(&groups) {
            let reason = shown(reason, LONGEST);
            if let Some((_, count)) = self.reasons.get_mut(&reason) {
                *count += 1;
            } else if self.reasons.len() < MOST_REASONS {
                self.reasons.insert(reason, (*group, 1));
            }
        }
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            *self.groups.entry(group).or_default() += 1;
        }
        true
    }
}

/// Whether it can be a queue's name.
fn is_word(name: &str) -> bool {
    name.len() <= 32 && name.bytes().all(|b| b.is_ascii_graphic())
}

impl Tally {
    /// Messages of all queues.
    pub(super) fn total(&self) -> u64 {
        self.queues.values().map(|q| q.messages).sum()
    }

    /// Messages by queue, in the order of their names.
    pub(super) fn queues(&self) -> impl Iterator<Item = (&str, u64)> {
        self.queues.iter().map(|(n, q)| (n.as_str(), q.messages))
    }

    /// When the first message of these queues came, and which of them has it.
    pub(super) fn oldest(&self, names: &[&str]) -> Option<(&str, Timestamp)> {
        let queues = self
            .queues
            .iter()
            .filter(|(n, _)| names.contains(&n.as_str()));
        let known = queues.filter_map(|(n, q)| Some((n.as_str(), q.oldest?)));
        known.min_by_key(|(_, at)| *at)
    }

    /// Messages of these queues.
    pub(super) fn messages(&self, names: &[&str]) -> u64 {
        let queues = self
            .queues
            .iter()
            .filter(|(n, _)| names.contains(&n.as_str()));
        queues.map(|(_, q)| q.messages).sum()
    }

    /// Messages by what keeps them, the gravest first, then the most.
    pub(super) fn groups(&self) -> Vec<(Group, u64)> {
        let mut groups: Vec<_> = self.groups.iter().map(|(g, n)| (*g, *n)).collect();
        groups.sort_by_key(|(g, n)| (!g.is_grave(), std::cmp::Reverse(*n)));
        groups
    }

    /// The most frequent reason of a kind.
    pub(super) fn top(&self, group: Group) -> Option<&str> {
        let ours = self.reasons.iter().filter(|(_, (g, _))| *g == group);
        let most = ours.max_by_key(|(_, (_, n))| *n);
        most.map(|(reason, _)| reason.as_str())
    }

    pub(super) fn reasons_data(&self) -> Value {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, (_, n))| std::cmp::Reverse(*n));
        reasons.truncate(MOST_SHOWN);
        let reasons = reasons.into_iter().map(
            |(text, (group, n))| json!({"reason": text, "group": group.word(), "messages": n}),
        );
        let groups = self
            .groups
            .iter()
            .map(|(g, n)| (g.word().to_owned(), json!(n)));
        json!({
            "groups": groups.collect::<serde_json::Map<_, _>>(),
            "reasons": reasons.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(queue: &str, second: i64, reasons: &[&str]) -> Record {
        let mut record = Record {
            queue: queue.to_owned(),
            id: "A1".to_owned(),
            arrival: Timestamp::from_second(second).ok(),
            reasons: Vec::new(),
        };
        for reason in reasons {
            record.add_reason(reason);
        }
        record
    }

    #[test]
    fn messages_are_counted_by_queue_and_reason() {
        let mut tally = Tally::default();
        tally.take(record(
            "deferred",
            50,
            &["x: Connection refused", "y: Connection refused"],
        ));
        tally.take(record("deferred", 20, &["x: Connection refused"]));
        tally.take(record("active", 10, &[]));
        tally.take(record("hold", 5, &["SASL authentication failed"]));
        assert_eq!(tally.total(), 4);
        assert_eq!(tally.messages(&["deferred", "hold"]), 3);
        let (queue, at) = tally.oldest(&["active", "deferred"]).unwrap();
        assert_eq!((queue, at.as_second()), ("active", 10));
        assert_eq!(tally.oldest(&["incoming"]), None);
        // One message counts once for a kind, however many recipients wait for it.
        assert_eq!(tally.groups(), [(Group::Auth, 1), (Group::Refused, 2)]);
        assert_eq!(tally.top(Group::Refused), Some("x: Connection refused"));
    }

    #[test]
    fn a_hundred_thousand_messages_cost_no_more_than_some() {
        let mut tally = Tally::default();
        for n in 0..100_000 {
            let reason = format!("host mx{n}: Connection timed out");
            tally.take(record(&format!("queue{}", n % 1000), n, &[&reason]));
        }
        assert_eq!(tally.total(), 100_000);
        assert!(tally.queues.len() <= MOST_QUEUES + 1);
        assert_eq!(tally.reasons.len(), MOST_REASONS);
        assert_eq!(tally.groups(), [(Group::Timeout, 100_000)]);
        assert_eq!(
            tally.reasons_data()["reasons"].as_array().unwrap().len(),
            MOST_SHOWN
        );
    }
}
