//! STARTTLS, TLS from the first byte on, and certificates.

use std::time::Duration;

use notifier_testkit::smtp::{Action, Identity, Script, Verb};
use smtp_probe::Tls;

use crate::row::{C, Crit, Fine, P, Row, Skip, TO, Unknown, Warn, certificates, table};

fn offering(identity: Identity) -> Script {
    Script::new().certificate(identity)
}

fn good() -> Script {
    offering(certificates().valid())
}

#[tokio::test]
async fn starttls_that_does_not_come_about() {
    let row = |name: &str, script, state, class| {
        Row::new(name, script, "starttls", state, P::Starttls, Some(class))
            .tls(Tls::Starttls)
            .to(&[TO])
    };
    let handshake = |name: &str, action: Action, id, class| {
        let script = good().on(Verb::StartTls, action);
        Row::new(name, script, id, Crit, P::Tls, Some(class))
            .tls(Tls::Opportunistic)
            .to(&[TO])
            .also("rcpt_own", Skip)
            .also("cert_chain", Skip)
    };
    table(
        "STARTTLS",
        vec![
            row("not offered, needed", Script::new(), Crit, C::Proto)
                .says("smtpd_tls_security_level")
                .also("rcpt_own", Skip)
                .also("quit", Fine),
            row("not offered, wished for", Script::new(), Warn, C::Proto)
                .tls(Tls::Opportunistic)
                .also("rcpt_own", Fine)
                .also("cert_chain", Skip),
            row(
                "454 at STARTTLS, needed",
                good().on(Verb::StartTls, "454 4.7.0 TLS not available"),
                Crit,
                C::Reply4,
            )
            .says("tlsmgr")
            .also("rcpt_own", Skip)
            .also("quit", Fine),
            row(
                "454 at STARTTLS, wished for",
                good().on(Verb::StartTls, "454 4.7.0 TLS not available"),
                Warn,
                C::Reply4,
            )
            .tls(Tls::Opportunistic)
            .also("rcpt_own", Fine),
            row(
                "554 at STARTTLS",
                good().on(Verb::StartTls, "554 5.7.3 no"),
                Crit,
                C::Reply5,
            ),
            row(
                "421 at STARTTLS",
                good().on(Verb::StartTls, "421 4.7.0 too many"),
                Unknown,
                C::Reply4,
            )
            .tls(Tls::Opportunistic),
            row(
                "silent at STARTTLS",
                good().on(Verb::StartTls, Action::Stall),
                Crit,
                C::Timeout,
            )
            .stalls(),
            row(
                "hangs up at STARTTLS",
                good().on(Verb::StartTls, Action::Cut),
                Crit,
                C::Eof,
            )
            .says("Dovecot"),
            row(
                "commands slipped in before TLS",
                good().on(Verb::StartTls, Action::InjectBeforeTls),
                Crit,
                C::Proto,
            )
            .says("CVE-2011-0411")
            .also("rcpt_own", Skip)
            .unruly(),
            handshake(
                "no TLS behind STARTTLS",
                Action::GarbageTls,
                "starttls",
                C::Tls,
            )
            .says("no TLS"),
            handshake(
                "hangs up in the handshake",
                Action::CutTls,
                "starttls",
                C::Eof,
            )
            .says("Dovecot"),
            handshake(
                "silent in the handshake",
                Action::StallTls,
                "starttls",
                C::Timeout,
            )
            .stalls(),
            handshake(
                "no cipher in common",
                Action::TlsAlert,
                "tls_version",
                C::Tls,
            )
            .says("TLS 1.1")
            .also("starttls", Fine),
            handshake(
                "nothing newer than TLS 1.1",
                Action::OldTls,
                "tls_version",
                C::Tls,
            )
            .says("TLS 1.1")
            .also("starttls", Fine),
            Row::new(
                "refuses EHLO within TLS",
                good()
                    .on_nth(Verb::Ehlo, 2, "554 5.0.0 no")
                    .on(Verb::Helo, "554 5.0.0 no"),
                "helo",
                Crit,
                P::Ehlo2,
                Some(C::Reply5),
            )
            .also("starttls", Fine)
            .also("quit", Fine),
            Row::new(
                "hangs up at EHLO within TLS",
                good().on_nth(Verb::Ehlo, 2, Action::Cut),
                "helo",
                Crit,
                P::Ehlo2,
                Some(C::Eof),
            )
            .says("Dovecot"),
        ],
    )
    .await;
}

