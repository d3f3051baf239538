use std::collections::BTreeMap;

use serde_json::Value;

/// An issue of a [`FakeJira`](super::FakeJira).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JiraIssue {
    /// Its id.
    pub id: String,
    /// Its key, `OPS-1`.
    pub key: String,
    /// The key of its project.
    pub project: String,
    /// The id of its type.
    pub kind: String,
    /// Its summary.
    pub summary: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its status.
    pub status: String,
    /// All fields as they were sent.
    pub fields: Value,
    /// Its comments, the oldest first.
    pub comments: Vec<JiraComment>,
    /// Its attachments.
    pub attachments: Vec<JiraAttachment>,
    /// Its properties.
    pub properties: BTreeMap<String, Value>,
    /// How many transitions it made.
    pub transitions: usize,
}

impl JiraIssue {
    /// Its description: text on Data Center, a document on Cloud; null without one.
    #[must_use]
    pub fn description(&self) -> &Value {
        &self.fields["description"]
    }
}

/// A comment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JiraComment {
    /// Its id.
    pub id: String,
    /// Its text or document.
    pub body: Value,
    /// How often it was edited.
    pub edits: usize,
}

impl JiraComment {
    pub(super) fn new(id: String, body: Value) -> Self {
        Self { id, body, edits: 0 }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JiraAttachment {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl JiraAttachment {
    pub(super) fn new(name: String, bytes: Vec<u8>) -> Self {
        Self { name, bytes }
    }
}
