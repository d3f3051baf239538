//! The built watcher against a fake cluster and a fake Slack.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use notifier_testkit::{
    mesos::{Death, FakeCluster, Stream, TaskSpec},
    slack::{FakeSlack, SlackReply},
};

const WAIT: Duration = Duration::from_secs(20);

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|a| (*a).to_owned()).collect()
}

/// GET over a plain socket: status line and body.
fn get(port: u16, path: &str) -> (String, String) {
    let mut s = TcpStream::connect(("127.0.0.1", port)).unwrap();
    s.set_read_timeout(Some(WAIT)).unwrap();
    write!(
        s,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    s.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_dies_and_the_right_people_hear_of_it() {
    let cluster = FakeCluster::builder()
        .masters(2)
        .agents(2)
        .start()
        .await
        .unwrap();
    let slack = FakeSlack::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("failures.log");
    let before = cluster.launch(TaskSpec::new("before.1"));
    cluster.fail(&before, Death::failed());

    let (listen, hook) = (format!("127.0.0.1:{}", free_port()), slack.hook_url("main"));
    let port = listen.rsplit(':').next().unwrap().parse().unwrap();
    let mut flags = args(&[
        "-uploader=noop",
        "--reporters",
        "slack,file",
        "-default",
        "-mesos.interval",
        "200ms",
    ]);
    flags.extend([
        format!("-masters={}", cluster.masters_flag()),
        format!("--file.name={}", log.display()),
        format!("-listen={listen}"),
    ]);
    // The environment is weaker than a flag, and as good where there is none.
    let env = [
        ("SLACK_HOOK_URL", hook.as_str()),
        ("SLACK_CHANNEL", "#env"),
        ("COMPLAINER_UPLOADER", "s3aws"),
    ];
    let watcher = crate::support::start(&flags, &env);
    assert!(
        cluster.wait_for_streams(1, WAIT).await,
        "{}",
        watcher.stderr()
    );

    assert_eq!(get(port, "/health").1, "I am mostly okay, thanks.\n");
    let version = get(port, "/version").1;
    assert_eq!(
        version.trim_end(),
        format!("mesos-watcher (default) v{}", env!("CARGO_PKG_VERSION"))
    );

    let task = cluster.launch(
        TaskSpec::new("web.1")
            .name("web")
            .label("complainer_slack_instances", "default,team")
            .label("complainer_slack_instance_team_channel", "#team"),
    );
    cluster.set_log(&task, Stream::Stderr, b"oops\n".to_vec());
    slack.script("main", SlackReply::rate_limited(Duration::from_secs(1)));
    cluster.fail(&task, Death::failed().exit(1));
    slack.wait_for(2, WAIT).await;
    let mut channels: Vec<_> = slack
        .received()
        .iter()
        .filter(|m| m.posted)
        .map(|m| m.channel.clone().unwrap())
        .collect();
    channels.sort();
    assert_eq!(channels, ["#env", "#team"], "{}", watcher.stderr());

    // No master: unhealthy, with the reason; and back again.
    cluster.no_leader();
    let until = std::time::Instant::now() + WAIT;
    while !get(port, "/health").0.contains("500") {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        get(port, "/health").1.starts_with("Something is fishy: "),
        "{:?}",
        get(port, "/health")
    );
    cluster.master(1).lead();
    while !get(port, "/health").0.contains("200") {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    let text = std::fs::read_to_string(&log).unwrap();
    let url = format!(
        "{}/files/download?path={}/stderr",
        cluster.agent_url(task.agent()),
        task.log_directory()
    );
    assert!(
        text.starts_with("Task web (web.1) died with status TASK_FAILED:\n"),
        "{text}"
    );
    assert!(text.contains(&url), "{text}\nlacks {url}");
    assert_eq!(
        text.lines().count(),
        3,
        "told once, and nothing of what was there before:\n{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_is_reported_on_demand() {
    let cluster = FakeCluster::start().await.unwrap();
    let before = cluster.launch(TaskSpec::new("before.1"));
    cluster.fail(&before, Death::failed());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("failures.log");
    let mut flags = args(&[
        "-uploader=noop",
        "-reporters=file",
        "-backlog=report",
        "-mesos.interval=100ms",
        "-file.format={{ .failure.ID }}{{ .nl }}",
    ]);
    flags.extend([
        format!("-masters={}", cluster.masters_flag()),
        format!("-file.name={}", log.display()),
    ]);
    let watcher = crate::support::start(&flags, &[]);
    let until = std::time::Instant::now() + WAIT;
    while std::fs::read_to_string(&log).unwrap_or_default() != "before.1\n" {
        assert!(std::time::Instant::now() < until, "{}", watcher.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(watcher.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_hangs_delays_no_other_and_stops_in_time() {
    let cluster = FakeCluster::start().await.unwrap();
    let slack = FakeSlack::start().await.unwrap();
    slack.script_all("main", (0..20).map(|_| SlackReply::hang()));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("failures.log");
    let mut flags = args(&[
        "-uploader=noop",
        "-reporters=slack,file",
        "-mesos.interval=100ms",
        "-shutdown-timeout=1s",
    ]);
    flags.extend([
        format!("-masters={}", cluster.masters_flag()),
        format!("-slack.hook_url={}", slack.hook_url("main")),
        format!("-file.name={}", log.display()),
        "-file.format={{ .failure.ID }}{{ .nl }}".into(),
    ]);
    let watcher = crate::support::start(&flags, &[]);
    assert!(cluster.wait_for_streams(1, WAIT).await);
    for i in 0..10 {
        let task = cluster.launch(TaskSpec::new(format!("t.{i}")));
        cluster.fail(&task, Death::failed());
    }
    let until = std::time::Instant::now() + WAIT;
    while std::fs::read_to_string(&log)
        .unwrap_or_default()
        .lines()
        .count()
        < 10
    {
        assert!(std::time::Instant::now() < until, "{}", watcher.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("lost"),
        "what is lost is said:\n{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_told_one_line_each_and_nothing_is_started() {
    let good = [
        "-masters=http://127.0.0.1:1",
        "-uploader=noop",
        "-reporters=file",
    ];
    let cases: &[(&[&str], &str)] = &[
        (&[], "masters"),
        (&["-reporters=pigeon"], "pigeon"),
        (&["-uploader=floppy"], "floppy"),
        (&["-nonsense"], "nonsense"),
        (&["-framework-whitelist=("], "("),
        (
            &["-file.format={{ .failure.Name"],
            "file.format: parse error at 1:",
        ),
        (&["-file.name=/no/such/folder/x"], "/no/such/folder/x"),
        (&["-mesos.interval=fast"], "mesos.interval"),
        (&["-backlog=maybe"], "backlog"),
        (&["-config=/no/such/file.toml"], "/no/such/file.toml"),
        (&["-default=perhaps"], "default"),
    ];
    for (wrong, word) in cases {
        let flags = if wrong.is_empty() {
            args(&[])
        } else {
            args(&[&good[..], wrong].concat())
        };
        let ended = crate::support::start(&flags, &[]).end(WAIT).await;
        assert_eq!(ended.status.code(), Some(64), "{wrong:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(word), "{wrong:?}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains("watching"),
            "{wrong:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.lines().count() <= 3,
            "{wrong:?}: {}",
            ended.stderr
        );
    }
    let ended = crate::support::start(&args(&["-help"]), &[])
        .end(WAIT)
        .await;
    assert!(ended.status.success());
    assert!(ended.stdout.contains("-slack.hook_url") && ended.stdout.contains("SLACK_HOOK_URL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_every_message_once_and_ends_by_itself() {
    let ended = crate::support::start(&args(&["-demo"]), &[])
        .end(Duration::from_secs(120))
        .await;
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("0 missing, 0 twice"),
        "{}\n{}",
        ended.stdout,
        ended.stderr
    );
    assert!(ended.stdout.contains("#payments"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("&lt;!channel&gt;"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("(no logs: "), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\x1b'), "no colour into a pipe");
}
