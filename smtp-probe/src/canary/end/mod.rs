//! Where a canary is awaited.

mod imap;
mod maildir;
mod mbox;
mod mta;

use std::{
    sync::{Arc, Mutex, PoisonError, TryLockError},
    time::Duration,
};

use notifier_core::jiff::Timestamp;
use tokio::time::timeout;

use self::{imap::Mailbox, maildir::Maildir, mbox::Mbox, mta::Mta};
use super::{
    find::{Mail, Place},
    mark::Mark,
};
use crate::{
    connection::Stop,
    report::{Class, Phase},
    target::{Canary, Target},
};

/// The longest that clearing up may take.
const TIDY: Duration = Duration::from_secs(5);

/// An end of the way. Dropping it is safe at any time.
#[derive(Debug)]
pub(crate) enum End {
    Maildir(Aside<Maildir>),
    Mbox(Aside<Mbox>),
    Imap(Box<Mailbox>),
    Mta(Mta),
}

/// What is wrong with the end, not with the canary's way.
pub(crate) fn trouble(class: Class, text: impl Into<String>) -> Stop {
    Stop::new(Phase::Delivery, class, text)
}

impl End {
    /// Makes ready to await the first of `marks`, which is not sent yet, and the others, which
    /// earlier runs sent and which may be there already. `None`: only the queue is looked at.
    pub(crate) async fn open(target: &Target, marks: &[Mark]) -> Result<Option<Self>, Stop> {
        let since = marks.iter().skip(1).map(|m| m.at).min();
        Ok(Some(match &target.canary {
            None | Some(Canary::QueueGone) => return Ok(None),
            Some(Canary::Maildir(path)) => {
                Self::Maildir(Aside::new(Maildir::open(path, since).await?))
            }
            Some(Canary::Mbox(path)) => {
                Self::Mbox(Aside::new(Mbox::open(path, since.is_some()).await?))
            }
            Some(Canary::Imap(imap)) => {
                let mailbox =
                    Mailbox::open(imap, target.allow_clear, target.limits.connect).await?;
                Self::Imap(Box::new(mailbox))
            }
            Some(Canary::SmtpListen(address)) => {
                Self::Mta(Mta::listen(*address, false, marks).await?)
            }
            Some(Canary::LmtpListen(address)) => {
                Self::Mta(Mta::listen(*address, true, marks).await?)
            }
        }))
    }

    /// The mails that came since it was asked last, and may be one of these.
    pub(crate) async fn look(&mut self, marks: &[Mark]) -> Result<Vec<Mail>, Stop> {
        match self {
            Self::Maildir(maildir) => maildir.look().await,
            Self::Mbox(mbox) => mbox.look().await,
            Self::Imap(mailbox) => mailbox.look(marks).await,
            Self::Mta(mta) => Ok(mta.look()),
        }
    }

    /// Removes what was found and old canaries, as far as that can be done; lets dialogues end.
    pub(crate) async fn close(self, found: &[Place], now: Timestamp) {
        let closing = async {
            match self {
                Self::Maildir(_) => maildir::remove(found).await,
                Self::Mbox(_) => {}
                Self::Imap(mailbox) => mailbox.close(found, now).await,
                Self::Mta(mta) => mta.close().await,
            }
        };
        if timeout(TIDY, closing).await.is_err() {
            tracing::debug!("the canary's end could not be cleared up in time");
        }
    }
}

/// Does what may wait for a disk elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stop> + Send + 'static,
) -> Result<T, Stop> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(trouble(Class::Local, e.to_string())))
}

/// What reads files.
pub(crate) trait Reads: std::fmt::Debug + Send + 'static {
    fn read(&mut self) -> Result<Vec<Mail>, Stop>;
}

/// Reads files where that may wait. A look that nobody waits for any more goes on, and what it finds
/// is handed over by the next one.
#[derive(Debug)]
pub(crate) struct Aside<T>(Arc<Mutex<(T, Vec<Mail>)>>);

impl<T: Reads> Aside<T> {
    fn new(inner: T) -> Self {
        Self(Arc::new(Mutex::new((inner, Vec::new()))))
    }

    async fn look(&self) -> Result<Vec<Mail>, Stop> {
        let shared = Arc::clone(&self.0);
        blocking(move || {
            let mut held = match shared.try_lock() {
                Ok(held) => held,
                Err(TryLockError::Poisoned(e)) => e.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    return Err(trouble(Class::Timeout, "the disk does not answer"));
                }
            };
            let (inner, mails) = &mut *held;
            mails.extend(inner.read()?);
            Ok(())
        })
        .await?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut held.1))
    }
}
