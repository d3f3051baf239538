//! `notifierctl silence`.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use notifier_runtime::{Env, Exit, Fatal};
use notifiers::{
    Clock, FailureKey, Matcher, Outbox, Silence, SystemClock, jiff::Timestamp, redact::Redactor,
};
use serde_json::{Value, json};

use crate::{
    cli::{given, json, text},
    out::Out,
    outbox::{Named, place},
    text::{CELL, Table, shown},
    when,
};

/// How long an id is.
const DIGITS: usize = 8;

pub(crate) fn command() -> Command {
    let add = Command::new("add")
        .about("Keeps failures from being told until a time. What is silenced can be replayed.")
        .after_help("A matcher is FIELD=VALUE, FIELD!=VALUE, FIELD=~EXPRESSION or FIELD!~EXPRESSION; fields are id, name, host, framework, image, state, reason, message, source and label.KEY. All must match.")
        .arg(
            Arg::new("matcher")
                .value_name("MATCHER")
                .action(ArgAction::Append)
                .num_args(1..)
                .required(true)
                .help("name=web, framework=~^chron, label.team!=ops, …"),
        )
        .arg(text("for", "DURATION", "how long, such as 2h"))
        .arg(text("until", "T", "until when, such as 2026-11-21T10:00:00Z"))
        .group(ArgGroup::new("end").args(["for", "until"]).required(true))
        .arg(text("author", "A", "who says so; USER or LOGNAME unless set"))
        .arg(text("note", "N", "why"))
        .arg(json());
    let list = Command::new("list")
        .about("Lists silences, the newest first.")
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("those too that have ended"),
        )
        .arg(json());
    let expire = Command::new("expire")
        .about("Ends a silence now.")
        .arg(
            Arg::new("id")
                .value_name("ID")
                .required(true)
                .help("its id, or the first digits of it"),
        )
        .arg(json());
    Command::new("silence")
        .about("Keeps failures from being told for a while.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([add, list, expire].map(place::args))
}

pub(crate) fn run(m: &ArgMatches, env: &Env) -> Result<Exit, Fatal> {
    let Some((name, m)) = m.subcommand() else {
        return Err(crate::cli::no_command());
    };
    let named = Named::read(m, env)?;
    let now = SystemClock.now();
    crate::block_on(async {
        match name {
            // What is wrong with it is told before the file is opened.
            "add" => {
                let silence = read(m, env, now)?;
                add(m, &named.open()?, silence).await
            }
            "list" => list(m, &named.open()?, now).await,
            "expire" => expire(m, &named.open()?, now).await,
            _ => Err(crate::cli::no_command()),
        }
    })
}

fn read(m: &ArgMatches, env: &Env, now: Timestamp) -> Result<Silence, Fatal> {
    let matchers = m
        .get_many::<String>("matcher")
        .into_iter()
        .flatten()
        .map(|t| t.parse::<Matcher>())
        .collect::<notifiers::Result<Vec<_>>>()?;
    let ends = match (given(m, "for"), given(m, "until")) {
        (Some(d), _) => when::after("--for", d, now)?,
        (None, t) => when::future("--until", t.unwrap_or_default(), now)?,
    };
    let mut silence = Silence::new(String::new(), matchers, now, ends);
    silence.note = given(m, "note").unwrap_or_default().to_owned();
    silence.author = match given(m, "author") {
        Some(author) => author.to_owned(),
        None => ["USER", "LOGNAME"]
            .iter()
            .find_map(|name| env.get(name)?.ok())
            .unwrap_or_default()
            .to_owned(),
    };
    Ok(silence)
}

async fn add(m: &ArgMatches, outbox: &dyn Outbox, mut silence: Silence) -> Result<Exit, Fatal> {
    let there = outbox.silences().await?;
    silence.id = new_id(&silence, &there);
    outbox.put_silence(silence.clone()).await?;
    let mut out = Out::new();
    if m.get_flag("json") {
        out.json(&as_json(&silence))?;
    } else {
        out.text(&format!("{}\n", silence.id))?;
    }
    Ok(Exit::Ok)
}

