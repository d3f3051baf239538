//! The settings that all HTTP backends of a program share.

use std::{path::PathBuf, time::Duration};

use notifier_core::{OptionGroup, OptionKind, OptionSpec, Result, Settings};

use crate::{CONNECT_TIMEOUT, GuestPolicy, TIMEOUT};

/// The options, as flags of the program itself.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    "",
    &[
        OptionSpec::new("label-urls", "where addresses from task labels may lead: private networks too, or public ones only")
            .kind(OptionKind::Choice(&["private", "public"]))
            .default("private")
            .env("NOTIFIER_LABEL_URLS"),
        OptionSpec::new("label-urls.allow", "networks that addresses from task labels may lead to although they are loopback, link-local, metadata or private, such as 127.0.0.0/8")
            .kind(OptionKind::List)
            .env("NOTIFIER_LABEL_URLS_ALLOW"),
        OptionSpec::new("request-timeout", "how long one request to a service may take in all")
            .kind(OptionKind::Duration)
            .default("10s")
            .aliases(&["http.timeout"])
            .env("NOTIFIER_REQUEST_TIMEOUT"),
        OptionSpec::new("http.connect-timeout", "how long looking up, connecting and the TLS handshake may take")
            .kind(OptionKind::Duration)
            .default("5s")
            .env("NOTIFIER_HTTP_CONNECT_TIMEOUT"),
        OptionSpec::new("http.ca-file", "PEM file with CA certificates to trust beside those of the system")
            .kind(OptionKind::Path)
            .env("NOTIFIER_HTTP_CA_FILE"),
        OptionSpec::new("http.client-cert", "PEM file with a client certificate and its private key")
            .kind(OptionKind::Path)
            .env("NOTIFIER_HTTP_CLIENT_CERT"),
        OptionSpec::new("http.proxy", "use the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name; never for addresses from labels")
            .kind(OptionKind::Bool)
            .default("false")
            .env("NOTIFIER_HTTP_PROXY"),
    ],
);

/// The values of [`OPTIONS`], for [`HttpClientBuilder::settings`](crate::HttpClientBuilder::settings).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Where addresses from labels may lead.
    pub guests: GuestPolicy,
    /// The time for one request in all.
    pub timeout: Duration,
    /// The time for look-up, connection and TLS handshake.
    pub connect_timeout: Duration,
    /// A PEM file with more CA certificates.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with a client certificate and its key.
    pub client_cert: Option<PathBuf>,
    /// Use the proxies that the environment names.
    pub env_proxy: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            guests: GuestPolicy::default(),
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            ca_file: None,
            client_cert: None,
            env_proxy: false,
        }
    }
}

impl HttpSettings {
    /// Reads the values of a group that holds [`OPTIONS`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if a network is not one.
    ///
    /// ```
    /// use notifier_core::{BackendSettings, Origin};
    /// use notifier_http::{HttpSettings, OPTIONS};
    ///
    /// let mut s = BackendSettings::new(OPTIONS);
    /// s.set(Origin::Flag, "label-urls", "public")?;
    /// s.set(Origin::Env, "label-urls.allow", "10.0.0.0/8, 127.0.0.1")?;
    /// let settings = HttpSettings::read(&s.instance("default"))?;
    /// assert!(settings.guests.public_only);
    /// assert_eq!(settings.guests.allow.len(), 2);
    /// # Ok::<(), notifier_core::Error>(())
    /// ```
    pub fn read(settings: &Settings) -> Result<Self> {
        let path = |key| settings.get(key).map(PathBuf::from);
        Ok(Self {
            guests: GuestPolicy::parse(
                settings.text("label-urls"),
                settings.list("label-urls.allow"),
            )?,
            timeout: settings
                .duration("request-timeout")
                .filter(|d| !d.is_zero())
                .unwrap_or(TIMEOUT),
            connect_timeout: settings
                .duration("http.connect-timeout")
                .filter(|d| !d.is_zero())
                .unwrap_or(CONNECT_TIMEOUT),
            ca_file: path("http.ca-file"),
            client_cert: path("http.client-cert"),
            env_proxy: settings
                .get("http.proxy")
                .and_then(notifier_core::parse_bool)
                .unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::BackendSettings;

    use super::*;

    #[test]
    fn defaults_of_the_declaration_and_of_the_type_agree() {
        let read = HttpSettings::read(&BackendSettings::new(OPTIONS).instance("default")).unwrap();
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", HttpSettings::default())
        );
    }
}
