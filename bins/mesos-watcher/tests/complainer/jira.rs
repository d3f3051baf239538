use notifier_testkit::{
    http::{Action, Reply, Request},
    mesos::TaskSpec,
};
use serde_json::json;

use crate::stage::{Stage, Values, flags};

/// What a Jira of one's own says of itself and of its project.
pub(crate) fn answer(request: &Request) -> Option<Action> {
    let path = request.path().split_once("/rest/api/2/")?.1;
    let field = |id: &str, name: &str, kind: &str| {
        json!({
            "fieldId": id, "name": name, "required": false, "operations": ["set"],
            "hasDefaultValue": false, "schema": {"type": kind, "system": id},
        })
    };
    let page = |values: &[serde_json::Value]| {
        json!({
            "startAt": 0, "maxResults": 50, "total": values.len(), "size": values.len(),
            "isLast": true, "last": true, "values": values,
        })
    };
    let answer = match path {
        "serverInfo" => json!({
            "deploymentType": "Server", "version": "8.20.0", "versionNumbers": [8, 20, 0],
        }),
        "myself" => json!({"name": "mesos"}),
        "issue/createmeta/OPS/issuetypes" => {
            page(&[json!({"id": "7", "name": "Incident", "subtask": false})])
        }
        "issue/createmeta/OPS/issuetypes/7" => page(&[
            field("project", "Project", "project"),
            field("issuetype", "Issue Type", "issuetype"),
            field("summary", "Summary", "string"),
            field("description", "Description", "string"),
            field("priority", "Priority", "priority"),
        ]),
        "search" => json!({"startAt": 0, "maxResults": 50, "total": 0, "issues": []}),
        "issue" if request.method == "POST" => {
            return Some(Reply::json(201, &json!({"id": "1", "key": "OPS-1", "self": ""})).into());
        }
        _ => return None,
    };
    Some(Reply::json(200, &answer).into())
}

fn is_issue(r: &Request) -> bool {
    r.method == "POST" && r.path().ends_with("/issue")
}

#[tokio::test(flavor = "multi_thread")]
async fn by_flags_and_by_environment() {
    let stage = Stage::new().await;
    let fields = "Project:OPS;Issue Type:Incident;Priority:High;Summary:{{ .failure.Name }} died;Description:see https://wiki.example/x?a=b:c [stdout|{{ .stdoutURL }}]";
    let values = Values::new([
        ("jira.url", "JIRA_URL", stage.at("/jira/")),
        ("jira.username", "JIRA_USERNAME", "mesos".into()),
        (
            "jira.password",
            "JIRA_PASSWORD",
            "p4sswordOfTheWatcher".into(),
        ),
        (
            "jira.issue_closed_status",
            "JIRA_ISSUE_CLOSED_STATUS",
            "Fixed".into(),
        ),
        ("jira.fields", "JIRA_FIELDS", fields.into()),
    ]);
    let by_flags = (values.flags(&["-reporters=jira"]), vec![]);
    let by_environment = (flags(&["-reporters=jira"]), values.env());
    for (n, (flags, env)) in [by_flags, by_environment].iter().enumerate() {
        let task = TaskSpec::new(format!("web.{n}")).name(format!("web{n}"));
        let told = stage.once(flags, env, task, 1, is_issue).await;
        assert_eq!(told[0].path(), "/jira/rest/api/2/issue");
        // mesos:p4sswordOfTheWatcher
        let basic = "Basic bWVzb3M6cDRzc3dvcmRPZlRoZVdhdGNoZXI=";
        assert_eq!(told[0].header("authorization"), Some(basic));
        let body = told[0].json().unwrap();
        let fields = &body["fields"];
        assert_eq!(fields["summary"], format!("web{n} died"));
        let description = fields["description"].as_str().unwrap();
        let start = "see https://wiki.example/x?a=b:c [stdout|http://127.0.0.1:";
        assert!(description.starts_with(start), "{description}");
        assert_eq!(fields["priority"], json!({"name": "High"}));
        let kind = &fields["issuetype"];
        assert!(kind["name"] == "Incident" || kind["id"] == "7", "{kind}");
        assert_eq!(fields["project"]["key"], "OPS");
        let asked: Vec<String> = stage
            .sink
            .requests()
            .iter()
            .filter(|r| r.path().ends_with("/search"))
            .map(|r| format!("{}{}", r.text(), r.query()))
            .collect();
        assert!(asked.iter().any(|q| q.contains("Fixed")), "{asked:?}");
    }
}
