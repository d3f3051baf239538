//! Sends notifications, signed as SNS signs them.
//! (docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html, read 2026-11)

mod message;
mod post;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use tokio::sync::Notify;

pub use self::{message::SnsMessage, post::Posted};
use crate::http::{Action, Reply, Request, ScriptedServer, lock, until};

/// Keys for tests, which guard nothing.
const KEY: &str = include_str!("sender/signing-key.pem");
const OTHER_KEY: &str = include_str!("sender/other-key.pem");

/// Where the certificate is.
const CERT_PATH: &str = "/SimpleNotificationService-6e6f746966696572.pem";
/// Where the certificate of the other key is.
const OTHER_CERT_PATH: &str = "/SimpleNotificationService-6f74686572.pem";

/// The far side of SNS: signs messages with a key of its own (version 2, SHA-256), serves the
/// certificate, posts to HTTP endpoints, and takes confirmations.
///
/// ```no_run
/// # async fn test() -> std::io::Result<()> {
/// use std::time::Duration;
/// use notifier_testkit::sns::SnsSender;
///
/// let sns = SnsSender::start().await?;
/// let endpoint = "http://127.0.0.1:8080/sns";
/// assert_eq!(sns.post(endpoint, &sns.confirmation()).await?.status, 200);
/// assert!(sns.wait_confirmed(1, Duration::from_secs(30)).await);
/// let posted = sns.deliver(endpoint, &sns.notification("disk full"), 3).await?;
/// assert_eq!(posted.status, 200);
/// # Ok(()) }
/// ```
pub struct SnsSender {
    server: ScriptedServer,
    shared: Arc<Shared>,
    topic: String,
    key: KeyPair,
    serial: AtomicU64,
}

/// What the server knows.
struct Shared {
    cert: String,
    other_cert: String,
    /// Topics and tokens that may be confirmed.
    issued: Mutex<Vec<(String, String)>>,
    confirmed: Mutex<Vec<String>>,
    came: Notify,
}

impl SnsSender {
    /// The topic unless another is given.
    pub const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:fleet-alert";

