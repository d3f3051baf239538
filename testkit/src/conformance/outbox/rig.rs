//! One outbox under test, and the few things that every case does with it.

use std::{fmt::Debug, sync::Arc};

use notifier_core::{
    Attempt, DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, Destination, EnqueueBatch,
    Enqueued, Error, ErrorKind, FailureRecord, FoldRequest, Folded, Grouping, Lease, LeaseRequest,
    LogLease, Logs, NewDelivery, NewReport, Notice, Outbox, OutboxStats, Outcome,
    Result as CoreResult, Settlement, Subject, Verdict as Ending, jiff::Timestamp,
    memory::MemoryOutbox, policy::Rate,
};

use super::OutboxHarness;

/// Kept, or why not.
pub(super) type Verdict = Result<(), String>;

/// The watcher's name.
pub(super) const WATCHER: &str = "conformance";
/// The source's name.
pub(super) const SOURCE: &str = "cluster";
/// The reporter's name.
pub(super) const REPORTER: &str = "test";
/// The first moment of each case, in milliseconds.
const START: i64 = 1_795_248_000_000;

/// Ends the case if something is not as it must be.
macro_rules! ensure {
    ($ok:expr, $($text:tt)*) => {
        if !$ok {
            return Err(format!($($text)*));
        }
    };
}
pub(super) use ensure;

