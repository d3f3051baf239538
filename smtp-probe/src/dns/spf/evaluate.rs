//! What an SPF record says of an address: RFC 7208 section 4.

use std::{future::Future, net::IpAddr, pin::Pin};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    super::ask::{Dns, Fault, Kind, Record as Answer, addresses, reversed},
    macros::{Values, expand},
    record::{self, Bits, Mechanism, Qualifier},
};

/// Terms that ask the DNS (4.6.4).
const LOOKUPS: usize = 10;
/// Of their answers, those with nothing in them (4.6.4).
const VOIDS: usize = 2;

/// What came of it (2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    Neutral,
    Pass,
    Fail,
    SoftFail,
    TempError(String),
    PermError(String),
}

impl Verdict {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError(_) => "temperror",
            Self::PermError(_) => "permerror",
        }
    }
}

/// An evaluation on its way.
pub(super) struct Evaluation<'a, D> {
    dns: &'a D,
    ip: IpAddr,
    sender: String,
    helo: String,
    /// Terms that asked the DNS.
    pub(super) lookups: usize,
    voids: usize,
    /// The record of the domain itself.
    pub(super) record: Option<String>,
    /// Whether `+all` was what matched.
    pub(super) passes_all: bool,
}

/// An evaluation that ended early.
type Stop = Verdict;

impl<'a, D: Dns> Evaluation<'a, D> {
    pub(super) fn new(dns: &'a D, ip: IpAddr, domain: &str) -> Self {
        Self {
            dns,
            ip: ip.to_canonical(),
            sender: format!("postmaster@{domain}"),
            helo: domain.to_owned(),
            lookups: 0,
            voids: 0,
            record: None,
            passes_all: false,
        }
    }

    /// Does it.
    pub(super) async fn run(&mut self) -> Verdict {
        let domain = self.helo.clone();
        self.domain(domain, 0).await.unwrap_or_else(|stop| stop)
    }

