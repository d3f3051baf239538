//! One worker for each destination that has something to send.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};

use super::{OnUnknown, Phase, Shared, changed, logs, took_too_long};
use crate::{
    Attempt, Capability, Delivery, Destination, Error, ErrorKind, Lease, LeaseRequest, Next,
    Outcome, Receipt, Reconciled, Report, ReportOptions, Reporter, Retry, Settings, Subject,
    clock::{add, until},
    lock,
    redact::Redactor,
};

/// How long to sleep without looking at the outbox, for one that other processes use as well.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// How much longer than an attempt a lease lasts: leases are for processes that died,
/// and must not run out under one that is slow or whose clock was set.
const LEASE_SLACK: Duration = Duration::from_secs(600);

/// Watches the outbox and sees to it that each destination with something due has a
/// worker that knows. The only one to look at all destinations.
pub(super) async fn dispatch(shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    let mut changes = shared.outbox.changes();
    let mut workers = JoinSet::new();
    loop {
        changes.mark_unchanged();
        while workers.try_join_next().is_some() {}
        let mut sleep = LONGEST_SLEEP;
        match shared.outbox.pending().await {
            Ok(pending) => {
                let now = shared.clock.now();
                for (destination, due) in pending {
                    let mut wait = until(now, due);
                    if let Some(at) = shared.health.paused_until(&destination, Instant::now()) {
                        wait = wait.max(at.saturating_duration_since(Instant::now()));
                    }
                    if wait > Duration::ZERO {
                        sleep = sleep.min(wait.max(Duration::from_millis(1)));
                        continue;
                    }
                    let mut working = lock(&shared.working);
                    if let Some(wake) = working.get(&destination) {
                        wake.notify_one();
                    } else {
                        let wake = Arc::new(Notify::new());
                        working.insert(destination.clone(), Arc::clone(&wake));
                        let seat = Seat {
                            shared: Arc::clone(&shared),
                            destination,
                            wake,
                        };
                        workers.spawn(work(seat, phase.clone()));
                    }
                }
            }
            Err(e) => tracing::error!(error = %e.report(), "cannot read the outbox"),
        }
        tokio::select! {
            () = ended(&mut phase) => break,
            () = changed(&mut changes) => {}
            () = shared.ended.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
    while workers.join_next().await.is_some() {}
}

/// Resolves when nothing more is to be leased.
async fn ended(phase: &mut watch::Receiver<Phase>) {
    // The sender is gone only when the run is over.
    let _ = phase.wait_for(|p| *p == Phase::Finish).await;
}

/// A worker's place in the list of workers, given up when it ends in whatever way.
struct Seat {
    shared: Arc<Shared>,
    destination: Destination,
    wake: Arc<Notify>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.shared.working).remove(&self.destination);
        // What came between the last look and the removal must not be left lying.
        self.shared.ended.notify_one();
    }
}

