//! Each recipient's answer apart, over several transactions and attempts.

use notifier_core::{Delivery, Retry};
use notifier_testkit::smtp::{Action, FakeSmtp, Script, Verb};

use crate::rig::{Engine, answers, builder, sound};

fn names(n: usize) -> String {
    let all: Vec<String> = (1..=n).map(|n| format!("u{n}@example.com")).collect();
    all.join(", ")
}

#[tokio::test]
async fn good_ones_have_it_once_and_others_their_own_answer() {
    let script = Script::new()
        .refuse("b@example.com", "550 5.1.1 <b@example.com>: User unknown")
        .refuse("c@example.com", "450 4.2.1 mailbox busy");
    let relay = FakeSmtp::start(script).await;
    let to = "a@example.com, b@example.com, c@example.com, d@example.com";
    let mail = builder(&relay).to(to).build().unwrap();
    let mut engine = Engine::new(&mail);
    let receipt = engine.attempt().await;
    let id = relay.mails()[0].id.clone();
    assert_eq!(
        answers(&receipt),
        [
            format!("a@example.com ok {id}"),
            "b@example.com 550 5.1.1 dead".to_owned(),
            "c@example.com 450 4.2.1 retry".to_owned(),
            format!("d@example.com ok {id}"),
        ]
    );
    let e = receipt.targets[1].verdict.as_ref().unwrap_err();
    assert_eq!(
        e.to_string(),
        format!(
            "{} answered 550 5.1.1 to RCPT TO:<b@example.com>: <b@example.com>: User unknown",
            relay.address()
        )
    );
    assert_eq!(relay.mails()[0].to(), ["a@example.com", "d@example.com"]);
    // The next attempt goes to the one that is left, and tells of all.
    relay.set(Script::new());
    let receipt = engine.attempt().await;
    let second = relay.mails()[1].id.clone();
    assert_eq!(
        answers(&receipt),
        [
            format!("a@example.com ok {id}"),
            "b@example.com 550 5.1.1 dead".to_owned(),
            format!("c@example.com ok {second}"),
            format!("d@example.com ok {id}"),
        ]
    );
    let mails = relay.mails();
    assert_eq!((mails.len(), mails[1].to()), (2, vec!["c@example.com"]));
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    sound(&relay);
}

#[tokio::test]
async fn too_many_recipients_are_sent_in_turns() {
    for (pipelining, reply) in [(true, "452 4.5.3 too many"), (false, "552 too many")] {
        let script = Script::new().most_recipients(25).too_many(reply);
        let script = if pipelining {
            script
        } else {
            script.without("PIPELINING")
        };
        let relay = FakeSmtp::start(script).await;
        let mail = builder(&relay).to(&names(60)).build().unwrap();
        let receipt = Engine::new(&mail).attempt().await;
        let all = answers(&receipt);
        assert!(
            all.len() == 60 && all.iter().all(|a| a.contains(" ok ")),
            "{all:?}"
        );
        let parts: Vec<usize> = relay.mails().iter().map(|m| m.to().len()).collect();
        assert_eq!(parts, [25, 25, 10]);
        assert_eq!(relay.connections(), 1);
        sound(&relay);
    }
}

#[tokio::test]
async fn a_process_that_dies_between_turns_repeats_none() {
    let relay = FakeSmtp::start(Script::new().most_recipients(2)).await;
    let mail = builder(&relay).to(&names(6)).build().unwrap();
    let mut engine = Engine::new(&mail);
    // It can note the first turn, and not the second.
    engine.attempt_and_die(1).await;
    assert_eq!(relay.mails().len(), 2);
    let receipt = engine.attempt().await;
    assert!(answers(&receipt).iter().all(|a| a.contains(" ok ")));
    let mut all: Vec<String> = Vec::new();
    for m in relay.mails() {
        all.extend(m.to().into_iter().map(str::to_owned));
    }
    // What went out after the last note is not known to have gone: it goes once more.
    assert_eq!(all[..2], ["u1@example.com", "u2@example.com"]);
    let of = |name: &str| all.iter().filter(|a| *a == name).count();
    assert_eq!((of("u1@example.com"), of("u2@example.com")), (1, 1));
    assert!(all.len() <= 8, "{all:?}");
    sound(&relay);
}

#[tokio::test]
async fn a_link_that_is_lost_between_turns_is_replaced() {
    let script = Script::new().most_recipients(1).once(
        Verb::Body,
        Action::reply_then_cut("250 2.0.0 Ok: queued as ABC123"),
    );
    let relay = FakeSmtp::start(script).await;
    let mail = builder(&relay).to(&names(3)).build().unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    let all = answers(&receipt);
    assert!(all.iter().all(|a| a.contains(" ok ")), "{all:?}");
    assert_eq!(relay.connections(), 2);
    sound(&relay);
}

