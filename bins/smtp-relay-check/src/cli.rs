//! The command line.

use std::{ffi::OsString, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use notifier_runtime::{Env, Exit, Fatal, Masker, Problems, complain, print};
use notifiers::{OptionKind, OptionSpec};

use crate::{
    NAME, check, once,
    options::{RUN, Section, TARGET, find},
    plan::Plan,
    service,
    values::Values,
    watch, words,
};

const ABOUT: &str =
    "Checks mail relays: whether they run, take mail, keep strangers out, and deliver.";

const AFTER: &str = "\
A TARGET is HOST, HOST:PORT, smtp://HOST, smtps://HOST, submission://HOST, or the name of a [[target]]
of --config. Without one: those of --config, else SMTP_HOST_IP and SMTP_HOST_PORT of the environment.
SMTP_PASSWORD_FILE stands for --password-file. A flag beats [[target]], which beats [defaults].

Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown or wrong settings; with --exit probe 0 if mail can
be taken, else 1. A server (--listen, --watch) ends with 0 after SIGTERM, and with a code
of sysexits.h if it cannot serve or keep its outbox.

  smtp-relay-check relay.example:587 --user app --password-file /run/secrets/smtp --rcpt me@example.com
  smtp-relay-check 203.0.113.7 --open-relay
  smtp-relay-check --level live --queue /var/spool/postfix/public/showq --exit probe
  smtp-relay-check --config /etc/smtp-relay-check.toml --listen :9925 --watch";

/// How the exit code says what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitForm {
    /// Of a monitoring plugin.
    Plugin,
    /// Of a probe of Kubernetes or Docker, which know only zero and not zero.
    Probe,
}

impl ExitForm {
    /// What was asked for, as far as it can be told of a command line that may be wrong.
    fn of(args: &[OsString]) -> Self {
        let words: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
        let behind = words.windows(2).filter(|w| w[0] == "--exit").map(|w| w[1]);
        let within = words.iter().filter_map(|w| w.strip_prefix("--exit="));
        match behind.chain(within).any(|word| word == "probe") {
            true => Self::Probe,
            false => Self::Plugin,
        }
    }

    /// The code of wrong settings, and of all that has nothing to do with a relay.
    pub(crate) fn wrong(self) -> u8 {
        match self {
            Self::Plugin => 3,
            Self::Probe => 1,
        }
    }
}

/// Runs the program.
pub(crate) fn run(args: Vec<OsString>, env: &Env) -> ExitCode {
    let form = ExitForm::of(&args);
    let fail = |problems: Problems| {
        complain(NAME, &Masker::default(), &problems.into());
        ExitCode::from(form.wrong())
    };
    let is_flag = |name: &str| {
        find(TARGET, name)
            .or_else(|| find(RUN, name))
            .map_or(matches!(name, "help" | "version"), |o| {
                o.kind == OptionKind::Bool
            })
    };
    let matches = match command().try_get_matches_from(words::spread(args, is_flag)) {
        Ok(matches) => matches,
        // Help and version are errors to clap; they go to the standard output.
        Err(e) if !e.use_stderr() => return print(NAME, &e.to_string()).into(),
        Err(e) => return fail(usage(&e)),
    };
    let plan = match given(&matches).and_then(|given| Plan::make(given, env)) {
        Ok(plan) => plan,
        Err(problems) => return fail(problems),
    };
    if plan.run.bool("check-config") {
        if plan.run.bool("watch")
            && let Err(fatal) = watch::settings(&plan, env)
        {
            complain(NAME, &Masker::default(), &fatal);
            return ExitCode::from(form.wrong());
        }
        return match print(NAME, &plan.describe()) {
            Exit::Ok => ExitCode::SUCCESS,
            _ => ExitCode::from(form.wrong()),
        };
    }
    // The last word counts.
    let form = match plan.run.text("exit") {
        Some("probe") => ExitForm::Probe,
        _ => ExitForm::Plugin,
    };
    let is_service = plan.run.text("listen").is_some() || plan.run.bool("watch");
    let code = match is_service {
        true => service::run(plan, env).map(|()| 0),
        false => once::run(plan, env, form),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(fatal) => {
            let exit = complain(NAME, &Masker::default(), &fatal);
            match exit {
                Exit::Usage => ExitCode::from(form.wrong()),
                other if is_service => other.into(),
                _ => ExitCode::from(form.wrong()),
            }
        }
    }
}

/// What a command line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given {
    pub(crate) addresses: Vec<String>,
    /// Of [`TARGET`].
    pub(crate) target: Values,
    /// Of [`RUN`].
    pub(crate) run: Values,
}

