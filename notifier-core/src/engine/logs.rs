//! Finds and stores each failure's logs, once, before its deliveries.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, future::join_all, stream::poll_fn};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{Phase, Shared, changed, human};
use crate::{
    FailureRecord, LeaseRequest, Links, LogContent, LogLease, LogLocator, LogPart, LogReader,
    LogStream, LogTail, Logs, ObjectRef, OpenLog, Result, StoredLog, Subject, clock::add, lock,
};

/// How many failures' logs are looked for at once.
const AT_ONCE: usize = 512;

/// How long making links for a report may take: signing is no matter of a network.
const LINKS: Duration = Duration::from_secs(10);

/// How often it is looked whether a log is waited for.
const LOOK: Duration = Duration::from_secs(1);

/// How long reading the end of a log for a report may take.
const TAIL: Duration = Duration::from_secs(10);

/// Settles logs until told to stop.
pub(super) async fn settle(shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    let mut changes = shared.outbox.changes();
    let mut running = JoinSet::new();
    loop {
        changes.mark_unchanged();
        while running.try_join_next().is_some() {}
        let now = shared.clock.now();
        let most = shared.timing.logs.saturating_add(shared.timing.upload);
        let until = add(now, most.saturating_add(Duration::from_secs(30)));
        let room = AT_ONCE - running.len();
        let leased = if room == 0 {
            Vec::new()
        } else {
            match shared
                .outbox
                .lease_logs(LeaseRequest::new(room, now, until))
                .await
            {
                Ok(leased) => leased,
                Err(e) => {
                    shared.outbox_failed(&e);
                    tracing::error!(error = %e.report(), "cannot read the outbox");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Vec::new()
                }
            }
        };
        let full = leased.len() == room;
        for lease in leased {
            running.spawn(settle_one(Arc::clone(&shared), lease));
        }
        tokio::select! {
            _ = phase.wait_for(|p| *p == Phase::Finish) => break,
            Some(_) = running.join_next(), if full => {}
            () = changed(&mut changes), if !full => {}
            // A lease of another process may have run out.
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
        }
    }
}

