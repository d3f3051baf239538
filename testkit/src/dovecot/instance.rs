//! The folder and the processes of one Dovecot.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::config::{self, OWNER, PASSWORD, Ports, USER};
use crate::smtp::Identity;

const DOVECOT: &str = "/usr/sbin/dovecot";
const PROTOCOLS: [&str; 2] = ["/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp"];

/// How long it may take to greet.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Lines of the log that an error shows.
const LAST_LINES: usize = 8;
/// Below the ports that Linux gives to whoever asks for any.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Runs the server until a line comes, or the end of the input with the test's process; then the folder goes
/// as well. Sessions outlive the master: all of the group is killed, this shell too.
const SCRIPT: &str = r#"
"$2" -F -c "$1/dovecot.conf" >"$1/said" 2>&1 &
pid=$!
read -r word
kill -TERM "$pid"
(sleep 20; kill -KILL "$pid") &
wait "$pid"
[ -n "$word" ] || rm -rf -- "$1"
kill -s KILL -- "-$$"
"#;

/// Why no Dovecot can be started here.
pub(super) fn missing() -> Option<String> {
    for program in [DOVECOT].iter().chain(&PROTOCOLS) {
        if !Path::new(program).exists() {
            return Some(format!("{program} is not installed"));
        }
    }
    let root = fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    (!root).then(|| "Dovecot starts as root only".to_owned())
}

#[derive(Debug)]
pub(super) struct Instance {
    /// The shell that runs it.
    shell: Mutex<Option<Child>>,
    folder: TempDir,
    pub(super) ports: Ports,
}

