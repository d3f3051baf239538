//! TLS: rustls with ring, no process-wide state.

use std::{fmt, sync::Arc};

use notifier_core::{Error, Result};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Certificates beside those of the platform's store.
#[derive(Default)]
pub(crate) struct Tls {
    ca: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Tls {
    pub(crate) fn add_ca(&mut self, pem: &[u8], what: &str) -> Result<()> {
        let found = certificates(pem, what)?;
        self.ca.extend(found);
        Ok(())
    }

    pub(crate) fn set_client(&mut self, pem: &[u8], what: &str) -> Result<()> {
        let chain = certificates(pem, what)?;
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|e| Error::config(format!("{what}: no private key found ({e})")))?;
        self.client = Some((chain, key));
        Ok(())
    }

    /// The configurations for trusted and for guest addresses; only the first shows the client certificate.
    pub(crate) fn configs(&self) -> Result<(ClientConfig, ClientConfig)> {
        let mut roots = RootCertStore::empty();
        // An empty or partly broken store must not stop the start: plain HTTP needs none,
        // and a request over TLS says which certificate it could not check.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for ca in &self.ca {
            roots.add(ca.clone()).map_err(|e| {
                Error::config("an extra CA certificate is not usable").with_source(e)
            })?;
        }
        let roots = Arc::new(roots);
        let base = || {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            Ok::<_, Error>(
                ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(|e| Error::internal("no usable TLS version").with_source(e))?
                    .with_root_certificates(Arc::clone(&roots)),
            )
        };
        let guest = base()?.with_no_client_auth();
        let trusted = match &self.client {
            None => guest.clone(),
            Some((chain, key)) => base()?
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|e| {
                    Error::config("the client certificate is not usable").with_source(e)
                })?,
        };
        Ok((trusted, guest))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("extra_ca", &self.ca.len())
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::config(format!("{what}: not a PEM file ({e})")))?;
    if found.is_empty() {
        return Err(Error::config(format!("{what}: no certificate found in it")));
    }
    Ok(found)
}
