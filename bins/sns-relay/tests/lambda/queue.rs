//! A queue between topic and function.

use serde_json::json;

use crate::scene::{Scene, batch, failures, queued, sns, text, to_channel};

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_failed_is_named() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    scene.slack.only_channels(["#here"]);
    let messages = |bad: &[usize]| {
        let message = |n: usize| {
            let channel = if bad.contains(&n) { "#gone" } else { "#here" };
            to_channel(
                queued(&format!("q-{n}"), &format!("text {n}"), None),
                channel,
            )
        };
        batch((0..10).map(message))
    };
    let answer = scene.invoke(&messages(&[2, 3, 7])).await;
    assert_eq!(
        failures(&answer),
        ["q-2", "q-3", "q-7"],
        "{}",
        instance.log()
    );
    let mut told = scene.texts();
    told.sort();
    assert_eq!(told, [0, 1, 4, 5, 6, 8, 9].map(|n| format!("text {n}")));

    // Only those come again, and all of them: the batch as a whole fails then.
    let again = [2, 3, 7].map(|n| {
        to_channel(
            queued(&format!("q-{n}"), &format!("text {n}"), None),
            "#gone",
        )
    });
    let (kind, why) = scene.invoke(&batch(again)).await.error();
    assert_eq!(kind, "Undelivered");
    assert!(why.starts_with("3 of 3 not told: q-2: "), "{why}");
    assert_eq!(scene.texts().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_and_a_raw_message_are_taken() {
    let scene = Scene::new().await;
    let _instance = scene.launch(&[]);
    let answer = scene
        .invoke(&batch([
            queued("q-1", &sns("m-1", "in an envelope").to_string(), None),
            queued("q-2", "raw", None),
            queued("q-3", &sns("m-1", "in an envelope").to_string(), None),
        ]))
        .await;
    assert!(failures(&answer).is_empty());
    let mut told = scene.texts();
    told.sort();
    assert_eq!(told, ["in an envelope", "raw"]);
    // The same message straight from the topic is known.
    assert_eq!(
        scene
            .invoke(&text("m-1", "in an envelope"))
            .await
            .response()["messages"],
        1
    );
    assert_eq!(scene.texts().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_keeps_its_order() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    scene.slack.only_channels(["#here"]);
    let message = |id: &str, group: &str, channel: &str| {
        to_channel(queued(id, &format!("text {id}"), Some(group)), channel)
    };
    let answer = scene
        .invoke(&batch([
            message("a1", "a", "#here"),
            message("b1", "b", "#here"),
            message("a2", "a", "#gone"),
            message("a3", "a", "#here"),
            message("b2", "b", "#here"),
            message("a4", "a", "#here"),
            message("b3", "b", "#here"),
        ]))
        .await;
    assert_eq!(failures(&answer), ["a2", "a3", "a4"], "{}", instance.log());
    let told = scene.texts();
    let of = |group: &str| -> Vec<String> {
        let these = told.iter().filter(|t| t.contains(group));
        these.cloned().collect()
    };
    assert_eq!(of(" a"), ["text a1"]);
    assert_eq!(of(" b"), ["text b1", "text b2", "text b3"]);
    // What comes after one that failed was not even tried.
    assert_eq!(scene.slack.attempts().len(), 5);

    let answer = scene
        .invoke(&batch([
            message("a2", "a", "#here"),
            message("a3", "a", "#here"),
            message("a4", "a", "#here"),
        ]))
        .await;
    assert!(failures(&answer).is_empty());
    assert_eq!(scene.texts()[4..], ["text a2", "text a3", "text a4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_are_alike_are_told_in_a_digest() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[("NOTIFIER_GROUP_INTERVAL", "5m")]);
    let messages = (0..6).map(|n| queued(&format!("q-{n}"), "disk full", None));
    let event = batch(messages);
    assert!(
        failures(&scene.invoke(&event).await).is_empty(),
        "{}",
        instance.log()
    );
    assert_eq!(scene.texts().len(), 2, "{:?}", scene.texts());
    // Each of them is known, also those that the digest told.
    assert!(failures(&scene.invoke(&event).await).is_empty());
    assert_eq!(scene.texts().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_batch_is_told() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    // As much as Lambda takes, 6 MB, and as much memory as it gives at least.
    let body = "x".repeat(240_000);
    for round in 0..4 {
        let message = |n| {
            queued(
                &format!("q-{round}-{n}"),
                &format!("{round}-{n} {body}"),
                None,
            )
        };
        let event = batch((0..25).map(message));
        assert!(
            failures(&scene.invoke(&event).await).is_empty(),
            "{}",
            instance.log()
        );
    }
    assert_eq!(scene.texts().len(), 100);
    // One invocation's messages are held, not those of all before it.
    let most = instance.peak_memory() / (1024 * 1024);
    assert!(most < 128, "{most} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_told() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    let event = batch((0..700).map(|n| queued(&format!("q-{n}"), &format!("text {n}"), None)));
    assert!(
        failures(&scene.invoke(&event).await).is_empty(),
        "{}",
        instance.log()
    );
    assert_eq!(scene.texts().len(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_is_fine() {
    let scene = Scene::new().await;
    let _instance = scene.launch(&[]);
    for nothing in [json!({"Records": []}), json!({}), json!(null)] {
        let none = json!({"messages": 0, "deliveries": 0});
        assert_eq!(scene.invoke(&nothing).await.response(), none);
    }
}
