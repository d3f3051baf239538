//! The next server on the way.

use std::net::{IpAddr, Ipv6Addr};

use super::super::{finding::Review, networks};
use crate::report::State;

/// Services that take mail for others; they are outside of every cloud's own network.
const SERVICES: &[&str] = &[
    "amazonaws.com",
    "brevo.com",
    "gmail.com",
    "mailgun.org",
    "mailjet.com",
    "mandrillapp.com",
    "messagingengine.com",
    "office365.com",
    "postmarkapp.com",
    "sendgrid.net",
    "sendinblue.com",
    "smtp2go.com",
    "socketlabs.com",
    "sparkpostmail.com",
    "zoho.com",
];

pub(super) fn look(review: &mut Review<'_>) {
    let value = review.config.value("relayhost");
    if value.is_empty() {
        return;
    }
    let (host, port, is_bracketed) = split(&value);
    let ip: Option<IpAddr> = host.trim_start_matches("IPv6:").parse().ok();
    if !is_bracketed {
        let what = match ip {
            Some(_) => format!("{host} without brackets is looked up as a domain's MX"),
            None => format!(
                "{host} without brackets: mail goes to the MX of it, not to the host itself"
            ),
        };
        let hint = match port {
            Some(port) => format!("write [{host}]:{port}"),
            None => format!("write [{host}]:587"),
        };
        review.find(
            "relayhost-unbracketed",
            State::Warn,
            "relayhost",
            what,
            hint,
        );
    }
    if port.is_none_or(|p| p == "25" || p == "smtp") && ip.is_none_or(super::super::is_public) {
        let lower = host.to_ascii_lowercase();
        let is_service = SERVICES
            .iter()
            .any(|s| lower == *s || lower.ends_with(&format!(".{s}")));
        let state = if is_service { State::Warn } else { State::Ok };
        review.find(
            "relayhost-port",
            state,
            "relayhost",
            "mail goes out by port 25, which AWS, Google Cloud, Azure and most providers block",
            format!("write [{host}]:587 if the next server has that port; 2525 is another that many have"),
        );
    }
    loops(review, host, port, ip);
}

/// Host, port, and whether the host was in brackets.
fn split(value: &str) -> (&str, Option<&str>, bool) {
    let first = value.split([' ', ',']).next().unwrap_or(value);
    let first = first.strip_prefix("smtp:").unwrap_or(first);
    match first
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, rest)) => (host, rest.strip_prefix(':'), true),
        None if first.parse::<Ipv6Addr>().is_ok() => (first, None, false),
        None => match first.rsplit_once(':') {
            Some((host, port)) => (host, Some(port), false),
            None => (first, None, false),
        },
    }
}

fn loops(review: &mut Review<'_>, host: &str, port: Option<&str>, ip: Option<IpAddr>) {
    let mine = review.config.value("myhostname");
    let is_name = ["localhost", "localhost.localdomain"].contains(&host)
        || (!mine.is_empty() && mine.eq_ignore_ascii_case(host));
    let is_self = is_name || ip.is_some_and(|ip| ip.is_loopback());
    let number = match port {
        None | Some("smtp") => Some(25),
        Some("submission") => Some(587),
        Some("smtps" | "submissions") => Some(465),
        Some(port) => port.parse::<u16>().ok(),
    };
    let ports = match review.master {
        Some(master) => master.mail_ports(),
        None => vec![25],
    };
    if is_self && number.is_some_and(|n| ports.contains(&n)) {
        review.find(
            "relayhost-loop",
            State::Warn,
            "relayhost",
            "this is the relay itself: mail goes in a circle until it has too many hops",
            "name the next server",
        );
        return;
    }
    let Some(ip) = ip.filter(|ip| !ip.is_loopback()) else {
        return;
    };
    let trusted = review.config.list("mynetworks");
    let within = trusted
        .iter()
        .filter_map(|t| networks::network(t))
        .find(|net| net.contains(&ip));
    if let Some(net) = within {
        let what = format!(
            "{ip} is within {net} of mynetworks: the next server may send through here to anywhere, and mail that it hands back goes in a circle"
        );
        let hint = "leave the next server's address out of mynetworks";
        review.find("relayhost-trusted", State::Warn, "relayhost", what, hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        assert_eq!(
            split("[mx.corp.example]:587"),
            ("mx.corp.example", Some("587"), true)
        );
        assert_eq!(split("[2001:db8::1]"), ("2001:db8::1", None, true));
        assert_eq!(split("mx.corp.example"), ("mx.corp.example", None, false));
        assert_eq!(split("2001:db8::25"), ("2001:db8::25", None, false));
        assert_eq!(
            split("mx.corp.example:25"),
            ("mx.corp.example", Some("25"), false)
        );
    }
}
