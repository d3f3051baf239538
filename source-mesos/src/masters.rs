//! The masters, and how the one that leads is asked.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    vec,
};

use notifier_core::{Error, ErrorKind, Result, Retry, redact};
use notifier_http::{Answer, HttpClient, Request, StreamAnswer};
use tokio::time::timeout;
use url::Url;

use crate::{
    addresses::Master,
    body::{Pace, Stopped, Unread},
    credentials::Credentials,
    error::brief,
    registry::Registries,
};

/// How many redirects in a row are followed.
const MAX_HOPS: usize = 4;
/// How much of a refusal is read.
const MAX_REFUSAL: usize = 64 * 1024;

/// What a master is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Its state, in the form of all versions.
    State,
    /// A call of the operator API, by its name.
    Operator(&'static str),
}

impl Call {
    fn path(self) -> &'static str {
        match self {
            Self::State => "/master/state",
            Self::Operator(_) => "/api/v1",
        }
    }

    fn request(self, client: &HttpClient, url: &Url) -> Request {
        match self {
            Self::State => client.get(url.as_str()),
            // Mesos takes this content type only as it stands here.
            Self::Operator(name) => client.post(url.as_str()).body(
                "application/json",
                format!(r#"{{"type":"{name}"}}"#).into_bytes(),
            ),
        }
    }
}

/// The masters, and which of them led last.
pub(crate) struct Masters {
    client: HttpClient,
    masters: Vec<Master>,
    registries: Registries,
    /// For masters that have none of their own.
    credentials: Option<Credentials>,
    trusted: Vec<String>,
    pace: Pace,
    last: Mutex<Option<Url>>,
}

/// A master that answered 200, and its answer.
pub(crate) struct Opened {
    pub(crate) answer: StreamAnswer,
    pub(crate) base: Url,
    url: Url,
}

/// Why one master could not be read.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: ErrorKind,
    text: String,
    /// It answered that it does not do this, or not for us.
    never: bool,
}

impl Refusal {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            never: false,
        }
    }

    pub(crate) fn error(self) -> Error {
        Error::new(self.kind, self.text)
    }
}

/// One round through the masters: the one that led last is asked first.
pub(crate) struct Round<'a> {
    masters: &'a Masters,
    call: Call,
    candidates: vec::IntoIter<Url>,
    /// Registries that tell no master.
    unknown: Vec<Error>,
    refusals: Vec<(Url, Refusal)>,
}

/// No master could be read.
#[derive(Debug)]
pub(crate) struct Nobody {
    pub(crate) error: Error,
    /// One that is there answered that it does not do this, or not for us.
    pub(crate) never: bool,
}

impl Round<'_> {
    /// The next master that answers 200.
    pub(crate) async fn next(&mut self) -> Option<Opened> {
        for base in self.candidates.by_ref() {
            match self.masters.open(&base, self.call).await {
                Ok(opened) => return Some(opened),
                Err(refusal) => self.refusals.push((base, refusal)),
            }
        }
        None
    }

    /// What the master answered is not what was asked for.
    pub(crate) fn refuse(&mut self, base: Url, refusal: Refusal) {
        self.refusals.push((base, refusal));
    }

    /// The master of this address leads.
    pub(crate) fn leads(&self, base: &Url) {
        self.masters.leads(base);
    }

    /// All refused.
    pub(crate) fn nobody(self) -> Nobody {
        self.masters.forget();
        let of_registries = self.unknown.iter().map(Error::kind);
        let mut kinds = of_registries.chain(self.refusals.iter().map(|(_, r)| r.kind));
        let kind = match kinds.next() {
            Some(first) if kinds.all(|kind| kind == first) => first,
            _ => ErrorKind::Unavailable,
        };
        let never = self.refusals.iter().any(|(_, r)| r.never);
        let of_masters = self.refusals.into_iter();
        let of_masters = of_masters.map(|(base, r)| format!("{}: {}", shown(&base), r.text));
        let of_registries = self.unknown.iter().map(|e| e.report().to_string());
        let list: Vec<String> = of_registries.chain(of_masters).collect();
        let what = match self.call {
            Call::State => "read",
            Call::Operator("SUBSCRIBE") => "subscribed to",
            Call::Operator(_) => "asked",
        };
        let error = Error::new(
            kind,
            format!("no Mesos master could be {what}: {}", list.join("; ")),
        )
        .with_retry(Retry::Later { after: None });
        Nobody { error, never }
    }
}

