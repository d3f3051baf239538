//! The stream of events of the leading master.
//!
//! One task opens it, reads it and opens it again when it ends, and does nothing else: a
//! master buffers without limit for a client that reads slowly. What it reads goes into a
//! queue that is bounded; when that is full the stream is closed, and the snapshot of the
//! next one tells what was missed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures_util::{FutureExt as _, StreamExt as _};
use notifier_core::{ByteStream, Error, ErrorKind, redact};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use url::Url;

use crate::{
    body::Pace,
    error::brief,
    inventory::Inventory,
    masters::{self, Call, Masters, Nobody, Opened, Refusal},
    recall::Recall,
    recordio::{Decoder, Piece},
    state::{
        Snapshot, Task,
        event::{Event, Update},
        is_final,
        v1::{Record, RecordReader},
    },
    wanted::Wanted,
};

/// How many deaths wait to be handed over at most.
const QUEUE: usize = 16 * 1024;
/// The largest event that is read. The snapshot has a limit of its own.
const MAX_EVENT: u64 = 16 * 1024 * 1024;
/// Pauses before the stream is opened again: about this after the first end, twice as much
/// after each further one, up to this.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A stream that lasted this long is no sign of trouble.
const STEADY: Duration = Duration::from_secs(60);
/// Silence for so many heartbeats says that the stream is dead.
const HEARTBEATS: f64 = 2.0;
/// For how long a master is asked for its version.
const VERSION: Duration = Duration::from_secs(2);
/// In place of "for ever", which an instant cannot hold.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What comes of the stream.
#[derive(Debug)]
pub(crate) enum Signal {
    /// A stream begins: all that has died, and from where.
    Began(Box<Began>),
    /// A status told that a task died.
    Died {
        task: Box<Task>,
        /// It was known before it died: its name and labels are not missing.
        is_known: bool,
        /// It died now, and is not one that came back dead with its agent.
        is_news: bool,
    },
    /// Something happened that events do not tell in full.
    Look(Cause),
    /// The stream ended; it is being opened again.
    Ended(Error),
    /// There is no stream to be had.
    Refused(Error),
}

/// Why the whole state should be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A task ended, and its status is not told yet.
    NoStatus,
    /// An executor was started that may have labels.
    Executor,
    /// A framework came, went or changed.
    Framework,
    /// An agent came: its ended tasks come with it, unannounced.
    Agent,
    /// An event could not be read.
    Unreadable,
}

#[derive(Debug)]
pub(crate) struct Began {
    pub(crate) snapshot: Snapshot,
    pub(crate) base: Url,
    pub(crate) version: String,
    /// Silence says that the stream is dead.
    pub(crate) has_heartbeat: bool,
}

/// The running stream; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    signals: mpsc::Receiver<Signal>,
    task: JoinHandle<()>,
    again: Arc<Notify>,
    heard: Heard,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscription {
    /// Begins to open the stream; `refused` is the pause after an answer that there is none.
    pub(crate) fn start(
        masters: Arc<Masters>,
        wanted: Arc<Wanted>,
        recall: Arc<Mutex<Recall>>,
        max: usize,
        refused: Duration,
    ) -> Self {
        let (tell, signals) = mpsc::channel(QUEUE);
        let again = Arc::new(Notify::new());
        let heard = Heard::default();
        let reader = Reader {
            masters,
            wanted,
            recall,
            max,
            refused,
            tell,
            again: Arc::clone(&again),
            heard: heard.clone(),
            inventory: Inventory::new(),
        };
        Self {
            signals,
            task: tokio::spawn(reader.run()),
            again,
            heard,
        }
    }

    /// The next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }

    /// The next signal if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<Signal> {
        self.signals.try_recv().ok()
    }

    /// For how long nothing was heard of the stream.
    pub(crate) fn silent(&self) -> Duration {
        self.heard
            .0
            .lock()
            .map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Opens the stream anew: what comes through it is not what it should be.
    pub(crate) fn reopen(&self) {
        self.again.notify_one();
    }
}

/// When the last record came.
#[derive(Clone, Debug)]
struct Heard(Arc<Mutex<Instant>>);

