//! What an answer must look like in each scenario.

use notifier_core::{Error, ErrorKind, Next, Receipt, Scope};

use super::{RowVerdict, Scenario, Setup};

/// Kept, or why not.
pub(super) type Verdict = Result<(), String>;

pub(super) fn is_done(receipt: &Receipt) -> Verdict {
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

pub(super) fn fits(scenario: Scenario, receipt: &Receipt) -> Verdict {
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
        // What it means is known to the row: see `fits_row`.
        Scenario::Row(_) => true,
    };
    if ok {
        Ok(())
    } else {
        Err(format!("it says {next:?}, {error:?}"))
    }
}

/// What one row's answer must be read as.
pub(super) fn fits_row(verdict: RowVerdict, receipt: &Receipt) -> Verdict {
    let next = receipt.next();
    let error = receipt.error();
    let ok = match verdict {
        RowVerdict::Delivered => next == Next::Done,
        RowVerdict::Shrink => next == Next::Done && !receipt.warnings.is_empty(),
        RowVerdict::Retry { after } => {
            matches!(next, Next::Retry { after: said, unknown: false } if after.is_none() || said == after)
        }
        RowVerdict::Ambiguous => matches!(next, Next::Retry { unknown: true, .. }),
        RowVerdict::Dead => next == Next::Dead,
        RowVerdict::DeadDestination => {
            next == Next::Dead && error.map(Error::scope) == Some(Scope::Destination)
        }
    };
    if ok {
        Ok(())
    } else {
        Err(format!(
            "it says {next:?}, {error:?}, {:?}",
            receipt.warnings
        ))
    }
}

/// What the service has after one row's answer, where that is known.
pub(super) fn took_row(verdict: RowVerdict, setup: &Setup) -> Verdict {
    let Some(messages) = setup.received().map(|m| m.len()) else {
        return Ok(());
    };
    let (least, most) = match verdict {
        RowVerdict::Delivered | RowVerdict::Shrink => (1, 1),
        RowVerdict::Ambiguous => (0, 1),
        _ => (0, 0),
    };
    if (least..=most).contains(&messages) {
        Ok(())
    } else {
        Err(format!("{messages} messages arrived"))
    }
}

/// What the service may have taken in a scenario, where that is known.
pub(super) fn took(scenario: Scenario, setup: &Setup) -> Verdict {
    let most = match scenario {
        Scenario::Deliver | Scenario::CutAfterBody | Scenario::Hang => 1,
        _ => 0,
    };
    match setup.received() {
        Some(m) if m.len() > most => {
            Err(format!("{} messages arrived, at most {most} may", m.len()))
        }
        _ => Ok(()),
    }
}
