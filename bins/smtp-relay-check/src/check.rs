//! Whether a value is one that its option takes, and what it means.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use notifiers::{OptionSpec, Secret};
use smtp_probe::{Bounds, Canary, Imap, Login, Password, Tls, place};

/// Where a canary is awaited, before its password is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Ready(Canary),
    Mailbox {
        tls: Tls,
        user: String,
        /// The one in the address, if it has one.
        password: Option<Secret>,
        host: String,
        port: u16,
        mailbox: String,
    },
}

impl Destination {
    /// With what logs in to a mailbox.
    pub(crate) fn canary(
        self,
        file: Option<PathBuf>,
        ca: Option<PathBuf>,
    ) -> Result<Canary, String> {
        match self {
            Self::Ready(canary) => Ok(canary),
            Self::Mailbox {
                tls,
                user,
                password: own,
                host,
                port,
                mailbox,
            } => {
                // The file wins: it can be changed while this runs.
                let password = file.map(Password::File).or(own.map(Password::Value));
                let password = password.ok_or("canary: a mailbox needs --canary-password-file")?;
                let login = Login { user, password };
                Ok(Canary::Imap(Imap {
                    tls,
                    host,
                    port,
                    login,
                    mailbox,
                    ca,
                }))
            }
        }
    }
}

/// Says what is wrong with a value of an option.
pub(crate) fn value(spec: &OptionSpec, text: &str) -> Result<(), String> {
    // An empty value counts as unset, but for the null sender.
    if text.is_empty() {
        return Ok(());
    }
    spec.check(text).map_err(|e| e.report().to_string())?;
    match spec.key {
        "source" | "egress" => address(text).map(drop),
        "dns" => resolver(text).map(drop),
        "canary" => destination(text).map(drop),
        "helo" => match place::helo(text) {
            Some(_) => Ok(()),
            None => Err(format!(
                "{text:?} is neither a host name nor an address in brackets"
            )),
        },
        "connect-time" | "greeting-time" | "queue-depth" | "deferred-age" | "active-age"
        | "queue-growth" => bounds(text, false).map(drop),
        "cert-days" | "spool-free" => bounds(text, true).map(drop),
        "flap-changes" if text.parse::<u64>().is_ok_and(|n| !(2..=1000).contains(&n)) => {
            Err(format!("{text} is not from 2 to 1000"))
        }
        "from" | "rcpt" => text.split(',').try_for_each(|one| path(one.trim())),
        "victim" => path(text),
        "interval" | "timeout" | "connect-timeout" | "reply-timeout" | "canary-timeout"
        | "dns-timeout" | "flap-window"
            if notifiers::parse_duration(text).is_some_and(|d| d.is_zero()) =>
        {
            Err("it must be longer than 0".to_owned())
        }
        "relay-domain" | "well-known" | "own-domain" | "domain" | "dnsbl" | "dkim-selector"
        | "helo-short" | "tls-name" => {
            let wrong = text
                .split(',')
                .map(str::trim)
                .find(|d| place::host(d).is_none());
            wrong.map_or(Ok(()), |d| Err(format!("{d:?} is no name")))
        }
        "probe-targets" => text
            .split(',')
            .try_for_each(|one| crate::service::Pattern::parse(one.trim()).map(drop)),
        "listen" => notifier_runtime::http::parse_listen(text).map(drop),
        _ => Ok(()),
    }
}

/// An address of a mailbox becomes part of a command: no line break, no angle bracket in it.
fn path(text: &str) -> Result<(), String> {
    let is_null = matches!(text, "" | "<>");
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
    match is_null || (!text.chars().any(bad) && text.len() <= 320) {
        true => Ok(()),
        false => Err(format!("{text:?} is no address of a mailbox")),
    }
}

pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map_err(|_| format!("{text:?} is no IP address"))
}

/// A resolver: none for the system's.
pub(crate) fn resolver(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "system" {
        return Ok(None);
    }
    let with_port = text.parse::<SocketAddr>().ok();
    let alone = || Some(SocketAddr::new(address(text).ok()?, 53));
    match with_port.or_else(alone) {
        Some(address) => Ok(Some(address)),
        None => Err(format!("{text:?} is neither IP:PORT nor system")),
    }
}

