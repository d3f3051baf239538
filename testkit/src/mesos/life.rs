//! What happens to tasks, executors, frameworks and agents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::content::LogContent;
use super::model::{
    Executor, ExecutorKey, Leader, Link, Listing, Model, Status, Task, TaskKey, round, uuid,
};
use super::spec::{Death, ExecutorKind, TaskSpec, TaskState};

/// The files of a sandbox whose task has just started.
fn fresh_files(task: &str) -> BTreeMap<String, LogContent> {
    BTreeMap::from([
        ("stderr".to_owned(), LogContent::default()),
        ("stdout".to_owned(), format!("starting {task}\n").into()),
    ])
}

fn is_private(text: &str) -> bool {
    text.chars().any(|c| ('\u{f780}'..='\u{f7ff}').contains(&c))
}

impl Model {
    pub(crate) fn launch(&mut self, spec: TaskSpec) -> TaskKey {
        self.generation += 1;
        let at = self.framework(&spec.framework);
        let framework = self.frameworks[at].id.clone();
        let agent = spec.agent.map_or(self.next_agent, |index| index) % self.agents.len();
        if spec.agent.is_none() {
            self.next_agent = (agent + 1) % self.agents.len();
        }
        if spec
            .labels
            .iter()
            .chain(&spec.executor_labels)
            .any(|label| is_private(&label.value))
        {
            self.raw_bytes = true;
        }
        let executor = self.executor_for(&spec, &framework, agent);
        let key = self.key();
        let mut containers = vec![self.executors[&executor].run.clone()];
        let depth = match spec.executor {
            ExecutorKind::Command | ExecutorKind::Custom => 0,
            ExecutorKind::Nested { depth } => depth.max(1),
            ExecutorKind::Pod => 1,
        };
        containers.extend((0..depth).map(|_| uuid()));
        let timestamp = spec
            .started_at
            .unwrap_or_else(|| self.now() + self.agents[agent].skew);
        let status = Status {
            state: spec.state,
            timestamp: round(timestamp),
            message: None,
            reason: None,
            source: "SOURCE_EXECUTOR",
            healthy: spec.healthy,
            exit: None,
            uuid: Some(uuid()),
            container: spec.container_status,
            unreachable_time: None,
        };
        let name = spec
            .name
            .unwrap_or_else(|| spec.id.split('.').next().unwrap_or_default().to_owned());
        let task = Task {
            key,
            name,
            framework,
            executor,
            agent,
            state: spec.state,
            statuses: if spec.statuses {
                vec![status]
            } else {
                Vec::new()
            },
            labels: spec.labels,
            image: spec.image,
            user: spec.user,
            cpus: spec.cpus,
            mem: spec.mem,
            container_status: spec.container_status,
            files: (depth > 0).then(|| fresh_files(&spec.id)),
            id: spec.id,
            containers,
            listing: Listing::Tasks,
            pending: Vec::new(),
            before_loss: None,
        };
        self.frameworks[at].tasks.insert(key);
        if let Some(executor) = self.executors.get_mut(&executor) {
            executor.live.insert(key);
        }
        self.tasks.insert(key, task);
        key
    }

    /// The executor that runs the task: a running one that is shared, or a new one.
    fn executor_for(&mut self, spec: &TaskSpec, framework: &str, agent: usize) -> ExecutorKey {
        let id = match (spec.executor, &spec.executor_id) {
            (ExecutorKind::Command, _) => spec.id.clone(),
            (_, Some(id)) => id.clone(),
            (ExecutorKind::Pod, None) => format!("instance-{}", spec.id),
            (_, None) => format!("{}-executor", spec.id),
        };
        let running = self
            .runs
            .get(&(framework.to_owned(), id.clone()))
            .and_then(|runs| {
                runs.iter().copied().rev().find(|key| {
                    self.executors
                        .get(key)
                        .is_some_and(|executor| executor.agent == agent && !executor.ended)
                })
            });
        if let (Some(key), true) = (running, spec.executor != ExecutorKind::Command) {
            if let Some(executor) = self.executors.get_mut(&key) {
                executor.keep |= spec.keep_executor;
            }
            return key;
        }
        let key = self.key();
        let run = uuid();
        let host = &mut self.agents[agent];
        let directory = format!(
            "{}/slaves/{}/frameworks/{framework}/executors/{id}/runs/{run}",
            host.work_dir, host.id
        );
        host.live.insert(key);
        host.torn_down.remove(framework);
        self.runs
            .entry((framework.to_owned(), id.clone()))
            .or_default()
            .push(key);
        self.by_run.insert(run.clone(), key);
        self.executors.insert(
            key,
            Executor {
                source: if spec.executor == ExecutorKind::Command {
                    id.clone()
                } else {
                    String::new()
                },
                files: Some(fresh_files(&id)),
                id,
                kind: spec.executor,
                framework: framework.to_owned(),
                agent,
                run,
                labels: spec.executor_labels.clone(),
                keep: spec.keep_executor,
                live: BTreeSet::new(),
                completed: VecDeque::new(),
                ended: false,
                directory,
            },
        );
        key
    }

