//! Programs that tell of one failure, or send what waits, and end.
//!
//! They share their outbox with a watcher and with each other: who has its lock sends for all.

use std::{future::Future, sync::Arc, time::Duration};

use notifiers::{
    Clock as _, DeliveryFilter, DeliveryState, Engine, ErrorKind, FailureKey, FailureRecord,
    Outbox, Result, SystemClock, jiff::Timestamp,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Context, Exit, Fatal, outbox::Place, registry, signal, watch::engine};

/// The shortest and the longest wait between two looks at an outbox that another process sends from.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Tells of one failure: puts it into the outbox, then sends until it has arrived, or for
/// `-shutdown-timeout`; what is under way then has as long again. If another process has the outbox,
/// that one sends, and this one takes over if it ends before the failure is told.
///
/// `failure` is asked for when the settings are known to be right. A signal ends the sending. Where
/// the outbox outlives the process, all is well as soon as the failure is in it; the rest is sent by
/// a watcher, by the next program of this kind, or by [`drain`].
///
/// # Errors
/// What is wrong with the settings; [`Exit::Unavailable`] if the outbox is full, or if it is in
/// memory and the failure did not arrive; [`Exit::Io`] if it cannot be written to.
pub async fn tell<F>(context: &Context, failure: impl FnOnce() -> F) -> Result<(), Fatal>
where
    F: Future<Output = Result<FailureRecord, Fatal>>,
{
    let mut stop = std::pin::pin!(stop()?);
    let engine = build(context)?;
    let failure = failure().await?;
    let end = Instant::now() + context.settings.shutdown_timeout;
    loop {
        match engine.submit(&failure).await {
            Ok(_) => break,
            // Others may be making room.
            Err(e) if e.kind() == ErrorKind::Full && Instant::now() < end => {
                sleep(LOOK.0).await;
            }
            Err(e) if e.kind() == ErrorKind::Full => {
                return Err(Fatal::from(e).with_exit(Exit::Unavailable));
            }
            Err(e) => return Err(e.into()),
        }
    }
    let outbox = engine.outbox();
    let by = SystemClock.now() + context.settings.shutdown_timeout;
    let told = || is_told(outbox, &failure.key);
    let idle = until_idle(outbox, || by);
    if send(&engine, context, end, &mut stop, told, idle).await? == Sent::ByOthers {
        return Ok(());
    }
    let open = !is_told(outbox, &failure.key).await?;
    if open && !outbox.is_durable() {
        return Err(Fatal::new(
            Exit::Unavailable,
            "the failure could not be told, and nothing keeps it: set -state-dir=DIR or -outbox=sqlite:PATH",
        ));
    }
    if open {
        tracing::warn!(
            key = %failure.key,
            "not told yet; it is kept for a watcher, or for the command drain"
        );
    }
    Ok(())
}

/// Sends what is due, until nothing is, or for `-shutdown-timeout`.
///
/// # Errors
/// What is wrong with the settings; [`Exit::Usage`] if the outbox is in memory;
/// [`Exit::Unavailable`] if something is still due.
pub async fn drain(context: &Context) -> Result<(), Fatal> {
    if context.settings.outbox.place == Place::Memory {
        return Err(Fatal::new(
            Exit::Usage,
            "there is nothing to send from an outbox in memory: set -state-dir=DIR or -outbox=sqlite:PATH",
        ));
    }
    let mut stop = std::pin::pin!(stop()?);
    let engine = build(context)?;
    let outbox = engine.outbox();
    let end = Instant::now() + context.settings.shutdown_timeout;
    let sent = async || is_idle(outbox, SystemClock.now()).await;
    let idle = until_idle(outbox, || SystemClock.now());
    send(&engine, context, end, &mut stop, sent, idle).await?;
    let open = outbox.stats().await?.open();
    if !is_idle(outbox, SystemClock.now()).await? {
        return Err(Fatal::new(
            Exit::Unavailable,
            format!(
                "of {open} messages that wait some are still due: see why above, or by notifierctl outbox ls"
            ),
        ));
    }
    if open > 0 {
        tracing::info!(
            messages = open,
            "nothing is due; the rest is to be tried later"
        );
    }
    Ok(())
}

/// Who has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// This process.
    Here,
    /// Another one, which has the outbox.
    ByOthers,
}

/// Sends until `idle`, `end` or `stop`; while another process has the outbox, waits until
/// `done` or as long.
async fn send<D: Future<Output = Result<bool>>>(
    engine: &Engine,
    context: &Context,
    end: Instant,
    stop: &mut (impl Future<Output = ()> + Send + Unpin),
    mut done: impl FnMut() -> D,
    idle: impl Future<Output = ()> + Send,
) -> Result<Sent, Fatal> {
    let outbox = engine.outbox();
    let mut wait = LOOK.0;
    let mut said = false;
    while let Err(e) = outbox
        .claim(&context.settings.name, SystemClock.now())
        .await
    {
        if e.kind() != ErrorKind::Config {
            return Err(e.into());
        }
        if done().await? || Instant::now() >= end {
            return Ok(Sent::ByOthers);
        }
        if !std::mem::replace(&mut said, true) {
            tracing::info!("another process has the outbox, and sends: {e}");
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = &mut *stop => return Ok(Sent::ByOthers),
        }
        wait = (wait * 2).min(LOOK.1);
    }
    let shutdown = async {
        tokio::select! {
            () = idle => {}
            () = sleep_until(end) => {}
            () = stop => {}
        }
    };
    engine.run(shutdown).await?;
    Ok(Sent::Here)
}

fn build(context: &Context) -> Result<Engine, Fatal> {
    let reporters = registry::build_all(&context.parsed, &context.settings)?;
    let uploader = registry::uploader(&context.parsed, &context.settings)?;
    Ok(engine(context, reporters, uploader)?.build()?)
}

pub(crate) fn stop() -> Result<impl Future<Output = ()> + Send, Fatal> {
    let signal = signal::shutdown()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot wait for signals: {e}")))?;
    Ok(async {
        signal.await;
    })
}

/// Whether nothing is left to send of a failure.
async fn is_told(outbox: &Arc<dyn Outbox>, key: &FailureKey) -> Result<bool> {
    let mut filter = DeliveryFilter::default();
    filter.key = Some(key.clone());
    let all = outbox.inspect(&filter).await?;
    let open = |s| matches!(s, DeliveryState::Pending | DeliveryState::Leased);
    Ok(!all.iter().any(|d| open(d.state)))
}

/// Whether nothing is being sent, and nothing is due by a time.
async fn is_idle(outbox: &Arc<dyn Outbox>, by: Timestamp) -> Result<bool> {
    let mut changes = outbox.changes();
    changes.mark_unchanged();
    // In this order: what is leased in between shows in the second look.
    let pending = outbox.pending().await?;
    let stats = outbox.stats().await?;
    Ok(stats.unsettled == 0
        && stats.leased == 0
        && pending.iter().all(|(_, due)| *due > by)
        && !changes.has_changed().unwrap_or(false))
}

async fn until_idle(outbox: &Arc<dyn Outbox>, by: impl Fn() -> Timestamp) {
    while !is_idle(outbox, by()).await.unwrap_or(false) {
        let mut changes = outbox.changes();
        changes.mark_unchanged();
        let _ = tokio::time::timeout(LOOK.0 * 2, changes.changed()).await;
    }
}
