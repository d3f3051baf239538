//! Networks, and how many of their addresses are of the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses of one family, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) is_v6: bool,
    pub(super) first: u128,
    pub(super) last: u128,
}

/// What nobody from outside has: RFC 1918, RFC 6598 (100.64/10), loopback, link-local (RFC 3927,
/// RFC 4291) and unique local addresses (RFC 4193).
const PRIVATE: &[&str] = &[
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::/127",
    "fc00::/7",
    "fe80::/10",
];

fn private() -> impl Iterator<Item = IpNet> {
    PRIVATE.iter().filter_map(|net| net.parse().ok())
}

/// Reads one entry of mynetworks: `10.0.0.0/8`, `[::1]/128`, `[fe80::1]`, `192.0.2.1`.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let inner = address.strip_prefix('[').map(|a| a.strip_suffix(']'));
    let ip: IpAddr = match inner {
        // Brackets may be around the prefix too.
        Some(None) => return network(text.strip_prefix('[')?.strip_suffix(']')?),
        Some(Some(inner)) => inner.parse().ok()?,
        None => address.parse().ok()?,
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix: u8 = prefix.map_or(Some(most), |p| p.parse().ok())?;
    let net = IpNet::new(ip, prefix).ok()?;
    Some(match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).ok()?.into(),
            None => net,
        },
        _ => net,
    })
}

/// Whether the address has no bits that its prefix does not cover; Postfix refuses others.
pub(super) fn is_exact(net: &IpNet) -> bool {
    net.addr() == net.network()
}

/// All addresses of it.
pub(super) fn range(net: &IpNet) -> Range {
    let number = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    Range {
        is_v6: net.addr().is_ipv6(),
        first: number(net.network()),
        last: number(net.broadcast()),
    }
}

/// What is left of it without the others.
pub(super) fn without(whole: Range, others: &[Range]) -> Vec<Range> {
    let mut left = vec![whole];
    for cut in others.iter().filter(|o| o.is_v6 == whole.is_v6) {
        left = left
            .into_iter()
            .flat_map(|range| {
                let before = (cut.first > range.first).then(|| Range {
                    last: range.last.min(cut.first.saturating_sub(1)),
                    ..range
                });
                let after = (cut.last < range.last).then(|| Range {
                    first: range.first.max(cut.last.saturating_add(1)),
                    ..range
                });
                [before, after]
            })
            .flatten()
            .filter(|r| r.first <= r.last)
            .collect();
    }
    left
}

/// What of it is of the world, but for `excluded`.
pub(super) fn public(net: &IpNet, excluded: &[Range]) -> Vec<Range> {
    let cuts: Vec<Range> = private().map(|p| range(&p)).collect();
    let left = without(range(net), &cuts);
    let left = left.into_iter();
    left.flat_map(|range| without(range, excluded)).collect()
}

/// How many addresses; of all that IPv6 has, one is left out.
pub(super) fn count(ranges: &[Range]) -> u128 {
    let sizes = ranges.iter();
    sizes.fold(0_u128, |sum, r| {
        sum.saturating_add((r.last - r.first).saturating_add(1))
    })
}

/// `15,728,640`, or `about 2^96`.
pub(super) fn spelled(count: u128) -> String {
    if count > u128::from(u64::MAX) {
        return format!("about 2^{}", 127 - count.leading_zeros());
    }
    let digits = count.to_string();
    let mut spelled = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            spelled.push(',');
        }
        spelled.push(digit);
    }
    spelled
}

/// The private networks in it.
pub(super) fn private_within(net: &IpNet) -> Vec<IpNet> {
    let within = private().filter(|p| net.contains(p) && *p != *net);
    within.filter(|p| !p.network().is_unspecified()).collect()
}

/// Where Docker Swarm's mesh makes all clients look like they come from: the ingress network, of
/// versions until 18.06 and since.
pub(super) fn ingress() -> [IpNet; 2] {
    let net = |a, b, prefix| Ipv4Net::new_assert(Ipv4Addr::new(10, a, b, 0), prefix).into();
    [net(255, 0, 16), net(0, 0, 24)]
}

/// Whether it is one address that a bridge of Docker may have: the first of a private network.
pub(super) fn is_gateway(net: &IpNet) -> bool {
    let IpNet::V4(net) = net else { return false };
    net.prefix_len() == 32 && net.addr().is_private() && net.addr().octets()[2..] == [0, 1]
}

/// Whether it is all there is.
pub(super) fn is_everything(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() == 0,
        IpNet::V6(net) => {
            let global = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
            net.contains(&global)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public_of(text: &str) -> u128 {
        count(&public(&network(text).unwrap(), &[]))
    }

    #[test]
    fn public_addresses_are_counted() {
        for (text, count) in [
            ("172.0.0.0/8", 15_728_640),
            ("127.0.0.0/8", 0),
            ("172.16.0.0/12", 0),
            ("192.0.0.0/8", (1 << 24) - (1 << 16)),
            ("10.0.0.0/7", 1 << 24),
            ("203.0.113.9", 1),
            (
                "0.0.0.0/0",
                (1 << 32) - 1 - (1 << 24) * 2 - (1 << 22) - (1 << 20) - (1 << 16) * 2,
            ),
            ("[::1]/128", 0),
            ("[::ffff:127.0.0.1]/128", 0),
            ("[fe80::]/10", 0),
            ("[2001:db8::]/64", 1 << 64),
        ] {
            assert_eq!(public_of(text), count, "{text}");
        }
    }

    #[test]
    fn exclusions_are_left_out() {
        let cut = range(&network("172.0.0.0/12").unwrap());
        let left = public(&network("172.0.0.0/8").unwrap(), &[cut]);
        assert_eq!(count(&left), 15_728_640 - (1 << 20));
    }

    #[test]
    fn entries_of_all_forms() {
        assert_eq!(network("[::1/128]"), network("[::1]/128"));
        assert!(!is_exact(&network("10.0.0.5/8").unwrap()));
        for none in ["", "localhost", "10.0.0.0/33", "1.2.3", "[1::2", "a/b"] {
            assert_eq!(network(none), None, "{none}");
        }
    }

    #[test]
    fn numbers_are_spelled() {
        assert_eq!(spelled(15_728_640), "15,728,640");
        assert_eq!(spelled(0), "0");
        assert_eq!(spelled(1 << 64), "about 2^64");
    }

    proptest! {
        #[test]
        fn what_is_public_is_no_more_than_all(ip: u32, prefix in 0_u8..=32, other: u32, cut in 0_u8..=32) {
            let net = IpNet::new(Ipv4Addr::from(ip).into(), prefix).unwrap();
            let cut = range(&IpNet::new(Ipv4Addr::from(other).into(), cut).unwrap());
            let (all, some) = (count(&public(&net, &[])), count(&public(&net, &[cut])));
            prop_assert!(some <= all && all <= 1 << (32 - prefix));
        }
    }
}
