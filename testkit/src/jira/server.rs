use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use notifier_core::ManualClock;
use serde_json::Value;

use super::issue::JiraIssue;
use super::project::JiraProject;
use super::routes;
use super::state::{Line, State};
use crate::http::{Action, Reply, Request, ScriptedServer, Service, lock};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// What kind of Jira it is.
    ServerInfo,
    /// Who is logged in.
    Myself,
    /// Projects, types and fields.
    Meta,
    /// A search.
    Search,
    /// A new issue.
    Create,
    /// An issue.
    Read,
    /// The comments of an issue.
    Comments,
    /// A new comment.
    Comment,
    /// Another text for a comment.
    EditComment,
    /// The transitions of an issue.
    Transitions,
    /// A transition.
    Transition,
    /// A new attachment.
    Attach,
    /// Reading a property of an issue.
    Property,
    /// Setting a property of an issue.
    SetProperty,
    /// Reading a property of the user.
    UserProperty,
    /// Setting a property of the user.
    SetUserProperty,
    /// Whatever else.
    Other,
}

#[derive(Debug)]
struct Shared(Mutex<State>);

/// A Jira that is not one, on a loopback port.
///
/// It begins with the project `OPS`, which has the types Bug and Task and the statuses
/// Open, In Progress and Closed, and no issue. Who asks must log in as [`user`](Self::user)
/// with [`token`](Self::token). It stops when dropped.
pub struct FakeJira {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeJira {
    /// Starts a Jira Cloud.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn cloud() -> io::Result<Self> {
        Self::start(true).await
    }

    /// Starts a Jira Data Center, version 10.3.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn data_center() -> io::Result<Self> {
        Self::start(false).await
    }

    async fn start(is_cloud: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared(Mutex::new(State::new(is_cloud))));
        let server = ScriptedServer::with_service(Arc::clone(&shared)).await?;
        Ok(Self { server, shared })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.0)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// The user to log in as.
    #[must_use]
    pub fn user(&self) -> String {
        self.state().user.clone()
    }

    /// The user's password, API token and personal access token.
    #[must_use]
    pub fn token(&self) -> String {
        self.state().token.clone()
    }

    /// Changes the user's password, API token and personal access token.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.state().token);
    }

    /// Says that it is this version, as a Data Center. Before 8.4 there is only the old way
    /// to ask for types and fields.
    pub fn set_version(&self, major: u64, minor: u64) {
        self.state().version = (major, minor);
    }

    /// Adds a project, in place of one of the same key.
    pub fn project(&self, project: JiraProject) {
        let mut state = self.state();
        state.projects.retain(|p| p.key != project.key);
        state.projects.push(project);
    }

    /// Deletes a project; its issues stay.
    pub fn delete_project(&self, key: &str) {
        self.state().projects.retain(|p| p.key != key);
    }

    /// How far the index is behind, by [`clock`](Self::clock), from now on. Default: not at all.
    pub fn lag(&self, lag: Duration) {
        self.state().lag = lag;
    }

    /// The clock that the index goes by. It stands still unless it is moved.
    #[must_use]
    pub fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.state().clock)
    }

    /// Whether users may have properties. Default: yes.
    pub fn has_user_properties(&self, yes: bool) {
        self.state().has_user_properties = yes;
    }

    /// Lets the next request to an endpoint meet this action; nothing is done.
    pub fn next(&self, endpoint: Endpoint, action: impl Into<Action>) {
        self.next_n(endpoint, 1, action);
    }

    /// Lets the next `n` requests to an endpoint meet this action; nothing is done.
    pub fn next_n(&self, endpoint: Endpoint, n: usize, action: impl Into<Action>) {
        self.line(endpoint, n, action.into(), false);
    }

    /// Does what the next request to an endpoint asks for, and then this in place of its answer.
    pub fn after(&self, endpoint: Endpoint, action: impl Into<Action>) {
        self.line(endpoint, 1, action.into(), true);
    }

    fn line(&self, endpoint: Endpoint, left: usize, action: Action, works: bool) {
        self.state().script.push_back(Line {
            endpoint,
            works,
            action,
            left,
        });
    }

    /// How many requests an endpoint had.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.state().counts.get(&endpoint).copied().unwrap_or(0)
    }

    /// All issues, the oldest first.
    #[must_use]
    pub fn issues(&self) -> Vec<JiraIssue> {
        self.state().issues.clone()
    }

    /// The property of the user, null if it is not set.
    #[must_use]
    pub fn user_property(&self, key: &str) -> Value {
        let state = self.state();
        state.user_properties.get(key).cloned().unwrap_or_default()
    }

    /// Makes an issue as a person would; its key.
    pub fn add_issue(&self, project: &str, summary: &str) -> String {
        let mut state = self.state();
        let fields = serde_json::json!({ "summary": summary });
        routes::add(&mut state, project, "1", fields)
    }

    /// Moves an issue to another status, as a person would.
    pub fn set_status(&self, key: &str, status: &str) {
        let mut state = self.state();
        if let Some(issue) = state.issue(key) {
            status.clone_into(&mut issue.status);
        }
        state.reindex(key);
    }

    /// Changes an issue's summary, as a person would.
    pub fn set_summary(&self, key: &str, summary: &str) {
        let mut state = self.state();
        if let Some(issue) = state.issue(key) {
            summary.clone_into(&mut issue.summary);
        }
        state.reindex(key);
    }

    /// Deletes an issue; the index finds it until its lag is over.
    pub fn delete(&self, key: &str) {
        self.state().issues.retain(|i| i.key != key);
    }

    /// The server beneath: its requests, the port, and faults for all endpoints.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

impl fmt::Debug for FakeJira {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("FakeJira")
            .field("addr", &self.server.addr())
            .field("is_cloud", &state.is_cloud)
            .field("issues", &state.issues.len())
            .finish_non_exhaustive()
    }
}

impl Service for Arc<Shared> {
    fn intercept(&self, head: &Request) -> Option<Action> {
        let mut state = lock(&self.0);
        let endpoint = routes::endpoint(head);
        let is_before = state
            .script
            .iter()
            .find(|l| l.endpoint == endpoint)
            .is_some_and(|l| matches!(l.action, Action::ResetBeforeBody | Action::CloseBeforeBody));
        if !is_before {
            return None;
        }
        *state.counts.entry(endpoint).or_default() += 1;
        state.line(endpoint).map(|(_, action)| action)
    }

    fn respond(&self, request: &Request) -> Action {
        let mut state = lock(&self.0);
        let endpoint = routes::endpoint(request);
        *state.counts.entry(endpoint).or_default() += 1;
        match state.line(endpoint) {
            Some((true, action)) => {
                let _: Reply = routes::answer(&mut state, endpoint, request);
                action
            }
            Some((false, action)) => action,
            None => routes::answer(&mut state, endpoint, request).into(),
        }
    }
}
