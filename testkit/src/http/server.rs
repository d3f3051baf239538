use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::reply::{Action, Delivery, End, Reply};
use super::request::Request;
use super::wait::until;
use super::wire::Wire;

/// What answers the requests of a [`ScriptedServer`]. Closures
/// `Fn(&Request) -> Action` are services.
pub trait Service: Send + Sync + 'static {
    /// Called when only the head of a request is there (its body is empty). `Some` with
    /// [`Action::ResetBeforeBody`] or [`Action::CloseBeforeBody`] ends the connection
    /// with the body unread; any other action is carried out after the body was read,
    /// without a call of [`respond`](Self::respond). Default: `None`, read on.
    fn intercept(&self, head: &Request) -> Option<Action> {
        let _ = head;
        None
    }

    /// The answer to a request. Must not block; for a slow answer use
    /// [`Delivery`]. [`Action::Normal`] from here is an empty status 500.
    fn respond(&self, request: &Request) -> Action;
}

impl<F: Fn(&Request) -> Action + Send + Sync + 'static> Service for F {
    fn respond(&self, request: &Request) -> Action {
        self(request)
    }
}

/// How a server treats everybody, beside its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Up,
    Slow(Duration),
    Hang,
}

/// A line of the script.
#[derive(Debug)]
struct Rule {
    on: Option<String>,
    left: Option<usize>,
    action: Action,
}

/// The listening side: empty while the server refuses connections.
#[derive(Default)]
struct Port {
    listener: Option<TcpListener>,
    waker: Option<Waker>,
}

struct Inner {
    addr: SocketAddr,
    /// Bound and never listening: holds the port while connections are refused.
    _reserve: Option<TcpSocket>,
    port: Mutex<Port>,
    runtime: Handle,
    mode: Mutex<Mode>,
    script: Mutex<VecDeque<Rule>>,
    requests: Mutex<Vec<Request>>,
    arrived: Notify,
    serials: AtomicU64,
    accepted: AtomicU64,
    connections: Mutex<HashMap<u64, AbortHandle>>,
    service: Box<dyn Service>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An HTTP/1.1 server on a loopback port chosen by the system, which answers as its
/// [`Service`] says and misbehaves as its script says.
///
/// The script is a list of lines added by [`next`](Self::next) and its relatives; the
/// first line that fits a request and is not used up decides about it, else the service
/// answers. Every request is recorded.
///
/// It runs on the runtime it was started on, so a test that blocks its thread needs a
/// runtime with several. It stops when dropped.
pub struct ScriptedServer {
    inner: Arc<Inner>,
    accept: AbortHandle,
}

impl ScriptedServer {
    /// Starts a server that answers what the script does not cover with an empty 200.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::with_service(|_: &Request| Action::status(200)).await
    }

