//! The JSON of `/state`, read as it comes and with patience: what is missing, `null` or of
//! another type than expected counts as absent, an element of a list that cannot be read
//! costs only itself, but text that is not JSON to its very end is an error.

use std::{collections::BTreeMap, mem, sync::Arc};

use super::{
    Agent, Executor, Filter, Snapshot, Task, lenient,
    task::{Shelf, Sieve},
};
use crate::json::{Choice, Kind, Malformed, Visit, Walker, pick};

/// Reads a master's state that is at hand as a whole.
#[cfg(test)]
pub(crate) fn snapshot(
    body: &[u8],
    may_want: impl Fn(&str) -> bool,
) -> Result<Snapshot, Malformed> {
    let mut reader = StateReader::new(may_want);
    reader.feed(body)?;
    reader.finish()
}

/// Reads a master's state. Of the tasks that have ended or are unreachable only those whose
/// state may be wanted are read whole.
#[derive(Debug)]
pub(crate) struct StateReader<F: Filter>(Walker<Reading<F>>);

impl<F: Filter> StateReader<F> {
    pub(crate) fn new(filter: F) -> Self {
        let reading = Reading {
            out: Snapshot::default(),
            sieve: Sieve::new(filter, "id"),
            seen: 0,
            has_frameworks: false,
            framework: Framework::default(),
            halves: Default::default(),
        };
        Self(Walker::new(reading, Place::Outside))
    }

    /// Reads on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.0.feed(bytes)
    }

    /// To be called at the end of the text.
    pub(crate) fn finish(self) -> Result<Snapshot, Malformed> {
        let reading = self.0.finish()?;
        if !reading.has_frameworks {
            return Err(Malformed::whole("no list of frameworks"));
        }
        let mut out = reading.out;
        out.skipped = reading.sieve.skipped;
        for half in reading.halves {
            out.agents.extend(half.agents);
            out.executors.extend(half.executors);
            out.tasks.extend(half.tasks);
        }
        Ok(out)
    }
}

#[derive(Debug)]
struct Reading<F> {
    out: Snapshot,
    sieve: Sieve<F>,
    /// The keys of the state that came.
    seen: u8,
    has_frameworks: bool,
    framework: Framework,
    /// What is present, and what has gone: agents that recover and frameworks that have
    /// ended. They may come in any order.
    halves: [Found; 2],
}

#[derive(Debug, Default)]
struct Found {
    agents: Vec<Agent>,
    executors: Vec<Executor>,
    tasks: Vec<Task>,
}

/// The framework that is read. Its name may come after its tasks.
#[derive(Debug, Default)]
struct Framework {
    seen: u8,
    id: String,
    name: String,
    executors: Vec<Executor>,
}

/// Present or gone.
type Half = usize;
const PRESENT: Half = 0;
const GONE: Half = 1;

#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    State,
    Version,
    Pid,
    Leader,
    Agents(Half),
    Agent(Half),
    Frameworks(Half),
    Framework(Half),
    Id,
    Name,
    Executors,
    Executor,
    Tasks(Shelf),
    Task(Shelf),
}

impl<F: Filter> Visit for Reading<F> {
    type Place = Place;

    fn begin(&mut self, within: Place, key: &[u8], kind: Kind) -> Choice<Place> {
        match (within, kind) {
            (Place::Outside, Kind::Object) => Choice::Enter(Place::State),
            (Place::Outside, _) => Choice::Refuse("no object"),
            (Place::State, _) => self.of_state(key, kind),
            (Place::Agents(half), _) => {
                self.out.settling |= half == GONE;
                Choice::Take(Place::Agent(half))
            }
            (Place::Frameworks(half), Kind::Object) => Choice::Enter(Place::Framework(half)),
            (Place::Framework(_), _) => self.of_framework(key, kind),
            (Place::Executors, Kind::Object) => Choice::Take(Place::Executor),
            (Place::Tasks(shelf), Kind::Object) => Choice::Take(Place::Task(shelf)),
            (Place::Tasks(_), _) => {
                self.sieve.skipped += 1;
                Choice::Skip
            }
            _ => Choice::Skip,
        }
    }

