//! The built watcher and mail: labels in each form, instances, what labels may not set, and
//! the relay as Kubernetes names it.

mod support;

use std::time::Duration;

use notifier_testkit::{
    mesos::{Death, FakeCluster, TaskSpec},
    smtp::{Action, Certificates, FakeSmtp, ReceivedMail, Script, Verb},
};
use support::Watcher;

const WAIT: Duration = Duration::from_secs(60);

/// A cluster, a relay that wants a login over TLS, and the watcher between them.
struct Scene {
    cluster: FakeCluster,
    relay: FakeSmtp,
    script: Script,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let certificates = Certificates::new();
        let script = Script::new()
            .certificate(certificates.valid())
            .login("watcher", "s3cret-words");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificates.ca_pem()).unwrap();
        Self {
            cluster: FakeCluster::start().await.unwrap(),
            relay: FakeSmtp::start(script.clone()).await,
            script,
            folder,
        }
    }

    fn flags(&self, more: &[&str]) -> Vec<String> {
        let ca = self.folder.path().join("ca.pem");
        let mut flags = vec![
            format!("-masters={}", self.cluster.masters_flag()),
            "-uploader=noop".to_owned(),
            "-reporters=smtp".to_owned(),
            format!("-smtp.ca={}", ca.display()),
            "-smtp.user=watcher".to_owned(),
            "-smtp.from=Watcher <watcher@example.com>".to_owned(),
        ];
        flags.extend(more.iter().map(|m| (*m).to_owned()));
        flags
    }

    /// Starts the watcher, and waits until it watches.
    async fn start(&self, more: &[&str], env: &[(&str, &str)]) -> Watcher {
        let mut all = vec![("SMTP_PASSWORD", "s3cret-words")];
        all.extend(env);
        let watcher = support::start(&self.flags(more), &all);
        let watches = self.cluster.wait_for_streams(1, WAIT).await;
        assert!(watches, "{}", watcher.stderr());
        watcher
    }

    fn fail(&self, id: &str, labels: &[(&str, &str)]) {
        let mut task = TaskSpec::new(id);
        for (key, value) in labels {
            task = task.label(*key, *value);
        }
        self.cluster.launch_failed(task, Death::failed());
    }

    /// Waits for so many mails.
    async fn mails(&self, count: usize) -> Vec<ReceivedMail> {
        self.relay.wait(|s| s.mails.len() >= count).await;
        let mails = self.relay.mails();
        assert_eq!(mails.len(), count);
        assert!(self.relay.faults().is_empty(), "{:?}", self.relay.faults());
        mails
    }
}

