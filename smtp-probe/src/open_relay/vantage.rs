//! From where a server was asked.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde_json::{Value, json};

/// Both ends of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vantage {
    pub(super) local: IpAddr,
    pub(super) peer: SocketAddr,
}

impl Vantage {
    pub(super) fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        Self {
            local: local.ip().to_canonical(),
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        }
    }

    /// Whether a server may trust us for where we are.
    pub(super) fn is_inside(&self) -> bool {
        network(self.local) != "public"
    }

    pub(super) fn data(&self) -> Value {
        json!({
            "local": self.local.to_string(),
            "peer": self.peer.to_string(),
            "network": network(self.local),
        })
    }
}

/// `asked from 127.0.0.1 (loopback)`.
impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked from {} ({})", self.local, network(self.local))
    }
}

/// What kind of network an address is of.
pub(super) fn network(ip: IpAddr) -> &'static str {
    let is_private = match ip {
        // RFC 1918, RFC 6598, RFC 3927.
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        // RFC 4193, RFC 4291 §2.5.6.
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    };
    match (ip.is_loopback(), is_private) {
        (true, _) => "loopback",
        (_, true) => "private",
        _ => "public",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_apart() {
        for (ip, want) in [
            ("127.0.10.5", "loopback"),
            ("::1", "loopback"),
            ("10.255.0.2", "private"),
            ("172.31.255.255", "private"),
            ("172.217.0.1", "public"),
            ("100.64.0.1", "private"),
            ("100.128.0.1", "public"),
            ("169.254.1.1", "private"),
            ("fd00::1", "private"),
            ("fe80::1", "private"),
            ("2001:db8::1", "public"),
        ] {
            assert_eq!(network(ip.parse().unwrap()), want, "{ip}");
        }
    }

    #[test]
    fn an_address_of_version_4_within_6_is_shown_as_itself() {
        let ends = ["[::ffff:10.0.0.1]:5", "[::ffff:10.0.0.2]:25"].map(|a| a.parse().unwrap());
        let vantage = Vantage::new(ends[0], ends[1]);
        assert_eq!(vantage.to_string(), "asked from 10.0.0.1 (private)");
        assert_eq!(vantage.data()["peer"], "10.0.0.2:25");
    }
}
