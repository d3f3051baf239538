//! A canary that arrives in files.

use notifier_testkit::{
    peer,
    postfix::{Postfix, Rig},
};
use smtp_probe::{Canary, Target};

use crate::rig::{PATIENCE, assert_delivered, ca, canary, maildir, patient, through};

#[tokio::test(flavor = "multi_thread")]
async fn the_way_through_relay_and_upstream_is_measured_by_hop() {
    let Some(rig) = Rig::start(&["canary"]).await else {
        return;
    };
    let ca = ca(&rig.certificates);
    let mut target = through(&rig, &ca);
    // The first delivery makes the mailbox; the second run finds it.
    std::fs::remove_dir_all(maildir(&rig.upstream, "canary")).unwrap();
    for _ in 0..2 {
        let check = canary(&target).await;
        assert_delivered(&check, &["relay.example", "upstream.example"]);
        assert!(
            check.text.contains("through 2 hops: relay.example "),
            "{}",
            check.text
        );
        let data = check.data.as_ref().unwrap();
        assert!(data["queue_id"].as_str().is_some(), "{data:#}");
        for hop in data["hops"].as_array().unwrap() {
            assert_eq!(
                (&hop["tls"], &hop["auth"]),
                (&true.into(), &true.into()),
                "{data:#}"
            );
            assert_eq!(hop["with"], "ESMTPSA");
            // From the queue's ids, which are exact.
            assert!(hop["delay_ms"].as_i64().is_some(), "{data:#}");
        }
        assert_eq!(data["client"]["seen"], "127.0.0.1");
        assert_eq!(data["client"]["is_hidden"], false);
        assert_eq!(data["egress"], "127.0.0.1");
        assert!(!format!("{check:?}").contains("node-local-password"));
        // It is taken out of the mailbox again.
        assert!(rig.upstream.mailbox("canary").is_empty());
    }
    // What another mail pretends to be does not matter, and it stays.
    let inbox = maildir(&rig.upstream, "canary").join("new");
    let forged = format!("X-Canary: {} 1 {}\n\nx\n", "0".repeat(24), "0".repeat(32));
    for (name, mail) in [
        ("1.forged", forged.into_bytes()),
        ("2.nul", b"\0\0X-Canary: \0\n\n\0".to_vec()),
        (
            "3.huge",
            [b"X-Canary: ".to_vec(), vec![b'x'; 3_000_000]].concat(),
        ),
    ] {
        std::fs::write(inbox.join(name), mail).unwrap();
    }
    target.from = vec!["canary@mail.example".to_owned()];
    let check = canary(&target).await;
    assert_delivered(&check, &["relay.example", "upstream.example"]);
    assert_eq!(rig.upstream.mailbox("canary").len(), 3);
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_mails_is_read_from_where_it_ended() {
    let relay = Postfix::builder("relay")
        .mailboxes(&["canary"])
        .setting("virtual_mailbox_maps = inline:{ canary@relay.example=all }")
        .start_or_skip();
    let Some(relay) = relay.await else {
        return;
    };
    let mbox = relay.folder().join("mail/all");
    let mut target = Target::new("127.0.0.1", relay.port());
    patient(&mut target);
    target.rcpt = vec!["canary@relay.example".to_owned()];
    target.canary = Some(Canary::Mbox(mbox.clone()));
    for _ in 0..2 {
        assert_delivered(&canary(&target).await, &["relay.example"]);
    }
    let text = std::fs::read_to_string(&mbox).unwrap();
    assert_eq!(text.matches("\nX-Canary: ").count(), 2, "{text}");
    // While somebody removes the first mails of it, those that come move; it gets no shorter.
    let long = format!(
        "From a Sun Nov 22 04:21:27 2026\nA: b\n\n{}\n",
        "x\n".repeat(100)
    );
    let kept = [long.as_bytes(), text.as_bytes()].concat();
    std::fs::write(&mbox, kept).unwrap();
    relay.freeze("qmgr").await.unwrap();
    let waiting = target.clone();
    let running = tokio::spawn(async move { canary(&waiting).await });
    while relay.queue().await.unwrap().is_empty() {
        assert!(!running.is_finished(), "{:#?}", running.await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    std::fs::write(&mbox, &text).unwrap();
    relay.thaw().await.unwrap();
    assert_delivered(&running.await.unwrap(), &["relay.example"]);
    // What is no file is told before anything is sent.
    let mut folder = target.clone();
    folder.canary = Some(Canary::Mbox(relay.folder().to_owned()));
    let check = canary(&folder).await;
    assert_eq!(check.class.unwrap().word(), "local", "{check:#?}");
    assert!(check.text.contains("nothing was sent"), "{}", check.text);
    // One that was replaced by a shorter one is read from its start.
    std::fs::remove_file(&mbox).unwrap();
    assert_delivered(&canary(&target).await, &["relay.example"]);
    let there = relay.wait_for("canary", 0, PATIENCE).await;
    assert!(there.is_empty());
    peer::ran("Postfix");
}

#[tokio::test]
async fn a_mailbox_in_no_folder_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none/box");
    for end in [Canary::Mbox(nowhere.clone()), Canary::Maildir(nowhere)] {
        let mut target = Target::new("127.0.0.1", 1);
        target.rcpt = vec!["canary@relay.example".to_owned()];
        target.canary = Some(end);
        let check = canary(&target).await;
        assert_eq!(check.state, smtp_probe::State::Unknown, "{check:#?}");
        assert_eq!(check.class.unwrap().word(), "local", "{check:#?}");
        assert!(check.text.contains("nothing was sent"), "{}", check.text);
    }
}
