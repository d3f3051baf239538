//! The relay, what is behind it, or the watcher is away: nothing is lost, and nothing comes twice.

use notifier_testkit::{peer, postfix::Rig, program::Program};

use crate::scene::{Scene, has_noted, runs, stop, until};

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_at_the_relay_while_what_is_behind_it_is_down() {
    let Some(rig) = Rig::start(&["begun", "ann", "bob", "end"]).await else {
        return;
    };
    let scene = Scene::new(&rig).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&rig.upstream, &mut watcher, "begun").await;
    let mut expected = vec![scene.fail_new("ann")];
    until(&mut watcher, "telling of the first", async |_| {
        !rig.upstream.mailbox("ann").is_empty()
    })
    .await;

    rig.upstream.stop().await.unwrap();
    expected.extend((0..3).map(|_| scene.fail_new("ann")));
    // Also noted: what was accepted and not noted would be sent again after a kill.
    until(
        &mut watcher,
        "handing all to the relay",
        async |w: &Program| expected.iter().all(|run| has_noted(w, run)),
    )
    .await;
    assert_eq!(waiting(&rig, "ann@mail.example").await, 3);
    // The relay is cut off from its power with the mails, and so is the watcher.
    rig.relay.kill().await.unwrap();
    watcher.kill();
    rig.relay.start_again().await.unwrap();
    let mut watcher = scene.start(&[]);
    let other = scene.fail_new("bob");
    until(
        &mut watcher,
        "handing the other to the relay",
        async |w: &Program| has_noted(w, &other),
    )
    .await;
    assert_eq!(waiting(&rig, "bob@mail.example").await, 1);
    assert_eq!(
        waiting(&rig, "ann@mail.example").await,
        3,
        "sent again\n{}",
        watcher.stderr()
    );
    assert_eq!(runs(&rig.upstream, "ann").len(), 1);

    rig.upstream.start_again().await.unwrap();
    rig.relay.flush().await.unwrap();
    scene.mark(&rig, &mut watcher, "end").await;
    expected.sort();
    assert_eq!(runs(&rig.upstream, "ann"), expected);
    assert_eq!(runs(&rig.upstream, "bob"), [other]);
    stop(watcher).await;
    peer::ran("Postfix");
}

/// How many mails to an address wait at the relay.
async fn waiting(rig: &Rig, address: &str) -> usize {
    let queue = rig.relay.queue().await.unwrap();
    let recipients = queue
        .iter()
        .filter_map(|m| m["recipients"].as_array())
        .flatten();
    recipients.filter(|r| r["address"] == address).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_while_the_relay_is_down_is_told_when_it_is_back() {
    let Some(rig) = Rig::start(&["begun", "ann", "bob", "end"]).await else {
        return;
    };
    let scene = Scene::new(&rig).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&rig.upstream, &mut watcher, "begun").await;
    // Nothing is between the last dot and its answer when the relay dies.
    scene.mark(&rig, &mut watcher, "end").await;

    rig.relay.kill().await.unwrap();
    let mut anns: Vec<String> = (0..5).map(|_| scene.fail_new("ann")).collect();
    until(&mut watcher, "missing the relay", async |w: &Program| {
        w.stderr().contains("cannot be reached")
    })
    .await;
    // Those are stored. Then the watcher is killed, more fails while it is away, and after.
    watcher.kill();
    anns.extend((0..5).map(|_| scene.fail_new("ann")));
    let mut watcher = scene.start(&[]);
    let mut bobs: Vec<String> = (0..5).map(|_| scene.fail_new("bob")).collect();
    watcher.kill();
    watcher = scene.start(&[]);
    bobs.extend((0..5).map(|_| scene.fail_new("bob")));

    rig.relay.start_again().await.unwrap();
    until(&mut watcher, "telling of all", async |_| {
        runs(&rig.upstream, "ann").len() >= 10 && runs(&rig.upstream, "bob").len() >= 10
    })
    .await;
    scene.fail("end");
    until(&mut watcher, "telling of the end", async |_| {
        runs(&rig.upstream, "end").len() >= 2 && rig.relay.queue().await.unwrap().is_empty()
    })
    .await;
    anns.sort();
    bobs.sort();
    assert_eq!(runs(&rig.upstream, "ann"), anns);
    assert_eq!(runs(&rig.upstream, "bob"), bobs);
    assert_eq!(runs(&rig.upstream, "end").len(), 2);
    stop(watcher).await;
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_while_the_relay_says_nothing_is_told_when_it_speaks_again() {
    let Some(rig) = Rig::start(&["begun", "ann", "end"]).await else {
        return;
    };
    let scene = Scene::new(&rig).await;
    // With a link that is kept: the mails that it is given are never answered.
    let flags = [
        "-smtp.timeout=4s",
        "-smtp.connect_timeout=4s",
        "-smtp.pool=2",
    ];
    let mut watcher = scene.start(&flags);
    scene.has_begun(&rig.upstream, &mut watcher, "begun").await;
    scene.mark(&rig, &mut watcher, "end").await;

    rig.relay.pause().await.unwrap();
    let mut expected: Vec<String> = (0..6).map(|_| scene.fail_new("ann")).collect();
    until(&mut watcher, "missing answers", async |w: &Program| {
        let log = w.stderr();
        let missed = |l: &&str| l.contains("was silent") || l.contains("handshake");
        log.lines().filter(missed).count() >= 2
    })
    .await;
    rig.relay.resume().await.unwrap();
    until(&mut watcher, "telling of all", async |w: &Program| {
        expected.iter().all(|run| has_noted(w, run))
    })
    .await;
    until(&mut watcher, "handing all on", async |_| {
        rig.relay.queue().await.unwrap().is_empty() && runs(&rig.upstream, "ann").len() >= 6
    })
    .await;
    expected.sort();
    assert_eq!(runs(&rig.upstream, "ann"), expected);
    stop(watcher).await;
    peer::ran("Postfix");
}
