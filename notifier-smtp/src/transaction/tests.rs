use notifier_core::Delivery;

use super::*;
use crate::rig::{
    Does::{self, Close, Say, SayAndClose, Stall},
    Rule, relay, session,
};

fn addresses(names: &[&str]) -> Vec<Address> {
    names
        .iter()
        .map(|n| Address::read(&format!("{n}@x.example")).unwrap())
        .collect()
}

/// Sends `Hi` to these, and tells how it ended, the session and what came.
async fn run(pipelining: bool, to: &[&str], rules: Vec<Rule>) -> (Outcome, Session, Vec<String>) {
    let (mut session, theirs) = session(pipelining);
    let lines = relay(theirs, rules);
    let sender = Address::read("f@x.example").unwrap();
    let envelope = crate::rig::hi(&sender);
    let outcome = send(&mut session, &envelope, &addresses(to)).await;
    // Our end is closed, so that the relay ends.
    let used = session.used;
    let closed = std::mem::replace(&mut session.link, crate::rig::pipe().0);
    drop(closed);
    session.used = used;
    (outcome, session, lines.await.unwrap())
}

/// As text: `ok Q1`, `many`, or the codes (or the kind), `retry` or `dead`, and `?` if it may be there.
fn shown(outcome: &Outcome) -> Vec<String> {
    let one = |v: &Verdict| match v {
        Verdict::Delivered(id) => format!("ok {}", id.as_deref().unwrap_or("-")),
        Verdict::TooMany => "many".to_owned(),
        Verdict::Failed(f) => {
            let what = f.code.clone().unwrap_or_else(|| f.kind.to_string());
            let next = if f.is_dead() { "dead" } else { "retry" };
            let unknown = if f.delivery == Delivery::Unknown {
                " ?"
            } else {
                ""
            };
            format!("{what} {next}{unknown}")
        }
    };
    outcome.verdicts.iter().map(one).collect()
}

const OK: Does = Say("250 2.1.5 Ok");
const GO: Does = Say("354 go");
const QUEUED: Does = Say("250 2.0.0 Ok: queued as A1B2C3");

