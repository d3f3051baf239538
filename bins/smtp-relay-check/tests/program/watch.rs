//! Who is told of changes.

use std::net::SocketAddr;

use notifier_testkit::{
    program::Program,
    slack::{FakeSlack, SlackReply},
    smtp::{FakeSmtp, Script, Verb},
};

use crate::support::{WAIT, address, get, run, sample, start, until};

fn well() -> Script {
    Script::new().banner("relay.example ESMTP")
}

/// From the next connection on; a dialogue under way goes on, or what is seen would depend on where
/// it was cut off.
fn down() -> Script {
    well().on(Verb::Connect, "554 5.3.2 closed for today")
}

/// A relay, somebody to tell, and a file with both.
struct Scene {
    relay: FakeSmtp,
    slack: FakeSlack,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let relay = FakeSmtp::start(well()).await;
        let slack = FakeSlack::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "state-dir = '{0}/state'\n\
             [defaults]\ntls = 'none'\ntimeout = '100s'\nconnect_timeout = '100s'\nconnect_time = [100, 200]\ngreeting_time = [100, 200]\nhelo = 'probe.example'\ninterval = '50ms'\n\
             [[target]]\nname = 'relay-a'\naddress = '{1}'\n\
             labels = {{ complainer_slack_instances = 'default', complainer_slack_channel = '#mail' }}\n\
             [reporters.slack]\nhook_url = '{2}'\nrate = 'unlimited'\n\
             [reporters.file]\nname = '{0}/news.log'\n",
            folder.path().display(),
            relay.address(),
            slack.hook_url("main"),
        );
        std::fs::write(folder.path().join("c.toml"), text).unwrap();
        Self {
            relay,
            slack,
            folder,
        }
    }

    fn start(&self) -> Program {
        let config = format!("--config={}/c.toml", self.folder.path().display());
        start(&[&config, "--watch", "--listen=127.0.0.1:0"], &[])
    }

    /// What Slack was told, in order.
    fn told(&self) -> Vec<String> {
        self.slack.received().into_iter().map(|m| m.text).collect()
    }

    fn log(&self) -> Vec<String> {
        let path = self.folder.path().join("news.log");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

async fn metric(at: SocketAddr, name: &str) -> Option<f64> {
    sample(&get(at, "/metrics", "").await.1, name)
}

/// Until so many messages have arrived, and that is noted.
async fn delivered(at: SocketAddr, messages: f64) {
    until("the messages arrive", async || {
        let now = metric(at, "smtp_relay_check_messages_delivered_total").await?;
        (now >= messages).then_some(())
    })
    .await;
}

/// Until the target was checked so often by this process.
async fn checked(at: SocketAddr, times: f64) {
    until("it is checked", async || {
        let now = metric(at, "smtp_relay_check_probes_total{target=\"relay-a\"}").await?;
        (now >= times).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn down_and_up_are_told_once_to_each_whatever_happens_to_the_program() {
    let scene = Scene::new().await;
    let program = scene.start();
    let at = address(&program).await;
    checked(at, 3.0).await;
    assert!(scene.told().is_empty(), "that all is well is no news");
    scene.relay.set(down());
    delivered(at, 2.0).await;
    let told = scene.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Mail relay relay-a is DOWN: banner: "),
        "{told:?}"
    );
    assert_eq!(scene.slack.received()[0].channel.as_deref(), Some("#mail"));
    let log = scene.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].contains(" DOWN relay-a: banner: "), "{log:?}");
    program.kill();
    // It stays down, and nobody is told again.
    let program = scene.start();
    let at = address(&program).await;
    checked(at, 3.0).await;
    assert_eq!((scene.told().len(), scene.log().len()), (1, 1));
    scene.relay.set(well());
    delivered(at, 2.0).await;
    let told = scene.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[1].starts_with("Mail relay relay-a is RECOVERED: all is well again after "),
        "{told:?}"
    );
    program.kill();
    let program = scene.start();
    let at = address(&program).await;
    checked(at, 3.0).await;
    let health = get(at, "/health", "").await;
    assert!(
        health.0 == 200 && health.1.contains("\"reporting\":\"ok\""),
        "{health:?}"
    );
    let ended = program.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(
        (scene.told().len(), scene.log().len()),
        (2, 2),
        "{:?}",
        scene.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_flaps_is_told_of_three_times() {
    let scene = Scene::new().await;
    let program = scene.start();
    let at = address(&program).await;
    let seen = async |success: f64| {
        until("the flap is seen", async || {
            let now = metric(at, "probe_success{target=\"relay-a\"}").await?;
            (now == success).then_some(())
        })
        .await;
    };
    seen(1.0).await;
    for _ in 0..10 {
        scene.relay.set(down());
        seen(0.0).await;
        scene.relay.set(well());
        seen(1.0).await;
    }
    delivered(at, 6.0).await;
    checked(at, 25.0).await;
    let ended = program.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    let states: Vec<String> = scene
        .log()
        .iter()
        .filter_map(|l| l.split(' ').nth(1).map(str::to_owned))
        .collect();
    assert_eq!(states, ["DOWN", "RECOVERED", "FLAPPING"]);
    assert_eq!(scene.told().len(), 3, "{:?}", scene.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slack_that_is_away_is_told_when_it_is_back() {
    let scene = Scene::new().await;
    scene
        .slack
        .script_all("main", (0..2).map(|_| SlackReply::html(503)));
    scene.relay.refuse().await;
    let program = scene.start();
    scene.slack.wait_for(1, WAIT).await;
    assert_eq!(scene.told().len(), 1);
    assert!(program.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_under_which_nobody_would_hear_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let config = format!("--config={}", file.display());
    let target = "[[target]]\naddress = '127.0.0.1:1'\n";
    for (text, code, word) in [
        ("", 3, "reporters is missing"),
        (
            "[reporters.smtp]\nserver = '127.0.0.1:1'\n",
            3,
            "must not go by mail alone",
        ),
        ("[reporters.slakc]\n", 3, "did you mean \"slack\"?"),
    ] {
        std::fs::write(&file, format!("{text}{target}")).unwrap();
        let checked = run(&[&config, "--watch", "--check-config"], &[]).await;
        assert_eq!(checked.status.code(), Some(code), "{text}");
        assert!(checked.stderr.contains(word), "{text}: {}", checked.stderr);
        let ended = run(&[&config, "--watch"], &[]).await;
        assert_eq!(ended.status.code(), Some(code), "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains(word), "{text}: {}", ended.stderr);
    }
}
