use std::sync::Arc;

use super::content::text_of;

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are those of Mesos")]
pub enum TaskState {
    Staging,
    Starting,
    Running,
    Killing,
    Finished,
    Failed,
    Killed,
    Lost,
    Error,
    Dropped,
    Gone,
    GoneByOperator,
    Unreachable,
    Unknown,
}

impl TaskState {
    /// The name on the wire, `TASK_…`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "TASK_STAGING",
            Self::Starting => "TASK_STARTING",
            Self::Running => "TASK_RUNNING",
            Self::Killing => "TASK_KILLING",
            Self::Finished => "TASK_FINISHED",
            Self::Failed => "TASK_FAILED",
            Self::Killed => "TASK_KILLED",
            Self::Lost => "TASK_LOST",
            Self::Error => "TASK_ERROR",
            Self::Dropped => "TASK_DROPPED",
            Self::Gone => "TASK_GONE",
            Self::GoneByOperator => "TASK_GONE_BY_OPERATOR",
            Self::Unreachable => "TASK_UNREACHABLE",
            Self::Unknown => "TASK_UNKNOWN",
        }
    }

    /// Whether Mesos treats it as final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Failed
                | Self::Killed
                | Self::Lost
                | Self::Error
                | Self::Dropped
                | Self::Gone
                | Self::GoneByOperator
        )
    }
}

/// What runs a task, which decides where its logs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExecutorKind {
    /// The command or docker executor: `executor_id` is empty on the master, the agent
    /// names the executor like the task, logs are in the run directory. The default.
    #[default]
    Command,
    /// A framework's own executor with an id of its own; its tasks share the run
    /// directory and its logs.
    Custom,
    /// A framework's own executor that starts each task in a container `depth` levels
    /// below its own (at least 1): logs in `<run>/containers/<id>/…`.
    Nested {
        /// How many container ids are below the executor's.
        depth: usize,
    },
    /// The default executor (pods, task groups): type `DEFAULT`, logs in
    /// `<run>/tasks/<task id>/`, which is `<run>/containers/<id>/`. When a task of a pod
    /// fails, its siblings are killed.
    Pod,
}

/// The image of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Image {
    Docker(String),
    Ucr(String),
    Appc(String),
}

/// A label; bytes that are not UTF-8 are kept as private characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A task to launch. Default: a running command task of the framework `marathon` on the
/// next agent in turn, without a container and labels.
#[derive(Debug, Clone)]
#[must_use]
pub struct TaskSpec {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) framework: String,
    pub(crate) agent: Option<usize>,
    pub(crate) image: Option<Image>,
    pub(crate) labels: Vec<Label>,
    pub(crate) executor: ExecutorKind,
    pub(crate) executor_id: Option<String>,
    pub(crate) executor_labels: Vec<Label>,
    pub(crate) keep_executor: bool,
    pub(crate) state: TaskState,
    pub(crate) statuses: bool,
    pub(crate) container_status: bool,
    pub(crate) started_at: Option<f64>,
    pub(crate) healthy: Option<bool>,
    pub(crate) user: Option<String>,
    pub(crate) cpus: f64,
    pub(crate) mem: f64,
    pub(crate) data: Option<Arc<[u8]>>,
    pub(crate) rich: bool,
}

