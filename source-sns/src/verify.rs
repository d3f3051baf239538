//! Whether SNS sent it.

use std::{sync::Arc, time::Duration};

use base64::Engine as _;
use notifier_core::{
    Clock,
    jiff::{SignedDuration, Timestamp},
};

use crate::{
    Notification, SignatureVersion,
    hosts::CertHosts,
    refusal::{Refusal, RefusalKind},
    store::Store,
};

/// How far the sender's clock may be before ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);

/// Verifies signatures, version 1 (RSA with SHA-1) and 2 (RSA with SHA-256).
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) hosts: CertHosts,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether version 1 is accepted.
    pub(crate) takes_v1: bool,
    /// Zero: of any age.
    pub(crate) max_age: Duration,
}

impl Verifier {
    /// Says that a message is one that SNS signed lately.
    pub(crate) async fn verify(&self, n: &Notification) -> Result<(), Refusal> {
        let now = self.clock.now();
        if n.version == SignatureVersion::V1 && !self.takes_v1 {
            return Err(Refusal::new(
                RefusalKind::SignatureVersion,
                "signatures of version 1 are not accepted; set the topic's SignatureVersion to 2",
            ));
        }
        // The age first: it costs nothing, and what was captured once is of no use later.
        self.check_age(n.published, now)?;
        let forged = || {
            Refusal::new(
                RefusalKind::Signature,
                "the signature is not of this message",
            )
        };
        let signature = base64::engine::general_purpose::STANDARD
            .decode(&n.signature)
            .map_err(|_| forged())?;
        let at = self.hosts.check(&n.cert_url, &n.topic).map_err(|why| {
            Refusal::new(
                RefusalKind::Certificate,
                format!("SigningCertURL is not used: {why}"),
            )
        })?;
        let certificate = self.store.get(&at, now).await?;
        if !certificate.holds_at(now) {
            return Err(Refusal::new(
                RefusalKind::CertificateUnavailable,
                "the certificate has expired or does not hold yet; look at the clock of this machine",
            ));
        }
        match certificate.signed(n.version, n.signed_text().as_bytes(), &signature) {
            true => Ok(()),
            false => Err(forged()),
        }
    }

    fn check_age(&self, published: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        let most = SignedDuration::try_from(self.max_age).unwrap_or(SignedDuration::MAX);
        if most.is_zero() {
            return Ok(());
        }
        let age = now.duration_since(published);
        // SNS' clock is right: it is to send the message again when ours is.
        if age < -AHEAD {
            let why = format!(
                "the message is of the future by {}s; look at the clock of this machine",
                -age.as_secs()
            );
            return Err(Refusal::new(RefusalKind::Clock, why));
        }
        if age > most {
            let why = format!(
                "the message was published {}s ago, more than relay.max_age; look at the clock of this machine",
                age.as_secs()
            );
            return Err(Refusal::new(RefusalKind::Stale, why));
        }
        Ok(())
    }
}
