//! A relay as it runs on a node, and the server behind it.

use std::io;

use super::{Postfix, builder::skip};
use crate::smtp::Certificates;

/// The watcher's login at the relay.
const USER: &str = "watcher";
const PASSWORD: &str = "node-local-password";
/// The relay's login at the server behind it.
const RELAY: (&str, &str) = ("relay", "upstream-password");

/// Two servers: the relay takes mail from the watcher and hands it on to the upstream, which has the mailboxes.
///
/// Both ask for a login over STARTTLS, and the relay checks the upstream's certificate.
#[derive(Debug)]
pub struct Rig {
    /// `relay.example`; offers a submission port and one with implicit TLS besides.
    pub relay: Postfix,
    /// `upstream.example`; its mailboxes are at `mail.example`.
    pub upstream: Postfix,
    /// The authority of both certificates.
    pub certificates: Certificates,
}

impl Rig {
    /// Starts both, with these mailboxes. `None`, said aloud, where Postfix is not installed or does not start.
    pub async fn start(mailboxes: &[&str]) -> Option<Self> {
        let rig = Self::try_start(mailboxes).await;
        rig.map_err(|e| skip(&e)).ok()
    }

    async fn try_start(mailboxes: &[&str]) -> io::Result<Self> {
        let certificates = Certificates::new();
        let upstream = Postfix::builder("upstream")
            .domain("mail.example")
            .mailboxes(mailboxes)
            .identity(&certificates.named(&["upstream.example"]))
            .login(RELAY.0, RELAY.1)
            .demands_tls()
            .demands_login()
            .start()
            .await?;
        let relay = Postfix::builder("relay")
            .identity(&certificates.valid())
            .login(USER, PASSWORD)
            .demands_login()
            .submission()
            .implicit_tls()
            .hands_on_to(&upstream, RELAY.0, RELAY.1, &certificates.ca_pem())
            .start()
            .await?;
        Ok(Self {
            relay,
            upstream,
            certificates,
        })
    }

    /// User and password of the relay.
    #[must_use]
    pub fn login(&self) -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }
}
