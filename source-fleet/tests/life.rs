//! The source over sockets while a cluster lives: pages, restarts, faults in between.

mod common;

use std::collections::BTreeMap;

use common::{Audience, fleet, looks, name, quick};
use notifier_testkit::{fleet::UnitSpec, http::Action};

#[tokio::test]
async fn two_hundred_units_at_once_over_several_pages() {
    let fleet = fleet(200).await;
    let model = fleet.model();
    let w = Audience::of(quick(&fleet.url()));
    w.ready().await;
    for n in 0..200 {
        model.fail(&name(n), "m1");
    }
    w.until("all", |t| t.failures.len() == 200).await;
    looks(&fleet, 2).await;
    assert_eq!(w.end().await.failures.len(), 200);
}

#[tokio::test]
async fn a_restart_neither_repeats_nor_loses() {
    let fleet = fleet(20).await;
    let model = fleet.model();
    model.page_size(7);
    let w = Audience::of(quick(&fleet.url()));
    w.ready().await;
    for n in 0..5 {
        model.fail(&name(n), "m1");
    }
    w.until("five", |t| t.failures.len() == 5).await;
    model.run(&name(4), "m1");
    looks(&fleet, 2).await;
    let store = w.end().await;
    // While nobody looks: one goes on, one fails anew, one fails.
    model.run(&name(0), "m1");
    model.fail(&name(4), "m1");
    model.fail(&name(5), "m1");
    let w = Audience::resuming(quick(&fleet.url()), store);
    w.until("seven", |t| t.failures.len() == 7).await;
    model.fail(&name(0), "m1");
    w.until("eight", |t| t.failures.len() == 8).await;
    looks(&fleet, 2).await;
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for f in w.end().await.failures {
        *by_name.entry(f.id).or_default() += 1;
    }
    let counts: Vec<usize> = by_name.values().copied().collect();
    assert_eq!(counts, [2, 1, 1, 1, 2, 1]);
}

/// Each unit fails and runs again, seen each time, while every third request meets a fault.
#[tokio::test]
async fn each_failure_of_many_is_told_once_though_fleet_is_ill() {
    const ROUNDS: usize = 60;
    let fleet = fleet(30).await;
    let model = fleet.model();
    model.page_size(8);
    model.unit(UnitSpec::new("all.service").global());
    let mut rng = fastrand::Rng::with_seed(7);
    let mut w = Audience::of(quick(&fleet.url()));
    w.ready().await;
    let mut expected = 0;
    for round in 0..ROUNDS {
        let some: Vec<usize> = (0..30).filter(|_| rng.u8(..4) == 0).collect();
        fleet.server().next(Action::status(500));
        for n in &some {
            model.fail(&name(*n), "m1");
        }
        fleet.server().next(match round % 3 {
            0 => Action::html(502),
            1 => Action::ResetBeforeBody,
            _ => Action::garbage(),
        });
        expected += some.len();
        w.until("all of the round", |t| t.failures.len() == expected)
            .await;
        if round % 10 == 9 {
            let store = w.end().await;
            w = Audience::resuming(quick(&fleet.url()), store);
        }
        // From here on each look is a good one.
        fleet.server().clear();
        for n in &some {
            model.run(&name(*n), "m1");
        }
        looks(&fleet, 2).await;
        w.until("all well", |t| !t.is_ill).await;
    }
    assert_eq!(w.end().await.failures.len(), expected);
}
