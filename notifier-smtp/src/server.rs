//! The relay: where it is, how it is reached, who we are there.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use notifier_core::{Error, Result, Settings};

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

impl Limits {
    fn of(settings: &Settings) -> Self {
        let time = |key, usual| {
            let time = settings.duration(key).filter(|d| !d.is_zero());
            time.unwrap_or(Duration::from_secs(usual))
        };
        let pool = settings.integer("pool").unwrap_or(4).clamp(1, 64);
        Self {
            connect: time("connect_timeout", 30),
            reply: time("timeout", 300),
            last: time("final_timeout", 600),
            idle: settings.duration("idle").unwrap_or(Duration::from_secs(60)),
            pool: usize::try_from(pool).unwrap_or(4),
        }
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
        let tls = tls(settings, place.scheme, login.is_some())?;
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
            helo: settings.get("helo").map(helo).transpose()?,
            limits: Limits::of(settings),
        }))
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
    let host = host(ip).ok_or_else(|| {
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
    let (name, port) = split(rest);
    let host = host(name).ok_or_else(|| wrong("it names no host"))?;
    let port = port
        .map(|p| number(p).ok_or_else(|| wrong("its port is no number from 1 to 65535")))
        .transpose()?;
    Ok(Place {
        scheme,
        host,
        port,
        is_named: true,
    })
}

/// Divides `host:port`; an IPv6 address has its brackets, or no port.
fn split(text: &str) -> (&str, Option<&str>) {
    if text.parse::<Ipv6Addr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Kubernetes gives a Service called `smtp-host` the variable `SMTP_HOST_PORT=tcp://10.0.0.1:25`.
fn service_port(text: &str) -> Result<u16> {
    let port = match text.split_once("://") {
        Some((_, rest)) => split(rest).1.unwrap_or_default(),
        None => text,
    };
    number(port).ok_or_else(|| {
        Error::config("smtp.host_port: it is no number from 1 to 65535, nor tcp://ADDRESS:PORT")
    })
}

fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|p| digits && *p != 0)
}

/// A name in ASCII, or an address without brackets.
fn host(text: &str) -> Option<String> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let v6 = rest.strip_suffix(']')?;
            v6.parse::<Ipv6Addr>().ok()?;
            v6
        }
        None => text,
    };
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(ip.to_string());
    }
    // With an underscore, as names of containers have.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let ascii = match bare.is_ascii() {
        true => bare.to_ascii_lowercase(),
        false => idna::domain_to_ascii(bare).ok()?,
    };
    let is_name = !ascii.is_empty() && ascii.len() <= 253 && ascii.chars().all(plain);
    (is_name && !ascii.starts_with(['-', '.'])).then_some(ascii)
}

fn tls(settings: &Settings, scheme: Scheme, has_user: bool) -> Result<Tls> {
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
        (_, None) if has_user => Ok(Tls::Required),
        (_, None) => Ok(Tls::Opportunistic),
    }
}

/// A host name or an address literal (RFC 5321 §4.1.1.1): it becomes part of a command.
fn helo(text: &str) -> Result<String> {
    let literal = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .map(|t| t.strip_prefix("IPv6:").unwrap_or(t).parse::<IpAddr>());
    match literal {
        Some(Ok(_)) => Ok(text.to_owned()),
        None if text.parse::<IpAddr>().is_err() => host(text).ok_or(()),
        _ => Err(()),
    }
    .map_err(|()| {
        Error::config(format!(
            "smtp.helo: {text:?} is neither a host name nor an address in brackets"
        ))
    })
}

#[cfg(test)]
mod tests {
    use notifier_core::SettingsBuilder;

    use super::*;
    use crate::OPTIONS;

    fn read(values: &[(&str, &str)]) -> Result<Option<Server>> {
        let mut s = SettingsBuilder::new(OPTIONS);
        for (k, v) in values {
            s = s.set(k, v);
        }
        Server::read(&s.build()?.instance("default"))
    }

    fn at(values: &[(&str, &str)]) -> (String, Tls) {
        let s = read(values).unwrap().unwrap();
        (s.to_string(), s.tls)
    }

    fn refused(values: &[(&str, &str)]) -> String {
        let e = read(values).unwrap_err();
        assert_eq!(e.kind(), notifier_core::ErrorKind::Config);
        e.to_string()
    }

    const USER: [(&str, &str); 2] = [("user", "u"), ("password", "s3cr3t")];

