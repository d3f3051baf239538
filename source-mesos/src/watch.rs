//! A running source: joins the stream of events with looks at the whole.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
    vec,
};

use notifier_core::{Batch, FailureKey, FailureRecord, Result, jiff::Timestamp};
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use url::Url;

use crate::{
    exit,
    identity::{Identity, Victim},
    ledger::{Death, Ledger},
    look::{Form, Look, Seen},
    masters::Nobody,
    options::Api,
    recall::{Labels, Recall},
    sandbox::Trace,
    source::MesosSource,
    state::{Seconds, Task},
    subscription::{Began, Cause, Signal, Subscription},
};

/// How many failures a batch holds at most.
const BATCH: usize = 500;
/// For how long a death without a status waits for it, while events come: the status has
/// the message.
const GRACE: Duration = Duration::from_secs(5);
/// For how long a death of which not all is known waits for a look.
const ORPHAN: Duration = Duration::from_secs(10);
/// For how long it is remembered that an event told a death.
const RECENT: Duration = Duration::from_secs(60);
const MOST_RECENT: usize = 1024;
/// Looks that events ask for are this far apart at least, and so many times as far as one
/// takes: a master has better things to do.
const GAP: Duration = Duration::from_secs(2);
const SHARE: u32 = 10;
/// After a change of leaders agents and frameworks come back for some minutes.
const AFTER_FAILOVER: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(12 * 60),
];
/// After so many polls it is asked again whether there is a stream.
const REFUSED: u32 = 3;
/// What the other side did not store is handed over again after this, if nothing else is.
const REFUSED_AGAIN: Duration = Duration::from_millis(200);
/// Executors that are new are asked for after so long.
const EXECUTORS: Duration = Duration::from_millis(200);
/// Without events for so long the state is polled.
const POLL_AFTER: Duration = Duration::from_secs(10);
/// For how long an agent is asked for labels.
const AGENT: Duration = Duration::from_secs(3);
/// How many are asked at a time.
const AGENTS: usize = 32;
/// Of an older death the labels are not asked for: it was told before, most likely.
const LABELS_MS: i64 = 15 * 60 * 1000;
/// The pause after a look that failed, if the next one is not due earlier.
const AGAIN: Duration = Duration::from_secs(5);

/// What a look found, and what is still to be handed over of it.
struct Pending {
    fresh: vec::IntoIter<Death>,
    baseline: Vec<FailureKey>,
    /// Until the first batch.
    listed: Option<Vec<FailureKey>>,
}

/// A death of a task that is not known: only its ids are.
struct Orphan {
    task: Task,
    since: Instant,
}

/// Framework and executor.
type Executor = (Arc<str>, String);

/// A running source.
pub(crate) struct Watch {
    source: MesosSource,
    ledger: Ledger,
    recall: Arc<Mutex<Recall>>,
    /// Begun with the first call.
    subscription: Option<Subscription>,
    /// Events come.
    is_streaming: bool,
    /// Since when none come.
    since: Instant,
    /// There is no stream to be had, or none for too long.
    is_polling: bool,
    /// The operator API answers looks, too.
    form: Form,
    look: Option<Look>,
    /// When the next look is due.
    next: Instant,
    /// When a look at the executors is due.
    executors: Option<Instant>,
    /// Further looks, after a change of leaders.
    further: Vec<Instant>,
    last_look: Option<Instant>,
    last_executors: Option<Instant>,
    /// How long the last one of each took.
    cost: Duration,
    cost_of_executors: Duration,
    /// The master that is listened to.
    base: Option<Url>,
    scheme: String,
    version: String,
    events: VecDeque<Death>,
    pending: VecDeque<Pending>,
    orphans: Vec<Orphan>,
    /// Deaths of which the labels of the executor are asked for at the agent.
    asked: HashMap<Executor, Vec<(Task, bool)>>,
    asking: JoinSet<(Executor, Option<Labels>)>,
    /// Deaths that events told a short time ago.
    recent: HashMap<Victim, Instant>,
    /// With so many of these the old ones are forgotten.
    most_recent: usize,
    skipped: usize,
    /// Looks that failed, in a row.
    failed_looks: u32,
    /// What was not stored may be handed over again.
    is_turn_of_returned: bool,
    /// When the stream may be opened again after a panic.
    restart: Option<Instant>,
    /// The stream dies by silence.
    has_heartbeat: bool,
    /// How many agents are asked for labels at a time.
    agents: Arc<Semaphore>,
}