/// `WARN,CRIT`.
pub(crate) fn bounds(text: &str, less_is_worse: bool) -> Result<Bounds, String> {
    let wrong = || format!("{text:?} is not WARN,CRIT, two numbers such as 1,3");
    let (warn, crit) = text.split_once(',').ok_or_else(wrong)?;
    let number = |t: &str| {
        t.trim()
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite() && *n >= 0.0)
    };
    let (warn, crit) = (
        number(warn).ok_or_else(wrong)?,
        number(crit).ok_or_else(wrong)?,
    );
    let is_right = match less_is_worse {
        true => crit <= warn,
        false => warn <= crit,
    };
    match is_right {
        true => Ok(Bounds::new(warn, crit)),
        false => Err(format!("{text:?}: WARN comes before CRIT")),
    }
}

pub(crate) fn destination(text: &str) -> Result<Destination, String> {
    let listen = |at: &str| -> Result<SocketAddr, String> {
        at.parse().map_err(|_| format!("{at:?} is not IP:PORT"))
    };
    let ready = |canary| Ok(Destination::Ready(canary));
    if text == "queue-gone" {
        return ready(Canary::QueueGone);
    }
    for (prefix, tls) in [
        ("imap://", Tls::Starttls),
        ("imaps://", Tls::Implicit),
        ("imap+plain://", Tls::None),
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return mailbox(rest, tls);
        }
    }
    match text.split_once(':') {
        Some(("maildir", path)) if !path.is_empty() => ready(Canary::Maildir(path.into())),
        Some(("mbox", path)) if !path.is_empty() => ready(Canary::Mbox(path.into())),
        Some(("smtp-listen", at)) => ready(Canary::SmtpListen(listen(at)?)),
        Some(("lmtp-listen", at)) => ready(Canary::LmtpListen(listen(at)?)),
        _ if text.contains('/') && !text.contains("://") && !text.contains('@') => {
            // A bare path: a file is an mbox, all else a Maildir.
            ready(match Path::new(text).is_file() {
                true => Canary::Mbox(text.into()),
                false => Canary::Maildir(text.into()),
            })
        }
        // The value may hold a password.
        _ => Err("it is none of maildir:PATH, mbox:PATH, imap://USER@HOST/INBOX, imaps://…, smtp-listen:IP:PORT, lmtp-listen:IP:PORT, queue-gone".to_owned()),
    }
}

/// Whether the address of a mailbox has a password in it.
pub(crate) fn has_password(text: &str) -> bool {
    let found = destination(text);
    matches!(
        found,
        Ok(Destination::Mailbox {
            password: Some(_),
            ..
        })
    )
}

/// `user[:password]@host[:port][/mailbox]`, with `%40` and the like. The user and the password may
/// have an `@` of their own, and the password a slash. No error shows any of it.
fn mailbox(text: &str, tls: Tls) -> Result<Destination, String> {
    const FORM: &str = "a mailbox is imap://USER@HOST[:PORT][/INBOX]";
    let (login, place) = text.rsplit_once('@').ok_or(FORM)?;
    let (server, mailbox) = place.split_once('/').unwrap_or((place, ""));
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let (user, mailbox) = (decoded(user).ok_or(FORM)?, decoded(mailbox).ok_or(FORM)?);
    let password = match password {
        None | Some("") => None,
        Some(password) => Some(Secret::from(decoded(password).ok_or(FORM)?)),
    };
    let (host, port) = place::split(server);
    let host = place::host(host).ok_or(FORM)?;
    let port = match port {
        Some(port) => place::port(port).ok_or(FORM)?,
        None if tls == Tls::Implicit => 993,
        None => 143,
    };
    if user.is_empty() || user.chars().chain(mailbox.chars()).any(char::is_control) {
        return Err(FORM.to_owned());
    }
    Ok(Destination::Mailbox {
        tls,
        user,
        password,
        host,
        port,
        mailbox: match mailbox.is_empty() {
            true => "INBOX".to_owned(),
            false => mailbox,
        },
    })
}

