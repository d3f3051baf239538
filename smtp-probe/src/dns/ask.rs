//! Questions to the DNS.

use std::{future::Future, net::IpAddr, net::SocketAddr, time::Duration};

use hickory_resolver::{
    Name, ResolveError, TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    name_server::TokioConnectionProvider,
    proto::{
        ProtoErrorKind,
        op::ResponseCode,
        rr::{RData, RecordType},
        xfer::Protocol,
    },
};
use tokio::time::timeout;

use crate::report::{Check, Class, Phase};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    A,
    Aaaa,
    Mx,
    Ptr,
    Txt,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
        }
    }
}

/// A record of an answer. Names have no dot at their end; the root is the empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Mx(u16, String),
    Name(String),
    Text(String),
    /// A CNAME on the way.
    Alias(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is nothing of that kind, or not even the name.
    Nothing,
    /// It could not be found out, and why.
    Failed(String),
}

impl Fault {
    /// The check of what could not be found out.
    pub(super) fn check(why: impl Into<String>, id: &'static str) -> Check {
        Check::unknown(id, Phase::Dns, Class::Dns, why)
            .hint("see that the resolver answers; --dns names another one")
    }
}

pub(super) type Answer = Result<Vec<Record>, Fault>;

/// A way to ask.
pub(super) trait Dns: Sync {
    /// Asks for the records of one kind of a name.
    fn ask(&self, name: &str, kind: Kind) -> impl Future<Output = Answer> + Send;

    /// The addresses of a name, of both families.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, Fault>> + Send {
        async move {
            let (a, aaaa) =
                futures_util::join!(self.ask(name, Kind::A), self.ask(name, Kind::Aaaa));
            let (found, fault) = match (a, aaaa) {
                (Ok(a), Ok(aaaa)) => ([a, aaaa].concat(), Fault::Nothing),
                (Ok(found), Err(fault)) | (Err(fault), Ok(found)) => (found, fault),
                (Err(Fault::Failed(why)), _) | (_, Err(Fault::Failed(why))) => {
                    return Err(Fault::Failed(why));
                }
                (Err(Fault::Nothing), Err(Fault::Nothing)) => return Err(Fault::Nothing),
            };
            let addresses: Vec<IpAddr> = addresses(&found);
            match addresses.is_empty() {
                true => Err(fault),
                false => Ok(addresses),
            }
        }
    }

    /// The texts of a name; none is no fault.
    fn texts(&self, name: &str) -> impl Future<Output = Result<Vec<String>, String>> + Send {
        async move {
            match self.ask(name, Kind::Txt).await {
                Ok(records) => Ok(records
                    .into_iter()
                    .filter_map(|r| match r {
                        Record::Text(text) => Some(text),
                        _ => None,
                    })
                    .collect()),
                Err(Fault::Nothing) => Ok(Vec::new()),
                Err(Fault::Failed(why)) => Err(why),
            }
        }
    }
}

/// The addresses among records.
pub(super) fn addresses(records: &[Record]) -> Vec<IpAddr> {
    let addresses = records.iter().filter_map(|r| match r {
        Record::Address(ip) => Some(*ip),
        _ => None,
    });
    addresses.collect()
}

/// Asks a resolver by UDP, and by TCP what does not fit.
#[derive(Debug)]
pub(super) struct Resolver {
    resolver: TokioResolver,
    within: Duration,
}

impl Resolver {
    /// One that asks a server, or those of the system.
    ///
    /// # Errors
    /// The system names none.
    pub(super) fn new(server: Option<SocketAddr>, within: Duration) -> Result<Self, ResolveError> {
        let (config, mut options) = match server {
            None => hickory_resolver::system_conf::read_system_conf()?,
            Some(server) => {
                let mut config = ResolverConfig::new();
                config.add_name_server(NameServerConfig::new(server, Protocol::Udp));
                config.add_name_server(NameServerConfig::new(server, Protocol::Tcp));
                (config, ResolverOpts::default())
            }
        };
        // A lost packet is sent once more; what is left of the time is for TCP.
        options.timeout = within * 2 / 5;
        options.attempts = 1;
        options.edns0 = true;
        options.use_hosts_file = ResolveHosts::Never;
        let builder =
            TokioResolver::builder_with_config(config, TokioConnectionProvider::default());
        Ok(Self {
            resolver: builder.with_options(options).build(),
            within,
        })
    }
}

