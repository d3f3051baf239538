//! The JSON of `/state`, read with patience: what is missing, `null` or of another type
//! than expected counts as absent, an element of a list that cannot be read costs only
//! itself, but text that is not JSON to its very end is an error.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::lenient::{Labels, List, Number, Object, Raws, Text, element, read, required_list};
use super::{Agent, Executor, Seconds, Snapshot, Status, Task, is_alive};

/// Reads a master's state. Of the tasks that have ended or are unreachable only those
/// whose state is wanted are read whole.
pub(crate) fn snapshot(
    body: &[u8],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Snapshot, serde_json::Error> {
    read(body, |text| of_text(text, &is_wanted))
}

fn of_text(text: &str, is_wanted: &impl Fn(&str) -> bool) -> Result<Snapshot, serde_json::Error> {
    let state: StateJson<'_> = serde_json::from_str(text)?;
    let frameworks = state
        .frameworks
        .ok_or_else(|| serde_json::Error::custom("no list of frameworks"))?;
    let mut out = Snapshot {
        version: state.version.into(),
        pid: state.pid.into(),
        leader: state.leader.into(),
        settling: !state.recovered_slaves.0.is_empty(),
        ..Snapshot::default()
    };
    for agent in state.slaves.0.iter().chain(&state.recovered_slaves.0) {
        let Some(agent) = element::<AgentJson<'_>>(agent).filter(|a| !a.id.is_empty()) else {
            continue;
        };
        out.agents.push(Agent {
            id: agent.id.into(),
            hostname: agent.hostname.into(),
            pid: agent.pid.into(),
            port: agent.port.port(),
        });
    }
    for framework in frameworks
        .items
        .into_iter()
        .chain(state.completed_frameworks.items)
    {
        let id: Arc<str> = framework.id.0.as_ref().into();
        let name: Arc<str> = framework.name.0.as_ref().into();
        for executor in framework.executors.parse::<ExecutorJson<'_>>() {
            let own = if executor.executor_id.is_empty() {
                executor.id
            } else {
                executor.executor_id
            };
            if !own.is_empty() && !executor.labels.0.is_empty() {
                out.executors.push(Executor {
                    framework: Arc::clone(&id),
                    id: own.into(),
                    labels: executor.labels.0,
                });
            }
        }
        for list in [
            framework.tasks,
            framework.unreachable_tasks,
            framework.completed_tasks,
        ] {
            for raw in list.0 {
                // Tasks that are alive are the bulk of a state: at first only a look.
                match Glance::of(raw) {
                    Some(glance) if glance.is_whole() => {
                        if is_alive(&glance.state.0) || !is_wanted(&glance.state.0) {
                            continue;
                        }
                    }
                    _ => {
                        out.skipped += 1;
                        continue;
                    }
                }
                match element::<TaskJson<'_>>(raw) {
                    Some(task) => out.tasks.push(task.into_task(&id, &name)),
                    None => out.skipped += 1,
                }
            }
        }
    }
    Ok(out)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StateJson<'a> {
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    pid: Text<'a>,
    #[serde(borrow)]
    leader: Text<'a>,
    #[serde(borrow)]
    slaves: Raws<'a>,
    #[serde(borrow)]
    recovered_slaves: Raws<'a>,
    #[serde(borrow, deserialize_with = "required_list")]
    frameworks: Option<List<FrameworkJson<'a>>>,
    #[serde(borrow)]
    completed_frameworks: List<FrameworkJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AgentJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    hostname: Text<'a>,
    #[serde(borrow)]
    pid: Text<'a>,
    port: Number,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FrameworkJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    tasks: Raws<'a>,
    #[serde(borrow)]
    unreachable_tasks: Raws<'a>,
    #[serde(borrow)]
    completed_tasks: Raws<'a>,
    #[serde(borrow)]
    executors: Raws<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExecutorJson<'a> {
    #[serde(borrow)]
    executor_id: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    labels: Labels,
}

/// What decides whether a task is read whole.
#[derive(Default)]
struct Glance<'a> {
    id: Text<'a>,
    state: Text<'a>,
}

