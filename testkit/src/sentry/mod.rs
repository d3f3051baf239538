//! A scriptable fake of Sentry's ingestion.
//!
//! [`FakeSentry`] has any number of projects, each with a DSN, and judges the envelopes that
//! are posted to `/api/ID/envelope/`: who sends (401, 403), where to (404), whether it can be
//! unpacked and read (400), and how large it is (413). An event with the id of one that the
//! project has already is answered 200 and dropped, as Sentry does for about an hour.
//!
//! It is stricter than Sentry with what it lets in: values beyond the documented limits, which
//! Sentry cuts or marks, are refused with status 400 and a list of `causes`, so that a client
//! that relies on being cut fails its tests. [Rate limits](FakeSentry::limit) hold by category
//! and are told in `X-Sentry-Rate-Limits`.
//!
//! A script per project ([`SentryReply`]) answers otherwise: errors of all kinds, resets,
//! silence. The fake proves what a client sends and how it takes answers, not what Sentry does.
//!
//! Limits and forms as of develop.sentry.dev (envelopes, envelope items, event payloads, rate
//! limiting), read 2026.

mod envelope;
mod event;
mod reply;
mod server;

pub use envelope::SentryAttachment;
pub use reply::SentryReply;
pub use server::{FakeSentry, SentryAttempt};

/// What [`FakeSentry`] would find wrong with an envelope, unpacked, one line each; empty if
/// it would take it.
#[must_use]
pub fn faults(envelope: &[u8]) -> Vec<String> {
    match envelope::read(envelope) {
        Ok(read) => event::faults(&read.event),
        Err(refusal) => vec![refusal.detail],
    }
}