impl Watch {
    pub(crate) fn new(source: MesosSource, ledger: Ledger) -> Self {
        let now = Instant::now();
        let is_polling = source.api == Api::Poll;
        Self {
            source,
            ledger,
            recall: Arc::default(),
            subscription: None,
            is_streaming: false,
            since: now,
            is_polling,
            form: if is_polling {
                Form::Plain
            } else {
                Form::Operator
            },
            look: None,
            next: now,
            executors: None,
            further: Vec::new(),
            last_look: None,
            last_executors: None,
            cost: Duration::ZERO,
            cost_of_executors: Duration::ZERO,
            base: None,
            scheme: "http".to_owned(),
            version: String::new(),
            events: VecDeque::new(),
            pending: VecDeque::new(),
            orphans: Vec::new(),
            asked: HashMap::new(),
            asking: JoinSet::new(),
            recent: HashMap::new(),
            most_recent: MOST_RECENT,
            skipped: 0,
            failed_looks: 0,
            is_turn_of_returned: true,
            restart: None,
            has_heartbeat: false,
            agents: Arc::new(Semaphore::new(AGENTS)),
        }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Batch> {
        loop {
            if let Some(batch) = self.ready() {
                return Ok(batch);
            }
            self.start_stream();
            self.start_look();
            let wake = self.wake();
            tokio::select! {
                biased;
                signal = signal(&mut self.subscription) => {
                    self.heard(signal).await?;
                    self.hear_more().await?;
                }
                seen = seen(&mut self.look) => self.seen(seen).await?,
                Some(told) = self.asking.join_next() => self.answered(told),
                () = self.ledger.is_returned() => {}
                () = sleep_until(wake) => self.woke(),
            }
            self.is_turn_of_returned = true;
        }
    }

    fn start_stream(&mut self) {
        let is_time = self.restart.is_none_or(|at| Instant::now() >= at);
        if self.subscription.is_some() || self.source.api == Api::Poll || !is_time {
            return;
        }
        self.subscription = Some(Subscription::start(
            Arc::clone(&self.source.masters),
            Arc::clone(&self.source.wanted),
            Arc::clone(&self.recall),
            self.source.max,
            self.source.interval.saturating_mul(REFUSED),
        ));
    }

    /// When there is something to do if nothing happens.
    fn wake(&self) -> Instant {
        let mut wake = Instant::now() + Duration::from_secs(3600);
        if self.look.is_none() && (self.is_streaming || self.is_polling) {
            wake = wake.min(self.next);
            wake = self.executors.iter().fold(wake, |wake, at| wake.min(*at));
            wake = self.further.iter().fold(wake, |wake, at| wake.min(*at));
        }
        if !self.is_streaming && !self.is_polling && self.source.api == Api::Auto {
            wake = wake.min(self.since + POLL_AFTER);
        }
        if let (Some(at), None) = (self.restart, &self.subscription) {
            wake = wake.min(at);
        }
        if self.ledger.has_returned() {
            wake = wake.min(Instant::now() + REFUSED_AGAIN);
        }
        let orphans = self.orphans.iter().map(|o| o.since + ORPHAN);
        orphans.fold(wake, Instant::min)
    }

    fn woke(&mut self) {
        let now = Instant::now();
        if !self.is_streaming
            && !self.is_polling
            && self.source.api == Api::Auto
            && now >= self.since + POLL_AFTER
        {
            self.poll("the stream of events does not come about");
        }
        // Whoever waited for long enough is reported with what is known.
        let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.orphans)
            .into_iter()
            .partition(|o| now >= o.since + ORPHAN);
        self.orphans = waiting;
        for orphan in due {
            self.died_or_ask(orphan.task, true);
        }
    }

    /// Polls until events come.
    fn poll(&mut self, why: &str) {
        tracing::info!(
            why,
            interval = ?self.source.interval,
            "the state of the master is polled"
        );
        self.is_polling = true;
        self.next = Instant::now();
    }

