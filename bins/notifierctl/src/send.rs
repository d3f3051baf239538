//! `notifierctl send`.

use std::{ffi::OsString, time::Duration};

use clap::ArgMatches;
use notifier_runtime::{
    Cli, Env, Exit, Fatal, Invocation, Masker, Parsed, Problems, WatcherSettings, log, registry,
};
use notifiers::{
    BackendSettings, DEFAULT_INSTANCE, Delivery, DeliveryId, Error, ErrorKind, Links, Next,
    OptionKind, OptionSpec, Receipt, Report, ReportOptions, Retry, Settings, TargetReceipt,
};
use serde_json::{Value, json};

use crate::{NAME, input, print};

/// Options beside a watcher's.
const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("failure", "the failure as JSON; - is the standard input")
        .kind(OptionKind::Path),
    OptionSpec::new("instance", "the instance of the reporter").default(DEFAULT_INSTANCE),
    OptionSpec::new("stdout-url", "the address of the log stdout"),
    OptionSpec::new("stderr-url", "the address of the log stderr"),
    OptionSpec::new(
        "generation",
        "part of the delivery's id: 0 is the watcher's own, and one more with each replay",
    )
    .kind(OptionKind::Integer)
    .default("1"),
    OptionSpec::new("timeout", "how long it may take in all")
        .kind(OptionKind::Duration)
        .default("60s"),
    OptionSpec::new("json", "print one JSON object")
        .kind(OptionKind::Bool)
        .default("false"),
];

fn cli() -> Cli {
    Cli::every_watcher(env!("CARGO_PKG_VERSION"))
        .for_tool(
            "notifierctl send REPORTER",
            "Sends one report now, and prints who has it. Reads the settings of a watcher; \
             options that have no part in sending are taken and do nothing.",
        )
        .program("Report", OPTIONS)
        .require(&["failure"])
}

pub(crate) fn run(m: &ArgMatches, env: &Env) -> Result<Exit, Fatal> {
    let name = m.get_one::<String>("reporter").cloned().unwrap_or_default();
    if matches!(name.as_str(), "-h" | "-help" | "--help") {
        return Ok(print(NAME, &cli().help()));
    }
    let mut args: Vec<OsString> = m
        .get_many::<OsString>("rest")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    // The last of a flag counts: only this reporter's values are looked at.
    args.push(format!("-reporters={name}").into());
    let parsed = match cli().parse(args, env)? {
        Invocation::Run(parsed) => parsed,
        Invocation::Print(text) => return Ok(print(NAME, &text)),
    };
    let settings = WatcherSettings::read(&parsed.program)?;
    let masker = parsed.masker();
    // What a backend has to say goes to the standard error output; the default is quiet.
    let level = if parsed.program.origin("log.level") == Some(notifiers::Origin::Default) {
        log::LogSettings::new("warn", parsed.program.text("log.format"))?
    } else {
        settings.log.clone()
    };
    log::init(&level, &masker)?;
    crate::block_on(send(&name, &parsed, &settings, &masker)).map_err(|f| {
        let message = masker.mask(&f.message).into_owned();
        Fatal::new(f.exit, message)
    })
}

/// The flags that could say where to send.
fn unset(backend: &BackendSettings, settings: &Settings) -> String {
    let group = backend.group();
    let flags = group
        .options
        .iter()
        .filter(|o| o.label && settings.get(o.key).is_none());
    flags
        .map(|o| format!("-{}", group.flag(o)))
        .collect::<Vec<_>>()
        .join(", ")
}

