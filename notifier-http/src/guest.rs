//! The guard for addresses that come from task labels.
//!
//! Who may start a task may write any URL into its labels; without a guard the
//! notifier would send requests into the inside of the network for them
//! (server-side request forgery). The check is made at the moment of connecting,
//! on the addresses that the name resolved to, and only those are connected to:
//! a name that resolves to something else a second later gains nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use notifier_core::{Error, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Where requests may go whose URL comes from a task's label.
///
/// Refused unless [`allow`](Self::allow) lists them: loopback, link-local,
/// unspecified, multicast, broadcast and reserved addresses, the clouds' metadata
/// services, and all of these written inside an IPv6 address (mapped, compatible,
/// NAT64, 6to4, Teredo, ISATAP). Private networks are open, since notifiers run
/// on premises, unless [`public_only`](Self::public_only) is set.
///
/// ```
/// use notifier_http::GuestPolicy;
/// let policy = GuestPolicy::parse("private", ["127.0.0.0/8"])?;
/// assert!(policy.check_addr("10.1.2.3".parse()?).is_ok());
/// assert!(policy.check_addr("127.0.0.1".parse()?).is_ok());
/// assert!(policy.check_addr("169.254.169.254".parse()?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestPolicy {
    /// Networks that are open whatever else holds.
    pub allow: Vec<IpNet>,
    /// Refuse private networks too (RFC 1918, RFC 6598, RFC 4193 and other non-global ranges).
    pub public_only: bool,
}

/// Why the guard refused an address. The text holds the address or host name, never the rest of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    what: String,
    why: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, where addresses from labels may not lead (see -label-urls.allow)",
            self.what, self.why
        )
    }
}

impl std::error::Error for Refused {}

/// Names of metadata services. They need an explicitly allowed address, whatever they resolve to.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
];

const METADATA_V4: &[Ipv4Addr] = &[
    // AWS, GCP, Azure, DigitalOcean, OpenStack and the rest of 169.254/16 are link-local.
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's wire server
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // GCP
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),   // Scaleway
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle
];

impl GuestPolicy {
    /// Reads the two settings: `private` (or empty) or `public`, and networks such
    /// as `10.0.0.0/8`, `fd00::/8` or a bare address.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that says which word is wrong.
    pub fn parse<'a>(mode: &str, allow: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let public_only = match mode {
            "" | "private" => false,
            "public" => true,
            other => {
                return Err(Error::config(format!(
                    "label-urls: {other:?} is not one of private, public"
                )));
            }
        };
        let allow = allow
            .into_iter()
            .map(str::trim)
            .filter(|a| !a.is_empty())
            .map(|a| {
                a.parse::<IpNet>()
                    .or_else(|_| a.parse::<IpAddr>().map(IpNet::from))
                    .map(|n| n.trunc())
                    .map_err(|_| {
                        Error::config(format!(
                            "label-urls.allow: {a:?} is not a network (such as 10.0.0.0/8 or fd00::/8)"
                        ))
                    })
            })
            .collect::<Result<_>>()?;
        Ok(Self { allow, public_only })
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|n| n.contains(&ip))
    }

    /// Checks one address.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_addr(&self, ip: IpAddr) -> Result<(), Refused> {
        if self.allows(ip) {
            return Ok(());
        }
        let refuse = |why| {
            Err(Refused {
                what: ip.to_string(),
                why,
            })
        };
        match ip {
            IpAddr::V4(v4) => self.refusal_v4(v4).map_or(Ok(()), refuse),
            IpAddr::V6(v6) => {
                for inner in embedded(v6).into_iter().flatten() {
                    if !self.allows(inner.into())
                        && let Some(why) = self.refusal_v4(inner)
                    {
                        return refuse(why);
                    }
                }
                self.refusal_v6(v6).map_or(Ok(()), refuse)
            }
        }
    }

    fn refusal_v4(&self, ip: Ipv4Addr) -> Option<&'static str> {
        let [a, b, c, _] = ip.octets();
        Some(match (a, b, c) {
            (0, ..) => "an unspecified address",
            (127, ..) => "a loopback address",
            (169, 254, _) => "a link-local address",
            (224..=239, ..) => "a multicast address",
            (240.., ..) => "a broadcast or reserved address",
            _ if METADATA_V4.contains(&ip) => "a metadata service",
            _ if !self.public_only => return None,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
            (100, 64..=127, _) => "a carrier's private address",
            (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113) => "an address for special use",
            _ => return None,
        })
    }

    fn refusal_v6(&self, ip: Ipv6Addr) -> Option<&'static str> {
        let s = ip.segments();
        Some(match s[0] {
            _ if ip.is_unspecified() => "an unspecified address",
            _ if ip.is_loopback() => "a loopback address",
            0xfe80..=0xfebf => "a link-local address",
            0xff00.. => "a multicast address",
            _ if METADATA_V6.contains(&ip) => "a metadata service",
            _ if !self.public_only => return None,
            0xfc00..=0xfdff | 0xfec0..=0xfeff => "a private address",
            0x2001 if s[1] == 0xdb8 => "an address for special use",
            0x3fff if s[1] < 0x1000 => "an address for special use",
            0x2000..=0x3fff => return None,
            // The forms that carry a whole IPv4 address, which was checked.
            _ if s[..5] == [0; 5] && s[5] == 0xffff => return None,
            0x64 if s[1] == 0xff9b && s[2..6] == [0; 4] => return None,
            _ => "an address for special use",
        })
    }

    /// Checks what can be checked before any look-up: the scheme, and a host that is an address.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused {
                what: format!("{}:", url.scheme()),
                why: "no scheme for HTTP",
            });
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_addr(ip.into()),
            Some(Host::Ipv6(ip)) => self.check_addr(ip.into()),
            Some(Host::Domain(d)) if !d.trim_end_matches('.').is_empty() => Ok(()),
            _ => Err(Refused {
                what: "an empty host".to_owned(),
                why: "no host",
            }),
        }
    }

    /// Of the addresses that a name resolved to, those that may be connected to.
    fn choose(
        &self,
        name: &str,
        found: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let plain = name.trim_end_matches('.').to_ascii_lowercase();
        let metadata = METADATA_NAMES.contains(&plain.as_str());
        let mut good = Vec::new();
        let mut last = None;
        for addr in found {
            let checked = if metadata && !self.allows(addr.ip()) {
                Err(Refused {
                    what: plain.clone(),
                    why: "a metadata service",
                })
            } else {
                self.check_addr(addr.ip()).map_err(|r| Refused {
                    what: format!("{plain} ({})", r.what),
                    why: r.why,
                })
            };
            match checked {
                Ok(()) => good.push(addr),
                Err(r) => last = Some(r),
            }
        }
        match last {
            Some(r) if good.is_empty() => Err(r),
            _ => Ok(good),
        }
    }
}