    /// Starts a look if one is due and none is being taken.
    fn start_look(&mut self) {
        let now = Instant::now();
        if self.look.is_some() || !(self.is_streaming || self.is_polling) {
            return;
        }
        let is_further = self.further.iter().any(|at| now >= *at);
        let form = if now >= self.next || is_further {
            self.further.retain(|at| now < *at);
            self.last_look = Some(now);
            self.next = now + self.pace();
            // What does not work in one form may in the other.
            if self.source.api == Api::Poll || self.failed_looks % 2 == 1 {
                Form::Plain
            } else {
                self.form
            }
        } else if self.executors.is_some_and(|at| now >= at) {
            self.last_executors = Some(now);
            Form::Executors
        } else {
            return;
        };
        self.executors = None;
        self.look = Some(Look::start(
            form,
            Arc::clone(&self.source.masters),
            Arc::clone(&self.source.wanted),
            self.source.max,
        ));
    }

    /// From one look to the next.
    fn pace(&self) -> Duration {
        if self.is_streaming {
            self.source.sweep
        } else {
            self.source.interval
        }
    }

    /// A look is wanted after this time.
    fn look_in(&mut self, wait: Duration) {
        let at = self.not_before(wait, self.last_look, self.cost);
        self.next = self.next.min(at);
    }

    /// A look at the executors is wanted soon. It is far cheaper.
    fn look_at_executors(&mut self) {
        if !self.is_streaming {
            return;
        }
        if self.form == Form::Plain {
            return self.look_in(EXECUTORS);
        }
        let at = self.not_before(EXECUTORS, self.last_executors, self.cost_of_executors);
        self.executors = Some(self.executors.map_or(at, |due| due.min(at)));
    }

    fn not_before(&self, wait: Duration, last: Option<Instant>, cost: Duration) -> Instant {
        let at = Instant::now() + wait;
        let gap = GAP.max(cost.saturating_mul(SHARE));
        let gap = gap.min(self.source.sweep.max(GAP));
        last.map_or(at, |last| at.max(last + gap))
    }

    async fn heard(&mut self, signal: Option<Signal>) -> Result<()> {
        match signal {
            Some(Signal::Began(began)) => return self.began(*began).await,
            Some(Signal::Died {
                task,
                is_known,
                is_news,
            }) => {
                self.remember_event(&task);
                if is_known {
                    self.died_or_ask(*task, is_news);
                } else {
                    self.orphans.push(Orphan {
                        task: *task,
                        since: Instant::now(),
                    });
                    self.look_in(Duration::ZERO);
                }
            }
            Some(Signal::Look(cause)) => match cause {
                Cause::Executor => self.look_at_executors(),
                Cause::Unreadable => self.look_in(Duration::ZERO),
                Cause::NoStatus | Cause::Framework | Cause::Agent => {
                    self.look_in(Duration::from_secs(2));
                }
            },
            Some(Signal::Ended(e)) => {
                if self.is_streaming {
                    self.is_streaming = false;
                    self.since = Instant::now();
                }
                if !self.is_polling {
                    return Err(e);
                }
                tracing::debug!(why = %e, "no events");
            }
            Some(Signal::Refused(e)) => {
                self.is_streaming = false;
                if self.source.api == Api::Stream {
                    return Err(e);
                }
                if !self.is_polling {
                    self.poll(&e.to_string());
                }
            }
            None => {
                // The reader panicked: begin anew.
                self.subscription = None;
                self.restart = Some(Instant::now() + AGAIN);
                if std::mem::take(&mut self.is_streaming) {
                    self.since = Instant::now();
                }
                return Err(notifier_core::Error::internal(
                    "reading the events ended unexpectedly; it begins anew",
                ));
            }
        }
        Ok(())
    }

    fn remember_event(&mut self, task: &Task) {
        let now = Instant::now();
        if self.recent.len() >= self.most_recent {
            // A look that is being taken may know less than the events since it began.
            self.forget_events(self.look.as_ref().map_or(now, |look| look.begun));
            self.most_recent = MOST_RECENT.max(self.recent.len() * 2);
        }
        self.recent.insert(Victim::of(task), now);
    }

    /// Forgets events that are old, and older than this.
    fn forget_events(&mut self, before: Instant) {
        let now = Instant::now();
        self.recent
            .retain(|_, at| *at >= before || now.duration_since(*at) <= RECENT);
    }

