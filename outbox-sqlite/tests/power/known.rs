//! What must be true of the store, from what the load was told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::mark::{Act, Ended, How, Mark, Told};

/// Everything that is known at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The latest time that was told.
    pub(crate) now: i64,
    /// Deliveries by id.
    pub(crate) deliveries: HashMap<String, Delivery>,
    /// Keys of acknowledged batches.
    pub(crate) keys: BTreeMap<String, How>,
    /// Each source's cursor: the acknowledged one, and the one that was asked for last.
    pub(crate) cursors: BTreeMap<String, (Option<u64>, u64)>,
    /// Keys whose logs are settled.
    pub(crate) logs: BTreeSet<String>,
    /// Silences.
    pub(crate) silences: BTreeSet<String>,
    /// Batches that were not acknowledged: each is there wholly or not at all.
    pub(crate) batches: BTreeMap<Call, Batch>,
    /// What was asked for and not answered.
    open: BTreeMap<Call, (i64, Act)>,
    /// Which program this is.
    program: u64,
}

/// A program, and its call.
type Call = (u64, u64);

/// A batch that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) now: i64,
    pub(crate) source: String,
    pub(crate) cursor: u64,
    pub(crate) reports: Vec<Told>,
}

/// What is known of a delivery.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) how: How,
    /// What it is about, if that was told.
    pub(crate) key: Option<String>,
    /// When it was first heard of.
    pub(crate) enqueued: i64,
    /// As it surely is, unless `maybe` happened; `None`: it waits or is being sent.
    pub(crate) state: Option<Final>,
    /// What was asked for and not acknowledged.
    pub(crate) maybe: Option<Final>,
    /// It is surely leased.
    pub(crate) leased: bool,
    /// An answer under its lease was asked for and not acknowledged.
    pub(crate) answering: bool,
    /// When it was last put off to, if that is sure.
    pub(crate) due: Option<i64>,
    /// When it may have been finished.
    pub(crate) finished: Option<i64>,
    /// At least so many attempts.
    pub(crate) attempts: u32,
    /// At least so many of unknown outcome.
    pub(crate) unknown: u32,
    /// What it got done: as acknowledged, and as asked for since.
    pub(crate) progress: (Option<u64>, Vec<u64>),
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Final {
    Done,
    Dead,
    Dropped,
}

impl Final {
    fn of(verdict: Ended) -> Option<Self> {
        match verdict {
            Ended::Done => Some(Self::Done),
            Ended::Dead => Some(Self::Dead),
            Ended::RetryAt(_) => None,
        }
    }
}

impl Delivery {
    fn new(how: How, enqueued: i64) -> Self {
        Self {
            how,
            key: None,
            enqueued,
            state: None,
            maybe: None,
            leased: false,
            answering: false,
            due: None,
            finished: None,
            attempts: 0,
            unknown: 0,
            progress: (None, Vec::new()),
        }
    }

    /// Whether it may have ended so.
    pub(crate) fn may_be(&self, end: Final) -> bool {
        self.maybe.or(self.state) == Some(end) || self.state == Some(end)
    }

    /// Its lease is over without an answer, as far as is known.
    fn taken_back(&mut self) {
        if self.leased && !self.answering {
            self.unknown += 1;
            self.attempts += 1;
            self.due = None;
        }
        self.leased = false;
    }
}

impl Known {
    /// Takes in one more mark.
    pub(crate) fn learn(&mut self, mark: &Mark) {
        match mark {
            Mark::Start => {
                self.program += 1;
                self.open.clear();
            }
            Mark::Asked { call, now, act } => {
                let call = (self.program, *call);
                self.now = self.now.max(*now);
                self.asked(call, *now, act);
                self.open.insert(call, (*now, act.clone()));
            }
            Mark::Acknowledged { call, ids } => {
                let call = (self.program, *call);
                let (now, act) = self.open.remove(&call).expect("an answer has a question");
                self.acknowledged(call, now, act, ids);
            }
            Mark::Refused { call } => {
                self.open.remove(&(self.program, *call));
            }
        }
    }

