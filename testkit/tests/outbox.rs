//! Outboxes that break a promise do not pass the suite, and the one in memory does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{
    DeliveryFilter, DeliveryId, DeliveryView, Destination, DestinationState, EnqueueBatch,
    Enqueued, Error, ErrorKind, FailureKey, FoldRequest, Folded, Lease, LeaseRequest, LogLease,
    Logs, Outbox, OutboxStats, Result, Settlement, Silence, Story, Subject, Verdict,
    jiff::Timestamp, memory::MemoryOutbox,
};
use notifier_testkit::conformance::{OutboxHarness, outbox, outbox_case};
use tokio::sync::watch;

/// What an outbox does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    SaysItIsNotDurable,
    KeepsCursorOfRefused,
    NeverFull,
    RefusesLarge,
    RefusesNotices,
    ForgetsKeys,
    RemembersKeysForEver,
    SkipsLogs,
    LeasesTwice,
    NewestFirst,
    AnswersLate,
    ReleaseCounts,
    ClaimsNothing,
    ForgetsProgress,
    ForgetsCheckpoints,
    ForgetsNotices,
    IgnoresRate,
    IgnoresTheTimeLeftAlone,
    ForgetsAttempts,
    NeverHolds,
    CountsDigestsWrong,
    NamesTooManyAgents,
    EndsDigestsAlone,
    SendsSilenced,
    ForgetsSilences,
    ReplaysAnything,
    DropsWhatIsLeased,
    IgnoresLimits,
    MiscountsDone,
    NoCounter,
    ForgetsAllInACrash,
    ForgetsRateInACrash,
    ReleasesInACrash,
    GivesTokensAgain,
    AnyoneLeases,
    KeepsHalfOfWhatIsDropped,
}

/// What outlives a handle, as a file does.
#[derive(Debug)]
struct Shared {
    inner: MemoryOutbox,
    /// Leases that were handed out.
    leased: Mutex<Vec<Lease>>,
    /// When the first batch came.
    start: Mutex<Option<Timestamp>>,
    /// Which handle leases, and for which watcher.
    owner: Mutex<Option<(u64, String)>>,
    handles: AtomicU64,
}

/// A handle to an outbox with a flaw.
#[derive(Debug)]
struct Flawed {
    flaw: Flaw,
    capacity: usize,
    shared: Arc<Shared>,
    number: u64,
    /// Nothing was leased by this handle.
    fresh: AtomicBool,
}

impl Drop for Flawed {
    fn drop(&mut self) {
        let mut owner = self.shared.owner.lock().unwrap();
        if owner.as_ref().is_some_and(|(n, _)| *n == self.number) {
            *owner = None;
        }
    }
}

impl Flawed {
    fn new(flaw: Flaw, capacity: usize) -> Self {
        let room = if flaw == Flaw::NeverFull {
            usize::MAX
        } else {
            capacity
        };
        let shared = Shared {
            inner: MemoryOutbox::with_capacity(room),
            leased: Mutex::default(),
            start: Mutex::default(),
            owner: Mutex::default(),
            handles: AtomicU64::new(0),
        };
        Self::handle(flaw, capacity, Arc::new(shared))
    }

    fn handle(flaw: Flaw, capacity: usize, shared: Arc<Shared>) -> Self {
        Self {
            flaw,
            capacity,
            number: shared.handles.fetch_add(1, Ordering::Relaxed),
            shared,
            fresh: AtomicBool::new(true),
        }
    }

