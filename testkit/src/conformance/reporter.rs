//! The suite for [`Reporter`].

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use notifier_core::{
    Checkpoint, DeliveryId, Digest, FailureRecord, Links, Notice, Receipt, Reconciled, Report,
    ReportOptions, Reporter, Settings, Subject, jiff::Timestamp,
};
use tokio::{task::JoinError, time::timeout};

use super::{
    Harness, Outcome, Results, RowVerdict, Scenario, Setup,
    hostile::{LABEL_SECRET, hostile_failures},
    verdict::{Verdict, fits, fits_row, is_done, took, took_row},
};

/// The longest that one report may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The wait that [`Scenario::RateLimited`] is prepared with.
const AFTER: Duration = Duration::from_secs(17);
/// Reports under way at once.
const CROWD: usize = 8;
/// The longest that a report may hold up its thread. Far more than any work on a message
/// takes, and far less than any wait: slow machines are not to fail it.
const STALL: Duration = Duration::from_millis(250);
/// A report with a name and labels of more bytes than this is big,
const BIG: usize = 4096;
/// and may hold it up for longer.
const HOSTILE_STALL: Duration = Duration::from_secs(2);
/// How often what held up its thread is looked at again: a machine may be held up too.
const SECOND_LOOKS: usize = 3;
/// What it is to send a report into each scenario that is not a delivery.
const FAULTS: [(&str, Scenario); 7] = [
    (
        "told to slow down, it says retry later, after the time asked for",
        Scenario::RateLimited { after: Some(AFTER) },
    ),
    (
        "told to slow down without a time, it says retry later",
        Scenario::RateLimited { after: None },
    ),
    (
        "not available, it says retry later and not delivered",
        Scenario::Unavailable,
    ),
    ("refused, it says never", Scenario::Refuse),
    (
        "refused as a destination, it says never, and for all of it",
        Scenario::RefuseDestination,
    ),
    (
        "cut off without an answer, it says that it may have arrived",
        Scenario::CutAfterBody,
    ),
    (
        "without an answer in time, it says that it may have arrived",
        Scenario::Hang,
    ),
];

/// Checks a reporter that delivers with these settings, without making anything fail.
///
/// Only its answers are seen: "the message arrives" and all that needs a fault count as
/// skipped. A reporter that says it delivered and sends nothing passes; what arrived is
/// known to a [`Harness`] with [`Setup::with_received`].
///
/// Must run inside a tokio runtime. Every report is sent for real.
pub async fn reporter(reporter: impl Reporter, settings: &Settings) -> Results {
    struct Plain(Arc<dyn Reporter>, Settings);

    #[async_trait]
    impl Harness for Plain {
        fn reporter(&self) -> Arc<dyn Reporter> {
            Arc::clone(&self.0)
        }
        async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
            (scenario == Scenario::Deliver).then(|| Setup::new(self.1.clone()))
        }
        fn secrets(&self) -> Vec<String> {
            Vec::new()
        }
    }

    suite(&Plain(Arc::new(reporter), settings.clone())).await
}

/// Checks a reporter in every [`Scenario`] that its harness can make.
///
/// Must run inside a tokio runtime. Cases are chosen by [`Reporter::capability`].
pub async fn suite(harness: &dyn Harness) -> Results {
    let mut s = Suite {
        harness,
        reporter: harness.reporter(),
        secrets: harness.secrets(),
        results: Results::default(),
        serial: 0,
        stalls: Vec::new(),
        tries: None,
    };
    s.secrets.retain(|x| !x.is_empty());
    s.secrets.push(LABEL_SECRET.to_owned());
    s.run().await;
    s.results
}

struct Suite<'a> {
    harness: &'a dyn Harness,
    reporter: Arc<dyn Reporter>,
    secrets: Vec<String>,
    results: Results,
    serial: u32,
    /// Reports that held up their thread, to be looked at again.
    stalls: Vec<(Scenario, Report, Duration)>,
    /// Where a report was tried other than once, if any harness could count.
    tries: Option<Vec<String>>,
}