impl<'a> Glance<'a> {
    /// Looks no further than it must; nothing if it is no object.
    fn of(raw: &'a RawValue) -> Option<Self> {
        let mut glance = Self::default();
        // An object that is left before its end is an error to serde.
        let read = serde_json::Deserializer::from_str(raw.get()).deserialize_map(&mut glance);
        (read.is_ok() || glance.is_whole()).then_some(glance)
    }

    fn is_whole(&self) -> bool {
        !self.id.is_empty() && !self.state.is_empty()
    }
}

impl<'de> Visitor<'de> for &mut Glance<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0.as_ref() {
                "id" => self.id = map.next_value()?,
                "state" => self.state = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if self.is_whole() {
                break;
            }
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TaskJson<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    framework_id: Text<'a>,
    #[serde(borrow)]
    slave_id: Text<'a>,
    #[serde(borrow)]
    executor_id: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
    labels: Labels,
    #[serde(borrow)]
    container: Object<ContainerJson<'a>>,
    #[serde(borrow)]
    statuses: List<StatusJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusJson<'a> {
    #[serde(borrow)]
    state: Text<'a>,
    pub(super) timestamp: Number,
    #[serde(borrow)]
    container_status: Object<ContainerStatusJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatusJson<'a> {
    #[serde(borrow)]
    container_id: Object<ContainerIdJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerIdJson<'a> {
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    parent: Object<Box<Self>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerJson<'a> {
    #[serde(borrow)]
    docker: Object<ImageJson<'a>>,
    #[serde(borrow)]
    mesos: Object<MesosJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MesosJson<'a> {
    #[serde(borrow)]
    image: Object<ImagesJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImagesJson<'a> {
    #[serde(borrow)]
    docker: Object<ImageJson<'a>>,
    #[serde(borrow)]
    appc: Object<ImageJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageJson<'a> {
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl<'a> TaskJson<'a> {
    fn into_task(self, framework: &Arc<str>, framework_name: &Arc<str>) -> Task {
        let containers = self.containers();
        let image = self
            .container
            .0
            .map(ContainerJson::image)
            .unwrap_or_default();
        let framework = if framework.is_empty() {
            self.framework_id.0.as_ref().into()
        } else {
            Arc::clone(framework)
        };
        let statuses: Vec<Status> = self
            .statuses
            .items
            .into_iter()
            .map(|s| Status {
                state: s.state.into(),
                time: s.timestamp.0.and_then(Seconds::new),
            })
            .collect();
        Task {
            framework,
            framework_name: Arc::clone(framework_name),
            id: self.id.into(),
            name: self.name.into(),
            agent: self.slave_id.into(),
            executor: self.executor_id.into(),
            state: self.state.into(),
            labels: self.labels.0,
            image,
            statuses,
            containers,
        }
    }

    /// Of the newest status that tells them: one made by a master does not.
    fn containers(&self) -> Vec<String> {
        for status in self.statuses.items.iter().rev() {
            let mut chain = Vec::new();
            let mut next = status
                .container_status
                .0
                .as_ref()
                .and_then(|c| c.container_id.0.as_ref());
            while let Some(id) = next {
                if id.value.is_empty() {
                    chain.clear();
                    break;
                }
                chain.push(id.value.0.as_ref().to_owned());
                next = id.parent.0.as_deref();
            }
            if !chain.is_empty() {
                chain.reverse();
                return chain;
            }
        }
        Vec::new()
    }
}

impl ContainerJson<'_> {
    fn image(self) -> String {
        let images = self.mesos.0.and_then(|m| m.image.0).unwrap_or_default();
        let names = [
            self.docker.0.map(|d| d.image),
            images.docker.0.map(|d| d.name),
            images.appc.0.map(|a| a.name),
        ];
        names
            .into_iter()
            .flatten()
            .find(|n| !n.is_empty())
            .map(String::from)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn snapshot(body: &[u8]) -> Result<Snapshot, serde_json::Error> {
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
        assert_eq!(ids, ["e", "old"]);
        assert_eq!(s.executors[1].labels["k"], "1");
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
