//! What becomes of a report whose issue is there: one comment that counts, or the issue is
//! opened again.

use notifier_core::{Error, ErrorKind, Report, Result, Subject};
use notifier_http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::{Api, Flavour, segment},
    error::{Step, is_closed_to_us},
    issue::Status,
    jql::Closed,
    neutral::{link, neutral},
};

/// The property of an issue that counts.
const PROPERTY: &str = "notifier-repeats";

/// How many deliveries are remembered, so that none counts twice.
const MOST_SEEN: usize = 500;

/// How many comments are looked at for ours.
const MOST_COMMENTS: usize = 100;

/// What is kept with the issue.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Repeats {
    #[serde(default)]
    count: u64,
    /// The beginnings of the deliveries' ids, the oldest first.
    #[serde(default)]
    seen: Vec<String>,
    /// The comment's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Comments {
    #[serde(default)]
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    id: String,
    #[serde(default)]
    body: Value,
}

/// An issue to write to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) api: &'a Api,
    pub(crate) flavour: Flavour,
    pub(crate) key: &'a str,
}

impl Place<'_> {
    fn path(&self, rest: &str) -> String {
        self.flavour
            .path(&format!("issue/{}{rest}", segment(self.key)))
    }

    /// Counts a report in the issue's comment. A delivery counts once, however often this
    /// is called for it.
    ///
    /// # Errors
    /// If the issue cannot be written to.
    pub(crate) async fn count(&self, report: &Report, id: &str, marker: &str) -> Result<()> {
        let path = self.path(&format!("/properties/{PROPERTY}"));
        let kept: Option<Property> = self.api.find(&path).await?;
        let mut repeats = kept
            .and_then(|p| Repeats::deserialize(p.value).ok())
            .unwrap_or_default();
        let short: String = id.chars().take(12).collect();
        if !repeats.seen.contains(&short) {
            repeats.count = repeats.count.saturating_add(amount(report));
            repeats.seen.push(short);
            let surplus = repeats.seen.len().saturating_sub(MOST_SEEN);
            repeats.seen.drain(..surplus);
            self.put(&path, &json!(repeats)).await?;
        }
        let text = self.text(report, repeats.count, marker);
        if let Some(comment) = &repeats.comment
            && self.edit(comment, &text).await?
        {
            return Ok(());
        }
        // One whose answer was lost is there without being noted.
        let comment = match self.ours(marker).await? {
            Some(comment) if self.edit(&comment, &text).await? => comment,
            _ => self.comment(&text).await?,
        };
        repeats.comment = Some(comment);
        self.put(&path, &json!(repeats)).await
    }

    fn text(&self, report: &Report, count: u64, marker: &str) -> Value {
        let times = if count == 1 { "time" } else { "times" };
        let mut text = format!(
            "Happened {count} more {times}, last at {}: {}",
            last(report),
            neutral(&report.summary())
        );
        let links = report.links();
        for (name, url) in [("stdout", &links.stdout), ("stderr", &links.stderr)] {
            let url = link(url);
            if url.starts_with("http") {
                text.push_str(&format!("\n[{name}|{url}]"));
            }
        }
        text.push_str(&format!("\n(this comment counts; {marker})"));
        self.flavour.rich(&text).0
    }

    /// The id of the comment with these words in it.
    pub(crate) async fn ours(&self, words: &str) -> Result<Option<String>> {
        let path = self.path(&format!(
            "/comment?startAt=0&maxResults={MOST_COMMENTS}&orderBy=-created"
        ));
        let found: Option<Comments> = self.api.find(&path).await?;
        let comments = found.map(|c| c.comments).unwrap_or_default();
        let ours = comments
            .into_iter()
            .find(|c| c.body.to_string().contains(words));
        Ok(ours.map(|c| c.id))
    }

    /// A new comment.
    ///
    /// # Errors
    /// If there is none, or may be none.
    pub(crate) async fn comment(&self, body: &Value) -> Result<String> {
        let request = self
            .api
            .request(Method::POST, &self.path("/comment"))
            .json(&json!({ "body": body }));
        let made: Comment = self.api.call(request, Step::Comment).await?;
        Ok(made.id)
    }

    /// Another text for a comment; false if there is none any more.
    async fn edit(&self, comment: &str, body: &Value) -> Result<bool> {
        let path = self.path(&format!("/comment/{}", segment(comment)));
        let request = self
            .api
            .request(Method::PUT, &path)
            .json(&json!({ "body": body }));
        let answer = self.api.send(request, Step::Comment).await?;
        match answer.status() {
            // Jira says 400 of a comment that is gone, too.
            404 => Ok(false),
            400 if answer
                .text()
                .to_lowercase()
                .contains("can not find a comment") =>
            {
                Ok(false)
            }
            _ if answer.is_success() => Ok(true),
            _ => Err(self.api.refused(&answer, Step::Comment)),
        }
    }

    async fn put(&self, path: &str, value: &Value) -> Result<()> {
        let request = self.api.request(Method::PUT, path).json(value);
        let answer = self.api.send(request, Step::Comment).await?;
        match answer.is_success() {
            true => Ok(()),
            false => Err(self.api.refused(&answer, Step::Comment)),
        }
    }

    /// Opens a closed issue again. `Some`: that cannot be done, and why.
    ///
    /// # Errors
    /// If it can be tried again.
    pub(crate) async fn reopen(&self, closed: &Closed) -> Result<Option<Error>> {
        let found: Result<Option<Transitions>> = self.api.find(&self.path("/transitions")).await;
        let found = match found {
            Err(e) if is_closed_to_us(&e) => return Ok(Some(self.stays_closed(e))),
            found => found?.unwrap_or_default(),
        };
        let Some(transition) = choose(&found.transitions, closed) else {
            let text = format!(
                "{} has no transition to an open status; a new issue is made",
                self.key
            );
            return Ok(Some(Error::new(ErrorKind::Rejected, text)));
        };
        let request = self
            .api
            .request(Method::POST, &self.path("/transitions"))
            .json(&json!({ "transition": { "id": transition.id } }));
        let answer = self.api.send(request, Step::Transition).await?;
        if answer.is_success() {
            return Ok(None);
        }
        let e = self.api.refused(&answer, Step::Transition);
        // A form to fill in, say.
        if matches!(answer.status(), 400 | 422) || is_closed_to_us(&e) {
            return Ok(Some(self.stays_closed(e)));
        }
        Err(e)
    }

    fn stays_closed(&self, why: Error) -> Error {
        let text = format!("{} cannot be opened again; a new issue is made", self.key);
        Error::new(ErrorKind::Rejected, text).with_source(why)
    }
}

