//! Finding issues by a query.

use notifier_core::Result;
use notifier_http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{
    api::{Api, Flavour},
    error::Step,
    issue::{FIELDS, Issue},
};

/// How many are asked for at once, and how often at most.
const PAGE: usize = 50;
const PAGES: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    issues: Vec<Issue>,
    #[serde(default)]
    total: Option<usize>,
    #[serde(default)]
    is_last: Option<bool>,
    #[serde(default)]
    next_page_token: Option<String>,
}

/// The issues that a query finds and that fit, at most so many, in the query's order.
///
/// # Errors
/// If Jira cannot say, or refuses the query.
pub(crate) async fn find(
    api: &Api,
    flavour: Flavour,
    jql: &str,
    most: usize,
    fits: impl Fn(&Issue) -> bool + Send + Sync,
) -> Result<Vec<Issue>> {
    let mut out = Vec::new();
    let mut token: Option<String> = None;
    let mut seen = 0;
    for _ in 0..PAGES {
        let (path, mut body) = match flavour {
            Flavour::Cloud => ("search/jql", json!({})),
            Flavour::DataCenter => ("search", json!({ "startAt": seen })),
        };
        body["jql"] = json!(jql);
        body["fields"] = json!(FIELDS);
        body["maxResults"] = json!(PAGE);
        if let Some(token) = &token {
            body["nextPageToken"] = json!(token);
        }
        let request = api.request(Method::POST, &flavour.path(path)).json(&body);
        let page: Page = api.call(request, Step::Search).await?;
        let count = page.issues.len();
        seen += count;
        out.extend(page.issues.into_iter().filter(&fits));
        out.truncate(most);
        token = page.next_page_token;
        let is_last = match flavour {
            Flavour::Cloud => token.is_none() || page.is_last == Some(true),
            Flavour::DataCenter => page.total.is_none_or(|total| seen >= total),
        };
        if out.len() >= most || count == 0 || is_last {
            break;
        }
    }
    Ok(out)
}
