//! Reading a log of an agent: all of it, or its end.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use notifier_core::{ByteStream, Error, ErrorKind, LogPart, OpenLog, Result, Retry};
use notifier_http::StreamAnswer;
use tokio::sync::OwnedSemaphorePermit;

use super::agents::{Agents, is_page};
use crate::sandbox::{self, Trace};

/// The most bytes of an end that are kept where the log's length is not known.
const MOST_KEPT: u64 = 1024 * 1024;

pub(super) async fn open(
    agents: &Arc<Agents>,
    trace: &Trace,
    name: &str,
    path: &str,
    part: LogPart,
) -> Result<OpenLog> {
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

/// Asks for the whole log. An answer that is not the log is an error.
async fn download(
    agents: &Arc<Agents>,
    trace: &Trace,
    name: &str,
    path: &str,
) -> Result<(StreamAnswer, OwnedSemaphorePermit)> {
    let slot = agents.slot(trace);
    let permit = Arc::clone(&slot.downloads)
        .acquire_owned()
        .await
        .map_err(|_| Error::internal("downloads were closed"))?;
    let agent = trace.agent_name();
    let url = |address: &str| sandbox::download_url(agents.scheme(trace), address, path);
    let mut answer = agents
        .ask(&slot, trace, url)
        .await
        .map_err(|t| t.error(None))?;
    if answer.status() == 404 && trace.mesos.starts_with("0.") {
        // Before 0.25.
        let old =
            |address: &str| url(address).replacen("/files/download?", "/files/download.json?", 1);
        answer = agents
            .ask(&slot, trace, old)
            .await
            .map_err(|t| t.error(None))?;
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
