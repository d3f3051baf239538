//! Commands and their answers in a session (RFC 3501 §6).

use base64::prelude::{BASE64_STANDARD, Engine as _};
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
        trouble,
    },
    response::{Fetched, Response, Status, read},
    wire::Wire,
};
use crate::{connection::Stop, report::Class};

/// The most old canaries that are removed at a time.
const MOST_OLD: usize = 200;

#[derive(Debug)]
pub(super) struct Open {
    wire: Wire,
    /// How many commands were sent.
    count: u32,
    /// Capabilities in upper case.
    offers: Vec<String>,
    /// Whether somebody is logged in.
    is_in: bool,
}

/// What a mailbox says of itself when it is opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) next: Option<u32>,
    pub(super) validity: Option<u32>,
}

impl Open {
    /// Waits for the greeting, and asks what the server can do.
    pub(super) async fn greeted(stream: Box<dyn Stream>) -> Result<Self, Stop> {
        let mut wire = Wire::new(stream);
        let greeting = wire.response().await?;
        let is_in = match read(&greeting) {
            Response::Said {
                tag: None,
                status: Status::Ok,
                ..
            } => false,
            Response::Said {
                tag: None,
                status: Status::Preauth,
                ..
            } => true,
            Response::Said {
                tag: None, text, ..
            } => {
                let text = format!("the server refuses a session: {}", shown(text));
                return Err(trouble(Class::Eof, text));
            }
            _ => return Err(trouble(Class::Proto, "what answers there speaks no IMAP")),
        };
        Self::begun(wire, is_in).await
    }

    /// The same after STARTTLS, where no greeting comes.
    pub(super) async fn secured(stream: Box<dyn Stream>) -> Result<Self, Stop> {
        Self::begun(Wire::new(stream), false).await
    }

    async fn begun(wire: Wire, is_in: bool) -> Result<Self, Stop> {
        let mut open = Self {
            wire,
            count: 0,
            offers: Vec::new(),
            is_in,
        };
        open.capability().await?;
        Ok(open)
    }

