//! What each request is answered with.

use serde_json::{Value, json};

use super::{
    check,
    issue::JiraIssue,
    jql,
    server::Endpoint,
    state::State,
    within::{set, within},
};
use crate::http::{Reply, Request};

/// A request's path behind `/rest/api/N/`, and N.
fn path(request: &Request) -> Option<(&str, Vec<String>)> {
    let rest = request.path().split_once("/rest/api/")?.1;
    let mut parts = rest.split('/');
    let version = parts.next()?;
    let decode = |part: &str| {
        // The query's decoding, without its plus signs.
        let part = part.replace('+', "%2B");
        let pairs = format!("x={part}");
        url::form_urlencoded::parse(pairs.as_bytes())
            .next()
            .map(|(_, v)| v.into_owned())
            .unwrap_or_default()
    };
    Some((version, parts.map(decode).collect()))
}

pub(super) fn endpoint(request: &Request) -> Endpoint {
    use Endpoint as E;
    let Some((_, parts)) = path(request) else {
        return E::Other;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), &parts[..]) {
        ("GET", ["serverInfo"]) => E::ServerInfo,
        ("GET", ["myself"]) => E::Myself,
        ("GET", ["issue", "createmeta", ..] | ["project", ..]) => E::Meta,
        ("POST", ["search"] | ["search", "jql"]) => E::Search,
        ("POST", ["issue"]) => E::Create,
        ("GET", ["issue", _]) => E::Read,
        ("GET", ["issue", _, "comment"]) => E::Comments,
        ("POST", ["issue", _, "comment"]) => E::Comment,
        ("PUT", ["issue", _, "comment", _]) => E::EditComment,
        ("GET", ["issue", _, "transitions"]) => E::Transitions,
        ("POST", ["issue", _, "transitions"]) => E::Transition,
        ("POST", ["issue", _, "attachments"]) => E::Attach,
        ("GET", ["issue", _, "properties", _]) => E::Property,
        ("PUT", ["issue", _, "properties", _]) => E::SetProperty,
        ("GET", ["user", "properties", _]) => E::UserProperty,
        ("PUT", ["user", "properties", _]) => E::SetUserProperty,
        _ => E::Other,
    }
}

/// A refusal as Jira words it.
pub(super) fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "errorMessages": [message], "errors": {} }))
}

pub(super) fn wrong(fields: &check::Wrong) -> Reply {
    Reply::json(400, &json!({ "errorMessages": [], "errors": fields }))
}

pub(super) fn answer(state: &mut State, endpoint: Endpoint, request: &Request) -> Reply {
    let Some((version, parts)) = path(request) else {
        return Reply::html(404);
    };
    // Version 2 is everywhere, version 3 on Cloud only.
    if version != "2" && !(version == "3" && state.is_cloud) {
        return Reply::html(404);
    }
    if !logged_in(state, request) {
        return unauthorized(state, request);
    }
    let part = |n: usize| parts.get(n).map(String::as_str).unwrap_or_default();
    let is_rich = state.is_cloud && version == "3";
    match endpoint {
        Endpoint::ServerInfo => server_info(state),
        Endpoint::Myself => myself(state),
        Endpoint::Meta => meta(state, request, &parts),
        Endpoint::Search => search(state, request, part(1) == "jql"),
        Endpoint::Create => create(state, request, is_rich),
        Endpoint::Read => read(state, request, part(1)),
        Endpoint::UserProperty | Endpoint::SetUserProperty => {
            user_property(state, request, part(2))
        }
        Endpoint::Other => Reply::json(
            404,
            &json!({ "message": "null for uri", "status-code": 404 }),
        ),
        _ => within(state, endpoint, request, &parts, is_rich),
    }
}

fn logged_in(state: &State, request: &Request) -> bool {
    let Some(header) = request.header("authorization") else {
        return false;
    };
    let basic = base64(format!("{}:{}", state.user, state.token).as_bytes());
    header == format!("Basic {basic}")
        || (!state.is_cloud && header == format!("Bearer {}", state.token))
}

