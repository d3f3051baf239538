//! Against Ceph's own gateway: a monitor, a store in memory and the gateway, for the
//! time of the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    common::{ACCESS_KEY, SECRET_KEY},
    peer::{Peer, Program, free_ports, holds, last_lines, started, taken},
};
use notifier_http::Method;
use notifier_testkit::peer::{ran, skipped};
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

/// How long one command may take before it is given again.
const STEP: Duration = Duration::from_secs(120);

/// A cluster of one, ended when dropped: the gateway first, the monitor last.
struct Cluster {
    _gateway: Program,
    _store: Program,
    _monitor: Program,
    port: u16,
    folder: TempDir,
}

impl Drop for Cluster {
    /// A test that fails tells the end of the logs.
    #[expect(clippy::print_stderr, reason = "it is of a test that fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", logs(self.folder.path()));
        }
    }
}

/// The end of each daemon's log, in one line.
fn logs(folder: &Path) -> String {
    ["mon.a", "osd.0", "client.rgw"]
        .map(|name| {
            let said = last_lines(&folder.join(format!("{name}.log")));
            format!("{name}: {said}")
        })
        .join("; ")
}

/// A folder with the configuration of a cluster.
struct Place {
    folder: PathBuf,
    id: String,
    monitor: String,
    /// Until when all of it has to be up.
    end: Instant,
}

impl Place {
    fn new(folder: &Path, [gateway, v2, v1]: [u16; 3], end: Instant) -> Self {
        for name in ["mon", "osd", "rgw"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let place = Self {
            folder: folder.to_owned(),
            id: uuid(),
            monitor: format!("[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"),
            end,
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
            // It would end itself on a disk that is nearly full.
            ("mon data avail crit", "0".into()),
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
            // Instead of hundreds of threads.
            ("rgw thread pool size", "32".into()),
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

    fn start(&self, program: &str, args: &[&str]) -> Result<Program, String> {
        let mut c = Command::new(program);
        c.args(args)
            .current_dir(&self.folder)
            .env("CEPH_CONF", self.folder.join("ceph.conf"));
        Program::start(&mut c, self.folder.join(format!("{program}.output")))
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let end = self.end.min(Instant::now() + STEP);
        self.start(program, args)?
            .finish(end)
            .map_err(|e| format!("{program} {args:?}: {e}"))
    }

    /// Runs it until it says what is waited for, while `daemon` lives.
    fn wait(
        &self,
        daemon: &mut Program,
        (program, args): (&str, &[&str]),
        until: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        loop {
            let said = self.run(program, args);
            if said.as_ref().is_ok_and(|said| until(said)) {
                return Ok(());
            }
            daemon.check()?;
            if Instant::now() > self.end {
                return Err(format!("{program} {args:?}: {said:?}"));
            }
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
    /// Starts all of it and makes the bucket `logs`.
    async fn start(end: Instant) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let with_logs = |e| format!("{e}; {}", logs(folder.path()));
        let ports = free_ports();
        let place = Place::new(folder.path(), ports, end);
        let (monitor, store) = daemons(&place).map_err(with_logs)?;
        let port = ports[0];
        let gateway = gateway(&place, port).await.map_err(with_logs)?;
        Ok(Self {
            _gateway: gateway,
            _store: store,
            _monitor: monitor,
            port,
            folder,
        })
    }
}

/// The monitor and the store, with the user.
fn daemons(place: &Place) -> Result<(Program, Program), String> {
    let map = [
        "--create",
        "--addv",
        "a",
        &place.monitor,
        "--fsid",
        &place.id,
        "monmap",
    ];
    place.run("monmaptool", &map)?;
    let mkfs = [
        "-i",
        "a",
        "--mkfs",
        "--monmap",
        "monmap",
        "--keyring",
        "keyring",
    ];
    place.run("ceph-mon", &mkfs)?;
    let mut monitor = place.start("ceph-mon", &["-i", "a", "-f"])?;
    let status = ["--connect-timeout", "30", "-s"];
    place.wait(&mut monitor, ("ceph", &status), |_| true)?;
    let osd = uuid();
    // Twice the same says the same.
    let new = ["--connect-timeout", "30", "osd", "new", &osd];
    place.wait(&mut monitor, ("ceph", &new), |_| true)?;
    place.run("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", &osd])?;
    let mut store = place.start("ceph-osd", &["-i", "0", "-f"])?;
    let stat = ["--connect-timeout", "30", "osd", "stat"];
    let is_up = |said: &str| said.contains("1 up") && said.contains("1 in");
    place.wait(&mut store, ("ceph", &stat), is_up)?;
    let user = [
        "user",
        "create",
        "--uid=peer",
        "--display-name=peer",
        "--access-key",
        ACCESS_KEY,
        "--secret",
        SECRET_KEY,
    ];
    // One that was ended may have made it.
    let info = ["user", "info", "--uid=peer"];
    let is_made = || {
        let said = place.run("radosgw-admin", &info);
        said.is_ok_and(|said| said.contains(ACCESS_KEY) && said.contains(SECRET_KEY))
    };
    while let Err(e) = place.run("radosgw-admin", &user) {
        if is_made() {
            break;
        }
        store.check()?;
        if Instant::now() > place.end {
            return Err(e);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok((monitor, store))
}

/// The gateway, once it has made the bucket.
async fn gateway(place: &Place, port: u16) -> Result<Program, String> {
    let mut gateway = place.start("radosgw", &["-n", "client.rgw", "-f"])?;
    taken(&mut gateway, (Method::PUT, "/logs/"), port, place.end).await?;
    Ok(gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_with_ceph() {
    if !are_here() {
        return;
    }
    let Some(cluster) = started(NAME, Cluster::start).await else {
        return;
    };
    let peer = Peer {
        says_its_time: true,
        unknown_key: "InvalidAccessKeyId",
        has_buckets: true,
    };
    holds(&format!("http://127.0.0.1:{}", cluster.port), peer).await;
    ran(NAME);
}
