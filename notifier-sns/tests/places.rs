//! Keys from AWS' own places: each is looked at by a process of its own, since they are found by
//! the environment.

use std::{path::Path, process::Stdio, time::Duration};

use notifier_core::{
    Error, FailureRecord, Report, Reporter as _,
    jiff::{SignedDuration, Timestamp},
};
use notifier_sns::SnsReporter;
use notifier_testkit::sns::{FakePlaces, FakeSns, SnsReply, TemporaryKey};
use tokio::process::Command;

const NAME: &str = "alerts";
/// In `us-east-1`, as the fake makes them.
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alerts";
const ID: &str = "ASIACANARY0451";
const SECRET: &str = "s3cr3t-canary-0451";
const TOKEN: &str = "t0ken-canary-0451";
/// Has the options, in a process that is one of those.
const OPTIONS: &str = "NOTIFIER_SNS_TEST_CHILD";

/// What runs in the other process: two messages and a check. Nothing without the variable.
#[tokio::test]
async fn child() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the test says that it is one"
    )]
    let Ok(options) = std::env::var(OPTIONS) else {
        return;
    };
    let mut b = SnsReporter::builder().topic(TOPIC).set("timeout", "30s");
    let (mut times, mut patience) = (2, 0);
    for pair in options.split(';').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').expect("key=value");
        match key {
            "times" => times = value.parse().expect("a number"),
            "patience" => patience = value.parse().expect("a number"),
            key => b = b.set(key, value),
        }
    }
    let r = b.build().expect("the settings make sense");
    let f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    let report = Report::failure(f);
    for _ in 0..times {
        let mut sent = r.send(&report).await;
        // Whoever has keys is asked with time-outs of a second, which a busy machine may miss.
        while sent.as_ref().is_err_and(Error::is_retryable) && patience > 0 {
            patience -= 1;
            sent = r.send(&report).await;
        }
        match sent {
            Ok(_) => say("sent"),
            Err(e) => say(&format!(
                "failed: kind={:?} retry={:?} delivery={:?} {}",
                e.kind(),
                e.retry(),
                e.delivery(),
                e.report()
            )),
        }
    }
    match r.check(r.settings()).await {
        Ok(()) => say("checked"),
        Err(e) => say(&format!("not checked: {}", e.report())),
    }
}

#[expect(clippy::print_stdout, reason = "read by the test that started it")]
fn say(text: &str) {
    println!("child: {text}");
}

/// Runs it with an environment of its own, and what it says.
async fn run(home: &Path, options: &str, env: &[(&str, &str)]) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", "child", "--nocapture"])
        .env_clear()
        .env("HOME", home)
        .env("AWS_CONFIG_FILE", home.join("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", home.join("credentials"))
        .env(OPTIONS, options)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let out = tokio::time::timeout(Duration::from_secs(180), child)
        .await
        .expect("it ends")
        .unwrap();
    let (text, errors) = (
        String::from_utf8(out.stdout).unwrap(),
        String::from_utf8(out.stderr).unwrap(),
    );
    assert!(out.status.success(), "{text}\n{errors}");
    let all = text + &errors;
    for secret in [SECRET, TOKEN] {
        assert!(!all.contains(secret), "{all}");
    }
    let said = all.lines().filter_map(|l| Some(l.split_once("child: ")?.1));
    said.map(str::to_owned).collect()
}

struct Rig {
    sns: FakeSns,
    places: FakePlaces,
    home: tempfile::TempDir,
    url: String,
}

