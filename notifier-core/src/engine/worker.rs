//! One worker for each destination that has something to send.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    OnUnknown, Phase, Shared, changed,
    health::{Course, Sign, asks_for_time},
    logs, notice,
    router::Lane,
    took_too_long,
};
use crate::{
    Attempt, Capability, Checkpoint, Delivery, DeliveryFilter, DeliveryState, Destination, Error,
    ErrorKind, Lease, LeaseRequest, NewDelivery, Next, Outbox, Outcome, Receipt, Reconciled,
    Report, ReportOptions, Reporter, Result, Retry, Scope, Settings, Settlement, Verdict,
    clock::{add, until},
    lock,
    policy::MAX_AGE,
    redact::Redactor,
};

/// How long to sleep without looking at the outbox, for one that other processes use as well.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// When leases run out: never while the process lives that holds them, however long its
/// outbox cannot be written to. Those of one that died are taken back at the next start.
const NEVER: Timestamp = Timestamp::MAX;

/// How many destinations' lanes are remembered.
const MOST_LANES: usize = 10_000;

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
                    let wait = until(now, due);
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
            Err(e) => {
                shared.outbox_failed(&e);
                tracing::error!(error = %e.report(), "cannot read the outbox");
            }
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
    let shared = &seat.shared;
    let mut running: JoinSet<(Lease, Settlement)> = JoinSet::new();
    let Some(mut lane) = seat.lane().await else {
        return;
    };
    loop {
        if *phase.borrow() == Phase::Finish {
            break;
        }
        let room = usize::saturating_sub(lane.concurrency, running.len());
        for lease in seat.lease(lane, room).await {
            lane = seat.learn(&lease.delivery);
            running.spawn(attempt(Arc::clone(shared), lease));
        }
        if running.is_empty() {
            // Nothing due, or told to wait: whoever looks at all destinations comes back.
            break;
        }
        // What came of one attempt is noted in one commit with the lease of the next.
        tokio::select! {
            () = ended(&mut phase) => {}
            Some(done) = running.join_next() => {
                let Ok((lease, settlement)) = done else { continue };
                let room = usize::saturating_sub(lane.concurrency, running.len());
                let (noted, next) = tokio::join!(
                    shared.outbox.settle(&lease, settlement.clone()),
                    seat.lease(lane, room),
                );
                // What could not be noted is noted before anything else is sent here.
                if let Err(e) = noted {
                    note_later(shared, &lease, &settlement, e).await;
                    for unused in &next {
                        if let Err(e) = shared.outbox.release(unused).await {
                            let id = &unused.delivery.id;
                            tracing::error!(delivery = %id, error = %e.report(), "cannot give back a delivery; it is sent after the next start");
                        }
                    }
                    continue;
                }
                tell(shared, &lease, &settlement);
                for lease in next {
                    lane = seat.learn(&lease.delivery);
                    running.spawn(attempt(Arc::clone(shared), lease));
                }
            }
            () = seat.wake.notified(), if running.len() < lane.concurrency => {}
        }
    }
    while let Some(done) = running.join_next().await {
        if let Ok((lease, settlement)) = done {
            match shared.outbox.settle(&lease, settlement.clone()).await {
                Ok(()) => tell(shared, &lease, &settlement),
                Err(e) => note_later(shared, &lease, &settlement, e).await,
            }
        }
    }
}

impl Seat {
    /// How the destination is sent to: as the last delivery to it was, or as the first that
    /// waits is. `None` if nothing does.
    async fn lane(&self) -> Option<Lane> {
        let known = lock(&self.shared.lanes).get(&self.destination).copied();
        if known.is_some() {
            return known;
        }
        let mut first = DeliveryFilter::state(DeliveryState::Pending);
        first.destination = Some(self.destination.clone());
        first.limit = 1;
        match self.shared.outbox.inspect(&first).await {
            Ok(found) => found.first().map(|view| self.learn(&view.delivery)),
            Err(e) => {
                self.shared.outbox_failed(&e);
                tracing::error!(destination = %self.destination, error = %e.report(), "cannot read the outbox");
                tokio::time::sleep(Duration::from_secs(1)).await;
                None
            }
        }
    }