    /// Updates a task that goes on. Does nothing to one that has ended.
    pub(crate) fn update(&mut self, key: TaskKey, state: TaskState, healthy: Option<bool>) -> bool {
        let now = self.now();
        self.generation += 1;
        let Some(task) = self.tasks.get_mut(&key) else {
            return false;
        };
        if task.agent_state().is_terminal() {
            return false;
        }
        let agent = &self.agents[task.agent];
        let status = Status {
            state,
            timestamp: round(now + agent.skew),
            message: None,
            reason: None,
            source: "SOURCE_EXECUTOR",
            healthy,
            exit: None,
            uuid: Some(uuid()),
            container: task.container_status,
            unreachable_time: None,
        };
        if matches!(agent.link, Link::Lost | Link::Gone) {
            task.pending.push(status);
        } else {
            task.push(status);
        }
        true
    }

    /// Ends a task. Returns whether it had not ended before.
    pub(crate) fn die(&mut self, key: TaskKey, death: &Death) -> bool {
        let now = self.now();
        self.generation += 1;
        let Some(task) = self.tasks.get_mut(&key) else {
            return false;
        };
        if task.agent_state().is_terminal() {
            return false;
        }
        let kind = self
            .executors
            .get(&task.executor)
            .map(|executor| executor.kind)
            .unwrap_or_default();
        let agent = &self.agents[task.agent];
        let (executor, framework) = (task.executor, task.framework.clone());
        let status = Status {
            state: death.state,
            timestamp: round(death.at.unwrap_or(now + agent.skew)),
            message: death.text(kind),
            reason: death.reason.clone(),
            source: death.source,
            healthy: death.healthy,
            exit: death.exit,
            uuid: (death.source != "SOURCE_MASTER").then(uuid),
            container: task.container_status && death.source != "SOURCE_MASTER",
            unreachable_time: None,
        };
        let heard = !matches!(agent.link, Link::Lost | Link::Gone);
        if !heard {
            task.pending.push(status);
        } else if death.status {
            task.push(status);
        } else {
            task.state = death.state;
            task.pending.push(status);
        }
        *self.ended.entry(death.state).or_default() += 1;
        let acknowledges = self
            .framework_by_id(&framework)
            .is_some_and(|framework| framework.acknowledges && framework.connected);
        if heard && death.acknowledged && acknowledges && death.state.is_terminal() {
            self.complete(key);
        }
        if kind == ExecutorKind::Pod && death.siblings && death.state == TaskState::Failed {
            let siblings = self
                .executors
                .get(&executor)
                .map(|executor| executor.live.clone())
                .unwrap_or_default();
            let mut killed = Death::killed()
                .alone()
                .message("Container terminated with signal Terminated");
            killed.at = death.at;
            killed.acknowledged = death.acknowledged;
            for sibling in siblings {
                self.die(sibling, &killed);
            }
        }
        true
    }

    /// Acknowledges the end of a task: what was held back shows, and it is completed.
    pub(crate) fn acknowledge(&mut self, key: TaskKey) -> bool {
        self.generation += 1;
        let Some(task) = self.tasks.get_mut(&key) else {
            return false;
        };
        if task.listing != Listing::Tasks || !task.state.is_terminal() {
            return false;
        }
        for status in std::mem::take(&mut task.pending) {
            task.push(status);
        }
        self.complete(key);
        true
    }

    /// Acknowledges all that has ended of a framework.
    pub(crate) fn acknowledge_all(&mut self, at: usize) {
        let keys: Vec<_> = self.frameworks[at].tasks.iter().copied().collect();
        for key in keys {
            self.acknowledge(key);
        }
    }

    /// Moves a task into `completed_tasks` and ends its executor with its last task.
    fn complete(&mut self, key: TaskKey) {
        self.list(key, Listing::Completed);
        let limits = self.limits;
        let Some(task) = self.tasks.get(&key) else {
            return;
        };
        let executor_key = task.executor;
        let Some(executor) = self.executors.get_mut(&executor_key) else {
            return;
        };
        if executor.live.remove(&key) {
            executor.completed.push_back(key);
            if executor.completed.len() > limits.executor_tasks {
                executor.completed.pop_front();
            }
        }
        if executor.live.is_empty() && !executor.keep {
            self.end_executor(executor_key);
        }
    }

