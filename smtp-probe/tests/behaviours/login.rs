//! Who we are to the server.

use notifier_testkit::smtp::{Action, Script, Verb};
use smtp_probe::Tls;

use crate::row::{C, Crit, Fine, P, PASSWORD, Row, Skip, TO, USER, Unknown, certificates, table};

const TOKEN: &str = "ya29.a-token-of-tests";

fn server(mechanisms: &[&str]) -> Script {
    Script::new()
        .certificate(certificates().valid())
        .login(USER, PASSWORD)
        .mechanisms(mechanisms)
}

#[tokio::test]
async fn logins_by_each_mechanism() {
    let by = |mechanism: &'static str| {
        Row::new(
            format!("by {mechanism}"),
            server(&[mechanism]),
            "auth",
            Fine,
            P::Auth,
            None,
        )
        .login()
        .to(&[TO])
        .says(mechanism)
        .also("rcpt_own", Fine)
        .look(|_, seen| {
            let lines: Vec<&String> = seen.sessions.iter().flatten().collect();
            assert!(lines.iter().any(|l| l.starts_with("AUTH ")), "{lines:?}");
        })
    };
    let order = |offered: &'static [&'static str], first: &'static str| {
        Row::new(
            format!("{first} of {}", offered.join(" ")),
            server(offered),
            "auth",
            Fine,
            P::Auth,
            None,
        )
        .login()
        .look(move |_, seen| {
            let wanted = format!("AUTH {first}");
            let mut lines = seen.sessions[0].iter();
            let asked = lines.find(|l| l.starts_with("AUTH ")).unwrap();
            assert!(asked.starts_with(&wanted), "{asked}");
        })
    };
    table(
        "Logins",
        vec![
            by("PLAIN"),
            by("LOGIN"),
            by("CRAM-MD5"),
            by("SCRAM-SHA-256"),
            Row::new(
                "a token by XOAUTH2",
                Script::new()
                    .certificate(certificates().valid())
                    .login(USER, TOKEN),
                "auth",
                Fine,
                P::Auth,
                None,
            )
            .login_with(TOKEN)
            .says("XOAUTH2"),
            order(
                &["LOGIN", "PLAIN", "CRAM-MD5", "SCRAM-SHA-256"],
                "SCRAM-SHA-256",
            ),
            order(&["LOGIN", "PLAIN", "CRAM-MD5"], "CRAM-MD5"),
            order(&["XOAUTH2", "LOGIN", "PLAIN"], "PLAIN"),
            Row::new(
                "offers PLAIN and takes LOGIN only",
                server(&["PLAIN", "LOGIN"]).once(Verb::Auth, "504 5.5.4 not that one"),
                "auth",
                Fine,
                P::Auth,
                None,
            )
            .login()
            .says("by LOGIN"),
            Row::new(
                "from the first byte on",
                Script::new()
                    .implicit_tls(certificates().valid())
                    .login(USER, PASSWORD),
                "auth",
                Fine,
                P::Auth,
                None,
            )
            .login()
            .tls(Tls::Implicit)
            .also("auth_mechs", Fine),
            Row::new(
                "in clear, where that is allowed",
                Script::new().login(USER, PASSWORD).auth_before_tls(true),
                "auth",
                Fine,
                P::Auth,
                None,
            )
            .login()
            .with(|t| t.allow_clear = true)
            .tls(Tls::None)
            .also("auth_mechs", Fine)
            .also("capabilities", Fine),
        ],
    )
    .await;
}

