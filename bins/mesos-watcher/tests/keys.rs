//! AWS keys, a signing key, tokens and addresses are planted in flags, environment, files and labels of the reporters
//! to webhooks and topics, whose receivers refuse, break, and repeat all that they were sent. None of them is seen in
//! logs, at `/health`, in messages, or in what is kept on the disk.

#[path = "support/plants.rs"]
mod plants;
mod support;

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Mutex,
    time::{Duration, Instant},
};

use notifier_testkit::{
    http::{Action, Delivery, End, Reply, Request, ScriptedServer, Service},
    mesos::{Death, FakeCluster, TaskSpec},
};

use crate::plants::Plants;

const WAIT: Duration = Duration::from_secs(60);

/// How many tasks die.
const TASKS: usize = 9;

/// Each path's moods, one after the other: it refuses and repeats what it was sent, breaks, or takes the message.
#[derive(Default)]
struct Moody(Mutex<HashMap<String, usize>>);

impl Service for Moody {
    fn respond(&self, request: &Request) -> Action {
        let headers: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let echo = format!(
            "no: {} {} {}",
            request.target,
            headers.join(" "),
            request.text()
        );
        let mut moods = self.0.lock().unwrap();
        let mood = moods.entry(request.path().to_owned()).or_default();
        *mood += 1;
        if request.path().starts_with("/topics") {
            return topic(*mood, &echo);
        }
        match *mood % 7 {
            1 => Reply::text(401, echo).into(),
            2 => Reply::text(400, echo).into(),
            3 => Reply::new(429).header("Retry-After", "1").body(echo).into(),
            4 => Reply::html(502).into(),
            5 => Reply::text(200, echo)
                .delivery(Delivery::new().cut(3, End::Reset))
                .into(),
            _ => Reply::text(200, echo).into(),
        }
    }
}

fn topic(mood: usize, echo: &str) -> Action {
    let error = |status, code: &str| {
        let echo = echo.replace('&', "&amp;").replace('<', "&lt;");
        let text = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{echo}</Message></Error></ErrorResponse>"
        );
        Reply::text(status, text).into()
    };
    match mood % 7 {
        1 => error(403, "SignatureDoesNotMatch"),
        2 => error(400, "InvalidParameter"),
        3 => error(400, "Throttled"),
        4 => error(500, "InternalError"),
        5 => Action::ResetAfterBody,
        _ => Reply::text(200, "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>").into(),
    }
}

/// Where the watcher says that it listens.
fn address(log: &str) -> &str {
    let line = log.lines().find(|l| l.contains("serving ")).unwrap();
    let at = &line[line.find("127.0.0.1:").unwrap()..];
    let end = at.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    &at[..end.unwrap_or(at.len())]
}

