//! Answers and records that are broken.

use super::stream::record;
use crate::http::{Action, Delivery, End, Reply};

/// What is wrong with an answer or a record.
///
/// [`FakeCluster::corrupt_answer`](super::FakeCluster::corrupt_answer) takes the next
/// plain answer of a master: its state, or one to a call of the operator API.
/// [`FakeCluster::corrupt_stream`](super::FakeCluster::corrupt_stream) takes the next
/// record of an event or a snapshot; heartbeats are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// The first half, then the connection is closed.
    TruncatedBody,
    /// Status 200 with the HTML page of a proxy. In a stream it answers the next
    /// subscription.
    Html,
    /// JSON is announced, noise comes; a record has its right length.
    Garbage,
    /// A length that is not a number: the length line of the record, or the
    /// `Content-Length` of the answer. The right bytes follow.
    BadLength,
    /// A length of 4 GB, followed by no more bytes than usual. A stream goes on, an
    /// answer ends with its connection.
    HugeLength,
    /// A record of no bytes before the right one: legal, nothing is lost. An answer has
    /// an empty body.
    EmptyRecord,
    /// Bytes that are no UTF-8 in the first message, or else the first value of a label,
    /// or else the first name. Passes by records that have none of these.
    InvalidUtf8,
    /// An event of a type nobody knows before the right record. An answer has a field
    /// nobody knows.
    UnknownEvent,
    /// Another status with an empty body. In a stream it answers the next subscription.
    Status(u16),
}

const NOISE: &[u8] = b"\x8f\x02{{[\"\xc3\x28\0\x1b]}}";
const UNKNOWN: &[u8] = b"{\"type\":\"PONY_ADDED\",\"pony_added\":{\"pony\":{\"legs\":[4,null]}}}";
const HUGE: u64 = 4 << 30;

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes
        .windows(what.len())
        .position(|window| window == what)
        .map(|at| at + what.len())
}

/// Puts bytes that are no UTF-8 into a text of the JSON.
fn invalid_utf8(json: &[u8]) -> Option<Vec<u8>> {
    let label = || {
        let key = find(json, b"\"key\":\"")?;
        Some(key + find(&json[key..], b"\"value\":\"")?)
    };
    let at = find(json, b"\"message\":\"")
        .or_else(label)
        .or_else(|| find(json, b"\"name\":\""))?;
    Some([&json[..at], b"\xff\xc3\x28", &json[at..]].concat())
}

fn noise(length: usize) -> Vec<u8> {
    NOISE.iter().copied().cycle().take(length).collect()
}

impl Corruption {
    /// Whether it replaces the answer to a subscription.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Self::Html | Self::Status(_))
    }

    /// The bytes of a record, and whether the stream ends after them. `None` if this
    /// record is not one to corrupt.
    pub(crate) fn record(self, json: &[u8]) -> Option<(Vec<u8>, bool)> {
        let right = record(json);
        let bytes = match self {
            Self::Html | Self::Status(_) => return None,
            Self::TruncatedBody => return Some((right[..right.len() / 2].to_vec(), true)),
            Self::Garbage => record(&noise(json.len())),
            Self::BadLength => [b"12x\n", json].concat(),
            Self::HugeLength => [format!("{HUGE}\n").as_bytes(), json].concat(),
            Self::EmptyRecord => [b"0\n", right.as_slice()].concat(),
            Self::InvalidUtf8 => record(&invalid_utf8(json)?),
            Self::UnknownEvent => [record(UNKNOWN), right].concat(),
        };
        Some((bytes, false))
    }

    /// What comes instead of the right answer with this JSON.
    pub(crate) fn answer(self, json: &[u8]) -> Action {
        let reply = |body: Vec<u8>| {
            Reply::new(200)
                .header("Content-Type", "application/json")
                .body(body)
        };
        let raw = |length: &str| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            Action::Raw([head.as_bytes(), json].concat())
        };
        match self {
            Self::TruncatedBody => {
                let cut = Delivery::new().cut(json.len() as u64 / 2, End::Close);
                reply(json.to_vec()).delivery(cut).into()
            }
            Self::Html => Action::html(200),
            Self::Garbage => reply(noise(json.len().min(4096))).into(),
            Self::BadLength => raw("12x"),
            Self::HugeLength => raw(&HUGE.to_string()),
            Self::EmptyRecord => reply(Vec::new()).into(),
            Self::InvalidUtf8 => reply(invalid_utf8(json).unwrap_or_else(|| json.to_vec())).into(),
            Self::UnknownEvent => {
                let rest = json.strip_prefix(b"{").unwrap_or(json);
                reply([b"{\"pony\":{\"legs\":[4,null]},", rest].concat()).into()
            }
            Self::Status(status) => Action::status(status),
        }
    }

    /// What comes instead of the answer to a subscription.
    pub(crate) fn refusal(self) -> Action {
        match self {
            Self::Status(status) => Action::status(status),
            _ => Action::html(200),
        }
    }
}
