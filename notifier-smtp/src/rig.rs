//! A relay on the other end of a pipe, for unit tests: it says what it is told to say.

use std::time::Duration;

use notifier_core::redact::Redactor;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex},
    task::JoinHandle,
    time::Instant,
};

use smtp_wire::{Link, Offers, Reply};

use crate::{address::Address, envelope::Envelope, error::Who, session::Session};

/// The longest wait for a reply, and for the last.
pub(crate) const REPLY: Duration = Duration::from_secs(300);
pub(crate) const LAST: Duration = Duration::from_secs(600);

/// What the relay does when a line comes that begins so.
pub(crate) type Rule = (&'static str, Does);

/// What a relay does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Answers this, whose end of line is added.
    Say(&'static str),
    /// Closes.
    Close,
    /// Answers this and closes.
    SayAndClose(&'static str),
    /// Never answers.
    Stall,
}

/// Plays the rules in order; what comes after DATA was taken is read up to the dot. The lines
/// that came, without their ends.
pub(crate) fn relay(stream: DuplexStream, rules: Vec<Rule>) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream);
        let mut lines: Vec<String> = Vec::new();
        let mut in_body = false;
        let mut rules = rules.into_iter();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return lines;
            }
            let line = line
                .strip_suffix("\r\n")
                .expect("a line ends in CRLF")
                .to_owned();
            lines.push(line.clone());
            if in_body && line != "." {
                continue;
            }
            in_body = false;
            let Some((begin, does)) = rules.next() else {
                // Nothing more is expected; what comes is seen by the test.
                continue;
            };
            assert!(line.starts_with(begin), "{line:?} came, {begin:?} was due");
            let (text, closes) = match does {
                Does::Say(text) => (text, false),
                Does::SayAndClose(text) => (text, true),
                Does::Close => ("", true),
                Does::Stall => continue,
            };
            in_body = text.starts_with("354");
            if !text.is_empty() {
                // The other side may have closed already.
                let _ = stream.write_all(format!("{text}\r\n").as_bytes()).await;
            }
            if closes {
                let _ = stream.shutdown().await;
                return lines;
            }
        }
    })
}

/// A reply of one line.
pub(crate) fn reply(line: &str) -> Reply {
    line.parse().unwrap()
}

pub(crate) fn who() -> Who {
    Who::new("relay:25", Redactor::default())
}

/// Both ends of a pipe; ours as a link with a day of time.
pub(crate) fn pipe() -> (Link, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    let until = Instant::now() + Duration::from_secs(86_400);
    (Link::of(Box::new(ours), until), theirs)
}

/// A session past its greeting.
pub(crate) fn session(pipelining: bool) -> (Session, DuplexStream) {
    let (link, theirs) = pipe();
    let session = Session {
        link,
        offers: Offers {
            pipelining,
            ..Offers::default()
        },
        who: who(),
        reply: REPLY,
        last: LAST,
        used: 0,
    };
    (session, theirs)
}

/// The smallest mail: `Hi`.
pub(crate) fn hi(sender: &Address) -> Envelope<'_> {
    Envelope {
        sender,
        size: 4,
        wire: b"Hi\r\n.\r\n",
        is_ascii: true,
        needs_utf8: false,
        id: "1",
    }
}
