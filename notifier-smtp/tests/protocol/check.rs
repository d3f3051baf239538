//! The check of settings.

use notifier_core::{ErrorKind, Reporter as _};
use notifier_testkit::smtp::{FakeSmtp, Script, Verb};

use crate::rig::{builder, sound};

#[tokio::test]
async fn it_asks_for_everybody_and_sends_nothing() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay)
        .to("a@example.com, \"B, b\" <b@example.com>")
        .cc("c@example.com, a@example.com")
        .fallback("d@example.com")
        .build()
        .unwrap();
    mail.check(mail.settings()).await.unwrap();
    relay.wait(|s| s.open == 0).await;
    let lines = relay.sessions()[0].clone();
    let heads: Vec<&str> = lines[1..].iter().map(String::as_str).collect();
    assert_eq!(
        heads,
        [
            "MAIL FROM:<alerts@example.com>",
            "RCPT TO:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "RCPT TO:<c@example.com>",
            "RCPT TO:<d@example.com>",
            "RSET",
            "QUIT"
        ]
    );
    assert!(relay.mails().is_empty());
    sound(&relay);
}

#[tokio::test]
async fn it_says_that_an_address_is_not_ascii_where_it_is() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay).to("bücher@example.com").build().unwrap();
    mail.check(mail.settings()).await.unwrap();
    relay.wait(|s| s.open == 0).await;
    assert_eq!(
        relay.sessions()[0][1..3],
        [
            "MAIL FROM:<alerts@example.com> SMTPUTF8",
            "RCPT TO:<bücher@example.com>"
        ]
    );
    sound(&relay);
}

#[tokio::test]
async fn it_says_what_is_wrong() {
    for (script, code) in [
        (Script::new().on(Verb::Connect, "554 5.7.1 no"), "554 5.7.1"),
        (Script::new().on(Verb::Mail, "550 5.7.1 no"), "550 5.7.1"),
        (
            Script::new().refuse("ops@example.com", "550 5.1.1 no"),
            "550 5.1.1",
        ),
        (
            Script::new().refuse("ops@example.com", "450 4.2.0 later"),
            "450 4.2.0",
        ),
    ] {
        let relay = FakeSmtp::start(script).await;
        let mail = builder(&relay).build().unwrap();
        let e = mail.check(mail.settings()).await.unwrap_err();
        assert_eq!(e.code(), Some(code), "{e}");
        assert!(relay.mails().is_empty());
    }
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay).build().unwrap();
    relay.refuse().await;
    let e = mail.check(mail.settings()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    assert!(e.to_string().contains(&relay.address().to_string()), "{e}");
}