    #[test]
    fn ports_and_tls_follow_from_the_form_of_the_server_and_from_a_user() {
        use Tls::{Implicit, None as Plain, Opportunistic, Required};
        let rows: [(&str, &str, bool, &str, Tls); 16] = [
            ("relay", "", false, "relay:25", Opportunistic),
            (
                "Relay.Example",
                "",
                false,
                "relay.example:25",
                Opportunistic,
            ),
            ("relay", "", true, "relay:587", Required),
            ("relay:2525", "", true, "relay:2525", Required),
            ("smtp://relay", "", false, "relay:25", Opportunistic),
            ("smtp://relay/", "", true, "relay:587", Required),
            ("SMTPS://relay", "", false, "relay:465", Implicit),
            (
                "smtps://relay:4465",
                "implicit",
                true,
                "relay:4465",
                Implicit,
            ),
            ("relay", "implicit", false, "relay:465", Implicit),
            ("relay", "none", true, "relay:587", Plain),
            ("relay", "opportunistic", true, "relay:587", Opportunistic),
            ("relay", "required", false, "relay:25", Required),
            ("[::1]:26", "", false, "[::1]:26", Opportunistic),
            ("::1", "", false, "[::1]:25", Opportunistic),
            ("10.0.0.1:26", "", false, "10.0.0.1:26", Opportunistic),
            (
                "bücher.example",
                "",
                false,
                "xn--bcher-kva.example:25",
                Opportunistic,
            ),
        ];
        for (server, tls, user, want, mode) in rows {
            let mut values = vec![("server", server)];
            if !tls.is_empty() {
                values.push(("tls", tls));
            }
            if user {
                values.extend(USER);
            }
            assert_eq!(at(&values), (want.to_owned(), mode), "{server}");
        }
    }

    #[test]
    fn kubernetes_names_the_relay_by_address_and_port() {
        let ip = ("host_ip", "10.1.2.3");
        assert_eq!(at(&[ip]).0, "10.1.2.3:25");
        assert_eq!(at(&[ip, ("host_port", "2525")]).0, "10.1.2.3:2525");
        assert_eq!(
            at(&[ip, ("host_port", "tcp://10.9.9.9:26")]).0,
            "10.1.2.3:26"
        );
        assert_eq!(at(&[ip, ("host_port", "tcp://[::1]:26")]).0, "10.1.2.3:26");
        assert_eq!(at(&[("host_ip", "fd00::1")]).0, "[fd00::1]:25");
        assert_eq!(at(&[ip, ("server", "relay")]).0, "relay:25");
        for wrong in ["tcp://10.0.0.1", "0", "x", "65536", "+25"] {
            assert!(refused(&[ip, ("host_port", wrong)]).starts_with("smtp.host_port: "));
        }
        assert!(refused(&[("host_ip", "a b")]).starts_with("smtp.host_ip: "));
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_refused_without_showing_a_password() {
        for server in [
            "smtp://me:s3cr3t@relay",
            "me:s3cr3t@relay",
            "http://relay",
            "relay:x",
            "relay:0",
            "",
            "smtp://",
            "relay:25/path",
            "a b",
            "[relay]",
            "relay\r\nQUIT",
            "-relay",
            ":25",
        ] {
            if server.is_empty() {
                continue;
            }
            let e = refused(&[("server", server)]);
            assert!(
                e.starts_with("smtp.server: ") && !e.contains("s3cr3t"),
                "{server}: {e}"
            );
        }
        let relay = ("server", "relay");
        for (server, tls) in [
            ("smtps://relay", "none"),
            ("smtps://relay", "required"),
            ("smtp://relay", "implicit"),
        ] {
            assert!(refused(&[("server", server), ("tls", tls)]).starts_with("smtp.tls: "));
        }
        for helo in ["a b", "x\r\nMAIL", "10.0.0.1", "[relay]", "[]"] {
            assert!(
                refused(&[relay, ("helo", helo)]).starts_with("smtp.helo: "),
                "{helo}"
            );
        }
        for helo in ["host.example", "[10.0.0.1]", "[IPv6:::1]"] {
            let server = read(&[relay, ("helo", helo)]).unwrap().unwrap();
            assert_eq!(server.helo.as_deref(), Some(helo));
        }
        assert!(refused(&[relay, USER[0]]).contains("smtp.password"));
    }

    #[test]
    fn an_attempt_is_bounded_whatever_is_set() {
        let s = read(&[("server", "relay"), ("timeout", "20h"), ("pool", "0")])
            .unwrap()
            .unwrap();
        assert_eq!(s.limits.attempt(), LONGEST_ATTEMPT);
        assert_eq!(s.limits.pool, 1);
        let s = read(&[
            ("server", "relay"),
            ("timeout", "1s"),
            ("final_timeout", "2s"),
            ("connect_timeout", "1s"),
        ]);
        assert_eq!(s.unwrap().unwrap().limits.attempt(), Duration::from_secs(7));
    }

    #[test]
    fn debug_shows_no_password() {
        let mut values = vec![("server", "relay")];
        values.extend(USER);
        let shown = format!("{:?}", read(&values).unwrap());
        assert!(
            shown.contains("relay:587") && !shown.contains("s3cr3t"),
            "{shown}"
        );
    }
}
