//! Several recipients, each with an answer of its own.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{A, B, C, D, Row};

#[tokio::test]
async fn recipients() {
    let four = |name: &str, script: Script| Row::new(name, script).to(&[A, B, C, D]);
    let refuse_all = || {
        Script::new()
            .refuse(A, "550 5.1.1 no such user")
            .refuse(B, "550 5.1.1 no such user")
    };
    table(
        "recipients",
        vec![
            four("all are good", Script::new())
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT RCPT RCPT RCPT DATA ."),
            four(
                "one 550 among good ones",
                Script::new().refuse(B, "550 5.1.1 no such user"),
            )
            .each(&[
                (A, Want::Delivered),
                (B, Want::Dead),
                (C, Want::Delivered),
                (D, Want::Delivered),
            ])
            .got("EHLO MAIL RCPT RCPT RCPT RCPT DATA .")
            .says("550 5.1.1")
            .says(B),
            four(
                "one 450 among good ones",
                Script::new().refuse(B, "450 4.2.1 mailbox busy"),
            )
            .each(&[
                (A, Want::Delivered),
                (B, Want::After(60)),
                (C, Want::Delivered),
                (D, Want::Delivered),
            ])
            .got("EHLO MAIL RCPT RCPT RCPT RCPT DATA ."),
            four(
                "550, 450, 552 and one good",
                Script::new()
                    .refuse(A, "550 5.1.1 no such user")
                    .refuse(B, "450 4.2.0 Greylisted, try again in 300 seconds")
                    .refuse(C, "552 5.2.2 mailbox full"),
            )
            .each(&[
                (A, Want::Dead),
                (B, Want::After(300)),
                (C, Want::After(60)),
                (D, Want::Delivered),
            ]),
            Row::new("all refused", refuse_all())
                .to(&[A, B])
                .all(Want::Dead)
                .got("EHLO MAIL RCPT RCPT DATA RSET")
                .says("550 5.1.1"),
            Row::new(
                "all refused, one for now",
                Script::new()
                    .refuse(A, "550 5.1.1 no")
                    .refuse(B, "450 4.2.0 busy"),
            )
            .each(&[(A, Want::Dead), (B, Want::After(60))]),
            Row::new(
                "all refused, and silence at RSET",
                refuse_all().on(Verb::Rset, Action::Stall),
            )
            .to(&[A, B])
            // Long enough for all that comes before.
            .set("timeout", "20s")
            .all(Want::Dead)
            .got("EHLO MAIL RCPT RCPT DATA RSET"),
            Row::new(
                "all refused, and closed at RSET",
                refuse_all().on(Verb::Rset, Action::Cut),
            )
            .to(&[A, B])
            .all(Want::Dead),
            Row::new(
                "all refused, and 354 all the same",
                refuse_all().on(Verb::Data, "354 go on"),
            )
            .to(&[A, B])
            .all(Want::Dead)
            .got("EHLO MAIL RCPT RCPT DATA ."),
            Row::new(
                "all refused, 354 all the same, 250 to the dot",
                refuse_all()
                    .on(Verb::Data, "354 go on")
                    .on(Verb::Body, "250 2.0.0 taken for nobody"),
            )
            .to(&[A, B])
            .all(Want::Dead)
            .got("EHLO MAIL RCPT RCPT DATA ."),
            Row::new(
                "greylisted for 5 minutes",
                Script::new().on(Verb::Rcpt, "451 4.7.1 Greylisted for 5 minutes"),
            )
            .all(Want::After(300)),
            Row::new(
                "greylisted, no time named",
                Script::new().on(Verb::Rcpt, "450 4.2.0 Greylisted"),
            )
            .all(Want::After(60)),
            Row::new(
                "greylisted at DATA",
                Script::new().on(Verb::Data, "451 4.7.1 try again in 120 seconds"),
            )
            .all(Want::After(120)),
            Row::new(
                "a closed relay",
                Script::new().on(
                    Verb::Rcpt,
                    "554 5.7.1 <a@dest.example>: Relay access denied",
                ),
            )
            .all(Want::Dead)
            .says("Relay access denied"),
            Row::new(
                "an address that forwards",
                Script::new().on(Verb::Rcpt, "251 2.1.5 user not local; will forward"),
            )
            .all(Want::Delivered),
            four(
                "closed after two answers",
                Script::new().on_nth(Verb::Rcpt, 3, Action::Cut),
            )
            .all(Want::Retry),
            four(
                "421 at the third",
                Script::new().on_nth(Verb::Rcpt, 3, Action::reply_then_cut("421 4.3.2 bye")),
            )
            .all(Want::Retry),
        ],
    )
    .await;
}

#[tokio::test]
async fn more_recipients_than_a_relay_takes() {
    let four = |name: &str, script: Script| {
        Row::new(name, script)
            .to(&[A, B, C, D])
            .check(|mails, _| match mails.len() {
                2 => Ok(()),
                n => Err(format!("{n} transactions")),
            })
    };
    table(
        "too many recipients",
        vec![
            four("452 at the third", Script::new().most_recipients(2)).all(Want::Delivered),
            four(
                "452 at the third, without PIPELINING",
                Script::new().most_recipients(2).without("PIPELINING"),
            )
            .all(Want::Delivered),
            four(
                "552 at the third",
                Script::new()
                    .most_recipients(2)
                    .too_many("552 5.5.3 too many recipients"),
            )
            .all(Want::Delivered),
            Row::new(
                "452 at the third, and the second mail refused for now",
                Script::new()
                    .most_recipients(2)
                    .on_nth(Verb::Mail, 2, "451 4.3.0 not now"),
            )
            .each(&[
                (A, Want::Delivered),
                (B, Want::Delivered),
                (C, Want::Retry),
                (D, Want::Retry),
            ])
            .got("EHLO MAIL RCPT RCPT RCPT RCPT DATA . MAIL RCPT RCPT DATA RSET"),
        ],
    )
    .await;
}