    fn end_executor(&mut self, key: ExecutorKey) {
        let Some(executor) = self.executors.get_mut(&key) else {
            return;
        };
        if std::mem::replace(&mut executor.ended, true) {
            return;
        }
        let agent = &mut self.agents[executor.agent];
        agent.live.remove(&key);
        let ring = agent
            .completed
            .entry(executor.framework.clone())
            .or_default();
        ring.push_back(key);
        if ring.len() > self.limits.completed_executors {
            ring.pop_front();
        }
    }

    /// Puts a task into another list of its framework.
    fn list(&mut self, key: TaskKey, listing: Listing) {
        let limits = self.limits;
        let Some(task) = self.tasks.get_mut(&key) else {
            return;
        };
        let (from, id) = (
            std::mem::replace(&mut task.listing, listing),
            task.framework.clone(),
        );
        let Some(framework) = self.framework_by_id(&id) else {
            return;
        };
        match from {
            Listing::Tasks => {
                framework.tasks.remove(&key);
            }
            Listing::Unreachable => framework.unreachable.retain(|other| *other != key),
            Listing::Completed => framework.completed.retain(|other| *other != key),
            Listing::Evicted => {}
        }
        let evicted = match listing {
            Listing::Tasks => {
                framework.tasks.insert(key);
                None
            }
            Listing::Unreachable => {
                push_ring(&mut framework.unreachable, key, limits.unreachable_tasks)
            }
            Listing::Completed => push_ring(&mut framework.completed, key, limits.completed_tasks),
            Listing::Evicted => None,
        };
        if let Some(task) = evicted.and_then(|key| self.tasks.get_mut(&key)) {
            task.listing = Listing::Evicted;
        }
    }

    /// Removes a framework; what it still ran is killed.
    pub(crate) fn tear_down(&mut self, at: usize) {
        self.generation += 1;
        let now = self.now();
        let id = self.frameworks[at].id.clone();
        let keys: Vec<_> = self.frameworks[at].tasks.iter().copied().collect();
        for key in keys {
            let death = Death::killed()
                .alone()
                .source("SOURCE_MASTER")
                .reason("REASON_FRAMEWORK_REMOVED")
                .message(format!("Framework {id} removed"));
            self.die(key, &death);
            if self
                .tasks
                .get(&key)
                .is_some_and(|task| task.listing == Listing::Tasks)
            {
                self.complete(key);
            }
        }
        let executors: Vec<_> = self
            .executors
            .iter()
            .filter(|(_, executor)| executor.framework == id)
            .map(|(key, _)| *key)
            .collect();
        for key in executors {
            self.end_executor(key);
        }
        for agent in &mut self.agents {
            if agent.completed.contains_key(&id) {
                agent.torn_down.insert(id.clone());
            }
        }
        let mut framework = self.frameworks.remove(at);
        framework.torn_down = true;
        framework.connected = false;
        framework.unregistered_time = now;
        self.completed_frameworks.push_back(framework);
        while self.completed_frameworks.len() > self.limits.completed_frameworks {
            self.completed_frameworks.pop_front();
        }
    }

    /// The master gives an agent up.
    pub(crate) fn lose_agent(&mut self, index: usize) {
        if !matches!(self.agents[index].link, Link::Registered | Link::Recovered) {
            return;
        }
        self.generation += 1;
        let now = self.now();
        self.agents[index].link = Link::Lost;
        for (key, aware) in self.tasks_of(index) {
            let state = if aware {
                TaskState::Unreachable
            } else {
                TaskState::Lost
            };
            let unreachable = self.version.has_unreachable();
            let Some(task) = self.tasks.get_mut(&key) else {
                continue;
            };
            if task.state.is_terminal() {
                self.list(key, Listing::Completed);
                continue;
            }
            task.before_loss = Some((task.state, task.statuses.len()));
            task.push(master_status(
                state,
                now,
                "REASON_AGENT_REMOVED",
                "health check timed out",
                unreachable,
            ));
            *self.ended.entry(state).or_default() += 1;
            self.list(
                key,
                if unreachable {
                    Listing::Unreachable
                } else {
                    Listing::Completed
                },
            );
        }
    }

