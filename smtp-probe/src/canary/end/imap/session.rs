//! Commands and their answers in a session (RFC 3501 §6).

use std::io;

use async_imap::{
    Authenticator, Client, Session,
    error::Error,
    imap_proto::{AttributeValue, Capability, MailboxDatum, Response, ResponseCode, Status},
};
use notifier_core::{
    Secret,
    jiff::{SignedDuration, Timestamp},
};
use smtp_wire::Stream;

use super::{
    super::{
        super::{
            find::{Mail, Place},
            head::{Head, MOST_OCTETS},
            hop::prefix,
            mark::{FIELD, Mark},
        },
        blocking, trouble,
    },
    bounded::Bounded,
};
use crate::{connection::Stop, report::Class, target::Imap};

/// The most old canaries that are removed at a time.
const MOST_OLD: usize = 200;

#[derive(Debug)]
pub(super) struct Open {
    session: Session<Bounded>,
    /// Whether single mails can be expunged (RFC 4315); else other clients' deletions would be.
    has_uidplus: bool,
}

/// What a mailbox says of itself when it is opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) next: Option<u32>,
    pub(super) validity: Option<u32>,
}

impl Open {
    /// Sends a command; what comes before its answer is handed over. An answer that is no OK, or
    /// the end of the session, is an error.
    async fn command(
        &mut self,
        text: &str,
        each: &mut (dyn FnMut(&Response<'_>) + Send),
    ) -> Result<(), Stop> {
        let sent = said(self.session.run_command(text).await)?;
        loop {
            let response = self.session.read_response().await;
            let Some(response) = said(response.map_err(Error::Io))? else {
                return said(Err(Error::ConnectionLost));
            };
            match response.parsed() {
                Response::Done {
                    tag,
                    status,
                    information,
                    ..
                } if *tag == sent => {
                    let text = information.as_deref().unwrap_or_default();
                    return match status {
                        Status::Ok => Ok(()),
                        _ => Err(trouble(Class::Reply5, shown(text))),
                    };
                }
                Response::Data {
                    status: Status::Bye,
                    information,
                    ..
                } => {
                    let text = shown(information.as_deref().unwrap_or_default());
                    let text = format!("the server ends the session: {text}");
                    return Err(trouble(Class::Eof, text));
                }
                other => each(other),
            }
        }
    }

    /// Lets the server say what is new.
    pub(super) async fn noop(&mut self) -> Result<(), Stop> {
        self.command("NOOP", &mut |_| {}).await
    }

    /// It says goodbye before it answers, and whatever it says, it is over.
    pub(super) async fn logout(&mut self) {
        let _ = self.command("LOGOUT", &mut |_| {}).await;
    }

    pub(super) async fn select(&mut self, mailbox: &str) -> Result<Opened, Stop> {
        if mailbox.contains(char::is_control) {
            return Err(trouble(Class::Local, format!("{mailbox:?} is no mailbox")));
        }
        let quoted = mailbox.replace('\\', "\\\\").replace('"', "\\\"");
        let mut opened = Opened::default();
        let text = format!("SELECT \"{quoted}\"");
        let mut note = |response: &Response<'_>| {
            if let Response::Data { code, .. } = response {
                match code {
                    Some(ResponseCode::UidNext(next)) => opened.next = Some(*next),
                    Some(ResponseCode::UidValidity(v)) => opened.validity = Some(*v),
                    _ => {}
                }
            }
        };
        let selected = self.command(&text, &mut note).await;
        selected.map_err(|stop| {
            let text = format!("mailbox {mailbox:?}: {}", stop.text);
            Stop { text, ..stop }
        })?;
        Ok(opened)
    }

    pub(super) async fn search(&mut self, query: &str) -> Result<Vec<u32>, Stop> {
        let mut uids = Vec::new();
        let text = format!("UID SEARCH {query}");
        let mut note = |response: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = response {
                uids.extend(found);
            }
        };
        self.command(&text, &mut note).await?;
        Ok(uids)
    }

    /// The newest of these mails, as far as `read` makes something of them.
    pub(super) async fn fetch<T: Send>(
        &mut self,
        mut uids: Vec<u32>,
        most: usize,
        items: &str,
        read: fn(&Fetched<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Stop> {
        uids.sort_unstable();
        uids.dedup();
        let uids = &uids[uids.len().saturating_sub(most)..];
        let mut found = Vec::new();
        if uids.is_empty() {
            return Ok(found);
        }
        let text = format!("UID FETCH {} {items}", set(uids));
        let mut note = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response {
                let fetched = Fetched::of(attributes);
                // What was not asked for may come too.
                let asked = fetched.filter(|f| uids.contains(&f.uid));
                found.extend(asked.and_then(|f| read(&f)));
            }
        };
        self.command(&text, &mut note).await?;
        Ok(found)
    }

    pub(super) async fn remove(&mut self, uids: Vec<u32>) -> Result<(), Stop> {
        if uids.is_empty() {
            return Ok(());
        }
        let set = set(&uids);
        let flags = format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)");
        self.command(&flags, &mut |_| {}).await?;
        match self.has_uidplus {
            true => {
                self.command(&format!("UID EXPUNGE {set}"), &mut |_| {})
                    .await
            }
            false => Ok(()),
        }
    }