    fn learn(&self, d: &NewDelivery) -> Lane {
        let lane = self.shared.router.lane(&d.reporter, &d.instance);
        let mut lanes = lock(&self.shared.lanes);
        // Labels may name any number of destinations; a lane is found again when it is needed.
        if lanes.len() >= MOST_LANES {
            lanes.clear();
        }
        lanes.insert(self.destination.clone(), lane);
        lane
    }

    async fn lease(&self, lane: Lane, room: usize) -> Vec<Lease> {
        if room == 0 {
            return Vec::new();
        }
        let shared = &self.shared;
        let now = shared.clock.now();
        let request = LeaseRequest::new(room, now, NEVER).with_rate(lane.rate);
        match shared.outbox.lease(&self.destination, request).await {
            Ok(leased) => leased,
            Err(e) => {
                shared.outbox_failed(&e);
                tracing::error!(destination = %self.destination, error = %e.report(), "cannot read the outbox");
                tokio::time::sleep(Duration::from_secs(1)).await;
                Vec::new()
            }
        }
    }
}

/// Keeps progress in the middle of an attempt.
#[derive(Debug)]
struct Saver<'a> {
    outbox: &'a dyn Outbox,
    lease: &'a Lease,
}

#[async_trait]
impl Checkpoint for Saver<'_> {
    async fn save(&self, progress: serde_json::Value) -> Result<()> {
        self.outbox.save_progress(self.lease, progress).await
    }
}

