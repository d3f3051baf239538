//! What an instance lives through.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use notifier_testkit::{
    http::{Action, ScriptedServer},
    lambda::Outcome,
    slack::SlackReply,
};
use serde_json::json;

use crate::{
    scene::{SHORT, Scene, text},
    support::WAIT,
};

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_before_its_deadline() {
    let scene = Scene::new().await;
    // Without the deadline it would wait for ten minutes.
    let instance = scene.launch_both(&[("NOTIFIER_REQUEST_TIMEOUT", "10m")]);
    let event = text("m-1", "disk full");
    scene.slack.server().always(Action::Hang);
    let (kind, why) = scene.invoke_for(&event, SHORT).await.error();
    assert_eq!(kind, "Undelivered");
    assert!(why.contains("slack default"), "{why}");
    scene.slack_works();
    let told = scene.invoke(&event).await.response();
    assert_eq!(told["deliveries"], 2, "{}", instance.log());
    assert_eq!(scene.texts(), ["disk full"]);
    // A machine that is slow enough cuts off what writes the file, and then it is written again.
    let lines = scene.lines();
    assert!(
        !lines.is_empty() && lines.iter().all(|l| l == "disk full"),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_be_frozen_between_events() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    assert_eq!(
        scene.invoke(&text("m-1", "one")).await.response()["messages"],
        1
    );
    instance.freeze().await;
    // Who is frozen for long finds his connections gone.
    scene.slack.server().drop_connections();
    let thawed = async {
        tokio::task::yield_now().await;
        instance.thaw();
    };
    let second = text("m-2", "two");
    let (answer, ()) = tokio::join!(scene.invoke(&second), thawed);
    assert_eq!(answer.response()["messages"], 1, "{}", instance.log());
    assert_eq!(scene.texts(), ["one", "two"]);
    instance.freeze().await;
    instance.thaw();
    assert_eq!(
        scene.invoke(&text("m-1", "one")).await.response()["messages"],
        1
    );
    assert_eq!(scene.texts(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_goes_on_where_one_was_killed() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[("NOTIFIER_REQUEST_TIMEOUT", "10m")]);
    let event = text("m-1", "disk full");
    scene.slack.server().always(Action::Hang);
    let killed = async {
        let asked = scene.slack.server().wait_for_requests(1, WAIT);
        assert_eq!(asked.await.len(), 1);
        instance.kill();
    };
    let (answer, ()) = tokio::join!(scene.invoke(&event), killed);
    assert_eq!(answer.outcome, Outcome::Exited);
    scene.slack_works();
    let _next = scene.launch(&[]);
    assert_eq!(scene.invoke(&event).await.response()["deliveries"], 1);
    assert_eq!(scene.texts(), ["disk full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_can_tell_what_comes_again() {
    let scene = Scene::new().await;
    let hook = ScriptedServer::start().await.unwrap();
    let url = hook.url("/hook");
    let set = [
        ("COMPLAINER_REPORTERS", "slack,webhook"),
        ("WEBHOOK_URL", url.as_str()),
    ];
    let event = text("m-1", "disk full");
    let instance = scene.launch(&set);
    // Refused for good, taken, and known to be taken.
    hook.next(Action::status(404));
    scene.slack_is_busy();
    for _ in 0..3 {
        assert_eq!(scene.invoke(&event).await.error().0, "Undelivered");
    }
    instance.kill();
    scene.slack_works();
    let next = scene.launch(&set);
    let told = scene.invoke(&event).await.response();
    assert_eq!(told["deliveries"], 2, "{}", next.log());
    let ids: BTreeSet<String> = hook
        .requests()
        .iter()
        .map(|r| r.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!((hook.requests().len(), ids.len()), (3, 1), "{ids:?}");
    assert_eq!(scene.texts(), ["disk full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_in_a_file_outlives_the_process() {
    let scene = Scene::new().await;
    let outbox = format!("sqlite:{}", scene.folder.path().join("outbox").display());
    let set = [("NOTIFIER_OUTBOX", outbox.as_str())];
    let instance = scene.launch_both(&set);
    let event = text("m-1", "disk full");
    let has_noted = |log: &str| {
        let of_file = |l: &&str| l.contains("delivered") && l.contains("destination=file");
        log.lines().filter(of_file).count() == 2
    };
    // One is given up, and one is under way when the process ends.
    scene
        .slack
        .script("main", SlackReply::word(404, "no_service"));
    assert_eq!(scene.invoke(&event).await.error().0, "Undelivered");
    let second = text("m-2", "two");
    scene.slack.server().clear_requests();
    scene.slack.server().always(Action::Hang);
    let killed = async {
        let asked = scene.slack.server().wait_for_requests(1, WAIT).await;
        assert_eq!(asked.len(), 1, "{}", instance.log());
        let end = Instant::now() + WAIT;
        // What is in the file is noted in the outbox, and then told.
        while !has_noted(&instance.log()) {
            assert!(Instant::now() < end, "{}", instance.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        instance.kill();
    };
    let (answer, ()) = tokio::join!(scene.invoke(&second), killed);
    assert_eq!(answer.outcome, Outcome::Exited);
    assert_eq!(scene.lines(), ["disk full", "two"]);

    scene.slack_works();
    let next = scene.launch_both(&set);
    for event in [&event, &second] {
        assert_eq!(
            scene.invoke(event).await.response()["deliveries"],
            2,
            "{}",
            next.log()
        );
    }
    let mut told = scene.texts();
    told.sort();
    assert_eq!(told, ["disk full", "two"]);
    assert_eq!(scene.lines(), ["disk full", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_without_a_network() {
    let scene = Scene::new().await;
    scene.slack.server().refuse();
    let instance = scene.launch(&[]);
    instance.wait_until_idle().await;
    assert_eq!(scene.slack.server().accepted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_a_file_as_well() {
    let scene = Scene::new().await;
    let file = scene.folder.path().join("relay.toml");
    let text_form = "[relay]\ntext = \"json\"\n";
    std::fs::write(&file, text_form).unwrap();
    let _instance = scene.launch(&[("NOTIFIER_CONFIG", file.to_str().unwrap())]);
    let told = scene.invoke(&text("m-1", "say \"hello\"")).await;
    assert_eq!(told.response(), json!({"messages": 1, "deliveries": 1}));
    assert_eq!(scene.texts(), [r#""say \"hello\"""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_it_does_not_start_is_told_to_lambda() {
    for (set, says) in [
        (("COMPLAINER_REPORTERS", "pager"), "pager"),
        (("COMPLAINER_LISTEN", ":8080"), "serves no HTTP"),
        (("RELAY_TOPICS", "nonsense"), "topics"),
        (("SLACK_FORMAT", "{{ if }}"), "format"),
        (("NOTIFIER_OUTBOX", "sqlite:/proc/none/x"), "/proc/none"),
    ] {
        let scene = Scene::new().await;
        let mut instance = scene.launch(&[set]);
        let ended = instance.end().await;
        assert!(!ended.status.success(), "{set:?}");
        assert!(ended.stderr.contains(says), "{set:?}: {}", ended.stderr);
        let told = scene.lambda.init_errors();
        let [told] = &told[..] else {
            panic!("{set:?}: {told:?}")
        };
        assert_eq!(told["errorType"], "Runtime.InvalidSettings");
        let message = told["errorMessage"].as_str().unwrap();
        assert!(message.contains(says), "{set:?}: {message}");
    }
}
