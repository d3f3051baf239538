//! The envelope: what goes over the wire.
//!
//! Form as of develop.sentry.dev (envelopes, envelope items), read 2026.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use notifier_core::{Error, LogTail, Result, jiff::Timestamp};
use serde::Serialize;

use crate::payload::{Event, Sdk};

/// The type of an envelope's content.
pub(crate) const CONTENT_TYPE: &str = "application/x-sentry-envelope";

/// The end of a log, as a file beside the event.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// `stdout` or `stderr`.
    pub(crate) log: &'static str,
    pub(crate) tail: LogTail,
}

impl Attachment {
    fn filename(&self) -> String {
        let tail = if self.tail.is_cut { "-tail" } else { "" };
        format!("{}{tail}.log", self.log)
    }
}

#[derive(Serialize)]
struct Header<'a> {
    event_id: &'a str,
    /// The time of sending, by which the server sees that a clock is wrong.
    sent_at: String,
    sdk: Sdk,
}

#[derive(Default, Serialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    length: usize,
    #[serde(skip_serializing_if = "str::is_empty")]
    filename: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    content_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    attachment_type: &'a str,
}

/// An event with its files, which can be made smaller step by step.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) event: Event,
    pub(crate) attachments: Vec<Attachment>,
}

/// What is left out, and how.
type Step = (&'static str, fn(&mut Envelope));

/// What is left out of an envelope that is too large, in this order.
const STEPS: [Step; 4] = [
    ("the attached logs", |e| e.attachments.clear()),
    ("the last lines of the logs", |e| e.event.drop_lines()),
    ("the labels", |e| e.event.drop_labels()),
    (
        "everything but a short message, tags and the task's id",
        |e| {
            e.event.shorten();
        },
    ),
];

/// How much smaller a second form is to be than the one that was too large.
const SMALLER: usize = 8;

impl Envelope {
    /// The bytes to send at this time, packed, and how many they are unpacked.
    pub(crate) fn pack(&self, now: Timestamp) -> Result<(Vec<u8>, usize)> {
        let failed = |e: io::Error| {
            Error::internal("the event cannot be written as an envelope").with_source(e)
        };
        let event = self.event.to_json()?;
        let mut out = Counted {
            inner: GzEncoder::new(Vec::new(), Compression::fast()),
            bytes: 0,
        };
        self.write(&event, now, &mut out).map_err(failed)?;
        let packed = out.inner.finish().map_err(failed)?;
        Ok((packed, out.bytes))
    }

    pub(crate) fn write(
        &self,
        event: &[u8],
        now: Timestamp,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let line = |out: &mut dyn Write, json: serde_json::Result<Vec<u8>>| {
            out.write_all(&json?)?;
            out.write_all(b"\n")
        };
        let header = Header {
            event_id: &self.event.event_id,
            sent_at: format!("{now:.3}"),
            sdk: Sdk::OURS,
        };
        line(out, serde_json::to_vec(&header))?;
        let item = Item {
            kind: "event",
            length: event.len(),
            ..Item::default()
        };
        line(out, serde_json::to_vec(&item))?;
        out.write_all(event)?;
        out.write_all(b"\n")?;
        for a in &self.attachments {
            let item = Item {
                kind: "attachment",
                length: a.tail.bytes.len(),
                filename: &a.filename(),
                content_type: "text/plain",
                attachment_type: "event.attachment",
            };
            line(out, serde_json::to_vec(&item))?;
            out.write_all(&a.tail.bytes)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Makes it an eighth of `refused` bytes or less, as far as that goes. Returns what is
    /// missing now; `None` if it could not be made smaller.
    pub(crate) fn shrink(&mut self, refused: usize) -> Result<Option<String>> {
        let mut missing = Vec::new();
        for (what, leave_out) in STEPS {
            let before = self.size()?;
            leave_out(self);
            let now = self.size()?;
            if now < before {
                missing.push(what);
            }
            if now <= refused / SMALLER {
                break;
            }
        }
        Ok((!missing.is_empty()).then(|| missing.join(", ")))
    }

    /// About how many bytes it has unpacked.
    fn size(&self) -> Result<usize> {
        let files: usize = self.attachments.iter().map(|a| a.tail.bytes.len()).sum();
        Ok(self.event.to_json()?.len() + files)
    }
}

struct Counted<W> {
    inner: W,
    bytes: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.bytes += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
