//! What a cluster knows: masters, agents, frameworks, executors and tasks, apart from
//! the way it is rendered.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::content::LogContent;
use super::spec::{ExecutorKind, Image, Label, TaskState};
use super::stream::Streams;
use super::version::MesosVersion;
use crate::http::wall_clock;

pub(crate) type TaskKey = u64;
pub(crate) type ExecutorKey = u64;

/// Sizes of the rings in which what has ended is kept, and how many may listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) completed_tasks: usize,
    pub(crate) unreachable_tasks: usize,
    pub(crate) completed_frameworks: usize,
    pub(crate) completed_executors: usize,
    pub(crate) executor_tasks: usize,
    pub(crate) streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            completed_tasks: 1000,
            unreachable_tasks: 1000,
            completed_frameworks: 50,
            completed_executors: 150,
            executor_tasks: 200,
            streams: 1000,
        }
    }
}

/// How masters that do not lead answer, from 1.0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RedirectStyle {
    /// 307 with `Location: //host:port/path`, as Mesos does. The default.
    #[default]
    ProtocolRelative,
    /// 307 with `Location: http://host:port/path`.
    Absolute,
    /// 302 with `Location: http://host:port/path`, as proxies do.
    Found,
}

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leader {
    Master(usize),
    Nobody,
    /// Every master sends to the next one.
    Loop,
}

#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) port: u16,
    pub(crate) start_time: f64,
    pub(crate) elected_time: f64,
}

impl Master {
    pub(crate) fn pid(&self) -> String {
        format!("master@127.0.0.1:{}", self.port)
    }
}

/// What the leading master thinks of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Registered,
    /// Known from the registry after a failover, not yet back.
    Recovered,
    Lost,
    /// Lost before it was back after a failover: its tasks are not known.
    Vanished,
    Gone,
    /// Left in order.
    Unregistered,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) port: u16,
    pub(crate) work_dir: String,
    pub(crate) registered_time: f64,
    pub(crate) link: Link,
    pub(crate) skew: f64,
    pub(crate) live: BTreeSet<ExecutorKey>,
    /// Ended executors by framework, oldest first.
    pub(crate) completed: BTreeMap<String, VecDeque<ExecutorKey>>,
    pub(crate) torn_down: BTreeSet<String>,
}

impl Agent {
    pub(crate) fn pid(&self) -> String {
        format!("slave(1)@127.0.0.1:{}", self.port)
    }
}

#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) registered_time: f64,
    pub(crate) unregistered_time: f64,
    pub(crate) connected: bool,
    pub(crate) acknowledges: bool,
    pub(crate) partition_aware: bool,
    pub(crate) torn_down: bool,
    /// Ended before the leader led, which knows nothing of it.
    pub(crate) forgotten: bool,
    /// Whether it is back after a failover.
    pub(crate) registered: bool,
    /// Not back yet, but known from agents that are.
    pub(crate) recovered: bool,
    pub(crate) tasks: BTreeSet<TaskKey>,
    pub(crate) unreachable: VecDeque<TaskKey>,
    pub(crate) completed: VecDeque<TaskKey>,
}

impl Framework {
    /// Whether the leading master knows it.
    pub(crate) fn known(&self) -> bool {
        self.registered || self.recovered
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.registered && self.connected
    }

    /// Whether the scheduler takes statuses and says so.
    pub(crate) fn answers(&self) -> bool {
        self.is_connected() && self.acknowledges
    }
}

#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) id: String,
    pub(crate) kind: ExecutorKind,
    pub(crate) framework: String,
    pub(crate) agent: usize,
    pub(crate) run: String,
    pub(crate) source: String,
    pub(crate) labels: Vec<Label>,
    pub(crate) keep: bool,
    /// Tasks that have not ended or whose end is not acknowledged.
    pub(crate) live: BTreeSet<TaskKey>,
    pub(crate) completed: VecDeque<TaskKey>,
    pub(crate) ended: bool,
    pub(crate) directory: String,
    pub(crate) files: Option<BTreeMap<String, LogContent>>,
}

/// Which list of its framework a task is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listing {
    /// In `tasks`.
    Tasks,
    /// In `unreachable_tasks`.
    Unreachable,
    /// In `completed_tasks`.
    Completed,
    /// In none any more: pushed out by later ones.
    Evicted,
}