/// An id that no other silence has.
fn new_id(silence: &Silence, there: &[Silence]) -> String {
    let matchers: Vec<String> = silence.matchers.iter().cloned().map(String::from).collect();
    let times = format!("{} {}", silence.starts.as_nanosecond(), silence.ends);
    let mut n = 0_u64;
    loop {
        let salt = n.to_string();
        let parts = ["silence", times.as_str(), salt.as_str()];
        let key =
            FailureKey::of_parts(parts.into_iter().chain(matchers.iter().map(String::as_str)));
        let id: String = key.as_str().chars().take(DIGITS).collect();
        if !there.iter().any(|s| s.id == id) {
            return id;
        }
        n += 1;
    }
}

async fn list(m: &ArgMatches, outbox: &dyn Outbox, now: Timestamp) -> Result<Exit, Fatal> {
    let mut silences = outbox.silences().await?;
    if !m.get_flag("all") {
        silences.retain(|s| s.ends > now);
    }
    let mut out = Out::new();
    if m.get_flag("json") {
        let list: Vec<Value> = silences.iter().map(as_json).collect();
        out.json(&json!({ "silences": list }))?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = silences.iter().map(|s| row(s, now)).collect();
    let mut table = Table::new(&["id", "state", "until", "author", "matchers", "note"]);
    out.text(&table.first(&rows))?;
    Ok(Exit::Ok)
}

async fn expire(m: &ArgMatches, outbox: &dyn Outbox, now: Timestamp) -> Result<Exit, Fatal> {
    let name = given(m, "id").unwrap_or_default().trim().to_owned();
    let wrong = |why: String| Err(Fatal::new(Exit::Data, why));
    let all = outbox.silences().await?;
    let exact: Vec<&Silence> = all.iter().filter(|s| s.id == name).collect();
    let found = if exact.is_empty() && !name.is_empty() {
        all.iter().filter(|s| s.id.starts_with(&name)).collect()
    } else {
        exact
    };
    let mut silence = match found.as_slice() {
        [one] => Silence::clone(one),
        [] => return wrong(format!("there is no silence {name:?}")),
        several => {
            let ids: Vec<&str> = several.iter().take(5).map(|s| s.id.as_str()).collect();
            return wrong(format!("{name:?} is ambiguous: {}", ids.join(", ")));
        }
    };
    if silence.ends <= now {
        return wrong(format!(
            "the silence {} ended at {}",
            silence.id, silence.ends
        ));
    }
    silence.ends = now;
    outbox.put_silence(silence.clone()).await?;
    let mut out = Out::new();
    if m.get_flag("json") {
        out.json(&as_json(&silence))?;
    } else {
        out.text(&format!("{} has ended\n", silence.id))?;
    }
    Ok(Exit::Ok)
}

/// The matchers as they are written, with secrets masked.
fn matchers(silence: &Silence) -> Vec<String> {
    silence.matchers.iter().map(Matcher::to_string).collect()
}

fn row(s: &Silence, now: Timestamp) -> Vec<String> {
    let none = Redactor::default();
    let state = match () {
        () if s.holds(now) => "holds",
        () if s.ends <= now => "ended",
        () => "to come",
    };
    vec![
        shown(&none, &s.id, CELL),
        state.to_owned(),
        when::near(s.ends, now),
        shown(&none, &s.author, CELL),
        shown(&none, &matchers(s).join(" "), 2 * CELL),
        shown(&none, &s.note, 2 * CELL),
    ]
}

pub(crate) fn as_json(s: &Silence) -> Value {
    json!({
        "id": s.id,
        "matchers": matchers(s),
        "starts": s.starts,
        "ends": s.ends,
        "author": s.author,
        "note": s.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_silences_have_one_id() {
        let now = Timestamp::UNIX_EPOCH;
        let mut there: Vec<Silence> = Vec::new();
        for _ in 0..50 {
            let mut s = Silence::new("", vec!["name=web".parse().unwrap()], now, now);
            s.id = new_id(&s, &there);
            assert_eq!(s.id.len(), DIGITS);
            assert!(there.iter().all(|other| other.id != s.id));
            there.push(s);
        }
    }
}