fn given(matches: &ArgMatches) -> Result<Given, Problems> {
    let mut problems = Problems::new();
    let mut out = Given {
        addresses: matches
            .get_many("TARGET")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        ..Given::default()
    };
    for (sections, values) in [(TARGET, &mut out.target), (RUN, &mut out.run)] {
        for spec in crate::options::all(sections) {
            let Some(said) = matches.get_many::<String>(spec.key) else {
                continue;
            };
            let said: Vec<String> = said.cloned().collect();
            // Of most flags the last one counts. Of two files both were meant.
            if said.len() > 1 && spec.kind == OptionKind::Path && !spec.repeated {
                problems.push(format!(
                    "--{}: it takes one file, and is given twice",
                    spec.key
                ));
            }
            for text in &said {
                if let Err(why) = check::value(spec, text) {
                    problems.push(format!("--{}: {why}", spec.key));
                }
            }
            values.set(spec, said);
        }
    }
    problems.into_result()?;
    if out.target.text("canary").is_some_and(check::has_password) {
        let why = "--canary: others on this machine can see the password of a command line; use --canary-password-file";
        complain(NAME, &Masker::default(), &Fatal::new(Exit::Usage, why));
    }
    Ok(out)
}

fn usage(e: &clap::Error) -> Problems {
    let mut problems = Problems::new();
    let text = e.to_string();
    // The reason alone; the usage would bury it.
    for line in text.lines().take_while(|l| !l.starts_with("Usage:")) {
        let line = line.trim().strip_prefix("error: ").unwrap_or(line.trim());
        if !line.is_empty() {
            problems.push(line);
        }
    }
    problems.push("--help lists what there is");
    problems
}

fn command() -> Command {
    let targets = Arg::new("TARGET")
        .value_name("TARGET")
        .num_args(0..)
        .action(ArgAction::Append)
        .help("the relays to check");
    let mut command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .override_usage("smtp-relay-check [TARGET…] [OPTIONS]")
        .after_help(AFTER)
        .arg(targets);
    for section in TARGET.iter().chain(RUN) {
        command = add(command, section);
    }
    command
}

fn add(command: Command, section: &Section) -> Command {
    let command = command.next_help_heading(section.title);
    section
        .options
        .iter()
        .fold(command, |command, spec| command.arg(arg(spec)))
}

fn arg(spec: &'static OptionSpec) -> Arg {
    let mut help = spec.help.to_owned();
    if let Some(default) = spec.default {
        help.push_str(&format!(" [{default}]"));
    }
    let arg = Arg::new(spec.key)
        .long(spec.key)
        .action(ArgAction::Append)
        .value_parser(value_parser!(String))
        .help(help);
    let arg = match spec.key {
        "quiet" => arg.short('q'),
        _ => arg,
    };
    match spec.kind {
        // `--open-relay`, or `--open-relay=false` against a file.
        OptionKind::Bool => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL"),
        kind => arg.value_name(shown(spec, kind)),
    }
}

fn shown(spec: &OptionSpec, kind: OptionKind) -> &'static str {
    match kind {
        OptionKind::Duration => "TIME",
        OptionKind::Integer => "N",
        OptionKind::Size => "SIZE",
        OptionKind::Path => "PATH",
        OptionKind::Choice(_) => "WORD",
        _ => match spec.key {
            "from" | "rcpt" | "victim" => "ADDR",
            "source" | "egress" => "IP",
            "dns" => "IP:PORT",
            "listen" => "HOST:PORT",
            "canary" => "DEST",
            "user" => "USER",
            "helo" | "helo-short" | "tls-name" => "NAME",
            "relay-domain" | "well-known" | "own-domain" | "domain" => "DOMAIN",
            "connect-time" | "greeting-time" | "cert-days" | "queue-depth" | "deferred-age"
            | "active-age" | "queue-growth" | "spool-free" => "WARN,CRIT",
            _ => "TEXT",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_form_of_the_exit_is_known_of_a_wrong_line_too() {
        let of =
            |line: &str| ExitForm::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("x --nonsense --exit probe"), ExitForm::Probe);
        assert_eq!(of("x --exit=probe"), ExitForm::Probe);
        assert_eq!(of("x probe --exit plugin"), ExitForm::Plugin);
    }

    #[test]
    fn every_default_is_a_value_of_its_option() {
        for spec in crate::options::all(TARGET).chain(crate::options::all(RUN)) {
            if let Some(default) = spec.default {
                assert_eq!(check::value(spec, default), Ok(()), "{}", spec.key);
            }
        }
    }
}
