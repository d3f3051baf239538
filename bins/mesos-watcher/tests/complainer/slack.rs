use notifier_testkit::{http::Request, mesos::TaskSpec};
use serde_json::{Value, json};

use crate::stage::{Stage, Values, flags};

fn is_slack(r: &Request) -> bool {
    r.path().contains("/services/")
}

/// What the original would have posted.
fn posted(r: &Request) -> Value {
    let mut json = r.json().unwrap();
    let fields = json.as_object_mut().unwrap();
    fields.retain(|k, _| !k.starts_with("unfurl_"));
    json
}

fn values(stage: &Stage, hook: &str) -> Values {
    Values::new([
        ("slack.hook_url", "SLACK_HOOK_URL", stage.at(hook)),
        ("slack.channel", "SLACK_CHANNEL", "#mesos".into()),
        ("slack.username", "SLACK_USERNAME", "Mesos Cluster".into()),
        ("slack.icon_emoji", "SLACK_ICON_EMOJI", ":mesos:".into()),
        (
            "slack.icon_url",
            "SLACK_ICON_URL",
            "http://my.example/pic.png".into(),
        ),
        (
            "slack.format",
            "SLACK_FORMAT",
            "{{ .failure.Name }} & {{ config \"mentions\" }}".into(),
        ),
    ])
}

fn expected(text: &str) -> Value {
    json!({
        "text": text, "channel": "#mesos", "username": "Mesos Cluster",
        "icon_emoji": ":mesos:", "icon_url": "http://my.example/pic.png",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn by_flags_and_by_environment() {
    let stage = Stage::new().await;
    let values = values(&stage, "/services/T/B/one");
    let by_flags = (values.flags(&["-reporters=slack"]), vec![]);
    let by_environment = (flags(&["-reporters=slack"]), values.env());
    for (n, (flags, env)) in [by_flags, by_environment].iter().enumerate() {
        let task = TaskSpec::new(format!("web.{n}"))
            .name("web")
            .label("complainer_slack_mentions", "@devs");
        let told = stage.once(flags, env, task, 1, is_slack).await;
        assert_eq!(told[0].path(), "/services/T/B/one");
        assert_eq!(posted(&told[0]), expected("web & @devs"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_labels_in_each_form() {
    let stage = Stage::new().await;
    let other = values(&stage, "/services/T/B/two");
    let default = format!("-slack.hook_url={}", stage.at("/services/T/B/one"));
    let keys = ["hook_url", "channel", "username", "icon_emoji", "icon_url"];
    for (n, (prefix, instances)) in [
        ("complainer_slack", None),
        ("complainer_default_slack", None),
        ("complainer_slack_instance_default", None),
        ("complainer_default_slack_instance_default", None),
        (
            "complainer_slack_instance_team",
            Some("complainer_slack_instances"),
        ),
        (
            "complainer_default_slack_instance_team",
            Some("complainer_default_slack_instances"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut task = other.labels(TaskSpec::new(format!("web.{n}")).name("web"), prefix, &keys);
        if let Some(instances) = instances {
            task = task.label(instances, "team");
        }
        let flags = flags(&[
            "-reporters=slack",
            &default,
            "-slack.format={{ .failure.Name }}",
        ]);
        let told = stage.once(&flags, &[], task, 1, is_slack).await;
        assert_eq!(told[0].path(), "/services/T/B/two", "{prefix}");
        assert_eq!(posted(&told[0]), expected("web"), "{prefix}");
    }
}
