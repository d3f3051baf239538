//! A running source: follows systemd's signals, and tells what failed.
//!
//! `seen` takes signals in, `judge` decides from what is seen of a unit, `telling` completes what is told, `start` looks at all after
//! each connecting, `gaps` asks the journal for what nobody saw.

pub(crate) mod choice;
mod cursor;
mod gaps;
mod judge;
mod outgoing;
mod seen;
mod start;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::pending,
    sync::Arc,
    time::Duration,
};

use notifier_core::{Batch, Error, ErrorKind, FailureKey, FailureRecord, Result, jiff::Timestamp};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{
    cursor::Cursor,
    gaps::Gaps,
    judge::Known,
    outgoing::Outgoing,
    telling::{Described, Machine, Pending, Teller},
};
use crate::{
    Backlog,
    bus::{Bus, Description, Event},
    journal::Ended,
    source::Config,
};

/// What systemd does after a failure is told right behind it: so long it is waited for.
const SETTLE: Duration = Duration::from_millis(150);
/// How many failures are completed at a time.
const AT_ONCE: usize = 4;
/// Failures that wait to be completed; then no more signals are taken.
const MOST_PENDING: usize = 10_000;
/// How often systemd is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// Waits between attempts to connect: doubled from one to the next, and begun anew after the first link of some age.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A link to systemd.
#[derive(Debug)]
struct Link {
    bus: Arc<Bus>,
    events: mpsc::Receiver<Event>,
}

/// What is done meanwhile.
enum Done {
    /// A failure is complete, or is none of those that are watched.
    Told(u64, Option<Box<FailureRecord>>),
    /// How a unit is described.
    Described(String, Arc<Description>),
    /// What the journal has about gaps.
    Noted(Vec<String>, Result<Vec<Ended>>),
    /// Whether systemd is there.
    Ping(Result<()>),
}

/// A running source.
pub(crate) struct Watch {
    config: Arc<Config>,
    machine: Arc<Machine>,
    link: Option<Link>,
    cursor: Cursor,
    /// There is no cursor of an earlier start.
    is_first: bool,
    known: HashMap<String, Known>,
    /// Units that are failed now, with the run and whether their start was refused.
    failed: BTreeMap<String, (String, bool)>,
    described: Described,
    /// Units that were said to be loaded no more, and when that is believed.
    gone: BTreeMap<String, Instant>,
    /// systemd reads its units again.
    is_reloading: bool,
    /// By number, in the order in which they were seen.
    waiting: BTreeMap<u64, Pending>,
    /// Those that are being completed: of which units, and when they were noticed.
    working: BTreeMap<u64, (String, Timestamp)>,
    next: u64,
    gaps: Gaps,
    work: JoinSet<Done>,
    outgoing: Outgoing,
    /// All keys of units that are failed now, for the next batch.
    listed: Option<Vec<FailureKey>>,
    /// When the last signal was sent, by systemd's own times.
    heard: Option<Timestamp>,
    /// All is well, and the other side is to hear it.
    is_well: bool,
    connect_at: Instant,
    wait: Duration,
    ping_at: Instant,
    was_cut: bool,
}

impl Watch {
    pub(crate) fn new(config: Config, cursor: Option<Value>) -> Self {
        let now = config.clock.now();
        let stored = cursor.and_then(Cursor::read);
        let is_first = stored.is_none();
        let instant = Instant::now();
        Self {
            config: Arc::new(config),
            machine: Arc::default(),
            link: None,
            cursor: stored.unwrap_or_else(|| Cursor::new(now)),
            is_first,
            known: HashMap::new(),
            failed: BTreeMap::new(),
            described: HashMap::new(),
            gone: BTreeMap::new(),
            is_reloading: false,
            waiting: BTreeMap::new(),
            working: BTreeMap::new(),
            next: 0,
            gaps: Gaps::default(),
            work: JoinSet::new(),
            outgoing: Outgoing::default(),
            listed: None,
            heard: None,
            is_well: false,
            connect_at: instant,
            wait: FIRST_WAIT,
            ping_at: instant + PING,
            was_cut: false,
        }
    }

