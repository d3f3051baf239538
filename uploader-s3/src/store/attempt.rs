//! One try of a request, and what its answer means.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use notifier_core::{Delivery, Error, ErrorKind, Result, Secret, redact, redact::Redactor};
use notifier_http::Answer;
use tokio::time::Instant;

use super::{Place, SLOWEST, Store, silence::Ask};
use crate::{
    call::Call,
    refusal::{Refusal, Remedy},
    sign::Keys,
    xml,
};

/// How many times longer than another request the completion of an object may take: minutes
/// at AWS, see "CompleteMultipartUpload" in the reference of its API.
const COMPLETION: u32 = 6;

/// What was tried of a request; each of it helps once.
#[derive(Debug, Default)]
pub(super) struct Tried {
    timed: bool,
    renewed: bool,
    /// Whether a completion may have been carried out.
    pub(super) perhaps_done: bool,
}

/// A try that was none.
pub(super) struct Failed {
    pub(super) error: Error,
    /// What the store asks to wait for.
    pub(super) after: Option<Duration>,
    /// Whether nothing was heard of the store.
    pub(super) is_silence: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            after: None,
            is_silence: false,
        }
    }
}

impl Store {
    /// Sends a request once. `None`: to be sent again at once, since what stood against it
    /// is mended.
    pub(super) async fn once(
        &self,
        call: &Call<'_>,
        place: &Place,
        ask: &Ask<'_>,
        tried: &mut Tried,
    ) -> Result<Option<Answer>, Failed> {
        let who = redact::origin(place.url.as_str());
        let size = call.payload.as_ref().map_or(0, |p| p.bytes.len() as u64);
        let times = if call.completes() { COMPLETION } else { 1 };
        let timeout = self.timeout * times + Duration::from_secs(size / SLOWEST);
        let keys = self.credentials.get(&self.http).await?;
        let bare = self.without_acl.load(Ordering::Relaxed);
        let request = self.signed(call, place, &keys, bare).timeout(Some(timeout));
        let answer = request.send().await.map_err(|error| {
            tried.perhaps_done |= call.completes() && error.delivery() == Delivery::Unknown;
            Failed {
                is_silence: is_silence(&error),
                ..Failed::from(error)
            }
        })?;
        ask.heard(Instant::now());
        let has_error = || xml::has(&answer.text(), "Error");
        if answer.is_success() && is_what_it_should_be(&answer, call) {
            return Ok(Some(answer));
        }
        if answer.is_success() && (is_page(&answer) || !has_error()) {
            tried.perhaps_done |= call.completes();
            let what = match is_page(&answer) {
                true => "a web page",
                false => "nothing that is S3's",
            };
            let text = format!("{who} answered {} with {what}", answer.status());
            return Err(Error::new(ErrorKind::InvalidResponse, text).into());
        }
        let refusal = Refusal::read(&answer, self.http.now());
        // The answer to an earlier try was lost: it did what it should.
        if tried.perhaps_done && refusal.code == "NoSuchUpload" {
            return Ok(Some(answer));
        }
        tried.perhaps_done |= call.completes() && answer.status() >= 500;
        if self.mend(refusal.remedy(), &keys, bare, tried) {
            return Ok(None);
        }
        let redactor = Redactor::new(secrets(&keys));
        Err(Failed {
            after: refusal.after(),
            ..Failed::from(refusal.error(&who, self.scheme, &redactor))
        })
    }

    /// Mends what stood against a request, if that is possible at once. `bare` as it was sent.
    fn mend(&self, remedy: Remedy, keys: &Arc<Keys>, bare: bool, tried: &mut Tried) -> bool {
        match remedy {
            Remedy::Time(skew) if !tried.timed => {
                tried.timed = true;
                self.skew.store(skew.as_secs(), Ordering::Relaxed);
                tracing::warn!(
                    uploader = self.scheme,
                    seconds = skew.as_secs(),
                    "the store's clock is another: its time is used to sign"
                );
                true
            }
            Remedy::Keys if !tried.renewed => {
                tried.renewed = true;
                self.credentials.forget(keys)
            }
            Remedy::NoAcl if !bare => {
                // Others may have been sent before it was known.
                if !self.without_acl.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        uploader = self.scheme,
                        "the bucket takes no access lists: logs are stored without"
                    );
                }
                true
            }
            _ => false,
        }
    }
}

fn is_what_it_should_be(answer: &Answer, call: &Call<'_>) -> bool {
    match call.element {
        Some(element) => xml::has(&answer.text(), element),
        None => !is_page(answer),
    }
}

/// Whether a web page came: of a portal or a proxy before the store.
fn is_page(answer: &Answer) -> bool {
    let is_html = |t: &str| t.trim_start().to_ascii_lowercase().starts_with("text/html");
    !answer.body().is_empty() && answer.header("content-type").is_some_and(is_html)
}

/// Whether nothing was heard: no connection, or no answer in time. A connection that broke
/// was one.
fn is_silence(e: &Error) -> bool {
    match e.kind() {
        ErrorKind::Timeout => true,
        ErrorKind::Unavailable => e.delivery() == Delivery::NotDelivered,
        _ => false,
    }
}

fn secrets(keys: &Keys) -> impl Iterator<Item = &str> {
    let token = keys.token.as_ref().map(Secret::expose);
    [Some(keys.secret.expose()), token].into_iter().flatten()
}
