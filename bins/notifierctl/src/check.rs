//! `notifierctl check-config`.

use std::path::PathBuf;

use clap::ArgMatches;
use notifier_runtime::{
    Cli, Env, Exit, Fatal, Feed, Masker, Parsed, Problems, WatcherSettings, complain, registry,
};
use notifiers::{DEFAULT_INSTANCE, Markup, MessageTemplates, OptionKind, OptionSpec, chronos};
use serde_json::json;

use crate::{NAME, print};

pub(crate) fn run(m: &ArgMatches, env: &Env) -> Exit {
    let path = m.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    let as_json = m.get_flag("json");
    let cli = Cli::every_watcher(env!("CARGO_PKG_VERSION"));
    match cli
        .check_file(&path, env)
        .and_then(|p| Ok((deeper(&p)?, p)))
    {
        Ok((settings, parsed)) => {
            let uploader = parsed.program.get("uploader");
            if as_json {
                let out = json!({
                    "ok": true,
                    "file": path.display().to_string(),
                    "name": settings.name,
                    "reporters": settings.reporters,
                    "uploader": uploader,
                });
                return print(NAME, &format!("{out}\n"));
            }
            let reporters = match settings.reporters.as_slice() {
                [] => "none here".to_owned(),
                some => some.join(", "),
            };
            let out = format!(
                "{} is fine: name {}, reporters {reporters}, uploader {}\n",
                path.display(),
                settings.name,
                uploader.unwrap_or("none here"),
            );
            print(NAME, &out)
        }
        Err(problems) if as_json => {
            let list: Vec<&str> = problems.iter().collect();
            let out = json!({ "ok": false, "file": path.display().to_string(), "errors": list });
            match print(NAME, &format!("{out}\n")) {
                Exit::Ok => Exit::Usage,
                other => other,
            }
        }
        Err(problems) => complain(NAME, &Masker::default(), &Fatal::from(problems)),
    }
}

/// Builds the backends that are asked for, but those that open files by that.
fn backends(parsed: &Parsed, asked: Option<&WatcherSettings>, problems: &mut Problems) {
    let Some(client) = problems.take(registry::http_client(parsed)) else {
        return;
    };
    let is_asked = |name: &str| asked.is_some_and(|a| a.reporters.iter().any(|r| r == name));
    for factory in registry::reporters(&client) {
        let settings = parsed.backend(factory.options());
        let options = factory.options().options;
        let default = settings.instance(DEFAULT_INSTANCE);
        let names_a_file =
            |o: &&OptionSpec| o.kind == OptionKind::Path && default.get(o.key).is_some();
        if is_asked(factory.options().name) && options.iter().find(names_a_file).is_none() {
            problems.take(factory.build(&settings));
            continue;
        }
        for o in options.iter().filter(|o| o.kind == OptionKind::Template) {
            problems.take(MessageTemplates::compile(&settings, o.key, Markup::Plain));
        }
    }
    if let Some(asked) = asked
        && parsed.program.get("uploader").is_some()
        && let Err(wrong) = registry::uploader(parsed, asked)
    {
        for line in wrong.iter() {
            problems.push(line);
        }
    }
}

/// What a watcher would find when it starts, as far as it can be found without
/// opening what reporters write to, or asking anybody.
fn deeper(parsed: &Parsed) -> Result<WatcherSettings, Problems> {
    let mut problems = Problems::new();
    let settings = problems.take(WatcherSettings::read(&parsed.program));
    backends(parsed, settings.as_ref(), &mut problems);
    let chronos = parsed.backend(chronos::OPTIONS).instance("");
    if chronos.get("urls").is_some() {
        problems.take(Feed::chronos(parsed));
    } else if !parsed.program.list("masters").is_empty() {
        problems.take(Feed::mesos(parsed));
    }
    if let Some(settings) = &settings {
        problems.take(settings.engine());
    }
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems.masked(&parsed.redactor())),
    }
}
