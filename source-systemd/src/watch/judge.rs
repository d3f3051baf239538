//! Decides from what was last known of a unit and what is seen of it now what there is to tell.
//!
//! No bus, no journal, no clock.

use std::collections::VecDeque;

use notifier_core::jiff::Timestamp;

use crate::{record::START_LIMIT, unit::Observation};

/// Runs of a unit whose end is remembered: what is seen of them again, out of order, is not told again.
const TOLD: usize = 8;

/// What is known of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The last run that was seen.
    pub(crate) invocation_id: String,
    /// `NRestarts` of that run, as it was seen first.
    restarts: u32,
    /// The end of that run was seen, whichever it was.
    is_over: bool,
    /// That run failed, and systemd was about to start the unit again.
    is_waiting: bool,
    /// When it was seen last, by systemd's own times.
    at: Option<Timestamp>,
    /// When it was at rest last, as far as was seen.
    rested: Option<Timestamp>,
    /// Runs that were told, and whether it was of a refused start, oldest first.
    told: VecDeque<(String, bool)>,
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) invocation_id: String,
    /// systemd refuses to start the unit again; the run before told of its own end.
    pub(crate) is_limit: bool,
    /// When.
    pub(crate) at: Option<Timestamp>,
}

/// Runs that ended, and nobody saw how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The run that was seen before them.
    pub(crate) invocation_id: String,
    /// How many of them systemd itself started anew; 0: there may be one, ended by someone.
    pub(crate) restarted: u32,
    /// When the run was seen.
    pub(crate) since: Option<Timestamp>,
}

/// What follows from one observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) findings: Vec<Finding>,
    pub(crate) gap: Option<Gap>,
    /// systemd starts the unit again after the run of this id.
    pub(crate) will_restart: Option<String>,
}

impl Known {
    /// Whether this was told.
    pub(crate) fn has_told(&self, invocation_id: &str, is_limit: bool) -> bool {
        self.told
            .iter()
            .any(|(id, limit)| id == invocation_id && *limit == is_limit)
    }

    /// Notes that this is told; whether it was not before.
    pub(crate) fn tell(&mut self, invocation_id: &str, is_limit: bool) -> bool {
        if self.has_told(invocation_id, is_limit) {
            return false;
        }
        if self.told.len() >= TOLD {
            self.told.pop_front();
        }
        self.told.push_back((invocation_id.to_owned(), is_limit));
        true
    }

    /// What was not seen of the last run, where the unit is loaded no more.
    pub(crate) fn removed(&self) -> Option<Gap> {
        (!self.is_over && !self.invocation_id.is_empty()).then(|| Gap {
            invocation_id: self.invocation_id.clone(),
            restarted: 0,
            since: self.at,
        })
    }

    /// Takes what is seen now.
    pub(crate) fn judge(&mut self, seen: &Observation) -> Judgement {
        let mut out = Judgement::default();
        let id = run_of(seen);
        if id.is_empty() {
            // Never started, or forgotten by systemd: nothing can have failed.
            return out;
        }
        if id != self.invocation_id {
            out.gap = self.gap(seen);
            if self.is_over && seen.restarts > self.restarts {
                out.will_restart = Some(std::mem::take(&mut self.invocation_id));
            }
            self.invocation_id.clone_from(&id);
            self.restarts = seen.restarts;
            self.is_over = false;
            self.is_waiting = false;
        }
        if seen.is_failure() {
            self.failed(&id, seen, &mut out);
        } else if seen.is_waiting_for_restart() {
            // It ended well, and is started again all the same.
            (self.is_over, self.is_waiting) = (true, true);
        } else if seen.active_state == "inactive" {
            // The same is seen for a moment before a start.
            let is_after = seen.changed.zip(seen.started).is_some_and(|(c, s)| c >= s);
            self.is_over |= is_after && seen.result == "success";
        }
        self.at = seen.started.max(seen.changed).or(self.at);
        self.rested = seen.rested.or(self.rested);
        out
    }

    fn failed(&mut self, id: &str, seen: &Observation, out: &mut Judgement) {
        let is_waiting = seen.is_waiting_for_restart();
        let is_refused = !is_waiting
            && (seen.result == START_LIMIT || self.is_waiting || seen.restarts > self.restarts);
        if seen.result != START_LIMIT && self.tell(id, false) {
            out.findings.push(Finding {
                invocation_id: id.to_owned(),
                is_limit: false,
                at: seen.ended(),
            });
        }
        if is_refused && self.tell(id, true) {
            out.findings.push(Finding {
                invocation_id: id.to_owned(),
                is_limit: true,
                at: seen.changed,
            });
        }
        if is_waiting {
            out.will_restart = Some(id.to_owned());
        }
        self.is_over = true;
        self.is_waiting = is_waiting;
    }

    /// What of the time before this run was not seen.
    ///
    /// A run whose end was seen is followed by one that somebody starts, with the same count or one that begins
    /// anew, or, after waiting for it, by the next one of systemd's own.
    fn gap(&self, seen: &Observation) -> Option<Gap> {
        let more = seen.restarts.saturating_sub(self.restarts);
        // What looked like the last failure was followed by a restart, and that run has ended too: the count began
        // anew since. On the way to a restart systemd itself lets the unit rest once more.
        let has_rested = self
            .rested
            .zip(seen.rested)
            .is_some_and(|(then, now)| now > then);
        let follows =
            self.is_over && more == u32::from(self.is_waiting) && (self.is_waiting || !has_rested);
        if self.invocation_id.is_empty() || follows {
            return None;
        }
        let unseen = more.saturating_sub(u32::from(self.is_over));
        // Where this run already waits for its restart, that may have been counted.
        let restarted = unseen.saturating_sub(u32::from(seen.is_waiting_for_restart()));
        Some(Gap {
            invocation_id: self.invocation_id.clone(),
            restarted,
            since: self.at,
        })
    }
}

/// The run's id; where systemd gives none, the time of its start stands for it.
pub(crate) fn run_of(seen: &Observation) -> String {
    if !seen.invocation_id.is_empty() {
        return seen.invocation_id.clone();
    }
    match (seen.is_failure(), seen.started.or(seen.changed)) {
        (true, Some(at)) => format!("at {}", at.as_microsecond()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
