//! The whole source over a model of fleet, without a socket, with paused time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, future::BoxFuture};
use notifier_core::{FailureRecord, Source as _, TokioClock, bytes::Bytes, jiff::Timestamp};
use notifier_testkit::fleet::{FleetModel, UnitSpec};

use super::*;
use crate::http::Get;

const INTERVAL: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(60);

/// A model, asked without a socket.
#[derive(Debug)]
struct Direct {
    model: FleetModel,
    /// So many requests fail first.
    failing: AtomicUsize,
    /// Requests for single units fail.
    hides_units: bool,
}

impl Get for Direct {
    fn endpoints(&self) -> usize {
        1
    }

    fn shown(&self, _: usize) -> String {
        "fleet".to_owned()
    }

    fn get<'a>(&'a self, _: usize, target: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let left = self.failing.load(Ordering::Relaxed);
            if left > 0 {
                self.failing.store(left - 1, Ordering::Relaxed);
                return Err(Error::new(ErrorKind::Unavailable, "fleet answered 500"));
            }
            if self.hides_units && target.contains("/units/") {
                return Err(Error::new(ErrorKind::Unavailable, "fleet answered 503"));
            }
            match self.model.get(target) {
                (200, body) => Ok(Some(body.into())),
                (404, _) => Ok(None),
                (status, body) => Err(Error::internal(format!("{status} {body}"))),
            }
        })
    }
}

/// A watched model.
struct Watched {
    events: BoxStream<'static, Result<Batch>>,
    cursor: Option<Value>,
    told: Vec<FailureRecord>,
    keys: BTreeSet<String>,
    errors: usize,
}

fn source(
    direct: Direct,
    set: impl FnOnce(crate::FleetBuilder) -> crate::FleetBuilder,
) -> FleetSource {
    let base = Timestamp::from_second(1_452_337_200).unwrap();
    let builder = FleetSource::builder(["http://unused"])
        .interval(INTERVAL)
        .settle(SETTLE)
        .clock(Arc::new(TokioClock::new(base)));
    set(builder).over(Arc::new(direct))
}

fn direct(model: &FleetModel) -> Direct {
    Direct {
        model: model.clone(),
        failing: AtomicUsize::new(0),
        hides_units: false,
    }
}

impl Watched {
    fn new(source: FleetSource, cursor: Option<Value>) -> Self {
        Self {
            events: Box::new(source).events(cursor.clone()),
            cursor,
            told: Vec::new(),
            keys: BTreeSet::new(),
            errors: 0,
        }
    }

    fn of(model: &FleetModel) -> Self {
        Self::new(source(direct(model), |b| b), None)
    }

    /// Takes all that comes within a time; how many failures are new.
    async fn within(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let before = self.told.len();
        while let Ok(item) = tokio::time::timeout_at(end, self.events.next()).await {
            match item.unwrap() {
                Ok(batch) => {
                    self.cursor = batch.cursor.clone().or(self.cursor.take());
                    for failure in &batch.failures {
                        if self.keys.insert(failure.key.to_string()) {
                            self.told.push(failure.clone());
                        }
                    }
                    batch.ack.done();
                }
                Err(_) => self.errors += 1,
            }
        }
        self.told.len() - before
    }

    /// One look.
    async fn look(&mut self) -> usize {
        self.within(INTERVAL).await
    }
}

fn two() -> FleetModel {
    let model = FleetModel::new();
    model.machine("m1", "10.0.0.1", [("region", "eu")]);
    model.machine("m2", "10.0.0.2", []);
    model.unit(
        UnitSpec::new("a.service")
            .on("m1")
            .option("X-Notifier", "team", "web"),
    );
    model.run("a.service", "m1");
    model
}

