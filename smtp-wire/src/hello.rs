//! The name that a client greets with.

use std::net::IpAddr;

use lettre::transport::smtp::extension::ClientId;

/// The name to greet with: the one that is set, the machine's if it is a full one, else its
/// address (RFC 5321 §4.1.4). Relays refuse a bare name such as a container's.
pub fn hello(set: Option<&str>, local: Option<IpAddr>) -> ClientId {
    if let Some(name) = set {
        return ClientId::Domain(name.to_owned());
    }
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().unwrap_or_default();
    match (full_name(name), local) {
        (Some(name), _) => ClientId::Domain(name),
        (None, Some(IpAddr::V4(ip))) => ClientId::Ipv4(ip),
        (None, Some(IpAddr::V6(ip))) => ClientId::Ipv6(ip),
        (None, None) => ClientId::default(),
    }
}

/// A host name of several labels.
fn full_name(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let fits = name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && name.parse::<IpAddr>().is_err()
        && !name.ends_with(".localdomain");
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_name_greets() {
        for (name, want) in [
            ("host.example.com", Some("host.example.com")),
            ("Host.Example.", Some("host.example")),
            ("3f1c2b9a7d5e", None),
            ("localhost.localdomain", None),
            ("10.0.0.1", None),
            ("a..b", None),
            ("a_b.example", None),
            ("-a.example", None),
            ("a b.example", None),
            ("", None),
        ] {
            assert_eq!(full_name(name).as_deref(), want, "{name}");
        }
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(hello(Some("x.example"), Some(v4)).to_string(), "x.example");
    }
}
