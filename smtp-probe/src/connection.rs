//! A dialogue with the server, as far as it is needed to ask something else.

use std::{net::SocketAddr, time::Duration};

use notifier_core::{Clock as _, SystemClock};
use smtp_wire::{Fault, Link, Offers, Reply};
use tokio::time::Instant;

use crate::{
    report::{Check, Class, Phase, State},
    session::{Record, Standing, approach, log_in},
    target::Target,
};

/// Why a dialogue went no further.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) phase: Phase,
    pub(crate) class: Class,
    /// What it makes of the check: critical, unless it says nothing about the server.
    pub(crate) state: State,
    /// The reply, if it was one.
    pub(crate) reply: Option<Reply>,
    /// What happened, for people.
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
    /// See [`is_over`](Self::is_over).
    pub(crate) over: bool,
}

impl Stop {
    pub(crate) fn new(phase: Phase, class: Class, text: impl Into<String>) -> Self {
        let state = match class {
            Class::Local => State::Unknown,
            _ => State::Crit,
        };
        Self {
            phase,
            class,
            state,
            reply: None,
            text: text.into(),
            hint: None,
            over: false,
        }
    }

    /// What a reply that was not wanted means.
    pub(crate) fn refused(phase: Phase, reply: Reply) -> Self {
        let class = match reply.code() {
            400..=499 => Class::Reply4,
            500..=599 => Class::Reply5,
            _ => Class::Proto,
        };
        let text = format!("{} {}", reply.codes(), reply.text());
        let stop = Self::new(phase, class, text);
        let (state, hint) = match (reply.is_closing(), phase, class) {
            (true, _, _) => (
                State::Unknown,
                Some(
                    "the server closes: too many connections or errors from this address, or it is shutting down; ask less often, and look at its log",
                ),
            ),
            // The login's backend is not there (RFC 4954 §6): that says nothing about the login.
            (false, Phase::Auth, Class::Reply4) => (State::Unknown, None),
            (false, Phase::Banner, Class::Reply4) => (State::Warn, None),
            (false, _, Class::Proto) => (
                State::Crit,
                Some(
                    "that is no answer to what was asked: a broken server, or a device between that changes the dialogue",
                ),
            ),
            _ => (State::Crit, None),
        };
        Self {
            state,
            over: reply.is_closing(),
            reply: Some(reply),
            hint: hint.map(str::to_owned),
            ..stop
        }
    }

    /// What is wrong with the connection.
    pub(crate) fn broken(phase: Phase, fault: &Fault) -> Self {
        let class = match fault {
            Fault::Closed | Fault::Broken(_) => Class::Eof,
            Fault::Stalled(_) => Class::Timeout,
            Fault::Malformed(_) => Class::Proto,
        };
        Self {
            over: true,
            ..Self::new(phase, class, format!("the server {fault}"))
        }
    }

    /// Says what to do, unless that is said already.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    pub(crate) fn with_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Whether the server says that we come too often: that is no verdict on it.
    pub(crate) fn is_rate_limit(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_closing)
    }

    /// Whether nothing more can be said on the connection, not even QUIT.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The check that it decides.
    pub(crate) fn check(self, id: &'static str) -> Check {
        let mut check = Check::crit(id, self.phase, self.class, self.text).state(self.state);
        if let Some(reply) = &self.reply {
            check = check.reply(reply);
        }
        match self.hint {
            Some(hint) => check.hint(hint),
            None => check,
        }
    }
}

/// Past EHLO, TLS and login.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) link: Link,
    pub(crate) banner: Reply,
    pub(crate) ehlo: Reply,
    pub(crate) offers: Offers,
    pub(crate) helo: String,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) is_private: bool,
    /// Whether TLS proved who the server is: chain, name and dates.
    pub(crate) is_verified: bool,
    pub(crate) is_logged_in: bool,
    /// The longest wait for a reply.
    pub(crate) within: Duration,
}

impl Connection {
    /// Opens one that must be over at `until`, and logs in where the target says who.
    pub(crate) async fn open(target: &Target, until: Instant) -> Result<Self, Stop> {
        Self::greeting_as(target, target.helo.as_deref(), until).await
    }

    /// As [`open`](Self::open), with another name to greet with.
    pub(crate) async fn greeting_as(
        target: &Target,
        helo: Option<&str>,
        until: Instant,
    ) -> Result<Self, Stop> {
        let mut record = Record::default();
        let now = SystemClock.now();
        let mut connection = approach(target, helo, until, now, &mut record).await?;
        match log_in(&mut connection, target, &mut record).await {
            Ok(()) => Ok(connection),
            Err(stop) => {
                record.leave(connection.link, Some(&stop)).await;
                Err(stop)
            }
        }
    }

    /// Asks; any whole reply is an answer.
    pub(crate) async fn ask(&mut self, phase: Phase, command: &str) -> Result<Reply, Stop> {
        let reply = self.link.ask(command, self.within).await;
        reply.map_err(|fault| Stop::broken(phase, &fault))
    }

    /// Who we are to the server.
    pub(crate) fn standing(&self) -> Standing {
        match (self.is_logged_in, self.offers.mechanisms.is_empty()) {
            (true, _) => Standing::LoggedIn,
            (false, true) => Standing::Anybody,
            (false, false) => Standing::LoggedOut,
        }
    }

    /// Says goodbye.
    pub(crate) async fn quit(self) {
        self.link.quit(Duration::from_secs(2)).await;
    }
}
