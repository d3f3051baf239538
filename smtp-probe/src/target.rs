//! A relay, and what is to be checked there.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use notifier_core::{Error, Result};
use serde::{Deserialize, Serialize};
use smtp_wire::{Password, place};

/// How much is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Whether it runs: its queue's socket answers, or it greets.
    Live,
    /// Whether it takes mail: up to RCPT, and what is asked for besides.
    #[default]
    Ready,
    /// The DNS and a bare greeting too.
    Deep,
}

/// Whether and how TLS is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// By the port: 465 implicit, 587 STARTTLS, others opportunistic. With a login never less than STARTTLS.
    #[default]
    Auto,
    /// From the first byte on.
    Implicit,
    /// By STARTTLS, which must be offered.
    Starttls,
    /// By STARTTLS where it is offered. The certificate is judged all the same.
    Opportunistic,
    /// Not at all.
    None,
}

/// Who may send to anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Not we, from here.
    #[default]
    Closed,
    /// We, from here, without a login: this address is one that it trusts.
    Trusted,
    /// We, with a login only.
    Auth,
}

/// A name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password, or its file.
    pub password: Password,
}

/// Where a canary is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Canary {
    /// A Maildir: `new` and `cur` are looked at.
    Maildir(PathBuf),
    /// A file of mails that begin with `From `.
    Mbox(PathBuf),
    /// A mailbox by IMAP.
    Imap(Imap),
    /// We listen there for SMTP, and the mail is to come to us.
    SmtpListen(SocketAddr),
    /// We listen there for LMTP, and the mail is to come to us.
    LmtpListen(SocketAddr),
    /// It is gone from the queue of `queue`: the weakest proof.
    QueueGone,
}

/// A mailbox by IMAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imap {
    /// From the first byte on, or by STARTTLS, or not at all. Never [`Tls::Opportunistic`].
    pub tls: Tls,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Who logs in.
    pub login: Login,
    /// The mailbox: `INBOX`.
    pub mailbox: String,
    /// The authority of its certificate; the system's unless set.
    pub ca: Option<PathBuf>,
}

/// Where the queue is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Queue {
    /// Postfix' socket `public/showq`.
    Showq(PathBuf),
    /// A queue folder: its `public/showq`, `postqueue -j`, or the files in it.
    Folder(PathBuf),
}

/// What the battery of relaying forms uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Battery {
    /// Domains that the server is a backup for: `victim%foreign@R` is tried for each.
    pub relay_domains: Vec<String>,
    /// Well-known providers that it must not be open to, each tried with a user there.
    pub well_known: Vec<String>,
    /// The server's own domain, unless its banner's name has it.
    pub own_domain: Option<String>,
    /// The recipient that has nothing to do with the server.
    pub victim: String,
}

impl Default for Battery {
    fn default() -> Self {
        let providers = ["gmail.com", "outlook.com", "yahoo.com", "icloud.com"];
        Self {
            relay_domains: Vec::new(),
            well_known: providers.map(str::to_owned).to_vec(),
            own_domain: None,
            victim: "victim@example.net".to_owned(),
        }
    }
}

/// Which resolver the checks of the DNS ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dns {
    /// Whether they are run below [`Level::Deep`].
    pub wanted: bool,
    /// The resolver; the system's unless set.
    pub server: Option<SocketAddr>,
    /// The domains that send; those of `from` unless set.
    pub domains: Vec<String>,
    /// Selectors of DKIM whose keys must be there.
    pub dkim: Vec<String>,
    /// Zones of block lists.
    pub dnsbl: Vec<String>,
    /// The address that the world sees; the target's own if it is a public literal.
    pub egress: Option<IpAddr>,
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// All of the dialogue with the server: 10 s.
    pub total: Duration,
    /// One connection: 5 s.
    pub connect: Duration,
    /// One reply; the rest of `total` unless set.
    pub reply: Option<Duration>,
    /// A canary's way: a warning after 30 s, critical after 120 s.
    pub canary_warn: Duration,
    /// See `canary_warn`.
    pub canary: Duration,
    /// How long one run waits for its canary; as long as `canary` unless set. One that comes later is told by the
    /// next run.
    pub canary_patience: Option<Duration>,
    /// One question to the DNS: 3 s.
    pub dns: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            reply: None,
            canary_warn: Duration::from_secs(30),
            canary: Duration::from_secs(120),
            canary_patience: None,
            dns: Duration::from_secs(3),
        }
    }
}

