//! The engine inside a program of your own: it runs in a task, and failures are
//! submitted as they happen.
//!
//! `cargo run -p notifier-examples --example embed_engine`
#![expect(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;

use notifiers::{
    Engine, FailureRecord, FrameworkFilter, Result, jiff::Timestamp, memory::MemoryReporter,
};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let reporter = Arc::new(MemoryReporter::new());
    let engine = Engine::builder("default")
        .filter(FrameworkFilter::new(["^batch"], ["-dev$"])?)
        .reporter(Arc::clone(&reporter))
        .build()?;

    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn({
        let engine = engine.clone();
        async move {
            engine
                .run(async {
                    stopped.await.ok();
                })
                .await
        }
    });

    for (id, framework) in [
        ("load.1", "batch"),
        ("load.2", "batch-dev"),
        ("web.1", "web"),
    ] {
        let mut failure = FailureRecord::new(id, id, "TASK_FAILED", Timestamp::UNIX_EPOCH);
        failure.framework = framework.into();
        println!("{id}: {:?}", engine.explain(&failure).routes);
        engine.submit(&failure).await?; // returns when it is kept
    }

    stop.send(()).ok();
    let summary = running
        .await
        .map_err(|e| notifiers::Error::internal(e.to_string()))??;
    println!("{:?}", reporter.texts());
    println!("delivered {}, open {}", summary.delivered, summary.open);
    Ok(())
}
