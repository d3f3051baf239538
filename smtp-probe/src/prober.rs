//! From a target to a report.

use std::sync::Arc;

use notifier_core::{Clock, SystemClock};
use tokio::time::Instant;

use crate::{
    canary, dns, main_cf, open_relay,
    past::Past,
    queue,
    report::{Check, Phase, Report, milliseconds},
    secrets, session,
    target::{Level, Target},
};

/// Checks one target, as often as it is asked to.
///
/// ```
/// use smtp_probe::{Prober, State, Target};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> notifier_core::Result<()> {
/// // Nobody listens there.
/// let mut prober = Prober::new(Target::parse("127.0.0.1:1")?);
/// let report = prober.run().await;
/// assert_eq!(report.overall, State::Crit);
/// let check = report.decisive().unwrap();
/// assert_eq!((check.id, check.phase.word()), ("connect", "connect"));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Prober {
    target: Target,
    clock: Arc<dyn Clock>,
    past: Past,
}

impl Prober {
    /// One without a past, by the machine's clock.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            clock: Arc::new(SystemClock),
            past: Past::default(),
        }
    }

    /// Uses another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts with what an earlier run left.
    #[must_use]
    pub fn with_past(mut self, past: Past) -> Self {
        self.past = past;
        self
    }

    /// What to check.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What is left for the next run.
    #[must_use]
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// Checks. It ends in bounded time, whatever the server does, and never fails: what could
    /// not be found out is a check too.
    pub async fn run(&mut self) -> Report {
        let target = &secrets::read(&self.target).await;
        let clock = self.clock.as_ref();
        let started = clock.now();
        let begun = Instant::now();
        let seen = session::run(target, clock).await;
        let mut checks = seen.checks;
        if target.open_relay.is_some() && target.level > Level::Live && !target.is_local() {
            match seen.is_through {
                true => checks.extend(open_relay::run(target, clock).await),
                false => checks.push(Check::skip(
                    "open_relay",
                    Phase::Rcpt,
                    "the server takes no commands",
                )),
            }
        }
        if let (Level::Live, Some(queue)) = (target.level, &target.queue) {
            checks.push(queue::alive(target, queue).await);
        }
        if target.level > Level::Live {
            if !target.is_local() {
                checks.extend(canary::run(target, clock, &mut self.past).await);
            }
            checks.extend(queue::run(target, clock, &mut self.past).await);
            checks.extend(main_cf::run(target).await);
        }
        if target.dns.wanted || target.level == Level::Deep {
            let relay = dns::Relay::seen(seen.banner.as_ref(), &checks);
            checks.extend(dns::run(target, relay).await);
        }
        secrets::mask(target, &mut checks);
        let mut report = Report::new(target.name.clone(), started, checks);
        report.timings = seen.timings;
        report
            .timings
            .insert("total".to_owned(), milliseconds(begun.elapsed()));
        report
    }
}
