//! Keys to sign with: set once, or found and renewed.

mod chain;
mod container;
mod instance;
pub(crate) mod profile;
mod web_identity;

use std::{fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use notifier_core::{Error, ErrorKind, Result};
use notifier_http::HttpClient;
use tokio::sync::Mutex;

pub(crate) use chain::Chain;

use crate::sign::Keys;

/// Keys that die are renewed so long before.
const BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// How long keys that could not be renewed are used before the next try, and how long a
/// failure stands.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);
const FAILED: SignedDuration = SignedDuration::from_secs(5);

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
    Chain { chain: Chain, state: Mutex<State> },
}

#[derive(Default)]
struct State {
    keys: Option<Arc<Keys>>,
    dies: Option<Timestamp>,
    /// Not asked for again before then.
    not_before: Option<Timestamp>,
    /// Why there are none.
    failed: Option<(ErrorKind, String)>,
    has_warned: bool,
}

impl Credentials {
    pub(crate) fn fixed(keys: Keys) -> Self {
        Self(Source::Fixed(Arc::new(keys)))
    }

    pub(crate) fn chain(chain: Chain) -> Self {
        let state = Mutex::default();
        Self(Source::Chain { chain, state })
    }

    /// The keys that are good now. One asks for all who wait.
    pub(crate) async fn get(&self, http: &HttpClient) -> Result<Arc<Keys>> {
        let (chain, state) = match &self.0 {
            Source::Fixed(keys) => return Ok(Arc::clone(keys)),
            Source::Chain { chain, state } => (chain, state),
        };
        let mut state = state.lock().await;
        let now = http.now();
        let is_early = state.not_before.is_some_and(|t| now < t);
        match (&state.keys, &state.failed) {
            (Some(keys), _) if is_early || state.dies.is_none_or(|d| now < before(d)) => {
                return Ok(Arc::clone(keys));
            }
            (None, Some((kind, why))) if is_early => return Err(Error::new(*kind, why.as_str())),
            _ => {}
        }
        match chain.find(http).await {
            Ok(found) => {
                if found.keys.token.is_some() && !state.has_warned {
                    state.has_warned = true;
                    tracing::warn!(
                        uploader = crate::S3AWS,
                        dies = found.dies.map(tracing::field::display),
                        "links die with the temporary key they are signed with"
                    );
                }
                let keys = Arc::new(found.keys);
                *state = State {
                    keys: Some(Arc::clone(&keys)),
                    dies: found.dies,
                    // Keys that come nearly dead are not asked for each time.
                    not_before: Some(later(now, FAILED)),
                    failed: None,
                    has_warned: state.has_warned,
                };
                Ok(keys)
            }
            Err(e) => {
                if let (Some(keys), Some(dies)) = (&state.keys, state.dies)
                    && now < dies
                {
                    let keys = Arc::clone(keys);
                    tracing::warn!(uploader = crate::S3AWS, error = %e.report(), "the temporary key is not renewed yet");
                    state.not_before = Some(later(now, AGAIN).min(dies));
                    return Ok(keys);
                }
                state.keys = None;
                state.not_before = Some(later(now, FAILED));
                state.failed = Some((e.kind(), e.report().to_string()));
                Err(e)
            }
        }
    }

    /// Forgets keys that the store does not take any more; false if there are no others.
    pub(crate) async fn renew(&self, keys: &Arc<Keys>) -> bool {
        let Source::Chain { state, .. } = &self.0 else {
            return false;
        };
        let mut state = state.lock().await;
        // Another may have renewed them meanwhile.
        if state.keys.as_ref().is_some_and(|k| k == keys) {
            state.keys = None;
            state.not_before = None;
            state.failed = None;
        }
        true
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
            Source::Chain { .. } => "Credentials(found)",
        })
    }
}
