//! Where nobody takes it, the fallback does.

use notifier_testkit::smtp::{FakeSmtp, Script, Verb};

use crate::rig::{Engine, answers, builder, report, sound};

fn closed() -> Script {
    Script::new().refuse("ops@example.com", "550 5.1.1 no")
}

#[tokio::test]
async fn it_gets_what_all_others_refused() {
    let relay = FakeSmtp::start(closed()).await;
    let mail = builder(&relay)
        .fallback("duty@example.com")
        .build()
        .unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    let id = relay.mails()[0].id.clone();
    assert_eq!(answers(&receipt), [format!("duty@example.com ok {id}")]);
    assert!(
        receipt
            .warnings
            .iter()
            .any(|w| w.to_string().contains("550 5.1.1"))
    );
    assert_eq!(relay.mails()[0].to(), ["duty@example.com"]);
    assert_eq!(relay.connections(), 1);
    sound(&relay);
}

#[tokio::test]
async fn it_gets_what_the_relay_could_not_take_for_those_who_need_utf8() {
    for script in [
        Script::new().without("SMTPUTF8"),
        Script::new().extensions(&[]),
    ] {
        for to in ["bücher@example.com", "bücher@example.com, jörg@example.com"] {
            let relay = FakeSmtp::start(script.clone()).await;
            let mail = builder(&relay)
                .to(to)
                .fallback("duty@example.com")
                .build()
                .unwrap();
            let receipt = Engine::new(&mail).attempt().await;
            assert!(
                answers(&receipt)[0].starts_with("duty@example.com ok "),
                "{receipt:?}"
            );
            assert!(
                receipt
                    .warnings
                    .iter()
                    .any(|w| w.to_string().contains("SMTPUTF8"))
            );
            assert_eq!(relay.mails()[0].to(), ["duty@example.com"]);
            sound(&relay);
        }
    }
    // Without one it is the recipients' fault, not the relay's.
    let relay = FakeSmtp::start(Script::new().without("SMTPUTF8")).await;
    let mail = builder(&relay).to("bücher@example.com").build().unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    let e = receipt.error().unwrap();
    assert!(
        !e.is_retryable() && e.scope() == notifier_core::Scope::Target,
        "{e:?}"
    );
    assert!(relay.mails().is_empty());
}

#[tokio::test]
async fn a_task_of_nobody_says_nothing_of_the_relay() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay).to("").build().unwrap();
    let e = mail.send(&report()).await.unwrap_err();
    assert!(e.to_string().contains("nobody to write to"), "{e}");
    assert_eq!(e.scope(), notifier_core::Scope::Target);
    assert_eq!(relay.connections(), 0);
}

#[tokio::test]
async fn it_gets_nothing_while_one_of_them_has_it_or_may_have_it_later() {
    for (other, reply) in [
        ("a@example.com", None),
        ("a@example.com", Some("450 4.2.1 later")),
    ] {
        let script = match reply {
            Some(reply) => closed().refuse(other, reply),
            None => closed(),
        };
        let relay = FakeSmtp::start(script).await;
        let mail = builder(&relay)
            .to("ops@example.com, a@example.com")
            .fallback("duty@example.com")
            .build()
            .unwrap();
        let receipt = Engine::new(&mail).attempt().await;
        assert_eq!(receipt.targets.len(), 2);
        assert!(relay.mails().iter().all(|m| m.to() == [other]));
    }
    // Nor where the mail itself was refused: that holds for the fallback as well.
    let relay = FakeSmtp::start(Script::new().on(Verb::Body, "554 5.6.0 no")).await;
    let mail = builder(&relay)
        .fallback("duty@example.com")
        .build()
        .unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    assert_eq!(answers(&receipt), ["ops@example.com 554 5.6.0 dead"]);
    assert_eq!(
        relay.sessions()[0]
            .iter()
            .filter(|l| l.starts_with("MAIL"))
            .count(),
        1
    );
}

#[tokio::test]
async fn it_is_tried_again_without_asking_the_others_again() {
    let relay = FakeSmtp::start(closed().refuse("duty@example.com", "451 4.3.0 later")).await;
    let mail = builder(&relay)
        .fallback("duty@example.com")
        .build()
        .unwrap();
    let mut engine = Engine::new(&mail);
    let want = [
        "ops@example.com 550 5.1.1 dead",
        "duty@example.com 451 4.3.0 retry",
    ];
    assert_eq!(answers(&engine.attempt().await), want);
    relay.set(Script::new());
    let receipt = engine.attempt().await;
    assert!(answers(&receipt)[0].starts_with("duty@example.com ok "));
    assert_eq!(relay.mails()[0].to(), ["duty@example.com"]);
    // When it is refused as well, nobody has it.
    let relay = FakeSmtp::start(closed().refuse("duty@example.com", "550 5.1.1 neither")).await;
    let mail = builder(&relay)
        .fallback("duty@example.com")
        .build()
        .unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    assert_eq!(
        answers(&receipt),
        [
            "ops@example.com 550 5.1.1 dead",
            "duty@example.com 550 5.1.1 dead"
        ]
    );
    sound(&relay);
}
