//! Reporters that break a promise do not pass the suite, and those that keep them do.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, Delivery, Destination, Error, ErrorKind, OptionGroup, OptionSpec,
    Origin, Receipt, Reconciled, Report, ReportOptions, Reporter, Result, Retry, Scope, Settings,
};
use notifier_testkit::conformance::{
    Harness, Results, Row, RowVerdict, Scenario, Setup, reporter, suite,
};

const GROUP: OptionGroup = OptionGroup::new("kept", &[OptionSpec::new("url", "where to")]);
const TOKEN: &str = "canary-token-1984";

/// The service's table of verdicts: each kind of row there is.
const ROWS: [(&str, RowVerdict); 7] = [
    ("taken", RowVerdict::Delivered),
    ("busy", RowVerdict::Retry { after: None }),
    (
        "busy for a while",
        RowVerdict::Retry {
            after: Some(Duration::from_secs(7)),
        },
    ),
    ("lost", RowVerdict::Ambiguous),
    ("refused", RowVerdict::Dead),
    ("closed", RowVerdict::DeadDestination),
    ("too long", RowVerdict::Shrink),
];

/// A service, as far as its messages and the tries of them.
#[derive(Debug, Default)]
struct Service {
    mode: Option<Scenario>,
    received: Vec<String>,
    attempts: usize,
}

type Shared = Arc<Mutex<Service>>;

/// What a reporter does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    SendsNothing,
    RetriesWhenUnavailable,
    RetriesWhenRefused,
    RetriesWhenCut,
    SendsThoughLimited,
    SwallowsHostile,
    DoublesHostile,
    SendsNul,
    TellsSecretOfHostile,
    BlocksOnce,
    BlocksWhenLimited,
    PanicsOnProgress,
    RefusesProgress,
    TwoTargets,
    TwoTargetsEachTime,
    ReadsTakenAsLost,
    ReadsBusyAsLost,
    ForgetsTheWait,
    ReadsLostAsBusy,
    ReadsRefusedAsBusy,
    ReadsClosedAsRefused,
    GivesUpWhatIsTooLong,
    ShrinksInSilence,
    ShrinksThrice,
    SendsThoughBusy,
    RetriesInARow,
}

#[derive(Debug)]
struct Kept(Flaw, Shared, AtomicBool);

impl Kept {
    /// One message to a service that answers as one row says.
    fn row(&self, verdict: RowVerdict, text: &str) -> Result<Receipt> {
        let flaw = self.0;
        let put = |taken: bool| {
            let mut s = self.1.lock().unwrap();
            s.attempts += 1;
            if taken {
                s.received.push(text.to_owned());
            }
        };
        put(match verdict {
            RowVerdict::Delivered | RowVerdict::Ambiguous => true,
            RowVerdict::Retry { .. } => flaw == Flaw::SendsThoughBusy,
            _ => false,
        });
        if flaw == Flaw::RetriesInARow {
            put(false);
        }
        let busy = Error::new(ErrorKind::Unavailable, "busy");
        let lost = Error::new(ErrorKind::Timeout, "lost");
        let refused = Error::new(ErrorKind::Rejected, "refused");
        Err(match verdict {
            RowVerdict::Delivered if flaw == Flaw::ReadsTakenAsLost => lost,
            RowVerdict::Delivered => return Ok(Receipt::delivered("x")),
            RowVerdict::Retry { .. } if flaw == Flaw::ReadsBusyAsLost => {
                busy.with_delivery(Delivery::Unknown)
            }
            RowVerdict::Retry { .. } if flaw == Flaw::ForgetsTheWait => busy,
            RowVerdict::Retry { after } => busy.with_retry(Retry::Later { after }),
            RowVerdict::Ambiguous if flaw == Flaw::ReadsLostAsBusy => busy,
            RowVerdict::Ambiguous => lost,
            RowVerdict::Dead if flaw == Flaw::ReadsRefusedAsBusy => busy,
            RowVerdict::DeadDestination if flaw != Flaw::ReadsClosedAsRefused => {
                refused.with_scope(Scope::Destination)
            }
            RowVerdict::Shrink if flaw != Flaw::GivesUpWhatIsTooLong => {
                if flaw == Flaw::ShrinksThrice {
                    put(false);
                }
                put(true);
                let receipt = Receipt::delivered("x");
                return Ok(match flaw {
                    Flaw::ShrinksInSilence => receipt,
                    _ => receipt.with_warning(Error::new(ErrorKind::TooLarge, "cut")),
                });
            }
            _ => refused,
        })
    }

