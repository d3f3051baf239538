//! What was told earlier and a master forgets, or does not tell with a task: agents that
//! are lost, labels of executors that have ended, names of frameworks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::state::{Agent, Snapshot, Task};

/// A lost agent's host is worth knowing until its last task is reported.
const AGENTS: Duration = Duration::from_secs(24 * 3600);
/// The executor of a pod vanishes with its last task, in whose report its labels decide.
const LABELS: Duration = Duration::from_secs(3600);
/// A framework that was removed may have tasks whose end is heard of late.
const NAMES: Duration = Duration::from_secs(24 * 3600);

pub(crate) type Labels = BTreeMap<String, String>;

/// Memory of earlier answers, bounded by time.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    agents: HashMap<String, (Instant, Agent)>,
    /// Of all executors, also those that have none.
    labels: HashMap<Arc<str>, HashMap<String, (Instant, Labels)>>,
    names: HashMap<Arc<str>, (Instant, Arc<str>)>,
}

impl Recall {
    /// Takes in what a snapshot tells, and forgets what is old.
    pub(crate) fn learn(&mut self, snapshot: &mut Snapshot, now: Instant) {
        self.take_in(snapshot, now);
        self.agents
            .retain(|_, (at, _)| now.duration_since(*at) <= AGENTS);
        self.names
            .retain(|_, (at, _)| now.duration_since(*at) <= NAMES);
        self.labels.retain(|_, executors| {
            executors.retain(|_, (at, _)| now.duration_since(*at) <= LABELS);
            !executors.is_empty()
        });
    }

    /// Takes in an answer that tells a part only.
    pub(crate) fn take_in(&mut self, snapshot: &mut Snapshot, now: Instant) {
        for agent in snapshot.agents.drain(..) {
            self.learn_agent(agent, now);
        }
        for (id, name) in snapshot.frameworks.drain() {
            self.learn_name(id, name, now);
        }
        for executor in snapshot.executors.drain(..) {
            self.learn_labels(executor.framework, executor.id, executor.labels, now);
        }
    }

    pub(crate) fn learn_agent(&mut self, agent: Agent, now: Instant) {
        let known = self
            .agents
            .entry(agent.id.clone())
            .or_insert_with(|| (now, agent.clone()));
        known.0 = now;
        // After a change of leader an agent is listed without its process for a while.
        if !agent.hostname.is_empty() {
            known.1.hostname = agent.hostname;
        }
        if !agent.pid.is_empty() {
            known.1.pid = agent.pid;
            known.1.port = agent.port;
        } else if agent.port.is_some() {
            known.1.port = agent.port;
        }
    }

    pub(crate) fn learn_name(&mut self, framework: Arc<str>, name: Arc<str>, now: Instant) {
        if !framework.is_empty() && !name.is_empty() {
            self.names.insert(framework, (now, name));
        }
    }

    pub(crate) fn learn_labels(
        &mut self,
        framework: Arc<str>,
        executor: String,
        labels: Labels,
        now: Instant,
    ) {
        self.labels
            .entry(framework)
            .or_default()
            .insert(executor, (now, labels));
    }

    /// Fills in what the task's own record does not tell: the name of its framework, and
    /// its executor's labels below its own.
    pub(crate) fn complete(&self, task: &mut Task) {
        if task.framework_name.is_empty()
            && let Some((_, name)) = self.names.get(&task.framework)
        {
            task.framework_name = Arc::clone(name);
        }
        if !task.executor.is_empty()
            && let Some(labels) = self.labels(&task.framework, &task.executor)
        {
            for (key, value) in labels {
                if !task.labels.contains_key(key) {
                    task.labels.insert(key.clone(), value.clone());
                }
            }
        }
    }

    /// False if a task is the first that is heard of its executor: it may have labels.
    pub(crate) fn knows_executor_of(&self, task: &Task) -> bool {
        task.executor.is_empty() || self.labels(&task.framework, &task.executor).is_some()
    }

    pub(crate) fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.get(id).map(|(_, agent)| agent)
    }

    /// The labels of an executor.
    fn labels(&self, framework: &str, executor: &str) -> Option<&Labels> {
        self.labels
            .get(framework)?
            .get(executor)
            .map(|(_, labels)| labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Executor;

    fn snapshot(agents: &[(&str, &str)], executors: &[&str]) -> Snapshot {
        Snapshot {
            agents: agents
                .iter()
                .map(|(id, pid)| Agent {
                    id: (*id).into(),
                    hostname: format!("host-{id}"),
                    pid: (*pid).into(),
                    port: None,
                })
                .collect(),
            executors: executors
                .iter()
                .map(|id| Executor {
                    framework: "F".into(),
                    id: (*id).into(),
                    labels: Labels::from([("k".into(), "v".into())]),
                    ..Executor::default()
                })
                .collect(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_vanishes_is_known_for_a_while() {
        let start = Instant::now();
        let mut r = Recall::default();
        r.learn(&mut snapshot(&[("a", "slave(1)@1:5051")], &["e"]), start);
        r.learn(&mut snapshot(&[], &[]), start + LABELS);
        assert_eq!(r.agent("a").unwrap().http_port(), Some(5051));
        assert!(r.labels("F", "e").is_some());
        assert!(r.labels("G", "e").is_none());
        r.learn(
            &mut snapshot(&[], &[]),
            start + LABELS + Duration::from_secs(1),
        );
        assert!(r.labels("F", "e").is_none());
        r.learn(
            &mut snapshot(&[], &[]),
            start + AGENTS + Duration::from_secs(1),
        );
        assert!(r.agent("a").is_none());
    }

    #[test]
    fn a_task_is_completed() {
        let mut r = Recall::default();
        let mut s = snapshot(&[], &["e"]);
        s.frameworks.insert("F".into(), "marathon".into());
        r.learn(&mut s, Instant::now());
        let mut task = Task {
            framework: "F".into(),
            executor: "e".into(),
            ..Task::default()
        };
        assert!(r.knows_executor_of(&task));
        r.complete(&mut task);
        assert_eq!(
            (&*task.framework_name, &*task.labels["k"]),
            ("marathon", "v")
        );
        task.labels.insert("k".into(), "own".into());
        r.complete(&mut task);
        assert_eq!(task.labels["k"], "own");
        task.executor = "f".into();
        assert!(!r.knows_executor_of(&task));
    }

    #[test]
    fn a_recovered_agent_keeps_its_process() {
        let mut r = Recall::default();
        r.learn(
            &mut snapshot(&[("a", "slave(1)@1:5051")], &[]),
            Instant::now(),
        );
        r.learn(&mut snapshot(&[("a", "")], &[]), Instant::now());
        assert_eq!(r.agent("a").unwrap().http_port(), Some(5051));
    }
}
