//! A mail server that takes canaries and nothing else (RFC 5321, RFC 2033).

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    super::{
        find::{self, Mail, Place},
        head::MOST_OCTETS,
        mark::Mark,
    },
    trouble,
};
use crate::{connection::Stop, report::Class};

/// Dialogues at a time; one more is told to come later.
const MOST_DIALOGUES: usize = 16;
/// The most octets of a command's line.
const LONGEST: usize = 2048;
/// The most octets of a message.
const MOST_MESSAGE: usize = 1024 * 1024;
/// The most canaries that wait to be seen.
const MOST_MAILS: usize = 100;
/// The most recipients of a message.
const MOST_RECIPIENTS: usize = 100;
/// The longest wait for a client.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest that dialogues may go on once nobody waits any more.
const GOODBYE: Duration = Duration::from_secs(2);

/// The server. It stops when dropped.
#[derive(Debug)]
pub(crate) struct Mta {
    mails: Arc<Mutex<VecDeque<Vec<u8>>>>,
    stop: watch::Sender<bool>,
    accepting: JoinSet<()>,
}

impl Mta {
    /// Takes mails that are one of these or report one of them; others are put off, so that what
    /// came here by mistake is not lost.
    pub(crate) async fn listen(
        address: SocketAddr,
        is_lmtp: bool,
        marks: &[Mark],
    ) -> Result<Self, Stop> {
        let listener = TcpListener::bind(address).await.map_err(|e| {
            trouble(Class::Local, format!("cannot listen on {address}: {e}")).with_hint(
                "give the canary an address that is free, and let the last server deliver to it",
            )
        })?;
        let mails = Arc::<Mutex<VecDeque<Vec<u8>>>>::default();
        let taker = Taker {
            is_lmtp,
            marks: marks.into(),
            mails: Arc::clone(&mails),
        };
        let (stop, stopped) = watch::channel(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, taker, stopped));
        Ok(Self {
            mails,
            stop,
            accepting,
        })
    }

    pub(crate) fn look(&self) -> Vec<Mail> {
        let mails: Vec<_> = lock(&self.mails).drain(..).collect();
        let mail = |start| Mail {
            start,
            at: None,
            place: Place::Gone,
        };
        mails.into_iter().map(mail).collect()
    }

    /// Takes no more, and lets clients that were answered say goodbye: one that is cut off would
    /// send again.
    pub(crate) async fn close(mut self) {
        let _ = self.stop.send(true);
        let ending = async { while self.accepting.join_next().await.is_some() {} };
        let _ = timeout(GOODBYE, ending).await;
    }
}

/// What each dialogue knows.
#[derive(Clone, Debug)]
struct Taker {
    is_lmtp: bool,
    marks: Arc<[Mark]>,
    mails: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Taker {
    /// Keeps a message that is awaited.
    fn takes(&self, start: Vec<u8>) -> bool {
        let mail = Mail {
            start: start.clone(),
            at: None,
            place: Place::Gone,
        };
        if find::find(mail, &self.marks).is_none() {
            return false;
        }
        let mut mails = lock(&self.mails);
        if mails.len() == MOST_MAILS {
            mails.pop_front();
        }
        mails.push_back(start);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, taker: Taker, mut stopped: watch::Receiver<bool>) {
    let mut dialogues = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = dialogues.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((mut stream, _)) if dialogues.len() >= MOST_DIALOGUES => {
                // Its buffer has room for one line.
                let _ = stream.try_write(b"421 4.7.0 too many connections\r\n");
                let _ = timeout(Duration::from_millis(100), stream.shutdown()).await;
            }
            Ok((stream, _)) => {
                dialogues.spawn(Dialogue::new(stream, taker.clone()).run());
            }
            // Such as no more file descriptors.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    while dialogues.join_next().await.is_some() {}
}

/// One client.
struct Dialogue {
    stream: TcpStream,
    buffer: Vec<u8>,
    taker: Taker,
    has_sender: bool,
    recipients: usize,
}

impl Dialogue {
    fn new(stream: TcpStream, taker: Taker) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            taker,
            has_sender: false,
            recipients: 0,
        }
    }

