//! From settings to a running watcher.

use std::{future::Future, process::ExitCode, sync::Arc};

use notifier_runtime::{
    Cli, Context, Env, Exit, Fatal, Invocation, Masker, Parsed, Problems, WatcherSettings,
    http::{HttpServer, Interface},
    outbox::{OutboxSettings, Place},
    registry, signal,
};
use notifiers::{
    DEFAULT_INSTANCE, Result, SystemClock,
    engine::Summary,
    jiff::tz::TimeZone,
    mesos::{Backlog, MesosBuilder, MesosLogLocator, MesosSource, OPTIONS},
};

use crate::demo::Stage;

/// Builds what can be built without starting anything, so that all that is wrong is told at once.
pub(crate) fn check(parsed: &Parsed, problems: &mut Problems) {
    problems.take(source(parsed));
}

fn source(parsed: &Parsed) -> Result<(MesosSource, MesosLogLocator)> {
    let masters = parsed.program.list("masters");
    if masters.is_empty() {
        // Told already: it is required.
        return MesosBuilder::from_settings(
            ["http://unset"],
            &parsed.backend(OPTIONS).instance(""),
            Arc::new(SystemClock),
        )?
        .build();
    }
    let backlog = match parsed.program.text("backlog") {
        "report" => Backlog::Report,
        _ => Backlog::Skip,
    };
    MesosBuilder::from_settings(
        masters,
        &parsed.backend(OPTIONS).instance(""),
        Arc::new(SystemClock),
    )?
    .backlog(backlog)
    .build()
}

/// Watches until SIGTERM or SIGINT.
pub(crate) async fn watch_until_signal(cli: Cli, context: Context) -> Result<(), Fatal> {
    let Context {
        parsed,
        settings,
        masker,
        ..
    } = context;
    let stop = signal::shutdown()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot wait for signals: {e}")))?;
    let stop = async move {
        stop.await;
    };
    watch(&cli, &parsed, &settings, &masker, stop)
        .await
        .map(|_| ())
}

async fn watch(
    cli: &Cli,
    parsed: &Parsed,
    settings: &WatcherSettings,
    masker: &Masker,
    stop: impl Future<Output = ()> + Send,
) -> Result<Summary, Fatal> {
    let reporters = registry::build_all(parsed, settings)?;
    let uploader = registry::uploader(parsed, settings)?;
    let (source, locator) = source(parsed)?;
    let name = notifiers::Source::name(&source).to_owned();

    let outbox = settings.outbox.open()?;

    let learn = masker.clone();
    let mut engine = settings
        .engine()?
        .uploader(uploader)
        .outbox(outbox)
        .redactor(parsed.redactor())
        .on_secret_labels(move |secrets| learn.learn(secrets.iter().copied()))
        .zone(TimeZone::system())
        .locator(name, locator)
        .source(source);
    for (settings, reporter) in reporters {
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
        engine = engine.reporter_with(settings, reporter);
    }
    let engine = engine.build()?;

    let server = match &settings.listen {
        Some(address) => {
            let health = engine.clone();
            let interface = Interface::new(cli, parsed, settings, masker, move || health.health());
            Some(HttpServer::start(address, interface).await?)
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

/// Runs the demo if that is what the command line says.
pub(crate) fn demo_if_asked(cli: &Cli) -> Option<ExitCode> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let asked = args.iter().any(|a| a == "-demo" || a == "--demo");
    if !asked {
        return None;
    }
    let result = if args.len() > 1 {
        Err(Fatal::new(
            Exit::Usage,
            "-demo takes no other flags: it shows the command line that it runs".to_owned(),
        ))
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Fatal::new(Exit::Internal, format!("cannot start threads: {e}")))
            .and_then(|runtime| runtime.block_on(demo(cli)))
    };
    Some(match result {
        Ok(exit) => exit.into(),
        Err(fatal) => fatal.report(cli.name()),
    })
}

async fn demo(cli: &Cli) -> Result<Exit, Fatal> {
    let io = |e: std::io::Error| Fatal::new(Exit::Io, format!("cannot set up the demo: {e}"));
    let stage = Stage::new().await.map_err(io)?;
    let args = stage.command_line();
    let parsed = match cli.parse(
        args.iter().map(Into::into),
        &Env::from_pairs::<_, &str, &str>([]),
    ) {
        Ok(Invocation::Run(parsed)) => parsed,
        Ok(Invocation::Print(_)) => return Ok(Exit::Internal),
        Err(problems) => return Err(problems.into()),
    };
    let mut settings = WatcherSettings::read(&parsed.program)?;
    // The demo's failures are nobody's: none of them outlives it.
    settings.outbox = OutboxSettings::new(Place::Memory, settings.outbox.capacity);
    let masker = parsed.masker();
    notifier_runtime::log::init(&settings.log, &masker)?;

    stage.open();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = watch(cli, &parsed, &settings, &masker, async {
        let _ = stopped.await;
    });
    let playing = async {
        let tally = tokio::select! {
            tally = stage.play() => Some(tally),
            _ = tokio::signal::ctrl_c() => None,
        };
        let _ = stop.send(());
        tally
    };
    let (summary, tally) = tokio::join!(watching, playing);
    summary?;
    let Some(tally) = tally else {
        return Ok(Exit::Ok);
    };
    stage.close(&tally);
    Ok(if tally.missing + tally.twice == 0 {
        Exit::Ok
    } else {
        Exit::Internal
    })
}