impl Default for Heard {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Heard {
    fn now(&self) {
        if let Ok(mut at) = self.0.lock() {
            *at = Instant::now();
        }
    }
}

struct Reader {
    masters: Arc<Masters>,
    wanted: Arc<Wanted>,
    recall: Arc<Mutex<Recall>>,
    max: usize,
    /// The pause after an answer that there is no such stream, or not for us.
    refused: Duration,
    tell: mpsc::Sender<Signal>,
    again: Arc<Notify>,
    heard: Heard,
    inventory: Inventory,
}

/// An open stream of which the snapshot has been read.
struct Stream {
    bytes: ByteStream,
    /// What is not read of the last piece.
    rest: Bytes,
    decoder: Decoder,
    /// How it may be called in errors.
    who: String,
    /// The longest silence.
    patience: Duration,
}

impl Reader {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let mut wait = None;
            let another_leads = self.masters.another_leads();
            let signal = match self.open().await {
                Ok(mut stream) => {
                    let again = Arc::clone(&self.again);
                    // What was wrong with an earlier one is no more.
                    let _ = again.notified().now_or_never();
                    // The stream is closed before anything else is done.
                    let end = tokio::select! {
                        e = self.follow(&mut stream) => e,
                        () = again.notified() => ended("it does not tell everything"),
                        () = another_leads => ended("another master leads"),
                    };
                    drop(stream);
                    Signal::Ended(end)
                }
                Err(Nobody { error, never: true }) => {
                    wait = Some(self.refused);
                    Signal::Refused(error)
                }
                Err(Nobody { error, .. }) => Signal::Ended(error),
            };
            if self.tell.send(signal).await.is_err() {
                return;
            }
            if begun.elapsed() >= STEADY {
                pause = FIRST_PAUSE;
            }
            let jitter = 0.5 + fastrand::f64() / 2.0;
            sleep(wait.unwrap_or(pause).mul_f64(jitter)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Opens the stream of the leading master and reads its snapshot.
    async fn open(&mut self) -> Result<Stream, Nobody> {
        let masters = Arc::clone(&self.masters);
        let mut round = masters.round(Call::Operator("SUBSCRIBE")).await;
        while let Some(opened) = round.next().await {
            let base = opened.base.clone();
            let version = timeout(VERSION, masters.version(&base));
            let (begun, version) = tokio::join!(self.begin(opened), version);
            let version = version.ok().flatten();
            match begun {
                Ok((stream, snapshot)) => {
                    round.leads(&base);
                    tracing::info!(
                        master = %redact::url(base.as_str()).trim_end_matches('/'),
                        "subscribed to the events of the leading master"
                    );
                    self.heard.now();
                    let began = Signal::Began(Box::new(Began {
                        snapshot,
                        base: base.clone(),
                        has_heartbeat: stream.patience < FOR_EVER,
                        version: version.unwrap_or_default(),
                    }));
                    match self.tell(began) {
                        Ok(()) => return Ok(stream),
                        Err(e) => round.refuse(base, Refusal::new(e.kind(), e.to_string())),
                    }
                }
                Err(refusal) => round.refuse(base, refusal),
            }
        }
        Err(round.nobody())
    }

    /// Reads until everything has been told that was before.
    async fn begin(&mut self, opened: Opened) -> Result<(Stream, Snapshot), Refusal> {
        let who = opened.who();
        if opened
            .answer
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/html"))
        {
            return Err(Refusal::new(
                ErrorKind::InvalidResponse,
                "answered a web page in place of events",
            ));
        }
        let max = u64::try_from(self.max).unwrap_or(u64::MAX);
        let mut stream = Stream {
            bytes: opened
                .answer
                .with_idle_timeout(FOR_EVER)
                .into_stream(u64::MAX),
            rest: Bytes::new(),
            decoder: Decoder::new(max),
            who,
            patience: FOR_EVER,
        };
        let pace = self.masters.pace();
        loop {
            self.inventory.begin();
            match stream
                .record(&self.wanted, &mut self.inventory, Some(pace))
                .await
            {
                Ok(Some(Record::Subscribed {
                    mut snapshot,
                    heartbeat,
                })) => {
                    self.inventory.end();
                    self.recall().learn(&mut snapshot, Instant::now());
                    stream.decoder.set_max(MAX_EVENT);
                    if let Some(seconds) = heartbeat.filter(|s| s.is_finite() && *s > 0.0) {
                        stream.patience = Duration::try_from_secs_f64(seconds * HEARTBEATS)
                            .unwrap_or(FOR_EVER)
                            .min(FOR_EVER);
                    }
                    return Ok((stream, snapshot));
                }
                // Up to 1.5.0 a heartbeat may come first.
                Ok(_) => {}
                Err(e) => return Err(Refusal::new(e.kind(), e.to_string())),
            }
        }
    }

    /// Reads events for as long as they come.
    async fn follow(&mut self, stream: &mut Stream) -> Error {
        loop {
            let record = stream.record(&self.wanted, &mut self.inventory, None).await;
            self.heard.now();
            let told = match record {
                Ok(Some(Record::Event(event))) => self.take(event),
                Ok(Some(Record::Other(kind))) => {
                    tracing::debug!(%kind, "an event of a kind that is not known");
                    Ok(())
                }
                Ok(Some(Record::Subscribed { .. } | Record::State(_))) => {
                    Err(ended("a second snapshot came"))
                }
                Ok(None) => self.hint(Cause::Unreadable),
                Err(e) => Err(e),
            };
            if let Err(e) = told {
                return e;
            }
        }
    }

    fn recall(&self) -> MutexGuard<'_, Recall> {
        self.recall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hint is left out where failures wait in plenty: a look comes anyway.
    fn hint(&self, cause: Cause) -> Result<(), Error> {
        if self.tell.capacity() < QUEUE / 2 {
            return Ok(());
        }
        self.tell(Signal::Look(cause))
    }

    fn tell(&self, signal: Signal) -> Result<(), Error> {
        self.tell
            .try_send(signal)
            .map_err(|_| ended("more failures came than could be taken in"))
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Heartbeat => {
                self.inventory.clean();
                Ok(())
            }
            Event::TaskAdded(task) => self.added(*task),
            Event::TaskUpdated(update) => self.updated(*update),
            Event::AgentAdded(agent) => {
                self.recall().learn_agent(agent, Instant::now());
                self.hint(Cause::Agent)
            }
            Event::AgentRemoved(_) => Ok(()),
            Event::FrameworkAdded { id, name }
            | Event::FrameworkUpdated { id, name }
            | Event::FrameworkRemoved { id, name } => {
                self.recall()
                    .learn_name(id.into(), name.into(), Instant::now());
                self.hint(Cause::Framework)
            }
            Event::Unknown => self.hint(Cause::Unreadable),
        }
    }

