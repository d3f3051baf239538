//! The command line, and which command it means.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use notifier_runtime::{Env, Exit, Fatal, Masker, complain};

use crate::{NAME, check, explain, options, outbox, render, send, silence};

/// An option with a value.
pub(crate) fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .allow_hyphen_values(true)
}

/// The value of an option or argument, if it was given.
pub(crate) fn given<'a>(m: &'a ArgMatches, name: &str) -> Option<&'a str> {
    m.get_one::<String>(name).map(String::as_str)
}

/// The value of an option that is a number.
pub(crate) fn number(m: &ArgMatches, name: &str) -> Result<usize, Fatal> {
    let text = given(m, name).unwrap_or_default();
    text.parse().map_err(|_| {
        Fatal::new(
            Exit::Usage,
            format!("--{name}: {text:?} is not a whole number"),
        )
    })
}

pub(crate) fn no_command() -> Fatal {
    Fatal::new(Exit::Usage, "a command is needed; --help lists them")
}

pub(crate) fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("print one JSON object")
}

/// Options that are read as a watcher's are.
fn rest() -> Arg {
    Arg::new("rest")
        .value_name("OPTIONS")
        .value_parser(value_parser!(OsString))
        .action(ArgAction::Append)
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .help("--failure FILE, -slack.hook_url=URL, …")
}

fn failure() -> Arg {
    text(
        "failure",
        "FILE",
        "the failure as JSON; - is the standard input",
    )
    .required(true)
}

fn command() -> Command {
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Previews, sends and checks notifications by hand, and looks after a watcher's outbox.")
        .after_help("Exit codes: 0 all is well; 64 wrong usage or settings; 65 wrong input, a refused message, or a damaged outbox; 69 it may work later; 70 a fault of this program; 74 a file cannot be read or written.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("render")
                .about("Prints what a template makes of a failure, byte for byte.")
                .arg(text("template", "T", "the template's text"))
                .arg(text("template-file", "F", "a file that holds the template").conflicts_with("template"))
                .arg(failure())
                .arg(text("config", "K=V", "what the template function config answers for K; may be given several times").action(ArgAction::Append))
                .arg(text("stdout-url", "U", "the address of the log stdout"))
                .arg(text("stderr-url", "U", "the address of the log stderr"))
                .arg(text("markup", "M", "what data is escaped for").value_parser(["plain", "slack", "html"]).default_value("plain"))
                .arg(json()),
        )
        .subcommand(
            Command::new("send")
                .about("Sends one report now, and prints who has it.")
                .override_usage("notifierctl send REPORTER --failure FILE [OPTIONS]")
                .after_help("The options behind REPORTER are those of a watcher, flags, environment and -config alike, and a few more: `notifierctl send REPORTER -help` lists them.")
                .arg(Arg::new("reporter").value_name("REPORTER").required(true).help("slack, file, …"))
                .arg(rest()),
        )
        .subcommand(
            Command::new("explain")
                .about("Says where a failure would go and why, and sends nothing.")
                .override_usage("notifierctl explain --failure FILE [OPTIONS]")
                .after_help("The options are those of a watcher, flags, environment and -config alike, and a few more: `notifierctl explain -help` lists them.")
                .disable_help_flag(true)
                .arg(rest()),
        )
        .subcommand(outbox::command())
        .subcommand(silence::command())
        .subcommand(
            Command::new("options")
                .about("Prints every option of every backend.")
                .arg(text("format", "F", "the form").value_parser(["markdown", "json"]).default_value("markdown"))
                .arg(json()),
        )
        .subcommand(
            Command::new("check-config")
                .about("Says what is wrong with a watcher's file, without starting anything.")
                .arg(Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(std::path::PathBuf)).help("the file, as for -config"))
                .arg(json()),
        )
}

/// Runs the command line and prints what comes of it.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>, env: &Env) -> Exit {
    let matches = match command().try_get_matches_from(args) {
        Ok(m) => m,
        Err(e) => {
            // Help and version are errors to clap; they go to the standard output.
            if e.use_stderr() {
                return complain(NAME, &Masker::default(), &usage(&e));
            }
            return crate::print(NAME, &e.to_string());
        }
    };
    match dispatch(&matches, env) {
        Ok(exit) => exit,
        Err(fatal) => complain(NAME, &Masker::default(), &fatal),
    }
}

fn usage(e: &clap::Error) -> Fatal {
    let text = e.to_string();
    let lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
    let message: Vec<&str> = lines
        .map(|l| l.strip_prefix("error: ").unwrap_or(l))
        .collect();
    Fatal::new(Exit::Usage, message.join("\n"))
}

fn dispatch(matches: &ArgMatches, env: &Env) -> Result<Exit, Fatal> {
    match matches.subcommand() {
        Some(("render", m)) => render::run(m),
        Some(("send", m)) => send::run(m, env),
        Some(("options", m)) => Ok(options::run(m)),
        Some(("check-config", m)) => Ok(check::run(m, env)),
        Some(("explain", m)) => explain::run(m, env),
        Some(("outbox", m)) => outbox::run(m, env),
        Some(("silence", m)) => silence::run(m, env),
        _ => Err(no_command()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_declaration_is_sound() {
        super::command().debug_assert();
    }
}