    /// Takes in what has come already, up to a batch.
    async fn hear_more(&mut self) -> Result<()> {
        while self.events.len() < BATCH && self.pending.is_empty() {
            let Some(signal) = self.subscription.as_mut().and_then(Subscription::try_next) else {
                break;
            };
            self.heard(Some(signal)).await?;
        }
        Ok(())
    }

    async fn began(&mut self, began: Began) -> Result<()> {
        let Began {
            snapshot,
            base,
            version,
            has_heartbeat,
        } = began;
        self.has_heartbeat = has_heartbeat;
        let now = Instant::now();
        if self.is_polling {
            tracing::info!("events come: the state is not polled any more");
        }
        self.is_streaming = true;
        self.is_polling = false;
        self.form = Form::Operator;
        let is_other = self.base.as_ref().is_some_and(|b| *b != base);
        if is_other || snapshot.settling {
            self.further = AFTER_FAILOVER.iter().map(|after| now + *after).collect();
        }
        if !version.is_empty() {
            self.version = version;
        }
        base.scheme().clone_into(&mut self.scheme);
        self.base = Some(base);
        self.next = now + self.source.sweep;
        self.look_in(GRACE);
        // Of what a look that began before would tell nothing is new.
        self.look = None;
        self.list(snapshot.tasks, snapshot.settling, snapshot.skipped, now)
            .await
    }

    async fn seen(&mut self, seen: Result<Seen, Nobody>) -> Result<()> {
        let Some(look) = self.look.take() else {
            return Ok(());
        };
        let Seen { mut snapshot, base } = match seen {
            Ok(seen) => seen,
            Err(nobody) => {
                if look.form != Form::Plain && (nobody.never || look.form == Form::Executors) {
                    // In the other form, then.
                    tracing::debug!(why = %nobody.error, form = ?look.form, "cannot look so");
                    if nobody.never {
                        self.form = Form::Plain;
                    }
                    self.look_in(Duration::ZERO);
                    return Ok(());
                }
                self.failed_looks = self.failed_looks.saturating_add(1);
                let wait = AGAIN.saturating_mul(self.failed_looks).min(self.pace());
                self.next = self.next.min(Instant::now() + wait);
                return Err(nobody.error);
            }
        };
        if look.form == Form::Plain {
            base.scheme().clone_into(&mut self.scheme);
            self.version.clone_from(&snapshot.version);
        }
        if self.is_streaming && self.base.as_ref().is_some_and(|b| *b != base) {
            self.reopen("another master leads");
        }
        if look.form == Form::Executors {
            self.recall().take_in(&mut snapshot, Instant::now());
            self.cost_of_executors = look.lasts();
            return Ok(());
        }
        self.recall().learn(&mut snapshot, Instant::now());
        self.failed_looks = 0;
        self.cost = look.lasts();
        tracing::debug!(took = ?self.cost, form = ?look.form, "looked at the state");
        self.list(
            snapshot.tasks,
            snapshot.settling,
            snapshot.skipped,
            look.begun,
        )
        .await
    }

    fn reopen(&self, why: &str) {
        tracing::info!(why, "the stream of events is opened anew");
        if let Some(subscription) = &self.subscription {
            subscription.reopen();
        }
    }

    /// Takes in all deaths that a master lists, in an answer that was asked for then.
    async fn list(
        &mut self,
        mut deaths: Vec<Task>,
        settling: bool,
        skipped: usize,
        asked: Instant,
    ) -> Result<()> {
        if skipped != self.skipped {
            self.skipped = skipped;
            tracing::warn!(
                tasks = skipped,
                "tasks that cannot be read, or have no id or state, were left out"
            );
        }
        let wanted = Arc::clone(&self.source.wanted);
        self.forget_events(asked);
        let recent = &self.recent;
        for task in &mut deaths {
            task.die_once(|state| wanted.may_want(state));
        }
        // What an event told meanwhile is known better than this answer knows it.
        deaths.retain(|task| {
            wanted.wants(task)
                && (recent.is_empty()
                    || task.death_time().is_some()
                    || recent
                        .get(&Victim::of(task))
                        .is_none_or(|told| *told < asked))
        });
        let mut listing = self.ledger.list(deaths, settling).await?;
        if self.is_streaming {
            self.wait_for_statuses(&mut listing.fresh);
            self.check_stream(&listing.fresh);
        }
        tracing::debug!(
            listed = listing.listed.len(),
            new = listing.fresh.len(),
            baseline = listing.baseline.len(),
            "listed"
        );
        self.ask_for_labels(&mut listing.fresh);
        self.adopt(&listing.listed, asked);
        self.pending.push_back(Pending {
            fresh: listing.fresh.into_iter(),
            baseline: listing.baseline,
            listed: Some(listing.listed),
        });
        Ok(())
    }