    /// A task was launched, or came back with its agent, maybe at its end already.
    fn added(&mut self, task: Task) -> Result<(), Error> {
        let has_ended = is_final(&task.state);
        self.inventory.add(&task, has_ended);
        if has_ended {
            if self.wanted.may_want(&task.state) {
                return self.died(task, true, false);
            }
        } else if !self.recall().knows_executor_of(&task) {
            return self.hint(Cause::Executor);
        }
        Ok(())
    }

    fn updated(&mut self, update: Update) -> Result<(), Error> {
        let newest = update.state.clone();
        let Some(told) = update.status.as_ref().map(|s| s.state.clone()) else {
            // 1.0 tells no status.
            return self.not_told(&newest);
        };
        let (task, is_known) = self.inventory.update(update, is_final(&told));
        if is_final(&newest) && told != newest {
            // Its start, or what a master adds to a task that had ended: that its agent was
            // lost, or its framework removed.
            self.not_told(&newest)
        } else if self.wanted.may_want(&told) {
            self.died(task, is_known, true)
        } else {
            Ok(())
        }
    }

    /// A task that may be a failure.
    fn died(&self, mut task: Task, is_known: bool, is_news: bool) -> Result<(), Error> {
        task.die_once(|state| self.wanted.may_want(state));
        if task.death_time().is_none() {
            return self.not_told(&task.state);
        }
        if !self.wanted.wants(&task) {
            return Ok(());
        }
        let task = Box::new(task);
        self.tell(Signal::Died {
            task,
            is_known,
            is_news,
        })
    }

    /// A task ended in this state, and its status is still to come.
    fn not_told(&self, state: &str) -> Result<(), Error> {
        if self.wanted.may_want(state) {
            self.hint(Cause::NoStatus)
        } else {
            Ok(())
        }
    }
}

impl Stream {
    /// The next record; nothing if it cannot be read. The snapshot has to come at this pace.
    async fn record(
        &mut self,
        wanted: &Wanted,
        inventory: &mut Inventory,
        pace: Option<Pace>,
    ) -> Result<Option<Record>, Error> {
        let may_want = |state: &str| wanted.may_want(state);
        let mut reader = None;
        let mut is_broken = false;
        let mut progress = pace.map(Pace::start);
        let silent = Instant::now() + self.patience;
        loop {
            loop {
                let mut rest = &self.rest[..];
                let piece = self.decoder.decode(&mut rest);
                let mut has_ended = false;
                match piece.map_err(|e| ended(&e.to_string()))? {
                    // An empty record is legal, and says nothing.
                    Some(Piece::Start(0)) => {}
                    Some(Piece::Start(_)) => {
                        reader = Some(RecordReader::new(may_want).with_live(pace.is_some()));
                    }
                    Some(Piece::Data(bytes)) => {
                        let mut live = |task: Task| inventory.add(&task, false);
                        if let Some(r) = &mut reader
                            && r.feed(bytes, &mut live).is_err()
                        {
                            reader = None;
                            is_broken = true;
                        }
                    }
                    Some(Piece::End) => has_ended = true,
                    None => break,
                }
                let used = self.rest.len() - rest.len();
                self.rest.advance(used);
                if is_broken && pace.is_some() {
                    return Err(ended("its snapshot cannot be read"));
                }
                if has_ended && is_broken {
                    return Ok(None);
                }
                if let Some(reader) = reader.take_if(|_| has_ended) {
                    return match reader.finish() {
                        Ok(record) => Ok(Some(record)),
                        Err(_) if pace.is_some() => Err(ended("its snapshot cannot be read")),
                        Err(_) => Ok(None),
                    };
                }
            }
            self.rest = match &mut progress {
                Some(progress) => progress
                    .next(&mut self.bytes)
                    .await
                    .map_err(|e| masters::unread(&e, &self.who).error())?,
                None => match timeout_at(silent, self.bytes.next()).await {
                    Ok(piece) => piece
                        .transpose()
                        .map_err(|e| Error::new(e.kind(), brief(&e, &self.who)))?,
                    Err(_) => {
                        let patience = self.patience.as_secs_f64();
                        return Err(ended(&format!("it was silent for {patience} s")));
                    }
                },
            }
            .ok_or_else(|| ended("it was closed"))?;
        }
    }
}

fn ended(why: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the stream of events ended: {why}"),
    )
}
