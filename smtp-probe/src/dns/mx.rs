//! Where mail for a domain goes, bounces among it: RFC 5321 5.1, RFC 7505.

use futures_util::{future::join_all, join};

use super::ask::{Dns, Fault, Kind, Record, printable};
use crate::report::{Check, Class, Phase};

const ID: &str = "mx";
/// Hosts that are looked up.
const MOST: usize = 10;

/// Looks at a domain's mail hosts.
pub(super) async fn check(dns: &impl Dns, domain: &str) -> Check {
    let crit = |what: String, hint: &str| {
        let text = format!("{domain}: {what}");
        Check::crit(ID, Phase::Dns, Class::Dns, text)
            .hint(hint)
            .subject(domain)
    };
    let warn = |what: String, hint: &str| {
        let text = format!("{domain}: {what}");
        Check::warn(ID, Phase::Dns, Class::Dns, text)
            .hint(hint)
            .subject(domain)
    };
    let records = match dns.ask(domain, Kind::Mx).await {
        Ok(records) => records,
        Err(Fault::Failed(why)) => return Fault::check(why, ID).subject(domain),
        Err(Fault::Nothing) => Vec::new(),
    };
    let mut hosts: Vec<(u16, String)> = records
        .into_iter()
        .filter_map(|r| match r {
            Record::Mx(preference, host) => Some((preference, host)),
            _ => None,
        })
        .collect();
    hosts.sort();
    let publish = "publish an MX record that names a host with an address";
    if hosts.is_empty() {
        return match dns.addresses(domain).await {
            Ok(_) => warn(
                "it has no MX, and mail goes to its own address".to_owned(),
                publish,
            ),
            Err(Fault::Nothing) => crit(
                "it has neither MX nor address: no bounce and no answer can come back".to_owned(),
                publish,
            ),
            Err(Fault::Failed(why)) => Fault::check(why, ID).subject(domain),
        };
    }
    if hosts.iter().any(|(_, host)| host.is_empty()) {
        let what = match hosts.len() {
            1 => {
                "it says that it takes no mail (null MX), and receivers refuse mail from it (RFC 7505 4.2)"
            }
            _ => "it has a null MX beside others, which means nothing (RFC 7505 3)",
        };
        return crit(
            what.to_owned(),
            "name the host that takes its mail instead of the dot",
        );
    }
    hosts.truncate(MOST);
    let looks = hosts.iter().map(|(_, host)| host_fault(dns, host));
    let faults: Vec<Option<(bool, String)>> = join_all(looks).await;
    let names: Vec<String> = hosts.iter().map(|(_, host)| printable(host)).collect();
    let bad: Vec<&str> = faults
        .iter()
        .flatten()
        .map(|(_, what)| what.as_str())
        .collect();
    let is_open =
        |fault: &Option<(bool, String)>| fault.as_ref().is_some_and(|(is_open, _)| *is_open);
    if bad.is_empty() {
        let text = format!("{domain}: mail goes to {}", names.join(", "));
        Check::ok(ID, Phase::Dns, text).subject(domain)
    } else if bad.len() == hosts.len() && faults.iter().any(is_open) {
        Fault::check(format!("{domain}: {}", bad.join("; ")), ID).subject(domain)
    } else if bad.len() == hosts.len() {
        crit(bad.join("; "), publish)
    } else {
        warn(bad.join("; "), publish)
    }
}

/// What is wrong with a host, and whether that could not be found out.
async fn host_fault(dns: &impl Dns, host: &str) -> Option<(bool, String)> {
    let host_shown = printable(host);
    if host.parse::<std::net::IpAddr>().is_ok() {
        let what = format!("{host_shown} is an address, and an MX names a host");
        return Some((false, what));
    }
    let (a, aaaa) = join!(dns.ask(host, Kind::A), dns.ask(host, Kind::Aaaa));
    let records = [a, aaaa].into_iter().flatten().flatten();
    if records.into_iter().any(|r| matches!(r, Record::Alias(_))) {
        let what =
            format!("{host_shown} is an alias (CNAME), which an MX must not name (RFC 2181 10.3)");
        return Some((false, what));
    }
    match dns.addresses(host).await {
        Ok(_) => None,
        Err(Fault::Nothing) => Some((false, format!("{host_shown} has no address"))),
        Err(Fault::Failed(why)) => Some((true, why)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ask::Book, *};
    use crate::report::State;

    #[tokio::test]
    async fn hosts_of_all_kinds() {
        let alias = Ok(vec![
            Record::Alias("real.example".into()),
            Record::Address("192.0.2.1".parse().unwrap()),
        ]);
        let book = Book::default()
            .mx("good.example", &["mx.example"])
            .ip("mx.example", "192.0.2.1")
            .mx("null.example", &[""])
            .mx("ip.example", &["192.0.2.1"])
            .mx("alias.example", &["alias.host.example"])
            .with("alias.host.example", Kind::A, alias)
            .mx("half.example", &["mx.example", "gone.example"])
            .mx("gone.example", &["nowhere.example"])
            .ip("implicit.example", "2001:db8::1")
            .mx("open.example", &["slow.example"])
            .fails("slow.example", Kind::A)
            .fails("broken.example", Kind::Mx);
        for (domain, expected) in [
            ("good.example", State::Ok),
            ("null.example", State::Crit),
            ("ip.example", State::Crit),
            ("alias.example", State::Crit),
            ("half.example", State::Warn),
            ("gone.example", State::Crit),
            ("implicit.example", State::Warn),
            ("nothing.example", State::Crit),
            ("open.example", State::Unknown),
            ("broken.example", State::Unknown),
        ] {
            let check = check(&book, domain).await;
            assert_eq!(check.state, expected, "{domain}: {}", check.text);
            assert_eq!(check.subject.as_deref(), Some(domain));
        }
    }
}
