//! What happens to tasks and their executors.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::content::LogContent;
use super::model::{
    Executor, ExecutorKey, Link, Listing, Model, Status, Task, TaskKey, round, uuid, uuid_bits,
};
use super::spec::{Death, ExecutorKind, Image, TaskSpec, TaskState};

/// The reason of updates that tell nothing but a change of health.
const HEALTH: &str = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED";

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
        self.register(at);
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
            uuid: Some(uuid_bits()),
            container: spec.container_status,
            unreachable_time: None,
        };
        // Masters learn of a task before its executor says anything.
        let first = (spec.statuses && spec.state != TaskState::Staging).then(|| status.clone());
        let (state, statuses) = match (&first, spec.statuses) {
            (Some(_), _) => (TaskState::Staging, Vec::new()),
            (None, true) => (spec.state, vec![status]),
            (None, false) => (spec.state, Vec::new()),
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
            state,
            statuses,
            labels: spec.labels,
            image: match spec.image {
                None if spec.rich => Some(Image::Docker("registry.test/web/app:1.0".to_owned())),
                image => image,
            },
            user: spec.user,
            cpus: spec.cpus,
            mem: spec.mem,
            container_status: spec.container_status,
            files: (depth > 0).then(|| fresh_files(&spec.id)),
            id: spec.id,
            containers,
            listing: Listing::Tasks,
            pending: Vec::new(),
            unacknowledged: false,
            data: spec.data,
            rich: spec.rich,
            before_loss: None,
        };
        self.frameworks[at].tasks.insert(key);
        if let Some(executor) = self.executors.get_mut(&executor) {
            executor.live.insert(key);
        }
        self.tasks.insert(key, task);
        if self.agents[agent].link == Link::Registered {
            self.tell_task_added(key);
        }
        if let Some(status) = first {
            self.report(key, status, true);
        }
        key
    }

    /// The agent of a task has a new status. The master hears it at once, unless the
    /// scheduler has not acknowledged the one before: then only the state goes through.
    fn report(&mut self, key: TaskKey, status: Status, acknowledged: bool) {
        let Some(task) = self.tasks.get_mut(&key) else {
            return;
        };
        let state = status.state;
        match self.agents[task.agent].link {
            Link::Registered if task.unacknowledged => {
                task.state = state;
                task.pending.push(status);
            }
            Link::Registered => {
                let framework = task.framework.clone();
                self.hear(key, status, None);
                let answers = self
                    .framework_by_id(&framework)
                    .is_some_and(|framework| framework.answers());
                if !(acknowledged && answers) {
                    if let Some(task) = self.tasks.get_mut(&key) {
                        task.unacknowledged = true;
                    }
                } else if state.is_terminal() {
                    self.complete(key);
                }
            }
            // The master learns it when the agent is back.
            Link::Recovered | Link::Vanished => task.push(status),
            Link::Lost | Link::Gone | Link::Unregistered => task.pending.push(status),
        }
    }

    /// The master hears a status, and with it the latest state if that is another one.
    pub(super) fn hear(&mut self, key: TaskKey, status: Status, latest: Option<TaskState>) {
        let by_status = self.version.updates_by_status();
        let Some(task) = self.tasks.get_mut(&key) else {
            return;
        };
        let before = task.state;
        let is_health = status.reason.as_deref() == Some(HEALTH);
        let repeats = task
            .statuses
            .last()
            .is_some_and(|last| last.state == status.state);
        task.push(status);
        if before.is_terminal() {
            task.state = before;
        } else if let Some(latest) = latest {
            task.state = latest;
        }
        let is_news = if by_status {
            !repeats || is_health
        } else {
            task.state != before
        };
        if is_news {
            self.tell_task_updated(key);
        }
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
        let repeats = healthy.is_some() && task.state == state;
        let status = Status {
            state,
            timestamp: round(now + agent.skew),
            message: None,
            reason: repeats.then(|| HEALTH.to_owned()),
            source: "SOURCE_EXECUTOR",
            healthy,
            uuid: Some(uuid_bits()),
            container: task.container_status,
            unreachable_time: None,
        };
        self.report(key, status, true);
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
        let executor = task.executor;
        let status = Status {
            state: death.state,
            timestamp: round(death.at.unwrap_or(now + agent.skew)),
            message: death.text(kind),
            reason: death.reason.clone(),
            source: death.source,
            healthy: death.healthy,
            uuid: (death.source != "SOURCE_MASTER").then(uuid_bits),
            container: task.container_status && death.source != "SOURCE_MASTER",
            unreachable_time: None,
        };
        let is_heard = agent.link == Link::Registered;
        *self.ended.entry(death.state).or_default() += 1;
        if is_heard && death.fast {
            let running = Status {
                state: TaskState::Running,
                message: None,
                reason: None,
                source: "SOURCE_EXECUTOR",
                healthy: None,
                uuid: Some(uuid_bits()),
                container: task.container_status,
                ..status
            };
            task.push(running);
            task.state = death.state;
            task.pending.push(status);
            task.unacknowledged = true;
            self.tell_task_updated(key);
        } else if is_heard && !death.status {
            task.state = death.state;
            task.pending.push(status);
            task.unacknowledged = true;
        } else {
            self.report(key, status, death.acknowledged);
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

    /// Acknowledges the statuses of a task: what was held back shows, and it is completed
    /// if it has ended.
    pub(crate) fn acknowledge(&mut self, key: TaskKey) -> bool {
        self.generation += 1;
        let Some(task) = self.tasks.get_mut(&key) else {
            return false;
        };
        let ended = task.state.is_terminal();
        if task.listing != Listing::Tasks
            || !(ended || task.unacknowledged)
            || self.agents[task.agent].link != Link::Registered
        {
            return false;
        }
        task.unacknowledged = false;
        let pending = std::mem::take(&mut task.pending);
        let latest = pending.last().map(|status| status.state);
        for status in pending {
            self.hear(key, status, latest);
        }
        if ended {
            self.complete(key);
        }
        true
    }

    /// Moves a task into `completed_tasks` and ends its executor with its last task.
    pub(super) fn complete(&mut self, key: TaskKey) {
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

    pub(super) fn end_executor(&mut self, key: ExecutorKey) {
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
    pub(super) fn list(&mut self, key: TaskKey, listing: Listing) {
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

    /// The master itself ends a task, or gives it up. Returns whether it had not ended.
    pub(super) fn master_ends(&mut self, key: TaskKey, status: Status) -> bool {
        let Some(task) = self.tasks.get_mut(&key) else {
            return false;
        };
        let had_ended = task.state.is_terminal();
        if self.shows_key(key) {
            self.hear(key, status, None);
        } else if let (Some(task), false) = (self.tasks.get_mut(&key), had_ended) {
            task.push(status);
        }
        !had_ended
    }

    fn shows_key(&self, key: TaskKey) -> bool {
        self.tasks.get(&key).is_some_and(|task| self.shows(task))
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

/// A status a master makes.
pub(super) fn master_status(
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
