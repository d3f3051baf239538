//! The connections to one relay.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use notifier_core::Result;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    error::{Failure, Who},
    server::{Limits, Server},
    session::{Relay, Session},
};

/// Opens connections, keeps those that are good for another mail, and bounds their number.
#[derive(Debug)]
pub(crate) struct Pool {
    relay: Relay,
    permits: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// With the time at which each is closed; the one kept last is used first.
    sessions: Vec<(Session, Instant)>,
    /// A task closes them in time.
    is_watched: bool,
}

/// The right to one connection at a time.
#[derive(Debug)]
pub(crate) struct Ticket {
    pool: Arc<Pool>,
    attempt: u32,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool without connections yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if a file of the settings cannot be used.
    pub(crate) fn new(server: Server) -> Result<Arc<Self>> {
        let relay = Relay::new(server)?;
        Ok(Arc::new(Self {
            permits: Arc::new(Semaphore::new(relay.server.limits.pool)),
            relay,
            kept: Mutex::default(),
        }))
    }

    pub(crate) fn server(&self) -> &Server {
        &self.relay.server
    }

    pub(crate) fn limits(&self) -> Limits {
        self.relay.server.limits
    }

    /// Waits for its turn.
    pub(crate) async fn ticket(
        self: &Arc<Self>,
        attempt: u32,
        until: Instant,
    ) -> Result<Ticket, Failure> {
        let permit = timeout_at(until, Arc::clone(&self.permits).acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(Ticket {
                pool: Arc::clone(self),
                attempt,
                until,
                _permit: permit,
            }),
            _ => Err(Who::new(self.server().to_string(), Default::default())
                .unfit("has all its connections at work; -smtp.pool bounds them")),
        }
    }

    /// A connection of its own, which is not kept.
    pub(crate) async fn open(&self, attempt: u32, until: Instant) -> Result<Session, Failure> {
        Session::open(&self.relay, attempt, until).await
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the connections whose time is over, and says when the next one's is.
    fn expired(&self) -> (Vec<Session>, Option<Instant>) {
        let now = Instant::now();
        let mut kept = self.kept();
        let (over, left) = std::mem::take(&mut kept.sessions)
            .into_iter()
            .partition(|(_, end)| *end <= now);
        kept.sessions = left;
        let next = kept.sessions.iter().map(|(_, end)| *end).min();
        kept.is_watched = next.is_some();
        (over.into_iter().map(|(s, _)| s).collect(), next)
    }

    fn keep(self: &Arc<Self>, mut session: Session) {
        // From now on it may go stale, whatever was done on it.
        session.used = session.used.max(1);
        let idle = self.limits().idle;
        if idle.is_zero() {
            tokio::spawn(session.quit());
            return;
        }
        let end = Instant::now()
            .checked_add(idle)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        let mut kept = self.kept();
        kept.sessions.push((session, end));
        if !kept.is_watched {
            kept.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(self), end));
        }
    }
}

/// Closes what is kept too long, for as long as there is anything.
async fn watch(pool: Weak<Pool>, first: Instant) {
    let mut next = first;
    loop {
        sleep_until(next).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let (over, after) = pool.expired();
        drop(pool);
        for session in over {
            session.quit().await;
        }
        match after {
            Some(after) => next = after,
            None => return,
        }
    }
}

/// Says goodbye on what is kept, where there still is a runtime for it.
impl Drop for Pool {
    fn drop(&mut self) {
        let sessions = std::mem::take(&mut self.kept().sessions);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            for (session, _) in sessions {
                runtime.spawn(session.quit());
            }
        }
    }
}

impl Ticket {
    /// A kept connection that is still good, else a new one.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        loop {
            let next = self.pool.kept().sessions.pop();
            let Some((mut session, end)) = next else {
                return self.fresh().await;
            };
            if end <= Instant::now() {
                tokio::spawn(session.quit());
            } else if session.link.is_quiet().await {
                session.link.set_until(self.until);
                session.who.set_attempt(self.attempt);
                return Ok(session);
            }
        }
    }

    /// A new connection.
    pub(crate) async fn fresh(&self) -> Result<Session, Failure> {
        self.pool.open(self.attempt, self.until).await
    }

    /// Keeps a connection for the next mail.
    pub(crate) fn keep(self, session: Session) {
        self.pool.keep(session);
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::SettingsBuilder;

    use super::*;
    use crate::OPTIONS;

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_in_time_is_for_later() {
        let settings = SettingsBuilder::new(OPTIONS)
            .set("server", "relay:2525")
            .set("tls", "none")
            .set("pool", "1")
            .build()
            .unwrap();
        let server = Server::read(&settings.instance("default"))
            .unwrap()
            .unwrap();
        let pool = Pool::new(server).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        let first = pool.ticket(1, until).await.unwrap();
        let failure = pool.ticket(1, until).await.unwrap_err();
        assert!(
            !failure.is_dead() && failure.text.starts_with("relay:2525 has all its "),
            "{failure:?}"
        );
        assert!(Instant::now() >= until);
        drop(first);
        assert!(pool.ticket(1, until + Duration::from_secs(5)).await.is_ok());
    }
}