impl Suite<'_> {
    async fn run(&mut self) {
        self.statics();
        let Some(setup) = self.harness.prepare(Scenario::Deliver).await else {
            self.results
                .judge("delivers", Err("the harness cannot prepare it".to_owned()));
            return;
        };
        self.destination(&setup.settings);
        let v = self.check(&setup).await;
        self.results.judge("the check passes and sends nothing", v);
        let v = self.delivers().await;
        self.results.judge("a report is delivered once", v);
        self.arrives().await;
        self.forwarding().await;
        self.faults().await;
        self.rows().await;
        self.twice().await;
        self.progress().await;
        self.reconciles().await;
        self.hostile().await;
        self.subjects().await;
        self.dropped().await;
        let v = self.crowd().await;
        self.results
            .judge("reports at the same time are each delivered once", v);
        self.tries();
        let v = self.stalls().await;
        self.results.judge("no report holds up its thread", v);
    }

    fn statics(&mut self) {
        let r = &self.reporter;
        let scheme = r.scheme();
        let word = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        self.results.judge(
            "the scheme is one lower-case word",
            if word && scheme == r.scheme() {
                Ok(())
            } else {
                Err(format!("{scheme:?}"))
            },
        );
        let c = r.capability();
        self.results.judge(
            "the capability is the same each time, with a concurrency of at least 1",
            if c.concurrency >= 1 && c == r.capability() {
                Ok(())
            } else {
                Err(format!("{c:?}"))
            },
        );
        let shown = format!("{r:?}");
        let v = self.no_secret("Debug", &shown);
        self.results.judge("Debug shows no secret", v);
    }

    fn destination(&mut self, settings: &Settings) {
        let v = match (
            self.reporter.destination(settings),
            self.reporter.destination(settings),
        ) {
            (Ok(Some(a)), Ok(Some(b))) if a == b => self.no_secret("the destination", a.as_str()),
            (Ok(None), _) => {
                Err("the settings are complete, but it says it is not configured".to_owned())
            }
            (a, b) => Err(format!("{a:?}, then {b:?}")),
        };
        self.results
            .judge("the destination is stable and shows no secret", v);
    }

    async fn check(&self, setup: &Setup) -> Verdict {
        let r = Arc::clone(&self.reporter);
        let settings = setup.settings.clone();
        done(timeout(LIMIT, tokio::spawn(async move { r.check(&settings).await })).await)?
            .map_err(|e| e.report().to_string())?;
        match setup.received() {
            Some(m) if !m.is_empty() => Err(format!("it sent {} messages", m.len())),
            _ => Ok(()),
        }
    }

    /// A report like no other one of this run.
    fn next_report(&mut self) -> (Report, DeliveryId) {
        self.serial += 1;
        let mut f = FailureRecord::new(
            format!("web.{}", self.serial),
            "web",
            "TASK_FAILED",
            Timestamp::UNIX_EPOCH,
        );
        f.labels
            .insert("db_password".to_owned(), LABEL_SECRET.to_owned());
        let f = f.with_default_key();
        let id = self.id(&f);
        let links = Links::new("http://agent.example/stdout", "http://agent.example/stderr");
        (Report::failure(f).with_links(links), id)
    }

    fn id(&self, f: &FailureRecord) -> DeliveryId {
        DeliveryId::derive(
            "conformance",
            &f.key,
            self.reporter.scheme(),
            "default",
            self.serial,
        )
    }

    /// Sends one report and looks at what no answer may ever do.
    async fn send(
        &mut self,
        scenario: Scenario,
        setup: &Setup,
        report: &Report,
        id: &DeliveryId,
    ) -> Result<Receipt, String> {
        let receipt = self.attempt(scenario, setup, report, id, 1, None).await?;
        if let Some(n) = setup.attempts() {
            let wrong = self.tries.get_or_insert_default();
            if n != 1 {
                wrong.push(format!("{scenario:?}: {n} attempts"));
            }
        }
        Ok(receipt)
    }

    async fn deliver(
        &mut self,
        setup: &Setup,
        report: &Report,
        id: &DeliveryId,
    ) -> Result<Receipt, String> {
        let receipt = self.send(Scenario::Deliver, setup, report, id).await?;
        is_done(&receipt)?;
        Ok(receipt)
    }

    async fn attempt(
        &mut self,
        scenario: Scenario,
        setup: &Setup,
        report: &Report,
        id: &DeliveryId,
        attempt: u32,
        progress: Option<serde_json::Value>,
    ) -> Result<Receipt, String> {
        let (result, stall) = send_by(&self.reporter, setup, report, id, attempt, progress).await;
        if stall > limit(report) {
            self.stalls.push((scenario, report.clone(), stall));
        }
        let receipt = result?;
        for t in &receipt.targets {
            self.no_secret("a target", &t.target)?;
        }
        let errors = receipt
            .targets
            .iter()
            .filter_map(|t| t.verdict.as_ref().err());
        for e in errors.chain(&receipt.warnings) {
            self.no_secret("an error", &format!("{e} {e:?} {}", e.report()))?;
            if e.to_string().is_empty() || e.to_string().contains('\n') {
                return Err(format!("an error's text is not one line: {e}"));
            }
        }
        Ok(receipt)
    }

    async fn delivers(&mut self) -> Verdict {
        let (report, id) = self.next_report();
        let setup = self.fresh().await?;
        let receipt = self.deliver(&setup, &report, &id).await?;
        if receipt.targets.is_empty() {
            return Err("the receipt names no target".to_owned());
        }
        self.arrived(&setup, &receipt)
    }

    async fn arrives(&mut self) {
        const NAME: &str = "the message arrives";
        let (report, id) = self.next_report();
        let v = async {
            let setup = self.fresh().await?;
            let receipt = self.deliver(&setup, &report, &id).await?;
            self.arrived(&setup, &receipt)?;
            Ok(setup.received().is_some())
        }
        .await;
        self.results.add(
            NAME,
            match v {
                Ok(true) => Outcome::Passed,
                Ok(false) => Outcome::Skipped(
                    "the harness cannot say what arrived; see Setup::with_received".to_owned(),
                ),
                Err(why) => Outcome::Failed(why),
            },
        );
    }

    /// Looks at what arrived of one report, where that is known: one message, or one for
    /// each target.
    fn arrived(&self, setup: &Setup, receipt: &Receipt) -> Verdict {
        let Some(messages) = setup.received() else {
            return Ok(());
        };
        if messages.len() != 1 && messages.len() != receipt.targets.len().max(1) {
            return Err(format!("{} messages arrived", messages.len()));
        }
        for m in &messages {
            self.no_secret("the message", m)?;
            if m.contains('\0') {
                return Err("the message has a NUL in it".to_owned());
            }
        }
        Ok(())
    }

    async fn fresh(&self) -> Result<Setup, String> {
        self.harness
            .prepare(Scenario::Deliver)
            .await
            .ok_or_else(|| "the harness cannot prepare another delivery".to_owned())
    }

    async fn forwarding(&mut self) {
        let original = Arc::clone(&self.reporter);
        let (report, id) = self.next_report();
        let boxed: Box<dyn Reporter> = Box::new(Arc::clone(&original));
        let wrapped: Arc<dyn Reporter> = Arc::new(boxed);
        let v = async {
            let setup = self.fresh().await?;
            let same = wrapped.scheme() == original.scheme()
                && wrapped.capability() == original.capability()
                && wrapped.destination(&setup.settings).ok()
                    == original.destination(&setup.settings).ok();
            if !same {
                return Err("the wrapped one describes itself differently".to_owned());
            }
            is_done(&send_by(&wrapped, &setup, &report, &id, 1, None).await.0?)
        }
        .await;
        self.results
            .judge("behind Arc and Box it behaves the same", v);
    }

    async fn faults(&mut self) {
        for (name, scenario) in FAULTS {
            let Some(setup) = self.harness.prepare(scenario).await else {
                self.results.add(
                    name,
                    Outcome::Skipped("the harness cannot prepare it".to_owned()),
                );
                continue;
            };
            let (report, id) = self.next_report();
            let v = match self.send(scenario, &setup, &report, &id).await {
                Ok(receipt) => fits(scenario, &receipt).and_then(|()| took(scenario, &setup)),
                Err(e) => Err(e),
            };
            self.results.judge(name, v);
            let (report, id) = self.next_report();
            let v = self.one(&report, &id).await;
            self.results
                .judge(format!("{name}; then the next report is delivered"), v);
        }
    }

    async fn rows(&mut self) {
        let rows = self.harness.rows();
        if rows.is_empty() {
            self.results.add(
                "the table of verdicts is kept",
                Outcome::Skipped("the harness has none; see Harness::rows".to_owned()),
            );
        }
        for (n, row) in rows.into_iter().enumerate() {
            let scenario = Scenario::Row(n);
            let name = format!("{}: {:?}", row.answer, row.verdict);
            let Some(setup) = self.harness.prepare(scenario).await else {
                let why = "the harness cannot prepare it".to_owned();
                self.results.judge(name, Err(why));
                continue;
            };
            let (report, id) = self.next_report();
            let v = match self.attempt(scenario, &setup, &report, &id, 1, None).await {
                Ok(receipt) => fits_row(row.verdict, &receipt)
                    .and_then(|()| took_row(row.verdict, &setup))
                    .and_then(|()| tried(row.verdict, &setup)),
                Err(e) => Err(e),
            };
            self.results.judge(name, v);
        }
    }

    async fn twice(&mut self) {
        const NAME: &str = "a second attempt with the same id makes no second message";
        if !self.reporter.capability().idempotent {
            self.results.add(NAME, Outcome::NotPromised);
            return;
        }
        let (report, id) = self.next_report();
        let v = async {
            let setup = self.fresh().await?;
            for attempt in 1..=2 {
                let receipt = self
                    .attempt(Scenario::Deliver, &setup, &report, &id, attempt, None)
                    .await?;
                is_done(&receipt)?;
            }
            match setup.received() {
                Some(m) if m.len() != 1 => Err(format!("{} messages arrived", m.len())),
                _ => Ok(()),
            }
        }
        .await;
        self.results.judge(NAME, v);
    }

    /// What an attempt got done is handed to the next one.
    async fn progress(&mut self) {
        let v = self.after_delivery().await;
        self.results.judge(
            "a second attempt takes the first one's progress, and sends nothing again",
            v,
        );
        const NAME: &str = "after a fault, a second attempt takes the first one's progress";
        let mut tried = false;
        let mut v = Ok(());
        for scenario in [
            Scenario::Unavailable,
            Scenario::RateLimited { after: None },
            Scenario::CutAfterBody,
        ] {
            let Some(setup) = self.harness.prepare(scenario).await else {
                continue;
            };
            tried = true;
            v = v.and(self.after_fault(scenario, &setup).await);
        }
        match tried {
            true => self.results.judge(NAME, v),
            false => self.results.add(
                NAME,
                Outcome::Skipped("the harness cannot prepare a fault".to_owned()),
            ),
        }
    }

    async fn after_delivery(&mut self) -> Verdict {
        let (report, id) = self.next_report();
        let setup = self.fresh().await?;
        let receipt = self.deliver(&setup, &report, &id).await?;
        let before = setup.received();
        let targets = receipt.targets.len();
        let second = self
            .attempt(Scenario::Deliver, &setup, &report, &id, 2, receipt.progress)
            .await?;
        is_done(&second)?;
        // With one target the engine makes no second attempt after a delivery; with several
        // it does, for the others.
        match (before, setup.received()) {
            (Some(a), Some(b)) if targets > 1 && a.len() != b.len() => Err(format!(
                "{} messages arrived, then {} more, at targets that had theirs",
                a.len(),
                b.len().saturating_sub(a.len())
            )),
            _ => Ok(()),
        }
    }

    async fn after_fault(&mut self, scenario: Scenario, setup: &Setup) -> Verdict {
        let (report, id) = self.next_report();
        let receipt = self.attempt(scenario, setup, &report, &id, 1, None).await?;
        let setup = self.fresh().await?;
        let second = self
            .attempt(Scenario::Deliver, &setup, &report, &id, 2, receipt.progress)
            .await?;
        is_done(&second)?;
        // What may have arrived at the first attempt may be held back at the second.
        if scenario == Scenario::CutAfterBody {
            return Ok(());
        }
        self.arrived(&setup, &second)
    }

    /// Sends one report where all is well, and looks at what arrived.
    async fn one(&mut self, report: &Report, id: &DeliveryId) -> Verdict {
        let setup = self.fresh().await?;
        let receipt = self.deliver(&setup, report, id).await?;
        self.arrived(&setup, &receipt)
    }

    fn tries(&mut self) {
        const NAME: &str = "no report is tried more than once";
        match self.tries.take() {
            None => self.results.add(
                NAME,
                Outcome::Skipped(
                    "the harness cannot count attempts; see Setup::with_attempts".to_owned(),
                ),
            ),
            Some(wrong) if wrong.is_empty() => self.results.add(NAME, Outcome::Passed),
            Some(wrong) => self.results.judge(NAME, Err(wrong.join(", "))),
        }
    }

    /// Looks again at reports that held up their thread: the machine may have been at fault.
    async fn stalls(&mut self) -> Verdict {
        for (scenario, report, mut stall) in std::mem::take(&mut self.stalls) {
            for _ in 0..SECOND_LOOKS {
                let Some(setup) = self.harness.prepare(scenario).await else {
                    break;
                };
                let (_, id) = self.next_report();
                let (_, again) = send_by(&self.reporter, &setup, &report, &id, 1, None).await;
                stall = stall.min(again);
            }
            if stall > limit(&report) {
                return Err(format!("for {stall:.0?} at a time, in {scenario:?}"));
            }
        }
        Ok(())
    }

    async fn reconciles(&mut self) {
        let (sent, sent_id) = self.next_report();
        let (unsent, unsent_id) = self.next_report();
        let can = self.reporter.capability().reconcile;
        let name = if can {
            "it can tell what arrived from what did not"
        } else {
            "asked what it cannot know, it says so"
        };
        let v = async {
            let setup = self.fresh().await?;
            let progress = self.deliver(&setup, &sent, &sent_id).await?.progress;
            for (report, id, arrived) in [(&sent, &sent_id, true), (&unsent, &unsent_id, false)] {
                let progress = progress.as_ref().filter(|_| arrived);
                let opts = ReportOptions::new(id, &setup.settings).after(2, progress);
                let answer = timeout(LIMIT, self.reporter.reconcile(report, &opts))
                    .await
                    .map_err(|_| "no answer in time".to_owned())?
                    .map_err(|e| e.report().to_string())?;
                match (can, arrived, &answer) {
                    (true, true, Reconciled::Delivered(_))
                    | (true, false, Reconciled::NotDelivered)
                    | (false, _, Reconciled::CannotTell) => {}
                    _ => return Err(format!("arrived: {arrived}, answer: {answer:?}")),
                }
            }
            Ok(())
        }
        .await;
        self.results.judge(name, v);
    }

    async fn hostile(&mut self) {
        for (name, failure) in hostile_failures() {
            self.serial += 1;
            let id = self.id(&failure);
            let nasty = failure.id.clone();
            let report = Report::failure(failure)
                .with_links(Links::new("", "http://agent.example/a|b>c?d=\"e\"&f=g"))
                .with_config(move |_| nasty.clone());
            let v = self.one(&report, &id).await;
            self.results
                .judge(format!("a hostile failure is delivered: {name}"), v);
        }
    }

    async fn subjects(&mut self) {
        let example = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
        let notice = Notice::new(
            "slack:#ops:0123456789ab",
            "it answers 404",
            Timestamp::UNIX_EPOCH,
        );
        for (name, subject) in [
            (
                "a digest",
                Subject::Digest(Arc::new(Digest::new("1", "web failed", 17, example))),
            ),
            ("a notice", Subject::Notice(Arc::new(notice.clone()))),
            ("a recovery", Subject::Recovery(Arc::new(notice))),
        ] {
            self.serial += 1;
            let key = subject.key();
            let id = DeliveryId::derive(
                "conformance",
                &key,
                self.reporter.scheme(),
                "default",
                self.serial,
            );
            let report = Report::new(subject);
            let v = self.one(&report, &id).await;
            self.results.judge(format!("{name} is delivered"), v);
        }
    }

    /// The engine drops an attempt that takes too long, at any point.
    async fn dropped(&mut self) {
        const NAME: &str =
            "an attempt may be dropped at any point, and the next report is delivered";
        let v = async {
            for pause in [
                Duration::ZERO,
                Duration::from_micros(200),
                Duration::from_millis(50),
            ] {
                let setup = match self.harness.prepare(Scenario::Hang).await {
                    Some(setup) => setup,
                    None => self.fresh().await?,
                };
                let (report, id) = self.next_report();
                let r = Arc::clone(&self.reporter);
                let task = tokio::spawn(async move {
                    let opts = ReportOptions::new(&id, &setup.settings);
                    let _ = timeout(pause, r.report(&report, &opts)).await;
                });
                done(timeout(LIMIT, task).await)?;
                let (report, id) = self.next_report();
                let setup = self.fresh().await?;
                let _ = self.deliver(&setup, &report, &id).await?;
            }
            Ok(())
        }
        .await;
        self.results.judge(NAME, v);
    }

    async fn crowd(&mut self) -> Verdict {
        let setup = self.fresh().await?;
        let reports: Vec<_> = (0..CROWD).map(|_| self.next_report()).collect();
        let tasks: Vec<_> = reports
            .into_iter()
            .map(|(report, id)| {
                let (r, setup) = (Arc::clone(&self.reporter), setup.clone());
                tokio::spawn(async move { send_by(&r, &setup, &report, &id, 1, None).await.0 })
            })
            .collect();
        let mut targets = 0;
        for t in tasks {
            let receipt = done(timeout(2 * LIMIT, t).await)??;
            is_done(&receipt)?;
            targets += receipt.targets.len();
        }
        match setup.received() {
            Some(m) if m.len() != CROWD && m.len() != targets => {
                Err(format!("{} of {CROWD} messages arrived", m.len()))
            }
            _ => Ok(()),
        }
    }

    fn no_secret(&self, what: &str, text: &str) -> Verdict {
        match self.secrets.iter().any(|s| text.contains(s.as_str())) {
            true => Err(format!("{what} shows a secret")),
            false => Ok(()),
        }
    }
}

