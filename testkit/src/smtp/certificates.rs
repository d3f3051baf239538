use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::http::wall_clock;

const DAY: Duration = Duration::from_secs(86_400);

/// The names of a certificate unless others are asked for.
const NAMES: &[&str] = &["localhost", "127.0.0.1", "relay.example"];

/// A certification authority of its own, made at run time, and what it signs.
///
/// Keys are ECDSA P-256. Each call of a method makes a new key and certificate.
pub struct Certificates {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Certificates {
    /// A new authority that no one trusts yet.
    #[must_use]
    pub fn new() -> Self {
        let key = new_key();
        let mut params = made("certificates for tests", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        let ca_pem = sound(params.self_signed(&key)).pem();
        Self {
            issuer: Issuer::new(params, key),
            ca_pem,
        }
    }

    /// The authority's certificate in PEM: what a client has to trust.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca_pem.clone()
    }

    /// Valid since yesterday and for 90 days, for `localhost`, `127.0.0.1` and `relay.example`.
    #[must_use]
    pub fn valid(&self) -> Identity {
        self.named(NAMES)
    }

    /// As [`valid`](Self::valid), for these host names and addresses.
    #[must_use]
    pub fn named(&self, names: &[&str]) -> Identity {
        self.signed(names, ago(DAY), ahead(90 * DAY))
    }

    /// For `elsewhere.example` only.
    #[must_use]
    pub fn wrong_name(&self) -> Identity {
        self.named(&["elsewhere.example"])
    }

    /// Expired yesterday.
    #[must_use]
    pub fn expired(&self) -> Identity {
        self.signed(NAMES, ago(30 * DAY), ago(DAY))
    }

    /// Valid from tomorrow on.
    #[must_use]
    pub fn not_yet_valid(&self) -> Identity {
        self.signed(NAMES, ahead(DAY), ahead(30 * DAY))
    }

    /// Valid until so long from now.
    #[must_use]
    pub fn expiring_in(&self, left: Duration) -> Identity {
        self.signed(NAMES, ago(DAY), ahead(left))
    }

    /// Signed by itself, with the names of [`valid`](Self::valid).
    #[must_use]
    pub fn self_signed(&self) -> Identity {
        let key = new_key();
        let params = leaf(NAMES, ago(DAY), ahead(90 * DAY));
        Identity::new(&sound(params.self_signed(&key)), &key)
    }

    /// Signed by another authority that has the same name.
    #[must_use]
    pub fn other_ca(&self) -> Identity {
        Self::new().valid()
    }

    fn signed(&self, names: &[&str], from: SystemTime, until: SystemTime) -> Identity {
        let key = new_key();
        let mut params = leaf(names, from, until);
        params.use_authority_key_identifier_extension = true;
        Identity::new(&sound(params.signed_by(&key, &self.issuer)), &key)
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

/// A server's certificate with its key. Cloning is cheap.
#[derive(Clone)]
pub struct Identity {
    chain_pem: Arc<str>,
    key_pem: Arc<str>,
    config: Arc<ServerConfig>,
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = sound(
            ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    let chain = vec![certificate.der().clone()];
                    builder
                        .with_no_client_auth()
                        .with_single_cert(chain, secret)
                }),
        );
        Self {
            chain_pem: certificate.pem().into(),
            key_pem: key.serialize_pem().into(),
            config: Arc::new(config),
        }
    }

    /// What the server sends, in PEM: its certificate, without the authority's.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain_pem.to_string()
    }

    /// The key in PEM (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key_pem.to_string()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn new_key() -> KeyPair {
    sound(KeyPair::generate())
}

fn made(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = sound(CertificateParams::new(names));
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn leaf(names: &[&str], from: SystemTime, until: SystemTime) -> CertificateParams {
    let mut params = made(names.first().copied().unwrap_or("nameless"), names);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = from.into();
    params.not_after = until.into();
    params
}

fn ago(past: Duration) -> SystemTime {
    wall_clock() - past
}

fn ahead(future: Duration) -> SystemTime {
    wall_clock() + future
}

/// Certificates are made of what this module names; only a caller's name can be wrong.
fn sound<T, E: fmt::Display>(made: Result<T, E>) -> T {
    made.unwrap_or_else(|error| panic!("cannot make a certificate: {error}"))
}