    async fn run(mut self) {
        // Whatever goes wrong, the client tries again.
        let _ = self.talk().await;
        let _ = timeout(PATIENCE, self.stream.shutdown()).await;
    }

    async fn talk(&mut self) -> io::Result<()> {
        let kind = if self.taker.is_lmtp { "LMTP" } else { "ESMTP" };
        self.say(&format!("220 canary.invalid {kind} takes canaries only"))
            .await?;
        loop {
            let Some(line) = self.line(LONGEST).await? else {
                return self.say("500 5.5.2 line too long").await;
            };
            let line = String::from_utf8_lossy(&line).into_owned();
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            let verb = verb.to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" | "LHLO" if (verb == "LHLO") == self.taker.is_lmtp => {
                    self.reset();
                    "250-canary.invalid\r\n250-PIPELINING\r\n250-SIZE 1048576\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES"
                }
                "HELO" if !self.taker.is_lmtp => {
                    self.reset();
                    "250 canary.invalid"
                }
                "MAIL" if self.has_sender => "503 5.5.1 one sender at a time",
                "MAIL" => {
                    self.has_sender = true;
                    "250 2.1.0 OK"
                }
                "RCPT" if !self.has_sender => "503 5.5.1 MAIL first",
                "RCPT" if self.recipients == MOST_RECIPIENTS => "452 4.5.3 too many recipients",
                "RCPT" => {
                    self.recipients += 1;
                    "250 2.1.5 OK"
                }
                "DATA" if self.recipients == 0 => "503 5.5.1 RCPT first",
                "DATA" => {
                    self.say("354 go on").await?;
                    let Some(answer) = self.data().await? else {
                        return self.say("552 5.3.4 message too large").await;
                    };
                    // LMTP: once for each recipient (RFC 2033 §4.2).
                    let times = if self.taker.is_lmtp {
                        self.recipients
                    } else {
                        1
                    };
                    self.reset();
                    self.say(&vec![answer; times].join("\r\n")).await?;
                    continue;
                }
                "RSET" => {
                    self.reset();
                    "250 2.0.0 OK"
                }
                "NOOP" => "250 2.0.0 OK",
                "VRFY" => "252 2.5.0 send it and see",
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => "502 5.5.1 not known here",
            };
            self.say(answer).await?;
        }
    }

    fn reset(&mut self) {
        (self.has_sender, self.recipients) = (false, 0);
    }

    /// Takes a message; its start is kept. `None`: it is too large.
    async fn data(&mut self) -> io::Result<Option<&'static str>> {
        let mut start = Vec::new();
        let mut size = 0;
        loop {
            let Some(line) = self.line(MOST_MESSAGE).await? else {
                return Ok(None);
            };
            if line == b"." {
                break;
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            size += line.len() + 2;
            if size > MOST_MESSAGE {
                return Ok(None);
            }
            let room = MOST_OCTETS.saturating_sub(start.len());
            let line = [line, b"\r\n"].concat();
            start.extend_from_slice(&line[..line.len().min(room)]);
        }
        Ok(Some(match self.taker.takes(start) {
            true => "250 2.0.0 OK",
            false => "450 4.7.1 only canaries of this run are taken here",
        }))
    }

    /// A line without its end. `None`: it is longer.
    async fn line(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.buffer[seen..].iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=seen + at).collect();
                line.pop();
                if line.ends_with(b"\r") {
                    line.pop();
                }
                return Ok(Some(line));
            }
            seen = self.buffer.len();
            if seen > most {
                return Ok(None);
            }
            let mut bytes = [0; 4096];
            match timeout(PATIENCE, self.stream.read(&mut bytes)).await?? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.buffer.extend_from_slice(&bytes[..n]),
            }
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let line = format!("{text}\r\n");
        timeout(PATIENCE, self.stream.write_all(line.as_bytes())).await?
    }
}
