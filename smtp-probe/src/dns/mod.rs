//! What the DNS says of the domains that send and of the address they send from.

mod ask;
mod dkim;
mod dmarc;
mod dnsbl;
mod mx;
mod ptr;
mod spf;
mod tags;

use std::{
    collections::BTreeSet,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use smtp_wire::Reply;

use self::ask::{Dns as _, Fault, Resolver};
use crate::{
    main_cf, open_relay,
    report::{Check, Class, Phase},
    target::Target,
};

/// Checks with questions one after the other end after so many times the limit of one question.
const ROUNDS: u32 = 4;

/// Checks asked for at once.
const MOST: usize = 64;

type Asking<'a> = Pin<Box<dyn Future<Output = Vec<Check>> + Send + 'a>>;

/// The first mail server of a domain; nothing if the DNS names none.
pub(crate) async fn mail_host(target: &Target, domain: &str) -> Option<String> {
    let resolver = Resolver::new(target.dns.server, target.limits.dns).ok()?;
    let records = resolver.ask(domain, ask::Kind::Mx).await.ok()?;
    let hosts = records.into_iter().filter_map(|record| match record {
        ask::Record::Mx(preference, host) if !host.is_empty() => Some((preference, host)),
        _ => None,
    });
    hosts.min().map(|(_, host)| host)
}

/// The addresses of a name, asked of one resolver. An error is for people.
pub(crate) async fn addresses(
    server: SocketAddr,
    within: Duration,
    name: &str,
) -> Result<Vec<IpAddr>, String> {
    let resolver = Resolver::new(Some(server), within).map_err(|e| e.to_string())?;
    resolver.addresses(name).await.map_err(|fault| match fault {
        Fault::Nothing => "no such name".to_owned(),
        Fault::Failed(why) => why,
    })
}

/// What other checks saw of the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relay {
    /// The full name that it greeted us with.
    pub(crate) name: Option<String>,
    /// The public address from which a canary reached the next server.
    pub(crate) egress: Option<IpAddr>,
}

impl Relay {
    /// What the banner and the canaries' checks tell.
    pub(crate) fn seen(banner: Option<&Reply>, checks: &[Check]) -> Self {
        let canaries = checks.iter().filter(|c| c.id == "canary");
        let mut addresses = canaries.filter_map(|c| {
            let egress = c.data.as_ref()?.get("egress")?.as_str()?;
            egress.parse().ok().filter(|ip| is_public(*ip))
        });
        Self {
            name: banner.and_then(open_relay::own_name),
            egress: addresses.next(),
        }
    }
}

/// Asks all of it at once. The address that mail leaves from is the one that the target names, or
/// that a canary was seen from, or the target's own if that is a public one. The name that the
/// relay greets others with is that of its main.cf, or else the one that it greets us with.
pub(crate) async fn run(target: &Target, relay: Relay) -> Vec<Check> {
    let own = || target.host.parse().ok().filter(|ip| is_public(*ip));
    let egress = target.dns.egress.or(relay.egress).or_else(own);
    let egress = egress.map(|ip| ip.to_canonical());
    let resolver = match Resolver::new(target.dns.server, target.limits.dns) {
        Ok(resolver) => resolver,
        Err(e) => {
            let text = format!("the system names no resolver: {e}");
            let check = Check::unknown("egress_ip", Phase::Dns, Class::Local, text);
            return vec![check.hint("name one by --dns")];
        }
    };
    let written = match &target.main_cf {
        Some(path) => main_cf::written(path).await,
        None => main_cf::Written::default(),
    };
    let greeting = written.greeting.or(relay.name);
    let mut checks = vec![egress_ip(target, egress)];
    let mut all = ask_all(target, &resolver, egress, greeting.as_deref(), &mut checks);
    let is_asked = |zone: &String| target.dns.dnsbl.contains(zone) && egress.is_some();
    let zones = written.block_lists.iter().filter(|zone| !is_asked(zone));
    for zone in zones {
        let about = About("dnsbl", main_cf::without_key(zone));
        let within = target.limits.dns * ROUNDS;
        all.push(about.within(within, dnsbl::self_test(&resolver, zone)));
    }
    let mut waiting = all.into_iter();
    // In parts, so that no number of zones and domains floods a resolver.
    loop {
        let part: Vec<Asking<'_>> = waiting.by_ref().take(MOST).collect();
        if part.is_empty() {
            return checks;
        }
        checks.extend(join_all(part).await.into_iter().flatten());
    }
}

fn ask_all<'a>(
    target: &'a Target,
    dns: &'a Resolver,
    egress: Option<IpAddr>,
    greeting: Option<&'a str>,
    skipped: &mut Vec<Check>,
) -> Vec<Asking<'a>> {
    let within = target.limits.dns * ROUNDS;
    let mut all: Vec<Asking<'a>> = Vec::new();
    let mut skip = |id: &'static str, why: &str| skipped.push(Check::skip(id, Phase::Dns, why));
    let no_address = "no public address that it sends from is known";
    match egress.filter(|ip| is_public(*ip)) {
        Some(ip) => {
            for zone in &target.dns.dnsbl {
                let about = About("dnsbl", main_cf::without_key(zone));
                all.push(about.within(within, dnsbl::check(dns, zone, ip)));
            }
            if target.dns.dnsbl.is_empty() {
                skip("dnsbl", "no block lists are named");
            }
            let about = About("ptr", String::new());
            all.push(about.within(within, ptr::check(dns, ip, greeting)));
        }
        None => {
            skip("dnsbl", no_address);
            skip("ptr", no_address);
        }
    }
    let domains = domains(target);
    for domain in &domains {
        let about = |id| About(id, domain.clone());
        let of_spf = domain.clone();
        all.push(about("spf").within(
            within,
            async move { spf::check(dns, &of_spf, egress).await },
        ));
        for selector in &target.dns.dkim {
            let domain = domain.clone();
            let asked = async move { dkim::check(dns, selector, &domain).await };
            let name = format!("{selector}._domainkey.{}", about("").1);
            all.push(About("dkim", name).within(within, asked));
        }
        let of_dmarc = domain.clone();
        all.push(about("dmarc").within(within, async move { dmarc::check(dns, &of_dmarc).await }));
        let of_mx = domain.clone();
        all.push(about("mx").within(within, async move { mx::check(dns, &of_mx).await }));
    }
    if domains.is_empty() {
        for id in ["spf", "dkim", "dmarc", "mx"] {
            skip(id, "no domain that sends is known; --from names one");
        }
    } else if target.dns.dkim.is_empty() {
        skip("dkim", "no selectors are named");
    }
    match greeting {
        Some(name) => {
            let about = About("helo_dns", name.to_owned());
            all.push(about.within(within, ptr::helo(dns, name, egress)));
        }
        None => skip(
            "helo_dns",
            "the name that it greets others with is not known: its banner has no full one; --main-cf tells it",
        ),
    }
    all
}