impl Instance {
    /// Writes all that it needs into a new folder.
    pub(super) fn make(identity: &Identity) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ndc-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(std::env::temp_dir().canonicalize()?)?;
        let instance = Self {
            shell: Mutex::new(None),
            folder,
            ports: free_ports()?,
        };
        for name in [
            "mail",
            "mail/Maildir",
            "mail/Maildir/new",
            "mail/Maildir/cur",
            "mail/Maildir/tmp",
        ] {
            let path = instance.folder().join(name);
            fs::create_dir(&path)?;
            chown(&path, Some(OWNER), Some(OWNER))?;
        }
        instance.write_identity(identity)?;
        // The process that knows passwords is not root.
        instance.write("users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"), 0o644)?;
        let version = Command::new(DOVECOT).arg("--version").output()?.stdout;
        let version = String::from_utf8_lossy(&version).into_owned();
        let is_old = ["2.0.", "2.1.", "2.2.", "2.3."];
        let is_new = !is_old.iter().any(|v| version.starts_with(v));
        let conf = config::dovecot_conf(is_new, instance.ports, instance.folder());
        instance.write("dovecot.conf", &conf, 0o644)?;
        Ok(instance)
    }

    pub(super) fn write_identity(&self, identity: &Identity) -> io::Result<()> {
        self.write("chain.pem", &identity.chain_pem(), 0o644)?;
        self.write("key.pem", &identity.key_pem(), 0o600)
    }

    /// Until it greets on all ports.
    pub(super) fn start(&self) -> io::Result<()> {
        // A socket that was left makes the first login wait for it.
        let _ = fs::remove_dir_all(self.folder().join("run"));
        let _ = fs::remove_file(self.folder().join("log"));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT, "sh"])
            .arg(self.folder())
            .arg(DOVECOT);
        shell.stdin(Stdio::piped());
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        // What is typed at a terminal to end the test must not end this.
        shell.process_group(0);
        *self.shell() = Some(shell.spawn()?);
        let until = Instant::now() + PATIENCE;
        while !self.greets() {
            let said = self.log();
            if said.contains("Fatal:") || Instant::now() >= until {
                self.stop()?;
                let lines: Vec<&str> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
                return Err(io::Error::other(format!("Dovecot does not greet: {last}")));
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// On the ports that it had, which another program may have for a moment.
    pub(super) fn start_again(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.start() {
                Err(e) if Instant::now() >= until => return Err(e),
                Err(_) => sleep(LOOK),
                Ok(()) => return Ok(()),
            }
        }
    }

    pub(super) fn stop(&self) -> io::Result<()> {
        let Some(mut shell) = self.shell().take() else {
            return Ok(());
        };
        if let Some(mut input) = shell.stdin.take() {
            // One that is gone cannot be told, and need not.
            let _ = input.write_all(b"stop\n");
        }
        shell.wait()?;
        let until = Instant::now() + PATIENCE;
        while has_processes(shell.id()) {
            if Instant::now() >= until {
                return Err(io::Error::other("Dovecot does not end"));
            }
            sleep(LOOK);
        }
        Ok(())
    }

    pub(super) fn messages(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut messages = Vec::new();
        for name in ["new", "cur"] {
            for entry in fs::read_dir(self.maildir().join(name))? {
                messages.push(fs::read(entry?.path())?);
            }
        }
        Ok(messages)
    }

    pub(super) fn fill(&self, count: usize) -> io::Result<()> {
        for n in 0..count {
            self.file(
                &format!("cur/1700000000.M{n}P1.mailbox.example:2,S"),
                format!(
                    "From: a@b.example\nSubject: {n}\nMessage-ID: <{n}@b.example>\n\nNothing.\n"
                )
                .as_bytes(),
            )?;
        }
        Ok(())
    }

    pub(super) fn deposit(&self, mail: &[u8]) -> io::Result<()> {
        let name = format!(
            "new/1700000001.M{:016x}P1.mailbox.example",
            fastrand::u64(..)
        );
        self.file(&name, mail)
    }

    fn file(&self, name: &str, mail: &[u8]) -> io::Result<()> {
        // Written aside, and moved when it is whole.
        let written = self
            .maildir()
            .join("tmp")
            .join(format!("{:016x}", fastrand::u64(..)));
        fs::write(&written, mail)?;
        chown(&written, Some(OWNER), Some(OWNER))?;
        fs::rename(written, self.maildir().join(name))
    }

    pub(super) fn maildir(&self) -> PathBuf {
        self.folder().join("mail/Maildir")
    }

    pub(super) fn log(&self) -> String {
        let read = |name: &str| fs::read(self.folder().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("said"), read("log")].concat()).into_owned()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn shell(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> io::Result<()> {
        let mut file = fs::File::create(self.folder().join(name))?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    }

    fn greets(&self) -> bool {
        let greets = |port: u16, words: &[u8]| {
            let greeting = TcpStream::connect(("127.0.0.1", port)).and_then(|mut link| {
                link.set_read_timeout(Some(PATIENCE))?;
                let mut start = [0; 4];
                link.read_exact(&mut start)?;
                Ok(start)
            });
            greeting.is_ok_and(|start| start == words)
        };
        let listens = TcpStream::connect(("127.0.0.1", self.ports.imaps)).is_ok();
        listens && greets(self.ports.imap, b"* OK") && greets(self.ports.lmtp, b"220 ")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Whether the group of this number has any that runs.
fn has_processes(group: u32) -> bool {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| {
            // proc(5): the program's name in parentheses, the state, the parent, the group.
            let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let mut fields = rest.split(' ');
            let state = fields.next();
            state != Some("Z") && fields.nth(1) == Some(group.to_string().as_str())
        })
}

fn free_ports() -> io::Result<Ports> {
    // None is let go before all are chosen.
    let mut held = Vec::new();
    let mut next = || {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..1000 {
            match TcpListener::bind(("127.0.0.1", fastrand::u16(PORTS))) {
                Ok(listener) => {
                    let port = listener.local_addr()?.port();
                    held.push(listener);
                    return Ok(port);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    };
    Ok(Ports {
        imap: next()?,
        imaps: next()?,
        lmtp: next()?,
    })
}