/// What the watcher itself says there.
fn get(address: &str, path: &str) -> String {
    let mut s = TcpStream::connect(address).unwrap();
    s.set_read_timeout(Some(WAIT)).unwrap();
    write!(
        s,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    s.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn until(what: &str, log: impl Fn() -> String, is: impl Fn() -> bool) {
    let end = Instant::now() + WAIT;
    while !is() {
        assert!(Instant::now() < end, "{what}\n{}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_settings_are_seen_nowhere() {
    run("text", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_awss_own_places_are_seen_nowhere() {
    run("json", false).await;
}

async fn run(format: &str, own_keys: bool) {
    let mut plants = Plants::default();
    let cluster = FakeCluster::start().await.unwrap();
    let sink = ScriptedServer::with_service(Moody::default())
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (id, secret, session) = (
        plants.plant("AKID"),
        plants.plant("key"),
        plants.plant("session"),
    );
    let (token, header) = (plants.plant("token"), plants.plant("header"));
    // A secret of letters and digits is base64.
    let signing = format!("whsec_{}{}", plants.plant("signing"), "A".repeat(40));
    let (user, query) = (plants.plant("password"), plants.plant("query"));
    let hook = sink.url(&format!("/flag/{}", plants.plant("hook")));
    let team = sink
        .url(&format!("/team/x?sig={query}"))
        .replace("http://", &format!("http://m3:{user}@"));
    let team_token = plants.plant("user");
    let spare = sink
        .url("/spare/x")
        .replace("http://", &format!("http://{team_token}@"));
    let guests: Vec<String> = (0..TASKS)
        .map(|n| {
            sink.url(&format!(
                "/guest/{n}?X-Amz-Signature={}",
                plants.plant("guest")
            ))
        })
        .collect();
    let config = format!(
        "[reporters.webhook.instances.team]\nurl = \"{team}\"\n\
         [reporters.webhook.instances.spare]\nurl = {{ file = \"{}\" }}\n\
         [reporters.webhook.instances.other]\nurl = \"{}\"\ntoken = {{ file = \"{}\" }}\n",
        written("spare", &spare),
        sink.url("/other/x"),
        written("token", &token),
    );
    let mut flags: Vec<String> = vec![
        format!("-masters={}", cluster.masters_flag()),
        "-uploader=noop".into(),
        "-reporters=webhook,sns".into(),
        format!("-webhook.url={hook}"),
        format!("-webhook.headers=X-Key: {header}"),
        "-sns.topic=arn:aws:sns:eu-west-1:123456789012:alerts".into(),
        format!("-sns.endpoint={}", sink.url("/topics")),
        format!("-config={}", written("watcher.toml", &config)),
        format!("-state-dir={}", state.display()),
        "-mesos.interval=150ms".into(),
        "-retry.max-interval=1s".into(),
        "-log.level=trace".into(),
        format!("-log.format={format}"),
        "-shutdown-timeout=2s".into(),
        "-listen=127.0.0.1:0".into(),
    ];
    let mut env = vec![
        ("NOTIFIER_LABEL_URLS_ALLOW", "127.0.0.0/8"),
        ("WEBHOOK_SIGNING_KEY", signing.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    if own_keys {
        flags.push(format!("-sns.access_key={id}"));
        flags.push(format!(
            "-sns.secret_key=file:{}",
            written("secret", &secret)
        ));
        env.push(("SNS_SESSION_TOKEN", &session));
    } else {
        env.push(("AWS_ACCESS_KEY_ID", &id));
        env.push(("AWS_SECRET_ACCESS_KEY", &secret));
        env.push(("AWS_SESSION_TOKEN", &session));
    }
    let watcher = crate::support::start(&flags, &env);
    assert!(
        cluster.wait_for_streams(1, WAIT).await,
        "{}",
        watcher.stderr()
    );
    for (n, guest) in guests.iter().enumerate() {
        let spec = TaskSpec::new(format!("t.{n}"))
            .label(
                "complainer_webhook_instances",
                "default,team,spare,other,guest",
            )
            .label("complainer_webhook_instance_guest_url", guest.as_str());
        let task = cluster.launch(spec);
        cluster.fail(&task, Death::failed());
    }
    let count = |path: &str| sink.count_requests(|r| r.path().starts_with(path));
    until(
        "not all were told",
        || watcher.stderr(),
        || {
            ["/flag/", "/team/", "/spare/", "/other/", "/topics"]
                .iter()
                .all(|p| count(p) >= TASKS)
                && (0..TASKS).all(|n| count(&format!("/guest/{n}")) >= 1)
        },
    )
    .await;
    for path in ["/health", "/version", "/debug/pprof/cmdline"] {
        let said = get(address(&watcher.stderr()), path);
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        plants.assert_absent(path, &said);
    }
    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    for word in ["TRACE", "SignatureDoesNotMatch", "***"] {
        assert!(ended.stderr.contains(word), "{word} is in the log");
    }
    plants.assert_absent("the log", &ended.stderr);
    plants.assert_absent("stdout", &ended.stdout);
    let requests = sink.requests();
    let has = |path: &str, text: &str| {
        let mut headers = requests
            .iter()
            .filter(|r| r.path().starts_with(path))
            .flat_map(|r| &r.headers);
        headers.any(|(name, value)| format!("{name}: {value}").to_lowercase().contains(text))
    };
    // They were there to be seen.
    for (path, text) in [
        ("/flag/", "x-key: s3cr3t"),
        ("/flag/", "webhook-signature: v1,"),
        ("/team/", "authorization: basic "),
        ("/spare/", "authorization: basic "),
        ("/other/", "authorization: bearer s3cr3t"),
        ("/topics", "x-amz-security-token: s3cr3t"),
        ("/guest/", "webhook-id: "),
    ] {
        assert!(has(path, text), "{path}: {text}");
    }
    for text in [
        "x-key: ",
        "webhook-signature: ",
        "authorization: ",
        "s3cr3t",
    ] {
        assert!(!has("/guest/", text), "a task's address got {text}");
    }
    for request in &requests {
        plants.assert_absent("a body", &request.text());
    }
    let mut looked = 0;
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "key") {
            continue;
        }
        looked += 1;
        let kept = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        plants.assert_absent(&path.display().to_string(), &kept);
    }
    assert!(looked > 0);
}
