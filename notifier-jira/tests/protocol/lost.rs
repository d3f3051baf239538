//! Answers that are lost, and processes that end at the wrong moment.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use notifier_core::{
    Checkpoint, DeliveryId, Next, Receipt, Reconciled, Report, ReportOptions, Reporter, Result,
    Retry,
};
use notifier_testkit::{
    http::Action,
    jira::{Endpoint, JiraProject, JiraType},
};

use crate::rig::{Rig, id, kill_at, report, with_logs};

/// Keeps progress as the outbox does.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<serde_json::Value>>);

#[async_trait]
impl Checkpoint for Kept {
    async fn save(&self, progress: serde_json::Value) -> Result<()> {
        *self.0.lock().unwrap() = Some(progress);
        Ok(())
    }
}

impl Kept {
    fn get(&self) -> Option<serde_json::Value> {
        self.0.lock().unwrap().clone()
    }
}

struct Story<'a> {
    rig: &'a Rig,
    kept: Kept,
    id: DeliveryId,
    n: usize,
}

impl<'a> Story<'a> {
    fn new(rig: &'a Rig, n: usize) -> Self {
        Self {
            rig,
            kept: Kept::default(),
            id: DeliveryId::new(id(n)),
            n,
        }
    }

    async fn report(&self) -> Receipt {
        self.attempt(&report(self.n), 1).await
    }

    async fn attempt(&self, report: &Report, n: u32) -> Receipt {
        let progress = self.kept.get();
        let opts = ReportOptions::new(&self.id, &self.rig.settings)
            .after(n, progress.as_ref())
            .with_checkpoint(&self.kept);
        let receipt = self.rig.reporter.report(report, &opts).await.unwrap();
        if let Some(p) = &receipt.progress {
            self.kept.save(p.clone()).await.unwrap();
        }
        receipt
    }

    async fn reconcile(&self) -> Result<Reconciled> {
        let progress = self.kept.get();
        let opts = ReportOptions::new(&self.id, &self.rig.settings)
            .after(2, progress.as_ref())
            .with_checkpoint(&self.kept);
        self.rig.reporter.reconcile(&report(self.n), &opts).await
    }
}

fn is_unknown(r: &Receipt) -> bool {
    matches!(r.next(), Next::Retry { unknown: true, .. })
}

fn wait(r: Result<Reconciled>) -> Option<u64> {
    match r.unwrap_err().retry() {
        Retry::Later { after } => after.map(|d| d.as_secs()),
        _ => None,
    }
}

