//! Connections are kept, found stale, replaced and bounded.

use std::sync::Arc;

use notifier_core::{DeliveryId, ReportOptions, Reporter as _};
use notifier_testkit::smtp::{Action, FakeSmtp, Script, Verb};

use crate::rig::{Engine, answers, builder, report, sound};

#[tokio::test]
async fn a_connection_is_kept_and_used_again() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay).build().unwrap();
    for _ in 0..5 {
        assert!(mail.send(&report()).await.unwrap().error().is_none());
    }
    assert_eq!((relay.connections(), relay.mails().len()), (1, 5));
    // The reporter says goodbye when it ends.
    drop(mail);
    relay.wait(|s| s.open == 0).await;
    assert_eq!(relay.sessions()[0].last().map(String::as_str), Some("QUIT"));
    sound(&relay);
}

#[tokio::test]
async fn a_connection_that_went_stale_is_no_failure() {
    for text in ["", "421 4.4.2 idle for too long"] {
        let relay = FakeSmtp::start(Script::new()).await;
        let mail = builder(&relay).build().unwrap();
        assert!(mail.send(&report()).await.unwrap().error().is_none());
        relay.hang_up(text);
        relay.wait(|s| s.open == 0).await;
        let receipt = mail.send(&report()).await.unwrap();
        assert!(receipt.error().is_none(), "{receipt:?}");
        assert_eq!((relay.connections(), relay.mails().len()), (2, 2));
        sound(&relay);
    }
}

#[tokio::test]
async fn a_kept_connection_that_fails_at_mail_is_replaced_once() {
    for action in [
        Action::Cut,
        Action::Reset,
        Action::reply_then_cut("421 4.7.0 too many mails"),
        Action::HalfClose,
    ] {
        let relay = FakeSmtp::start(Script::new().on_nth(Verb::Mail, 2, action)).await;
        let mail = builder(&relay).build().unwrap();
        assert!(mail.send(&report()).await.unwrap().error().is_none());
        assert!(mail.send(&report()).await.unwrap().error().is_none());
        assert_eq!((relay.connections(), relay.mails().len()), (2, 2));
        sound(&relay);
    }
    // What fails on a new one is a failure.
    let bye = Action::reply_then_cut("421 4.7.0 too many mails");
    let relay = FakeSmtp::start(Script::new().on(Verb::Mail, bye)).await;
    let mail = builder(&relay).build().unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    assert_eq!(answers(&receipt), ["ops@example.com 421 4.7.0 retry"]);
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn after_a_refusal_the_connection_is_good_for_the_next_mail() {
    let script = Script::new().once(Verb::Rcpt, "550 5.1.1 no");
    for script in [script.clone(), script.without("PIPELINING")] {
        let relay = FakeSmtp::start(script).await;
        let mail = builder(&relay).build().unwrap();
        assert!(mail.send(&report()).await.unwrap().error().is_some());
        assert!(mail.send(&report()).await.unwrap().error().is_none());
        assert_eq!(relay.connections(), 1);
        assert!(relay.sessions()[0].iter().any(|l| l == "RSET"));
        sound(&relay);
    }
    // Where the relay began to read a message for nobody, it is not.
    let script = Script::new()
        .once(Verb::Rcpt, "550 5.1.1 no")
        .once(Verb::Data, "354 go");
    let relay = FakeSmtp::start(script).await;
    let mail = builder(&relay).build().unwrap();
    assert!(mail.send(&report()).await.unwrap().error().is_some());
    assert!(mail.send(&report()).await.unwrap().error().is_none());
    assert_eq!(
        (
            relay.connections(),
            relay.mails().last().unwrap().to().len()
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn there_are_no_more_connections_than_the_pool_has() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = Arc::new(builder(&relay).option("pool", "3").build().unwrap());
    assert_eq!(mail.capability().concurrency, 3);
    let tasks: Vec<_> = (0..24)
        .map(|n| {
            let mail = Arc::clone(&mail);
            tokio::spawn(async move {
                let id = DeliveryId::new(format!("{n:032x}"));
                let opts = ReportOptions::new(&id, mail.settings());
                mail.report(&report(), &opts).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().error().is_none());
    }
    assert_eq!(relay.mails().len(), 24);
    assert!(relay.connections() <= 3, "{}", relay.connections());
    sound(&relay);
}

#[tokio::test]
async fn an_idle_connection_is_closed_politely() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay).option("idle", "50ms").build().unwrap();
    assert!(mail.send(&report()).await.unwrap().error().is_none());
    relay.wait(|s| s.open == 0).await;
    assert_eq!(relay.sessions()[0].last().map(String::as_str), Some("QUIT"));
    assert!(mail.send(&report()).await.unwrap().error().is_none());
    relay.wait(|s| s.open == 0 && s.connections == 2).await;
}

#[tokio::test]
async fn a_dropped_attempt_leaves_no_connection_behind() {
    let relay = FakeSmtp::start(Script::new().once(Verb::Body, Action::Stall)).await;
    let mail = Arc::new(builder(&relay).option("pool", "1").build().unwrap());
    let task = tokio::spawn({
        let mail = Arc::clone(&mail);
        async move { mail.send(&report()).await }
    });
    relay
        .wait(|s| s.sessions.concat().iter().any(|l| l == "."))
        .await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    relay.wait(|s| s.open == 0).await;
    // Its place in the pool is free again.
    assert!(mail.send(&report()).await.unwrap().error().is_none());
    assert_eq!(relay.connections(), 2);
}
