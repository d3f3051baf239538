//! The built watcher is away while tasks fail: when it is back, everyone is told what they
//! were not told before, and nothing else.

mod durable;
mod support;

use durable::{Scene, assert_once, kill, stop, trouble};
use notifier_testkit::mesos::{Death, FakeCluster, FakeClusterBuilder, Listing, TaskSpec};
use support::Watcher;

/// How many tasks fail in the hour.
const FAILURES: usize = 500;
const FRAMEWORKS: usize = 10;
const HOUR: f64 = 3600.0;
/// The leaders that come within the hour, and for how many failures each of them has yet to
/// hear of everything: by the number of the failure.
const FAILOVERS: [(usize, usize); 2] = [(150, 20), (350, 40)];

fn cluster() -> FakeClusterBuilder {
    FakeCluster::builder().masters(3).agents(4)
}

fn ids<const N: usize>(name: &str) -> Vec<String> {
    (0..N).map(|n| format!("{name}.{n}")).collect()
}

/// Lets everything happen that happens in the hour; returns the tasks that failed and are
/// still listed, and those that have fallen out of the master's lists.
fn an_hour(cluster: &FakeCluster) -> (Vec<String>, Vec<String>) {
    let clock = cluster.launch(TaskSpec::new("clock"));
    let begin = cluster.last_timestamp_of(&clock).unwrap() - HOUR;
    let mut tasks = Vec::new();
    for n in 0..FAILURES {
        for (at, takes) in FAILOVERS {
            if n == at {
                cluster.failover_empty();
            }
            if n == at + takes {
                // Agents tell a new leader of tasks that have ended only where their
                // framework is back before.
                for n in 0..FRAMEWORKS {
                    cluster.framework(format!("f{n}")).reconnect();
                }
                cluster.settle();
            }
        }
        let died = begin + HOUR * n as f64 / FAILURES as f64;
        let spec = TaskSpec::new(format!("t.{n}"))
            .framework(format!("f{}", n % FRAMEWORKS))
            .started_at(died - 60.0);
        tasks.push(cluster.launch_failed(spec, Death::failed().at(died)));
    }
    let (listed, gone): (Vec<_>, Vec<_>) = tasks
        .into_iter()
        .partition(|task| cluster.listing_of(task) == Some(Listing::Completed));
    let ids = |tasks: Vec<notifier_testkit::mesos::TaskHandle>| {
        tasks.iter().map(|task| task.id().to_owned()).collect()
    };
    (ids(listed), ids(gone))
}

/// Waits until both have heard of so many tasks, and nothing is left.
async fn told(scene: &Scene, watcher: &mut Watcher, count: usize) {
    let what = format!("told of {count}");
    scene
        .until(watcher, &what, async || {
            scene.in_file().len() >= count && scene.in_slack().len() >= count
        })
        .await;
    scene.until_empty(watcher).await;
}

/// `gone` is how many have fallen out of the lists when the watcher is back.
async fn away(cluster: FakeClusterBuilder, apis: [&str; 2], gone: usize) {
    let scene = Scene::new(cluster).await;
    let [api, other] = apis.map(|api| format!("-mesos.api={api}"));
    let mut watcher = scene.start(&[&api]);
    scene.has_begun(&mut watcher).await;
    let mut expected = ids::<5>("before");
    for id in &expected {
        scene.fail(id);
    }
    told(&scene, &mut watcher, expected.len()).await;
    kill(watcher).await;

    let (listed, missed) = an_hour(&scene.cluster);
    assert_eq!(missed.len(), gone, "{missed:?}");
    expected.extend(listed);
    let mut watcher = scene.start(&[&api]);
    told(&scene, &mut watcher, expected.len()).await;
    stop(watcher).await;

    // Nor is anything told again after another start, which reads the cluster in another way.
    let mut watcher = scene.start(&[&other]);
    scene.fail("after.0");
    expected.push("after.0".to_owned());
    told(&scene, &mut watcher, expected.len()).await;
    stop(watcher).await;
    assert_once(&scene.in_file(), &expected, "file");
    assert_once(&scene.in_slack(), &expected, "slack");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_in_an_hour_away_is_told_once() {
    away(cluster(), ["stream", "poll"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_in_an_hour_away_is_told_once_by_polling() {
    away(cluster(), ["poll", "stream"], 0).await;
}

/// A master lists the last so many tasks of each framework. Those before them are told to
/// nobody: there is nobody left who knows of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_master_has_forgotten_is_all_that_is_missing() {
    let kept = 30;
    let small = cluster().max_completed_tasks(kept);
    away(small, ["auto", "auto"], FAILURES - FRAMEWORKS * kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_delivered_when_it_is_told_to_stop_is_delivered_later() {
    let scene = Scene::new(FakeCluster::builder()).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&mut watcher).await;
    scene.slack.server().refuse();
    let tasks = ids::<20>("t");
    for id in &tasks {
        scene.fail(id);
    }
    scene
        .until(&mut watcher, "told to the file", async || {
            scene.in_file().len() >= tasks.len()
        })
        .await;
    let log = stop(watcher).await;
    let kept = format!("deliveries={}", tasks.len());
    assert!(
        log.lines()
            .any(|l| l.contains("is kept") && l.contains(&kept)),
        "{}",
        trouble(&log)
    );
    assert_eq!(scene.in_slack(), [""; 0]);

    scene.slack.server().restore().unwrap();
    let mut watcher = scene.start(&[]);
    told(&scene, &mut watcher, tasks.len()).await;
    stop(watcher).await;
    assert_once(&scene.in_file(), &tasks, "file");
    assert_once(&scene.in_slack(), &tasks, "slack");
}
