//! Finding the issue that a report is about, or that a delivery made.

use std::time::Duration;

use notifier_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::{
    api::{Flavour, segment},
    error::{is_closed_to_us, one_line},
    issue::Issue,
    jql::{self, Alike, Closed},
    message::Message,
    payload::{DELIVERY, delivery_label},
    progress::{Creating, FIRST_LOOK, SETTLED},
    project::Place,
    recent::Known,
    run::Attempt,
    search,
};

/// How many issues that a search found are looked at.
const MOST_LOOKED_AT: usize = 3;

/// An issue about the same.
pub(crate) enum Found {
    Open(String),
    Closed(String),
}

#[derive(Deserialize)]
struct DeliveryProperty {
    #[serde(default)]
    value: DeliveryValue,
}

#[derive(Default, Deserialize)]
struct DeliveryValue {
    #[serde(default)]
    delivery: String,
}

impl Attempt<'_> {
    /// The issue that this delivery made, if the index has it.
    pub(crate) async fn made(
        &self,
        flavour: Flavour,
        creating: &Creating,
    ) -> Result<Option<String>> {
        if creating.labelled {
            let label = delivery_label(self.opts.id);
            let jql = jql::labelled(&label);
            let found = search::find(&self.api, flavour, &jql, 1, |i| i.has_label(&label)).await?;
            return Ok(found.into_iter().next().map(|i| i.key));
        }
        let Some(jql) = jql::summary(&creating.project, &creating.summary) else {
            return Ok(None);
        };
        let same = |i: &Issue| i.has_summary(&creating.summary);
        let found = search::find(&self.api, flavour, &jql, MOST_LOOKED_AT, same).await?;
        for issue in found {
            let path = format!("issue/{}/properties/{DELIVERY}", segment(&issue.key));
            let property: Option<DeliveryProperty> = match self.api.find(&flavour.path(&path)).await
            {
                Err(e) if is_closed_to_us(&e) => continue,
                found => found?,
            };
            if property.is_some_and(|p| p.value.delivery == self.opts.id.as_str()) {
                return Ok(Some(issue.key));
            }
        }
        Ok(None)
    }

    /// An issue about the same: an open one, or, if that is wanted, the newest closed one.
    pub(crate) async fn find(
        &mut self,
        place: &Place,
        message: &Message,
        marker: &str,
        wants_closed: bool,
    ) -> Result<Option<Found>> {
        let scoped = self.scoped(marker);
        let now = self.api.clock().now();
        let flavour = place.instance.flavour;
        let mut closed = None;
        let recent = self.jira.recent.get(&scoped, now);
        if let Some((_, Known::Issue(key))) = &recent {
            match Issue::read(&self.api, flavour, key).await? {
                Some(issue) if !issue.is_closed(&self.closed) => {
                    return Ok(Some(Found::Open(key.clone())));
                }
                Some(_) => closed = Some(key.clone()),
                None => self.jira.recent.forget(&scoped),
            }
        }
        for issue in self.search(place, message, marker, wants_closed).await? {
            // The index may be behind; the issue itself is not. Where it is not shown,
            // the index is believed.
            let read = Issue::read(&self.api, flavour, &issue.key).await?;
            if !read
                .unwrap_or_else(|| issue.clone())
                .is_closed(&self.closed)
            {
                let known = Known::Issue(issue.key.clone());
                self.jira.recent.note(&scoped, now, known);
                return Ok(Some(Found::Open(issue.key)));
            }
            closed.get_or_insert(issue.key);
        }
        let noted = self.jira.registry.find(&self.api, flavour, marker).await;
        let noted = match noted {
            Err(e) if e.kind() == ErrorKind::RateLimited => return Err(e),
            Err(e) => {
                let text = "the issues of late that are noted in Jira cannot be read; one that was made just before a restart may be made again";
                self.warnings
                    .push(Error::new(e.kind(), text).with_source(e));
                None
            }
            Ok(noted) => noted,
        };
        if let Some(key) = noted
            && let Some(issue) = Issue::read(&self.api, flavour, &key).await?
        {
            if !issue.is_closed(&self.closed) {
                self.jira
                    .recent
                    .note(&scoped, now, Known::Issue(key.clone()));
                return Ok(Some(Found::Open(key)));
            }
            closed.get_or_insert(key);
        }
        if let Some((age, Known::Asked(by))) = recent
            && by != self.opts.id.as_str()
            && age < SETTLED
        {
            let text =
                "another report asked for this issue, and whether it was made is not known yet";
            let wait = FIRST_LOOK.min(SETTLED - age).max(Duration::from_secs(1));
            return Err(Error::new(ErrorKind::Pending, text).with_retry_after(wait));
        }
        Ok(closed.filter(|_| wants_closed).map(Found::Closed))
    }

    /// What the search finds about the same.
    async fn search(
        &mut self,
        place: &Place,
        message: &Message,
        marker: &str,
        wants_closed: bool,
    ) -> Result<Vec<Issue>> {
        let alike = Alike {
            project: &place.project,
            summary: &message.about,
            marker,
        };
        let flavour = place.instance.flavour;
        // Open ones first: they need not be the newest.
        let open = self.search_open(flavour, &alike).await?;
        if open.is_empty() && wants_closed {
            return self.ask(flavour, &alike, None).await;
        }
        Ok(open)
    }

    /// What is not closed. A status that there is not closes nothing: then all that is done
    /// counts as closed.
    async fn search_open(&mut self, flavour: Flavour, alike: &Alike<'_>) -> Result<Vec<Issue>> {
        let first = self.ask(flavour, alike, Some(&self.closed)).await;
        let (e, name) = match (first, &self.closed) {
            (Err(e), Closed::Status(name)) if e.code() == Some("400") => (e, name.clone()),
            (other, _) => return other,
        };
        let Ok(found) = self.ask(flavour, alike, Some(&Closed::Done)).await else {
            return Err(e);
        };
        self.jira.note_no_status(&self.api, &name).await;
        self.warnings.push(Error::config(format!(
            "jira.issue_closed_status: this Jira refuses a search with the status {:?}; issues that are done count as closed; name a status that there is, or none",
            one_line(&name, 60)
        )).with_source(e));
        self.closed = Closed::Done;
        Ok(found)
    }

    async fn ask(
        &self,
        flavour: Flavour,
        alike: &Alike<'_>,
        closed: Option<&Closed>,
    ) -> Result<Vec<Issue>> {
        let jql = alike.query(closed);
        let same = |i: &Issue| i.has_label(alike.marker) || i.has_summary(alike.summary);
        search::find(&self.api, flavour, &jql, MOST_LOOKED_AT, same).await
    }
}
