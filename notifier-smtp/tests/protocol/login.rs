//! Logging in.

use std::fs;

use notifier_core::{ErrorKind, Scope};
use notifier_testkit::smtp::{Certificates, FakeSmtp, Script};

use crate::rig::{Engine, answers, builder, report, sound};

fn script(password: &str) -> Script {
    Script::new().login("user", password).auth_before_tls(true)
}

#[tokio::test]
async fn every_mechanism_logs_in() {
    let token = format!("eyJ{}.x.y", "a".repeat(2000));
    for (password, offered, taken) in [
        (
            "s3cr3t-word",
            &["LOGIN", "PLAIN", "XOAUTH2"][..],
            "AUTH PLAIN ",
        ),
        ("s3cr3t-word", &["LOGIN"], "AUTH LOGIN"),
        ("s3cr3t-word", &["XOAUTH2"], "AUTH XOAUTH2"),
        (&token, &["LOGIN", "PLAIN", "XOAUTH2"], "AUTH XOAUTH2"),
        (&"long".repeat(200), &["PLAIN"], "AUTH PLAIN"),
    ] {
        let relay = FakeSmtp::start(script(password).mechanisms(offered)).await;
        let mail = builder(&relay)
            .user("user")
            .password(password)
            .build()
            .unwrap();
        let receipt = Engine::new(&mail).attempt().await;
        assert!(answers(&receipt)[0].contains(" ok "), "{receipt:?}");
        let login = relay.mails()[0].login.clone().unwrap();
        assert_eq!(login, ("user".to_owned(), password.to_owned()));
        let lines = relay.sessions()[0].clone();
        assert!(lines.iter().any(|l| l.starts_with(taken)), "{lines:?}");
        // A command has 512 octets at most; an answer to a challenge may have more.
        let commands = lines.iter().filter(|l| l.starts_with("AUTH"));
        assert!(commands.map(String::len).all(|n| n <= 510));
        sound(&relay);
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let relay = FakeSmtp::start(script("the-right-one")).await;
    for password in ["s3cr3t-word", "eyJs3cr3t.x.y"] {
        let mail = builder(&relay)
            .user("user")
            .password(password)
            .build()
            .unwrap();
        let receipt = Engine::new(&mail).attempt().await;
        let e = receipt.error().unwrap();
        assert_eq!(
            (e.kind(), e.scope()),
            (ErrorKind::Unauthenticated, Scope::Destination)
        );
        assert!(!e.is_retryable());
        assert_eq!(e.code(), Some("535 5.7.8"));
        let shown = format!("{e} {e:?} {} {mail:?}", e.report());
        assert!(
            shown.contains("-smtp.password") && !shown.contains(password),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn what_a_relay_repeats_of_the_password_is_masked() {
    use notifier_testkit::smtp::{Action, Verb};
    // With `user`: the answer to AUTH PLAIN.
    let echo = "550 5.7.1 you said s3cr3t-word, AHVzZXIAczNjcjN0LXdvcmQ= and czNjcjN0LXdvcmQ=";
    for verb in [Verb::Auth, Verb::Mail] {
        let relay = FakeSmtp::start(script("s3cr3t-word").on(verb, Action::reply(echo))).await;
        let mail = builder(&relay)
            .user("user")
            .password("s3cr3t-word")
            .build()
            .unwrap();
        let receipt = Engine::new(&mail).attempt().await;
        let e = receipt.error().unwrap();
        let shown = format!("{e} {e:?} {:?}", receipt.progress);
        assert!(shown.contains("you said ***, *** and ***"), "{shown}");
    }
}

#[tokio::test]
async fn a_password_in_a_file_is_read_for_each_connection() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "first\n").unwrap();
    let relay = FakeSmtp::start(script("first")).await;
    let mail = builder(&relay)
        .user("user")
        .password(&format!("file:{}", file.path().display()))
        .option("idle", "0")
        .build()
        .unwrap();
    assert!(mail.send(&report()).await.unwrap().error().is_none());
    relay.set(script("second"));
    fs::write(file.path(), "second").unwrap();
    assert!(mail.send(&report()).await.unwrap().error().is_none());
    // Gone for a while: nothing is sent, and nothing is given up.
    fs::write(file.path(), "").unwrap();
    let receipt = mail.send(&report()).await.unwrap();
    let e = receipt.error().unwrap();
    assert!(
        e.is_retryable() && e.to_string().starts_with("smtp.password: "),
        "{e}"
    );
    let logins: Vec<_> = relay
        .mails()
        .into_iter()
        .map(|m| m.login.unwrap().1)
        .collect();
    assert_eq!(logins, ["first", "second"]);
}

#[tokio::test]
async fn a_password_never_goes_out_without_tls_unless_told_so() {
    let relay = FakeSmtp::start(script("s3cr3t-word")).await;
    // Not the system's, which need not have any.
    let ca = tempfile::NamedTempFile::new().unwrap();
    fs::write(ca.path(), Certificates::new().ca_pem()).unwrap();
    for tls in ["required", "opportunistic"] {
        let mail = builder(&relay)
            .tls(tls)
            .ca(&ca.path().display().to_string())
            .user("user")
            .password("s3cr3t-word")
            .build()
            .unwrap();
        let receipt = Engine::new(&mail).attempt().await;
        let e = receipt.error().unwrap();
        assert!(
            e.is_retryable() && e.to_string().contains("-smtp.tls"),
            "{e}"
        );
    }
    let all = relay.sessions().concat().join("\n");
    assert!(!all.contains("AUTH") && all.contains("EHLO"), "{all}");
}
