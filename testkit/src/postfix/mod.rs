//! Real Postfix servers on loopback ports, each with a folder of its own.
//!
//! Needs root, and Debian's packages `postfix`, `sasl2-bin` and `libsasl2-modules`. The system's own
//! instance is neither used nor changed: configuration, queue, log, users and mailboxes lie in a temporary
//! folder, no mail leaves the machine, and no name is looked up in the DNS. What was started ends when the
//! [`Postfix`] is dropped, or the test's process is gone.

mod builder;
mod config;
mod freezer;
mod instance;
mod keeper;
mod maildir;
mod rig;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

pub use builder::Builder;
pub use rig::Rig;

use crate::smtp::Identity;
use instance::Instance;

/// How often is looked whether mail has come.
const LOOK: Duration = Duration::from_millis(50);

/// A real Postfix that listens on `127.0.0.1`. Stopped, and its folder removed, when dropped.
#[derive(Debug)]
pub struct Postfix {
    instance: Arc<Instance>,
}

impl Postfix {
    /// A server called `NAME.example`, which has no users, trusts nobody and takes mail for its mailboxes only.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// Why none can be started here; nothing if one can.
    #[must_use]
    pub fn missing() -> Option<String> {
        instance::missing()
    }

    /// The port of the server: plain SMTP, with STARTTLS if it has an identity.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.instance.ports.smtp
    }

    /// The port that takes mail over STARTTLS from users only, if there is one.
    #[must_use]
    pub fn submission_port(&self) -> Option<u16> {
        self.instance.ports.submission
    }

    /// The port that speaks TLS from the first byte on, if there is one.
    #[must_use]
    pub fn implicit_tls_port(&self) -> Option<u16> {
        self.instance.ports.implicit_tls
    }

    /// The port of a further [`Builder::listener`] or [`Builder::postscreen`]; 0 if there is none of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> u16 {
        self.instance.ports.others.get(name).copied().unwrap_or(0)
    }

    /// Its configuration.
    #[must_use]
    pub fn main_cf(&self) -> PathBuf {
        self.instance.etc().join("main.cf")
    }

    /// Its queue: `queue_directory`.
    #[must_use]
    pub fn queue_folder(&self) -> PathBuf {
        self.instance.folder().join("queue")
    }

    /// The socket that lists the queue.
    #[must_use]
    pub fn showq(&self) -> PathBuf {
        self.queue_folder().join("public/showq")
    }

    /// The server's own name, `NAME.example`.
    #[must_use]
    pub fn hostname(&self) -> String {
        self.instance.settings.hostname()
    }

    /// The messages of a mailbox in the order of their arrival: raw bytes with bare line feeds, as Postfix
    /// stores them, under the headers `Return-Path`, `X-Original-To`, `Delivered-To` and `Received`.
    ///
    /// The mailbox `elsewhere` has what is for other domains and was not handed on.
    #[must_use]
    pub fn mailbox(&self, name: &str) -> Vec<Vec<u8>> {
        maildir::messages(&self.instance.mail().join(name))
    }

    /// The messages of a mailbox once there are `count`, or those that are there when the time is over.
    pub async fn wait_for(&self, mailbox: &str, count: usize, timeout: Duration) -> Vec<Vec<u8>> {
        let until = Instant::now() + timeout;
        loop {
            let messages = self.mailbox(mailbox);
            if messages.len() >= count || Instant::now() >= until {
                return messages;
            }
            sleep(LOOK).await;
        }
    }

    /// Stops it; its ports then refuse connections. Queue and mailboxes stay.
    ///
    /// # Errors
    ///
    /// It cannot be signalled, or did not end.
    pub async fn stop(&self) -> io::Result<()> {
        self.blocking(Instance::stop).await
    }

    /// Kills all its processes at once (SIGKILL), as a crash of the machine would.
    ///
    /// # Errors
    ///
    /// It cannot be signalled, or did not end.
    pub async fn kill(&self) -> io::Result<()> {
        self.blocking(Instance::kill).await
    }

    /// Stops the clock for all its processes (SIGSTOP): it takes connections, and says nothing.
    ///
    /// # Errors
    ///
    /// Its processes cannot be listed.
    pub async fn pause(&self) -> io::Result<()> {
        self.blocking(Instance::pause).await
    }

    /// Goes on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// Its processes cannot be listed.
    pub async fn resume(&self) -> io::Result<()> {
        self.blocking(Instance::resume).await
    }

    /// Stops one daemon (SIGSTOP) and lets all others go on, as where it hangs: `qmgr` (mail is taken and never
    /// delivered), `cleanup` (no end to DATA), `trivial-rewrite` (no answer to RCPT), `showq` (no list of the
    /// queue). One that does not run is started first.
    ///
    /// # Errors
    ///
    /// There is no such daemon, or it was not idle within a minute.
    pub async fn freeze(&self, daemon: &str) -> io::Result<()> {
        let daemon = daemon.to_owned();
        self.blocking(move |instance| instance.freeze(&daemon))
            .await
    }

    /// Lets all of them go on.
    ///
    /// # Errors
    ///
    /// Its processes cannot be listed.
    pub async fn thaw(&self) -> io::Result<()> {
        self.blocking(Instance::resume).await
    }

    /// Writes a file of its configuration anew, `main.cf` or a table, as it is: nothing stands for another thing
    /// in it. [`reload`](Self::reload) makes it count.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub async fn rewrite(&self, name: &str, text: &str) -> io::Result<()> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.blocking(move |instance| instance.rewrite(&name, &text))
            .await
    }

    /// Reads its configuration again.
    ///
    /// # Errors
    ///
    /// `postfix reload` failed.
    pub async fn reload(&self) -> io::Result<()> {
        self.blocking(Instance::reload).await
    }

    /// Starts it again on the same ports, after [`stop`](Self::stop) or [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// It did not start within a minute: another program may have taken a port.
    pub async fn start_again(&self) -> io::Result<()> {
        self.blocking(Instance::start_again).await
    }

    /// Gives it another certificate. It is restarted.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or it did not start again.
    pub async fn change_identity(&self, identity: &Identity) -> io::Result<()> {
        let pem = config::identity(identity);
        self.blocking(move |instance| {
            instance.stop()?;
            instance.write_identity(&pem)?;
            instance.start_again()
        })
        .await
    }

    /// The messages that wait, as `postqueue -j` describes them.
    ///
    /// # Errors
    ///
    /// `postqueue` failed, or printed what is no JSON.
    pub async fn queue(&self) -> io::Result<Vec<serde_json::Value>> {
        self.blocking(Instance::queue).await
    }

    /// Tries all waiting messages now.
    ///
    /// # Errors
    ///
    /// `postqueue` failed.
    pub async fn flush(&self) -> io::Result<()> {
        self.blocking(Instance::flush).await
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.instance.log()
    }

    /// The folder that has all that is its own.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.instance.folder()
    }

    async fn blocking<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Instance) -> io::Result<T> + Send + 'static,
    {
        blocking(&self.instance, work).await
    }
}

/// Works off the runtime's threads: programs are waited for.
async fn blocking<T, F>(instance: &Arc<Instance>, work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Instance) -> io::Result<T> + Send + 'static,
{
    let instance = Arc::clone(instance);
    tokio::task::spawn_blocking(move || work(&instance))
        .await
        .map_err(io::Error::other)?
}
