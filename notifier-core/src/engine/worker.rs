//! One worker for each destination that has something to send.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{OnUnknown, Shared, logs, took_too_long};
use crate::{
    Attempt, Delivery, Destination, Error, ErrorKind, Lease, LeaseRequest, Next, Outcome, Receipt,
    Reconciled, Report, ReportOptions, Reporter, Retry, Settings, Subject,
    clock::{add, until},
    lock,
};

/// How long a worker may sleep without looking at the outbox, for one that other
/// processes use as well.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Starts a worker for each destination with something to send, until told to stop.
pub(super) async fn dispatch(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let mut changes = shared.outbox.changes();
    let mut workers = JoinSet::new();
    loop {
        changes.mark_unchanged();
        while workers.try_join_next().is_some() {}
        match shared.outbox.pending().await {
            Ok(pending) => {
                for (destination, _) in pending {
                    if lock(&shared.working).insert(destination.clone()) {
                        workers.spawn(work(Arc::clone(&shared), destination, stopping.clone()));
                    }
                }
            }
            Err(e) => tracing::error!(error = %e.report(), "cannot read the outbox"),
        }
        tokio::select! {
            _ = stopping.changed() => break,
            _ = changes.changed() => {}
            () = shared.ended.notified() => {}
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
        }
    }
    while workers.join_next().await.is_some() {}
}

