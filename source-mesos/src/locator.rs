//! Finding logs on agents, and reading them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use notifier_core::{
    ByteStream, Delivery, Error, ErrorKind, FailureRecord, LogLocator, LogStream, Result, Retry,
};
use notifier_http::{HttpClient, StreamAnswer};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{
    body::{Pace, Unread},
    error::brief,
    options::Credentials,
    sandbox::{self, Trace},
    state::agent::{self, AgentState},
};

/// For how long one look-up serves.
const FRESH: Duration = Duration::from_secs(5);
/// A sandbox that is not found is looked up again in a state newer than the question,
/// but not more often than this.
const AGAIN: Duration = Duration::from_secs(1);
/// For how long an agent that does not answer is left alone.
const DEAD: Duration = Duration::from_secs(30);
/// For how long an agent that answers with an error is left alone.
const TROUBLED: Duration = Duration::from_secs(2);
/// Connections that fail at once may come about a moment later: so many are tried, with
/// this pause between, before the agent counts as one that does not answer.
const STRIKES: u32 = 3;
const MOMENT: Duration = Duration::from_millis(400);
/// What counts as at once.
const QUICK: Duration = Duration::from_secs(1);
/// How many agents are kept in mind.
const MAX_AGENTS: usize = 256;
/// How many logs are read from one agent at a time.
const DOWNLOADS: usize = 4;
/// Larger states are read off the async threads.
const BLOCKING: usize = 256 * 1024;
/// How many agents' states are read at a time.
const READERS: usize = 4;
/// No agent's state is as large as this, whatever may be read from a master.
const MAX_STATE: usize = 128 * 1024 * 1024;
/// The logs of a sandbox.
const FILES: [&str; 2] = ["stdout", "stderr"];

/// Finds the logs of a [`MesosSource`](crate::MesosSource)'s failures on the agents, and
/// reads them. A cheap handle.
///
/// One look-up serves all failures of an agent for 5 s; an agent that does not answer is
/// left alone for 30 s; at most 4 logs are read from one agent at a time, and the states of
/// at most 4 agents, of 128 MiB each. A look-up that was started is brought to its end even if nobody waits for it any more.
#[derive(Clone)]
pub struct MesosLogLocator(Arc<Inner>);

struct Inner {
    client: HttpClient,
    scheme: Option<String>,
    credentials: Option<Credentials>,
    max: usize,
    pace: Pace,
    readers: Semaphore,
    agents: Mutex<HashMap<String, Arc<Slot>>>,
}

/// What is known of one agent.
struct Slot {
    state: Mutex<SlotState>,
    downloads: Arc<Semaphore>,
    /// Its host name does not lead there, its process address does.
    by_process: AtomicBool,
}

#[derive(Default)]
struct SlotState {
    used: Option<Instant>,
    known: Option<Known>,
    trouble: Option<(Instant, Trouble)>,
    flight: Option<watch::Receiver<Option<Looked>>>,
    /// Connections that failed at once, in a row.
    strikes: u32,
}

/// An agent's state and when it was asked for.
#[derive(Clone)]
struct Known {
    asked: Instant,
    agent: Arc<AgentState>,
}

type Looked = Result<Known, Trouble>;

/// Why an agent's state could not be read.
#[derive(Clone)]
struct Trouble {
    kind: ErrorKind,
    text: String,
    /// For how long to leave it alone.
    pause: Duration,
    /// Asking again may help.
    again: bool,
    /// No connection came about.
    no_connection: bool,
}

/// What reads one log, in [`LogStream::fetch`].
#[derive(Serialize, Deserialize)]
struct Fetch {
    path: String,
}

impl MesosLogLocator {
    pub(crate) fn new(
        client: HttpClient,
        scheme: Option<String>,
        credentials: Option<Credentials>,
        max: usize,
        pace: Pace,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            scheme,
            credentials,
            max: max.min(MAX_STATE),
            pace,
            readers: Semaphore::new(READERS),
            agents: Mutex::default(),
        }))
    }
}

