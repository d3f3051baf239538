//! A connection to a relay: bytes out, replies in, every wait bounded.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, timeout_at},
};

use crate::{Dialogue, Fault, Hidden, LONGEST_LINE, Parts, Reply};

/// Plain TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// How a message went out.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it, with the last dot.
    Whole,
    /// The relay spoke before it was all out; the dot did not go.
    Interrupted,
    /// It broke after so many octets.
    Broken(usize, Fault),
}

/// A connection.
pub struct Link {
    stream: Box<dyn Stream>,
    /// What came and was not read as a reply yet.
    buffer: Vec<u8>,
    dialogue: Dialogue,
    /// When the attempt must be over, whatever a single wait may take.
    until: Instant,
    hidden: Hidden,
}

impl Link {
    /// A connection that must be over at `until`.
    pub fn of(stream: Box<dyn Stream>, until: Instant) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            dialogue: Dialogue::default(),
            until,
            hidden: Hidden::default(),
        }
    }

    /// Masks this in all that the relay says from now on.
    pub fn hide(&mut self, hidden: Hidden) {
        self.hidden = hidden;
    }

    /// Takes the stream out, for a handshake of TLS. Bytes that came before are an attack or a
    /// fault (RFC 3207 §4.2, CVE-2011-0411).
    ///
    /// # Errors
    /// If there are any.
    pub async fn into_stream(mut self) -> Result<(Box<dyn Stream>, Dialogue), Fault> {
        if !self.buffer.is_empty() || self.pending().await? {
            return Err(Fault::Malformed(
                "bytes before the handshake (possible injection)".to_owned(),
            ));
        }
        Ok((self.stream, self.dialogue))
    }

    /// Goes on with a dialogue from before TLS.
    pub fn with_dialogue(mut self, dialogue: Dialogue) -> Self {
        self.dialogue = dialogue;
        self
    }

    /// Sets when it must be over.
    pub fn set_until(&mut self, until: Instant) {
        self.until = until;
    }

    /// When it must be over.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// What was said last.
    pub fn dialogue(&self) -> &Dialogue {
        &self.dialogue
    }

    /// The end of a wait that may take so long.
    fn end(&self, within: Duration) -> Instant {
        Instant::now()
            .checked_add(within)
            .map_or(self.until, |t| t.min(self.until))
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// If none comes in time, or what comes is none.
    pub async fn reply(&mut self, within: Duration) -> Result<Reply, Fault> {
        let begun = Instant::now();
        let end = self.end(within);
        match timeout_at(end, self.read_reply()).await {
            Ok(reply) => {
                let reply = reply?.covered(&self.hidden);
                self.dialogue.they(&reply);
                Ok(reply)
            }
            Err(_) => Err(Fault::Stalled(round(begun.elapsed()))),
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, Fault> {
        let mut parts = Parts::default();
        let mut seen = 0;
        loop {
            let Some(at) = self.buffer[seen..].iter().position(|b| *b == b'\n') else {
                seen = self.buffer.len();
                if seen > LONGEST_LINE {
                    return Err(Fault::Malformed("a reply line without end".to_owned()));
                }
                let mut bytes = [0; 4096];
                match self.stream.read(&mut bytes).await {
                    Ok(0) => return Err(Fault::Closed),
                    Ok(n) => self.buffer.extend_from_slice(&bytes[..n]),
                    Err(e) => return Err(broken(&e)),
                }
                continue;
            };
            let end = seen + at;
            let line = self.buffer[..end]
                .strip_suffix(b"\r")
                .unwrap_or(&self.buffer[..end]);
            if line.len() > LONGEST_LINE {
                return Err(Fault::Malformed("a reply line without end".to_owned()));
            }
            let whole = parts.add(line).map_err(Fault::Malformed)?;
            self.buffer.drain(..=end);
            seen = 0;
            if let Some(reply) = whole {
                return Ok(reply);
            }
        }
    }

    /// Sends a command and reads its reply.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), or if it cannot be sent.
    pub async fn ask(&mut self, command: &str, within: Duration) -> Result<Reply, Fault> {
        self.dialogue.we(command);
        self.ask_unseen(command, within).await
    }

    /// As [`ask`](Self::ask), for what must not be seen; `shown` stands for it.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn ask_secret(
        &mut self,
        command: &str,
        shown: &str,
        within: Duration,
    ) -> Result<Reply, Fault> {
        self.dialogue.we(shown);
        self.ask_unseen(command, within).await
    }

    async fn ask_unseen(&mut self, command: &str, within: Duration) -> Result<Reply, Fault> {
        if let Some(reply) = self.unasked(within).await? {
            return Ok(reply);
        }
        self.write(command.as_bytes(), within).await?;
        self.reply(within).await
    }

    /// What came before anything was asked: a relay may say 421 at any time; all else would be
    /// taken for the answer to what is asked next.
    ///
    /// # Errors
    /// If it is anything but that.
    pub async fn unasked(&mut self, within: Duration) -> Result<Option<Reply>, Fault> {
        if self.buffer.is_empty() && !self.pending().await? {
            return Ok(None);
        }
        let reply = self.reply(within).await?;
        match reply.is_closing() {
            true => Ok(Some(reply)),
            false => Err(Fault::Malformed(format!(
                "an answer that nothing had asked for ({} {})",
                reply.codes(),
                reply.text()
            ))),
        }
    }

    /// Commands that go out together, to be noted before they are sent.
    ///
    /// # Errors
    /// They cannot be sent.
    pub async fn write_all(&mut self, commands: &[String], within: Duration) -> Result<(), Fault> {
        for command in commands {
            self.dialogue.we(command);
        }
        self.write(commands.concat().as_bytes(), within).await
    }

    async fn write(&mut self, bytes: &[u8], within: Duration) -> Result<(), Fault> {
        let begun = Instant::now();
        let end = self.end(within);
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout_at(end, writing).await {
            Ok(done) => done.map_err(|e| broken(&e)),
            Err(_) => Err(Fault::Stalled(round(begun.elapsed()))),
        }
    }

    /// Sends a message that is stuffed already and ends in the last dot. Each block may take so
    /// long; what the relay says meanwhile stops it.
    pub async fn send(&mut self, wire: &[u8], within: Duration) -> Sent {
        self.dialogue.we(&format!("({} octets)", wire.len()));
        if !self.buffer.is_empty() {
            return Sent::Interrupted;
        }
        match self.pending().await {
            Ok(false) => {}
            Ok(true) => return Sent::Interrupted,
            Err(fault) => return Sent::Broken(0, fault),
        }
        let mut sent = 0;
        while sent < wire.len() {
            let begun = Instant::now();
            let end = self.end(within);
            let next = &wire[sent..];
            match timeout_at(end, poll_fn(|cx| self.poll_send(cx, next))).await {
                Ok(Ok(Some(0))) => return Sent::Broken(sent, Fault::Closed),
                Ok(Ok(Some(n))) => sent += n,
                Ok(Ok(None)) => return Sent::Interrupted,
                Ok(Err(fault)) => return Sent::Broken(sent, fault),
                Err(_) => return Sent::Broken(sent, Fault::Stalled(round(begun.elapsed()))),
            }
        }
        let begun = Instant::now();
        let end = self.end(within);
        match timeout_at(end, self.stream.flush()).await {
            Ok(Ok(())) => Sent::Whole,
            Ok(Err(e)) => Sent::Broken(sent, broken(&e)),
            Err(_) => Sent::Broken(sent, Fault::Stalled(round(begun.elapsed()))),
        }
    }

    /// Writes; where that must wait, looks whether the relay speaks. `None`: it does.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<Option<usize>, Fault>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(n)) => Poll::Ready(Ok(Some(n))),
            Poll::Ready(Err(e)) => Poll::Ready(Err(broken(&e))),
            Poll::Pending => match self.poll_fill(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(None)),
                Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let mut bytes = [0; 1024];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Err(Fault::Closed)),
            Poll::Ready(Ok(())) => {
                self.buffer.extend_from_slice(buffer.filled());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(broken(&e))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether something came that nobody read, without waiting for it.
    async fn pending(&mut self) -> Result<bool, Fault> {
        poll_fn(|cx| match self.poll_fill(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(true)),
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Pending => Poll::Ready(Ok(false)),
        })
        .await
    }

    /// Whether it is open and the relay has said nothing since.
    pub async fn is_quiet(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.pending().await, Ok(false))
    }

    /// Says goodbye and closes, at most so long.
    pub async fn quit(mut self, within: Duration) {
        self.until = Instant::now() + within;
        let _ = self.ask("QUIT\r\n", within).await;
        let _ = timeout_at(self.until, self.stream.shutdown()).await;
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("buffer", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

fn broken(e: &io::Error) -> Fault {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Closed,
        _ => Fault::Broken(e.to_string()),
    }
}

/// To a tenth of a second, so that texts do not differ for nothing.
fn round(time: Duration) -> Duration {
    let tenths = (time.as_millis() + 50) / 100;
    Duration::from_millis(u64::try_from(tenths * 100).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
