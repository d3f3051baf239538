//! What the watcher says of a relay that does not take a mail.

use notifier_testkit::{
    chronos::JobSpec,
    peer,
    postfix::{Postfix, Rig},
    program::Program,
    smtp::Certificates,
};

use crate::scene::{Scene, runs, stop, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_certificate_is_told_clearly() {
    let Some(rig) = Rig::start(&["ann"]).await else {
        return;
    };
    let certificates = &rig.certificates;
    let wrong = "not-the-password";
    for (name, identity, password, says) in [
        (
            "expired",
            certificates.expired(),
            rig.login().1,
            &["certificate", "expired"][..],
        ),
        (
            "wrong authority",
            certificates.other_ca(),
            rig.login().1,
            &["certificate", "-smtp.ca"],
        ),
        (
            "wrong password",
            certificates.valid(),
            wrong,
            &["535 5.7.8", "-smtp.password"],
        ),
    ] {
        let changed = rig.relay.change_identity(&identity);
        changed.await.unwrap();
        let scene = Scene::new(&rig).await;
        scene.set_password(password);
        scene.job("ann", "ann@mail.example");
        let mut watcher = scene.start(&[]);
        until(&mut watcher, name, async |w: &Program| {
            // One that fails before the watcher knows the cluster is not told at all.
            scene.fail("ann");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            let log = w.stderr();
            log.lines()
                .any(|line| says.iter().all(|part| line.contains(part)))
        })
        .await;
        let log = stop(watcher).await;
        assert!(!log.contains(password), "{name}: {log}");
        assert!(rig.relay.queue().await.unwrap().is_empty(), "{name}");
        assert!(rig.upstream.mailbox("ann").is_empty(), "{name}");
    }
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_owner_is_told_of_and_the_others_have_their_mail() {
    const LOGIN: (&str, &str) = ("watcher", "a-good-password");
    let certificates = Certificates::new();
    let identity = certificates.valid();
    let relay = Postfix::builder("relay")
        .domain("mail.example")
        .mailboxes(&["begun", "ann", "bob"])
        .identity(&identity)
        .login(LOGIN.0, LOGIN.1);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let scene = Scene::at(&relay, &certificates, LOGIN).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&relay, &mut watcher, "begun").await;
    let owners = "ann@mail.example,nobody@mail.example,bob@mail.example";
    scene
        .chronos
        .job(JobSpec::new("shared").owner(owners).retries(0));
    let first = scene.fail("shared");
    until(
        &mut watcher,
        "told of the unknown owner",
        async |w: &Program| {
            let log = w.stderr();
            let said = |line: &str| {
                ["nobody@mail.example", "550 5.1.1", "User unknown"]
                    .iter()
                    .all(|part| line.contains(part))
            };
            log.lines().any(said)
        },
    )
    .await;
    // The next mail passes, and nobody has the first twice after it.
    let second = scene.fail("shared");
    until(&mut watcher, "telling of the second", async |_| {
        runs(&relay, "ann").len() >= 2 && runs(&relay, "bob").len() >= 2
    })
    .await;
    let expected = [first, second];
    assert_eq!(runs(&relay, "ann"), expected);
    assert_eq!(runs(&relay, "bob"), expected);
    stop(watcher).await;
    peer::ran("Postfix");
}
