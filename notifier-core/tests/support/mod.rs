//! What the engine's tests share.

use notifier_core::{Engine, FailureRecord, Result, TokioClock, engine, jiff};
use tokio::sync::oneshot;

pub(crate) fn failure(id: &str) -> FailureRecord {
    FailureRecord::new(id, id, "TASK_FAILED", jiff::Timestamp::UNIX_EPOCH)
}

pub(crate) fn t0() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A clock that follows tokio's.
pub(crate) fn clock() -> TokioClock {
    TokioClock::new(t0())
}

/// An engine that runs in a task.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    pub(crate) task: tokio::task::JoinHandle<Result<engine::Summary>>,
}

pub(crate) fn start(engine: &Engine) -> Running {
    let (stop, stopped) = oneshot::channel();
    let engine = engine.clone();
    let task = tokio::spawn(async move {
        let stopped = async {
            stopped.await.ok();
        };
        engine.run(stopped).await
    });
    Running { stop, task }
}

impl Running {
    pub(crate) async fn stop(self) -> engine::Summary {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap()
    }
}
