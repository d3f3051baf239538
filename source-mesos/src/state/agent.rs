//! What an agent knows of its executors.

use serde::Deserialize;

use super::json::StatusJson;
use super::lenient::{self, List, Raws, Text};
use super::{Seconds, is_final};

/// What matters of an agent's state.
#[derive(Debug, Default)]
pub(crate) struct AgentState {
    pub(crate) id: String,
    /// In the order in which an agent lists them: for each framework those that have
    /// ended, oldest first, then those that run; ended frameworks before running ones.
    pub(crate) executors: Vec<AgentExecutor>,
}

/// One run of an executor.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AgentExecutor {
    pub(crate) framework: String,
    pub(crate) id: String,
    /// The id of the run, which is the root container.
    pub(crate) container: String,
    pub(crate) directory: String,
    /// It is the default executor, which runs pods.
    pub(crate) runs_pods: bool,
    pub(crate) tasks: Vec<AgentTask>,
}

/// A task of an executor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AgentTask {
    pub(crate) id: String,
    pub(crate) state: String,
    /// Time of the last status in milliseconds.
    pub(crate) time: Option<i64>,
}

/// Reads an agent's state.
pub(crate) fn parse(body: &[u8]) -> Result<AgentState, serde_json::Error> {
    lenient::read(body, of_text)
}

fn of_text(text: &str) -> Result<AgentState, serde_json::Error> {
    use serde::de::Error as _;

    let state: StateJson<'_> = serde_json::from_str(text)?;
    if !state.frameworks.is_list {
        return Err(serde_json::Error::custom("no list of frameworks"));
    }
    let mut out = AgentState {
        id: state.id.into(),
        executors: Vec::new(),
    };
    for framework in state
        .completed_frameworks
        .items
        .into_iter()
        .chain(state.frameworks.items)
    {
        for executor in framework
            .completed_executors
            .parse::<ExecutorJson<'_>>()
            .chain(framework.executors.parse())
        {
            if executor.directory.is_empty() {
                continue;
            }
            let mut tasks = Vec::new();
            for task in executor
                .tasks
                .parse::<AgentTaskJson<'_>>()
                .chain(executor.completed_tasks.parse())
            {
                let last = task.statuses.items.last();
                tasks.push(AgentTask {
                    time: last
                        .and_then(|s| s.timestamp.0)
                        .and_then(Seconds::new)
                        .map(Seconds::millis),
                    id: task.id.into(),
                    state: task.state.into(),
                });
            }
            out.executors.push(AgentExecutor {
                framework: framework.id.0.as_ref().to_owned(),
                id: executor.id.into(),
                container: executor.container.into(),
                directory: executor.directory.into(),
                runs_pods: executor.kind.0 == "DEFAULT",
                tasks,
            });
        }
    }
    Ok(out)
}

impl AgentTask {
    pub(crate) fn has_ended(&self) -> bool {
        is_final(&self.state)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StateJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    frameworks: List<FrameworkJson<'a>>,
    #[serde(borrow)]
    completed_frameworks: List<FrameworkJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FrameworkJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    executors: Raws<'a>,
    #[serde(borrow)]
    completed_executors: Raws<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExecutorJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    container: Text<'a>,
    #[serde(borrow)]
    directory: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    tasks: Raws<'a>,
    #[serde(borrow)]
    completed_tasks: Raws<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AgentTaskJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
    #[serde(borrow)]
    statuses: List<StatusJson<'a>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn executors_come_in_the_order_of_their_ends() {
        let e = |id: &str| json!({"id": id, "container": format!("c-{id}"), "directory": format!("/d/{id}")});
        let state = json!({"id": "S", "frameworks": [
            {"id": "F", "executors": [e("3"), {"id": "no directory"}, null], "completed_executors": [e("1"), e("2")]}],
            "completed_frameworks": [{"id": "G", "completed_executors": [e("0")]}]});
        let s = parse(state.to_string().as_bytes()).unwrap();
        let ids: Vec<&str> = s.executors.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["0", "1", "2", "3"]);
        assert_eq!(s.executors[0].framework, "G");
    }

    #[test]
    fn tasks_and_types_are_read() {
        let state = json!({"frameworks": [{"id": "F", "executors": [{
            "id": "e", "directory": "/d", "type": "DEFAULT",
            "tasks": [{"id": "a", "state": "TASK_RUNNING"}],
            "completed_tasks": [{"id": "b", "state": "TASK_FAILED", "statuses": [{"state": "TASK_FAILED", "timestamp": 2.5}]}]}]}]});
        let s = parse(state.to_string().as_bytes()).unwrap();
        let e = &s.executors[0];
        assert!(e.runs_pods);
        assert_eq!(
            e.tasks[1],
            AgentTask {
                id: "b".into(),
                state: "TASK_FAILED".into(),
                time: Some(2500)
            }
        );
        assert!(!e.tasks[0].has_ended());
    }

    #[test]
    fn a_broken_executor_or_task_costs_only_itself() {
        let s = parse(br#"{"id":"S","frameworks":[{"id":"F","executors":[
            {"id":"a","id":"b","directory":"/d"},
            {"id":"e","directory":"/d/e","x":nan,"tasks":[{"id":"t","id":"u"},{"id":"v","statuses":[{"timestamp":1e999}]}]}]}]}"#)
        .unwrap();
        assert_eq!(s.executors.len(), 1);
        let tasks: Vec<&str> = s.executors[0].tasks.iter().map(|t| t.id.as_str()).collect();
        assert_eq!((s.executors[0].id.as_str(), tasks), ("e", vec!["v"]));
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        for bad in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"frameworks":{}}"#,
            r#"{"frameworks":[]"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
