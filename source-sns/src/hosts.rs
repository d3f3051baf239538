//! Where certificates may come from.

use notifier_core::{Error, Result};
use url::{Host, Url};

use crate::TopicArn;

/// Amazon's own hosts: certificates from them must name SNS.
pub(crate) const AMAZON: &str =
    "sns.{region}.amazonaws.com,sns-fips.{region}.amazonaws.com,sns.{region}.amazonaws.com.cn";

/// The longest address that is looked at, in bytes.
const LONGEST: usize = 512;

/// Hosts that certificates may come from.
///
/// An entry is a host, which must be asked by https on the usual port, or an origin (`http://127.0.0.1:4566`).
/// `{region}` in it stands for the region of the topic whose message it is, `*` for one label, so
/// that `sns.*.amazonaws.com` would match `sns.s3-eu-west-1.amazonaws.com`, which is a bucket of
/// S3 that anybody may own: write `{region}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertHosts(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    scheme: String,
    /// In lower case, with `{region}` and `*`.
    host: String,
    port: u16,
    is_amazon: bool,
}

/// An address that a certificate may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertUrl {
    pub(crate) url: String,
    /// Whether the host is Amazon's.
    pub(crate) is_amazon: bool,
}

impl CertHosts {
    pub(crate) fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let entries = entries
            .into_iter()
            .map(str::trim)
            .filter(|e| !e.is_empty())
            .map(Entry::parse)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self(entries))
    }

    /// Adds the origin of an endpoint.
    pub(crate) fn with_origin(mut self, endpoint: &str) -> Result<Self> {
        let url = Url::parse(endpoint).map_err(|_| Error::config("the endpoint is no URL"))?;
        self.0.push(Entry {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: url.port_or_known_default().unwrap_or_default(),
            is_amazon: false,
        });
        Ok(self)
    }

    /// The address as it may be asked for.
    ///
    /// # Errors
    /// What is wrong with it, without the address: it is whatever somebody sent.
    pub(crate) fn check(&self, text: &str, topic: &TopicArn) -> Result<CertUrl, &'static str> {
        if text.len() > LONGEST {
            return Err("it is too long");
        }
        // What readers of addresses are not of one mind about.
        let odd = |b: u8| !b.is_ascii_graphic() || matches!(b, b'\\' | b'@' | b'%' | b'?' | b'#');
        if text.bytes().any(odd) {
            return Err("it has more than scheme, host and path");
        }
        let url = Url::parse(text).map_err(|_| "it is no URL")?;
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(host) => host.to_string(),
            None => return Err("it has no host"),
        };
        let port = url.port_or_known_default().unwrap_or_default();
        let fits = |e: &&Entry| {
            e.scheme == url.scheme() && e.port == port && e.matches(&host, topic.region())
        };
        let Some(entry) = self.0.iter().find(fits) else {
            return Err("its host is none of those that certificates may come from");
        };
        let path = url.path();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
        if !path.ends_with(".pem") || path.contains("..") || !path.bytes().all(plain) {
            return Err("its path is none of a .pem");
        }
        Ok(CertUrl {
            url: url.into(),
            is_amazon: entry.is_amazon,
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "{text:?} is neither a host, such as sns.{{region}}.amazonaws.com, nor an origin, such as http://127.0.0.1:4566"
            ))
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let default = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let is_port = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if is_port(port) => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, default),
        };
        let host = host.to_ascii_lowercase();
        let in_host = |b: u8| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'[' | b']' | b':')
        };
        let bare = host.replace("{region}", "r");
        let labels_fit = bare
            .split('.')
            .all(|l| l == "*" || (!l.is_empty() && l.bytes().all(in_host)));
        if !labels_fit {
            return Err(wrong());
        }
        let is_amazon = scheme == "https"
            && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"));
        Ok(Self {
            scheme: scheme.to_owned(),
            host,
            port,
            is_amazon,
        })
    }

    fn matches(&self, host: &str, region: &str) -> bool {
        let wanted = self.host.replace("{region}", region);
        let (mut wanted, mut labels) = (wanted.split('.'), host.split('.'));
        loop {
            match (wanted.next(), labels.next()) {
                (None, None) => return true,
                (Some("*"), Some(label)) if !label.is_empty() => {}
                (Some(w), Some(label)) if w.eq_ignore_ascii_case(label) => {}
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic() -> TopicArn {
        "arn:aws:sns:eu-west-1:1:t".parse().unwrap()
    }

    fn amazon() -> CertHosts {
        CertHosts::parse(AMAZON.split(',')).unwrap()
    }

    #[test]
    fn amazons_own() {
        for url in [
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0f.pem",
            "https://sns.eu-west-1.amazonaws.com:443/SimpleNotificationService-0f.pem",
            "https://SNS.EU-west-1.amazonaws.com/a.pem",
            "https://sns-fips.eu-west-1.amazonaws.com/a.pem",
        ] {
            assert!(amazon().check(url, &topic()).unwrap().is_amazon, "{url}");
        }
        let china = "arn:aws-cn:sns:cn-north-1:1:t".parse().unwrap();
        let url = "https://sns.cn-north-1.amazonaws.com.cn/a.pem";
        assert!(amazon().check(url, &china).is_ok());
    }

    #[test]
    fn everything_else_is_refused() {
        for url in [
            "http://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
            "https://sns.eu-west-1.amazonaws.com./a.pem",
            "https://sns.s3.amazonaws.com/a.pem",
            "https://sns.s3-eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.s3.amazonaws.com/a.pem",
            "https://evil.sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
            "https://evil.example/?sns.eu-west-1.amazonaws.com/a.pem",
            "https://evil.example/#sns.eu-west-1.amazonaws.com/a.pem",
            "https://evil.example\\.sns.eu-west-1.amazonaws.com/a.pem",
            "https://u:p@sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com/a.pem?x=.pem",
            "https://sns.eu-west-1.amazonaws.com/a.txt",
            "https://sns.eu-west-1.amazonaws.com/?Action=x.pem",
            "https://sns.eu-west-1.amazonaws.com/%2e%2e/a.pem",
            "https://sns.eu-west-1.amazonaws.com/",
            "https:/a.pem",
            "https://127.0.0.1/a.pem",
            "https://[::1]/a.pem",
            "file:///etc/a.pem",
            "a.pem",
            "",
            "https://sns.eu-west-1.amazonaws.com /a.pem",
            "https://sns.eu-west-1.amazonaws.com\n/a.pem",
        ] {
            assert!(amazon().check(url, &topic()).is_err(), "{url}");
        }
        let long = format!(
            "https://sns.eu-west-1.amazonaws.com/{}.pem",
            "a".repeat(600)
        );
        assert!(amazon().check(&long, &topic()).is_err());
    }

    #[test]
    fn hosts_of_ones_own() {
        let own = CertHosts::parse([" http://127.0.0.1:4566/ ", "*.sns.example", ""]).unwrap();
        for (url, fits) in [
            ("http://127.0.0.1:4566/_aws/sns/x.pem", true),
            ("http://127.0.0.1/x.pem", false),
            ("https://127.0.0.1:4566/x.pem", false),
            ("https://a.sns.example/x.pem", true),
            ("https://sns.example/x.pem", false),
            ("https://a.b.sns.example/x.pem", false),
        ] {
            let got = own.check(url, &topic());
            assert_eq!(got.is_ok(), fits, "{url}");
            assert!(got.is_err() || !got.unwrap().is_amazon);
        }
        let with = amazon().with_origin("http://localhost:4566").unwrap();
        assert!(with.check("http://localhost:4566/x.pem", &topic()).is_ok());
        for wrong in ["ftp://x", "a b", "a/b", "a..b", "http://u@h", "x:99999"] {
            assert!(CertHosts::parse([wrong]).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nobody_elses_host_gets_through(text in "(https?://)?(sns\\.eu-west-1\\.amazonaws\\.com)?[@:/.\\\\#?a-z%]{0,12}(evil\\.example)?[a-z/.:@]{0,10}\\.pem") {
            if let Ok(ok) = amazon().check(&text, &topic()) {
                let url = Url::parse(&ok.url).unwrap();
                prop_assert!(["sns.eu-west-1.amazonaws.com", "sns-fips.eu-west-1.amazonaws.com"].contains(&url.host_str().unwrap()));
                prop_assert_eq!(url.scheme(), "https");
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = amazon().check(&text, &topic());
            let _ = CertHosts::parse([text.as_str()]);
        }
    }
}