impl fmt::Debug for MesosLogLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MesosLogLocator")
            .field("scheme", &self.0.scheme)
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl LogLocator for MesosLogLocator {
    async fn locate(&self, failure: &FailureRecord) -> Result<Vec<LogStream>> {
        let trace = trace(failure)?;
        let Some(address) = trace.address() else {
            let text = if trace.agent.is_empty() {
                "the agent is not known".to_owned()
            } else {
                format!("the master does not know agent {}", trace.agent)
            };
            return Err(Error::new(ErrorKind::Rejected, text));
        };
        let slot = self.0.slot(&trace);
        let start = Instant::now();
        let mut known = self.0.look_up(&slot, &trace, None).await?;
        let mut directory = sandbox::find(&known.agent, failure, &trace);
        if directory.is_none() && known.asked < start {
            tokio::time::sleep_until(known.asked + AGAIN).await;
            known = self.0.look_up(&slot, &trace, Some(start)).await?;
            directory = sandbox::find(&known.agent, failure, &trace);
        }
        let Some(directory) = directory else {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!("the sandbox is gone from agent {}", trace.agent_name()),
            ));
        };
        let scheme = self.0.scheme(&trace);
        Ok(FILES
            .iter()
            .map(|file| {
                let log = LogStream::new(*file, sandbox::link(scheme, &address, &directory, file));
                match serde_json::to_value(Fetch {
                    path: format!("{directory}/{file}"),
                }) {
                    Ok(fetch) => log.with_fetch(fetch),
                    Err(_) => log,
                }
            })
            .collect())
    }

    async fn open(&self, failure: &FailureRecord, log: &LogStream) -> Result<ByteStream> {
        let trace = trace(failure)?;
        let fetch = log
            .fetch
            .clone()
            .and_then(|f| serde_json::from_value::<Fetch>(f).ok());
        let Some(Fetch { path }) = fetch else {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!("{} has no note of its path", log.name),
            ));
        };
        let slot = self.0.slot(&trace);
        let permit = Arc::clone(&slot.downloads)
            .acquire_owned()
            .await
            .map_err(|_| Error::internal("downloads were closed"))?;
        let agent = trace.agent_name();
        let url = |address: &str| sandbox::download_url(self.0.scheme(&trace), address, &path);
        let mut answer = self
            .0
            .ask(&slot, &trace, url)
            .await
            .map_err(|t| t.error(None))?;
        if answer.status() == 404 && trace.mesos.starts_with("0.") {
            // Before 0.25.
            let old = |address: &str| {
                url(address).replacen("/files/download?", "/files/download.json?", 1)
            };
            answer = self
                .0
                .ask(&slot, &trace, old)
                .await
                .map_err(|t| t.error(None))?;
        }
        match answer.status() {
            200 => {}
            404 => {
                return Err(Error::new(
                    ErrorKind::Rejected,
                    format!("{} is gone from agent {agent}", log.name),
                ));
            }
            401 | 403 => {
                let e = Error::new(
                    ErrorKind::PermissionDenied,
                    format!("agent {agent} does not let us read sandboxes"),
                );
                return Err(e.with_code(answer.status().to_string()));
            }
            status => {
                let retry = if status >= 500 {
                    Retry::Later { after: None }
                } else {
                    Retry::Never
                };
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("agent {agent} answered {status} for {}", log.name),
                )
                .with_retry(retry)
                .with_code(status.to_string()));
            }
        }
        if answer
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/html"))
        {
            let text = format!("agent {agent} answered a web page for {}", log.name);
            return Err(Error::new(ErrorKind::InvalidResponse, text));
        }
        Ok(answer
            .into_stream(u64::MAX)
            .map(move |piece| {
                let _held = &permit;
                piece
            })
            .boxed())
    }
}

fn trace(failure: &FailureRecord) -> Result<Trace> {
    let trace = failure
        .locator
        .clone()
        .and_then(|l| serde_json::from_value::<Trace>(l).ok());
    trace.ok_or_else(|| {
        Error::new(
            ErrorKind::Rejected,
            "the failure has no note of its sandbox",
        )
    })
}

impl Inner {
    fn scheme<'a>(&'a self, trace: &'a Trace) -> &'a str {
        match (&self.scheme, trace.scheme.as_str()) {
            (Some(scheme), _) => scheme,
            (None, "https") => "https",
            _ => "http",
        }
    }

