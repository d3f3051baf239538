use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, broadcast};
use tokio::task::{AbortHandle, JoinHandle};

use super::action::{Action, Verb};
use super::mail::ReceivedMail;
use super::script::Script;
use super::session::Session;
use crate::http::{lock, until};

/// How long [`FakeSmtp::wait`] waits; only a test that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a [`FakeSmtp`] has seen since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// The mails that were taken, in order.
    pub mails: Vec<ReceivedMail>,
    /// The lines that came in, by connection; of a message only the dot.
    pub sessions: Vec<Vec<String>>,
    /// How many connections were accepted.
    pub connections: usize,
    /// How many of them are open.
    pub open: usize,
    /// What clients did that the standards forbid.
    pub faults: Vec<String>,
}

/// What the server's tasks share.
pub(crate) struct Shared {
    script: Mutex<Script>,
    state: Mutex<State>,
    changed: Notify,
    farewell: broadcast::Sender<String>,
    tasks: Mutex<HashMap<usize, AbortHandle>>,
}

impl Shared {
    /// The script as it is now.
    pub(crate) fn script(&self) -> Script {
        lock(&self.script).clone()
    }

    /// Counts a command, and says what it meets.
    pub(crate) fn action(&self, verb: Verb, recipient: Option<&str>) -> Option<Action> {
        lock(&self.script).next(verb, recipient)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut lock(&self.state));
        self.changed.notify_waiters();
        changed
    }

    pub(crate) fn farewells(&self) -> broadcast::Receiver<String> {
        self.farewell.subscribe()
    }
}

/// Ends the count of an open connection, however its task ends.
struct Open {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.shared.tasks).remove(&self.number);
        self.shared.change(|state| state.open -= 1);
    }
}

/// An SMTP server on a loopback port chosen by the system, which does what its [`Script`] says.
///
/// It runs on the runtime it was started on, so a test that blocks its thread needs a runtime
/// with several. It stops when dropped.
pub struct FakeSmtp {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Bound and never listening: holds the port while connections are refused.
    _reserve: Option<TcpSocket>,
    accept: Mutex<Option<JoinHandle<()>>>,
}

impl FakeSmtp {
    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When no loopback port can be had.
    pub async fn start(script: Script) -> Self {
        // Binding is immediate; yielding lets many servers start side by side.
        tokio::task::yield_now().await;
        let (reserve, listener, address) =
            bind().unwrap_or_else(|error| panic!("no loopback port for an SMTP server: {error}"));
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            state: Mutex::default(),
            changed: Notify::new(),
            farewell: broadcast::channel(16).0,
            tasks: Mutex::default(),
        });
        let accept = tokio::spawn(accept(Arc::clone(&shared), listener));
        Self {
            shared,
            address,
            _reserve: reserve,
            accept: Mutex::new(Some(accept)),
        }
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Does as this script says from the next command on, on open connections too. What counts
    /// commands counts from here.
    pub fn set(&self, script: Script) {
        *lock(&self.shared.script) = script;
    }

    /// What was seen so far.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.shared.state).clone()
    }

    /// The mails that were taken, in order.
    #[must_use]
    pub fn mails(&self) -> Vec<ReceivedMail> {
        lock(&self.shared.state).mails.clone()
    }

    /// The lines that came in, without their CRLF, by connection, in order: commands and answers
    /// to challenges as they were sent, and of a message only the dot.
    #[must_use]
    pub fn sessions(&self) -> Vec<Vec<String>> {
        lock(&self.shared.state).sessions.clone()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.shared.state).connections
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.shared.state).open
    }

    /// What clients did that the standards forbid, one line each: lines that are too long, a CR
    /// or LF alone, 8-bit text or commands ahead of an answer without leave.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        lock(&self.shared.state).faults.clone()
    }

    /// Waits until something is so.
    ///
    /// # Panics
    ///
    /// When it is not so after a minute.
    pub async fn wait(&self, is_so: impl Fn(&State) -> bool) {
        until(&self.shared.changed, PATIENCE, || {
            is_so(&lock(&self.shared.state))
        })
        .await;
        let state = self.state();
        assert!(
            is_so(&state),
            "what the test waits for did not come true: {state:#?}"
        );
    }

    /// Tells all connections on which the server waits for a command this text, unless it is
    /// empty, and closes them: a server that shuts down, or whose patience is over.
    pub fn hang_up(&self, text: &str) {
        // Nobody listens when nothing is open.
        let _ = self.shared.farewell.send(text.to_owned());
    }

    /// Refuses connections from now on and drops the open ones without a word. The port stays
    /// taken.
    pub async fn refuse(&self) {
        let accept = lock(&self.accept).take();
        if let Some(accept) = accept {
            accept.abort();
            // Over when the listener is gone.
            let _ = accept.await;
        }
        self.drop_connections();
    }

    /// Undoes [`refuse`](Self::refuse).
    ///
    /// # Errors
    ///
    /// When the port cannot be had back, where the system let it go meanwhile.
    pub fn restore(&self) -> io::Result<()> {
        let mut running = lock(&self.accept);
        if running.is_none() {
            let listener = listen(self.address)?;
            *running = Some(tokio::spawn(accept(Arc::clone(&self.shared), listener)));
        }
        Ok(())
    }

    /// Drops all open connections without a word.
    pub fn drop_connections(&self) {
        let tasks: Vec<AbortHandle> = lock(&self.shared.tasks).values().cloned().collect();
        for task in tasks {
            task.abort();
        }
    }
}

impl Drop for FakeSmtp {
    fn drop(&mut self) {
        if let Some(accept) = lock(&self.accept).take() {
            accept.abort();
        }
        self.drop_connections();
    }
}

impl fmt::Debug for FakeSmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("FakeSmtp")
            .field("address", &self.address)
            .field("connections", &state.connections)
            .field("open", &state.open)
            .field("mails", &state.mails.len())
            .finish_non_exhaustive()
    }
}

fn bind() -> io::Result<(Option<TcpSocket>, TcpListener, SocketAddr)> {
    let reserve = TcpSocket::new_v4()?;
    reserve.set_reuseaddr(true)?;
    reserve.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = reserve.local_addr()?;
    // Linux lets one socket listen on a port that another one only holds. Where that is
    // forbidden the listener takes the port alone.
    match listen(address) {
        Ok(listener) => Ok((Some(reserve), listener, address)),
        Err(_) => Ok((None, reserve.listen(1024)?, address)),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors or a client that left: neither ends a server.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let number = shared.change(|state| {
            state.sessions.push(Vec::new());
            state.connections += 1;
            state.open += 1;
            state.sessions.len() - 1
        });
        let open = Open {
            shared: Arc::clone(&shared),
            number,
        };
        let session = Session::new(stream, Arc::clone(&shared), number);
        let mut tasks = lock(&shared.tasks);
        // Registered under the lock, so that its end cannot come first.
        let task = tokio::spawn(async move {
            // Moved in, so that it ends with the task even if that is aborted.
            let _open = open;
            session.run().await;
        });
        tasks.insert(number, task.abort_handle());
    }
}
