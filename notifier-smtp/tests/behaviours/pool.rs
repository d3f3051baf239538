//! Connections that are kept between mails.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{A, Between, Row, certificates};

#[tokio::test]
async fn kept_connections() {
    let row = |name: &str, script: Script, between| Row::new(name, script).after_one(between);
    table(
        "kept connections",
        vec![
            row("it is used again", Script::new(), Between::Nothing)
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA . MAIL RCPT DATA ."),
            row("closed while idle", Script::new(), Between::HangUp(""))
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA . | EHLO MAIL RCPT DATA ."),
            row(
                "421 and closed while idle",
                Script::new(),
                Between::HangUp("421 4.4.2 timeout exceeded"),
            )
            .all(Want::Delivered)
            .got("EHLO MAIL RCPT DATA . | EHLO MAIL RCPT DATA ."),
            row("gone while idle", Script::new(), Between::Dropped)
                .all(Want::Delivered)
                .got("EHLO MAIL RCPT DATA . | EHLO MAIL RCPT DATA ."),
            row(
                "gone while idle, and connections refused",
                Script::new(),
                Between::Refused,
            )
            .all(Want::Retry),
            row(
                "421 at MAIL of a kept connection",
                Script::new().once(Verb::Mail, Action::reply_then_cut("421 4.3.2 bye")),
                Between::Nothing,
            )
            .all(Want::Delivered)
            .got("EHLO MAIL RCPT DATA . MAIL | EHLO MAIL RCPT DATA ."),
            row(
                "closed at MAIL of a kept connection",
                Script::new().once(Verb::Mail, Action::Cut),
                Between::Nothing,
            )
            .all(Want::Delivered)
            .got("EHLO MAIL RCPT DATA . MAIL | EHLO MAIL RCPT DATA ."),
            row(
                "reset at MAIL of a kept connection",
                Script::new().once(Verb::Mail, Action::Reset),
                Between::Nothing,
            )
            .all(Want::Delivered)
            .got("EHLO MAIL RCPT DATA . MAIL | EHLO MAIL RCPT DATA ."),
            row(
                "421 at each MAIL",
                Script::new().on(Verb::Mail, Action::reply_then_cut("421 4.3.2 bye")),
                Between::Nothing,
            )
            .all(Want::Retry)
            .got("EHLO MAIL RCPT DATA . MAIL | EHLO MAIL"),
            row(
                "closed at the dot of a kept connection",
                Script::new().on(Verb::Body, Action::TakeThenCut),
                Between::Nothing,
            )
            .all(Want::Ambiguous)
            .kept(1)
            .got("EHLO MAIL RCPT DATA . MAIL RCPT DATA ."),
            row(
                "550 at RCPT of a kept connection",
                Script::new().refuse(A, "550 5.1.1 no"),
                Between::Nothing,
            )
            .all(Want::Dead)
            .got("EHLO MAIL RCPT DATA . MAIL RCPT DATA RSET"),
            Row::new(
                "TLS, closed while idle",
                Script::new().certificate(certificates().valid()),
            )
            .tls("required")
            .after_one_of(
                Script::new().certificate(certificates().valid()),
                Between::HangUp(""),
            )
            .all(Want::Delivered),
        ],
    )
    .await;
}