    fn slot(&self, trace: &Trace) -> Arc<Slot> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!(
            "{} {} {}",
            self.scheme(trace),
            trace.agent_name(),
            trace.process.as_deref().unwrap_or("")
        );
        if agents.len() >= MAX_AGENTS && !agents.contains_key(&id) {
            let oldest = agents
                .iter()
                .min_by_key(|(_, slot)| slot.lock().used)
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                agents.remove(&oldest);
            }
        }
        let slot = agents.entry(id).or_insert_with(|| {
            Arc::new(Slot {
                state: Mutex::default(),
                downloads: Arc::new(Semaphore::new(DOWNLOADS)),
                by_process: AtomicBool::new(false),
            })
        });
        slot.lock().used = Some(Instant::now());
        Arc::clone(slot)
    }

    /// The agent's state, not older than `since` if that is given and it can be had.
    async fn look_up(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        trace: &Trace,
        since: Option<Instant>,
    ) -> Result<Known> {
        let mut waits = 0;
        loop {
            let mut flight = {
                let now = Instant::now();
                let mut state = slot.lock();
                if let Some(known) = &state.known
                    && now.duration_since(known.asked) < FRESH
                    && since.is_none_or(|s| known.asked >= s || waits > 1)
                {
                    return Ok(known.clone());
                }
                if let Some((until, trouble)) = &state.trouble
                    && now < *until
                {
                    return Err(trouble.error(Some(*until - now)));
                }
                // One that panicked tells nothing.
                if state.flight.as_ref().is_some_and(is_lost) {
                    state.flight = None;
                }
                state
                    .flight
                    .get_or_insert_with(|| self.start(slot, trace))
                    .clone()
            };
            let looked = match flight.wait_for(Option::is_some).await {
                Ok(looked) => looked.clone(),
                Err(_) => None,
            };
            waits += 1;
            match looked {
                Some(Ok(known)) if since.is_none_or(|s| known.asked >= s || waits > 1) => {
                    return Ok(known);
                }
                Some(Ok(_)) => {}
                Some(Err(trouble)) => return Err(trouble.error(Some(trouble.pause))),
                None => return Err(Error::internal("the look-up on the agent was broken off")),
            }
        }
    }

    /// Starts a look-up that goes on by itself: who waits may give up, what it finds is kept.
    fn start(self: &Arc<Self>, slot: &Arc<Slot>, trace: &Trace) -> watch::Receiver<Option<Looked>> {
        let (tell, told) = watch::channel(None);
        let (this, slot, trace) = (Arc::clone(self), Arc::clone(slot), trace.clone());
        tokio::spawn(async move {
            let asked = Instant::now();
            let mut looked = this.read_state(&slot, &trace).await.map(|agent| Known {
                asked,
                agent: Arc::new(agent),
            });
            {
                let mut state = slot.lock();
                state.flight = None;
                match &mut looked {
                    Ok(known) => {
                        state.known = Some(known.clone());
                        state.trouble = None;
                        state.strikes = 0;
                    }
                    Err(trouble) => {
                        tracing::debug!(agent = %trace.agent_name(), why = %trouble.text, "no logs");
                        state.known = None;
                        if trouble.no_connection && asked.elapsed() < QUICK {
                            state.strikes += 1;
                            if state.strikes < STRIKES {
                                trouble.pause = MOMENT;
                            }
                        }
                        state.trouble = Some((Instant::now() + trouble.pause, trouble.clone()));
                    }
                }
            }
            let _ = tell.send(Some(looked));
            // What is stale only takes room.
            tokio::time::sleep_until(asked + FRESH).await;
            let mut state = slot.lock();
            if state.known.as_ref().is_some_and(|k| k.asked == asked) {
                state.known = None;
            }
        });
        told
    }

    async fn read_state(&self, slot: &Slot, trace: &Trace) -> Result<AgentState, Trouble> {
        let name = trace.agent_name();
        let again = |kind, pause, text: &str| {
            Trouble::new(kind, format!("agent {name} {text}"), pause, true)
        };
        let never = |kind, pause, text: &str| {
            Trouble::new(kind, format!("agent {name} {text}"), pause, false)
        };
        let unreadable = || {
            again(
                ErrorKind::InvalidResponse,
                TROUBLED,
                "answered something unreadable",
            )
        };
        // The last two before 0.25.
        for path in ["/state", "/slave(1)/state", "/state.json"] {
            let url = |address: &str| format!("{}://{address}{path}", self.scheme(trace));
            let answer = self.ask(slot, trace, url).await?;
            match answer.status() {
                200 => {}
                404 => continue,
                401 => {
                    return Err(never(
                        ErrorKind::Unauthenticated,
                        DEAD,
                        "does not take our credentials",
                    ));
                }
                403 => {
                    return Err(never(
                        ErrorKind::PermissionDenied,
                        DEAD,
                        "does not let us see its state",
                    ));
                }
                s @ 500.. => {
                    return Err(again(
                        ErrorKind::Unavailable,
                        TROUBLED,
                        &format!("answered {s}"),
                    ));
                }
                s => {
                    return Err(never(
                        ErrorKind::Rejected,
                        TROUBLED,
                        &format!("answered {s}"),
                    ));
                }
            }
            // Until it is parsed, so that few large ones are held at a time.
            let _permit = self.readers.acquire().await;
            let max = u64::try_from(self.max).unwrap_or(u64::MAX);
            let read = self.pace.read(answer.into_stream(max)).await;
            let body = read.map_err(|e| match e {
                Unread::TooSlow => again(ErrorKind::Timeout, DEAD, "answers too slowly"),
                Unread::Broken(e) if e.kind() == ErrorKind::Timeout => {
                    again(e.kind(), DEAD, "does not answer")
                }
                Unread::Broken(_) => unreadable(),
            })?;
            let parsed = if body.len() < BLOCKING {
                agent::parse(&body).ok()
            } else {
                tokio::task::spawn_blocking(move || agent::parse(&body).ok())
                    .await
                    .ok()
                    .flatten()
            };
            return parsed.ok_or_else(unreadable);
        }
        Err(never(ErrorKind::Rejected, TROUBLED, "has no state to show"))
    }

    /// Sends a request by the host's name or, where no connection comes about, to the address of the
    /// agent's process.
    async fn ask(
        &self,
        slot: &Slot,
        trace: &Trace,
        url: impl Fn(&str) -> String,
    ) -> Result<StreamAnswer, Trouble> {
        let mut addresses: Vec<String> = trace.address().into_iter().collect();
        addresses.extend(
            trace
                .process
                .iter()
                .filter(|p| !addresses.contains(p))
                .cloned()
                .collect::<Vec<_>>(),
        );
        if slot.by_process.load(Ordering::Relaxed) {
            addresses.reverse();
        }
        let mut first = None;
        for address in &addresses {
            match self.send(&url(address)).await {
                Ok(answer) => {
                    let by_process = trace.address().as_ref() != Some(address);
                    slot.by_process.store(by_process, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(e) => {
                    let no_connection = has_no_connection(&e);
                    first.get_or_insert((e, address.clone()));
                    if !no_connection {
                        break;
                    }
                }
            }
        }
        let name = trace.agent_name();
        let Some((e, address)) = first else {
            let text = format!("the address of agent {name} is not known");
            return Err(Trouble::new(ErrorKind::Rejected, text, TROUBLED, false));
        };
        let who = notifier_core::redact::url(&url(&address));
        let why = brief(&e, &who);
        let text = match e.kind() {
            ErrorKind::Timeout => format!("agent {name} does not answer"),
            _ if e.is_retryable() => format!("agent {name} does not answer ({why})"),
            _ => format!("agent {name} cannot be asked: {why}"),
        };
        let mut trouble = Trouble::new(e.kind(), text, DEAD, e.is_retryable());
        trouble.no_connection = has_no_connection(&e);
        Err(trouble)
    }

    async fn send(&self, url: &str) -> Result<StreamAnswer> {
        let mut request = self.client.get(url);
        if let Some(credentials) = &self.credentials {
            request = credentials.apply(request)?;
        }
        request.stream().await
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The look-up ended without a word.
fn is_lost(flight: &watch::Receiver<Option<Looked>>) -> bool {
    flight.has_changed().is_err() && flight.borrow().is_none()
}

/// Nothing was sent, so that another address may be tried.
fn has_no_connection(e: &Error) -> bool {
    e.kind() == ErrorKind::Unavailable && e.delivery() == Delivery::NotDelivered
}

impl Trouble {
    fn new(kind: ErrorKind, text: String, pause: Duration, again: bool) -> Self {
        Self {
            kind,
            text,
            pause,
            again,
            no_connection: false,
        }
    }

    fn error(&self, after: Option<Duration>) -> Error {
        let retry = if self.again {
            Retry::Later { after }
        } else {
            Retry::Never
        };
        Error::new(self.kind, self.text.clone())
            .with_retry(retry)
            .with_delivery(Delivery::NotDelivered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator() -> MesosLogLocator {
        let pace = Pace::of(Duration::from_secs(1));
        MesosLogLocator::new(HttpClient::new().unwrap(), None, None, usize::MAX, pace)
    }

    #[tokio::test]
    async fn a_look_up_that_panicked_holds_nobody_up() {
        let locator = locator();
        let trace = Trace {
            agent: "S".into(),
            ..Trace::default()
        };
        let slot = locator.0.slot(&trace);
        let (tell, told) = watch::channel(None);
        slot.lock().flight = Some(told);
        drop(tell);
        let e = locator.0.look_up(&slot, &trace, None).await.err().unwrap();
        // The next one really asked.
        assert!(e.to_string().contains("is not known"), "{e}");
    }

    #[tokio::test]
    async fn a_state_is_let_go_when_it_is_stale() {
        use notifier_testkit::http::{Reply, ScriptedServer};

        let server = ScriptedServer::start().await.unwrap();
        server.always(Reply::text(200, r#"{"id":"S","frameworks":[]}"#));
        let locator = locator();
        let trace = Trace {
            agent: "S".into(),
            process: Some(server.url("").replace("http://", "").replace('/', "")),
            ..Trace::default()
        };
        let slot = locator.0.slot(&trace);
        locator.0.look_up(&slot, &trace, None).await.unwrap();
        assert!(slot.lock().known.is_some());
        tokio::time::sleep(FRESH + Duration::from_millis(300)).await;
        assert!(slot.lock().known.is_none());
    }

    #[test]
    fn the_state_of_an_agent_has_a_bound_of_its_own() {
        assert_eq!(locator().0.max, MAX_STATE);
    }
}
