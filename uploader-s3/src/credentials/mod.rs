//! Keys to sign with: set once, or found and renewed.

mod chain;
mod container;
mod instance;
pub(crate) mod profile;
mod web_identity;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use notifier_core::{Error, ErrorKind, Result, Retry};
use notifier_http::HttpClient;
use tokio::sync::watch;

pub(crate) use chain::Chain;

use crate::sign::Keys;

/// Keys that die are renewed so long before.
const BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// How long keys that could not be renewed are used before the next try.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// How long a failure stands, and one that may be over at any time and was told at once:
/// less than who tries again waits in all.
const FAILED: SignedDuration = SignedDuration::from_secs(5);
const PASSING: SignedDuration = SignedDuration::from_millis(500);

/// Keys that were found, and when they die.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) keys: Keys,
    pub(crate) dies: Option<Timestamp>,
}

/// Where keys come from.
pub(crate) struct Credentials(Source);

enum Source {
    Fixed(Arc<Keys>),
    Chain(Arc<Finder>),
}

struct Finder {
    chain: Chain,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<Keys>>,
    dies: Option<Timestamp>,
    /// Not asked for again before then.
    not_before: Option<Timestamp>,
    /// Why there are none.
    failure: Option<Failure>,
    /// The search that is under way.
    search: Option<watch::Receiver<Option<Outcome>>>,
    has_warned: bool,
}

/// What all who wait for a search are told.
type Outcome = Result<Arc<Keys>, Failure>;

/// An error that many are told of.
#[derive(Clone, Debug)]
struct Failure {
    kind: ErrorKind,
    retry: Retry,
    text: String,
}

impl Failure {
    fn of(e: &Error) -> Self {
        Self {
            kind: e.kind(),
            retry: e.retry(),
            text: e.report().to_string(),
        }
    }
}

impl From<Failure> for Error {
    fn from(f: Failure) -> Self {
        Self::new(f.kind, f.text).with_retry(f.retry)
    }
}

impl Credentials {
    pub(crate) fn fixed(keys: Keys) -> Self {
        Self(Source::Fixed(Arc::new(keys)))
    }

    pub(crate) fn chain(chain: Chain) -> Self {
        Self(Source::Chain(Arc::new(Finder {
            chain,
            state: Mutex::default(),
        })))
    }

    /// The keys that are good now. One search is for all who wait, and goes on when they are
    /// gone; nobody waits while the keys there are still live.
    pub(crate) async fn get(&self, http: &HttpClient) -> Result<Arc<Keys>> {
        let finder = match &self.0 {
            Source::Fixed(keys) => return Ok(Arc::clone(keys)),
            Source::Chain(finder) => finder,
        };
        let mut search = match finder.at_once(http) {
            Ok(known) => return known,
            Err(search) => search,
        };
        let outcome = search.wait_for(Option::is_some).await;
        match outcome.ok().and_then(|o| o.clone()) {
            Some(outcome) => Ok(outcome?),
            None => Err(Error::internal("the search for AWS credentials broke off")),
        }
    }

    /// Forgets keys that the store does not take any more; false if there are no others.
    pub(crate) fn forget(&self, keys: &Arc<Keys>) -> bool {
        let Source::Chain(finder) = &self.0 else {
            return false;
        };
        let mut state = finder.lock();
        // Another may have renewed them meanwhile.
        if state.keys.as_ref().is_some_and(|k| k == keys) {
            state.keys = None;
            state.not_before = None;
            state.failure = None;
        }
        true
    }
}

impl Finder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, or the search to wait for.
    fn at_once(
        self: &Arc<Self>,
        http: &HttpClient,
    ) -> Result<Result<Arc<Keys>>, watch::Receiver<Option<Outcome>>> {
        let mut state = self.lock();
        let now = http.now();
        let is_early = state.not_before.is_some_and(|t| now < t);
        let Some(keys) = state.keys.clone() else {
            return match &state.failure {
                Some(failure) if is_early => Ok(Err(failure.clone().into())),
                _ => Err(self.search(&mut state, http)),
            };
        };
        if is_early || state.dies.is_none_or(|d| now < before(d)) {
            return Ok(Ok(keys));
        }
        let search = self.search(&mut state, http);
        match state.dies {
            Some(dies) if now >= dies => Err(search),
            _ => Ok(Ok(keys)),
        }
    }

    /// Joins the search that is under way, or begins one.
    fn search(
        self: &Arc<Self>,
        state: &mut State,
        http: &HttpClient,
    ) -> watch::Receiver<Option<Outcome>> {
        // One that broke off has nobody left to tell its end.
        if let Some(search) = state.search.as_ref().filter(|s| s.has_changed().is_ok()) {
            return search.clone();
        }
        let (tell, search) = watch::channel(None);
        state.search = Some(search.clone());
        let (finder, http) = (Arc::clone(self), http.clone());
        tokio::spawn(async move {
            let found = finder.chain.find(&http).await;
            let outcome = finder.lock().settle(found, http.now());
            tell.send_replace(Some(outcome));
        });
        search
    }
}

impl State {
    /// Notes how a search ended.
    fn settle(&mut self, found: Result<Found>, now: Timestamp) -> Outcome {
        self.search = None;
        self.failure = None;
        let e = match found {
            Ok(found) => {
                if found.keys.token.is_some() && !self.has_warned {
                    self.has_warned = true;
                    tracing::warn!(
                        uploader = crate::S3AWS,
                        dies = found.dies.map(tracing::field::display),
                        "links die with the temporary key they are signed with"
                    );
                }
                let keys = Arc::new(found.keys);
                self.keys = Some(Arc::clone(&keys));
                self.dies = found.dies;
                // Keys that come nearly dead are not asked for each time.
                self.not_before = Some(later(now, FAILED));
                return Ok(keys);
            }
            Err(e) => e,
        };
        if let (Some(keys), Some(dies)) = (&self.keys, self.dies)
            && now < dies
        {
            tracing::warn!(uploader = crate::S3AWS, error = %e.report(), "the temporary key is not renewed yet");
            self.not_before = Some(later(now, AGAIN).min(dies));
            return Ok(Arc::clone(keys));
        }
        let failure = Failure::of(&e);
        let stands = match e.kind() {
            ErrorKind::Timeout => FAILED,
            _ if e.is_retryable() => PASSING,
            _ => FAILED,
        };
        self.keys = None;
        self.not_before = Some(later(now, stands));
        self.failure = Some(failure.clone());
        Err(failure)
    }
}

fn before(dies: Timestamp) -> Timestamp {
    dies.checked_sub(BEFORE).unwrap_or(dies)
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(now)
}

/// Nothing of the keys is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Fixed(_) => "Credentials(set)",
            Source::Chain(_) => "Credentials(found)",
        })
    }
}