#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) state: TaskState,
    pub(crate) timestamp: f64,
    pub(crate) message: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) source: &'static str,
    pub(crate) healthy: Option<bool>,
    /// Absent in statuses a master made.
    pub(crate) uuid: Option<u128>,
    /// Whether it names the container of the task.
    pub(crate) container: bool,
    pub(crate) unreachable_time: Option<f64>,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) key: TaskKey,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) framework: String,
    pub(crate) executor: ExecutorKey,
    pub(crate) agent: usize,
    pub(crate) state: TaskState,
    pub(crate) statuses: Vec<Status>,
    pub(crate) labels: Vec<Label>,
    pub(crate) image: Option<Image>,
    pub(crate) user: Option<String>,
    pub(crate) cpus: f64,
    pub(crate) mem: f64,
    pub(crate) container_status: bool,
    /// Container ids from the executor's down to the task's own.
    pub(crate) containers: Vec<String>,
    pub(crate) listing: Listing,
    /// Statuses of the agent that the master has not heard, or hears only after an
    /// acknowledgement.
    pub(crate) pending: Vec<Status>,
    /// The last status the master heard waits for the scheduler.
    pub(crate) unacknowledged: bool,
    /// What the executor adds to its statuses.
    pub(crate) data: Option<Arc<[u8]>>,
    /// Resources, discovery and checks of a big task.
    pub(crate) rich: bool,
    /// State and number of statuses before the agent was lost.
    pub(crate) before_loss: Option<(TaskState, usize)>,
    /// The files of a nested container.
    pub(crate) files: Option<BTreeMap<String, LogContent>>,
}

impl Task {
    /// Appends a status as Mesos does: a state that repeats replaces the last one.
    pub(crate) fn push(&mut self, status: Status) {
        self.state = status.state;
        if self
            .statuses
            .last()
            .is_some_and(|last| last.state == status.state)
        {
            self.statuses.pop();
        }
        self.statuses.push(status);
    }

    /// Takes the statuses that waited for an acknowledgement, without telling anybody.
    pub(crate) fn catch_up(&mut self) {
        for status in std::mem::take(&mut self.pending) {
            self.push(status);
        }
    }

    /// The state the agent knows, which a master may not have heard of.
    pub(crate) fn agent_state(&self) -> TaskState {
        match (&self.pending.last(), self.before_loss) {
            (Some(status), _) => status.state,
            (None, Some((state, _))) => state,
            (None, None) => self.state,
        }
    }

    /// The directory of the task's own container below that of the executor's run, with
    /// a leading slash; empty if it is the run directory.
    pub(crate) fn container_suffix(&self) -> String {
        self.containers
            .iter()
            .skip(1)
            .map(|id| format!("/containers/{id}"))
            .collect()
    }
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) version: MesosVersion,
    pub(crate) cluster: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) masters: Vec<Master>,
    pub(crate) leader: Leader,
    pub(crate) redirects: RedirectStyle,
    pub(crate) agents: Vec<Agent>,
    /// In order of registration; ended ones last in `completed_frameworks`.
    pub(crate) frameworks: Vec<Framework>,
    pub(crate) completed_frameworks: VecDeque<Framework>,
    pub(crate) executors: HashMap<ExecutorKey, Executor>,
    /// Executors by framework id and executor id, oldest first.
    pub(crate) runs: HashMap<(String, String), Vec<ExecutorKey>>,
    /// Executors by the id of their run.
    pub(crate) by_run: HashMap<String, ExecutorKey>,
    pub(crate) tasks: HashMap<TaskKey, Task>,
    pub(crate) ended: HashMap<TaskState, u64>,
    pub(crate) next_key: u64,
    pub(crate) next_framework: usize,
    pub(crate) next_agent: usize,
    pub(crate) time: Option<f64>,
    /// Some text holds bytes that are no UTF-8.
    pub(crate) raw_bytes: bool,
    pub(crate) sandboxes_denied: bool,
    pub(crate) streams: Streams,
    /// Grows with every change.
    pub(crate) generation: u64,
}

