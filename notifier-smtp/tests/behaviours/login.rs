//! AUTH.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{PASSWORD, Row, USER, certificates};

fn script() -> Script {
    Script::new()
        .certificate(certificates().valid())
        .login(USER, PASSWORD)
}

fn row(name: &str, script: Script) -> Row {
    Row::new(name, script).tls("required").login()
}

#[tokio::test]
async fn logins() {
    let whole = "EHLO STARTTLS EHLO AUTH MAIL RCPT DATA .";
    let good = |name: &str, script| {
        row(name, script).all(Want::Delivered).check(|mails, _| {
            let login = Some((USER.to_owned(), PASSWORD.to_owned()));
            match mails.iter().all(|mail| mail.tls && mail.login == login) {
                true => Ok(()),
                false => Err("a mail without its login".to_owned()),
            }
        })
    };
    let refused = |name: &str, answer: &str| {
        row(name, script().on(Verb::Auth, answer))
            .all(Want::DeadDestination)
            .got("EHLO STARTTLS EHLO AUTH")
    };
    table(
        "logins",
        vec![
            good("all mechanisms", script()).got(whole),
            good("PLAIN only", script().mechanisms(&["PLAIN"])).got(whole),
            good("LOGIN only", script().mechanisms(&["LOGIN"]))
                .got("EHLO STARTTLS EHLO AUTH * * MAIL RCPT DATA ."),
            good("XOAUTH2 only", script().mechanisms(&["XOAUTH2"])).got(whole),
            good(
                "PLAIN refused with 504, LOGIN taken",
                script().once(Verb::Auth, "504 5.5.4 mechanism not supported"),
            )
            .got("EHLO STARTTLS EHLO AUTH AUTH * * MAIL RCPT DATA ."),
            good(
                "an initial response is not taken, and asked for again",
                script().mechanisms(&["PLAIN"]).once(Verb::Auth, "334 "),
            )
            .got("EHLO STARTTLS EHLO AUTH * MAIL RCPT DATA ."),
            row("a wrong password", script().login(USER, "another"))
                .all(Want::DeadDestination)
                .got("EHLO STARTTLS EHLO AUTH")
                .says("535 5.7.8")
                .says("smtp.password"),
            row(
                "a wrong password, by LOGIN",
                script().login(USER, "another").mechanisms(&["LOGIN"]),
            )
            .all(Want::DeadDestination)
            .got("EHLO STARTTLS EHLO AUTH * *")
            .says("535 5.7.8"),
            row(
                "a wrong token, by XOAUTH2",
                script().login(USER, "another").mechanisms(&["XOAUTH2"]),
            )
            .all(Want::DeadDestination)
            .got("EHLO STARTTLS EHLO AUTH *")
            .says("535 5.7.8"),
            refused("534", "534 5.7.9 a password made for programs is needed"),
            refused("538", "538 5.7.11 encryption required"),
            row(
                "an answer that tells the password",
                script().on(
                    Verb::Auth,
                    format!("535 5.7.8 {PASSWORD} is wrong").as_str(),
                ),
            )
            .all(Want::DeadDestination)
            .says("***"),
            row("no AUTH", Script::new().certificate(certificates().valid()))
                .all(Want::DeadDestination)
                .got("EHLO STARTTLS EHLO")
                .says("no login"),
            row(
                "no mechanism that we know",
                script().mechanisms(&["GSSAPI", "NTLM"]),
            )
            .all(Want::DeadDestination)
            .got("EHLO STARTTLS EHLO")
            .says("GSSAPI"),
            row(
                "454 to a token",
                script()
                    .mechanisms(&["LOGIN"])
                    .on(Verb::AuthAnswer, "454 4.7.0 not now"),
            )
            .all(Want::Retry),
            row(
                "closed at a token",
                script()
                    .mechanisms(&["LOGIN"])
                    .on(Verb::AuthAnswer, Action::Cut),
            )
            .all(Want::Retry),
            row(
                "250 in the place of 235",
                script().on(Verb::Auth, "250 fine"),
            )
            .all(Want::Retry),
        ],
    )
    .await;
}

#[tokio::test]
async fn relays_that_want_more() {
    let closed = || Script::new().login(USER, PASSWORD).auth_before_tls(true);
    table(
        "530",
        vec![
            Row::new("a login is wanted, and there is none", closed())
                .all(Want::DeadDestination)
                .says("530 5.7.0")
                .says("smtp.user"),
            Row::new(
                "STARTTLS is wanted, and tls is none",
                Script::new()
                    .certificate(certificates().valid())
                    .login(USER, PASSWORD),
            )
            .all(Want::DeadDestination)
            .says("smtp.tls"),
            Row::new("a login in plain text, where tls is none", closed())
                .login()
                .all(Want::Delivered)
                .got("EHLO AUTH MAIL RCPT DATA ."),
            Row::new(
                "538 to a login in plain text",
                closed().on(Verb::Auth, "538 5.7.11 no"),
            )
            .login()
            .all(Want::DeadDestination)
            .says("smtp.tls=required"),
        ],
    )
    .await;
}
