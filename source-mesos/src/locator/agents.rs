//! Asking agents, each of them seldom.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use notifier_core::{Delivery, Error, ErrorKind, Result};
use notifier_http::{HttpClient, StreamAnswer};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

use super::{
    slot::{FRESH, Known, Looked, Slot},
    trouble::Trouble,
};
use crate::{
    body::{Pace, Stopped, Unread},
    credentials::Credentials,
    error::brief,
    sandbox::{self, Trace},
    state::agent::{AgentReader, AgentState},
};

/// For how long an agent that does not answer is left alone.
pub(super) const DEAD: Duration = Duration::from_secs(30);
/// For how long an agent that answers with an error is left alone: less than the time over
/// which a look-up is tried again.
const TROUBLED: Duration = Duration::from_secs(1);
/// What counts as at once.
pub(super) const QUICK: Duration = Duration::from_secs(1);
/// How long a look at a directory may take, and how long it may wait for its turn.
pub(super) const GLANCE: Duration = Duration::from_secs(2);
/// How many agents are kept in mind.
const MAX_AGENTS: usize = 256;
/// How many agents' states are read at a time.
const READERS: usize = 4;
/// No agent's state is as large as this, whatever may be read from a master.
const MAX_STATE: usize = 128 * 1024 * 1024;
/// So much of a listing is read, so that its connection can serve again.
const MAX_LISTING: usize = 64 * 1024;

/// The agents, and how to ask them.
pub(super) struct Agents {
    client: HttpClient,
    pub(super) scheme: Option<String>,
    pub(super) credentials: Option<Credentials>,
    max: usize,
    pace: Pace,
    readers: Semaphore,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// What an agent says of a directory.
pub(super) enum Sight {
    There,
    Absent,
    /// We may not see it. Mesos says so only of paths it has.
    Closed,
    Unknown(Trouble),
}

impl Agents {
    pub(super) fn new(
        client: HttpClient,
        scheme: Option<String>,
        credentials: Option<Credentials>,
        max: usize,
        pace: Pace,
    ) -> Self {
        Self {
            client,
            scheme,
            credentials,
            max: max.min(MAX_STATE),
            pace,
            readers: Semaphore::new(READERS),
            slots: Mutex::default(),
        }
    }

    pub(super) fn scheme<'a>(&'a self, trace: &'a Trace) -> &'a str {
        match (&self.scheme, trace.scheme.as_str()) {
            (Some(scheme), _) => scheme,
            (None, "https") => "https",
            _ => "http",
        }
    }