/// With the octets that `%40` stands for (RFC 3986 §2.1); a percent sign before anything else is
/// itself. `None`: what comes of it is no text.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        let hex = hex.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        let octet = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
        match (first, octet) {
            (b'%', Some(octet)) => {
                octets.push(octet);
                rest = &after[2..];
            }
            _ => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_go_where_they_are_sent() {
        let of = |text: &str| destination(text).unwrap();
        assert_eq!(
            of("maildir:/m"),
            Destination::Ready(Canary::Maildir("/m".into()))
        );
        assert_eq!(
            of("/no/such/folder"),
            Destination::Ready(Canary::Maildir("/no/such/folder".into()))
        );
        assert_eq!(of("mbox:m"), Destination::Ready(Canary::Mbox("m".into())));
        assert_eq!(of("queue-gone"), Destination::Ready(Canary::QueueGone));
        let at = "127.0.0.1:2525".parse().unwrap();
        assert_eq!(
            of("smtp-listen:127.0.0.1:2525"),
            Destination::Ready(Canary::SmtpListen(at))
        );
        assert_eq!(
            of("lmtp-listen:127.0.0.1:2525"),
            Destination::Ready(Canary::LmtpListen(at))
        );
        let Destination::Mailbox {
            tls,
            user,
            host,
            port,
            mailbox,
            ..
        } = of("imaps://a@b.example@mail.example/Canaries")
        else {
            panic!("a mailbox")
        };
        assert_eq!((tls, port), (Tls::Implicit, 993));
        assert_eq!(
            (user.as_str(), host.as_str(), mailbox.as_str()),
            ("a@b.example", "mail.example", "Canaries")
        );
        let Destination::Mailbox {
            tls, port, mailbox, ..
        } = of("imap://a@[::1]:1143")
        else {
            panic!("a mailbox")
        };
        assert_eq!(
            (tls, port, mailbox.as_str()),
            (Tls::Starttls, 1143, "INBOX")
        );
    }

    #[test]
    fn names_and_passwords_may_have_any_character() {
        for (text, user, password, mailbox) in [
            ("imap://a%40b.example@h/INBOX", "a@b.example", None, "INBOX"),
            ("imap://a@b.example@h", "a@b.example", None, "INBOX"),
            ("imaps://a:s3/cr@t:x@h/C%20d", "a", Some("s3/cr@t:x"), "C d"),
            (
                "imap://a%40b:s3%2fcret%@h",
                "a@b",
                Some("s3/cret%"),
                "INBOX",
            ),
            ("imap://a:@h", "a", None, "INBOX"),
        ] {
            let found = destination(text).unwrap();
            assert!(!format!("{found:?}").contains("s3"), "{found:?}");
            let Canary::Imap(imap) = found
                .canary(None, None)
                .or_else(|_| destination(text)?.canary(Some("/p".into()), None))
                .unwrap()
            else {
                panic!("a mailbox")
            };
            let want = match password {
                Some(password) => Password::Value(Secret::from(password)),
                None => Password::File("/p".into()),
            };
            assert_eq!(imap.login.password, want, "{text}");
            assert_eq!(
                (imap.login.user.as_str(), imap.mailbox.as_str()),
                (user, mailbox)
            );
            assert!(!format!("{imap:?}").contains("s3"), "{imap:?}");
        }
        assert!(has_password("imaps://a:s3cret@h") && !has_password("imaps://a@h"));
        let file = destination("imap://a:s3cret@h").unwrap();
        let Canary::Imap(imap) = file.canary(Some("/p".into()), None).unwrap() else {
            panic!("a mailbox")
        };
        assert_eq!(imap.login.password, Password::File("/p".into()));
    }

    #[test]
    fn no_password_is_told() {
        for text in [
            "imap://a:s3cret@",
            "imap://:s3cret@h",
            "imaps://a:s3cret@h:99999",
            "imaps://a:s3cret%ff@h",
            "imaps://a:s3cret",
            "x:s3cret@h",
            "pop3://a:s3cret@h/",
        ] {
            let why = destination(text).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
        assert!(of_mailbox_without_password().is_err());
    }

    fn of_mailbox_without_password() -> Result<Canary, String> {
        destination("imap://a@h").unwrap().canary(None, None)
    }

    #[test]
    fn bounds_stand_in_their_order() {
        assert_eq!(bounds("1, 3.5", false), Ok(Bounds::new(1.0, 3.5)));
        assert_eq!(bounds("21,7", true), Ok(Bounds::new(21.0, 7.0)));
        for (text, less) in [
            ("3,1", false),
            ("7,21", true),
            ("1", false),
            ("a,b", false),
            ("-1,2", false),
            ("1,inf", false),
        ] {
            assert!(bounds(text, less).is_err(), "{text}");
        }
    }

    #[test]
    fn a_resolver_is_an_address_or_the_systems() {
        assert_eq!(resolver("system"), Ok(None));
        assert_eq!(
            resolver("192.0.2.1"),
            Ok(Some("192.0.2.1:53".parse().unwrap()))
        );
        assert_eq!(
            resolver("[::1]:5353"),
            Ok(Some("[::1]:5353".parse().unwrap()))
        );
        assert!(resolver("dns.example").is_err());
    }

    #[test]
    fn an_address_cannot_end_its_command() {
        assert!(path("a@b").is_ok() && path("<>").is_ok() && path("").is_ok());
        for text in ["a@b>\r\nDATA", "a@b> X", "<a@b>"] {
            assert!(path(text).is_err(), "{text:?}");
        }
    }
}
