//! What serde_json reads: only what is needed, with strings that are owned or borrowed.

#![expect(dead_code, reason = "what is read is not looked at")]

use std::borrow::Cow;

use serde::Deserialize;

/// A string that is borrowed unless something in it is escaped.
#[derive(Deserialize)]
pub(crate) struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Borrowed<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
pub(crate) struct State<S> {
    version: S,
    pid: S,
    leader: S,
    slaves: Vec<Agent<S>>,
    frameworks: Vec<Framework<S>>,
}

#[derive(Deserialize)]
struct Agent<S> {
    id: S,
    hostname: S,
    pid: S,
    port: u16,
}

#[derive(Deserialize)]
struct Framework<S> {
    id: S,
    name: S,
    tasks: Vec<Task<S>>,
    completed_tasks: Vec<Task<S>>,
}

#[derive(Deserialize)]
struct Task<S> {
    id: S,
    name: S,
    slave_id: S,
    executor_id: S,
    state: S,
    labels: Vec<Label<S>>,
    statuses: Vec<Status<S>>,
}

#[derive(Deserialize)]
struct Label<S> {
    key: S,
    value: S,
}

#[derive(Deserialize)]
struct Status<S> {
    state: S,
    timestamp: f64,
}

impl<S: AsRef<str>> State<S> {
    pub(crate) fn failed(&self) -> usize {
        let lists = self
            .frameworks
            .iter()
            .flat_map(|f| [&f.tasks, &f.completed_tasks]);
        let tasks = lists.flatten();
        tasks.filter(|t| t.state.as_ref() == "TASK_FAILED").count()
    }
}

#[derive(Deserialize)]
pub(crate) struct Subscribed<S> {
    subscribed: Snapshot<S>,
}

#[derive(Deserialize)]
struct Snapshot<S> {
    get_state: GetState<S>,
}

#[derive(Deserialize)]
struct GetState<S> {
    get_tasks: GetTasks<S>,
}

#[derive(Deserialize)]
struct GetTasks<S> {
    tasks: Vec<TaskV1<S>>,
    completed_tasks: Vec<TaskV1<S>>,
}

#[derive(Deserialize)]
struct TaskV1<S> {
    task_id: Id<S>,
    name: S,
    framework_id: Id<S>,
    agent_id: Id<S>,
    state: S,
    labels: Labels<S>,
    statuses: Vec<StatusV1<S>>,
}

#[derive(Deserialize)]
struct Id<S> {
    value: S,
}

#[derive(Deserialize)]
struct Labels<S> {
    labels: Vec<Label<S>>,
}

#[derive(Deserialize)]
struct StatusV1<S> {
    state: S,
    message: S,
    timestamp: f64,
}

impl<S: AsRef<str>> Subscribed<S> {
    pub(crate) fn failed(&self) -> usize {
        let found = &self.subscribed.get_state.get_tasks;
        let tasks = found.tasks.iter().chain(&found.completed_tasks);
        tasks.filter(|t| t.state.as_ref() == "TASK_FAILED").count()
    }
}
