//! A dialogue with the server, as far as it is needed to ask something else.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use smtp_wire::{Fault, Link, Offers, Reply, Stream, Unchecked, hello};
use tokio::{
    net::{TcpSocket, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use crate::{
    report::{Check, Class, Phase, State},
    target::{Target, Tls},
};

/// Why a dialogue went no further.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) phase: Phase,
    pub(crate) class: Class,
    /// The reply, if it was one.
    pub(crate) reply: Option<Reply>,
    /// What happened, for people.
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
}

impl Stop {
    pub(crate) fn new(phase: Phase, class: Class, text: impl Into<String>) -> Self {
        Self {
            phase,
            class,
            reply: None,
            text: text.into(),
            hint: None,
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
        Self {
            reply: Some(reply),
            ..Self::new(phase, class, text)
        }
    }

    /// What is wrong with the connection.
    pub(crate) fn broken(phase: Phase, fault: &Fault) -> Self {
        let class = match fault {
            Fault::Closed | Fault::Broken(_) => Class::Eof,
            Fault::Stalled(_) => Class::Timeout,
            Fault::Malformed(_) => Class::Proto,
        };
        Self::new(phase, class, format!("the server {fault}"))
    }

    /// Whether the server says that we come too often: that is no verdict on it.
    pub(crate) fn is_rate_limit(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_closing)
    }

    /// The check that it decides.
    pub(crate) fn check(self, id: &'static str) -> Check {
        let state = match self.is_rate_limit() {
            true => State::Unknown,
            false => State::Crit,
        };
        let mut check = Check::crit(id, self.phase, self.class, self.text).state(state);
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
    /// The longest wait for a reply.
    pub(crate) within: Duration,
}

impl Connection {
    /// Opens one that must be over at `until`.
    pub(crate) async fn open(target: &Target, until: Instant) -> Result<Self, Stop> {
        Self::greeting_as(target, target.helo.as_deref(), until).await
    }

    /// As [`open`](Self::open), with another name to greet with.
    pub(crate) async fn greeting_as(
        target: &Target,
        helo: Option<&str>,
        until: Instant,
    ) -> Result<Self, Stop> {
        let within = target.limits.reply.unwrap_or(target.limits.total);
        let stream = dial(target, until).await?;
        let address = |r: io::Result<SocketAddr>| {
            r.map_err(|e| Stop::new(Phase::Connect, Class::Local, e.to_string()))
        };
        let (local, peer) = (address(stream.local_addr())?, address(stream.peer_addr())?);
        let hello = hello(helo, Some(local.ip().to_canonical())).to_string();
        let tls = target.tls();
        let mut stream: Box<dyn Stream> = Box::new(stream);
        if tls == Tls::Implicit {
            stream = shake(target, stream, until).await?;
        }
        let mut link = Link::of(stream, until);
        let banner = expect(Phase::Banner, link.reply(within).await, 220)?;
        let mut ehlo = ask(&mut link, Phase::Ehlo, &format!("EHLO {hello}\r\n"), within).await?;
        let mut offers = Offers::read(&ehlo);
        let mut is_private = tls == Tls::Implicit;
        if matches!(tls, Tls::Starttls | Tls::Opportunistic) && offers.starttls {
            let reply = link.ask("STARTTLS\r\n", within).await;
            expect(Phase::Starttls, reply, 220)?;
            let (bare, dialogue) = link
                .into_stream()
                .await
                .map_err(|f| Stop::broken(Phase::Starttls, &f))?;
            link = Link::of(shake(target, bare, until).await?, until).with_dialogue(dialogue);
            ehlo = ask(
                &mut link,
                Phase::Ehlo2,
                &format!("EHLO {hello}\r\n"),
                within,
            )
            .await?;
            offers = Offers::read(&ehlo);
            is_private = true;
        }
        Ok(Self {
            link,
            banner,
            ehlo,
            offers,
            helo: hello,
            local,
            peer,
            is_private,
            within,
        })
    }

    /// Asks; any whole reply is an answer.
    pub(crate) async fn ask(&mut self, phase: Phase, command: &str) -> Result<Reply, Stop> {
        let reply = self.link.ask(command, self.within).await;
        reply.map_err(|fault| Stop::broken(phase, &fault))
    }

    /// Says goodbye.
    pub(crate) async fn quit(self) {
        self.link.quit(Duration::from_secs(2)).await;
    }
}

async fn ask(
    link: &mut Link,
    phase: Phase,
    command: &str,
    within: Duration,
) -> Result<Reply, Stop> {
    expect(phase, link.ask(command, within).await, 250)
}

fn expect(phase: Phase, reply: Result<Reply, Fault>, code: u16) -> Result<Reply, Stop> {
    match reply {
        Ok(reply) if reply.code() == code => Ok(reply),
        Ok(reply) => Err(Stop::refused(phase, reply)),
        Err(fault) => Err(Stop::broken(phase, &fault)),
    }
}

async fn dial(target: &Target, until: Instant) -> Result<tokio::net::TcpStream, Stop> {
    let end = until.min(Instant::now() + target.limits.connect);
    let found = timeout_at(end, lookup_host((target.host.as_str(), target.port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(e)) => return Err(Stop::new(Phase::Resolve, Class::Dns, e.to_string())),
        Err(_) => {
            return Err(Stop::new(
                Phase::Resolve,
                Class::Timeout,
                "no answer in time",
            ));
        }
    };
    let mut last = Stop::new(Phase::Resolve, Class::Dns, "it has no address");
    for address in addresses {
        let connecting = async {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if let Some(source) = target.source {
                socket.bind(SocketAddr::new(source, 0))?;
            }
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        match timeout_at(end, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => {
                last = Stop::new(Phase::Connect, Class::Refused, format!("{address}: {e}"))
            }
            Err(_) => {
                last = Stop::new(
                    Phase::Connect,
                    Class::Timeout,
                    format!("{address}: no answer in time"),
                )
            }
        }
    }
    Err(last)
}

async fn shake(
    target: &Target,
    stream: Box<dyn Stream>,
    until: Instant,
) -> Result<Box<dyn Stream>, Stop> {
    let stop = |text: String| Stop::new(Phase::Tls, Class::Tls, text);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| stop(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked::new(provider)))
        .with_no_client_auth();
    let name =
        ServerName::try_from(target.tls_name().to_owned()).map_err(|e| stop(e.to_string()))?;
    let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match timeout_at(until, shaking).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(e)) => Err(stop(e.to_string())),
        Err(_) => Err(Stop::new(
            Phase::Tls,
            Class::Timeout,
            "no handshake in time",
        )),
    }
}