#[tokio::test]
async fn an_issue_whose_answer_was_lost_is_found() {
    for rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
        rig.jira.lag(Duration::from_secs(60));
        rig.jira.after(Endpoint::Create, Action::ResetAfterBody);
        let story = Story::new(&rig, 1);
        assert!(is_unknown(&story.report().await));
        // Asked at once, the index has it not.
        assert_eq!(wait(story.reconcile().await), Some(30));
        rig.advance(30);
        assert_eq!(wait(story.reconcile().await), Some(90));
        rig.advance(90);
        let Reconciled::Delivered(receipt) = story.reconcile().await.unwrap() else {
            panic!("it is there");
        };
        assert_eq!(receipt.next(), Next::Done);
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn an_issue_that_was_not_made_is_made_after_two_minutes() {
    for rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
        rig.jira.next(Endpoint::Create, Action::ResetAfterBody);
        let story = Story::new(&rig, 1);
        assert!(is_unknown(&story.report().await));
        rig.advance(119);
        assert_eq!(wait(story.reconcile().await), Some(1));
        rig.advance(1);
        let answer = story.reconcile().await.unwrap();
        assert!(matches!(answer, Reconciled::NotDelivered), "{answer:?}");
        assert_eq!(story.report().await.next(), Next::Done);
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn killed_after_the_issue_was_asked_for() {
    for mut rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
        rig.jira.lag(Duration::from_secs(60));
        // The attempt is dropped while it waits for the answer: only what was saved is left.
        rig.jira.after(Endpoint::Create, Action::Hang);
        let kept = {
            let story = Story::new(&rig, 1);
            kill_at(&rig.jira, Endpoint::Create, 1, story.report()).await;
            assert_eq!(rig.jira.issues().len(), 1, "it was made");
            story.kept
        };
        rig.restart();
        let story = Story {
            kept,
            ..Story::new(&rig, 1)
        };
        assert_eq!(wait(story.reconcile().await), Some(30));
        // Meanwhile another one of the same summary does not make a second.
        let e = rig.send(&report(2), &id(2)).await.unwrap_err();
        assert!(e.is_retryable(), "{e}");
        rig.advance(61);
        let answer = story.reconcile().await.unwrap();
        assert!(matches!(answer, Reconciled::Delivered(_)), "{answer:?}");
        assert_eq!(
            rig.send(&report(2), &id(2)).await.unwrap().next(),
            Next::Done
        );
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn killed_before_the_issue_was_asked_for() {
    let rig = Rig::cloud(&[]).await;
    let story = Story::new(&rig, 1);
    let answer = story.reconcile().await.unwrap();
    assert!(matches!(answer, Reconciled::NotDelivered), "{answer:?}");
}

#[tokio::test]
async fn without_labels_it_is_found_by_its_property() {
    for rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
        let types = [JiraType::new("1", "Bug").without_field("labels")];
        rig.jira.project(JiraProject::new("OPS").types(types));
        rig.jira.after(Endpoint::Create, Action::status(504));
        let story = Story::new(&rig, 1);
        assert!(is_unknown(&story.report().await));
        let answer = story.reconcile().await.unwrap();
        assert!(matches!(answer, Reconciled::Delivered(_)), "{answer:?}");
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_leaves_nothing_to_look_for() {
    let rig = Rig::data_center(&[]).await;
    rig.jira.next(Endpoint::Create, Action::status(503));
    let story = Story::new(&rig, 1);
    assert!(matches!(
        story.report().await.next(),
        Next::Retry { unknown: false, .. }
    ));
    assert_eq!(story.kept.get(), Some(serde_json::json!({})));
    // Nor do others wait.
    assert_eq!(
        rig.send(&report(2), &id(2)).await.unwrap().next(),
        Next::Done
    );
    assert_eq!(rig.jira.issues().len(), 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_delays_and_does_not_stop() {
    let rig = Rig::data_center(&[]).await;
    rig.jira.next(Endpoint::Create, Action::ResetAfterBody);
    let story = Story::new(&rig, 1);
    assert!(is_unknown(&story.report().await));
    let clock = rig.jira.clock();
    clock.set("2020-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(wait(story.reconcile().await), Some(30));
    clock.set("2020-01-01T00:02:00Z".parse().unwrap());
    let answer = story.reconcile().await.unwrap();
    assert!(matches!(answer, Reconciled::NotDelivered), "{answer:?}");
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_to_stops_it_in_time() {
    #[derive(Debug)]
    struct Full;
    #[async_trait]
    impl Checkpoint for Full {
        async fn save(&self, _: serde_json::Value) -> Result<()> {
            Err(notifier_core::Error::new(
                notifier_core::ErrorKind::Io,
                "the disk is full",
            ))
        }
    }
    let rig = Rig::cloud(&[]).await;
    let delivery = DeliveryId::new(id(1));
    let opts = ReportOptions::new(&delivery, &rig.settings).with_checkpoint(&Full);
    let e = rig.reporter.report(&report(1), &opts).await.unwrap_err();
    assert_eq!(e.to_string(), "the disk is full");
    assert_eq!(rig.jira.count(Endpoint::Create), 0);
}

#[tokio::test]
async fn killed_after_a_file_was_attached() {
    for rig in [
        Rig::cloud(&[("attach_logs", "1KiB")]).await,
        Rig::data_center(&[("attach_logs", "1KiB")]).await,
    ] {
        rig.jira.after(Endpoint::Attach, Action::Hang);
        let story = Story::new(&rig, 1);
        let report = with_logs(1);
        kill_at(&rig.jira, Endpoint::Attach, 1, story.attempt(&report, 1)).await;
        let receipt = story.attempt(&report, 2).await;
        assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
        let issues = rig.jira.issues();
        assert_eq!((issues.len(), issues[0].attachments.len()), (1, 1));
    }
}

#[tokio::test]
async fn killed_at_each_attempt_to_attach() {
    let rig = Rig::cloud(&[("attach_logs", "1KiB")]).await;
    let story = Story::new(&rig, 1);
    let report = with_logs(1);
    rig.jira.next_n(Endpoint::Attach, 9, Action::Hang);
    for n in 1..=3 {
        let attempt = story.attempt(&report, n);
        kill_at(&rig.jira, Endpoint::Attach, n as usize, attempt).await;
    }
    let receipt = story.attempt(&report, 4).await;
    assert_eq!(receipt.next(), Next::Done);
    let warning = receipt.warnings[0].to_string();
    assert!(
        warning.contains("not all logs were attached to OPS-1"),
        "{warning}"
    );
    assert_eq!(rig.jira.count(Endpoint::Attach), 3);
}

#[tokio::test]
async fn what_is_noted_in_jira_stays_there() {
    for mut rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
        let mut other = crate::rig::failure(2);
        other.name = "db".to_owned();
        let _ = rig.send(&Report::failure(other), &id(2)).await.unwrap();
        rig.jira.after(Endpoint::Create, Action::ResetAfterBody);
        let kept = {
            let story = Story::new(&rig, 1);
            assert!(is_unknown(&story.report().await));
            story.kept
        };
        rig.restart();
        let story = Story {
            kept,
            ..Story::new(&rig, 1)
        };
        let answer = story.reconcile().await.unwrap();
        assert!(matches!(answer, Reconciled::Delivered(_)), "{answer:?}");
        let noted = rig.jira.user_property("notifier-recent");
        assert_eq!(noted["issues"].as_object().unwrap().len(), 2, "{noted}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_seen_or_noted_lose_no_issue() {
    let others = &[("attach_logs", "1KiB")];
    for rig in [Rig::cloud(others).await, Rig::data_center(others).await] {
        rig.jira.after(Endpoint::Attach, Action::Hang);
        let story = Story::new(&rig, 1);
        let report = with_logs(1);
        kill_at(&rig.jira, Endpoint::Attach, 1, story.attempt(&report, 1)).await;
        rig.jira.next(Endpoint::Read, Action::status(403));
        let receipt = story.attempt(&report, 2).await;
        assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
        let warning = receipt.warnings[0].to_string();
        assert!(warning.contains("its files cannot be seen"), "{warning}");
        assert_eq!(rig.jira.issues()[0].attachments.len(), 1);
    }

    /// Has room for the issue, and not for its files.
    #[derive(Debug, Default)]
    struct Small(Mutex<usize>);
    #[async_trait]
    impl Checkpoint for Small {
        async fn save(&self, _: serde_json::Value) -> Result<()> {
            let mut saved = self.0.lock().unwrap();
            *saved += 1;
            let full = || notifier_core::Error::new(notifier_core::ErrorKind::Io, "it is full");
            if *saved <= 2 { Ok(()) } else { Err(full()) }
        }
    }
    let rig = Rig::cloud(others).await;
    let (delivery, small) = (DeliveryId::new(id(1)), Small::default());
    let opts = ReportOptions::new(&delivery, &rig.settings).with_checkpoint(&small);
    let receipt = rig.reporter.report(&with_logs(1), &opts).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    assert!(receipt.warnings[0].to_string().contains("cannot be noted"));
    assert_eq!(rig.jira.count(Endpoint::Attach), 0);
}

#[tokio::test]
async fn a_property_that_may_not_be_read_is_not_its_own() {
    for rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
        let types = [JiraType::new("1", "Bug").without_field("labels")];
        rig.jira.project(JiraProject::new("OPS").types(types));
        rig.jira.after(Endpoint::Create, Action::status(504));
        let story = Story::new(&rig, 1);
        assert!(is_unknown(&story.report().await));
        rig.jira.next(Endpoint::Property, Action::status(403));
        assert_eq!(wait(story.reconcile().await), Some(30));
        let answer = story.reconcile().await.unwrap();
        assert!(matches!(answer, Reconciled::Delivered(_)), "{answer:?}");
    }
}