    fn take(&mut self, place: Place, raw: &[u8]) {
        match place {
            Place::Version => self.out.version = lenient::string(raw),
            Place::Pid => self.out.pid = lenient::string(raw),
            Place::Leader => self.out.leader = lenient::string(raw),
            Place::Id => self.framework.id = lenient::string(raw),
            Place::Name => self.framework.name = lenient::string(raw),
            Place::Agent(half) => self.halves[half].agents.extend(agent(raw)),
            Place::Executor => self.framework.executors.extend(executor(raw)),
            Place::Task(shelf) => self.sieve.pass(shelf, raw),
            _ => {}
        }
    }

    fn too_large(&mut self, place: Place) {
        if let Place::Task(_) = place {
            self.sieve.skipped += 1;
        }
    }

    fn end(&mut self, place: Place) {
        if let Place::Framework(half) = place {
            self.end_framework(half);
        }
    }
}

impl<F: Filter> Reading<F> {
    fn of_state(&mut self, key: &[u8], kind: Kind) -> Choice<Place> {
        let is_list = kind == Kind::List;
        let (bit, choice) = match key {
            b"version" => (0, Choice::Take(Place::Version)),
            b"pid" => (1, Choice::Take(Place::Pid)),
            b"leader" => (2, Choice::Take(Place::Leader)),
            b"slaves" if is_list => (3, Choice::Enter(Place::Agents(PRESENT))),
            b"slaves" => (3, Choice::Skip),
            b"recovered_slaves" if is_list => (4, Choice::Enter(Place::Agents(GONE))),
            b"recovered_slaves" => (4, Choice::Skip),
            b"frameworks" if is_list => {
                self.has_frameworks = true;
                (5, Choice::Enter(Place::Frameworks(PRESENT)))
            }
            b"frameworks" => (5, Choice::Skip),
            b"completed_frameworks" if is_list => (6, Choice::Enter(Place::Frameworks(GONE))),
            b"completed_frameworks" => (6, Choice::Skip),
            _ => return Choice::Skip,
        };
        once(&mut self.seen, bit, choice)
    }

    fn of_framework(&mut self, key: &[u8], kind: Kind) -> Choice<Place> {
        let is_list = kind == Kind::List;
        let list = |place| {
            if is_list {
                Choice::Enter(place)
            } else {
                Choice::Skip
            }
        };
        let (bit, choice) = match key {
            b"id" => (0, Choice::Take(Place::Id)),
            b"name" => (1, Choice::Take(Place::Name)),
            b"executors" => (2, list(Place::Executors)),
            b"tasks" => (3, list(Place::Tasks(Shelf::Current))),
            b"unreachable_tasks" => (4, list(Place::Tasks(Shelf::Unreachable))),
            b"completed_tasks" => (5, list(Place::Tasks(Shelf::Completed))),
            _ => return Choice::Skip,
        };
        once(&mut self.framework.seen, bit, choice)
    }

    fn end_framework(&mut self, half: Half) {
        let framework = mem::take(&mut self.framework);
        let id: Arc<str> = framework.id.into();
        let name: Arc<str> = framework.name.into();
        let found = &mut self.halves[half];
        for mut executor in framework.executors {
            executor.framework = Arc::clone(&id);
            found.executors.push(executor);
        }
        for mut task in self.sieve.take() {
            if !id.is_empty() {
                task.framework = Arc::clone(&id);
            }
            task.framework_name = Arc::clone(&name);
            found.tasks.push(task);
        }
        if !id.is_empty() {
            self.out.frameworks.insert(id, name);
        }
    }
}

/// The choice for a key that may come once.
pub(super) fn once<P>(seen: &mut u8, bit: u8, choice: Choice<P>) -> Choice<P> {
    if *seen & 1 << bit != 0 {
        return Choice::Refuse("a key that came before");
    }
    *seen |= 1 << bit;
    choice
}