    /// Leaves out deaths without a status for as long as it may still come.
    fn wait_for_statuses(&mut self, fresh: &mut Vec<Death>) {
        let now = self.ledger.now();
        let grace = i64::try_from(GRACE.as_millis()).unwrap_or(i64::MAX);
        let mut again = None;
        fresh.retain(|(_, identity)| {
            let Some(seen) = identity.seen_ms else {
                return true;
            };
            let left = seen.saturating_add(grace).saturating_sub(now);
            if left > 0 && left <= grace {
                again = again.max(Some(left));
                false
            } else {
                true
            }
        });
        if let Some(left) = again {
            self.look_in(Duration::from_millis(left.unsigned_abs()));
        }
    }

    /// A stream that told nothing since the look before, while this one finds deaths, is dead.
    fn check_stream(&mut self, fresh: &[Death]) {
        let Some(subscription) = self.subscription.as_ref().filter(|_| !self.has_heartbeat) else {
            return;
        };
        let is_told = fresh
            .iter()
            .any(|(_, identity)| identity.status_ms.is_some());
        if is_told && subscription.silent() >= self.source.sweep.max(GRACE) {
            self.reopen("a look found failures of which it did not tell");
        }
    }

    /// Leaves out deaths whose executors are gone, until their labels are known.
    fn ask_for_labels(&mut self, fresh: &mut Vec<Death>) {
        let oldest = self.ledger.now().saturating_sub(LABELS_MS);
        let unknown: Vec<Death> = {
            let recall = self.recall();
            fresh
                .extract_if(.., |(task, identity)| {
                    identity.status_ms.is_some_and(|ms| ms >= oldest)
                        && !recall.knows_executor_of(task)
                })
                .collect()
        };
        for (task, _) in unknown {
            self.died_or_ask(task, false);
        }
    }

    /// Deaths of which not all was known are in a listing that was asked for after them, or
    /// nothing more will be known.
    fn adopt(&mut self, listed: &[FailureKey], asked: Instant) {
        if self.orphans.is_empty() {
            return;
        }
        let listed: HashSet<&FailureKey> = listed.iter().collect();
        let (older, newer): (Vec<_>, Vec<_>) = std::mem::take(&mut self.orphans)
            .into_iter()
            .partition(|o| o.since <= asked);
        self.orphans = newer;
        for Orphan { task, .. } in older {
            let identity = self.identity(&task, true);
            if identity.is_some_and(|identity| !listed.contains(&identity.key)) {
                self.died_or_ask(task, true);
            }
        }
    }

    /// The master may have forgotten the executor of a task that died soon; its agent has not.
    fn died_or_ask(&mut self, task: Task, is_news: bool) {
        let died = task.death_time().map_or(i64::MAX, Seconds::millis);
        let is_old = died < self.ledger.now().saturating_sub(LABELS_MS);
        if is_old || self.recall().knows_executor_of(&task) {
            return self.died(task, is_news);
        }
        let executor = (Arc::clone(&task.framework), task.executor.clone());
        if let Some(waiting) = self.asked.get_mut(&executor) {
            return waiting.push((task, is_news));
        }
        let trace = self.trace(&self.recall(), &task, None);
        let locator = self.source.locator.clone();
        self.asked.insert(executor.clone(), vec![(task, is_news)]);
        let agents = Arc::clone(&self.agents);
        self.asking.spawn(async move {
            let _permit = agents.acquire().await;
            let labels = timeout(AGENT, locator.labels(&trace)).await;
            (executor, labels.ok().flatten())
        });
    }

