//! The watcher beside `OnFailure=`.

use crate::scene::{Scene, failing};

/// Fails under `Restart=` until its start limit.
const FLAP: &str = "[Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=10min\nOnFailure=notify@%n.service\n\
    [Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=100ms\n";

/// Starts the watcher, and lets units fail that only it sees, until it tells of one.
async fn watch(scene: &Scene) {
    scene
        .systemd
        .start_units(&["systemd-watcher.service"])
        .await
        .unwrap();
    let mut n = 0;
    scene
        .until("watching", async |s: &Scene| {
            s.systemd
                .start_units(&[&format!("canary@{n}.service")])
                .await
                .unwrap();
            n += 1;
            s.told().keys().any(|unit| unit.starts_with("canary@"))
        })
        .await;
}

/// Lets a unit fail that only the watcher sees, and waits until that is told: it has told all before it by then.
async fn mark(scene: &Scene) {
    scene.systemd.start_units(&["mark.service"]).await.unwrap();
    scene.until_told(&["mark.service"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_see_is_told_once() {
    let unit = failing(4);
    let quiet = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
    let units = [
        ("both@.service", unit.as_str()),
        ("canary@.service", quiet),
        ("mark.service", quiet),
        ("flap.service", FLAP),
    ];
    let Some(scene) = Scene::new(&units, "").await else {
        return;
    };
    watch(&scene).await;
    let names: Vec<String> = (0..6).map(|i| format!("both@{i}.service")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.systemd.start_units(&names).await.unwrap();
    scene.systemd.start_units(&["flap.service"]).await.unwrap();
    scene.until_told(&names).await;
    scene
        .until("refused", async |s: &Scene| {
            let state = s
                .systemd
                .property("flap.service", "SubState")
                .await
                .unwrap();
            state == "failed" && s.told().get("flap.service").is_some_and(|m| m.len() >= 4)
        })
        .await;
    scene.until_done(&names).await;
    scene.until_done(&["flap.service"]).await;
    mark(&scene).await;
    scene
        .systemd
        .expect(&["systemctl", "stop", "systemd-watcher.service"])
        .await
        .unwrap();
    let mut told = scene.told();
    told.retain(|unit, _| !unit.starts_with("canary@"));
    let flap = told.remove("flap.service").unwrap();
    let texts: Vec<&str> = flap.iter().map(|m| m.text.as_str()).collect();
    let limits = texts
        .iter()
        .filter(|t| t.contains("started too often"))
        .count();
    assert_eq!((texts.len(), limits), (4, 1), "{texts:?}");
    for (unit, messages) in &told {
        assert_eq!(messages.len(), 1, "{unit}: {messages:?}");
    }
    assert_eq!(told.len(), 7, "{:?}", told.keys());
    notifier_testkit::peer::ran("systemd");
}