impl TaskSpec {
    /// A task with this id. Ids may be used again.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: None,
            framework: "marathon".to_owned(),
            agent: None,
            image: None,
            labels: Vec::new(),
            executor: ExecutorKind::Command,
            executor_id: None,
            executor_labels: Vec::new(),
            keep_executor: false,
            state: TaskState::Running,
            statuses: true,
            container_status: true,
            started_at: None,
            healthy: None,
            user: None,
            cpus: 0.1,
            mem: 32.0,
            data: None,
            rich: false,
        }
    }

    /// The name of the task. Default: its id up to the first full stop.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name of the framework, which is registered when it is used first. Default:
    /// `marathon`.
    pub fn framework(mut self, name: impl Into<String>) -> Self {
        self.framework = name.into();
        self
    }

    /// The agent, by index (modulo their number). Default: all in turn.
    pub fn agent(mut self, index: usize) -> Self {
        self.agent = Some(index);
        self
    }

    /// A docker image, run by docker.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(Image::Docker(image.into()));
        self
    }

    /// A docker image, run by Mesos itself (the universal container runtime).
    pub fn ucr_image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(Image::Ucr(image.into()));
        self
    }

    /// An appc image, run by Mesos itself.
    pub fn appc_image(mut self, name: impl Into<String>) -> Self {
        self.image = Some(Image::Appc(name.into()));
        self
    }

    /// Adds a label to the task.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push(Label {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Adds a label whose value may be invalid UTF-8; it is served as it is.
    pub fn label_bytes(mut self, key: impl Into<String>, value: &[u8]) -> Self {
        self.labels.push(Label {
            key: key.into(),
            value: text_of(value),
        });
        self
    }

    /// Adds a label to the executor, where the labels of pods are. Counts for the task
    /// that starts the executor.
    pub fn executor_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.executor_labels.push(Label {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// What runs the task. Default: [`ExecutorKind::Command`].
    pub fn executor(mut self, kind: ExecutorKind) -> Self {
        self.executor = kind;
        self
    }

    /// The id of the executor; a running one of the same framework, agent and id is
    /// shared. Default: `instance-<task id>` for pods, `<task id>-executor` for custom
    /// ones. Has no effect on command tasks.
    pub fn executor_id(mut self, id: impl Into<String>) -> Self {
        self.executor_id = Some(id.into());
        self
    }

    /// Lets the executor live on when its last task has ended.
    pub fn keep_executor(mut self) -> Self {
        self.keep_executor = true;
        self
    }

    /// The first state. Default: [`TaskState::Running`].
    pub fn state(mut self, state: TaskState) -> Self {
        self.state = state;
        self
    }

    /// Lists the task with an empty `statuses`, as Mesos does before the first update.
    pub fn without_statuses(mut self) -> Self {
        self.statuses = false;
        self
    }

    /// Leaves `container_status` out of the statuses, as old executors do.
    pub fn without_container_status(mut self) -> Self {
        self.container_status = false;
        self
    }

    /// The time of the first status in seconds since 1970. Default: now.
    pub fn started_at(mut self, seconds: f64) -> Self {
        self.started_at = Some(seconds);
        self
    }

    /// The health in the first status. Default: left out.
    pub fn healthy(mut self, healthy: bool) -> Self {
        self.healthy = Some(healthy);
        self
    }

    /// The user of the task. Default: left out.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The shares of CPU and the memory in MB. Default: 0.1 and 32.
    pub fn resources(mut self, cpus: f64, mem: f64) -> Self {
        self.cpus = cpus;
        self.mem = mem;
        self
    }

    /// What the executor adds to its statuses as `data`; the docker executor sends all of
    /// `docker inspect`, with the environment. Sent in events and kept nowhere. Default:
    /// nothing.
    pub fn status_data(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.data = Some(bytes.as_ref().into());
        self
    }

    /// Makes the task as big as those of real clusters, about 1.6 kB in the v0 state and
    /// 2.5 kB in the operator API: fixed resources, discovery, health check and port
    /// mappings, and a docker image unless another one is set. Costs no memory per task.
    pub fn rich(mut self) -> Self {
        self.rich = true;
        self
    }
}

/// How a task ends. Message, reason and source do not show in the v0 state, in no
/// version of Mesos; the operator API has them.
#[derive(Debug, Clone)]
#[must_use]
pub struct Death {
    pub(crate) state: TaskState,
    pub(crate) message: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) source: &'static str,
    pub(crate) healthy: Option<bool>,
    pub(crate) exit: Option<i32>,
    pub(crate) signal: Option<String>,
    pub(crate) at: Option<f64>,
    pub(crate) acknowledged: bool,
    pub(crate) status: bool,
    pub(crate) fast: bool,
    pub(crate) siblings: bool,
}

impl Death {
    /// An end in any state, reported by the executor.
    pub fn new(state: TaskState) -> Self {
        Self {
            state,
            message: None,
            reason: None,
            source: "SOURCE_EXECUTOR",
            healthy: None,
            exit: None,
            signal: None,
            at: None,
            acknowledged: true,
            status: true,
            fast: false,
            siblings: true,
        }
    }

    /// `TASK_FAILED` by the executor; says that the command exited with status 1 unless
    /// told otherwise.
    pub fn failed() -> Self {
        Self::new(TaskState::Failed)
    }

