//! Keys of objects, and how they stand in URLs.

use std::borrow::Cow;

use notifier_core::{Error, ErrorKind, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest key. Source: AWS, "Naming Amazon S3 objects", read 2026-11-21.
const MAX_KEY: usize = 1024;

/// All but what RFC 3986 §2.3 reserves for nothing.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const STRICT_PATH: &AsciiSet = &STRICT.remove(b'/');

/// As Go's `net/url` writes a path, which is what the original's links look like.
/// `+` is written as %2B all the same: some stores read it as a space.
const GO_PATH: &AsciiSet = &STRICT_PATH
    .remove(b'$')
    .remove(b'&')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// How a key is written in a URL's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathStyle {
    /// As signature version 4 wants it.
    Strict,
    /// As Go writes it.
    Go,
}

impl PathStyle {
    pub(crate) fn encode(self, key: &str) -> String {
        let set = match self {
            Self::Strict => STRICT_PATH,
            Self::Go => GO_PATH,
        };
        utf8_percent_encode(key, set).to_string()
    }
}

/// A part of a query, encoded as both signatures want it.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, STRICT).into()
}

/// The key of a log: as Go's `path.Join(prefix, name)`, but never with a slash or
/// `..` in front.
///
/// # Errors
/// [`ErrorKind::Rejected`] if it is longer than a store takes.
pub(crate) fn of(prefix: &str, name: &str) -> Result<String> {
    let mut segments: Vec<&str> = Vec::new();
    for segment in prefix.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            s => segments.push(s),
        }
    }
    // A name is one segment, whatever is in it.
    let name = name.replace('/', "_");
    segments.push(match name.as_str() {
        "" | "." | ".." => "log",
        n => n,
    });
    let key = segments.join("/");
    if key.len() > MAX_KEY {
        return Err(Error::new(
            ErrorKind::Rejected,
            format!(
                "the object's key has {} bytes, and {MAX_KEY} are allowed: shorten the prefix",
                key.len()
            ),
        ));
    }
    Ok(key)
}

/// Checks a bucket's name just far enough that it cannot change the URL it stands in.
pub(crate) fn check_bucket(bucket: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty()
        || bucket.len() > 255
        || !bucket.chars().all(fits)
        || bucket.starts_with('.')
        || bucket.contains("..")
    {
        return Err(Error::config(format!(
            "{bucket:?} is not a bucket's name: letters, digits, hyphens and dots"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_joined_as_go_does() {
        for (prefix, key) in [
            ("", "stdout"),
            ("a", "a/stdout"),
            ("a/", "a/stdout"),
            ("a//b", "a/b/stdout"),
            ("a/./b", "a/b/stdout"),
            ("a/../b", "b/stdout"),
            ("a/b/..", "a/stdout"),
            ("../../a", "a/stdout"),
            ("..", "stdout"),
            ("/a/b", "a/b/stdout"),
            ("//", "stdout"),
            ("a b+ü/%2e%2e/c", "a b+ü/%2e%2e/c/stdout"),
            ("a/.../b", "a/.../b/stdout"),
        ] {
            assert_eq!(of(prefix, "stdout").unwrap(), key, "{prefix:?}");
        }
        assert_eq!(of("a", "../x").unwrap(), "a/.._x");
        assert_eq!(of("a", "..").unwrap(), "a/log");
        assert!(of(&"a".repeat(1017), "stdout").is_ok());
        assert!(of(&"a".repeat(1018), "stdout").is_err());
    }

    #[test]
    fn paths_are_written_once() {
        let key = "a b/c+d/e%20f/ü:1,2;3=4&5@6$7'8(9)*!~-_.";
        assert_eq!(
            PathStyle::Strict.encode(key),
            "a%20b/c%2Bd/e%2520f/%C3%BC%3A1%2C2%3B3%3D4%265%406%247%278%289%29%2A%21~-_."
        );
        assert_eq!(
            PathStyle::Go.encode(key),
            "a%20b/c%2Bd/e%2520f/%C3%BC:1,2;3=4&5@6$7%278%289%29%2A%21~-_."
        );
    }

    #[test]
    fn a_bucket_cannot_lead_elsewhere() {
        for name in ["logs", "my.logs-2", "A_b"] {
            assert!(check_bucket(name).is_ok(), "{name}");
        }
        for name in [
            "", "a/b", "a:b", "a@b", "..", ".a", "a..b", "a b", "ü", "a?b", "a#b",
        ] {
            assert!(check_bucket(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_never_rooted_and_never_climbs(prefix in "[a./ %+ü]{0,40}", name in "[a./]{0,5}") {
            let key = of(&prefix, &name).unwrap();
            prop_assert!(!key.starts_with('/') && !key.ends_with('/'));
            prop_assert!(key.split('/').all(|s| !matches!(s, "" | "." | "..")), "{key}");
        }

        #[test]
        fn an_url_parser_leaves_a_path_as_it_is(prefix in "\\PC{0,40}") {
            let key = of(&prefix, "stdout").unwrap();
            for style in [PathStyle::Strict, PathStyle::Go] {
                let path = format!("/{}", style.encode(&key));
                let url = url::Url::parse(&format!("http://h{path}")).unwrap();
                prop_assert_eq!(url.path(), path);
                prop_assert_eq!(url.query(), None);
            }
        }
    }
}
