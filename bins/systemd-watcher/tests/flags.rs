//! The commands without any systemd: what they say, what they send, and how they end.

use std::time::Duration;

use notifier_testkit::{
    program::{Ended, Program},
    slack::{FakeSlack, SlackReply},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const WAIT: Duration = Duration::from_secs(120);
const RUN: &str = "06d8446e10c24a62b9082df66f66183f";

/// As systemd sets them for who is started by `OnFailure=`.
const MONITOR: [(&str, &str); 5] = [
    ("MONITOR_EXIT_CODE", "exited"),
    ("MONITOR_EXIT_STATUS", "7"),
    ("MONITOR_INVOCATION_ID", RUN),
    ("MONITOR_SERVICE_RESULT", "exit-code"),
    ("MONITOR_UNIT", "of-no-machine.service"),
];

async fn run(args: &[String], env: &[(&str, &str)]) -> Ended {
    Program::start(env!("CARGO_BIN_EXE_systemd-watcher"), args, env)
        .end(WAIT)
        .await
}

async fn say(args: &[&str]) -> Ended {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    run(&args, &[]).await
}

/// A Slack, and a folder for the state.
struct Scene {
    slack: FakeSlack,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        Self {
            slack: FakeSlack::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn args(&self, command: &[&str], more: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = command.iter().map(|a| (*a).to_owned()).collect();
        args.push("-reporters=slack".to_owned());
        args.push(format!("-slack.hook_url={}", self.slack.hook_url("ops")));
        args.push("-slack.rate=unlimited".to_owned());
        args.push("-retry.max-interval=1s".to_owned());
        // Longer than any of it takes; where it is to be short, the last one counts.
        args.push("-shutdown-timeout=60s".to_owned());
        args.extend(more.iter().map(|a| (*a).to_owned()));
        args
    }

    fn state(&self) -> String {
        format!("-state-dir={}", self.folder.path().join("state").display())
    }
}

#[tokio::test]
async fn each_command_has_help_of_its_own() {
    for (args, usage, about) in [
        (
            &["-help"][..],
            "Usage: systemd-watcher [flags]",
            "systemd-watcher unit NAME",
        ),
        (
            &["unit", "-help"],
            "Usage: systemd-watcher unit NAME [flags]",
            "OnFailure=",
        ),
        (
            &["unit", "web.service", "-h"],
            "Usage: systemd-watcher unit NAME [flags]",
            "OnFailure=",
        ),
        (
            &["drain", "--help"],
            "Usage: systemd-watcher drain [flags]",
            "Exits with 0",
        ),
    ] {
        let ended = say(args).await;
        assert_eq!(ended.status.code(), Some(0), "{args:?}: {}", ended.stderr);
        assert!(
            ended.stdout.starts_with(usage),
            "{args:?}: {}",
            ended.stdout
        );
        let words: Vec<&str> = ended.stdout.split_whitespace().collect();
        assert!(
            words.join(" ").contains(about),
            "{args:?}: {}",
            ended.stdout
        );
        for part in [
            "-systemd.units",
            "-fleet.endpoint",
            "-message",
            "-sources",
            "-slack.hook_url",
        ] {
            assert!(ended.stdout.contains(part), "{args:?}: {part}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_before_anything_starts() {
    let long = format!("{}.service", "a".repeat(250));
    for (args, why) in [
        (&["s3cret"][..], "neither a flag nor a command"),
        (&["unit"], "systemd-watcher unit NAME"),
        (&["unit", "web.service"], "reporters is missing"),
        (
            &["unit", "a b.service", "-reporters=file"],
            "no name of a unit",
        ),
        (
            &["unit", "a\nb.service", "-reporters=file"],
            "no name of a unit",
        ),
        (&["unit", &long, "-reporters=file"], "no name of a unit"),
        (&["unit", "a/b", "-reporters=file"], "%i, not %I"),
        (
            &["unit", "-config=/etc/x", "-reporters=file"],
            "no name of a unit",
        ),
        (&["drain", "-reporters=file"], "-state-dir=DIR"),
        (
            &["drain", "web.service", "-reporters=file"],
            "argument 1 is not a flag",
        ),
        (
            &["-reporters=file", "-sources=upstart"],
            "there is systemd and fleet",
        ),
        (&["-reporters=file", "-message=poem"], "message"),
        (&["-reporters=file", "-systemd.bus=tram"], "systemd.bus"),
        (
            &["unit", "web", "-reporters=file", "-systemd.journal_lines=x"],
            "journal_lines",
        ),
    ] {
        let ended = say(args).await;
        assert_eq!(ended.status.code(), Some(64), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{args:?}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains("s3cret"),
            "{args:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_failure_is_told_by_the_environment_alone_and_once() {
    let scene = Scene::new().await;
    let state = scene.state();
    let args = scene.args(
        &["unit", "of-no-machine"],
        &[&state, "-systemd.host=node-1"],
    );
    for _ in 0..2 {
        let ended = run(&args, &MONITOR).await;
        assert!(ended.status.success(), "{}", ended.stderr);
    }
    let told = scene.slack.received();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].text.starts_with(
            "*of-no-machine.service* failed on node-1: main process exited with status 7 (NOTRUNNING)"
        ),
        "{}",
        told[0].text
    );
}

#[tokio::test]
async fn without_any_variable_each_call_is_told() {
    let scene = Scene::new().await;
    let state = scene.state();
    let args = scene.args(&["unit", "of-no-machine"], &[&state]);
    let other = [
        ("MONITOR_UNIT", "another.service"),
        ("MONITOR_INVOCATION_ID", RUN),
    ];
    for env in [&[][..], &other] {
        let ended = run(&args, env).await;
        assert!(ended.status.success(), "{}", ended.stderr);
    }
    let told = scene.slack.received();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .all(|m| m.text.starts_with("*of-no-machine.service* failed")),
        "{told:?}"
    );
}

#[tokio::test]
async fn units_that_are_ignored_are_not_told() {
    let scene = Scene::new().await;
    let args = scene.args(
        &["unit", "user@1000"],
        &["-systemd.ignore=user@*.service", "-outbox=memory"],
    );
    let ended = run(&args, &[]).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.contains("-systemd.ignore"), "{}", ended.stderr);
    assert!(scene.slack.received().is_empty());
}

#[tokio::test]
async fn without_a_disk_it_ends_well_only_if_the_failure_has_arrived() {
    let scene = Scene::new().await;
    let args = scene.args(
        &["unit", "of-no-machine"],
        &["-outbox=memory", "-shutdown-timeout=1s"],
    );
    scene
        .slack
        .script_all("ops", (0..1000).map(|_| SlackReply::html(503)));
    let ended = run(&args, &MONITOR).await;
    assert_eq!(ended.status.code(), Some(69), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("nothing keeps it"),
        "{}",
        ended.stderr
    );
    scene.slack.clear_script("ops");
    let args = scene.args(&["unit", "of-no-machine"], &["-outbox=memory"]);
    let ended = run(&args, &MONITOR).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(scene.slack.received().len(), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let scene = Scene::new().await;
    // A file is in its place, which not even root gets past.
    let taken = scene.folder.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    for command in [&["unit", "of-no-machine"][..], &["drain"]] {
        let state = format!("-state-dir={}", taken.join("state").display());
        let ended = run(&scene.args(command, &[&state]), &MONITOR).await;
        assert_eq!(ended.status.code(), Some(74), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("cannot make the state folder"),
            "{}",
            ended.stderr
        );
        assert!(
            !ended.stderr.contains(scene.slack.hook_url("ops").as_str()),
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn drain_says_whether_something_is_left() {
    let scene = Scene::new().await;
    let state = scene.state();
    let drain = scene.args(
        &["drain"],
        &[&state, "-shutdown-timeout=1s", "-request-timeout=60s"],
    );
    assert!(run(&drain, &[]).await.status.success());
    scene
        .slack
        .script_all("ops", (0..1000).map(|_| SlackReply::html(503)));
    let unit = scene.args(
        &["unit", "of-no-machine"],
        &[&state, "-shutdown-timeout=1s"],
    );
    let ended = run(&unit, &MONITOR).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the command drain"),
        "{}",
        ended.stderr
    );
    // Slack takes a request, and says nothing: what is under way is cut in the end.
    scene.slack.clear_script("ops");
    scene.slack.script("ops", SlackReply::hang());
    let mut left = run(&drain, &[]).await;
    while left.status.success() && scene.slack.script_left("ops") > 0 {
        // It was not due yet.
        sleep(Duration::from_millis(100)).await;
        left = run(&drain, &[]).await;
    }
    assert_eq!(left.status.code(), Some(69), "{}", left.stderr);
    assert!(left.stderr.contains("of 1 messages"), "{}", left.stderr);
    let end = Instant::now() + WAIT;
    while scene.slack.received().is_empty() {
        let ended = run(&drain, &[]).await;
        assert!(Instant::now() < end, "{}", ended.stderr);
        sleep(Duration::from_millis(100)).await;
    }
}
