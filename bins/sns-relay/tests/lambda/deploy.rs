//! The files under `deploy/sns`.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::scene::{Scene, text};

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/sns");
    fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/sns");
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A text, or several.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn policies_allow_what_is_needed_and_nothing_else() {
    let (publish, send) = ("sns:Publish", "sqs:SendMessage");
    let expected: [(&str, &[&str]); 6] = [
        (
            "publisher-policy.json",
            &[publish, "kms:GenerateDataKey*", "kms:Decrypt"],
        ),
        ("topic-policy.json", &[publish]),
        ("queue-policy.json", &[send]),
        ("dead-letter-queue-policy.json", &[send]),
        (
            "lambda-role-policy.json",
            &[
                "logs:CreateLogStream",
                "logs:PutLogEvents",
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                send,
            ],
        ),
        ("lambda-trust-policy.json", &["sts:AssumeRole"]),
    ];
    for (name, actions) in expected {
        let policy: Value = serde_json::from_str(&file(name)).unwrap();
        assert_eq!(policy["Version"], "2012-10-17", "{name}");
        let mut found = BTreeSet::new();
        for statement in policy["Statement"].as_array().unwrap() {
            for not in ["NotAction", "NotResource", "NotPrincipal"] {
                assert!(statement.get(not).is_none(), "{name}: {statement}");
            }
            let is_deny = statement["Effect"] == "Deny";
            if !is_deny {
                found.extend(list(&statement["Action"]));
                assert_ne!(statement["Principal"], "*", "{name}");
            }
            if name == "lambda-trust-policy.json" {
                continue;
            }
            for resource in list(&statement["Resource"]) {
                // The streams of one group have names of Lambda's own.
                let whole = resource.strip_suffix(":log-stream:*").unwrap_or(&resource);
                assert!(
                    whole.starts_with("arn:aws:") && !whole.contains('*'),
                    "{name}: {resource}"
                );
            }
        }
        let actions: BTreeSet<String> = actions.iter().map(|a| (*a).to_owned()).collect();
        assert_eq!(found, actions, "{name}");
    }
}

#[test]
fn a_queue_takes_only_what_the_topic_sends() {
    for name in ["queue-policy.json", "dead-letter-queue-policy.json"] {
        let policy: Value = serde_json::from_str(&file(name)).unwrap();
        let statement = &policy["Statement"][0];
        assert_eq!(
            statement["Principal"],
            json!({"Service": "sns.amazonaws.com"})
        );
        let topic = "arn:aws:sns:eu-west-1:123456789012:fleet-alert";
        assert_eq!(statement["Condition"]["ArnEquals"]["aws:SourceArn"], topic);
    }
    let dead = |name: &str| -> Value { serde_json::from_str(&file(name)).unwrap() };
    assert_eq!(
        dead("redrive-policy.json")["deadLetterTargetArn"],
        dead("dead-letter-queue-policy.json")["Statement"][0]["Resource"]
    );
}

#[test]
fn the_readme_names_every_file() {
    let readme = file("README.md");
    for name in names() {
        assert!(
            name == "README.md" || readme.contains(&format!("`{name}`")),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_takes_the_settings() {
    let scene = Scene::new().await;
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/sns/relay.toml");
    let instance = scene.launch(&[("NOTIFIER_CONFIG", settings.to_str().unwrap())]);
    let answer = scene.invoke(&text("m-1", "disk full")).await;
    assert_eq!(answer.response()["deliveries"], 1, "{}", instance.log());
    let told = scene.slack.received();
    assert_eq!(told[0].username.as_deref(), Some("fleet"));
    // Its variables are those of the example, but for the address.
    for variable in [
        "NOTIFIER_CONFIG=relay.toml",
        "COMPLAINER_REPORTERS=slack",
        "SLACK_HOOK_URL=",
    ] {
        assert!(file("README.md").contains(variable), "{variable}");
    }
}
