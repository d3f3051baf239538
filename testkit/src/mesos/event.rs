//! Telling subscribers what happens. Nothing is written when nobody listens.

use super::model::{Model, TaskKey};
use super::render::operator;

impl Model {
    fn tell(&mut self, write: impl FnOnce(&Self) -> Option<Vec<u8>>) {
        if self.streams.is_idle() {
            return;
        }
        if let Some(json) = write(self) {
            self.streams.publish(&json);
        }
    }

    pub(crate) fn tell_task_added(&mut self, key: TaskKey) {
        self.tell(|model| operator::task_added(model, key));
    }

    /// Tells the last status of a task.
    pub(crate) fn tell_task_updated(&mut self, key: TaskKey) {
        self.tell(|model| operator::task_updated(model, key));
    }

    pub(crate) fn tell_agent_added(&mut self, index: usize) {
        if self.version.has_agent_events() {
            self.tell(|model| Some(operator::agent_added(model, index)));
        }
    }

    pub(crate) fn tell_agent_removed(&mut self, index: usize) {
        if self.version.has_agent_events() {
            self.tell(|model| Some(operator::agent_removed(model, index)));
        }
    }

    pub(crate) fn tell_framework_added(&mut self, at: usize) {
        if self.version.has_framework_events() {
            self.tell(|model| Some(operator::framework_added(model, &model.frameworks[at])));
        }
    }

    pub(crate) fn tell_framework_updated(&mut self, at: usize) {
        if self.version.has_framework_events() {
            self.tell(|model| Some(operator::framework_updated(model, &model.frameworks[at])));
        }
    }

    pub(crate) fn tell_framework_removed(&mut self, at: usize) {
        if self.version.has_framework_events() {
            self.tell(|model| Some(operator::framework_removed(model, &model.frameworks[at])));
        }
    }
}
