//! The folder and the processes of one Postfix.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    builder::Builder,
    config::{self, OWNER, Ports},
    keeper::Keeper,
};

const POSTFIX: &str = "/usr/sbin/postfix";
const POSTQUEUE: &str = "/usr/sbin/postqueue";
const SASLPASSWD: &str = "/usr/sbin/saslpasswd2";

/// How long it may take to greet, or to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// Lines of the log that an error shows.
const LAST_LINES: usize = 8;

/// Ports are taken from here, below those that Linux gives to whoever asks for any: while a server is
/// stopped, no program gets its port by chance, and no client that calls there meets itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Why no Postfix can be started here.
pub(super) fn missing() -> Option<String> {
    for program in [POSTFIX, POSTQUEUE, SASLPASSWD] {
        if !Path::new(program).exists() {
            return Some(format!("{program} is not installed"));
        }
    }
    let root = fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    (!root).then(|| "Postfix starts as root only".to_owned())
}

#[derive(Debug)]
pub(super) struct Instance {
    folder: TempDir,
    pub(super) ports: Ports,
    pub(super) settings: Builder,
    /// Dropped after all else was done.
    _keeper: Keeper,
}

impl Instance {
    /// Writes all that it needs into a new folder.
    pub(super) fn make(settings: Builder) -> io::Result<Self> {
        let folder = new_folder()?;
        let instance = Self {
            _keeper: Keeper::start(folder.path())?,
            ports: free_ports(&settings)?,
            folder,
            settings,
        };
        for name in ["etc", "etc/sasl", "queue", "data", "mail"] {
            open_folder(&instance.folder().join(name))?;
        }
        run(Command::new("chown")
            .arg("postfix")
            .arg(instance.folder().join("data")))?;
        chown(instance.mail(), Some(OWNER), Some(OWNER))?;
        instance.write("sasl/smtpd.conf", &config::sasl(instance.folder()), 0o644)?;
        for (user, password) in &instance.settings.logins {
            instance.add_user(user, password)?;
        }
        if let Some(pem) = &instance.settings.identity {
            instance.write_identity(pem)?;
        }
        if let Some(next) = &instance.settings.next_hop {
            instance.write("next-ca.pem", &next.ca_pem, 0o644)?;
        }
        if let Some(login) = config::next_login(&instance.settings) {
            instance.write("next-login", &login, 0o600)?;
        }
        for (name, text, mode) in &instance.settings.files {
            instance.write(name, text, *mode)?;
        }
        let main = config::main_cf(&instance.settings, instance.folder());
        instance.write("main.cf", &main, 0o644)?;
        let master = config::master_cf(&instance.settings, &instance.ports, instance.folder());
        instance.write("master.cf", &master, 0o644)?;
        Ok(instance)
    }

    pub(super) fn write_identity(&self, pem: &str) -> io::Result<()> {
        self.write("identity.pem", pem, 0o600)
    }

    /// Until it greets.
    pub(super) fn start(&self) -> io::Result<()> {
        // Postfix waits for this socket, if it was left by one that was killed, before it makes its own.
        let _ = fs::remove_file(self.folder().join("queue/public/postlog"));
        let said = fs::File::create(self.folder().join("said"))?;
        let mut start = Command::new(POSTFIX);
        start.arg("-c").arg(self.etc()).arg("start");
        start.stdin(Stdio::null());
        start.stdout(said.try_clone()?).stderr(said);
        if !start.status()?.success() {
            return Err(self.failed("Postfix did not start"));
        }
        let until = Instant::now() + PATIENCE;
        while !self.greets() {
            if self.master().is_none() || Instant::now() >= until {
                return Err(self.failed("Postfix started, and does not greet"));
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
                Err(_) => self.stop()?,
                Ok(()) => return Ok(()),
            }
            sleep(LOOK);
        }
    }