#[tokio::test]
async fn logins_that_fail() {
    let on = |name: &str, action: Action, state, class| {
        let script = server(&["PLAIN"]).on(Verb::Auth, action);
        Row::new(name, script, "auth", state, P::Auth, Some(class))
            .login()
            .to(&[TO])
            .also("rcpt_own", Skip)
    };
    let wrong = |mechanism: &'static str| {
        Row::new(
            format!("wrong password by {mechanism}"),
            server(&[mechanism]),
            "auth",
            Crit,
            P::Auth,
            Some(C::Reply5),
        )
        .login_with("another-password")
        .to(&[TO])
        .says("--password-file")
        .also("rcpt_own", Skip)
        .also("quit", Fine)
    };
    table(
        "Failed logins",
        vec![
            wrong("PLAIN"),
            wrong("LOGIN"),
            wrong("CRAM-MD5"),
            wrong("SCRAM-SHA-256"),
            wrong("XOAUTH2"),
            on(
                "backend down",
                "454 4.7.0 Temporary authentication failure".into(),
                Unknown,
                C::Reply4,
            )
            .says("backend")
            .also("quit", Fine),
            on(
                "wants another way",
                "534 5.7.9 too weak".into(),
                Crit,
                C::Reply5,
            )
            .says("another way"),
            on(
                "421 at AUTH",
                "421 4.7.0 too many errors".into(),
                Unknown,
                C::Reply4,
            )
            .also("quit", Skip),
            on("dies at AUTH", Action::Cut, Crit, C::Eof).says("Dovecot"),
            on("silent at AUTH", Action::Stall, Crit, C::Timeout)
                .stalls()
                .says("Dovecot"),
            on("250 in place of 235", "250 2.0.0 Ok".into(), Crit, C::Proto),
            Row::new(
                "takes a login and proves nothing",
                server(&["SCRAM-SHA-256"]).on(Verb::AuthAnswer, "235 2.7.0 fine"),
                "auth",
                Crit,
                P::Auth,
                Some(C::Proto),
            )
            .login()
            .says("without the proof")
            .says("stand in for"),
            Row::new(
                "asks for rounds without end",
                // r=x,s=eA==,i=4294967295
                server(&["SCRAM-SHA-256"]).on(Verb::Auth, "334 cj14LHM9ZUE9PSxpPTQyOTQ5NjcyOTU="),
                "auth",
                Crit,
                P::Auth,
                Some(C::Proto),
            )
            .login(),
            Row::new(
                "a challenge that is no base64",
                server(&["CRAM-MD5"]).on(Verb::Auth, "334 ***"),
                "auth",
                Crit,
                P::Auth,
                Some(C::Proto),
            )
            .login()
            .says("base64"),
            Row::new(
                "no mechanism in common",
                server(&["GSSAPI", "NTLM"]),
                "auth_mechs",
                Crit,
                P::Auth,
                Some(C::Proto),
            )
            .login()
            .says("GSSAPI")
            .also("auth", Skip),
            Row::new(
                "no login at all",
                Script::new().certificate(certificates().valid()),
                "auth_mechs",
                Crit,
                P::Auth,
                Some(C::Proto),
            )
            .login()
            .says("backend"),
            Row::new(
                "no file of the password",
                server(&["PLAIN"]),
                "auth",
                Unknown,
                P::Auth,
                Some(C::Local),
            )
            .with(|t| {
                t.login = Some(smtp_probe::Login {
                    user: USER.to_owned(),
                    password: smtp_wire::Password::File("/nonexistent/password".into()),
                });
            })
            .says("/nonexistent/password"),
        ],
    )
    .await;
}

#[tokio::test]
async fn who_could_log_in_and_does_not_is_told_so() {
    let row = |name: &str, action: &str| {
        let script = server(&["PLAIN"])
            .on(Verb::Mail, "250 2.1.0 Ok")
            .on(Verb::Rcpt, action);
        Row::new(name, script, "rcpt_own", Crit, P::Rcpt, Some(C::Reply5)).to(&[TO])
    };
    let (recipient, client) = (
        "554 5.7.1 <oncall@dest.example>: Recipient address rejected: Access denied",
        "554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied",
    );
    table(
        "Refused for want of a login",
        vec![
            row("the recipient", recipient).says("--user and --password-file"),
            row("the client", client).says("--user and --password-file"),
            row("who has logged in", "554 5.7.1 <a@b>: Relay access denied")
                .login()
                .says("permit_sasl_authenticated"),
        ],
    )
    .await;
}

/// Neither to who proves nothing, nor in clear.
#[tokio::test]
async fn passwords_that_stay_here() {
    let made = certificates();
    let silent = |row: Row| {
        row.login()
            .to(&[TO])
            .also("rcpt_own", Skip)
            .look(|_, seen| {
                let lines: Vec<&String> = seen.sessions.iter().flatten().collect();
                assert!(!lines.iter().any(|l| l.starts_with("AUTH")), "{lines:?}");
            })
    };
    let mut rows = Vec::new();
    for (name, identity) in [
        ("expired", made.expired()),
        ("not yet valid", made.not_yet_valid()),
        ("for another name", made.wrong_name()),
        ("self-signed", made.self_signed()),
        ("without the one between", made.missing_another()),
        ("of another authority", made.other_ca()),
    ] {
        let script = Script::new().certificate(identity).login(USER, PASSWORD);
        let row = Row::new(name, script, "auth", Skip, P::Auth, None).says("proves nothing");
        rows.push(silent(row).also("quit", Fine));
    }
    let open = || Script::new().login(USER, PASSWORD).auth_before_tls(true);
    let row = Row::new(
        "no TLS offered",
        open(),
        "starttls",
        Crit,
        P::Starttls,
        Some(C::Proto),
    );
    rows.push(silent(row).tls(Tls::Opportunistic).also("auth", Skip));
    let row = Row::new(
        "no TLS wanted",
        open(),
        "auth",
        Unknown,
        P::Auth,
        Some(C::Local),
    );
    rows.push(silent(row).tls(Tls::None).says("without TLS"));
    table("Passwords that are not sent", rows).await;
}
