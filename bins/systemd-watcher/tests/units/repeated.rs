//! Units that fail more than once, and starts that fail before there is a run.

use std::collections::BTreeSet;

use notifier_testkit::{peer, slack::SlackReply};
use notifiers::FailureKey;

use crate::scene::{Scene, failing};

/// The keys of all that the outbox has.
async fn keys(scene: &Scene) -> BTreeSet<FailureKey> {
    let kept = scene.deliveries().await.into_iter();
    kept.map(|d| d.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_failures_of_a_unit_is_told() {
    const TIMES: usize = 8;
    let unit = failing(1).replace("[Unit]\n", "[Unit]\nStartLimitIntervalSec=0\n");
    let Some(scene) = Scene::new(&[("often.service", unit.as_str())], "").await else {
        return;
    };
    for n in 1..=TIMES {
        scene.systemd.start_units(&["often.service"]).await.unwrap();
        scene
            .until("told again", async |s: &Scene| {
                s.slack.received().len() >= n
            })
            .await;
        scene.until_done(&["often.service"]).await;
    }
    assert_eq!(scene.slack.received().len(), TIMES);
    assert_eq!(keys(&scene).await.len(), TIMES);
    peer::ran("systemd");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_while_it_is_told_is_told_too() {
    let unit = failing(1);
    let Some(scene) = Scene::new(&[("twice.service", unit.as_str())], "").await else {
        return;
    };
    // What tells of the first failure is held up until there is a second one.
    let away = (0..100_000).map(|_| SlackReply::reset_before_body());
    scene.slack.script_all("ops", away);
    scene.systemd.start_units(&["twice.service"]).await.unwrap();
    let outbox = scene.outbox();
    scene.until("kept", async |_| outbox.exists()).await;
    scene.systemd.start_units(&["twice.service"]).await.unwrap();
    scene.slack.clear_script("ops");
    scene
        .until("told twice", async |s: &Scene| {
            let all = s.slack.received().len() >= 2;
            if !all {
                s.drain().await;
            }
            all
        })
        .await;
    scene.until_done(&["twice.service"]).await;
    assert_eq!(scene.slack.received().len(), 2);
    assert_eq!(keys(&scene).await.len(), 2);
    peer::ran("systemd");
}

/// Requires another one, and has failed by itself before.
const NEEDY: &str = "[Unit]\nOnFailure=notify@%n.service\nRequires=base.service\nAfter=base.service\n\
    [Service]\nType=oneshot\nExecStart=/bin/false\n";
/// Does not start where this file is.
const BASE: &str =
    "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'test ! -e /etc/no-base'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_dependency_is_told_once_by_both_and_is_not_the_run_before() {
    let Some(scene) = Scene::new(&[("needy.service", NEEDY), ("base.service", BASE)], "").await
    else {
        return;
    };
    let says = |text: &str| {
        let all = scene.slack.received();
        all.iter()
            .filter(|m| m.text.starts_with("*needy.service*") && m.text.contains(text))
            .count()
    };
    let (run, job) = ("exited with status 1", "a unit that it requires failed");
    let fail = async || {
        scene.systemd.start_units(&["needy.service"]).await.unwrap();
    };
    fail().await;
    scene
        .until("told of the run", async |_| says(run) == 1)
        .await;
    scene.until_done(&["needy.service"]).await;
    scene.systemd.write("/etc/no-base", b"", 0o644).unwrap();
    let stop = ["systemctl", "stop", "base.service"];
    scene.systemd.expect(&stop).await.unwrap();
    // By the one that is started for it alone.
    fail().await;
    scene
        .until("told of the job", async |_| says(job) == 1)
        .await;
    scene.until_done(&["needy.service"]).await;
    // By both.
    let watcher = "systemd-watcher.service";
    scene.systemd.start_units(&[watcher]).await.unwrap();
    let mut fails = 1;
    scene
        .until("watched", async |s: &Scene| {
            s.systemd.start_units(&["base.service"]).await.unwrap();
            s.slack
                .received()
                .iter()
                .any(|m| m.text.starts_with("*base.service*"))
        })
        .await;
    fail().await;
    fails += 1;
    scene
        .until("told of the next", async |_| says(job) == fails)
        .await;
    scene.until_done(&["needy.service"]).await;
    // While the watcher is away the other one tells, and the watcher finds the same in the journal.
    scene
        .systemd
        .expect(&["systemctl", "stop", watcher])
        .await
        .unwrap();
    fail().await;
    fails += 1;
    scene
        .until("told alone", async |_| says(job) == fails)
        .await;
    scene.until_done(&["needy.service"]).await;
    scene.systemd.start_units(&[watcher]).await.unwrap();
    let before = scene.slack.received().len();
    scene
        .until("watched again", async |s: &Scene| {
            s.systemd.start_units(&["base.service"]).await.unwrap();
            s.slack.received().len() > before + 1
        })
        .await;
    assert_eq!(
        (says(run), says(job)),
        (1, fails),
        "{}",
        scene.systemd.log()
    );
    peer::ran("systemd");
}
