//! A mailbox by IMAP (RFC 3501).

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_imap::{Authenticator, Client, Session, error::Error, types::Fetch};
use futures_util::TryStreamExt as _;
use notifier_core::{
    Secret,
    jiff::{SignedDuration, Timestamp},
};
use rustls::{ClientConfig, pki_types::ServerName};
use smtp_wire::{Stream, roots};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    super::{
        find::{Mail, Place},
        head::MOST_OCTETS,
        hop::prefix,
        mark::{FIELD, Mark},
    },
    blocking, trouble,
};
use crate::{
    connection::Stop,
    report::Class,
    target::{Imap, Tls},
};

/// The most octets that a server may send in one session.
const MOST_SENT: u64 = 64 * 1024 * 1024;
/// The most mails that are fetched at one look, the newest.
const MOST: usize = 50;
/// The most earlier canaries that are looked for.
const MOST_EARLIER: usize = 10;
/// The most old canaries that are removed at a time.
const MOST_OLD: usize = 200;
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

#[derive(Debug)]
struct Open {
    session: Session<Bounded>,
    /// Whether single mails can be expunged (RFC 4315); else other clients' deletions would be.
    has_uidplus: bool,
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
        let (stream, is_greeted) = self.dial().await?;
        let opening = log_in(&self.imap, stream, is_greeted);
        let mut open = step(opening).await?;
        let selecting = async { said(open.session.select(&self.imap.mailbox).await) };
        let found = step(selecting).await.map_err(|stop| {
            let text = format!("mailbox {:?}: {}", self.imap.mailbox, stop.text);
            Stop { text, ..stop }
        })?;
        match (self.validity, found.uid_validity) {
            (None, validity) => {
                self.validity = validity;
                self.from = found.uid_next.unwrap_or(1);
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

    /// A connection that may carry a password, and whether the server has greeted on it.
    async fn dial(&self) -> Result<(Box<dyn Stream>, bool), Stop> {
        let imap = &self.imap;
        let tls = match (imap.tls, imap.port) {
            (Tls::Auto, 993) => Tls::Implicit,
            (Tls::Auto | Tls::Opportunistic, _) => Tls::Starttls,
            (tls, _) => tls,
        };
        if tls == Tls::None && !self.allow_clear {
            let stop = trouble(Class::Local, "the password would go out without TLS");
            return Err(stop.with_hint(
                "use imaps:// or STARTTLS for the canary's mailbox, or allow a password in clear",
            ));
        }
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
        let stream: Box<dyn Stream> = Box::new(stream);
        match tls {
            Tls::None => Ok((stream, false)),
            Tls::Implicit => Ok((self.shake(stream).await?, false)),
            _ => {
                let stream = step(starttls(stream)).await?;
                Ok((self.shake(stream).await?, true))
            }
        }
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
            found.map_err(|e| stop(e.to_string()))
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
                        trouble(Class::Cert, e.to_string())
                            .with_hint("mend the mailbox' certificate, or name its authority")
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
                queries.push(format!("UID {range}:* {}", about(mark)));
            }
        }
        let looking = async {
            said(open.session.noop().await)?;
            let mut uids = Vec::new();
            for query in &queries {
                uids.extend(said(open.session.uid_search(query).await)?);
            }
            let items = format!("(UID INTERNALDATE BODY.PEEK[]<0.{MOST_OCTETS}>)");
            fetch(&mut open.session, uids, MOST, &items, |uid, fetch| {
                let body = fetch.body()?;
                let at = fetch.internal_date().map(|t| t.timestamp_millis());
                Some(Mail {
                    start: body[..body.len().min(MOST_OCTETS)].to_vec(),
                    at: at.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                    place: Place::Uid(uid),
                })
            })
            .await
        };
        let mails = step(looking).await?;
        self.is_looked_through = true;
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
            said(open.session.logout().await)
        };
        if let Err(stop) = removing.await {
            tracing::debug!(error = %stop.text, "canaries could not be removed from their mailbox");
        }
    }
}

impl Open {
    async fn remove(&mut self, uids: Vec<u32>) -> Result<(), Stop> {
        if uids.is_empty() {
            return Ok(());
        }
        let set = set(&uids);
        let session = &mut self.session;
        let flags = session.uid_store(&set, "+FLAGS.SILENT (\\Deleted)").await;
        said(said(flags)?.try_collect::<Vec<_>>().await)?;
        if self.has_uidplus {
            let gone = session.uid_expunge(&set).await;
            said(said(gone)?.try_collect::<Vec<_>>().await)?;
        }
        Ok(())
    }

    /// Canaries of the days before yesterday.
    async fn old(&mut self, now: Timestamp) -> Result<Vec<u32>, Stop> {
        let day = now
            .checked_sub(SignedDuration::from_hours(24))
            .unwrap_or(now);
        let day = day.strftime("%d-%b-%Y");
        let query = format!("BEFORE {day} HEADER {FIELD} \"\"");
        let uids = said(self.session.uid_search(query).await)?;
        let items = format!("(UID BODY.PEEK[HEADER.FIELDS ({FIELD})]<0.1000>)");
        let uids = uids.into_iter().collect();
        fetch(&mut self.session, uids, MOST_OLD, &items, |uid, fetch| {
            let head = super::super::head::Head::read(fetch.header()?);
            let mark = head.get("x-canary").and_then(Mark::read)?;
            (mark.at < now).then_some(uid)
        })
        .await
    }
}