/// The IPv4 addresses that an IPv6 address may lead to through translation or a tunnel.
fn embedded(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let s = ip.segments();
    let v4 = |hi: u16, lo: u16| {
        let ([a, b], [c, d]) = (hi.to_be_bytes(), lo.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    let last = v4(s[6], s[7]);
    match s {
        // Unspecified and loopback are judged as IPv6.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 3],
        // Compatible (::a.b.c.d), mapped (::ffff:a.b.c.d), translated (::ffff:0:a.b.c.d).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => [last, None, None],
        // NAT64, RFC 6052, and its local prefix, RFC 8215, in the three layouts that fit behind a /48.
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => [last, None, None],
        [0x64, 0xff9b, 1, ..] => {
            // Zeros there are padding of another layout, not an address.
            let filled = |ip: Option<Ipv4Addr>| ip.filter(|ip| ip.octets()[0] != 0);
            [
                last,
                filled(v4(s[3], s[4] << 8 | s[5] >> 8)),
                filled(v4(s[4] << 8 | s[5] >> 8, s[5] << 8 | s[6] >> 8)),
            ]
        }
        // 6to4, RFC 3056.
        [0x2002, hi, lo, ..] => [v4(hi, lo), None, None],
        // Teredo, RFC 4380: the server, and the client with its bits turned over.
        [0x2001, 0, hi, lo, ..] => [v4(hi, lo), v4(!s[6], !s[7]), None],
        // ISATAP, RFC 5214.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => [last, None, None],
        _ => [None; 3],
    }
}

/// Resolves names and lets through only what the policy allows.
pub(crate) struct GuestResolver(pub(crate) Arc<GuestPolicy>);

impl Resolve for GuestResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good = policy.choose(name.as_str(), found)?;
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(policy: &GuestPolicy, url: &str) -> bool {
        match Url::parse(url) {
            Ok(u) => policy.check_url(&u).is_err(),
            // What is no URL is never requested.
            Err(_) => true,
        }
    }

    /// Every way known to us of writing an IPv4 address in a URL.
    fn spellings(ip: Ipv4Addr) -> Vec<String> {
        let [a, b, c, d] = ip.octets();
        let n = u32::from(ip);
        let (hi, lo) = (n >> 16, n & 0xffff);
        let mut hosts = vec![
            format!("{a}.{b}.{c}.{d}"),
            format!("{a}.{b}.{c}.{d}."),
            format!("{n}"),
            format!("{n}."),
            format!("{n:#x}"),
            format!("{n:#X}").replace("0X", "0x"),
            format!("0{n:o}"),
            format!("{a}.{b}.{lo}", lo = n & 0xffff),
            format!("{a}.{}", n & 0xff_ffff),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a:#x}.{b}.0{c:o}.{d}"),
            format!("{a}.{b}.{c}.{d}")
                .replace('1', "%31")
                .replace('.', "%2e"),
            format!("[::ffff:{a}.{b}.{c}.{d}]"),
            format!("[::ffff:{hi:x}:{lo:x}]"),
            format!("[0:0:0:0:0:ffff:{hi:x}:{lo:x}]"),
            format!("[::ffff:0:{hi:x}:{lo:x}]"),
            format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
            format!("[64:ff9b::{hi:x}:{lo:x}]"),
            format!("[64:ff9b:1::{hi:x}:{lo:x}]"),
            format!("[2002:{hi:x}:{lo:x}::1]"),
            format!("[2002:{hi:x}:{lo:x}::]"),
            format!("[2001:0:{hi:x}:{lo:x}::1]"),
            format!("[2001:0:808:808::{:x}:{:x}]", !hi & 0xffff, !lo & 0xffff),
            format!("[2001:db8::5efe:{hi:x}:{lo:x}]"),
            format!("[2001:db8::200:5efe:{hi:x}:{lo:x}]"),
        ];
        // Wide digits and full stops that IDNA turns into the plain ones.
        let wide: String = format!("{a}.{b}.{c}.{d}")
            .chars()
            .map(|ch| match ch {
                '.' => '。',
                d => char::from_u32(0xff10 + (d as u32 - '0' as u32)).unwrap(),
            })
            .collect();
        hosts.push(wide);
        if hi != 0 || lo > 1 {
            hosts.push(format!("[::{hi:x}:{lo:x}]"));
        }
        hosts
    }

    #[test]
    fn no_spelling_of_a_forbidden_address_gets_through() {
        let policy = GuestPolicy::default();
        let mut tried = 0;
        for ip in [
            "127.0.0.1",
            "127.1.2.3",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            for host in spellings(ip.parse().unwrap()) {
                for url in [
                    format!("http://{host}/x"),
                    format!("https://u:p@{host}:8443/"),
                ] {
                    assert!(
                        refused(&policy, &url),
                        "{url} got through as {:?}",
                        Url::parse(&url)
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 700, "{tried}");
    }

    #[test]
    fn no_spelling_of_a_private_address_gets_through_when_only_public_ones_may() {
        let open = GuestPolicy::default();
        let public = GuestPolicy::parse("public", []).unwrap();
        for ip in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
        ] {
            let ip: Ipv4Addr = ip.parse().unwrap();
            for host in spellings(ip) {
                let url = format!("http://{host}/");
                assert!(refused(&public, &url), "{url}");
            }
            assert!(open.check_addr(ip.into()).is_ok());
            assert!(public.check_addr(ip.into()).is_err());
        }
        for ip in [
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "2001:db8::1",
            "100::1",
            "5f00::1",
            "64:ff9b:1::808:808",
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert!(open.check_addr(ip).is_ok(), "{ip}");
            assert!(public.check_addr(ip).is_err(), "{ip}");
        }
    }

    #[test]
    fn other_hostile_urls() {
        let policy = GuestPolicy::default();
        for url in [
            "http://[::1]/",
            "http://[::]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[fe80::1]/",
            "http://[febf::1]/",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[ff02::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fd20:ce::254]/",
            "http://[FD00:0EC2:0::0254]/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0/",
            "http://0x0/",
            "http://017700000001/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://127.0.0.1.:80/",
            "http:\\\\127.0.0.1\\",
            "http:127.0.0.1/",
            "http:/127.0.0.1/",
            "http:///127.0.0.1/",
            "http://example.com@127.0.0.1/",
            "http://example.com:80@127.0.0.1/",
            "http://127.0.0.1#@example.com/",
            "http://127.0.0.1?@example.com/",
            "http://127.0.0.1\\@example.com/",
            "http://127。0。0。1/",
            "http://①②⑦.⓪.⓪.①/",
            "http://0x7f.1/",
            "http://0177.0.0.01/",
            "http://\t127.0.0.1/",
            "ht\ntp://127.0.0.1/",
            "http://1\t27.0.0.1/",
            "http://127.0.0.1:99999/",
            "http:///",
            "http://",
            "http://./",
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://example.com/",
            "unix:///run/docker.sock",
            "javascript:alert(1)",
            "data:,x",
            "jar:http://example.com!/",
            "ws://example.com/",
            "http://[::ffff:7f00:1]:22/",
            "http://[::127.0.0.1]/",
            "http://256.256.256.256/",
            "http://1.2.3.4.5/",
        ] {
            assert!(
                refused(&policy, url),
                "{url} got through as {:?}",
                Url::parse(url)
            );
        }
        for url in [
            "https://hooks.slack.com/services/x",
            "http://10.0.0.1/",
            "http://[2606:4700::1111]/",
            "http://[fd12::1]/",
            "https://192.168.1.1:8443/",
            "https://example.com./",
            "http://8.8.8.8/",
            "http://[::ffff:8.8.8.8]/",
            "http://[64:ff9b::8.8.8.8]/",
        ] {
            assert!(!refused(&policy, url), "{url}");
        }
        let public = GuestPolicy::parse("public", []).unwrap();
        for url in [
            "http://8.8.8.8/",
            "http://[2606:4700::1111]/",
            "http://[::ffff:8.8.8.8]/",
            "http://[64:ff9b::8.8.8.8]/",
        ] {
            assert!(!refused(&public, url), "{url}");
        }
    }

    #[test]
    fn allowed_networks_open_what_is_closed() {
        let p = GuestPolicy::parse(
            "public",
            ["127.0.0.0/8", " 10.1.0.0/16", "fd00:ec2::254", ""],
        )
        .unwrap();
        for ip in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fd00:ec2::254"] {
            assert!(p.check_addr(ip.parse().unwrap()).is_ok(), "{ip}");
        }
        for ip in ["10.2.0.1", "::1", "169.254.169.254"] {
            assert!(p.check_addr(ip.parse().unwrap()).is_err(), "{ip}");
        }
        let e = GuestPolicy::parse("", ["10.0.0.0/40"])
            .unwrap_err()
            .to_string();
        assert!(e.contains("10.0.0.0/40"), "{e}");
        assert!(GuestPolicy::parse("most", []).is_err());
    }

    #[test]
    fn a_name_leads_only_to_its_allowed_addresses() {
        let p = GuestPolicy::default();
        let addr = |s: &str| SocketAddr::new(s.parse().unwrap(), 0);
        assert_eq!(
            p.choose("rebind.example", [addr("127.0.0.1"), addr("10.0.0.1")])
                .unwrap(),
            [addr("10.0.0.1")]
        );
        let e = p
            .choose("rebind.example.", [addr("127.0.0.1"), addr("::1")])
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("rebind.example (::1) is a loopback address"),
            "{e}"
        );
        assert!(
            p.choose("Metadata.Google.Internal.", [addr("10.0.0.1")])
                .is_err()
        );
        let open = GuestPolicy::parse("", ["10.0.0.1"]).unwrap();
        assert!(
            open.choose("metadata.google.internal", [addr("10.0.0.1")])
                .is_ok()
        );
    }

    proptest! {
        /// Whatever way it is written, one address has one answer.
        #[test]
        fn spellings_agree(n in any::<u32>(), public in any::<bool>()) {
            let policy = GuestPolicy { public_only: public, ..GuestPolicy::default() };
            let ip = Ipv4Addr::from(n);
            if policy.check_addr(ip.into()).is_err() {
                for host in spellings(ip) {
                    let url = format!("http://{host}/");
                    prop_assert!(refused(&policy, &url), "{}", url);
                }
            }
        }

        #[test]
        fn loopback_is_refused_however_it_is_embedded(n in 0x7f00_0000u32..0x8000_0000, prefix in any::<[u16; 4]>()) {
            let policy = GuestPolicy::default();
            let (hi, lo) = ((n >> 16) as u16, (n & 0xffff) as u16);
            let [a, b, c, d] = prefix;
            prop_assert!(policy.check_addr(Ipv6Addr::new(0x2002, hi, lo, a, b, c, d, 1).into()).is_err());
            prop_assert!(policy.check_addr(Ipv6Addr::new(a, b, c, d, 0, 0x5efe, hi, lo).into()).is_err());
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = refused(&GuestPolicy::default(), &text);
        }
    }
}
