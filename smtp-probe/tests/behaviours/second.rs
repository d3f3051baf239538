//! Dialogues of their own: a bare name to greet with, a wrong password.

use notifier_testkit::smtp::{Script, Verb};
use smtp_probe::{Level, Tls};

use crate::row::{
    C, Crit, Fine, P, PASSWORD, Row, Skip, TO, USER, Unknown, Warn, certificates, table,
};

#[tokio::test]
async fn a_bare_name_as_a_container_has_it() {
    let short = |row: Row| {
        row.to(&[TO])
            .with(|t| t.helo_short = Some("3f2a9c1d0b7e".to_owned()))
    };
    let at_rcpt = Script::new().on_nth(
        Verb::Rcpt,
        2,
        "504 5.5.2 <3f2a9c1d0b7e>: Helo command rejected: need fully-qualified hostname",
    );
    table(
        "A bare name",
        vec![
            short(Row::new(
                "takes it",
                Script::new(),
                "helo",
                Fine,
                P::Ehlo,
                None,
            ))
            .look(|report, seen| {
                assert_eq!(seen.sessions[1][0], "EHLO 3f2a9c1d0b7e");
                assert_eq!(seen.sessions[1].last().unwrap(), "QUIT");
                assert!(
                    report
                        .checks
                        .iter()
                        .any(|c| c.subject.as_deref() == Some("3f2a9c1d0b7e"))
                );
            }),
            short(Row::new(
                "refuses it at RCPT",
                at_rcpt,
                "helo",
                Warn,
                P::Rcpt,
                Some(C::Reply5),
            ))
            .says("containers")
            .also("rcpt_own", Fine)
            .also("helo", Fine),
            short(Row::new(
                "refuses it at EHLO",
                Script::new()
                    .on_nth(Verb::Ehlo, 2, "504 5.5.2 no")
                    .on(Verb::Helo, "504 5.5.2 no"),
                "helo",
                Warn,
                P::Ehlo,
                Some(C::Reply5),
            ))
            .says("containers"),
            short(Row::new(
                "refuses the recipient anyway",
                Script::new().on(Verb::Rcpt, "550 5.1.1 User unknown"),
                "helo",
                Skip,
                P::Rcpt,
                None,
            ))
            .says("no better"),
            short(Row::new(
                "421 at the second dialogue",
                Script::new().on_nth(Verb::Connect, 2, "421 4.7.0 too many"),
                "helo",
                Unknown,
                P::Banner,
                Some(C::Reply4),
            )),
        ],
    )
    .await;
}

/// At level deep one of our own is tried. The DNS is asked for nothing that is at hand.
#[tokio::test]
async fn deep_tries_one_of_its_own() {
    table(
        "Level deep",
        vec![
            Row::new(
                "refuses bare names",
                Script::new().on_nth(Verb::Rcpt, 2, "504 5.5.2 no"),
                "helo",
                Warn,
                P::Rcpt,
                Some(C::Reply5),
            )
            .to(&[TO])
            .with(|t| t.helo_short = None)
            .with(|t| t.level = Level::Deep)
            .with(|t| t.dns.server = Some("127.0.0.1:9".parse().unwrap()))
            .with(|t| t.limits.dns = std::time::Duration::from_millis(200)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_password_must_be_refused() {
    let server = || {
        Script::new()
            .certificate(certificates().valid())
            .login(USER, PASSWORD)
    };
    let row = |name: &str, script, state, class| {
        Row::new(name, script, "auth_negative", state, P::Auth, class)
            .tls(Tls::Starttls)
            .with(|t| t.auth_negative = true)
    };
    table(
        "A wrong password",
        vec![
            row("refuses it", server(), Fine, None).look(|_, seen| assert_eq!(seen.connections, 2)),
            row(
                "takes it",
                server().on(Verb::Auth, "235 2.7.0 welcome"),
                Crit,
                Some(C::Proto),
            )
            .says("anybody"),
            row(
                "cannot tell",
                server().on(Verb::Auth, "454 4.7.0 later"),
                Unknown,
                Some(C::Reply4),
            )
            .says("backend"),
            row(
                "has no logins",
                Script::new().certificate(certificates().valid()),
                Skip,
                None,
            ),
        ],
    )
    .await;
}