    /// What a domain says; boxed, since domains name others. Each naming counts as a lookup, which
    /// ends loops.
    fn domain<'s>(
        &'s mut self,
        domain: String,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Stop>> + Send + 's>> {
        Box::pin(async move {
            let texts = self.dns.texts(&domain).await.map_err(Verdict::TempError)?;
            let mut found: Vec<String> = texts.into_iter().filter(|t| record::is_spf(t)).collect();
            if found.len() > 1 {
                let whose = if depth == 0 { "it" } else { &domain };
                let many = found.len();
                return Err(Verdict::PermError(format!(
                    "{whose} has {many} v=spf1 records"
                )));
            }
            let Some(text) = found.pop() else {
                return Ok(Verdict::None);
            };
            if depth == 0 {
                self.record = Some(text.clone());
            }
            let of = |why: String| match depth {
                0 => Verdict::PermError(why),
                _ => Verdict::PermError(format!("of {domain}: {why}")),
            };
            let record = record::parse(&text).map_err(of)?;
            for (qualifier, mechanism) in &record.directives {
                if self.matches(mechanism, &domain, depth).await? {
                    self.passes_all |= *mechanism == Mechanism::All;
                    self.passes_all &= *qualifier == Qualifier::Pass;
                    return Ok(match qualifier {
                        Qualifier::Pass => Verdict::Pass,
                        Qualifier::Fail => Verdict::Fail,
                        Qualifier::SoftFail => Verdict::SoftFail,
                        Qualifier::Neutral => Verdict::Neutral,
                    });
                }
            }
            let Some(redirect) = &record.redirect else {
                return Ok(Verdict::Neutral);
            };
            self.count()?;
            let next = self.name(redirect, &domain)?;
            match self.domain(next.clone(), depth + 1).await? {
                Verdict::None => Err(Verdict::PermError(format!(
                    "it redirects to {next}, which has no v=spf1 record"
                ))),
                verdict => Ok(verdict),
            }
        })
    }

    async fn matches(
        &mut self,
        mechanism: &Mechanism,
        domain: &str,
        depth: usize,
    ) -> Result<bool, Stop> {
        Ok(match mechanism {
            Mechanism::All => true,
            Mechanism::Ip4(net) => matches!(self.ip, IpAddr::V4(ip) if net.contains(&ip)),
            Mechanism::Ip6(net) => matches!(self.ip, IpAddr::V6(ip) if net.contains(&ip)),
            Mechanism::Include(spec) => {
                self.count()?;
                let name = self.name(spec, domain)?;
                match self.domain(name.clone(), depth + 1).await? {
                    Verdict::Pass => true,
                    Verdict::None => {
                        return Err(Verdict::PermError(format!(
                            "it includes {name}, which has no v=spf1 record"
                        )));
                    }
                    _ => {
                        self.passes_all = false;
                        false
                    }
                }
            }
            Mechanism::A(spec, bits) => {
                self.count()?;
                let name = self.own(spec.as_deref(), domain)?;
                let found = self.ask(&name, self.family()).await?;
                self.is_among(&addresses(&found), *bits)
            }
            Mechanism::Mx(spec, bits) => {
                self.count()?;
                let name = self.own(spec.as_deref(), domain)?;
                let hosts = self.ask(&name, Kind::Mx).await?;
                let hosts: Vec<String> = hosts
                    .into_iter()
                    .filter_map(|record| match record {
                        Answer::Mx(_, host) => Some(host),
                        _ => None,
                    })
                    .collect();
                if hosts.len() > LOOKUPS {
                    return Err(Verdict::PermError(format!(
                        "{name} has more than {LOOKUPS} MX"
                    )));
                }
                let mut is_match = false;
                for host in hosts {
                    // A host without an address of this family is no void lookup of the record's own.
                    let found = match self.dns.ask(&host, self.family()).await {
                        Ok(found) => found,
                        Err(Fault::Nothing) => Vec::new(),
                        Err(Fault::Failed(why)) => return Err(Verdict::TempError(why)),
                    };
                    is_match |= self.is_among(&addresses(&found), *bits);
                }
                is_match
            }
            Mechanism::Exists(spec) => {
                self.count()?;
                let name = self.name(spec, domain)?;
                !self.ask(&name, Kind::A).await?.is_empty()
            }
            Mechanism::Ptr(spec) => {
                self.count()?;
                let target = self.own(spec.as_deref(), domain)?;
                self.has_name_in(&target).await
            }
        })
    }

    /// Whether the address has a name at a domain that leads back to it (5.5). What fails is no match.
    async fn has_name_in(&self, target: &str) -> bool {
        let zone = match self.ip {
            IpAddr::V4(_) => "in-addr.arpa",
            IpAddr::V6(_) => "ip6.arpa",
        };
        let names = self.dns.ask(&reversed(self.ip, zone), Kind::Ptr).await;
        for name in names.unwrap_or_default().into_iter().take(LOOKUPS) {
            let Answer::Name(name) = name else { continue };
            let (lower, target) = (name.to_ascii_lowercase(), target.to_ascii_lowercase());
            let is_in = lower == target || lower.ends_with(&format!(".{target}"));
            if is_in
                && let Ok(found) = self.dns.ask(&name, self.family()).await
                && addresses(&found).contains(&self.ip)
            {
                return true;
            }
        }
        false
    }

    fn family(&self) -> Kind {
        match self.ip {
            IpAddr::V4(_) => Kind::A,
            IpAddr::V6(_) => Kind::Aaaa,
        }
    }

    fn is_among(&self, found: &[IpAddr], bits: Bits) -> bool {
        let net = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => Ipv4Net::new(*ip, bits.v4).ok().map(IpNet::from),
            IpAddr::V6(ip) => Ipv6Net::new(*ip, bits.v6).ok().map(IpNet::from),
        };
        found.iter().filter_map(net).any(|n| n.contains(&self.ip))
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        match self.lookups > LOOKUPS {
            true => Err(Verdict::PermError(format!(
                "it needs more than {LOOKUPS} lookups"
            ))),
            false => Ok(()),
        }
    }

    async fn ask(&mut self, name: &str, kind: Kind) -> Result<Vec<Answer>, Stop> {
        match self.dns.ask(name, kind).await {
            Ok(found) if !found.is_empty() => return Ok(found),
            Err(Fault::Failed(why)) => return Err(Verdict::TempError(why)),
            Ok(_) | Err(Fault::Nothing) => {}
        }
        self.voids += 1;
        match self.voids > VOIDS {
            true => Err(Verdict::PermError(format!(
                "more than {VOIDS} of its lookups find nothing, {name} the last"
            ))),
            false => Ok(Vec::new()),
        }
    }

    fn own(&self, spec: Option<&str>, domain: &str) -> Result<String, Stop> {
        spec.map_or_else(|| Ok(domain.to_owned()), |spec| self.name(spec, domain))
    }

    fn name(&self, spec: &str, domain: &str) -> Result<String, Stop> {
        let values = Values {
            ip: self.ip,
            sender: &self.sender,
            domain,
            helo: &self.helo,
        };
        expand(spec, &values)
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Verdict::PermError("one of its macros gives no name".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::ask::Book, *};

    async fn verdict(book: &Book, ip: &str) -> Verdict {
        Evaluation::new(book, ip.parse().unwrap(), "corp.example")
            .run()
            .await
    }

    fn book(record: &str) -> Book {
        Book::default().txt("corp.example", record)
    }

    #[tokio::test]
    async fn mechanisms_that_ask() {
        let book = book(
            "v=spf1 a mx:m.example/24 exists:%{i}.ok.example include:i.example ptr:p.example -all",
        )
        .ip("corp.example", "203.0.113.1")
        .mx("m.example", &["mx1.example", "mx2.example"])
        .ip("mx1.example", "198.51.100.1")
        .ip("mx2.example", "192.0.2.1")
        .ip("203.0.113.50.ok.example", "127.0.0.2")
        .txt("i.example", "v=spf1 ip6:2001:db8::/32 redirect=r.example")
        .txt("r.example", "v=spf1 ip4:203.0.113.60 ?all")
        .with(
            "70.113.0.203.in-addr.arpa",
            Kind::Ptr,
            Ok(vec![Answer::Name("h.p.example".into())]),
        )
        .ip("h.p.example", "203.0.113.70");
        for (ip, expected) in [
            ("203.0.113.1", Verdict::Pass),
            ("192.0.2.77", Verdict::Pass),
            ("203.0.113.50", Verdict::Pass),
            ("203.0.113.60", Verdict::Pass),
            ("::ffff:203.0.113.60", Verdict::Pass),
            ("203.0.113.70", Verdict::Pass),
            ("203.0.113.99", Verdict::Fail),
        ] {
            assert_eq!(verdict(&book, ip).await, expected, "{ip}");
        }
    }

    #[tokio::test]
    async fn a_pass_that_is_included_counts_and_nothing_else() {
        let open =
            book("v=spf1 include:i.example -all").txt("i.example", "v=spf1 -ip4:203.0.113.9 +all");
        let mut evaluation =
            Evaluation::new(&open, "198.51.100.9".parse().unwrap(), "corp.example");
        assert_eq!(evaluation.run().await, Verdict::Pass);
        assert!(evaluation.passes_all);
        assert_eq!(verdict(&open, "203.0.113.9").await, Verdict::Fail);
    }

    #[tokio::test]
    async fn loops_and_too_many_lookups_end() {
        let is_error = |v: &Verdict| matches!(v, Verdict::PermError(_));
        let ring = book("v=spf1 include:corp.example -all");
        assert!(is_error(&verdict(&ring, "203.0.113.9").await));
        let ring = book("v=spf1 redirect=corp.example");
        assert!(is_error(&verdict(&ring, "203.0.113.9").await));
        let many = book(&format!("v=spf1 {} -all", "a:x.example ".repeat(11)))
            .ip("x.example", "192.0.2.1");
        assert!(is_error(&verdict(&many, "203.0.113.9").await));
        let ten = book(&format!("v=spf1 {} -all", "a:x.example ".repeat(10)))
            .ip("x.example", "192.0.2.1");
        assert_eq!(verdict(&ten, "203.0.113.9").await, Verdict::Fail);
        let void = book("v=spf1 a:n1.example a:n2.example -all");
        assert_eq!(verdict(&void, "203.0.113.9").await, Verdict::Fail);
        let void = book("v=spf1 a:n1.example a:n2.example a:n3.example -all");
        assert!(is_error(&verdict(&void, "203.0.113.9").await));
        // Hosts without an address of IPv6 are common.
        let void =
            book("v=spf1 mx -all").mx("corp.example", &["a.example", "b.example", "c.example"]);
        assert_eq!(verdict(&void, "2001:db8::9").await, Verdict::Fail);
    }

    #[tokio::test]
    async fn errors_of_the_dns_are_transient() {
        let book = book("v=spf1 a:x.example -all").fails("x.example", Kind::A);
        assert!(matches!(
            verdict(&book, "203.0.113.9").await,
            Verdict::TempError(_)
        ));
    }

    #[tokio::test]
    async fn two_records_are_none() {
        let text = |t: &str| Answer::Text(t.to_owned());
        let two = vec![text("v=spf1 -all"), text("else"), text("v=spf1 +all")];
        let book = Book::default().with("corp.example", Kind::Txt, Ok(two));
        let Verdict::PermError(why) = verdict(&book, "203.0.113.9").await else {
            panic!("two records are an error");
        };
        assert!(why.contains("2 v=spf1"), "{why}");
    }
}
