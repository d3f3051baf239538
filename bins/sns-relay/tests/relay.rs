//! The built relay before a fake SNS, whose signatures are real.

mod support;

use std::time::Duration;

use notifier_testkit::{
    program::Program,
    slack::SlackReply,
    smtp::Certificates,
    sns::{SnsMessage, SnsSender},
};
use notifiers::{DeliveryId, Document, FailureRecord, Report, http::HttpClient, jiff::Timestamp};
use support::{Relay, Scene, WAIT};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Flags of a relay of this SNS.
fn flags(sns: &SnsSender) -> [String; 2] {
    [
        format!("-relay.topics={}", sns.topic()),
        format!("-relay.endpoint={}", sns.url()),
    ]
}

async fn relay(scene: &Scene, sns: &SnsSender, more: &[&str]) -> Relay {
    let own = flags(sns);
    let all: Vec<&str> = own
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    scene.relay(&all).await
}

async fn status(sns: &SnsSender, relay: &Relay, message: &SnsMessage) -> u16 {
    let posted = sns.post(&relay.endpoint(), message).await;
    posted
        .unwrap_or_else(|e| panic!("{e}\n{}", relay.log()))
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_told() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let relay = relay(&scene, &sns, &[]).await;
    assert_eq!(status(&sns, &relay, &sns.confirmation()).await, 200);
    assert!(sns.wait_confirmed(1, WAIT).await, "{}", relay.log());

    let failure = FailureRecord::new("web.1", "web.service", "EXIT_CODE", Timestamp::UNIX_EPOCH)
        .with_label("complainer_slack_channel", "#team");
    let document = Document::of(&Report::failure(failure), &DeliveryId::new("d1"), "x").to_json();
    let routed = sns
        .notification("disk full")
        .attribute("complainer_slack_channel", "#ops");
    for message in [
        routed,
        sns.notification(&document),
        sns.notification("{\"notifier\": 1}"),
    ] {
        assert_eq!(status(&sns, &relay, &message).await, 200);
    }
    let told = scene.slack.wait_for(3, WAIT).await;
    let shown: Vec<_> = told
        .iter()
        .map(|m| (m.text.as_str(), m.channel.as_deref()))
        .collect();
    assert_eq!(shown[0], ("disk full", Some("#ops")));
    assert!(
        shown[1]
            .0
            .starts_with("Task web.service (web.1) died with status EXIT_CODE ["),
        "{shown:?}"
    );
    assert_eq!(shown[1].1, Some("#team"));
    assert_eq!(shown[2], ("{\"notifier\": 1}", None));
    relay.says("a document cannot be read").await;

    let client = HttpClient::new().unwrap();
    let get = async |path: &str| {
        let url = format!("http://{}{path}", relay.address);
        let answer = client.get(&url).send().await.unwrap();
        (answer.status(), answer.text().into_owned())
    };
    assert_eq!(get("/health").await.0, 200);
    assert!(get("/version").await.1.starts_with("sns-relay (default) v"));
    assert_eq!(get("/sns").await.0, 405);
    assert_eq!(get("/other").await.0, 404);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_the_topic_is_refused_and_does_no_harm() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let foreign = SnsSender::of_topic("arn:aws:sns:eu-west-1:1:other")
        .await
        .unwrap();
    let relay = relay(&scene, &sns, &["-relay.raw_secret=0pen-sesame"]).await;
    let first = sns.notification("first");
    assert_eq!(status(&sns, &relay, &first).await, 200);
    scene.told(1).await;
    for (what, message, expected) in [
        (
            "a forged text",
            sns.notification("x").with("Message", "f0rged-text"),
            403,
        ),
        (
            "a forged confirmation",
            sns.confirmation().with("Token", "f0rged-token"),
            403,
        ),
        ("a foreign topic", foreign.notification("x"), 403),
        ("a foreign confirmation", foreign.confirmation(), 403),
        (
            "a certificate of elsewhere",
            sns.notification("x")
                .with("SigningCertURL", "https://evil.example/x.pem"),
            403,
        ),
        (
            "an unknown type",
            sns.notification("x").with("Type", "Evil"),
            400,
        ),
        ("no message", sns.notification("x").without("Message"), 400),
        ("a huge body", sns.notification(&"x".repeat(5_000_000)), 413),
        (
            "a wrong secret",
            sns.notification("x")
                .raw()
                .with_query("secret=f0rged-secret"),
            403,
        ),
        ("no secret", sns.notification("x").raw(), 401),
        ("a replay", first.clone(), 200),
    ] {
        assert_eq!(
            status(&sns, &relay, &message).await,
            expected,
            "{what}\n{}",
            relay.log()
        );
    }
    let challenge = sns
        .post(&relay.endpoint(), &sns.notification("x").raw())
        .await
        .unwrap();
    assert!(
        challenge
            .head
            .to_ascii_lowercase()
            .contains("www-authenticate: basic"),
        "{}",
        challenge.head
    );
    // Each once, whatever there is of its kind.
    for _ in 0..20 {
        let forged = sns.notification("x").with("Message", "y");
        assert_eq!(status(&sns, &relay, &forged).await, 403);
    }
    assert_eq!(status(&sns, &relay, &sns.notification("last")).await, 200);
    assert_eq!(scene.told(2).await, ["first", "last"]);
    assert!(sns.confirmed().is_empty() && foreign.confirmed().is_empty());
    assert_eq!(foreign.server().accepted(), 0);
    let log = relay.stop().await.stderr;
    for kind in [
        "signature",
        "foreign topic",
        "certificate",
        "unknown type",
        "malformed",
        "too large",
        "raw delivery",
        "unauthenticated",
    ] {
        let lines = log
            .lines()
            .filter(|l| l.contains("refused: ") && l.contains(kind))
            .count();
        assert!(lines >= 1, "{kind}:\n{log}");
    }
    let of_signatures = log
        .lines()
        .filter(|l| l.contains("kind=\"signature\"") || l.contains("kind=signature"));
    assert!(of_signatures.count() < 22, "told each time:\n{log}");
    for secret in ["f0rged", "0pen-sesame", first.get("Signature"), "xxxxxxxx"] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_deliveries_are_told_to_who_knows_the_secret() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let relay = relay(&scene, &sns, &["-relay.raw_secret=0pen-sesame"]).await;
    let raw = sns.notification("disk full").raw();
    let by_query = raw.clone().with_query("secret=0pen-sesame");
    // sns:0pen-sesame
    let by_password = raw.header("Authorization", "Basic c25zOjBwZW4tc2VzYW1l");
    assert_eq!(status(&sns, &relay, &by_query).await, 200);
    assert_eq!(
        status(&sns, &relay, &by_password).await,
        200,
        "{}",
        relay.log()
    );
    assert_eq!(status(&sns, &relay, &sns.notification("last")).await, 200);
    assert_eq!(scene.told(2).await, ["disk full", "last"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_message_is_not_told_for_it() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let relay = relay(&scene, &sns, &["-relay.raw_secret=0pen-sesame"]).await;
    let raw = sns.notification("disk full").raw();
    let raw = raw.with_query("secret=0pen-sesame");
    let mut head = "POST /sns?secret=0pen-sesame HTTP/1.1\r\nHost: x\r\n".to_owned();
    for (name, value) in raw.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut cut = TcpStream::connect(&relay.address).await.unwrap();
    head.push_str("Content-Length: 9\r\n\r\ndisk");
    cut.write_all(head.as_bytes()).await.unwrap();
    cut.shutdown().await.unwrap();
    // Whatever it answers, it is done with it then.
    let mut answer = String::new();
    let _ = tokio::time::timeout(WAIT, cut.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(status(&sns, &relay, &raw).await, 200);
    assert_eq!(scene.told(1).await, ["disk full"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_can_be_told_in_quotes_as_the_old_function_did() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let relay = relay(&scene, &sns, &["-relay.text=json"]).await;
    let text = "ALERT \"x\"\nend";
    assert_eq!(status(&sns, &relay, &sns.notification(text)).await, 200);
    assert_eq!(scene.told(1).await, [r#""ALERT \"x\"\nend""#]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_storing_and_sending_it_tells_once() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    scene.slack.server().refuse();
    let mut first = relay(&scene, &sns, &[]).await;
    let messages: Vec<_> = (0..20)
        .map(|n| sns.notification(&format!("m{n}")))
        .collect();
    for m in &messages {
        assert_eq!(status(&sns, &first, m).await, 200);
    }
    first.program.child.kill().unwrap();
    first.program.end(WAIT).await;
    scene.slack.server().restore().unwrap();
    let second = relay(&scene, &sns, &[]).await;
    // SNS did not hear of some, and tries again.
    for m in &messages[10..] {
        assert_eq!(status(&sns, &second, m).await, 200);
    }
    assert_eq!(status(&sns, &second, &sns.notification("last")).await, 200);
    let mut told = scene.told(21).await;
    told.sort();
    let mut expected: Vec<_> = messages
        .iter()
        .map(|m| m.get("Message").to_owned())
        .collect();
    expected.push("last".to_owned());
    expected.sort();
    assert_eq!(told, expected);
    second.stop().await;
    assert_eq!(scene.slack.received().len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slack_refuses_for_a_while_arrives() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    scene.slack.script("main", SlackReply::html(503));
    let relay = relay(&scene, &sns, &[]).await;
    assert_eq!(status(&sns, &relay, &sns.notification("later")).await, 200);
    assert_eq!(scene.told(1).await, ["later"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_outbox_is_answered_so_that_sns_tries_again() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    scene.slack.server().refuse();
    let relay = relay(&scene, &sns, &["-outbox-size=3"]).await;
    let mut refused = Vec::new();
    for n in 0..8 {
        let m = sns.notification(&format!("m{n}"));
        match status(&sns, &relay, &m).await {
            200 => {}
            503 => refused.push(m),
            other => panic!("{other}\n{}", relay.log()),
        }
    }
    assert!(!refused.is_empty());
    scene.slack.server().restore().unwrap();
    for m in &refused {
        let posted = sns.deliver(&relay.endpoint(), m, 300).await.unwrap();
        assert_eq!(posted.status, 200, "{}", relay.log());
    }
    let ours = |texts: Vec<String>| {
        let mut ours: Vec<_> = texts.into_iter().filter(|t| t.starts_with('m')).collect();
        ours.sort();
        ours
    };
    let end = std::time::Instant::now() + WAIT;
    let expected: Vec<_> = (0..8).map(|n| format!("m{n}")).collect();
    while ours(scene.told(1).await) != expected {
        assert!(std::time::Instant::now() < end, "{}", relay.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_served_and_a_renewed_certificate_is_shown() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let (old, new) = (Certificates::new(), Certificates::new());
    let (cert, key) = (scene.path("cert.pem"), scene.path("key.pem"));
    let write = |from: &Certificates| {
        let identity = from.valid();
        std::fs::write(&key, identity.key_pem()).unwrap();
        std::fs::write(&cert, identity.chain_pem()).unwrap();
    };
    write(&old);
    let relay = relay(
        &scene,
        &sns,
        &[
            &format!("-relay.tls_cert={}", cert.display()),
            &format!("-relay.tls_key={}", key.display()),
        ],
    )
    .await;
    let port = relay.address.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}/sns");
    let post = async |trusted: &Certificates, message: &SnsMessage| {
        let client = HttpClient::builder()
            .ca_pem(trusted.ca_pem().as_bytes())
            .unwrap()
            .build()
            .unwrap();
        let sent = client
            .post(&url)
            .body("text/plain", message.body())
            .send()
            .await;
        sent.map(|answer| answer.status())
    };
    assert_eq!(
        post(&old, &sns.notification("one")).await.unwrap(),
        200,
        "{}",
        relay.log()
    );
    assert!(
        sns.post(&relay.endpoint(), &sns.notification("plain"))
            .await
            .is_err()
    );
    std::fs::write(&cert, "half of a certificate").unwrap();
    assert_eq!(post(&old, &sns.notification("two")).await.unwrap(), 200);
    relay.says("the old one is shown").await;
    write(&new);
    assert_eq!(
        post(&new, &sns.notification("three")).await.unwrap(),
        200,
        "{}",
        relay.log()
    );
    assert!(post(&old, &sns.notification("four")).await.is_err());
    assert_eq!(scene.told(3).await, ["one", "two", "three"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_slowly_is_put_off_and_holds_up_nobody() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let relay = relay(&scene, &sns, &[]).await;
    let mut slow = TcpStream::connect(&relay.address).await.unwrap();
    slow.write_all(b"POST /sns HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    assert_eq!(
        status(&sns, &relay, &sns.notification("meanwhile")).await,
        200
    );
    assert_eq!(scene.told(1).await, ["meanwhile"]);
    let mut answer = vec![0; 12];
    tokio::time::timeout(WAIT, slow.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 503");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_reporters_tell_the_text_too() {
    let (scene, sns) = (Scene::new().await, SnsSender::start().await.unwrap());
    let file = scene.path("told.log");
    let flag = format!("-file.name={}", file.display());
    // The others have nowhere to send to, but their templates are compiled.
    let all = "-reporters=file,slack,hipchat,jira,smtp,sns,webhook";
    let mail = ["-smtp.server=127.0.0.1:1", "-smtp.from=relay@a.example"];
    let relay = relay(&scene, &sns, &[all, &flag, mail[0], mail[1]]).await;
    assert_eq!(
        status(&sns, &relay, &sns.notification("disk full")).await,
        200
    );
    assert_eq!(
        status(&sns, &relay, &sns.notification("{\"a\": \"b\"}")).await,
        200
    );
    scene.told(2).await;
    let end = std::time::Instant::now() + WAIT;
    let told = || std::fs::read_to_string(&file).unwrap_or_default();
    while told() != "disk full\n{\"a\": \"b\"}\n" {
        assert!(std::time::Instant::now() < end, "{}", told());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_told_all_at_once_and_nothing_is_started() {
    let args: Vec<String> = [
        "-reporters=slack",
        "-relay.topics=no-arn",
        "-relay.path=/health",
        "-relay.tls_cert=/nowhere/cert.pem",
        "-relay.raw_secret=s1",
    ]
    .map(str::to_owned)
    .into();
    let mut program = Program::start(env!("CARGO_BIN_EXE_sns-relay"), &args, &[]);
    let ended = program.end(WAIT).await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
    for part in [
        "relay.topics",
        "relay.path",
        "relay.tls_cert",
        "relay.raw_secret",
        "listen: ",
    ] {
        assert!(ended.stderr.contains(part), "{part}:\n{}", ended.stderr);
    }
}
