//! What is asked of one issue.

use serde_json::{Value, json};

use super::{
    check,
    issue::{JiraAttachment, JiraComment, JiraIssue},
    routes::{gone, refusal, wrong},
    server::Endpoint,
    state::State,
};
use crate::http::{Reply, Request};

/// The answer to a property that was set.
pub(super) fn set(is_cloud: bool, is_new: bool) -> Reply {
    let status = if is_new { 201 } else { 200 };
    match is_cloud {
        true => Reply::json(status, &json!({})),
        false => Reply::new(status),
    }
}

/// What is asked of one issue.
pub(super) fn within(
    state: &mut State,
    endpoint: Endpoint,
    request: &Request,
    parts: &[String],
    is_rich: bool,
) -> Reply {
    let part = |n: usize| parts.get(n).map(String::as_str).unwrap_or_default();
    let key = part(1).to_owned();
    if state.issue(&key).is_none() {
        return gone();
    }
    let id = match endpoint {
        Endpoint::Comment => state.next_id(),
        _ => String::new(),
    };
    if matches!(endpoint, Endpoint::Transitions | Endpoint::Transition) {
        return transition(state, request, &key);
    }
    let is_cloud = state.is_cloud;
    let Some(issue) = state.issue(&key) else {
        return gone();
    };
    match endpoint {
        Endpoint::Comments => {
            let newest_first = request.param("orderBy").as_deref() == Some("-created");
            let mut all: Vec<Value> = issue
                .comments
                .iter()
                .map(|c| json!({ "id": c.id, "body": c.body }))
                .collect();
            if newest_first {
                all.reverse();
            }
            let most = request.param("maxResults").and_then(|v| v.parse().ok());
            all.truncate(most.unwrap_or(50));
            let total = issue.comments.len();
            Reply::json(
                200,
                &json!({ "startAt": 0, "maxResults": 50, "total": total, "comments": all }),
            )
        }
        Endpoint::Comment | Endpoint::EditComment => {
            let body = request.json().unwrap_or_default()["body"].clone();
            if let Err(why) = check::rich(&body, is_rich) {
                return wrong(&[("comment".to_owned(), why)].into());
            }
            if endpoint == Endpoint::Comment {
                issue
                    .comments
                    .push(JiraComment::new(id.clone(), body.clone()));
                return Reply::json(201, &json!({ "id": id, "body": body }));
            }
            let Some(comment) = issue.comments.iter_mut().find(|c| c.id == part(3)) else {
                return refusal(
                    404,
                    &format!("Can not find a comment for the id: {}.", part(3)),
                );
            };
            comment.body.clone_from(&body);
            comment.edits += 1;
            Reply::json(200, &json!({ "id": comment.id, "body": body }))
        }
        Endpoint::Property => match issue.properties.get(part(3)) {
            Some(value) => Reply::json(200, &json!({ "key": part(3), "value": value })),
            None => refusal(404, &format!("The property {} does not exist.", part(3))),
        },
        Endpoint::SetProperty => match request.json() {
            Some(value) if request.body.len() <= 32_768 => {
                let old = issue.properties.insert(part(3).to_owned(), value);
                set(is_cloud, old.is_none())
            }
            _ => refusal(400, "The property value is invalid."),
        },
        Endpoint::Attach => attach(issue, request),
        _ => Reply::new(405),
    }
}

fn transition(state: &mut State, request: &Request, key: &str) -> Reply {
    let Some(issue) = state.issue(key).cloned() else {
        return gone();
    };
    let Some(project) = state.project(&issue.project).cloned() else {
        return gone();
    };
    let all: Vec<(String, &str)> = project
        .statuses
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| *name != issue.status)
        // As with most workflows: what is closed is opened again, not worked on.
        .filter(|(n, _)| !project.is_done(&issue.status) || *n == 0)
        .map(|(n, (name, _))| ((n * 10 + 1).to_string(), name.as_str()))
        .collect();
    if request.method == "GET" {
        let all: Vec<Value> = all
            .iter()
            .map(|(id, name)| json!({ "id": id, "name": format!("To {name}"), "to": project.status(name) }))
            .collect();
        return Reply::json(200, &json!({ "transitions": all }));
    }
    let body = request.json().unwrap_or_default();
    let wanted = body["transition"]["id"].as_str();
    let Some((_, to)) = all.iter().find(|(id, _)| Some(id.as_str()) == wanted) else {
        return refusal(
            400,
            "It seems that you have tried to perform a workflow operation that is not valid for the current state of this issue.",
        );
    };
    if let Some(field) = &project.transition_needs
        && body["fields"][field].is_null()
    {
        return wrong(&[(field.clone(), format!("{field} is required."))].into());
    }
    let to = (*to).to_owned();
    if let Some(issue) = state.issue(key) {
        issue.status = to;
        issue.transitions += 1;
    }
    state.reindex(key);
    Reply::new(204)
}

fn attach(issue: &mut JiraIssue, request: &Request) -> Reply {
    if request.header("x-atlassian-token") != Some("no-check") {
        return Reply::text(403, "XSRF check failed");
    }
    let boundary = request
        .header("content-type")
        .and_then(|t| t.split_once("boundary="))
        .map(|(_, b)| format!("--{b}"));
    let Some(boundary) = boundary else {
        return refusal(400, "the request is not multipart");
    };
    let body = &request.body;
    let find = |from: usize, what: &[u8]| {
        let rest = body.get(from..)?;
        rest.windows(what.len())
            .position(|w| w == what)
            .map(|n| from + n)
    };
    let parsed = (|| {
        let head = find(0, boundary.as_bytes())? + boundary.len();
        let data = find(head, b"\r\n\r\n")? + 4;
        let end = find(data, format!("\r\n{boundary}--").as_bytes())?;
        let head = String::from_utf8_lossy(&body[head..data]).into_owned();
        let name = head
            .split_once("filename=\"")?
            .1
            .split('"')
            .next()?
            .to_owned();
        head.contains("name=\"file\"")
            .then_some((name, &body[data..end]))
    })();
    let Some((name, bytes)) = parsed else {
        return refusal(400, "the part `file` is missing");
    };
    issue
        .attachments
        .push(JiraAttachment::new(name.clone(), bytes.to_vec()));
    Reply::json(200, &json!([{ "filename": name, "size": bytes.len() }]))
}
