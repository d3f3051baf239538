//! What a master leaves in ZooKeeper: a child of the path with a number, and its address.
//!
//! Forms and their age: `src/master/detector/zookeeper.cpp` and
//! `src/zookeeper/group.cpp` of Mesos.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use url::Url;

use super::ensemble::is_host;

/// The largest registration that is read, in bytes. A real one has some hundred.
const LARGEST: usize = 64 * 1024;

/// In the order in which the masters lead: the smallest number leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Registration<'a> {
    number: u64,
    form: Form,
    pub(super) name: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// `MasterInfo` in JSON, since 0.24.
    Json,
    /// `MasterInfo` in protobuf.
    Protobuf,
    /// `master@ip:port`.
    Pid,
}

impl<'a> Registration<'a> {
    /// `None` for children that are something else, such as `log_replicas`.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let (form, number) = match name.rsplit_once('_') {
            Some(("json.info", number)) => (Form::Json, number),
            Some(("info", number)) => (Form::Protobuf, number),
            Some(_) => return None,
            None => (Form::Pid, name),
        };
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = number.parse().ok()?;
        Some(Self { number, form, name })
    }

    /// Where the master is: by its name first, then by its IP address. Empty if the data
    /// cannot be read.
    pub(super) fn addresses(self, data: &[u8], scheme: &str) -> Vec<Url> {
        if data.len() > LARGEST {
            return Vec::new();
        }
        let place = match self.form {
            Form::Json => Place::of_json(data),
            Form::Protobuf => Place::of_protobuf(data),
            Form::Pid => str::from_utf8(data).ok().and_then(Place::of_pid),
        };
        place.map(|p| p.urls(scheme)).unwrap_or_default()
    }
}

/// Where a process listens.
#[derive(Debug, Default)]
struct Place {
    hosts: Vec<String>,
    port: Option<u16>,
}

impl Place {
    fn of_json(data: &[u8]) -> Option<Self> {
        let info: Value = serde_json::from_slice(data).ok()?;
        let address = &info["address"];
        let text = |v: &Value| v.as_str().map(str::to_owned);
        let port = |v: &Value| v.as_u64().and_then(|p| u16::try_from(p).ok());
        let ip = info["ip"].as_u64().and_then(|ip| u32::try_from(ip).ok());
        let found = Self {
            hosts: [
                text(&address["hostname"]),
                text(&info["hostname"]),
                text(&address["ip"]),
                ip.map(dotted),
            ]
            .into_iter()
            .flatten()
            .collect(),
            port: port(&address["port"]).or_else(|| port(&info["port"])),
        };
        Some(found.or_of_pid(info["pid"].as_str()))
    }

    fn of_protobuf(data: &[u8]) -> Option<Self> {
        let (mut ip, mut port, mut pid, mut hostname) = (None, None, None, None);
        let mut rest = data;
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            match key & 7 {
                0 => {
                    let value = varint(&mut rest)?;
                    match key >> 3 {
                        2 => ip = u32::try_from(value).ok(),
                        3 => port = u16::try_from(value).ok(),
                        _ => {}
                    }
                }
                1 => rest = rest.get(8..)?,
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).ok()?;
                    let (value, after) = rest.split_at_checked(length)?;
                    rest = after;
                    match key >> 3 {
                        4 => pid = str::from_utf8(value).ok(),
                        5 => hostname = str::from_utf8(value).ok(),
                        _ => {}
                    }
                }
                5 => rest = rest.get(4..)?,
                _ => return None,
            }
        }
        let found = Self {
            hosts: [hostname.map(str::to_owned), ip.map(dotted)]
                .into_iter()
                .flatten()
                .collect(),
            port,
        };
        Some(found.or_of_pid(pid))
    }

    fn of_pid(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once('@')?.1.rsplit_once(':')?;
        Some(Self {
            hosts: vec![host.trim_matches(['[', ']']).to_owned()],
            port: Some(port.parse().ok()?),
        })
    }

    fn or_of_pid(self, pid: Option<&str>) -> Self {
        if !self.hosts.is_empty() && self.port.is_some() {
            return self;
        }
        pid.and_then(Self::of_pid).unwrap_or(self)
    }

    fn urls(self, scheme: &str) -> Vec<Url> {
        let Some(port) = self.port.filter(|p| *p > 0) else {
            return Vec::new();
        };
        let mut urls: Vec<Url> = Vec::new();
        for host in self.hosts {
            let host = match host.parse::<IpAddr>() {
                // Where it listens, not where it is.
                Ok(ip) if ip.is_unspecified() => continue,
                Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
                Ok(ip) => ip.to_string(),
                Err(_) if is_host(&host) => host,
                Err(_) => continue,
            };
            if let Ok(url) = Url::parse(&format!("{scheme}://{host}:{port}"))
                && !urls.contains(&url)
            {
                urls.push(url);
            }
        }
        urls
    }
}

