//! The built relay behind LocalStack's SNS, whose signatures are real ones of versions 1 and 2.

mod stack;
mod support;

use notifier_testkit::peer;
use notifiers::{DeliveryId, Document, FailureRecord, Report, jiff::Timestamp};
use stack::LocalStack;
use support::{Scene, WAIT};

#[tokio::test(flavor = "multi_thread")]
async fn a_real_topic_is_confirmed_verified_and_told() {
    let name = "sns-relay behind LocalStack";
    let Some(sns) = LocalStack::start(name).await else {
        return;
    };
    let scene = Scene::new().await;
    let (topic, foreign) = (sns.topic("fleet-alert").await, sns.topic("foreign").await);
    let relay = scene
        .relay(&[
            &format!("-relay.topics={topic}"),
            &format!("-relay.endpoint={}", sns.url),
        ])
        .await;
    sns.subscribe(&topic, &relay.endpoint()).await;
    sns.subscribed(&topic, &relay.endpoint()).await;

    let text =
        "ALERT - CoreOS unit failure: my_app@1 unit failed. Host: worker-17 platform: <staging>";
    sns.publish(&topic, text).await;
    let told = scene.told(1).await;
    assert_eq!(told, [text.replace('<', "&lt;").replace('>', "&gt;")]);

    // Version 2, and a document.
    sns.expect(&[
        ("Action", "SetTopicAttributes"),
        ("TopicArn", &topic),
        ("AttributeName", "SignatureVersion"),
        ("AttributeValue", "2"),
    ])
    .await;
    let failure = FailureRecord::new("web.1", "web.service", "EXIT_CODE", Timestamp::UNIX_EPOCH);
    let document =
        Document::of(&Report::failure(failure), &DeliveryId::new("d1"), "text").to_json();
    sns.publish(&topic, &document).await;
    // Published twice, told once: the last message shows that nothing is on its way any more.
    sns.publish(&topic, &document).await;
    let told = scene.told(2).await;
    assert!(
        told[1].starts_with("Task web.service (web.1) died with status EXIT_CODE"),
        "{told:?}"
    );
    relay.says("subscribed").await;

    // A topic that is not listed is not confirmed, so nothing of it is ever delivered.
    sns.subscribe(&foreign, &relay.endpoint()).await;
    relay.says("foreign topic").await;
    sns.publish(&topic, "the last").await;
    assert_eq!(scene.told(3).await.last().unwrap(), "the last");
    assert_eq!(scene.slack.attempts().len(), 3);
    let ended = relay.stop().await;
    assert!(!ended.stderr.contains("Token="), "{}", ended.stderr);

    // Killed after it has stored a message and before it could send it: told once.
    scene.slack.server().refuse();
    let mut relay = scene
        .relay(&[
            &format!("-relay.topics={topic}"),
            &format!("-relay.endpoint={}", sns.url),
        ])
        .await;
    sns.subscribe(&topic, &relay.endpoint()).await;
    sns.subscribed(&topic, &relay.endpoint()).await;
    sns.publish(&topic, "stored").await;
    relay.says("not delivered").await;
    relay.program.child.kill().unwrap();
    relay.program.end(WAIT).await;
    scene.slack.server().restore().unwrap();
    let relay = scene
        .relay(&[
            &format!("-relay.topics={topic}"),
            &format!("-relay.endpoint={}", sns.url),
        ])
        .await;
    assert_eq!(scene.told(4).await[3], "stored");
    relay.stop().await;
    assert_eq!(scene.slack.received().len(), 4);
    peer::ran(name);
}
