//! The handshake. Any certificate is taken; what it is worth is judged afterwards.

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, ClientConfig, Error, ProtocolVersion,
    pki_types::{CertificateDer, ServerName},
};
use smtp_wire::{Stream, Unchecked};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::{
    connection::Stop,
    report::{Class, Phase},
    target::Target,
};

/// What a handshake agreed on.
#[derive(Debug)]
pub(crate) struct Session {
    /// `TLSv1.3`.
    pub(crate) version: &'static str,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub(crate) cipher: String,
    /// What the server sent, its own certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// What went wrong with a handshake.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) stop: Stop,
    /// Whether the two found no version or cipher in common, rather than no TLS at all.
    pub(crate) is_mismatch: bool,
}

/// Shakes hands. The name of the target goes out with it (SNI).
pub(crate) async fn shake(
    target: &Target,
    stream: Box<dyn Stream>,
    until: Instant,
) -> Result<(Box<dyn Stream>, Session), Failed> {
    let ours = |text: String| Failed {
        stop: Stop::new(Phase::Tls, Class::Local, text),
        is_mismatch: false,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| ours(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked::new(provider)))
        .with_no_client_auth();
    let name = target.tls_name();
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| ours(format!("{name} is no name that a certificate can have")))?;
    let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match timeout_at(until, shaking).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version = match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            };
            let cipher = session.negotiated_cipher_suite();
            let session = Session {
                version,
                cipher: cipher.map_or_else(String::new, |c| format!("{:?}", c.suite())),
                chain: session.peer_certificates().unwrap_or_default().to_vec(),
            };
            Ok((Box::new(stream), session))
        }
        Ok(Err(e)) => Err(failed(&e)),
        Err(_) => Err(Failed {
            stop: Stop::new(Phase::Tls, Class::Timeout, "no handshake in time"),
            is_mismatch: false,
        }),
    }
}

fn failed(e: &io::Error) -> Failed {
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<Error>());
    let stop = |class, text: String| Stop::new(Phase::Tls, class, text);
    let Some(inner) = inner else {
        let text = match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the server closed the connection in the handshake".to_owned()
            }
            _ => format!("the handshake broke off: {e}"),
        };
        return Failed {
            stop: stop(Class::Eof, text).with_hint(
                "look at the server's log: its key and certificate may be unreadable, or the login's backend (Dovecot) is down",
            ),
            is_mismatch: false,
        };
    };
    let is_mismatch = matches!(
        inner,
        Error::PeerIncompatible(_)
            | Error::AlertReceived(
                AlertDescription::ProtocolVersion
                    | AlertDescription::HandshakeFailure
                    | AlertDescription::InsufficientSecurity
            )
    );
    let hint = match inner {
        _ if is_mismatch => {
            "the server may offer nothing newer than TLS 1.1, or no cipher of today: allow TLSv1.2 there (smtpd_tls_protocols, smtpd_tls_mandatory_protocols), and update its library"
        }
        Error::InvalidMessage(_) => {
            "what came is no TLS: if the port speaks plain SMTP set --tls starttls or opportunistic; else look at what stands between"
        }
        _ => "look at the server's log for why it gave up the handshake",
    };
    Failed {
        stop: stop(Class::Tls, format!("no handshake: {inner}")).with_hint(hint),
        is_mismatch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{InvalidMessage, PeerIncompatible};

    #[test]
    fn an_old_server_is_told_from_one_without_tls() {
        let of = |e: Error| failed(&io::Error::new(io::ErrorKind::InvalidData, e));
        for (e, is_mismatch, says) in [
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                true,
                "TLS 1.1",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                true,
                "TLS 1.1",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                true,
                "TLS 1.1",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                false,
                "plain SMTP",
            ),
            (
                Error::AlertReceived(AlertDescription::InternalError),
                false,
                "log",
            ),
        ] {
            let found = of(e.clone());
            assert_eq!(
                (found.is_mismatch, found.stop.class),
                (is_mismatch, Class::Tls),
                "{e}"
            );
            assert!(found.stop.hint.unwrap().contains(says), "{e}");
        }
        let gone = failed(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!(gone.stop.class, Class::Eof);
        assert!(gone.stop.hint.unwrap().contains("Dovecot"));
    }
}
