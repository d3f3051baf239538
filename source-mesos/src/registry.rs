//! Masters that register themselves somewhere, in place of being named.

#[cfg(feature = "zookeeper")]
use std::sync::OnceLock;

use notifier_core::Error;
use url::Url;

#[cfg(feature = "zookeeper")]
use crate::zookeeper::{Detector, Ensemble};

/// The registries that are named among the masters. They are asked from the first use on.
#[derive(Debug, Default)]
pub(crate) struct Registries {
    #[cfg(feature = "zookeeper")]
    ensembles: Vec<Ensemble>,
    #[cfg(feature = "zookeeper")]
    detectors: OnceLock<Vec<Detector>>,
    #[cfg(feature = "zookeeper")]
    scheme: Option<&'static str>,
}

#[cfg(feature = "zookeeper")]
mod with {
    use std::{future::pending, time::Duration};

    use futures_util::future::select_all;

    use super::{Detector, Ensemble, Error, OnceLock, Registries, Url};

    /// For how long the first answer is waited for.
    const FIRST: Duration = Duration::from_secs(5);

    impl Registries {
        /// Registries whose masters speak this scheme.
        pub(crate) fn new(ensembles: Vec<Ensemble>, scheme: &'static str) -> Self {
            Self {
                ensembles,
                detectors: OnceLock::new(),
                scheme: Some(scheme),
            }
        }

        fn detectors(&self) -> &[Detector] {
            self.detectors.get_or_init(|| {
                let scheme = self.scheme.unwrap_or("http");
                let detect = |e: &Ensemble| e.clone().detect(scheme);
                self.ensembles.iter().map(detect).collect()
            })
        }

        /// The masters that are registered, of each registry the leading one first, and
        /// what is wrong with the others.
        pub(crate) async fn masters(&self) -> (Vec<Url>, Vec<Error>) {
            let (mut masters, mut errors) = (Vec::new(), Vec::new());
            for detector in self.detectors() {
                match detector.wait_for_first(FIRST).await {
                    Ok(found) => masters.extend(found),
                    Err(e) => errors.push(e),
                }
            }
            (masters, errors)
        }

        /// True if what is registered is asked by http.
        pub(crate) fn speaks_http(&self) -> bool {
            !self.ensembles.is_empty() && self.scheme != Some("https")
        }

        /// True for the address of a master that is registered.
        pub(crate) fn knows(&self, url: &Url) -> bool {
            let Some(detectors) = self.detectors.get() else {
                return false;
            };
            let mut masters = detectors
                .iter()
                .flat_map(|d| d.masters().unwrap_or_default());
            masters.any(|m| m.origin() == url.origin())
        }

        /// Resolves when another master leads than when this was called.
        pub(crate) fn another_leads(&self) -> impl Future<Output = ()> + Send + use<> {
            let now = |d: &Detector| {
                let mut leader = d.changed();
                let before = leader.borrow_and_update().clone();
                (leader, before)
            };
            let told: Vec<_> = self.detectors().iter().map(now).collect();
            async move {
                if told.is_empty() {
                    return pending().await;
                }
                let changes = told.into_iter().map(|(mut leader, before)| {
                    Box::pin(async move {
                        loop {
                            if leader.changed().await.is_err() {
                                return pending().await;
                            }
                            let now = leader.borrow().clone();
                            if now.is_some() && now != before {
                                return;
                            }
                        }
                    })
                });
                select_all(changes).await;
            }
        }
    }
}

#[cfg(not(feature = "zookeeper"))]
#[expect(clippy::unused_self, reason = "there are none without the feature")]
impl Registries {
    #[expect(clippy::unused_async, reason = "there are none without the feature")]
    pub(crate) async fn masters(&self) -> (Vec<Url>, Vec<Error>) {
        (Vec::new(), Vec::new())
    }

    pub(crate) fn knows(&self, _: &Url) -> bool {
        false
    }

    pub(crate) fn speaks_http(&self) -> bool {
        false
    }

    pub(crate) fn another_leads(&self) -> std::future::Pending<()> {
        std::future::pending()
    }
}
