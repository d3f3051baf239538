//! Reading a log of an agent: all of it, or its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use notifier_core::{ByteStream, Error, ErrorKind, LogPart, OpenLog, Result, Retry};
use notifier_http::StreamAnswer;
use serde::Deserialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    agents::{Agents, DEAD, GLANCE, QUICK, is_page},
    trouble::Trouble,
};
use crate::sandbox::{self, Trace};

/// The most bytes that an agent gives at once: 16 pages of memory.
const PAGE: u64 = 65_536;

/// The most bytes of an end that are kept where the log's length is not known: the one beyond
/// a whole number tells that there is more.
const MOST_KEPT: u64 = 1024 * 1024 + 1;

/// How long an agent may take to begin with a log.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn open(
    agents: &Arc<Agents>,
    trace: &Trace,
    name: &str,
    path: &str,
    part: LogPart,
) -> Result<OpenLog> {
    if let LogPart::Last(n) = part
        && let Some(log) = end(agents, trace, name, path, n).await?
    {
        return Ok(log);
    }
    let (answer, permit) = download(agents, trace, name, path).await?;
    let size = answer.content_length();
    let all = held(answer.into_stream(u64::MAX), permit);
    let bytes = match (part, size) {
        (LogPart::Whole, _) => all,
        (LogPart::Last(n), Some(size)) => after(all, size.saturating_sub(n)),
        (LogPart::Last(n), None) => last(all, n.min(MOST_KEPT)).await?,
    };
    Ok(OpenLog::new(size, bytes))
}

/// Asks an agent. One that does not answer is left alone for a while, as after a look-up.
async fn ask(
    agents: &Agents,
    trace: &Trace,
    patience: Duration,
    url: impl Fn(&str) -> String,
) -> Result<StreamAnswer> {
    let slot = agents.slot(trace);
    if let Some(silence) = slot.silence() {
        return Err(silence.error(None));
    }
    let started = Instant::now();
    let asking = async {
        match agents.ask(&slot, trace, &url).await {
            // A connection of an earlier request that was closed meanwhile tells nothing.
            Err(t) if t.kind == ErrorKind::Unavailable && !t.whole => {
                agents.ask(&slot, trace, &url).await
            }
            asked => asked,
        }
    };
    let asked = match timeout(patience, asking).await {
        Ok(asked) => asked,
        Err(_) => Err(Trouble::passing(
            ErrorKind::Timeout,
            format!("agent {} does not answer", trace.agent_name()),
            DEAD,
        )),
    };
    asked
        .inspect(|_| slot.lock().answered())
        .map_err(|mut trouble| {
            if trouble.whole || trouble.kind == ErrorKind::Timeout {
                trouble.whole = true;
                slot.lock().silent(&mut trouble, started.elapsed() < QUICK);
            }
            trouble.error(None)
        })
}

/// Asks for the whole log. An answer that is not the log is an error.
async fn download(
    agents: &Arc<Agents>,
    trace: &Trace,
    name: &str,
    path: &str,
) -> Result<(StreamAnswer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(&agents.slot(trace).downloads)
        .acquire_owned()
        .await
        .map_err(|_| Error::internal("downloads were closed"))?;
    let agent = trace.agent_name();
    let url = |address: &str| sandbox::download_url(agents.scheme(trace), address, path);
    let mut answer = ask(agents, trace, PATIENCE, url).await?;
    if answer.status() == 404 && trace.mesos.starts_with("0.") {
        // Before 0.25.
        let old =
            |address: &str| url(address).replacen("/files/download?", "/files/download.json?", 1);
        answer = ask(agents, trace, PATIENCE, old).await?;
    }
    match answer.status() {
        200 => {}
        404 => {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!("{name} is gone from agent {agent}"),
            ));
        }
        401 | 403 => {
            let e = Error::new(
                ErrorKind::PermissionDenied,
                format!("agent {agent} does not let us read sandboxes"),
            );
            return Err(e.with_code(answer.status().to_string()));
        }
        status => {
            let retry = if status >= 500 {
                Retry::Later { after: None }
            } else {
                Retry::Never
            };
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("agent {agent} answered {status} for {name}"),
            )
            .with_retry(retry)
            .with_code(status.to_string()));
        }
    }
    if is_page(&answer) {
        let text = format!("agent {agent} answered a web page for {name}");
        return Err(Error::new(ErrorKind::InvalidResponse, text));
    }
    Ok((answer, permit))
}

