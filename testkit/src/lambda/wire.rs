//! The HTTP/1.1 that a runtime speaks: requests with a length, answers with one.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The longest head of a request.
const LONGEST_HEAD: usize = 64 * 1024;
/// The longest body, somewhat over the longest answer that Lambda takes.
const LONGEST_BODY: usize = 16 * 1024 * 1024;

/// One request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut these = self.headers.iter();
        let found = these.find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// A connection of the runtime.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    /// What came behind the last request.
    rest: Vec<u8>,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// The next request; `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> io::Result<Option<Asked>> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if self.rest.len() > LONGEST_HEAD {
                return Err(bad("the head is too long"));
            }
            if self.stream.read_buf(&mut self.rest).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path)) = (first.next(), first.next()) else {
            return Err(bad("no request line"));
        };
        let mut asked = Asked {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: lines
                .filter_map(|l| l.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        if asked.header("transfer-encoding").is_some() {
            return Err(bad("a body without a length"));
        }
        let length = match asked.header("content-length").map(str::parse) {
            None => 0,
            Some(Ok(n)) if n <= LONGEST_BODY => n,
            Some(_) => return Err(bad("the body's length is none, or is too long")),
        };
        while self.rest.len() < length {
            if self.stream.read_buf(&mut self.rest).await? == 0 {
                return Ok(None);
            }
        }
        asked.body = self.rest.drain(..length).collect();
        Ok(Some(asked))
    }

    /// Resolves when the other side is gone. A frozen one is not.
    pub(super) async fn gone(&mut self) {
        while let Ok(n) = self.stream.read_buf(&mut self.rest).await {
            if n == 0 {
                return;
            }
        }
    }

    pub(super) async fn answer(
        &mut self,
        status: u16,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
