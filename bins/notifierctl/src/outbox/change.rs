//! `notifierctl outbox replay` and `notifierctl outbox drop`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use notifier_runtime::{Exit, Fatal};
use notifiers::{
    DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, Error, ErrorKind, Outbox,
    jiff::Timestamp, redact::Redactor,
};
use serde_json::{Value, json};

use super::{
    pages::{Pages, find},
    select,
};
use crate::{
    cli::json,
    out::{List, Out},
    text::{CELL, shown},
};

/// What is done to deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// They are sent again.
    Replay,
    /// They are given up.
    Drop,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Drop => "dropped",
        }
    }

    /// The states that it can be done in.
    fn from(self) -> &'static [DeliveryState] {
        match self {
            Self::Replay => &[
                DeliveryState::Done,
                DeliveryState::Dead,
                DeliveryState::Silenced,
                DeliveryState::Dropped,
            ],
            Self::Drop => &[
                DeliveryState::Pending,
                DeliveryState::Held,
                DeliveryState::Dead,
            ],
        }
    }

    pub(super) fn command(self) -> Command {
        let command = match self {
            Self::Replay => Command::new("replay")
                .about("Sends again what is finished: by id, or all that the options select, dead letters unless --state says otherwise.")
                .after_help("Of what options select, that which was replayed already is left out, and so is what a digest tells: the digest is replayed."),
            Self::Drop => Command::new("drop")
                .about("Gives up what waits, or puts away dead letters: by id, or all that the options select, dead letters unless --state says otherwise."),
        };
        let command = select::args(command)
            .arg(
                Arg::new("id")
                    .value_name("ID")
                    .action(ArgAction::Append)
                    .num_args(0..)
                    .conflicts_with_all([
                        "state",
                        "destination",
                        "reporter",
                        "key",
                        "since",
                        "before",
                    ])
                    .help("an id, or its first digits"),
            )
            .arg(
                Arg::new("dry-run")
                    .long("dry-run")
                    .action(ArgAction::SetTrue)
                    .help("say what would be done, and do nothing"),
            )
            .arg(json());
        match self {
            Self::Replay => command,
            Self::Drop => command.arg(
                Arg::new("yes")
                    .long("yes")
                    .action(ArgAction::SetTrue)
                    .help("needed where no ids are given"),
            ),
        }
    }

    pub(super) async fn run(
        self,
        m: &ArgMatches,
        outbox: &dyn Outbox,
        watcher: &str,
        now: Timestamp,
    ) -> Result<Exit, Fatal> {
        let names: Vec<&str> = m
            .get_many::<String>("id")
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let dry = m.get_flag("dry-run");
        let mut work = Work {
            change: self,
            outbox,
            watcher,
            now,
            dry,
            out: Out::new(),
            list: None,
            done: 0,
            left_out: 0,
            refused: 0,
        };
        if m.get_flag("json") {
            work.list = Some(List::open(&mut work.out, self.word())?);
        }
        if names.is_empty() {
            let filter = self.filter(m, now)?;
            if self == Self::Drop && !dry && !m.get_flag("yes") {
                return Err(Fatal::new(
                    Exit::Usage,
                    "this may give up many: look with --dry-run, then say --yes",
                ));
            }
            work.all(filter).await?;
        } else {
            for id in find(outbox, &names).await? {
                work.one(&id, None).await?;
            }
        }
        work.end()
    }

    /// What options select.
    fn filter(self, m: &ArgMatches, now: Timestamp) -> Result<DeliveryFilter, Fatal> {
        if !select::any(m) {
            return Err(Fatal::new(
                Exit::Usage,
                "which? give ids, or --state, --destination, --reporter, --key, --since or --before",
            ));
        }
        let mut filter = select::filter(m, now)?;
        let state = *filter.state.get_or_insert(DeliveryState::Dead);
        if !self.from().contains(&state) {
            let these: Vec<&str> = self.from().iter().map(|s| s.as_str()).collect();
            return Err(Fatal::new(
                Exit::Usage,
                format!(
                    "--state {state}: what can be {} is {}",
                    self.word(),
                    these.join(", ")
                ),
            ));
        }
        // What comes of this is not to be met again on a later page.
        filter.before = Some(filter.before.map_or(now, |t| t.min(now)));
        Ok(filter)
    }
}