#[tokio::test(start_paused = true)]
async fn each_recipient_has_its_own_answer() {
    for pipelining in [false, true] {
        let (outcome, session, lines) = run(
            pipelining,
            &["a", "b", "c"],
            vec![
                ("MAIL FROM:<f@x.example>", OK),
                ("RCPT TO:<a@", OK),
                ("RCPT TO:<b@", Say("550-5.1.1 no\r\n550 5.1.1 such user")),
                ("RCPT TO:<c@", Say("450 4.2.1 later")),
                ("DATA", GO),
                (".", QUEUED),
            ],
        )
        .await;
        assert_eq!(
            shown(&outcome),
            ["ok A1B2C3", "550 5.1.1 dead", "450 4.2.1 retry"]
        );
        assert!(outcome.is_open && !outcome.is_stale && outcome.whole.is_none());
        assert_eq!(session.used, 1);
        assert_eq!(lines[5..], ["Hi", "."]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_taken_nothing_is_sent() {
    let no = Say("550 5.1.1 no");
    let (outcome, _, lines) = run(
        false,
        &["a", "b"],
        vec![("MAIL", OK), ("RCPT", no), ("RCPT", no), ("RSET", OK)],
    )
    .await;
    assert_eq!(shown(&outcome), ["550 5.1.1 dead", "550 5.1.1 dead"]);
    assert!(outcome.is_open && outcome.whole.is_none());
    assert_eq!(lines.len(), 4);
    // With pipelining DATA is out before the refusals come; it is refused, too.
    let rules = vec![
        ("MAIL", OK),
        ("RCPT", no),
        ("DATA", Say("554 5.5.1 none")),
        ("RSET", OK),
    ];
    let (outcome, _, lines) = run(true, &["a"], rules).await;
    assert_eq!(shown(&outcome), ["550 5.1.1 dead"]);
    assert!(outcome.is_open && lines.len() == 4);
    // Or it is not, and the relay waits for a message (RFC 2920 §3.1).
    let rules = vec![("MAIL", OK), ("RCPT", no), ("DATA", GO), (".", QUEUED)];
    let (outcome, _, lines) = run(true, &["a"], rules).await;
    assert_eq!(shown(&outcome), ["550 5.1.1 dead"]);
    assert!(!outcome.is_open);
    assert_eq!(lines[2..], ["DATA", "."]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_many_waits_for_the_next_transaction() {
    for many in ["452 4.5.3 too many", "552 too many", "452 4.3.1 no room"] {
        let rules = vec![
            ("MAIL", OK),
            ("RCPT", OK),
            ("RCPT", Say(many)),
            ("RCPT", Say(many)),
            ("DATA", GO),
            (".", QUEUED),
        ];
        let (outcome, _, _) = run(true, &["a", "b", "c"], rules).await;
        assert_eq!(shown(&outcome), ["ok A1B2C3", "many", "many"], "{many}");
        assert!(outcome.is_open && outcome.whole.is_none());
        // One by one, the rest is not even asked for.
        let rules = vec![
            ("MAIL", OK),
            ("RCPT", OK),
            ("RCPT", Say(many)),
            ("DATA", GO),
            (".", QUEUED),
        ];
        let (outcome, _, _) = run(false, &["a", "b", "c"], rules).await;
        assert_eq!(shown(&outcome), ["ok A1B2C3", "many", "many"], "{many}");
    }
    // A full mailbox is its own; and without one that was taken it is no matter of number.
    let full = Say("452 4.2.2 full");
    let rules = vec![
        ("MAIL", OK),
        ("RCPT", OK),
        ("RCPT", full),
        ("DATA", GO),
        (".", QUEUED),
    ];
    let (outcome, _, _) = run(false, &["a", "b"], rules).await;
    assert_eq!(shown(&outcome), ["ok A1B2C3", "452 4.2.2 retry"]);
    let rules = vec![
        ("MAIL", OK),
        ("RCPT", Say("452 4.5.3 too many")),
        ("RSET", OK),
    ];
    let (outcome, _, _) = run(false, &["a"], rules).await;
    assert_eq!(shown(&outcome), ["452 4.5.3 retry"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_mail_is_everybodys() {
    for (pipelining, answer, want) in [
        (false, "550 5.7.1 no", "550 5.7.1 dead"),
        (true, "550 5.7.1 no", "550 5.7.1 dead"),
        (true, "451 4.3.0 later", "451 4.3.0 retry"),
    ] {
        let after = Say("503 5.5.1 bad sequence");
        let rules = match pipelining {
            true => vec![
                ("MAIL", Say(answer)),
                ("RCPT", after),
                ("RCPT", after),
                ("DATA", after),
            ],
            false => vec![("MAIL", Say(answer))],
        };
        let (outcome, _, lines) = run(pipelining, &["a", "b"], rules).await;
        assert_eq!(shown(&outcome), [want, want]);
        assert!(outcome.whole.is_some());
        // The rig answers RSET with nothing, so the link is not kept.
        assert!(lines.last().is_some_and(|l| l == "RSET"));
    }
    for (answer, want, open) in [
        ("451 4.3.0 later", "451 4.3.0 retry", true),
        ("554 5.6.0 no", "554 5.6.0 dead", true),
        ("421 4.3.0 bye", "421 4.3.0 retry", false),
    ] {
        let rules = vec![
            ("MAIL", OK),
            ("RCPT", OK),
            ("DATA", Say(answer)),
            ("RSET", OK),
        ];
        let (outcome, _, _) = run(false, &["a"], rules).await;
        assert_eq!(
            (shown(&outcome), outcome.is_open),
            (vec![want.to_owned()], open)
        );
        let rules = vec![("MAIL", OK), ("RCPT", OK), ("DATA", GO), (".", Say(answer))];
        let (outcome, _, _) = run(false, &["a"], rules).await;
        assert_eq!(
            (shown(&outcome), outcome.is_open),
            (vec![want.to_owned()], open)
        );
        assert!(outcome.whole.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_fails_before_the_dot_is_no_double() {
    let cases: [(&str, Does, &str); 5] = [
        ("cut", Close, "unavailable retry"),
        ("stalled", Stall, "timeout retry"),
        ("garbage", Say("hello"), "invalid-response retry"),
        ("two codes", Say("250-a\r\n550 b"), "invalid-response retry"),
        ("closing", SayAndClose("421 4.3.2 bye"), "421 4.3.2 retry"),
    ];
    for (name, does, want) in cases {
        for at in 0..3 {
            for pipelining in [false, true] {
                let mut rules = vec![("MAIL", OK), ("RCPT", OK), ("DATA", GO)];
                rules.truncate(at);
                rules.push((["MAIL", "RCPT", "DATA"][at], does));
                let (outcome, _, _) = run(pipelining, &["a"], rules).await;
                let shown = shown(&outcome);
                assert_eq!(shown, [want], "{name} at {at}, {pipelining}");
                assert!(!outcome.is_open, "{name}");
                assert_eq!(outcome.is_stale, at == 0, "{name} at {at}, {pipelining}");
            }
        }
    }
    // Nor is any other answer to DATA leave to send the message.
    let rules = vec![("MAIL", OK), ("RCPT", OK), ("DATA", OK)];
    let (outcome, _, lines) = run(false, &["a"], rules).await;
    assert_eq!(shown(&outcome), ["invalid-response retry"]);
    assert!(!outcome.is_open && lines.len() == 3);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_fails_after_the_dot_may_be_a_double() {
    for (does, want) in [
        (Close, "unavailable retry ?"),
        (Stall, "timeout retry ?"),
        (Say("what"), "invalid-response retry ?"),
        (Say("354 more"), "invalid-response retry ?"),
    ] {
        let rules = vec![
            ("MAIL", OK),
            ("RCPT", OK),
            ("RCPT", Say("550 no")),
            ("DATA", GO),
            (".", does),
        ];
        let (outcome, _, _) = run(false, &["a", "b"], rules).await;
        assert_eq!(shown(&outcome), [want, "550 dead"]);
        assert!(!outcome.is_open);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_in_the_middle_of_recipients_leaves_the_refused_refused() {
    let rules = vec![
        ("MAIL", OK),
        ("RCPT TO:<a@", OK),
        ("RCPT TO:<b@", Say("550 5.1.1 no")),
        ("RCPT TO:<c@", SayAndClose("421 4.3.2 bye")),
    ];
    let (outcome, _, _) = run(true, &["a", "b", "c", "d"], rules).await;
    assert_eq!(
        shown(&outcome),
        [
            "421 4.3.2 retry",
            "550 5.1.1 dead",
            "421 4.3.2 retry",
            "421 4.3.2 retry"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_came_before_the_commands_are_taken_for_none() {
    use tokio::io::AsyncWriteExt as _;
    for (text, want) in [
        (
            "250 a\r\n250 b\r\n354 c\r\n250 d\r\n",
            "invalid-response retry",
        ),
        ("250 a\r\n", "invalid-response retry"),
        ("hello\r\n", "invalid-response retry"),
        ("421 4.4.2 bye\r\n", "421 4.4.2 retry"),
    ] {
        for pipelining in [false, true] {
            let (mut session, mut theirs) = session(pipelining);
            theirs.write_all(text.as_bytes()).await.unwrap();
            let lines = relay(theirs, vec![]);
            let sender = Address::read("f@x.example").unwrap();
            let envelope = crate::rig::hi(&sender);
            let begun = tokio::time::Instant::now();
            let outcome = send(&mut session, &envelope, &addresses(&["a"])).await;
            assert_eq!(shown(&outcome), [want], "{text:?}");
            // A kept connection is replaced, and nobody waits for an answer to nothing.
            assert!(outcome.is_stale && !outcome.is_open);
            assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
            drop(session);
            assert_eq!(lines.await.unwrap(), Vec::<String>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_recipients_go_out_in_groups() {
    let names: Vec<String> = (0..3 * BATCH + 7).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rules = vec![("MAIL", OK)];
    rules.extend(names.iter().map(|_| ("RCPT", OK)));
    rules.extend([("DATA", GO), (".", QUEUED)]);
    let (outcome, _, _) = run(true, &names, rules).await;
    assert!(shown(&outcome).iter().all(|v| v == "ok A1B2C3"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_be_reset_is_not_used_again() {
    for (does, open) in [
        (OK, true),
        (Say("502 5.5.1 no"), false),
        (SayAndClose("421 4.3.2 bye"), false),
        (Say("what"), false),
        (Close, false),
        (Stall, false),
    ] {
        let rules = vec![("MAIL", OK), ("RCPT", Say("550 5.1.1 no")), ("RSET", does)];
        let (outcome, _, _) = run(false, &["a"], rules).await;
        assert_eq!(shown(&outcome), ["550 5.1.1 dead"]);
        assert_eq!(outcome.is_open, open, "{does:?}");
    }
}