#[tokio::test]
async fn tls_that_does() {
    table(
        "TLS",
        vec![
            Row::new("by STARTTLS", good(), "starttls", Fine, P::Starttls, None)
                .says("TLSv1.3")
                .to(&[TO])
                .also("cert_chain", Fine)
                .also("cert_name", Fine)
                .also("cert_expiry", Fine)
                .also("rcpt_own", Fine),
            Row::new(
                "from the first byte on",
                Script::new().implicit_tls(certificates().valid()),
                "implicit_tls",
                Fine,
                P::Tls,
                None,
            )
            .tls(Tls::Implicit)
            .to(&[TO])
            .also("banner", Fine)
            .also("cert_expiry", Fine)
            .also("rcpt_own", Fine),
            Row::new(
                "TLS 1.2 where that will do",
                offering(certificates().valid().tls12()),
                "tls_version",
                Fine,
                P::Tls,
                None,
            )
            .says("TLSv1.2"),
            Row::new(
                "TLS 1.2 where 1.3 is wanted",
                offering(certificates().valid().tls12()),
                "tls_version",
                Warn,
                P::Tls,
                Some(C::Tls),
            )
            .with(|t| t.tls13 = true)
            .says("TLS 1.3"),
            Row::new(
                "plain SMTP where TLS is due",
                Script::new(),
                "implicit_tls",
                Crit,
                P::Tls,
                Some(C::Tls),
            )
            .tls(Tls::Implicit)
            .to(&[TO])
            .says("plain SMTP")
            .also("cert_chain", Skip)
            .unruly(),
            Row::new(
                "silence where TLS is due",
                Script::new()
                    .implicit_tls(certificates().valid())
                    .on(Verb::Connect, Action::StallTls),
                "implicit_tls",
                Crit,
                P::Tls,
                Some(C::Timeout),
            )
            .tls(Tls::Implicit)
            .stalls(),
            Row::new(
                "old TLS at once",
                Script::new()
                    .implicit_tls(certificates().valid())
                    .on(Verb::Connect, Action::OldTls),
                "tls_version",
                Crit,
                P::Tls,
                Some(C::Tls),
            )
            .tls(Tls::Implicit)
            .says("TLS 1.1"),
            Row::new(
                "no TLS wanted, none used",
                good(),
                "rcpt_own",
                Fine,
                P::Rcpt,
                None,
            )
            .tls(Tls::None)
            .to(&[TO])
            .look(|report, _| assert!(report.check("starttls").is_none())),
        ],
    )
    .await;
}

/// As strictly where nobody asked for TLS as where it is needed; what comes after is looked at too.
#[tokio::test]
async fn certificates_that_prove_nothing() {
    let made = certificates();
    let mut rows = Vec::new();
    for tls in [Tls::Opportunistic, Tls::Starttls, Tls::Implicit] {
        for (name, identity, id, state, says) in [
            ("expired", made.expired(), "cert_expiry", Crit, "expired on"),
            (
                "not yet valid",
                made.not_yet_valid(),
                "cert_expiry",
                Crit,
                "not valid before",
            ),
            (
                "about to expire",
                made.expiring_in(Duration::from_secs(10 * 86_400)),
                "cert_expiry",
                Warn,
                "renew",
            ),
            (
                "for another name",
                made.wrong_name(),
                "cert_name",
                Crit,
                "for elsewhere.example, not for 127.0.0.1",
            ),
            (
                "self-signed",
                made.self_signed(),
                "cert_chain",
                Crit,
                "self-signed",
            ),
            (
                "without the one between",
                made.missing_another(),
                "cert_chain",
                Crit,
                "issuer an authority between is missing",
            ),
            (
                "of another authority",
                made.other_ca(),
                "cert_chain",
                Crit,
                "another authority",
            ),
        ] {
            let script = match tls {
                Tls::Implicit => Script::new().implicit_tls(identity),
                _ => offering(identity),
            };
            let mut row = Row::new(
                format!("{name}, {tls:?}"),
                script,
                id,
                state,
                P::Tls,
                Some(C::Cert),
            )
            .tls(tls)
            .to(&[TO])
            .says(says)
            .also("rcpt_own", Fine);
            for other in ["cert_chain", "cert_name", "cert_expiry"] {
                if other != id {
                    row = row.also(other, Fine);
                }
            }
            rows.push(row);
        }
    }
    rows.push(
        Row::new(
            "expired before its issuer was made",
            offering(made.expired_before_another()),
            "cert_expiry",
            Crit,
            P::Tls,
            Some(C::Cert),
        )
        .says("expired on")
        .also("cert_chain", Fine)
        .also("cert_name", Fine)
        .look(|report, _| assert_eq!(report.decisive().unwrap().id, "cert_expiry")),
    );
    rows.push(
        Row::new(
            "an old one sent along",
            offering(made.through_another_twice()),
            "cert_expiry",
            Warn,
            P::Tls,
            Some(C::Cert),
        )
        .says("not needed")
        .also("cert_chain", Fine),
    );
    // As those of containers are called.
    rows.push(
        Row::new(
            "asked by a name with an underscore",
            offering(made.named(&["my_relay"])),
            "cert_name",
            Fine,
            P::Tls,
            None,
        )
        .with(|t| t.tls_name = Some("my_relay".to_owned())),
    );
    rows.push(
        Row::new(
            "no file of authorities",
            good(),
            "cert_chain",
            Unknown,
            P::Tls,
            Some(C::Local),
        )
        .with(|t| t.ca = Some("/nonexistent/ca.pem".into()))
        .says("/nonexistent/ca.pem"),
    );
    table("Certificates", rows).await;
}
