//! A real Dovecot on loopback ports, with a folder of its own: one mailbox, by IMAP and LMTP.
//!
//! Needs root, and Debian's packages `dovecot-core`, `dovecot-imapd` and `dovecot-lmtpd`; 2.3 and 2.4 are
//! configured in the words of each. The system's own instance is neither used nor changed. What was started
//! ends when the [`Dovecot`] is dropped, or the test's process is gone.

mod config;
mod instance;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{peer, smtp::Identity};
use instance::Instance;

/// Tries to start, each on other ports.
const TRIES: usize = 3;

/// A real Dovecot that listens on `127.0.0.1`. Stopped, and its folder removed, when dropped.
///
/// It has one mailbox, which whatever comes by LMTP is put into, whoever it is for.
#[derive(Debug)]
pub struct Dovecot {
    instance: Arc<Instance>,
}

impl Dovecot {
    /// Why none can be started here; nothing if one can.
    #[must_use]
    pub fn missing() -> Option<String> {
        instance::missing()
    }

    /// Starts one with this certificate: three tries, each on other ports, until all of them greet.
    ///
    /// # Errors
    ///
    /// Dovecot is not installed, this process is not root, or none of the tries came to a greeting; then with
    /// the end of the server's log.
    pub async fn start(identity: &Identity) -> io::Result<Self> {
        if let Some(why) = instance::missing() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let identity = identity.clone();
            let instance = blocking(move || Instance::make(&identity).map(Arc::new)).await?;
            let starting = Arc::clone(&instance);
            match blocking(move || starting.start()).await {
                Ok(()) => return Ok(Self { instance }),
                Err(e) if tries == TRIES => return Err(e),
                Err(_) => {}
            }
        }
    }

    /// The same for a test: `None`, said aloud by [`peer::skipped`], where it does not start.
    pub async fn start_or_skip(identity: &Identity) -> Option<Self> {
        let started = Self::start(identity).await;
        let skip = |e: &io::Error| peer::skipped("Dovecot", &e.to_string().replace('\n', " | "));
        started.inspect_err(skip).ok()
    }

    /// The port of IMAP: plain, with STARTTLS.
    #[must_use]
    pub fn imap_port(&self) -> u16 {
        self.instance.ports.imap
    }

    /// The port of IMAP that speaks TLS from the first byte on.
    #[must_use]
    pub fn imaps_port(&self) -> u16 {
        self.instance.ports.imaps
    }

    /// The port of LMTP.
    #[must_use]
    pub fn lmtp_port(&self) -> u16 {
        self.instance.ports.lmtp
    }

    /// User and password of the mailbox.
    #[must_use]
    pub fn login(&self) -> (&'static str, &'static str) {
        (config::USER, config::PASSWORD)
    }

    /// The Maildir of the mailbox.
    #[must_use]
    pub fn maildir(&self) -> PathBuf {
        self.instance.maildir()
    }

    /// The messages of the mailbox, in no order: raw bytes.
    ///
    /// # Errors
    ///
    /// The Maildir cannot be read.
    pub async fn messages(&self) -> io::Result<Vec<Vec<u8>>> {
        self.blocking(Instance::messages).await
    }

    /// Puts so many small mails into the mailbox, past the server.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub async fn fill(&self, count: usize) -> io::Result<()> {
        self.blocking(move |instance| instance.fill(count)).await
    }

    /// Puts a mail into the mailbox, past the server.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub async fn deposit(&self, mail: &[u8]) -> io::Result<()> {
        let mail = mail.to_vec();
        self.blocking(move |instance| instance.deposit(&mail)).await
    }

    /// Stops it; its ports then refuse connections. The mailbox stays.
    ///
    /// # Errors
    ///
    /// It did not end.
    pub async fn stop(&self) -> io::Result<()> {
        self.blocking(Instance::stop).await
    }

    /// Starts it again on the same ports, after [`stop`](Self::stop).
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
    /// The files cannot be written, or it did not start again.
    pub async fn change_identity(&self, identity: &Identity) -> io::Result<()> {
        let identity = identity.clone();
        self.blocking(move |instance| {
            instance.stop()?;
            instance.write_identity(&identity)?;
            instance.start_again()
        })
        .await
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

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Instance) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let instance = Arc::clone(&self.instance);
        blocking(move || work(&instance)).await
    }
}

/// Works off the runtime's threads: programs are waited for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}
