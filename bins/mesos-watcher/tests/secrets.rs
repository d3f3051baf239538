//! Fifty secrets are planted in flags, environment, file and labels, of every backend; the
//! watcher logs all it can, in both forms, while messages succeed and fail in every way.
//! None of them may be seen anywhere, nor in what is kept on the disk.

#[path = "support/plants.rs"]
mod plants;
mod support;

use std::{io::Read, time::Duration};

use flate2::read::GzDecoder;
use notifier_testkit::{
    http::{Action, Delivery, End, Reply, Request, ScriptedServer},
    mesos::{Auth, Death, FakeCluster, Stream, TaskSpec},
    slack::{FakeSlack, SlackReply},
};

use crate::plants::{Plants, forms};

const WAIT: Duration = Duration::from_secs(30);

/// How many tasks die where every backend is told.
const TASKS: usize = 12;

/// Keys of labels whose values are secrets.
const LABELS: &[&str] = &[
    "complainer_sentry_dsn",
    "complainer_default_sentry_instance_default_dsn",
    "complainer_hipchat_token",
    "complainer_hipchat_instance_team_token",
    "complainer_jira_password",
    "complainer_other_slack_hook_url",
    "complainer_slack_token",
    "complainer_slack_instance_team_hook_url",
    "DB_PASSWORD",
    "db-passwd",
    "API_KEY",
    "apikey",
    "api.token",
    "GITHUB_TOKEN",
    "client_secret",
    "AWS_SECRET_ACCESS_KEY",
    "aws_access_key",
    "private_key",
    "PrivateKey",
    "tls.passphrase",
    "webhook",
    "WEBHOOK_URL",
    "hookUrl",
    "basic_credential",
    "Credentials",
    "authorization",
    "auth_key",
    "sentry.dsn",
    "pwd",
    "root-pwd",
    "vault_token_id",
    "session_secret_v2",
    "smtp_password",
    "ldap.password",
    "slack-token",
    "ACCESSKEY",
    "my_secret",
];

impl Plants {
    /// One with all that markup, JSON and addresses write in another way.
    fn plant_odd(&mut self) -> String {
        let secret = format!("S3cr3t&<o>'\"/+%{:03}é", self.0.len());
        self.0.push(secret.clone());
        secret
    }

    /// No request says a secret but where it belongs.
    fn assert_at_home(&self, homes: &[Home], requests: &[Request]) {
        let secrets: Vec<_> = self.0.iter().map(|s| (s, forms(s))).collect();
        for request in requests {
            for (part, text) in parts(request) {
                for (secret, forms) in &secrets {
                    let is_home =
                        |h: &Home| h.secret == **secret && h.part == part && h.is_of(request);
                    assert!(
                        !forms.iter().any(|f| text.contains(f)) || homes.iter().any(is_home),
                        "{secret} is in {part} of {} {}: {text}",
                        request.method,
                        request.target
                    );
                }
            }
        }
    }
}

/// Where a credential belongs: the one part of the requests to one path that may hold it.
#[derive(Debug)]
struct Home {
    secret: String,
    /// How the path begins.
    path: String,
    /// The name of a header in small letters, `target` or `body`.
    part: &'static str,
}

impl Home {
    fn is_of(&self, request: &Request) -> bool {
        request.path().starts_with(&self.path)
    }

    fn is_seen(&self, requests: &[Request]) -> bool {
        let forms = forms(&self.secret);
        let mut parts = requests.iter().filter(|r| self.is_of(r)).flat_map(parts);
        parts.any(|(part, text)| part == self.part && forms.iter().any(|f| text.contains(f)))
    }
}

/// All that a request says: its target, its headers, its body.
fn parts(request: &Request) -> Vec<(String, String)> {
    let headers = request.headers.iter();
    headers
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .chain([
            ("target".to_owned(), request.target.clone()),
            ("body".to_owned(), body(request)),
        ])
        .collect()
}

