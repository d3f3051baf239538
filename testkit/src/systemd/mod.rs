//! A real systemd in namespaces of its own.
//!
//! Needs root, and Debian's packages `systemd`, `dbus` and `util-linux`. systemd runs as process 1 of its own
//! namespaces over a throw-away layer of `/`: all that is installed here is there at the same path, the built
//! programs too, and nothing of it starts by itself. It has a D-Bus and a journal (in memory), a machine id and
//! a host name of its own. What was started ends when the [`Systemd`] is dropped, or the test's process is gone.

mod builder;
mod instance;

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

pub use builder::Builder;

use instance::Instance;

/// A running systemd. Killed with all that it started, and its folder removed, when dropped.
#[derive(Debug)]
pub struct Systemd {
    instance: Arc<Instance>,
}

impl Systemd {
    /// One without units, whose network is its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one with these units, each a name and the text of its file. None of them is started. `None`, said
    /// aloud by [`peer::skipped`](crate::peer::skipped), where systemd is not installed or cannot be started.
    pub async fn start(units: &[(&str, &str)]) -> Option<Self> {
        let builder = units
            .iter()
            .fold(Self::builder(), |b, (name, text)| b.unit(name, text));
        builder.start_or_skip().await
    }

    /// The address of its system bus, for programs outside and inside: `unix:path=…`.
    #[must_use]
    pub fn bus_address(&self) -> String {
        format!("unix:path={}", self.bus_socket().display())
    }

    /// The socket of its system bus.
    #[must_use]
    pub fn bus_socket(&self) -> PathBuf {
        self.instance.folder().join("run/dbus/system_bus_socket")
    }

    /// Where its journal lies, as it is seen from outside: for `journalctl -D`.
    #[must_use]
    pub fn journal_directory(&self) -> PathBuf {
        self.instance.folder().join("run/log/journal")
    }

    /// Its `/`, as it is seen from outside: what is written below it is there at once.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.instance.pid()))
    }

    /// A folder that has the same path outside and inside, and the same content.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.instance.folder().join("shared")
    }

    /// The host's name in there.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.instance.host_name
    }

    /// Its machine id: 32 hexadecimal digits.
    #[must_use]
    pub fn machine_id(&self) -> &str {
        &self.instance.machine_id
    }

    /// A command that runs in there, as root, not yet started, its input and output as the caller sets them.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        self.instance.command(args)
    }

    /// Runs a command in there, as root, such as `["systemctl", "start", "a.service"]`, and waits for its end.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub async fn run(&self, args: &[&str]) -> io::Result<Output> {
        let mut command = self.command(args);
        blocking(move || command.output()).await
    }

    /// Runs a command in there that has to succeed; its standard output.
    ///
    /// # Errors
    ///
    /// It cannot be started, or failed; then with all that it said.
    pub async fn expect(&self, args: &[&str]) -> io::Result<String> {
        let out = self.run(args).await?;
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&out.stderr);
        let what = format!("{}: {}: {stdout}{stderr}", args.join(" "), out.status);
        Err(io::Error::other(what))
    }

    /// Starts units, and does not wait until they run.
    ///
    /// # Errors
    ///
    /// `systemctl` failed.
    pub async fn start_units(&self, units: &[&str]) -> io::Result<()> {
        let mut args = vec!["systemctl", "start", "--no-block", "--"];
        args.extend(units);
        self.expect(&args).await.map(drop)
    }

    /// A property of a unit, as `systemctl show` prints it.
    ///
    /// # Errors
    ///
    /// `systemctl` failed.
    pub async fn property(&self, unit: &str, name: &str) -> io::Result<String> {
        let args = ["systemctl", "show", "--value", "-p", name, "--", unit];
        Ok(self.expect(&args).await?.trim_end().to_owned())
    }

    /// Writes a file in there by its whole path, with these permissions.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.instance.write(path.as_ref(), bytes, mode)
    }

    /// Adds units, or writes them anew; a name with a `/` is a file of a drop-in: `a.service.d/b.conf`. Then
    /// systemd reads them all again.
    ///
    /// # Errors
    ///
    /// One cannot be written, or `systemctl daemon-reload` failed.
    pub async fn add_units(&self, units: &[(&str, &str)]) -> io::Result<()> {
        for (name, text) in units {
            let path = Path::new("/etc/systemd/system").join(name);
            self.write(path, text.as_bytes(), 0o644)?;
        }
        self.expect(&["systemctl", "daemon-reload"]).await.map(drop)
    }

    /// The last lines of its journal, and what it wrote to its console: for messages of tests that fail.
    #[must_use]
    pub fn log(&self) -> String {
        self.instance.log()
    }
}

/// Runs what waits on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
