//! Where the API is.

use std::path::PathBuf;

use notifier_core::redact;
use url::Url;

const SUCH: &str = "such as http://127.0.0.1:49153 or unix:///var/run/fleet.sock";

/// One address of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Without a slash at the end.
    Url(String),
    Socket(PathBuf),
}

impl Endpoint {
    /// Reads one. The error says what is wrong with it, without a secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = match path.strip_prefix("//") {
                Some(path) if path.starts_with('/') => path,
                // A host, which a socket does not have.
                Some(_) => "",
                None => path,
            };
            if !path.starts_with('/') {
                return Err(format!("{text} names no absolute path, {SUCH}"));
            }
            if !cfg!(unix) {
                return Err("there are no unix sockets on this system".to_owned());
            }
            return Ok(Self::Socket(PathBuf::from(path)));
        }
        let url = Url::parse(text).map_err(|_| format!("one is no address, {SUCH}"))?;
        let shown = redact::url(text);
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("{shown} is no http, https or unix address, {SUCH}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "name and password of {shown} belong into fleet.credentials"
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{shown} has more than a path, {SUCH}"));
        }
        let base = text.trim_end_matches('/');
        let base = base
            .strip_suffix("/fleet/v1")
            .or_else(|| base.strip_suffix("/v1-alpha"))
            .unwrap_or(base);
        Ok(Self::Url(base.to_owned()))
    }

    /// As it may be shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Url(base) => redact::url(base),
            Self::Socket(path) => format!("unix://{}", path.display()),
        }
    }

    /// What paths are added to.
    pub(crate) fn base(&self) -> &str {
        match self {
            Self::Url(base) => base,
            // Nobody looks it up.
            Self::Socket(_) => "http://localhost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = |t: &str| Ok(Endpoint::Url(t.to_owned()));
        let socket = |t: &str| Ok(Endpoint::Socket(PathBuf::from(t)));
        for (text, expected) in [
            ("http://a:49153", url("http://a:49153")),
            ("http://a:49153/", url("http://a:49153")),
            ("https://a/proxy/fleet/v1/", url("https://a/proxy")),
            ("http://a/v1-alpha", url("http://a")),
            ("unix:///var/run/fleet.sock", socket("/var/run/fleet.sock")),
            ("unix:/run/fleet.sock", socket("/run/fleet.sock")),
        ] {
            assert_eq!(Endpoint::parse(text), expected, "{text}");
        }
        for wrong in [
            "a:1",
            "",
            "unix:",
            "unix://fleet.sock",
            "unix:fleet.sock",
            "ftp://a",
            "http://a?b",
            "http://u:s3cret@a",
        ] {
            let e = Endpoint::parse(wrong).unwrap_err();
            assert!(!e.contains("s3cret"), "{e}");
        }
    }
}
