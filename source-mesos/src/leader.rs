//! Finding the leading master and reading its state.

use std::sync::Arc;

use notifier_core::{Error, ErrorKind, Result, Retry, redact};
use notifier_http::{Answer, HttpClient, StreamAnswer};
use tokio::time::timeout;
use url::Url;

use crate::{
    body::{Pace, Unread},
    error::brief,
    options::{Credentials, Master},
    state::{Snapshot, json},
};

/// How many redirects in a row are followed.
const MAX_HOPS: usize = 4;
/// Larger states are read off the async threads.
const BLOCKING: usize = 256 * 1024;

/// The masters, and which of them led last.
#[derive(Debug)]
pub(crate) struct Leader {
    client: HttpClient,
    masters: Vec<Master>,
    /// For masters that have none of their own.
    credentials: Option<Credentials>,
    trusted: Vec<String>,
    max: usize,
    pace: Pace,
    /// The states of the tasks that are read.
    states: Arc<[String]>,
    last: Option<Url>,
}

/// A state, and where it is from.
pub(crate) struct Found {
    pub(crate) snapshot: Snapshot,
    pub(crate) base: Url,
}

/// Why one master could not be read.
struct Refusal {
    kind: ErrorKind,
    text: String,
}

impl Refusal {
    fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

impl Leader {
    pub(crate) fn new(
        client: HttpClient,
        masters: Vec<Master>,
        credentials: Option<Credentials>,
        trusted: Vec<String>,
        max: usize,
        pace: Pace,
        states: Arc<[String]>,
    ) -> Self {
        Self {
            client,
            masters,
            credentials,
            trusted,
            max,
            pace,
            states,
            last: None,
        }
    }

    /// The state of the leading master: the one that led last is asked first, then all.
    pub(crate) async fn read(&mut self) -> Result<Found> {
        let mut order: Vec<Url> = self.last.iter().cloned().collect();
        order.extend(
            self.masters
                .iter()
                .map(|m| &m.base)
                .filter(|b| self.last.as_ref() != Some(b))
                .cloned(),
        );
        let mut refusals: Vec<(String, Refusal)> = Vec::new();
        for base in order {
            match self.ask(&base).await {
                Ok(found) => {
                    if self.last.as_ref() != Some(&found.base) {
                        tracing::info!(master = %shown(&found.base), "the leading master");
                        self.last = Some(found.base.clone());
                    }
                    return Ok(found);
                }
                Err(refusal) => refusals.push((shown(&base), refusal)),
            }
        }
        self.last = None;
        let kind = match &refusals[..] {
            [(_, first), rest @ ..] if rest.iter().all(|(_, r)| r.kind == first.kind) => first.kind,
            _ => ErrorKind::Unavailable,
        };
        let list: Vec<String> = refusals
            .into_iter()
            .map(|(base, r)| format!("{base}: {}", r.text))
            .collect();
        Err(Error::new(
            kind,
            format!("no Mesos master could be read: {}", list.join("; ")),
        )
        .with_retry(Retry::Later { after: None }))
    }

