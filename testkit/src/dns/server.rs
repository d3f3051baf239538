//! The server.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::op::Message;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Notify,
    task::{AbortHandle, JoinSet},
};

use super::zone::Zone;
use crate::http::{lock, until};

/// Tries to find a port that is free for both UDP and TCP.
const TRIES: usize = 64;
/// How long [`FakeDns::wait`] waits; only a test that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Question {
    /// In lower case, without the dot at its end.
    pub name: String,
    /// `A`, `TXT`.
    pub kind: String,
    /// Whether it came by TCP.
    pub is_tcp: bool,
}

struct Shared {
    zone: Mutex<Zone>,
    questions: Mutex<Vec<Question>>,
    changed: Notify,
}

impl Shared {
    fn answer(&self, bytes: &[u8], is_tcp: bool) -> Option<Vec<u8>> {
        let asked = Message::from_vec(bytes).ok()?;
        let questions = asked.queries().iter().map(|query| Question {
            name: query
                .name()
                .to_ascii()
                .trim_end_matches('.')
                .to_ascii_lowercase(),
            kind: query.query_type().to_string(),
            is_tcp,
        });
        lock(&self.questions).extend(questions);
        self.changed.notify_waiters();
        let reply = lock(&self.zone).answer(&asked, is_tcp)?;
        reply.to_vec().ok()
    }
}

/// A DNS server on a loopback port chosen by the system, the same for UDP and TCP.
///
/// It runs on the runtime it was started on and stops when dropped.
pub struct FakeDns {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

impl std::fmt::Debug for FakeDns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeDns")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl FakeDns {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// No port can be had.
    pub async fn start(zone: Zone) -> Self {
        let (udp, tcp, address) = bind().await.expect("a loopback port");
        let shared = Arc::new(Shared {
            zone: Mutex::new(zone),
            questions: Mutex::new(Vec::new()),
            changed: Notify::new(),
        });
        let tasks = [
            tokio::spawn(datagrams(udp, Arc::clone(&shared))).abort_handle(),
            tokio::spawn(connections(tcp, Arc::clone(&shared))).abort_handle(),
        ];
        Self {
            address,
            shared,
            tasks,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked so far, in order.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        lock(&self.shared.questions).clone()
    }

    /// Knows something else from now on.
    pub fn change(&self, zone: Zone) {
        *lock(&self.shared.zone) = zone;
    }

    /// Waits until what was asked is so.
    ///
    /// # Panics
    ///
    /// It does not become so within a minute.
    pub async fn wait(&self, is_so: impl Fn(&[Question]) -> bool) {
        until(&self.shared.changed, PATIENCE, || {
            is_so(&lock(&self.shared.questions))
        })
        .await;
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn bind() -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = udp.local_addr()?;
        match TcpListener::bind(address).await {
            Ok(tcp) => return Ok((udp, tcp, address)),
            Err(e) if tries == TRIES => return Err(e),
            Err(_) => {}
        }
    }
}

async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = vec![0; 65_535];
    loop {
        // A client that went away is told as an error here, and is no reason to stop.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(reply) = shared.answer(&buffer[..length], false) {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

async fn connections(listener: TcpListener, shared: Arc<Shared>) {
    let mut clients = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            clients.spawn(client(stream, Arc::clone(&shared)));
        }
        while clients.try_join_next().is_some() {}
    }
}

/// Messages with their length before them: RFC 1035 4.2.2.
async fn client(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        if let Some(reply) = shared.answer(&message, true) {
            let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
            let whole = [&length.to_be_bytes()[..], &reply].concat();
            stream.write_all(&whole).await?;
        }
    }
}
