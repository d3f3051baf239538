//! A job fails three times in a row: who is told what, and when.

use notifier_testkit::{
    chronos::{JobSpec, Verdict},
    mesos::Death,
    peer,
    postfix::Rig,
    program::Program,
};

use crate::scene::{Scene, has_noted, mails, runs, stop, until};

const MESSAGE: &str = "Container exited with status 3: Größe überschritten";

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_told_of_each_run_of_the_last_or_from_the_second_on() {
    let mut mailboxes = Vec::new();
    for notify in ["every", "final", "2"] {
        for name in ["begun", "first", "second", "other", "end"] {
            mailboxes.push(format!("{name}-{notify}"));
        }
    }
    let names: Vec<&str> = mailboxes.iter().map(String::as_str).collect();
    let Some(rig) = Rig::start(&names).await else {
        return;
    };
    for (notify, told) in [("every", &[0, 1, 2][..]), ("final", &[2]), ("2", &[1, 2])] {
        let scene = Scene::new(&rig).await;
        let mut watcher = scene.start(&[&format!("-chronos.notify={notify}")]);
        let mailbox = |name: &str| format!("{name}-{notify}");
        scene
            .has_begun(&rig.upstream, &mut watcher, &mailbox("begun"))
            .await;

        let job = format!("nightly-{notify}");
        let owners = format!(
            "{}@mail.example , {}@mail.example",
            mailbox("first"),
            mailbox("second")
        );
        scene
            .chronos
            .job(JobSpec::new(&job).owner(&owners).retries(2));
        // A job says for itself what is told of it.
        let other = format!("other-{notify}");
        let own = JobSpec::new(&other).owner(format!("{}@mail.example", mailbox("other")));
        scene.chronos.job(own.retries(2).env("CHRONOS_NOTIFY", "3"));
        let ids = fail_thrice(&scene, &job);
        let others = fail_thrice(&scene, &other);
        let expected: Vec<String> = told.iter().map(|n| ids[*n].clone()).collect();
        // A job may wait for what Chronos makes of its failure while others are told.
        until(&mut watcher, "telling of both jobs", async |w: &Program| {
            expected
                .iter()
                .chain(&others[2..])
                .all(|run| has_noted(w, run))
        })
        .await;
        scene.mark(&rig, &mut watcher, &mailbox("end")).await;

        for name in ["first", "second"] {
            let found = runs(&rig.upstream, &mailbox(name));
            assert_eq!(
                found,
                expected,
                "{name} with {notify}\n{}",
                watcher.stderr()
            );
        }
        assert_eq!(
            runs(&rig.upstream, &mailbox("other")),
            others[2..],
            "{notify}"
        );

        // One mail for both owners, of which the last is in Chronos' own words.
        let last_error = scene.chronos.counters(&job).unwrap().last_error.unwrap();
        for name in ["first", "second"] {
            let mailbox = mailbox(name);
            let mails = mails(&rig.upstream, &mailbox);
            let last = mails.iter().find(|m| m.text().contains(&ids[2])).unwrap();
            assert_eq!(
                last.subject(),
                format!("[prod] [Chronos] job '{job}' failed!")
            );
            assert_eq!(
                last.text(),
                format!(
                    "\n'{last_error:.3}'. Retries attempted: 2.\nTask id: {}\n\
                     The scheduler provided this message:\n\n{MESSAGE}",
                    ids[2]
                )
            );
            assert_eq!(last.field("From"), " chronos@node.example");
            let to = last.field("To");
            for owner in owners.split(" , ") {
                assert!(to.contains(owner), "{to}");
            }
            assert_eq!(
                last.field("Delivered-To"),
                format!(" {mailbox}@mail.example")
            );
            assert_eq!(last.field("Return-Path"), " <chronos@node.example>");
            assert_eq!(last.field("Auto-Submitted"), " auto-generated");
            assert!(last.id().ends_with("@node.example"), "{}", last.id());
            assert!(last.has_date(), "{last:?}");
            // Both servers took it after a login over TLS.
            let received = last.all("Received");
            assert_eq!(
                (
                    last.count("Received"),
                    received.matches("with ESMTPSA id").count()
                ),
                (2, 2)
            );
            for mail in &mails {
                assert!(mail.text().contains(MESSAGE), "{mail:?}");
            }
        }
        let log = stop(watcher).await;
        assert!(!log.contains(rig.login().1), "{log}");
    }
    peer::ran("Postfix");
}

/// Three runs of a job fail, of which Chronos retries two; their ids.
fn fail_thrice(scene: &Scene, job: &str) -> [String; 3] {
    let death = || Death::failed().exit(3).message(MESSAGE);
    let first = scene.chronos.run(&scene.cluster, job);
    assert_eq!(first.fail(death()), Verdict::Retried);
    let second = first.retry();
    assert_eq!(second.fail(death()), Verdict::Retried);
    let third = second.retry();
    assert_eq!(third.fail(death()), Verdict::Failed);
    [first, second, third].map(|run| run.id().to_owned())
}
