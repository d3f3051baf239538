//! What a master tells as it happens.

use super::{Agent, Status, Task, lenient, status, v1};
use crate::json::pick;

/// Something that happened in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Heartbeat,
    /// A task was launched, or came back with its agent: it may have ended already. The
    /// name of its framework is not told.
    TaskAdded(Box<Task>),
    TaskUpdated(Box<Update>),
    AgentAdded(Agent),
    /// The id of an agent that left orderly. Those that are lost are not announced.
    AgentRemoved(String),
    FrameworkAdded {
        id: String,
        name: String,
    },
    FrameworkUpdated {
        id: String,
        name: String,
    },
    FrameworkRemoved {
        id: String,
        name: String,
    },
    /// An event of a known type whose body is missing or cannot be read.
    Unknown,
}

/// A task has a new status, or its agent knows of a newer state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Update {
    pub(crate) framework: String,
    pub(crate) task: String,
    pub(crate) agent: String,
    /// Empty for command tasks, or if it is not told.
    pub(crate) executor: String,
    /// The newest state the agent knows of. It may be ahead of the status: of the updates
    /// that wait for the scheduler the oldest one is told.
    pub(crate) state: String,
    /// Not told by 1.0.
    pub(crate) status: Option<Status>,
    /// Container ids from the executor's down to the task's own, where they are told.
    pub(crate) containers: Vec<String>,
}

/// What an event is about, which is also the key of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TaskAdded,
    TaskUpdated,
    AgentAdded,
    AgentRemoved,
    FrameworkAdded,
    FrameworkUpdated,
    FrameworkRemoved,
}

impl Kind {
    const ALL: [(Self, &str, &str); 7] = [
        (Self::TaskAdded, "TASK_ADDED", "task_added"),
        (Self::TaskUpdated, "TASK_UPDATED", "task_updated"),
        (Self::AgentAdded, "AGENT_ADDED", "agent_added"),
        (Self::AgentRemoved, "AGENT_REMOVED", "agent_removed"),
        (Self::FrameworkAdded, "FRAMEWORK_ADDED", "framework_added"),
        (
            Self::FrameworkUpdated,
            "FRAMEWORK_UPDATED",
            "framework_updated",
        ),
        (
            Self::FrameworkRemoved,
            "FRAMEWORK_REMOVED",
            "framework_removed",
        ),
    ];

    pub(super) fn of_type(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, t, _)| *t == name);
        found.map(|(kind, _, _)| *kind)
    }

    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, _, k)| k.as_bytes() == key);
        found.map(|(kind, _, _)| *kind)
    }

    /// The event with this body, if it can be read.
    pub(super) fn read(self, body: &[u8]) -> Option<Event> {
        Some(match self {
            Self::TaskAdded => {
                let [task] = pick(body, ["task"])?;
                let task = Task::read(task?)?;
                if task.id.is_empty() || task.state.is_empty() {
                    return None;
                }
                Event::TaskAdded(Box::new(task))
            }
            Self::TaskUpdated => Event::TaskUpdated(Box::new(Update::read(body)?)),
            Self::AgentAdded => {
                let [agent] = pick(body, ["agent"])?;
                Event::AgentAdded(v1::agent(agent?)?)
            }
            Self::AgentRemoved => {
                let [id] = pick(body, ["agent_id"])?;
                let id = lenient::id(id?);
                if id.is_empty() {
                    return None;
                }
                Event::AgentRemoved(id)
            }
            Self::FrameworkAdded => {
                let [framework] = pick(body, ["framework"])?;
                let (id, name) = v1::framework(framework?)?;
                Event::FrameworkAdded { id, name }
            }
            Self::FrameworkUpdated => {
                let [framework] = pick(body, ["framework"])?;
                let (id, name) = v1::framework(framework?)?;
                Event::FrameworkUpdated { id, name }
            }
            Self::FrameworkRemoved => {
                let (id, name) = v1::framework(body)?;
                Event::FrameworkRemoved { id, name }
            }
        })
    }
}

impl Update {
    /// Of both forms: 1.0 told no status, but what is now part of it.
    fn read(body: &[u8]) -> Option<Self> {
        const IDS: [&str; 3] = ["task_id", "agent_id", "executor_id"];
        let [framework, state, status] = pick(body, ["framework_id", "state", "status"])?;
        let of_body = pick(body, IDS)?;
        let status = status.filter(|status| status.starts_with(b"{"));
        let of_status = match status {
            Some(status) => pick(status, IDS)?,
            None => [None; 3],
        };
        let id = |raw: Option<&[u8]>| raw.map(lenient::id).unwrap_or_default();
        let [task, agent, executor] = [0, 1, 2].map(|i| id(of_status[i].or(of_body[i])));
        let mut update = Self {
            framework: id(framework),
            task,
            agent,
            executor,
            state: state.map(lenient::string).unwrap_or_default(),
            ..Self::default()
        };
        if let Some((status, containers)) = status.and_then(status::read_one) {
            if update.state.is_empty() {
                update.state.clone_from(&status.state);
            }
            update.containers = containers;
            update.status = Some(status);
        }
        (!update.task.is_empty() && !update.state.is_empty()).then_some(update)
    }
}
