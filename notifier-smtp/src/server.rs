//! The relay: where it is, how it is reached, who we are there.

use std::{fmt, net::Ipv6Addr, path::PathBuf, time::Duration};

use notifier_core::{Error, Result, Settings};
use smtp_wire::place;

use crate::login::Login;

/// How TLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tls {
    /// STARTTLS or no mail, the certificate checked.
    Required,
    /// From the first byte, the certificate checked (RFC 8314).
    Implicit,
    /// STARTTLS where it is offered, the certificate not checked.
    Opportunistic,
    /// Never.
    None,
}

impl Tls {
    /// Whether the relay must prove who it is.
    pub(crate) fn is_checked(self) -> bool {
        matches!(self, Self::Required | Self::Implicit)
    }
}

/// Everything that tells one relay, and our standing there, from another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// A name in ASCII or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    /// The name that the certificate must bear, where it is not the host.
    pub(crate) tls_name: Option<String>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) login: Option<Login>,
    /// The name to greet with, if one is set.
    pub(crate) helo: Option<String>,
    pub(crate) limits: Limits,
}

/// The longest waits, and how many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    /// For all addresses of the host, and for the handshake of TLS.
    pub(crate) connect: Duration,
    /// For a reply, and for each block of a message to be taken (RFC 5321 §4.5.3.2).
    pub(crate) reply: Duration,
    /// For the reply to the whole message.
    pub(crate) last: Duration,
    /// How long a connection is kept without a mail.
    pub(crate) idle: Duration,
    /// How many connections there may be.
    pub(crate) pool: usize,
}

/// The longest that one attempt may take, whatever the options add up to.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(29 * 60);
/// The longest that a connection is kept.
const LONGEST_IDLE: Duration = Duration::from_secs(86_400);
/// The most connections to one relay.
const MOST_CONNECTIONS: usize = 64;

impl Limits {
    fn of(settings: &Settings) -> Result<Self> {
        let time = |key, usual| match settings.duration(key) {
            Some(time) if time.is_zero() => Err(Error::config(format!(
                "smtp.{key}: no answer comes in 0s; set a longer time, or leave it out"
            ))),
            Some(time) => Ok(time.min(LONGEST_ATTEMPT)),
            None => Ok(Duration::from_secs(usual)),
        };
        let pool = settings.integer("pool").unwrap_or(4);
        let pool = usize::try_from(pool).unwrap_or(usize::MAX);
        if !(1..=MOST_CONNECTIONS).contains(&pool) {
            return Err(Error::config(format!(
                "smtp.pool: {pool} is not from 1 to {MOST_CONNECTIONS}"
            )));
        }
        let idle = settings.duration("idle").unwrap_or(Duration::from_secs(60));
        Ok(Self {
            connect: time("connect_timeout", 30)?,
            reply: time("timeout", 300)?,
            last: time("final_timeout", 600)?,
            idle: idle.min(LONGEST_IDLE),
            pool,
        })
    }

    /// The longest that one attempt takes: a connection, a few slow replies, the last reply.
    pub(crate) fn attempt(&self) -> Duration {
        (self.connect * 2)
            .saturating_add(self.reply.saturating_mul(3))
            .saturating_add(self.last)
            .min(LONGEST_ATTEMPT)
    }
}

impl Server {
    /// What these settings name. `None`: neither `server` nor `host_ip` is set.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) with the option's name; never with a password.
    pub(crate) fn read(settings: &Settings) -> Result<Option<Self>> {
        let Some(place) = place(settings)? else {
            return Ok(None);
        };
        let login = Login::read(settings)?;
        // Who names an authority or a name wants them checked.
        let is_checked = ["ca", "tls_name"].iter().any(|k| settings.get(k).is_some());
        let tls = tls(settings, place.scheme, login.is_some() || is_checked)?;
        let usual = match (tls, login.is_some()) {
            (Tls::Implicit, _) => 465,
            (_, true) if place.is_named => 587,
            _ => 25,
        };
        Ok(Some(Self {
            host: place.host,
            port: place.port.unwrap_or(usual),
            tls,
            tls_name: settings.get("tls_name").map(str::to_owned),
            ca: settings.get("ca").map(PathBuf::from),
            login,
            helo: settings.get("helo").map(checked_helo).transpose()?,
            limits: Limits::of(settings)?,
        }))
    }
}

