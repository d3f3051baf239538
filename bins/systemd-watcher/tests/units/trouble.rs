//! A network that is down, and a notifier that is killed.

use std::{collections::BTreeMap, time::Duration};

use notifier_testkit::{peer, slack::SlackReply};
use notifiers::{DeliveryState, FailureKey};

use tokio::time::Instant;

use crate::scene::{Scene, WAIT, failing};

/// How many connections break: more than any test makes.
const AWAY: usize = 100_000;

/// Lets a unit fail while Slack is away, until nobody tries to tell it any more.
async fn fail_unheard(scene: &Scene) {
    let away = (0..AWAY).map(|_| SlackReply::reset_before_body());
    scene.slack.script_all("ops", away);
    scene.systemd.start_units(&["bad.service"]).await.unwrap();
    let outbox = scene.outbox();
    scene.until("kept", async |_| outbox.exists()).await;
    // It ends well all the same: the failure is on the disk.
    scene.until_done(&["bad.service"]).await;
    let kept = scene.deliveries().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(!kept[0].state.is_finished(), "{kept:?}");
    assert!(scene.slack.received().is_empty());
}

/// So that it gives up soon.
const SHORT: &str = "[Service]\nEnvironment=NOTIFIER_SHUTDOWN_TIMEOUT=1s\n";

#[tokio::test(flavor = "multi_thread")]
async fn drain_tells_later_what_could_not_be_told() {
    let unit = failing(1);
    let units = [
        ("bad.service", unit.as_str()),
        ("notify@.service.d/short.conf", SHORT),
    ];
    let Some(scene) = Scene::new(&units, "").await else {
        return;
    };
    fail_unheard(&scene).await;
    scene.drain().await;
    assert!(scene.slack.received().is_empty());
    scene.slack.clear_script("ops");
    scene
        .until("told", async |s: &Scene| {
            s.drain().await && !s.slack.received().is_empty()
        })
        .await;
    assert!(scene.drain().await, "{}", scene.systemd.log());
    scene.assert_once(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_tells_later_what_could_not_be_told() {
    let unit = failing(1);
    let units = [
        ("bad.service", unit.as_str()),
        ("notify@.service.d/short.conf", SHORT),
    ];
    let Some(scene) = Scene::new(&units, "").await else {
        return;
    };
    fail_unheard(&scene).await;
    scene.slack.clear_script("ops");
    scene
        .systemd
        .start_units(&["systemd-watcher.service"])
        .await
        .unwrap();
    scene.until_told(&["bad.service"]).await;
    scene
        .systemd
        .expect(&["systemctl", "stop", "systemd-watcher.service"])
        .await
        .unwrap();
    scene.assert_once(1).await;
}

/// How often what tells was killed.
async fn killed(scene: &Scene) -> usize {
    let exits = [
        "journalctl",
        "--quiet",
        "--output=cat",
        "_PID=1",
        "MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15",
    ];
    let said = scene.systemd.expect(&exits).await.unwrap();
    said.lines()
        .filter(|l| l.starts_with("notify@") && l.contains("status=9/KILL"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_again_and_again_tells_all_the_same() {
    let unit = failing(1);
    let again = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=50ms\n";
    let units = [
        ("k@.service", unit.as_str()),
        ("notify@.service.d/again.conf", again),
    ];
    let Some(scene) = Scene::new(&units, "").await else {
        return;
    };
    // Slack takes nothing, so that there is somebody to kill, also in the middle of things.
    let busy = (0..AWAY).map(|_| SlackReply::rate_limited(Duration::from_secs(1)));
    scene.slack.script_all("ops", busy);
    let names: Vec<String> = (0..8).map(|i| format!("k@{i}.service")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.systemd.start_units(&names).await.unwrap();
    let mut rng = fastrand::Rng::with_seed(8);
    let mut kill = async || {
        let victim = format!("notify@{}.service", names[rng.usize(..names.len())]);
        // It may be over already, or wait to be started again.
        let kill = ["systemctl", "kill", "--signal=KILL", &victim];
        scene.systemd.run(&kill).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rng.u64(..80))).await;
    };
    let end = Instant::now() + WAIT;
    while killed(&scene).await < 12 {
        assert!(Instant::now() < end, "{}", scene.systemd.log());
        kill().await;
    }
    // And while it takes them, slowly enough that a kill may come before, in and behind a request.
    scene.slack.clear_script("ops");
    let slow = (0..400).map(|i| SlackReply::late(Duration::from_millis(20 * (i % 5))));
    scene.slack.script_all("ops", slow);
    for _ in 0..20 {
        kill().await;
    }
    scene
        .until("told", async |s: &Scene| {
            let all = s.told().len() == names.len();
            if !all {
                s.drain().await;
            }
            all
        })
        .await;
    scene.until_done(&names).await;
    scene
        .until("drained", async |s: &Scene| s.drain().await)
        .await;
    // A second time only where nobody could know of the first one.
    let mut open: BTreeMap<FailureKey, u32> = BTreeMap::new();
    for delivery in scene.deliveries().await {
        assert_eq!(delivery.state, DeliveryState::Done, "{delivery:?}");
        let about = delivery.about.split(' ').next().unwrap_or_default();
        let unknown = open.entry(delivery.key.clone()).or_insert(delivery.unknown);
        let heard = scene.told().get(about).map_or(0, Vec::len);
        let most = usize::try_from(*unknown).unwrap() + 1;
        assert!((1..=most).contains(&heard), "{about}: {heard} of {most}");
    }
    assert_eq!(open.len(), names.len(), "a failure has two keys: {open:?}");
    peer::ran("systemd");
}
