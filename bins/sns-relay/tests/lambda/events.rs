//! Events that are none of ours, and those that cannot be read.

use serde_json::json;

use crate::scene::{Scene, TIME, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_named_and_the_next_event_is_served() {
    let scene = Scene::new().await;
    let instance = scene.launch(&[]);
    for (event, says) in [
        (
            json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]}),
            "aws:s3",
        ),
        (
            json!({"key1": "value1", "key2": "value2"}),
            "members key1, key2",
        ),
        (json!({"notifier": 99}), "version 99"),
        (json!([1, 2]), "an array"),
        (
            json!({"Records": [{"EventSource": "aws:sns", "Sns": "s3cr3t"}]}),
            "documents",
        ),
    ] {
        let (kind, why) = scene.invoke(&event).await.error();
        assert_eq!(kind, "UnknownEvent", "{event}");
        assert!(why.contains(says), "{event}: {why}");
        assert!(!why.contains("s3cr3t"), "{why}");
    }
    for broken in ["{\"Records\": [", "", "\u{0}"] {
        let answer = scene.lambda.invoke(broken, TIME).await;
        assert!(!answer.error().1.is_empty(), "{broken}");
    }
    assert_eq!(
        scene.invoke(&text("m-1", "x")).await.response()["messages"],
        1
    );
    assert_eq!(scene.texts(), ["x"]);
    assert!(!instance.log().contains("s3cr3t"), "{}", instance.log());
}