impl Masters {
    pub(crate) fn new(
        client: HttpClient,
        masters: Vec<Master>,
        registries: Registries,
        credentials: Option<Credentials>,
        trusted: Vec<String>,
        pace: Pace,
    ) -> Self {
        Self {
            client,
            masters,
            registries,
            credentials,
            trusted,
            pace,
            last: Mutex::default(),
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// A round of all masters, the one that led last first.
    pub(crate) async fn round(&self, call: Call) -> Round<'_> {
        let (registered, unknown) = self.registries.masters().await;
        let last = self.last().clone();
        let named = self.masters.iter().map(|m| m.base.clone());
        let mut candidates: Vec<Url> = Vec::new();
        for base in last.into_iter().chain(registered).chain(named) {
            if !candidates.contains(&base) {
                candidates.push(base);
            }
        }
        Round {
            masters: self,
            call,
            candidates: candidates.into_iter(),
            unknown,
            refusals: Vec::new(),
        }
    }

    /// Resolves when another master leads than when this was called, as far as that is told.
    pub(crate) fn another_leads(&self) -> impl Future<Output = ()> + Send + use<> {
        self.registries.another_leads()
    }

    fn last(&self) -> MutexGuard<'_, Option<Url>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leads(&self, base: &Url) {
        let mut last = self.last();
        if last.as_ref() != Some(base) {
            tracing::info!(master = %shown(base), "the leading master");
            *last = Some(base.clone());
        }
    }

    fn forget(&self) {
        *self.last() = None;
    }

    /// The version of a master, if it tells: `1.11.0`.
    pub(crate) async fn version(&self, base: &Url) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Version {
            version: String,
        }
        let answer = self.ask(&joined(base, "/version"), None).await.ok()?;
        let answer = timeout(self.pace.window(), answer.read_all(MAX_REFUSAL)).await;
        let answer = answer.ok()?.ok()?.success().ok()?;
        Some(answer.json::<Version>().ok()?.version)
    }

    /// The answer of a master, or of the one that it sends us to.
    async fn open(&self, base: &Url, call: Call) -> Result<Opened, Refusal> {
        let mut url = joined(base, call.path());
        let mut hops = 0;
        loop {
            let answer = self.ask(&url, Some(call)).await?;
            match answer.status() {
                200 => {
                    let base = base_of(&url);
                    return Ok(Opened { answer, base, url });
                }
                // Before 0.25.
                404 if url.path().ends_with("/state") => {
                    let path = format!("{}.json", url.path());
                    url.set_path(&path);
                }
                300..=399 => {
                    let Some(to) = answer.location() else {
                        return Err(Refusal::new(
                            ErrorKind::InvalidResponse,
                            "a redirect to nowhere",
                        ));
                    };
                    hops += 1;
                    if hops > MAX_HOPS {
                        return Err(Refusal::new(ErrorKind::Unavailable, "redirects in a loop"));
                    }
                    url = self.check_redirect(to)?;
                }
                _ => return Err(self.refused(answer, &url).await),
            }
        }
    }

    /// A request for a call, or a plain one.
    async fn ask(&self, url: &Url, call: Option<Call>) -> Result<StreamAnswer, Refusal> {
        let failed = |e: Error| Refusal::new(e.kind(), brief(&e, &redact::url(url.as_str())));
        let mut request = match call {
            Some(call) => call.request(&self.client, url),
            None => self.client.get(url.as_str()),
        };
        if let Some(credentials) = self.credentials_for(url) {
            request = credentials.apply(request).map_err(failed)?;
        }
        request
            .header("Accept", "application/json")
            .stream()
            .await
            .map_err(failed)
    }

    async fn refused(&self, answer: StreamAnswer, url: &Url) -> Refusal {
        let status = answer.status();
        match timeout(self.pace.window(), answer.read_all(MAX_REFUSAL)).await {
            Ok(Ok(answer)) => refusal(&answer),
            Ok(Err(e)) => Refusal::new(e.kind(), brief(&e, &redact::url(url.as_str()))),
            Err(_) => Refusal::new(
                ErrorKind::Timeout,
                format!("answered {status}, and that too slowly"),
            ),
        }
    }

    /// Credentials go to a configured master (same scheme, host and port) or a trusted
    /// host, and nowhere else.
    fn credentials_for(&self, url: &Url) -> Option<&Credentials> {
        if let Some(master) = self
            .masters
            .iter()
            .find(|m| m.base.origin() == url.origin())
        {
            return master.credentials.as_ref().or(self.credentials.as_ref());
        }
        if self.registries.knows(url) || self.is_trusted(url) {
            self.credentials.as_ref()
        } else {
            None
        }
    }

    fn is_trusted(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let with_port = url.port_or_known_default().map(|p| format!("{host}:{p}"));
        let named = self.trusted.iter().any(|t| {
            t.eq_ignore_ascii_case(host)
                || with_port
                    .as_ref()
                    .is_some_and(|w| t.eq_ignore_ascii_case(w))
        });
        // Never from https down to http.
        named && (url.scheme() == "https" || self.speaks_http())
    }

    /// False if everything that is configured is asked by https.
    fn speaks_http(&self) -> bool {
        self.registries.speaks_http() || self.masters.iter().any(|m| m.base.scheme() == "http")
    }

    fn check_redirect(&self, mut to: Url) -> Result<Url, Refusal> {
        let _ = to.set_username("");
        let _ = to.set_password(None);
        if !matches!(to.scheme(), "http" | "https") {
            return Err(Refusal::new(
                ErrorKind::InvalidResponse,
                "a redirect to something that is not http",
            ));
        }
        let is_named = self.masters.iter().any(|m| m.base.origin() == to.origin());
        let is_known = is_named || self.registries.knows(&to) || self.is_trusted(&to);
        if self.credentials.is_some() && !is_known {
            return Err(Refusal::new(
                ErrorKind::PermissionDenied,
                format!(
                    "redirects to {}, which gets no credentials (name it among the masters or in mesos.trusted-hosts)",
                    redact::origin(to.as_str())
                ),
            ));
        }
        Ok(to)
    }
}

