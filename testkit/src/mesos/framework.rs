//! What happens to frameworks.

use super::life::master_status;
use super::model::Model;
use super::spec::TaskState;

impl Model {
    /// Acknowledges all that waits of a framework.
    pub(crate) fn acknowledge_all(&mut self, at: usize) {
        let keys: Vec<_> = self.frameworks[at].tasks.iter().copied().collect();
        for key in keys {
            self.acknowledge(key);
        }
    }

    /// A framework is with the leader, again or for the first time after a failover.
    pub(crate) fn register(&mut self, at: usize) {
        let framework = &mut self.frameworks[at];
        if std::mem::replace(&mut framework.registered, true) {
            return;
        }
        self.generation += 1;
        if !framework.recovered {
            // It has an id of the old leader, so it counts as recovered for a moment.
            (framework.registered, framework.recovered) = (false, true);
            if self.version.announces_recovered() {
                self.tell_framework_added(at);
            }
        }
        let framework = &mut self.frameworks[at];
        (framework.registered, framework.recovered) = (true, false);
        self.tell_framework_updated(at);
    }

    /// The scheduler of a framework subscribes again.
    pub(crate) fn reconnect(&mut self, at: usize) {
        self.generation += 1;
        let framework = &mut self.frameworks[at];
        framework.connected = true;
        framework.acknowledges = true;
        if framework.registered {
            self.tell_framework_updated(at);
        } else {
            self.register(at);
        }
        self.acknowledge_all(at);
    }

    /// Removes a framework; what it still ran is killed.
    pub(crate) fn tear_down(&mut self, at: usize) {
        self.generation += 1;
        let now = self.now();
        let id = self.frameworks[at].id.clone();
        let keys: Vec<_> = self.frameworks[at].tasks.iter().copied().collect();
        // Tasks of lost agents last. Those that have ended get the status too.
        let lost = self.frameworks[at].unreachable.iter().copied();
        let keys: Vec<_> = keys.into_iter().chain(lost).collect();
        for key in keys {
            let message = format!("Framework {id} removed");
            let killed = master_status(
                TaskState::Killed,
                now,
                "REASON_FRAMEWORK_REMOVED",
                &message,
                false,
            );
            if self.master_ends(key, killed) {
                *self.ended.entry(TaskState::Killed).or_default() += 1;
            }
            self.complete(key);
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
        let framework = &mut self.frameworks[at];
        framework.torn_down = true;
        framework.connected = false;
        framework.unregistered_time = now;
        self.tell_framework_removed(at);
        let framework = self.frameworks.remove(at);
        self.completed_frameworks.push_back(framework);
        while self.completed_frameworks.len() > self.limits.completed_frameworks {
            self.completed_frameworks.pop_front();
        }
    }
}
