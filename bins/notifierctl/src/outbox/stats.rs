//! `notifierctl outbox stats`.

use std::{collections::BTreeMap, path::Path};

use clap::{ArgMatches, Command};
use notifier_runtime::{Exit, Fatal};
use notifiers::{
    DeliveryFilter, DeliveryState, Destination, DestinationState, Outbox, OutboxStats,
    jiff::Timestamp, redact::Redactor,
};
use serde_json::{Value, json};

use super::place::Named;
use crate::{
    cli::json,
    out::Out,
    text::{CELL, Table, shown, size},
    when,
};

/// How many waiting deliveries of one destination are counted.
const MOST_COUNTED: usize = 1_000;

pub(super) fn command() -> Command {
    Command::new("stats")
        .about("Counts deliveries by state, and says what each destination waits for.")
        .arg(json())
}

/// One destination.
#[derive(Default)]
struct Standing {
    /// When the first of what waits can be sent.
    next: Option<Timestamp>,
    /// Deliveries that wait, as far as they were counted.
    waiting: usize,
    state: DestinationState,
}

pub(super) async fn run(
    m: &ArgMatches,
    named: &Named,
    outbox: &dyn Outbox,
    now: Timestamp,
) -> Result<Exit, Fatal> {
    let stats = outbox.stats().await?;
    let destinations = destinations(outbox).await?;
    let mut filter = DeliveryFilter::state(DeliveryState::Pending);
    filter.limit = 1;
    let oldest = outbox.inspect(&filter).await?.pop();
    let file = bytes(&named.path, "");
    let log = bytes(&named.path, "-wal");

    let mut out = Out::new();
    if m.get_flag("json") {
        let list: Vec<Value> = destinations
            .iter()
            .map(|(d, s)| {
                json!({
                    "destination": d.as_str(),
                    "waiting": s.waiting.min(MOST_COUNTED),
                    "waiting_more": s.waiting > MOST_COUNTED,
                    "next": s.next,
                    "state": s.state,
                })
            })
            .collect();
        out.json(&json!({
            "path": named.path.display().to_string(),
            "file_bytes": file,
            "log_bytes": log,
            "stats": stats,
            "open": stats.open(),
            "capacity_percent": percent(&stats, named.capacity),
            "capacity": named.capacity,
            "oldest_pending": oldest.as_ref().map(|v| json!({ "id": v.delivery.id.as_str(), "enqueued": v.enqueued })),
            "destinations": list,
        }))?;
        return Ok(Exit::Ok);
    }
    let mut text = format!(
        "outbox          {}\nfile            {} and {} of log\n",
        named.path.display(),
        size(file),
        size(log)
    );
    for (state, n) in by_state(&stats) {
        text.push_str(&format!("{:<15} {n}\n", state.as_str()));
    }
    text.push_str(&format!(
        "open            {}, {}% of {}\nunsettled logs  {}\nseen keys       {}\nunknown         {} attempts, possible doubles\n",
        stats.open(),
        percent(&stats, named.capacity),
        named.capacity,
        stats.unsettled,
        stats.seen,
        stats.unknown,
    ));
    if let Some(v) = oldest {
        text.push_str(&format!(
            "oldest pending  {} of {}\n",
            v.delivery.id,
            when::near(v.enqueued, now)
        ));
    }
    out.text(&text)?;
    if !destinations.is_empty() {
        let rows: Vec<Vec<String>> = destinations
            .iter()
            .map(|(d, s)| {
                vec![
                    shown(&Redactor::default(), d.as_str(), 2 * CELL),
                    count(s.waiting),
                    next(s, now),
                    standing(&s.state, now),
                ]
            })
            .collect();
        let mut table = Table::new(&["destination", "waiting", "next", "stands"]);
        out.text(&format!("\n{}", table.first(&rows)))?;
    }
    Ok(Exit::Ok)
}

async fn destinations(outbox: &dyn Outbox) -> Result<BTreeMap<Destination, Standing>, Fatal> {
    let mut all: BTreeMap<Destination, Standing> = BTreeMap::new();
    for (destination, state) in outbox.destinations().await? {
        all.entry(destination).or_default().state = state;
    }
    for (destination, next) in outbox.pending().await? {
        all.entry(destination).or_default().next = Some(next);
    }
    for (destination, standing) in &mut all {
        let mut filter = DeliveryFilter::state(DeliveryState::Pending);
        filter.destination = Some(destination.clone());
        let mut pages = super::pages::Pages::new(outbox, filter, MOST_COUNTED + 1);
        loop {
            match pages.next().await?.len() {
                0 => break,
                n => standing.waiting += n,
            }
        }
    }
    Ok(all)
}

fn count(n: usize) -> String {
    if n > MOST_COUNTED {
        format!("more than {MOST_COUNTED}")
    } else {
        n.to_string()
    }
}

fn next(s: &Standing, now: Timestamp) -> String {
    match s.next {
        Some(t) if t > now => when::near(t, now),
        Some(_) => "now".to_owned(),
        None => String::new(),
    }
}

/// How a destination stands, in words.
pub(super) fn standing(state: &DestinationState, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if state.refuses {
        parts.push("refuses everything".to_owned());
    }
    if let Some(since) = state.failing_since {
        parts.push(format!(
            "nothing has arrived since {}",
            when::near(since, now)
        ));
    }
    if state.strikes > 0 {
        parts.push(format!("{} attempts in a row failed", state.strikes));
    }
    if state.given_up > 0 {
        parts.push(format!("{} in a row given up", state.given_up));
    }
    if let Some(t) = state.not_before.filter(|t| *t > now) {
        parts.push(format!("left alone until {}", when::near(t, now)));
    }
    if let Some(t) = state.noticed {
        parts.push(format!("told of {}", when::near(t, now)));
    }
    if parts.is_empty() {
        "well".to_owned()
    } else {
        parts.join(", ")
    }
}

fn by_state(s: &OutboxStats) -> [(DeliveryState, u64); 8] {
    DeliveryState::ALL.map(|state| {
        let n = match state {
            DeliveryState::Pending => s.pending,
            DeliveryState::Leased => s.leased,
            DeliveryState::Held => s.held,
            DeliveryState::Folded => s.folded,
            DeliveryState::Done => s.done,
            DeliveryState::Dead => s.dead,
            DeliveryState::Silenced => s.silenced,
            DeliveryState::Dropped => s.dropped,
            _ => 0,
        };
        (state, n)
    })
}

fn percent(stats: &OutboxStats, capacity: usize) -> u64 {
    let capacity = u64::try_from(capacity).unwrap_or(u64::MAX).max(1);
    stats.open().saturating_mul(100) / capacity
}

/// The size of a file beside the outbox, 0 if there is none.
fn bytes(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::metadata(name).map_or(0, |m| m.len())
}
