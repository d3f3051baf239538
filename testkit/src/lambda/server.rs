//! The runtime API.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notifier_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::AbortHandle,
};

use super::{
    Answer, Instance, Outcome,
    wire::{Asked, Link},
};

/// The longest answer that Lambda takes: 6 MB.
const LONGEST_ANSWER: usize = 6 * 1024 * 1024;
/// How long after the deadline an answer is waited for. Lambda would not wait at all.
const PATIENCE: Duration = Duration::from_secs(60);

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:sns-relay";

/// An event that waits.
struct Event {
    id: String,
    body: Vec<u8>,
    timeout: Duration,
    done: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Event>,
    /// The invocation that is under way.
    running: Option<(String, oneshot::Sender<Outcome>)>,
    /// How many ask for an event.
    waiting: usize,
    /// How many instances ended: connections of those take no events.
    ended: usize,
    init_errors: Vec<Value>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// A Lambda that is none: the runtime API on a loopback port, for one instance at a time.
///
/// It stops when dropped.
pub struct FakeLambda {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accept: AbortHandle,
}

impl FakeLambda {
    /// Starts it.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self {
            addr,
            shared,
            accept,
        })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`: host and port.
    #[must_use]
    pub fn api(&self) -> String {
        self.addr.to_string()
    }

    /// The variables that Lambda sets for a function.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.api().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "sns-relay"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/sns-relay"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_REGION", "eu-west-1"),
            ("_HANDLER", "bootstrap"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Starts a program as an instance of the function, with these variables besides Lambda's own.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn launch(&self, program: impl AsRef<OsStr>, env: &[(&str, &str)]) -> Instance {
        Instance::start(self.handle(), program.as_ref(), env)
    }

    fn handle(&self) -> Handle {
        Handle {
            env: self.env(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Invokes the function and waits for what comes of it. `timeout` is the function's time, which
    /// its deadline is made of; nothing is done to a program that exceeds it.
    pub async fn invoke(&self, event: impl Into<Vec<u8>>, timeout: Duration) -> Answer {
        let (done, outcome) = oneshot::channel();
        let id = new_id();
        lock(&self.shared.state).queue.push_back(Event {
            id: id.clone(),
            body: event.into(),
            timeout,
            done,
        });
        self.shared.changed.notify_waiters();
        let outcome = match tokio::time::timeout(timeout + PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Exited,
            Err(_) => Outcome::TimedOut,
        };
        Answer {
            request_id: id,
            outcome,
        }
    }

    /// Waits until a program asks for an event; false if none does in that time.
    pub async fn wait_until_asked(&self, timeout: Duration) -> bool {
        self.handle().wait_idle(timeout).await
    }

    /// What programs said of why they do not start, the first one first.
    #[must_use]
    pub fn init_errors(&self) -> Vec<Value> {
        lock(&self.shared.state).init_errors.clone()
    }
}

impl Drop for FakeLambda {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl fmt::Debug for FakeLambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeLambda")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// What an instance knows of its Lambda.
pub(super) struct Handle {
    pub(super) env: Vec<(String, String)>,
    shared: Arc<Shared>,
}

impl Handle {
    /// Waits until the program asks for an event; false if it does not in that time.
    pub(super) async fn wait_idle(&self, timeout: Duration) -> bool {
        let idle = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if lock(&self.shared.state).waiting > 0 {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, idle).await.is_ok()
    }

    /// Notes that the program is gone, and the invocation that was under way with it.
    pub(super) fn exited(&self) {
        {
            let mut state = lock(&self.shared.state);
            state.running = None;
            state.waiting = 0;
            state.ended += 1;
        }
        self.shared.changed.notify_waiters();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An id in the form of a UUID.
fn new_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends with this task, and all conversations with it.
    let mut talks = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                talks.spawn(talk(stream, Arc::clone(&shared)));
            }
            // Out of descriptors or a client that left: neither ends a server.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while talks.try_join_next().is_some() {}
    }
}

async fn talk(stream: TcpStream, shared: Arc<Shared>) {
    let mut link = Link::new(stream);
    while let Ok(Some(asked)) = link.next().await {
        if shared.respond(&mut link, &asked).await.is_err() {
            return;
        }
    }
}

impl Shared {
    async fn respond(&self, link: &mut Link, asked: &Asked) -> io::Result<()> {
        let path: Vec<&str> = asked.path.split('/').collect();
        match (asked.method.as_str(), &path[..]) {
            ("GET", ["", "2018-06-01", "runtime", "invocation", "next"]) => self.next(link).await,
            ("POST", ["", "2018-06-01", "runtime", "init", "error"]) => {
                let body = serde_json::from_slice(&asked.body).unwrap_or_default();
                lock(&self.state).init_errors.push(body);
                accepted(link).await
            }
            ("POST", ["", "2018-06-01", "runtime", "invocation", id, "response"]) => {
                if asked.body.len() > LONGEST_ANSWER {
                    return refused(link, 413, "RequestEntityTooLarge").await;
                }
                let body = serde_json::from_slice(&asked.body).unwrap_or_default();
                self.done(link, id, Outcome::Response(body)).await
            }
            ("POST", ["", "2018-06-01", "runtime", "invocation", id, "error"]) => {
                let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
                let text = |name| body[name].as_str().unwrap_or_default().to_owned();
                let outcome = Outcome::Error {
                    kind: text("errorType"),
                    message: text("errorMessage"),
                };
                self.done(link, id, outcome).await
            }
            _ => refused(link, 404, "UnknownPath").await,
        }
    }

    /// Waits for an event and hands it over.
    async fn next(&self, link: &mut Link) -> io::Result<()> {
        let ended = {
            let mut state = lock(&self.state);
            // Who asks for another one has nothing more to say of this one.
            state.running = None;
            state.waiting += 1;
            state.ended
        };
        self.changed.notify_waiters();
        let event = tokio::select! {
            biased;
            () = link.gone() => None,
            event = self.event(ended) => event,
        };
        {
            let mut state = lock(&self.state);
            if state.ended == ended {
                state.waiting -= 1;
            }
        }
        let Some(event) = event else {
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        let now = SystemClock.now().as_millisecond();
        let timeout = i64::try_from(event.timeout.as_millis()).unwrap_or(i64::MAX);
        let headers = [
            ("Lambda-Runtime-Aws-Request-Id", event.id.clone()),
            (
                "Lambda-Runtime-Deadline-Ms",
                now.saturating_add(timeout).to_string(),
            ),
            ("Lambda-Runtime-Invoked-Function-Arn", ARN.to_owned()),
            (
                "Lambda-Runtime-Trace-Id",
                format!(
                    "Root=1-{:08x}-{:024x};Sampled=0",
                    fastrand::u32(..),
                    fastrand::u64(..)
                ),
            ),
        ];
        lock(&self.state).running = Some((event.id, event.done));
        link.answer(200, &headers, &event.body).await
    }

    /// The next event; `None` once the instance that asked has ended, of which its connection may
    /// not have heard yet.
    async fn event(&self, ended: usize) -> Option<Event> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = lock(&self.state);
                if state.ended != ended {
                    return None;
                }
                if let Some(event) = state.queue.pop_front() {
                    return Some(event);
                }
            }
            changed.await;
        }
    }

    async fn done(&self, link: &mut Link, id: &str, outcome: Outcome) -> io::Result<()> {
        let running = lock(&self.state)
            .running
            .take_if(|(running, _)| running == id);
        match running {
            Some((_, done)) => {
                accepted(link).await?;
                // Who invoked may have left.
                let _ = done.send(outcome);
                Ok(())
            }
            None => refused(link, 400, "InvalidRequestID").await,
        }
    }
}

async fn accepted(link: &mut Link) -> io::Result<()> {
    link.answer(202, &[], br#"{"status":"OK"}"#).await
}

async fn refused(link: &mut Link, status: u16, kind: &str) -> io::Result<()> {
    let body = json!({"errorType": kind, "errorMessage": kind}).to_string();
    link.answer(status, &[], body.as_bytes()).await
}