    /// One try of one message.
    fn exchange(&self, text: &str) -> Result<()> {
        let mut s = self.1.lock().unwrap();
        s.attempts += 1;
        let e = |kind, what: &str| Err(Error::new(kind, what));
        match s.mode.unwrap_or(Scenario::Deliver) {
            Scenario::RateLimited { after } => {
                if self.0 == Flaw::SendsThoughLimited {
                    s.received.push(text.to_owned());
                }
                let e = Error::new(ErrorKind::RateLimited, "slow down");
                Err(match after {
                    Some(d) => e.with_retry_after(d),
                    None => e,
                })
            }
            Scenario::Unavailable => e(ErrorKind::Unavailable, "down"),
            Scenario::Refuse => e(ErrorKind::Rejected, "no"),
            Scenario::RefuseDestination => {
                Err(Error::new(ErrorKind::Rejected, "never").with_scope(Scope::Destination))
            }
            Scenario::CutAfterBody | Scenario::Hang => {
                s.received.push(text.to_owned());
                e(ErrorKind::Timeout, "no answer")
            }
            _ => {
                s.received.push(text.to_owned());
                Ok(())
            }
        }
    }

    fn times(&self) -> usize {
        match (self.0, self.1.lock().unwrap().mode) {
            (Flaw::RetriesWhenUnavailable, Some(Scenario::Unavailable))
            | (Flaw::RetriesWhenRefused, Some(Scenario::Refuse))
            | (Flaw::RetriesWhenCut, Some(Scenario::CutAfterBody)) => 5,
            _ => 1,
        }
    }

    fn is_limited(&self) -> bool {
        matches!(
            self.1.lock().unwrap().mode,
            Some(Scenario::RateLimited { .. })
        )
    }
}

#[async_trait]
impl Reporter for Kept {
    fn scheme(&self) -> &'static str {
        "kept"
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, _: &Settings) -> Result<Option<Destination>> {
        Ok(Some(Destination::new("kept", ["x"], "x")))
    }
    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let mut text = report.summary();
        let mode = self.1.lock().unwrap().mode;
        if let Some(Scenario::Row(n)) = mode {
            return self.row(ROWS[n].1, &text);
        }
        let hostile = report.subject().failure().is_some_and(|f| f.name != "web");
        match self.0 {
            Flaw::SendsNothing => return Ok(Receipt::delivered("x")),
            Flaw::SwallowsHostile if hostile => return Ok(Receipt::delivered("x")),
            Flaw::DoublesHostile if hostile => self.exchange(&text)?,
            Flaw::SendsNul if hostile => {
                text = report.subject().failure().unwrap().name.clone();
            }
            Flaw::TellsSecretOfHostile if hostile => text.push_str(TOKEN),
            Flaw::BlocksOnce if !self.2.swap(true, Ordering::Relaxed) => {
                std::thread::sleep(Duration::from_millis(300));
            }
            Flaw::BlocksWhenLimited if self.is_limited() => {
                std::thread::sleep(Duration::from_millis(300));
            }
            Flaw::PanicsOnProgress => assert_eq!(opts.progress, None),
            Flaw::RefusesProgress if opts.progress.is_some() => {
                return Err(Error::new(ErrorKind::Rejected, "what is this"));
            }
            Flaw::TwoTargets | Flaw::TwoTargetsEachTime => {
                let done = opts.progress.is_some() && self.0 == Flaw::TwoTargets;
                if !done {
                    self.exchange(&text)?;
                    self.1.lock().unwrap().received.push(text);
                }
                return Ok(Receipt::delivered("a")
                    .and("b", Ok(notifier_core::Delivered::default()))
                    .with_progress(serde_json::json!({ "done": ["a", "b"] })));
            }
            _ => {}
        }
        let mut answer = Ok(());
        for _ in 0..self.times() {
            answer = self.exchange(&text);
        }
        answer.map(|()| Receipt::delivered("x").with_progress(serde_json::json!({ "done": true })))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}

fn kept(flaw: Flaw) -> Kept {
    Kept(flaw, Shared::default(), AtomicBool::new(false))
}

fn settings() -> Settings {
    let mut s = BackendSettings::new(GROUP);
    s.set(Origin::Flag, "url", "x").unwrap();
    s.instance("default")
}

struct Rig(Flaw, Shared);

