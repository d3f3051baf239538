//! Fields by their names.

use notifier_core::{ErrorKind, Next, Reporter, Scope};
use notifier_testkit::{
    http::Reply,
    jira::{Endpoint, FakeJira, JiraField, JiraProject, JiraType},
};
use serde_json::json;

use crate::rig::{Rig, id, report};

fn project() -> JiraProject {
    let custom = |n: u32, name: &str, kind: &str| {
        JiraField::new(
            &format!("customfield_1001{n}"),
            name,
            json!({ "type": kind }),
        )
    };
    let area = json!({ "type": "string", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:textarea" });
    JiraProject::new("OPS").types([
        JiraType::new("7", "Incident")
            .with_field(custom(0, "Severity", "option"))
            .with_field(custom(1, "Runbook", "string"))
            .with_field(custom(2, "Cost", "number"))
            .with_field(JiraField::new(
                "assignee",
                "Assignee",
                json!({ "type": "user" }),
            ))
            .with_field(JiraField::new("customfield_10013", "Notes", area)),
        JiraType::new("1", "Bug"),
    ])
}

async fn rig(is_cloud: bool, fields: &str) -> Rig {
    let jira = match is_cloud {
        true => FakeJira::cloud().await.unwrap(),
        false => FakeJira::data_center().await.unwrap(),
    };
    jira.project(project());
    Rig::new(jira, &[("fields", fields)])
}

#[tokio::test]
async fn names_become_ids_and_texts_become_values() {
    let fields = "project: OPS; issue type: incident;Summary:s;\n severity:High;\n\
                  Runbook:https://wiki.example/x?a=b\\;c:d;customfield_10012: 3.5;Assignee:me;\
                  Fix Version/s:1.0, 2.0;Notes:see [x|http://y];Priority:High;";
    let rig = rig(true, fields).await;
    rig.reporter.check(&rig.settings).await.unwrap();
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(
        (receipt.next(), receipt.warnings.len()),
        (Next::Done, 0),
        "{receipt:?}"
    );
    let f = &rig.jira.issues()[0].fields;
    assert_eq!(f["issuetype"], json!({ "id": "7" }));
    assert_eq!(f["customfield_10010"], json!({ "value": "High" }));
    assert_eq!(f["customfield_10011"], "https://wiki.example/x?a=b;c:d");
    assert_eq!(f["customfield_10012"], json!(3.5));
    assert_eq!(f["assignee"], json!({ "accountId": "me" }));
    assert_eq!(
        f["fixVersions"],
        json!([{ "name": "1.0" }, { "name": "2.0" }])
    );
    assert_eq!(f["customfield_10013"]["type"], "doc");
    assert_eq!(f["priority"], json!({ "name": "High" }));
}

#[tokio::test]
async fn the_same_on_data_center() {
    let fields = "Project:OPS;Issue Type:7;Summary:s;Assignee:me;Notes:see [x|http://y];Cost:much";
    let rig = rig(false, fields).await;
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    let warning = receipt.warnings[0].to_string();
    assert_eq!(
        warning,
        "jira.fields, Cost: \"much\" is no number; it was left out"
    );
    let f = &rig.jira.issues()[0].fields;
    assert_eq!(f["assignee"], json!({ "name": "me" }));
    assert_eq!(f["customfield_10013"], "see [x|http://y]");
}

#[tokio::test]
async fn a_project_has_a_key_an_id_and_a_name() {
    for name in ["OPS", "10000", "project ops", "ops"] {
        for is_cloud in [true, false] {
            let fields = format!("Project:{name};Issue Type:Bug;Summary:s");
            let rig = rig(is_cloud, &fields).await;
            let receipt = rig.send(&report(1), &id(1)).await;
            assert_eq!(receipt.unwrap().next(), Next::Done, "{name}");
        }
    }
}

#[tokio::test]
async fn what_there_is_not_is_named_with_what_there_is() {
    for is_cloud in [true, false] {
        for (fields, expected) in [
            (
                "Project:NOPE;Issue Type:Bug;Summary:s",
                "jira.fields: this user sees no project \"NOPE\"; it sees OPS",
            ),
            (
                "Project:OPS;Issue Type:Story;Summary:s",
                "jira.fields: project OPS has no issue type \"Story\"; it offers Incident, Bug",
            ),
            (
                "Project:OPS;Issue Type:Bug;Summary:s;Severity:x",
                "jira.fields: issue type Bug of project OPS has no field \"Severity\"; it offers Project, Summary, Issue Type, Description, Priority, Labels, Fix Version/s",
            ),
        ] {
            let rig = rig(is_cloud, fields).await;
            let e = rig.send(&report(1), &id(1)).await.unwrap_err();
            assert_eq!(e.to_string(), expected);
            assert_eq!(
                (e.kind(), e.scope()),
                (ErrorKind::Config, Scope::Destination)
            );
            let e = rig.reporter.check(&rig.settings).await.unwrap_err();
            assert_eq!(e.to_string(), expected);
            assert_eq!(rig.jira.issues().len(), 0);
        }
    }
}

#[tokio::test]
async fn a_field_that_is_missing_is_named() {
    let jira = FakeJira::data_center().await.unwrap();
    let team = JiraField::new("customfield_1", "Team", json!({ "type": "string" })).required();
    jira.project(JiraProject::new("OPS").types([JiraType::new("1", "Bug").with_field(team)]));
    let rig = Rig::new(jira, &[]);
    let e = rig.reporter.check(&rig.settings).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        "jira.fields: issue type Bug of project OPS needs Team; add to the fields"
    );
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    let e = receipt.error().unwrap();
    assert!(
        e.to_string().contains("customfield_1: Team is required."),
        "{e}"
    );
    assert_eq!(e.scope(), Scope::Destination);
}

#[tokio::test]
async fn what_changes_in_jira_is_seen_after_a_refusal() {
    let rig = rig(
        false,
        "Project:OPS;Issue Type:Incident;Summary:s;Severity:x",
    )
    .await;
    let _ = rig.send(&report(1), &id(1)).await.unwrap();
    rig.jira.set_status("OPS-1", "Closed");
    // The field's id changes: what is cached is wrong.
    let severity =
        JiraField::new("customfield_2", "Severity", json!({ "type": "option" })).required();
    rig.jira.project(
        JiraProject::new("OPS").types([JiraType::new("7", "Incident").with_field(severity)]),
    );
    let receipt = rig.send(&report(2), &id(2)).await.unwrap();
    assert_ne!(receipt.next(), Next::Done);
    let receipt = rig.send(&report(3), &id(3)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
}

#[tokio::test]
async fn a_field_that_is_added_is_seen_at_once() {
    let rig = rig(false, "Project:OPS;Issue Type:Incident;Summary:s;Team:x").await;
    let e = rig.send(&report(1), &id(1)).await.unwrap_err();
    assert!(e.to_string().contains("has no field \"Team\""), "{e}");
    let team = JiraField::new("customfield_1", "Team", json!({ "type": "string" }));
    rig.jira
        .project(JiraProject::new("OPS").types([JiraType::new("7", "Incident").with_field(team)]));
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
}

#[tokio::test]
async fn a_description_of_another_name_is_one() {
    let text = json!({ "type": "string", "system": "description" });
    let kind = JiraType::new("1", "Bug")
        .without_field("description")
        .with_field(JiraField::new("description", "Beschreibung", text));
    for jira in [
        FakeJira::cloud().await.unwrap(),
        FakeJira::data_center().await.unwrap(),
    ] {
        jira.project(JiraProject::new("OPS").types([kind.clone()]));
        let rig = Rig::new(jira, &[]);
        let receipt = rig.send(&report(1), &id(1)).await.unwrap();
        assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
        let sent = rig.jira.issues()[0].description().to_string();
        assert!(sent.contains("ID=web.1"), "{sent}");
    }
}

#[tokio::test]
async fn fields_that_cannot_be_had_make_no_issue_without_them() {
    for is_cloud in [true, false] {
        let rig = rig(is_cloud, crate::rig::FIELDS).await;
        let types = json!({ "issueTypes": [{ "id": "1", "name": "Bug" }], "total": 1 });
        rig.jira.next(Endpoint::Meta, Reply::json(200, &types));
        rig.jira.next(Endpoint::Meta, Reply::html(404));
        let e = rig.send(&report(1), &id(1)).await.unwrap_err();
        assert_eq!(
            (e.kind(), e.scope()),
            (ErrorKind::Config, Scope::Destination)
        );
        assert_eq!(rig.jira.issues().len(), 0);
    }
}
