//! A small HTTP/1.1 server for tests, with control over the bytes on the wire.
//!
//! [`ScriptedServer`] answers as its [`Service`] says. Lines of a script stand before
//! the service and can delay, drip, cut or garble an answer, reset the connection before
//! or after the body was read, redirect, or never answer. The other fakes of this crate
//! are built on it; it also serves tests of any other HTTP client alone.

mod reply;
mod request;
mod server;
mod wait;
mod wire;

pub use reply::{Action, Body, BodySender, Delivery, End, Framing, Reply};
pub use request::Request;
#[cfg(any(
    feature = "chronos",
    feature = "dns",
    feature = "hipchat",
    feature = "jira",
    feature = "mesos",
    feature = "slack",
    feature = "smtp",
    feature = "sns",
    feature = "webhook"
))]
pub(crate) use server::lock;
pub use server::{ScriptedServer, Service};
#[cfg(any(
    feature = "dns",
    feature = "hipchat",
    feature = "s3",
    feature = "sentry",
    feature = "slack",
    feature = "smtp",
    feature = "sns",
    feature = "webhook"
))]
pub(crate) use wait::until;
#[cfg(any(
    feature = "chronos",
    feature = "mesos",
    feature = "smtp",
    feature = "sns"
))]
pub(crate) use wire::wall_clock;