#[async_trait]
impl Harness for Rig {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::new(Kept(self.0, Arc::clone(&self.1), AtomicBool::new(false)))
    }
    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        *self.1.lock().unwrap() = Service {
            mode: Some(scenario),
            ..Service::default()
        };
        let (seen, tried) = (Arc::clone(&self.1), Arc::clone(&self.1));
        Some(
            Setup::new(settings())
                .with_received(move || seen.lock().unwrap().received.clone())
                .with_attempts(move || tried.lock().unwrap().attempts),
        )
    }
    fn rows(&self) -> Vec<Row> {
        ROWS.map(|(answer, verdict)| Row::new(answer, verdict))
            .into()
    }
    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
}

async fn judged(flaw: Flaw) -> Results {
    suite(&Rig(flaw, Shared::default())).await
}

#[tokio::test]
async fn a_reporter_that_keeps_its_promises_passes_completely() {
    judged(Flaw::None).await.assert_complete();
    judged(Flaw::TwoTargets).await.assert();
    // The machine's fault and not the reporter's.
    judged(Flaw::BlocksOnce).await.assert();
}

#[tokio::test]
async fn each_broken_promise_is_found() {
    const TRIED: &str = "no report is tried more than once";
    const PROGRESS: &str =
        "a second attempt takes the first one's progress, and sends nothing again";
    for (flaw, case) in [
        (Flaw::SendsNothing, "the message arrives"),
        (Flaw::RetriesWhenUnavailable, TRIED),
        (Flaw::RetriesWhenRefused, TRIED),
        (
            Flaw::RetriesWhenCut,
            "cut off without an answer, it says that it may have arrived",
        ),
        (
            Flaw::SendsThoughLimited,
            "told to slow down without a time, it says retry later",
        ),
        (
            Flaw::SwallowsHostile,
            "a hostile failure is delivered: emoji",
        ),
        (
            Flaw::DoublesHostile,
            "a hostile failure is delivered: emoji",
        ),
        (Flaw::SendsNul, "a hostile failure is delivered: NUL"),
        (
            Flaw::TellsSecretOfHostile,
            "a hostile failure is delivered: markup",
        ),
        (Flaw::BlocksWhenLimited, "no report holds up its thread"),
        (Flaw::PanicsOnProgress, PROGRESS),
        (Flaw::RefusesProgress, PROGRESS),
        (Flaw::TwoTargetsEachTime, PROGRESS),
        (Flaw::ReadsTakenAsLost, "taken: Delivered"),
        (Flaw::ReadsBusyAsLost, "busy: Retry { after: None }"),
        (
            Flaw::ForgetsTheWait,
            "busy for a while: Retry { after: Some(7s) }",
        ),
        (Flaw::ReadsLostAsBusy, "lost: Ambiguous"),
        (Flaw::ReadsRefusedAsBusy, "refused: Dead"),
        (Flaw::ReadsClosedAsRefused, "closed: DeadDestination"),
        (Flaw::GivesUpWhatIsTooLong, "too long: Shrink"),
        (Flaw::ShrinksInSilence, "too long: Shrink"),
        (Flaw::ShrinksThrice, "too long: Shrink"),
        (Flaw::SendsThoughBusy, "busy: Retry { after: None }"),
        (Flaw::RetriesInARow, "refused: Dead"),
    ] {
        let results = judged(flaw).await;
        let found: Vec<&str> = results.failures().map(|c| c.name.as_str()).collect();
        assert!(found.contains(&case), "{flaw:?}: {results}");
    }
}

#[tokio::test]
async fn the_short_form_says_that_it_does_not_know_what_arrived() {
    let results = reporter(kept(Flaw::SendsNothing), &settings()).await;
    results.assert();
    let skipped: Vec<&str> = results.skipped().collect();
    assert!(skipped.contains(&"the message arrives"), "{results}");
    assert!(
        results
            .to_string()
            .contains("skip  the message arrives: the harness cannot say what arrived"),
        "{results}"
    );
}

/// A harness that has rows, and cannot make the service answer as they say.
struct Promises(Rig);

#[async_trait]
impl Harness for Promises {
    fn reporter(&self) -> Arc<dyn Reporter> {
        self.0.reporter()
    }
    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        match scenario {
            Scenario::Row(_) => None,
            _ => self.0.prepare(scenario).await,
        }
    }
    fn rows(&self) -> Vec<Row> {
        self.0.rows()
    }
    fn secrets(&self) -> Vec<String> {
        self.0.secrets()
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_made_is_no_row() {
    let results = suite(&Promises(Rig(Flaw::None, Shared::default()))).await;
    assert_eq!(results.failures().count(), ROWS.len(), "{results}");
}

#[tokio::test]
#[should_panic(expected = "cases were skipped")]
async fn what_was_skipped_is_not_complete() {
    reporter(kept(Flaw::None), &settings())
        .await
        .assert_complete();
}
