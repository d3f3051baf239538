//! Leaders change, streams are cut in every way and answers are broken, while tasks die all
//! the time: each death is told, and once.

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{Audience, CORRUPTIONS, builder};
use notifier_testkit::mesos::{Death, FakeCluster, MesosVersion, StreamCut, TaskSpec};
use source_mesos::Api;

const FAILOVERS: usize = 10;
const CUTS: [StreamCut; 5] = [
    StreamCut::Close,
    StreamCut::Reset,
    StreamCut::MidRecord,
    StreamCut::Stall,
    StreamCut::HeartbeatStop,
];
const CUTS_OF_A_KIND: usize = 4;

/// Many, so that no list of ended tasks overflows.
const FRAMEWORKS: usize = 20;

/// A new leader comes, every other time one that has yet to hear of everything. Agents
/// tell it of tasks that ended long ago only where their framework is back before, so it is.
fn fail_over(cluster: &FakeCluster, n: usize) {
    if n.is_multiple_of(2) {
        cluster.failover();
        return;
    }
    cluster.failover_empty();
    let cluster = cluster.clone();
    tokio::spawn(async move {
        for n in 0..FRAMEWORKS {
            cluster.framework(format!("f{n}")).reconnect();
        }
        for agent in 0..3 {
            tokio::time::sleep(Duration::from_millis(80)).await;
            cluster.settle_agent(agent);
        }
        cluster.settle();
    });
}

async fn survives(api: Api, version: MesosVersion) {
    let cluster = FakeCluster::builder()
        .version(version)
        .masters(3)
        .agents(3)
        .heartbeat(Duration::from_millis(300))
        .start()
        .await
        .unwrap();
    let audience = Audience::of(
        builder(&cluster.masters_flag())
            .api(api)
            .interval(Duration::from_millis(100))
            .sweep(Duration::from_millis(700)),
    );
    audience.until("a first answer", Audience::has_begun).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let dying = tokio::spawn({
        let (cluster, is_over) = (cluster.clone(), Arc::clone(&is_over));
        async move {
            let mut n = 0;
            while !is_over.load(Ordering::Relaxed) {
                let framework = format!("f{}", n % FRAMEWORKS);
                let spec = TaskSpec::new(format!("t.{n}")).framework(framework);
                cluster.launch_failed(spec, Death::failed());
                n += 1;
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            n
        }
    });
    let (mut failovers, mut cuts) = (0, 0);
    for step in 0..FAILOVERS * 3 {
        let corruption = CORRUPTIONS[step % CORRUPTIONS.len()];
        if step.is_multiple_of(3) {
            fail_over(&cluster, failovers);
            failovers += 1;
        } else {
            cluster.cut_streams(CUTS[cuts % CUTS.len()]);
            cuts += 1;
        }
        if step.is_multiple_of(2) {
            cluster.corrupt_stream(corruption);
        } else {
            cluster.corrupt_answer(corruption);
        }
        let pause = 150 + (step as u64 * 97) % 500;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!((failovers, cuts), (FAILOVERS, CUTS.len() * CUTS_OF_A_KIND));
    is_over.store(true, Ordering::Relaxed);
    let died = dying.await.unwrap();
    cluster.settle();

    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while audience.failures().len() < died && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is told twice may come late.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for failure in audience.failures() {
        *told.entry(failure.id).or_default() += 1;
    }
    let twice: Vec<_> = told.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let missing: Vec<usize> = (0..died)
        .filter(|n| !told.contains_key(&format!("t.{n}")))
        .collect();
    assert!(
        missing.is_empty(),
        "{missing:?} of {died}; {:?}",
        audience.errors()
    );
    // One that was left counts until the master sees it: a next one may be open by then,
    // but none stays.
    let streams = cluster.streams();
    assert!(streams.open <= 1 && streams.most_open <= 2, "{streams:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_loses_nothing_and_tells_nothing_twice() {
    survives(Api::Stream, MesosVersion::V1_11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_does_one_without_heartbeats() {
    survives(Api::Auto, MesosVersion::V1_4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_polls() {
    survives(Api::Poll, MesosVersion::V1_11).await;
}
