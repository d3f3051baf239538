//! The folder and the processes of one systemd.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::{
        fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::builder::Builder;

const SYSTEMD: &str = "/lib/systemd/systemd";
/// What else must be installed.
const PROGRAMS: [&str; 4] = [
    SYSTEMD,
    "/usr/bin/dbus-daemon",
    "/usr/bin/unshare",
    "/usr/bin/nsenter",
];

/// How long it may take until it is up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Lines of the journal that an error shows.
const LAST_LINES: &str = "40";

const KEEPER: &str = include_str!("keeper.sh");
const INSIDE: &str = include_str!("inside.sh");

/// What it starts by itself.
const TARGET: &str = "[Unit]\n\
                      DefaultDependencies=no\n\
                      Requires=dbus.socket systemd-journald.socket\n\
                      Wants=dbus.service systemd-journald.service\n";

/// No limit on lines, since tests write fast, and nothing of the machine's own kernel.
const JOURNAL: &str = "[Journal]\n\
                       Storage=volatile\n\
                       RuntimeMaxUse=256M\n\
                       RateLimitIntervalSec=0\n\
                       ReadKMsg=no\n\
                       Audit=no\n";

static COUNT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) host_name: String,
    pub(super) machine_id: String,
    /// Removed by the keeper too, if this process cannot.
    folder: TempDir,
    keeper: Child,
    pid: OnceLock<u32>,
}

/// Why none can be started here.
fn missing() -> Option<String> {
    for program in PROGRAMS {
        if !Path::new(program).exists() {
            return Some(format!("{program} is not installed"));
        }
    }
    if control_groups().is_none() {
        return Some("there are no control groups of version 2".to_owned());
    }
    let root = fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    (!root).then(|| "systemd starts as root only".to_owned())
}

/// Where control groups of version 2 are mounted.
fn control_groups() -> Option<&'static Path> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(Path::new)
        .into_iter()
        .find(|p| p.join("cgroup.controllers").exists())
}

impl Instance {
    /// Writes all that it needs into a new folder, and starts it.
    pub(super) fn make(settings: Builder) -> io::Result<Self> {
        if let Some(why) = missing() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix("systemd-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        for sub in ["layer", "root", "run", "shared", "units"] {
            fs::create_dir(folder.path().join(sub))?;
        }
        let host_name = settings
            .host_name
            .unwrap_or_else(|| format!("node-{name}.example"));
        let machine_id = format!("{:032x}", fastrand::u128(1..));
        for (file, text) in [
            ("hostname", format!("{host_name}\n").as_str()),
            ("machine-id", &format!("{machine_id}\n")),
            ("journald.conf", JOURNAL),
            ("units/test.target", TARGET),
        ] {
            fs::write(folder.path().join(file), text)?;
        }
        for (unit, text) in &settings.units {
            let path = folder.path().join("units").join(unit);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        let mut group = control_groups().unwrap_or(Path::new("/")).to_path_buf();
        group.push(format!("notifier-testkit-{name}"));
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "sh"]);
        shell.arg(folder.path()).arg(group).arg(INSIDE);
        if !settings.shares_network {
            shell.arg("--net");
        }
        shell.stdin(Stdio::piped());
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        // What is typed at a terminal to end the test must not end this.
        shell.process_group(0);
        Ok(Self {
            keeper: shell.spawn()?,
            host_name,
            machine_id,
            folder,
            pid: OnceLock::new(),
        })
    }

    pub(super) fn wait_until_up(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.is_up() {
            if Instant::now() >= until {
                return Err(io::Error::other(format!(
                    "it was not up within {} s: {}",
                    PATIENCE.as_secs(),
                    self.log()
                )));
            }
            if self.is_over() {
                return Err(io::Error::other(format!("it ended: {}", self.log())));
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// The namespaces could not be had, or systemd could not start.
    fn is_over(&self) -> bool {
        let console = fs::read_to_string(self.folder().join("console")).unwrap_or_default();
        let has_pid = self.folder().join("pid").exists();
        if has_pid {
            return !Path::new("/proc").join(self.pid().to_string()).exists();
        }
        !console.trim().is_empty()
    }

    fn is_up(&self) -> bool {
        if !self.folder().join("pid").exists() {
            return false;
        }
        let state = self.command(&["systemctl", "is-system-running"]).output();
        state.is_ok_and(|out| {
            let said = String::from_utf8_lossy(&out.stdout);
            matches!(said.trim(), "running" | "degraded")
        }) && self.folder().join("run/dbus/system_bus_socket").exists()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process 1, by the number that the outside knows it by.
    pub(super) fn pid(&self) -> u32 {
        *self.pid.get_or_init(|| {
            let text = fs::read_to_string(self.folder().join("pid")).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        })
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
        command.args(["--root", "--wd", "--"]).args(args);
        command.stdin(Stdio::null());
        command
    }

    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let path = PathBuf::from(format!("/proc/{}/root", self.pid())).join(inside);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // Another file of the same name may be a program that runs.
        let _ = fs::remove_file(&path);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(&path)?;
        file.write_all(bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    }

    pub(super) fn log(&self) -> String {
        let console = fs::read_to_string(self.folder().join("console")).unwrap_or_default();
        let mut journal = Command::new("journalctl");
        journal.args(["--no-pager", "-q", "-n", LAST_LINES, "-D"]);
        journal.arg(self.folder().join("run/log/journal"));
        let said = journal.output().map(|out| out.stdout).unwrap_or_default();
        format!("{console}{}", String::from_utf8_lossy(&said))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It ends all, and removes the folder.
        let _ = self.keeper.wait();
    }
}