    pub(super) fn slot(&self, trace: &Trace) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!(
            "{} {} {}",
            self.scheme(trace),
            trace.agent_name(),
            trace.process.as_deref().unwrap_or("")
        );
        if slots.len() >= MAX_AGENTS && !slots.contains_key(&id) {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.lock().used)
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                slots.remove(&oldest);
            }
        }
        let slot = slots.entry(id).or_insert_with(|| Arc::new(Slot::new()));
        slot.lock().used = Some(Instant::now());
        Arc::clone(slot)
    }

    /// The agent's state, not older than `since` if that is given and it can be had.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        trace: &Trace,
        since: Option<Instant>,
    ) -> Looked {
        let mut waits = 0;
        loop {
            let mut flight = {
                let now = Instant::now();
                let mut state = slot.lock();
                if let Some(known) = state.fresh(now)
                    && since.is_none_or(|s| known.asked >= s || waits > 1)
                {
                    return Ok(known.clone());
                }
                if let Some(trouble) = state.trouble(now) {
                    return Err(trouble);
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
                Some(Err(trouble)) => return Err(trouble),
                None => {
                    let text = "the look-up on the agent was broken off".to_owned();
                    return Err(Trouble::lasting(ErrorKind::Internal, text, Duration::ZERO));
                }
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
            if let Err(trouble) = &looked {
                tracing::debug!(agent = %trace.agent_name(), why = %trouble.text, "no state");
            }
            {
                let mut state = slot.lock();
                state.flight = None;
                state.looked(&mut looked, asked.elapsed() < QUICK);
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
        let again =
            |kind, pause, text: &str| Trouble::passing(kind, format!("agent {name} {text}"), pause);
        let never =
            |kind, pause, text: &str| Trouble::lasting(kind, format!("agent {name} {text}"), pause);
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
            // So that few large ones are read at a time.
            let _permit = self.readers.acquire().await;
            let max = u64::try_from(self.max).unwrap_or(u64::MAX);
            let mut reader = AgentReader::new();
            let take = |piece: &[u8]| reader.feed(piece).map_err(|e| e.to_string());
            let read = self.pace.each(answer.into_stream(max), take).await;
            read.map_err(|e| match e {
                Stopped::Unread(Unread::TooSlow) => {
                    again(ErrorKind::Timeout, DEAD, "answers too slowly")
                }
                Stopped::Unread(Unread::Broken(e)) if e.kind() == ErrorKind::Timeout => {
                    again(e.kind(), DEAD, "does not answer")
                }
                Stopped::Unread(Unread::Broken(_)) | Stopped::Malformed(_) => unreadable(),
            })?;
            return reader.finish().map_err(|_| unreadable());
        }
        Err(never(ErrorKind::Rejected, TROUBLED, "has no state to show"))
    }

    /// Looks whether a directory is there. An agent that does not answer is then left alone.
    pub(super) async fn browse(&self, slot: &Slot, trace: &Trace, path: &str) -> Sight {
        let name = trace.agent_name();
        let unknown = |kind, text: &str| {
            Sight::Unknown(Trouble::passing(
                kind,
                format!("agent {name} {text}"),
                TROUBLED,
            ))
        };
        let Ok(Ok(_permit)) = timeout(GLANCE, slot.browses.acquire()).await else {
            return unknown(ErrorKind::Timeout, "answers too slowly");
        };
        // It may have fallen silent while this one waited.
        if let Some(silence) = slot.silence() {
            return Sight::Unknown(silence);
        }
        let started = Instant::now();
        let ask = async {
            match self.ask_for_listing(slot, trace, path).await {
                // A connection of an earlier request that was closed meanwhile tells nothing.
                Err(t) if t.kind == ErrorKind::Unavailable && !t.whole => {
                    self.ask_for_listing(slot, trace, path).await
                }
                asked => asked,
            }
        };
        let asked = match timeout(GLANCE, ask).await {
            Ok(asked) => asked,
            Err(_) => Err(Trouble::passing(
                ErrorKind::Timeout,
                format!("agent {name} does not answer"),
                DEAD,
            )),
        };
        let answer = match asked {
            Ok(answer) => answer,
            Err(mut trouble) => {
                if trouble.whole || trouble.kind == ErrorKind::Timeout {
                    trouble.whole = true;
                    let quick = started.elapsed() < QUICK;
                    slot.lock().silent(&mut trouble, quick);
                }
                return Sight::Unknown(trouble);
            }
        };
        slot.lock().answered();
        let sight = match answer.status() {
            200 | 404 if is_page(&answer) => {
                unknown(ErrorKind::InvalidResponse, "answered a web page")
            }
            200 => Sight::There,
            404 => Sight::Absent,
            403 => Sight::Closed,
            401 => unknown(ErrorKind::Unauthenticated, "does not take our credentials"),
            status => unknown(ErrorKind::Unavailable, &format!("answered {status}")),
        };
        let rest = async {
            let mut stream = answer.into_stream(u64::MAX);
            let mut read = 0;
            while let Some(Ok(piece)) = stream.next().await {
                read += piece.len();
                if read > MAX_LISTING {
                    break;
                }
            }
        };
        let _ = timeout(QUICK, rest).await;
        sight
    }

    async fn ask_for_listing(
        &self,
        slot: &Slot,
        trace: &Trace,
        path: &str,
    ) -> Result<StreamAnswer, Trouble> {
        let url = |address: &str| sandbox::browse_url(self.scheme(trace), address, path);
        let answer = self.ask(slot, trace, url).await?;
        if answer.status() == 404 && trace.mesos.starts_with("0.") {
            // Before 0.25.
            let old =
                |address: &str| url(address).replacen("/files/browse?", "/files/browse.json?", 1);
            return self.ask(slot, trace, old).await;
        }
        Ok(answer)
    }

    /// Sends a request by the host's name or, where no connection comes about, to the address of the
    /// agent's process.
    pub(super) async fn ask(
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
        if slot.by_process() {
            addresses.reverse();
        }
        let mut first = None;
        for address in &addresses {
            match self.send(&url(address)).await {
                Ok(answer) => {
                    slot.set_by_process(trace.address().as_ref() != Some(address));
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
            return Err(Trouble::lasting(ErrorKind::Rejected, text, TROUBLED));
        };
        let who = notifier_core::redact::url(&url(&address));
        let why = brief(&e, &who);
        let text = match e.kind() {
            ErrorKind::Timeout => format!("agent {name} does not answer"),
            _ if e.is_retryable() => format!("agent {name} does not answer ({why})"),
            _ => format!("agent {name} cannot be asked: {why}"),
        };
        let mut trouble = if e.is_retryable() {
            Trouble::passing(e.kind(), text, DEAD)
        } else {
            Trouble::lasting(e.kind(), text, DEAD)
        };
        trouble.no_connection = has_no_connection(&e);
        // A certificate that is refused, say, stands against any other request, too.
        trouble.whole = trouble.no_connection || !trouble.again;
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

/// A page of a proxy, or of a log-in, where something else was asked for.
pub(super) fn is_page(answer: &StreamAnswer) -> bool {
    answer
        .header("content-type")
        .is_some_and(|t| t.starts_with("text/html"))
}

/// The look-up ended without a word.
fn is_lost(flight: &watch::Receiver<Option<Looked>>) -> bool {
    flight.has_changed().is_err() && flight.borrow().is_none()
}

/// Nothing was sent, so that another address may be tried.
fn has_no_connection(e: &Error) -> bool {
    e.kind() == ErrorKind::Unavailable && e.delivery() == Delivery::NotDelivered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> Arc<Agents> {
        let pace = Pace::of(Duration::from_secs(1));
        let client = HttpClient::new().unwrap();
        Arc::new(Agents::new(client, None, None, usize::MAX, pace))
    }

    #[tokio::test]
    async fn a_look_up_that_panicked_holds_nobody_up() {
        let agents = agents();
        let trace = Trace {
            agent: "S".into(),
            ..Trace::default()
        };
        let slot = agents.slot(&trace);
        let (tell, told) = watch::channel(None);
        slot.lock().flight = Some(told);
        drop(tell);
        let trouble = agents.look_up(&slot, &trace, None).await.err().unwrap();
        // The next one really asked.
        assert!(trouble.text.contains("is not known"), "{trouble:?}");
    }

    #[tokio::test]
    async fn a_state_is_let_go_when_it_is_stale() {
        use notifier_testkit::http::{Reply, ScriptedServer};

        let server = ScriptedServer::start().await.unwrap();
        server.always(Reply::text(200, r#"{"id":"S","frameworks":[]}"#));
        let agents = agents();
        let trace = Trace {
            agent: "S".into(),
            process: Some(server.url("").replace("http://", "").replace('/', "")),
            ..Trace::default()
        };
        let slot = agents.slot(&trace);
        agents.look_up(&slot, &trace, None).await.unwrap();
        assert!(slot.lock().known.is_some());
        tokio::time::sleep(FRESH + Duration::from_millis(300)).await;
        assert!(slot.lock().known.is_none());
    }

    #[test]
    fn the_state_of_an_agent_has_a_bound_of_its_own() {
        assert_eq!(agents().max, MAX_STATE);
    }
}
