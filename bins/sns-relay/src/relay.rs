//! The relay over HTTP: from settings to a server.

use std::{path::Path, sync::Arc};

use notifier_runtime::{
    Cli, Context, Exit, Fatal, Feed, Parsed, Problems,
    http::{Interface, ServerTls},
    registry, signal,
};
use notifiers::{
    Error, Result,
    sns_source::{Handler, HandlerBuilder, OPTIONS},
};

use crate::routes;

/// All that is wrong with the settings.
pub(crate) fn check(parsed: &Parsed, problems: &mut Problems) {
    problems.take(handler(parsed));
    problems.take(path(parsed));
    problems.take(tls(parsed));
    if parsed.program.get("listen").is_none() {
        problems.push("listen: set the address that SNS posts to, HOST:PORT or :PORT (-listen, COMPLAINER_LISTEN or PORT)");
    }
}

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(cli: Cli, context: Context) -> Result<(), Fatal> {
    let stop = signal::shutdown()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot wait for signals: {e}")))?;
    let handler = Arc::new(handler(&context.parsed)?);
    let path = path(&context.parsed)?;
    let tls = tls(&context.parsed)?;
    for topic in handler.topics() {
        tracing::info!(%topic, path, https = tls.is_some(), "takes what is published to it");
    }
    let (own, settings) = (cli.clone(), context.settings.clone());
    let (parsed, masker) = (context.parsed.clone(), context.masker.clone());
    let feed = Feed::posted(move |engine| {
        let health = engine.clone();
        let interface = Interface::new(&own, &parsed, &settings, &masker, move || health.health());
        interface
            .router()
            .merge(routes::of(handler, engine.clone(), &path))
    })
    .tls(tls);
    let stop = async {
        stop.await;
    };
    notifier_runtime::watch(&cli, &context, |_| Ok(feed), stop)
        .await
        .map(|_| ())
}

fn handler(parsed: &Parsed) -> Result<Handler> {
    let settings = parsed.backend(OPTIONS).instance("");
    let prefix = parsed.program.text("label-prefix");
    let client = registry::http_client(parsed)?;
    HandlerBuilder::from_settings(&settings, prefix, client).build()
}

/// The path that SNS posts to.
fn path(parsed: &Parsed) -> Result<String> {
    let settings = parsed.backend(OPTIONS).instance("");
    let path = settings.text("path");
    let wrong = |what: &str| {
        Error::config(format!(
            "relay.path: {path:?} {what} (-relay.path or RELAY_PATH)"
        ))
    };
    let is_plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~');
    if !path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(wrong("is no path, such as /sns"));
    }
    let own = ["/health", "/version", "/debug"];
    if own
        .iter()
        .any(|o| path == *o || path.starts_with(&format!("{o}/")))
    {
        return Err(wrong("is one of the relay's own; choose another"));
    }
    Ok(path.to_owned())
}

fn tls(parsed: &Parsed) -> Result<Option<ServerTls>> {
    let settings = parsed.backend(OPTIONS).instance("");
    match (settings.get("tls_cert"), settings.get("tls_key")) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => ServerTls::load(Path::new(cert), Path::new(key)).map(Some),
        _ => Err(Error::config(
            "relay.tls_cert: it and relay.tls_key go together: set both, or neither for HTTP behind a proxy",
        )),
    }
}