    async fn ask(&self, base: &Url) -> Result<Found, Refusal> {
        let mut url = state_url(base, "/master/state");
        let mut hops = 0;
        loop {
            let answer = self.get(&url).await?;
            match answer.status() {
                200 => {
                    let snapshot = self.parse(self.body(answer, &url).await?).await?;
                    if !snapshot.is_of_leader() {
                        return Err(Refusal::new(ErrorKind::Unavailable, "not the leader"));
                    }
                    return Ok(Found {
                        snapshot,
                        base: base_of(&url),
                    });
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

    async fn get(&self, url: &Url) -> Result<StreamAnswer, Refusal> {
        let failed = |e: Error| Refusal::new(e.kind(), brief(&e, &redact::url(url.as_str())));
        let mut request = self.client.get(url.as_str());
        if let Some(credentials) = self.credentials_for(url) {
            request = credentials.apply(request).map_err(failed)?;
        }
        request
            .header("Accept", "application/json")
            .stream()
            .await
            .map_err(failed)
    }

    async fn body(&self, answer: StreamAnswer, url: &Url) -> Result<Vec<u8>, Refusal> {
        let max = u64::try_from(self.max).unwrap_or(u64::MAX);
        let read = self.pace.read(answer.into_stream(max)).await;
        read.map_err(|e| match e {
            Unread::TooSlow => Refusal::new(ErrorKind::Timeout, "its answer comes too slowly"),
            Unread::Broken(e) => Refusal::new(e.kind(), brief(&e, &redact::url(url.as_str()))),
        })
    }

    async fn refused(&self, answer: StreamAnswer, url: &Url) -> Refusal {
        let status = answer.status();
        match timeout(self.pace.window(), answer.read_all(self.max)).await {
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
        if self.is_trusted(url) {
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
        named && (url.scheme() == "https" || self.masters.iter().any(|m| m.base.scheme() == "http"))
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
        let is_known =
            self.masters.iter().any(|m| m.base.origin() == to.origin()) || self.is_trusted(&to);
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

    async fn parse(&self, body: Vec<u8>) -> Result<Snapshot, Refusal> {
        let size = body.len();
        let states = Arc::clone(&self.states);
        let read = move || json::snapshot(&body, |state| states.iter().any(|s| s == state));
        let parsed = if size < BLOCKING {
            read()
        } else {
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| Refusal::new(ErrorKind::Internal, "its state could not be read"))?
        };
        // Serde's text may quote a value: only its place is told.
        parsed.map_err(|e| {
            let place = if e.line() == 0 {
                String::new()
            } else {
                format!(" (line {}, column {})", e.line(), e.column())
            };
            Refusal::new(
                ErrorKind::InvalidResponse,
                format!("the answer is not the state of a Mesos master{place}"),
            )
        })
    }
}

fn refusal(answer: &Answer) -> Refusal {
    let e = answer.error();
    match answer.status() {
        401 => Refusal::new(e.kind(), "401, the credentials are missing or wrong"),
        403 => Refusal::new(e.kind(), "403, the credentials are not good for this"),
        status => {
            let excerpt = answer.excerpt();
            let text = if excerpt.is_empty() {
                format!("answered {status}")
            } else {
                format!("{excerpt} ({status})")
            };
            Refusal::new(e.kind(), text)
        }
    }
}

fn state_url(base: &Url, path: &str) -> Url {
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

    fn leader(masters: &[&str], with_credentials: bool, trusted: &[&str]) -> Leader {
        let masters = masters
            .iter()
            .map(|m| Master {
                base: url(m),
                credentials: None,
            })
            .collect();
        let credentials = with_credentials.then(|| Credentials::Basic {
            user: "u".into(),
            password: crate::options::Hidden::Value("p".into()),
        });
        let trusted = trusted.iter().map(|t| (*t).to_owned()).collect();
        Leader::new(
            HttpClient::new().unwrap(),
            masters,
            credentials,
            trusted,
            1024,
            Pace::of(std::time::Duration::from_secs(10)),
            Arc::default(),
        )
    }

    #[test]
    fn addresses_of_states_and_back() {
        for base in ["http://m:5050/", "https://dcos.example/mesos"] {
            let state = state_url(&url(base), "/master/state");
            assert_eq!(base_of(&state), url(base));
        }
        assert_eq!(
            state_url(&url("http://d/mesos"), "/master/state").as_str(),
            "http://d/mesos/master/state"
        );
        assert_eq!(
            base_of(&url("http://m:5050/state.json?x=1")),
            url("http://m:5050/")
        );
    }

    #[test]
    fn credentials_follow_to_masters_and_trusted_hosts_only() {
        let l = leader(
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
        let tls = leader(&["https://m1:5050"], true, &["lead.example"]);
        assert!(tls.check_redirect(url("http://lead.example/")).is_err());
        assert!(tls.check_redirect(url("https://lead.example/")).is_ok());
    }

    #[test]
    fn without_credentials_redirects_lead_anywhere_on_http() {
        let l = leader(&["http://m1:5050"], false, &[]);
        assert_eq!(
            l.check_redirect(url("http://u:p@other:5050/x")).ok(),
            Some(url("http://other:5050/x"))
        );
        assert!(l.check_redirect(url("file:///etc/passwd")).is_err());
    }
}
