//! The records of the operator API: answers to its calls, and what its stream consists of.
//! All of them are read the same way, as they come, whichever it turns out to be.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Agent, Executor, Filter, Snapshot, Task,
    event::{self, Event},
    lenient,
    task::{Shelf, Sieve},
};
use crate::json::{Choice, Kind, Malformed, Visit, Walker, pick};

/// What a record was.
#[derive(Debug)]
pub(crate) enum Record {
    /// The first one of a stream: what events will be about.
    Subscribed {
        snapshot: Snapshot,
        /// In seconds, since 1.5.
        heartbeat: Option<f64>,
    },
    /// The answer to one of the calls that ask for the state or for a part of it.
    State(Snapshot),
    Event(Event),
    /// A record of another type.
    Other(String),
}

/// Reads one record.
#[derive(Debug)]
pub(crate) struct RecordReader<F: Filter>(Walker<Reading<F>>);

/// With so many bytes at a time the tasks that are alive do not pile up.
const STRIDE: usize = 64 << 10;

impl<F: Filter> RecordReader<F> {
    pub(crate) fn new(filter: F) -> Self {
        let reading = Reading {
            sieve: Sieve::new(filter, "task_id"),
            seen: 0,
            kind: String::new(),
            heartbeat: None,
            event: None,
            out: Snapshot::default(),
            recovered: Vec::new(),
        };
        Self(Walker::new(reading, Place::Outside))
    }

    /// Whether tasks that are alive are wanted too. By default they are not.
    pub(crate) fn with_live(mut self, live: bool) -> Self {
        self.0.visit_mut().sieve.live = live.then(Vec::new);
        self
    }

    /// Reads on. Tasks that are alive are handed over one by one, without the names of their
    /// frameworks: these are told later.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        live: &mut dyn FnMut(Task),
    ) -> Result<(), Malformed> {
        for bytes in bytes.chunks(STRIDE) {
            self.0.feed(bytes)?;
            if let Some(tasks) = &mut self.0.visit_mut().sieve.live {
                tasks.drain(..).for_each(&mut *live);
            }
        }
        Ok(())
    }

    /// To be called at the end of the record.
    pub(crate) fn finish(self) -> Result<Record, Malformed> {
        self.0.finish()?.into_record()
    }
}

#[derive(Debug)]
struct Reading<F> {
    sieve: Sieve<F>,
    /// What came, by its bit.
    seen: u32,
    /// The type of the record.
    kind: String,
    heartbeat: Option<f64>,
    /// What happened, and the type of a record that says so.
    event: Option<(event::Kind, Option<Event>)>,
    out: Snapshot,
    recovered: Vec<Agent>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    Record,
    Type,
    Subscribed,
    Heartbeat,
    State,
    GetTasks,
    Tasks(Shelf),
    Task(Shelf),
    GetAgents,
    Agents,
    Agent,
    Recovered,
    RecoveredAgent,
    GetFrameworks,
    Frameworks,
    Framework,
    GetExecutors,
    Executors,
    Executor,
    Event(event::Kind),
}

const TYPE: u32 = 1;
const STATE: u32 = 1 << 1;
const TASKS: u32 = 1 << 2;
const AGENTS: u32 = 1 << 3;
const FRAMEWORKS: u32 = 1 << 4;
const EXECUTORS: u32 = 1 << 5;
const SUBSCRIBED: u32 = 1 << 6;
const EVENT: u32 = 1 << 7;
const OTHERS: u32 = 1 << 8;

impl<F: Filter> Visit for Reading<F> {
    type Place = Place;

