//! `POST /api/v1` of masters: the rules for requests, calls and subscriptions.

use std::sync::Arc;
use std::time::Duration;

use super::model::Leader;
use super::page::Page;
use super::render::operator::{self, Part};
use super::routes::Shared;
use super::stream::Snapshot;
use crate::http::{Action, Reply, Request, lock};

impl Shared {
    /// Answers a request that came to the leader with the right credentials.
    pub(crate) fn call(self: &Arc<Self>, index: usize, request: &Request) -> Action {
        let kind = match call_of(request) {
            Ok(kind) => kind,
            Err((405, text)) => return Reply::text(405, text).header("Allow", "POST").into(),
            Err((status, text)) => return Reply::text(status, text).into(),
        };
        let part = match kind.as_str() {
            "SUBSCRIBE" => return self.subscribe(index, request),
            "GET_STATE" => Part::State,
            "GET_TASKS" => Part::Tasks,
            "GET_AGENTS" => Part::Agents,
            "GET_FRAMEWORKS" => Part::Frameworks,
            "GET_EXECUTORS" => Part::Executors,
            _ => {
                let small = {
                    let model = lock(&self.model);
                    match kind.as_str() {
                        "GET_MASTER" => operator::master(&model, index),
                        "GET_VERSION" => operator::version(&model),
                        "GET_HEALTH" => operator::health(),
                        "GET_FLAGS" => operator::flags(&model, index),
                        _ => return unknown(&kind).into(),
                    }
                };
                return self.plain(small);
            }
        };
        self.page(Page::Operator(part), request)
    }

    /// Opens a subscription. Its snapshot and what comes after it are one step: no event
    /// is in both or in neither.
    fn subscribe(self: &Arc<Self>, index: usize, request: &Request) -> Action {
        let mut model = lock(&self.model);
        if model.leader != Leader::Master(index) {
            // It led a moment ago.
            drop(model);
            return self.redirect(index, request, false).into();
        }
        if let Some(corruption) = model.streams.refusal() {
            return corruption.refusal();
        }
        let state = self.pages.get(&model, Page::Operator(Part::State)).plain;
        // The page is `{"type":"GET_STATE","get_state":{…}}`.
        let from = b"{\"type\":\"GET_STATE\",".len();
        let beats = model.version.has_heartbeats();
        let interval = self.heartbeat;
        let snapshot = Snapshot {
            before: b"{\"type\":\"SUBSCRIBED\",\"subscribed\":{".to_vec(),
            range: from..state.len() - 1,
            state,
            after: if beats {
                let seconds = interval.as_secs_f64();
                format!(",\"heartbeat_interval_seconds\":{seconds:?}}}}}").into_bytes()
            } else {
                b"}}".to_vec()
            },
            drip: *lock(&self.drip),
        };
        let (id, body) = model.streams.subscribe(snapshot, beats);
        drop(model);
        if beats {
            self.beat(id, interval);
        }
        Reply::new(200)
            .header("Content-Type", "application/json")
            .body(body)
            .into()
    }

    /// Sends heartbeats as long as the subscription is open.
    fn beat(self: &Arc<Self>, id: u64, interval: Duration) {
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                if !lock(&shared.model).streams.heartbeat(id) {
                    return;
                }
            }
        });
    }
}

fn unknown(kind: &str) -> Reply {
    let text = format!(
        "Failed to convert JSON into Call protobuf: Failed to find enum value for '{kind}'"
    );
    Reply::text(400, text)
}

/// The type of the call a request makes, or the status and text of its refusal.
fn call_of(request: &Request) -> Result<String, (u16, String)> {
    let refuse = |status, text: &str| Err((status, text.to_owned()));
    if request.method != "POST" {
        let method = &request.method;
        let text = format!("Expecting one of {{ 'POST' }}, but received '{method}'.");
        return Err((405, text));
    }
    let Some(content) = request.header("Content-Type") else {
        return refuse(400, "Expecting 'Content-Type' to be present");
    };
    // Exactly so: parameters are refused. Protobuf is not played.
    if content != "application/json" {
        return refuse(
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        );
    }
    let Some(body) = request.json() else {
        return refuse(
            400,
            "Failed to parse body into JSON: syntax error at line 1",
        );
    };
    let Some(kind) = body.get("type").and_then(|kind| kind.as_str()) else {
        return refuse(
            400,
            "Failed to validate master::Call: Expecting 'type' to be present",
        );
    };
    if !accepts_json(request.header("Accept")) {
        return refuse(
            406,
            "Expecting 'Accept' to allow application/json or application/x-protobuf",
        );
    }
    Ok(kind.to_owned())
}

fn accepts_json(accept: Option<&str>) -> bool {
    let Some(accept) = accept else {
        return true;
    };
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        matches!(kind, "*/*" | "application/*" | "application/json")
            && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::accepts_json;

    #[test]
    fn json_is_taken_where_it_is_acceptable() {
        for (accept, taken) in [
            (None, true),
            (Some("*/*"), true),
            (Some("application/x-protobuf, application/json;q=0.5"), true),
            (Some("application/x-protobuf"), false),
            (Some("application/json;q=0"), false),
            (Some("text/html, application/*"), true),
        ] {
            assert_eq!(accepts_json(accept), taken, "{accept:?}");
        }
    }
}
