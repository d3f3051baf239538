//! What earlier polls told and a master forgets: agents that are lost, and labels of
//! executors that have ended.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::state::{Agent, Snapshot};

/// A lost agent's host is worth knowing until its last task is reported.
const AGENTS: Duration = Duration::from_secs(24 * 3600);
/// The executor of a pod vanishes with its last task, in whose report its labels decide.
const LABELS: Duration = Duration::from_secs(3600);

type Labels = BTreeMap<String, String>;

/// Memory of earlier polls, bounded by time.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    agents: HashMap<String, (Instant, Agent)>,
    labels: HashMap<Arc<str>, HashMap<String, (Instant, Labels)>>,
}

impl Recall {
    /// Takes in what a snapshot tells, and forgets what is old.
    pub(crate) fn learn(&mut self, snapshot: &mut Snapshot, now: Instant) {
        for agent in snapshot.agents.drain(..) {
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
        for executor in snapshot.executors.drain(..) {
            self.labels
                .entry(executor.framework)
                .or_default()
                .insert(executor.id, (now, executor.labels));
        }
        self.agents
            .retain(|_, (at, _)| now.duration_since(*at) <= AGENTS);
        self.labels.retain(|_, executors| {
            executors.retain(|_, (at, _)| now.duration_since(*at) <= LABELS);
            !executors.is_empty()
        });
    }

    pub(crate) fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.get(id).map(|(_, agent)| agent)
    }

    /// The labels of an executor.
    pub(crate) fn labels(&self, framework: &str, executor: &str) -> Option<&Labels> {
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
