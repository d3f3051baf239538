//! Which deliveries are meant.

use clap::{ArgMatches, Command};
use notifier_runtime::{Exit, Fatal};
use notifiers::{DeliveryFilter, DeliveryState, Destination, FailureKey, jiff::Timestamp};

use crate::{
    cli::{given, text},
    when,
};

/// Adds the options that select deliveries.
pub(super) fn args(command: Command) -> Command {
    let states = DeliveryState::ALL.map(DeliveryState::as_str);
    command
        .arg(text("state", "S", "only in this state").value_parser(states))
        .arg(text(
            "destination",
            "D",
            "only to this destination, as list shows it whole with --json",
        ))
        .arg(text("reporter", "R", "only by this reporter"))
        .arg(text("key", "K", "only of this failure, digest or notice"))
        .arg(text(
            "since",
            "T",
            "only enqueued then or later: a time as 2026-11-21T10:00:00Z, or an age as 2h",
        ))
        .arg(text("before", "T", "only enqueued before then"))
}

/// Whether any of them is given.
pub(super) fn any(m: &ArgMatches) -> bool {
    ["state", "destination", "reporter", "key", "since", "before"]
        .iter()
        .any(|name| given(m, name).is_some())
}

pub(super) fn filter(m: &ArgMatches, now: Timestamp) -> Result<DeliveryFilter, Fatal> {
    let mut filter = DeliveryFilter::default();
    filter.state = given(m, "state").and_then(DeliveryState::from_word);
    filter.destination = given(m, "destination").map(Destination::from_stored);
    filter.reporter = given(m, "reporter").map(str::to_owned);
    filter.key = given(m, "key").map(FailureKey::new);
    filter.since = given(m, "since")
        .map(|t| when::past("--since", t, now))
        .transpose()?;
    filter.before = given(m, "before")
        .map(|t| when::past("--before", t, now))
        .transpose()?;
    if let (Some(since), Some(before)) = (filter.since, filter.before)
        && since >= before
    {
        return Err(Fatal::new(
            Exit::Usage,
            format!("--since {since} is not before --before {before}"),
        ));
    }
    Ok(filter)
}
