//! A watched fake fleet.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::StreamExt as _;
use notifier_core::{FailureKey, FailureRecord, Source as _};
use notifier_testkit::fleet::{FakeFleet, UnitSpec};
use serde_json::Value;
use source_fleet::{FleetBuilder, FleetSource};
use tokio::task::JoinHandle;

/// Longer than any test takes: who waits for so long waits for something else.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// As long as a condition is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A fleet of two machines and some units that run.
pub(crate) async fn fleet(units: usize) -> FakeFleet {
    let fleet = FakeFleet::start().await.unwrap();
    let model = fleet.model();
    model.machine("m1", "10.0.0.1", [("region", "eu")]);
    model.machine("m2", "10.0.0.2", [("region", "us")]);
    for n in 0..units {
        let name = name(n);
        model.unit(
            UnitSpec::new(&name)
                .on("m1")
                .option("Unit", "X-Notifier-Team", "web"),
        );
        model.run(&name, "m1");
    }
    fleet
}

pub(crate) fn name(n: usize) -> String {
    format!("web@{n:03}.service")
}

/// A source that looks often and is never impatient.
pub(crate) fn quick(endpoints: &str) -> FleetBuilder {
    FleetSource::builder([endpoints])
        .interval(Duration::from_millis(10))
        .timeout(LONG)
        .settle(LONG)
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) keys: HashSet<FailureKey>,
    pub(crate) cursor: Option<Value>,
    pub(crate) failures: Vec<FailureRecord>,
    pub(crate) errors: Vec<String>,
    /// What batches were in trouble with.
    pub(crate) troubles: Vec<String>,
    /// The last item was an error, or a batch with trouble.
    pub(crate) is_ill: bool,
    pub(crate) batches: usize,
}

/// Takes in everything that a source hands over, as the engine does.
pub(crate) struct Audience {
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Audience {
    pub(crate) fn of(builder: FleetBuilder) -> Self {
        Self::resuming(builder, Told::default())
    }

    /// One that goes on where another one ended.
    pub(crate) fn resuming(builder: FleetBuilder, store: Told) -> Self {
        let source = builder.build().unwrap();
        let mut events = Box::new(source).events(store.cursor.clone());
        let told = Arc::new(Mutex::new(store));
        let ear = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Some(item) = events.next().await {
                let mut told = ear.lock().unwrap();
                match item {
                    Ok(batch) => {
                        told.is_ill = batch.trouble.is_some();
                        told.troubles
                            .extend(batch.trouble.map(|e| e.report().to_string()));
                        told.batches += 1;
                        told.cursor = batch.cursor.or(told.cursor.take());
                        for failure in batch.failures {
                            if told.keys.insert(failure.key.clone()) {
                                told.failures.push(failure);
                            }
                        }
                        batch.ack.done();
                    }
                    Err(e) => {
                        told.is_ill = true;
                        told.errors.push(e.report().to_string());
                    }
                }
            }
        });
        Self { told, task }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Told) -> bool) {
        let wait = async {
            while !is_so(&self.told()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("not so: {what}: {:?}", self.told());
        }
    }

    /// Waits until the first look is over.
    pub(crate) async fn ready(&self) {
        self.until("the first look", |t| t.batches > 0).await;
    }

    /// Ends it; what it leaves behind.
    pub(crate) async fn end(mut self) -> Told {
        self.task.abort();
        let _ = (&mut self.task).await;
        std::mem::take(&mut *self.told())
    }
}

/// Waits until so many whole lists were begun after now: one of them saw what is there.
pub(crate) async fn looks(fleet: &FakeFleet, n: usize) {
    let lists = || {
        let is_first = |r: &notifier_testkit::http::Request| {
            r.path().ends_with("/state") && r.param("nextPageToken").is_none()
        };
        fleet.server().count_requests(is_first)
    };
    let enough = lists() + n + 1;
    let wait = async {
        while lists() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it looks");
}
