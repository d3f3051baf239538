//! The servers, and how each is asked.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use notifier_testkit::{
    dns::{FakeDns, Zone},
    postfix::{Postfix, Rig},
    program::Program,
};
use serde_json::Value;
use tempfile::TempDir;

/// Only a fault is slower.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a server may hang up before it greets.
const TRIES: usize = 5;
const KEY: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// The servers' names, and the addresses that the world sees of them by the zone below.
const EGRESS: [(&str, &str); 5] = [
    ("relay", "203.0.113.25"),
    ("upstream", "203.0.113.26"),
    ("open", "203.0.113.27"),
    ("closed", "203.0.113.28"),
    ("expired", "203.0.113.29"),
];

pub(crate) struct Servers {
    pub(crate) rig: Rig,
    open: Postfix,
    closed: Postfix,
    expired: Postfix,
    dns: FakeDns,
    folder: TempDir,
}

impl Servers {
    /// `None` where Postfix does not start, said aloud.
    pub(crate) async fn start() -> Option<Self> {
        let rig = Rig::start(&["canary"]).await?;
        let certificates = &rig.certificates;
        let valid = |name: &str| certificates.named(&[&format!("{name}.example")]);
        let open = Postfix::builder("open")
            .identity(&valid("open"))
            .open()
            .mailboxes(&["ops"]);
        let closed = Postfix::builder("closed")
            .identity(&valid("closed"))
            .mailboxes(&["ops"]);
        let expired = Postfix::builder("expired")
            .identity(&certificates.expired())
            .mailboxes(&["ops"]);
        let servers = Self {
            open: open.start_or_skip().await?,
            closed: closed.start_or_skip().await?,
            expired: expired.start_or_skip().await?,
            dns: FakeDns::start(zone()).await,
            folder: tempfile::tempdir().unwrap(),
            rig,
        };
        let authority = servers.rig.certificates.ca_pem();
        servers.write("ca.pem", &authority);
        servers.write("relay.password", servers.rig.login().1);
        servers.write("upstream.password", "upstream-password");
        // Postfix makes it with the first mail; the canary looks before that.
        for name in ["", "new", "cur", "tmp"] {
            let part = servers.mailbox().join(name);
            fs::create_dir_all(&part).unwrap();
            chown(part, Some(65_534), Some(65_534)).unwrap();
        }
        Some(servers)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn mailbox(&self) -> PathBuf {
        self.rig.upstream.folder().join("mail/canary")
    }

    /// What the program prints of one server, and its exit code.
    async fn ask(&self, server: &Postfix, port: u16, name: &str, more: &[&str]) -> (i32, Value) {
        let shown = |path: &Path| path.display().to_string();
        let (_, egress) = EGRESS.iter().find(|(n, _)| *n == name).unwrap();
        let mut args: Vec<String> = [
            &format!("127.0.0.1:{port}"),
            "--format=json",
            "--timeout=60s",
            "--connect-timeout=60s",
            "--connect-time=60,120",
            "--greeting-time=60,120",
            "--active-age=600,1200",
            "--from=alerts@corp.example",
            "--open-relay",
            &format!("--ca={}", shown(&self.file("ca.pem"))),
            &format!("--queue={}", shown(&server.queue_folder())),
            &format!("--main-cf={}", shown(&server.main_cf())),
            &format!("--dns={}", self.dns.address()),
            "--dns-timeout=60s",
            &format!("--egress={egress}"),
            "--dkim-selector=s1",
            "--dnsbl=bl.example",
        ]
        .map(str::to_owned)
        .to_vec();
        // All certificates of the kit but those for a name are for the relay's.
        let certified = if name == "expired" { "relay" } else { name };
        args.push(format!("--tls-name={certified}.example"));
        args.extend(more.iter().map(|&a| a.to_owned()));
        let mut tries = 0;
        loop {
            let mut program = Program::start(env!("CARGO_BIN_EXE_smtp-relay-check"), &args, &[]);
            let ended = program.end(PATIENCE).await;
            let report = serde_json::from_str::<Value>(&ended.stdout);
            let report = report.unwrap_or_else(|e| panic!("{name}: {e}: {ended:?}"));
            // On a busy machine Postfix may end the process that it had for a connection.
            let checks = report["checks"].as_array().into_iter().flatten();
            let is_gone = checks
                .clone()
                .any(|c| c["phase"] == "banner" && c["class"] == "eof");
            tries += 1;
            if !is_gone || tries == TRIES {
                return (ended.status.code().unwrap_or(-1), report);
            }
        }
    }

    /// The relay on the node: it logs in, and a canary goes through it.
    pub(crate) async fn relay(&self, level: &str, more: &[&str]) -> (i32, Value) {
        let relay = &self.rig.relay;
        let port = relay.submission_port().unwrap();
        let level = format!("--level={level}");
        let user = format!("--user={}", self.rig.login().0);
        let password = format!("--password-file={}", self.file("relay.password").display());
        let canary = format!("--canary=maildir:{}", self.mailbox().display());
        let own = [
            "--rcpt=canary@mail.example",
            "--tls=starttls",
            "--expect=auth",
        ];
        let mut all = vec![&*level, &user, &password, &canary];
        all.extend(own);
        all.extend(match more.is_empty() {
            true => &["--canary-warn=60s", "--canary-timeout=100s"],
            false => more,
        });
        self.ask(relay, port, "relay", &all).await
    }

    /// The next server, as the relay sees it.
    pub(crate) async fn upstream(&self) -> (i32, Value) {
        let upstream = &self.rig.upstream;
        let password = self.file("upstream.password");
        let password = format!("--password-file={}", password.display());
        let own = [
            "--rcpt=canary@mail.example",
            "--tls=starttls",
            "--user=relay",
            "--expect=auth",
            &password,
        ];
        self.ask(upstream, upstream.port(), "upstream", &own).await
    }

    pub(crate) async fn open(&self) -> (i32, Value) {
        let own = ["--rcpt=ops@open.example"];
        self.ask(&self.open, self.open.port(), "open", &own).await
    }

    pub(crate) async fn closed(&self) -> (i32, Value) {
        let own = ["--rcpt=ops@closed.example", "--rcpt-unknown"];
        self.ask(&self.closed, self.closed.port(), "closed", &own)
            .await
    }

    pub(crate) async fn expired(&self) -> (i32, Value) {
        let own = ["--rcpt=ops@expired.example"];
        self.ask(&self.expired, self.expired.port(), "expired", &own)
            .await
    }

    /// The closed one, asked to take mail for somebody else.
    pub(crate) async fn stranger(&self) -> (i32, Value) {
        let own = ["--rcpt=somebody@elsewhere.example"];
        self.ask(&self.closed, self.closed.port(), "closed", &own)
            .await
    }

    /// Until the relay has noted that its next server is away.
    pub(crate) async fn until_refused(&self) {
        let relay = &self.rig.relay;
        let begun = tokio::time::Instant::now();
        loop {
            relay.flush().await.unwrap();
            let waits = relay.queue().await.unwrap();
            let is_refused = waits.iter().any(|m| m.to_string().contains("refused"));
            // Nothing may wait: then what is asked next waits itself.
            if is_refused || waits.is_empty() || begun.elapsed() > PATIENCE {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The DNS of who sends, as it should be.
fn zone() -> Zone {
    let zone = EGRESS.iter().fold(Zone::new(), |zone, (name, ip)| {
        let name = format!("{name}.example");
        zone.pointer(ip, &name).address(&name, ip)
    });
    zone.text("corp.example", "v=spf1 ip4:203.0.113.0/24 -all")
        .mx("corp.example", 10, "relay.example")
        .text("s1._domainkey.corp.example", KEY)
        .text(
            "_dmarc.corp.example",
            "v=DMARC1; p=reject; rua=mailto:dmarc@corp.example",
        )
        .address("2.0.0.127.bl.example", "127.0.0.2")
}