/// From where on a number is a warning, and critical.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Bounds {
    /// A warning from here on.
    pub warn: f64,
    /// Critical from here on.
    pub crit: f64,
}

impl Bounds {
    /// Both.
    #[must_use]
    pub const fn new(warn: f64, crit: f64) -> Self {
        Self { warn, crit }
    }
}

/// The bounds of what is measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Thresholds {
    /// Seconds until the connection stands: 1, 3.
    pub connect: Bounds,
    /// Seconds from there to the whole banner: 2, 8.
    pub greeting: Bounds,
    /// Days that the certificate is good for: 21, 7.
    pub cert_days: Bounds,
    /// Messages in the queue: 50, 500.
    pub queue_depth: Bounds,
    /// Seconds of the oldest deferred message: 900, 3600.
    pub deferred_age: Bounds,
    /// Seconds of the oldest message that is to go out now: 60, 300.
    pub active_age: Bounds,
    /// Messages a minute by which the queue grows: 10, 100.
    pub queue_growth: Bounds,
    /// Percent of the spool's room and of its inodes that are free: 20, 5. The room's counts only
    /// where less than 10 GiB is free.
    pub spool_free: Bounds,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            connect: Bounds::new(1.0, 3.0),
            greeting: Bounds::new(2.0, 8.0),
            cert_days: Bounds::new(21.0, 7.0),
            queue_depth: Bounds::new(50.0, 500.0),
            deferred_age: Bounds::new(900.0, 3600.0),
            active_age: Bounds::new(60.0, 300.0),
            queue_growth: Bounds::new(10.0, 100.0),
            spool_free: Bounds::new(20.0, 5.0),
        }
    }
}

/// A relay, and what is to be checked there. What is not set is not checked, or has the default
/// that its field names.
///
/// ```
/// use smtp_probe::{Level, Target, Tls};
///
/// let mut target = Target::parse("submission://relay.example")?;
/// target.rcpt = vec!["oncall@example.com".to_owned()];
/// assert_eq!((target.port, target.tls()), (587, Tls::Starttls));
/// assert_eq!(target.level, Level::Ready);
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Target {
    /// What it is called in reports; `host:port` unless set.
    pub name: String,
    /// A name or an address, without brackets; empty if there is no server to ask.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What was asked for; see [`Target::tls`].
    pub tls: Tls,
    /// A file of authorities that the certificate must come from; the system's unless set.
    pub ca: Option<PathBuf>,
    /// The name that must be in the certificate; the host unless set.
    pub tls_name: Option<String>,
    /// The name to greet with; the machine's full name, else its address in brackets.
    pub helo: Option<String>,
    /// A bare name, as a container's, that is tried besides; at [`Level::Deep`] one of our own.
    pub helo_short: Option<String>,
    /// The local address to connect from.
    pub source: Option<IpAddr>,
    /// Who logs in.
    pub login: Option<Login>,
    /// Whether the password may go out without TLS.
    pub allow_clear: bool,
    /// Whether a wrong password is tried, which must be refused.
    pub auth_negative: bool,
    /// Senders that must be taken. The empty one is the null sender.
    pub from: Vec<String>,
    /// Recipients that must be taken. `%u` becomes a word that was not used before.
    pub rcpt: Vec<String>,
    /// Whether a recipient that cannot be there is tried at the domains of `rcpt`.
    pub rcpt_unknown: bool,
    /// Extensions that must be offered.
    pub require: Vec<String>,
    /// Extensions that must not be offered; `AUTH-in-clear` is AUTH without TLS.
    pub forbid: Vec<String>,
    /// The octets that a message must be allowed to have.
    pub min_size: u64,
    /// Whether only TLS 1.3 will do.
    pub tls13: bool,
    /// How much is checked.
    pub level: Level,
    /// Whether it may relay for us.
    pub expect: Expect,
    /// The forms to try for relaying; none if unset.
    pub open_relay: Option<Battery>,
    /// Whether messages may be sent: what the battery gets through, or one to the first of `rcpt`.
    pub send: bool,
    /// Where a message is awaited that is sent for it to the first of `rcpt`.
    pub canary: Option<Canary>,
    /// Where the queue is seen.
    pub queue: Option<Queue>,
    /// The configuration to review.
    pub main_cf: Option<PathBuf>,
    /// The checks of the DNS.
    pub dns: Dns,
    /// How long things may take.
    pub limits: Limits,
    /// From where on a number is too much.
    pub thresholds: Thresholds,
}

