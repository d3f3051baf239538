//! Keys to sign with: those of the settings, else those of AWS' own places.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{
        ProvideCredentials, SharedCredentialsProvider, error::CredentialsError,
        future::ProvideCredentials as Ready,
    },
};
use aws_smithy_async::time::TimeSource as _;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use notifier_core::{Result, redact::Redactor};

use crate::{
    error,
    link::{Access, Ahead},
};

/// How long before their end keys are asked for anew.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// Where keys come from, and the last ones.
pub(crate) struct Keys {
    access: Access,
    http: SharedHttpClient,
    clock: Arc<Ahead>,
    /// Held while they are got, so that only one asks.
    source: tokio::sync::Mutex<Option<SharedCredentialsProvider>>,
    now: Mutex<Option<Credentials>>,
}

impl Keys {
    /// `first`: AWS' own places as they were found, if there are no keys in the settings.
    pub(crate) fn new(
        access: Access,
        http: SharedHttpClient,
        clock: Arc<Ahead>,
        first: Option<SharedCredentialsProvider>,
    ) -> Self {
        let now = access.keys.as_ref().map(|k| k.to_credentials());
        Self {
            access,
            http,
            clock,
            source: tokio::sync::Mutex::new(first),
            now: Mutex::new(now),
        }
    }

    /// Whether others can be had than those of the settings.
    pub(crate) fn can_change(&self) -> bool {
        self.access.keys.is_none()
    }

    fn kept(&self) -> Option<Credentials> {
        self.now
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Masks the last ones: nobody else knows those that were not set.
    pub(crate) fn redactor(&self) -> Redactor {
        let kept = self.kept();
        Redactor::new(kept.iter().flat_map(|k| {
            let token = k.session_token().unwrap_or_default();
            [k.access_key_id(), k.secret_access_key(), token]
        }))
    }

    fn keep(&self, keys: Option<Credentials>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Those that are good for `ahead` from now on.
    fn good(&self, ahead: Duration) -> Option<Credentials> {
        let until: SystemTime = self.clock.now() + ahead;
        self.kept()
            .filter(|k| k.expiry().is_none_or(|end| end > until))
    }

    /// Makes sure that there are keys.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn ready(&self) -> Result<()> {
        if !self.can_change() || self.good(EARLY).is_some() {
            return Ok(());
        }
        let mut source = self.source.lock().await;
        if self.good(EARLY).is_some() {
            return Ok(());
        }
        let got = tokio::time::timeout(self.access.timeout, async {
            let provider = match &*source {
                Some(provider) => provider.clone(),
                // Everything is read anew: files that a person mended, too.
                None => {
                    let found = self.access.load(self.http.clone(), &self.clock).await;
                    match found.credentials_provider() {
                        Some(provider) => source.insert(provider).clone(),
                        None => return Err(CredentialsError::not_loaded_no_source()),
                    }
                }
            };
            provider.provide_credentials().await
        })
        .await
        .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(self.access.timeout)));
        match got {
            Ok(keys) => {
                self.keep(Some(keys));
                Ok(())
            }
            // Who has them may be away for a moment; the old ones are good for that long.
            Err(_) if self.good(Duration::ZERO).is_some() => Ok(()),
            Err(e) => {
                *source = None;
                Err(error::credentials(e))
            }
        }
    }

    /// Takes the last ones for worthless.
    pub(crate) async fn forget(&self) {
        if self.can_change() {
            *self.source.lock().await = None;
            self.keep(None);
        }
    }
}

/// What the SDK signs with. [`Keys::ready`] comes before.
impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> Ready<'a>
    where
        Self: 'a,
    {
        Ready::ready(
            self.kept()
                .ok_or_else(CredentialsError::not_loaded_no_source),
        )
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
