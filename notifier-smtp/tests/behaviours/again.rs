//! The next attempt at the same delivery.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{A, B, C, D, PASSWORD, Row, USER, certificates};

#[tokio::test]
async fn second_attempts() {
    let login = || Script::new().certificate(certificates().valid());
    table(
        "second attempts",
        vec![
            Row::new(
                "one has it, one was greylisted",
                Script::new().refuse(B, "450 4.2.0 Greylisted"),
            )
            .each(&[(A, Want::Delivered), (B, Want::After(60))])
            .again(
                Script::new(),
                &[(A, Want::Delivered), (B, Want::Delivered)],
                &[(A, 1), (B, 1)],
            )
            .got("EHLO MAIL RCPT RCPT DATA . | EHLO MAIL RCPT DATA ."),
            Row::new(
                "greylisted again",
                Script::new().refuse(A, "450 4.2.0 Greylisted"),
            )
            .each(&[(A, Want::After(60))])
            .again(
                Script::new().refuse(A, "450 4.2.0 Greylisted"),
                &[(A, Want::After(120))],
                &[(A, 0)],
            ),
            Row::new(
                "one is dead, one was busy: the dead one is not asked for again",
                Script::new()
                    .refuse(A, "550 5.1.1 no such user")
                    .refuse(B, "450 4.2.1 busy"),
            )
            .each(&[(A, Want::Dead), (B, Want::After(60))])
            .again(
                Script::new(),
                &[(A, Want::Dead), (B, Want::Delivered)],
                &[(A, 0), (B, 1)],
            )
            .got("EHLO MAIL RCPT RCPT DATA RSET | EHLO MAIL RCPT DATA ."),
            Row::new(
                "it may have it: a second mail of the same id",
                Script::new().on(Verb::Body, Action::TakeThenCut),
            )
            .all(Want::Ambiguous)
            .kept(1)
            .again(Script::new(), &[(A, Want::Delivered)], &[(A, 2)]),
            Row::new(
                "it may have it twice: no third mail",
                Script::new().on(Verb::Body, Action::TakeThenCut),
            )
            .all(Want::Ambiguous)
            .kept(1)
            .again(
                Script::new().on(Verb::Body, Action::TakeThenCut),
                &[(A, Want::GivenUp)],
                &[(A, 2)],
            ),
            Row::new(
                "it may have it, and is refused then: it may have it still",
                Script::new().on(Verb::Body, Action::TakeThenCut),
            )
            .all(Want::Ambiguous)
            .kept(1)
            .again(
                Script::new().on(Verb::Mail, "451 4.3.0 not now"),
                &[(A, Want::Ambiguous)],
                &[(A, 1)],
            ),
            Row::new(
                "closed before the dot: one mail",
                Script::new().on(Verb::Data, Action::Cut),
            )
            .all(Want::Retry)
            .again(Script::new(), &[(A, Want::Delivered)], &[(A, 1)]),
            Row::new(
                "two have it, the second transaction failed",
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
            .again(
                Script::new(),
                &[
                    (A, Want::Delivered),
                    (B, Want::Delivered),
                    (C, Want::Delivered),
                    (D, Want::Delivered),
                ],
                &[(A, 1), (B, 1), (C, 1), (D, 1)],
            ),
            Row::new(
                "a wrong password, put right at the relay",
                login().login(USER, "another"),
            )
            .tls("required")
            .login()
            .all(Want::DeadDestination)
            .again(
                login().login(USER, PASSWORD),
                &[(A, Want::Delivered)],
                &[(A, 1)],
            ),
            Row::new(
                "an expired certificate, renewed",
                Script::new().certificate(certificates().expired()),
            )
            .tls("required")
            .all(Want::Retry)
            .again(login(), &[(A, Want::Delivered)], &[(A, 1)]),
        ],
    )
    .await;
}