impl Target {
    /// A target by host and port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        let name = match host.parse::<Ipv6Addr>() {
            Ok(_) => format!("[{host}]:{port}"),
            Err(_) => format!("{host}:{port}"),
        };
        Self {
            name,
            host,
            port,
            tls: Tls::Auto,
            ca: None,
            tls_name: None,
            helo: None,
            helo_short: None,
            source: None,
            login: None,
            allow_clear: false,
            auth_negative: false,
            from: Vec::new(),
            rcpt: Vec::new(),
            rcpt_unknown: false,
            require: Vec::new(),
            forbid: vec!["AUTH-in-clear".to_owned(), "XCLIENT".to_owned()],
            min_size: 0,
            tls13: false,
            level: Level::Ready,
            expect: Expect::Closed,
            open_relay: None,
            send: false,
            canary: None,
            queue: None,
            main_cf: None,
            dns: Dns::default(),
            limits: Limits::default(),
            thresholds: Thresholds::default(),
        }
    }

    /// One without a server: only files and the DNS are looked at.
    ///
    /// ```
    /// use smtp_probe::{Prober, State, Target};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let mut target = Target::local("this machine");
    /// target.main_cf = Some("/nonexistent/main.cf".into());
    /// let report = Prober::new(target).run().await;
    /// assert_eq!(report.overall, State::Unknown);
    /// assert_eq!(report.decisive().unwrap().id, "main_cf");
    /// assert!(report.check("connect").is_none());
    /// # }
    /// ```
    #[must_use]
    pub fn local(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::new("", 0)
        }
    }

    /// Whether there is no server to ask.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host.is_empty()
    }

    /// Reads `HOST`, `HOST:PORT`, `smtp://HOST:PORT` (25), `smtps://HOST:PORT` (465, implicit TLS) or
    /// `submission://HOST:PORT` (587, STARTTLS).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if it is none of these. The text
    /// is in the error unless it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        Self::with_port(text, None)
    }

    /// As [`parse`](Self::parse), with another default for the port.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn with_port(text: &str, default: Option<u16>) -> Result<Self> {
        if text.contains('@') {
            return Err(Error::config(
                "target: a name or a password does not belong in an address; set --user and --password-file",
            ));
        }
        let wrong = |what: &str| {
            Error::config(format!(
                "target {text:?}: {what}; it has the form HOST, HOST:PORT, smtp://HOST:PORT, smtps://HOST:PORT or submission://HOST:PORT"
            ))
        };
        let (scheme, rest) = match text.split_once("://") {
            None => ("", text),
            Some((scheme, rest)) => (scheme, rest.strip_suffix('/').unwrap_or(rest)),
        };
        let (usual, tls) = match scheme.to_ascii_lowercase().as_str() {
            "" => (default.unwrap_or(25), Tls::Auto),
            "smtp" => (25, Tls::Auto),
            "smtps" => (465, Tls::Implicit),
            "submission" => (587, Tls::Starttls),
            _ => return Err(wrong("it is no address of a mail server")),
        };
        let (host, port) = place::split(rest);
        let host = place::host(host).ok_or_else(|| wrong("it names no host"))?;
        let port = match port {
            None => usual,
            Some(p) => {
                place::port(p).ok_or_else(|| wrong("its port is no number from 1 to 65535"))?
            }
        };
        let mut target = Self::new(host, port);
        target.tls = tls;
        Ok(target)
    }

    /// How TLS is used: what was asked for, else by the port and the login.
    #[must_use]
    pub fn tls(&self) -> Tls {
        let has_login = self.login.is_some() && !self.allow_clear;
        match (self.tls, self.port) {
            (Tls::Auto, 465) => Tls::Implicit,
            (Tls::Auto, 587) => Tls::Starttls,
            (Tls::Auto | Tls::Opportunistic, _) if has_login => Tls::Starttls,
            (Tls::Auto, _) => Tls::Opportunistic,
            (tls, _) => tls,
        }
    }

    /// The name that must be in the certificate.
    #[must_use]
    pub fn tls_name(&self) -> &str {
        let name = self.tls_name.as_deref().unwrap_or(&self.host);
        name.strip_suffix('.').unwrap_or(name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
