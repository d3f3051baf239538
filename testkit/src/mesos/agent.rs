//! What happens to agents, and by that to their tasks.

use super::life::master_status;
use super::model::{Link, Listing, Model, TaskKey};
use super::spec::TaskState;

impl Model {
    /// The master gives an agent up.
    pub(crate) fn lose_agent(&mut self, index: usize) {
        let link = self.agents[index].link;
        if !matches!(link, Link::Registered | Link::Recovered) {
            return;
        }
        self.generation += 1;
        let now = self.now();
        if link == Link::Recovered {
            self.agents[index].link = Link::Vanished;
            return;
        }
        self.agents[index].link = Link::Lost;
        let unreachable = self.version.has_unreachable();
        for (key, aware) in self.tasks_of(index) {
            let Some(task) = self.tasks.get_mut(&key) else {
                continue;
            };
            let had_ended = task.state.is_terminal();
            task.before_loss = Some((task.state, task.statuses.len()));
            let state = if aware {
                TaskState::Unreachable
            } else {
                TaskState::Lost
            };
            let status = master_status(
                state,
                now,
                "REASON_AGENT_REMOVED",
                "health check timed out",
                unreachable,
            );
            self.hear(key, status, None);
            if !had_ended {
                *self.ended.entry(state).or_default() += 1;
            }
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

    /// An agent leaves in order; its tasks have ended for the master.
    pub(crate) fn unregister_agent(&mut self, index: usize) {
        if self.agents[index].link != Link::Registered {
            return;
        }
        self.generation += 1;
        let now = self.now();
        let hostname = &self.agents[index].hostname;
        let message = format!("Agent {hostname} removed: the agent unregistered");
        for (key, _) in self.tasks_of(index) {
            let reason = "REASON_AGENT_REMOVED";
            let status = master_status(TaskState::Lost, now, reason, &message, false);
            if self.master_ends(key, status) {
                *self.ended.entry(TaskState::Lost).or_default() += 1;
            }
            self.complete(key);
        }
        self.agents[index].link = Link::Unregistered;
        self.tell_agent_removed(index);
    }

    /// An operator marks an agent as gone for good.
    pub(crate) fn mark_gone(&mut self, index: usize) {
        self.generation += 1;
        let now = self.now();
        let unreachable: Vec<_> = self
            .tasks
            .values()
            .filter(|task| task.agent == index && task.listing == Listing::Unreachable)
            .map(|task| task.key)
            .collect();
        for (key, aware) in self.tasks_of(index) {
            let (state, reason) = if aware {
                (
                    TaskState::GoneByOperator,
                    "REASON_AGENT_REMOVED_BY_OPERATOR",
                )
            } else {
                (TaskState::Lost, "REASON_AGENT_REMOVED")
            };
            let message = "Agent has been marked gone";
            let status = master_status(state, now, reason, message, false);
            if self.master_ends(key, status) {
                *self.ended.entry(state).or_default() += 1;
            }
            if aware || !self.version.has_unreachable() {
                self.complete(key);
            } else {
                self.list(key, Listing::Unreachable);
            }
        }
        for key in unreachable {
            self.complete(key);
        }
        self.agents[index].link = Link::Gone;
    }

    /// An agent is back, with its tasks and what happened to them meanwhile. One that is
    /// gone stays so.
    pub(crate) fn return_agent(&mut self, index: usize) {
        self.come_back(index, false);
    }

    /// With `archives`, completed tasks come back also of frameworks that are not there.
    pub(super) fn come_back(&mut self, index: usize, archives: bool) {
        self.generation += 1;
        let now = self.now();
        let agent = &mut self.agents[index];
        let link = agent.link;
        if matches!(link, Link::Registered | Link::Gone) {
            return;
        }
        agent.link = Link::Registered;
        agent.registered_time = now;
        match link {
            Link::Lost => self.take_back(index),
            Link::Recovered | Link::Vanished => self.meet(index, archives),
            _ => self.tell_agent_added(index),
        }
    }

    /// The master that gave an agent up has it back.
    fn take_back(&mut self, index: usize) {
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
            if !self.version.has_unreachable() {
                // Before 1.2 the agent was told to end them; they stay lost.
                task.pending.clear();
                self.complete(key);
                continue;
            }
            task.statuses.truncate(statuses);
            task.state = state;
            self.list(key, Listing::Tasks);
        }
        self.meet(index, true);
    }

    /// A leader meets an agent: it learns of its tasks, and of frameworks that are not
    /// back yet. The agent's archive holds completed tasks too, but unless `archives` they
    /// are taken only for frameworks that were known before.
    fn meet(&mut self, index: usize, archives: bool) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let known: Vec<_> = self.frameworks.iter().map(|one| one.known()).collect();
        for (at, framework) in self.frameworks.iter().enumerate() {
            let on_agent =
                |key: &&TaskKey| self.tasks.get(key).is_some_and(|task| task.agent == index);
            let keys: Vec<_> = framework.tasks.iter().filter(on_agent).copied().collect();
            if framework.known() {
                before.extend(keys);
            } else if !keys.is_empty() {
                after.push((at, keys));
            }
        }
        for key in before.iter().chain(after.iter().flat_map(|(_, keys)| keys)) {
            // The agent tells all it knows, acknowledged or not.
            if let Some(task) = self.tasks.get_mut(key) {
                task.catch_up();
            }
        }
        for key in &before {
            self.tell_task_added(*key);
        }
        self.tell_agent_added(index);
        for (at, keys) in after {
            self.frameworks[at].recovered = true;
            if self.version.announces_recovered() {
                self.tell_framework_added(at);
            }
            for key in keys {
                self.tell_task_added(key);
            }
        }
        for (at, known) in known.into_iter().enumerate() {
            if archives || known {
                continue;
            }
            let completed = std::mem::take(&mut self.frameworks[at].completed);
            for key in completed {
                match self.tasks.get_mut(&key) {
                    Some(task) if task.agent == index => task.listing = Listing::Evicted,
                    _ => self.frameworks[at].completed.push_back(key),
                }
            }
        }
        for key in before {
            self.acknowledge_if_there(key);
        }
    }

    /// The scheduler of a task acknowledges what waits, if it is there.
    fn acknowledge_if_there(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else {
            return;
        };
        let framework = task.framework.clone();
        let answers = self
            .framework_by_id(&framework)
            .is_some_and(|framework| framework.answers());
        if answers {
            self.acknowledge(key);
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