/// A check and what it is about.
struct About(&'static str, String);

impl About {
    /// The check, or that it took too long.
    fn within<'a>(
        self,
        within: Duration,
        check: impl Future<Output = Check> + Send + 'a,
    ) -> Asking<'a> {
        Box::pin(async move {
            let begun = Instant::now();
            let check = timeout(within, check).await.unwrap_or_else(|_| {
                let late = Fault::check(format!("no end of it within {within:?}"), self.0);
                match self.1.is_empty() {
                    true => late,
                    false => late.subject(self.1),
                }
            });
            vec![check.took(begun.elapsed())]
        })
    }
}

fn egress_ip(target: &Target, egress: Option<IpAddr>) -> Check {
    const ID: &str = "egress_ip";
    match egress {
        Some(ip) if is_public(ip) => Check::ok(ID, Phase::Dns, format!("mail leaves from {ip}")),
        Some(ip) => Check::unknown(
            ID,
            Phase::Dns,
            Class::Local,
            format!("{ip} is a private address, which others do not see"),
        )
        .hint("name the address that the world sees with --egress"),
        None if target.dns.wanted => Check::unknown(
            ID,
            Phase::Dns,
            Class::Local,
            "which address mail leaves from is not known",
        )
        .hint("name it with --egress"),
        None => Check::skip(ID, Phase::Dns, "the target names none"),
    }
}

/// The domains that send: those named, else those of the senders, else those of the recipients.
fn domains(target: &Target) -> BTreeSet<String> {
    let clean = |domain: &str| domain.trim().trim_end_matches('.').to_ascii_lowercase();
    let of = |addresses: &[String]| -> BTreeSet<String> {
        let domains = addresses.iter().filter_map(|a| a.rsplit_once('@'));
        let domains = domains.map(|(_, d)| clean(d));
        domains
            .filter(|d| !d.is_empty() && !d.starts_with('['))
            .collect()
    };
    let named: BTreeSet<String> = target.dns.domains.iter().map(|d| clean(d)).collect();
    let mut sets = [named, of(&target.from), of(&target.rcpt)].into_iter();
    sets.find(|set| !set.is_empty()).unwrap_or_default()
}

/// Whether it is of the world: neither private nor of this machine.
fn is_public(ip: IpAddr) -> bool {
    main_cf::is_public(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_whom() {
        let mut target = Target::new("192.168.0.1", 25);
        target.rcpt = vec!["a@RCPT.example".into(), "b@rcpt.example.".into()];
        let names = |target: &Target| domains(target).into_iter().collect::<Vec<_>>();
        assert_eq!(names(&target), ["rcpt.example"]);
        target.from = vec![String::new(), "root@[192.0.2.1]".into()];
        assert_eq!(names(&target), ["rcpt.example"]);
        target.from.push("a@from.example".into());
        assert_eq!(names(&target), ["from.example"]);
        target.dns.domains = vec!["named.example".into()];
        assert_eq!(names(&target), ["named.example"]);
    }

    #[test]
    fn what_was_seen_of_a_relay() {
        let canary = |egress: &str| {
            let data = serde_json::json!({ "egress": egress });
            Check::ok("canary", Phase::Delivery, "it came").data(data)
        };
        let other = Check::ok("quit", Phase::Quit, "221");
        let seen = |banner: &str, egress: &str| {
            let banner: Reply = banner.parse().unwrap();
            Relay::seen(Some(&banner), &[other.clone(), canary(egress)])
        };
        let relay = seen("220 mail.corp.example ESMTP", "203.0.113.9");
        assert_eq!(relay.name.as_deref(), Some("mail.corp.example"));
        assert_eq!(relay.egress, "203.0.113.9".parse().ok());
        assert_eq!(seen("220 mail ESMTP", "10.0.0.1"), Relay::default());
        assert_eq!(Relay::seen(None, &[]), Relay::default());
    }

    #[test]
    fn an_address_that_nobody_sees_is_none() {
        let mut target = Target::new("192.168.0.1", 25);
        let state = |target: &Target, ip: Option<&str>| {
            egress_ip(target, ip.map(|i| i.parse().unwrap())).state
        };
        use crate::State;
        assert_eq!(state(&target, Some("203.0.113.9")), State::Ok);
        assert_eq!(state(&target, Some("10.0.0.1")), State::Unknown);
        assert_eq!(state(&target, None), State::Skip);
        target.dns.wanted = true;
        assert_eq!(state(&target, None), State::Unknown);
    }
}