/// Makes one attempt and says what came of it, whatever it does.
async fn attempt(shared: Arc<Shared>, lease: Lease) -> (Lease, Settlement) {
    let started = Instant::now();
    shared.counters.attempt();
    let none = BTreeMap::new();
    let failure = lease.subject.failure();
    let secrets = failure
        .map(|f| shared.router.secrets(f))
        .unwrap_or_default();
    if let Some(on_secrets) = &shared.on_secrets {
        on_secrets.tell(&secrets);
    }
    let redactor = shared.redactor.with(secrets);
    let labels = failure.map_or(&none, |f| &f.labels);
    let Some((reporter, settings)) = shared.router.resolve(&lease.delivery, labels) else {
        let e = Error::config(format!(
            "there is no reporter {} any more",
            lease.delivery.reporter
        ));
        let receipt = Receipt::default().and(lease.delivery.reporter.as_str(), Err(e));
        let limits = Limits::new(&shared, Capability::default(), None);
        let settlement = judge(&shared, &lease, receipt, started, &limits, &redactor);
        return (lease, settlement);
    };
    let mut report = Report::new(lease.subject.clone())
        .with_links(logs::links(&shared, &lease.logs).await)
        .with_config(shared.router.config(&lease.delivery, &lease.subject))
        .with_redactors(redactor.clone(), shared.redactor.clone())
        .with_now(shared.clock.now())
        .with_zone(shared.zone.clone());
    if let Some(reader) = logs::Reader::new(&shared, &lease.subject, &lease.logs) {
        report = report.with_logs(Arc::new(reader));
    }
    let saver = Saver {
        outbox: shared.outbox.as_ref(),
        lease: &lease,
    };
    let opts = ReportOptions::new(&lease.delivery.id, &settings)
        .after(lease.attempts + 1, lease.progress.as_ref())
        .with_checkpoint(&saver);
    let answer = send(&shared, reporter.as_ref(), &report, &opts, lease.unknown);
    // A reporter that panics is one that failed: its worker goes on.
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let longest = shared.timing.attempt.max(reporter.capability().patience);
    let receipt = match tokio::time::timeout(longest, answer).await {
        Ok(Ok(receipt)) => receipt,
        Ok(Err(_)) => {
            let e = Error::internal("the reporter panicked")
                .with_delivery(Delivery::Unknown)
                .with_retry(Retry::Later { after: None });
            whole(&settings, e)
        }
        Err(_) => whole(&settings, took_too_long(longest)),
    };
    let limits = Limits::new(&shared, reporter.capability(), settings.duration(MAX_AGE));
    let settlement = judge(&shared, &lease, receipt, started, &limits, &redactor);
    (lease, settlement)
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

/// What bounds the attempts of one reporter.
struct Limits {
    max_age: Duration,
    /// Whether an unknown outcome can be settled at the next attempt.
    settles: bool,
}

impl Limits {
    fn new(shared: &Shared, capability: Capability, max_age: Option<Duration>) -> Self {
        Self {
            max_age: max_age.unwrap_or(shared.timing.max_age),
            settles: capability.reconcile || capability.idempotent,
        }
    }
}

/// Some target may have it, and nobody will ever know.
fn in_doubt(receipt: &Receipt) -> bool {
    let mut errors = receipt
        .targets
        .iter()
        .filter_map(|t| t.verdict.as_ref().err());
    errors.any(|e| e.delivery() == Delivery::Unknown)
}

/// Which targets have the message, with the service's ids of it, for the delivery's story.
fn who_has_it(receipt: &Receipt) -> String {
    let have: Vec<String> = receipt
        .targets
        .iter()
        .filter_map(|t| match t.verdict.as_ref().ok()?.id.as_deref() {
            Some(id) => Some(format!("{} ({id})", t.target)),
            None => Some(t.target.clone()),
        })
        .take(20)
        .collect();
    match (have.len(), receipt.error().is_some()) {
        (0, _) => String::new(),
        (_, true) => format!(
            "{} of {} have it: {}; ",
            have.len(),
            receipt.targets.len(),
            have.join(", ")
        ),
        (_, false) => have.join(", "),
    }
}

/// What an answer says of the destination itself.
#[derive(Debug, PartialEq, Eq)]
enum Bearing {
    /// It stands as its errors say.
    Whole,
    /// It works: some target has the message, and only others are in the way of the rest.
    Works,
    /// Nothing: all that keeps the message from arriving lies elsewhere.
    None,
}

fn bearing(receipt: &Receipt) -> Bearing {
    let is_elsewhere = |e: &Error| e.kind() == ErrorKind::Pending || e.scope() == Scope::Target;
    let is_retried = receipt.next() != Next::Dead;
    let mut errors = receipt
        .targets
        .iter()
        .filter_map(|t| t.verdict.as_ref().err())
        // What was given up does not decide where something is left to try.
        .filter(|e| e.is_retryable() == is_retried)
        .peekable();
    if errors.peek().is_none() || !errors.all(is_elsewhere) {
        return Bearing::Whole;
    }
    match receipt.targets.iter().any(|t| t.verdict.is_ok()) {
        true => Bearing::Works,
        false => Bearing::None,
    }
}

/// What follows from an attempt.
fn judge(
    shared: &Shared,
    lease: &Lease,
    receipt: Receipt,
    started: Instant,
    limits: &Limits,
    redactor: &Redactor,
) -> Settlement {
    let now = shared.clock.now();
    let (id, destination) = (&lease.delivery.id, &lease.delivery.destination);
    for w in &receipt.warnings {
        if w.kind() == ErrorKind::Template {
            shared.counters.template_fault();
        }
        let text = redactor.redact(&w.report().to_string()).into_owned();
        tracing::warn!(delivery = %id, about = about(lease), %destination, "{text}");
    }
    let mut next = receipt.next();
    let mut why = "";
    let is_too_old = until(lease.enqueued, now) >= limits.max_age;
    if let Next::Retry { unknown, .. } = next {
        if is_too_old {
            (next, why) = (Next::Dead, "too old to be tried again");
        } else if unknown && !limits.settles && shared.timing.on_unknown == OnUnknown::Drop {
            (next, why) = (Next::Dead, "it may have arrived");
        }
    }
    let mut attempt = Attempt::new(now, Outcome::Delivered);
    attempt.latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(e) = receipt.error() {
        let code = e.code().map_or_else(|| e.kind().to_string(), str::to_owned);
        attempt.code = Some(redactor.redact(&code).into_owned());
        attempt.detail = e.report().to_string();
    }
    if receipt.targets.len() > 1 || receipt.error().is_none() {
        attempt.detail = format!("{}{}", who_has_it(&receipt), attempt.detail);
    }
    attempt.detail = redactor
        .redact(&attempt.detail)
        .chars()
        .take(2_000)
        .collect();
    let backoff = &shared.timing.backoff;
    // What an attempt shows of the destination does not depend on what becomes of the message.
    let sign = match &receipt.next() {
        Next::Done => Sign::Works {
            again: lease.attempts > 0,
        },
        Next::Retry { after, .. } => {
            let mut rng = fastrand::Rng::new();
            let wait = backoff.wait(lease.attempts, None, &mut rng);
            let mut errors = receipt
                .targets
                .iter()
                .filter_map(|t| t.verdict.as_ref().err());
            match after {
                Some(_) => Sign::Asks(wait.max(backoff.wait(0, *after, &mut rng))),
                None if errors.any(asks_for_time) => Sign::Asks(wait),
                None => Sign::Fails { id, wait },
            }
        }
        Next::Dead => Sign::Refuses(receipt.error().map_or(Scope::Message, Error::scope)),
    };
    let take_in = |sign: &Sign<'_>| shared.health.take_in(destination, sign, now, backoff);
    let course = match bearing(&receipt) {
        Bearing::Whole => take_in(&sign),
        // Some targets may have been at fault for long: that says nothing of an outage.
        Bearing::Works => Course {
            wait: sign.wait(),
            ..take_in(&Sign::Works {
                again: lease.attempts > 0,
            })
        },
        Bearing::None => Course::waiting(sign.wait()),
    };
    let verdict = match next {
        Next::Done => Verdict::Done,
        Next::Dead if !course.kept || is_too_old => {
            // What is given up may have arrived all the same.
            attempt.outcome = match receipt.next() {
                Next::Retry { unknown: true, .. } => Outcome::Unknown,
                _ if in_doubt(&receipt) => Outcome::Unknown,
                _ => Outcome::Dead,
            };
            if !why.is_empty() {
                attempt.detail = format!("{why}; {}", attempt.detail);
            }
            Verdict::Dead
        }
        Next::Dead => {
            attempt.outcome = Outcome::Retry;
            Verdict::RetryAt(now)
        }
        Next::Retry { unknown, .. } => {
            attempt.outcome = if unknown {
                Outcome::Unknown
            } else {
                Outcome::Retry
            };
            Verdict::RetryAt(add(now, course.wait))
        }
    };
    let news = course
        .news
        .and_then(|news| notice::about(shared, destination, news, &attempt.detail));
    let mut settlement = Settlement::new(verdict, attempt).with_progress(receipt.progress);
    settlement.destination = course.state;
    settlement.wake = course.wake;
    settlement.notices.extend(news);
    settlement
}

fn about(lease: &Lease) -> &str {
    lease
        .subject
        .failure()
        .map_or(lease.subject.kind(), |f| f.id.as_str())
}

/// Counts and logs what came of an attempt, once it is noted.
fn tell(shared: &Shared, lease: &Lease, settlement: &Settlement) {
    let (id, destination, about) = (
        &lease.delivery.id,
        &lease.delivery.destination,
        about(lease),
    );
    let number = lease.attempts + 1;
    let (ms, error) = (settlement.attempt.latency_ms, &settlement.attempt.detail);
    match settlement.verdict {
        Verdict::Done => {
            shared.counters.delivered();
            tracing::info!(delivery = %id, about, %destination, attempt = number, ms, "delivered");
        }
        Verdict::RetryAt(at) => {
            shared.counters.retry();
            let left_alone = settlement.destination.and_then(|d| d.not_before);
            let wait = until(settlement.attempt.at, at.max(left_alone.unwrap_or(at)));
            let again_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let may_have_arrived = settlement.attempt.outcome == Outcome::Unknown;
            tracing::warn!(delivery = %id, about, %destination, attempt = number, again_in_ms, may_have_arrived, error, "not delivered, tried again later");
        }
        Verdict::Dead => {
            shared.counters.dead();
            tracing::error!(delivery = %id, about, %destination, attempt = number, error, "given up; kept as a dead letter");
        }
    }
}

/// Notes what came of an attempt when the outbox can be written to again. Until then
/// nothing else is sent there: it could not be noted either, and would be sent twice.
async fn note_later(shared: &Shared, lease: &Lease, settlement: &Settlement, mut error: Error) {
    let id = &lease.delivery.id;
    let mut wait = Duration::from_millis(100);
    loop {
        if !error.is_retryable() {
            shared.outbox_failed(&error);
            tracing::error!(delivery = %id, error = %error.report(), "cannot note what came of an attempt; it may be sent twice");
            return;
        }
        tracing::error!(delivery = %id, error = %error.report(), "cannot note what came of an attempt yet; nothing else is sent there meanwhile");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
        match shared.outbox.settle(lease, settlement.clone()).await {
            Ok(()) => return tell(shared, lease, settlement),
            Err(e) => error = e,
        }
    }
}
