//! Whether block lists have the address: RFC 5782.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ask::{Dns, Fault, Kind, addresses, printable, reversed};
use crate::{
    main_cf::without_key,
    report::{Check, Class, Phase, State},
};

const ID: &str = "dnsbl";

/// What a zone says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Listed(Vec<Ipv4Addr>),
    Not,
    /// It does not answer us: 127.255.255.0/24.
    Refused(Ipv4Addr),
    /// Something that no block list says.
    Other(IpAddr),
    Failed(String),
}

/// Asks one zone, and whether it still works.
pub(super) async fn check(dns: &impl Dns, zone: &str, egress: IpAddr) -> Check {
    let zone = zone.trim_end_matches('.');
    let (tests, said) = futures_util::join!(tests(dns, zone, egress), ask(dns, zone, egress));
    shown(judge(dns, zone, egress, tests, said).await, zone)
}

/// Asks only whether a zone that the relay asks still works.
pub(super) async fn self_test(dns: &impl Dns, zone: &str) -> Check {
    let zone = zone.trim_end_matches('.');
    let nobody = Ipv4Addr::LOCALHOST.into();
    let tests = tests(dns, zone, nobody).await;
    let is_failed = |said: &Said| matches!(said, Said::Failed(_));
    let is_open = is_failed(&tests.0) || is_failed(&tests.1);
    let check = judge(dns, zone, nobody, tests, Said::Not).await;
    let check = match check.state {
        State::Ok => Check::ok(ID, Phase::Dns, format!("{zone}, which main.cf asks, works")),
        _ if is_open => check,
        _ => check.state(State::Warn),
    };
    shown(check, zone)
}

/// The check as all may see it.
fn shown(mut check: Check, zone: &str) -> Check {
    let name = without_key(zone);
    check.text = check.text.replace(zone, &name);
    check.subject(name)
}

/// What it says of the addresses that it must have, and must not have (RFC 5782 5).
async fn tests(dns: &impl Dns, zone: &str, like: IpAddr) -> (Said, Said) {
    let (test, none): (IpAddr, IpAddr) = match like.to_canonical() {
        IpAddr::V4(_) => (
            Ipv4Addr::new(127, 0, 0, 2).into(),
            Ipv4Addr::LOCALHOST.into(),
        ),
        IpAddr::V6(_) => {
            let mapped = |last| Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, last);
            (mapped(2).into(), mapped(1).into())
        }
    };
    futures_util::join!(ask(dns, zone, test), ask(dns, zone, none))
}

async fn judge(
    dns: &impl Dns,
    zone: &str,
    egress: IpAddr,
    (test, none): (Said, Said),
    said: Said,
) -> Check {
    let unknown = |what: String, hint: &str| {
        Check::unknown(ID, Phase::Dns, Class::Dns, format!("{zone}: {what}")).hint(hint)
    };
    let remove =
        "the list is dead or changed hands: take it out of your settings, here and in the relay";
    match (said, test, none) {
        (Said::Failed(why), ..) | (_, Said::Failed(why), _) | (_, _, Said::Failed(why)) => {
            Fault::check(why, ID)
        }
        (Said::Refused(code), ..) | (_, Said::Refused(code), _) | (_, _, Said::Refused(code)) => {
            unknown(
                format!(
                    "it refuses the question ({code}): a public resolver, too many questions or a slip in the name"
                ),
                "ask through a resolver of your own; --dns names one",
            )
        }
        (Said::Other(ip), ..) | (_, Said::Other(ip), _) | (_, _, Said::Other(ip)) => unknown(
            format!(
                "it answers {ip}, which no block list does: its domain is somebody else's now, or the resolver makes answers up"
            ),
            remove,
        ),
        (_, Said::Not, _) => unknown(
            "it does not list its own test address 127.0.0.2".to_owned(),
            remove,
        ),
        (_, _, Said::Listed(_)) => {
            unknown("it lists 127.0.0.1, and so everybody".to_owned(), remove)
        }
        (Said::Listed(codes), ..) => {
            let codes: Vec<String> = codes.iter().map(Ipv4Addr::to_string).collect();
            let texts = dns.texts(&reversed(egress, zone)).await.unwrap_or_default();
            let why = texts
                .first()
                .map(|t| format!(": {}", printable(t)))
                .unwrap_or_default();
            let text = format!("{zone} lists {egress} ({}){why}", codes.join(", "));
            Check::crit(ID, Phase::Dns, Class::Dns, text).hint(
                "find what was sent from there, stop it, and ask the list to take the address off",
            )
        }
        (Said::Not, ..) => Check::ok(ID, Phase::Dns, format!("{zone} does not list {egress}")),
    }
}