    fn begin(&mut self, within: Place, key: &[u8], kind: Kind) -> Choice<Place> {
        let (wanted, bit, choice) = match (within, key) {
            (Place::Outside, _) if kind == Kind::Object => return Choice::Enter(Place::Record),
            (Place::Outside, _) => return Choice::Refuse("no object"),
            (Place::Record, b"type") => (kind, TYPE, Choice::Take(Place::Type)),
            (Place::Record, b"subscribed") => {
                (Kind::Object, SUBSCRIBED, Choice::Enter(Place::Subscribed))
            }
            (Place::Record | Place::Subscribed, b"get_state") => {
                (Kind::Object, STATE, Choice::Enter(Place::State))
            }
            (Place::Subscribed, b"heartbeat_interval_seconds") => {
                (kind, OTHERS, Choice::Take(Place::Heartbeat))
            }
            (Place::Record | Place::State, b"get_tasks") => {
                (Kind::Object, TASKS, Choice::Enter(Place::GetTasks))
            }
            (Place::Record | Place::State, b"get_agents") => {
                (Kind::Object, AGENTS, Choice::Enter(Place::GetAgents))
            }
            (Place::Record | Place::State, b"get_frameworks") => (
                Kind::Object,
                FRAMEWORKS,
                Choice::Enter(Place::GetFrameworks),
            ),
            (Place::Record | Place::State, b"get_executors") => {
                (Kind::Object, EXECUTORS, Choice::Enter(Place::GetExecutors))
            }
            (Place::Record, _) => match event::Kind::of_key(key) {
                Some(event) => (kind, EVENT, Choice::Take(Place::Event(event))),
                None => return Choice::Skip,
            },
            (Place::GetTasks, b"tasks") => list(1, Place::Tasks(Shelf::Current)),
            (Place::GetTasks, b"unreachable_tasks") => list(2, Place::Tasks(Shelf::Unreachable)),
            (Place::GetTasks, b"completed_tasks") => list(3, Place::Tasks(Shelf::Completed)),
            (Place::GetAgents, b"agents") => list(4, Place::Agents),
            (Place::GetAgents, b"recovered_agents") => list(5, Place::Recovered),
            (Place::GetFrameworks, b"frameworks") => list(6, Place::Frameworks),
            (Place::GetFrameworks, b"completed_frameworks") => list(7, Place::Frameworks),
            (Place::GetExecutors, b"executors") => list(8, Place::Executors),
            (Place::GetExecutors, b"completed_executors") => list(9, Place::Executors),
            (Place::Tasks(shelf), _) if kind == Kind::Object => {
                return Choice::Take(Place::Task(shelf));
            }
            (Place::Tasks(_), _) => {
                self.sieve.skipped += 1;
                return Choice::Skip;
            }
            (Place::Agents, _) => return Choice::Take(Place::Agent),
            (Place::Recovered, _) => {
                self.out.settling = true;
                return Choice::Take(Place::RecoveredAgent);
            }
            (Place::Frameworks, _) => return Choice::Take(Place::Framework),
            (Place::Executors, _) => return Choice::Take(Place::Executor),
            _ => return Choice::Skip,
        };
        if self.seen & bit != 0 {
            return Choice::Refuse("a key that came before");
        }
        if wanted != kind {
            return Choice::Skip;
        }
        self.seen |= bit;
        choice
    }

    fn take(&mut self, place: Place, raw: &[u8]) {
        match place {
            Place::Type => self.kind = lenient::string(raw),
            Place::Heartbeat => self.heartbeat = lenient::number(raw).0.filter(|s| *s > 0.0),
            Place::Task(shelf) => self.sieve.pass(shelf, raw),
            Place::Agent => self.out.agents.extend(agent(raw)),
            Place::RecoveredAgent => self.recovered.extend(agent_info(raw)),
            Place::Framework => {
                if let Some((id, name)) = framework(raw) {
                    self.out.frameworks.insert(id.into(), name.into());
                }
            }
            Place::Executor => self.out.executors.extend(executor(raw)),
            Place::Event(kind) => self.event = Some((kind, kind.read(raw))),
            _ => {}
        }
    }

    fn too_large(&mut self, place: Place) {
        if let Place::Task(_) = place {
            self.sieve.skipped += 1;
        }
    }

    fn end(&mut self, _: Place) {}
}

fn list(number: u32, place: Place) -> (Kind, u32, Choice<Place>) {
    (Kind::List, OTHERS << number, Choice::Enter(place))
}