    /// Starts a server in front of a service.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn with_service(service: impl Service) -> io::Result<Self> {
        // Binding is immediate; yielding lets many servers start side by side.
        tokio::task::yield_now().await;
        let reserve = TcpSocket::new_v4()?;
        reserve.set_reuseaddr(true)?;
        reserve.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let addr = reserve.local_addr()?;
        // Linux lets one socket listen on a port that another one only holds. Where
        // that is forbidden the listener takes the port alone.
        let (reserve, listener) = match listen(addr) {
            Ok(listener) => (Some(reserve), listener),
            Err(_) => (None, reserve.listen(1024)?),
        };
        let inner = Arc::new(Inner {
            addr,
            _reserve: reserve,
            port: Mutex::new(Port {
                listener: Some(listener),
                waker: None,
            }),
            runtime: Handle::current(),
            mode: Mutex::new(Mode::Up),
            script: Mutex::default(),
            requests: Mutex::default(),
            arrived: Notify::new(),
            serials: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            connections: Mutex::default(),
            service: Box::new(service),
        });
        let accept = tokio::spawn(accept(Arc::clone(&inner))).abort_handle();
        Ok(Self { inner, accept })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// `http://127.0.0.1:PORT` followed by a path that begins with `/` or is empty.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.inner.addr)
    }

    /// Lets the next request meet this action.
    pub fn next(&self, action: impl Into<Action>) {
        self.next_n(1, action);
    }

    /// Lets the next `n` requests meet this action.
    pub fn next_n(&self, n: usize, action: impl Into<Action>) {
        self.push(None, Some(n), action.into());
    }

    /// Lets the next request whose path begins with `path` meet this action.
    pub fn next_on(&self, path: &str, action: impl Into<Action>) {
        self.push(Some(path), Some(1), action.into());
    }

    /// Lets all requests meet this action, after the lines of the script before it.
    pub fn always(&self, action: impl Into<Action>) {
        self.push(None, None, action.into());
    }

    /// Lets all requests whose path begins with `path` meet this action.
    pub fn always_on(&self, path: &str, action: impl Into<Action>) {
        self.push(Some(path), None, action.into());
    }

    /// Empties the script.
    pub fn clear(&self) {
        lock(&self.inner.script).clear();
    }

    fn push(&self, on: Option<&str>, left: Option<usize>, action: Action) {
        lock(&self.inner.script).push_back(Rule {
            on: on.map(str::to_owned),
            left,
            action,
        });
    }

    /// Accepts connections and requests from now on but never answers.
    pub fn hang(&self) {
        self.set_mode(Mode::Hang);
    }

    /// Answers every request this much later from now on.
    pub fn slow(&self, delay: Duration) {
        self.set_mode(Mode::Slow(delay));
    }

    fn set_mode(&self, mode: Mode) {
        *lock(&self.inner.mode) = mode;
    }

    /// Refuses connections from now on and drops the open ones. The port stays taken.
    pub fn refuse(&self) {
        lock(&self.inner.port).listener = None;
        self.drop_connections();
    }

    /// Undoes [`hang`](Self::hang), [`slow`](Self::slow) and [`refuse`](Self::refuse).
    /// Requests that hang already go on hanging. The script stays.
    ///
    /// # Errors
    ///
    /// When the port cannot be had back, where the system let it go meanwhile.
    pub fn restore(&self) -> io::Result<()> {
        self.set_mode(Mode::Up);
        let mut port = lock(&self.inner.port);
        if port.listener.is_none() {
            let _context = self.inner.runtime.enter();
            port.listener = Some(listen(self.inner.addr)?);
            if let Some(waker) = port.waker.take() {
                waker.wake();
            }
        }
        Ok(())
    }

    /// Drops all open connections without a word.
    pub fn drop_connections(&self) {
        for (_, connection) in lock(&self.inner.connections).drain() {
            connection.abort();
        }
    }

    /// How many connections were accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.inner.accepted.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.inner.connections).len()
    }

    /// All requests so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.inner.requests).clone()
    }

    /// How many of the requests so far fit a condition.
    #[must_use]
    pub fn count_requests(&self, fits: impl Fn(&Request) -> bool) -> usize {
        lock(&self.inner.requests)
            .iter()
            .filter(|request| fits(request))
            .count()
    }

    /// Forgets the requests recorded so far.
    pub fn clear_requests(&self) {
        lock(&self.inner.requests).clear();
    }

    /// Waits until at least `n` requests are recorded and returns all there are, also
    /// when the time is over before that.
    pub async fn wait_for_requests(&self, n: usize, timeout: Duration) -> Vec<Request> {
        until(&self.inner.arrived, timeout, || {
            lock(&self.inner.requests).len() >= n
        })
        .await;
        self.requests()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.accept.abort();
        lock(&self.inner.port).listener = None;
        self.drop_connections();
    }
}

impl fmt::Debug for ScriptedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedServer")
            .field("addr", &self.inner.addr)
            .field("mode", &*lock(&self.inner.mode))
            .field("script", &lock(&self.inner.script).len())
            .finish_non_exhaustive()
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(1024)
}

