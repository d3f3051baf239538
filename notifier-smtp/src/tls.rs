//! TLS to a relay: rustls with ring, no state of the process' own.

use std::{path::Path, sync::Arc};

use notifier_core::{Error, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

use crate::{
    error::{Failure, Who},
    link::Stream,
    server::{Server, Tls},
};

/// The largest file of certificates.
const MOST_OCTETS: u64 = 8 * 1024 * 1024;

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
        let named = server.ca.as_deref().map(from_file).transpose()?;
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
                None => system()?,
            })
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
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

/// The authorities that the system trusts.
fn system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        true => Err(Error::config(
            "smtp.ca: this system has no certificate authorities to trust; name a file of them",
        )),
        false => Ok(roots),
    }
}

/// The authorities of a file.
fn from_file(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let shown = path.display();
    let pem = crate::login::bounded(path, MOST_OCTETS)
        .map_err(|e| Error::config(format!("smtp.ca: cannot read {shown}")).with_source(e))?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = found
        .map_err(|e| Error::config(format!("smtp.ca: {shown} is no PEM file")).with_source(e))?;
    if found.is_empty() {
        return Err(Error::config(format!(
            "smtp.ca: no certificate found in {shown}"
        )));
    }
    for certificate in found {
        roots.add(certificate).map_err(|e| {
            Error::config(format!("smtp.ca: a certificate in {shown} is not usable")).with_source(e)
        })?;
    }
    Ok(roots)
}

/// Takes any certificate: opportunistic TLS hides mail from who only listens (RFC 7435).
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
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