impl<F: Filter> Reading<F> {
    fn into_record(mut self) -> Result<Record, Malformed> {
        let needed = match self.kind.as_str() {
            "SUBSCRIBED" => SUBSCRIBED | STATE,
            "GET_STATE" => STATE,
            "GET_TASKS" => TASKS,
            "GET_AGENTS" => AGENTS,
            "GET_FRAMEWORKS" => FRAMEWORKS,
            "GET_EXECUTORS" => EXECUTORS,
            "HEARTBEAT" => return Ok(Record::Event(Event::Heartbeat)),
            "" => return Err(Malformed::whole("a record without a type")),
            _ => {
                return Ok(match event::Kind::of_type(&self.kind) {
                    Some(kind) => Record::Event(match self.event {
                        Some((of, Some(event))) if of == kind => event,
                        _ => Event::Unknown,
                    }),
                    None => Record::Other(self.kind),
                });
            }
        };
        if self.seen & needed != needed {
            return Err(Malformed::whole("a record without what its type says"));
        }
        let mut snapshot = self.out;
        snapshot.agents.append(&mut self.recovered);
        snapshot.skipped = self.sieve.skipped;
        for mut task in self.sieve.take() {
            if let Some((id, name)) = snapshot.frameworks.get_key_value(&task.framework) {
                task.framework = Arc::clone(id);
                task.framework_name = Arc::clone(name);
            }
            snapshot.tasks.push(task);
        }
        Ok(match self.kind.as_str() {
            "SUBSCRIBED" => Record::Subscribed {
                snapshot,
                heartbeat: self.heartbeat,
            },
            _ => Record::State(snapshot),
        })
    }
}

/// An agent, with its process.
pub(super) fn agent(raw: &[u8]) -> Option<Agent> {
    let [info, pid] = pick(raw, ["agent_info", "pid"])?;
    let mut agent = agent_info(info?)?;
    agent.pid = pid.map(lenient::string).unwrap_or_default();
    Some(agent)
}

fn agent_info(raw: &[u8]) -> Option<Agent> {
    let [id, hostname, port] = pick(raw, ["id", "hostname", "port"])?;
    let agent = Agent {
        id: lenient::id(id?),
        hostname: hostname.map(lenient::string).unwrap_or_default(),
        pid: String::new(),
        port: port.and_then(|port| lenient::number(port).port()),
    };
    (!agent.id.is_empty()).then_some(agent)
}

/// The id and the name of a framework.
pub(super) fn framework(raw: &[u8]) -> Option<(String, String)> {
    let [info] = pick(raw, ["framework_info"])?;
    let [id, name] = pick(info?, ["id", "name"])?;
    let id = lenient::id(id?);
    (!id.is_empty()).then(|| (id, name.map(lenient::string).unwrap_or_default()))
}

