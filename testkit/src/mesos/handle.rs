use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::model::{Leader, Link, Model};
use super::routes::Shared;
use super::spec::TaskState;
use crate::http::{ScriptedServer, lock};

/// A launched task: what identifies it, and where its things are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskHandle(Arc<TaskFacts>);

#[derive(Debug)]
pub(crate) struct TaskFacts {
    pub(crate) key: u64,
    pub(crate) id: String,
    pub(crate) framework_id: String,
    pub(crate) agent: usize,
    pub(crate) agent_id: String,
    pub(crate) executor_id: String,
    pub(crate) containers: Vec<String>,
    pub(crate) directory: String,
    pub(crate) logs: String,
}

impl TaskHandle {
    pub(crate) fn new(model: &Model, key: u64) -> Self {
        let task = &model.tasks[&key];
        let executor = &model.executors[&task.executor];
        let directory = executor.directory.clone();
        Self(Arc::new(TaskFacts {
            key,
            id: task.id.clone(),
            framework_id: task.framework.clone(),
            agent: task.agent,
            agent_id: model.agents[task.agent].id.clone(),
            executor_id: executor.id.clone(),
            containers: task.containers.clone(),
            logs: format!("{directory}{}", task.container_suffix()),
            directory,
        }))
    }

    pub(crate) fn key(&self) -> u64 {
        self.0.key
    }

    /// The task id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The id of its framework.
    #[must_use]
    pub fn framework_id(&self) -> &str {
        &self.0.framework_id
    }

    /// The index of its agent.
    #[must_use]
    pub fn agent(&self) -> usize {
        self.0.agent
    }

    /// The id of its agent.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        &self.0.agent_id
    }

    /// The id of its executor on the agent: the task id for command tasks.
    #[must_use]
    pub fn executor_id(&self) -> &str {
        &self.0.executor_id
    }

    /// The id of the executor's run, which is the root container.
    #[must_use]
    pub fn run_id(&self) -> &str {
        self.0.containers.first().map_or("", String::as_str)
    }

    /// The id of the task's own container: the run for tasks that are not nested.
    #[must_use]
    pub fn container_id(&self) -> &str {
        self.0.containers.last().map_or("", String::as_str)
    }

    /// The run directory of the executor, as the agent's state tells it.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.0.directory
    }

    /// The directory with the task's `stdout` and `stderr`.
    #[must_use]
    pub fn log_directory(&self) -> &str {
        &self.0.logs
    }
}

/// A master. Dereferences to its server, for faults on the wire, the port and the
/// recorded requests.
#[derive(Debug, Clone)]
pub struct MasterHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) server: Arc<ScriptedServer>,
    pub(crate) index: usize,
}

impl MasterHandle {
    /// Makes it the leader at once; agents and frameworks are with it. If it leads
    /// already this is [`FakeCluster::settle`](super::FakeCluster::settle).
    pub fn lead(&self) {
        let mut model = lock(&self.shared.model);
        if model.leader == Leader::Master(self.index) {
            model.settle();
        } else {
            model.fail_over(self.index, true);
        }
    }

    /// Whether it leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        lock(&self.shared.model).leader == Leader::Master(self.index)
    }

    /// Advertises another host name, which redirects to it name. Default: `127.0.0.1`.
    pub fn advertise(&self, hostname: impl Into<String>) {
        let mut model = lock(&self.shared.model);
        model.generation += 1;
        model.masters[self.index].hostname = hostname.into();
    }
}

impl Deref for MasterHandle {
    type Target = ScriptedServer;

    fn deref(&self) -> &ScriptedServer {
        &self.server
    }
}

/// An agent. Dereferences to its server: `hang()`, `refuse()`, `slow(..)`, faults on the
/// wire, the port and the recorded requests.
#[derive(Debug, Clone)]
pub struct AgentHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) server: Arc<ScriptedServer>,
    pub(crate) index: usize,
}

impl AgentHandle {
    /// Its agent id.
    #[must_use]
    pub fn id(&self) -> String {
        lock(&self.shared.model).agents[self.index].id.clone()
    }

    /// Its host is gone: the master gives it up as by [`partition`](Self::partition),
    /// and its server refuses connections.
    pub fn lose(&self) {
        self.partition();
        self.server.refuse();
    }

    /// The master gives it up; its own server goes on. Its tasks become
    /// `TASK_UNREACHABLE`, or `TASK_LOST` where the framework does not know partitions,
    /// and move to `unreachable_tasks` (before 1.2 to `completed_tasks`).
    pub fn partition(&self) {
        lock(&self.shared.model).lose_agent(self.index);
    }

