//! `notifierctl render`.

use std::collections::BTreeMap;

use clap::ArgMatches;
use notifier_runtime::{Exit, Fatal};
use notifiers::{ErrorKind, Links, Markup, Report, render_once};
use serde_json::{Value, json};

use crate::{NAME, cli::given, input, print};

pub(crate) fn run(m: &ArgMatches) -> Result<Exit, Fatal> {
    let template = match (given(m, "template"), given(m, "template-file")) {
        (Some(text), _) => text.to_owned(),
        (None, Some(path)) => input::read(path)?,
        (None, None) => {
            return Err(Fatal::new(
                Exit::Usage,
                "--template T or --template-file F is needed",
            ));
        }
    };
    let mut config = BTreeMap::new();
    for pair in m.get_many::<String>("config").into_iter().flatten() {
        let Some((k, v)) = pair.split_once('=') else {
            return Err(Fatal::new(Exit::Usage, "--config takes KEY=VALUE"));
        };
        config.insert(k.to_owned(), v.to_owned());
    }
    let markup = match given(m, "markup") {
        Some("slack") => Markup::Slack,
        Some("html") => Markup::Html,
        _ => Markup::Plain,
    };
    let failure = input::failure(given(m, "failure").unwrap_or("-"))?;
    let links = Links::new(
        given(m, "stdout-url").unwrap_or_default(),
        given(m, "stderr-url").unwrap_or_default(),
    );
    let report = Report::failure(failure)
        .with_links(links)
        .with_config(move |key| config.get(key).cloned().unwrap_or_default());

    let as_json = m.get_flag("json");
    match render_once(&template, markup, &report) {
        Ok(text) if as_json => Ok(print(NAME, &format!("{}\n", json!({ "text": text })))),
        Ok(text) => Ok(print(NAME, &text)),
        Err(e) if e.kind() != ErrorKind::Template => Err(e.into()),
        Err(e) if as_json => {
            let printed = print(
                NAME,
                &format!("{}\n", json!({ "error": fault(&e.to_string()) })),
            );
            Ok(if printed == Exit::Ok {
                Exit::Data
            } else {
                printed
            })
        }
        Err(e) => Err(Fatal::new(Exit::Data, format!("template: {e}"))),
    }
}

/// The parts of `parse error at 1:3: unexpected …`.
fn fault(text: &str) -> Value {
    let parts = || {
        let (stage, rest) = text.split_once(" error at ")?;
        let (line, rest) = rest.split_once(':')?;
        let (column, message) = rest.split_once(": ")?;
        let (line, column): (u64, u64) = (line.parse().ok()?, column.parse().ok()?);
        Some(json!({ "stage": stage, "line": line, "column": column, "message": message }))
    };
    parts()
        .unwrap_or_else(|| json!({ "stage": null, "line": null, "column": null, "message": text }))
}
