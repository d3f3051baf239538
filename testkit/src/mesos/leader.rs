//! Who leads, and what a new leader knows.

use super::model::{Leader, Link, Listing, Model};
use crate::http::End;

impl Model {
    /// Another master takes over. It knows the agents from the registry; unless `whole`,
    /// they and the frameworks have yet to come back.
    pub(crate) fn fail_over(&mut self, to: usize, whole: bool) {
        self.generation += 1;
        self.streams.end(End::Close);
        self.leader = Leader::Master(to);
        self.masters[to].elected_time = self.now();
        for framework in self
            .completed_frameworks
            .iter_mut()
            .filter(|one| !whole && !one.forgotten)
        {
            framework.forgotten = true;
            for key in &framework.completed {
                if let Some(task) = self.tasks.get_mut(key) {
                    task.listing = Listing::Evicted;
                }
            }
        }
        for at in 0..self.frameworks.len() {
            // A new master does not know what the old one gave up.
            for key in std::mem::take(&mut self.frameworks[at].unreachable) {
                if let Some(task) = self.tasks.get_mut(&key) {
                    task.listing = Listing::Evicted;
                }
            }
            for key in &self.frameworks[at].tasks {
                // The agents tell it all they know, acknowledged or not.
                if let Some(task) = self.tasks.get_mut(key) {
                    task.catch_up();
                }
            }
            self.frameworks[at].registered = whole;
            self.frameworks[at].recovered = false;
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

    /// Nobody leads any more, or nobody can be found who does.
    pub(crate) fn lose_leader(&mut self, leader: Leader) {
        self.generation += 1;
        self.streams.end(End::Close);
        self.leader = leader;
    }

    /// All agents that are not lost come back to the leader, then the frameworks.
    pub(crate) fn settle(&mut self) {
        for index in 0..self.agents.len() {
            if self.agents[index].link == Link::Recovered {
                self.come_back(index, true);
            }
        }
        for at in 0..self.frameworks.len() {
            self.register(at);
            if self.frameworks[at].answers() {
                self.acknowledge_all(at);
            }
        }
    }
}
