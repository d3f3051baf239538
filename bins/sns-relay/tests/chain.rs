//! The whole chain: a unit of a real systemd fails, `systemd-watcher unit` is started for it and publishes to
//! LocalStack's SNS, which posts to the built relay, which tells Slack.

mod stack;
mod support;

use std::path::{Path, PathBuf};

use notifier_testkit::{peer, systemd::Systemd};
use stack::LocalStack;
use support::{Relay, Scene, WAIT};

/// What the first post about this chain had in Slack.
const TEXT: &str =
    "ALERT - CoreOS unit failure: my_app@1 unit failed. Host: worker-17 platform: staging";

const MY_APP: &str = "[Unit]
Description=My application
OnFailure=chain-notify@%n.service

[Service]
ExecStart=/bin/sh -c 'echo starting; echo \"Application startup failed\" >&2; exit 7'
";

/// The program that is built beside this one, if it is.
fn systemd_watcher() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_sns-relay")).with_file_name("systemd-watcher");
    path.exists().then_some(path)
}

/// The unit that is started for one that failed. It publishes to a topic, with more flags.
fn notify(watcher: &Path, topic: &str, endpoint: &str, more: &str) -> String {
    format!(
        "[Unit]
Description=Tell that %i failed

[Service]
Type=oneshot
Environment=PLATFORM=staging NO_COLOR=1
ExecStart={} unit %i -reporters=sns -sns.topic={topic} -sns.endpoint={endpoint} \\
  -sns.access_key=AKIAIOSFODNN7EXAMPLE -sns.secret_key=test-key -state-dir=/var/lib/chain -shutdown-timeout=60s {more}
",
        watcher.display()
    )
}

/// Which topic, and in which form things are published.
struct Link {
    unit: &'static str,
    topic: String,
    flags: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_fails_and_slack_is_told_once() {
    let name = "unit, systemd-watcher, SNS, sns-relay, Slack";
    let Some(watcher) = systemd_watcher() else {
        peer::skipped(
            name,
            "systemd-watcher is not built; cargo build -p systemd-watcher",
        );
        return;
    };
    let Some(sns) = LocalStack::start(name).await else {
        return;
    };
    let scene = Scene::new().await;
    let links = [
        Link {
            unit: "chain-notify@.service",
            topic: sns.topic("text").await,
            flags: "-message=coreos",
        },
        Link {
            unit: "chain-document@.service",
            topic: sns.topic("document").await,
            flags: "-sns.body=document",
        },
    ];
    let relay = scene
        .relay(&[
            &format!("-relay.topics={},{}", links[0].topic, links[1].topic),
            &format!("-relay.endpoint={}", sns.url),
        ])
        .await;
    let mut builder = Systemd::builder()
        .shares_network()
        .host_name("worker-17")
        .unit("my_app@.service", MY_APP)
        .unit(
            "batch@.service",
            &MY_APP.replace("chain-notify", "chain-document"),
        );
    for link in &links {
        sns.subscribe(&link.topic, &relay.endpoint()).await;
        sns.subscribed(&link.topic, &relay.endpoint()).await;
        relay.says(&link.topic).await;
        let text = notify(&watcher, &link.topic, &sns.url, link.flags);
        builder = builder.unit(link.unit, &text);
    }
    let Some(systemd) = builder.start_or_skip().await else {
        return;
    };

    systemd.start_units(&["my_app@1.service"]).await.unwrap();
    let told = scene.told(1).await;
    assert_eq!(told, [TEXT], "{}", trouble(&systemd, &relay).await);

    systemd.start_units(&["batch@2.service"]).await.unwrap();
    let told = scene.told(2).await;
    assert_eq!(told.len(), 2, "{}", trouble(&systemd, &relay).await);
    let begins = "Task batch@2.service (batch@2.service) died with status EXIT_CODE";
    assert!(told[1].starts_with(begins), "{}", told[1]);

    // Each once: what is published last is told last.
    sns.publish(&links[0].topic, "the last").await;
    assert_eq!(scene.told(3).await[2..], ["the last"]);
    relay.stop().await;
    assert_eq!(scene.slack.attempts().len(), 3);
    peer::ran(name);
}

/// What everybody says, for a failure of the test.
async fn trouble(systemd: &Systemd, relay: &Relay) -> String {
    let journal = ["journalctl", "--no-pager", "-o", "cat"];
    let journal = systemd.run(&journal).await;
    let journal = journal.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    format!("after {WAIT:?}:\n{}\n{journal:?}", relay.log())
}
