//! What a run leaves for the next one.

use std::time::Duration;

use notifier_testkit::{peer, postfix::Rig};
use smtp_probe::{Past, State, Target};
use tokio::time::Instant;

use crate::rig::{PATIENCE, ca, patient, through, with_past};

/// As a program keeps it between its runs.
fn kept(past: &Past) -> Past {
    let text = serde_json::to_string(past).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_late_is_told_by_the_next_run() {
    let Some(rig) = Rig::start(&["canary"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let mut target = through(&rig, &ca);
    let mut past = Past::default();
    rig.relay.freeze("qmgr").await.unwrap();
    target.limits.canary = Duration::from_secs(1);
    target.limits.canary_warn = Duration::from_secs(1);
    let check = with_past(&target, &mut past).await;
    assert_eq!(check.state, State::Crit, "{check:#?}");
    assert_eq!(past.canaries.len(), 1);
    assert!(past.canaries[0].queue_id.is_some());
    rig.relay.thaw().await.unwrap();
    assert_eq!(rig.upstream.wait_for("canary", 1, PATIENCE).await.len(), 1);
    // It took the second for which the first run waited, and more.
    target.limits.canary = PATIENCE;
    let mut past = kept(&past);
    let check = with_past(&target, &mut past).await;
    assert_eq!(check.state, State::Warn, "{check:#?}");
    assert!(check.text.starts_with("delivered in "), "{}", check.text);
    assert!(check.text.contains("came late, after "), "{}", check.text);
    assert!(past.canaries.is_empty());
    assert!(rig.upstream.mailbox("canary").is_empty());
    peer::ran("Postfix");
}

/// A plugin that may take ten seconds tells of a canary that may take two minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_run_tells_of_the_run_before() {
    let Some(rig) = Rig::start(&["canary"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let mut target: Target = through(&rig, &ca);
    target.limits.canary_patience = Some(Duration::from_millis(100));
    let mut past = Past::default();
    rig.relay.freeze("qmgr").await.unwrap();
    let check = with_past(&target, &mut past).await;
    assert_eq!(check.state, State::Unknown, "{check:#?}");
    assert!(
        check.text.starts_with("on its way since "),
        "{}",
        check.text
    );
    rig.relay.thaw().await.unwrap();
    assert_eq!(rig.upstream.wait_for("canary", 1, PATIENCE).await.len(), 1);
    // This one's own is held, and the one before has come.
    rig.relay.freeze("qmgr").await.unwrap();
    target.limits.canary_warn = PATIENCE * 60;
    target.limits.canary = PATIENCE * 60;
    let mut past = kept(&past);
    let check = with_past(&target, &mut past).await;
    assert_eq!(check.state, State::Ok, "{check:#?}");
    assert!(check.text.contains("; the canary of "), "{}", check.text);
    assert_eq!(past.canaries.len(), 1);
    // Held longer than one may take.
    patient(&mut target);
    target.limits.canary_patience = Some(Duration::from_millis(100));
    target.limits.canary = Duration::from_secs(1);
    let begun = Instant::now();
    let check = loop {
        let check = with_past(&target, &mut past).await;
        if check.state == State::Crit || begun.elapsed() > PATIENCE {
            break check;
        }
    };
    assert_eq!(check.state, State::Crit, "{check:#?}");
    assert!(
        check.text.contains("was not delivered in"),
        "{}",
        check.text
    );
    assert!(
        check.text.contains("queue manager does not move it"),
        "{}",
        check.text
    );
    peer::ran("Postfix");
}
