//! Checking on and on, and telling of it by HTTP.

mod allow;
mod board;
mod routes;
mod schedule;

use std::{sync::Arc, time::Duration};

use notifier_runtime::{Env, Exit, Fatal, Masker, http::HttpServer, log, signal};
use notifiers::SystemClock;

pub(crate) use self::{
    allow::Pattern,
    board::Board,
    routes::{App, router},
    schedule::{Schedule, Seen},
};
use crate::{NAME, plan::Plan, watch};

/// How many probes are made at once.
pub(crate) const MOST_AT_ONCE: usize = 8;

/// Serves and watches until a signal.
pub(crate) fn run(plan: Plan, env: &Env) -> Result<(), Fatal> {
    if plan.run.bool("watch") {
        return watch::run(plan, env);
    }
    let word = |name, usual: &'static str| match env.get(name) {
        Some(Ok(value)) => value.to_owned(),
        _ => usual.to_owned(),
    };
    let settings = log::LogSettings::new(
        &word("NOTIFIER_LOG_LEVEL", "info"),
        &word("NOTIFIER_LOG_FORMAT", "text"),
    )?;
    log::init(&settings, &Masker::default())?;
    let runtime = runtime()?;
    let result = runtime.block_on(serve(plan));
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// A runtime for a service.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Fatal> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(NAME)
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot start threads: {e}")))
}

/// A future that is ready at SIGTERM or SIGINT.
pub(crate) fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, Fatal> {
    let signal = signal::shutdown()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot wait for signals: {e}")))?;
    Ok(async move {
        signal.await;
    })
}

async fn serve(plan: Plan) -> Result<(), Fatal> {
    let stop = stopped()?;
    let address = plan.run.text("listen").unwrap_or_default().to_owned();
    let plan = Arc::new(plan);
    let board = Board::new(&plan, Arc::new(SystemClock));
    let app = App::new(Arc::clone(&plan), Arc::clone(&board), None);
    let server = HttpServer::start(&address, router(app)).await?;
    let schedule = Schedule::start(board, None);
    tracing::info!(targets = plan.jobs.len(), "checking");
    stop.await;
    server.stop().await;
    schedule.stop().await;
    Ok(())
}