    /// Undoes `lose`, `partition`, `hang`, `refuse` and `slow`, and registers the agent
    /// again after a failover. Its tasks go on as if nothing had been; what happened to
    /// them meanwhile shows now. One that is gone stays so.
    ///
    /// # Errors
    ///
    /// When its port cannot be had back.
    pub fn restore(&self) -> io::Result<()> {
        self.server.restore()?;
        lock(&self.shared.model).return_agent(self.index);
        Ok(())
    }

    /// It leaves in order: its tasks become `TASK_LOST` and are completed, and
    /// subscribers hear `AGENT_REMOVED`. Its own server goes on.
    pub fn unregister(&self) {
        lock(&self.shared.model).unregister_agent(self.index);
    }

    /// An operator marks it as gone for good: its tasks become `TASK_GONE_BY_OPERATOR`
    /// and are completed; where the framework does not know partitions they become
    /// `TASK_LOST` and are listed as unreachable (before 1.2 completed). What was
    /// unreachable is completed.
    pub fn mark_gone(&self) {
        lock(&self.shared.model).mark_gone(self.index);
    }

    /// Sets its clock this many seconds ahead (behind, if negative) of the cluster's.
    /// Statuses of its tasks carry its time.
    pub fn skew(&self, seconds: f64) {
        lock(&self.shared.model).agents[self.index].skew = seconds;
    }

    /// Advertises another host name. Default: `127.0.0.1`.
    pub fn advertise(&self, hostname: impl Into<String>) {
        let mut model = lock(&self.shared.model);
        model.generation += 1;
        model.agents[self.index].hostname = hostname.into();
    }

    /// Whether the leading master has it registered.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        lock(&self.shared.model).agents[self.index].link == Link::Registered
    }
}

impl Deref for AgentHandle {
    type Target = ScriptedServer;

    fn deref(&self) -> &ScriptedServer {
        &self.server
    }
}

/// A framework by its name, registered when it is first used; after
/// [`tear_down`](Self::tear_down) the next use registers a new one.
#[derive(Debug, Clone)]
pub struct FrameworkHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: String,
}

impl FrameworkHandle {
    fn with<T>(&self, act: impl FnOnce(&mut Model, usize) -> T) -> T {
        let mut model = lock(&self.shared.model);
        let at = model.framework(&self.name);
        act(&mut model, at)
    }

    /// Its framework id.
    #[must_use]
    pub fn id(&self) -> String {
        self.with(|model, at| model.frameworks[at].id.clone())
    }

    /// Whether it knows about partitions: tasks of lost agents are then
    /// `TASK_UNREACHABLE` instead of `TASK_LOST`. Default: no.
    pub fn partition_aware(&self, aware: bool) {
        self.with(|model, at| {
            model.generation += 1;
            model.frameworks[at].partition_aware = aware;
        });
    }

    /// The scheduler stays connected but acknowledges nothing more: tasks that end stay
    /// in `tasks`.
    ///
    /// Of each task the next status is still told, as an event too; the ones after it
    /// wait for its acknowledgement, and only the `state` of the task follows them,
    /// without any event. So a task launched before this tells its end, and one launched
    /// after it tells its start only.
    pub fn hold_acknowledgements(&self) {
        self.with(|model, at| model.frameworks[at].acknowledges = false);
    }

    /// The scheduler is away (`connected` and `active` false) and acknowledges nothing,
    /// with the same effect as [`hold_acknowledgements`](Self::hold_acknowledgements).
    /// There is no event for it: masters tell frameworks only when they subscribe.
    pub fn disconnect(&self) {
        self.with(|model, at| {
            model.generation += 1;
            model.frameworks[at].connected = false;
        });
    }

    /// The scheduler is there again (`FRAMEWORK_UPDATED`) and acknowledges all that
    /// waits. After a failover it registers with the new leader.
    pub fn reconnect(&self) {
        self.with(Model::reconnect);
    }

    /// Removes it: running tasks become `TASK_KILLED`, everything moves to
    /// `completed_frameworks`.
    pub fn tear_down(&self) {
        self.with(Model::tear_down);
    }

    /// How many of its tasks ended in this state and are still listed somewhere.
    #[must_use]
    pub fn count(&self, state: TaskState) -> usize {
        self.with(|model, at| {
            let framework = &model.frameworks[at];
            let keys = framework
                .tasks
                .iter()
                .chain(&framework.unreachable)
                .chain(&framework.completed);
            keys.filter_map(|key| model.tasks.get(key))
                .filter(|task| task.state == state)
                .count()
        })
    }
}

/// A recorded request and the server it came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Recorded {
    /// The server.
    pub server: ServerId,
    /// The request.
    pub request: crate::http::Request,
}

/// A server of a cluster, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerId {
    /// A master.
    Master(usize),
    /// An agent.
    Agent(usize),
}

/// How long a wait in between takes at most before the condition is looked at again.
pub(crate) const TICK: Duration = Duration::from_millis(5);
