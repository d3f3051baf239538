//! What becomes of a failure whose issue is there.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use notifier_core::{
    Checkpoint, DeliveryId, Digest, Next, Notice, Report, ReportOptions, Reporter, Result, Scope,
    Subject, jiff::Timestamp,
};
use notifier_testkit::{
    http::{Action, Reply},
    jira::{Endpoint, JiraProject},
};
use serde_json::Value;

use crate::rig::{Rig, failure, id, report};

async fn both(others: &[(&str, &str)]) -> [Rig; 2] {
    [Rig::cloud(others).await, Rig::data_center(others).await]
}

async fn done(rig: &Rig, report: &Report, n: usize) {
    let receipt = rig.send(report, &id(n)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    assert_eq!(receipt.warnings.len(), 0, "{receipt:?}");
}

/// The text of the only comment of an issue.
fn comment(rig: &Rig, issue: usize) -> String {
    let issue = &rig.jira.issues()[issue];
    assert_eq!(issue.comments.len(), 1, "{:?}", issue.comments);
    match &issue.comments[0].body {
        Value::String(text) => text.clone(),
        doc => doc.to_string(),
    }
}

#[tokio::test]
async fn one_comment_counts() {
    for mut rig in both(&[("on_repeat", "comment")]).await {
        for n in 0..6 {
            done(&rig, &report(n), n).await;
            rig.restart();
            rig.advance(60);
        }
        let text = comment(&rig, 0);
        assert!(
            text.contains(
                "Happened 5 more times, last at 1970-01-01T00:00:00Z: Task web (web.5) died"
            ),
            "{text}"
        );
        assert_eq!(rig.jira.issues().len(), 1);
        assert_eq!(rig.jira.issues()[0].comments[0].edits, 4);
    }
}

#[tokio::test]
async fn a_delivery_counts_once_whatever_is_lost() {
    for endpoint in [
        Endpoint::SetProperty,
        Endpoint::Comment,
        Endpoint::EditComment,
        Endpoint::Property,
    ] {
        for rig in both(&[("on_repeat", "comment")]).await {
            done(&rig, &report(0), 0).await;
            if endpoint == Endpoint::EditComment {
                done(&rig, &report(1), 1).await;
            }
            rig.jira.after(endpoint, Action::ResetAfterBody);
            let e = rig.send(&report(2), &id(2)).await.unwrap_err();
            assert!(e.is_retryable(), "{endpoint:?}: {e}");
            for _ in 0..2 {
                done(&rig, &report(2), 2).await;
            }
            let count = if endpoint == Endpoint::EditComment {
                "2 more times"
            } else {
                "1 more time,"
            };
            let text = comment(&rig, 0);
            assert!(text.contains(count), "{endpoint:?}: {text}");
        }
    }
}

#[tokio::test]
async fn a_comment_that_was_deleted_is_made_anew() {
    let rig = Rig::data_center(&[("on_repeat", "comment")]).await;
    done(&rig, &report(0), 0).await;
    done(&rig, &report(1), 1).await;
    // What the note names is not there.
    rig.jira.next(Endpoint::EditComment, Action::status(404));
    rig.jira.next(
        Endpoint::Comments,
        notifier_testkit::http::Reply::json(200, &serde_json::json!({ "comments": [] })),
    );
    done(&rig, &report(2), 2).await;
    let issue = &rig.jira.issues()[0];
    assert_eq!(issue.comments.len(), 2);
    assert!(issue.comments[1].body.to_string().contains("2 more times"));
}

#[tokio::test]
async fn a_digest_counts_all_that_it_folds() {
    for rig in both(&[("on_repeat", "comment")]).await {
        done(&rig, &report(0), 0).await;
        let digest = Digest::new("1", "web failed", 17, failure(1));
        done(&rig, &Report::new(Subject::Digest(Arc::new(digest))), 1).await;
        assert!(comment(&rig, 0).contains("Happened 17 more times"));
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn hostile_data_makes_no_markup_in_a_comment() {
    for rig in both(&[("on_repeat", "comment")]).await {
        done(&rig, &report(0), 0).await;
        let mut f = failure(1);
        f.id = "[x|http://evil]{code}".to_owned();
        done(&rig, &Report::failure(f), 1).await;
        let text = comment(&rig, 0);
        assert!(
            !text.contains("codeBlock") && !text.contains("\"marks\""),
            "{text}"
        );
        assert!(text.contains("[x|http://evil]"), "{text}");
    }
}

#[tokio::test]
async fn a_closed_issue_is_opened_again() {
    for mut rig in both(&[("on_repeat", "reopen")]).await {
        done(&rig, &report(0), 0).await;
        rig.jira.set_status("OPS-1", "Closed");
        rig.restart();
        rig.jira.lag(std::time::Duration::from_secs(60));
        done(&rig, &report(1), 1).await;
        let issue = &rig.jira.issues()[0];
        assert_eq!((issue.status.as_str(), issue.transitions), ("Open", 1));
        assert!(comment(&rig, 0).contains("1 more time,"));
        // Within the lag, and after it.
        for n in 2..4 {
            done(&rig, &report(n), n).await;
            rig.restart();
            rig.advance(61);
        }
        assert_eq!(rig.jira.issues().len(), 1);
        assert_eq!(rig.jira.issues()[0].transitions, 1);
        assert!(comment(&rig, 0).contains("3 more times,"));
    }
}

#[tokio::test]
async fn a_transition_is_made_once() {
    for rig in both(&[("on_repeat", "reopen")]).await {
        done(&rig, &report(0), 0).await;
        rig.jira.set_status("OPS-1", "Closed");
        rig.jira.after(Endpoint::Transition, Action::ResetAfterBody);
        assert!(
            rig.send(&report(1), &id(1))
                .await
                .unwrap_err()
                .is_retryable()
        );
        done(&rig, &report(1), 1).await;
        assert_eq!(rig.jira.issues()[0].transitions, 1);
        rig.jira.set_status("OPS-1", "Closed");
        rig.jira.next(Endpoint::Transition, Action::status(409));
        let e = rig.send(&report(2), &id(2)).await.unwrap_err();
        assert!(e.is_retryable() && e.delivery() == notifier_core::Delivery::NotDelivered);
        done(&rig, &report(2), 2).await;
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn an_issue_that_cannot_be_opened_is_followed_by_another() {
    for rig in both(&[("on_repeat", "reopen")]).await {
        rig.jira
            .project(JiraProject::new("OPS").transitions_need("resolution"));
        done(&rig, &report(0), 0).await;
        rig.jira.set_status("OPS-1", "Closed");
        let receipt = rig.send(&report(1), &id(1)).await.unwrap();
        assert_eq!(receipt.next(), Next::Done);
        let warning = receipt.warnings[0].report().to_string();
        assert!(
            warning.contains("OPS-1 cannot be opened again; a new issue is made"),
            "{warning}"
        );
        assert!(warning.contains("resolution is required"), "{warning}");
        assert_eq!(rig.jira.issues().len(), 2);
        done(&rig, &report(2), 2).await;
        assert_eq!(rig.jira.issues().len(), 2);
    }
}

#[tokio::test]
async fn notices_and_their_ends_are_comments_on_one_issue() {
    for rig in both(&[]).await {
        let notice = Arc::new(Notice::new("slack:#ops:01", "404", Timestamp::UNIX_EPOCH));
        let begin = Report::new(Subject::Notice(Arc::clone(&notice)));
        let end = Report::new(Subject::Recovery(notice));
        done(&rig, &begin, 1).await;
        done(&rig, &end, 2).await;
        let issue = &rig.jira.issues()[0];
        assert_eq!(issue.summary, "Messages to slack:#ops:01 do not arrive");
        assert!(comment(&rig, 0).contains("Messages to slack:#ops:01 arrive again"));
        // The next outage is told, too.
        done(&rig, &begin, 3).await;
        let comments = &rig.jira.issues()[0].comments;
        assert_eq!(comments.len(), 2);
        let text = comments[1].body.to_string();
        assert!(text.contains("404") && text.contains(&id(3)), "{text}");
        done(&rig, &end, 4).await;
        assert_eq!(rig.jira.issues()[0].comments.len(), 3);
        // Where a person has closed the issue, there is nothing to say of the end.
        rig.jira.set_status("OPS-1", "Closed");
        done(&rig, &end, 5).await;
        assert_eq!(rig.jira.issues().len(), 1);
        assert_eq!(rig.jira.issues()[0].comments.len(), 3);
        done(&rig, &begin, 6).await;
        assert_eq!(rig.jira.issues().len(), 2);
        assert_eq!(rig.jira.issues()[1].comments.len(), 0);
    }
}

/// Keeps progress as the outbox does.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<Value>>);

#[async_trait]
impl Checkpoint for Kept {
    async fn save(&self, progress: Value) -> Result<()> {
        *self.0.lock().unwrap() = Some(progress);
        Ok(())
    }
}

#[tokio::test]
async fn a_notice_whose_answer_was_lost_is_told_once() {
    for rig in both(&[]).await {
        let notice = Arc::new(Notice::new("slack:#ops:01", "404", Timestamp::UNIX_EPOCH));
        let begin = Report::new(Subject::Notice(notice));
        done(&rig, &begin, 1).await;
        rig.jira.after(Endpoint::Comment, Action::ResetAfterBody);
        let (kept, delivery) = (Kept::default(), DeliveryId::new(id(2)));
        for attempt in 1..=3 {
            let progress = kept.0.lock().unwrap().clone();
            let opts = ReportOptions::new(&delivery, &rig.settings)
                .after(attempt, progress.as_ref())
                .with_checkpoint(&kept);
            let sent = rig.reporter.report(&begin, &opts).await;
            assert_eq!(sent.is_err(), attempt == 1, "{sent:?}");
        }
        assert_eq!(rig.jira.issues()[0].comments.len(), 1);
    }
}

fn forbidden() -> Reply {
    let why = serde_json::json!({ "errorMessages": ["not you"], "errors": {} });
    Reply::json(403, &why)
}

#[tokio::test]
async fn an_issue_that_may_not_be_written_to_is_left_alone() {
    for endpoint in [
        Endpoint::Property,
        Endpoint::SetProperty,
        Endpoint::Comments,
        Endpoint::Comment,
        Endpoint::EditComment,
    ] {
        for rig in both(&[("on_repeat", "comment")]).await {
            done(&rig, &report(0), 0).await;
            if endpoint == Endpoint::EditComment {
                done(&rig, &report(1), 1).await;
            }
            rig.jira.next(endpoint, forbidden());
            let receipt = rig.send(&report(2), &id(2)).await.unwrap();
            assert_eq!(receipt.next(), Next::Done, "{endpoint:?}");
            let warning = receipt.warnings[0].report().to_string();
            assert!(
                warning.contains("OPS-1 is there, and nothing could be added")
                    && warning.contains("not you"),
                "{warning}"
            );
            assert_eq!(rig.jira.issues().len(), 1);
        }
    }
    // A user that is locked out is locked out of everything.
    let rig = Rig::data_center(&[("on_repeat", "comment")]).await;
    done(&rig, &report(0), 0).await;
    let captcha = forbidden().header("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE");
    rig.jira.next(Endpoint::Comment, captcha);
    let e = rig.send(&report(1), &id(1)).await.unwrap_err();
    assert_eq!(e.scope(), Scope::Destination);
}

#[tokio::test]
async fn an_issue_that_may_not_be_opened_is_followed_by_another() {
    for endpoint in [Endpoint::Transitions, Endpoint::Transition] {
        for rig in both(&[("on_repeat", "reopen")]).await {
            done(&rig, &report(0), 0).await;
            rig.jira.set_status("OPS-1", "Closed");
            rig.jira.next(endpoint, forbidden());
            let receipt = rig.send(&report(1), &id(1)).await.unwrap();
            assert_eq!(receipt.next(), Next::Done);
            let warning = receipt.warnings[0].to_string();
            assert!(
                warning.contains("OPS-1 cannot be opened again"),
                "{warning}"
            );
            assert_eq!(rig.jira.issues().len(), 2);
        }
    }
}

#[tokio::test]
async fn an_issue_that_may_not_be_read_is_forgotten() {
    for rig in both(&[]).await {
        done(&rig, &report(0), 0).await;
        // Hidden, from the index as well.
        rig.jira.set_summary("OPS-1", "hidden");
        rig.jira.next_n(Endpoint::Read, 3, forbidden());
        let none = serde_json::json!({ "issues": [], "total": 0, "isLast": true });
        rig.jira.next(Endpoint::Search, Reply::json(200, &none));
        done(&rig, &report(1), 1).await;
        assert_eq!(rig.jira.issues().len(), 2);
        let reads = rig.jira.count(Endpoint::Read);
        done(&rig, &report(2), 2).await;
        assert_eq!(rig.jira.issues().len(), 2);
        assert!(rig.jira.count(Endpoint::Read) > reads);
    }
}
