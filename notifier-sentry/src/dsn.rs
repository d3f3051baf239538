//! The DSN: where a project is, and the key that may send to it.
//!
//! `{scheme}://{public_key}[:{secret}]@{host}[:port][/{prefix}]/{project}`, as of
//! develop.sentry.dev (overview, "parsing the DSN"), read 2026.

use std::fmt;

use notifier_core::{Destination, Error, Result, Secret, redact::Redactor};
use url::Url;

use crate::options::SCHEME;

const FORM: &str = "a DSN looks like https://KEY@sentry.example/8";

/// A DSN taken apart.
pub(crate) struct Dsn {
    text: Secret,
    key: Secret,
    /// Of old DSNs; servers of today ignore it.
    secret: Option<Secret>,
    /// The address that envelopes are posted to. Without key and secret.
    endpoint: String,
    /// Host, port and project: the target as it may be shown.
    shown: String,
}

impl Dsn {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::config(format!("{SCHEME}.dsn {what}; {FORM}"));
        let url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
        let host = match url.host_str() {
            Some(host) if matches!(url.scheme(), "http" | "https") => host,
            _ => return Err(wrong("is not an http or https URL")),
        };
        let key = url.username();
        if key.is_empty() {
            return Err(wrong("has no public key before the @"));
        }
        let secret = url.password().filter(|s| !s.is_empty());
        if !is_word(key) || secret.is_some_and(|s| !is_word(s)) {
            return Err(wrong("has a key with characters that do not belong there"));
        }
        let path = url.path().trim_end_matches('/');
        let (prefix, project) = path.rsplit_once('/').unwrap_or_default();
        if project.is_empty() {
            return Err(wrong("names no project at its end"));
        }
        if !is_word(project) {
            return Err(wrong(
                "has a project with characters that do not belong there",
            ));
        }
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            text: Secret::from(text.trim()),
            key: Secret::from(key),
            secret: secret.map(Secret::from),
            endpoint: format!("{}://{host}{prefix}/api/{project}/envelope/", url.scheme()),
            shown: format!("{host}/{project}"),
        })
    }

    /// The address that envelopes are posted to.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Host and project, for people.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// What tells it from other DSNs. Limits hold for a key, and so does this.
    pub(crate) fn destination(&self) -> Destination {
        Destination::new(
            SCHEME,
            [self.endpoint.as_str(), self.key.expose()],
            &self.shown,
        )
    }

    /// The value of the header `X-Sentry-Auth`.
    pub(crate) fn auth(&self) -> Secret {
        let secret = self
            .secret
            .as_ref()
            .map(|s| format!(", sentry_secret={}", s.expose()))
            .unwrap_or_default();
        Secret::from(format!(
            "Sentry sentry_version=7, sentry_client={}/{}, sentry_key={}{secret}",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            self.key.expose()
        ))
    }

    /// Masks it and its keys in what the server says.
    pub(crate) fn redactor(&self) -> Redactor {
        let secrets = [Some(&self.text), Some(&self.key), self.secret.as_ref()];
        Redactor::new(secrets.into_iter().flatten().map(Secret::expose))
    }
}

/// Neither key nor secret is shown.
impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dsn").field(&self.shown).finish()
    }
}

/// What can stand in the header as it is: letters, digits and a few marks.
fn is_word(text: &str) -> bool {
    text.len() <= 200
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b))
}

#[cfg(test)]
mod tests {
    use notifier_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_keep_their_prefix_and_port() {
        for (dsn, endpoint, shown) in [
            (
                "https://k3y@sentry.example/8",
                "https://sentry.example/api/8/envelope/",
                "sentry.example/8",
            ),
            (
                "http://k3y:s3c@sentry.example:9000/a/b/77/",
                "http://sentry.example:9000/a/b/api/77/envelope/",
                "sentry.example:9000/77",
            ),
            (
                " https://k3y@[::1]:8443/1?timeout=3#x ",
                "https://[::1]:8443/api/1/envelope/",
                "[::1]:8443/1",
            ),
            (
                "https://k3y@sentry.example:443/8",
                "https://sentry.example/api/8/envelope/",
                "sentry.example/8",
            ),
        ] {
            let d = Dsn::parse(dsn).unwrap();
            assert_eq!((d.endpoint(), d.shown()), (endpoint, shown), "{dsn}");
        }
    }

    #[test]
    fn the_secret_is_sent_only_if_there_is_one() {
        let auth = |dsn| Dsn::parse(dsn).unwrap().auth().expose().to_owned();
        let client = concat!(
            "Sentry sentry_version=7, sentry_client=notifier-sentry/",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(
            auth("https://k3y@sentry.example/8"),
            format!("{client}, sentry_key=k3y")
        );
        assert_eq!(
            auth("https://k3y:s3c@sentry.example/8"),
            format!("{client}, sentry_key=k3y, sentry_secret=s3c")
        );
    }

    #[test]
    fn a_wrong_one_is_told_without_being_shown() {
        for (dsn, what) in [
            ("s3cret", "is not a URL"),
            ("ftp://s3cret@a.example/8", "is not an http or https URL"),
            ("https://a.example/8", "has no public key before the @"),
            ("https://:s3cret@a.example/8", "has no public key"),
            ("https://s3cret@a.example", "names no project at its end"),
            ("https://s3cret@a.example//", "names no project at its end"),
            (
                "https://s3cret,x=y@a.example/8",
                "has a key with characters",
            ),
            (
                "https://s3cret@a.example/8,9",
                "has a project with characters",
            ),
        ] {
            let e = Dsn::parse(dsn).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Config);
            let text = format!("{e:?} {}", e.report());
            assert!(text.contains(what), "{dsn}: {text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn nothing_shows_a_key() {
        let d = Dsn::parse("https://publickey:secretkey@a.example/8").unwrap();
        let text = format!("{d:?} {} {} {}", d.shown(), d.endpoint(), d.destination());
        assert!(!text.contains("publickey") && !text.contains("secretkey"));
        assert_eq!(
            d.redactor().redact("key publickey, secret secretkey"),
            "key ***, secret ***"
        );
    }

    #[test]
    fn destinations_are_told_apart_by_key_and_project() {
        let d = |dsn| Dsn::parse(dsn).unwrap().destination();
        let a = d("https://key-a@a.example/8");
        assert!(a.as_str().starts_with("sentry:a.example/8:"), "{a}");
        assert_eq!(a, d("https://key-a:old@a.example/8/"));
        assert_ne!(a, d("https://key-b@a.example/8"));
        assert_ne!(a, d("https://key-a@a.example/9"));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_header_can_be_broken(
            text in any::<String>(), key in "\\PC{0,9}", path in "\\PC{0,9}"
        ) {
            let _ = Dsn::parse(&text);
            if let Ok(d) = Dsn::parse(&format!("http://{key}@h/{path}/1")) {
                prop_assert!(d.auth().expose().bytes().all(|b| (0x20..0x7f).contains(&b)));
                prop_assert_eq!(d.auth().expose().matches(',').count(), 2 + usize::from(d.secret.is_some()));
            }
        }
    }
}