impl Server {
    /// What was said outright and is seldom meant, for a log.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        let unused = self.ca.is_some() || self.tls_name.is_some();
        let mut all = Vec::new();
        if self.tls == Tls::None && self.login.is_some() {
            all.push("the password goes out without TLS, since -smtp.tls is none");
        }
        if !self.tls.is_checked() && unused {
            all.push("no certificate is checked, whatever -smtp.ca and -smtp.tls_name say, since -smtp.tls is opportunistic or none");
        }
        all
    }
}

/// `host:port`, as it is shown everywhere.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("at", &self.to_string())
            .field("tls", &self.tls)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    None,
    Smtp,
    Smtps,
}

#[derive(Debug)]
struct Place {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    /// By `server` rather than by `host_ip`.
    is_named: bool,
}

fn place(settings: &Settings) -> Result<Option<Place>> {
    if let Some(text) = settings.get("server") {
        return server(text).map(Some);
    }
    let Some(ip) = settings.get("host_ip") else {
        return Ok(None);
    };
    let host = place::host(ip).ok_or_else(|| {
        Error::config("smtp.host_ip: it is neither an address nor a host name, such as 10.0.0.1")
    })?;
    Ok(Some(Place {
        scheme: Scheme::None,
        host,
        port: settings.get("host_port").map(service_port).transpose()?,
        is_named: false,
    }))
}

/// Reads `HOST`, `HOST:PORT`, `smtp://HOST:PORT` or `smtps://HOST:PORT`.
fn server(text: &str) -> Result<Place> {
    let wrong = |what: &str| {
        Error::config(format!(
            "smtp.server: {what}; it has the form HOST, HOST:PORT, smtp://HOST:PORT or smtps://HOST:PORT"
        ))
    };
    if text.contains('@') {
        return Err(Error::config(
            "smtp.server: a name or a password does not belong there; set -smtp.user and -smtp.password",
        ));
    }
    let (scheme, rest) = match text.split_once("://") {
        None => (Scheme::None, text),
        Some((s, rest)) if s.eq_ignore_ascii_case("smtp") => (Scheme::Smtp, rest),
        Some((s, rest)) if s.eq_ignore_ascii_case("smtps") => (Scheme::Smtps, rest),
        Some(_) => return Err(wrong("it is no address of a mail server")),
    };
    let rest = match scheme {
        Scheme::None => rest,
        _ => rest.strip_suffix('/').unwrap_or(rest),
    };
    let (name, port) = place::split(rest);
    let host = place::host(name).ok_or_else(|| wrong("it names no host"))?;
    let port = port
        .map(|p| place::port(p).ok_or_else(|| wrong("its port is no number from 1 to 65535")))
        .transpose()?;
    Ok(Place {
        scheme,
        host,
        port,
        is_named: true,
    })
}

fn tls(settings: &Settings, scheme: Scheme, is_needed: bool) -> Result<Tls> {
    let said = match settings.get("tls") {
        Some("required") => Some(Tls::Required),
        Some("implicit") => Some(Tls::Implicit),
        Some("opportunistic") => Some(Tls::Opportunistic),
        Some("none") => Some(Tls::None),
        Some(other) => {
            return Err(Error::config(format!(
                "smtp.tls: {other:?} is not one of required, implicit, opportunistic, none"
            )));
        }
        None => None,
    };
    match (scheme, said) {
        (Scheme::Smtps, None | Some(Tls::Implicit)) => Ok(Tls::Implicit),
        (Scheme::Smtps, Some(_)) => Err(Error::config(
            "smtp.tls: smtps:// in -smtp.server is implicit TLS; leave -smtp.tls out, or write smtp://",
        )),
        (Scheme::Smtp, Some(Tls::Implicit)) => Err(Error::config(
            "smtp.tls: smtp:// in -smtp.server is not implicit TLS; write smtps:// instead",
        )),
        (_, Some(tls)) => Ok(tls),
        (_, None) if is_needed => Ok(Tls::Required),
        (_, None) => Ok(Tls::Opportunistic),
    }
}

fn checked_helo(text: &str) -> Result<String> {
    place::helo(text).ok_or_else(|| {
        Error::config(format!(
            "smtp.helo: {text:?} is neither a host name nor an address in brackets"
        ))
    })
}

fn service_port(text: &str) -> Result<u16> {
    place::service_port(text).ok_or_else(|| {
        Error::config("smtp.host_port: it is no number from 1 to 65535, nor tcp://ADDRESS:PORT")
    })
}

#[cfg(test)]
mod tests;