/// Sends in a task of its own, so that a panic is a failed case. Tells the longest time,
/// too, that it held up the thread.
async fn send_by(
    reporter: &Arc<dyn Reporter>,
    setup: &Setup,
    report: &Report,
    id: &DeliveryId,
    attempt: u32,
    progress: Option<serde_json::Value>,
) -> (Result<Receipt, String>, Duration) {
    let reporter = Arc::clone(reporter);
    let (settings, report, id) = (setup.settings.clone(), report.clone(), id.clone());
    let longest = Arc::new(AtomicU64::new(0));
    let stall = Arc::clone(&longest);
    let task = tokio::spawn(async move {
        let kept = Kept::default();
        let opts = ReportOptions::new(&id, &settings)
            .after(attempt, progress.as_ref())
            .with_checkpoint(&kept);
        let mut sending = reporter.report(&report, &opts);
        // Each poll is timed, which holds on a runtime of any number of threads.
        poll_fn(|cx| {
            let begin = Instant::now();
            let answer: Poll<_> = sending.as_mut().poll(cx);
            let took = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
            stall.fetch_max(took, Ordering::Relaxed);
            answer
        })
        .await
        .map(|mut receipt| {
            // What was kept in the middle stays, unless the answer says otherwise.
            receipt.progress = receipt.progress.or(kept.last());
            receipt
        })
    });
    let result = done(timeout(LIMIT, task).await)
        .map(|r| r.unwrap_or_else(|e| Receipt::default().and("all", Err(e))));
    (
        result,
        Duration::from_micros(longest.load(Ordering::Relaxed)),
    )
}

