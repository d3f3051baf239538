//! The fake Jira itself.

use std::time::Duration;

use notifier_testkit::http::Action;
use notifier_testkit::jira::{Endpoint, FakeJira, JiraField, JiraProject, JiraType};
use serde_json::{Value, json};

struct Client<'a>(reqwest::Client, &'a FakeJira);

impl<'a> Client<'a> {
    fn new(jira: &'a FakeJira) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(reqwest::Client::new(), jira)
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/rest/api/{path}", self.1.url());
        let mut request = self
            .0
            .request(method, url)
            .basic_auth(self.1.user(), Some(self.1.token()));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn search(&self, jql: &str) -> Result<Vec<String>, String> {
        let (path, fields) = ("2/search", json!(["summary"]));
        let (status, body) = self
            .send("POST", path, Some(json!({ "jql": jql, "fields": fields })))
            .await;
        if status != 200 {
            return Err(body["errorMessages"][0].as_str().unwrap().to_owned());
        }
        let keys = body["issues"].as_array().unwrap().iter();
        Ok(keys
            .map(|i| i["key"].as_str().unwrap().to_owned())
            .collect())
    }
}

fn bug(fields: &Value) -> Value {
    let mut all =
        json!({ "project": { "key": "OPS" }, "issuetype": { "name": "Bug" }, "summary": "s" });
    for (k, v) in fields.as_object().unwrap() {
        all[k] = v.clone();
    }
    json!({ "fields": all })
}

#[tokio::test]
async fn queries_are_evaluated() {
    let jira = FakeJira::data_center().await.unwrap();
    let client = Client::new(&jira);
    let a = jira.add_issue("OPS", "Task web died: \"a\"");
    let b = jira.add_issue("OPS", "Task web lives");
    jira.set_status(&b, "Closed");
    for (jql, expected) in [
        ("project = \"OPS\" ORDER BY created DESC", vec![&b, &a]),
        ("project = OPS AND status != \"Closed\"", vec![&a]),
        ("project = OPS AND statusCategory = Done", vec![&b]),
        ("summary ~ \"\\\"task web\\\"\"", vec![&b, &a]),
        ("summary ~ \"\\\"web task\\\"\"", vec![]),
        ("summary ~ \"web task\"", vec![&b, &a]),
        (
            "summary ~ \"\\\"died\\\\: \\\\\\\"a\\\\\\\"\\\"\"",
            vec![&a],
        ),
        ("NOT (status = Closed OR labels = x)", vec![&a]),
        ("key in (OPS-1, OPS-9)", vec![&a]),
    ] {
        let found = client.search(jql).await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{jql}");
    }
    for (jql, why) in [
        ("project = \"NO\"", "The value 'NO' does not exist"),
        ("status = Resolved", "The value 'Resolved' does not exist"),
        ("summary ~ \"\\\"a\"", "Unable to parse the text"),
        ("summary = a", "not supported"),
        ("a = b", "does not exist or you do not have permission"),
        ("project = \"OPS", "has not been completed"),
        ("project = \"\\x\"", "illegal JQL escape"),
        ("project = OPS OPS", "Expecting either"),
        ("project = OR", "Expecting a value"),
    ] {
        let e = client.search(jql).await.unwrap_err();
        assert!(e.contains(why), "{jql}: {e}");
    }
}

#[tokio::test]
async fn the_index_lags_and_the_issue_does_not() {
    let jira = FakeJira::data_center().await.unwrap();
    let client = Client::new(&jira);
    jira.lag(Duration::from_secs(60));
    let (status, made) = client.send("POST", "2/issue", Some(bug(&json!({})))).await;
    assert_eq!((status, &made["key"]), (201, &json!("OPS-1")));
    assert_eq!(client.search("project = OPS").await.unwrap().len(), 0);
    assert_eq!(client.send("GET", "2/issue/OPS-1", None).await.0, 200);
    jira.clock().advance(Duration::from_secs(60));
    assert_eq!(client.search("project = OPS").await.unwrap().len(), 1);
    jira.set_status("OPS-1", "Closed");
    assert_eq!(client.search("status = Open").await.unwrap().len(), 1);
    jira.clock().advance(Duration::from_secs(60));
    assert_eq!(client.search("status = Open").await.unwrap().len(), 0);
}

#[tokio::test]
async fn issues_are_checked() {
    let jira = FakeJira::data_center().await.unwrap();
    let field = JiraField::new("customfield_1", "Team", json!({ "type": "option" })).required();
    jira.project(JiraProject::new("OPS").types([JiraType::new("1", "Bug").with_field(field)]));
    let client = Client::new(&jira);
    let ok = json!({ "customfield_1": { "value": "x" } });
    for (fields, field) in [
        (json!({ "summary": "x".repeat(256) }), "summary"),
        (json!({ "summary": "a\nb" }), "summary"),
        (json!({ "summary": " " }), "summary"),
        (json!({ "description": {} }), "description"),
        (json!({ "description": "x".repeat(32_768) }), "description"),
        (json!({ "labels": ["a b"] }), "labels"),
        (json!({ "nope": 1 }), "nope"),
        (json!({ "customfield_1": null }), "customfield_1"),
        (json!({ "issuetype": { "id": "9" } }), "issuetype"),
        (json!({ "project": { "key": "X" } }), "project"),
    ] {
        let mut body = bug(&ok);
        for (k, v) in fields.as_object().unwrap() {
            body["fields"][k] = v.clone();
        }
        let (status, answer) = client.send("POST", "2/issue", Some(body)).await;
        assert_eq!(status, 400);
        assert!(answer["errors"][field].is_string(), "{field}: {answer}");
    }
    assert_eq!(client.send("POST", "2/issue", Some(bug(&ok))).await.0, 201);
    assert_eq!(jira.issues().len(), 1);
}

#[tokio::test]
async fn cloud_wants_documents_and_its_own_search() {
    let jira = FakeJira::cloud().await.unwrap();
    let client = Client::new(&jira);
    let text = bug(&json!({ "description": "text" }));
    assert_eq!(client.send("POST", "3/issue", Some(text)).await.0, 400);
    let doc = json!({ "type": "doc", "version": 1, "content": [] });
    let made = client
        .send("POST", "3/issue", Some(bug(&json!({ "description": doc }))))
        .await;
    assert_eq!(made.0, 201);
    let body = json!({ "jql": "project = OPS" });
    assert_eq!(
        client.send("POST", "3/search", Some(body.clone())).await.0,
        410
    );
    let (status, found) = client.send("POST", "3/search/jql", Some(body)).await;
    assert_eq!((status, &found["issues"][0]["fields"]), (200, &json!({})));
}

#[tokio::test]
async fn work_can_be_done_and_its_answer_lost() {
    let jira = FakeJira::data_center().await.unwrap();
    let client = Client::new(&jira);
    jira.after(Endpoint::Create, Action::status(504));
    jira.next(Endpoint::Create, Action::status(503));
    assert_eq!(
        client
            .send("POST", "2/issue", Some(bug(&json!({}))))
            .await
            .0,
        504
    );
    assert_eq!(jira.issues().len(), 1);
    assert_eq!(
        client
            .send("POST", "2/issue", Some(bug(&json!({}))))
            .await
            .0,
        503
    );
    assert_eq!((jira.issues().len(), jira.count(Endpoint::Create)), (1, 2));
}

#[tokio::test]
async fn transitions_move_an_issue() {
    let jira = FakeJira::data_center().await.unwrap();
    let client = Client::new(&jira);
    let key = jira.add_issue("OPS", "a");
    jira.set_status(&key, "Closed");
    let path = format!("2/issue/{key}/transitions");
    let (_, all) = client.send("GET", &path, None).await;
    assert_eq!(all["transitions"][0]["to"]["name"], "Open");
    let wanted = json!({ "transition": { "id": all["transitions"][0]["id"] } });
    assert_eq!(
        client.send("POST", &path, Some(wanted.clone())).await.0,
        204
    );
    assert_eq!(jira.issues()[0].status, "Open");
    assert_eq!(client.send("POST", &path, Some(wanted)).await.0, 400);
}

#[tokio::test]
async fn who_does_not_log_in_sees_nothing() {
    let jira = FakeJira::data_center().await.unwrap();
    let client = Client::new(&jira);
    assert_eq!(client.send("GET", "2/myself", None).await.0, 200);
    let url = format!("{}/rest/api/2/myself", jira.url());
    assert_eq!(client.0.get(&url).send().await.unwrap().status(), 401);
    let by_token = client.0.get(&url).bearer_auth(jira.token());
    assert_eq!(by_token.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_unknown_project_is_refused_by_each_flavour_in_its_way() {
    for (jira, status) in [
        (FakeJira::cloud().await.unwrap(), 404),
        (FakeJira::data_center().await.unwrap(), 400),
    ] {
        let client = Client::new(&jira);
        for path in ["NOPE/issuetypes", "NOPE/issuetypes/1"] {
            let path = format!("2/issue/createmeta/{path}");
            let (found, body) = client.send("GET", &path, None).await;
            assert_eq!(found, status, "{path}");
            assert!(body["errorMessages"][0].is_string(), "{body}");
        }
    }
}
