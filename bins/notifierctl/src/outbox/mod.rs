//! `notifierctl outbox`: a look into a watcher's outbox, and care for it.

mod care;
mod change;
mod list;
mod pages;
pub(crate) mod place;
mod select;
mod show;
mod stats;

use clap::{ArgMatches, Command};
use notifier_runtime::{Env, Exit, Fatal};
use notifiers::{Clock, SystemClock};

use self::change::Change;
pub(crate) use self::{pages::Pages, place::Named};

pub(crate) fn command() -> Command {
    let commands = [
        list::command(),
        show::command(),
        Change::Replay.command(),
        Change::Drop.command(),
        stats::command(),
        care::check_command(),
        care::repair_command(),
        care::vacuum_command(),
    ];
    Command::new("outbox")
        .about("Looks into a watcher's outbox and cares for it, while the watcher runs or not.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands.map(place::args))
}

pub(crate) fn run(m: &ArgMatches, env: &Env) -> Result<Exit, Fatal> {
    let Some((name, m)) = m.subcommand() else {
        return Err(crate::cli::no_command());
    };
    let named = Named::read(m, env)?;
    let now = SystemClock.now();
    match name {
        "check" => return care::check(m, &named),
        "repair" => return care::repair(m, &named),
        _ => {}
    }
    crate::block_on(async {
        let outbox = named.open()?;
        match name {
            "list" => list::run(m, &outbox, now).await,
            "show" => show::run(m, &outbox, now).await,
            "replay" => Change::Replay.run(m, &outbox, &named.watcher, now).await,
            "drop" => Change::Drop.run(m, &outbox, &named.watcher, now).await,
            "stats" => stats::run(m, &named, &outbox, now).await,
            "vacuum" => care::vacuum(m, &outbox).await,
            _ => Err(crate::cli::no_command()),
        }
    })
}
