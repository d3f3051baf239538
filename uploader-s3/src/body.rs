//! What is stored of a log: all of it, or its beginning and its end; compressed or not.

use std::{io::Write as _, time::Duration};

use bytes::{Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use futures_util::StreamExt as _;
use notifier_core::{ByteStream, Error, ErrorKind, LogContent, LogPart, Result};
use tokio::time::{Instant, timeout_at};

use crate::{
    call::{Digest, Payload},
    store::SLOWEST,
};

/// The longest end of a log whose size is not known beforehand.
const UNKNOWN_END: u64 = 1024 * 1024;

/// How long one part may take to be read, beside the time for its bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log's bytes as they are stored, in pieces.
pub(crate) struct Body<'a> {
    log: Log<'a>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// What did not fit into the last part.
    rest: Bytes,
}

impl<'a> Body<'a> {
    /// Opens the log. `most` bytes are kept of it.
    pub(crate) async fn open(content: &'a dyn LogContent, most: u64) -> Result<Self> {
        Ok(Self {
            log: Log::open(content, most).await?,
            gzip: None,
            rest: Bytes::new(),
        })
    }

    /// Compresses what is read from now on. That takes some 300 KiB.
    pub(crate) fn compress(&mut self) {
        self.gzip = Some(GzEncoder::new(Vec::new(), Compression::default()));
    }

    /// Waits for the next bytes, without room for a part; false if that was the end.
    pub(crate) async fn wait(&mut self) -> Result<bool> {
        self.log.pace.start(0);
        match self.next().await? {
            Some(piece) => {
                self.rest = piece;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// About how many bytes there will be at most.
    pub(crate) fn expected(&self) -> u64 {
        self.log.kept
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        loop {
            let piece = self.log.next().await?;
            let Some(gzip) = &mut self.gzip else {
                return Ok(piece);
            };
            let faulty = |e| Error::internal("the log cannot be compressed").with_source(e);
            let Some(piece) = piece else {
                let end = self.gzip.take().map(GzEncoder::finish);
                return Ok(end.transpose().map_err(faulty)?.map(Bytes::from));
            };
            gzip.write_all(&piece).map_err(faulty)?;
            if !gzip.get_ref().is_empty() {
                return Ok(Some(std::mem::take(gzip.get_mut()).into()));
            }
        }
    }
}

/// Bytes of the body that are sent in one request, and their hash.
pub(crate) struct Part {
    bytes: BytesMut,
    digest: Digest,
}

impl Part {
    pub(crate) fn new(digest: Digest) -> Self {
        Self {
            bytes: BytesMut::new(),
            digest,
        }
    }

    /// Reads until there are `most` bytes; true if that was the end of the body.
    ///
    /// # Errors
    /// Of the source; [`ErrorKind::Timeout`] if it is too slow.
    pub(crate) async fn fill(&mut self, body: &mut Body<'_>, most: usize) -> Result<bool> {
        body.log.pace.start(most as u64);
        // Once: growing step by step would hold the bytes twice.
        self.bytes.reserve(most.saturating_sub(self.bytes.len()));
        while self.bytes.len() < most {
            let Some(mut piece) = body.next().await? else {
                return Ok(true);
            };
            let room = most - self.bytes.len();
            if piece.len() > room {
                body.rest = piece.split_off(room);
            }
            self.digest.update(&piece);
            self.bytes.extend_from_slice(&piece);
        }
        Ok(false)
    }

    /// Goes on in a larger buffer.
    pub(crate) fn moved_to(mut self, mut buffer: BytesMut) -> Self {
        buffer.extend_from_slice(&self.bytes);
        self.bytes = buffer;
        self
    }

    pub(crate) fn into_payload(self) -> Payload {
        Payload::of(self.bytes.freeze(), self.digest)
    }
}

/// The log itself, cut where it is too long.
struct Log<'a> {
    content: &'a dyn LogContent,
    bytes: Option<ByteStream>,
    /// The size when it was opened.
    size: Option<u64>,
    /// How much is kept at most.
    kept: u64,
    stage: Stage,
    /// Bytes of the end that are kept.
    end: u64,
    /// Bytes given so far.
    given: u64,
    pace: Pace,
}

/// How fast the source has to be while a part is read, which holds room that others wait for.
#[derive(Clone, Copy, Debug)]
struct Pace {
    patience: Duration,
    since: Instant,
    /// How many bytes the part has at most.
    size: u64,
    /// How many were read of the source, which may be more: left out, or compressed.
    read: u64,
}

impl Pace {
    fn new() -> Self {
        Self {
            patience: PATIENCE,
            since: Instant::now(),
            size: 0,
            read: 0,
        }
    }

    fn start(&mut self, size: u64) {
        *self = Self {
            patience: self.patience,
            size,
            ..Self::new()
        };
    }

    fn deadline(&self) -> Instant {
        let bytes = self.size.max(self.read);
        self.since + self.patience + Duration::from_secs(bytes / SLOWEST)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// All of it, as it is expected to fit into so many bytes.
    Whole(u64),
    /// The beginning, so many bytes more.
    Head(u64),
    /// What is between beginning and end.
    Gap,
    /// The end, so many bytes more.
    End(u64),
    Done,
}

impl<'a> Log<'a> {
    async fn open(content: &'a dyn LogContent, most: u64) -> Result<Self> {
        let opened = content.open(LogPart::Whole).await?;
        let (stage, end) = match opened.size {
            Some(size) if size <= most => (Stage::Whole(most), 0),
            Some(_) => (Stage::Head(most - most / 2), most / 2),
            None => {
                let end = (most / 2).min(UNKNOWN_END);
                (Stage::Head(most - end), end)
            }
        };
        Ok(Self {
            content,
            bytes: Some(opened.bytes),
            size: opened.size,
            kept: opened.size.map_or(most, |size| size.min(most)),
            stage,
            end,
            given: 0,
            pace: Pace::new(),
        })
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        let Some(bytes) = &mut self.bytes else {
            return Ok(None);
        };
        let next = timeout_at(self.pace.deadline(), bytes.next()).await;
        let slow = |_| Error::new(ErrorKind::Timeout, "the agent gives the log too slowly");
        let piece = next.map_err(slow)?.transpose()?;
        match &piece {
            Some(piece) => self.pace.read += piece.len() as u64,
            None => self.bytes = None,
        }
        Ok(piece)
    }

    /// The next bytes that are kept; never an empty piece.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.stage {
                Stage::Done => return Ok(None),
                Stage::Gap => {
                    if let Some(mark) = self.skip().await? {
                        return Ok(Some(mark));
                    }
                }
                Stage::Whole(left) | Stage::Head(left) | Stage::End(left) => {
                    if left == 0 && self.stage == Stage::Head(0) {
                        self.stage = Stage::Gap;
                        continue;
                    }
                    let Some(mut piece) = self.read().await? else {
                        self.stage = Stage::Done;
                        continue;
                    };
                    if piece.is_empty() {
                        continue;
                    }
                    if left == 0 {
                        // It grew while it was read.
                        self.bytes = None;
                        let was_whole = matches!(self.stage, Stage::Whole(_));
                        self.stage = Stage::Done;
                        if was_whole {
                            return Ok(Some(mark("what was written after this is left out")));
                        }
                        continue;
                    }
                    let take = (piece.len() as u64).min(left);
                    self.given += take;
                    let left = left - take;
                    // Fits: it is not more than the piece's length.
                    let too_much = piece.split_off(take as usize);
                    self.stage = match self.stage {
                        Stage::Whole(_) => Stage::Whole(left),
                        Stage::Head(_) => Stage::Head(left),
                        _ => Stage::End(left),
                    };
                    if !too_much.is_empty() {
                        self.give_back(too_much);
                    }
                    return Ok(Some(piece));
                }
            }
        }
    }