    /// Starts one for [`TOPIC`](Self::TOPIC).
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::of_topic(Self::TOPIC).await
    }

    /// Starts one for a topic.
    ///
    /// # Errors
    /// When no loopback port can be had.
    ///
    /// # Panics
    /// Never: the keys are those of this crate.
    pub async fn of_topic(topic: &str) -> io::Result<Self> {
        let key = key(KEY);
        let shared = Arc::new(Shared {
            cert: certificate(&key, "sns.amazonaws.com"),
            other_cert: certificate(&self::key(OTHER_KEY), "sns.amazonaws.com"),
            issued: Mutex::default(),
            confirmed: Mutex::default(),
            came: Notify::new(),
        });
        let answers = Arc::clone(&shared);
        let server = ScriptedServer::with_service(move |r: &Request| answers.answer(r)).await?;
        Ok(Self {
            server,
            shared,
            topic: topic.to_owned(),
            key,
            serial: AtomicU64::new(0),
        })
    }

    /// The address of this SNS: where confirmations go, and where the certificate is.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// The certificate's address.
    #[must_use]
    pub fn cert_url(&self) -> String {
        self.server.url(CERT_PATH)
    }

    /// The address of a certificate of another key.
    #[must_use]
    pub fn other_cert_url(&self) -> String {
        self.server.url(OTHER_CERT_PATH)
    }

    /// The certificate that a message is verified with, in PEM, made out to this name.
    #[must_use]
    pub fn cert_pem(name: &str) -> String {
        certificate(&key(KEY), name)
    }

    /// The ARN of the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The server of certificate and confirmations, to script it.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }

    /// How often a certificate was asked for.
    #[must_use]
    pub fn cert_requests(&self) -> usize {
        self.server.count_requests(|r| r.path().ends_with(".pem"))
    }

    /// The tokens that were confirmed, in order.
    #[must_use]
    pub fn confirmed(&self) -> Vec<String> {
        lock(&self.shared.confirmed).clone()
    }

    /// Waits for so many confirmations; whether they came.
    pub async fn wait_confirmed(&self, n: usize, timeout: Duration) -> bool {
        until(&self.shared.came, timeout, || self.confirmed().len() >= n).await;
        self.confirmed().len() >= n
    }

    /// A signed notification, published now. Each has an id of its own.
    #[must_use]
    pub fn notification(&self, message: &str) -> SnsMessage {
        self.signed(SnsMessage::notification(&self.topic, &self.id(), message))
    }

    /// A signed `SubscriptionConfirmation` with a token of its own.
    #[must_use]
    pub fn confirmation(&self) -> SnsMessage {
        let token = self.id().replace('-', "");
        lock(&self.shared.issued).push((self.topic.clone(), token.clone()));
        let m = SnsMessage::confirmation(&self.topic, &self.id(), &token, &self.url());
        self.signed(m)
    }

    /// A signed `UnsubscribeConfirmation`.
    #[must_use]
    pub fn unsubscription(&self) -> SnsMessage {
        let m = SnsMessage::confirmation(&self.topic, &self.id(), "t0ken", &self.url())
            .with("Type", "UnsubscribeConfirmation");
        self.signed(m)
    }

    /// The one notification with a signature of version 1 (RSA with SHA-1), which was made once. Its
    /// topic is [`TOPIC`](Self::TOPIC), and it was published at `2026-01-02T03:04:05.678Z`.
    #[must_use]
    pub fn version_1(&self) -> SnsMessage {
        SnsMessage::version_1(include_str!("sender/v1-signature.txt").trim())
            .with("SigningCertURL", self.cert_url())
    }

    /// The same message signed anew, as it is now.
    ///
    /// # Panics
    /// Never: the key is that of this crate.
    #[must_use]
    pub fn signed(&self, message: SnsMessage) -> SnsMessage {
        message
            .sign(&self.key)
            .with("SigningCertURL", self.cert_url())
    }

    /// The same message signed with another key, whose certificate is at [`other_cert_url`](Self::other_cert_url).
    #[must_use]
    pub fn signed_by_another(&self, message: SnsMessage) -> SnsMessage {
        message
            .sign(&key(OTHER_KEY))
            .with("SigningCertURL", self.cert_url())
    }

    /// Posts a message once.
    ///
    /// # Errors
    /// If the endpoint cannot be reached or does not answer as HTTP does.
    pub async fn post(&self, endpoint: &str, message: &SnsMessage) -> io::Result<Posted> {
        let endpoint = match message.query() {
            Some(query) => format!("{}?{query}", endpoint.split('?').next().unwrap_or(endpoint)),
            None => endpoint.to_owned(),
        };
        post::post(&endpoint, &message.headers(), &message.body()).await
    }

    /// Posts a message until it is taken or refused for good: as SNS does, again after no answer, 429 and 5xx,
    /// `tries` times at most, a tenth of a second apart.
    ///
    /// # Errors
    /// As [`post`](Self::post), if the last try ended so.
    pub async fn deliver(
        &self,
        endpoint: &str,
        message: &SnsMessage,
        tries: u32,
    ) -> io::Result<Posted> {
        let mut left = tries.max(1);
        loop {
            left -= 1;
            let posted = self.post(endpoint, message).await;
            let again = match &posted {
                Ok(p) => p.status == 429 || p.status >= 500,
                Err(_) => true,
            };
            if !again || left == 0 {
                return posted;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn id(&self) -> String {
        let n = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-3e00-511e-9368-{n:012x}", fastrand::u32(..))
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Action {
        let pem =
            |text: &str| Reply::text(200, text).header("Content-Type", "application/x-pem-file");
        let reply = match request.path() {
            CERT_PATH => pem(&self.cert),
            OTHER_CERT_PATH => pem(&self.other_cert),
            "/" if request.param("Action").as_deref() == Some("ConfirmSubscription") => {
                let asked = (
                    request.param("TopicArn").unwrap_or_default(),
                    request.param("Token").unwrap_or_default(),
                );
                match lock(&self.issued).contains(&asked) {
                    true => {
                        lock(&self.confirmed).push(asked.1);
                        self.came.notify_waiters();
                        Reply::text(200, "<ConfirmSubscriptionResponse/>")
                    }
                    false => Reply::text(400, "<Code>InvalidParameter</Code>"),
                }
            }
            _ => Reply::new(404),
        };
        reply.into()
    }
}

impl fmt::Debug for SnsSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnsSender")
            .field("url", &self.url())
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

fn key(pem: &str) -> KeyPair {
    sound(KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_RSA_SHA256))
}

fn certificate(key: &KeyPair, name: &str) -> String {
    let mut params = sound(CertificateParams::new([name.to_owned()]));
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    sound(params.self_signed(key)).pem()
}

/// Keys are this crate's own; only a caller's name can be wrong.
fn sound<T, E: fmt::Display>(made: Result<T, E>) -> T {
    made.unwrap_or_else(|error| panic!("cannot make a certificate: {error}"))
}
