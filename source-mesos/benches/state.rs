//! The state of a cluster of 65,000 tasks, of which a thousand failed, in both forms: our
//! reader beside serde_json, which reads them whole.
//!
//! `cargo bench -p source-mesos --features unstable-internals`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use source_mesos::internals;

mod cluster;
mod typed;

use cluster::Cluster;
use typed::{Borrowed, State, Subscribed};

const CLUSTER: Cluster = Cluster {
    running: 65_000,
    failed: 1000,
};

/// What a socket gives at a time.
const PIECE: usize = 64 << 10;

fn state(c: &mut Criterion) {
    let text = CLUSTER.state();
    let body = text.as_bytes();
    let mut group = c.benchmark_group("state");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.sample_size(10);
    group.bench_function("ours", |b| {
        b.iter(|| {
            assert_eq!(
                internals::state(black_box(body), PIECE),
                Some(CLUSTER.failed)
            )
        });
    });
    group.bench_function("serde_json borrowed", |b| {
        b.iter(|| {
            let state = serde_json::from_slice::<State<Borrowed<'_>>>(black_box(body)).unwrap();
            assert_eq!(state.failed(), CLUSTER.failed);
        });
    });
    group.bench_function("serde_json owned", |b| {
        b.iter(|| {
            let state = serde_json::from_slice::<State<String>>(black_box(body)).unwrap();
            assert_eq!(state.failed(), CLUSTER.failed);
        });
    });
    group.bench_function("serde_json Value", |b| {
        b.iter(|| serde_json::from_slice::<Value>(black_box(body)).unwrap());
    });
}

fn record(c: &mut Criterion) {
    let text = CLUSTER.subscribed();
    let body = text.as_bytes();
    let mut group = c.benchmark_group("subscribed");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.sample_size(10);
    group.bench_function("ours", |b| {
        b.iter(|| {
            let found = internals::record(black_box(body), PIECE, false);
            assert_eq!(found, Some((CLUSTER.failed, 0)));
        });
    });
    group.bench_function("ours, with the live ones", |b| {
        b.iter(|| {
            let found = internals::record(black_box(body), PIECE, true);
            assert_eq!(found, Some((CLUSTER.failed, CLUSTER.running)));
        });
    });
    group.bench_function("serde_json borrowed", |b| {
        b.iter(|| {
            let read = serde_json::from_slice::<Subscribed<Borrowed<'_>>>(black_box(body));
            assert_eq!(read.unwrap().failed(), CLUSTER.failed);
        });
    });
    group.bench_function("serde_json owned", |b| {
        b.iter(|| {
            let read = serde_json::from_slice::<Subscribed<String>>(black_box(body));
            assert_eq!(read.unwrap().failed(), CLUSTER.failed);
        });
    });
    group.bench_function("serde_json Value", |b| {
        b.iter(|| serde_json::from_slice::<Value>(black_box(body)).unwrap());
    });
}

criterion_group!(benches, state, record);
criterion_main!(benches);
