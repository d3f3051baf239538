//! A stateful fake of Jira.