impl Dns for Resolver {
    async fn ask(&self, name: &str, kind: Kind) -> Answer {
        // What a whole name may not be is nowhere in the DNS.
        let Ok(mut query) = Name::from_ascii(name) else {
            return Err(Fault::Nothing);
        };
        query.set_fqdn(true);
        let types = match kind {
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
            Kind::Mx => RecordType::MX,
            Kind::Ptr => RecordType::PTR,
            Kind::Txt => RecordType::TXT,
        };
        let failed = |why: &str| Fault::Failed(format!("{} of {name}: {why}", kind.word()));
        match timeout(self.within, self.resolver.lookup(query, types)).await {
            Err(_) => Err(failed(&format!("no answer within {:?}", self.within))),
            Ok(Err(e)) => Err(fault(&e).map_or(Fault::Nothing, |why| failed(&why))),
            Ok(Ok(lookup)) => Ok(lookup.iter().filter_map(record).collect()),
        }
    }
}

/// Why it failed; nothing if it says that there is nothing.
fn fault(error: &ResolveError) -> Option<String> {
    let kind = error.proto().map(|e| e.kind());
    match kind {
        Some(ProtoErrorKind::NoRecordsFound { response_code, .. }) => match response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => None,
            code => Some(format!("the resolver answers {code}")),
        },
        Some(ProtoErrorKind::Timeout) => Some("no answer in time".to_owned()),
        _ => Some(error.to_string()),
    }
}

fn record(data: &RData) -> Option<Record> {
    let plain = |name: &Name| {
        let text = name.to_ascii();
        text.strip_suffix('.').unwrap_or(&text).to_owned()
    };
    Some(match data {
        RData::A(a) => Record::Address(IpAddr::V4(a.0)),
        RData::AAAA(a) => Record::Address(IpAddr::V6(a.0)),
        RData::MX(mx) => Record::Mx(mx.preference(), plain(mx.exchange())),
        RData::PTR(name) => Record::Name(plain(&name.0)),
        RData::CNAME(name) => Record::Alias(plain(&name.0)),
        RData::TXT(txt) => {
            let bytes: Vec<u8> = txt.txt_data().concat();
            Record::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => return None,
    })
}

/// The name of an address under a zone: `2.0.0.127.zone`, or by nibbles (RFC 5782 2.1 and 2.4).
pub(super) fn reversed(ip: IpAddr, zone: &str) -> String {
    let mut name = String::new();
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for octet in ip.octets().iter().rev() {
                name.push_str(&format!("{octet}."));
            }
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
        }
    }
    name + zone
}

/// What others wrote, for people: printable and short.
pub(super) fn printable(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Answers of a test.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    answers: std::collections::BTreeMap<(String, Kind), Answer>,
}

#[cfg(test)]
impl Book {
    pub(super) fn with(mut self, name: &str, kind: Kind, answer: Answer) -> Self {
        self.answers
            .insert((name.to_ascii_lowercase(), kind), answer);
        self
    }

    pub(super) fn txt(self, name: &str, text: &str) -> Self {
        self.with(name, Kind::Txt, Ok(vec![Record::Text(text.to_owned())]))
    }

    pub(super) fn ip(self, name: &str, ip: &str) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        let kind = if ip.is_ipv4() { Kind::A } else { Kind::Aaaa };
        self.with(name, kind, Ok(vec![Record::Address(ip)]))
    }

    pub(super) fn mx(self, name: &str, hosts: &[&str]) -> Self {
        let hosts = hosts.iter().map(|h| Record::Mx(10, (*h).to_owned()));
        self.with(name, Kind::Mx, Ok(hosts.collect()))
    }

    pub(super) fn fails(self, name: &str, kind: Kind) -> Self {
        self.with(name, kind, Err(Fault::Failed("SERVFAIL".to_owned())))
    }
}

#[cfg(test)]
impl Dns for Book {
    async fn ask(&self, name: &str, kind: Kind) -> Answer {
        let found = self
            .answers
            .get(&(name.to_ascii_lowercase(), kind))
            .cloned();
        // Others take their turn, as on a network.
        std::future::ready(()).await;
        found.unwrap_or(Err(Fault::Nothing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reversed() {
        let name = |ip: &str| reversed(ip.parse().unwrap(), "bl.example");
        assert_eq!(name("203.0.113.66"), "66.113.0.203.bl.example");
        assert_eq!(
            name("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example"
        );
    }

    #[test]
    fn what_others_wrote_is_short() {
        assert_eq!(printable("a\r\nb\u{7}"), "a  b ");
        assert_eq!(printable(&"é".repeat(300)).chars().count(), 201);
    }
}
