//! Lines and literals on a connection (RFC 3501 §2.2, §4.3).

use std::{fmt, io};

use smtp_wire::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::trouble;
use crate::{connection::Stop, report::Class};

/// The most octets that a server may send in one session.
const MOST_SENT: usize = 64 * 1024 * 1024;
/// The most octets of one response, which is kept in memory.
const MOST_OF_ONE: usize = 8 * 1024 * 1024;

/// A connection to a server. Nothing that goes over it is logged: passwords do.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What came and was not taken yet.
    buffer: Vec<u8>,
    left: usize,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            left: MOST_SENT,
        }
    }

    /// The stream, for a handshake. What came before that is dropped: nobody has vouched for it.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// Sends a line.
    pub(super) async fn send(&mut self, line: &str) -> Result<(), Stop> {
        let line = format!("{line}\r\n");
        let writing = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await
        };
        writing.await.map_err(|e| broken(&e))
    }

    /// The next response with its literals, without the end of its last line.
    pub(super) async fn response(&mut self) -> Result<Vec<u8>, Stop> {
        let mut seen = 0;
        loop {
            let end = self.line_end(seen).await?;
            let line = self.buffer[seen..end].trim_ascii_end();
            let Some(octets) = literal(line) else {
                let mut response: Vec<u8> = self.buffer.drain(..=end).collect();
                response.truncate(response.trim_ascii_end().len());
                return Ok(response);
            };
            seen = end.saturating_add(1).saturating_add(octets);
            if seen > MOST_OF_ONE {
                return Err(too_much());
            }
            while self.buffer.len() < seen {
                self.more().await?;
            }
        }
    }

    /// Where the line ends that begins there.
    async fn line_end(&mut self, start: usize) -> Result<usize, Stop> {
        let mut looked = start;
        loop {
            let end = self.buffer[looked..].iter().position(|b| *b == b'\n');
            if let Some(end) = end {
                return Ok(looked + end);
            }
            looked = self.buffer.len();
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Stop> {
        self.buffer.reserve(16 * 1024);
        let read = self.stream.read_buf(&mut self.buffer).await;
        let n = read.map_err(|e| broken(&e))?;
        if n == 0 {
            return Err(trouble(Class::Eof, "the server closed the connection"));
        }
        self.left = self.left.saturating_sub(n);
        match self.left == 0 || self.buffer.len() > 2 * MOST_OF_ONE {
            true => Err(too_much()),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// How many octets come after a line that ends in `{n}`.
fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|b| *b == b'{')?;
    let digits = std::str::from_utf8(&inner[start + 1..]).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(usize::MAX))
}

fn too_much() -> Stop {
    trouble(Class::Proto, "the server sends too much")
}

fn broken(e: &io::Error) -> Stop {
    let class = match e.kind() {
        io::ErrorKind::InvalidData => Class::Tls,
        _ => Class::Eof,
    };
    trouble(class, e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(sent: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
        // So small that responses come in pieces.
        let (ours, mut theirs) = tokio::io::duplex(7);
        let mut wire = Wire::new(Box::new(ours));
        let sending = async {
            let _ = theirs.write_all(sent).await;
            drop(theirs);
        };
        let reading = async {
            let mut responses = Vec::new();
            loop {
                match wire.response().await {
                    Ok(response) => responses.push(response),
                    Err(stop) if stop.class == Class::Eof => return Ok(responses),
                    Err(stop) => return Err(stop),
                }
            }
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test]
    async fn literals_belong_to_their_response() {
        let sent = b"* OK hi\r\n* 1 FETCH (A {6}\r\n\r\n)x\r\n B {0}\r\n)\r\na1 OK\n";
        let responses = read(sent).await.unwrap();
        let want: [&[u8]; 3] = [
            b"* OK hi",
            b"* 1 FETCH (A {6}\r\n\r\n)x\r\n B {0}\r\n)",
            b"a1 OK",
        ];
        assert_eq!(responses, want);
    }

    #[tokio::test]
    async fn what_is_promised_or_sent_without_an_end_is_not_awaited() {
        for sent in [
            b"* 1 FETCH ({99999999999999999999999}\r\n".to_vec(),
            b"* 1 FETCH ({100000000}\r\n".to_vec(),
        ] {
            assert_eq!(read(&sent).await.unwrap_err().class, Class::Proto);
        }
        let mut wire = Wire::new(Box::new(tokio::io::join(
            tokio::io::repeat(b'x'),
            tokio::io::sink(),
        )));
        assert_eq!(wire.response().await.unwrap_err().class, Class::Proto);
    }

    #[test]
    fn only_a_number_in_braces_ends_a_line_for_a_literal() {
        assert_eq!(literal(b"x {12}"), Some(12));
        for none in [&b"x {}"[..], b"x {a}", b"x 12}", b"x {12} ", b"x {1 2}"] {
            assert_eq!(literal(none), None);
        }
    }
}