#[tokio::test]
async fn the_end_of_the_relay_at_a_recipient_leaves_the_rest_for_later() {
    let script = Script::new()
        .without("PIPELINING")
        .refuse("u1@example.com", "550 5.1.1 no")
        .on_recipient("u3@example.com", Action::reply_then_cut("421 4.3.2 bye"));
    let relay = FakeSmtp::start(script).await;
    let mail = builder(&relay).to(&names(4)).build().unwrap();
    let mut engine = Engine::new(&mail);
    let want = [
        "u1@example.com 550 5.1.1 dead",
        "u2@example.com 421 4.3.2 retry",
    ];
    assert_eq!(answers(&engine.attempt().await)[..2], want);
    assert!(relay.mails().is_empty());
    relay.set(Script::new());
    let receipt = engine.attempt().await;
    assert_eq!(answers(&receipt)[0], want[0]);
    assert_eq!(
        relay.mails()[0].to(),
        ["u2@example.com", "u3@example.com", "u4@example.com"]
    );
    sound(&relay);
}

#[tokio::test]
async fn those_who_need_utf8_do_not_keep_it_from_others() {
    let relay = FakeSmtp::start(Script::new().without("SMTPUTF8")).await;
    let mail = builder(&relay)
        .to("a@example.com, bücher@example.com")
        .build()
        .unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    assert!(answers(&receipt)[0].starts_with("a@example.com ok "));
    let e = receipt.targets[1].verdict.as_ref().unwrap_err();
    assert!(
        !e.is_retryable() && e.to_string().contains("SMTPUTF8"),
        "{e}"
    );
    assert_eq!(relay.mails()[0].to(), ["a@example.com"]);
    sound(&relay);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_mail_goes_again() {
    let relay = FakeSmtp::start(Script::new().once(Verb::Body, Action::TakeThenCut)).await;
    let mail = builder(&relay).build().unwrap();
    let mut engine = Engine::new(&mail);
    let receipt = engine.attempt().await;
    let e = receipt.error().unwrap();
    assert!(
        e.is_retryable() && e.delivery() == Delivery::Unknown,
        "{e:?}"
    );
    assert!(answers(&engine.attempt().await)[0].contains(" ok "));
    let ids: Vec<_> = relay
        .mails()
        .iter()
        .map(|m| m.header("Message-ID"))
        .collect();
    assert!(
        ids.len() == 2 && ids[0] == ids[1] && ids[0].is_some(),
        "{ids:?}"
    );
    sound(&relay);
}

#[tokio::test]
async fn a_relay_that_never_answers_the_dot_gets_two_mails_and_no_third() {
    let script = Script::new().refuse("b@example.com", "450 4.2.1 busy");
    let relay = FakeSmtp::start(script.on(Verb::Body, Action::TakeThenCut)).await;
    let to = "a@example.com, b@example.com";
    let mail = builder(&relay).to(to).build().unwrap();
    let mut engine = Engine::new(&mail);
    let first = engine.attempt().await;
    let e = first.targets[0].verdict.as_ref().unwrap_err();
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(
        e.retry(),
        Retry::Later {
            after: Some(minute)
        }
    );
    assert_eq!(e.delivery(), Delivery::Unknown);
    let second = engine.attempt().await;
    let e = second.targets[0].verdict.as_ref().unwrap_err();
    assert_eq!(
        (e.retry(), e.delivery()),
        (Retry::Exhausted, Delivery::Unknown)
    );
    assert!(e.to_string().contains("may have arrived twice"), "{e}");
    // The other is tried on; it does not get the first one another mail.
    relay.set(Script::new());
    let third = engine.attempt().await;
    let e = third.targets[0].verdict.as_ref().unwrap_err();
    assert_eq!(
        (e.retry(), e.delivery()),
        (Retry::Exhausted, Delivery::Unknown)
    );
    assert!(answers(&third)[1].contains(" ok "));
    let all = relay.mails();
    let of = |to: &str| all.iter().filter(|m| m.to().contains(&to)).count();
    assert_eq!((of("a@example.com"), of("b@example.com")), (2, 1));
    assert!(
        all.iter()
            .all(|m| m.header("Message-ID") == all[0].header("Message-ID"))
    );
    sound(&relay);
}

#[tokio::test]
async fn only_those_of_the_transaction_that_was_lost_may_have_it() {
    let script = Script::new()
        .most_recipients(2)
        .once(Verb::Body, Action::TakeThenCut);
    let relay = FakeSmtp::start(script).await;
    let mail = builder(&relay).to(&names(4)).build().unwrap();
    let mut engine = Engine::new(&mail);
    let receipt = engine.attempt().await;
    let found: Vec<Delivery> = receipt
        .targets
        .iter()
        .map(|t| t.verdict.as_ref().unwrap_err().delivery())
        .collect();
    use Delivery::{NotDelivered, Unknown};
    assert_eq!(found, [Unknown, Unknown, NotDelivered, NotDelivered]);
    assert!(
        answers(&engine.attempt().await)
            .iter()
            .all(|a| a.contains(" ok "))
    );
    sound(&relay);
}
