//! A stateful fake of Jira, Cloud or Data Center.
//!
//! [`FakeJira`] has projects with issue types and fields, makes issues and checks them as
//! Jira does (required fields, unknown fields, lengths, documents on Cloud and text on Data
//! Center), keeps comments, properties and attachments, moves issues between statuses, and
//! searches: a part of the query language is really evaluated, over an index that may lag
//! behind by a time of the fake's own clock. Limits and shapes are those of Jira Cloud's
//! REST interface, version 3, and of Jira Data Center's, version 2, read 2026.
//!
//! Every [`Endpoint`] can be made to fail, before or after it did its work. The fake proves
//! what a client sends and how it takes answers, not what Jira does.

mod check;
mod issue;
mod jql;
mod project;
mod routes;
mod server;
mod state;
mod within;

pub use issue::{JiraAttachment, JiraComment, JiraIssue};
pub use project::{JiraField, JiraProject, JiraType};
pub use server::{Endpoint, FakeJira};