impl Rig {
    async fn new() -> Self {
        let sns = FakeSns::start().await.unwrap();
        assert_eq!(sns.topic(NAME), TOPIC);
        sns.temporary_key(ID, SECRET, TOKEN);
        let places = FakePlaces::start(TemporaryKey::new(ID, SECRET, TOKEN))
            .await
            .unwrap();
        Self {
            url: sns.url(),
            sns,
            places,
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    async fn run(&self, options: &str, env: &[(&str, &str)]) -> Vec<String> {
        let no_metadata = ("AWS_EC2_METADATA_DISABLED", "true");
        let base = [("AWS_ENDPOINT_URL_SNS", self.url.as_str()), no_metadata];
        run(self.home.path(), options, &[&base, env].concat()).await
    }

    /// The same, where whoever has the keys may be slow.
    async fn run_patiently(&self, options: &str, env: &[(&str, &str)]) -> Vec<String> {
        self.run(&format!("patience=20;{options}"), env).await
    }

    fn assert_sent(&self, said: &[String]) {
        assert_eq!(said, ["sent", "sent", "checked"]);
        let all = self.sns.received();
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|m| m.key == ID), "{all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_the_environment() {
    let rig = Rig::new().await;
    let said = rig
        .run(
            "",
            &[
                ("AWS_ACCESS_KEY_ID", ID),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_SESSION_TOKEN", TOKEN),
                // The topic's region is what counts.
                ("AWS_REGION", "eu-north-1"),
            ],
        )
        .await;
    rig.assert_sent(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_a_profile() {
    let rig = Rig::new().await;
    rig.write(
        "credentials",
        &format!("[default]\naws_access_key_id = OTHER\naws_secret_access_key = other\n[ops]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"),
    );
    let said = rig.run("profile=ops", &[]).await;
    rig.assert_sent(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_may_name_a_program_and_another_region() {
    let rig = Rig::new().await;
    let keys = format!(
        r#"{{"Version": 1, "AccessKeyId": "{ID}", "SecretAccessKey": "{SECRET}", "SessionToken": "{TOKEN}"}}"#
    );
    let keys = rig.write("keys.json", &keys);
    rig.write(
        "config",
        &format!("[profile ops]\nregion = eu-north-1\ncredential_process = /bin/cat {keys}\n"),
    );
    let said = rig.run_patiently("", &[("AWS_PROFILE", "ops")]).await;
    rig.assert_sent(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_for_a_web_identity() {
    let rig = Rig::new().await;
    rig.places.identity("identity-canary");
    let file = rig.write("token", "identity-canary");
    let said = rig
        .run_patiently(
            "region=eu-central-1",
            &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/publisher"),
                ("AWS_ENDPOINT_URL_STS", &rig.places.url("")),
            ],
        )
        .await;
    rig.assert_sent(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_a_container() {
    let rig = Rig::new().await;
    rig.places.authorization("container-canary");
    let file = rig.write("authorization", "container-canary");
    let said = rig
        .run_patiently(
            "",
            &[
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    &rig.places.url("/container"),
                ),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
            ],
        )
        .await;
    rig.assert_sent(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_the_instances_metadata() {
    let rig = Rig::new().await;
    let said = rig
        .run_patiently(
            "",
            &[
                ("AWS_EC2_METADATA_DISABLED", "false"),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &rig.places.url("")),
            ],
        )
        .await;
    rig.assert_sent(&said);
    let with_token = |r: &notifier_testkit::http::Request| {
        r.method == "GET" && r.header("x-aws-ec2-metadata-token").is_some()
    };
    assert!(rig.places.server().count_requests(with_token) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_settings_come_first() {
    let rig = Rig::new().await;
    rig.sns.key("AKIDOWN", "own-s3cr3t");
    let said = rig
        .run(
            "access_key=AKIDOWN;secret_key=own-s3cr3t",
            &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)],
        )
        .await;
    assert_eq!(said, ["sent", "sent", "checked"]);
    assert_eq!(rig.sns.received()[0].key, "AKIDOWN");
}

/// The metadata's key has expired: it is asked for anew, once, within the attempt.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_expired_are_got_anew_within_the_attempt() {
    let rig = Rig::new().await;
    rig.sns.script(SnsReply::Error(403, "ExpiredToken"));
    let said = rig
        .run_patiently(
            "",
            &[
                ("AWS_EC2_METADATA_DISABLED", "false"),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &rig.places.url("")),
            ],
        )
        .await;
    rig.assert_sent(&said);
    assert_eq!(rig.sns.attempts().len(), 3);
    let fetches = rig
        .places
        .server()
        .count_requests(|r| r.path().ends_with("/publisher"));
    assert!(fetches >= 2, "{fetches}");
}

/// Those that end soon are not kept.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_kept_until_shortly_before_their_end() {
    const TIMES: usize = 12;
    for (lasts, are_kept) in [
        (SignedDuration::from_hours(6), true),
        (SignedDuration::from_secs(200), false),
    ] {
        let rig = Rig::new().await;
        let key = TemporaryKey::new(ID, SECRET, TOKEN);
        rig.places.set_key(key.lasting(lasts));
        let place = rig.places.url("/container");
        let place = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", place.as_str());
        let said = rig.run_patiently(&format!("times={TIMES}"), &[place]).await;
        assert_eq!(said.len(), TIMES + 1);
        assert_eq!(rig.sns.received().len(), TIMES);
        let fetches = rig
            .places
            .server()
            .count_requests(|r| r.path() == "/container");
        assert_eq!(fetches < TIMES, are_kept, "{fetches}");
    }
}

/// Nothing is lost for keys that are not there yet.
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_it_is_said_where_to_put_them_and_tried_later() {
    let rig = Rig::new().await;
    let said = rig.run("", &[]).await;
    for line in &said[..2] {
        assert!(
            line.starts_with("failed: kind=Unauthenticated retry=Later { after: None } delivery=NotDelivered no keys for sns: set sns.access_key"),
            "{line}"
        );
    }
    assert!(
        said[2].starts_with("not checked: no keys for sns"),
        "{said:?}"
    );
    assert!(rig.sns.server().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_keys_may_be_away() {
    let rig = Rig::new().await;
    rig.places.server().refuse();
    let said = rig
        .run(
            "",
            &[(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &rig.places.url("/container"),
            )],
        )
        .await;
    for line in &said[..2] {
        assert!(
            line.contains("retry=Later") && line.contains("delivery=NotDelivered"),
            "{line}"
        );
    }
}

/// A program that fails may say anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_says_when_it_fails_is_not_repeated() {
    let rig = Rig::new().await;
    let script = rig.write(
        "fail.sh",
        &format!("echo {SECRET} >&2; echo {TOKEN}; exit 3\n"),
    );
    rig.write(
        "config",
        &format!("[default]\ncredential_process = /bin/sh {script}\n"),
    );
    let said = rig.run("", &[]).await;
    assert!(
        said[0].contains("no keys for sns: who has them does not give them"),
        "{said:?}"
    );
}

#[cfg(not(feature = "sso"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_needs_a_feature_says_which() {
    let rig = Rig::new().await;
    rig.write(
        "config",
        "[default]\nsso_account_id = 123456789012\nsso_region = us-east-1\nsso_role_name = r\nsso_start_url = https://example.awsapps.com/start\n",
    );
    let said = rig.run("", &[]).await;
    assert!(said[0].contains("feature sso of notifier-sns"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_used_if_that_is_wanted() {
    let rig = Rig::new().await;
    let keys = [
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
        ("HTTP_PROXY", &rig.url),
    ];
    // The fake takes the place of the proxy, and the host is nowhere.
    let endpoint = "endpoint=http://sns.invalid/;connect_timeout=30s";
    let said = rig.run(&format!("{endpoint};proxy=true"), &keys).await;
    rig.assert_sent(&said);
    let requests = rig.sns.server().requests();
    assert!(
        requests
            .iter()
            .all(|r| r.target.starts_with("http://sns.invalid/"))
    );
    let said = rig.run(endpoint, &keys).await;
    assert!(said[0].starts_with("failed: "), "{said:?}");
    assert_eq!(rig.sns.server().requests().len(), requests.len());
}
