//! STARTTLS and implicit TLS.

use notifier_testkit::smtp::{Action, Identity, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{PASSWORD, Row, USER, certificates};

const WHOLE: &str = "EHLO STARTTLS EHLO MAIL RCPT DATA .";

fn offering(identity: Identity) -> Script {
    Script::new().certificate(identity)
}

#[tokio::test]
async fn certificates_are_checked_where_tls_is_required() {
    let all = certificates();
    let good = |name: &str, identity| {
        Row::new(name, offering(identity))
            .tls("required")
            .all(Want::Delivered)
            .got(WHOLE)
            .check(|mails, _| match mails.iter().all(|mail| mail.tls) {
                true => Ok(()),
                false => Err("a mail went in plain text".to_owned()),
            })
    };
    let bad = |name: &str, identity, says| {
        Row::new(name, offering(identity))
            .tls("required")
            .all(Want::Retry)
            .got("EHLO STARTTLS")
            .says("certificate")
            .says("the mail waits until")
            .says(says)
    };
    let implicit =
        |name: &str, identity| Row::new(name, Script::new().implicit_tls(identity)).tls("implicit");
    table(
        "certificates",
        vec![
            good("valid, by address", all.valid()),
            good("valid, by name", all.named(&["localhost"])).set("server", "localhost:PORT"),
            good("of another name, which is asked for", all.wrong_name())
                .set("tls_name", "elsewhere.example"),
            bad("expired", all.expired(), "expired"),
            bad("not yet valid", all.not_yet_valid(), "not valid yet"),
            bad("of another name", all.wrong_name(), "name"),
            bad("signed by itself", all.self_signed(), "smtp.ca"),
            bad("of another authority", all.other_ca(), "smtp.ca"),
            implicit("implicit TLS, valid", all.valid())
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA ."),
            implicit("implicit TLS, expired", all.expired())
                .all(Want::Retry)
                .got("")
                .says("expired"),
            implicit("implicit TLS, of another name", all.wrong_name())
                .all(Want::Retry)
                .got(""),
            Row::new(
                "opportunistic, expired: taken unchecked",
                offering(all.expired()),
            )
            .tls("opportunistic")
            .all(Want::Delivered)
            .got(WHOLE),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_handshake() {
    let valid = || offering(certificates().valid());
    let bad = |name: &str, action: Action| {
        Row::new(name, valid().on(Verb::StartTls, action))
            .tls("required")
            .all(Want::Retry)
            .got("EHLO STARTTLS")
    };
    let implicit = |name: &str, action: Action| {
        let script = Script::new().implicit_tls(certificates().valid());
        Row::new(name, script.on(Verb::Connect, action))
            .tls("implicit")
            .all(Want::Retry)
            .got("")
    };
    table(
        "handshakes",
        vec![
            bad(
                "bytes injected before the handshake",
                Action::InjectBeforeTls,
            )
            .says("injection"),
            Row::new(
                "bytes injected before the handshake, where TLS is not needed",
                valid().on(Verb::StartTls, Action::InjectBeforeTls),
            )
            .tls("opportunistic")
            .all(Want::Retry)
            .got("EHLO STARTTLS"),
            bad("an alert", Action::TlsAlert).says("TLS"),
            bad("plain text", Action::GarbageTls).says("TLS"),
            bad("silence", Action::StallTls)
                .hasty_to_connect()
                .says("in time"),
            bad("closed after 220", Action::reply_then_cut("220 go on")),
            bad("250 in the place of 220", "250 ok".into()),
            implicit("implicit TLS: an alert", Action::TlsAlert),
            implicit("implicit TLS: plain text", Action::GarbageTls),
            implicit("implicit TLS: silence", Action::StallTls).hasty_to_connect(),
            Row::new("implicit TLS asked of a relay without", Script::new())
                .tls("implicit")
                .unruly()
                .all(Want::Retry),
            Row::new(
                "plain text asked of a relay with implicit TLS",
                Script::new().implicit_tls(certificates().valid()),
            )
            .hasty()
            .all(Want::Retry),
        ],
    )
    .await;
}

#[tokio::test]
async fn tls_that_is_not_offered() {
    let hidden = || offering(certificates().valid()).without("STARTTLS");
    table(
        "STARTTLS not offered",
        vec![
            Row::new("required", Script::new())
                .tls("required")
                .all(Want::Retry)
                .got("EHLO")
                .says("STARTTLS"),
            Row::new(
                "required, with a login",
                hidden().login(USER, PASSWORD).auth_before_tls(true),
            )
            .set("tls", "required")
            .login()
            .all(Want::Retry)
            .got("EHLO")
            .says("STARTTLS"),
            Row::new(
                "opportunistic, with a login",
                hidden().login(USER, PASSWORD).auth_before_tls(true),
            )
            .tls("opportunistic")
            .login()
            .all(Want::Retry)
            .got("EHLO")
            .says("password is not sent"),
            Row::new("opportunistic", hidden())
                .tls("opportunistic")
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA ."),
            Row::new("none, though offered", offering(certificates().valid()))
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA ."),
        ],
    )
    .await;
}

#[tokio::test]
async fn starttls_that_is_offered_and_refused() {
    let refused = |answer: &str| {
        let script = offering(certificates().valid()).on(Verb::StartTls, answer);
        Row::new(format!("STARTTLS answered {answer}"), script)
    };
    let opportunistic = |answer: &str| refused(answer).tls("opportunistic");
    let plain = "EHLO STARTTLS MAIL RCPT DATA .";
    table(
        "STARTTLS refused",
        vec![
            opportunistic("454 4.7.0 not now")
                .all(Want::Delivered)
                .got(plain),
            opportunistic("502 5.5.1 no")
                .all(Want::Delivered)
                .got(plain),
            opportunistic("554 5.7.3 no")
                .all(Want::Delivered)
                .got(plain),
            opportunistic("451 4.3.0 not now")
                .all(Want::Retry)
                .got("EHLO STARTTLS"),
            opportunistic("421 4.3.2 bye")
                .all(Want::Retry)
                .got("EHLO STARTTLS"),
            // What came with it is no answer to what is asked next.
            opportunistic("454 4.7.0 not now\r\n250 2.1.0 Ok")
                .all(Want::Retry)
                .got("EHLO STARTTLS"),
            refused("454 4.7.0 not now")
                .tls("required")
                .all(Want::Retry)
                .got("EHLO STARTTLS"),
            Row::new(
                "opportunistic with a login, STARTTLS answered 454",
                offering(certificates().valid())
                    .login(USER, PASSWORD)
                    .auth_before_tls(true)
                    .on(Verb::StartTls, "454 4.7.0 not now"),
            )
            .tls("opportunistic")
            .login()
            .all(Want::Retry)
            .got("EHLO STARTTLS"),
        ],
    )
    .await;
}
