//! Which addresses /probe may be asked for.

use std::net::IpAddr;

use smtp_probe::{Target, place};

/// `HOST`, `HOST:PORT`, `*.DOMAIN`, `*.DOMAIN:PORT`, an address, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    host: Host,
    /// Any, if there is none.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    /// `.example.com`
    Below(String),
    /// An address and how many of its bits count.
    Network(IpAddr, u8),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is none of HOST, HOST:PORT, *.DOMAIN, IP and NETWORK/BITS");
        if let Some((address, bits)) = text.split_once('/') {
            let address = address.parse::<IpAddr>().map_err(|_| wrong())?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits
                .parse::<u8>()
                .ok()
                .filter(|b| *b <= most)
                .ok_or_else(wrong)?;
            return Ok(Self {
                host: network(address, bits),
                port: None,
            });
        }
        let (host, port) = place::split(text);
        let port = match port {
            None => None,
            Some(port) => Some(place::port(port).ok_or_else(wrong)?),
        };
        if let Some(domain) = host.strip_prefix("*.") {
            let domain = place::host(domain)
                .filter(|d| d.parse::<IpAddr>().is_err())
                .ok_or_else(wrong)?;
            return Ok(Self {
                host: Host::Below(format!(".{domain}")),
                port,
            });
        }
        let host = place::host(host).ok_or_else(wrong)?;
        let host = match host.parse::<IpAddr>() {
            Ok(address @ IpAddr::V4(_)) => network(address, 32),
            Ok(address) => network(address, 128),
            Err(_) => Host::Name(host),
        };
        Ok(Self { host, port })
    }

    /// Whether a target is one of these. A network takes addresses only, since what a name means is
    /// for others to say.
    pub(crate) fn takes(&self, target: &Target) -> bool {
        let name = target.host.strip_suffix('.').unwrap_or(&target.host);
        let fits = match (&self.host, name.parse::<IpAddr>()) {
            (Host::Network(network, bits), Ok(address)) => is_within(address, *network, *bits),
            (Host::Name(host), Err(_)) => host == name,
            (Host::Below(domain), Err(_)) => {
                name.len() > domain.len() && name.ends_with(domain.as_str())
            }
            _ => false,
        };
        fits && self.port.is_none_or(|port| port == target.port)
    }
}

/// A network of IPv4 that is written as one of IPv6 (RFC 4291 §2.5.5.2) is the same network.
fn network(address: IpAddr, bits: u8) -> Host {
    match address.to_canonical() {
        plain @ IpAddr::V4(_) if address.is_ipv6() && bits >= 96 => Host::Network(plain, bits - 96),
        _ => Host::Network(address, bits),
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shifted = |value: u128, width: u32| value.checked_shr(width - u32::from(bits)).unwrap_or(0);
    match (address.to_canonical(), network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            shifted(u128::from(a.to_bits()), 32) == shifted(u128::from(n.to_bits()), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => shifted(a.to_bits(), 128) == shifted(n.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, target: &str) -> bool {
        Pattern::parse(pattern)
            .unwrap()
            .takes(&Target::parse(target).unwrap())
    }

    #[test]
    fn what_fits_is_taken() {
        for (pattern, target) in [
            ("relay.example", "relay.example:25"),
            ("relay.example", "submission://Relay.Example"),
            ("relay.example:587", "submission://relay.example"),
            ("*.example.com", "a.b.example.com:25"),
            ("10.0.0.0/8", "10.9.8.7:2525"),
            ("0.0.0.0/0", "10.9.8.7:2525"),
            ("192.0.2.1", "192.0.2.1:25"),
            ("192.0.2.1:25", "192.0.2.1:25"),
            ("fd00::/8", "[fd12::1]:25"),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:25"),
            ("::ffff:10.0.0.0/104", "10.1.2.3:25"),
            ("::ffff:192.0.2.1", "192.0.2.1:25"),
            ("[::ffff:192.0.2.1]:25", "[::ffff:192.0.2.1]:25"),
        ] {
            assert!(takes(pattern, target), "{pattern} {target}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not() {
        for (pattern, target) in [
            ("relay.example", "relay.example.org:25"),
            ("relay.example:587", "relay.example:25"),
            ("*.example.com", "example.com:25"),
            ("*.example.com", "badexample.com:25"),
            ("10.0.0.0/8", "11.0.0.1:25"),
            ("10.0.0.0/8", "10.0.0.1.example.com:25"),
            ("192.0.2.1", "192.0.2.2:25"),
            ("fd00::/8", "10.0.0.1:25"),
            ("::ffff:10.0.0.0/104", "11.1.2.3:25"),
            ("::ffff:0.0.0.0/64", "10.0.0.1:25"),
            ("10.0.0.0/8", "10.1:25"),
        ] {
            assert!(!takes(pattern, target), "{pattern} {target}");
        }
        for wrong in ["", "a b", "10.0.0.0/33", "x/8", "a:99999", "*.10.0.0.1"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
