use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The most octets that are kept of one line.
const MOST_OF_A_LINE: usize = 16 << 20;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client left, or the link broke.
    Left,
    /// The server closes.
    Cut,
    /// The server closes with what was sent still unread.
    CutAtOnce,
    /// The server resets.
    Reset,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

trait Link: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Link for T {}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn link(&mut self) -> &mut dyn Link {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut **stream,
        }
    }
}

/// The server's side of a connection: lines in, bytes out.
pub(crate) struct Wire {
    /// Empty only while a handshake runs, and after one that failed.
    stream: Option<Stream>,
    buffer: Vec<u8>,
    /// Where in the buffer the unread begins.
    start: usize,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Single bytes must leave at once when a reply is split; failing costs only time.
        let _ = stream.set_nodelay(true);
        Self {
            stream: Some(Stream::Plain(stream)),
            buffer: Vec::new(),
            start: 0,
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Some(Stream::Tls(_)))
    }

    fn link(&mut self) -> Result<&mut dyn Link, End> {
        self.stream.as_mut().map(Stream::link).ok_or(End::Left)
    }

    /// Reads a line and takes its CRLF off; nothing else ends a line. May be dropped while it
    /// waits, and nothing is lost.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, End> {
        let mut looked_at = self.start;
        loop {
            while let Some(at) = self.buffer[looked_at..].iter().position(|b| *b == b'\n') {
                let feed = looked_at + at;
                looked_at = feed + 1;
                if let Some(line) = self.buffer[self.start..feed].strip_suffix(b"\r") {
                    let line = line.to_vec();
                    self.start = looked_at;
                    return Ok(line);
                }
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.len() > MOST_OF_A_LINE {
                return Err(End::Cut);
            }
            looked_at = self.buffer.len();
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        let mut piece = [0; 16 << 10];
        let count = self.link()?.read(&mut piece).await?;
        if count == 0 {
            return Err(End::Left);
        }
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(())
    }

    /// Whether the client has sent more than was read, without waiting for it.
    pub(crate) async fn has_more(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        let mut room = ReadBuf::new(&mut piece);
        let Ok(link) = self.link() else {
            return false;
        };
        let mut link = Pin::new(link);
        poll_fn(|context| {
            // Pending, an end, or an error: the next read meets it again.
            let _ = link.as_mut().poll_read(context, &mut room);
            Poll::Ready(())
        })
        .await;
        let more = room.filled().to_vec();
        self.buffer.extend_from_slice(&more);
        self.start < self.buffer.len()
    }

    /// Forgets what was sent and not read.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
        self.start = 0;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let link = self.link()?;
        link.write_all(bytes).await?;
        link.flush().await?;
        Ok(())
    }

    /// Writes one byte at a time, each on its way before the next.
    pub(crate) async fn drip(&mut self, bytes: &[u8]) -> Result<(), End> {
        for byte in bytes {
            self.write(&[*byte]).await?;
            self.pause(Duration::from_millis(1)).await?;
        }
        Ok(())
    }

    /// Lets time pass while the client stays, and keeps what it sends meanwhile.
    pub(crate) async fn pause(&mut self, time: Duration) -> Result<(), End> {
        let stays = async {
            loop {
                self.fill().await?;
            }
        };
        tokio::time::timeout(time, stays).await.unwrap_or(Ok(()))
    }

    /// Reads and forgets until the client leaves.
    pub(crate) async fn left(&mut self) -> End {
        loop {
            self.forget();
            if let Err(end) = self.fill().await {
                return end;
            }
        }
    }

    /// Waits until the client sends anything.
    pub(crate) async fn any(&mut self) -> Result<(), End> {
        if self.start == self.buffer.len() {
            self.fill().await?;
        }
        Ok(())
    }

    /// Closes the server's direction.
    pub(crate) async fn half_close(&mut self) -> Result<(), End> {
        Ok(self.link()?.shutdown().await?)
    }

    /// Turns the connection into one with TLS.
    pub(crate) async fn handshake(&mut self, acceptor: TlsAcceptor) -> Result<(), End> {
        let Some(Stream::Plain(stream)) = self.stream.take() else {
            return Err(End::Left);
        };
        let stream = acceptor.accept(stream).await?;
        self.stream = Some(Stream::Tls(Box::new(stream)));
        Ok(())
    }

    /// Ends the connection in this way.
    pub(crate) async fn end(mut self, end: End) {
        match end {
            End::Left | End::CutAtOnce => {}
            End::Reset => {
                let stream = match &self.stream {
                    Some(Stream::Plain(stream)) => stream,
                    Some(Stream::Tls(stream)) => stream.get_ref().0,
                    None => return,
                };
                // Dropping the socket now sends the reset.
                let _ = stream.set_zero_linger();
            }
            End::Cut => {
                // A close with unread bytes would be a reset, so read on for a moment.
                if self.half_close().await.is_ok() {
                    let _ = tokio::time::timeout(Duration::from_millis(500), self.left()).await;
                }
            }
        }
    }
}
