//! The list of masters as it is written: addresses between commas, where one that begins
//! with `zk://` holds commas itself.

#[cfg(not(feature = "zookeeper"))]
use notifier_core::Error;

const ZOOKEEPER: &str = "zk://";

/// True for an address of ZooKeeper, where the masters are registered.
pub(crate) fn is_zookeeper(entry: &str) -> bool {
    entry
        .get(..ZOOKEEPER.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(ZOOKEEPER))
}

/// Why an address of ZooKeeper is refused in a build without it.
#[cfg(not(feature = "zookeeper"))]
pub(crate) fn without_zookeeper() -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

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
