//! The size of a mail and of what a relay takes.

use notifier_core::{ErrorKind, Report};
use notifier_testkit::smtp::{FakeSmtp, Script};

use crate::rig::{Engine, builder, report, sound};

#[tokio::test]
async fn a_mail_is_made_smaller_to_fit() {
    let relay = FakeSmtp::start(Script::new().size(8000)).await;
    let mail = builder(&relay)
        .format(&"{{ .failure.Name }} died again and again\n".repeat(1000))
        .build()
        .unwrap();
    let receipt = mail.send(&report()).await.unwrap();
    assert!(receipt.error().is_none(), "{receipt:?}");
    assert!(!receipt.warnings.is_empty());
    let got = relay.mails()[0].clone();
    assert!(
        got.data.len() <= 8000 && got.data.len() > 1000,
        "{}",
        got.data.len()
    );
    assert!(
        got.from_parameters
            .contains(&format!("SIZE={}", got.data.len()))
    );
    sound(&relay);
}

#[tokio::test]
async fn what_cannot_be_made_small_enough_is_not_sent() {
    let relay = FakeSmtp::start(Script::new().size(100)).await;
    let mail = builder(&relay).build().unwrap();
    let receipt = Engine::new(&mail).attempt().await;
    let e = receipt.error().unwrap();
    assert_eq!(e.kind(), ErrorKind::TooLarge);
    assert!(
        !e.is_retryable() && e.to_string().contains("100 octets"),
        "{e}"
    );
    assert!(relay.sessions()[0].iter().all(|l| !l.starts_with("MAIL")));
}

#[tokio::test]
async fn a_message_of_dots_arrives_as_it_is() {
    let text = ".\n..\n.hidden\n\n.\n";
    let relay = FakeSmtp::start(Script::new()).await;
    let mail = builder(&relay).format(text).build().unwrap();
    let receipt = mail.send(&Report::clone(&report())).await.unwrap();
    assert!(receipt.error().is_none());
    let data = relay.mails()[0].data.clone();
    let message = mail_parser::MessageParser::new().parse(&data).unwrap();
    assert_eq!(
        message
            .body_text(0)
            .unwrap()
            .replace("\r\n", "\n")
            .trim_end(),
        text.trim_end()
    );
    sound(&relay);
}
