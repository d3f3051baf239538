//! An issue that is there already.

use notifier_core::Result;
use serde::Deserialize;

use crate::{
    api::{Api, Flavour, segment},
    error::is_closed_to_us,
    jql::Closed,
};

/// The fields that are asked for.
pub(crate) const FIELDS: [&str; 3] = ["summary", "status", "labels"];

/// An issue.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) fields: IssueFields,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct IssueFields {
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    labels: Option<Vec<String>>,
}

/// A status, of an issue or one that a transition leads to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    status_category: Category,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Category {
    #[serde(default)]
    key: String,
}

impl Status {
    /// Whether an issue in it is closed.
    pub(crate) fn is_closed(&self, closed: &Closed) -> bool {
        match closed {
            Closed::Status(name) => self.name.eq_ignore_ascii_case(name),
            Closed::Done => self.is_done(),
        }
    }

    /// Whether it is of the category Done.
    pub(crate) fn is_done(&self) -> bool {
        self.status_category.key == "done"
    }
}

impl Issue {
    pub(crate) fn is_closed(&self, closed: &Closed) -> bool {
        let status = self.fields.status.as_ref();
        status.is_some_and(|s| s.is_closed(closed))
    }

    pub(crate) fn has_label(&self, label: &str) -> bool {
        let labels = self.fields.labels.as_deref().unwrap_or_default();
        labels.iter().any(|l| l == label)
    }

    /// Whether it has this very summary. Jira keeps no blanks around one.
    pub(crate) fn has_summary(&self, summary: &str) -> bool {
        let own = self.fields.summary.as_deref();
        own.is_some_and(|s| s.trim() == summary.trim())
    }

    /// The issue of this key as it is now, whatever the index says. `None`: there is none,
    /// or this user may not read it.
    pub(crate) async fn read(api: &Api, flavour: Flavour, key: &str) -> Result<Option<Self>> {
        let path = format!("issue/{}?fields={}", segment(key), FIELDS.join(","));
        match api.find(&flavour.path(&path)).await {
            Err(e) if is_closed_to_us(&e) => Ok(None),
            found => found,
        }
    }
}

/// Where a person sees it.
pub(crate) fn browse(api: &Api, key: &str) -> String {
    format!("{}/browse/{}", api.base(), segment(key))
}