    /// `TASK_FINISHED` by the executor.
    pub fn finished() -> Self {
        Self::new(TaskState::Finished)
    }

    /// `TASK_KILLED` by the executor.
    pub fn killed() -> Self {
        Self::new(TaskState::Killed)
    }

    /// `TASK_LOST` by the agent, whose executor ended.
    pub fn lost() -> Self {
        Self::new(TaskState::Lost)
            .source("SOURCE_AGENT")
            .reason("REASON_EXECUTOR_TERMINATED")
            .message("Executor terminated")
    }

    /// `TASK_ERROR` by the master.
    pub fn error() -> Self {
        Self::new(TaskState::Error)
            .source("SOURCE_MASTER")
            .reason("REASON_TASK_INVALID")
            .message("Task is invalid")
    }

    /// `TASK_DROPPED` by the agent.
    pub fn dropped() -> Self {
        Self::new(TaskState::Dropped)
            .source("SOURCE_AGENT")
            .reason("REASON_AGENT_RESTARTED")
            .message("Agent restarted before the task was launched")
    }

    /// `TASK_GONE` by the agent.
    pub fn gone() -> Self {
        Self::new(TaskState::Gone)
            .source("SOURCE_AGENT")
            .reason("REASON_EXECUTOR_TERMINATED")
            .message("Executor terminated")
    }

    /// `TASK_GONE_BY_OPERATOR` by the master.
    pub fn gone_by_operator() -> Self {
        Self::new(TaskState::GoneByOperator)
            .source("SOURCE_MASTER")
            .reason("REASON_AGENT_REMOVED_BY_OPERATOR")
            .message("Agent has been marked gone")
    }

    /// `TASK_FAILED` because the container used more memory than it may.
    pub fn out_of_memory() -> Self {
        Self::failed()
            .source("SOURCE_AGENT")
            .reason("REASON_CONTAINER_LIMITATION_MEMORY")
            .message("Memory limit exceeded: Requested: 32MB Maximum Used: 32MB")
    }

    /// `TASK_KILLED` with `healthy` false: killed after failed health checks.
    pub fn unhealthy() -> Self {
        Self::killed().healthy(false)
    }

    /// The message of the status.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// A message that may be invalid UTF-8; it is served as it is.
    pub fn message_bytes(self, message: &[u8]) -> Self {
        self.message(text_of(message))
    }

    /// The reason of the status by its v1 name, `REASON_…` with AGENT instead of SLAVE.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Who says so: `SOURCE_EXECUTOR`, `SOURCE_AGENT` or `SOURCE_MASTER`.
    pub fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    /// The exit status. Without a message it also makes the message Mesos would send.
    pub fn exit(mut self, status: i32) -> Self {
        self.exit = Some(status);
        self
    }

    /// The name of the signal that ended it (`SIGKILL`). Without a message it also makes
    /// the message Mesos would send.
    pub fn signal(mut self, name: impl Into<String>) -> Self {
        self.signal = Some(name.into());
        self
    }

    /// The health in the status. Default: left out.
    pub fn healthy(mut self, healthy: bool) -> Self {
        self.healthy = Some(healthy);
        self
    }

    /// The time of the status in seconds since 1970. Default: now, by the agent's clock.
    pub fn at(mut self, seconds: f64) -> Self {
        self.at = Some(seconds);
        self
    }

    /// The scheduler does not acknowledge it: the task stays in `tasks` until
    /// [`FakeCluster::acknowledge`](super::FakeCluster::acknowledge).
    pub fn unacknowledged(mut self) -> Self {
        self.acknowledged = false;
        self
    }

    /// Only `state` tells the end: the status follows when an earlier one is
    /// acknowledged, as with a scheduler that is away. Implies
    /// [`unacknowledged`](Self::unacknowledged).
    pub fn state_only(mut self) -> Self {
        self.status = false;
        self.unacknowledged()
    }

    /// It dies so soon that its end overtakes its start: the update that is sent has the
    /// end in `state` and `TASK_RUNNING` in `status.state`, and the true status follows
    /// with the acknowledgement. Implies [`unacknowledged`](Self::unacknowledged).
    pub fn fast(mut self) -> Self {
        self.fast = true;
        self.unacknowledged()
    }

    /// Leaves the other tasks of the pod alone.
    pub fn alone(mut self) -> Self {
        self.siblings = false;
        self
    }
}