impl Model {
    pub(crate) fn new(version: MesosVersion, limits: Limits, cluster: Option<String>) -> Self {
        Self {
            version,
            cluster,
            limits,
            masters: Vec::new(),
            leader: Leader::Master(0),
            redirects: RedirectStyle::default(),
            agents: Vec::new(),
            frameworks: Vec::new(),
            completed_frameworks: VecDeque::new(),
            executors: HashMap::new(),
            runs: HashMap::new(),
            by_run: HashMap::new(),
            tasks: HashMap::new(),
            ended: HashMap::new(),
            next_key: 0,
            next_framework: 0,
            next_agent: 0,
            time: None,
            raw_bytes: false,
            sandboxes_denied: false,
            streams: Streams::new(limits.streams.max(1)),
            generation: 0,
        }
    }

    /// Seconds since 1970 with the five decimals Mesos prints.
    pub(crate) fn now(&self) -> f64 {
        round(self.time.unwrap_or_else(|| {
            wall_clock()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64())
        }))
    }

    pub(crate) fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(crate) fn add_master(&mut self, hostname: String, port: u16) {
        let now = self.now();
        self.masters.push(Master {
            id: uuid(),
            hostname,
            port,
            start_time: now,
            elected_time: now,
        });
    }

    pub(crate) fn add_agent(&mut self, hostname: String, port: u16, work_dir: String) -> usize {
        let index = self.agents.len();
        let origin = self
            .masters
            .first()
            .map_or_else(uuid, |master| master.id.clone());
        self.agents.push(Agent {
            id: format!("{origin}-S{index}"),
            hostname,
            port,
            work_dir,
            registered_time: self.now(),
            link: Link::Registered,
            skew: 0.0,
            live: BTreeSet::new(),
            completed: BTreeMap::new(),
            torn_down: BTreeSet::new(),
        });
        index
    }

    /// The position of the running framework of this name, registered if need be.
    pub(crate) fn framework(&mut self, name: &str) -> usize {
        if let Some(at) = self
            .frameworks
            .iter()
            .position(|framework| framework.name == name)
        {
            return at;
        }
        let origin = self
            .masters
            .first()
            .map_or_else(uuid, |master| master.id.clone());
        let id = format!("{origin}-{:04}", self.next_framework);
        self.next_framework += 1;
        self.frameworks.push(Framework {
            id,
            name: name.to_owned(),
            registered_time: self.now(),
            unregistered_time: 0.0,
            connected: true,
            acknowledges: true,
            partition_aware: false,
            torn_down: false,
            forgotten: false,
            registered: true,
            recovered: false,
            tasks: BTreeSet::new(),
            unreachable: VecDeque::new(),
            completed: VecDeque::new(),
        });
        let at = self.frameworks.len() - 1;
        self.generation += 1;
        self.tell_framework_added(at);
        at
    }

    /// Whether the leading master knows a task: a new one learns of the tasks of an agent
    /// when the agent is back.
    pub(crate) fn shows(&self, task: &Task) -> bool {
        !matches!(
            self.agents[task.agent].link,
            Link::Recovered | Link::Vanished
        )
    }

    /// The frameworks that ended under the leading master.
    pub(crate) fn completed(&self) -> impl Iterator<Item = &Framework> {
        self.completed_frameworks
            .iter()
            .filter(|framework| !framework.forgotten)
    }

    pub(crate) fn framework_by_id(&mut self, id: &str) -> Option<&mut Framework> {
        self.frameworks
            .iter_mut()
            .chain(&mut self.completed_frameworks)
            .find(|framework| framework.id == id)
    }

    /// The newest run of an executor on an agent.
    pub(crate) fn latest_run(
        &self,
        agent: usize,
        framework: &str,
        executor: &str,
    ) -> Option<ExecutorKey> {
        let runs = self
            .runs
            .get(&(framework.to_owned(), executor.to_owned()))?;
        runs.iter()
            .rev()
            .find(|key| {
                self.executors
                    .get(key)
                    .is_some_and(|run| run.agent == agent)
            })
            .copied()
    }
}

/// Rounds to the precision in which Mesos prints times.
pub(crate) fn round(seconds: f64) -> f64 {
    (seconds * 1e5).round() / 1e5
}

/// The bits of a random UUID of version 4.
pub(crate) fn uuid_bits() -> u128 {
    fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62
}

/// A random id in the form of a UUID of version 4.
pub(crate) fn uuid() -> String {
    let bits = uuid_bits();
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}