    async fn capability(&mut self) -> Result<(), Stop> {
        let mut offers = Vec::new();
        let mut note = |response: Response<'_>| {
            if let Response::Offers(found) = response {
                let found = found.split_ascii_whitespace();
                offers.extend(found.map(str::to_ascii_uppercase));
            }
        };
        self.command("CAPABILITY", &mut note).await?;
        self.offers = offers;
        Ok(())
    }

    fn offers(&self, name: &str) -> bool {
        self.offers.iter().any(|o| o == name)
    }

    /// Whether TLS can begin: not where somebody is logged in already (RFC 3501 §6.2.1).
    pub(super) fn offers_tls(&self) -> bool {
        self.offers("STARTTLS") && !self.is_in
    }

    /// Up to where the handshake begins.
    pub(super) async fn starttls(mut self) -> Result<Box<dyn Stream>, Stop> {
        self.command("STARTTLS", &mut |_| {}).await?;
        Ok(self.wire.into_stream())
    }

    /// AUTHENTICATE PLAIN (RFC 4616), which takes any character; else LOGIN.
    pub(super) async fn log_in(&mut self, user: &str, password: &Secret) -> Result<(), Stop> {
        if !self.is_in {
            let entered = match self.offers("AUTH=PLAIN") {
                true => self.plain(user, password).await,
                false => self.login(user, password).await,
            };
            entered.map_err(|stop| match stop.class {
                Class::Reply5 => {
                    stop.with_hint("see to the name and the password of the canary's mailbox")
                }
                _ => stop,
            })?;
            self.is_in = true;
        }
        // A session may be offered more than a stranger.
        self.capability().await
    }

    async fn plain(&mut self, user: &str, password: &Secret) -> Result<(), Stop> {
        let tag = self.begin("AUTHENTICATE PLAIN").await?;
        // Else it is refused at once.
        if self.goes_on(&tag).await? {
            let text = format!("\0{user}\0{}", password.expose());
            self.wire.send(&BASE64_STANDARD.encode(text)).await?;
            self.end(&tag, &mut |_| {}).await?;
        }
        Ok(())
    }

    async fn login(&mut self, user: &str, password: &Secret) -> Result<(), Stop> {
        if self.offers("LOGINDISABLED") {
            let stop = trouble(Class::Proto, "the server takes no password on this port");
            return Err(stop.with_hint("use imaps:// and its port for the canary's mailbox"));
        }
        let (Some(user), Some(password)) = (quoted(user), quoted(password.expose())) else {
            let text = "the name or the password has characters that only AUTHENTICATE PLAIN takes, which the server does not offer";
            return Err(trouble(Class::Local, text));
        };
        self.command(&format!("LOGIN {user} {password}"), &mut |_| {})
            .await
    }

    /// Sends a command; what comes before its answer is handed over. An answer that is no OK, or
    /// the end of the session, is an error.
    async fn command(
        &mut self,
        text: &str,
        each: &mut (dyn FnMut(Response<'_>) + Send),
    ) -> Result<(), Stop> {
        let tag = self.begin(text).await?;
        self.end(&tag, each).await
    }

    /// Sends a command, and says its tag.
    async fn begin(&mut self, text: &str) -> Result<String, Stop> {
        self.count += 1;
        let tag = format!("a{}", self.count);
        self.wire.send(&format!("{tag} {text}")).await?;
        Ok(tag)
    }

    async fn end(
        &mut self,
        tag: &str,
        each: &mut (dyn FnMut(Response<'_>) + Send),
    ) -> Result<(), Stop> {
        loop {
            let response = self.wire.response().await?;
            let response = read(&response);
            match answer(&response, tag) {
                Some(answer) => return answer,
                None => each(response),
            }
        }
    }

    /// Whether the rest of a command is wanted; else it is done already.
    async fn goes_on(&mut self, tag: &str) -> Result<bool, Stop> {
        loop {
            let response = self.wire.response().await?;
            let response = read(&response);
            if response == Response::Go {
                return Ok(true);
            }
            if let Some(answer) = answer(&response, tag) {
                return answer.map(|()| false);
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
        let mut note = |response: Response<'_>| {
            if let Response::Said { code, .. } = response
                && let Some((name, number)) = code.split_once(' ')
            {
                let number = number.trim().parse().ok();
                match name.to_ascii_uppercase().as_str() {
                    "UIDNEXT" => opened.next = number,
                    "UIDVALIDITY" => opened.validity = number,
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
        let mut note = |response: Response<'_>| {
            if let Response::Found(found) = response {
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
        let mut note = |response: Response<'_>| {
            // What was not asked for may come too.
            if let Response::Mail(mail) = response
                && uids.contains(&mail.uid)
                && found.len() < uids.len()
            {
                found.extend(read(&mail));
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
        match self.offers("UIDPLUS") {
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

impl Fetched<'_> {
    /// Its number, if it is anybody's canary.
    fn canary(&self) -> Option<u32> {
        let head = Head::read(self.data.as_deref()?);
        let mark = head.get("x-canary").and_then(Mark::read);
        mark.map(|_| self.uid)
    }

    pub(super) fn mail(&self) -> Option<Mail> {
        let data = self.data.as_deref()?;
        let at = |text: &str| Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", text.trim()).ok();
        Some(Mail {
            start: data[..data.len().min(MOST_OCTETS)].to_vec(),
            at: self.date.as_deref().and_then(at),
            place: Place::Uid(self.uid),
        })
    }
}

fn set(uids: &[u32]) -> String {
    let uids: Vec<String> = uids.iter().map(u32::to_string).collect();
    uids.join(",")
}

/// What the answer to this command says, if it is that; or that the session is over.
fn answer(response: &Response<'_>, sent: &str) -> Option<Result<(), Stop>> {
    let Response::Said {
        tag, status, text, ..
    } = response
    else {
        return None;
    };
    match (tag, status) {
        (Some(tag), Status::Ok) if *tag == sent => Some(Ok(())),
        (Some(tag), _) if *tag == sent => Some(Err(trouble(Class::Reply5, shown(text)))),
        (None, Status::Bye) => {
            let text = format!("the server ends the session: {}", shown(text));
            Some(Err(trouble(Class::Eof, text)))
        }
        _ => None,
    }
}

/// As a quoted string; `None` if it cannot be one (RFC 3501 §4.3).
fn quoted(text: &str) -> Option<String> {
    let is_it = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let escaped = || text.replace('\\', "\\\\").replace('"', "\\\"");
    is_it.then(|| format!("\"{}\"", escaped()))
}

/// A server's words on one line.
fn shown(text: &str) -> String {
    let text = prefix(text, 300);
    text.chars().flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    /// A server that greets so, offers this, and says yes to all. What it was told is handed back.
    async fn told(greeting: &str, offers: &str, password: &str) -> (Result<bool, Stop>, String) {
        let (ours, theirs) = tokio::io::duplex(1000);
        let serving = async {
            let (reader, mut writer) = tokio::io::split(theirs);
            let mut lines = BufReader::new(reader).lines();
            let mut told = String::new();
            let hello = format!("{greeting}\r\n");
            writer.write_all(hello.as_bytes()).await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let tag = line.split(' ').next().unwrap();
                let answer = format!("* CAPABILITY {offers}\r\n{tag} OK\r\n");
                writer.write_all(answer.as_bytes()).await.unwrap();
                told = format!("{told}{line};");
            }
            told
        };
        let asking = async {
            let mut open = Open::greeted(Box::new(ours)).await?;
            let offers_tls = open.offers_tls();
            open.log_in("me", &Secret::from(password)).await?;
            Ok(offers_tls)
        };
        tokio::join!(asking, serving)
    }

    #[tokio::test]
    async fn a_login_is_as_the_server_offers_it() {
        let (said, told_it) = told("* OK hi", "IMAP4rev1", "a\"\\b").await;
        assert!(!said.unwrap());
        assert!(told_it.contains(r#"LOGIN "me" "a\"\\b";"#), "{told_it}");
        let (said, told_it) = told("* OK hi", "IMAP4rev1 starttls LOGINDISABLED", "x").await;
        assert_eq!(said.unwrap_err().class, Class::Proto);
        assert!(!told_it.contains("LOGIN"), "{told_it}");
        let (said, told_it) = told("* OK hi", "IMAP4rev1", "x\r\na9 LOGOUT").await;
        assert_eq!(said.unwrap_err().class, Class::Local);
        assert!(!told_it.contains("LOG"), "{told_it}");
        // Somebody is in already: TLS cannot begin, and no password is told.
        let (said, told_it) = told("* PREAUTH hi", "IMAP4rev1 STARTTLS", "x").await;
        assert!(!said.unwrap());
        assert!(!told_it.contains("LOGIN"), "{told_it}");
    }

    #[tokio::test]
    async fn who_greets_otherwise_is_told_nothing() {
        for (greeting, class) in [
            ("* BYE full", Class::Eof),
            ("220 mail.example ESMTP", Class::Proto),
        ] {
            let (said, told_it) = told(greeting, "", "x").await;
            assert_eq!(said.unwrap_err().class, class);
            assert_eq!(told_it, "");
        }
    }
}
