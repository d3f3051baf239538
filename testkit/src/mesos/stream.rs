//! Subscriptions to the events of the leading master.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::corruption::Corruption;
use crate::http::{Body, BodySender, End};

const HEARTBEAT: &[u8] = b"{\"type\":\"HEARTBEAT\"}";

/// What happens to the streams that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamCut {
    /// The body ends in order between two records, as when a master drops the oldest of
    /// too many subscribers.
    Close,
    /// The connection is reset.
    Reset,
    /// Half a record (a heartbeat), then the connection is closed.
    MidRecord,
    /// Nothing comes any more, no event and no heartbeat, and the connection stays open,
    /// until the next cut.
    Stall,
    /// No heartbeat comes any more. Events go on.
    HeartbeatStop,
}

/// Counts of subscriptions since the start of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamCounts {
    /// Open now.
    pub open: usize,
    /// Most open at one time.
    pub most_open: usize,
    /// Opened in all.
    pub opened: usize,
    /// The most bytes of events that waited for one subscriber. The snapshot is not
    /// counted, and neither is what the buffers of the two sockets hold.
    pub max_unread: u64,
}

/// The snapshot of a new subscription: the parts of its record, the middle one shared.
pub(crate) struct Snapshot {
    pub(crate) before: Vec<u8>,
    pub(crate) state: Arc<[u8]>,
    pub(crate) range: std::ops::Range<usize>,
    pub(crate) after: Vec<u8>,
    pub(crate) drip: Option<(usize, Duration)>,
}

impl Snapshot {
    fn len(&self) -> usize {
        self.before.len() + self.range.len() + self.after.len()
    }

    fn whole(&self) -> Vec<u8> {
        [&self.before, &self.state[self.range.clone()], &self.after].concat()
    }
}

#[derive(Debug)]
struct Subscription {
    id: u64,
    body: BodySender,
    heartbeats: bool,
    stalled: bool,
    sent: usize,
}

impl Subscription {
    /// Sends bytes in two chunks, so that chunks do not follow records.
    fn send(&mut self, bytes: &[u8]) -> u64 {
        if self.stalled {
            return 0;
        }
        self.sent += 1;
        let (head, tail) = bytes.split_at((self.sent * 7) % bytes.len().max(1));
        for part in [head, tail] {
            if !part.is_empty() {
                self.body.send(part);
            }
        }
        self.body.unread()
    }
}

/// The open subscriptions and what was counted of them.
#[derive(Debug)]
pub(crate) struct Streams {
    open: Vec<Subscription>,
    counts: StreamCounts,
    corruptions: VecDeque<Corruption>,
    limit: usize,
}

/// A record: its length, a line end, and as many bytes.
pub(crate) fn record(json: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{}\n", json.len()).into_bytes();
    bytes.extend_from_slice(json);
    bytes
}

impl Streams {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            open: Vec::new(),
            counts: StreamCounts::default(),
            corruptions: VecDeque::new(),
            limit,
        }
    }

    /// Whether nobody listens, so that no event need be written.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.prune();
        self.open.is_empty()
    }

    fn prune(&mut self) {
        self.open.retain(|one| !one.body.is_closed());
    }

    pub(crate) fn counts(&mut self) -> StreamCounts {
        self.prune();
        StreamCounts {
            open: self.open.len(),
            ..self.counts
        }
    }

    pub(crate) fn corrupt(&mut self, corruption: Corruption) {
        self.corruptions.push_back(corruption);
    }

    /// A corruption that replaces the answer to the next subscription.
    pub(crate) fn refusal(&mut self) -> Option<Corruption> {
        if !self.corruptions.front()?.is_answer() {
            return None;
        }
        self.corruptions.pop_front()
    }

    /// Opens a subscription with its snapshot and, if it has heartbeats, the first one.
    pub(crate) fn subscribe(&mut self, snapshot: Snapshot, heartbeats: bool) -> (u64, Body) {
        self.prune();
        let (sender, body) = Body::channel();
        let mut corrupted = None;
        if let Some(next) = self.corruptions.front() {
            corrupted = next.record(&snapshot.whole());
        }
        let mut ends = false;
        if let Some((bytes, end)) = corrupted {
            self.corruptions.pop_front();
            let length = bytes.len();
            sender.send_shared(bytes.into(), 0..length, snapshot.drip);
            ends = end;
        } else {
            let mut before = format!("{}\n", snapshot.len()).into_bytes();
            before.extend_from_slice(&snapshot.before);
            sender.send(before);
            sender.send_shared(snapshot.state, snapshot.range, snapshot.drip);
            sender.send(snapshot.after);
        }
        let id = self.counts.opened as u64;
        self.counts.opened += 1;
        if ends {
            sender.cut_in_order(End::Close);
            return (id, body);
        }
        if heartbeats {
            sender.send(record(HEARTBEAT));
        }
        if self.open.len() >= self.limit {
            // The oldest one makes room.
            self.open.remove(0);
        }
        self.open.push(Subscription {
            id,
            body: sender,
            heartbeats,
            stalled: false,
            sent: 0,
        });
        self.counts.most_open = self.counts.most_open.max(self.open.len());
        (id, body)
    }

    /// Sends an event to all.
    pub(crate) fn publish(&mut self, json: &[u8]) {
        if self.is_idle() {
            return;
        }
        let corrupted = self.corruptions.front().and_then(|next| next.record(json));
        let (bytes, ends) = match corrupted {
            Some(corrupted) => {
                self.corruptions.pop_front();
                corrupted
            }
            None => (record(json), false),
        };
        for one in &mut self.open {
            self.counts.max_unread = self.counts.max_unread.max(one.send(&bytes));
        }
        if ends {
            for one in self.open.drain(..) {
                one.body.cut_in_order(End::Close);
            }
        }
    }

    /// Sends a heartbeat to one. Returns whether it may want another one.
    pub(crate) fn heartbeat(&mut self, id: u64) -> bool {
        self.prune();
        let Some(one) = self.open.iter_mut().find(|one| one.id == id) else {
            return false;
        };
        if one.heartbeats {
            self.counts.max_unread = self.counts.max_unread.max(one.send(&record(HEARTBEAT)));
        }
        true
    }

    pub(crate) fn cut(&mut self, cut: StreamCut) {
        match cut {
            StreamCut::Stall => {
                for one in &mut self.open {
                    one.stalled = true;
                }
            }
            StreamCut::HeartbeatStop => {
                for one in &mut self.open {
                    one.heartbeats = false;
                }
            }
            StreamCut::Close => {
                for one in self.open.drain(..) {
                    // The end of the sender is the end of the body.
                    one.body.hurry();
                }
            }
            StreamCut::Reset => self.end(End::Reset),
            StreamCut::MidRecord => {
                let half = record(HEARTBEAT);
                for one in &self.open {
                    one.body.send(&half[..half.len() / 2]);
                }
                self.end(End::Close);
            }
        }
    }

    /// Ends all connections, as the end of a master does.
    pub(crate) fn end(&mut self, end: End) {
        for one in self.open.drain(..) {
            one.body.cut(end);
        }
    }
}
