//! Which ends of tasks are failures.

use crate::state::Task;

/// Kills are failures in these two cases, which are no states of Mesos.
pub(crate) const KILLED_UNHEALTHY: &str = "TASK_KILLED_UNHEALTHY";
pub(crate) const KILLED_LIMIT: &str = "TASK_KILLED_LIMIT";

const KILLED: &str = "TASK_KILLED";

/// The ends that are failures.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    states: Vec<String>,
}

impl Wanted {
    pub(crate) fn new(states: Vec<String>) -> Self {
        Self { states }
    }

    fn has(&self, state: &str) -> bool {
        self.states.iter().any(|s| s == state)
    }

    /// False if no task in this state is a failure, whatever else is known of it.
    pub(crate) fn may_want(&self, state: &str) -> bool {
        self.has(state) || state == KILLED && (self.has(KILLED_UNHEALTHY) || self.has(KILLED_LIMIT))
    }

    /// True if it is a failure.
    pub(crate) fn wants(&self, task: &Task) -> bool {
        if self.has(&task.state) {
            return true;
        }
        let Some(last) = task.death().filter(|_| task.state == KILLED) else {
            return false;
        };
        let is_limit = |reason: &String| reason.starts_with("REASON_CONTAINER_LIMITATION");
        self.has(KILLED_UNHEALTHY) && last.healthy == Some(false)
            || self.has(KILLED_LIMIT) && last.reason.as_ref().is_some_and(is_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Status;

    fn ended(state: &str, healthy: Option<bool>, reason: Option<&str>) -> Task {
        let status = Status {
            state: state.into(),
            healthy,
            reason: reason.map(str::to_owned),
            ..Status::default()
        };
        Task {
            state: state.into(),
            statuses: vec![status],
            ..Task::default()
        }
    }

    #[test]
    fn kills_are_failures_where_health_or_a_limit_killed() {
        let wanted = Wanted::new(vec![
            "TASK_FAILED".into(),
            KILLED_UNHEALTHY.into(),
            KILLED_LIMIT.into(),
        ]);
        for (task, is_wanted) in [
            (ended("TASK_FAILED", None, None), true),
            (ended("TASK_LOST", None, None), false),
            (ended("TASK_KILLED", None, None), false),
            (ended("TASK_KILLED", Some(true), None), false),
            (ended("TASK_KILLED", Some(false), None), true),
            (
                ended(
                    "TASK_KILLED",
                    None,
                    Some("REASON_CONTAINER_LIMITATION_MEMORY"),
                ),
                true,
            ),
            (
                ended("TASK_KILLED", None, Some("REASON_FRAMEWORK_REMOVED")),
                false,
            ),
        ] {
            assert_eq!(wanted.wants(&task), is_wanted, "{task:?}");
            if is_wanted {
                assert!(wanted.may_want(&task.state));
            }
        }
        let all = Wanted::new(vec![KILLED.into()]);
        assert!(all.wants(&ended("TASK_KILLED", None, None)));
        assert!(!Wanted::new(vec!["TASK_LOST".into()]).may_want(KILLED));
    }
}
