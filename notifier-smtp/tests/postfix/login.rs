//! Who we are, and that the relay asks for it.

use notifier_core::{ErrorKind, Next, Retry, Scope};
use notifier_testkit::{
    peer,
    postfix::{Postfix, Rig},
};

use crate::sender::{Sender, only, refusal, whole};

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_by_a_login_over_starttls_and_by_implicit_tls_to_a_server_behind_the_relay() {
    let names = ["starttls", "submission", "implicit"];
    let Some(rig) = Rig::start(&names).await else {
        return;
    };
    let (user, password) = rig.login();
    for (name, port, tls) in [
        ("starttls", rig.relay.port(), "required"),
        (
            "submission",
            rig.relay.submission_port().unwrap(),
            "required",
        ),
        (
            "implicit",
            rig.relay.implicit_tls_port().unwrap(),
            "implicit",
        ),
    ] {
        let to = format!("{name}@mail.example");
        let options = [
            ("tls", tls),
            ("user", user),
            ("password", password),
            ("to", &to),
        ];
        let sender = Sender::to(port, Some(&rig.certificates), &options);
        let receipt = sender.send(name).await.unwrap();
        assert_eq!(receipt.next(), Next::Done, "{name}: {receipt:?}");
        let mail = String::from_utf8(only(&rig.upstream, name).await).unwrap();
        assert!(mail.contains(&format!("\nTo: {to}\n")), "{mail}");
        assert!(mail.ends_with(&format!("\n\n{name} died\n")), "{mail}");
        // The relay says in its own header how the mail came to it.
        assert!(mail.contains("with ESMTPSA id "), "{mail}");
        assert!(
            mail.contains("(Authenticated sender: watcher@relay.example)"),
            "{mail}"
        );
        assert!(!mail.contains(password), "{mail}");
    }
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_ends_it_for_the_destination_and_is_not_told() {
    let Some(rig) = Rig::start(&["ann"]).await else {
        return;
    };
    let (user, password) = rig.login();
    let wrong = "not-the-password";
    for (user, given) in [(user, wrong), ("nobody", password)] {
        let options = [
            ("user", user),
            ("password", given),
            ("to", "ann@mail.example"),
        ];
        let sender = Sender::to(rig.relay.port(), Some(&rig.certificates), &options);
        let e = refusal(sender.send("t").await);
        assert_eq!(e.kind(), ErrorKind::Unauthenticated, "{e}");
        assert_eq!(
            (e.retry(), e.scope()),
            (Retry::Never, Scope::Destination),
            "{e}"
        );
        let text = whole(&e);
        let address = format!("127.0.0.1:{}", rig.relay.port());
        for part in [address.as_str(), "535 5.7.8", "-smtp.password"] {
            assert!(text.contains(part), "no {part} in: {text}");
        }
        assert!(!text.contains(given) && !text.contains('\n'), "{text}");
    }

    // Without any login the relay takes the connection, and no recipient.
    let sender = Sender::to(rig.relay.port(), None, &[("to", "ann@mail.example")]);
    let e = refusal(sender.send("t").await);
    assert_eq!(
        (e.kind(), e.retry()),
        (ErrorKind::PermissionDenied, Retry::Never),
        "{e}"
    );
    let sender = Sender::to(
        rig.relay.submission_port().unwrap(),
        None,
        &[("to", "ann@mail.example"), ("tls", "none")],
    );
    let e = refusal(sender.send("t").await);
    assert_eq!(
        (e.kind(), e.scope()),
        (ErrorKind::Config, Scope::Destination),
        "{e}"
    );
    assert!(e.to_string().contains("530 5.7.0"), "{e}");
    assert!(rig.upstream.mailbox("ann").is_empty());
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_wants_a_full_name_gets_one_unless_another_is_set() {
    let relay = Postfix::builder("strict")
        .mailboxes(&["ann"])
        .demands_fqdn_helo();
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let sender = Sender::to(relay.port(), None, &[("to", "ann@strict.example")]);
    let receipt = sender.send("t").await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    only(&relay, "ann").await;

    let options = [("to", "ann@strict.example"), ("helo", "0123456789ab")];
    let sender = Sender::to(relay.port(), None, &options);
    let e = refusal(sender.send("u").await);
    assert_eq!(
        (e.kind(), e.scope()),
        (ErrorKind::Config, Scope::Destination),
        "{e}"
    );
    assert!(e.to_string().contains("-smtp.helo"), "{e}");
    assert_eq!(relay.mailbox("ann").len(), 1);
    peer::ran("Postfix");
}
