//! The authorities that certificates must come from.

use std::path::Path;

use notifier_core::{Error, Result};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::bounded;

/// The largest file of certificates.
const MOST_OCTETS: u64 = 8 * 1024 * 1024;

/// The authorities that the system trusts. `option` is the one to name in an error.
///
/// # Errors
/// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if there are none.
pub fn system(option: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        true => Err(Error::config(format!(
            "{option}: this system has no certificate authorities to trust; name a file of them"
        ))),
        false => Ok(roots),
    }
}

/// The authorities of a file in PEM, of at most 8 MiB.
///
/// # Errors
/// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if it cannot be read, or has none.
pub fn from_file(option: &str, path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let shown = path.display();
    let pem = bounded(path, MOST_OCTETS)
        .map_err(|e| Error::config(format!("{option}: cannot read {shown}")).with_source(e))?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = found
        .map_err(|e| Error::config(format!("{option}: {shown} is no PEM file")).with_source(e))?;
    if found.is_empty() {
        return Err(Error::config(format!(
            "{option}: no certificate found in {shown}"
        )));
    }
    for certificate in found {
        roots.add(certificate).map_err(|e| {
            Error::config(format!("{option}: a certificate in {shown} is not usable"))
                .with_source(e)
        })?;
    }
    Ok(roots)
}
