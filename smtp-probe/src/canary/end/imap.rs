//! A mailbox by IMAP (RFC 3501).

mod response;
mod session;
mod wire;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use notifier_core::jiff::{SignedDuration, Timestamp};
use rustls::{ClientConfig, pki_types::ServerName};
use smtp_wire::{Stream, roots};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use self::session::Open;
use super::{
    super::{
        find::{Mail, Place},
        head::MOST_OCTETS,
        mark::{FIELD, Mark},
    },
    blocking, trouble,
};
use crate::{
    connection::Stop,
    report::Class,
    target::{Imap, Tls},
};

/// The most mails that are fetched at one look, the newest.
const MOST: usize = 50;
/// The most earlier canaries that are looked for.
const MOST_EARLIER: usize = 10;
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The longest wait for a step besides the connection: an answer, a search.
const STEP: Duration = Duration::from_secs(10);

/// A mailbox, and the session that looks into it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    imap: Imap,
    allow_clear: bool,
    connect: Duration,
    /// None after a look that went wrong: the next one makes another.
    session: Option<Open>,
    /// The number that the next mail was to get when it was opened first.
    from: u32,
    /// What `from` belongs to (RFC 3501 §2.3.1.1).
    validity: Option<u32>,
    /// Whether earlier canaries were looked for in all of it.
    is_looked_through: bool,
}

impl Mailbox {
    /// Logs in and opens the mailbox, so that nothing is sent that could not be seen.
    pub(crate) async fn open(
        imap: &Imap,
        allow_clear: bool,
        connect: Duration,
    ) -> Result<Self, Stop> {
        let mut mailbox = Self {
            imap: imap.clone(),
            allow_clear,
            connect,
            session: None,
            from: 1,
            validity: None,
            is_looked_through: false,
        };
        mailbox.session = Some(mailbox.connect().await?);
        Ok(mailbox)
    }

    async fn connect(&mut self) -> Result<Open, Stop> {
        let mut open = self.dial().await?;
        let login = self.imap.login.clone();
        let password = blocking(move || {
            let read = login.password.read("canary password");
            read.map_err(|e| trouble(Class::Local, e.report().to_string()))
        })
        .await?;
        step(open.log_in(&self.imap.login.user, &password)).await?;
        let found = step(open.select(&self.imap.mailbox)).await?;
        match (self.validity, found.validity) {
            (None, validity) => {
                self.validity = validity;
                self.from = found.next.unwrap_or(1);
            }
            // Another mailbox by now: all of it is new.
            (was, validity) if was != validity => {
                self.validity = validity;
                self.from = 1;
            }
            _ => {}
        }
        Ok(open)
    }

    /// A session that may carry a password: over TLS, or to this machine, or in clear where that is allowed.
    async fn dial(&self) -> Result<Open, Stop> {
        let imap = &self.imap;
        let tls = match (imap.tls, imap.port) {
            (Tls::Auto, 993) => Tls::Implicit,
            (Tls::Auto | Tls::Opportunistic, _) => Tls::Starttls,
            (tls, _) => tls,
        };
        let (stream, peer) = self.reach().await?;
        let may_be_clear = self.allow_clear || peer.is_some_and(is_this_machine);
        match tls {
            Tls::Implicit => step(Open::greeted(self.shake(stream).await?)).await,
            Tls::None if may_be_clear => step(Open::greeted(stream)).await,
            Tls::None => Err(in_clear("the password would go out without TLS")),
            _ => {
                let open = step(Open::greeted(stream)).await?;
                if open.offers_tls() {
                    let stream = step(open.starttls()).await?;
                    step(Open::secured(self.shake(stream).await?)).await
                } else if may_be_clear {
                    Ok(open)
                } else {
                    Err(in_clear(
                        "the server offers no STARTTLS, and the password would go out in clear",
                    ))
                }
            }
        }
    }