/// The last so many bytes, page by page; `None` where the agent answers no pages.
async fn end(
    agents: &Arc<Agents>,
    trace: &Trace,
    name: &str,
    path: &str,
    most: u64,
) -> Result<Option<OpenLog>> {
    let permit = Arc::clone(&agents.slot(trace).pages).acquire_owned().await;
    let reader = Pages {
        agents: Arc::clone(agents),
        trace: trace.clone(),
        name: name.to_owned(),
        path: path.to_owned(),
        _permit: permit.map_err(|_| Error::internal("pages were closed"))?,
    };
    // What is before the start is no place: Mesos tells the length.
    let Some(size) = reader.page("-1", 0).await?.map(|page| page.offset) else {
        return Ok(None);
    };
    let begin = size.saturating_sub(most);
    // An agent that has no pages may say anything: the first one tells.
    let first = match reader.page(&begin.to_string(), size - begin).await? {
        Some(first) if first.offset == begin && (!first.data.is_empty() || begin == size) => first,
        _ => return Ok(None),
    };
    let state = Some((reader, Some(first), begin));
    let pages = stream::unfold(state, move |state| async move {
        let (reader, page, at) = state?;
        if at >= size {
            return None;
        }
        let page = match page {
            Some(page) => Ok(Some(page)),
            None => reader.page(&at.to_string(), size - at).await,
        };
        let page = match page {
            Ok(Some(page)) if !page.data.is_empty() => page,
            Ok(_) => {
                let text = format!("{} became shorter while it was read", reader.name);
                return Some((Err(Error::new(ErrorKind::InvalidResponse, text)), None));
            }
            Err(e) => return Some((Err(e), None)),
        };
        let next = at + page.data.len() as u64;
        Some((Ok(Bytes::from(page.data)), Some((reader, None, next))))
    });
    Ok(Some(OpenLog::new(Some(size), pages.boxed())))
}

/// One log, read a page at a time.
struct Pages {
    agents: Arc<Agents>,
    trace: Trace,
    name: String,
    path: String,
    _permit: OwnedSemaphorePermit,
}

/// A page: its bytes, and where in the log they begin.
struct Page {
    data: Vec<u8>,
    offset: u64,
}

impl Pages {
    /// A page, `None` if the answer is none.
    async fn page(&self, offset: &str, most: u64) -> Result<Option<Page>> {
        let length = most.min(PAGE);
        let url = |address: &str| {
            let url = sandbox::read_url(self.agents.scheme(&self.trace), address, &self.path);
            format!("{url}&offset={offset}&length={length}")
        };
        let answer = ask(&self.agents, &self.trace, GLANCE, url).await?;
        if answer.status() != 200 {
            return Ok(None);
        }
        // Each byte may be escaped.
        let answer = timeout(GLANCE, answer.read_all(PAGE as usize * 6 + 1024)).await;
        match answer {
            Ok(Ok(answer)) => Ok(Page::parse(answer.body())),
            Ok(Err(e)) if e.kind() == ErrorKind::InvalidResponse => Ok(None),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("agent {} answers too slowly", self.trace.agent_name()),
            )),
        }
    }
}

/// Stands for the byte 0x80, the others up to 0xff behind it: a private area of Unicode.
const RAW: u32 = 0xf780;

impl Page {
    /// Mesos writes bytes that are no text as they are into what should be JSON: they go
    /// through the parser as letters that nobody uses.
    fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Read {
            data: String,
            offset: u64,
        }
        let text: String = body
            .iter()
            .map(|b| match b {
                0..0x80 => char::from(*b),
                _ => char::from_u32(RAW + u32::from(*b) - 0x80).unwrap_or_default(),
            })
            .collect();
        let read: Read = serde_json::from_str(&text).ok()?;
        let mut data = Vec::with_capacity(read.data.len());
        for c in read.data.chars() {
            match u32::from(c).checked_sub(RAW).map(u8::try_from) {
                Some(Ok(raw)) if raw < 0x80 => data.push(raw + 0x80),
                _ => data.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Some(Self {
            data,
            offset: read.offset,
        })
    }
}

/// The permit is held for as long as the log is read.
fn held(bytes: ByteStream, permit: OwnedSemaphorePermit) -> ByteStream {
    bytes
        .map(move |piece| {
            let _held = &permit;
            piece
        })
        .boxed()
}

/// What comes after the first so many bytes.
fn after(bytes: ByteStream, mut skip: u64) -> ByteStream {
    bytes
        .filter_map(move |piece| {
            let rest = piece.map(|mut piece| {
                let left_out = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                skip -= left_out as u64;
                let _ = piece.split_to(left_out);
                piece
            });
            std::future::ready(match rest {
                Ok(piece) if piece.is_empty() => None,
                rest => Some(rest),
            })
        })
        .boxed()
}

/// The last so many bytes of a log whose length nobody tells.
async fn last(mut bytes: ByteStream, most: u64) -> Result<ByteStream> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut kept: Vec<u8> = Vec::new();
    while let Some(piece) = bytes.next().await {
        kept.extend_from_slice(&piece?);
        if kept.len() > most.saturating_mul(2) {
            kept.drain(..kept.len() - most);
        }
    }
    kept.drain(..kept.len().saturating_sub(most));
    Ok(stream::iter([Ok(Bytes::from(kept))]).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_byte_by_byte() {
        let parse = |body: &[u8]| Page::parse(body).map(|p| (p.data, p.offset));
        let raw = b"{\"data\":\"a\\n\xff\xc3\xa9\\u65e5\\u0000\",\"offset\":7}";
        assert_eq!(
            parse(raw),
            Some((b"a\n\xff\xc3\xa9\xe6\x97\xa5\0".to_vec(), 7))
        );
        let size = b"{\"offset\":12,\"data\":\"\"}";
        assert_eq!(parse(size), Some((Vec::new(), 12)));
        for no in [&b"<html>"[..], b"{}", b"{\"data\":1,\"offset\":1}", b""] {
            assert_eq!(parse(no), None);
        }
    }
}