async fn send(
    name: &str,
    parsed: &Parsed,
    settings: &WatcherSettings,
    masker: &Masker,
) -> Result<Exit, Fatal> {
    let p = &parsed.program;
    let failure = input::failure(p.text("failure"))?;
    masker.learn(failure.secret_labels());
    let built = registry::build_all(parsed, settings)?;
    let Some((backend, reporter)) = built.into_iter().next() else {
        return Err(Problems::from(Error::config(format!("there is no reporter {name:?}"))).into());
    };
    let instance = p.text("instance").to_owned();
    let grammar = settings.grammar.clone();
    let resolved = backend.resolve(&grammar.scope(&failure.labels), &instance);
    for wrong in resolved.invalid() {
        tracing::warn!("{wrong}; it is ignored");
    }
    let Some(destination) = reporter.destination(&resolved)? else {
        return Err(Fatal::new(
            Exit::Usage,
            format!(
                "{name}, instance {instance}: nothing is set to send to; set {}",
                unset(&backend, &resolved)
            ),
        ));
    };
    let generation = p
        .integer("generation")
        .and_then(|g| g.try_into().ok())
        .unwrap_or(u32::MAX);
    let id = DeliveryId::derive(&settings.name, &failure.key, name, &instance, generation);
    let labels = failure.labels.clone();
    let (reporter_name, of) = (name.to_owned(), instance.clone());
    let report = Report::failure(failure)
        .with_links(Links::new(p.text("stdout-url"), p.text("stderr-url")))
        .with_redactor(masker.redactor())
        .with_config(move |key| {
            grammar
                .scope(&labels)
                .get(&reporter_name, &of, key)
                .unwrap_or_default()
                .to_owned()
        });
    let options = ReportOptions::new(&id, &resolved);
    let limit = p.duration("timeout").unwrap_or(Duration::from_secs(60));
    let answer = match tokio::time::timeout(limit, reporter.report(&report, &options)).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("no end within {limit:?}"),
        )),
    };
    // An error stands for all targets.
    let receipt = answer.unwrap_or_else(|e| Receipt::default().and(destination.as_str(), Err(e)));

    let out = if p.bool("json") {
        let targets: Vec<Value> = receipt.targets.iter().map(target_json).collect();
        let warnings: Vec<String> = receipt
            .warnings
            .iter()
            .map(|w| w.report().to_string())
            .collect();
        let whole = json!({
            "reporter": name,
            "instance": instance,
            "id": id.as_str(),
            "destination": destination.as_str(),
            "targets": targets,
            "warnings": warnings,
        });
        format!("{whole}\n")
    } else {
        let mut out: String = receipt.targets.iter().map(target_line).collect();
        for w in &receipt.warnings {
            out.push_str(&format!("warning: {}\n", w.report()));
        }
        out
    };
    let printed = print(NAME, &masker.mask(&out));
    Ok(if printed == Exit::Ok {
        exit(&receipt)
    } else {
        printed
    })
}

fn exit(receipt: &Receipt) -> Exit {
    match receipt.next() {
        Next::Done => Exit::Ok,
        Next::Retry { .. } => Exit::Unavailable,
        _ => match receipt.error() {
            Some(e) if matches!(e.kind(), ErrorKind::Config | ErrorKind::Internal) => Exit::of(e),
            _ => Exit::Data,
        },
    }
}

fn target_line(t: &TargetReceipt) -> String {
    match &t.verdict {
        Ok(d) => {
            let id =
                d.id.as_deref()
                    .map(|i| format!(", id {i}"))
                    .unwrap_or_default();
            let url = d
                .url
                .as_deref()
                .map(|u| format!(", {u}"))
                .unwrap_or_default();
            format!("{}: delivered{id}{url}\n", t.target)
        }
        Err(e) => {
            let again = match e.retry() {
                Retry::Later { after: Some(d) } => format!("may be tried again in {d:?}"),
                Retry::Later { after: None } => "may be tried again".to_owned(),
                _ => "refused".to_owned(),
            };
            let unknown = match e.delivery() {
                Delivery::Unknown => ", may have arrived",
                _ => "",
            };
            format!(
                "{}: {again}{unknown} ({}): {}\n",
                t.target,
                e.kind(),
                e.report()
            )
        }
    }
}

fn target_json(t: &TargetReceipt) -> Value {
    match &t.verdict {
        Ok(d) => json!({ "target": t.target, "delivered": true, "id": d.id, "url": d.url }),
        Err(e) => {
            let after = match e.retry() {
                Retry::Later { after } => after.map(|d| d.as_secs_f64()),
                _ => None,
            };
            json!({
                "target": t.target,
                "delivered": if e.delivery() == Delivery::Unknown { Value::Null } else { Value::from(false) },
                "error": {
                    "kind": e.kind().as_str(),
                    "message": e.report().to_string(),
                    "code": e.code(),
                    "retryable": e.is_retryable(),
                    "retry_after_seconds": after,
                },
            })
        }
    }
}