    /// A connection, and who is at its other end.
    async fn reach(&self) -> Result<(Box<dyn Stream>, Option<IpAddr>), Stop> {
        let imap = &self.imap;
        let connecting = TcpStream::connect((imap.host.as_str(), imap.port));
        let stream = match timeout(self.connect, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                let class = match e.kind() {
                    io::ErrorKind::ConnectionRefused => Class::Refused,
                    io::ErrorKind::TimedOut => Class::Timeout,
                    _ if e.raw_os_error().is_none() => Class::Dns,
                    _ => Class::Refused,
                };
                return Err(trouble(class, e.to_string()));
            }
            Err(_) => return Err(trouble(Class::Timeout, "no connection in time")),
        };
        let peer = stream.peer_addr().ok().map(|peer| peer.ip());
        Ok((Box::new(stream), peer))
    }

    /// TLS to a server that proves its name.
    async fn shake(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Stop> {
        let stop = |text: String| trouble(Class::Local, text);
        let ca = self.imap.ca.clone();
        let roots = blocking(move || {
            let found = match ca {
                Some(path) => roots::from_file("canary", &path),
                None => roots::system("canary"),
            };
            let hint = "name a file of the authority that the mailbox' certificate comes from";
            found.map_err(|e| stop(e.to_string()).with_hint(hint))
        })
        .await?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| stop(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.imap.host.clone()).map_err(|e| stop(e.to_string()))?;
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
        match timeout(STEP, shaking).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(e)) => {
                let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
                Err(match inner {
                    Some(rustls::Error::InvalidCertificate(_)) => {
                        trouble(Class::Cert, e.to_string()).with_hint(
                            "mend the mailbox' certificate, or name its authority with --canary-ca",
                        )
                    }
                    _ => trouble(Class::Tls, e.to_string()),
                })
            }
            Err(_) => Err(trouble(Class::Timeout, "no handshake in time")),
        }
    }

    pub(crate) async fn look(&mut self, marks: &[Mark]) -> Result<Vec<Mail>, Stop> {
        // Taken out: a session that was left in the middle of something is not used again.
        let mut open = match self.session.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let mut queries = Vec::new();
        if let Some((mark, earlier)) = marks.split_first() {
            queries.push(format!("UID {}:* {}", self.from, about(mark)));
            let earlier = &earlier[earlier.len().saturating_sub(MOST_EARLIER)..];
            for mark in earlier {
                let range = match self.is_looked_through {
                    true => self.from,
                    false => 1,
                };
                // Servers look at dates first, which spares reading an old mailbox. Theirs may be
                // of another zone.
                let day = mark.at.checked_sub(DAY).unwrap_or(mark.at);
                let day = day.strftime("%d-%b-%Y");
                queries.push(format!("UID {range}:* SINCE {day} {}", about(mark)));
            }
        }
        // Where that takes too long it is left to the next run.
        self.is_looked_through = true;
        let looking = async {
            open.noop().await?;
            let mut uids = Vec::new();
            for query in &queries {
                uids.extend(open.search(query).await?);
            }
            let items = format!("(UID INTERNALDATE BODY.PEEK[]<0.{MOST_OCTETS}>)");
            open.fetch(uids, MOST, &items, |f| f.mail()).await
        };
        let mails = step(looking).await?;
        self.session = Some(open);
        Ok(mails)
    }

    /// Removes these, and canaries that are older than a day, whoever sent them. What is not
    /// possible is left.
    pub(crate) async fn close(mut self, found: &[Place], now: Timestamp) {
        let Some(mut open) = self.session.take() else {
            return;
        };
        let uids = found.iter().filter_map(|place| match place {
            Place::Uid(uid) => Some(*uid),
            _ => None,
        });
        let removing = async {
            open.remove(uids.collect()).await?;
            let old = open.old(now).await?;
            open.remove(old).await?;
            open.logout().await;
            Ok::<_, Stop>(())
        };
        if let Err(stop) = removing.await {
            tracing::debug!(error = %stop.text, "canaries could not be removed from their mailbox");
        }
    }
}

/// What goes there does not leave the machine.
fn is_this_machine(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

fn in_clear(text: &str) -> Stop {
    trouble(Class::Local, text).with_hint(
        "use imaps:// or STARTTLS for the canary's mailbox, or allow a password in clear with --allow-clear",
    )
}

/// The canary, or a report about it.
fn about(mark: &Mark) -> String {
    let id = &mark.id;
    format!("OR HEADER {FIELD} \"{id}\" TEXT \"{id}\"")
}

/// Waits for a step, but not for ever.
async fn step<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let late = || Err(trouble(Class::Timeout, "no answer in time"));
    timeout(STEP, work).await.unwrap_or_else(|_| late())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_told_a_password_in_clear() {
        for (peer, is_it) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_this_machine(peer.parse().unwrap()), is_it, "{peer}");
        }
    }
}
