//! A running source: joins the failed runs of the cluster with what Chronos' API says.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use notifier_core::{Ack, Batch, Error, ErrorKind, FailureKey, FailureRecord, Result};
use serde_json::Value;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    ChronosSource, Notify,
    api::{Api, List},
    cursor::{self, Cursor},
    entry::Entry,
    outgoing::Outgoing,
    source::Config,
    task_id::TaskId,
    told::Judged,
};

/// How many failed runs wait at most.
const MOST_WAITING: usize = 500;
/// Lists that failures ask for are this far apart at least, and so many times as far as one
/// takes, but not further than the interval.
const GAP: Duration = Duration::from_millis(500);
const SHARE: u32 = 4;
/// So much longer than `settle` a failed run waits while nothing is known of its job and Chronos
/// cannot be read: nobody would know whom to tell.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(15 * 60);

/// A failed run that is not judged.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) failure: FailureRecord,
    pub(crate) job: String,
    /// From 0, if its id says so.
    pub(crate) attempt: Option<u32>,
    /// When the run was due, in milliseconds, if its id says so.
    pub(crate) due: Option<i64>,
    pub(crate) since: Instant,
    /// When it was heard of first, by the clock, in milliseconds.
    pub(crate) heard: i64,
    /// When it is judged by what is known of its job.
    pub(crate) deadline: Instant,
    /// When it is judged though nothing is known of its job.
    pub(crate) latest: Instant,
}

/// What a batch of the inner source has beside its failures.
struct Carried {
    baseline: Vec<FailureKey>,
    listed: Option<Vec<FailureKey>>,
    cursor: Option<Value>,
    ack: Ack,
}

/// An error as it stands in health until there is none.
#[derive(Debug, PartialEq)]
struct Trouble(ErrorKind, String);

impl Trouble {
    fn of(e: &Error) -> Self {
        Self(e.kind(), e.report().to_string())
    }
}

/// A running source.
pub(crate) struct Watch {
    pub(crate) config: Config,
    api: Arc<Api>,
    inner: Option<BoxStream<'static, Result<Batch>>>,
    pub(crate) has_inner: bool,
    pub(crate) jobs: HashMap<String, Entry>,
    pub(crate) waiting: VecDeque<Waiting>,
    judged: Judged,
    pub(crate) outgoing: Outgoing,
    carried: VecDeque<Carried>,
    /// The inner source's cursor that is stored.
    inner_cursor: Option<Value>,
    /// When a list was read last, by the clock, in milliseconds.
    pub(crate) listed: Option<i64>,
    /// When the last list that was read was asked for.
    pub(crate) list_begun: Option<Instant>,
    /// It had no jobs.
    pub(crate) is_list_empty: bool,
    /// Jobs of which Chronos counts failures that the cluster has not told.
    pub(crate) owed: BTreeSet<String>,
    reading: JoinSet<(Instant, Result<List>)>,
    next_list: Instant,
    /// When the last list was asked for, and how long it took.
    last_asked: Option<Instant>,
    cost: Duration,
    /// The wait between lists that failures ask for.
    gap: Duration,
    /// There is something new to be kept.
    pub(crate) is_changed: bool,
    /// All is well, and the other side is to hear it.
    is_well: bool,
    inner_trouble: Option<Trouble>,
    api_trouble: Option<Trouble>,
    /// There is new trouble, which nothing that was handed over has told.
    is_trouble_new: bool,
    was_cut: bool,
}