    /// Canaries of the days before yesterday.
    pub(super) async fn old(&mut self, now: Timestamp) -> Result<Vec<u32>, Stop> {
        let day = now
            .checked_sub(SignedDuration::from_hours(24))
            .unwrap_or(now);
        let day = day.strftime("%d-%b-%Y");
        let uids = self
            .search(&format!("BEFORE {day} HEADER {FIELD} \"\""))
            .await?;
        let items = format!("(UID BODY.PEEK[HEADER.FIELDS ({FIELD})]<0.1000>)");
        self.fetch(uids, MOST_OLD, &items, |f| f.canary()).await
    }
}

/// What a server says of a mail.
#[derive(Debug)]
pub(super) struct Fetched<'a> {
    uid: u32,
    /// The part that was asked for.
    data: Option<&'a [u8]>,
    /// When it came there: `22-Nov-2026 04:21:27 +0000`.
    date: Option<&'a str>,
}

impl<'a> Fetched<'a> {
    fn of(attributes: &'a [AttributeValue<'_>]) -> Option<Self> {
        let mut uid = None;
        let (mut data, mut date) = (None, None);
        for attribute in attributes {
            match attribute {
                AttributeValue::Uid(n) => uid = Some(*n),
                AttributeValue::BodySection { data: found, .. } => data = found.as_deref(),
                AttributeValue::InternalDate(found) => date = Some(found.as_ref()),
                _ => {}
            }
        }
        Some(Self {
            uid: uid?,
            data,
            date,
        })
    }

    /// Its number, if it is anybody's canary.
    fn canary(&self) -> Option<u32> {
        let head = Head::read(self.data?);
        let mark = head.get("x-canary").and_then(Mark::read);
        mark.map(|_| self.uid)
    }

    pub(super) fn mail(&self) -> Option<Mail> {
        let data = self.data?;
        let at = |text: &str| Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", text.trim()).ok();
        Some(Mail {
            start: data[..data.len().min(MOST_OCTETS)].to_vec(),
            at: self.date.and_then(at),
            place: Place::Uid(self.uid),
        })
    }
}

fn set(uids: &[u32]) -> String {
    let uids: Vec<String> = uids.iter().map(u32::to_string).collect();
    uids.join(",")
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
        trouble(class, shown(&e.to_string()))
    })
}

/// A server's words on one line.
fn shown(text: &str) -> String {
    let text = prefix(text, 300);
    text.chars().flat_map(char::escape_debug).collect()
}

/// Up to where the handshake begins.
pub(super) async fn starttls(stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Stop> {
    let mut client = Client::new(Bounded::new(stream));
    greeting(&mut client).await?;
    said(client.run_command_and_check_ok("STARTTLS", None).await).map_err(|stop| {
        stop.with_hint("the mailbox' server offers no TLS on this port: use imaps:// and its port")
    })?;
    // What came before the handshake is dropped with the client.
    Ok(client.into_inner().into_inner())
}

async fn greeting(client: &mut Client<Bounded>) -> Result<(), Stop> {
    match client.read_response().await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(trouble(Class::Eof, "the server closed the connection")),
        Err(e) => said(Err(Error::Io(e))),
    }
}

pub(super) async fn log_in(
    imap: &Imap,
    stream: Box<dyn Stream>,
    is_greeted: bool,
) -> Result<Open, Stop> {
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
    let session = match entered {
        Ok(session) => session,
        Err((e, _)) => {
            return said(Err(e)).map_err(|stop| {
                stop.with_hint("see to the name and the password of the canary's mailbox")
            });
        }
    };
    let mut open = Open {
        session,
        has_uidplus: false,
    };
    let mut has_uidplus = false;
    let mut note = |response: &Response<'_>| {
        if let Response::Capabilities(offers) = response {
            let is_it = |c: &Capability<'_>| matches!(c, Capability::Atom(a) if a.eq_ignore_ascii_case("UIDPLUS"));
            has_uidplus |= offers.iter().any(is_it);
        }
    };
    open.command("CAPABILITY", &mut note).await?;
    open.has_uidplus = has_uidplus;
    Ok(open)
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