#[tokio::test(start_paused = true)]
async fn a_failure_has_all_that_fleet_knows_and_is_told_once() {
    let model = two();
    let mut w = Watched::of(&model);
    assert_eq!(w.look().await, 0);
    model.fail("a.service", "m1");
    assert_eq!(w.look().await, 1);
    let told = &w.told[0];
    assert_eq!(
        (told.host.as_str(), told.state.as_str()),
        ("10.0.0.1", "FAILED")
    );
    assert_eq!(
        (told.source.as_str(), told.labels["team"].as_str()),
        ("fleet", "web")
    );
    assert_eq!(told.details["metadata_region"], "eu");
    assert_eq!(w.within(SETTLE * 3).await, 0);
    model.restart("a.service", "m1");
    assert_eq!(w.look().await, 0);
    model.fail("a.service", "m1");
    assert_eq!(w.look().await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_had_failed_before_is_told_if_asked_for() {
    let model = two();
    model.fail("a.service", "m1");
    assert_eq!(Watched::of(&model).within(SETTLE).await, 0);
    let report = source(direct(&model), |b| b.backlog(Backlog::Report));
    assert_eq!(Watched::new(report, None).within(SETTLE).await, 1);
}

#[tokio::test(start_paused = true)]
async fn labels_are_waited_for_but_not_for_ever() {
    let model = two();
    let blind = Direct {
        hides_units: true,
        ..direct(&model)
    };
    let mut w = Watched::new(source(blind, |b| b), None);
    w.look().await;
    model.fail("a.service", "m1");
    w.look().await;
    model.run("a.service", "m1");
    assert_eq!(w.within(SETTLE - INTERVAL * 3).await, 0);
    // It is held over a restart as well.
    let mut again = Watched::new(source(direct(&model), |b| b), w.cursor.clone());
    assert_eq!(again.look().await, 1);
    assert_eq!(again.told[0].labels["team"], "web");
    assert_eq!(w.within(INTERVAL * 5).await, 1);
    assert_eq!(w.told[0].key, again.told[0].key);
    assert!(w.told[0].labels.is_empty());
}

#[tokio::test(start_paused = true)]
async fn errors_are_told_once_and_a_batch_says_that_they_are_over() {
    let model = two();
    let ill = Direct {
        failing: AtomicUsize::new(4),
        ..direct(&model)
    };
    let mut w = Watched::new(source(ill, |b| b), None);
    assert_eq!(w.within(Duration::from_secs(600)).await, 0);
    assert_eq!(w.errors, 1);
    assert!(w.cursor.is_some());
    model.fail("a.service", "m1");
    assert_eq!(w.look().await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_is_handed_over_again_by_itself() {
    let model = two();
    model.unit(UnitSpec::new("b.service").on("m1"));
    model.run("b.service", "m1");
    let mut events = Box::new(source(direct(&model), |b| b)).events(None);
    events.next().await.unwrap().unwrap().ack.done();
    model.fail("a.service", "m1");
    model.fail("b.service", "m1");
    let first = events.next().await.unwrap().unwrap();
    let keys: Vec<_> = first.failures.iter().map(|f| f.key.clone()).collect();
    assert_eq!(keys.len(), 2);
    // The cursor of it says that they are told.
    let stored = Cursor::read(first.cursor.clone().unwrap()).unwrap();
    assert!(stored.falls.is_empty() && stored.failed.len() == 2);
    drop(first);
    let mut again = Vec::new();
    while again.len() < 2 {
        let batch = events.next().await.unwrap().unwrap();
        assert!(batch.failures.len() <= 1);
        let cursor = Cursor::read(batch.cursor.clone().unwrap()).unwrap();
        assert_eq!(cursor.falls.len() + batch.failures.len() + again.len(), 2);
        again.extend(batch.failures.iter().map(|f| f.key.clone()));
        batch.ack.done();
    }
    assert_eq!(again, keys);
}

#[tokio::test(start_paused = true)]
async fn units_that_no_machine_has_are_told_if_asked_for() {
    let model = two();
    let lost = |b: crate::FleetBuilder| b.lost(true);
    let mut w = Watched::new(source(direct(&model), lost), None);
    let mut deaf = Watched::of(&model);
    w.look().await;
    deaf.look().await;
    model.agent_down("m1");
    // The TTL, then what is certain.
    assert_eq!(w.within(Duration::from_secs(80)).await, 0);
    assert_eq!(w.within(Duration::from_secs(20)).await, 1);
    assert_eq!(
        (w.told[0].state.as_str(), w.told[0].host.as_str()),
        ("LOST", "")
    );
    assert_eq!(w.within(SETTLE * 5).await, 0);
    let mut again = Watched::new(source(direct(&model), lost), w.cursor.clone());
    assert_eq!(again.within(SETTLE * 5).await, 0);
    model.agent_up("m1");
    again.look().await;
    model.lose_machine("m1");
    assert_eq!(again.within(SETTLE * 2).await, 1);
    assert_eq!(deaf.within(SETTLE * 5).await, 0);
    model.desire("a.service", "inactive");
    assert_eq!(again.within(SETTLE * 2).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_destroyed_and_made_anew_fails_anew() {
    let model = two();
    let mut w = Watched::of(&model);
    w.look().await;
    model.fail("a.service", "m1");
    assert_eq!(w.look().await, 1);
    model.destroy("a.service");
    assert_eq!(w.look().await, 0);
    model.unit(UnitSpec::new("a.service").on("m1"));
    model.fail("a.service", "m1");
    assert_eq!(w.look().await, 1);
    // An agent that is silent, and one that publishes again, is no news.
    model.agent_down("m1");
    assert_eq!(w.within(SETTLE).await, 0);
    model.agent_up("m1");
    model.hide("a.service");
    assert_eq!(w.look().await, 0);
    model.publish("a.service");
    assert_eq!(w.within(SETTLE * 2).await, 0);
}

#[tokio::test(start_paused = true)]
async fn one_unit_by_name_is_asked_for_alone() {
    let model = two();
    model.unit(UnitSpec::new("b.service").on("m1"));
    model.run("b.service", "m1");
    model.page_size(1);
    model.strict_tokens(true);
    let mut w = Watched::new(source(direct(&model), |b| b.units(["b.service"])), None);
    w.look().await;
    model.fail("a.service", "m1");
    model.fail("b.service", "m1");
    assert_eq!(w.within(SETTLE).await, 1);
    assert_eq!(w.told[0].id, "b.service");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_paging_hides_at_first_is_no_failure() {
    let model = FleetModel::new();
    model.machine("m1", "10.0.0.1", []);
    for n in 0..9 {
        let name = format!("{n}.service");
        model.unit(UnitSpec::new(&name).on("m1"));
        model.fail(&name, "m1");
    }
    model.page_size(3);
    // In each read of the first two looks, 3.service moves onto a page that was read already; and
    // what comes at the end differs each time.
    let mut reads = 0;
    model.before_page(move |model, page| {
        if page == 1 {
            reads += 1;
            model.fail("0.service", "m1");
            model.run(&format!("z{reads}.service"), "m1");
        } else if page == 2 && reads <= 2 * READS {
            model.unload("0.service", "m1");
        }
    });
    let mut w = Watched::of(&model);
    assert_eq!(w.within(SETTLE * 2).await, 0);
    assert_eq!(w.errors, 0);
    assert!(model.pages() > 6 * READS);
    model.no_hook();
    model.run("3.service", "m1");
    w.look().await;
    model.fail("3.service", "m1");
    assert_eq!(w.look().await, 1);
}

mod life;
