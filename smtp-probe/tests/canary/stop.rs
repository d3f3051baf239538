//! A canary that does not arrive, and where it stopped.

use std::time::Duration;

use notifier_testkit::{
    peer,
    postfix::{Postfix, Rig},
    smtp::Certificates,
};
use smtp_probe::{Canary, Check, Past, Queue, State, Target, Tls};

use crate::rig::{
    assert_delivered, ca, canary, login, maildir, patient, through, until, with_past,
};

fn queue_id(check: &Check) -> String {
    let data = check.data.as_ref().unwrap();
    data["queue_id"].as_str().unwrap().to_owned()
}

/// Between two tries it is for a moment in another queue.
fn is_deferred(check: &Check, class: &str) -> bool {
    let data = check.data.as_ref();
    check.class.is_some_and(|c| c.word() == class)
        && data.is_some_and(|d| d["stopped_at"] == "deferred")
}

fn assert_stopped(check: &Check, class: &str, at: &str, text: &str, hint: &str) {
    assert_eq!(check.state, State::Crit, "{check:#?}");
    assert_eq!(check.phase.word(), "delivery", "{check:#?}");
    assert_eq!(check.class.unwrap().word(), class, "{check:#?}");
    assert_eq!(check.data.as_ref().unwrap()["stopped_at"], at, "{check:#?}");
    assert!(check.text.contains("not delivered in"), "{}", check.text);
    assert!(check.text.contains(&queue_id(check)), "{}", check.text);
    assert!(check.text.contains(text), "{text}: {}", check.text);
    let advice = check.hint.as_deref().unwrap();
    assert!(advice.contains(hint), "{hint}: {advice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_named() {
    let Some(rig) = Rig::start(&["canary"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let target = through(&rig, &ca);
    let next = format!("127.0.0.1:{}", rig.upstream.port());
    rig.upstream.stop().await.unwrap();
    let check = until(&target, |c| is_deferred(c, "refused")).await;
    assert_stopped(
        &check,
        "refused",
        "deferred",
        "Connection refused",
        &next.replace(':', "[127.0.0.1]:"),
    );
    // The same from the folder of the queue.
    let mut by_folder = target.clone();
    by_folder.queue = Some(Queue::Folder(rig.relay.queue_folder()));
    let check = until(&by_folder, |c| is_deferred(c, "refused")).await;
    assert_stopped(
        &check,
        "refused",
        "deferred",
        "Connection refused",
        "relayhost",
    );
    // Without a queue it is known only that it was taken.
    let mut unseen = target.clone();
    unseen.queue = None;
    unseen.limits.canary = Duration::from_millis(200);
    let check = canary(&unseen).await;
    assert_stopped(&check, "timeout", "unknown", "and it never came", "--queue");
    // A queue that cannot be seen is said, and is no other verdict on the mail.
    unseen.queue = Some(Queue::Showq("/nowhere/showq".into()));
    let check = canary(&unseen).await;
    assert_stopped(
        &check,
        "timeout",
        "unknown",
        "cannot be looked into",
        "queue",
    );
    rig.upstream.start_again().await.unwrap();
    assert_delivered(
        &canary(&target).await,
        &["relay.example", "upstream.example"],
    );
    peer::ran("Postfix");
}

/// Every rival says that such a relay is healthy.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_queue_manager_is_named() {
    let Some(rig) = Rig::start(&["canary"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let mut target = through(&rig, &ca);
    rig.relay.freeze("qmgr").await.unwrap();
    target.limits.canary = Duration::from_millis(500);
    let check = canary(&target).await;
    assert_stopped(
        &check,
        "timeout",
        "incoming",
        "the queue manager does not move it",
        "is qmgr alive?",
    );
    // What waits for no mailbox sees it too.
    target.canary = Some(Canary::QueueGone);
    let check = canary(&target).await;
    assert_stopped(
        &check,
        "timeout",
        "incoming",
        "the queue manager does not move it",
        "is qmgr alive?",
    );
    rig.relay.thaw().await.unwrap();
    patient(&mut target);
    let check = canary(&target).await;
    assert_eq!(check.state, State::Ok, "{check:#?}");
    assert!(
        check.text.contains("left the relay's queue"),
        "{}",
        check.text
    );
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_certificate_has_expired_is_named() {
    let certificates = Certificates::new();
    let upstream = Postfix::builder("relay")
        .domain("mail.example")
        .mailboxes(&["canary"])
        .identity(&certificates.valid())
        .login("node", "upstream-password")
        .demands_tls();
    let Some(upstream) = upstream.start_or_skip().await else {
        return;
    };
    let node = Postfix::builder("node").trusts("127.0.0.0/8").hands_on_to(
        &upstream,
        "node",
        "upstream-password",
        &certificates.ca_pem(),
    );
    let Some(node) = node.start_or_skip().await else {
        return;
    };
    let mut target = Target::new("127.0.0.1", node.port());
    patient(&mut target);
    target.rcpt = vec!["canary@mail.example".to_owned()];
    target.canary = Some(Canary::Maildir(maildir(&upstream, "canary")));
    target.queue = Some(Queue::Showq(node.showq()));
    assert_delivered(&canary(&target).await, &["node.example", "relay.example"]);
    upstream
        .change_identity(&certificates.expired())
        .await
        .unwrap();
    let check = until(&target, |c| is_deferred(c, "cert")).await;
    assert_stopped(
        &check,
        "cert",
        "deferred",
        "certificate not verified",
        "dates",
    );
    // A password that was changed there is another fault.
    upstream
        .change_identity(&certificates.valid())
        .await
        .unwrap();
    let wrong = format!("[127.0.0.1]:{} node:wrong\n", upstream.port());
    node.rewrite("next-login", &wrong).await.unwrap();
    node.stop().await.unwrap();
    node.start_again().await.unwrap();
    let check = until(&target, |c| is_deferred(c, "reply5")).await;
    assert_stopped(
        &check,
        "reply5",
        "deferred",
        "SASL authentication failed",
        "smtp_sasl_password_maps",
    );
    peer::ran("Postfix");
}

/// It left the relay and lies nowhere that is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_went_elsewhere_is_told_as_gone_from_the_relay() {
    let Some(rig) = Rig::start(&["canary", "other"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let mut target = through(&rig, &ca);
    target.rcpt = vec!["other@mail.example".to_owned()];
    let check = until(&target, |c| {
        c.data.as_ref().is_some_and(|d| d["stopped_at"] == "left")
    })
    .await;
    assert_stopped(
        &check,
        "timeout",
        "left",
        "it left the relay's queue",
        "next hop",
    );
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_is_read_where_the_canary_is_awaited() {
    let Some(rig) = Rig::start(&["canary"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let mut target = through(&rig, &ca);
    target.from = vec!["canary@mail.example".to_owned()];
    target.rcpt = vec!["nosuch@mail.example".to_owned()];
    let mut past = Past::default();
    let check = with_past(&target, &mut past).await;
    assert_eq!(check.state, State::Crit, "{check:#?}");
    assert_eq!(check.class.unwrap().word(), "reply5");
    assert_eq!(check.enhanced.as_deref(), Some("5.1.1"));
    assert!(
        check.text.starts_with("bounced by relay.example: "),
        "{}",
        check.text
    );
    // There is nothing more to wait for.
    assert!(past.canaries.is_empty());
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_refuses_is_told_by_its_phase() {
    let relay = Postfix::builder("relay").mailboxes(&["canary"]);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let mut target = Target::new("127.0.0.1", relay.port());
    patient(&mut target);
    target.tls = Tls::None;
    target.canary = Some(Canary::Maildir(maildir(&relay, "canary")));
    for (rcpt, code) in [("nosuch@relay.example", 550), ("a@elsewhere.example", 554)] {
        target.rcpt = vec![rcpt.to_owned()];
        let check = canary(&target).await;
        assert_eq!(check.state, State::Crit, "{check:#?}");
        assert_eq!(
            (check.phase.word(), check.code),
            ("rcpt", Some(code)),
            "{check:#?}"
        );
        assert!(check.hint.as_deref().unwrap().contains("--rcpt"));
        assert!(
            check.text.starts_with("not taken (rcpt): "),
            "{}",
            check.text
        );
    }
    target.rcpt = vec!["canary@relay.example".to_owned()];
    relay.stop().await.unwrap();
    let check = canary(&target).await;
    assert_eq!(
        (check.state, check.phase.word()),
        (State::Crit, "connect"),
        "{check:#?}"
    );
    target.rcpt.clear();
    let check = canary(&target).await;
    assert_eq!(check.state, State::Unknown, "{check:#?}");
    assert!(check.hint.unwrap().contains("--rcpt"));
    // A login that nobody asked for is not there: it is not sent in clear.
    target.login = Some(login(("a", "never-in-a-report")));
    target.rcpt = vec!["canary@relay.example".to_owned()];
    let check = canary(&target).await;
    assert!(!format!("{check:?}").contains("never-in-a-report"));
    peer::ran("Postfix");
}
