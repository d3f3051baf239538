//! A relay that is ready to take mail from us.

use std::{net::IpAddr, time::Duration};

use lettre::transport::smtp::{
    commands::{Ehlo, Starttls},
    extension::ClientId,
};
use notifier_core::{Result, Secret, redact::Redactor};
use smtp_wire::{Fault, Link, Offers, Reply, Stream, hello};
use tokio::time::{Instant, timeout_at};

use crate::{
    dial::dial,
    error::{Failure, Step, Who},
    login::log_in,
    server::{Server, Tls},
    tls::Handshake,
};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A relay and how to shake hands with it.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) server: Server,
    handshake: Option<Handshake>,
}

impl Relay {
    /// Reads what the server's settings name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) with the option's name.
    pub(crate) fn new(server: Server) -> Result<Self> {
        let handshake = Handshake::of(&server)?;
        Ok(Self { server, handshake })
    }
}

/// A connection past greeting, TLS and login.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(crate) offers: Offers,
    pub(crate) who: Who,
    /// The longest wait for a reply, and for the one to the message.
    pub(crate) reply: Duration,
    pub(crate) last: Duration,
    /// How many transactions it had.
    pub(crate) used: usize,
}

impl Session {
    /// Connects, greets, shakes hands and logs in.
    pub(crate) async fn open(relay: &Relay, attempt: u32, until: Instant) -> Result<Self, Failure> {
        let server = &relay.server;
        let password = match &server.login {
            Some(login) => Some(login.fetch().await?),
            None => None,
        };
        let mut who = Who::new(server.to_string(), redactor(server, password.as_ref()));
        who.set_attempt(attempt);
        let stream = dial(server, &who, until).await?;
        let local = stream.local_addr().ok().map(|a| a.ip().to_canonical());
        Self::greet(relay, Box::new(stream), local, password, who, until).await
    }

    /// Everything after the connection. `local` is our address, to greet with.
    pub(crate) async fn greet(
        relay: &Relay,
        stream: Box<dyn Stream>,
        local: Option<IpAddr>,
        password: Option<Secret>,
        who: Who,
        until: Instant,
    ) -> Result<Self, Failure> {
        let server = &relay.server;
        let limits = server.limits;
        let hello = hello(server.helo.as_deref(), local);
        let shake = async |stream| match &relay.handshake {
            Some(handshake) => {
                let end = until.min(Instant::now() + limits.connect);
                let shaking = timeout_at(end, handshake.shake(stream, &who)).await;
                shaking.unwrap_or_else(|_| {
                    Err(who.unfit(
                        "did not finish the TLS handshake in time; no mail goes without it unless -smtp.tls is none",
                    ))
                })
            }
            None => Ok(stream),
        };
        let stream = match server.tls {
            Tls::Implicit => shake(stream).await?,
            _ => stream,
        };
        let mut link = Link::of(stream, until);
        banner(&mut link, &who, limits.reply).await?;
        let mut offers = ehlo(&mut link, &hello, &who, limits.reply).await?;
        let mut is_private = server.tls == Tls::Implicit;
        match server.tls {
            Tls::Required if !offers.starttls => {
                return Err(who.unfit(
                    "offers no STARTTLS; the mail waits until it does, or until -smtp.tls is other than required",
                ));
            }
            Tls::Required | Tls::Opportunistic if offers.starttls => {
                match starttls(&mut link, &who, limits.reply).await? {
                    None => {
                        let bare = link.into_stream().await;
                        let (stream, dialogue) =
                            bare.map_err(|fault| who.broken(&Step::StartTls, &fault))?;
                        link = Link::of(shake(stream).await?, until).with_dialogue(dialogue);
                        // All that was learnt before counts no more (RFC 3207 §4.2).
                        offers = ehlo(&mut link, &hello, &who, limits.reply).await?;
                        is_private = true;
                    }
                    // It has none after all: as where it offers none.
                    Some(reply) if goes_on(server, &reply) => {
                        tracing::debug!(relay = %server, "STARTTLS was answered {}: the mail goes in the clear", reply.codes());
                    }
                    Some(reply) => return Err(who.refused(&Step::StartTls, &reply)),
                }
            }
            _ => {}
        }
        if let (Some(login), Some(password)) = (&server.login, &password) {
            if !is_private && server.tls != Tls::None {
                return Err(who.unfit(
                    "offers no STARTTLS; the password is not sent without it unless -smtp.tls is none",
                ));
            }
            log_in(&mut link, &offers, login, password, &who, limits.reply).await?;
        }
        Ok(Self {
            link,
            offers,
            who,
            reply: limits.reply,
            last: limits.last,
            used: 0,
        })
    }