    fn answered(&mut self, told: Result<(Executor, Option<Labels>), JoinError>) {
        let Ok((executor, labels)) = told else {
            // One panicked, and it is not known which.
            let asked = std::mem::take(&mut self.asked);
            for (task, is_news) in asked.into_values().flatten() {
                self.died(task, is_news);
            }
            return;
        };
        let waiting = self.asked.remove(&executor).unwrap_or_default();
        if let Some(labels) = labels {
            let (framework, id) = executor;
            self.recall()
                .learn_labels(framework, id, labels, Instant::now());
        }
        for (task, is_news) in waiting {
            self.died(task, is_news);
        }
    }

    fn identity(&mut self, task: &Task, is_news: bool) -> Option<Identity> {
        self.ledger.event(task, task.death_time()?, is_news)
    }

    fn died(&mut self, task: Task, is_news: bool) {
        if let Some(identity) = self.identity(&task, is_news) {
            self.events.push_back((task, identity));
        }
    }

    /// The next batch, if there is something to hand over.
    fn ready(&mut self) -> Option<Batch> {
        // The first batch of a listing says what was there before the first start.
        let is_listing = self.pending.front().is_some_and(|p| p.listed.is_some());
        if !is_listing {
            // What was refused takes turns with the rest, so that it holds up nothing.
            if std::mem::take(&mut self.is_turn_of_returned)
                && let Some(returned) = self.ledger.returned()
            {
                let is_last = self.pending.is_empty();
                return Some(self.ledger.batch(returned, Vec::new(), None, is_last));
            }
            if !self.events.is_empty() {
                self.is_turn_of_returned = true;
                let n = self.events.len().min(BATCH);
                let deaths: Vec<Death> = self.events.drain(..n).collect();
                let failures = self.records(deaths);
                let is_last = self.pending.is_empty();
                return Some(self.ledger.batch(failures, Vec::new(), None, is_last));
            }
        }
        let mut pending = self.pending.pop_front()?;
        self.is_turn_of_returned = true;
        let deaths: Vec<Death> = pending.fresh.by_ref().take(BATCH).collect();
        let failures = self.records(deaths);
        let baseline = std::mem::take(&mut pending.baseline);
        let listed = pending.listed.take();
        let is_last = pending.fresh.len() == 0;
        if !is_last {
            self.pending.push_front(pending);
        }
        Some(self.ledger.batch(failures, baseline, listed, is_last))
    }

    fn recall(&self) -> MutexGuard<'_, Recall> {
        self.recall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self, deaths: Vec<Death>) -> Vec<FailureRecord> {
        let recall = self.recall();
        deaths
            .into_iter()
            .map(|(mut task, identity)| {
                recall.complete(&mut task);
                self.record(&recall, task, identity)
            })
            .collect()
    }

    fn trace(&self, recall: &Recall, task: &Task, died: Option<i64>) -> Trace {
        let agent = recall.agent(&task.agent);
        Trace::new(task, agent, &self.scheme, &self.version, died)
    }

    fn record(&self, recall: &Recall, task: Task, identity: Identity) -> FailureRecord {
        let agent = recall.agent(&task.agent);
        let trace = self.trace(recall, &task, identity.status_ms);
        let mut f = FailureRecord::new(&task.id, &task.name, &task.state, identity.finished);
        f.host = agent.map(|a| a.hostname.clone()).unwrap_or_default();
        f.framework = task.framework_name.as_ref().to_owned();
        f.started = task
            .start_time()
            .and_then(|t| Timestamp::from_second(t.whole()).ok());
        if let Some(death) = task.death() {
            f.message.clone_from(&death.message);
            f.reason.clone_from(&death.reason);
            f.exit_code = death.message.as_deref().and_then(exit::code);
            f.healthy = death.healthy;
        }
        f.image = task.image;
        f.labels = task.labels;
        f.source.clone_from(&self.source.name);
        f.key = identity.key;
        f.locator = serde_json::to_value(trace).ok();
        f
    }
}

/// The next signal of the stream; never, if there is none.
async fn signal(subscription: &mut Option<Subscription>) -> Option<Signal> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => pending().await,
    }
}

/// What the look sees; never, if none is being taken.
async fn seen(look: &mut Option<Look>) -> Result<Seen, Nobody> {
    match look {
        Some(look) => look.seen().await,
        None => pending().await,
    }
}
