//! Takes in what systemd tells.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Done, SETTLE, Watch,
    judge::{self, Judgement},
    telling::{Pending, What},
};
use crate::{
    bus::{Event, Job},
    record,
    unit::Observation,
};

/// How many events are taken before something is handed over.
const EVENTS_AT_ONCE: usize = 500;

impl Watch {
    pub(super) fn take_events(&mut self, first: Event) {
        let mut next = Some(first);
        for _ in 0..EVENTS_AT_ONCE {
            let Some(event) = next else { return };
            self.take(event);
            next = self.link.as_mut().and_then(|l| l.events.try_recv().ok());
        }
        if let Some(event) = next {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Changed(unit, seen) => {
                self.heard = self.heard.max(seen.changed);
                if self.config.choice.takes(&unit) {
                    self.see(&unit, *seen);
                }
            }
            Event::New(unit) => {
                self.gone.remove(&unit);
            }
            Event::Removed(unit) => {
                if self.known.contains_key(&unit) {
                    self.gone.insert(unit, Instant::now() + SETTLE);
                }
            }
            Event::Reloading(is_reloading) => self.is_reloading = is_reloading,
            Event::Job(job) => self.take_job(&job),
            Event::Restarted => {
                tracing::info!(source = %self.config.name, "systemd was started again");
                self.link = None;
                self.connect_at = Instant::now();
            }
        }
    }

    /// Forgets units that are loaded no more.
    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        if self.is_reloading || self.gone.is_empty() {
            return;
        }
        let due = self.gone.iter().filter(|(_, at)| **at <= now);
        let gone: Vec<String> = due.map(|(unit, _)| unit.clone()).collect();
        for unit in gone {
            self.gone.remove(&unit);
            if let Some(gap) = self.known.remove(&unit).and_then(|k| k.removed()) {
                self.gaps.add(&unit, gap, self.config.clock.now());
            }
            self.failed.remove(&unit);
            self.described.remove(&unit);
        }
    }

    fn take_job(&mut self, job: &Job) {
        let Some(result) = record::of_job(&job.result) else {
            return;
        };
        if !self.config.choice.takes(&job.unit) {
            return;
        }
        let now = self.config.clock.now();
        let invocation_id = record::job_id(&self.machine.boot_id, job.id);
        // The journal has it too, should it be asked.
        let known = self.known.get_mut(&job.unit);
        if known.is_some_and(|known| !known.tell(&invocation_id, false)) {
            return;
        }
        self.push(Pending {
            unit: job.unit.clone(),
            what: What::Job(job.id, result),
            invocation_id,
            seen: Observation::default(),
            finished: now,
            will_restart: None,
            due: Instant::now(),
            noticed: now,
        });
    }

    /// Takes what is seen of a unit that is watched.
    pub(super) fn see(&mut self, unit: &str, seen: Observation) {
        let now = self.config.clock.now();
        let is_new = !self.known.contains_key(unit);
        if is_new && judge::run_of(&seen).is_empty() {
            return;
        }
        let known = self.known.entry(unit.to_owned()).or_default();
        let out = known.judge(&seen);
        if seen.active_state == "failed" && seen.is_failure() {
            let run = judge::run_of(&seen);
            let is_limit = known.has_told(&run, true);
            self.failed.insert(unit.to_owned(), (run, is_limit));
        } else {
            self.failed.remove(unit);
        }
        self.settle(unit, &seen, &out);
        if let Some(gap) = out.gap {
            self.gaps.add(unit, gap, now);
        }
        for finding in out.findings {
            self.push(Pending {
                unit: unit.to_owned(),
                what: if finding.is_limit {
                    What::Limit
                } else {
                    What::Run
                },
                invocation_id: finding.invocation_id,
                finished: finding.at.unwrap_or(now),
                will_restart: seen.is_waiting_for_restart().then_some(true),
                seen: seen.clone(),
                due: Instant::now() + SETTLE,
                noticed: finding.at.map_or(now, |at| at.min(now)),
            });
        }
        if is_new && !self.config.choice.properties.is_empty() {
            self.describe(unit);
        }
    }

    /// Completes what waits with what is seen now.
    fn settle(&mut self, unit: &str, seen: &Observation, out: &Judgement) {
        for p in self
            .waiting
            .values_mut()
            .filter(|p| p.unit == unit && p.what == What::Run)
        {
            if out.will_restart.as_deref() == Some(p.invocation_id.as_str()) {
                p.will_restart = Some(true);
            }
            // A unit that fails before it is started is shown with the time of its state before.
            if p.seen.exited.is_none()
                && seen.is_failure()
                && seen.restarts == p.seen.restarts
                && p.invocation_id == seen.invocation_id
            {
                p.finished = seen.ended().unwrap_or(p.finished);
                p.seen = seen.clone();
            }
        }
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.waiting.insert(self.next, pending);
        self.next += 1;
    }

    /// Learns what a unit is while it is there.
    fn describe(&mut self, unit: &str) {
        let Some(link) = &self.link else { return };
        let (bus, unit, names) = (
            Arc::clone(&link.bus),
            unit.to_owned(),
            self.teller().names(),
        );
        self.work.spawn(async move {
            let about = bus.describe(&unit, &names).await.unwrap_or_default();
            Done::Described(unit, Arc::new(about))
        });
    }
}
