use notifier_testkit::{http::Request, mesos::TaskSpec};
use serde_json::json;

use crate::stage::{Stage, Values, flags};

fn is_hipchat(r: &Request) -> bool {
    r.path().contains("/room/")
}

fn values(stage: &Stage, base: &str) -> Values {
    Values::new([
        ("hipchat.base_url", "HIPCHAT_BASE_URL", stage.at(base)),
        ("hipchat.room", "HIPCHAT_ROOM", "ops room".into()),
        ("hipchat.token", "HIPCHAT_TOKEN", "T0KENofTheRoom".into()),
        (
            "hipchat.format",
            "HIPCHAT_FORMAT",
            "<b>{{ .failure.Name }}</b>".into(),
        ),
    ])
}

fn check(r: &Request, path: &str, token: &str, message: &str) {
    assert_eq!(r.path(), path);
    let bearer = format!("Bearer {token}");
    assert_eq!(r.header("authorization"), Some(bearer.as_str()));
    assert_eq!(r.query(), "");
    let expected = json!({
        "message": message, "message_format": "html", "color": "red", "notify": true,
    });
    assert_eq!(r.json().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_flags_and_by_environment() {
    let stage = Stage::new().await;
    let values = values(&stage, "/v2/");
    let by_flags = (values.flags(&["-reporters=hipchat"]), vec![]);
    let by_environment = (flags(&["-reporters=hipchat"]), values.env());
    for (n, (flags, env)) in [by_flags, by_environment].iter().enumerate() {
        let task = TaskSpec::new(format!("web.{n}")).name("web");
        let told = stage.once(flags, env, task, 1, is_hipchat).await;
        check(
            &told[0],
            "/v2/room/ops%20room/notification",
            "T0KENofTheRoom",
            "<b>web</b>",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_labels() {
    let stage = Stage::new().await;
    let base = values(&stage, "/v2/");
    let task = TaskSpec::new("web.1")
        .name("web")
        .label("complainer_hipchat_instances", "default,team")
        .label(
            "complainer_hipchat_instance_team_base_url",
            stage.at("/other/v2/"),
        )
        .label("complainer_hipchat_instance_team_room", "team")
        .label("complainer_hipchat_instance_team_token", "T0KENofTheTeam");
    let mut told = stage
        .once(
            &base.flags(&["-reporters=hipchat"]),
            &[],
            task,
            2,
            is_hipchat,
        )
        .await;
    told.sort_by_key(|r| r.path().to_owned());
    check(
        &told[0],
        "/other/v2/room/team/notification",
        "T0KENofTheTeam",
        "<b>web</b>",
    );
    check(
        &told[1],
        "/v2/room/ops%20room/notification",
        "T0KENofTheRoom",
        "<b>web</b>",
    );
}

/// Without a token or a room nothing is sent, and nothing is said.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_room_it_is_not_configured() {
    let stage = Stage::new().await;
    let hipchat = format!("-hipchat.base_url={}", stage.at("/v2/"));
    let slack = format!("-slack.hook_url={}", stage.at("/services/x"));
    let flags = flags(&[
        "-reporters=hipchat,slack",
        &hipchat,
        "-hipchat.token=T0KEN",
        &slack,
    ]);
    let watcher = stage.watch(&flags, &[]).await;
    stage.die(TaskSpec::new("web.1"));
    stage.told(&watcher, 1, |r| r.path() == "/services/x").await;
    stage.told(&watcher, 0, is_hipchat).await;
}
