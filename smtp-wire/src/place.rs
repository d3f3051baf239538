//! Where a relay is, as people and orchestrators write it.

use std::net::{IpAddr, Ipv6Addr};

/// Divides `host:port`; an IPv6 address has its brackets, or no port.
#[must_use]
pub fn split(text: &str) -> (&str, Option<&str>) {
    if text.parse::<Ipv6Addr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Kubernetes gives a Service called `smtp-host` the variable `SMTP_HOST_PORT=tcp://10.0.0.1:25`.
#[must_use]
pub fn service_port(text: &str) -> Option<u16> {
    let text = match text.split_once("://") {
        Some((_, rest)) => split(rest).1.unwrap_or_default(),
        None => text,
    };
    port(text)
}

/// A port: digits only, from 1 to 65535.
#[must_use]
pub fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|p| digits && *p != 0)
}

/// A name in ASCII, or an address without brackets.
#[must_use]
pub fn host(text: &str) -> Option<String> {
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

/// A host name or an address literal (RFC 5321 §4.1.1.1): it becomes part of a command.
#[must_use]
pub fn helo(text: &str) -> Option<String> {
    let literal = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .map(|t| t.strip_prefix("IPv6:").unwrap_or(t).parse::<IpAddr>());
    match literal {
        Some(Ok(_)) => Some(text.to_owned()),
        None if text.parse::<IpAddr>().is_err() => host(text),
        _ => None,
    }
}