    fn asked(&mut self, call: Call, now: i64, act: &Act) {
        match act {
            Act::Enqueue {
                source,
                cursor,
                reports,
            } => {
                self.cursors.entry(source.clone()).or_default().1 = *cursor;
                let batch = Batch {
                    now,
                    source: source.clone(),
                    cursor: *cursor,
                    reports: reports.clone(),
                };
                self.batches.insert(call, batch);
            }
            Act::Settle {
                id,
                verdict,
                progress,
                ..
            } => {
                let d = self.delivery(id, now);
                d.answering = true;
                d.maybe = Final::of(*verdict);
                d.due = None;
                if d.maybe.is_some() {
                    d.finished = Some(now);
                }
                d.progress.1.extend(*progress);
            }
            Act::Progress { id, value } => self.delivery(id, now).progress.1.push(*value),
            Act::Release { id } => {
                let d = self.delivery(id, now);
                d.answering = true;
            }
            Act::Discard { id } => {
                let d = self.delivery(id, now);
                d.maybe = Some(Final::Dropped);
                d.finished = Some(now);
            }
            Act::Claim
            | Act::Lease
            | Act::SettleLogs { .. }
            | Act::Fold
            | Act::Replay { .. }
            | Act::Silence { .. }
            | Act::Vacuum => {}
        }
    }

    fn acknowledged(&mut self, call: Call, now: i64, act: Act, ids: &[String]) {
        match act {
            Act::Claim => self.deliveries.values_mut().for_each(Delivery::taken_back),
            Act::Enqueue {
                source,
                cursor,
                reports,
            } => {
                self.cursors.entry(source).or_default().0 = Some(cursor);
                self.batches.remove(&call);
                for told in reports {
                    for id in &told.ids {
                        // It may be known already, as leased: the answer came later.
                        let d = self.delivery(id, now);
                        d.how = told.how;
                        d.key = Some(told.key.clone());
                        if told.how == How::Silenced {
                            d.finished = Some(now);
                        }
                    }
                    self.keys.insert(told.key, told.how);
                }
            }
            Act::Lease => {
                for id in ids {
                    let d = self.delivery(id, now);
                    // Its last lease ran out, or an unanswered call did not happen.
                    d.taken_back();
                    (d.leased, d.answering) = (true, false);
                    (d.state, d.maybe, d.finished, d.due) = (None, None, None, None);
                }
            }
            Act::Settle {
                id,
                verdict,
                progress,
                notice,
            } => {
                let d = self.delivery(&id, now);
                (d.leased, d.answering) = (false, false);
                (d.state, d.maybe) = (Final::of(verdict), None);
                d.attempts += 1;
                if let Ended::RetryAt(at) = verdict {
                    d.due = Some(at);
                }
                if progress.is_some() {
                    d.progress = (progress, Vec::new());
                }
                if let Some(id) = notice {
                    self.delivery(&id, now);
                }
            }
            Act::Progress { id, value } => {
                self.delivery(&id, now).progress = (Some(value), Vec::new())
            }
            Act::Release { id } => {
                let d = self.delivery(&id, now);
                (d.leased, d.answering) = (false, false);
            }
            Act::SettleLogs { key } => {
                self.logs.insert(key);
            }
            Act::Replay { .. } => ids.iter().for_each(|id| {
                self.delivery(id, now);
            }),
            Act::Discard { id } => {
                let d = self.delivery(&id, now);
                (d.state, d.maybe) = (Some(Final::Dropped), None);
            }
            Act::Silence { id } => {
                self.silences.insert(id);
            }
            Act::Fold | Act::Vacuum => {}
        }
    }

    /// What is known of a delivery; one that was not heard of is of a notice, a digest or
    /// a batch that is not acknowledged yet.
    fn delivery(&mut self, id: &str, now: i64) -> &mut Delivery {
        self.deliveries
            .entry(id.to_owned())
            .or_insert_with(|| Delivery::new(How::Plain, now))
    }
}