/// So many milliseconds after the first moment.
pub(super) fn at(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(START.saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

/// So many seconds after the first moment.
pub(super) fn secs(s: u64) -> Timestamp {
    at(s * 1000)
}

/// So many hours after the first moment.
pub(super) fn hours(h: u64) -> Timestamp {
    secs(h * 3600)
}

/// A later time.
pub(super) fn after(t: Timestamp, ms: u64) -> Timestamp {
    t.checked_add(std::time::Duration::from_millis(ms))
        .unwrap_or(Timestamp::MAX)
}

/// The failure of this number: each dies a millisecond after the one before.
pub(super) fn failure(n: u64) -> FailureRecord {
    let mut f = FailureRecord::new(format!("web.{n}"), "web", "TASK_FAILED", at(n));
    f.host = format!("agent-{}", n % 3);
    f.source = SOURCE.to_owned();
    f.with_default_key()
}

/// The destination of this name.
pub(super) fn to(name: &str) -> Destination {
    Destination::new(REPORTER, [name], name)
}

/// The id of a failure's delivery to this destination.
pub(super) fn id(n: u64, name: &str) -> DeliveryId {
    DeliveryId::derive(WATCHER, &failure(n).key, REPORTER, name, 0)
}

/// A delivery of a subject to each of these destinations.
fn deliveries(subject: &Subject, names: &[&str]) -> Vec<NewDelivery> {
    let key = subject.key();
    let each = names.iter().map(|name| {
        let id = DeliveryId::derive(WATCHER, &key, REPORTER, name, 0);
        NewDelivery::new(id, REPORTER, *name, to(name)).because(format!("the label {name}"))
    });
    each.collect()
}

/// The failure of this number, to be told to each of these destinations.
pub(super) fn report(n: u64, names: &[&str]) -> NewReport {
    told(failure(n), names)
}

/// A failure, to be told to each of these destinations.
pub(super) fn told(failure: FailureRecord, names: &[&str]) -> NewReport {
    let subject = Subject::Failure(Arc::new(failure));
    let deliveries = deliveries(&subject, names);
    NewReport::new(subject, deliveries)
}

/// The same, held while others like it were told.
pub(super) fn grouped(n: u64, names: &[&str], fingerprint: &str, minutes: u64) -> NewReport {
    let interval = std::time::Duration::from_secs(minutes * 60);
    report(n, names).with_group(Grouping::new(fingerprint, interval))
}

/// A notice that a destination is dead since then, told to another.
pub(super) fn notice(about: &str, since: Timestamp, name: &str) -> NewReport {
    let notice = Notice::new(to(about).as_str(), "it answers 404", since);
    let subject = Subject::Notice(Arc::new(notice));
    let deliveries = deliveries(&subject, &[name]);
    NewReport::new(subject, deliveries)
}

/// A batch of these reports.
pub(super) fn batch(now: Timestamp, reports: impl IntoIterator<Item = NewReport>) -> EnqueueBatch {
    let mut batch = EnqueueBatch::new(SOURCE, now);
    batch.reports.extend(reports);
    batch
}

/// What an attempt came to.
pub(super) fn settled(ending: Ending, outcome: Outcome, now: Timestamp) -> Settlement {
    let mut attempt = Attempt::new(now, outcome);
    attempt.code = Some("503".to_owned());
    attempt.detail = format!("answered {outcome:?}");
    attempt.latency_ms = 17;
    Settlement::new(ending, attempt)
}

/// What it gave, or its error as text.
pub(super) fn ok<T>(what: &str, r: CoreResult<T>) -> Result<T, String> {
    r.map_err(|e| format!("{what}: {}", e.report()))
}

/// That it was refused, as this kind of error.
pub(super) fn refused<T: Debug>(what: &str, kind: ErrorKind, r: CoreResult<T>) -> Verdict {
    match r {
        Err(e) if e.kind() == kind => Ok(()),
        Err(e) => Err(format!("{what}: {}, not {kind}: {}", e.kind(), e.report())),
        Ok(v) => Err(format!("{what}: it is not refused, but answers {v:?}")),
    }
}

/// That two things are equal.
pub(super) fn same<T: PartialEq + Debug>(what: &str, is: T, must: T) -> Verdict {
    if is == must {
        Ok(())
    } else {
        Err(format!("{what} is {is:?}, not {must:?}"))
    }
}

/// As many as there must be.
pub(super) fn these<const N: usize, T>(what: &str, all: Vec<T>) -> Result<[T; N], String> {
    all.try_into()
        .map_err(|all: Vec<T>| format!("{what}: there are {}, not {N}", all.len()))
}

/// The ids of leases, for comparing.
pub(super) fn ids(leases: &[Lease]) -> Vec<DeliveryId> {
    leases.iter().map(|l| l.delivery.id.clone()).collect()
}

pub(super) struct Rig<'a> {
    harness: &'a mut dyn OutboxHarness,
    outbox: Arc<dyn Outbox>,
}

impl<'a> Rig<'a> {
    pub(super) async fn new(
        harness: &'a mut dyn OutboxHarness,
        capacity: usize,
    ) -> Result<Self, String> {
        let outbox = harness.open(capacity).await;
        let rig = Self { harness, outbox };
        same("what a new outbox takes back", rig.claim(secs(0)).await?, 0)?;
        Ok(rig)
    }

    /// Another handle to the same outbox.
    pub(super) async fn beside(&mut self) -> Result<Arc<dyn Outbox>, String> {
        let other = self.harness.beside().await;
        other.ok_or_else(|| "the harness has no other handle".to_owned())
    }

    /// Begins again with an empty outbox.
    pub(super) async fn reopen(&mut self) -> Verdict {
        // The one before ends first.
        self.outbox = Arc::new(MemoryOutbox::with_capacity(0));
        self.outbox = self.harness.open(super::ROOMY).await;
        self.claim(secs(0)).await.map(|_| ())
    }

    pub(super) fn outbox(&self) -> &Arc<dyn Outbox> {
        &self.outbox
    }

    pub(super) fn seen_for(&self) -> std::time::Duration {
        self.harness.seen_for()
    }

    /// Ends the process, and looks at what is left as the next one does before it leases.
    pub(super) async fn crash_only(&mut self) -> Verdict {
        // The handle is given away: nobody else may have one.
        let nothing: Arc<dyn Outbox> = Arc::new(MemoryOutbox::with_capacity(0));
        let outbox = std::mem::replace(&mut self.outbox, nothing);
        self.outbox = self
            .harness
            .crash(outbox)
            .await
            .ok_or_else(|| "the harness cannot crash it again".to_owned())?;
        Ok(())
    }

    /// Ends the process, and starts the next one.
    pub(super) async fn crash(&mut self, now: Timestamp) -> Result<u64, String> {
        self.crash_only().await?;
        self.claim(now).await
    }

    pub(super) async fn claim(&self, now: Timestamp) -> Result<u64, String> {
        ok("claim", self.outbox.claim(WATCHER, now).await)
    }

    pub(super) async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued, String> {
        ok("enqueue", self.outbox.enqueue(batch).await)
    }

    /// Enqueues new reports.
    pub(super) async fn put(
        &self,
        now: Timestamp,
        reports: impl IntoIterator<Item = NewReport>,
    ) -> Result<Enqueued, String> {
        let batch = batch(now, reports);
        let many = batch.reports.len() as u64;
        let done = self.enqueue(batch).await?;
        same("how many of the reports were new", done.new, many)?;
        Ok(done)
    }

    /// Enqueues failures to one destination, and settles their logs.
    pub(super) async fn ready(
        &self,
        now: Timestamp,
        numbers: impl IntoIterator<Item = u64>,
        name: &str,
    ) -> Verdict {
        self.put(now, numbers.into_iter().map(|n| report(n, &[name])))
            .await?;
        self.settle_all_logs(now).await?;
        Ok(())
    }

    /// Takes what there is to be looked for.
    pub(super) async fn lease_logs(
        &self,
        max: usize,
        now: Timestamp,
    ) -> Result<Vec<LogLease>, String> {
        let request = LeaseRequest::new(max, now, after(now, 60_000));
        ok("lease_logs", self.outbox.lease_logs(request).await)
    }

    /// Settles all logs that are not settled: none were found.
    pub(super) async fn settle_all_logs(&self, now: Timestamp) -> Result<usize, String> {
        let mut count = 0;
        loop {
            let leases = self.lease_logs(100, now).await?;
            if leases.is_empty() {
                return Ok(count);
            }
            for lease in leases {
                self.settle_logs(&lease, Logs::default()).await?;
                count += 1;
            }
        }
    }

    /// Leases for a minute.
    pub(super) async fn lease(
        &self,
        name: &str,
        max: usize,
        now: Timestamp,
    ) -> Result<Vec<Lease>, String> {
        self.lease_at(name, max, now, None).await
    }

    /// Leases for a minute, no faster than this.
    pub(super) async fn lease_at(
        &self,
        name: &str,
        max: usize,
        now: Timestamp,
        rate: Option<Rate>,
    ) -> Result<Vec<Lease>, String> {
        let request = LeaseRequest::new(max, now, after(now, 60_000)).with_rate(rate);
        ok("lease", self.outbox.lease(&to(name), request).await)
    }

    /// Leases exactly one.
    pub(super) async fn lease_one(&self, name: &str, now: Timestamp) -> Result<Lease, String> {
        let [lease] = these(
            &format!("leased for {name}"),
            self.lease(name, 1, now).await?,
        )?;
        Ok(lease)
    }

    /// Notes what came of an attempt.
    pub(super) async fn settle(&self, lease: &Lease, settlement: Settlement) -> Verdict {
        ok("settle", self.outbox.settle(lease, settlement).await)
    }

    /// The attempt arrived.
    pub(super) async fn done(&self, lease: &Lease, now: Timestamp) -> Verdict {
        self.settle(lease, settled(Ending::Done, Outcome::Delivered, now))
            .await
    }

    /// The attempt was the last one.
    pub(super) async fn dead(&self, lease: &Lease, now: Timestamp) -> Verdict {
        self.settle(lease, settled(Ending::Dead, Outcome::Dead, now))
            .await
    }

    /// The attempt is to be made again.
    pub(super) async fn retry(&self, lease: &Lease, due: Timestamp, now: Timestamp) -> Verdict {
        self.settle(lease, settled(Ending::RetryAt(due), Outcome::Retry, now))
            .await
    }

    /// Sends again.
    pub(super) async fn replay(
        &self,
        id: &DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryId, String> {
        ok("replay", self.outbox.replay(WATCHER, id, now).await)
    }

    pub(super) async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Verdict {
        ok("discard", self.outbox.discard(id, now).await)
    }

    pub(super) async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Verdict {
        ok("settle_logs", self.outbox.settle_logs(lease, logs).await)
    }

    pub(super) async fn release(&self, lease: &Lease) -> Verdict {
        ok("release", self.outbox.release(lease).await)
    }

    pub(super) async fn save_progress(
        &self,
        lease: &Lease,
        progress: serde_json::Value,
    ) -> Verdict {
        ok(
            "save_progress",
            self.outbox.save_progress(lease, progress).await,
        )
    }

    pub(super) async fn fold(&self, now: Timestamp) -> Result<Folded, String> {
        ok(
            "fold",
            self.outbox.fold(FoldRequest::new(WATCHER, now)).await,
        )
    }

    pub(super) async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>, String> {
        let mut pending = ok("pending", self.outbox.pending().await)?;
        pending.sort();
        Ok(pending)
    }

    pub(super) async fn stats(&self) -> Result<OutboxStats, String> {
        ok("stats", self.outbox.stats().await)
    }

    pub(super) async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>, String> {
        ok("cursor", self.outbox.cursor(source).await)
    }

    pub(super) async fn inspect(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Vec<DeliveryView>, String> {
        ok("inspect", self.outbox.inspect(filter).await)
    }

    pub(super) async fn all(&self) -> Result<Vec<DeliveryView>, String> {
        self.inspect(&DeliveryFilter::default()).await
    }

    pub(super) async fn story(&self, id: &DeliveryId) -> Result<notifier_core::Story, String> {
        ok("story", self.outbox.story(id).await)?.ok_or_else(|| format!("{id} has no story"))
    }

    pub(super) async fn view(&self, id: &DeliveryId) -> Result<DeliveryView, String> {
        Ok(self.story(id).await?.view)
    }

    /// That a delivery is in this state.
    pub(super) async fn is(&self, id: &DeliveryId, state: DeliveryState) -> Verdict {
        same("the state", self.view(id).await?.state, state)
    }

    /// That every answer under this lease is refused and changes nothing.
    pub(super) async fn is_lost(&self, lease: &Lease, now: Timestamp) -> Verdict {
        let before = self.snapshot().await?;
        let late = |r: CoreResult<()>, what: &str| {
            refused(
                &format!("{what} under a lost lease"),
                ErrorKind::Rejected,
                r,
            )
        };
        for ending in [Ending::Done, Ending::Dead, Ending::RetryAt(now)] {
            let mut settlement = settled(ending, Outcome::Delivered, now)
                .with_progress(Some(serde_json::json!("late")));
            let mut state = notifier_core::DestinationState::default();
            state.strikes = 99;
            settlement.destination = Some(state);
            settlement.notices = vec![notice("late", now, "late")];
            late(self.outbox.settle(lease, settlement).await, "settle")?;
        }
        let progress = serde_json::json!("late");
        late(
            self.outbox.save_progress(lease, progress).await,
            "save_progress",
        )?;
        late(self.outbox.release(lease).await, "release")?;
        same("what is kept", self.snapshot().await?, before)
    }

    /// Everything that can be seen, as text.
    pub(super) async fn snapshot(&self) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        for view in self.all().await? {
            out.push(format!("{view:?}"));
        }
        out.push(format!("{:?}", self.stats().await?));
        out.push(format!("{:?}", self.pending().await?));
        let mut standing = ok("destinations", self.outbox.destinations().await)?;
        standing.sort_by(|a, b| a.0.cmp(&b.0));
        out.push(format!("{standing:?}"));
        out.push(format!(
            "{:?}",
            ok("silences", self.outbox.silences().await)?
        ));
        out.push(format!("{:?}", self.cursor(SOURCE).await?));
        Ok(out)
    }
}

/// That an error may be tried again.
pub(super) fn retryable(what: &str, e: &Error) -> Verdict {
    if e.is_retryable() {
        Ok(())
    } else {
        Err(format!("{what} says that it may not be tried again"))
    }
}
