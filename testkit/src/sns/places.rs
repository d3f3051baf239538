//! Where programs on AWS find their keys.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use notifier_core::{Clock as _, SystemClock, jiff::SignedDuration};

use crate::http::{Action, Reply, Request, ScriptedServer, Service, lock};

/// A temporary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryKey {
    id: String,
    secret: String,
    token: String,
    lasts: SignedDuration,
}

impl TemporaryKey {
    /// A key that lasts an hour.
    #[must_use]
    pub fn new(id: &str, secret: &str, token: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            token: token.to_owned(),
            lasts: SignedDuration::from_hours(1),
        }
    }

    /// Sets how long it lasts.
    #[must_use]
    pub fn lasting(mut self, time: SignedDuration) -> Self {
        self.lasts = time;
        self
    }

    fn end(&self) -> String {
        let end = SystemClock.now() + self.lasts;
        end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": self.id,
            "SecretAccessKey": self.secret,
            "Token": self.token,
            "Expiration": self.end(),
        })
    }
}

#[derive(Debug)]
struct State {
    key: TemporaryKey,
    /// The header `Authorization` that the container's endpoint wants.
    authorization: Option<String>,
    /// The token of the web identity that is known.
    identity: Option<String>,
}

/// All places at which temporary keys can be had, on one loopback port: the token service
/// (`AssumeRoleWithWebIdentity` at `/`), a container's endpoint (`/container`), and the metadata
/// of an instance, version 2 (`/latest/…`). It stops when dropped.
pub struct FakePlaces {
    server: ScriptedServer,
    state: Arc<Mutex<State>>,
}

/// The session token of the instance's metadata.
const SESSION: &str = "metadata-session-1";

impl FakePlaces {
    /// Starts it with this key.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(key: TemporaryKey) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            key,
            authorization: None,
            identity: None,
        }));
        let server = ScriptedServer::with_service(Places(Arc::clone(&state))).await?;
        Ok(Self { server, state })
    }

    /// Gives out another key from now on.
    pub fn set_key(&self, key: TemporaryKey) {
        lock(&self.state).key = key;
    }

    /// Wants this header `Authorization` at the container's endpoint.
    pub fn authorization(&self, value: &str) {
        lock(&self.state).authorization = Some(value.to_owned());
    }

    /// Knows this token of a web identity, and no other.
    pub fn identity(&self, token: &str) {
        lock(&self.state).identity = Some(token.to_owned());
    }

    /// Its address followed by a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// The server beneath.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

impl fmt::Debug for FakePlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakePlaces")
            .field("addr", &self.server.addr())
            .finish_non_exhaustive()
    }
}

struct Places(Arc<Mutex<State>>);

impl Service for Places {
    fn respond(&self, request: &Request) -> Action {
        let state = lock(&self.0);
        match (request.method.as_str(), request.path()) {
            ("GET", "/container") => state.container(request),
            ("POST", "/") => state.web_identity(request),
            ("PUT", "/latest/api/token") => {
                match request.header("x-aws-ec2-metadata-token-ttl-seconds") {
                    Some(seconds) => Reply::text(200, SESSION)
                        .header("x-aws-ec2-metadata-token-ttl-seconds", seconds)
                        .into(),
                    None => Action::status(400),
                }
            }
            ("GET", path) if path.starts_with("/latest/meta-data/") => state.metadata(request),
            _ => Action::status(404),
        }
    }
}

impl State {
    fn container(&self, request: &Request) -> Action {
        if request.header("authorization") != self.authorization.as_deref() {
            return Action::status(403);
        }
        Reply::json(200, &self.key.json()).into()
    }

    /// Only with the session token, as version 2 wants it.
    fn metadata(&self, request: &Request) -> Action {
        const LIST: &str = "/latest/meta-data/iam/security-credentials";
        if request.header("x-aws-ec2-metadata-token") != Some(SESSION) {
            return Action::status(401);
        }
        match request.path().strip_prefix(LIST) {
            Some("" | "/") => Reply::text(200, "publisher").into(),
            Some("/publisher") => Reply::json(200, &self.key.json()).into(),
            _ => Action::status(404),
        }
    }

    fn web_identity(&self, request: &Request) -> Action {
        let form = request.form();
        let value = |name: &str| {
            let mut pairs = form.iter();
            pairs.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
        };
        const NAMES: &str = "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
        let is_known = value("WebIdentityToken") == self.identity.as_deref();
        if value("Action") != Some("AssumeRoleWithWebIdentity") || !is_known {
            return Reply::new(400)
                .header("Content-Type", "text/xml")
                .body(format!("<ErrorResponse {NAMES}><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>no such identity</Message></Error><RequestId>r</RequestId></ErrorResponse>"))
                .into();
        }
        let key = &self.key;
        Reply::new(200)
            .header("Content-Type", "text/xml")
            .body(format!(
                "<AssumeRoleWithWebIdentityResponse {NAMES}><AssumeRoleWithWebIdentityResult>\
                 <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/publisher/n</Arn><AssumedRoleId>AROA:n</AssumedRoleId></AssumedRoleUser>\
                 <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>",
                key.id,
                key.secret,
                key.token,
                key.end()
            ))
            .into()
    }
}
