//! `OnFailure=` alone, with nothing that watches.

use crate::scene::{Scene, failing};

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_is_told_with_its_last_words() {
    let unit = failing(7)
        + "Environment=COMPLAINER_SLACK_USERNAME=%p\nEnvironmentFile=/etc/app.env\nX-Notifier-Owner=%H\n\
           [X-Notifier]\nX-Complainer-Slack-Channel = \"#%i-ops\"\n";
    let Some(scene) = Scene::new(&[("app@.service", &unit)], "").await else {
        return;
    };
    let environment = b"COMPLAINER_SLACK_ICON_EMOJI='a\" b'\\ c\n# COMPLAINER_SLACK_CHANNEL=#no\n";
    scene
        .systemd
        .write("/etc/app.env", environment, 0o644)
        .unwrap();
    // It is told with the escape that its name has.
    let name = "app@a\\x2db.service";
    scene.systemd.start_units(&[name]).await.unwrap();
    scene.until_told(&[name]).await;
    scene.until_done(&[name]).await;
    let message = scene.slack.received().remove(0);
    assert!(
        message.text.starts_with(
            "*app@a\\x2db.service* failed on node-1.example: main process exited with status 7 (NOTRUNNING)\n```\n"
        ),
        "{}",
        message.text
    );
    for line in [
        "\nsome last words\n",
        "\nsystemd: app@a\\x2db.service: Main process exited, code=exited, status=7/NOTRUNNING\n",
    ] {
        assert!(message.text.contains(line), "{line}: {}", message.text);
    }
    assert_eq!(message.channel.as_deref(), Some("#a\\x2db-ops"));
    assert_eq!(message.username.as_deref(), Some("app"));
    assert_eq!(message.icon_emoji.as_deref(), Some("a\" b c"));
    scene.assert_once(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_the_old_chain_are_the_same() {
    let units = [("my_app@.service", failing(1))];
    let units = units.each_ref().map(|(n, t)| (*n, t.as_str()));
    let Some(scene) = Scene::new(&units, "message = \"coreos\"").await else {
        return;
    };
    scene
        .systemd
        .write("/etc/environment", b"PLATFORM=\"prod eu\"\n", 0o644)
        .unwrap();
    scene
        .systemd
        .start_units(&["my_app@3.service"])
        .await
        .unwrap();
    scene
        .until("telling", async |s: &Scene| !s.slack.received().is_empty())
        .await;
    scene.until_done(&["my_app@3.service"]).await;
    assert_eq!(
        scene.slack.received()[0].text,
        "ALERT - CoreOS unit failure: my_app@3 unit failed. Host: node-1.example platform: prod eu"
    );
    scene.assert_once(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_units_that_fail_at_once_are_told_once_each() {
    let unit = failing(3);
    let Some(scene) = Scene::new(&[("u@.service", &unit)], "").await else {
        return;
    };
    let names: Vec<String> = (0..20).map(|i| format!("u@{i}.service")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.systemd.start_units(&names).await.unwrap();
    scene
        .until("told", async |s: &Scene| {
            // Those whose time ran out have left it for later.
            let all = s.told().len() == names.len();
            if !all {
                s.drain().await;
            }
            all
        })
        .await;
    scene.until_done(&names).await;
    scene.assert_once(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drop_in_for_all_services_spares_what_tells() {
    let unit = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
    let drop_in = crate::scene::shipped("service.d/10-notify.conf");
    let units = [
        ("any.service", unit),
        ("service.d/10-notify.conf", drop_in.as_str()),
    ];
    let Some(scene) = Scene::new(&units, "").await else {
        return;
    };
    for (name, on_failure) in [
        ("any.service", "notify@any.service.service"),
        (
            "systemd-watcher.service",
            "notify@systemd-watcher.service.service",
        ),
        ("notify@any.service.service", ""),
        ("systemd-watcher-drain.service", ""),
    ] {
        assert_eq!(
            scene.systemd.property(name, "OnFailure").await.unwrap(),
            on_failure,
            "{name}"
        );
    }
    scene.systemd.start_units(&["any.service"]).await.unwrap();
    scene.until_told(&["any.service"]).await;
    scene.until_done(&["any.service"]).await;
    scene.assert_once(1).await;
}