impl Opened {
    /// The address as it is called in errors.
    pub(crate) fn who(&self) -> String {
        redact::url(self.url.as_str())
    }

    /// Hands on the answer piece by piece, to its end.
    pub(crate) async fn each(
        self,
        pace: Pace,
        max: usize,
        take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), Refusal> {
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        let who = self.who();
        pace.each(self.answer.into_stream(max), take)
            .await
            .map_err(|e| match e {
                Stopped::Unread(e) => unread(&e, &who),
                Stopped::Malformed(text) => Refusal::new(ErrorKind::InvalidResponse, text),
            })
    }
}

impl fmt::Debug for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masters")
            .field("masters", &self.masters)
            .field("registries", &self.registries)
            .field("credentials", &self.credentials)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

/// An answer that did not come to its end.
pub(crate) fn unread(e: &Unread, who: &str) -> Refusal {
    match e {
        Unread::TooSlow => Refusal::new(ErrorKind::Timeout, "its answer comes too slowly"),
        Unread::Broken(e) => Refusal::new(e.kind(), brief(e, who)),
    }
}

fn refusal(answer: &Answer) -> Refusal {
    let text = match answer.status() {
        401 => "401, the credentials are missing or wrong".to_owned(),
        403 => "403, the credentials are not good for this".to_owned(),
        status => {
            let excerpt = answer.excerpt();
            if excerpt.is_empty() {
                format!("answered {status}")
            } else {
                format!("{excerpt} ({status})")
            }
        }
    };
    Refusal {
        kind: answer.error().kind(),
        text,
        never: matches!(answer.status(), 400..=407 | 415 | 501),
    }
}

/// An address below that of a master.
fn joined(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// The address of the master whose state this is.
fn base_of(url: &Url) -> Url {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let path = url
        .path()
        .trim_end_matches(".json")
        .trim_end_matches("/state")
        .trim_end_matches("/api/v1")
        .trim_end_matches("/master")
        .to_owned();
    base.set_path(&path);
    base
}

fn shown(base: &Url) -> String {
    redact::url(base.as_str()).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn masters(masters: &[&str], with_credentials: bool, trusted: &[&str]) -> Masters {
        let masters = masters
            .iter()
            .map(|m| Master {
                base: url(m),
                credentials: None,
            })
            .collect();
        let credentials = with_credentials.then(|| Credentials::Basic {
            user: "u".into(),
            password: crate::credentials::Hidden::Value("p".into()),
        });
        let trusted = trusted.iter().map(|t| (*t).to_owned()).collect();
        Masters::new(
            HttpClient::new().unwrap(),
            masters,
            Registries::default(),
            credentials,
            trusted,
            Pace::of(std::time::Duration::from_secs(10)),
        )
    }

    #[test]
    fn addresses_of_states_and_back() {
        for base in ["http://m:5050/", "https://dcos.example/mesos"] {
            for path in [Call::State.path(), Call::Operator("GET_STATE").path()] {
                assert_eq!(base_of(&joined(&url(base), path)), url(base));
            }
        }
        assert_eq!(
            joined(&url("http://d/mesos"), "/master/state").as_str(),
            "http://d/mesos/master/state"
        );
        assert_eq!(
            base_of(&url("http://m:5050/state.json?x=1")),
            url("http://m:5050/")
        );
    }

    #[test]
    fn credentials_follow_to_masters_and_trusted_hosts_only() {
        let l = masters(
            &["http://m1:5050", "https://m2:5050"],
            true,
            &["10.0.0.9:5050", "Lead.example"],
        );
        let goes = |to: &str| {
            (
                l.check_redirect(url(to)).is_ok(),
                l.credentials_for(&url(to)).is_some(),
            )
        };
        assert_eq!(goes("http://m1:5050/master/state"), (true, true));
        assert_eq!(goes("https://m2:5050/state"), (true, true));
        assert_eq!(goes("http://10.0.0.9:5050/state"), (true, true));
        assert_eq!(goes("http://lead.example:7000/state"), (true, true));
        for other in [
            "http://m1:5051/",
            "https://m1:5050/",
            "http://m2:5050/",
            "http://10.0.0.9:80/",
            "http://evil/",
        ] {
            assert_eq!(goes(other), (false, false), "{other}");
        }
        let tls = masters(&["https://m1:5050"], true, &["lead.example"]);
        assert!(tls.check_redirect(url("http://lead.example/")).is_err());
        assert!(tls.check_redirect(url("https://lead.example/")).is_ok());
    }

    #[test]
    fn without_credentials_redirects_lead_anywhere_on_http() {
        let l = masters(&["http://m1:5050"], false, &[]);
        assert_eq!(
            l.check_redirect(url("http://u:p@other:5050/x")).ok(),
            Some(url("http://other:5050/x"))
        );
        assert!(l.check_redirect(url("file:///etc/passwd")).is_err());
    }
}