/// A body as text, unpacked.
fn body(request: &Request) -> String {
    if request.header("content-encoding") != Some("gzip") {
        return request.text();
    }
    let mut bytes = Vec::new();
    let read = GzDecoder::new(&*request.body).read_to_end(&mut bytes);
    // The last one may be cut by the end of the watcher.
    assert!(read.is_ok() || !request.body_complete, "{read:?}");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_is_seen_anywhere() {
    for format in ["text", "json"] {
        run(format).await;
    }
}

async fn run(format: &str) {
    let mut plants = Plants::default();
    let password = plants.plant("password");
    let agent_password = plants.plant("agent");
    let cluster = FakeCluster::builder()
        .agents(2)
        .master_auth(Auth::basic("watcher", &password))
        .agent_auth(Auth::basic("reader", &agent_password))
        .start()
        .await
        .unwrap();
    let slack = FakeSlack::start().await.unwrap();
    // Hooks whose path holds the secret.
    let main = plants.plant("flaghook");
    let hook = slack.hook_url(&main);
    let label_hook = plants.plant("labelhook");
    let team_hook = slack.hook_url(&plants.plant("filehook"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("agent-password"), format!("{agent_password}\n")).unwrap();
    std::fs::write(path("spare-hook"), slack.hook_url(&plants.plant("reffile"))).unwrap();
    let config = format!(
        "[reporters.slack.instances.team]\nhook_url = \"{team_hook}\"\n\
         [reporters.slack.instances.spare]\nhook_url = {{ file = \"{}\" }}\n",
        path("spare-hook").display()
    );
    std::fs::write(path("watcher.toml"), config).unwrap();
    let env_dsn = plants.plant("envdsn");

    let master = cluster
        .master_url(0)
        .replace("http://", &format!("http://watcher:{password}@"));
    let flags: Vec<String> = vec![
        format!("-masters={master}"),
        "-uploader=noop".into(),
        "-reporters=slack,file".into(),
        format!("-slack.hook_url={hook}"),
        // Hostile on purpose: it shows all labels, and asks for a secret one.
        "-slack.format={{ .failure.Name }} {{ .failure.Labels }} {{ config \"token\" }} {{ printf \"%#v\" .failure }} {{ config \"hook_url\" }}".into(),
        format!("-file.name={}", path("failures.log").display()),
        "-file.format={{ .failure.Labels }}{{ .failure.Name }}{{ .failure.Boom }}{{ .nl }}".into(),
        format!("-config={}", path("watcher.toml").display()),
        "-mesos.interval=150ms".into(),
        "-mesos.agent-user=reader".into(),
        format!("-mesos.agent-password=file:{}", path("agent-password").display()),
        "-log.level=trace".into(),
        format!("-log.format={format}"),
        "-shutdown-timeout=2s".into(),
        "-listen=127.0.0.1:0".into(),
    ];
    let env = [
        ("NOTIFIER_LABEL_URLS_ALLOW", "127.0.0.0/8"),
        ("SENTRY_DSN", env_dsn.as_str()),
        ("HIPCHAT_TOKEN", env_dsn.as_str()),
    ];
    let watcher = crate::support::start(&flags, &env);
    assert!(
        cluster.wait_for_streams(1, WAIT).await,
        "{}",
        watcher.stderr()
    );

    let scripts = [
        SlackReply::word(403, "invalid_token"),
        SlackReply::word(404, "channel_not_found"),
        SlackReply::word(400, "invalid_payload"),
        SlackReply::json_error("invalid_auth"),
        SlackReply::rate_limited(Duration::from_millis(10)),
        SlackReply::html(500),
        SlackReply::html(502),
        SlackReply::reset_before_body(),
        SlackReply::reset_after_body(),
        SlackReply::redirect(307, "https://elsewhere.example/steal"),
        SlackReply::huge(300_000),
        SlackReply::drip(Duration::from_millis(1)),
        SlackReply::action(Action::garbage()),
    ];
    // What docker tells of a container's environment.
    let environment = plants.plant("statusdata");
    let mut count = 0;
    for (i, reply) in scripts.into_iter().enumerate() {
        slack.script(&main, reply);
        let mut spec = TaskSpec::new(format!("t.{i}"))
            .name(format!("task {i}"))
            .status_data(environment.as_bytes());
        for key in LABELS {
            if plants.0.len() < 60 {
                count += 1;
                spec = spec.label(*key, plants.plant("label"));
            }
        }
        // A task that shows in its own name what a label of it calls a secret.
        let odd = plants.plant_odd();
        spec = spec
            .name(format!("task {i} {odd}"))
            .label("ODD_PASSWORD", odd);
        spec = match i % 3 {
            0 => spec.label("complainer_slack_hook_url", slack.hook_url(&label_hook)),
            1 => spec.label("complainer_slack_instances", "default,team,spare"),
            // A label that is no URL, and one that may not be reached.
            _ => spec
                .label("complainer_slack_hook_url", plants.plant("nourl"))
                .label("complainer_slack_instances", "default,bad")
                .label(
                    "complainer_slack_instance_bad_hook_url",
                    format!("http://169.254.169.254/{}", plants.plant("metadata")),
                ),
        };
        let task = cluster.launch(spec);
        cluster.fail(&task, Death::failed().message("boom"));
    }
    assert!(
        plants.0.len() >= 50 && count >= 37,
        "{} planted",
        plants.0.len()
    );
    // The cluster fails in its own ways too.
    cluster.master(0).next(Action::html(502));
    cluster.master(0).next(Action::garbage());
    cluster.set_master_auth(Some(Auth::basic("watcher", "changed")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.set_master_auth(Some(Auth::basic("watcher", &password)));
    cluster.agent(0).refuse();
    tokio::time::sleep(Duration::from_secs(6)).await;

    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(if format == "json" {
            "\"TRACE\""
        } else {
            "TRACE"
        }),
        "traces are on"
    );
    let messages: Vec<String> = slack
        .received()
        .iter()
        .map(|m| m.payload.to_string())
        .collect();
    assert!(
        messages.len() >= 10,
        "{} messages\n{}",
        messages.len(),
        ended.stderr
    );
    plants.assert_absent("the log", &ended.stderr);
    plants.assert_absent("stdout", &ended.stdout);
    plants.assert_absent("a message", &messages.join("\n"));
    plants.assert_absent(
        "the file",
        &std::fs::read_to_string(path("failures.log")).unwrap(),
    );
    assert!(
        messages.iter().any(|m| m.contains("***")),
        "labels were shown, masked"
    );

    // Wrong settings do not tell them either.
    for wrong in ["-slack.hook_url=not-a-url-", "-mesos.token=", "-nonsense="] {
        let mut flags = flags.clone();
        flags.push(format!("{wrong}{}", plants.plant("wrong")));
        flags.push("-backlog=maybe".into());
        let ended = crate::support::start(&flags, &env).end(WAIT).await;
        assert_eq!(ended.status.code(), Some(64));
        plants.assert_absent("an error", &ended.stderr);
    }
    let help = crate::support::start(&["-help".into()], &env)
        .end(WAIT)
        .await;
    plants.assert_absent("help", &help.stdout);
}

/// Every service, each in a bad mood: it takes a message, or refuses it and repeats what it was sent.
fn moody(request: &Request) -> Action {
    let auth = ["authorization", "x-sentry-auth"]
        .iter()
        .find_map(|h| request.header(h));
    let echo = format!(
        "no: {} {} {}",
        request.target,
        auth.unwrap_or_default(),
        request.text()
    );
    let path = request.path();
    match request.serial % 7 {
        0 => Reply::text(401, echo).into(),
        1 => Reply::json(400, &serde_json::json!({"detail": echo, "errorMessages": [echo], "error": {"message": echo}})).into(),
        2 => Reply::html(502).into(),
        3 => Reply::new(429).header("Retry-After", "1").body(echo).into(),
        4 => Reply::text(200, echo).delivery(Delivery::new().cut(3, End::Reset)).into(),
        _ if path.contains("/envelope/") => {
            Reply::json(200, &serde_json::json!({"id": "0".repeat(32)})).into()
        }
        _ if path.contains("/room/") => Action::status(204),
        _ if path.ends_with("/serverInfo") => {
            Reply::json(200, &serde_json::json!({"deploymentType": "Server", "versionNumbers": [10, 3, 0]})).into()
        }
        _ => Reply::text(200, "ok").into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_any_backend_is_seen_or_kept_anywhere() {
    for format in ["text", "json"] {
        every_backend(format).await;
    }
}

async fn every_backend(format: &str) {
    let mut plants = Plants::default();
    let mut homes = Vec::new();
    let cluster = FakeCluster::start().await.unwrap();
    let sink = ScriptedServer::with_service(moody).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let file = folder.path().join("failures.log");
    std::fs::create_dir(&state).unwrap();
    // Each has a path of its own, and leads to one part of the requests there.
    let mut new = |kind: &str, path: &str, part: &'static str| {
        let secret = plants.plant(kind);
        let path = path.replace("SECRET", &secret);
        homes.push(Home {
            secret: secret.clone(),
            path,
            part,
        });
        secret
    };
    let mut dsn = |project: usize| {
        let path = format!("/api/{project}/envelope/");
        let key = new("publickey", &path, "x-sentry-auth");
        let secret = new("dsn", &path, "x-sentry-auth");
        sink.url(&format!("/{project}"))
            .replace("http://", &format!("http://{key}:{secret}@"))
    };
    let dsns: Vec<String> = (0..=TASKS).map(&mut dsn).collect();
    let mut token = |room: &str| {
        let path = format!("/v2/room/{room}/notification");
        new("token", &path, "authorization")
    };
    let flag_token = token("ops");
    let tokens: Vec<String> = (0..TASKS).map(|n| token(&format!("team-{n}"))).collect();
    let mut hook = || {
        let secret = new("hook", "/services/SECRET", "target");
        sink.url(&format!("/services/{secret}"))
    };
    let flag_hook = hook();
    let hooks: Vec<String> = (0..TASKS).map(|_| hook()).collect();
    let jira = new("password", "/rest/", "authorization");
    // In logs, which are stored as they are.
    let shown: Vec<String> = (0..TASKS)
        .map(|_| new("label", "/store/", "body"))
        .collect();
    // This one only signs.
    let s3 = plants.plant("secretkey");

    let flags: Vec<String> = vec![
        format!("-masters={}", cluster.masters_flag()),
        "-reporters=sentry,hipchat,jira,slack,file".into(),
        "-sentry.log_tail=64KiB".into(),
        format!("-hipchat.base_url={}", sink.url("/v2/")),
        "-hipchat.room=ops".into(),
        format!("-hipchat.token={flag_token}"),
        format!("-jira.url={}", sink.url("/")),
        "-jira.username=watcher".into(),
        format!("-slack.hook_url={flag_hook}"),
        format!("-file.name={}", file.display()),
        "-file.format={{ .failure.ID }} {{ .failure.Labels }} {{ .stdoutURL }}{{ .nl }}".into(),
        "-uploader=s3goamz".into(),
        format!("-s3goamz.endpoint={}", sink.url("/store")),
        "-s3goamz.access_key=AKEYofTheWatcher".into(),
        "-s3goamz.bucket=logs".into(),
        format!("-state-dir={}", state.display()),
        "-mesos.interval=150ms".into(),
        "-retry.max-interval=1s".into(),
        "-log.level=trace".into(),
        format!("-log.format={format}"),
        "-shutdown-timeout=2s".into(),
    ];
    let env = [
        ("NOTIFIER_LABEL_URLS_ALLOW", "127.0.0.0/8"),
        ("SENTRY_DSN", dsns[TASKS].as_str()),
        ("JIRA_PASSWORD", jira.as_str()),
        ("S3_SECRET_KEY", s3.as_str()),
    ];
    let watcher = crate::support::start(&flags, &env);
    assert!(
        cluster.wait_for_streams(1, WAIT).await,
        "{}",
        watcher.stderr()
    );
    for n in 0..TASKS {
        let spec = TaskSpec::new(format!("t.{n}"))
            .label("complainer_sentry_instances", "default,team")
            .label("complainer_sentry_instance_team_dsn", &*dsns[n])
            .label("complainer_hipchat_instances", "default,team")
            .label("complainer_hipchat_instance_team_token", &*tokens[n])
            .label("complainer_hipchat_instance_team_room", format!("team-{n}"))
            .label("DB_PASSWORD", &*shown[n]);
        let task = cluster.launch(match n % 2 {
            0 => spec.label("complainer_slack_hook_url", &*hooks[n]),
            _ => spec
                .label("complainer_slack_instances", "default,team")
                .label("complainer_slack_instance_team_hook_url", &*hooks[n]),
        });
        let log = format!("the password is {}\n", shown[n]);
        cluster.set_log(&task, Stream::Stderr, log);
        cluster.fail(&task, Death::failed());
    }
    let told = |what: &str| sink.count_requests(|r| r.path().contains(what));
    let until = std::time::Instant::now() + WAIT;
    while told("/envelope/") < 2 * TASKS
        || told("/room/") < 2 * TASKS
        || told("/services/") < TASKS
        || told("/store/") < TASKS
        || !homes.iter().all(|h| h.is_seen(&sink.requests()))
    {
        if std::time::Instant::now() > until {
            let requests = sink.requests();
            plants.assert_at_home(&homes, &requests);
            let missing = homes.iter().find(|h| !h.is_seen(&requests));
            panic!("not seen: {missing:?}\n{}", watcher.stderr());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    let requests = sink.requests();
    plants.assert_at_home(&homes, &requests);
    // The events are read, and tell what they tell without the secrets.
    let events: Vec<String> = requests
        .iter()
        .filter(|r| r.path().contains("/envelope/"))
        .map(body)
        .collect();
    for what in ["\"logentry\"", "the password is ***"] {
        assert!(events.iter().any(|e| e.contains(what)), "{what}");
    }
    plants.assert_absent("the log", &ended.stderr);
    plants.assert_absent("stdout", &ended.stdout);
    // A link is what a message is for; nowhere else may it be.
    let links = std::fs::read_to_string(&file).unwrap();
    plants.assert_absent("the file", &links);
    assert!(links.contains("&Signature="), "{links}");
    plants.0.push("Signature=".into());
    plants.assert_absent("the log", &ended.stderr);
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
