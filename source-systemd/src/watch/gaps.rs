//! Runs that nobody saw: the journal is asked for them.

use std::{collections::BTreeMap, time::Duration};

use notifier_core::{Result, jiff::Timestamp};
use tokio::time::Instant;

use super::{
    Watch,
    judge::Gap,
    telling::{Pending, What},
};
use crate::{
    journal::{Ended, Journal, MAX_ENDED, Since},
    record::START_LIMIT,
    unit::Observation,
};

/// The journal is written by another process: so long after a gap was seen it is asked.
const SETTLE: Duration = Duration::from_millis(300);
/// So often it is asked for what is missing in it, this long apart.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);
/// The most answers of the journal that are read for one question.
const PAGES: usize = 64;

/// What is asked of the journal.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    units: BTreeMap<String, Open>,
    /// All failures from this time on are wanted: nobody watched.
    all: Option<Timestamp>,
    due: Option<Instant>,
    is_asking: bool,
    tries: u32,
}

#[derive(Debug)]
struct Open {
    invocation_id: String,
    restarted: u32,
    since: Timestamp,
}

impl Gaps {
    /// A unit was not seen for some runs.
    pub(crate) fn add(&mut self, unit: &str, gap: Gap, now: Timestamp) {
        let since = gap.since.map_or(now, |at| at.min(now));
        match self.units.get_mut(unit) {
            Some(open) => {
                open.restarted = open.restarted.saturating_add(gap.restarted);
                open.since = open.since.min(since);
            }
            None => {
                let open = Open {
                    invocation_id: gap.invocation_id,
                    restarted: gap.restarted,
                    since,
                };
                self.units.insert(unit.to_owned(), open);
            }
        }
        self.plan(SETTLE);
    }

    /// Nobody watched since then.
    pub(crate) fn add_all(&mut self, since: Timestamp) {
        self.all = Some(self.all.map_or(since, |all| all.min(since)));
        self.plan(SETTLE);
    }

    fn plan(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.due = Some(self.due.map_or(at, |due| due.max(at)));
        self.tries = 0;
    }

    /// When to ask; never while an answer is awaited.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_asking)
    }

    /// The earliest time that is not known.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.units
            .values()
            .map(|open| open.since)
            .chain(self.all)
            .min()
    }

    /// Which units to ask for, and since when, if it is time.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<(Vec<String>, Timestamp)> {
        let since = self.oldest()?;
        if self.is_asking || self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.is_asking = true;
        self.due = None;
        Some((self.units.keys().cloned().collect(), since))
    }
}

/// All that the journal has since then.
pub(crate) async fn ended(journal: &Journal, since: Timestamp) -> Result<Vec<Ended>> {
    let mut all = journal.ended(&Since::Time(since)).await?;
    let mut last = all.len();
    for _ in 1..PAGES {
        let Some(cursor) = all
            .last()
            .filter(|_| last >= MAX_ENDED)
            .map(|e| e.cursor.clone())
        else {
            break;
        };
        let more = journal.ended(&Since::Cursor(cursor)).await?;
        last = more.len();
        all.extend(more);
    }
    Ok(all)
}

impl Watch {
    /// Takes in what the journal has about these units.
    pub(super) fn noted(&mut self, asked: &[String], ended: Result<Vec<Ended>>) {
        self.gaps.is_asking = false;
        let is_last = self.gaps.tries + 1 >= TRIES;
        let (ended, error) = match ended {
            Ok(ended) => (ended, None),
            Err(e) => (Vec::new(), Some(e)),
        };
        let mut found: BTreeMap<&str, u32> = BTreeMap::new();
        for e in &ended {
            let open = self
                .gaps
                .units
                .get(&e.unit)
                .filter(|_| asked.contains(&e.unit));
            let is_open = open.is_some_and(|open| e.at.as_second() >= open.since.as_second());
            if is_open && !e.is_of_job() {
                *found.entry(e.unit.as_str()).or_default() += 1;
            }
            let is_wanted = is_open || self.gaps.all.is_some();
            if is_wanted && e.at >= self.cursor.first && self.config.choice.takes(&e.unit) {
                self.note(e);
            }
        }
        let mut is_missing = error.is_some();
        for unit in asked {
            let Some(open) = self.gaps.units.get(unit) else {
                continue;
            };
            let found = found.get(unit.as_str()).copied().unwrap_or(0);
            // One that nobody counts may still be on its way to the journal: that is asked twice.
            let is_short = match open.restarted {
                0 => found == 0 && (error.is_some() || self.gaps.tries == 0),
                restarted => found < restarted,
            };
            if is_short && !is_last {
                is_missing = true;
                continue;
            }
            let Some(open) = self.gaps.units.remove(unit) else {
                continue;
            };
            if found == 0 && open.restarted > 0 {
                self.push_unseen(unit, open, error.is_some());
            }
        }
        match error {
            Some(e) if is_last => {
                tracing::warn!(
                    source = %self.config.name,
                    "runs that ended unseen cannot be looked up: {}",
                    e.report()
                );
                self.gaps.all = None;
            }
            None if self.gaps.tries > 0 => self.gaps.all = None,
            _ => is_missing |= self.gaps.all.is_some(),
        }
        if is_missing && !is_last {
            let tries = self.gaps.tries + 1;
            self.gaps.plan(AGAIN);
            self.gaps.tries = tries;
        } else {
            self.gaps.tries = 0;
            if !self.gaps.units.is_empty() {
                // They came while the journal was asked.
                self.gaps.plan(SETTLE);
            }
        }
    }

    /// A failure that the journal has: told, unless it was.
    fn note(&mut self, ended: &Ended) {
        let is_limit = ended.result == START_LIMIT;
        let known = self.known.get_mut(&ended.unit);
        if known.is_some_and(|known| !known.tell(&ended.invocation_id, is_limit)) {
            return;
        }
        self.push(Pending {
            unit: ended.unit.clone(),
            what: What::Noted(Box::new(ended.clone())),
            invocation_id: ended.invocation_id.clone(),
            seen: Observation::default(),
            finished: ended.at,
            will_restart: None,
            due: Instant::now(),
            noticed: ended.at,
        });
    }

    fn push_unseen(&mut self, unit: &str, open: Open, is_certain: bool) {
        self.push(Pending {
            unit: unit.to_owned(),
            what: What::Unseen {
                runs: open.restarted,
                is_certain,
            },
            invocation_id: open.invocation_id,
            seen: Observation::default(),
            finished: self.config.clock.now(),
            will_restart: None,
            due: Instant::now(),
            noticed: open.since,
        });
    }
}
