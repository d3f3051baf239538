//! `notifierctl outbox check`, `repair` and `vacuum`: the file itself.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use notifier_runtime::{Exit, Fatal};
use notifiers::{
    redact::Redactor,
    sqlite::{self, SqliteOutbox},
};
use serde_json::{Value, json};

use super::place::{Named, unfit};
use crate::{
    cli::json,
    out::Out,
    text::{LINE, Table, shown, size},
};

pub(super) fn check_command() -> Command {
    Command::new("check")
        .about("Reads the whole file, and says what is wrong with it, with code 65.")
        .arg(json())
}

pub(super) fn repair_command() -> Command {
    Command::new("repair")
        .about("Saves what can be read into a new file. The old one is left as it is; stop its watcher before.")
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("NEWFILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("the new file; there must be none of this name"),
        )
        .arg(json())
}

pub(super) fn vacuum_command() -> Command {
    Command::new("vacuum")
        .about("Gives the room of what was forgotten back to the disk.")
        .arg(json())
}

pub(super) fn check(m: &ArgMatches, named: &Named) -> Result<Exit, Fatal> {
    named.exists()?;
    let checked = sqlite::check(&named.path).map_err(unfit)?;
    let fine = checked.problems.is_empty();
    let mut out = Out::new();
    if m.get_flag("json") {
        out.json(&json!({
            "path": named.path.display().to_string(),
            "ok": fine,
            "problems": checked.problems,
            "subjects": checked.subjects,
            "deliveries": checked.deliveries,
            "open": checked.open,
        }))?;
    } else {
        let counts = format!(
            "{} deliveries, {} of them open, of {} reports",
            checked.deliveries, checked.open, checked.subjects
        );
        let path = named.path.display();
        if fine {
            out.text(&format!("{path} is sound: {counts}\n"))?;
        } else {
            for problem in &checked.problems {
                let line = shown(&Redactor::default(), problem, LINE);
                out.text(&format!("{line}\n"))?;
            }
            out.text(&format!(
                "{path} is damaged: {counts}; stop its watcher and run `notifierctl outbox repair --to NEWFILE`\n"
            ))?;
        }
    }
    Ok(if fine { Exit::Ok } else { Exit::Data })
}

pub(super) fn repair(m: &ArgMatches, named: &Named) -> Result<Exit, Fatal> {
    named.exists()?;
    let to = m.get_one::<PathBuf>("to").cloned().unwrap_or_default();
    let repaired = sqlite::repair(&named.path, &to).map_err(unfit)?;
    let (saved, lost) = repaired
        .tables
        .iter()
        .fold((0, 0), |(s, l), t| (s + t.saved, l + t.lost));
    let mut out = Out::new();
    if m.get_flag("json") {
        let tables: Vec<Value> = repaired
            .tables
            .iter()
            .map(|t| json!({ "table": t.table, "saved": t.saved, "lost": t.lost }))
            .collect();
        out.json(&json!({
            "path": to.display().to_string(),
            "saved": saved,
            "lost": lost,
            "tables": tables,
            "unknown": repaired.unknown,
            "bad_pages": repaired.bad_pages,
            "untold": repaired.untold,
        }))?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = repaired
        .tables
        .iter()
        .map(|t| vec![t.table.to_owned(), t.saved.to_string(), t.lost.to_string()])
        .collect();
    out.text(&Table::new(&["table", "saved", "lost"]).first(&rows))?;
    let mut text = format!("{saved} rows saved in {}, {lost} lost", to.display());
    if repaired.bad_pages > 0 {
        text.push_str(&format!(", {} pages could not be read", repaired.bad_pages));
    }
    if repaired.unknown > 0 {
        text.push_str(&format!(
            ", {} were being sent and are sent again",
            repaired.unknown
        ));
    }
    text.push('\n');
    for line in &repaired.untold {
        let line = shown(&Redactor::default(), line, LINE);
        text.push_str(&format!("will not be told by itself: {line}\n"));
    }
    out.text(&text)?;
    Ok(Exit::Ok)
}

pub(super) async fn vacuum(m: &ArgMatches, outbox: &SqliteOutbox) -> Result<Exit, Fatal> {
    let done = outbox.vacuum().await?;
    let mut out = Out::new();
    if m.get_flag("json") {
        out.json(&json!({ "before_bytes": done.before, "after_bytes": done.after }))?;
    } else {
        out.text(&format!(
            "{} before, {} now\n",
            size(done.before),
            size(done.after)
        ))?;
    }
    Ok(Exit::Ok)
}
