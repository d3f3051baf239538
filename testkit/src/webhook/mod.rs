//! Who takes webhooks: checks signatures, times and types, and takes each id once.
//!
//! [`FakeWebhook`] has any number of hooks, each at an address of its own. It judges what comes: 404 for an address that
//! is none, 405 for methods other than POST, PUT and PATCH, 401 for a signature that is missing or wrong where a
//! [key](FakeWebhook::require_signature) is asked for, 400 without `webhook-id`, with another `Idempotency-Key`, with
//! a `webhook-timestamp` that is more than five minutes off, or with a type of JSON and a body that is none, 415 without
//! a type. All else it answers with 200. What comes again under the same id has no second effect: it is among the
//! [attempts](FakeWebhook::attempts), not among what was [received](FakeWebhook::received).
//!
//! Signatures are those of Standard Webhooks 1.0.0, with several keys while one is replaced, and Grafana's, over the
//! body or over time and body. A script per hook ([`WebhookReply`]) answers otherwise.

mod reply;
mod server;
mod signature;

pub use reply::WebhookReply;
pub use server::{FakeWebhook, WebhookCall};
