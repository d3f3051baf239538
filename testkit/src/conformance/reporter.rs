//! The suite for [`Reporter`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::{
    DeliveryId, Digest, Error, ErrorKind, FailureRecord, Links, Next, Notice, Receipt, Reconciled,
    Report, ReportOptions, Reporter, Scope, Settings, Subject, jiff::Timestamp,
};
use tokio::{task::JoinError, time::timeout};

use super::{
    Harness, Outcome, Results, Scenario, Setup,
    hostile::{LABEL_SECRET, hostile_failures},
};

/// The longest that one report may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The wait that [`Scenario::RateLimited`] is prepared with.
const AFTER: Duration = Duration::from_secs(17);
/// Reports under way at once.
const CROWD: usize = 8;

/// Checks a reporter that delivers with these settings, without making anything fail.
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
}

type Verdict = Result<(), String>;

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
        self.forwarding().await;
        self.faults().await;
        self.twice().await;
        self.reconciles().await;
        self.hostile().await;
        self.subjects().await;
        self.dropped().await;
        let v = self.crowd().await;
        self.results
            .judge("reports at the same time are each delivered once", v);
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
        &self,
        setup: &Setup,
        report: &Report,
        id: &DeliveryId,
        attempt: u32,
    ) -> Result<Receipt, String> {
        let receipt = send_by(&self.reporter, setup, report, id, attempt).await?;
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
        let receipt = self.send(&setup, &report, &id, 1).await?;
        is_done(&receipt)?;
        if receipt.targets.is_empty() {
            return Err("the receipt names no target".to_owned());
        }
        if let Some(messages) = setup.received() {
            if messages.len() != 1 {
                return Err(format!("{} messages arrived", messages.len()));
            }
            self.no_secret("the message", &messages[0])?;
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
            is_done(&send_by(&wrapped, &setup, &report, &id, 1).await?)
        }
        .await;
        self.results
            .judge("behind Arc and Box it behaves the same", v);
    }

    async fn faults(&mut self) {
        let scenarios = [
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
        for (name, scenario) in scenarios {
            let Some(setup) = self.harness.prepare(scenario).await else {
                self.results.add(
                    name,
                    Outcome::Skipped("the harness cannot prepare it".to_owned()),
                );
                continue;
            };
            let (report, id) = self.next_report();
            let v = match self.send(&setup, &report, &id, 1).await {
                Ok(receipt) => fits(scenario, &receipt),
                Err(e) => Err(e),
            };
            self.results.judge(name, v);
            let (report, id) = self.next_report();
            let v = match self.fresh().await {
                Ok(setup) => self
                    .send(&setup, &report, &id, 1)
                    .await
                    .and_then(|r| is_done(&r)),
                Err(e) => Err(e),
            };
            self.results
                .judge(format!("{name}; then the next report is delivered"), v);
        }
    }

    async fn twice(&mut self) {
        const NAME: &str = "a second attempt with the same id makes no second message";
        if !self.reporter.capability().idempotent {
            self.results
                .add(NAME, Outcome::Skipped("it does not claim that".to_owned()));
            return;
        }
        let (report, id) = self.next_report();
        let v = async {
            let setup = self.fresh().await?;
            for attempt in 1..=2 {
                is_done(&self.send(&setup, &report, &id, attempt).await?)?;
            }
            match setup.received() {
                Some(m) if m.len() != 1 => Err(format!("{} messages arrived", m.len())),
                _ => Ok(()),
            }
        }
        .await;
        self.results.judge(NAME, v);
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
            is_done(&self.send(&setup, &sent, &sent_id, 1).await?)?;
            for (report, id, arrived) in [(&sent, &sent_id, true), (&unsent, &unsent_id, false)] {
                let opts = ReportOptions::new(id, &setup.settings).after(2, None);
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
            let v = match self.fresh().await {
                Ok(setup) => self
                    .send(&setup, &report, &id, 1)
                    .await
                    .and_then(|r| is_done(&r)),
                Err(e) => Err(e),
            };
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
                Subject::Digest(Arc::new(Digest::new("web failed", 17, example))),
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
            let v = match self.fresh().await {
                Ok(setup) => self.send(&setup, &report, &id, 1).await.and_then(|r| {
                    is_done(&r)?;
                    match setup.received() {
                        Some(m) if m.len() != 1 => Err(format!("{} messages arrived", m.len())),
                        _ => Ok(()),
                    }
                }),
                Err(e) => Err(e),
            };
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
                is_done(&self.send(&setup, &report, &id, 1).await?)?;
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
                tokio::spawn(async move { send_by(&r, &setup, &report, &id, 1).await })
            })
            .collect();
        for t in tasks {
            is_done(&done(timeout(2 * LIMIT, t).await)??)?;
        }
        match setup.received() {
            Some(m) if m.len() != CROWD => Err(format!("{} of {CROWD} messages arrived", m.len())),
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

/// Sends in a task of its own, so that a panic is a failed case.
async fn send_by(
    reporter: &Arc<dyn Reporter>,
    setup: &Setup,
    report: &Report,
    id: &DeliveryId,
    attempt: u32,
) -> Result<Receipt, String> {
    let reporter = Arc::clone(reporter);
    let (settings, report, id) = (setup.settings.clone(), report.clone(), id.clone());
    let task = tokio::spawn(async move {
        let opts = ReportOptions::new(&id, &settings).after(attempt, None);
        reporter.report(&report, &opts).await
    });
    let result = done(timeout(LIMIT, task).await)?;
    Ok(result.unwrap_or_else(|e| Receipt::default().and("all", Err(e))))
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

fn is_done(receipt: &Receipt) -> Verdict {
    match receipt.next() {
        Next::Done => Ok(()),
        next => Err(format!(
            "{next:?}: {}",
            receipt
                .error()
                .map(|e| e.report().to_string())
                .unwrap_or_default()
        )),
    }
}

fn fits(scenario: Scenario, receipt: &Receipt) -> Verdict {
    let next = receipt.next();
    let error = receipt.error();
    let kind = error.map(Error::kind);
    let scope = error.map(Error::scope);
    let ok = match scenario {
        Scenario::Deliver => next == Next::Done,
        Scenario::RateLimited { after } => {
            matches!(next, Next::Retry { after: said, unknown: false } if after.is_none() || said == after)
                && kind == Some(ErrorKind::RateLimited)
        }
        Scenario::Unavailable => matches!(next, Next::Retry { unknown: false, .. }),
        Scenario::Refuse => next == Next::Dead,
        Scenario::RefuseDestination => next == Next::Dead && scope == Some(Scope::Destination),
        Scenario::CutAfterBody | Scenario::Hang => {
            matches!(next, Next::Retry { unknown: true, .. })
        }
    };
    if ok {
        Ok(())
    } else {
        Err(format!("it says {next:?}, {error:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::atomic::{AtomicU32, Ordering},
    };

    use notifier_core::{
        BackendSettings, Capability, Destination, OptionGroup, OptionSpec, Origin,
        Result as CoreResult,
    };

    use super::*;

    const GROUP: OptionGroup =
        OptionGroup::new("flawed", &[OptionSpec::new("token", "a secret").secret()]);
    const TOKEN: &str = "canary-token-1984";

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Flaw {
        None,
        Scheme,
        ShowsSecret,
        SecretInError,
        MovingDestination,
        PanicsOnNul,
        RefusesLong,
        RefusesNotices,
        GuessesReconcile,
        AlwaysLater,
        Hangs,
        CheckFails,
    }

    struct Flawed(Flaw, AtomicU32);

    impl fmt::Debug for Flawed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if self.0 == Flaw::ShowsSecret {
                TOKEN
            } else {
                "Flawed"
            })
        }
    }

    #[async_trait]
    impl Reporter for Flawed {
        fn scheme(&self) -> &'static str {
            if self.0 == Flaw::Scheme {
                "My Pager"
            } else {
                "flawed"
            }
        }
        fn capability(&self) -> Capability {
            Capability::default()
        }
        fn destination(&self, _: &Settings) -> CoreResult<Option<Destination>> {
            let n = self.1.fetch_add(1, Ordering::SeqCst).to_string();
            let part = if self.0 == Flaw::MovingDestination {
                n.as_str()
            } else {
                "x"
            };
            Ok(Some(Destination::new("flawed", [part], "x")))
        }
        async fn report(&self, r: &Report, _: &ReportOptions<'_>) -> CoreResult<Receipt> {
            let text = r.subject().failure().map_or("", |f| f.name.as_str());
            match self.0 {
                Flaw::PanicsOnNul => assert!(!text.contains('\0')),
                Flaw::RefusesLong if text.len() > 5000 => {
                    return Err(Error::new(ErrorKind::TooLarge, "too long"));
                }
                Flaw::RefusesNotices if r.subject().failure().is_none() => {
                    return Err(Error::new(ErrorKind::Rejected, "what is this"));
                }
                Flaw::AlwaysLater => return Err(Error::new(ErrorKind::Timeout, "later")),
                Flaw::Hangs => std::future::pending().await,
                Flaw::SecretInError => {
                    let warning = Error::new(ErrorKind::Io, format!("token {TOKEN}"));
                    return Ok(Receipt::delivered("x").with_warning(warning));
                }
                _ => {}
            }
            Ok(Receipt::delivered("x"))
        }
        async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> CoreResult<Reconciled> {
            Ok(match self.0 {
                Flaw::GuessesReconcile => Reconciled::NotDelivered,
                _ => Reconciled::CannotTell,
            })
        }
        async fn check(&self, _: &Settings) -> CoreResult<()> {
            match self.0 {
                Flaw::CheckFails => Err(Error::config("no")),
                _ => Ok(()),
            }
        }
    }

    struct Only(Arc<dyn Reporter>);

    #[async_trait]
    impl Harness for Only {
        fn reporter(&self) -> Arc<dyn Reporter> {
            Arc::clone(&self.0)
        }
        async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
            let mut s = BackendSettings::new(GROUP);
            s.set(Origin::Flag, "token", TOKEN).unwrap();
            (scenario == Scenario::Deliver).then(|| Setup::new(s.instance("default")))
        }
        fn secrets(&self) -> Vec<String> {
            vec![TOKEN.to_owned()]
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_flaw_is_found_where_it_is() {
        for (flaw, case) in [
            (Flaw::None, None),
            (Flaw::Scheme, Some("the scheme is one lower-case word")),
            (Flaw::ShowsSecret, Some("Debug shows no secret")),
            (Flaw::SecretInError, Some("a report is delivered once")),
            (
                Flaw::MovingDestination,
                Some("the destination is stable and shows no secret"),
            ),
            (
                Flaw::PanicsOnNul,
                Some("a hostile failure is delivered: NUL"),
            ),
            (
                Flaw::RefusesLong,
                Some("a hostile failure is delivered: 100 kB"),
            ),
            (Flaw::RefusesNotices, Some("a recovery is delivered")),
            (
                Flaw::GuessesReconcile,
                Some("asked what it cannot know, it says so"),
            ),
            (Flaw::AlwaysLater, Some("a report is delivered once")),
            (Flaw::Hangs, Some("a report is delivered once")),
            (Flaw::CheckFails, Some("the check passes and sends nothing")),
        ] {
            let results = suite(&Only(Arc::new(Flawed(flaw, AtomicU32::new(0))))).await;
            let found: Vec<&str> = results.failures().map(|c| c.name.as_str()).collect();
            match case {
                None => assert!(found.is_empty(), "{results}"),
                Some(case) => assert!(found.contains(&case), "{flaw:?}: {results}"),
            }
        }
    }
}
