//! From settings and a feed to a running watcher.

use std::{future::Future, sync::Arc};

use notifiers::{
    BackendSettings, DEFAULT_INSTANCE, Reporter, Result, SystemClock, Uploader,
    engine::{EngineBuilder, Summary},
    jiff::tz::TimeZone,
};

use crate::{
    Cli, Context, Exit, Fatal, Feed, Parsed,
    http::{HttpServer, Interface},
    registry, signal,
};

/// Watches until SIGTERM or SIGINT.
///
/// # Errors
/// What is wrong with the settings, or what ended it.
pub async fn watch_until_signal(
    cli: Cli,
    context: Context,
    feed: impl FnOnce(&Parsed) -> Result<Feed>,
) -> Result<(), Fatal> {
    let stop = signal::shutdown()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot wait for signals: {e}")))?;
    let stop = async move {
        stop.await;
    };
    watch(&cli, &context, feed, stop).await.map(|_| ())
}

/// Watches what the feed shows until `stop` is ready: builds the reporters and the uploader,
/// opens the outbox, serves the HTTP interface, and runs the engine.
///
/// # Errors
/// What is wrong with the settings, or what ended it.
pub async fn watch(
    cli: &Cli,
    context: &Context,
    feed: impl FnOnce(&Parsed) -> Result<Feed>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Summary, Fatal> {
    let Context {
        parsed,
        settings,
        masker,
    } = context;
    // In this order: what is wrong with reporters is told before anything is opened.
    let reporters = registry::build_all(parsed, settings)?;
    let uploader = registry::uploader(parsed, settings)?;
    let feed = feed(parsed)?;
    let mut engine = engine(context, reporters, uploader)?;
    for (name, locator) in feed.locators {
        engine = engine.locator(name, locator);
    }
    for source in feed.sources {
        engine = engine.source(source);
    }
    let engine = engine.build()?;

    let server = match &settings.listen {
        Some(address) => {
            let routes = match feed.routes {
                Some(routes) => routes(&engine),
                None => {
                    let health = engine.clone();
                    Interface::new(cli, parsed, settings, masker, move || health.health()).router()
                }
            };
            Some(HttpServer::start_with(address, routes, feed.tls).await?)
        }
        None => None,
    };
    tracing::info!(
        name = %settings.name,
        version = cli.version(),
        reporters = settings.reporters.join(","),
        uploader = %settings.uploader,
        outbox = %settings.outbox.place,
        "watching"
    );
    let summary = engine.run(stop).await;
    if let Some(server) = server {
        server.stop().await;
    }
    let summary = summary?;
    tracing::info!(
        delivered = summary.delivered,
        dead = summary.dead,
        open = summary.open,
        "stopped"
    );
    Ok(summary)
}

/// An engine of these settings with its outbox open, without sources.
pub(crate) fn engine(
    context: &Context,
    reporters: Vec<registry::Built>,
    uploader: Arc<dyn Uploader>,
) -> Result<EngineBuilder, Fatal> {
    let settings = &context.settings;
    let outbox = settings.outbox.open()?;
    let learn = context.masker.clone();
    let mut engine = settings
        .engine()?
        .clock(SystemClock)
        .uploader(uploader)
        .outbox(outbox)
        .redactor(context.parsed.redactor())
        .on_secret_labels(move |secrets| learn.learn(secrets.iter().copied()))
        .zone(TimeZone::system());
    for (settings, reporter) in reporters {
        warn_if_unset(&settings, reporter.as_ref());
        engine = engine.reporter_with(settings, reporter);
    }
    Ok(engine)
}

/// Says that a reporter has nowhere to send to but where labels say.
fn warn_if_unset(settings: &BackendSettings, reporter: &dyn Reporter) {
    let default = settings.instance(DEFAULT_INSTANCE);
    if let Ok(None) = reporter.destination(&default) {
        let options: Vec<String> = settings
            .group()
            .options
            .iter()
            .filter(|o| o.label && default.get(o.key).is_none())
            .map(|o| format!("-{}", settings.group().flag(o)))
            .collect();
        tracing::warn!(
            reporter = settings.name(),
            unset = options.join(" "),
            "nothing is set to send to: only tasks whose labels say so are told of"
        );
    }
}
