//! How a relay greets.

use std::time::Duration;

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::Row;

const WHOLE: &str = "EHLO MAIL RCPT DATA .";

#[tokio::test]
async fn greetings() {
    let good = |name: &str, script| Row::new(name, script).all(Want::Delivered).got(WHOLE);
    let pause = Action::delay(Duration::from_millis(300));
    table(
        "greetings",
        vec![
            good(
                "the banner comes late",
                Script::new().on(Verb::Connect, pause.clone()),
            ),
            good(
                "each answer comes late",
                Script::new()
                    .on(Verb::Mail, pause.clone())
                    .on(Verb::Body, pause),
            ),
            good(
                "a banner of three lines",
                Script::new().banner("relay.example ESMTP\nno spam\nhave a nice day"),
            ),
            good(
                "a banner in single bytes",
                Script::new().on(Verb::Connect, Action::Split(String::new())),
            ),
            good(
                "a banner without a text",
                Script::new().on(Verb::Connect, "220"),
            ),
            Row::new(
                "a banner of HTTP",
                Script::new().on(Verb::Connect, "HTTP/1.1 400 Bad Request"),
            )
            .all(Want::Retry)
            .got(""),
            Row::new(
                "a banner with 354",
                Script::new().on(Verb::Connect, "354 go on"),
            )
            .all(Want::Retry)
            .got(""),
            Row::new(
                "too many connections, in 5 minutes again",
                Script::new().on(
                    Verb::Connect,
                    Action::reply_then_cut(
                        "421 4.7.0 too many connections, try again in 5 minutes",
                    ),
                ),
            )
            .all(Want::After(300)),
        ],
    )
    .await;
}

#[tokio::test]
async fn relays_that_know_only_helo() {
    let whole = "EHLO HELO MAIL RCPT DATA .";
    let row = |answer: &str| {
        let script = Script::new().on(Verb::Ehlo, answer);
        Row::new(format!("EHLO answered {answer}"), script)
    };
    table(
        "HELO",
        vec![
            row("502 5.5.1 command not recognized")
                .all(Want::Delivered)
                .got(whole),
            row("500 5.5.2 unknown command")
                .all(Want::Delivered)
                .got(whole),
            row("421 4.3.2 not now").all(Want::Retry).got("EHLO"),
            row("450 4.3.2 not now").all(Want::Retry).got("EHLO"),
            Row::new(
                "HELO only, where TLS is required",
                Script::new().on(Verb::Ehlo, "502 5.5.1 no"),
            )
            .tls("required")
            .all(Want::Retry)
            .got("EHLO HELO")
            .says("STARTTLS"),
            Row::new(
                "HELO only, where there is a login",
                Script::new().on(Verb::Ehlo, "502 5.5.1 no"),
            )
            .tls("opportunistic")
            .login()
            .all(Want::Retry)
            .got("EHLO HELO")
            .says("password is not sent"),
            Row::new(
                "neither EHLO nor HELO",
                Script::new()
                    .on(Verb::Ehlo, "502 5.5.1 no")
                    .on(Verb::Helo, Action::reply_then_cut("421 4.3.2 no")),
            )
            .all(Want::Retry)
            .got("EHLO HELO"),
            Row::new(
                "a full host name is asked for at RCPT",
                Script::new().on(
                    Verb::Rcpt,
                    "504 5.5.2 <watcher>: Helo command rejected: need fully-qualified hostname",
                ),
            )
            .all(Want::DeadDestination)
            .says("smtp.helo"),
        ],
    )
    .await;
}

#[tokio::test]
async fn relays_that_are_not_there() {
    table(
        "no relay",
        vec![
            Row::new("connections are refused", Script::new())
                .refused()
                .all(Want::Retry)
                .got("")
                .says("refused"),
            Row::new("a name that does not resolve", Script::new())
                // Too long a label for a question to a name server.
                .set("server", format!("{}.invalid:PORT", "x".repeat(64)))
                .all(Want::Retry)
                .got(""),
            Row::new("a name that resolves", Script::new())
                .set("server", "localhost:PORT")
                .all(Want::Delivered)
                .got(WHOLE),
        ],
    )
    .await;
}