/// The number holds the bytes in the order of the network, on the machines Mesos runs on.
fn dotted(ip: u32) -> String {
    Ipv4Addr::from(ip.to_le_bytes()).to_string()
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(name: &str, data: impl AsRef<[u8]>) -> Vec<String> {
        let registration = Registration::of(name).unwrap();
        let urls = registration.addresses(data.as_ref(), "http");
        urls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_smallest_number_leads_whatever_the_form() {
        let mut children: Vec<Registration<'_>> = [
            "json.info_0000000012",
            "log_replicas",
            "info_0000000003",
            "json.info_0000000002",
            "0000000001",
            "json.info_",
            "json.info_+1",
            "json.info_-2147483648",
            "other_0000000000",
            "json.info",
            "",
        ]
        .into_iter()
        .filter_map(Registration::of)
        .collect();
        children.sort();
        let names: Vec<&str> = children.iter().map(|c| c.name).collect();
        assert_eq!(
            names,
            [
                "0000000001",
                "json.info_0000000002",
                "info_0000000003",
                "json.info_0000000012"
            ]
        );
    }

    #[test]
    fn json_of_a_master() {
        // As 1.11 writes it.
        let info = r#"{"address":{"hostname":"m1.example","ip":"10.1.2.3","port":5050},
            "capabilities":[{"type":"AGENT_UPDATE"}],"hostname":"m1.example",
            "id":"b6ebee17-6a02-4d2a-bd5b-0d1a0ea9e3ec","ip":50462986,
            "pid":"master@10.1.2.3:5050","port":5050,"version":"1.11.0"}"#;
        let both = ["http://m1.example:5050/", "http://10.1.2.3:5050/"];
        assert_eq!(addresses("json.info_0", info), both);
        let tls = Registration::of("json.info_0")
            .unwrap()
            .addresses(info.as_bytes(), "https");
        assert_eq!(tls[0].as_str(), "https://m1.example:5050/");
    }

    #[test]
    fn json_with_less() {
        for (info, urls) in [
            // 0.24, which has no address; 127.0.0.1 in network byte order.
            (
                r#"{"hostname":"m","ip":16777343,"port":5051}"#,
                &["http://m:5051/", "http://127.0.0.1:5051/"][..],
            ),
            (r#"{"ip":16777343,"port":80}"#, &["http://127.0.0.1/"]),
            (
                r#"{"address":{"ip":"2001:db8::1","port":5050},"ip":0}"#,
                &["http://[2001:db8::1]:5050/"],
            ),
            (
                r#"{"address":{"hostname":"10.0.0.1","ip":"10.0.0.1","port":1}}"#,
                &["http://10.0.0.1:1/"],
            ),
            (
                r#"{"pid":"master@10.0.0.1:5050","port":"x"}"#,
                &["http://10.0.0.1:5050/"],
            ),
            (
                r#"{"hostname":"u:p@evil/?","ip":16777343,"port":5050}"#,
                &["http://127.0.0.1:5050/"],
            ),
            (r#"{"hostname":"m"}"#, &[]),
            (r#"{"hostname":"m","port":0}"#, &[]),
            (r#"{"hostname":"m","port":70000}"#, &[]),
            ("[]", &[]),
            ("not JSON", &[]),
            ("", &[]),
        ] {
            assert_eq!(addresses("json.info_0", info), urls, "{info}");
        }
        let large = format!(
            r#"{{"hostname":"m","port":1,"x":"{}"}}"#,
            "x".repeat(LARGEST)
        );
        assert_eq!(addresses("json.info_0", large), [""; 0]);
    }

    #[test]
    fn protobuf_of_old_masters() {
        let mut info = Vec::new();
        info.extend(b"\x0a\x02id");
        info.extend(b"\x10\xff\x80\x80\x08"); // 127.0.0.1
        info.extend(b"\x18\xba\x27"); // 5050
        info.extend(b"\x22\x15master@127.0.0.1:5050");
        info.extend(b"\x2a\x01m");
        info.extend(b"\x31\0\0\0\0\0\0\0\0\x3d\0\0\0\0"); // Of later versions.
        let both = ["http://m:5050/", "http://127.0.0.1:5050/"];
        assert_eq!(addresses("info_0000000001", &info), both);
        for end in [1, 5, 9, info.len() - 1] {
            assert_eq!(addresses("info_1", &info[..end]), [""; 0], "{end}");
        }
        assert_eq!(
            addresses("info_1", b"\x18\xba\x27\x2a\xff\xff\xff\xff\x0f"),
            [""; 0]
        );
        assert_eq!(addresses("info_1", [0xff; 32]), [""; 0]);
    }

    #[test]
    fn pids_of_the_oldest() {
        assert_eq!(
            addresses("7", "master@10.0.0.1:5050"),
            ["http://10.0.0.1:5050/"]
        );
        assert_eq!(addresses("7", "master@[::1]:5050"), ["http://[::1]:5050/"]);
        for none in ["", "10.0.0.1:5050", "master@10.0.0.1", "master@a b:1"] {
            assert_eq!(addresses("7", none), [""; 0]);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_registered_is_read(
            name in "(json\\.info_|info_|)[0-9]{1,3}",
            data in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            for url in Registration::of(&name).unwrap().addresses(&data, "http") {
                prop_assert!(url.has_host() && url.username().is_empty());
            }
        }
    }
}