/// Who got what, in order.
fn told(mails: &[ReceivedMail]) -> Vec<(String, String)> {
    let mut told: Vec<_> = mails
        .iter()
        .flat_map(|m| {
            let subject = m.header("Subject").unwrap_or_default();
            m.to()
                .into_iter()
                .map(move |to| (to.to_owned(), subject.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_say_who_gets_a_mail_and_what_it_says() {
    let scene = Scene::new().await;
    let server = format!("-smtp.server=localhost:{}", scene.relay.port());
    let watcher = scene
        .start(
            &[
                &server,
                "-smtp.to=ops@example.com",
                "-smtp.subject={{ .failure.ID }} died",
            ],
            &[],
        )
        .await;
    scene.fail("plain.1", &[]);
    scene.fail(
        "short.1",
        &[(
            "complainer_smtp_to",
            "Web <web@example.com>, db@example.com",
        )],
    );
    scene.fail(
        "full.1",
        &[(
            "complainer_default_smtp_instance_default_to",
            "full@example.com",
        )],
    );
    scene.fail(
        "team.1",
        &[
            ("complainer_smtp_instances", "default,team"),
            ("complainer_smtp_instance_team_to", "team@example.com"),
            (
                "complainer_smtp_instance_team_subject",
                "for the team: {{ .failure.Name }}",
            ),
            (
                "complainer_smtp_instance_team_format",
                "{{ config \"mentions\" }} look",
            ),
            ("complainer_smtp_instance_team_mentions", "@team"),
            ("complainer_smtp_reply_to", "desk@example.com"),
        ],
    );
    scene.fail("silent.1", &[("complainer_smtp_instances", "")]);
    scene.fail("cc.1", &[("complainer_smtp_cc", "boss@example.com")]);
    let mails = scene.mails(6).await;
    let expected = [
        ("boss@example.com", "cc.1 died"),
        ("db@example.com", "short.1 died"),
        ("full@example.com", "full.1 died"),
        ("ops@example.com", "cc.1 died"),
        ("ops@example.com", "plain.1 died"),
        ("ops@example.com", "team.1 died"),
        ("team@example.com", "for the team: team"),
        ("web@example.com", "short.1 died"),
    ]
    .map(|(to, subject)| (to.to_owned(), subject.to_owned()));
    assert_eq!(told(&mails), expected);
    for mail in &mails {
        assert_eq!(mail.from, "watcher@example.com");
        let login = Some(("watcher".to_owned(), "s3cret-words".to_owned()));
        assert_eq!((mail.tls, &mail.login), (true, &login));
    }
    let team = mails
        .iter()
        .find(|m| m.to() == ["team@example.com"])
        .unwrap();
    assert!(team.text().contains("@team look"), "{}", team.text());
    let ops = mails
        .iter()
        .find(|m| m.header("Subject").as_deref() == Some("team.1 died"));
    assert_eq!(
        ops.unwrap().header("Reply-To").as_deref(),
        Some("desk@example.com")
    );
    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
}

/// No task sends the password, or mail at all, to a host of its own choice.
#[tokio::test(flavor = "multi_thread")]
async fn labels_cannot_lead_the_password_elsewhere() {
    let scene = Scene::new().await;
    let elsewhere = FakeSmtp::start(Script::new()).await;
    let server = format!("-smtp.server=localhost:{}", scene.relay.port());
    let watcher = scene
        .start(&[&server, "-smtp.to=ops@example.com"], &[])
        .await;
    let there = format!("127.0.0.1:{}", elsewhere.port());
    scene.fail(
        "thief.1",
        &[
            ("complainer_smtp_server", &there),
            ("complainer_smtp_host_ip", "127.0.0.1"),
            ("complainer_smtp_tls", "none"),
            ("complainer_smtp_ca", "/dev/null"),
            ("complainer_smtp_user", "other"),
            ("complainer_smtp_helo", "thief.example"),
            ("complainer_smtp_headers", "X-A: b"),
        ],
    );
    let mails = scene.mails(1).await;
    assert_eq!(mails[0].login.as_ref().unwrap().0, "watcher");
    assert!(mails[0].tls);
    assert_eq!(mails[0].header("X-A"), None);
    watcher.stop().await;
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_may_be_on_the_node_as_kubernetes_says_it() {
    let scene = Scene::new().await;
    let port = scene.relay.port().to_string();
    let env = [
        ("SMTP_HOST_IP", "127.0.0.1"),
        ("SMTP_HOST_PORT", port.as_str()),
        // Kubernetes sets it for a service called smtp: none of ours.
        ("SMTP_PORT", "tcp://10.0.0.1:25"),
    ];
    let watcher = scene.start(&["-smtp.to=ops@example.com"], &env).await;
    scene.fail("node.1", &[]);
    let mails = scene.mails(1).await;
    assert_eq!(mails[0].to(), ["ops@example.com"]);
    watcher.stop().await;
}

/// A relay that repeats what it was told does not bring the password into the log, the
/// store, or a message elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_repeats_the_password_makes_it_seen_nowhere() {
    let scene = Scene::new().await;
    let state = scene.folder.path().join("state");
    let secret_file = scene.folder.path().join("password");
    std::fs::write(&secret_file, "s3cret-words\n").unwrap();
    let server = format!("-smtp.server=localhost:{}", scene.relay.port());
    let password = format!("-smtp.password=file:{}", secret_file.display());
    let told = scene.folder.path().join("told");
    let flags = [
        &server,
        &password,
        "-smtp.to=ops@example.com",
        "-log.level=trace",
        "-reporters=smtp,file",
        "-retry.max-interval=1s",
        &format!("-state-dir={}", state.display()),
        &format!("-file.name={}", told.display()),
    ];
    let watcher = scene.start(&flags, &[]).await;
    // "\0watcher\0s3cret-words" and "s3cret-words" in base64.
    let echo = "no: s3cret-words AHdhdGNoZXIAczNjcmV0LXdvcmRz czNjcmV0LXdvcmRz";
    scene.relay.set(
        scene
            .script
            .clone()
            .once(Verb::Auth, Action::reply(format!("454 4.7.0 {echo}"))),
    );
    scene.fail("echo.1", &[]);
    scene.mails(1).await;
    scene.relay.set(
        scene
            .script
            .clone()
            .once(Verb::Rcpt, Action::reply(format!("550 5.1.1 {echo}"))),
    );
    scene.fail("echo.2", &[]);
    let end = std::time::Instant::now() + WAIT;
    while !watcher.stderr().contains("given up") {
        assert!(std::time::Instant::now() < end, "{}", watcher.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = watcher.stop().await;
    assert!(ended.stderr.contains("TRACE"), "{}", ended.stderr);
    let mut kept = std::fs::read(&told).unwrap();
    for entry in std::fs::read_dir(&state).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for (place, text) in [
        ("the log", ended.stderr),
        ("what is kept", String::from_utf8_lossy(&kept).into_owned()),
    ] {
        for form in [
            "s3cret-words",
            "AHdhdGNoZXIAczNjcmV0LXdvcmRz",
            "czNjcmV0LXdvcmRz",
        ] {
            assert!(!text.contains(form), "{form} is in {place}: {text}");
        }
    }
}