async fn settle_one(shared: Arc<Shared>, lease: LogLease) {
    let logs = find(&shared, &lease.record).await;
    if let Some(why) = &logs.missing {
        shared.counters.logs_missing();
        tracing::info!(task = %lease.record.id, key = %lease.record.key, why, "the report goes without logs");
    }
    let mut tries = 0;
    while let Err(e) = shared.outbox.settle_logs(&lease, logs.clone()).await {
        shared.outbox_failed(&e);
        tries += 1;
        tracing::error!(task = %lease.record.id, error = %e.report(), "cannot note where the logs are");
        // The lease has run out by then: they are looked for again.
        if !e.is_retryable() || tries > 30 {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn find(shared: &Shared, failure: &Arc<FailureRecord>) -> Logs {
    let deadline = Instant::now() + shared.timing.logs;
    let locator = shared.locators.get(&failure.source);
    let streams = if !failure.log_streams.is_empty() {
        failure.log_streams.clone()
    } else if let Some(locator) = locator {
        let found = AssertUnwindSafe(locate(locator, failure)).catch_unwind();
        match tokio::time::timeout_at(deadline, found).await {
            Ok(Ok(Ok(streams))) => streams,
            Ok(Ok(Err(e))) => return Logs::missing(e.to_string()),
            Ok(Err(_)) => {
                return Logs::missing("looking for them failed by a fault of the program");
            }
            Err(_) => {
                return Logs::missing(format!("not found within {}", human(shared.timing.logs)));
            }
        }
    } else {
        // A source without logs: nothing is missing.
        return Logs::default();
    };
    let deadline = Instant::now() + shared.timing.upload;
    let all = streams
        .into_iter()
        .map(|stream| store(shared, failure, locator, stream, deadline));
    Logs::found(join_all(all).await)
}

/// Stores one log. Its source may not keep it waiting for long; the store has time-outs of its
/// own, and a bound in all.
async fn store(
    shared: &Shared,
    failure: &FailureRecord,
    locator: Option<&Arc<dyn LogLocator>>,
    stream: LogStream,
    deadline: Instant,
) -> StoredLog {
    let waits = Arc::new(Mutex::new(None));
    let content = Content {
        locator,
        failure,
        stream: &stream,
        waits: Arc::clone(&waits),
    };
    let upload = shared.uploader.upload(failure, &stream, &content);
    let upload = AssertUnwindSafe(upload).catch_unwind();
    let outcome = tokio::select! {
        outcome = upload => {
            let outcome =
                outcome.unwrap_or_else(|_| Err(crate::Error::internal("the uploader panicked")));
            outcome.map_err(|e| {
                tracing::warn!(task = %failure.id, log = %stream.name, error = %e.report(), "the log is not stored");
                e.to_string()
            })
        }
        () = silence(&waits, shared.timing.logs) => {
            Err(format!("nothing to read within {}", human(shared.timing.logs)))
        }
        () = tokio::time::sleep_until(deadline) => {
            Err(format!("not stored within {}", human(shared.timing.upload)))
        }
    };
    match outcome {
        Ok(object) => StoredLog::stored(stream, object),
        Err(why) => StoredLog::left(stream, why),
    }
}

/// Asks until it is found or will not be: the time bound is the caller's.
async fn locate(locator: &Arc<dyn LogLocator>, failure: &FailureRecord) -> Result<Vec<LogStream>> {
    let mut wait = Duration::from_millis(500);
    let mut tries = 0;
    loop {
        match locator.locate(failure).await {
            Err(e) if e.is_retryable() && tries < 2 => {
                tracing::debug!(task = %failure.id, error = %e.report(), "logs not found yet");
                tries += 1;
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            other => return other,
        }
    }
}

struct Content<'a> {
    locator: Option<&'a Arc<dyn LogLocator>>,
    failure: &'a FailureRecord,
    stream: &'a LogStream,
    /// Since when a piece is waited for.
    waits: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl LogContent for Content<'_> {
    async fn open(&self, part: LogPart) -> Result<OpenLog> {
        // It may have to wait for its turn, and has a bound of its own.
        let mut log = open(self.locator, self.failure, self.stream, part).await?;
        let waits = Arc::clone(&self.waits);
        log.bytes = poll_fn(move |cx| {
            let polled = log.bytes.poll_next_unpin(cx);
            let mut waits = lock(&waits);
            match polled {
                Poll::Pending => _ = waits.get_or_insert_with(Instant::now),
                Poll::Ready(_) => *waits = None,
            }
            polled
        })
        .boxed();
        Ok(log)
    }
}

async fn open(
    locator: Option<&Arc<dyn LogLocator>>,
    failure: &FailureRecord,
    stream: &LogStream,
    part: LogPart,
) -> Result<OpenLog> {
    match locator {
        Some(locator) => locator.open(failure, stream, part).await,
        None => Err(crate::Error::config(format!(
            "nothing reads the logs of the source {:?}",
            failure.source
        ))),
    }
}

/// Ends when a piece has been waited for so long.
async fn silence(waits: &Mutex<Option<Instant>>, most: Duration) {
    loop {
        let now = Instant::now();
        let until = match *lock(waits) {
            Some(since) if since + most <= now => return,
            Some(since) => since + most,
            None => now + most.min(LOOK),
        };
        tokio::time::sleep_until(until).await;
    }
}

/// The logs of a failure that reports are made of.
#[derive(Debug)]
pub(super) struct Reader {
    locator: Option<Arc<dyn LogLocator>>,
    failure: Arc<FailureRecord>,
    streams: Vec<LogStream>,
}

impl Reader {
    /// Of one failure; a digest's example may be days old and has no logs.
    pub(super) fn new(shared: &Shared, subject: &Subject, logs: &Logs) -> Option<Self> {
        let Subject::Failure(failure) = subject else {
            return None;
        };
        Some(Self {
            locator: shared.locators.get(&failure.source).cloned(),
            failure: Arc::clone(failure),
            streams: logs.streams.iter().map(|s| s.stream.clone()).collect(),
        })
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn tail(&self, name: &str, most: usize) -> Result<Option<LogTail>> {
        let Some(stream) = self.streams.iter().find(|s| s.name == name) else {
            return Ok(None);
        };
        let read = async {
            // One more byte tells whether there is more.
            let part = LogPart::Last(most as u64 + 1);
            let mut log = open(self.locator.as_ref(), &self.failure, stream, part).await?;
            let mut bytes = Vec::new();
            let mut is_cut = false;
            while let Some(piece) = log.bytes.next().await {
                bytes.extend_from_slice(&piece?);
                // What grows while it is read, or is longer than asked for.
                if bytes.len() > most {
                    is_cut = true;
                    bytes.drain(..bytes.len() - most);
                }
            }
            Ok(Some(LogTail { bytes, is_cut }))
        };
        match tokio::time::timeout(TAIL, AssertUnwindSafe(read).catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(crate::Error::internal(format!(
                "reading {name} failed by a fault of the program"
            ))),
            Err(_) => Err(crate::Error::new(
                crate::ErrorKind::Timeout,
                format!("{name} not read within {}", human(TAIL)),
            )),
        }
    }
}

/// Links that work now.
pub(super) async fn links(shared: &Shared, logs: &Logs) -> Links {
    let mut links = Links::default();
    let mut missing: Vec<String> = logs.missing.iter().cloned().collect();
    for log in &logs.streams {
        let url = match &log.object {
            Some(object) => match link(shared, object).await {
                Ok(url) => url,
                Err(e) => {
                    missing.push(format!("{}: {e}", log.stream.name));
                    log.stream.url.clone()
                }
            },
            None => {
                if let Some(error) = &log.error {
                    missing.push(format!("{} not stored: {error}", log.stream.name));
                }
                log.stream.url.clone()
            }
        };
        match log.stream.name.as_str() {
            "stdout" => links.stdout = url,
            "stderr" => links.stderr = url,
            _ => {}
        }
    }
    links.missing = missing.join("; ");
    links
}

async fn link(shared: &Shared, object: &ObjectRef) -> Result<String> {
    let link = AssertUnwindSafe(shared.uploader.link(object)).catch_unwind();
    match tokio::time::timeout(LINKS, link).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(crate::Error::internal(
            "making the link failed by a fault of the program",
        )),
        Err(_) => Err(crate::Error::internal(format!(
            "no link within {}",
            human(LINKS)
        ))),
    }
}
