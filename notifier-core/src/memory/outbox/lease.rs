//! What is leased, and how a lease ends.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::state::{State, rejected};
use crate::{
    Attempt, DeliveryState, Destination, Enqueued, Error, Lease, LeaseRequest, LogLease, Logs,
    Outcome, Result, Settlement, Subject, Verdict, clock::add,
};

/// What is due further ahead than this was put off by a clock that was set since.
const TOO_FAR: Duration = Duration::from_secs(70 * 60);

/// What was noted of a lease that nobody ended.
const LOST: &str = "the watcher ended during this attempt";

#[derive(Debug)]
pub(super) struct Taken {
    until: Timestamp,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Delivery(u64),
    Logs(u64),
}

fn lost_lease() -> Error {
    rejected("the lease has run out")
}

impl State {
    /// Hands out a number.
    fn take(&mut self, what: What, until: Timestamp) -> u64 {
        self.last_token += 1;
        self.leases.insert(self.last_token, Taken { until, what });
        self.last_token
    }

    /// The delivery that a lease is for.
    fn leased(&self, token: u64) -> Result<u64> {
        match self.leases.get(&token).map(|t| t.what) {
            Some(What::Delivery(seq)) => Ok(seq),
            _ => Err(lost_lease()),
        }
    }

    /// Takes a lease apart: the delivery it was for.
    fn give_up(&mut self, token: u64) -> Result<u64> {
        let seq = self.leased(token)?;
        self.leases.remove(&token);
        Ok(seq)
    }