/// Sends to one destination until there is nothing left to send.
async fn work(shared: Arc<Shared>, destination: Destination, mut stopping: watch::Receiver<bool>) {
    let mut changes = shared.outbox.changes();
    let mut running: JoinSet<()> = JoinSet::new();
    let mut concurrency = 1;
    loop {
        changes.mark_unchanged();
        while running.try_join_next().is_some() {}
        if *stopping.borrow() {
            break;
        }
        let paused = shared.health.paused_until(&destination, Instant::now());
        let room = if paused.is_some() {
            0
        } else {
            usize::saturating_sub(concurrency, running.len())
        };
        let now = shared.clock.now();
        let mut leased = Vec::new();
        if room > 0 {
            let expires = add(now, shared.timing.attempt + Duration::from_secs(30));
            match shared
                .outbox
                .lease(&destination, LeaseRequest::new(room, now, expires))
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
            running.spawn(attempt(Arc::clone(&shared), lease));
        }
        let idle = got == 0 && running.is_empty();
        if got > 0 && running.len() < concurrency {
            continue;
        }
        let mut sleep = LONGEST_SLEEP;
        if let Some(until) = paused {
            sleep = until - Instant::now();
        } else if idle {
            match due(&shared, &destination).await {
                Some(wait) => sleep = wait.clamp(Duration::from_millis(1), LONGEST_SLEEP),
                None => break,
            }
        }
        tokio::select! {
            _ = stopping.changed() => {}
            Some(_) = running.join_next() => {}
            _ = changes.changed(), if running.len() < concurrency && paused.is_none() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
    while running.join_next().await.is_some() {}
    lock(&shared.working).remove(&destination);
    // What came between the last look and the removal must not be left lying.
    shared.ended.notify_one();
}

/// When the next delivery of a destination is due, `None` if it has none.
async fn due(shared: &Shared, destination: &Destination) -> Option<Duration> {
    let pending = shared.outbox.pending().await.unwrap_or_default();
    let now = shared.clock.now();
    pending
        .iter()
        .find(|(d, _)| d == destination)
        .map(|(_, at)| until(now, *at))
}

/// Makes one attempt and notes what came of it.
async fn attempt(shared: Arc<Shared>, lease: Lease) {
    let started = Instant::now();
    let number = lease.attempts + 1;
    shared.counters.attempt();
    if let Some(on_secrets) = &shared.on_secrets {
        on_secrets.tell(&lease.record);
    }
    let Some((reporter, settings)) = shared.router.resolve(&lease.delivery, &lease.record) else {
        let e = Error::config(format!(
            "there is no reporter {} any more",
            lease.delivery.reporter
        ));
        let receipt = Receipt::default().and(lease.delivery.reporter.as_str(), Err(e));
        return note(&shared, &lease, receipt, started, number).await;
    };
    let report = Report::new(Subject::Failure(Arc::clone(&lease.record)))
        .with_links(logs::links(&shared, &lease.logs).await)
        .with_config(shared.router.config(&lease.delivery, &lease.record))
        .with_redactor(shared.redactor.with(lease.record.secret_labels()))
        .with_now(shared.clock.now())
        .with_zone(shared.zone.clone());
    let opts =
        ReportOptions::new(&lease.delivery.id, &settings).after(number, lease.progress.as_ref());
    let answer = send(&shared, reporter.as_ref(), &report, &opts, lease.unknown);
    // A reporter that panics is one that failed: its worker goes on.
    let receipt = match tokio::time::timeout(
        shared.timing.attempt,
        AssertUnwindSafe(answer).catch_unwind(),
    )
    .await
    {
        Ok(Ok(receipt)) => receipt,
        Ok(Err(_)) => whole(
            &settings,
            Error::internal("the reporter panicked")
                .with_delivery(Delivery::Unknown)
                .with_retry(Retry::Later { after: None }),
        ),
        Err(_) => whole(&settings, took_too_long(shared.timing.attempt)),
    };
    note(&shared, &lease, receipt, started, number).await;
}

/// Asks first whether an earlier attempt arrived, if that can be asked; then sends.
async fn send(
    shared: &Shared,
    reporter: &dyn Reporter,
    report: &Report,
    opts: &ReportOptions<'_>,
    unknown: bool,
) -> Receipt {
    if unknown && reporter.capability().reconcile {
        match reporter.reconcile(report, opts).await {
            Ok(Reconciled::Delivered(receipt)) => return receipt,
            Ok(Reconciled::NotDelivered) => {}
            Ok(Reconciled::CannotTell) => shared.counters.possible_double(),
            // Not known yet, so it stays unknown and is asked again.
            Err(e) => return whole(opts.settings, e.with_delivery(Delivery::Unknown)),
        }
    } else if unknown && !reporter.capability().idempotent {
        shared.counters.possible_double();
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
async fn note(shared: &Shared, lease: &Lease, receipt: Receipt, started: Instant, number: u32) {
    let now = shared.clock.now();
    let redactor = shared.redactor.with(lease.record.secret_labels());
    for w in &receipt.warnings {
        if w.kind() == ErrorKind::Template {
            shared.counters.template_fault();
        }
        tracing::warn!(delivery = %lease.delivery.id, task = %lease.record.id, destination = %lease.delivery.destination, "{}", redactor.redact(&w.report().to_string()));
    }
    let mut next = receipt.next();
    let age = until(lease.enqueued, now);
    let mut why = "";
    if let Next::Retry { unknown, .. } = next {
        if age >= shared.timing.max_age {
            (next, why) = (Next::Dead, "too old to be tried again");
        } else if unknown && shared.timing.on_unknown == OnUnknown::Drop {
            (next, why) = (Next::Dead, "it may have arrived");
        }
    }
    let error = receipt.error();
    let mut attempt = Attempt::new(now, Outcome::Delivered);
    attempt.latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(e) = error {
        attempt.code = Some(e.code().map_or_else(|| e.kind().to_string(), str::to_owned));
        attempt.detail = redactor
            .redact(&e.report().to_string())
            .chars()
            .take(2_000)
            .collect();
    }
    let (id, destination, task) = (
        &lease.delivery.id,
        &lease.delivery.destination,
        &lease.record.id,
    );
    let detail = attempt.detail.clone();
    let noted = match next {
        Next::Done => {
            shared.counters.delivered();
            tracing::info!(delivery = %id, %task, %destination, attempt = number, ms = attempt.latency_ms, "delivered");
            shared.outbox.complete(lease, attempt).await
        }
        Next::Retry { after, unknown } => {
            shared.counters.retry();
            attempt.outcome = if unknown {
                Outcome::Unknown
            } else {
                Outcome::Retry
            };
            let wait = shared
                .timing
                .backoff
                .wait(lease.attempts, after, &mut fastrand::Rng::new());
            // What one message was told holds for all that share the destination.
            if after.is_some() || error.is_some_and(|e| e.kind() == ErrorKind::RateLimited) {
                shared.health.pause(destination, Instant::now() + wait);
            }
            tracing::warn!(delivery = %id, %task, %destination, attempt = number, again_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), may_have_arrived = unknown, error = detail, "not delivered, tried again later");
            shared
                .outbox
                .retry_at(lease, add(now, wait), receipt.progress, attempt)
                .await
        }
        Next::Dead => {
            shared.counters.dead();
            attempt.outcome = Outcome::Dead;
            tracing::error!(delivery = %id, %task, %destination, attempt = number, error = detail, why, "given up; kept as a dead letter");
            shared.outbox.bury(lease, attempt).await
        }
    };
    if let Err(e) = noted {
        tracing::error!(delivery = %id, %task, error = %e.report(), "cannot note what came of an attempt; it may be sent twice");
    }
}
