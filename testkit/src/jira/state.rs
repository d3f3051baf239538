//! What a fake Jira holds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use notifier_core::{Clock, ManualClock, jiff::Timestamp};
use serde_json::Value;

use super::{issue::JiraIssue, jql::World, project::JiraProject, server::Endpoint};
use crate::http::Action;

/// A line of the script of one endpoint.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) endpoint: Endpoint,
    /// Whether the work is done before it.
    pub(super) works: bool,
    pub(super) action: Action,
    pub(super) left: usize,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) is_cloud: bool,
    /// Before 8.4: another createmeta.
    pub(super) version: (u64, u64),
    pub(super) user: String,
    pub(super) token: String,
    pub(super) has_user_properties: bool,
    pub(super) projects: Vec<JiraProject>,
    pub(super) issues: Vec<JiraIssue>,
    /// What the index knows of each issue, by key, and from when on.
    index: BTreeMap<String, Vec<(Timestamp, JiraIssue)>>,
    pub(super) user_properties: BTreeMap<String, Value>,
    pub(super) lag: Duration,
    pub(super) clock: Arc<ManualClock>,
    pub(super) script: VecDeque<Line>,
    pub(super) serial: u64,
    pub(super) counts: BTreeMap<Endpoint, usize>,
}

impl State {
    pub(super) fn new(is_cloud: bool) -> Self {
        let start = Timestamp::from_second(1_700_000_000).unwrap_or_default();
        Self {
            is_cloud,
            version: if is_cloud { (1001, 0) } else { (10, 3) },
            user: match is_cloud {
                true => "watcher@example.com".to_owned(),
                false => "watcher".to_owned(),
            },
            token: "t0ken-of-the-fake".to_owned(),
            has_user_properties: true,
            projects: vec![JiraProject::new("OPS")],
            issues: Vec::new(),
            index: BTreeMap::new(),
            user_properties: BTreeMap::new(),
            lag: Duration::ZERO,
            clock: Arc::new(ManualClock::new(start)),
            script: VecDeque::new(),
            serial: 10_000,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn next_id(&mut self) -> String {
        self.serial += 1;
        self.serial.to_string()
    }

    /// The project of this key, id or name.
    pub(super) fn project(&self, name: &str) -> Option<&JiraProject> {
        self.projects.iter().find(|p| {
            p.key.eq_ignore_ascii_case(name) || p.id == name || p.name.eq_ignore_ascii_case(name)
        })
    }

    pub(super) fn issue(&mut self, key: &str) -> Option<&mut JiraIssue> {
        self.issues.iter_mut().find(|i| i.key == key || i.id == key)
    }

    /// Lets the index know of an issue as it is, once its lag is over.
    pub(super) fn reindex(&mut self, key: &str) {
        let seen = self
            .clock
            .now()
            .checked_add(self.lag)
            .unwrap_or(Timestamp::MAX);
        if let Some(issue) = self.issues.iter().find(|i| i.key == key || i.id == key) {
            let known = self.index.entry(issue.key.clone()).or_default();
            known.push((seen, issue.clone()));
            // What is two versions old by now is not asked for any more.
            let now = self.clock.now();
            while known.len() > 1 && known[1].0 <= now {
                known.remove(0);
            }
        }
    }

    /// All issues as the index has them, the newest first.
    pub(super) fn indexed(&self) -> Vec<&JiraIssue> {
        let now = self.clock.now();
        let mut out: Vec<&JiraIssue> = self
            .index
            .values()
            .filter_map(|versions| {
                let seen = versions.iter().rev().find(|(at, _)| *at <= now);
                seen.map(|(_, issue)| issue)
            })
            .collect();
        out.sort_by_key(|i| std::cmp::Reverse(i.id.parse::<u64>().unwrap_or(0)));
        out
    }

    /// What the script has for an endpoint.
    pub(super) fn line(&mut self, endpoint: Endpoint) -> Option<(bool, Action)> {
        let at = self
            .script
            .iter()
            .position(|l| l.endpoint == endpoint && l.left > 0)?;
        let line = &mut self.script[at];
        let found = (line.works, line.action.clone());
        line.left -= 1;
        if line.left == 0 {
            self.script.remove(at);
        }
        Some(found)
    }
}

impl World for State {
    fn project(&self, name: &str) -> Option<String> {
        Self::project(self, name).map(|p| p.key.clone())
    }

    fn has_status(&self, name: &str) -> bool {
        self.projects
            .iter()
            .flat_map(|p| &p.statuses)
            .any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    fn is_done(&self, issue: &JiraIssue) -> bool {
        Self::project(self, &issue.project).is_some_and(|p| p.is_done(&issue.status))
    }
}
