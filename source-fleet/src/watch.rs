//! Looking at fleet again and again.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use notifier_core::{Batch, Error, ErrorKind, Result};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::{
    Backlog,
    api::Api,
    cursor::Cursor,
    fall::Place,
    lost::Lost,
    record,
    source::{Config, FleetSource},
    ticket::Landed,
    tracker::{Said, Tracker},
    wire::{Machine, Row},
};

/// A list that changes while it is read is read so many times in a row at most.
const READS: usize = 4;
/// The most failures of a batch, and the most units that are asked for in a look.
const BATCH: usize = 500;
/// So many failed units that are absent are asked for in a look.
const ABSENT: usize = 20;
/// The list of machines is read again after this.
const MACHINES: Duration = Duration::from_secs(60);
/// More machines than these are not remembered after they have left.
const MOST_MACHINES: usize = 10_000;
/// The longest wait between two looks, where one looks more often.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A running source.
pub(crate) struct Watch {
    config: Config,
    api: Api,
    tracker: Tracker,
    lost: Lost,
    /// The first look is over: what failed since is told.
    is_based: bool,
    /// When the first look ends, though no two lists agreed.
    base_ends: Option<Instant>,
    /// What the last whole list had, in its order.
    last_list: Option<u64>,
    /// The places of the last list that agreed with the one before.
    places: Option<HashSet<Place>>,
    said: HashMap<String, Said>,
    machines: HashMap<String, Machine>,
    machines_read: Option<Instant>,
    absent_next: usize,
    next_look: Instant,
    /// Looks that failed in a row.
    failed_looks: u32,
    trouble: Option<(ErrorKind, String)>,
    is_trouble_new: bool,
    /// All is well, and the other side is to hear it.
    is_well: bool,
    has_skipped: bool,
    batches: u64,
    landed: Landed,
}

