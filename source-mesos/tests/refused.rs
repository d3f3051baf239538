//! Batches that the store does not take: nothing is lost, and nothing is held up by another.

mod common;

use std::{collections::HashSet, time::Duration};

use common::{TICK, builder};
use futures_util::{StreamExt as _, stream::BoxStream};
use notifier_core::{Batch, Error, Source as _};
use notifier_testkit::mesos::{Death, FakeCluster, TaskSpec};
use source_mesos::{Api, Backlog};

const PATIENCE: Duration = Duration::from_secs(20);

fn events(
    cluster: &FakeCluster,
    api: Api,
    backlog: Backlog,
) -> BoxStream<'static, Result<Batch, Error>> {
    let (source, _) = builder(&cluster.masters_flag())
        .api(api)
        .sweep(TICK * 10)
        .backlog(backlog)
        .build()
        .unwrap();
    Box::new(source).events(None)
}

async fn next(events: &mut BoxStream<'static, Result<Batch, Error>>) -> Batch {
    loop {
        if let Ok(batch) = tokio::time::timeout(PATIENCE, events.next())
            .await
            .expect("nothing comes")
            .expect("the stream ended")
        {
            return batch;
        }
    }
}

#[tokio::test]
async fn what_was_there_before_the_first_start_stays_old_whatever_is_refused() {
    for api in [Api::Stream, Api::Poll] {
        let cluster = FakeCluster::start().await.unwrap();
        for n in 0..5 {
            cluster.launch_failed(TaskSpec::new(format!("old.{n}")), Death::failed());
        }
        let mut events = events(&cluster, api, Backlog::Skip);
        let first = next(&mut events).await;
        assert_eq!((first.failures.len(), first.baseline.len()), (0, 5));
        drop(first);
        cluster.launch_failed(TaskSpec::new("new"), Death::failed());
        // The store takes each key once, and knows the baseline.
        let (mut known, mut told) = (HashSet::new(), Vec::new());
        for _ in 0..20 {
            let batch = next(&mut events).await;
            if batch.cursor.is_some() {
                assert!(batch.baseline.len() >= 5 || !known.is_empty(), "{api:?}");
            }
            known.extend(batch.baseline);
            for f in batch.failures {
                if known.insert(f.key) {
                    told.push(f.id);
                }
            }
            batch.ack.done();
        }
        assert_eq!(told, ["new"], "{api:?}");
    }
}

#[tokio::test]
async fn a_failure_that_is_always_refused_holds_up_no_other() {
    for api in [Api::Stream, Api::Poll] {
        let cluster = FakeCluster::start().await.unwrap();
        let mut events = events(&cluster, api, Backlog::Report);
        next(&mut events).await.ack.done();
        for n in 0..9 {
            cluster.launch_failed(TaskSpec::new(format!("good.{n}")), Death::failed());
            if n == 4 {
                cluster.launch_failed(TaskSpec::new("poison"), Death::failed());
            }
        }
        let mut told = HashSet::new();
        let mut refused = 0;
        let all = tokio::time::timeout(PATIENCE, async {
            while told.len() < 9 || refused < 3 {
                let batch = next(&mut events).await;
                assert!(batch.failures.len() <= 500);
                if batch.failures.iter().any(|f| f.id == "poison") {
                    refused += 1;
                    // As the engine does after a refusal.
                    tokio::time::sleep(TICK).await;
                    continue;
                }
                told.extend(batch.failures.iter().map(|f| f.id.clone()));
                batch.ack.done();
            }
        });
        assert!(all.await.is_ok(), "{api:?}: only {told:?}");
    }
}

#[tokio::test]
async fn what_left_the_listing_before_it_was_stored_comes_again() {
    for api in [Api::Stream, Api::Poll] {
        let cluster = FakeCluster::builder()
            .max_completed_tasks(1)
            .start()
            .await
            .unwrap();
        let mut events = events(&cluster, api, Backlog::Report);
        next(&mut events).await.ack.done();
        cluster.launch_failed(TaskSpec::new("a"), Death::failed());
        while next(&mut events).await.failures.is_empty() {}
        cluster.finish(&cluster.launch(TaskSpec::new("b")));
        let again = tokio::time::timeout(PATIENCE, async {
            while !next(&mut events).await.failures.iter().any(|f| f.id == "a") {}
        });
        assert!(again.await.is_ok(), "{api:?}");
    }
}

#[tokio::test]
async fn no_length_of_time_is_too_long() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    for api in [Api::Stream, Api::Poll] {
        let (source, _) = builder(&cluster.masters_flag())
            .api(api)
            .interval(Duration::MAX)
            .sweep(Duration::MAX)
            .timeout(Duration::MAX)
            .build()
            .unwrap();
        let mut events = Box::new(source).events(None);
        assert_eq!(next(&mut events).await.failures.len(), 1);
    }
}