    fn give_back(&mut self, piece: Bytes) {
        if let Some(rest) = self.bytes.take() {
            let first = futures_util::stream::iter([Ok(piece)]);
            self.bytes = Some(first.chain(rest).boxed());
        }
    }

    /// Goes on to the end; a mark if something is left out before it.
    async fn skip(&mut self) -> Result<Option<Bytes>> {
        let (end, mut all) = match self.size {
            Some(size) => {
                self.bytes = None;
                (self.end, size)
            }
            None => {
                // Counted, not kept: what is behind the beginning may be all of the rest.
                let mut behind = 0u64;
                while let Some(piece) = self.read().await? {
                    behind = behind.saturating_add(piece.len() as u64);
                }
                (self.end.min(behind), self.given.saturating_add(behind))
            }
        };
        if end > 0 {
            // It may have to wait for its turn, and has a bound of its own.
            let before = Instant::now();
            let opened = self.content.open(LogPart::Last(end)).await?;
            self.pace.since += before.elapsed();
            all = opened.size.unwrap_or(all).max(all);
            self.bytes = Some(opened.bytes);
        }
        self.stage = Stage::End(end);
        let gap = all.saturating_sub(self.given).saturating_sub(end);
        Ok((gap > 0).then(|| mark(&format!("{gap} bytes are left out here"))))
    }
}

fn mark(what: &str) -> Bytes {
    format!("\n[... {what} ...]\n").into()
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
