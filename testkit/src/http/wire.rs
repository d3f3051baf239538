//! Reading requests from a connection and writing replies to it (RFC 9112).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::reply::{Content, Delivery, End, Framing, Gauge, Piece, Reply, reason};
use super::request::Request;

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 256 * 1024;
/// The longest body that is read, in bytes.
const MAX_BODY: u64 = 256 * 1024 * 1024;
/// The size of the pieces in which generated bodies are written, in bytes.
const PIECE: usize = 64 * 1024;

/// A connection with what was read from it and not yet used.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    peer: SocketAddr,
    connection: u64,
}

/// How the body of a request is announced.
enum Announced {
    Length(u64),
    Chunked,
}

/// The time by the wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "servers of tests run by real time"
)]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, connection: u64) -> Self {
        // Small pieces must leave at once when they drip; failing costs only time.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            buffer: Vec::new(),
            peer,
            connection,
        }
    }

    /// Reads the head of the next request; `None` when the client closed in between.
    /// The serial is 0 and the body empty.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Request>> {
        let mut seen = 0;
        let end = loop {
            let from = seen.min(self.buffer.len()).saturating_sub(3);
            if let Some(at) = self.buffer[from..]
                .windows(4)
                .position(|w| w == b"\r\n\r\n")
            {
                break from + at;
            }
            seen = self.buffer.len();
            if seen > MAX_HEAD {
                return Err(invalid("head too long"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(invalid("head cut short"))
                };
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(invalid("not a request line"));
        };
        if method.is_empty() || target.is_empty() || !version.starts_with("HTTP/1.") {
            return Err(invalid("not a request line of HTTP/1"));
        }
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| invalid("not a header"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        if version == "HTTP/1.0"
            && !headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case("connection"))
        {
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        Ok(Some(Request {
            serial: 0,
            connection: self.connection,
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body: Vec::new(),
            body_complete: false,
            peer: self.peer,
            arrived: Instant::now(),
            arrived_at: wall_clock(),
        }))
    }

    /// Reads the body that the head announces into the request.
    pub(crate) async fn body(&mut self, request: &mut Request) -> io::Result<()> {
        let announced = announced(request)?;
        let expects = request
            .header("Expect")
            .is_some_and(|v| v.eq_ignore_ascii_case("100-continue"));
        if expects && !matches!(announced, Announced::Length(0)) {
            self.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        match announced {
            Announced::Length(length) => {
                if length > MAX_BODY {
                    return Err(invalid("body too long"));
                }
                self.take(length as usize, &mut request.body).await?;
            }
            Announced::Chunked => loop {
                let line = self.line().await?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                let size =
                    usize::from_str_radix(digits, 16).map_err(|_| invalid("not a chunk size"))?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    break;
                }
                if (request.body.len() as u64).saturating_add(size as u64) > MAX_BODY {
                    return Err(invalid("body too long"));
                }
                self.take(size, &mut request.body).await?;
                if !self.line().await?.is_empty() {
                    return Err(invalid("chunk without its end"));
                }
            },
        }
        request.body_complete = true;
        Ok(())
    }

    /// Moves `count` bytes from the connection into `into`; keeps what came on an error.
    async fn take(&mut self, count: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let mut missing = count;
        loop {
            let here = missing.min(self.buffer.len());
            into.extend(self.buffer.drain(..here));
            missing -= here;
            if missing == 0 {
                return Ok(());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads one line without its end.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(invalid("line too long"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits until the client has left, throwing away what it sends.
    pub(crate) async fn left(&mut self) {
        loop {
            self.buffer.clear();
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Ends the connection.
    pub(crate) async fn end(mut self, end: End) {
        match end {
            // Dropping the socket now sends the reset.
            End::Reset => {
                let _ = self.stream.set_zero_linger();
            }
            End::Close => {
                // A close with unread bytes would be a reset, so read on for a moment.
                if self.stream.shutdown().await.is_ok() {
                    let _ = tokio::time::timeout(Duration::from_millis(500), self.left()).await;
                }
            }
        }
    }

    /// Writes bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes a reply. Returns how the connection must end, or `None` if it can go on.
    pub(crate) async fn reply(
        &mut self,
        reply: &Reply,
        request: &Request,
    ) -> io::Result<Option<End>> {
        let delivery = &reply.delivery;
        if !delivery.delay.is_zero() {
            tokio::time::sleep(delivery.delay).await;
        }
        let bodiless = request.method == "HEAD" || reply.status == 204 || reply.status == 304;
        let length = reply.body.len();
        let framing = match (delivery.framing, length) {
            (Framing::Auto, None) => Framing::Chunked,
            (framing, _) => framing,
        };
        let wants_close = request.header("Connection").is_some_and(|v| {
            v.split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("close"))
        });
        let close = delivery.close || wants_close || (framing == Framing::UntilClose && !bodiless);

        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
        for (name, value) in &reply.headers {
            // A line break in a value would add headers; a test's slip must not.
            let value = value.replace(['\r', '\n'], " ");
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match (framing, length) {
            (Framing::Chunked, _) => head.push_str("Transfer-Encoding: chunked\r\n"),
            (Framing::Auto, Some(length)) if reply.status != 204 => {
                head.push_str(&format!("Content-Length: {length}\r\n"));
            }
            _ => {}
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");

        if bodiless {
            self.raw(head.as_bytes()).await?;
            return Ok(close.then_some(End::Close));
        }
        let chunked = framing == Framing::Chunked;
        // A small body goes out with its head in one piece, as servers do.
        if let (Content::Bytes(bytes), false, None, None) =
            (&reply.body.0, chunked, delivery.drip, delivery.cut)
        {
            let mut all = head.into_bytes();
            if bytes.len() <= PIECE {
                all.extend_from_slice(bytes);
                self.raw(&all).await?;
            } else {
                self.raw(&all).await?;
                self.raw(bytes).await?;
            }
            return Ok(close.then_some(End::Close));
        }
        self.raw(head.as_bytes()).await?;
        let mut out = Outlet {
            wire: self,
            delivery,
            chunked,
            sent: 0,
        };
        let ended = match &reply.body.0 {
            Content::Bytes(bytes) => out.send(bytes).await?,
            Content::Generated { len, fill } => {
                let mut buffer = vec![0; PIECE];
                let mut offset = 0u64;
                loop {
                    let rest = len.map_or(u64::MAX, |len| len - offset);
                    let piece = &mut buffer[..rest.min(PIECE as u64) as usize];
                    if piece.is_empty() {
                        break None;
                    }
                    fill(offset, piece);
                    offset += piece.len() as u64;
                    if let Some(end) = out.send(piece).await? {
                        break Some(end);
                    }
                }
            }
            Content::Channel(pieces) => {
                let mut receiver = pieces.receiver.lock().await;
                loop {
                    let piece = tokio::select! {
                        piece = receiver.recv() => piece,
                        // Nobody reads any more; the sender learns it.
                        () = out.wire.left() => {
                            receiver.close();
                            return Err(io::ErrorKind::ConnectionAborted.into());
                        }
                    };
                    let ended = match piece {
                        None => break None,
                        Some(Piece::End(end)) => Some(end),
                        Some(Piece::Data(bytes)) => {
                            let ended = out.send(&bytes).await?;
                            let count = bytes.len() as u64;
                            pieces.gauge.unread.fetch_sub(count, Ordering::Relaxed);
                            ended
                        }
                        Some(Piece::Shared { bytes, range, drip }) => {
                            let ended = out.drip(&bytes[range], drip, &pieces.gauge).await?;
                            if ended == Some(Dripped::Left) {
                                break Some(last(&mut receiver));
                            }
                            ended.and_then(Dripped::end)
                        }
                    };
                    if ended.is_some() {
                        break ended;
                    }
                }
            }
        };
        if let Some(end) = ended {
            if end == End::Reset {
                // What was written must be on its way before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return Ok(Some(end));
        }
        if chunked {
            self.raw(b"0\r\n\r\n").await?;
        }
        Ok(close.then_some(End::Close))
    }
}

/// Writes a body piece by piece in the way the delivery asks for.
struct Outlet<'a> {
    wire: &'a mut Wire,
    delivery: &'a Delivery,
    chunked: bool,
    sent: u64,
}

/// How dripping stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dripped {
    /// The cut of the delivery was reached.
    Cut(End),
    /// The sender ends the body.
    Left,
}

impl Dripped {
    fn end(self) -> Option<End> {
        match self {
            Self::Cut(end) => Some(end),
            Self::Left => None,
        }
    }
}

/// The end the sender asks for, past what it sent before.
fn last(receiver: &mut mpsc::UnboundedReceiver<Piece>) -> End {
    while let Ok(piece) = receiver.try_recv() {
        if let Piece::End(end) = piece {
            return end;
        }
    }
    End::Close
}

impl Outlet<'_> {
    /// Sends bytes in pieces with pauses between, as long as the sender does not end.
    async fn drip(
        &mut self,
        bytes: &[u8],
        drip: Option<(usize, Duration)>,
        gauge: &Gauge,
    ) -> io::Result<Option<Dripped>> {
        let Some((size, pause)) = drip else {
            return Ok(self.send(bytes).await?.map(Dripped::Cut));
        };
        for piece in bytes.chunks(size.max(1)) {
            if gauge.ending.load(Ordering::Relaxed) {
                return Ok(Some(Dripped::Left));
            }
            if let Some(end) = self.send(piece).await? {
                return Ok(Some(Dripped::Cut(end)));
            }
            tokio::time::sleep(pause).await;
        }
        Ok(None)
    }

    /// Sends bytes; returns the end when the cut is reached.
    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<Option<End>> {
        let cut = self
            .delivery
            .cut
            .map(|(after, end)| (after.saturating_sub(self.sent), end));
        if let Some((left, _)) = cut {
            bytes = &bytes[..left.min(bytes.len() as u64) as usize];
        }
        let (size, pause) = self
            .delivery
            .drip
            .unwrap_or((bytes.len().max(1), Duration::ZERO));
        for piece in bytes.chunks(size) {
            if self.sent > 0 && !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if self.chunked {
                let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
                framed.extend_from_slice(piece);
                framed.extend_from_slice(b"\r\n");
                self.wire.raw(&framed).await?;
            } else {
                self.wire.raw(piece).await?;
            }
            self.sent += piece.len() as u64;
        }
        Ok(self
            .delivery
            .cut
            .and_then(|(after, end)| (self.sent >= after).then_some(end)))
    }
}

fn announced(request: &Request) -> io::Result<Announced> {
    if let Some(coding) = request.header("Transfer-Encoding") {
        return if coding.eq_ignore_ascii_case("chunked") {
            Ok(Announced::Chunked)
        } else {
            Err(invalid("unknown transfer coding"))
        };
    }
    match request.header("Content-Length") {
        None => Ok(Announced::Length(0)),
        Some(length) => length
            .parse()
            .map(Announced::Length)
            .map_err(|_| invalid("not a length")),
    }
}