async fn ask(dns: &impl Dns, zone: &str, ip: IpAddr) -> Said {
    // A mapped address is asked for by its nibbles, as RFC 5782 2.4 has it.
    let name = match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => nibbles(v6, zone),
        _ => reversed(ip, zone),
    };
    let found = match dns.ask(&name, Kind::A).await {
        Err(Fault::Nothing) => return Said::Not,
        Err(Fault::Failed(why)) => return Said::Failed(why),
        Ok(records) => addresses(&records),
    };
    let mut codes = Vec::new();
    for ip in found {
        match ip {
            IpAddr::V4(ip) if ip.octets()[..3] == [127, 255, 255] => return Said::Refused(ip),
            IpAddr::V4(ip) if ip.is_loopback() => codes.push(ip),
            other => return Said::Other(other),
        }
    }
    match codes.is_empty() {
        true => Said::Not,
        false => Said::Listed(codes),
    }
}

fn nibbles(ip: Ipv6Addr, zone: &str) -> String {
    let octets = ip.octets();
    let nibbles = octets
        .iter()
        .rev()
        .map(|o| format!("{:x}.{:x}.", o & 15, o >> 4));
    nibbles.collect::<String>() + zone
}

#[cfg(test)]
mod tests {
    use super::{super::ask::Book, *};

    fn zone() -> Book {
        Book::default().ip("2.0.0.127.bl.example", "127.0.0.2")
    }

    async fn state(book: Book) -> (State, String) {
        let check = check(&book, "bl.example", "203.0.113.9".parse().unwrap()).await;
        assert_eq!(check.subject.as_deref(), Some("bl.example"));
        (check.state, check.text)
    }

    const US: &str = "9.113.0.203.bl.example";

    #[tokio::test]
    async fn answers_of_all_kinds() {
        assert_eq!(state(zone()).await.0, State::Ok);
        let (listed, text) = state(
            zone()
                .ip(US, "127.0.0.4")
                .txt(US, "see\r\nhttps://bl.example"),
        )
        .await;
        assert_eq!(listed, State::Crit);
        assert_eq!(
            text,
            "bl.example lists 203.0.113.9 (127.0.0.4): see  https://bl.example"
        );
        for (book, word) in [
            (zone().ip(US, "127.255.255.254"), "refuses"),
            (
                Book::default().ip("2.0.0.127.bl.example", "127.255.255.252"),
                "refuses",
            ),
            (zone().ip(US, "192.0.2.80"), "no block list"),
            (Book::default(), "test address"),
            (zone().ip("1.0.0.127.bl.example", "127.0.0.2"), "everybody"),
            (zone().fails(US, Kind::A), "SERVFAIL"),
        ] {
            let (state, text) = state(book).await;
            assert_eq!(state, State::Unknown, "{text}");
            assert!(text.contains(word), "{text}");
        }
    }

    #[tokio::test]
    async fn lists_that_the_relay_asks_are_tested() {
        let test = async |book: Book| self_test(&book, "bl.example").await.state;
        assert_eq!(test(zone()).await, State::Ok);
        assert_eq!(test(Book::default()).await, State::Warn);
        let all = zone().ip("1.0.0.127.bl.example", "127.0.0.2");
        assert_eq!(test(all).await, State::Warn);
    }

    #[tokio::test]
    async fn no_key_is_told() {
        let zone = "hunter2.zen.dq.spamhaus.net";
        let us = "203.0.113.9".parse().unwrap();
        let listed = Book::default()
            .ip(&format!("2.0.0.127.{zone}"), "127.0.0.2")
            .ip(&format!("9.113.0.203.{zone}"), "127.0.0.4");
        let failing = Book::default().fails(&format!("2.0.0.127.{zone}"), Kind::A);
        for (book, expected) in [(listed, State::Crit), (failing, State::Unknown)] {
            let check = check(&book, zone, us).await;
            assert_eq!(check.state, expected);
            assert!(!format!("{check:?}").contains("hunter2"), "{check:?}");
        }
    }

    #[tokio::test]
    async fn addresses_of_ipv6() {
        let book = Book::default().ip(
            &nibbles("::ffff:127.0.0.2".parse().unwrap(), "bl.example"),
            "127.0.0.2",
        );
        let check = check(&book, "bl.example", "2001:db8::9".parse().unwrap()).await;
        assert_eq!(check.state, State::Ok, "{}", check.text);
    }
}
