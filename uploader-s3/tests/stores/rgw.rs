//! Against Ceph's own gateway: a monitor, a store in memory and the gateway, for the
//! time of the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    common::{ACCESS_KEY, SECRET_KEY},
    peer::{Peer, Program, free_ports, holds, started},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use notifier_core::{Clock as _, SystemClock};
use notifier_http::HttpClient;
use notifier_testkit::peer::{ran, skipped};
use sha1::Sha1;
use tempfile::TempDir;

/// Its name in what a run of the tests says.
const NAME: &str = "Ceph's gateway";

/// What Debian's packages radosgw, ceph-mon and ceph-osd bring.
const PROGRAMS: &[&str] = &[
    "ceph",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
];

fn are_here() -> bool {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"];
    let is_here = |p: &&&str| folders.iter().any(|f| Path::new(f).join(p).exists());
    match PROGRAMS.iter().find(|p| !is_here(p)) {
        None => true,
        Some(missing) => {
            let why = "is not installed (Debian: radosgw, ceph-mon, ceph-osd)";
            skipped(NAME, &format!("{missing} {why}"));
            false
        }
    }
}

/// A cluster of one, ended when dropped: the gateway first, the monitor last.
struct Cluster {
    _gateway: Program,
    _store: Program,
    _monitor: Program,
    port: u16,
    _folder: TempDir,
}

/// A folder with the configuration of a cluster.
struct Place {
    folder: PathBuf,
    id: String,
    monitor: String,
}

impl Place {
    fn new(folder: &Path, [gateway, v2, v1]: [u16; 3]) -> Self {
        for name in ["mon", "osd", "rgw"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let place = Self {
            folder: folder.to_owned(),
            id: uuid(),
            monitor: format!("[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"),
        };
        let at = folder.display();
        let settings = [
            ("fsid", place.id.clone()),
            ("mon host", place.monitor.clone()),
            ("mon initial members", "a".into()),
            ("public addr", "127.0.0.1".into()),
            ("cluster addr", "127.0.0.1".into()),
            ("auth cluster required", "none".into()),
            ("auth service required", "none".into()),
            ("auth client required", "none".into()),
            // The gateway would wait for an encryption that needs keys.
            ("ms mon client mode", "crc".into()),
            ("ms mon service mode", "crc".into()),
            ("ms mon cluster mode", "crc".into()),
            ("ms bind ipv6", "false".into()),
            // One copy, in memory.
            ("osd pool default size", "1".into()),
            ("osd pool default min size", "1".into()),
            ("osd pool default pg num", "4".into()),
            ("osd pool default pg autoscale mode", "off".into()),
            ("osd crush chooseleaf type", "0".into()),
            ("mon allow pool size one", "true".into()),
            ("mon max pg per osd", "1000".into()),
            ("osd objectstore", "memstore".into()),
            ("memstore device bytes", "1073741824".into()),
            ("run dir", at.to_string()),
            ("log file", format!("{at}/$name.log")),
            ("pid file", format!("{at}/$name.pid")),
            ("admin socket", format!("{at}/$name.asok")),
            ("mon data", format!("{at}/mon")),
            ("osd data", format!("{at}/osd")),
            ("rgw data", format!("{at}/rgw")),
            ("keyring", format!("{at}/keyring")),
        ];
        let mut text = String::from("[global]\n");
        for (name, value) in settings {
            text += &format!("{name} = {value}\n");
        }
        text += &format!("[client.rgw]\nrgw frontends = beast endpoint=127.0.0.1:{gateway}\n");
        fs::write(folder.join("ceph.conf"), text).unwrap();
        fs::write(folder.join("keyring"), "").unwrap();
        place
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut c = Command::new(program);
        c.args(args)
            .current_dir(&self.folder)
            .env("CEPH_CONF", self.folder.join("ceph.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        c
    }

    fn run(&self, program: &str, args: &[&str]) {
        let out = self
            .command(program, args)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {said}");
    }

    /// Waits for an answer; false if the program that gives it ended.
    fn wait(&self, program: &mut Program, args: &[&str], until: impl Fn(&str) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let mut c = self.command("ceph", &["--connect-timeout", "5"]);
            let out = c.args(args).stdout(Stdio::piped()).output().unwrap();
            if out.status.success() && until(&String::from_utf8_lossy(&out.stdout)) {
                return true;
            }
            if program.is_over() {
                return false;
            }
            assert!(Instant::now() < end, "{args:?} has no end");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn uuid() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid")
        .unwrap()
        .trim()
        .to_owned()
}

impl Cluster {
    /// `None` if one of its programs ended at once.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let place = Place::new(folder.path(), ports);
        place.run(
            "monmaptool",
            &[
                "--create",
                "--addv",
                "a",
                &place.monitor,
                "--fsid",
                &place.id,
                "monmap",
            ],
        );
        place.run(
            "ceph-mon",
            &[
                "-i",
                "a",
                "--mkfs",
                "--monmap",
                "monmap",
                "--keyring",
                "keyring",
            ],
        );
        let mut monitor = Program::start(&mut place.command("ceph-mon", &["-i", "a", "-f"]));
        if !place.wait(&mut monitor, &["-s"], |_| true) {
            return None;
        }
        let osd = uuid();
        place.run("ceph", &["osd", "new", &osd]);
        place.run("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", &osd]);
        let mut store = Program::start(&mut place.command("ceph-osd", &["-i", "0", "-f"]));
        let is_up = |said: &str| said.contains("1 up");
        if !place.wait(&mut store, &["osd", "stat"], is_up) {
            return None;
        }
        place.run(
            "radosgw-admin",
            &[
                "user",
                "create",
                "--uid=peer",
                "--display-name=peer",
                "--access-key",
                ACCESS_KEY,
                "--secret",
                SECRET_KEY,
            ],
        );
        let rgw = &["-n", "client.rgw", "-f"];
        let mut gateway = Program::start(&mut place.command("radosgw", rgw));
        let port = ports[0];
        let is_there = gateway.listens(port);
        // As a whole in any case, for the order in which it ends.
        let cluster = Self {
            _gateway: gateway,
            _store: store,
            _monitor: monitor,
            port,
            _folder: folder,
        };
        is_there.then_some(cluster)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes the bucket `logs`, signed by hand.
    async fn make_bucket(&self) {
        let utc = SystemClock
            .now()
            .to_zoned(notifier_core::jiff::tz::TimeZone::UTC);
        let date = utc.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut mac = Hmac::<Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
        mac.update(format!("PUT\n\n\n{date}\n/logs/").as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let answer = HttpClient::new()
            .unwrap()
            .put(&format!("{}/logs/", self.url()))
            .header("date", &date)
            .header("authorization", &format!("AWS {ACCESS_KEY}:{signature}"))
            .timeout(Some(Duration::from_secs(60)))
            .send()
            .await
            .unwrap();
        assert!(answer.is_success(), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_with_ceph() {
    if !are_here() {
        return;
    }
    let cluster = started(Cluster::start);
    cluster.make_bucket().await;
    let peer = Peer {
        says_its_time: true,
        unknown_key: "InvalidAccessKeyId",
        has_buckets: true,
    };
    holds(&cluster.url(), peer).await;
    ran(NAME);
}
