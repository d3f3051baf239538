//! A machine with the shipped units on it, and a Slack.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use notifier_testkit::{
    peer,
    slack::{FakeSlack, SlackMessage},
    systemd::Systemd,
};
use notifiers::{
    DeliveryFilter, DeliveryView, Outbox as _, sqlite::SqliteOptions, sqlite::SqliteOutbox,
};
use tokio::time::{Instant, sleep};

/// How long whatever has to happen may take.
pub(crate) const WAIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
/// The folder of the outbox on the machine.
const STATE: &str = "var/lib/systemd-watcher";

pub(crate) struct Scene {
    pub(crate) systemd: Systemd,
    pub(crate) slack: FakeSlack,
}

impl Scene {
    /// The units of `deploy/systemd` but for the drop-in for all services, and these; `settings` are more
    /// lines for the top of the configuration.
    pub(crate) async fn new(units: &[(&str, &str)], settings: &str) -> Option<Self> {
        let slack = FakeSlack::start().await.unwrap();
        let mut builder = Systemd::builder()
            .shares_network()
            .host_name("node-1.example");
        for name in [
            "notify@.service",
            "notify@.service.d/10-notify.conf",
            "systemd-watcher.service",
            "systemd-watcher-drain.service",
            "systemd-watcher-drain.service.d/10-notify.conf",
            "systemd-watcher-drain.timer",
        ] {
            builder = builder.unit(name, &shipped(name));
        }
        for (name, text) in units {
            builder = builder.unit(name, text);
        }
        let systemd = builder.start_or_skip().await?;
        let scene = Self { systemd, slack };
        let program = fs::read(env!("CARGO_BIN_EXE_systemd-watcher")).unwrap();
        let write =
            |path: &str, bytes: &[u8], mode| scene.systemd.write(path, bytes, mode).unwrap();
        write("/usr/bin/systemd-watcher", &program, 0o755);
        write(
            "/usr/lib/sysusers.d/systemd-watcher.conf",
            shipped("sysusers.conf").as_bytes(),
            0o644,
        );
        let config = format!(
            "{settings}\n[retry]\nmax-interval = \"1s\"\n\
             [reporters.slack]\nhook_url = \"{}\"\nrate = \"unlimited\"\n",
            scene.slack.hook_url("ops")
        );
        write("/etc/systemd-watcher/config.toml", config.as_bytes(), 0o600);
        for command in [
            &["systemd-sysusers"][..],
            // As at each boot: the journal is for the group systemd-journal.
            &["systemd-tmpfiles", "--create", "--prefix=/run/log/journal"],
        ] {
            scene.systemd.expect(command).await.unwrap();
        }
        Some(scene)
    }

    /// Waits until it is so, with what the machine says if that does not happen.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let end = Instant::now() + WAIT;
        while !is_so(self).await {
            assert!(Instant::now() < end, "not {what}: {}", self.systemd.log());
            sleep(LOOK).await;
        }
    }

    /// What Slack has about each unit.
    pub(crate) fn told(&self) -> BTreeMap<String, Vec<SlackMessage>> {
        let mut told: BTreeMap<String, Vec<SlackMessage>> = BTreeMap::new();
        for message in self.slack.received() {
            let unit = message.text.trim_start_matches('*');
            let unit = unit.split(['*', ' ']).next().unwrap_or_default();
            told.entry(unit.to_owned()).or_default().push(message);
        }
        told
    }

    /// Waits until Slack has a message about each of these units.
    pub(crate) async fn until_told(&self, units: &[&str]) {
        self.until("telling", async |s: &Self| {
            let told = s.told();
            units.iter().all(|u| told.contains_key(*u))
        })
        .await;
    }

    /// Waits until what tells of these units has ended, and that well.
    pub(crate) async fn until_done(&self, units: &[&str]) {
        for unit in units {
            let name = format!("notify@{unit}.service");
            self.until("done", async |s: &Self| {
                let state = s.systemd.property(&name, "ActiveState").await.unwrap();
                matches!(state.as_str(), "inactive" | "failed")
            })
            .await;
            let result = self.systemd.property(&name, "Result").await.unwrap();
            assert_eq!(result, "success", "{name}: {}", self.systemd.log());
        }
    }

    /// Starts the command drain by its unit, and waits for its end; whether it ended with 0.
    pub(crate) async fn drain(&self) -> bool {
        let started = self
            .systemd
            .run(&["systemctl", "start", "systemd-watcher-drain.service"]);
        started.await.unwrap().status.success()
    }

    /// The outbox' file.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.systemd.root().join(STATE).join("outbox.sqlite")
    }

    /// All that the outbox has. Nothing may use it any more.
    pub(crate) async fn deliveries(&self) -> Vec<DeliveryView> {
        // SQLite follows the link in the path to the machine's files, which leads to this machine's.
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(self.systemd.root().join(STATE)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let path = copy.path().join("outbox.sqlite");
        let outbox = SqliteOutbox::open_existing(&path, SqliteOptions::default()).unwrap();
        outbox.inspect(&DeliveryFilter::default()).await.unwrap()
    }

    /// Each unit that was told is told once, and nothing is left.
    pub(crate) async fn assert_once(&self, units: usize) {
        let told = self.told();
        assert_eq!(told.len(), units, "{:?}", told.keys());
        for (unit, messages) in told {
            assert_eq!(messages.len(), 1, "{unit}: {messages:?}");
        }
        for delivery in self.deliveries().await {
            assert!(delivery.state.is_finished(), "{delivery:?}");
        }
        peer::ran("systemd");
    }
}

/// A file of `deploy/systemd`.
pub(crate) fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A unit that fails with this code, and tells of it.
pub(crate) fn failing(code: i32) -> String {
    format!(
        "[Unit]\nDescription=Fails\nOnFailure=notify@%n.service\n\
         [Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo some last words; exit {code}'\n"
    )
}
