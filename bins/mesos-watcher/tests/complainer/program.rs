use notifier_testkit::{http::Request, mesos::TaskSpec};

use crate::stage::{Stage, flags};

fn is_slack(r: &Request) -> bool {
    r.path().contains("/services/")
}

fn hook(stage: &Stage) -> String {
    format!("-slack.hook_url={}", stage.at("/services/x"))
}

fn texts(told: &[Request]) -> Vec<String> {
    let mut texts: Vec<String> = told
        .iter()
        .map(|r| r.json().unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

/// `-masters`, `-uploader`, `-reporters` and `-listen` by the environment alone.
#[tokio::test(flavor = "multi_thread")]
async fn by_environment() {
    let stage = Stage::new().await;
    let env = [
        ("COMPLAINER_MASTERS", stage.cluster.masters_flag()),
        ("COMPLAINER_UPLOADER", "noop".to_owned()),
        ("COMPLAINER_REPORTERS", "slack".to_owned()),
        ("COMPLAINER_LISTEN", "127.0.0.1:0".to_owned()),
        ("COMPLAINER_NAME", "team".to_owned()),
        ("SLACK_HOOK_URL", stage.at("/services/x")),
        ("SLACK_FORMAT", "{{ .failure.Name }}".to_owned()),
    ];
    let watcher = stage.watch(&[], &env).await;
    // It says where it listens.
    let log = watcher.stderr();
    let (_, rest) = log.split_once("address=127.0.0.1:").expect(&log);
    let port = rest.split_whitespace().next().unwrap().parse().unwrap();
    let version = http(port, "/version");
    assert!(
        version.ends_with(&format!(
            "mesos-watcher (team) v{}\n",
            env!("CARGO_PKG_VERSION")
        )),
        "{version}"
    );
    assert!(http(port, "/health").starts_with("HTTP/1.1 200"));
    stage.die(
        TaskSpec::new("a.1")
            .name("a")
            .label("complainer_slack_instances", "")
            .label("complainer_team_slack_instances", "default"),
    );
    assert_eq!(texts(&stage.told(&watcher, 1, is_slack).await), ["a"]);
}

fn http(port: u16, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `-name` and `-default=false`: a watcher of its own for those that ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_of_another_name_tells_only_who_asked() {
    let stage = Stage::new().await;
    let hook = hook(&stage);
    let format = "-slack.format={{ .failure.Name }} {{ config \"mark\" }}";
    for (by, env) in [
        (flags(&["-name=dogfood", "-default=false"]), vec![]),
        (
            vec![],
            vec![
                ("COMPLAINER_NAME", "dogfood".to_owned()),
                ("COMPLAINER_DEFAULT", "false".to_owned()),
            ],
        ),
    ] {
        let mut flags = flags(&["-reporters=slack", &hook, format]);
        flags.extend(by);
        let watcher = stage.watch(&flags, &env).await;
        stage.die(TaskSpec::new("a.1").name("a"));
        stage.die(
            TaskSpec::new("b.1")
                .name("b")
                .label("complainer_slack_instances", "default"),
        );
        stage.die(
            TaskSpec::new("c.1")
                .name("c")
                .label("complainer_dogfood_slack_instances", "default")
                .label("complainer_slack_mark", "not this")
                .label("complainer_dogfood_slack_mark", "M"),
        );
        assert_eq!(texts(&stage.told(&watcher, 1, is_slack).await), ["c M"]);
        assert!(watcher.stop().await.status.success());
    }
}

/// `-framework-blacklist` first, then `-framework-whitelist`.
#[tokio::test(flavor = "multi_thread")]
async fn frameworks_are_let_through_by_both_lists() {
    let stage = Stage::new().await;
    let hook = hook(&stage);
    let flags = flags(&[
        "-reporters=slack",
        &hook,
        "-slack.format={{ .failure.Framework }}",
        "-framework-whitelist=^marathon",
        "--framework-whitelist",
        "spark",
        "-framework-blacklist=test$",
    ]);
    let watcher = stage.watch(&flags, &[]).await;
    for framework in ["marathon", "marathon-test", "chronos", "my-spark"] {
        stage.die(TaskSpec::new(format!("{framework}.1")).framework(framework));
    }
    assert_eq!(
        texts(&stage.told(&watcher, 2, is_slack).await),
        ["marathon", "my-spark"]
    );
}

/// Without an uploader, reporters or masters nothing starts, as in the original.
#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_set_is_asked_for() {
    let mut watcher = crate::support::start(&[], &[]);
    let ended = watcher.end(std::time::Duration::from_secs(20)).await;
    assert!(!ended.status.success());
    assert_eq!(ended.stdout, "");
    for flag in ["-masters", "-uploader", "-reporters"] {
        assert!(ended.stderr.contains(flag), "{}", ended.stderr);
    }
}
