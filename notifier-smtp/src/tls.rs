//! TLS to a relay: rustls with ring, no state of the process' own.

use std::sync::Arc;

use notifier_core::{Error, Result};
use rustls::{ClientConfig, pki_types::ServerName};
use smtp_wire::{Stream, Unchecked, roots};
use tokio_rustls::TlsConnector;

use crate::{
    error::{Failure, Who},
    server::{Server, Tls},
};

/// How to shake hands with one relay.
#[derive(Clone)]
pub(crate) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Handshake {
    /// What a relay needs; `None` where TLS is never used. Reads the files it names.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) with the option's name.
    pub(crate) fn of(server: &Server) -> Result<Option<Self>> {
        // A file that is named and of no use is a mistake, whether it is needed or not.
        let named = server
            .ca
            .as_deref()
            .map(|path| roots::from_file("smtp.ca", path))
            .transpose()?;
        if server.tls == Tls::None && server.tls_name.is_none() {
            return Ok(None);
        }
        let name = server.tls_name.as_deref().unwrap_or(&server.host);
        // The dot that makes a name an absolute one is in no certificate.
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = ServerName::try_from(name.to_owned()).map_err(|e| {
            let option = if server.tls_name.is_some() {
                "tls_name"
            } else {
                "server"
            };
            Error::config(format!(
                "smtp.{option}: {name:?} can stand in no certificate"
            ))
            .with_source(e)
        })?;
        if server.tls == Tls::None {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal("TLS cannot be set up").with_source(e))?;
        let config = if server.tls.is_checked() {
            builder.with_root_certificates(match named {
                Some(roots) => roots,
                None => roots::system("smtp.ca")?,
            })
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked::new(provider)))
        };
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(config.with_no_client_auth())),
            name,
        }))
    }

    /// Shakes hands.
    pub(crate) async fn shake(
        &self,
        stream: Box<dyn Stream>,
        who: &Who,
    ) -> Result<Box<dyn Stream>, Failure> {
        match self.connector.connect(self.name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(e) => {
                let tls = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
                Err(match tls {
                    Some(
                        cause @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
                    ) => who
                        .unfit(
                            "has a certificate that is refused; the mail waits until it is renewed, or until -smtp.ca and -smtp.tls_name fit it",
                        )
                        .because(who.tidy(&cause.to_string())),
                    _ => who
                        .unfit("did not get through the TLS handshake; no mail goes without it unless -smtp.tls is none")
                        .because(who.tidy(&e.to_string())),
                })
            }
        }
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::SettingsBuilder;

    use super::*;
    use crate::OPTIONS;

    fn name(host: &str) -> String {
        let settings = SettingsBuilder::new(OPTIONS)
            .set("server", host)
            .set("tls", "opportunistic")
            .build()
            .unwrap();
        let server = Server::read(&settings.instance("default"))
            .unwrap()
            .unwrap();
        let handshake = Handshake::of(&server).unwrap().unwrap();
        handshake.name.to_str().into_owned()
    }

    #[test]
    fn every_host_has_a_name_to_ask_for() {
        for (host, want) in [
            ("relay.example", "relay.example"),
            ("relay.example.", "relay.example"),
            ("mail_relay", "mail_relay"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:25", "::1"),
        ] {
            assert_eq!(name(host), want);
        }
    }
}