async fn accept(inner: Arc<Inner>) {
    loop {
        let accepted = poll_fn(|context| {
            let mut port = lock(&inner.port);
            match &port.listener {
                Some(listener) => {
                    let polled = listener.poll_accept(context);
                    if polled.is_pending() {
                        // Also woken when the listener is taken away and comes back.
                        port.waker = Some(context.waker().clone());
                    }
                    polled
                }
                None => {
                    port.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        match accepted {
            Ok((stream, peer)) => {
                let id = inner.accepted.fetch_add(1, Ordering::Relaxed);
                let task = converse(Arc::clone(&inner), stream, peer, id);
                // Registered under the lock, so that its end cannot come first.
                let mut connections = lock(&inner.connections);
                connections.insert(id, tokio::spawn(task).abort_handle());
            }
            // Out of descriptors or a client that left: neither ends a server.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn converse(inner: Arc<Inner>, stream: TcpStream, peer: SocketAddr, id: u64) {
    if let Some((wire, end)) = inner.talk(Wire::new(stream, peer, id)).await {
        wire.end(end).await;
    }
    lock(&inner.connections).remove(&id);
}

impl Inner {
    /// Answers the requests of a connection; returns how it has to end, or `None` when
    /// the client ended it.
    async fn talk(&self, mut wire: Wire) -> Option<(Wire, End)> {
        loop {
            let mut request = match wire.head().await {
                Ok(Some(request)) => request,
                Ok(None) => return None,
                Err(error) => return Self::refuse_bad(wire, &error).await,
            };
            request.serial = self.serials.fetch_add(1, Ordering::Relaxed);

            let mode = *lock(&self.mode);
            let mut scripted = if mode == Mode::Hang {
                Some(Action::Hang)
            } else {
                self.scripted(&request)
            };
            let mut over = Delivery::new();
            if let Some(Action::Normal(delivery)) = &scripted {
                over = delivery.clone();
                scripted = None;
            }
            if scripted.is_none() {
                scripted = self.service.intercept(&request);
            }
            if let Some(action) = &scripted
                && action.is_before_body()
            {
                let end = if matches!(action, Action::ResetBeforeBody) {
                    End::Reset
                } else {
                    End::Close
                };
                self.record(request);
                return Some((wire, end));
            }
            let read = wire.body(&mut request).await;
            self.record(request.clone());
            if let Err(error) = read {
                return Self::refuse_bad(wire, &error).await;
            }
            let action = scripted.unwrap_or_else(|| self.service.respond(&request));
            if let Mode::Slow(delay) = mode {
                over.delay += delay;
            }
            let end = match action {
                Action::Reply(reply) => {
                    let delivery = reply.delivery.clone().overlaid(&over);
                    wire.reply(&reply.delivery(delivery), &request).await.ok()?
                }
                Action::Normal(delivery) => {
                    let delivery = delivery.overlaid(&over);
                    wire.reply(&Reply::new(500).delivery(delivery), &request)
                        .await
                        .ok()?
                }
                Action::ResetBeforeBody | Action::ResetAfterBody => Some(End::Reset),
                Action::CloseBeforeBody | Action::CloseAfterBody => Some(End::Close),
                Action::Hang => {
                    wire.left().await;
                    return None;
                }
                Action::Raw(bytes) => {
                    tokio::time::sleep(over.delay).await;
                    wire.raw(&bytes).await.ok()?;
                    Some(End::Close)
                }
            };
            if let Some(end) = end {
                return Some((wire, end));
            }
        }
    }

    async fn refuse_bad(mut wire: Wire, error: &io::Error) -> Option<(Wire, End)> {
        if error.kind() != io::ErrorKind::InvalidData {
            return None;
        }
        let text = error.to_string();
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
        wire.raw(answer.as_bytes()).await.ok()?;
        Some((wire, End::Close))
    }

    fn scripted(&self, request: &Request) -> Option<Action> {
        let mut script = lock(&self.script);
        let path = request.path();
        let at = script.iter().position(|rule| {
            rule.left != Some(0)
                && rule
                    .on
                    .as_ref()
                    .is_none_or(|on| path.starts_with(on.as_str()))
        })?;
        let rule = &mut script[at];
        let action = rule.action.clone();
        if let Some(left) = &mut rule.left {
            *left -= 1;
            if *left == 0 {
                script.remove(at);
            }
        }
        Some(action)
    }

    fn record(&self, request: Request) {
        lock(&self.requests).push(request);
        self.arrived.notify_waiters();
    }
}