    /// Says goodbye and closes.
    pub(crate) async fn quit(self) {
        self.link.quit(GOODBYE.min(self.reply)).await;
    }
}

/// Masks the password in whatever a relay says, in the forms in which it goes there.
fn redactor(server: &Server, password: Option<&Secret>) -> Redactor {
    let (Some(login), Some(password)) = (&server.login, password) else {
        return Redactor::default();
    };
    let (user, password) = (login.user(), password.expose());
    Redactor::new([
        password.to_owned(),
        format!("\0{user}\0{password}"),
        format!("user={user}\x01auth=Bearer {password}\x01\x01"),
    ])
}

async fn banner(link: &mut Link, who: &Who, within: Duration) -> Result<(), Failure> {
    let reply = link.reply(within).await;
    let reply = reply.map_err(|fault| who.broken(&Step::Banner, &fault))?;
    match reply.code() {
        220 => Ok(()),
        _ if reply.is_transient() || reply.is_permanent() => {
            Err(who.refused(&Step::Banner, &reply))
        }
        code => Err(who.broken(
            &Step::Banner,
            &Fault::Malformed(format!("{code} where 220 was due")),
        )),
    }
}

/// EHLO, or HELO where that is not known.
async fn ehlo(
    link: &mut Link,
    hello: &ClientId,
    who: &Who,
    within: Duration,
) -> Result<Offers, Failure> {
    let broken = |fault| who.broken(&Step::Ehlo, &fault);
    let command = Ehlo::new(hello.clone()).to_string();
    let mut reply = link.ask(&command, within).await.map_err(broken)?;
    if reply.code() == 250 {
        return Ok(Offers::read(&reply));
    }
    if reply.is_permanent() && reply.code() != 554 {
        let again = format!("HELO {hello}\r\n");
        reply = link.ask(&again, within).await.map_err(broken)?;
        if reply.code() == 250 {
            return Ok(Offers::default());
        }
    }
    if reply.is_transient() || reply.is_permanent() {
        return Err(who.refused(&Step::Ehlo, &reply));
    }
    Err(broken(Fault::Malformed(format!(
        "{} where 250 was due",
        reply.code()
    ))))
}

/// Whether mail goes in the clear after this refusal of STARTTLS: 454 is for no TLS now, 5yz
/// for none (RFC 3207 §4). Never where TLS is required, nor a password.
fn goes_on(server: &Server, reply: &Reply) -> bool {
    let is_refusal = reply.code() == 454 || reply.is_permanent();
    server.tls == Tls::Opportunistic && server.login.is_none() && is_refusal
}

/// Asks for TLS; the refusal, if it is one.
async fn starttls(link: &mut Link, who: &Who, within: Duration) -> Result<Option<Reply>, Failure> {
    let broken = |fault| who.broken(&Step::StartTls, &fault);
    let reply = link
        .ask(&Starttls.to_string(), within)
        .await
        .map_err(broken)?;
    match reply.code() {
        220 => Ok(None),
        _ if reply.is_transient() || reply.is_permanent() => Ok(Some(reply)),
        code => Err(broken(Fault::Malformed(format!(
            "{code} where 220 was due"
        )))),
    }
}
