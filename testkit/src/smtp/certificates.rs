use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::http::wall_clock;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Before and after: years.
const LONG: (Duration, Duration) = (
    Duration::from_secs(1000 * 86_400),
    Duration::from_secs(9000 * 86_400),
);

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

    /// Signed by an authority between, `an authority between`, which the first one signed; the
    /// server sends both.
    #[must_use]
    pub fn through_another(&self) -> Identity {
        self.by_another(90 * DAY, &[LONG])
    }

    /// As [`through_another`](Self::through_another), and the server sends its own certificate only.
    #[must_use]
    pub fn missing_another(&self) -> Identity {
        self.by_another(90 * DAY, &[])
    }

    /// As [`through_another`](Self::through_another), expired before the certificate of the
    /// authority between was made: at no time both were valid.
    #[must_use]
    pub fn expired_before_another(&self) -> Identity {
        self.by_another(Duration::ZERO, &[(Duration::ZERO, 90 * DAY)])
    }

    /// As [`through_another`](Self::through_another), and the server sends an old certificate of the
    /// authority between as well, which has expired.
    #[must_use]
    pub fn through_another_twice(&self) -> Identity {
        self.by_another(90 * DAY, &[LONG, (3 * DAY, Duration::ZERO)])
    }

    /// For so long after two hours ago; certificates of the authority between that are sent along
    /// begin so long before an hour ago and end so long after.
    fn by_another(&self, left: Duration, sent: &[(Duration, Duration)]) -> Identity {
        let moment = wall_clock() - HOUR;
        let between_key = new_key();
        let mut between = made("an authority between", &[]);
        between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        between.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let sent: Vec<rcgen::Certificate> = sent
            .iter()
            .map(|(before, after)| {
                between.not_before = (moment - *before).into();
                between.not_after = (moment + *after).into();
                sound(between.signed_by(&between_key, &self.issuer))
            })
            .collect();
        let key = new_key();
        // A while before the moment, so that one that is over did not meet what begins there.
        let params = leaf(NAMES, moment - DAY, moment - HOUR + left);
        let own = sound(params.signed_by(&key, &Issuer::new(between, between_key)));
        Identity::with_chain(&own, &sent.iter().collect::<Vec<_>>(), &key)
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
    key_der: Arc<[u8]>,
    config: Arc<ServerConfig>,
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self::with_chain(certificate, &[], key)
    }

    fn with_chain(own: &rcgen::Certificate, rest: &[&rcgen::Certificate], key: &KeyPair) -> Self {
        let chain: Vec<&rcgen::Certificate> =
            std::iter::once(own).chain(rest.iter().copied()).collect();
        let ders = chain.iter().map(|c| c.der().clone()).collect();
        let pems: Vec<String> = chain.iter().map(|c| c.pem()).collect();
        Self {
            config: config(ders, key.serialize_der(), rustls::ALL_VERSIONS),
            chain_pem: pems.concat().into(),
            key_pem: key.serialize_pem().into(),
            key_der: key.serialize_der().into(),
        }
    }

    /// The same, spoken by nothing newer than TLS 1.2.
    #[must_use]
    pub fn tls12(&self) -> Self {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes());
        let chain = chain.map(sound).collect();
        let versions = [&rustls::version::TLS12];
        Self {
            config: config(chain, self.key_der.to_vec(), &versions),
            ..self.clone()
        }
    }

    /// What the server sends, in PEM: its certificate, without that of [`Certificates::ca_pem`].
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

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, secret)
        });
    Arc::new(sound(made))
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