fn unauthorized(state: &State, request: &Request) -> Reply {
    let reply = refusal(401, "Client must be authenticated to access this resource.");
    let reply = reply.header("WWW-Authenticate", "Basic realm=\"jira\"");
    match state.is_cloud || request.header("authorization").is_none() {
        true => reply,
        false => reply.header("X-Seraph-LoginReason", "AUTHENTICATED_FAILED"),
    }
}

fn base64(bytes: &[u8]) -> String {
    const A: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = char::from(A[(n >> (18 - 6 * i)) as usize & 63]);
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

fn server_info(state: &State) -> Reply {
    let (major, minor) = state.version;
    let deployment = if state.is_cloud { "Cloud" } else { "Server" };
    Reply::json(
        200,
        &json!({
            "baseUrl": "http://jira.example",
            "version": format!("{major}.{minor}.0"),
            "versionNumbers": [major, minor, 0],
            "deploymentType": deployment,
            "buildNumber": 100_000,
            "serverTitle": "A fake Jira",
        }),
    )
}

fn myself(state: &State) -> Reply {
    let me = match state.is_cloud {
        true => {
            json!({ "accountId": "5b10ac8d82e05b22cc7d4ef5", "active": true, "displayName": "Watcher" })
        }
        false => {
            json!({ "key": "JIRAUSER1", "name": state.user, "active": true, "displayName": "Watcher" })
        }
    };
    Reply::json(200, &me)
}

/// A page of a list.
fn page(state: &State, request: &Request, name: &str, all: &[Value]) -> Reply {
    let number = |name: &str| request.param(name).and_then(|v| v.parse::<usize>().ok());
    let start = number("startAt").unwrap_or(0).min(all.len());
    // Less than is asked for, so that clients have to ask again.
    let most = number("maxResults").unwrap_or(50).min(3);
    let end = (start + most).min(all.len());
    let mut out = json!({ "startAt": start, "maxResults": most, "total": all.len() });
    if state.is_cloud {
        out[name] = json!(all[start..end]);
    } else {
        out["values"] = json!(all[start..end]);
        out["isLast"] = json!(end == all.len());
        out["last"] = json!(end == all.len());
        out["size"] = json!(end - start);
    }
    Reply::json(200, &out)
}

fn meta(state: &State, request: &Request, parts: &[String]) -> Reply {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let none = || refusal(404, "No project could be found with that key or id.");
    // Data Center says this of a project that is unknown or hidden.
    let no_meta = || match state.is_cloud {
        true => none(),
        false => refusal(400, "The project does not exist, or may not be seen."),
    };
    let has_old = !state.is_cloud && state.version < (9, 0);
    let has_new = state.is_cloud || state.version >= (8, 4);
    match &parts[..] {
        ["issue", "createmeta"] if has_old => old_meta(state, request),
        ["issue", "createmeta", project, "issuetypes"] if has_new => {
            let Some(project) = state.project(project) else {
                return no_meta();
            };
            let all: Vec<Value> = project.types.iter().map(|t| t.meta()).collect();
            page(state, request, "issueTypes", &all)
        }
        ["issue", "createmeta", project, "issuetypes", kind] if has_new => {
            let found = state
                .project(project)
                .and_then(|p| p.types.iter().find(|t| t.id == *kind));
            let Some(kind) = found else { return no_meta() };
            let all: Vec<Value> = kind.fields.iter().map(|f| f.meta()).collect();
            page(state, request, "fields", &all)
        }
        ["project"] if !state.is_cloud => {
            let all: Vec<Value> = state.projects.iter().map(project).collect();
            Reply::json(200, &json!(all))
        }
        ["project", "search"] if state.is_cloud => {
            let all: Vec<Value> = state.projects.iter().map(project).collect();
            page(state, request, "values", &all)
        }
        ["project", key] => match state.project(key) {
            Some(found) => Reply::json(200, &project(found)),
            None => none(),
        },
        _ => refusal(404, "Issue Does Not Exist"),
    }
}

fn project(p: &super::JiraProject) -> Value {
    json!({ "id": p.id, "key": p.key, "name": p.name })
}

/// What Jira said of projects before 8.4.
fn old_meta(state: &State, request: &Request) -> Reply {
    let keys = request.param("projectKeys").unwrap_or_default();
    let projects: Vec<Value> = state
        .project(&keys)
        .into_iter()
        .map(|p| {
            let types: Vec<Value> = p
                .types
                .iter()
                .map(|t| {
                    let mut out = t.meta();
                    let fields: serde_json::Map<String, Value> = t
                        .fields
                        .iter()
                        .map(|f| {
                            let mut meta = f.meta();
                            if let Some(m) = meta.as_object_mut() {
                                m.remove("fieldId");
                                m.remove("key");
                            }
                            (f.id.clone(), meta)
                        })
                        .collect();
                    out["fields"] = Value::Object(fields);
                    out
                })
                .collect();
            let mut out = project(p);
            out["issuetypes"] = json!(types);
            out
        })
        .collect();
    Reply::json(200, &json!({ "projects": projects }))
}

fn search(state: &State, request: &Request, is_new: bool) -> Reply {
    if state.is_cloud != is_new {
        return match is_new {
            true => Reply::json(
                404,
                &json!({ "message": "null for uri", "status-code": 404 }),
            ),
            false => refusal(
                410,
                "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.",
            ),
        };
    }
    let Some(body) = request.json() else {
        return refusal(400, "There was an error parsing JSON.");
    };
    let jql = body["jql"].as_str().unwrap_or_default();
    if jql.trim().is_empty() && is_new {
        return refusal(400, "Unbounded JQL queries are not allowed here.");
    }
    let query = match jql::parse(jql).and_then(|q| q.check(state).map(|()| q)) {
        Ok(query) => query,
        Err(why) => return refusal(400, &why),
    };
    let found: Vec<&JiraIssue> = state
        .indexed()
        .into_iter()
        .filter(|i| query.fits(i, state))
        .collect();
    let most = body["maxResults"].as_u64().unwrap_or(50).min(50) as usize;
    let start = match is_new {
        true => body["nextPageToken"].as_str().and_then(|t| t.parse().ok()),
        false => body["startAt"].as_u64().map(|n| n as usize),
    };
    let start = start.unwrap_or(0).min(found.len());
    let end = (start + most).min(found.len());
    let names: Option<Vec<&str>> = body["fields"]
        .as_array()
        .map(|a| a.iter().filter_map(Value::as_str).collect());
    let names = match (&names, is_new) {
        (Some(names), _) => &names[..],
        (None, true) => &[],
        (None, false) => &["summary", "status", "labels"],
    };
    let issues: Vec<Value> = found[start..end]
        .iter()
        .map(|i| issue_json(state, i, names))
        .collect();
    let out = match (is_new, end == found.len()) {
        (true, true) => json!({ "issues": issues, "isLast": true }),
        (true, false) => {
            json!({ "issues": issues, "isLast": false, "nextPageToken": end.to_string() })
        }
        (false, _) => json!({
            "startAt": start, "maxResults": most, "total": found.len(), "issues": issues,
        }),
    };
    Reply::json(200, &out)
}

fn issue_json(state: &State, issue: &JiraIssue, names: &[&str]) -> Value {
    let mut fields = serde_json::Map::new();
    for name in names {
        let value = match *name {
            "summary" => json!(issue.summary),
            "labels" => json!(issue.labels),
            "status" => state
                .project(&issue.project)
                .map(|p| p.status(&issue.status))
                .unwrap_or_default(),
            "attachment" => issue
                .attachments
                .iter()
                .map(|a| json!({ "filename": a.name, "size": a.bytes.len() }))
                .collect(),
            other => issue.fields[other].clone(),
        };
        fields.insert((*name).to_owned(), value);
    }
    json!({
        "id": issue.id,
        "key": issue.key,
        "self": format!("http://jira.example/rest/api/2/issue/{}", issue.id),
        "fields": fields,
    })
}

fn create(state: &mut State, request: &Request, is_rich: bool) -> Reply {
    let Some(body) = request.json().filter(|b| b["fields"].is_object()) else {
        return refusal(400, "There was an error parsing JSON.");
    };
    let fields = &body["fields"];
    let wanted = &fields["project"];
    let name = wanted["key"].as_str().or(wanted["id"].as_str());
    let found = state
        .projects
        .iter()
        .find(|p| Some(p.key.as_str()) == name || Some(p.id.as_str()) == name);
    let Some(project) = found else {
        let why = [("project".to_owned(), "valid project is required".to_owned())];
        return wrong(&why.into());
    };
    let wanted = &fields["issuetype"];
    let kind = project
        .types
        .iter()
        .find(|t| wanted["id"] == t.id.as_str() || wanted["name"] == t.name.as_str());
    let Some(kind) = kind else {
        let why = "The issue type selected is invalid.".to_owned();
        return wrong(&[("issuetype".to_owned(), why)].into());
    };
    let complaints = check::fields(kind, fields, is_rich);
    if !complaints.is_empty() {
        return wrong(&complaints);
    }
    let (key, kind) = (project.key.clone(), kind.id.clone());
    let key = add(state, &key, &kind, fields.clone());
    let properties = body["properties"].as_array().cloned().unwrap_or_default();
    let Some(issue) = state.issue(&key) else {
        return Reply::new(500);
    };
    for p in properties {
        if let Some(name) = p["key"].as_str() {
            issue.properties.insert(name.to_owned(), p["value"].clone());
        }
    }
    let made = json!({
        "id": issue.id,
        "key": issue.key,
        "self": format!("http://jira.example/rest/api/2/issue/{}", issue.id),
    });
    Reply::json(201, &made)
}

/// Makes an issue, unchecked; its key.
pub(super) fn add(state: &mut State, project: &str, kind: &str, fields: Value) -> String {
    let id = state.next_id();
    let number = state.issues.iter().filter(|i| i.project == project).count() + 1;
    let key = format!("{project}-{number}");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let status = state
        .project(project)
        .and_then(|p| p.statuses.first())
        .map(|(name, _)| name.clone())
        .unwrap_or_default();
    state.issues.push(JiraIssue {
        id,
        key: key.clone(),
        project: project.to_owned(),
        kind: kind.to_owned(),
        summary: text(&fields["summary"]).trim().to_owned(),
        labels: fields["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect(),
        status,
        fields,
        comments: Vec::new(),
        attachments: Vec::new(),
        properties: Default::default(),
        transitions: 0,
    });
    state.reindex(&key);
    key
}

pub(super) fn gone() -> Reply {
    refusal(
        404,
        "Issue does not exist or you do not have permission to see it.",
    )
}

fn read(state: &mut State, request: &Request, key: &str) -> Reply {
    let Some(issue) = state.issue(key).cloned() else {
        return gone();
    };
    let names = request.param("fields").unwrap_or_default();
    let names: Vec<&str> = match names.is_empty() {
        true => vec!["summary", "status", "labels", "description"],
        false => names.split(',').collect(),
    };
    Reply::json(200, &issue_json(state, &issue, &names))
}

fn user_property(state: &mut State, request: &Request, key: &str) -> Reply {
    if !state.has_user_properties {
        return Reply::json(
            404,
            &json!({ "message": "null for uri", "status-code": 404 }),
        );
    }
    let is_me = match state.is_cloud {
        true => request.param("accountId").as_deref() == Some("5b10ac8d82e05b22cc7d4ef5"),
        false => request.param("username").as_deref() == Some(state.user.as_str()),
    };
    if !is_me {
        return refusal(403, "You do not have permission to administer the user.");
    }
    if request.method == "GET" {
        return match state.user_properties.get(key) {
            Some(value) => Reply::json(200, &json!({ "key": key, "value": value })),
            None => refusal(404, &format!("The property {key} does not exist.")),
        };
    }
    match request.json() {
        Some(value) if request.body.len() <= 32_768 => {
            let is_new = state
                .user_properties
                .insert(key.to_owned(), value)
                .is_none();
            set(state.is_cloud, is_new)
        }
        _ => refusal(400, "The property value is invalid."),
    }
}