/// Sends to one destination until there is nothing due.
async fn work(seat: Seat, mut phase: watch::Receiver<Phase>) {
    let (shared, destination) = (&seat.shared, &seat.destination);
    let mut running: JoinSet<()> = JoinSet::new();
    let mut concurrency = 1;
    loop {
        while running.try_join_next().is_some() {}
        if *phase.borrow() == Phase::Finish {
            break;
        }
        let paused = shared
            .health
            .paused_until(destination, Instant::now())
            .is_some();
        let room = if paused {
            0
        } else {
            usize::saturating_sub(concurrency, running.len())
        };
        let now = shared.clock.now();
        let mut leased = Vec::new();
        if room > 0 {
            let expires = add(now, shared.timing.attempt + LEASE_SLACK);
            match shared
                .outbox
                .lease(destination, LeaseRequest::new(room, now, expires))
                .await
            {
                Ok(l) => leased = l,
                Err(e) => {
                    tracing::error!(%destination, error = %e.report(), "cannot read the outbox");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        let got = leased.len();
        for lease in leased {
            if let Some((reporter, _)) = shared.router.resolve(&lease.delivery, &lease.record) {
                concurrency = reporter.capability().concurrency.max(1);
            }
            running.spawn(attempt(Arc::clone(shared), lease));
        }
        if got > 0 && running.len() < concurrency {
            continue;
        }
        if running.is_empty() {
            // Nothing due, or told to wait: whoever looks at all destinations comes back.
            break;
        }
        tokio::select! {
            () = ended(&mut phase) => {}
            Some(_) = running.join_next() => {}
            () = seat.wake.notified(), if running.len() < concurrency && !paused => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Makes one attempt and notes what came of it, whatever it does.
async fn attempt(shared: Arc<Shared>, lease: Lease) {
    let started = Instant::now();
    shared.counters.attempt();
    if let Some(on_secrets) = &shared.on_secrets {
        on_secrets.tell(&shared.router.secrets(&lease.record));
    }
    let redactor = shared.redactor.with(shared.router.secrets(&lease.record));
    let Some((reporter, settings)) = shared.router.resolve(&lease.delivery, &lease.record) else {
        let e = Error::config(format!(
            "there is no reporter {} any more",
            lease.delivery.reporter
        ));
        let receipt = Receipt::default().and(lease.delivery.reporter.as_str(), Err(e));
        return note(
            &shared,
            &lease,
            receipt,
            started,
            Capability::default(),
            &redactor,
        )
        .await;
    };
    let report = Report::new(Subject::Failure(Arc::clone(&lease.record)))
        .with_links(logs::links(&shared, &lease.logs).await)
        .with_config(shared.router.config(&lease.delivery, &lease.record))
        .with_redactors(redactor.clone(), shared.redactor.clone())
        .with_now(shared.clock.now())
        .with_zone(shared.zone.clone());
    let opts = ReportOptions::new(&lease.delivery.id, &settings)
        .after(lease.attempts + 1, lease.progress.as_ref());
    let answer = send(&shared, reporter.as_ref(), &report, &opts, lease.unknown);
    // A reporter that panics is one that failed: its worker goes on.
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let receipt = match tokio::time::timeout(shared.timing.attempt, answer).await {
        Ok(Ok(receipt)) => receipt,
        Ok(Err(_)) => {
            let e = Error::internal("the reporter panicked")
                .with_delivery(Delivery::Unknown)
                .with_retry(Retry::Later { after: None });
            whole(&settings, e)
        }
        Err(_) => whole(&settings, took_too_long(shared.timing.attempt)),
    };
    let capability = reporter.capability();
    note(&shared, &lease, receipt, started, capability, &redactor).await;
}

/// Asks first whether an earlier attempt arrived, if that can be asked; then sends.
async fn send(
    shared: &Shared,
    reporter: &dyn Reporter,
    report: &Report,
    opts: &ReportOptions<'_>,
    unknown: bool,
) -> Receipt {
    let capability = reporter.capability();
    if unknown {
        let mut asked = false;
        if capability.reconcile {
            match reporter.reconcile(report, opts).await {
                Ok(Reconciled::Delivered(receipt)) => return receipt,
                Ok(Reconciled::NotDelivered) => asked = true,
                Ok(Reconciled::CannotTell) => {}
                // Not known yet, so it stays unknown and is asked again.
                Err(e) => return whole(opts.settings, e.with_delivery(Delivery::Unknown)),
            }
        }
        if !asked && !capability.idempotent {
            if shared.timing.on_unknown == OnUnknown::Drop {
                let e = Error::new(ErrorKind::Timeout, "an earlier attempt may have arrived")
                    .with_retry(Retry::Exhausted);
                return whole(opts.settings, e);
            }
            shared.counters.possible_double();
        }
    }
    match reporter.report(report, opts).await {
        Ok(receipt) => receipt,
        Err(e) => whole(opts.settings, e),
    }
}

/// One error for all targets.
fn whole(settings: &Settings, error: Error) -> Receipt {
    Receipt::default().and(settings.instance(), Err(error))
}

/// Writes down what came of an attempt.
async fn note(
    shared: &Shared,
    lease: &Lease,
    receipt: Receipt,
    started: Instant,
    capability: Capability,
    redactor: &Redactor,
) {
    let now = shared.clock.now();
    let (id, destination, task) = (
        &lease.delivery.id,
        &lease.delivery.destination,
        &lease.record.id,
    );
    for w in &receipt.warnings {
        if w.kind() == ErrorKind::Template {
            shared.counters.template_fault();
        }
        let text = redactor.redact(&w.report().to_string()).into_owned();
        tracing::warn!(delivery = %id, %task, %destination, "{text}");
    }
    let mut next = receipt.next();
    let mut why = "";
    if let Next::Retry { unknown, .. } = next {
        // Whether it arrived is asked at the next attempt, where that can be asked.
        let settled = capability.reconcile || capability.idempotent;
        if until(lease.enqueued, now) >= shared.timing.max_age {
            (next, why) = (Next::Dead, "too old to be tried again");
        } else if unknown && !settled && shared.timing.on_unknown == OnUnknown::Drop {
            (next, why) = (Next::Dead, "it may have arrived");
        }
    }
    let error = receipt.error();
    let mut attempt = Attempt::new(now, Outcome::Delivered);
    attempt.latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(e) = error {
        let code = e.code().map_or_else(|| e.kind().to_string(), str::to_owned);
        attempt.code = Some(redactor.redact(&code).into_owned());
        attempt.detail = redactor
            .redact(&e.report().to_string())
            .chars()
            .take(2_000)
            .collect();
    }
    let (ms, detail, number) = (
        attempt.latency_ms,
        attempt.detail.clone(),
        lease.attempts + 1,
    );
    match next {
        Next::Done => {
            shared.health.works(destination);
            if commit(id, || {
                shared
                    .outbox
                    .complete(lease, receipt.progress.clone(), attempt.clone())
            })
            .await
            {
                shared.counters.delivered();
            }
            tracing::info!(delivery = %id, %task, %destination, attempt = number, ms, "delivered");
        }
        Next::Retry { after, unknown } => {
            attempt.outcome = if unknown {
                Outcome::Unknown
            } else {
                Outcome::Retry
            };
            let mut rng = fastrand::Rng::new();
            let mut wait = shared.timing.backoff.wait(lease.attempts, None, &mut rng);
            if after.is_some() {
                wait = wait.max(shared.timing.backoff.wait(0, after, &mut rng));
            }
            // What one message was told holds for all that share the destination, and so
            // does that nobody is there.
            let kinds = receipt
                .targets
                .iter()
                .filter_map(|t| t.verdict.as_ref().err());
            if after.is_some() || kinds.clone().any(|e| e.kind() == ErrorKind::RateLimited) {
                shared.health.pause(destination, Instant::now() + wait);
            } else if kinds.clone().any(|e| {
                matches!(
                    e.kind(),
                    ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Io
                )
            }) {
                shared.health.fails(destination, &shared.timing.backoff);
            }
            let again_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let at = add(now, wait);
            if commit(id, || {
                shared
                    .outbox
                    .retry_at(lease, at, receipt.progress.clone(), attempt.clone())
            })
            .await
            {
                shared.counters.retry();
            }
            tracing::warn!(delivery = %id, %task, %destination, attempt = number, again_in_ms, may_have_arrived = unknown, error = detail, "not delivered, tried again later");
        }
        Next::Dead => {
            attempt.outcome = Outcome::Dead;
            if commit(id, || {
                shared
                    .outbox
                    .bury(lease, receipt.progress.clone(), attempt.clone())
            })
            .await
            {
                shared.counters.dead();
            }
            tracing::error!(delivery = %id, %task, %destination, attempt = number, error = detail, why, "given up; kept as a dead letter");
        }
    }
}

/// Writes to the outbox, and tries again while it is only busy or full. True if it is written.
async fn commit<'a, F>(id: &crate::DeliveryId, mut write: impl FnMut() -> F) -> bool
where
    F: Future<Output = crate::Result<()>> + Send + 'a,
{
    let mut wait = Duration::from_millis(100);
    loop {
        match write().await {
            Ok(()) => return true,
            Err(e) if e.is_retryable() && wait < Duration::from_secs(30) => {
                tracing::warn!(delivery = %id, error = %e.report(), "cannot note what came of an attempt yet");
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(e) => {
                tracing::error!(delivery = %id, error = %e.report(), "cannot note what came of an attempt; it may be sent twice");
                return false;
            }
        }
    }
}