#[derive(Default, Deserialize)]
struct Transitions {
    #[serde(default)]
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    to: Status,
}

/// The transition that opens: one that says so, else the first that leads to a status that
/// is not done.
fn choose<'a>(all: &'a [Transition], closed: &Closed) -> Option<&'a Transition> {
    let mut open = all
        .iter()
        .filter(|t| !t.to.is_done() && !t.to.is_closed(closed))
        .peekable();
    let first = open.peek().copied();
    open.find(|t| {
        let names = format!("{} {}", t.name, t.to.name).to_lowercase();
        names.contains("reopen")
    })
    .or(first)
}

/// How many failures a report stands for.
fn amount(report: &Report) -> u64 {
    match report.subject() {
        Subject::Digest(d) => d.count,
        _ => 1,
    }
}

/// When the last of them was.
fn last(report: &Report) -> notifier_core::jiff::Timestamp {
    match report.subject() {
        Subject::Failure(f) => f.finished,
        Subject::Digest(d) => d.last,
        _ => report.now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transitions(json: &str) -> Vec<Transition> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_transition_that_opens() {
        let all = transitions(
            r#"[{"id":"1","name":"Archive","to":{"name":"Archived","statusCategory":{"key":"done"}}},
                {"id":"2","name":"Close","to":{"name":"Closed","statusCategory":{"key":"indeterminate"}}},
                {"id":"3","name":"Start","to":{"name":"In Progress","statusCategory":{"key":"indeterminate"}}},
                {"id":"4","name":"Reopen Issue","to":{"name":"Reopened","statusCategory":{"key":"new"}}}]"#,
        );
        let closed = Closed::Status("Closed".into());
        assert_eq!(choose(&all, &closed).unwrap().id, "4");
        assert_eq!(choose(&all[..3], &closed).unwrap().id, "3");
        assert!(choose(&all[..2], &closed).is_none());
        assert_eq!(choose(&all[..2], &Closed::Done).unwrap().id, "2");
    }
}
