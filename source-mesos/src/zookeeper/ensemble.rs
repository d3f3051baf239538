//! Which ZooKeeper, and where in it: `zk://[user:password@]host:port,host:port/path`.

use std::{fmt, net::Ipv6Addr};

use notifier_core::{Error, Result, Secret};
use percent_encoding::percent_decode_str;

const DEFAULT_PORT: u16 = 2181;

/// The servers of a ZooKeeper, the path below which the masters register, and what it
/// takes to read there.
#[derive(Clone)]
pub(crate) struct Ensemble {
    /// `host:port` between commas.
    servers: String,
    path: String,
    /// `user:password` for the scheme `digest`.
    login: Option<Secret>,
}

impl Ensemble {
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config). What is wrong is never
    /// quoted: a password that is not encoded may be anywhere.
    pub(crate) fn parse(entry: &str) -> Result<Self> {
        let rest = crate::addresses::is_zookeeper(entry)
            .then(|| &entry["zk://".len()..])
            .ok_or_else(|| wrong("it must begin with zk://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(parse_login(login)?), servers),
            None => (None, authority),
        };
        let servers: Vec<String> = servers
            .split(',')
            .map(|s| parse_server(s.trim()))
            .collect::<Result<_>>()?;
        Ok(Self {
            servers: servers.join(","),
            path: parse_path(path)?,
            login,
        })
    }

    pub(super) fn servers(&self) -> &str {
        &self.servers
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn login(&self) -> Option<&Secret> {
        self.login.as_ref()
    }
}

/// The address without the user.
impl fmt::Display for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zk://{}{}", self.servers, self.path)
    }
}

impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn wrong(why: &str) -> Error {
    Error::config(format!(
        "an address of ZooKeeper (zk://host:2181,host:2181/mesos) is wrong: {why}"
    ))
}

fn parse_login(text: &str) -> Result<Secret> {
    let decode = |part: &str| {
        percent_decode_str(part)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| wrong("its user or password is not UTF-8"))
    };
    // ZooKeeper ends the user at the first colon: it cannot hold one.
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            let user = decode(user)?;
            if user.contains(':') {
                return Err(wrong("its user holds a colon"));
            }
            Ok(Secret::from(format!("{user}:{}", decode(password)?)))
        }
        _ => Err(wrong("before the @ it needs user:password")),
    }
}

fn parse_server(text: &str) -> Result<String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest
                .split_once(']')
                .ok_or_else(|| wrong("a [ is not closed"))?;
            let ip: Ipv6Addr = ip
                .parse()
                .map_err(|_| wrong("what is in [] is no IPv6 address"))?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err(wrong("after the ] of a host comes :port")),
            };
            (format!("[{ip}]"), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.is_empty() {
                return Err(wrong("a host is empty"));
            }
            if !is_host(host) {
                return Err(wrong(
                    "a host is not a name or IP address (in a password, / and @ are written %2F and %40)",
                ));
            }
            (host.to_owned(), port)
        }
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port
            .parse()
            .ok()
            .filter(|p| *p > 0)
            .ok_or_else(|| wrong("a port is no number from 1 to 65535"))?,
    };
    Ok(format!("{host}:{port}"))
}

/// True for what may be a name or an IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn parse_path(text: &str) -> Result<String> {
    let path = text.trim_end_matches('/');
    if path.is_empty() {
        return Err(wrong(
            "it needs the path below which the masters register, such as /mesos",
        ));
    }
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..") && !name.chars().any(|c| c.is_control() || c == '@')
    };
    if !path.split('/').skip(1).all(is_name) {
        return Err(wrong(
            "its path is not one (in a password, / and @ are written %2F and %40)",
        ));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use notifier_core::ErrorKind;

    use super::*;

    #[test]
    fn addresses_in_all_their_forms() {
        for (entry, shown, login) in [
            ("zk://a/mesos", "zk://a:2181/mesos", None),
            (
                "ZK://a:1, b-2.example ,10.0.0.1:3/x/y/",
                "zk://a:1,b-2.example:2181,10.0.0.1:3/x/y",
                None,
            ),
            (
                "zk://[::1],[2001:DB8::2]:99/m",
                "zk://[::1]:2181,[2001:db8::2]:99/m",
                None,
            ),
            ("zk://u:p@a,b/m", "zk://a:2181,b:2181/m", Some("u:p")),
            (
                "zk://us%2fer:p%40ss:w%3Ard,@a/m",
                "zk://a:2181/m",
                Some("us/er:p@ss:w:rd,"),
            ),
            ("zk://u:p@w@a/m", "zk://a:2181/m", Some("u:p@w")),
            ("zk://u:@a/m", "zk://a:2181/m", Some("u:")),
        ] {
            let ensemble = Ensemble::parse(entry).unwrap();
            assert_eq!(ensemble.to_string(), shown, "{entry}");
            assert_eq!(format!("{ensemble:?}"), shown, "{entry}");
            assert_eq!(ensemble.login().map(Secret::expose), login, "{entry}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused_without_being_quoted() {
        for (entry, why) in [
            ("http://a/mesos", "begin with zk://"),
            ("zk://a", "needs the path"),
            ("zk://a/", "needs the path"),
            ("zk:///mesos", "host is empty"),
            ("zk://a,,b/mesos", "host is empty"),
            ("zk://a:/mesos", "port"),
            ("zk://a:0/mesos", "port"),
            ("zk://a:65536/mesos", "port"),
            ("zk://::1/mesos", "host is empty"),
            ("zk://fe80::1/mesos", "port"),
            ("zk://[::1/mesos", "not closed"),
            ("zk://[hunter2]/mesos", "IPv6"),
            ("zk://[::1]hunter2/mesos", "comes :port"),
            ("zk://a/mesos//x", "path is not one"),
            ("zk://a/mesos/../x", "path is not one"),
            ("zk://hunter2@a/mesos", "user:password"),
            ("zk://:hunter2@a/mesos", "user:password"),
            ("zk://u%3Ax:hunter2@a/mesos", "holds a colon"),
            ("zk://u:hunter2%FF@a/mesos", "not UTF-8"),
            // Passwords that are not encoded.
            ("zk://u:hunter2/x@a/mesos", "port"),
            ("zk://u:12/hunter2@a/mesos", "path is not one"),
            ("zk://u:hunter2@x@a b/mesos", "host is not a name"),
            ("zk://u:hunter2,/x@a/mesos", "port"),
        ] {
            let e = Ensemble::parse(entry).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Config);
            let text = format!("{e} {e:?}");
            assert!(text.contains(why), "{entry}: {text}");
            assert!(!text.contains("hunter2"), "{entry}: {text}");
        }
    }
}
