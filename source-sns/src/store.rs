//! Certificates by their addresses, kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notifier_core::{
    Error, ErrorKind,
    jiff::{SignedDuration, Timestamp},
};
use notifier_http::HttpClient;

use crate::{
    certificate::Certificate,
    hosts::CertUrl,
    refusal::{Refusal, RefusalKind},
};

/// How many addresses are kept; Amazon uses one or two for each region at a time.
const MOST: usize = 64;
/// After this a certificate is asked for again. While it cannot be had, the old one serves as
/// long as it holds.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// For so long nobody asks again where none was to be had.
const MISSED: SignedDuration = SignedDuration::from_secs(10);
/// The longest certificate that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// The time for one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many are asked for in a minute: whoever sends invented addresses makes others wait
/// no longer than this.
const PER_MINUTE: u32 = 30;

/// Certificates by address. Of several who need the same one, one asks for it.
#[derive(Debug)]
pub(crate) struct Store {
    http: HttpClient,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    asked: Mutex<Asked>,
}

/// One address. Who holds the lock is asking.
#[derive(Debug, Default)]
struct Slot(tokio::sync::Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    known: Option<Arc<Certificate>>,
    /// When it was last asked for, and what came of it if nothing did.
    asked: Option<(Timestamp, Option<Missed>)>,
}

#[derive(Clone, Debug)]
struct Missed {
    kind: RefusalKind,
    why: String,
}

/// How many were asked for in this minute.
#[derive(Debug, Default)]
struct Asked {
    since: Option<Timestamp>,
    count: u32,
}

impl Store {
    pub(crate) fn new(http: HttpClient) -> Self {
        Self {
            http,
            slots: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// The certificate at an address that was checked.
    pub(crate) async fn get(
        &self,
        at: &CertUrl,
        now: Timestamp,
    ) -> Result<Arc<Certificate>, Refusal> {
        let slot = self.slot(&at.url);
        let mut state = slot.0.lock().await;
        let age = |since: Timestamp| now.duration_since(since);
        match (&state.known, &state.asked) {
            // One that does not hold any more may have been replaced at the same address.
            (Some(known), Some((since, None)))
                if age(*since).abs() < KEPT
                    && (known.holds_at(now) || age(*since).abs() < MISSED) =>
            {
                return Ok(Arc::clone(known));
            }
            (known, Some((since, Some(missed)))) if age(*since).abs() < MISSED => {
                return match known {
                    Some(known) => Ok(Arc::clone(known)),
                    None => Err(Refusal::new(missed.kind, missed.why.as_str())),
                };
            }
            _ => {}
        }
        let asked = match self.may_ask(now) {
            true => self.ask(at).await,
            false => Err(Refusal::new(
                RefusalKind::CertificateUnavailable,
                "too many certificates are asked for; another minute and it may be had",
            )),
        };
        match asked {
            Ok(certificate) => {
                let certificate = Arc::new(certificate);
                state.known = Some(Arc::clone(&certificate));
                state.asked = Some((now, None));
                Ok(certificate)
            }
            Err(refusal) => {
                state.asked = Some((
                    now,
                    Some(Missed {
                        kind: refusal.kind(),
                        why: refusal.to_string(),
                    }),
                ));
                match &state.known {
                    Some(known) => {
                        tracing::warn!(
                            "the certificate of SNS cannot be read anew, the old one is used: {}",
                            notifier_core::Chain::new(&refusal)
                        );
                        Ok(Arc::clone(known))
                    }
                    None => Err(refusal),
                }
            }
        }
    }

    async fn ask(&self, at: &CertUrl) -> Result<Certificate, Refusal> {
        let unavailable = |e: Error| {
            Refusal::new(
                RefusalKind::CertificateUnavailable,
                "the certificate cannot be had",
            )
            .because(e)
        };
        let answer = self
            .http
            .get(&at.url)
            .timeout(Some(TIMEOUT))
            .max_answer(LARGEST)
            .send()
            .await
            .and_then(notifier_http::Answer::success)
            .map_err(unavailable)?;
        if answer.truncated() {
            let e = Error::new(ErrorKind::InvalidResponse, "it is longer than 64 KiB");
            return Err(unavailable(e));
        }
        Certificate::read(answer.body(), at.is_amazon).map_err(|why| {
            Refusal::new(
                RefusalKind::CertificateUnavailable,
                format!("what is at the address of the certificate cannot be used: {why}"),
            )
        })
    }

    fn slot(&self, url: &str) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(url) {
            return Arc::clone(slot);
        }
        if slots.len() >= MOST {
            // What was never a certificate goes first; who is being asked for stays with who asks.
            let useless = slots.iter().find(|(_, s)| {
                let state = s.0.try_lock();
                state.is_ok_and(|s| s.known.is_none())
            });
            let out = useless.or_else(|| slots.iter().next());
            if let Some(url) = out.map(|(url, _)| url.clone()) {
                slots.remove(&url);
            }
        }
        Arc::clone(slots.entry(url.to_owned()).or_default())
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        let mut asked = lock(&self.asked);
        let is_new = asked.since.is_none_or(|since| {
            let age = now.duration_since(since);
            age.is_negative() || age >= SignedDuration::from_secs(60)
        });
        if is_new {
            *asked = Asked {
                since: Some(now),
                count: 0,
            };
        }
        asked.count += 1;
        asked.count <= PER_MINUTE
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
