//! What an agent knows of its executors.

use std::{collections::BTreeMap, mem};

use serde::{Deserialize, Deserializer};

use super::{
    Seconds, is_final,
    lenient::{self, Each, Labels, List, Text},
    status::StatusJson,
    v0::once,
};
use crate::json::{Choice, Kind, Malformed, Visit, Walker};

/// What matters of an agent's state.
#[derive(Debug, Default)]
pub(crate) struct AgentState {
    pub(crate) id: String,
    /// Where its sandboxes are; empty if it does not tell its flags.
    pub(crate) work_dir: String,
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
    pub(crate) labels: BTreeMap<String, String>,
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

/// Reads an agent's state that is at hand as a whole.
#[cfg(test)]
pub(crate) fn parse(body: &[u8]) -> Result<AgentState, Malformed> {
    let mut reader = AgentReader::new();
    reader.feed(body)?;
    reader.finish()
}

/// Reads an agent's state as it comes.
#[derive(Debug)]
pub(crate) struct AgentReader(Walker<Reading>);

/// An executor comes with all its tasks.
const MAX_EXECUTOR: usize = 16 << 20;

impl AgentReader {
    pub(crate) fn new() -> Self {
        let walker = Walker::new(Reading::default(), Place::Outside);
        Self(walker.max_taken(MAX_EXECUTOR))
    }

    /// Reads on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.0.feed(bytes)
    }

    /// To be called at the end of the text.
    pub(crate) fn finish(self) -> Result<AgentState, Malformed> {
        let reading = self.0.finish()?;
        if !reading.has_frameworks {
            return Err(Malformed::whole("no list of frameworks"));
        }
        let mut out = reading.out;
        out.executors = reading.ended;
        out.executors.extend(reading.present);
        Ok(out)
    }
}

#[derive(Debug, Default)]
struct Reading {
    out: AgentState,
    /// The keys of the state that came.
    seen: u8,
    has_frameworks: bool,
    framework: Framework,
    ended: Vec<AgentExecutor>,
    present: Vec<AgentExecutor>,
}

/// The framework that is read. Its id may come after its executors.
#[derive(Debug, Default)]
struct Framework {
    seen: u8,
    id: String,
    ended: Vec<AgentExecutor>,
    present: Vec<AgentExecutor>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    State,
    Id,
    Flags,
    WorkDir,
    Frameworks { ended: bool },
    Framework { ended: bool },
    FrameworkId,
    Executors { ended: bool },
    Executor { ended: bool },
}

impl Visit for Reading {
    type Place = Place;

    fn begin(&mut self, within: Place, key: &[u8], kind: Kind) -> Choice<Place> {
        let (is_object, is_list) = (kind == Kind::Object, kind == Kind::List);
        match (within, key) {
            (Place::Outside, _) if is_object => Choice::Enter(Place::State),
            (Place::Outside, _) => Choice::Refuse("no object"),
            (Place::State, b"id") => once(&mut self.seen, 0, Choice::Take(Place::Id)),
            (Place::State, b"flags") if is_object => {
                once(&mut self.seen, 1, Choice::Enter(Place::Flags))
            }
            (Place::Flags, b"work_dir") => Choice::Take(Place::WorkDir),
            (Place::State, b"frameworks") if is_list => {
                self.has_frameworks = true;
                let frameworks = Place::Frameworks { ended: false };
                once(&mut self.seen, 2, Choice::Enter(frameworks))
            }
            (Place::State, b"completed_frameworks") if is_list => {
                let frameworks = Place::Frameworks { ended: true };
                once(&mut self.seen, 3, Choice::Enter(frameworks))
            }
            (Place::Frameworks { ended }, _) if is_object => {
                Choice::Enter(Place::Framework { ended })
            }
            (Place::Framework { .. }, b"id") => once(
                &mut self.framework.seen,
                0,
                Choice::Take(Place::FrameworkId),
            ),
            (Place::Framework { .. }, b"executors") if is_list => {
                let executors = Place::Executors { ended: false };
                once(&mut self.framework.seen, 1, Choice::Enter(executors))
            }
            (Place::Framework { .. }, b"completed_executors") if is_list => {
                let executors = Place::Executors { ended: true };
                once(&mut self.framework.seen, 2, Choice::Enter(executors))
            }
            (Place::Executors { ended }, _) if is_object => Choice::Take(Place::Executor { ended }),
            _ => Choice::Skip,
        }
    }

    fn take(&mut self, place: Place, raw: &[u8]) {
        match place {
            Place::Id => self.out.id = lenient::string(raw),
            Place::WorkDir => self.out.work_dir = lenient::string(raw),
            Place::FrameworkId => self.framework.id = lenient::string(raw),
            Place::Executor { ended } => {
                let list = if ended {
                    &mut self.framework.ended
                } else {
                    &mut self.framework.present
                };
                list.extend(AgentExecutor::read(raw));
            }
            _ => {}
        }
    }

    fn too_large(&mut self, _: Place) {}

    fn end(&mut self, place: Place) {
        let Place::Framework { ended } = place else {
            return;
        };
        let framework = mem::take(&mut self.framework);
        let list = if ended {
            &mut self.ended
        } else {
            &mut self.present
        };
        for mut executor in framework.ended.into_iter().chain(framework.present) {
            executor.framework.clone_from(&framework.id);
            list.push(executor);
        }
    }
}

impl AgentExecutor {
    /// The executor of this JSON, of a framework that is not known yet; nothing if it cannot
    /// be read or has no directory.
    fn read(raw: &[u8]) -> Option<Self> {
        let executor = lenient::read(raw, |text| {
            lenient::object::<ExecutorJson<'_>>(text).map(|e| e.map(Self::from))
        });
        executor.ok()?.filter(|e| !e.directory.is_empty())
    }
}

impl From<ExecutorJson<'_>> for AgentExecutor {
    fn from(executor: ExecutorJson<'_>) -> Self {
        let mut tasks = executor.tasks.0;
        tasks.extend(executor.completed_tasks.0);
        Self {
            framework: String::new(),
            id: executor.id.into(),
            container: executor.container.into(),
            directory: executor.directory.into(),
            runs_pods: executor.kind.0 == "DEFAULT",
            labels: executor.labels.0,
            tasks,
        }
    }
}

impl From<AgentTaskJson<'_>> for AgentTask {
    fn from(task: AgentTaskJson<'_>) -> Self {
        let last = task.statuses.0.last();
        Self {
            time: last
                .and_then(|s| s.timestamp.0)
                .and_then(Seconds::new)
                .map(Seconds::millis),
            id: task.id.into(),
            state: task.state.into(),
        }
    }
}

impl<'de> Deserialize<'de> for AgentTask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AgentTaskJson::deserialize(deserializer).map(Self::from)
    }
}

impl AgentTask {
    pub(crate) fn has_ended(&self) -> bool {
        is_final(&self.state)
    }
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
    labels: Labels,
    tasks: Each<AgentTask>,
    completed_tasks: Each<AgentTask>,
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
    fn the_work_dir_is_told_by_the_flags() {
        let s = parse(br#"{"frameworks":[],"flags":{"x":{},"work_dir":"/var/lib/mesos"}}"#);
        assert_eq!(s.unwrap().work_dir, "/var/lib/mesos");
        for without in [r#"{"frameworks":[],"flags":[]}"#, r#"{"frameworks":[]}"#] {
            assert_eq!(parse(without.as_bytes()).unwrap().work_dir, "");
        }
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
