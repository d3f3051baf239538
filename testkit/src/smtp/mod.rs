//! A scripted SMTP server, with certificates of its own making.
//!
//! [`FakeSmtp`] keeps to RFC 5321 and notes where a client does not. A [`Script`] says what it
//! offers (extensions, STARTTLS or implicit TLS, logins, limits) and where it misbehaves: a rule
//! lets a [`Verb`] meet an [`Action`], from a reply of any kind to silence, a cut or a reset.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use notifier_testkit::smtp::{Action, Certificates, FakeSmtp, Script, Verb};
//!
//! let certificates = Certificates::new();
//! let script = Script::new()
//!     .certificate(certificates.valid())
//!     .login("user", "password")
//!     .refuse("nobody@example.org", "550 5.1.1 no such user")
//!     .once(Verb::Body, Action::TakeThenCut);
//! let relay = FakeSmtp::start(script).await;
//! assert!(relay.address().ip().is_loopback());
//! assert!(relay.mails().is_empty());
//! # }
//! ```
//!
//! Commands, replies and limits as of RFC 5321, 1870 (SIZE), 2920 (PIPELINING), 3207 (STARTTLS),
//! 4954 (AUTH), 6152 (8BITMIME) and 6531 (SMTPUTF8); texts as Postfix has them.

mod action;
mod auth;
mod certificates;
mod delivery;
mod digests;
mod login;
mod mail;
mod script;
mod server;
mod session;
mod transaction;
mod wire;

pub use action::{Action, Verb};
pub use certificates::{Certificates, Identity};
pub use mail::ReceivedMail;
pub use script::Script;
pub use server::{FakeSmtp, State};