    pub(super) fn stop(&self) -> io::Result<()> {
        // A paused one would not hear it.
        self.resume()?;
        if let Some(master) = self.master() {
            signal("-TERM", &[master]);
        }
        let until = Instant::now() + PATIENCE / 6;
        while !self.processes()?.is_empty() {
            if Instant::now() >= until {
                return self.kill();
            }
            sleep(LOOK);
        }
        Ok(())
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        // First who would start others.
        if let Some(master) = self.master() {
            signal("-KILL", &[master]);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = self.processes()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(self.failed("Postfix does not end"));
            }
            signal("-KILL", &left);
            sleep(LOOK);
        }
    }

    pub(super) fn pause(&self) -> io::Result<()> {
        // First who would start others, or think them dead.
        if let Some(master) = self.master() {
            signal("-STOP", &[master]);
        }
        signal("-STOP", &self.processes()?);
        Ok(())
    }

    pub(super) fn resume(&self) -> io::Result<()> {
        signal("-CONT", &self.processes()?);
        Ok(())
    }

    pub(super) fn rewrite(&self, name: &str, text: &str) -> io::Result<()> {
        let mode = fs::metadata(self.etc().join(name)).map_or(0o644, |m| m.mode() & 0o777);
        self.write(name, text, mode)
    }

    pub(super) fn reload(&self) -> io::Result<()> {
        run(Command::new(POSTFIX)
            .arg("-c")
            .arg(self.etc())
            .arg("reload"))
        .map(drop)
    }

    pub(super) fn queue(&self) -> io::Result<Vec<serde_json::Value>> {
        let text = run(Command::new(POSTQUEUE).arg("-c").arg(self.etc()).arg("-j"))?;
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).map_err(io::Error::other))
            .collect()
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        run(Command::new(POSTQUEUE).arg("-c").arg(self.etc()).arg("-f")).map(drop)
    }

    pub(super) fn log(&self) -> String {
        let log = fs::read(self.folder().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn mail(&self) -> PathBuf {
        self.folder().join("mail")
    }

    pub(super) fn etc(&self) -> PathBuf {
        self.folder().join("etc")
    }

    /// Writes a file of the configuration, a minute old: Postfix waits until `main.cf` is two seconds old, lest
    /// somebody still writes it.
    fn write(&self, name: &str, text: &str, mode: u32) -> io::Result<()> {
        let path = self.etc().join(name);
        let mut file = fs::File::create(&path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        let written = file.metadata()?.modified()?;
        file.set_modified(written - Duration::from_secs(60))
    }

    fn add_user(&self, user: &str, password: &str) -> io::Result<()> {
        let users = self.etc().join("sasl/users");
        let mut add = Command::new(SASLPASSWD);
        add.args(["-c", "-p", "-u", &self.settings.hostname(), "-f"]);
        add.arg(&users).arg(user);
        add.stdin(Stdio::piped()).stdout(Stdio::null());
        add.stderr(Stdio::piped());
        let mut child = add.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(password.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("saslpasswd2 failed: {said}")));
        }
        // The server reads it as the user postfix.
        fs::set_permissions(&users, fs::Permissions::from_mode(0o644))
    }

    fn greets(&self) -> bool {
        let greeting = TcpStream::connect(("127.0.0.1", self.ports.smtp)).and_then(|mut link| {
            link.set_read_timeout(Some(PATIENCE))?;
            let mut code = [0; 4];
            link.read_exact(&mut code)?;
            Ok(code)
        });
        greeting.is_ok_and(|code| &code == b"220 ")
    }

    /// The process that starts the others.
    fn master(&self) -> Option<u32> {
        let text = fs::read_to_string(self.folder().join("queue/pid/master.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        self.is_ours(pid).then_some(pid)
    }

    /// All its processes: those that work in its queue. Ended ones work nowhere.
    pub(super) fn processes(&self) -> io::Result<Vec<u32>> {
        let all = fs::read_dir("/proc")?.flatten();
        let pids = all.filter_map(|e| e.file_name().to_str()?.parse().ok());
        Ok(pids.filter(|pid| self.is_ours(*pid)).collect())
    }

    fn is_ours(&self, pid: u32) -> bool {
        let works_in = fs::read_link(format!("/proc/{pid}/cwd"));
        works_in.is_ok_and(|folder| folder == self.folder().join("queue"))
    }

    pub(super) fn failed(&self, what: &str) -> io::Error {
        let said = fs::read_to_string(self.folder().join("said")).unwrap_or_default();
        let text = said + &self.log();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        io::Error::other(format!("{what}: {last}"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// In the system's folder for such, and open to the user postfix. Short: names of sockets end at 107 bytes.
fn new_folder() -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("npf-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(std::env::temp_dir().canonicalize()?)
}

fn open_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn free_ports(settings: &Builder) -> io::Result<Ports> {
    // None is let go before all are chosen.
    let mut held = Vec::new();
    let mut next = || -> io::Result<u16> {
        let mut last = None;
        for _ in 0..1000 {
            match TcpListener::bind(("127.0.0.1", fastrand::u16(PORTS))) {
                Ok(listener) => {
                    let port = listener.local_addr()?.port();
                    held.push(listener);
                    return Ok(port);
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    };
    Ok(Ports {
        smtp: next()?,
        submission: settings.submission.then(&mut next).transpose()?,
        implicit_tls: settings.implicit_tls.then(&mut next).transpose()?,
        others: settings
            .listeners
            .iter()
            .map(|l| Ok((l.name.clone(), next()?)))
            .collect::<io::Result<_>>()?,
    })
}

pub(super) fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    // One that is already gone is no error.
    let _ = Command::new("kill")
        .arg(name)
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
}

/// What a program prints.
fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let program = command.get_program().display();
        return Err(io::Error::other(format!("{program} failed: {said}")));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
