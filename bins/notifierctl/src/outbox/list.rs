//! `notifierctl outbox list`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use notifier_runtime::{Exit, Fatal};
use notifiers::{Attempt, DeliveryView, Outbox, jiff::Timestamp, redact::Redactor};
use serde_json::{Value, json};

use super::{pages::Pages, select};
use crate::{
    cli::{json, number, text},
    out::{List, Out},
    text::{CELL, Table, shown},
    when,
};

/// How many digits of an id a table shows: enough to name it by.
pub(super) const DIGITS: usize = 12;

pub(super) fn command() -> Command {
    select::args(Command::new("list").about("Lists deliveries, the newest first."))
        .arg(text("limit", "N", "at most this many; 0 means all").default_value("100"))
        .arg(
            Arg::new("oldest-first")
                .long("oldest-first")
                .action(ArgAction::SetTrue)
                .help("the oldest first"),
        )
        .arg(json())
}

pub(super) async fn run(
    m: &ArgMatches,
    outbox: &dyn Outbox,
    now: Timestamp,
) -> Result<Exit, Fatal> {
    let mut filter = select::filter(m, now)?;
    filter.newest_first = !m.get_flag("oldest-first");
    let limit = number(m, "limit")?;
    let mut pages = Pages::new(outbox, filter, limit);
    let mut out = Out::new();
    if m.get_flag("json") {
        let mut list = List::open(&mut out, "deliveries")?;
        while let Some(page) = some(pages.next().await?).filter(|_| !out.closed) {
            for view in &page {
                list.push(&mut out, &delivery(view))?;
            }
        }
        let more = !out.closed && pages.more().await?;
        list.close(&mut out, &[("more", Value::from(more))])?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "id",
        "state",
        "age",
        "attempts",
        "unknown",
        "destination",
        "about",
        "last error",
    ]);
    let rows = |page: &[DeliveryView]| -> Vec<Vec<String>> {
        page.iter().map(|view| row(view, now)).collect()
    };
    let page = pages.next().await?;
    out.text(&table.first(&rows(&page)))?;
    while let Some(page) = some(pages.next().await?).filter(|_| !out.closed) {
        out.text(&table.more(&rows(&page)))?;
    }
    if !out.closed && pages.more().await? {
        out.text(&format!(
            "… and more: these are the first {limit}; --limit shows others, 0 all\n"
        ))?;
    }
    Ok(Exit::Ok)
}

fn some<T>(page: Vec<T>) -> Option<Vec<T>> {
    (!page.is_empty()).then_some(page)
}

fn row(view: &DeliveryView, now: Timestamp) -> Vec<String> {
    let none = Redactor::default();
    let failed = view
        .last
        .as_ref()
        .filter(|a| !matches!(a.outcome, notifiers::Outcome::Delivered));
    vec![
        view.delivery.id.as_str().chars().take(DIGITS).collect(),
        view.state.to_string(),
        when::age(view.enqueued, now),
        view.attempts.to_string(),
        view.unknown.to_string(),
        shown(&none, view.delivery.destination.as_str(), CELL),
        shown(&none, &view.about, CELL),
        failed.map_or_else(String::new, |a| shown(&none, &words(a), CELL)),
    ]
}

/// What an attempt came to, in a few words.
pub(super) fn words(attempt: &Attempt) -> String {
    match (&attempt.code, attempt.detail.is_empty()) {
        (Some(code), false) => format!("{code}: {}", attempt.detail),
        (Some(code), true) => code.clone(),
        (None, _) => attempt.detail.clone(),
    }
}

/// A delivery as JSON.
pub(super) fn delivery(view: &DeliveryView) -> Value {
    json!({
        "id": view.delivery.id.as_str(),
        "state": view.state.as_str(),
        "destination": view.delivery.destination.as_str(),
        "reporter": view.delivery.reporter,
        "instance": view.delivery.instance,
        "why": view.delivery.why,
        "about": view.about,
        "key": view.key.as_str(),
        "attempts": view.attempts,
        "unknown": view.unknown,
        "last": view.last,
        "enqueued": view.enqueued,
        "due": view.due,
        "finished": view.finished,
        "generation": view.generation,
        "sequence": view.sequence,
        "digest": view.digest.as_ref().map(notifiers::DeliveryId::as_str),
    })
}