    /// Puts back what is leased longer than allowed.
    fn expire(&mut self, now: Timestamp) {
        let out: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, t)| t.until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in out {
            self.lose(token, now);
        }
    }

    /// Puts back what a lease holds. Nobody knows what came of it.
    fn lose(&mut self, token: u64, now: Timestamp) {
        match self.leases.remove(&token).map(|t| t.what) {
            Some(What::Delivery(seq)) => {
                if let Some(item) = self.items.get_mut(&seq) {
                    let mut attempt = Attempt::new(now, Outcome::Unknown);
                    attempt.detail = LOST.to_owned();
                    item.tried(attempt);
                    self.unknown += 1;
                }
                self.shift(seq, DeliveryState::Pending, now);
            }
            Some(What::Logs(tale)) => {
                if let Some(t) = self.tales.get_mut(&tale) {
                    t.looking = false;
                }
                self.look_for_logs(tale);
            }
            None => {}
        }
    }

    pub(super) fn claim(&mut self, now: Timestamp) -> u64 {
        let tokens: Vec<u64> = self.leases.keys().copied().collect();
        for token in &tokens {
            self.lose(*token, now);
        }
        let far = add(now, TOO_FAR);
        let late: Vec<u64> = self
            .items
            .iter()
            .filter(|(_, i)| i.state == DeliveryState::Pending && i.due > far)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in late {
            self.put_off(seq, now);
        }
        for place in self.places.values_mut() {
            for at in [&mut place.state.not_before, &mut place.rate_next] {
                if at.is_some_and(|at| at > far) {
                    *at = Some(now);
                }
            }
        }
        tokens.len() as u64
    }

    pub(super) fn lease_logs(&mut self, request: LeaseRequest) -> Vec<LogLease> {
        self.expire(request.now);
        let mut out = Vec::new();
        while out.len() < request.max {
            let Some(number) = self.unsettled.pop_first() else {
                break;
            };
            let Some(tale) = self.tales.get_mut(&number) else {
                continue;
            };
            let record = match &tale.subject {
                Subject::Failure(f) => Arc::clone(f),
                Subject::Digest(d) => Arc::new(d.example.clone()),
                _ => continue,
            };
            tale.looking = true;
            let token = self.take(What::Logs(number), request.until);
            out.push(LogLease::new(record, token));
        }
        out
    }

    pub(super) fn settle_logs(&mut self, token: u64, logs: Logs) -> Result<()> {
        let Some(What::Logs(number)) = self.leases.get(&token).map(|t| t.what) else {
            return Err(lost_lease());
        };
        self.leases.remove(&token);
        if let Some(tale) = self.tales.get_mut(&number) {
            tale.looking = false;
            tale.logs = Some(logs);
            for seq in tale.items.clone() {
                self.line_up(seq);
            }
        }
        Ok(())
    }

    pub(super) fn lease(&mut self, destination: &Destination, request: LeaseRequest) -> Vec<Lease> {
        let LeaseRequest {
            max,
            now,
            until,
            rate,
        } = request;
        self.expire(now);
        let Some(place) = self.places.get_mut(destination) else {
            return Vec::new();
        };
        if place.state.not_before.is_some_and(|at| at > now) {
            return Vec::new();
        }
        let mut due = Vec::new();
        if place.dues.first().is_some_and(|(at, _)| *at <= now) {
            let line = place.line.iter().filter(|(_, at)| **at <= now);
            due.extend(line.take(max).map(|(seq, _)| *seq));
        }
        place.rate_next = None;
        if let Some(rate) = rate {
            due.truncate(rate.take(&mut place.rate_at, now, due.len()));
            place.rate_next = Some(rate.next(place.rate_at, now));
        }
        let mut out = Vec::with_capacity(due.len());
        for seq in due {
            let Some(item) = self.items.get(&seq) else {
                continue;
            };
            let Some(tale) = self.tales.get(&item.tale) else {
                continue;
            };
            let mut lease = Lease::new(
                item.delivery.clone(),
                tale.subject.clone(),
                item.enqueued,
                0,
            );
            lease.logs = tale.logs.clone().unwrap_or_default();
            lease.attempts = item.attempts;
            lease.unknown = item.is_uncertain();
            lease.progress = item.progress.clone();
            lease.token = self.take(What::Delivery(seq), until);
            self.shift(seq, DeliveryState::Leased, now);
            out.push(lease);
        }
        out
    }

    pub(super) fn settle(&mut self, token: u64, settlement: Settlement) -> Result<()> {
        let seq = self.give_up(token)?;
        let Settlement {
            verdict,
            attempt,
            progress,
            destination,
            wake,
            notices,
        } = settlement;
        let now = attempt.at;
        self.unknown += u64::from(attempt.outcome == Outcome::Unknown);
        if let Some(item) = self.items.get_mut(&seq) {
            item.tried(attempt);
            if progress.is_some() {
                item.progress = progress;
            }
            if let Some(state) = destination {
                let at = item.delivery.destination.clone();
                self.places.entry(at).or_default().state = state;
            }
        }
        match verdict {
            Verdict::Done => self.finish(seq, DeliveryState::Done, now),
            Verdict::Dead => self.finish(seq, DeliveryState::Dead, now),
            Verdict::RetryAt(at) => {
                self.put_off(seq, at);
                self.shift(seq, DeliveryState::Pending, now);
            }
        }
        if wake {
            self.wake(seq, now);
        }
        for notice in notices {
            self.add_report(notice, now, &mut Enqueued::default());
        }
        Ok(())
    }

    /// Makes everything due that waits for the destination of this delivery.
    fn wake(&mut self, seq: u64, now: Timestamp) {
        let place = self
            .items
            .get(&seq)
            .and_then(|item| self.places.get(&item.delivery.destination));
        let late: Vec<u64> = place
            .into_iter()
            .flat_map(|p| &p.line)
            .filter(|(_, at)| **at > now)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in late {
            self.put_off(seq, now);
        }
    }

    pub(super) fn save_progress(&mut self, token: u64, progress: serde_json::Value) -> Result<()> {
        let seq = self.leased(token)?;
        if let Some(item) = self.items.get_mut(&seq) {
            item.progress = Some(progress);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, token: u64) -> Result<()> {
        let seq = self.give_up(token)?;
        // It finishes nothing, so that the time does not matter.
        self.shift(seq, DeliveryState::Pending, Timestamp::UNIX_EPOCH);
        Ok(())
    }
}