struct Work<'a> {
    change: Change,
    outbox: &'a dyn Outbox,
    watcher: &'a str,
    now: Timestamp,
    dry: bool,
    out: Out,
    list: Option<List>,
    done: u64,
    /// Of what options select: replayed before, or told by a digest.
    left_out: u64,
    refused: u64,
}

impl Work<'_> {
    async fn all(&mut self, filter: DeliveryFilter) -> Result<(), Fatal> {
        let mut pages = Pages::new(self.outbox, filter, 0);
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok(());
            }
            for view in page {
                if self.change == Change::Replay
                    && (view.digest.is_some() || self.replayed(&view).await?)
                {
                    self.left_out += 1;
                    continue;
                }
                self.one(&view.delivery.id, Some(&view)).await?;
            }
        }
    }

    /// Whether there is a later one of the same report to the same instance.
    async fn replayed(&self, view: &DeliveryView) -> Result<bool, Fatal> {
        let mut filter = DeliveryFilter::default();
        filter.key = Some(view.key.clone());
        filter.reporter = Some(view.delivery.reporter.clone());
        let mut pages = Pages::new(self.outbox, filter, 0);
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok(false);
            }
            if page.iter().any(|other| {
                other.delivery.instance == view.delivery.instance
                    && other.generation > view.generation
            }) {
                return Ok(true);
            }
        }
    }

    async fn one(&mut self, id: &DeliveryId, view: Option<&DeliveryView>) -> Result<(), Fatal> {
        let result: Result<Option<DeliveryId>, Error> = match self.change {
            _ if self.dry => self.would(id, view).await,
            Change::Replay => self
                .outbox
                .replay(self.watcher, id, self.now)
                .await
                .map(Some),
            Change::Drop => self.outbox.discard(id, self.now).await.map(|()| None),
        };
        let new = match result {
            Ok(new) => new,
            // The others are still to be done.
            Err(e) if e.kind() == ErrorKind::Rejected => {
                self.refused += 1;
                let why = e.report().to_string();
                return self.say(
                    json!({ "id": id.as_str(), "error": why }),
                    &format!("{id}: {}\n", shown(&Redactor::default(), &why, CELL * 4)),
                );
            }
            Err(e) => return Err(e.into()),
        };
        self.done += 1;
        let line = match &new {
            Some(new) => format!("{id} → {new}\n"),
            None => format!("{id}\n"),
        };
        let mut value = json!({ "id": id.as_str() });
        if let Some(new) = &new {
            value["new"] = Value::from(new.as_str());
        }
        self.say(value, &line)
    }

    /// Whether it could be done.
    async fn would(
        &self,
        id: &DeliveryId,
        view: Option<&DeliveryView>,
    ) -> Result<Option<DeliveryId>, Error> {
        let state = match view {
            Some(view) => Some(view.state),
            None => self.outbox.story(id).await?.map(|s| s.view.state),
        };
        match state {
            Some(state) if self.change.from().contains(&state) => Ok(None),
            Some(state) => Err(Error::new(
                ErrorKind::Rejected,
                format!("it is {state} and cannot be {}", self.change.word()),
            )),
            None => Err(Error::new(ErrorKind::Rejected, "there is no such delivery")),
        }
    }

    fn say(&mut self, value: Value, line: &str) -> Result<(), Fatal> {
        match &mut self.list {
            Some(list) => list.push(&mut self.out, &value),
            None => self.out.text(line),
        }
    }

    fn end(mut self) -> Result<Exit, Fatal> {
        match self.list {
            Some(list) => list.close(
                &mut self.out,
                &[
                    ("count", Value::from(self.done)),
                    ("left_out", Value::from(self.left_out)),
                    ("refused", Value::from(self.refused)),
                    ("dry_run", Value::from(self.dry)),
                ],
            )?,
            None => {
                let would = if self.dry { " would be" } else { "" };
                let mut line = format!("{}{would} {}", self.done, self.change.word());
                for (n, what) in [(self.left_out, "left out"), (self.refused, "cannot be")] {
                    if n > 0 {
                        line.push_str(&format!(", {n} {what}"));
                    }
                }
                self.out.text(&format!("{line}\n"))?;
            }
        }
        Ok(if self.refused > 0 {
            Exit::Data
        } else {
            Exit::Ok
        })
    }
}