/// One that has labels or runs pods.
fn executor(raw: &[u8]) -> Option<Executor> {
    let [info, agent] = pick(raw, ["executor_info", "agent_id"])?;
    let keys = ["executor_id", "framework_id", "labels", "type"];
    let [id, framework, labels, kind] = pick(info?, keys)?;
    let executor = Executor {
        framework: framework.map(lenient::id).unwrap_or_default().into(),
        id: lenient::id(id?),
        agent: agent.map(lenient::id).unwrap_or_default(),
        labels: match labels {
            Some(labels) => lenient::labels(labels)?,
            None => BTreeMap::new(),
        },
        runs_pods: kind.is_some_and(|kind| lenient::string(kind) == "DEFAULT"),
    };
    (!executor.id.is_empty()).then_some(executor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::state::{Seconds, Status, event::Update};

    fn read_in(body: &[u8], size: usize, live: bool) -> Result<(Record, Vec<Task>), Malformed> {
        let may_want = |state: &str| state != "TASK_FINISHED";
        let mut reader = RecordReader::new(may_want).with_live(live);
        let mut alive = Vec::new();
        for bytes in body.chunks(size) {
            reader.feed(bytes, &mut |task| alive.push(task))?;
        }
        Ok((reader.finish()?, alive))
    }

    fn read(record: &Value) -> Record {
        read_in(record.to_string().as_bytes(), usize::MAX, false)
            .unwrap()
            .0
    }

    fn snapshot(record: &Value) -> Snapshot {
        match read(record) {
            Record::Subscribed { snapshot, .. } | Record::State(snapshot) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    fn event(record: &Value) -> Event {
        match read(record) {
            Record::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    fn task(id: &str, state: &str) -> Value {
        json!({"name": "web", "task_id": {"value": id}, "framework_id": {"value": "F"}, "state": state})
    }

    fn ids(tasks: &[Task]) -> Vec<&str> {
        tasks.iter().map(|t| t.id.as_str()).collect()
    }

    /// The first record of a stream, with something in all of its lists.
    fn subscribed() -> Value {
        json!({"type": "SUBSCRIBED", "subscribed": {"heartbeat_interval_seconds": 15.0, "get_state": {
            "get_tasks": {
                "tasks": [task("run", "TASK_RUNNING"), {
                    "name": "web", "task_id": {"value": "dead"}, "framework_id": {"value": "F"},
                    "executor_id": {"value": "E"}, "agent_id": {"value": "S"}, "state": "TASK_FAILED",
                    "labels": {"labels": [{"key": "team", "value": "shop"}, {"key": "bare"}]},
                    "container": {"type": "MESOS", "mesos": {"image": {"docker": {"name": "alpine:3"}}}},
                    "statuses": [
                        {"state": "TASK_RUNNING", "timestamp": 1.5, "healthy": true, "source": "SOURCE_EXECUTOR",
                         "container_status": {"container_id": {"value": "n", "parent": {"value": "root"}}}},
                        {"state": "TASK_FAILED", "timestamp": 2.5, "message": "exited with status 1", "healthy": false,
                         "reason": "REASON_COMMAND_EXECUTOR_FAILED", "source": "SOURCE_AGENT", "data": "c2VjcmV0"},
                    ],
                }],
                "unreachable_tasks": [task("lost", "TASK_UNREACHABLE")],
                "completed_tasks": [task("done", "TASK_FINISHED"), {"task_id": {}, "state": "TASK_FAILED"}, null,
                    {"task_id": {"value": "orphan"}, "framework_id": {"value": "X"}, "state": "TASK_LOST"}],
                "orphan_tasks": [task("no", "TASK_FAILED")],
            },
            "get_executors": {
                "executors": [
                    {"agent_id": {"value": "S"}, "executor_info": {"type": "DEFAULT", "executor_id": {"value": "pod"}, "framework_id": {"value": "F"}}},
                    {"executor_info": {"type": "CUSTOM", "executor_id": {"value": "plain"}, "framework_id": {"value": "F"}}}, null, {},
                ],
                "completed_executors": [
                    {"executor_info": {"executor_id": {"value": "old"}, "framework_id": {"value": "G"}, "labels": {"labels": [{"key": "k", "value": "v"}]}}},
                ],
            },
            "get_frameworks": {
                "frameworks": [{"framework_info": {"id": {"value": "F"}, "name": "marathon"}, "active": true}, {}, null],
                "completed_frameworks": [{"framework_info": {"id": {"value": "G"}, "name": "spark"}}],
                "recovered_frameworks": [{"value": "H"}],
            },
            "get_agents": {
                "agents": [{"agent_info": {"id": {"value": "S"}, "hostname": "h", "port": 5051}, "pid": "slave(1)@10.0.0.1:5051"}, {}],
                "recovered_agents": [{"id": {"value": "R"}, "hostname": "r", "port": 5052}],
            },
        }}})
    }

    #[test]
    fn a_snapshot_is_read_whole() {
        let body = subscribed().to_string();
        let (record, live) = read_in(body.as_bytes(), usize::MAX, true).unwrap();
        let Record::Subscribed {
            snapshot: s,
            heartbeat,
        } = record
        else {
            panic!("{record:?}");
        };
        assert_eq!(heartbeat, Some(15.0));
        assert_eq!(ids(&live), ["run"]);
        assert_eq!(ids(&s.tasks), ["dead", "lost", "orphan"]);
        assert_eq!(s.skipped, 2);
        assert!(s.settling);
        let agents: Vec<_> = s.agents.iter().map(|a| (a.id.as_str(), a.port)).collect();
        assert_eq!(agents, [("S", Some(5051)), ("R", Some(5052))]);
        assert_eq!(s.agents[0].pid, "slave(1)@10.0.0.1:5051");
        let mut executors: Vec<_> = s
            .executors
            .iter()
            .map(|e| {
                (
                    &*e.framework,
                    e.id.as_str(),
                    e.agent.as_str(),
                    e.runs_pods,
                    e.labels.len(),
                )
            })
            .collect();
        executors.sort_unstable();
        assert_eq!(
            executors,
            [
                ("F", "plain", "", false, 0),
                ("F", "pod", "S", true, 0),
                ("G", "old", "", false, 1)
            ]
        );
        assert_eq!(
            (&*s.frameworks["F"], &*s.frameworks["G"]),
            ("marathon", "spark")
        );

        let t = &s.tasks[0];
        assert_eq!((&*t.framework, &*t.framework_name), ("F", "marathon"));
        assert_eq!((t.agent.as_str(), t.executor.as_str()), ("S", "E"));
        assert_eq!((t.name.as_str(), t.image.as_str()), ("web", "alpine:3"));
        assert_eq!(
            (t.labels["team"].as_str(), t.labels["bare"].as_str()),
            ("shop", "")
        );
        assert_eq!(t.containers, ["root", "n"]);
        assert_eq!(
            t.statuses[1],
            Status {
                state: "TASK_FAILED".into(),
                time: Seconds::new(2.5),
                message: Some("exited with status 1".into()),
                reason: Some("REASON_COMMAND_EXECUTOR_FAILED".into()),
                healthy: Some(false),
                source: Some("SOURCE_AGENT".into()),
            }
        );
        assert_eq!(&*s.tasks[2].framework_name, "");
    }

    #[test]
    fn live_tasks_are_passed_over_unless_they_are_wanted() {
        let body = subscribed().to_string();
        let (record, live) = read_in(body.as_bytes(), usize::MAX, false).unwrap();
        assert!(live.is_empty());
        assert!(matches!(record, Record::Subscribed { snapshot, .. } if snapshot.tasks.len() == 3));
    }

    #[test]
    fn answers_to_calls_are_states_too() {
        let get_state = subscribed()["subscribed"]["get_state"].clone();
        let s = snapshot(&json!({"type": "GET_STATE", "get_state": get_state}));
        assert_eq!(
            (s.tasks.len(), s.agents.len(), s.frameworks.len()),
            (3, 2, 2)
        );
        for (kind, key, counts) in [
            ("GET_TASKS", "get_tasks", (3, 0, 0, 0)),
            ("GET_AGENTS", "get_agents", (0, 2, 0, 0)),
            ("GET_FRAMEWORKS", "get_frameworks", (0, 0, 2, 0)),
            ("GET_EXECUTORS", "get_executors", (0, 0, 0, 3)),
        ] {
            let s = snapshot(&json!({"type": kind, key: get_state[key]}));
            let found = (
                s.tasks.len(),
                s.agents.len(),
                s.frameworks.len(),
                s.executors.len(),
            );
            assert_eq!(found, counts, "{kind}");
            // Older masters leave out what is empty.
            snapshot(&json!({"type": kind, key: {}}));
        }
    }

    #[test]
    fn a_state_without_a_state_is_an_error() {
        for bad in [
            json!({}),
            json!([]),
            json!({"type": "SUBSCRIBED"}),
            json!({"type": "SUBSCRIBED", "subscribed": {}}),
            json!({"type": "SUBSCRIBED", "subscribed": {"get_state": null}}),
            json!({"type": "GET_STATE", "get_tasks": {}}),
            json!({"type": "GET_TASKS", "get_tasks": []}),
            json!({"get_tasks": {}}),
            json!({"type": "", "get_tasks": {}}),
        ] {
            let read = read_in(bad.to_string().as_bytes(), usize::MAX, false);
            assert!(read.is_err(), "{bad}");
        }
        for bad in [
            "",
            "<html>",
            r#"{"type":"GET_TASKS","type":"GET_TASKS","get_tasks":{}}"#,
            r#"{"type":"GET_TASKS","get_tasks":{},"get_tasks":{}}"#,
            r#"{"type":"HEARTBEAT"}{"#,
        ] {
            assert!(read_in(bad.as_bytes(), usize::MAX, false).is_err(), "{bad}");
        }
        let whole = subscribed().to_string();
        for cut in 0..whole.len() {
            let read = read_in(&whole.as_bytes()[..cut], usize::MAX, true);
            assert!(read.is_err(), "{cut}");
        }
    }

    #[test]
    fn updates_of_both_forms() {
        let status = json!({"task_id": {"value": "t"}, "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR",
            "agent_id": {"value": "S"}, "executor_id": {"value": "E"}, "timestamp": 2.5, "data": "c2VjcmV0",
            "container_status": {"container_id": {"value": "n", "parent": {"value": "root"}}}});
        let update = event(&json!({"type": "TASK_UPDATED", "task_updated": {
            "framework_id": {"value": "F"}, "state": "TASK_FAILED", "status": status}}));
        assert!(!format!("{update:?}").contains("c2VjcmV0"));
        let expected = Update {
            framework: "F".into(),
            task: "t".into(),
            agent: "S".into(),
            executor: "E".into(),
            state: "TASK_FAILED".into(),
            status: Some(Status {
                state: "TASK_RUNNING".into(),
                time: Seconds::new(2.5),
                source: Some("SOURCE_EXECUTOR".into()),
                ..Status::default()
            }),
            containers: vec!["root".into(), "n".into()],
        };
        assert_eq!(update, Event::TaskUpdated(Box::new(expected.clone())));

        let update = event(&json!({"type": "TASK_UPDATED", "task_updated": {
            "framework_id": "F", "task_id": {"value": "t"}, "agent_id": {"value": "S"},
            "executor_id": {"value": "E"}, "state": "TASK_FAILED", "status": null}}));
        let expected = Update {
            status: None,
            containers: Vec::new(),
            ..expected
        };
        assert_eq!(update, Event::TaskUpdated(Box::new(expected)));
    }

    #[test]
    fn events_of_all_types() {
        assert_eq!(event(&json!({"type": "HEARTBEAT"})), Event::Heartbeat);
        let added =
            event(&json!({"type": "TASK_ADDED", "task_added": {"task": task("t", "TASK_FAILED")}}));
        assert!(matches!(added, Event::TaskAdded(t) if t.id == "t" && &*t.framework == "F"));
        let added = event(&json!({"type": "AGENT_ADDED", "agent_added": {"agent": {
            "agent_info": {"id": {"value": "S"}, "hostname": "h"}, "pid": "slave(1)@10.0.0.1:5051"}}}));
        assert!(
            matches!(added, Event::AgentAdded(a) if a.id == "S" && a.http_port() == Some(5051))
        );
        assert_eq!(
            event(&json!({"type": "AGENT_REMOVED", "agent_removed": {"agent_id": {"value": "S"}}})),
            Event::AgentRemoved("S".into())
        );
        let info = json!({"id": {"value": "F"}, "name": "marathon"});
        let (id, name) = (String::from("F"), String::from("marathon"));
        for (kind, key, expected) in [
            (
                "FRAMEWORK_ADDED",
                "framework_added",
                Event::FrameworkAdded {
                    id: id.clone(),
                    name: name.clone(),
                },
            ),
            (
                "FRAMEWORK_UPDATED",
                "framework_updated",
                Event::FrameworkUpdated {
                    id: id.clone(),
                    name: name.clone(),
                },
            ),
        ] {
            let body = json!({"framework": {"framework_info": info, "active": true}});
            assert_eq!(event(&json!({"type": kind, key: body})), expected);
        }
        assert_eq!(
            event(
                &json!({"type": "FRAMEWORK_REMOVED", "framework_removed": {"framework_info": info}})
            ),
            Event::FrameworkRemoved { id, name }
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_apart_from_what_is_not_known() {
        for odd in [
            json!({"type": "TASK_UPDATED"}),
            json!({"type": "TASK_UPDATED", "task_updated": null}),
            json!({"type": "TASK_UPDATED", "task_updated": {"state": "TASK_FAILED"}}),
            json!({"type": "TASK_UPDATED", "task_added": {"task": task("t", "TASK_FAILED")}}),
            json!({"type": "TASK_ADDED", "task_added": {"task": {}}}),
            json!({"type": "AGENT_ADDED", "agent_added": {"agent": 1}}),
            json!({"type": "AGENT_REMOVED", "agent_removed": {}}),
            json!({"type": "FRAMEWORK_ADDED", "framework_added": {}}),
        ] {
            assert_eq!(event(&odd), Event::Unknown, "{odd}");
        }
        let other = read(&json!({"type": "QUOTA_CHANGED", "quota_changed": {"a": [1]}}));
        assert!(matches!(other, Record::Other(kind) if kind == "QUOTA_CHANGED"));
    }

    #[test]
    fn a_broken_task_costs_only_itself() {
        let body = r#"{"type":"GET_TASKS","get_tasks":{"tasks":[
            {"task_id":{"value":"a","value":"b"},"state":"TASK_FAILED"},
            {"task_id":{"value":"c"},"state":"TASK_FAILED","name":"a","name":"b"},
            {"task_id":{"value":"d"},"state":"TASK_FAILED","statuses":[{"timestamp":nan}],"resources":[nan]},
            {"task_id":"e","state":"TASK_FAILED","statuses":[{"state":1,"healthy":"no","message":null}]}]}}"#;
        let Record::State(s) = read_in(body.as_bytes(), usize::MAX, false).unwrap().0 else {
            panic!();
        };
        assert_eq!((ids(&s.tasks), s.skipped), (vec!["d", "e"], 2));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(size in 1..200usize, is_pretty: bool) {
            let body = if is_pretty {
                serde_json::to_vec_pretty(&subscribed()).unwrap()
            } else {
                subscribed().to_string().into_bytes()
            };
            let whole = read_in(&body, usize::MAX, true).unwrap();
            let pieces = read_in(&body, size, true).unwrap();
            let (Record::Subscribed { snapshot: a, .. }, Record::Subscribed { snapshot: b, .. }) =
                (whole.0, pieces.0)
            else {
                panic!();
            };
            prop_assert_eq!(a.tasks, b.tasks);
            prop_assert_eq!(a.executors, b.executors);
            prop_assert_eq!(a.agents, b.agents);
            prop_assert_eq!(a.frameworks, b.frameworks);
            prop_assert_eq!(whole.1, pieces.1);
        }

        #[test]
        fn no_mutation_panics(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
            size in 1..200usize,
        ) {
            let update = json!({"type": "TASK_UPDATED", "task_updated": {"framework_id": {"value": "F"},
                "state": "TASK_FAILED", "status": {"task_id": {"value": "t"}, "timestamp": 1.5}}});
            for record in [subscribed(), update] {
                let mut body = record.to_string().into_bytes();
                for (at, byte, how) in &edits {
                    let at = at.index(body.len());
                    match how {
                        0 => body[at] = *byte,
                        1 => { body.remove(at); }
                        _ => body.insert(at, *byte),
                    }
                }
                let whole = read_in(&body, usize::MAX, true);
                let pieces = read_in(&body, size, true);
                match (whole, pieces) {
                    (Ok((_, a)), Ok((_, b))) => prop_assert_eq!(a, b),
                    (Err(a), Err(b)) => prop_assert_eq!(a, b),
                    (a, b) => prop_assert!(false, "{:?} {:?}", a, b),
                }
            }
        }
    }
}