fn agent(raw: &[u8]) -> Option<Agent> {
    let [id, hostname, pid, port] = pick(raw, ["id", "hostname", "pid", "port"])?;
    let string = |raw: Option<&[u8]>| raw.map(lenient::string).unwrap_or_default();
    let agent = Agent {
        id: string(id),
        hostname: string(hostname),
        pid: string(pid),
        port: port.and_then(|port| lenient::number(port).port()),
    };
    (!agent.id.is_empty()).then_some(agent)
}

/// Its framework is not known yet.
fn executor(raw: &[u8]) -> Option<Executor> {
    let keys = ["executor_id", "id", "slave_id", "labels", "type"];
    let [executor_id, id, agent, labels, kind] = pick(raw, keys)?;
    let string = |raw: Option<&[u8]>| raw.map(lenient::string).unwrap_or_default();
    Some(Executor {
        id: [executor_id, id]
            .map(string)
            .into_iter()
            .find(|id| !id.is_empty())?,
        agent: string(agent),
        labels: match labels {
            Some(labels) => lenient::labels(labels)?,
            None => BTreeMap::new(),
        },
        runs_pods: string(kind) == "DEFAULT",
        ..Executor::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::Seconds, *};

    fn snapshot(body: &[u8]) -> Result<Snapshot, Malformed> {
        super::snapshot(body, |_| true)
    }

    fn parse(value: &serde_json::Value) -> Snapshot {
        snapshot(value.to_string().as_bytes()).unwrap()
    }

    fn with_task(task: serde_json::Value) -> Snapshot {
        parse(
            &json!({"pid": "master@1:5050", "leader": "MASTER@1:5050", "frameworks": [
            {"id": "F", "name": "fw", "completed_tasks": [task]}]}),
        )
    }

    #[test]
    fn all_lists_of_both_framework_lists_are_read() {
        let t = |id: &str| json!([{"id": id, "state": "TASK_FAILED", "slave_id": "S"}]);
        let s = parse(&json!({
            "version": "1.4.0", "pid": "master@1:5050", "leader": "master@1:5050",
            "slaves": [{"id": "S", "hostname": "h", "pid": "slave(1)@1:5051", "port": 5051}],
            "recovered_slaves": [{"id": "R", "hostname": "r"}],
            "frameworks": [{"id": "F", "name": "fw", "tasks": t("a"), "unreachable_tasks": t("b"), "completed_tasks": t("c")}],
            "completed_frameworks": [{"id": "G", "name": "gone", "tasks": t("d"), "unreachable_tasks": t("e"), "completed_tasks": t("f")}],
            "orphan_tasks": t("o"), "unregistered_frameworks": ["x", {"id": 1}],
        }));
        let ids: Vec<&str> = s.tasks.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(
            (&*s.tasks[5].framework, &*s.tasks[5].framework_name),
            ("G", "gone")
        );
        assert_eq!(s.agents.len(), 2);
        assert!(s.is_of_leader());
    }

    #[test]
    fn the_leader_is_told_apart() {
        let state = |pid: &str, leader: serde_json::Value| {
            parse(&json!({"pid": pid, "leader": leader, "frameworks": []})).is_of_leader()
        };
        assert!(state("master@Host:1", json!("MASTER@host:1")));
        assert!(!state("master@a:1", json!("master@b:1")));
        assert!(!state("master@a:1", json!(null)));
        assert!(!state("", json!("")));
    }

    #[test]
    fn a_task_is_read_whole() {
        let s = with_task(json!({
            "id": "web.1", "name": "web", "framework_id": "other", "slave_id": "S1", "executor_id": "ex",
            "state": "TASK_FAILED",
            "labels": [{"key": "a", "value": "1"}, {"key": "b"}, {"key": "a", "value": "2"}, null, {"value": "no key"}],
            "discovery": {"labels": {"labels": [{"key": "no", "value": "no"}]}},
            "container": {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "alpine:3"}}}},
            "statuses": [
                {"state": "TASK_RUNNING", "timestamp": 1.5, "container_status": {"container_id": {"value": "n", "parent": {"value": "m", "parent": {"value": "root"}}}}},
                {"state": "TASK_FAILED", "timestamp": "9.25", "container_status": {"network_infos": []}},
            ],
        }));
        let t = &s.tasks[0];
        assert_eq!(
            (
                t.id.as_str(),
                t.name.as_str(),
                &*t.framework,
                t.agent.as_str()
            ),
            ("web.1", "web", "F", "S1")
        );
        assert_eq!(
            t.labels,
            BTreeMap::from([("a".into(), "2".into()), ("b".into(), String::new())])
        );
        assert_eq!(t.containers, ["root", "m", "n"]);
        assert_eq!(t.image, "alpine:3");
        assert_eq!(t.death_time().unwrap().millis(), 9250);
        assert_eq!(t.start_time().unwrap().millis(), 1500);
    }

    #[test]
    fn images_of_all_kinds() {
        let image = |container| {
            with_task(json!({"id": "a", "state": "TASK_LOST", "container": container})).tasks[0]
                .image
                .clone()
        };
        assert_eq!(image(json!({"docker": {"image": "i:1"}})), "i:1");
        assert_eq!(
            image(json!({"mesos": {"image": {"appc": {"name": "coreos/x"}}}})),
            "coreos/x"
        );
        assert_eq!(image(json!({"docker": {}, "mesos": {}})), "");
        assert_eq!(image(json!("odd")), "");
    }

    #[test]
    fn labels_of_executors() {
        let s = parse(&json!({"frameworks": [{"id": "F", "executors": [
            {}, null, 7, {"executor_id": "e", "labels": [{"key": "k", "value": "v"}]},
            {"executor_id": "bare"}, {"id": "old", "labels": {"labels": [{"key": "k", "value": 1}]}},
        ]}]}));
        let ids: Vec<&str> = s.executors.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["e", "bare", "old"]);
        assert_eq!(s.executors[2].labels["k"], "1");
    }

    #[test]
    fn odd_types_lose_only_themselves() {
        let s = parse(&json!({
            "version": 1.2, "pid": "p", "leader": null, "slaves": "none", "recovered_slaves": null,
            "frameworks": [null, 3, {"id": 5, "name": null, "tasks": null, "completed_tasks": [
                {"id": "ok", "state": "TASK_FAILED", "statuses": {"a": [1]}, "labels": "x", "container": [1, [2]]},
                {"state": "TASK_FAILED"}, {"id": "no-state"}, null, [], {"id": 7, "state": "TASK_LOST", "statuses": [{}, 1, {"state": 1, "timestamp": {}}]},
            ], "unreachable_tasks": {}}],
            "completed_frameworks": false,
        }));
        let ids: Vec<&str> = s.tasks.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids, ["ok", "7"]);
        assert_eq!(&*s.tasks[0].framework, "5");
        assert_eq!(s.skipped, 4);
    }

    #[test]
    fn numbers_that_are_too_large_lose_only_themselves() {
        let body = r#"{"frameworks":[{"id":"F","tasks":[
            {"id":"a","state":"TASK_LOST","name":"1e999","labels":[1e999,{"key":"k","value":"v"}],
             "container":-1e999,"statuses":[1e999,{"state":"TASK_LOST","container_status":1e999}]}]}]}"#;
        let s = snapshot(body.as_bytes()).unwrap();
        let t = &s.tasks[0];
        assert_eq!((t.name.as_str(), t.labels["k"].as_str()), ("1e999", "v"));
        assert_eq!((t.image.as_str(), t.statuses.len()), ("", 1));
    }

    #[test]
    fn of_very_many_statuses_the_first_and_the_last_ones_are_kept() {
        for count in [1, 127, 128, 129, 10_000] {
            let statuses: Vec<_> = (1..=count)
                .map(|n| json!({"state": "TASK_FAILED", "timestamp": n}))
                .collect();
            let s = with_task(json!({"id": "a", "state": "TASK_FAILED", "statuses": statuses}));
            let t = &s.tasks[0];
            assert_eq!(t.start_time(), Seconds::new(1.0));
            assert_eq!(t.death_time(), Seconds::new(f64::from(count)));
            assert!(t.statuses.len() < 128);
        }
    }

    #[test]
    fn tasks_that_are_alive_are_let_go() {
        let s = with_task(json!({"id": "a", "state": "TASK_RUNNING"}));
        assert_eq!((s.tasks.len(), s.skipped), (0, 0));
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let mut body = br#"{"frameworks":[{"id":"F","completed_tasks":[{"id":"a","state":"TASK_LOST","name":"x"#.to_vec();
        body.extend([0xff, 0xfe]);
        body.extend(br#""}]}]}"#);
        assert_eq!(snapshot(&body).unwrap().tasks[0].name, "x\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_is_not_a_whole_state_is_an_error() {
        let whole = json!({"pid": "p", "leader": "p", "frameworks": [{"completed_tasks": [{"id": "a", "state": "TASK_LOST"}]}]}).to_string();
        for cut in 0..whole.len() {
            assert!(snapshot(&whole.as_bytes()[..cut]).is_err(), "{cut}");
        }
        for bad in [
            "",
            "<html></html>",
            "null",
            "[]",
            "{}",
            "\"x\"",
            r#"{"frameworks":null}"#,
            r#"{"frameworks":[]}x"#,
        ] {
            assert!(snapshot(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// A state with this task, as text, before a good one.
    fn beside(task: &str) -> String {
        format!(
            r#"{{"pid":"m@1:1","leader":"m@1:1","frameworks":[{{"id":"F","executors":[{task},{{"id":"e","labels":[{{"key":"k"}}]}}],"completed_tasks":[{task},{{"id":"good","state":"TASK_FAILED"}}]}}]}}"#
        )
    }

    #[test]
    fn a_broken_task_costs_only_itself() {
        let chain = r#"{"value":"c","parent":"#.repeat(500) + "null" + &"}".repeat(500);
        let labels = r#"{"labels":"#.repeat(500) + "[]" + &"}".repeat(500);
        for task in [
            r#"{"id":"a","id":"b","state":"TASK_FAILED"}"#.to_owned(),
            r#"{"id":"a","state":"TASK_FAILED","state":"TASK_FAILED"}"#.to_owned(),
            r#"{"id":"a","state":"TASK_FAILED","labels":[{"key":"a","key":"b"}]}"#.to_owned(),
            format!(
                r#"{{"id":"a","state":"TASK_FAILED","statuses":[{{"container_status":{{"container_id":{chain}}}}}]}}"#
            ),
            format!(r#"{{"id":"a","state":"TASK_FAILED","labels":{labels}}}"#),
        ] {
            let s = snapshot(beside(&task).as_bytes()).unwrap();
            let ids: Vec<&str> = s.tasks.iter().map(|t| t.id.as_str()).collect();
            assert_eq!((ids, s.skipped), (vec!["good"], 1), "{task}");
            assert!(s.executors.iter().any(|e| e.id == "e"), "{task}");
        }
    }

    #[test]
    fn a_task_with_an_odd_value_is_kept() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        for (task, time) in [
            (
                r#"{"id":"a","state":"TASK_FAILED","statuses":[{"state":"TASK_FAILED","timestamp":nan}]}"#,
                None,
            ),
            (
                r#"{"id":"a","state":"TASK_FAILED","statuses":[{"state":"TASK_FAILED","timestamp":1e999}]}"#,
                None,
            ),
            (
                r#"{"id":"a","state":"TASK_FAILED","resources":{"cpus":inf,"x":-nan,"y": -Infinity , "z":[NaN]},"statuses":[{"state":"TASK_FAILED","timestamp":2.5}]}"#,
                Some(2500),
            ),
            (
                r#"{"id":"a","state":"TASK_FAILED","name":"nan: inf,","statuses":[{"state":"TASK_FAILED","timestamp":2.5,"x":inf}]}"#,
                Some(2500),
            ),
            (
                "{\"id\":\"a\",\"name\":\"x\u{1}y\\\"\n\",\"state\":\"TASK_FAILED\"}",
                None,
            ),
            (
                &format!(r#"{{"id":"a","state":"TASK_FAILED","resources":{deep},"name":{deep}}}"#),
                None,
            ),
        ] {
            let s = snapshot(beside(task).as_bytes()).unwrap();
            assert_eq!((s.tasks.len(), s.skipped), (2, 0), "{task}");
            assert_eq!(s.tasks[0].death_time().map(Seconds::millis), time, "{task}");
            if task.contains("nan: inf") {
                assert_eq!(s.tasks[0].name, "nan: inf,");
            }
            if task.contains('\u{1}') {
                assert_eq!(s.tasks[0].name, "x y\" ");
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        let task = r#"{"id":"a","name":"\ud800x\u00e9\ud83d\ude00","state":"TASK_FAILED"}"#;
        let s = snapshot(beside(task).as_bytes()).unwrap();
        let name = &s.tasks[0].name;
        assert!(
            name.starts_with('\u{fffd}') && name.ends_with("xé😀"),
            "{name}"
        );
    }

    #[test]
    fn a_repair_completes_nothing() {
        for bad in [
            r#"{"frameworks":[nan"#,
            r#"{"frameworks":[],"x":nan"#,
            r#"{"frameworks":[],"x":nanx}"#,
            r#"{"frameworks":[],"x":1nan}"#,
            "{\"frameworks\":[],\"x\":\"\n}",
            "<html>\"\n\" nan</html>",
            "nan",
        ] {
            assert!(snapshot(bad.as_bytes()).is_err(), "{bad}");
        }
        let whole = beside(r#"{"id":"a","state":"TASK_FAILED","x":nan,"y":inf}"#);
        for cut in 0..whole.len() {
            assert!(snapshot(&whole.as_bytes()[..cut]).is_err(), "{cut}");
        }
        assert!(snapshot(whole.as_bytes()).is_ok());
    }

    #[test]
    fn the_name_of_a_framework_may_come_last() {
        let s = snapshot(
            br#"{"frameworks":[{"tasks":[{"id":"a","state":"TASK_FAILED"}],"executors":[{"id":"e","type":"DEFAULT","slave_id":"S"}],"name":"one","id":"F"},{"tasks":[{"id":"b","framework_id":"own","state":"TASK_LOST"}]}],"pid":"p"}"#,
        )
        .unwrap();
        let of: Vec<_> = s
            .tasks
            .iter()
            .map(|t| (t.id.as_str(), &*t.framework, &*t.framework_name))
            .collect();
        assert_eq!(of, [("a", "F", "one"), ("b", "own", "")]);
        assert_eq!(&*s.frameworks["F"], "one");
        let e = &s.executors[0];
        assert_eq!(
            (&*e.framework, e.agent.as_str(), e.runs_pods),
            ("F", "S", true)
        );
    }

    #[test]
    fn a_key_that_comes_twice_is_an_error() {
        for bad in [
            r#"{"frameworks":[],"frameworks":[]}"#,
            r#"{"pid":"a","frameworks":[],"pid":"a"}"#,
            r#"{"frameworks":[{"id":"F","id":"F"}]}"#,
            r#"{"frameworks":[{"tasks":[],"tasks":[]}]}"#,
        ] {
            assert!(snapshot(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_health_of_a_status_is_read() {
        let s = with_task(json!({"id": "a", "state": "TASK_KILLED", "statuses": [
            {"state": "TASK_RUNNING", "healthy": true}, {"state": "TASK_KILLED", "healthy": false}]}));
        let healthy: Vec<_> = s.tasks[0].statuses.iter().map(|s| s.healthy).collect();
        assert_eq!(healthy, [Some(true), Some(false)]);
        assert_eq!(s.tasks[0].statuses[0].message, None);
    }

    #[test]
    fn ids_that_are_numbers_are_exact() {
        let s = snapshot(
            br#"{"version":1.20,"frameworks":[{"id":12345678901234567890123,"tasks":[{"id":12345678901234567,"state":"TASK_FAILED"},{"id":12345678901234568,"state":"TASK_FAILED"},{"id":-7,"state":"TASK_FAILED"}]}]}"#,
        )
        .unwrap();
        let ids: Vec<&str> = s.tasks.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids, ["12345678901234567", "12345678901234568", "-7"]);
        assert_eq!(&*s.tasks[0].framework, "12345678901234567890123");
        assert_eq!(s.version, "1.2");
    }

    #[test]
    fn only_wanted_states_are_read_whole() {
        let body = beside(r#"{"id":"a","state":"TASK_KILLED","labels":[{"key":"a","key":"b"}]}"#);
        let s = super::snapshot(body.as_bytes(), |state| state == "TASK_FAILED").unwrap();
        assert_eq!((s.tasks.len(), s.skipped), (1, 0));
        let s = super::snapshot(body.as_bytes(), |state| state == "TASK_LOST").unwrap();
        assert_eq!((s.tasks.len(), s.skipped), (0, 0));
    }

    const SAMPLE: &str = r#"{"version":"1.4.1","pid":"master@1:5050","leader":"master@1:5050","slaves":[{"id":"S1","hostname":"h","port":5051,"pid":"slave(1)@1:5051"}],"frameworks":[{"id":"F","name":"m","executors":[{},{"executor_id":"e","labels":[{"key":"k","value":"v"}]}],"tasks":[],"completed_tasks":[{"id":"a","name":"é","state":"TASK_FAILED","slave_id":"S1","container":{"docker":{"image":"i"}},"labels":[{"key":"k","value":"\u00e9"}],"statuses":[{"state":"TASK_FAILED","timestamp":1466138479.19,"container_status":{"container_id":{"value":"c","parent":{"value":"p"}}}}]}]}]}"#;

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
            sizes in prop::collection::vec(1..100usize, 1..20),
        ) {
            let mut body = SAMPLE.as_bytes().to_vec();
            for (at, byte) in edits {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let mut reader = StateReader::new(|_: &str| true);
            let mut agent = super::super::agent::AgentReader::new();
            let mut rest = body.as_slice();
            let (mut fed, mut agent_fed) = (Ok(()), Ok(()));
            for size in sizes.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*size));
                fed = fed.and_then(|()| reader.feed(piece));
                agent_fed = agent_fed.and_then(|()| agent.feed(piece));
                rest = after;
                if rest.is_empty() { break; }
            }
            let whole = snapshot(&body).map(|s| format!("{s:?}"));
            let pieces = fed.and_then(|()| reader.finish()).map(|s| format!("{s:?}"));
            prop_assert_eq!(whole, pieces);
            let whole = super::super::agent::parse(&body).map(|s| format!("{s:?}"));
            let pieces = agent_fed.and_then(|()| agent.finish()).map(|s| format!("{s:?}"));
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn no_mutation_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8)) {
            let mut body = SAMPLE.as_bytes().to_vec();
            for (at, byte, how) in edits {
                if body.is_empty() { break; }
                let at = at.index(body.len());
                match how {
                    0 => body[at] = byte,
                    1 => { body.remove(at); }
                    _ => body.insert(at, byte),
                }
            }
            let _ = snapshot(&body);
            let _ = super::super::agent::parse(&body);
        }

        #[test]
        fn no_json_panics(values in prop::collection::vec((any::<prop::sample::Index>(), 0..8usize), 1..6)) {
            // Values of other types in place of the right ones.
            let odd = ["null", "[]", "{}", "-1", "1e400", "\"\"", "[{}]", "true"];
            let mut body = SAMPLE.to_owned();
            for (at, odd_at) in values {
                let ends: Vec<usize> = body.match_indices(':').map(|(i, _)| i + 1).collect();
                let at = ends[at.index(ends.len())];
                let end = body[at..].find([',', '}']).map_or(body.len(), |e| at + e);
                body.replace_range(at..end, odd[odd_at]);
                if !body.contains(':') { break; }
            }
            let _ = snapshot(body.as_bytes());
        }
    }
}
