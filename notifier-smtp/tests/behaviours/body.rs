//! DATA, the message and its dot.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{A, B, Row};

/// More than the buffers between two ends of a connection on one machine hold.
const LARGE: usize = 8 << 20;

#[tokio::test]
async fn around_the_dot() {
    let row = |name: &str, script: Script| Row::new(name, script);
    let sent = "EHLO MAIL RCPT DATA .";
    table(
        "around the dot",
        vec![
            row(
                "closed in the middle of a small mail, all of it on its way",
                Script::new().on(Verb::Data, Action::in_body(1, Action::Cut)),
            )
            .all(Want::Ambiguous)
            .got("EHLO MAIL RCPT DATA"),
            row(
                "kept, and closed without an answer",
                Script::new().on(Verb::Body, Action::TakeThenCut),
            )
            .all(Want::Ambiguous)
            .kept(1)
            .got(sent)
            .says("may have taken it"),
            row(
                "kept, and silence",
                Script::new().on(Verb::Body, Action::TakeThenStall),
            )
            .set("final_timeout", "1s")
            .all(Want::Ambiguous)
            .kept(1)
            .got(sent),
            row(
                "kept, and silence, for several",
                Script::new()
                    .refuse(B, "550 5.1.1 no")
                    .on(Verb::Body, Action::TakeThenCut),
            )
            .each(&[(A, Want::Ambiguous), (B, Want::Dead)])
            .kept(1),
            row(
                "421 after the dot",
                Script::new().on(Verb::Body, Action::reply_then_cut("421 4.3.0 bye")),
            )
            .all(Want::Retry)
            .got(sent),
            row(
                "452 after the dot",
                Script::new().on(Verb::Body, "452 4.3.1 disk full"),
            )
            .all(Want::Retry),
            row(
                "554 after the dot: content",
                Script::new().on(Verb::Body, "554 5.7.1 looks like spam"),
            )
            .all(Want::Dead)
            .says("spam"),
            row(
                "250 after the dot without an id",
                Script::new().on(Verb::Body, "250 thank you"),
            )
            .all(Want::Delivered),
            row(
                "250 in the place of 354",
                Script::new().on(Verb::Data, "250 2.0.0 what for?"),
            )
            .all(Want::Retry)
            .got("EHLO MAIL RCPT DATA"),
            row(
                "554 no valid recipients, though one was good",
                Script::new().on(Verb::Data, "554 5.5.1 no valid recipients"),
            )
            .all(Want::Dead),
        ],
    )
    .await;
}

#[tokio::test]
async fn within_a_message() {
    let row = |name: &str, action: Action| {
        let script = Script::new().size(0);
        Row::new(name, script.on(Verb::Data, action))
    };
    let large = |name: &str, action: Action| {
        row(name, Action::in_body(1000, action))
            .logs(LARGE)
            .got("EHLO MAIL RCPT DATA")
    };
    table(
        "within a message",
        vec![
            large("closed in the middle of a large mail", Action::Cut).all(Want::Retry),
            large("reset in the middle of a large mail", Action::Reset).all(Want::Retry),
            large(
                "421 in the middle of a large mail",
                Action::reply_then_cut("421 4.3.0 bye"),
            )
            .all(Want::Retry),
            large("nothing more is read of a large mail", Action::Freeze)
                .hasty()
                .all(Want::Retry),
            row("closed after 354", Action::reply_then_cut("354 go on"))
                .logs(LARGE)
                .all(Want::Retry)
                .got("EHLO MAIL RCPT DATA"),
            Row::new("a large mail, whole", Script::new().size(0))
                .logs(LARGE)
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA .")
                .check(|mails, _| match mails[0].data.len() {
                    n if n > LARGE => Ok(()),
                    n => Err(format!("only {n} octets came")),
                }),
        ],
    )
    .await;
}