    /// An operator marks an agent as gone for good.
    pub(crate) fn mark_gone(&mut self, index: usize) {
        self.generation += 1;
        let now = self.now();
        self.agents[index].link = Link::Gone;
        for (key, aware) in self.tasks_of(index) {
            let state = if aware {
                TaskState::GoneByOperator
            } else {
                TaskState::Lost
            };
            let Some(task) = self.tasks.get_mut(&key) else {
                continue;
            };
            if !task.state.is_terminal() {
                task.push(master_status(
                    state,
                    now,
                    "REASON_AGENT_REMOVED_BY_OPERATOR",
                    "Agent has been marked gone",
                    false,
                ));
                *self.ended.entry(state).or_default() += 1;
            }
            self.complete(key);
        }
        let unreachable: Vec<_> = self
            .tasks
            .values()
            .filter(|task| task.agent == index && task.listing == Listing::Unreachable)
            .map(|task| task.key)
            .collect();
        for key in unreachable {
            self.complete(key);
        }
    }

    /// A lost agent is back, with its tasks and what happened to them meanwhile.
    pub(crate) fn return_agent(&mut self, index: usize) {
        self.generation += 1;
        let now = self.now();
        if std::mem::replace(&mut self.agents[index].link, Link::Registered) != Link::Lost {
            return;
        }
        self.agents[index].registered_time = now;
        let mut back: Vec<_> = self
            .tasks
            .values()
            .filter(|task| task.agent == index && task.before_loss.is_some())
            .map(|task| task.key)
            .collect();
        back.sort_unstable();
        for key in back {
            let Some(task) = self.tasks.get_mut(&key) else {
                continue;
            };
            let Some((state, statuses)) = task.before_loss.take() else {
                continue;
            };
            let pending = std::mem::take(&mut task.pending);
            if !self.version.has_unreachable() {
                // Before 1.2 the agent was told to end them; they stay lost.
                self.complete(key);
                continue;
            }
            task.statuses.truncate(statuses);
            task.state = state;
            for status in pending {
                task.push(status);
            }
            let (ended, framework) = (task.state.is_terminal(), task.framework.clone());
            self.list(key, Listing::Tasks);
            let acknowledges = self.framework_by_id(&framework).is_some_and(|framework| {
                framework.torn_down || framework.acknowledges && framework.connected
            });
            if ended && acknowledges {
                self.complete(key);
            }
        }
    }

    /// Another master takes over. It knows the agents from the registry; unless `whole`,
    /// they and the frameworks have yet to come back.
    pub(crate) fn fail_over(&mut self, to: usize, whole: bool) {
        self.generation += 1;
        self.leader = Leader::Master(to);
        self.masters[to].elected_time = self.now();
        for at in 0..self.frameworks.len() {
            // A new master does not know what the old one gave up.
            for key in std::mem::take(&mut self.frameworks[at].unreachable) {
                if let Some(task) = self.tasks.get_mut(&key) {
                    task.listing = Listing::Evicted;
                }
            }
            self.frameworks[at].registered = whole;
        }
        for agent in &mut self.agents {
            if matches!(agent.link, Link::Registered | Link::Recovered) {
                agent.link = if whole {
                    Link::Registered
                } else {
                    Link::Recovered
                };
            }
        }
    }

    /// The tasks listed as `tasks` of an agent, and whether their framework knows about
    /// partitions.
    fn tasks_of(&self, index: usize) -> Vec<(TaskKey, bool)> {
        let mut keys = Vec::new();
        for framework in &self.frameworks {
            let on_agent =
                |key: &&TaskKey| self.tasks.get(key).is_some_and(|task| task.agent == index);
            keys.extend(
                framework
                    .tasks
                    .iter()
                    .filter(on_agent)
                    .map(|key| (*key, framework.partition_aware)),
            );
        }
        keys
    }
}

impl Death {
    /// The message of the status: the one given, or the one Mesos would make.
    fn text(&self, kind: ExecutorKind) -> Option<String> {
        let who = if kind == ExecutorKind::Command {
            "Command"
        } else {
            "Container"
        };
        if let Some(message) = &self.message {
            return Some(message.clone());
        }
        match (self.exit, &self.signal, self.state) {
            (Some(status), _, _) => Some(format!("{who} exited with status {status}")),
            (None, Some(signal), _) => Some(format!("{who} terminated with signal {signal}")),
            (None, None, TaskState::Failed) => Some(format!("{who} exited with status 1")),
            _ => None,
        }
    }
}

fn master_status(
    state: TaskState,
    now: f64,
    reason: &str,
    message: &str,
    unreachable: bool,
) -> Status {
    Status {
        state,
        timestamp: now,
        message: Some(message.to_owned()),
        reason: Some(reason.to_owned()),
        source: "SOURCE_MASTER",
        healthy: None,
        exit: None,
        uuid: None,
        container: false,
        unreachable_time: unreachable.then_some(now),
    }
}

fn push_ring(ring: &mut VecDeque<TaskKey>, key: TaskKey, limit: usize) -> Option<TaskKey> {
    ring.push_back(key);
    if ring.len() > limit {
        ring.pop_front()
    } else {
        None
    }
}
