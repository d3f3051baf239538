//! One issue for what is the same, as long as it is open.

use notifier_core::{DeliveryId, Next, ReportOptions, Reporter};
use notifier_testkit::{
    http::Action,
    jira::{Endpoint, FakeJira, JiraProject},
};

use crate::rig::{FIELDS, Rig, failure, id, report};

async fn both(others: &[(&str, &str)]) -> [Rig; 2] {
    [Rig::cloud(others).await, Rig::data_center(others).await]
}

async fn done(rig: &Rig, n: usize) -> Option<String> {
    let receipt = rig.send(&report(n), &id(n)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    receipt.targets[0].verdict.as_ref().unwrap().id.clone()
}

#[tokio::test]
async fn a_thousand_repeats_under_an_index_that_lags_make_one_issue() {
    let [cloud, data_center] = both(&[]).await;
    let [alone, _] = both(&[]).await;
    // By what the reporter itself remembers.
    alone.jira.has_user_properties(false);
    for rig in [cloud, data_center, alone] {
        rig.jira.lag(std::time::Duration::from_secs(60));
        for n in 0..1000 {
            assert_eq!(done(&rig, n).await.as_deref(), Some("OPS-1"));
            // Two hours in all: long within the lag, and long after it.
            rig.advance(if n < 500 { 0 } else { 14 });
        }
        assert_eq!(rig.jira.issues().len(), 1);
        assert_eq!(rig.jira.count(Endpoint::Create), 1);
    }
}

#[tokio::test]
async fn restarts_within_the_lag_make_one_issue() {
    for mut rig in both(&[]).await {
        rig.jira.lag(std::time::Duration::from_secs(60));
        for n in 0..100 {
            done(&rig, n).await;
            rig.advance(1);
            rig.restart();
        }
        assert_eq!(rig.jira.issues().len(), 1);
        assert!(rig.jira.user_property("notifier-recent")["issues"].is_object());
    }
}

#[tokio::test]
async fn two_at_the_same_time_make_one_issue() {
    for rig in both(&[]).await {
        rig.jira.lag(std::time::Duration::from_secs(60));
        let (a, b) = tokio::join!(done(&rig, 1), done(&rig, 2));
        assert_eq!(a, b);
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn an_instance_without_user_properties_is_written_none() {
    for rig in both(&[]).await {
        rig.jira.has_user_properties(false);
        done(&rig, 1).await;
        assert_eq!(rig.jira.count(Endpoint::SetUserProperty), 0);
        assert_eq!(rig.jira.issues().len(), 1);
    }
}

#[tokio::test]
async fn an_issue_of_another_program_counts_by_its_summary() {
    for rig in both(&[]).await {
        let key = rig
            .jira
            .add_issue("OPS", "Task web died with status TASK_FAILED");
        // The search finds these, too: its words are in them.
        rig.jira
            .add_issue("OPS", "Again: Task web died with status TASK_FAILED");
        rig.jira
            .add_issue("OPS", "Task web died with status TASK_FAILED!?");
        assert_eq!(done(&rig, 1).await, Some(key.clone()));
        assert_eq!(rig.jira.count(Endpoint::Create), 0);
        rig.jira.set_status(&key, "Closed");
        assert_ne!(done(&rig, 2).await, Some(key));
        assert_eq!(rig.jira.count(Endpoint::Create), 1);
    }
}

#[tokio::test]
async fn a_summary_that_a_person_changed_is_the_same_issue() {
    for mut rig in both(&[]).await {
        done(&rig, 1).await;
        rig.jira.set_summary("OPS-1", "web: disk full");
        rig.restart();
        rig.advance(3600);
        assert_eq!(done(&rig, 2).await.as_deref(), Some("OPS-1"));
    }
}

#[tokio::test]
async fn closed_within_the_lag_is_closed() {
    for rig in both(&[]).await {
        rig.jira
            .add_issue("OPS", "Task web died with status TASK_FAILED");
        rig.jira.lag(std::time::Duration::from_secs(60));
        rig.jira.set_status("OPS-1", "Closed");
        assert_eq!(done(&rig, 1).await.as_deref(), Some("OPS-2"));
        rig.jira.set_status("OPS-2", "Closed");
        assert_eq!(done(&rig, 2).await.as_deref(), Some("OPS-3"));
        rig.jira.delete("OPS-3");
        assert_eq!(rig.jira.issues().len(), 2);
        done(&rig, 3).await;
        assert_eq!(rig.jira.issues().len(), 3);
    }
}

#[tokio::test]
async fn which_status_is_closed_is_an_option() {
    let workflow = || {
        JiraProject::new("OPS").statuses([
            ("Open", "new"),
            ("Resolved", "done"),
            ("Closed", "done"),
        ])
    };
    for (closed, is_again) in [("Closed", false), ("Resolved", true), ("", true)] {
        for jira in [
            FakeJira::cloud().await.unwrap(),
            FakeJira::data_center().await.unwrap(),
        ] {
            jira.project(workflow());
            let rig = Rig::new(jira, &[("issue_closed_status", closed)]);
            done(&rig, 1).await;
            rig.jira.set_status("OPS-1", "Resolved");
            done(&rig, 2).await;
            assert_eq!(
                rig.jira.issues().len(),
                if is_again { 2 } else { 1 },
                "{closed:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_status_that_there_is_not_is_told_and_loses_nothing() {
    for jira in [
        FakeJira::cloud().await.unwrap(),
        FakeJira::data_center().await.unwrap(),
    ] {
        jira.project(JiraProject::new("OPS").statuses([("To Do", "new"), ("Done", "done")]));
        let rig = Rig::new(jira, &[]);
        let receipt = rig.send(&report(1), &id(1)).await.unwrap();
        assert_eq!(receipt.next(), Next::Done);
        let warning = receipt.warnings[0].report().to_string();
        assert!(warning.contains("jira.issue_closed_status"), "{warning}");
        assert!(
            warning.contains("does not exist for the field"),
            "{warning}"
        );
        done(&rig, 2).await;
        assert_eq!(rig.jira.issues().len(), 1);
        rig.jira.set_status("OPS-1", "Done");
        let receipt = rig.send(&report(3), &id(3)).await.unwrap();
        assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
        assert_eq!(rig.jira.issues().len(), 2);
    }
}

#[tokio::test]
async fn summaries_of_every_kind_are_found_again() {
    for name in [
        "a \"quoted\" \\ name OR 1=1",
        "status = Closed ORDER BY created",
        "b/c:d (e) [f] {g} ~h* i? +j -k !l ^m & | n",
        "日本語 🦀",
        "!!!",
        "'single' \\",
        "a.b.c_d-e",
    ] {
        for mut rig in both(&[(
            "fields",
            "Project:OPS;Issue Type:Bug;Summary:{{ .failure.Name }}",
        )])
        .await
        {
            for n in 0..3 {
                let mut f = failure(n);
                f.name = name.to_owned();
                let receipt = rig
                    .send(&notifier_core::Report::failure(f), &id(n))
                    .await
                    .unwrap();
                assert_eq!(receipt.next(), Next::Done, "{name}: {receipt:?}");
                // By the search alone.
                rig.restart();
                rig.advance(7200);
            }
            assert_eq!(rig.jira.issues().len(), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn other_projects_and_types_have_their_own() {
    let jira = FakeJira::data_center().await.unwrap();
    jira.project(JiraProject::new("DEV").named("10001", "Development"));
    let rig = Rig::new(jira, &[]);
    done(&rig, 1).await;
    for (n, fields) in [
        FIELDS.replace("OPS", "DEV"),
        // The summary is the same, so it counts, as with the original.
        FIELDS.replace("Bug", "Task"),
    ]
    .iter()
    .enumerate()
    {
        let settings = crate::rig::settings(&rig.jira, &[("fields", fields)]);
        let delivery = DeliveryId::new(id(n + 2));
        let settings = settings.instance("default");
        let opts = ReportOptions::new(&delivery, &settings);
        let receipt = rig.reporter.report(&report(n + 2), &opts).await.unwrap();
        assert_eq!(receipt.next(), Next::Done);
    }
    let keys: Vec<String> = rig.jira.issues().into_iter().map(|i| i.key).collect();
    assert_eq!(keys, ["OPS-1", "DEV-1"]);
}

#[tokio::test]
async fn a_search_that_fails_makes_nothing() {
    for rig in both(&[]).await {
        rig.jira.next(Endpoint::Search, Action::status(503));
        let e = rig.send(&report(1), &id(1)).await.unwrap_err();
        assert!(e.is_retryable() && e.delivery() == notifier_core::Delivery::NotDelivered);
        assert_eq!(rig.jira.issues().len(), 0);
    }
}

#[tokio::test]
async fn a_status_that_is_added_is_seen_after_a_while() {
    for jira in [
        FakeJira::cloud().await.unwrap(),
        FakeJira::data_center().await.unwrap(),
    ] {
        let old = [("To Do", "new"), ("Done", "done")];
        jira.project(JiraProject::new("OPS").statuses(old));
        let rig = Rig::new(jira, &[]);
        done(&rig, 1).await;
        let new = old.into_iter().chain([("Closed", "done")]);
        rig.jira.project(JiraProject::new("OPS").statuses(new));
        rig.advance(600);
        rig.jira.set_status("OPS-1", "Done");
        assert_eq!(done(&rig, 2).await.as_deref(), Some("OPS-1"));
    }
}
