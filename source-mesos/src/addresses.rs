//! The list of masters as it is written: addresses between commas, where one that begins
//! with `zk://` holds commas itself.

use notifier_core::{Error, Result, Secret, redact};
use url::Url;

use crate::credentials::{Credentials, Hidden};
#[cfg(feature = "zookeeper")]
use crate::zookeeper::Ensemble;

const ZOOKEEPER: &str = "zk://";

/// True for an address of ZooKeeper, where the masters are registered.
pub(crate) fn is_zookeeper(entry: &str) -> bool {
    entry
        .get(..ZOOKEEPER.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(ZOOKEEPER))
}

/// Why an address of ZooKeeper is refused in a build without it.
#[cfg(not(feature = "zookeeper"))]
fn without_zookeeper() -> Error {
    Error::config("zk:// addresses need the feature `zookeeper`")
}

/// The entries of a list. One that begins with `zk://` goes on to the first comma after
/// its path began, or to the next address with a scheme if it has no path.
pub(crate) fn split_masters(list: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let end = if is_zookeeper(rest.trim_start()) {
            end_of_zookeeper(rest)
        } else {
            rest.find(',').unwrap_or(rest.len())
        };
        let entry = rest[..end].trim();
        if !entry.is_empty() {
            entries.push(entry);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    entries
}

fn end_of_zookeeper(text: &str) -> usize {
    let mut has_path = false;
    let mut at = text.find(ZOOKEEPER.trim_start_matches("zk")).unwrap_or(0) + "://".len();
    loop {
        let Some(comma) = text[at..].find(',').map(|i| at + i) else {
            return text.len();
        };
        has_path |= text[at..comma].contains('/');
        let next = text[comma + 1..].split(',').next().unwrap_or_default();
        if has_path || next.contains("://") {
            return comma;
        }
        at = comma + 1;
    }
}

/// A master as configured: its base address, without user information.
#[derive(Clone, Debug)]
pub(crate) struct Master {
    pub(crate) base: Url,
    pub(crate) credentials: Option<Credentials>,
}

/// Masters as they are named.
#[derive(Default)]
pub(crate) struct Named {
    pub(crate) masters: Vec<Master>,
    #[cfg(feature = "zookeeper")]
    pub(crate) ensembles: Vec<Ensemble>,
}

/// Reads the list, which may have been taken apart at its commas.
pub(crate) fn parse_masters(masters: &[String]) -> Result<Named> {
    let mut out = Named::default();
    // An address of ZooKeeper holds commas, at which the list may have been taken apart.
    let list = masters.join(",");
    let entries = split_masters(&list);
    if entries.is_empty() {
        return Err(Error::config(
            "no Mesos master is named (such as http://master.example:5050)",
        ));
    }
    for entry in entries {
        if is_zookeeper(entry) {
            #[cfg(feature = "zookeeper")]
            out.ensembles.push(Ensemble::parse(entry)?);
            #[cfg(not(feature = "zookeeper"))]
            return Err(without_zookeeper());
            #[cfg(feature = "zookeeper")]
            continue;
        }
        let master = parse_master(entry)?;
        if !out.masters.iter().any(|m| m.base == master.base) {
            out.masters.push(master);
        }
    }
    Ok(out)
}

fn parse_master(entry: &str) -> Result<Master> {
    let whole = if entry.contains("://") {
        entry.to_owned()
    } else {
        format!("http://{entry}")
    };
    let mut base = Url::parse(&whole)
        .map_err(|e| Error::config(format!("the address of a Mesos master is not a URL ({e})")))?;
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(Error::config(format!(
            "{} is not the address of a Mesos master: it must begin with http:// or https://",
            redact::origin(&whole)
        )));
    }
    let decode = |s: &str| {
        percent_encoding::percent_decode_str(s)
            .decode_utf8_lossy()
            .into_owned()
    };
    let credentials =
        (!base.username().is_empty() || base.password().is_some()).then(|| Credentials::Basic {
            user: decode(base.username()),
            password: Hidden::Value(Secret::from(decode(base.password().unwrap_or_default()))),
        });
    // These fail only for addresses without a host.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    base.set_query(None);
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&path);
    Ok(Master { base, credentials })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_read_in_every_form() {
        let read = |text: &str| -> Vec<String> {
            parse_masters(&[text.to_owned()])
                .unwrap()
                .masters
                .into_iter()
                .map(|m| m.base.to_string())
                .collect()
        };
        assert_eq!(
            read("http://a:5050, b:5050 ,https://c:5050/,http://d/mesos/,http://a:5050/,"),
            [
                "http://a:5050/",
                "http://b:5050/",
                "https://c:5050/",
                "http://d/mesos"
            ]
        );
        let m = parse_master("http://us%40r:p%3Aw@a:5050").unwrap();
        assert_eq!(m.base.as_str(), "http://a:5050/");
        assert!(matches!(m.credentials, Some(Credentials::Basic { user, .. }) if user == "us@r"));
    }

    #[test]
    fn lists_with_addresses_of_zookeeper() {
        for (list, entries) in [
            ("", &[][..]),
            (" , ,", &[]),
            ("http://m:5050", &["http://m:5050"]),
            ("a:5050, b:5050,", &["a:5050", "b:5050"]),
            (
                "zk://a:2181,b:2181/mesos,http://m:5050",
                &["zk://a:2181,b:2181/mesos", "http://m:5050"],
            ),
            (
                "http://m:5050, zk://u:p@a,b,[::1]:2181/x/y , m2",
                &["http://m:5050", "zk://u:p@a,b,[::1]:2181/x/y", "m2"],
            ),
            (
                "ZK://a/mesos,zk://b,c/mesos",
                &["ZK://a/mesos", "zk://b,c/mesos"],
            ),
            // Without a path, which is refused later.
            ("zk://a,b,http://m/x", &["zk://a,b", "http://m/x"]),
            ("zk://a,zk://b/m", &["zk://a", "zk://b/m"]),
            ("zk://a,b", &["zk://a,b"]),
            ("zk://", &["zk://"]),
            ("zk://,", &["zk://,"]),
            ("ü,zk:/a,b", &["ü", "zk:/a", "b"]),
        ] {
            assert_eq!(split_masters(list), entries, "{list:?}");
        }
    }

    #[cfg(not(feature = "zookeeper"))]
    #[test]
    fn a_build_without_it_says_so() {
        assert_eq!(
            without_zookeeper().to_string(),
            "zk:// addresses need the feature `zookeeper`"
        );
    }
}
