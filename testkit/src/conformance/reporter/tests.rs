//! Flawed reporters, each found by the case for its flaw.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use notifier_core::{
    BackendSettings, Capability, Destination, Error, ErrorKind, OptionGroup, OptionSpec, Origin,
    Result as CoreResult,
};

use super::*;
use crate::conformance::Row;

const GROUP: OptionGroup = OptionGroup::new(
    "flawed",
    &[
        OptionSpec::new("token", "a secret").secret(),
        OptionSpec::new("room", "where to"),
    ],
);
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
    RefusesRow,
}

struct Flawed(Flaw, AtomicU32);

/// The answer that the one row is about, and the room that gives it.
const STRANGE: &str = "a strange yes";

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
    async fn report(&self, r: &Report, opts: &ReportOptions<'_>) -> CoreResult<Receipt> {
        if self.0 == Flaw::RefusesRow && opts.settings.get("room") == Some(STRANGE) {
            return Err(Error::new(ErrorKind::Rejected, "what is this"));
        }
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
        if scenario == Scenario::Row(0) {
            s.set(Origin::Flag, "room", STRANGE).unwrap();
        }
        let can = matches!(scenario, Scenario::Deliver | Scenario::Row(0));
        can.then(|| Setup::new(s.instance("default")))
    }
    fn rows(&self) -> Vec<Row> {
        vec![Row::new(STRANGE, RowVerdict::Delivered)]
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
        (Flaw::RefusesRow, Some("a strange yes: Delivered")),
    ] {
        let results = suite(&Only(Arc::new(Flawed(flaw, AtomicU32::new(0))))).await;
        let found: Vec<&str> = results.failures().map(|c| c.name.as_str()).collect();
        match case {
            None => assert!(found.is_empty(), "{results}"),
            Some(case) => assert!(found.contains(&case), "{flaw:?}: {results}"),
        }
    }
}
