//! The relay has to prove who it is before it gets a password or a mail.

use notifier_core::{ErrorKind, Next, Retry, Scope};
use notifier_testkit::{peer, postfix::Postfix, smtp::Certificates};

use crate::sender::{Sender, only, refusal, whole};

const PASSWORD: &str = "a-good-password";

#[tokio::test(flavor = "multi_thread")]
async fn no_password_goes_to_a_relay_that_cannot_prove_who_it_is() {
    let certificates = Certificates::new();
    let first = certificates.valid();
    let relay = Postfix::builder("relay")
        .mailboxes(&["ann"])
        .identity(&first)
        .login("watcher", PASSWORD)
        .implicit_tls();
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let options = [
        ("user", "watcher"),
        ("password", PASSWORD),
        ("to", "ann@relay.example"),
    ];
    for (name, identity, says) in [
        ("wrong authority", certificates.other_ca(), "signature"),
        ("expired", certificates.expired(), "expired"),
        (
            "not yet valid",
            certificates.not_yet_valid(),
            "not valid yet",
        ),
        (
            "wrong name",
            certificates.wrong_name(),
            "not valid for name",
        ),
        ("self-signed", certificates.self_signed(), ""),
    ] {
        relay.change_identity(&identity).await.unwrap();
        for (port, tls) in [
            (relay.port(), "required"),
            (relay.implicit_tls_port().unwrap(), "implicit"),
        ] {
            let options = [&options[..], &[("tls", tls)]].concat();
            let sender = Sender::to(port, Some(&certificates), &options);
            let e = refusal(sender.send(name).await);
            let text = whole(&e);
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{name}: {text}");
            assert_eq!(
                (e.retry(), e.scope()),
                (Retry::Later { after: None }, Scope::Message),
                "{name}: {text}"
            );
            assert!(
                text.contains("certificate") && text.contains("-smtp.ca"),
                "{name}: {text}"
            );
            assert!(
                text.to_lowercase().contains(&says.to_lowercase()),
                "{name}: {text}"
            );
            assert!(
                !text.contains(PASSWORD) && !text.contains('\n'),
                "{name}: {text}"
            );
        }
    }
    // Nobody came as far as a login.
    assert!(!relay.log().contains("sasl_"), "{}", relay.log());
    assert!(relay.mailbox("ann").is_empty());

    // The same sender as before takes a good one, for the name that it is told.
    let named = certificates.named(&["mail.relay.example"]);
    relay.change_identity(&named).await.unwrap();
    let options = [&options[..], &[("tls_name", "mail.relay.example")]].concat();
    let sender = Sender::to(relay.port(), Some(&certificates), &options);
    let receipt = sender.send("good").await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    only(&relay, "ann").await;
    peer::ran("Postfix");
}

/// A relay that is restarted with a new certificate has closed the links that were kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_the_relay_closed_is_replaced_without_a_failed_attempt() {
    let certificates = Certificates::new();
    let first = certificates.valid();
    let relay = Postfix::builder("relay")
        .mailboxes(&["ann"])
        .identity(&first)
        .login("watcher", PASSWORD);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let options = [
        ("user", "watcher"),
        ("password", PASSWORD),
        ("to", "ann@relay.example"),
    ];
    let sender = Sender::to(relay.port(), Some(&certificates), &options);
    for (n, ending) in ["stopped", "killed", "never"].iter().enumerate() {
        let receipt = sender.send(ending).await.unwrap();
        assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
        let mails = relay.wait_for("ann", n + 1, crate::sender::PATIENCE).await;
        assert_eq!(mails.len(), n + 1, "{}", relay.log());
        match *ending {
            "stopped" => {
                let next = certificates.valid();
                let changed = relay.change_identity(&next);
                changed.await.unwrap();
            }
            "killed" => {
                relay.kill().await.unwrap();
                // While it is away the attempt fails, and nobody counts it as sent.
                let e = refusal(sender.send("away").await);
                assert!(e.is_retryable(), "{e}");
                assert_eq!(e.delivery(), notifier_core::Delivery::NotDelivered, "{e}");
                relay.start_again().await.unwrap();
            }
            _ => {}
        }
    }
    peer::ran("Postfix");
}