impl Watch {
    pub(crate) fn new(source: FleetSource, cursor: Option<Value>) -> Self {
        let FleetSource { config, api } = source;
        let cursor = cursor.and_then(Cursor::read).unwrap_or_default();
        let failed = cursor.failed.into_iter().map(|f| (f.place, f.hash));
        Self {
            tracker: Tracker::resume(failed.collect(), cursor.falls, cursor.stamp),
            lost: Lost::resume(cursor.lost),
            is_based: cursor.based,
            base_ends: None,
            last_list: None,
            places: None,
            said: HashMap::new(),
            machines: HashMap::new(),
            machines_read: None,
            absent_next: 0,
            next_look: Instant::now(),
            failed_looks: 0,
            trouble: None,
            is_trouble_new: false,
            is_well: false,
            has_skipped: false,
            batches: 0,
            landed: Landed::default(),
            config,
            api,
        }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Batch> {
        loop {
            self.land();
            let batch = self.batch();
            let trouble = self
                .trouble
                .clone()
                .map(|(kind, text)| Error::new(kind, text));
            let is_new = std::mem::take(&mut self.is_trouble_new);
            match (batch, trouble) {
                (Some(batch), Some(e)) => return Ok(batch.with_trouble(e)),
                (Some(batch), None) => return Ok(batch),
                (None, Some(e)) if is_new => return Err(e),
                (None, _) => {}
            }
            sleep_until(self.wake()).await;
            if Instant::now() >= self.next_look {
                self.look().await;
            }
        }
    }

    /// Takes in what became of batches.
    fn land(&mut self) {
        for (number, is_stored) in self.landed.take() {
            let is_of = |flight: Option<u64>| flight == Some(number);
            if is_stored {
                self.tracker.falls.retain(|f| !is_of(f.flight));
                continue;
            }
            self.tracker.is_changed = true;
            for fall in self.tracker.falls.iter_mut().filter(|f| is_of(f.flight)) {
                fall.refuse();
            }
        }
    }

    /// When there is something to do.
    fn wake(&self) -> Instant {
        let refused = self.tracker.falls.iter().filter_map(|f| f.not_before);
        let now = Instant::now();
        refused
            .filter(|at| *at > now)
            .fold(self.next_look, Instant::min)
    }

    /// What can be handed over now.
    fn batch(&mut self) -> Option<Batch> {
        let said = |unit: &str| self.said.get(unit).cloned().unwrap_or(Said::Unknown);
        let knows = |machine: &str| {
            machine.is_empty()
                || self.machines.contains_key(machine)
                || self.machines_read.is_some()
        };
        let due = self.tracker.judge(self.config.settle, said, knows);
        // What was refused goes by itself: it may be what cannot be stored.
        let is_refused = |at: &usize| self.tracker.falls[*at].refused > 0;
        let fresh: Vec<usize> = due.iter().copied().filter(|at| !is_refused(at)).collect();
        let chosen = match fresh.is_empty() {
            true => due.into_iter().take(1).collect(),
            false => fresh.into_iter().take(BATCH).collect::<Vec<usize>>(),
        };
        let is_changed = std::mem::take(&mut self.tracker.is_changed)
            | std::mem::take(&mut self.lost.is_changed);
        if chosen.is_empty() && !is_changed && !std::mem::take(&mut self.is_well) {
            return None;
        }
        self.is_well = false;
        let number = self.batches;
        self.batches += 1;
        let mut failures = Vec::new();
        for at in chosen {
            let fall = &mut self.tracker.falls[at];
            fall.flight = Some(number);
            let said = self.said.get(&fall.place.unit).unwrap_or(&Said::Unknown);
            let machine = self.machines.get(&fall.place.machine);
            let Config { name, prefix, .. } = &self.config;
            if *said == Said::Unknown {
                tracing::warn!(
                    source = %name,
                    unit = %fall.place.unit,
                    "fleet does not say what the unit is like: its failure is told without labels"
                );
            }
            failures.push(record::of(fall, said, machine, name, prefix));
        }
        let ticket = self.landed.ticket(number);
        let mut batch = Batch::new(failures).with_ack(move || ticket.stored());
        if let Some(cursor) = self.cursor(number) {
            batch = batch.with_cursor(cursor);
        }
        Some(batch)
    }

    /// The cursor that goes with a batch: what is in another one that is not stored yet is still
    /// to be told.
    fn cursor(&self, number: u64) -> Option<Value> {
        let falls = self.tracker.falls.iter();
        let mut cursor = Cursor::new(self.tracker.failed());
        cursor.stamp = self.tracker.stamp;
        cursor.based = self.is_based;
        cursor.falls = falls
            .filter(|f| f.flight != Some(number))
            .cloned()
            .collect();
        cursor.lost = self.lost.is_based.then(|| self.lost.told());
        cursor.value()
    }

    /// Looks at the first endpoint that answers.
    async fn look(&mut self) {
        let begun = Instant::now();
        let mut failed: Vec<Error> = Vec::new();
        let mut is_read = false;
        for at in self.api.order() {
            match self.read(at).await {
                Ok(()) => {
                    self.api.prefer(at);
                    is_read = true;
                    break;
                }
                Err(e) => failed.push(e),
            }
        }
        if is_read {
            self.failed_looks = 0;
            self.next_look = begun + self.config.interval;
            let was_ill = self.trouble.take().is_some();
            self.is_well |= was_ill;
            if was_ill {
                tracing::info!(source = %self.config.name, "fleet answers again");
            }
        } else {
            self.last_list = None;
            self.failed_looks += 1;
            let longest = LONGEST_WAIT.max(self.config.interval);
            let wait = self.config.interval * (1 << self.failed_looks.min(6));
            self.next_look = Instant::now() + wait.min(longest);
            self.fail(&failed);
        }
        // A look that takes longer than the interval does not make the next one follow at once.
        let now = Instant::now();
        self.next_look = self.next_look.max(now + self.config.interval / 10);
    }

    fn fail(&mut self, failed: &[Error]) {
        let kind = failed.last().map_or(ErrorKind::Config, Error::kind);
        let why: Vec<String> = failed.iter().map(|e| e.report().to_string()).collect();
        let trouble = Some((kind, format!("fleet cannot be read: {}", why.join("; "))));
        self.is_trouble_new |= self.trouble != trouble;
        self.trouble = trouble;
    }

    /// Reads the states until two lists in a row agree, and all else that is needed.
    async fn read(&mut self, at: usize) -> Result<()> {
        let mut has_agreed = false;
        for _ in 0..READS {
            let mut rows = Vec::new();
            let read = self.api.states(at, &mut rows).await;
            rows.retain(|row| self.config.choice.takes(&row.unit));
            let stamp = self.tracker.next_stamp(self.config.clock.now());
            let is_baseline = !self.is_based && self.config.backlog == Backlog::Skip;
            for row in &rows {
                self.tracker.see(row, stamp, is_baseline);
            }
            let read = read?;
            self.tell_skipped(read.skipped);
            let list = Some(list_of(&rows));
            has_agreed = read.pages == 1 || self.last_list == list;
            self.last_list = list;
            if has_agreed {
                let places = rows.into_iter().map(|row| Place {
                    unit: row.unit,
                    machine: row.machine,
                });
                let places: HashSet<Place> = places.collect();
                self.tracker.listed(&places);
                self.places = Some(places);
                break;
            }
        }
        self.end_base(has_agreed);
        if self.config.tells_lost && has_agreed {
            self.read_units(at).await?;
        }
        self.ask(at).await
    }

    fn tell_skipped(&mut self, skipped: usize) {
        if skipped > 0 && !std::mem::replace(&mut self.has_skipped, true) {
            tracing::warn!(
                source = %self.config.name,
                entries = skipped,
                "entries of fleet's list of states cannot be read; they are left out"
            );
        }
    }

    /// The first look ends with a list that is known to be whole, or after a while.
    fn end_base(&mut self, has_agreed: bool) {
        if self.is_based {
            return;
        }
        let ends = Instant::now() + self.config.settle;
        let ends = *self.base_ends.get_or_insert(ends);
        if has_agreed || Instant::now() >= ends {
            self.is_based = true;
            self.tracker.is_changed = true;
            self.is_well = true;
        }
    }

    async fn read_units(&mut self, at: usize) -> Result<()> {
        let mut units = self.api.units(at).await?;
        units.retain(|unit| self.config.choice.takes(&unit.name));
        if let Some(places) = &self.places {
            let stamp = self.tracker.stamp;
            let tells_first = self.config.backlog == Backlog::Report;
            let settle = self.config.settle;
            let falls = self.lost.see(&units, places, settle, tells_first, stamp);
            self.tracker.is_changed |= !falls.is_empty();
            self.tracker.falls.extend(falls);
        }
        Ok(())
    }

    /// Asks for the units and machines of failures that wait, and for some that are absent.
    async fn ask(&mut self, at: usize) -> Result<()> {
        let waiting = self.tracker.falls.iter().filter(|f| f.flight.is_none());
        let mut seen = HashSet::new();
        let mut names: Vec<String> = Vec::new();
        let mut machines: HashSet<String> = HashSet::new();
        for fall in waiting.take(BATCH) {
            machines.insert(fall.place.machine.clone());
            if seen.insert(fall.place.unit.clone()) {
                names.push(fall.place.unit.clone());
            }
        }
        let absent = self.absent();
        let more = absent.iter().map(|place| place.unit.clone());
        names.extend(more.filter(|unit| seen.insert(unit.clone())));
        self.said = self.api.said_of(at, names).await.into_iter().collect();
        for place in &absent {
            if let Some(said) = self.said.get(&place.unit) {
                self.tracker.explain(place, said);
            }
        }
        let is_old = self.machines_read.is_none_or(|at| at.elapsed() >= MACHINES);
        let is_new = |id: &String| !id.is_empty() && !self.machines.contains_key(id);
        if !machines.is_empty() && (is_old || machines.iter().any(is_new)) {
            self.machines_read = None;
            let all = self.api.machines(at).await?;
            if self.machines.len() > MOST_MACHINES {
                self.machines.clear();
            }
            // Those that have left are known on: what failed there is still to be told.
            self.machines
                .extend(all.into_iter().map(|m| (m.id.clone(), m)));
            self.machines_read = Some(Instant::now());
        }
        Ok(())
    }

    /// Some of the failed units that are absent, others each time.
    fn absent(&mut self) -> Vec<Place> {
        let mut all = self.tracker.absent();
        if all.is_empty() {
            return all;
        }
        let first = self.absent_next % all.len();
        all.rotate_left(first);
        all.truncate(ABSENT);
        self.absent_next = first + all.len();
        all
    }
}

/// What a list has, in its order.
fn list_of(rows: &[Row]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for row in rows {
        (&row.unit, &row.machine).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