/// The newest of these mails, as far as `read` makes something of them.
async fn fetch<T>(
    session: &mut Session<Bounded>,
    mut uids: Vec<u32>,
    most: usize,
    items: &str,
    read: impl Fn(u32, &Fetch) -> Option<T>,
) -> Result<Vec<T>, Stop> {
    uids.sort_unstable();
    uids.dedup();
    let uids = &uids[uids.len().saturating_sub(most)..];
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers = said(session.uid_fetch(set(uids), items).await)?;
    let mut found = Vec::new();
    while let Some(fetch) = said(answers.try_next().await)? {
        // What was not asked for may come too.
        let asked = fetch.uid.filter(|uid| uids.contains(uid));
        found.extend(asked.and_then(|uid| read(uid, &fetch)));
    }
    Ok(found)
}

/// The canary, or a report about it.
fn about(mark: &Mark) -> String {
    let id = &mark.id;
    format!("OR HEADER {FIELD} \"{id}\" TEXT \"{id}\"")
}

fn set(uids: &[u32]) -> String {
    let uids: Vec<String> = uids.iter().map(u32::to_string).collect();
    uids.join(",")
}

/// Waits for a step, but not for ever.
async fn step<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let late = || Err(trouble(Class::Timeout, "no answer in time"));
    timeout(STEP, work).await.unwrap_or_else(|_| late())
}

/// What went wrong, without more of the server's words than fit a line.
fn said<T>(result: Result<T, Error>) -> Result<T, Stop> {
    result.map_err(|e| {
        let class = match &e {
            Error::Io(e) if e.kind() == io::ErrorKind::Other => Class::Proto,
            Error::Io(_) | Error::ConnectionLost => Class::Eof,
            Error::Bad(_) | Error::No(_) => Class::Reply5,
            Error::Validate(_) => Class::Local,
            _ => Class::Proto,
        };
        let text: String = e.to_string().chars().flat_map(char::escape_debug).collect();
        trouble(class, prefix(&text, 300))
    })
}

/// Up to where the handshake begins.
async fn starttls(stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Stop> {
    let mut client = Client::new(Bounded::new(stream));
    greeting(&mut client).await?;
    said(client.run_command_and_check_ok("STARTTLS", None).await).map_err(|stop| {
        stop.with_hint("the mailbox' server offers no TLS on this port: use imaps:// and its port")
    })?;
    // What came before the handshake is dropped with the client.
    Ok(client.into_inner().stream)
}

async fn greeting(client: &mut Client<Bounded>) -> Result<(), Stop> {
    match client.read_response().await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(trouble(Class::Eof, "the server closed the connection")),
        Err(e) => said(Err(Error::Io(e))),
    }
}

async fn log_in(imap: &Imap, stream: Box<dyn Stream>, is_greeted: bool) -> Result<Open, Stop> {
    let password = imap.login.password.clone();
    let password = blocking(move || {
        let read = password.read("canary password");
        read.map_err(|e| trouble(Class::Local, e.to_string()))
    })
    .await?;
    let mut client = Client::new(Bounded::new(stream));
    if !is_greeted {
        greeting(&mut client).await?;
    }
    let user = imap.login.user.clone();
    let plain = Plain {
        user: user.clone(),
        password: password.clone(),
    };
    let entered = match client.authenticate("PLAIN", plain).await {
        Err((Error::Bad(_), client)) => client.login(user, password.expose()).await,
        Err((Error::No(text), client)) if lacks_plain(&text) => {
            client.login(user, password.expose()).await
        }
        entered => entered,
    };
    let mut session = match entered {
        Ok(session) => session,
        Err((e, _)) => {
            return said(Err(e)).map_err(|stop| {
                stop.with_hint("see to the name and the password of the canary's mailbox")
            });
        }
    };
    let offers = said(session.capabilities().await)?;
    Ok(Open {
        session,
        has_uidplus: offers.has_str("UIDPLUS"),
    })
}

/// Whether it is the mechanism that is refused: a wrong password is not tried twice.
fn lacks_plain(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("mechanism") || text.contains("unsupported")
}

/// AUTHENTICATE PLAIN (RFC 4616), which takes any character.
struct Plain {
    user: String,
    password: Secret,
}

impl Authenticator for Plain {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        format!("\0{}\0{}", self.user, self.password.expose())
    }
}

/// A stream that ends after so many octets: what is read of an answer is kept in memory.
struct Bounded {
    stream: Box<dyn Stream>,
    left: u64,
}

impl Bounded {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            left: MOST_SENT,
        }
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").finish_non_exhaustive()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server sends too much")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        self.left = self.left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