/// How often a report may be tried where a row's answer comes first.
fn tried(verdict: RowVerdict, setup: &Setup) -> Verdict {
    let most = if verdict == RowVerdict::Shrink { 2 } else { 1 };
    match setup.attempts() {
        Some(n) if n != most => Err(format!("{n} attempts")),
        _ => Ok(()),
    }
}

/// Keeps progress as the engine does.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<serde_json::Value>>);

impl Kept {
    fn last(&self) -> Option<serde_json::Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl Checkpoint for Kept {
    async fn save(&self, progress: serde_json::Value) -> notifier_core::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        Ok(())
    }
}

/// How long a report may hold up its thread: longer for one that is big.
fn limit(report: &Report) -> Duration {
    let size = report.subject().failure().map_or(0, |f| {
        f.name.len()
            + f.labels
                .iter()
                .map(|(k, v)| k.len() + v.len())
                .sum::<usize>()
    });
    if size > BIG { HOSTILE_STALL } else { STALL }
}

/// What a spawned task gave, with its panic or its taking too long as text.
fn done<T>(r: Result<Result<T, JoinError>, tokio::time::error::Elapsed>) -> Result<T, String> {
    match r {
        Ok(Ok(v)) => Ok(v),
        Ok(Err(e)) if e.is_panic() => Err("it panics".to_owned()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests;
