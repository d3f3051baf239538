//! The demonstration: a whole watcher beside a bundled cluster.

use std::process::ExitCode;

use notifier_runtime::{
    Cli, Context, Env, Exit, Fatal, Feed, Invocation,
    outbox::{OutboxSettings, Place},
    watch,
};
use notifiers::Result;

use crate::demo::Stage;

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
    let mut context = Context::new(parsed)?;
    // The demo's failures are nobody's: none of them outlives it.
    let capacity = context.settings.outbox.capacity;
    context.settings.outbox = OutboxSettings::new(Place::Memory, capacity);
    notifier_runtime::log::init(&context.settings.log, &context.masker)?;

    stage.open();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = watch(cli, &context, Feed::mesos, async {
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
