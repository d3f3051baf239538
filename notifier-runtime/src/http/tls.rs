//! The certificate that is shown over HTTPS.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use notifiers::{Error, ErrorKind, Result};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// A certificate with its chain, and its private key, in PEM files. They are read again when they
/// change, so that a certificate can be renewed while it is served; what cannot be read then leaves the old one in place.
pub struct ServerTls {
    cert: PathBuf,
    key: PathBuf,
    shown: Mutex<Shown>,
}

struct Shown {
    config: Arc<ServerConfig>,
    /// What the files were that were read last, well or not.
    read: Option<[Seen; 2]>,
}

/// When a file was changed, and its length.
type Seen = (SystemTime, u64);

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the file that cannot be used.
    pub fn load(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self> {
        let (cert, key) = (cert.into(), key.into());
        let read = seen(&cert, &key);
        let config = config(&cert, &key)?;
        Ok(Self {
            cert,
            key,
            shown: Mutex::new(Shown { config, read }),
        })
    }

    /// What takes the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen(&self.cert, &self.key);
        if now.is_some() && now != shown.read {
            shown.read = now;
            match config(&self.cert, &self.key) {
                Ok(config) => {
                    tracing::info!(file = %self.cert.display(), "the certificate was read anew");
                    shown.config = config;
                }
                Err(e) => tracing::warn!(
                    "the certificate cannot be read anew, the old one is shown: {}",
                    e.report()
                ),
            }
        }
        TlsAcceptor::from(Arc::clone(&shown.config))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("cert", &self.cert)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn seen(cert: &Path, key: &Path) -> Option<[Seen; 2]> {
    let one = |path| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    Some([one(cert)?, one(key)?])
}

fn config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let wrong = |path: &Path, what: &str| {
        let text = format!("{}: {what}", path.display());
        Error::new(ErrorKind::Config, text)
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(cert, "no certificate can be read").with_source(e))?;
    if chain.is_empty() {
        return Err(wrong(cert, "there is no certificate in it"));
    }
    // The error is not told: it may quote the key.
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| wrong(key, "no private key in PEM can be read"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(cert, "it cannot be served").with_source(e))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| wrong(cert, "it does not go with the private key").with_source(e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