    /// The next item of the stream.
    pub(crate) async fn next(&mut self) -> Result<Batch> {
        loop {
            self.outgoing.land_now();
            self.forget();
            if let Some(batch) = self.ready() {
                return Ok(batch);
            }
            if self.link.is_none() && Instant::now() >= self.connect_at {
                match self.start().await {
                    Ok(()) => self.is_well = true,
                    Err(e) => {
                        self.back_off();
                        return Err(e);
                    }
                }
                continue;
            }
            self.start_work();
            let wake = self.wake();
            let may_take = self.waiting.len() < MOST_PENDING;
            tokio::select! {
                event = next_of(self.link.as_mut().filter(|_| may_take)) => match event {
                    Some(event) => self.take_events(event),
                    None => return Err(self.lost("the link to systemd's bus is gone")),
                },
                Some(done) = self.work.join_next() => {
                    if let Some(e) = self.done(done) {
                        return Err(e);
                    }
                }
                () = self.outgoing.land() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// There is no link any more.
    fn lost(&mut self, why: &str) -> Error {
        self.link = None;
        self.back_off();
        Error::new(
            ErrorKind::Unavailable,
            format!("{why}; it is looked for again"),
        )
    }

    fn back_off(&mut self) {
        self.link = None;
        self.connect_at = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    fn teller(&self) -> Teller {
        Teller {
            config: Arc::clone(&self.config),
            machine: Arc::clone(&self.machine),
            bus: self.link.as_ref().map(|l| Arc::clone(&l.bus)),
        }
    }

    /// Begins what is due, as much as may be done at a time.
    fn start_work(&mut self) {
        let now = Instant::now();
        while self.working.len() < AT_ONCE {
            let due = self
                .waiting
                .iter()
                .find(|(_, p)| p.due <= now)
                .map(|(n, _)| *n);
            let Some((number, mut pending)) = due.and_then(|n| self.waiting.remove_entry(&n))
            else {
                break;
            };
            let failed = self.failed.get(&pending.unit);
            if failed.is_some_and(|(run, _)| *run == pending.invocation_id) {
                pending.will_restart.get_or_insert(false);
            }
            self.working
                .insert(number, (pending.unit.clone(), pending.noticed));
            let (teller, known) = (self.teller(), self.described.get(&pending.unit).cloned());
            self.work.spawn(async move {
                Done::Told(number, teller.tell(pending, known).await.map(Box::new))
            });
        }
        if let Some((units, since)) = self.gaps.ask(now) {
            let config = Arc::clone(&self.config);
            self.work.spawn(async move {
                Done::Noted(units, gaps::ended(&config.journal, since).await)
            });
        }
        if let Some(link) = &self.link
            && now >= self.ping_at
        {
            self.ping_at = now + 2 * PING;
            let bus = Arc::clone(&link.bus);
            self.work.spawn(async move { Done::Ping(bus.ping().await) });
        }
    }

    /// Takes in what was done; an error is one of the source.
    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) -> Option<Error> {
        match done {
            Ok(Done::Told(number, record)) => {
                let noticed = self.working.remove(&number);
                if let Some(record) = record {
                    let noticed = noticed.map_or_else(|| self.config.clock.now(), |(_, at)| at);
                    self.outgoing.push(*record, noticed);
                }
                None
            }
            Ok(Done::Described(unit, about)) => {
                if about.is_loaded && self.known.contains_key(&unit) {
                    self.described.insert(unit, about);
                }
                None
            }
            Ok(Done::Noted(units, ended)) => {
                self.noted(&units, ended);
                None
            }
            Ok(Done::Ping(Ok(()))) => {
                self.ping_at = Instant::now() + PING;
                self.wait = FIRST_WAIT;
                None
            }
            Ok(Done::Ping(Err(e))) => {
                self.ping_at = Instant::now() + PING;
                Some(self.lost("systemd does not answer").with_source(e))
            }
            Err(e) if e.is_panic() => {
                Some(Error::internal("a part of the source broke").with_source(e))
            }
            Err(_) => None,
        }
    }

    /// When there is something to do if nothing happens.
    fn wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let waiting = match self.working.len() < AT_ONCE {
            true => self.waiting.values().map(|p| p.due).min(),
            false => None,
        };
        let link = match self.link {
            Some(_) => self.ping_at,
            None => self.connect_at,
        };
        let gone = match self.is_reloading {
            true => None,
            false => self.gone.values().min().copied(),
        };
        [
            waiting,
            gone,
            self.gaps.due(),
            self.outgoing.due(),
            Some(link),
        ]
        .into_iter()
        .flatten()
        .fold(far, Instant::min)
    }

    /// The next batch, if there is something to hand over.
    fn ready(&mut self) -> Option<Batch> {
        let is_due = self.outgoing.due().is_some_and(|at| at <= Instant::now());
        if !is_due && !self.is_well && self.listed.is_none() {
            return None;
        }
        self.is_well = false;
        let listed = self.listed.take();
        let mut held: Vec<Timestamp> = self.waiting.values().map(|p| p.noticed).collect();
        held.extend(self.working.values().map(|(_, at)| *at));
        held.extend(self.gaps.oldest());
        let oldest = held.into_iter().min();
        let is_cut = self.failed.len() > cursor::MOST;
        if is_cut && !std::mem::replace(&mut self.was_cut, true) {
            tracing::warn!(
                source = %self.config.name,
                units = self.failed.len(),
                "more units are failed than are noted; those of the rest may be told again after a restart"
            );
        }
        let (waiting, working) = (self.waiting.values(), self.working.values());
        let mut open: BTreeSet<String> = waiting.map(|p| p.unit.clone()).collect();
        open.extend(working.map(|(unit, _)| unit.clone()));
        let (heard, failed, cursor) = (self.heard, &self.failed, &mut self.cursor);
        let mut batch = self.outgoing.batch(|out| {
            let held = oldest.into_iter().chain(out.oldest()).min();
            // What was not heard of yet came after what was heard of.
            let since = heard.unwrap_or(cursor.since);
            cursor.since = held.map_or(since, |held| held.min(since)).max(cursor.first);
            open.extend(out.units().map(str::to_owned));
            cursor.failed = failed
                .iter()
                .filter(|(unit, _)| !open.contains(*unit))
                .take(cursor::MOST)
                .map(|(unit, (run, is_limit))| {
                    let mark = if *is_limit { "!" } else { "" };
                    (unit.clone(), format!("{run}{mark}"))
                })
                .collect();
            cursor.value()
        });
        if let Some(listed) = listed {
            batch = batch.with_listed(listed);
        }
        Some(batch)
    }

    /// Whether what was there before the first start is told.
    fn tells_backlog(&self) -> bool {
        self.config.backlog == Backlog::Report
    }
}

/// The next event of a link; never, without one.
async fn next_of(link: Option<&mut Link>) -> Option<Event> {
    match link {
        Some(link) => link.events.recv().await,
        None => pending().await,
    }
}