impl Watch {
    pub(crate) fn new(source: ChronosSource, cursor: Option<Value>) -> Self {
        let ChronosSource { config, api, inner } = source;
        let now = Instant::now();
        let cursor = cursor.map_or_else(Cursor::default, Cursor::read);
        let has_inner = inner.is_some();
        if let Some(warning) = blind_spot(config.notify, has_inner) {
            tracing::warn!(source = %config.name, "{warning}");
        }
        let mut watch = Self {
            api,
            inner: inner.map(|inner| inner.events(cursor.inner.clone())),
            has_inner,
            jobs: HashMap::new(),
            waiting: VecDeque::new(),
            judged: Judged::of_text(&cursor.judged),
            outgoing: Outgoing::default(),
            carried: VecDeque::new(),
            inner_cursor: cursor.inner,
            listed: cursor.listed,
            list_begun: None,
            is_list_empty: false,
            owed: BTreeSet::new(),
            reading: JoinSet::new(),
            next_list: now,
            last_asked: None,
            cost: Duration::ZERO,
            gap: GAP,
            is_changed: false,
            is_well: false,
            inner_trouble: None,
            api_trouble: None,
            is_trouble_new: false,
            was_cut: false,
            config,
        };
        for entry in cursor.jobs {
            watch.jobs.insert(entry.job.name.clone(), entry);
        }
        for failure in cursor.leaving {
            watch.outgoing.push(failure);
        }
        let mut heard = cursor.heard.into_iter();
        for failure in cursor.waiting {
            watch.wait_for(failure, heard.next());
        }
        watch
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Batch> {
        loop {
            self.land();
            self.judge();
            let batch = self.ready();
            let is_trouble_new = std::mem::take(&mut self.is_trouble_new);
            // What is in trouble shows in health until it is not.
            match (batch, self.trouble()) {
                (Some(batch), Some(e)) => return Ok(batch.with_trouble(e)),
                (Some(batch), None) => return Ok(batch),
                (None, Some(e)) if is_trouble_new => return Err(e),
                (None, _) => {}
            }
            self.start_list();
            let wake = self.wake();
            let landed = self.outgoing.landed();
            tokio::select! {
                biased;
                () = landed => {}
                Some(read) = self.reading.join_next() => self.read(read),
                item = next_of(&mut self.inner) => self.heard(item),
                () = sleep_until(wake) => {}
            }
        }
    }

    fn land(&mut self) {
        let news = self.outgoing.land();
        self.is_changed |= news.has_returned;
        if news.inner.is_some() {
            self.inner_cursor = news.inner;
        }
    }

    fn trouble(&self) -> Option<Error> {
        let all = [&self.inner_trouble, &self.api_trouble];
        let all: Vec<&Trouble> = all.into_iter().flatten().collect();
        let kind = all.first()?.0;
        let text: Vec<&str> = all.iter().map(|t| t.1.as_str()).collect();
        Some(Error::new(kind, text.join("; ")))
    }

    /// Takes in what the inner source says.
    fn heard(&mut self, item: Option<Result<Batch>>) {
        match item {
            Some(Ok(batch)) => self.take(batch),
            Some(Err(e)) => self.inner_fails(&e),
            None => {
                self.inner = None;
                self.inner_fails(&Error::internal("the source of failed tasks has ended"));
            }
        }
    }

    fn inner_fails(&mut self, e: &Error) {
        let trouble = Some(Trouble::of(e));
        self.is_trouble_new |= self.inner_trouble != trouble;
        self.inner_trouble = trouble;
    }

    fn take(&mut self, batch: Batch) {
        let Batch {
            failures,
            baseline,
            listed,
            cursor,
            trouble,
            ack,
            ..
        } = batch;
        self.inner_trouble = trouble.as_ref().map(Trouble::of);
        for key in &baseline {
            self.is_changed |= self.judged.note(key);
        }
        if let Some(listed) = &listed {
            self.judged.retain(listed);
        }
        for failure in failures {
            if self.config.frameworks.job_of(&failure).is_some() && self.judged.note(&failure.key) {
                self.is_changed = true;
                self.wait_for(failure, None);
            }
        }
        self.carried.push_back(Carried {
            baseline,
            listed,
            cursor,
            ack,
        });
    }

    /// A failed run waits; it was heard of first then, if not now.
    fn wait_for(&mut self, failure: FailureRecord, heard: Option<i64>) {
        let Some(job) = self.config.frameworks.job_of(&failure) else {
            return;
        };
        let id = TaskId::parse(&failure.id);
        let (attempt, due) = (id.as_ref().map(|id| id.attempt), id.map(|id| id.due));
        let now = Instant::now();
        let clock = self.config.clock.now().as_millisecond();
        let heard = heard.map_or(clock, |ms| ms.min(clock));
        // That of before a restart counts.
        let waited = Duration::from_millis(clock.abs_diff(heard));
        let deadline = now + self.config.settle;
        self.waiting.push_back(Waiting {
            failure,
            job,
            attempt,
            due,
            since: now,
            heard,
            deadline,
            latest: deadline + UNKNOWN.saturating_sub(waited.saturating_sub(self.config.settle)),
        });
        if self.waiting.len() > MOST_WAITING {
            // Rather now by what is known than never.
            let held = self.waiting.iter_mut().filter(|w| w.latest > now);
            if let Some(longest) = held.min_by_key(|w| (w.heard, w.since)) {
                (longest.deadline, longest.latest) = (now, now);
            }
        }
        self.gap = GAP;
        self.ask();
    }

    /// A list is wanted soon.
    fn ask(&mut self) {
        let gap = self.gap.max(self.cost.saturating_mul(SHARE));
        let gap = gap.min(self.config.interval);
        let now = Instant::now();
        let at = self.last_asked.map_or(now, |last| now.max(last + gap));
        self.next_list = self.next_list.min(at);
    }

    fn start_list(&mut self) {
        let now = Instant::now();
        if !self.reading.is_empty() || now < self.next_list {
            return;
        }
        self.last_asked = Some(now);
        self.next_list = now + self.config.interval;
        let api = Arc::clone(&self.api);
        self.reading.spawn(async move { (now, api.jobs().await) });
    }

    fn read(&mut self, read: Result<(Instant, Result<List>), JoinError>) {
        let (begun, list) = read.unwrap_or_else(|e| {
            let e = Error::internal(format!("reading the list of jobs ended unexpectedly: {e}"));
            (Instant::now(), Err(e))
        });
        self.cost = begun.elapsed();
        match list {
            Ok(list) => {
                if self.api_trouble.take().is_some() {
                    tracing::info!(source = %self.config.name, "Chronos answers again");
                    self.is_well = true;
                }
                self.is_well |= !self.has_inner;
                if list.skipped > 0 {
                    tracing::warn!(
                        source = %self.config.name,
                        entries = list.skipped,
                        "entries of the list of jobs cannot be read; they are left out"
                    );
                }
                self.list_begun = Some(begun);
                self.is_list_empty = list.jobs.is_empty();
                self.learn(list);
            }
            Err(e) => {
                let trouble = Some(Trouble::of(&e));
                self.is_trouble_new |= self.api_trouble != trouble;
                self.api_trouble = trouble;
            }
        }
        self.judge();
        if !self.waiting.is_empty() {
            self.gap = (self.gap * 2).min(self.config.interval);
            self.ask();
        }
    }

    /// When there is something to do if nothing happens.
    fn wake(&self) -> Instant {
        let mut wake = Instant::now() + Duration::from_secs(3600);
        if self.reading.is_empty() {
            wake = wake.min(self.next_list);
        }
        let owed = self.owed.iter().filter_map(|name| self.jobs.get(name));
        let owed = owed.filter_map(|e| Some(e.owed_since? + self.config.settle));
        let waiting = self.waiting.iter().map(|w| {
            let is_listed = self.jobs.get(&w.job).is_none_or(Entry::is_listed);
            if is_listed || self.is_fresh(w) {
                w.deadline
            } else {
                w.latest
            }
        });
        let leaving = self.outgoing.next_time();
        owed.chain(waiting).chain(leaving).fold(wake, Instant::min)
    }

    /// A list was read that was asked for after it.
    pub(crate) fn is_fresh(&self, run: &Waiting) -> bool {
        self.list_begun.is_some_and(|begun| begun >= run.since)
    }

    /// The next batch, if there is something to hand over.
    fn ready(&mut self) -> Option<Batch> {
        let failures = self.outgoing.take();
        let carried = self.carried.pop_front();
        let is_well = std::mem::take(&mut self.is_well);
        if failures.is_empty() && carried.is_none() && !self.is_changed && !is_well {
            return None;
        }
        let carried = carried.unwrap_or_else(|| Carried {
            baseline: Vec::new(),
            listed: None,
            cursor: None,
            ack: Ack::default(),
        });
        let is_noted = std::mem::take(&mut self.is_changed)
            || !failures.is_empty()
            || carried.cursor.is_some();
        let cursor = is_noted
            .then(|| self.cursor(carried.cursor.as_ref()))
            .flatten();
        let mut batch = Batch::new(failures.clone()).with_baseline(carried.baseline);
        if let Some(listed) = carried.listed {
            batch = batch.with_listed(listed);
        }
        if let Some(cursor) = cursor {
            batch = batch.with_cursor(cursor);
        }
        let stored = self.outgoing.depart(failures, carried.cursor, carried.ack);
        Some(batch.with_ack(stored))
    }

    /// The cursor that goes with a batch: what is taken out of `outgoing` for it is not in it.
    fn cursor(&mut self, inner: Option<&Value>) -> Option<Value> {
        let (jobs, left_out) = cursor::jobs_to_keep(self.jobs.values());
        if left_out > 0 && !std::mem::replace(&mut self.was_cut, true) {
            tracing::warn!(
                source = %self.config.name,
                jobs = left_out,
                "too much to be kept of all jobs; after a restart the rest of them is learned anew"
            );
        }
        Cursor {
            inner: inner.or(self.inner_cursor.as_ref()).cloned(),
            listed: self.listed,
            jobs,
            judged: self.judged.text(),
            waiting: self
                .waiting
                .iter()
                .map(|w| cursor::to_keep(&w.failure))
                .collect(),
            heard: self.waiting.iter().map(|w| w.heard).collect(),
            leaving: self.outgoing.all().map(cursor::to_keep).collect(),
            ..Cursor::default()
        }
        .value()
    }
}

/// The next item of the inner source; never, if there is none.
async fn next_of(inner: &mut Option<BoxStream<'static, Result<Batch>>>) -> Option<Result<Batch>> {
    match inner {
        Some(inner) => inner.next().await,
        None => pending().await,
    }
}

/// What cannot be seen of what is asked for.
fn blind_spot(notify: Notify, has_inner: bool) -> Option<&'static str> {
    (!has_inner && notify != Notify::Final).then_some(
        "chronos.notify asks for failed runs that Chronos tries again, and its API does not count them: only those that failed for good are seen; set the masters of its cluster, too (-masters or MASTERS)",
    )
}

#[cfg(test)]
mod tests;
