//! Another scheduler's own job type implements `Failure`, and a source of your own
//! hands its failures over.
//!
//! `cargo run -p notifier-examples --example custom_source`
#![expect(clippy::print_stdout, reason = "an example")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use notifiers::{
    Batch, Engine, Failure, FailureRecord, Result, Source, jiff::Timestamp, memory::MemoryReporter,
};

/// What our scheduler has; it knows nothing of notifications.
#[derive(Debug)]
struct CronJob {
    unit: String,
    command: String,
    ended: Timestamp,
    exit: i32,
    tags: BTreeMap<String, String>,
}

impl Failure for CronJob {
    fn id(&self) -> &str {
        &self.unit
    }
    fn name(&self) -> &str {
        &self.command
    }
    fn state(&self) -> &str {
        "EXITED"
    }
    fn finished(&self) -> Timestamp {
        self.ended
    }
    fn exit_code(&self) -> Option<i32> {
        Some(self.exit)
    }
    fn labels(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
        Box::new(self.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }
    fn source(&self) -> &str {
        "cron"
    }
}

/// Watches the scheduler. Here: two looks at its list of ended jobs.
#[derive(Debug)]
struct CronSource {
    looks: Vec<Vec<CronJob>>,
}

impl Source for CronSource {
    fn name(&self) -> &str {
        "cron"
    }

    fn events(
        self: Box<Self>,
        _cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        stream::iter(self.looks)
            .map(|jobs| {
                let failed: Vec<FailureRecord> = jobs
                    .iter()
                    .filter(|j| j.exit != 0)
                    .map(FailureRecord::from_failure)
                    .collect();
                let count = failed.len();
                Ok(Batch::new(failed)
                    .with_ack(move || println!("{count} kept, the scheduler may forget them")))
            })
            .boxed()
    }
}

fn job(unit: &str, exit: i32) -> CronJob {
    CronJob {
        unit: unit.into(),
        command: format!("/opt/{unit}"),
        ended: Timestamp::UNIX_EPOCH,
        exit,
        tags: BTreeMap::new(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let reporter = Arc::new(MemoryReporter::new());
    let source = CronSource {
        // The second look lists `backup` again: it is told once.
        looks: vec![
            vec![job("backup", 1), job("rotate", 0)],
            vec![job("backup", 1), job("report", 2)],
        ],
    };
    let engine = Engine::builder("default")
        .reporter(Arc::clone(&reporter))
        .source(source)
        .build()?;
    engine
        .run(async {
            while reporter.texts().len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
        })
        .await?;
    for text in reporter.texts() {
        println!("{text}");
    }
    Ok(())
}
