//! Each recipient has an answer of its own.

use std::collections::BTreeMap;

use notifier_core::{ErrorKind, Next, Receipt, Retry, Scope};
use notifier_testkit::{peer, postfix::Postfix};

use crate::sender::{PATIENCE, Sender, only};

/// Why a recipient was refused, with the relay's codes.
type Refusal<'a> = (ErrorKind, Retry, Scope, &'a str);

/// The targets by their verdict: those that have it, and the others.
fn split(receipt: &Receipt) -> (Vec<&str>, BTreeMap<&str, Refusal<'_>>) {
    let mut good = Vec::new();
    let mut bad = BTreeMap::new();
    for t in &receipt.targets {
        match &t.verdict {
            Ok(_) => good.push(t.target.as_str()),
            Err(e) => {
                let what = (e.kind(), e.retry(), e.scope(), e.code().unwrap_or(""));
                bad.insert(t.target.as_str(), what);
            }
        }
    }
    good.sort_unstable();
    (good, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_recipient_is_dead_and_the_others_have_the_mail_once() {
    let relay = Postfix::builder("closed").mailboxes(&["ann", "bob"]);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let to = "ann@closed.example, nobody@closed.example, bob@closed.example, eve@far.example";
    let sender = Sender::to(relay.port(), None, &[("to", to)]);
    let receipt = sender.send("t").await.unwrap();
    let (good, bad) = split(&receipt);
    assert_eq!(good, ["ann@closed.example", "bob@closed.example"]);
    let dead = |kind, code| (kind, Retry::Never, Scope::Target, code);
    assert_eq!(
        bad,
        BTreeMap::from([
            (
                "nobody@closed.example",
                dead(ErrorKind::Rejected, "550 5.1.1")
            ),
            (
                "eve@far.example",
                dead(ErrorKind::PermissionDenied, "554 5.7.1")
            ),
        ])
    );
    assert_eq!(receipt.next(), Next::Dead);
    for mailbox in ["ann", "bob"] {
        only(&relay, mailbox).await;
    }

    // Where all are refused, nothing is sent.
    let sender = Sender::to(relay.port(), None, &[("to", "eve@far.example")]);
    let receipt = sender.send("u").await.unwrap();
    let (good, bad) = split(&receipt);
    assert!(good.is_empty());
    assert_eq!(bad["eve@far.example"].3, "554 5.7.1");
    let words = receipt.error().unwrap().to_string();
    assert!(words.contains("Relay access denied"), "{words}");

    // The same link is good for the next mail after that.
    let sender = Sender::to(relay.port(), None, &[("to", "bob@closed.example")]);
    assert_eq!(sender.send("v").await.unwrap().next(), Next::Done);
    assert_eq!(relay.wait_for("bob", 2, PATIENCE).await.len(), 2);
    assert_eq!(relay.mailbox("ann").len(), 1);
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_relay_takes_what_a_closed_one_refuses() {
    let Some(relay) = Postfix::builder("open").open().start_or_skip().await else {
        return;
    };
    let to = "eve@far.example, ann@farther.example";
    let sender = Sender::to(relay.port(), None, &[("to", to)]);
    let receipt = sender.send("t").await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    // One each, in the mailbox for all that is for other domains.
    let mails = relay.wait_for("elsewhere", 2, PATIENCE).await;
    let mut to: Vec<String> = mails
        .iter()
        .filter_map(|m| {
            let text = String::from_utf8_lossy(m).into_owned();
            let line = text.lines().find_map(|l| l.strip_prefix("Delivered-To: "));
            line.map(str::to_owned)
        })
        .collect();
    to.sort();
    assert_eq!(to, ["ann@farther.example", "eve@far.example"]);
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_recipients_than_a_transaction_takes_have_the_mail_once_each() {
    let names: Vec<String> = (0..60).map(|n| format!("user{n}")).collect();
    let mailboxes: Vec<&str> = names.iter().map(String::as_str).collect();
    let relay = Postfix::builder("small")
        .mailboxes(&mailboxes)
        .most_recipients(25);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let to: Vec<String> = names.iter().map(|n| format!("{n}@small.example")).collect();
    let sender = Sender::to(relay.port(), None, &[("to", &to.join(","))]);
    let receipt = sender.send("t").await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    let (mut good, _) = split(&receipt);
    good.dedup();
    assert_eq!(good.len(), 60);
    let mut ids = std::collections::BTreeSet::new();
    for name in &names {
        let mail = String::from_utf8(only(&relay, name).await).unwrap();
        let id = mail.lines().find(|l| l.starts_with("Message-ID: "));
        ids.insert(id.expect("a mail has an id").to_owned());
    }
    assert_eq!(ids.len(), 1, "it is one mail: {ids:?}");
    peer::ran("Postfix");
}