    /// Becomes the one that leases.
    fn own(&self, watcher: &str) -> Result<()> {
        let mut owner = self.shared.owner.lock().unwrap();
        match &*owner {
            Some((n, who)) if *n != self.number && !self.has(Flaw::AnyoneLeases) => {
                Err(Error::config(format!("in use by the watcher {who}")))
            }
            _ => {
                *owner = Some((self.number, watcher.to_owned()));
                Ok(())
            }
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn forget_keys(&self, batch: &mut EnqueueBatch) {
        let start = *self.shared.start.lock().unwrap().get_or_insert(batch.now);
        if batch.now.duration_since(start).as_hours() < 26 {
            return;
        }
        for r in &mut batch.reports {
            if let Subject::Failure(f) = &r.subject {
                let mut f = (**f).clone();
                f.key = FailureKey::new(format!("{}, later", f.key));
                r.subject = Subject::Failure(Arc::new(f));
            }
            for d in &mut r.deliveries {
                d.id = DeliveryId::new(format!("{}, later", d.id));
            }
        }
    }
}

#[async_trait]
impl Outbox for Flawed {
    async fn enqueue(&self, mut batch: EnqueueBatch) -> Result<Enqueued> {
        let stats = self.shared.inner.stats().await?;
        let full = || Error::new(ErrorKind::Full, "full");
        match self.flaw {
            Flaw::RefusesLarge if batch.reports.len() > self.capacity => return Err(full()),
            Flaw::RefusesNotices
                if stats.open() >= self.capacity as u64
                    && batch.reports.iter().any(|r| r.subject.kind() != "failure") =>
            {
                return Err(full());
            }
            Flaw::ForgetsKeys => self.forget_keys(&mut batch),
            Flaw::RemembersKeysForEver => {
                let now = batch.now;
                let start = *self.shared.start.lock().unwrap().get_or_insert(now);
                batch.now = start;
            }
            Flaw::NeverHolds => batch.reports.iter_mut().for_each(|r| r.group = None),
            Flaw::SendsSilenced => batch.reports.iter_mut().for_each(|r| r.silenced = None),
            _ => {}
        }
        if self.has(Flaw::KeepsHalfOfWhatIsDropped) && batch.reports.len() > 1 {
            let mut half = EnqueueBatch::new(batch.source.clone(), batch.now);
            half.reports.extend(batch.reports.pop());
            self.shared.inner.enqueue(half).await?;
            tokio::task::yield_now().await;
        }
        let mut rest = EnqueueBatch::new(batch.source.clone(), batch.now);
        rest.cursor.clone_from(&batch.cursor);
        let done = self.shared.inner.enqueue(batch).await;
        if done.is_err() && self.has(Flaw::KeepsCursorOfRefused) {
            self.shared.inner.enqueue(rest).await?;
        }
        if self.has(Flaw::SkipsLogs) {
            let far = Timestamp::MAX;
            for lease in self.lease_logs(LeaseRequest::new(999, far, far)).await? {
                self.shared
                    .inner
                    .settle_logs(&lease, Logs::default())
                    .await?;
            }
        }
        done
    }
    async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>> {
        self.shared.inner.cursor(source).await
    }
    async fn claim(&self, watcher: &str, now: Timestamp) -> Result<u64> {
        self.own(watcher)?;
        if self.has(Flaw::ClaimsNothing) {
            return Ok(0);
        }
        if self.has(Flaw::ReleasesInACrash) && self.number > 0 {
            let mut count = 0;
            let leased = std::mem::take(&mut *self.shared.leased.lock().unwrap());
            for lease in leased {
                count += u64::from(self.shared.inner.release(&lease).await.is_ok());
            }
            return Ok(count);
        }
        self.shared.inner.claim(watcher, now).await
    }
    async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> {
        self.shared.inner.lease_logs(request).await
    }
    async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> {
        self.shared.inner.settle_logs(lease, logs).await
    }
    async fn lease(
        &self,
        destination: &Destination,
        mut request: LeaseRequest,
    ) -> Result<Vec<Lease>> {
        let crashed = self.fresh.swap(false, Ordering::Relaxed) && self.number > 0;
        if self.has(Flaw::IgnoresRate) || (self.has(Flaw::ForgetsRateInACrash) && crashed) {
            request.rate = None;
        }
        let mut leases = self.shared.inner.lease(destination, request).await?;
        match self.flaw {
            Flaw::NewestFirst => leases.reverse(),
            Flaw::LeasesTwice if leases.is_empty() && request.max > 0 => {
                let before = self.shared.leased.lock().unwrap().pop();
                leases.extend(before.filter(|l| l.delivery.destination == *destination));
            }
            Flaw::GivesTokensAgain => leases.iter_mut().for_each(|l| l.token %= 4),
            _ => {}
        }
        for lease in &mut leases {
            if let Subject::Digest(d) = &lease.subject {
                let mut d = (**d).clone();
                match self.flaw {
                    Flaw::CountsDigestsWrong => d.count += 1,
                    Flaw::NamesTooManyAgents => d.hosts.push(("agent-x".to_owned(), 1)),
                    _ => {}
                }
                lease.subject = Subject::Digest(Arc::new(d));
            }
        }
        self.shared
            .leased
            .lock()
            .unwrap()
            .extend(leases.iter().cloned());
        Ok(leases)
    }
    async fn settle(&self, lease: &Lease, mut settlement: Settlement) -> Result<()> {
        match self.flaw {
            Flaw::ForgetsProgress => settlement.progress = None,
            Flaw::ForgetsNotices => settlement.notices.clear(),
            Flaw::IgnoresTheTimeLeftAlone => {
                if let Some(state) = &mut settlement.destination {
                    state.not_before = None;
                }
            }
            Flaw::EndsDigestsAlone
                if lease.subject.kind() == "digest" && settlement.verdict == Verdict::Done =>
            {
                settlement.verdict = Verdict::RetryAt(Timestamp::MAX);
            }
            _ => {}
        }
        match self.shared.inner.settle(lease, settlement).await {
            Err(_) if self.has(Flaw::AnswersLate) => Ok(()),
            done => done,
        }
    }
    async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()> {
        if self.has(Flaw::ForgetsCheckpoints) {
            return Ok(());
        }
        self.shared.inner.save_progress(lease, progress).await
    }
    async fn release(&self, lease: &Lease) -> Result<()> {
        if self.has(Flaw::ReleaseCounts) {
            let attempt =
                notifier_core::Attempt::new(lease.enqueued, notifier_core::Outcome::Retry);
            let verdict = Verdict::RetryAt(lease.enqueued);
            return self
                .shared
                .inner
                .settle(lease, Settlement::new(verdict, attempt))
                .await;
        }
        self.shared.inner.release(lease).await
    }
    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> {
        self.shared.inner.pending().await
    }
    async fn destinations(&self) -> Result<Vec<(Destination, DestinationState)>> {
        self.shared.inner.destinations().await
    }
    async fn fold(&self, request: FoldRequest) -> Result<Folded> {
        self.shared.inner.fold(request).await
    }
    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> {
        let mut filter = filter.clone();
        if self.has(Flaw::IgnoresLimits) {
            filter.limit = 0;
        }
        self.shared.inner.inspect(&filter).await
    }
    async fn story(&self, id: &DeliveryId) -> Result<Option<Story>> {
        let mut story = self.shared.inner.story(id).await?;
        if let Some(story) = &mut story
            && self.has(Flaw::ForgetsAttempts)
        {
            story
                .attempts
                .drain(..story.attempts.len().saturating_sub(1));
        }
        Ok(story)
    }
    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> {
        match self.shared.inner.replay(watcher, id, now).await {
            Err(_) if self.has(Flaw::ReplaysAnything) => Ok(id.clone()),
            done => done,
        }
    }
    async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Result<()> {
        let leased = self
            .shared
            .leased
            .lock()
            .unwrap()
            .iter()
            .find(|l| l.delivery.id == *id)
            .cloned();
        if let Some(lease) = leased
            && self.has(Flaw::DropsWhatIsLeased)
        {
            let _ = self.shared.inner.release(&lease).await;
        }
        self.shared.inner.discard(id, now).await
    }
    async fn silences(&self) -> Result<Vec<Silence>> {
        self.shared.inner.silences().await
    }
    async fn put_silence(&self, silence: Silence) -> Result<()> {
        if self.has(Flaw::ForgetsSilences) {
            return Ok(());
        }
        self.shared.inner.put_silence(silence).await
    }
    async fn stats(&self) -> Result<OutboxStats> {
        let mut stats = self.shared.inner.stats().await?;
        stats.capacity = self.capacity as u64;
        if self.has(Flaw::MiscountsDone) {
            stats.done = stats.done.min(1);
        }
        Ok(stats)
    }
    fn changes(&self) -> watch::Receiver<u64> {
        if self.has(Flaw::NoCounter) {
            return watch::Sender::new(0).subscribe();
        }
        self.shared.inner.changes()
    }
    fn is_durable(&self) -> bool {
        !self.has(Flaw::SaysItIsNotDurable)
    }
}

/// The outbox outlives its handle, as one on a disk does.
struct Kept {
    flaw: Flaw,
    capacity: usize,
    shared: Option<Arc<Shared>>,
}

#[async_trait]
impl OutboxHarness for Kept {
    async fn open(&mut self, capacity: usize) -> Arc<dyn Outbox> {
        let new = Arc::new(Flawed::new(self.flaw, capacity));
        self.capacity = capacity;
        self.shared = Some(Arc::clone(&new.shared));
        new
    }
    async fn crash(&mut self, outbox: Arc<dyn Outbox>) -> Option<Arc<dyn Outbox>> {
        assert_eq!(Arc::strong_count(&outbox), 1, "somebody has another handle");
        drop(outbox);
        if self.flaw == Flaw::ForgetsAllInACrash {
            return Some(self.open(self.capacity).await);
        }
        self.beside().await
    }
    async fn beside(&mut self) -> Option<Arc<dyn Outbox>> {
        let shared = Arc::clone(self.shared.as_ref()?);
        Some(Arc::new(Flawed::handle(self.flaw, self.capacity, shared)))
    }
    fn seen_for(&self) -> Duration {
        MemoryOutbox::SEEN_FOR
    }
}

fn kept(flaw: Flaw) -> Kept {
    Kept {
        flaw,
        capacity: 0,
        shared: None,
    }
}

struct InMemory;

#[async_trait]
impl OutboxHarness for InMemory {
    async fn open(&mut self, capacity: usize) -> Arc<dyn Outbox> {
        Arc::new(MemoryOutbox::with_capacity(capacity))
    }
    async fn crash(&mut self, _: Arc<dyn Outbox>) -> Option<Arc<dyn Outbox>> {
        None
    }
    async fn beside(&mut self) -> Option<Arc<dyn Outbox>> {
        None
    }
    fn seen_for(&self) -> Duration {
        MemoryOutbox::SEEN_FOR
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_in_memory_keeps_its_promises() {
    outbox(&mut InMemory).await.assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_outlives_its_handle_passes_completely() {
    let results = outbox(&mut kept(Flaw::None)).await;
    results.assert_complete();
    assert!(!results.to_string().contains("not promised"), "{results}");
}

/// Each flaw, and a case that finds it.
const FLAWS: [(Flaw, &str); 36] = [
    (Flaw::SaysItIsNotDurable, "it says whether it is durable"),
    (
        Flaw::KeepsCursorOfRefused,
        "a batch over the limit is refused, and nothing of it is kept",
    ),
    (
        Flaw::NeverFull,
        "a batch over the limit is refused, and nothing of it is kept",
    ),
    (
        Flaw::RefusesLarge,
        "a batch that is larger than all there is room for is taken by an empty outbox",
    ),
    (
        Flaw::RefusesNotices,
        "notices are not refused though it is full",
    ),
    (
        Flaw::ForgetsKeys,
        "a key is remembered while something is open for it",
    ),
    (
        Flaw::RemembersKeysForEver,
        "keys that nobody lists any more are forgotten",
    ),
    (
        Flaw::SkipsLogs,
        "nothing of a failure is leased before its logs are settled, once for all its deliveries",
    ),
    (
        Flaw::LeasesTwice,
        "of 64 that lease at once no two get the same",
    ),
    (
        Flaw::NewestFirst,
        "deliveries of one destination are leased in the order of enqueueing, at most as many as asked for",
    ),
    (
        Flaw::AnswersLate,
        "a lease that runs out counts as an attempt of unknown outcome, and its late answers change nothing",
    ),
    (
        Flaw::ReleaseCounts,
        "a lease that is given back is as if nothing had been",
    ),
    (
        Flaw::ClaimsNothing,
        "claim takes back at once what was leased, as attempts of unknown outcome",
    ),
    (
        Flaw::ForgetsProgress,
        "progress is kept until there is other progress",
    ),
    (
        Flaw::ForgetsCheckpoints,
        "progress outlives a crash, also in the middle of an attempt",
    ),
    (
        Flaw::ForgetsNotices,
        "what is told because of an attempt is kept with it, once",
    ),
    (
        Flaw::IgnoresRate,
        "no span of time has more leases than the rate allows",
    ),
    (
        Flaw::IgnoresTheTimeLeftAlone,
        "nothing is leased while the destination is left alone, and others are",
    ),
    (Flaw::ForgetsAttempts, "every attempt is kept as it was"),
    (
        Flaw::NeverHolds,
        "a crash loop is one message and a digest for each interval",
    ),
    (
        Flaw::CountsDigestsWrong,
        "a digest tells exactly what was held",
    ),
    (
        Flaw::NamesTooManyAgents,
        "a digest tells exactly what was held",
    ),
    (
        Flaw::EndsDigestsAlone,
        "what a digest tells ends as the digest does",
    ),
    (
        Flaw::SendsSilenced,
        "what is silenced is kept with the reason, and not sent",
    ),
    (
        Flaw::ForgetsSilences,
        "silences are kept as they are, the newest first, one for each id",
    ),
    (
        Flaw::ReplaysAnything,
        "what is not finished is not sent again",
    ),
    (
        Flaw::DropsWhatIsLeased,
        "what waits or is dead can be dropped, and nothing else",
    ),
    (
        Flaw::IgnoresLimits,
        "a filter shows what fits it, in order, and no more than asked for",
    ),
    (Flaw::MiscountsDone, "the counts are what a list shows"),
    (
        Flaw::NoCounter,
        "the counter moves when there may be something new to lease",
    ),
    (
        Flaw::ForgetsAllInACrash,
        "everything that was acknowledged outlives a crash",
    ),
    (Flaw::ForgetsRateInACrash, "the rate outlives a crash"),
    (
        Flaw::ReleasesInACrash,
        "what was leased at a crash may have arrived",
    ),
    (
        Flaw::AnyoneLeases,
        "only one process leases, and another one is told who does",
    ),
    (
        Flaw::KeepsHalfOfWhatIsDropped,
        "a call that is dropped has happened wholly or not at all",
    ),
    (
        Flaw::GivesTokensAgain,
        "of 64 that lease at once no two get the same",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_promise_is_found() {
    for (flaw, case) in FLAWS {
        let results = outbox_case(&mut kept(flaw), case).await;
        let names: Vec<&str> = results.cases().iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, [case], "for {flaw:?}");
        assert!(!results.is_ok(), "{flaw:?}: {results}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_calls_find_flaws_too() {
    const CALLS: &str = "2,000 random calls do what a plain model says";
    for flaw in [
        Flaw::ForgetsProgress,
        Flaw::EndsDigestsAlone,
        Flaw::AnswersLate,
        Flaw::NewestFirst,
        Flaw::IgnoresRate,
        Flaw::CountsDigestsWrong,
    ] {
        let results = outbox_case(&mut kept(flaw), CALLS).await;
        assert_eq!(results.failures().count(), 1, "{flaw:?}: {results}");
    }
}

/// A harness that cannot crash an outbox that says it is durable.
struct NoCrash(Kept);

#[async_trait]
impl OutboxHarness for NoCrash {
    async fn open(&mut self, capacity: usize) -> Arc<dyn Outbox> {
        self.0.open(capacity).await
    }
    async fn crash(&mut self, _: Arc<dyn Outbox>) -> Option<Arc<dyn Outbox>> {
        None
    }
    async fn beside(&mut self) -> Option<Arc<dyn Outbox>> {
        None
    }
    fn seen_for(&self) -> Duration {
        self.0.seen_for()
    }
}

#[tokio::test]
async fn what_could_not_be_tried_is_said() {
    let case = "the rate outlives a crash";
    let results = outbox_case(&mut NoCrash(kept(Flaw::None)), case).await;
    assert_eq!(results.skipped().collect::<Vec<_>>(), [case]);
    let results = outbox_case(&mut InMemory, case).await;
    assert!(results.to_string().contains("not promised"), "{results}");
}
