//! The names of the address that it sends from: PTR, and the name that it greets with.

use std::net::IpAddr;

use futures_util::future::join_all;

use super::ask::{Dns, Fault, Kind, Record, printable, reversed};
use crate::report::{Check, Class, Phase};

/// Names that are followed back.
const MOST: usize = 10;

/// Whether the address has a name that leads back to it.
pub(super) async fn check(dns: &impl Dns, egress: IpAddr, helo: Option<&str>) -> Check {
    const ID: &str = "ptr";
    let zone = match egress.to_canonical() {
        IpAddr::V4(_) => "in-addr.arpa",
        IpAddr::V6(_) => "ip6.arpa",
    };
    let hint = "let the provider of the address set its PTR record to the relay's name";
    let records = match dns.ask(&reversed(egress, zone), Kind::Ptr).await {
        Ok(records) => records,
        Err(Fault::Failed(why)) => return Fault::check(why, ID),
        Err(Fault::Nothing) => Vec::new(),
    };
    let mut names: Vec<String> = records
        .into_iter()
        .filter_map(|r| match r {
            Record::Name(name) => Some(name),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        let text = format!("{egress} has no name (PTR), and large receivers refuse its mail");
        return Check::crit(ID, Phase::Dns, Class::Dns, text).hint(hint);
    }
    let helo = helo.map(|name| name.trim_end_matches('.'));
    let is_helo = |name: &str| helo.is_none_or(|helo| helo.eq_ignore_ascii_case(name));
    // The name that it greets with is the best one.
    names.sort_by_key(|name| !is_helo(name));
    names.truncate(MOST);
    let mut confirmed = None;
    let mut open = None;
    let back = join_all(names.iter().map(|name| dns.addresses(name))).await;
    for (name, back) in names.iter().zip(back) {
        match back {
            Ok(found) if found.contains(&egress) => {
                confirmed = Some(name);
                break;
            }
            Err(Fault::Failed(why)) => open = Some(why),
            Ok(_) | Err(Fault::Nothing) => {}
        }
    }
    let warn = |text: String, hint: &str| Check::warn(ID, Phase::Dns, Class::Dns, text).hint(hint);
    let Some(name) = confirmed else {
        if let Some(why) = open {
            return Fault::check(why, ID);
        }
        let names: Vec<String> = names.iter().map(|n| printable(n)).collect();
        let text = format!(
            "{egress} is {}, which does not lead back to it",
            names.join(", ")
        );
        return warn(
            text,
            "publish an address record of that name, or mend the PTR record",
        );
    };
    if is_generic(name, egress) {
        let text = format!("{egress} is {name}, a name as providers give to all their addresses");
        return warn(text, hint);
    }
    match helo {
        Some(helo) if !is_helo(name) => warn(
            format!("{egress} is {name}, and the relay greets as {helo}"),
            "make the two the same: the PTR record, or myhostname",
        ),
        _ => Check::ok(
            ID,
            Phase::Dns,
            format!("{egress} is {name}, which leads back to it"),
        ),
    }
}

/// Whether the name the relay greets with leads to the address it sends from.
pub(super) async fn helo(dns: &impl Dns, helo: &str, egress: Option<IpAddr>) -> Check {
    const ID: &str = "helo_dns";
    let hint = "publish an address record of the name, or set myhostname to one that has it";
    let warn = |what: String| {
        Check::warn(ID, Phase::Dns, Class::Dns, what)
            .hint(hint)
            .subject(helo)
    };
    match (dns.addresses(helo).await, egress) {
        (Err(Fault::Failed(why)), _) => Fault::check(why, ID).subject(helo),
        (Err(Fault::Nothing), _) => warn(format!("{helo}, as it greets, has no address")),
        (Ok(found), Some(egress)) if !found.contains(&egress) => {
            let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
            warn(format!(
                "{helo}, as it greets, is {} and not {egress}",
                found.join(", ")
            ))
        }
        (Ok(_), Some(egress)) => {
            Check::ok(ID, Phase::Dns, format!("{helo}, as it greets, is {egress}")).subject(helo)
        }
        (Ok(found), None) => {
            let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
            let text = format!("{helo}, as it greets, is {}", found.join(", "));
            Check::ok(ID, Phase::Dns, text).subject(helo)
        }
    }
}

/// Whether a name says only which address it is.
fn is_generic(name: &str, ip: IpAddr) -> bool {
    const WORDS: &[&str] = &[
        "dhcp",
        "dialup",
        "dsl",
        "dynamic",
        "dyn",
        "pool",
        "ppp",
        "unassigned",
        "broadband",
    ];
    let name = name.to_ascii_lowercase();
    let labels: Vec<&str> = name.split(['.', '-']).collect();
    if labels.iter().any(|l| WORDS.contains(l)) || name.starts_with("ec2-") {
        return true;
    }
    let IpAddr::V4(ip) = ip else { return false };
    let octets = ip.octets();
    let forms = |order: [u8; 4]| {
        let plain = order.map(|o| o.to_string());
        let padded = order.map(|o| format!("{o:03}"));
        [
            plain.join("."),
            plain.join("-"),
            padded.concat(),
            order.map(|o| format!("{o:02x}")).concat(),
        ]
    };
    let [a, b, c, d] = octets;
    let mut all = forms([a, b, c, d]).into_iter().chain(forms([d, c, b, a]));
    all.any(|form| name.contains(&form))
}

#[cfg(test)]
mod tests {
    use super::{super::ask::Book, *};
    use crate::report::State;

    fn book(ptr: &str, back: &str) -> Book {
        Book::default()
            .with(
                "9.113.0.203.in-addr.arpa",
                Kind::Ptr,
                Ok(vec![Record::Name(ptr.to_owned())]),
            )
            .ip(ptr, back)
    }

    #[tokio::test]
    async fn names_and_the_way_back() {
        let ip: IpAddr = "203.0.113.9".parse().unwrap();
        let good = book("mail.corp.example", "203.0.113.9");
        assert_eq!(check(&good, ip, None).await.state, State::Ok);
        assert_eq!(
            check(&good, ip, Some("MAIL.corp.example")).await.state,
            State::Ok
        );
        assert_eq!(
            check(&good, ip, Some("other.example")).await.state,
            State::Warn
        );
        assert_eq!(check(&Book::default(), ip, None).await.state, State::Crit);
        let away = book("mail.corp.example", "203.0.113.10");
        assert_eq!(check(&away, ip, None).await.state, State::Warn);
        // One of its names is enough.
        let names = ["a.corp.example", "Mail.corp.example"];
        let both = names
            .iter()
            .fold(Book::default(), |b, name| b.ip(name, "203.0.113.9"));
        let names = names.map(|name| Record::Name(name.to_owned())).to_vec();
        let both = both.with("9.113.0.203.in-addr.arpa", Kind::Ptr, Ok(names));
        let found = check(&both, ip, Some("mail.corp.example.")).await;
        assert_eq!(found.state, State::Ok, "{}", found.text);
        let generic = book("ec2-203-0-113-9.compute.example", "203.0.113.9");
        assert_eq!(check(&generic, ip, None).await.state, State::Warn);
        let failing = Book::default().fails("9.113.0.203.in-addr.arpa", Kind::Ptr);
        assert_eq!(check(&failing, ip, None).await.state, State::Unknown);
    }

    #[tokio::test]
    async fn the_greeting_and_its_address() {
        let book = Book::default().ip("mail.corp.example", "203.0.113.9");
        let at = |ip: &str| Some(ip.parse().unwrap());
        assert_eq!(
            helo(&book, "mail.corp.example", at("203.0.113.9"))
                .await
                .state,
            State::Ok
        );
        assert_eq!(
            helo(&book, "mail.corp.example", at("203.0.113.8"))
                .await
                .state,
            State::Warn
        );
        assert_eq!(
            helo(&book, "gone.corp.example", at("203.0.113.8"))
                .await
                .state,
            State::Warn
        );
        assert_eq!(
            helo(&book, "mail.corp.example", None).await.state,
            State::Ok
        );
    }

    #[test]
    fn names_of_providers() {
        let ip = "203.0.113.9".parse().unwrap();
        for name in [
            "203-0-113-9.isp.example",
            "9.113.0.203.isp.example",
            "host203000113009.isp.example",
            "a.dynamic.isp.example",
        ] {
            assert!(is_generic(name, ip), "{name}");
        }
        assert!(!is_generic("mail.corp.example", ip));
    }
}
