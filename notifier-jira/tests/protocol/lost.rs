//! Answers that are lost, and processes that end at the wrong moment.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use notifier_core::{
    Checkpoint, DeliveryId, Next, Receipt, Reconciled, ReportOptions, Reporter, Result, Retry,
};
use notifier_testkit::{
    http::Action,
    jira::{Endpoint, JiraProject, JiraType},
};

use crate::rig::{Rig, id, report};

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
        let progress = self.kept.get();
        let opts = ReportOptions::new(&self.id, &self.rig.settings)
            .after(1, progress.as_ref())
            .with_checkpoint(&self.kept);
        let receipt = self
            .rig
            .reporter
            .report(&report(self.n), &opts)
            .await
            .unwrap();
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
            let _ = tokio::time::timeout(Duration::from_millis(700), story.report()).await;
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
