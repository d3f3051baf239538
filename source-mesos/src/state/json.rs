//! The JSON of `/state`, read with patience: what is missing, `null` or of another type
//! than expected counts as absent, but text that is not JSON to its very end is an error.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Agent, Executor, Seconds, Snapshot, Status, Task, is_alive};

/// Reads a master's state.
pub(crate) fn snapshot(body: &[u8]) -> Result<Snapshot, serde_json::Error> {
    let text = String::from_utf8_lossy(body);
    let state: StateJson<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}'))?;
    let frameworks = state
        .frameworks
        .ok_or_else(|| serde_json::Error::custom("no list of frameworks"))?;
    let mut out = Snapshot {
        version: state.version.into(),
        pid: state.pid.into(),
        leader: state.leader.into(),
        ..Snapshot::default()
    };
    for agent in state
        .slaves
        .items
        .into_iter()
        .chain(state.recovered_slaves.items)
    {
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
        for executor in framework.executors.items {
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
            out.skipped += list.skipped;
            out.tasks.extend(
                list.items
                    .into_iter()
                    .map(|task| task.into_task(&id, &name)),
            );
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
    slaves: List<AgentJson<'a>>,
    #[serde(borrow)]
    recovered_slaves: List<AgentJson<'a>>,
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
    tasks: List<TaskJson<'a>>,
    #[serde(borrow)]
    unreachable_tasks: List<TaskJson<'a>>,
    #[serde(borrow)]
    completed_tasks: List<TaskJson<'a>>,
    #[serde(borrow)]
    executors: List<ExecutorJson<'a>>,
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

/// What becomes of an element of a list.
pub(super) enum Verdict {
    Keep,
    /// Not of interest.
    Drop,
    /// Unusable, and counted.
    Skip,
}

/// An element of a [`List`].
pub(super) trait Element {
    fn verdict(&self) -> Verdict {
        Verdict::Keep
    }
}

impl Element for AgentJson<'_> {
    fn verdict(&self) -> Verdict {
        if self.id.is_empty() {
            Verdict::Skip
        } else {
            Verdict::Keep
        }
    }
}
impl Element for FrameworkJson<'_> {}
impl Element for ExecutorJson<'_> {}
impl Element for StatusJson<'_> {}
impl Element for TaskJson<'_> {
    /// Tasks that are alive are the bulk of a state, and are let go at once.
    fn verdict(&self) -> Verdict {
        if self.id.is_empty() || self.state.is_empty() {
            Verdict::Skip
        } else if is_alive(&self.state.0) {
            Verdict::Drop
        } else {
            Verdict::Keep
        }
    }
}

/// Text. Numbers and truth values are taken as text, all else as the empty text.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars).map(|s| match s {
            Scalar::Text(t) => Self(t),
            Scalar::Number(n) => Self(n.to_string().into()),
            Scalar::Bool(b) => Self(b.to_string().into()),
            Scalar::Other => Self::default(),
        })
    }
}

/// A number, also one written as text.
#[derive(Clone, Copy, Default)]
pub(super) struct Number(pub(super) Option<f64>);

impl Number {
    fn port(self) -> Option<u16> {
        let n = self.0?;
        (n.fract() == 0.0 && (1.0..=65535.0).contains(&n)).then_some(n as u16)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars).map(|s| match s {
            Scalar::Number(n) => Self(Some(n)),
            Scalar::Text(t) => Self(t.trim().parse().ok().filter(|n: &f64| n.is_finite())),
            _ => Self(None),
        })
    }
}

enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
    Other,
}

struct Scalars;

impl<'de> Visitor<'de> for Scalars {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(v.to_owned())))
    }
    fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(v)))
    }
    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(v as f64))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(v as f64))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(v))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        drain_seq(seq)?;
        Ok(Scalar::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        drain_map(map)?;
        Ok(Scalar::Other)
    }
}

fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// The visits at which a visitor of objects or lists finds something else.
macro_rules! nothing {
    ($($visit:ident($t:ty)),*) => {
        $(fn $visit<E>(self, _: $t) -> Result<Self::Value, E> { Ok(Self::Value::default()) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
}

/// An object, or nothing.
struct Object<T>(Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            nothing!(
                visit_bool(bool),
                visit_i64(i64),
                visit_u64(u64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain_seq(seq)?;
                Ok(Object(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|t| Object(Some(t)))
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

/// A list of objects, or nothing.
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Elements that could not be used.
    skipped: usize,
    /// It really was a list.
    pub(super) is_list: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            skipped: 0,
            is_list: false,
        }
    }
}

impl<'de, T: Deserialize<'de> + Element> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Element> Visitor<'de> for V<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            nothing!(
                visit_bool(bool),
                visit_i64(i64),
                visit_u64(u64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = List {
                    is_list: true,
                    ..List::default()
                };
                while let Some(Object(element)) = seq.next_element::<Object<T>>()? {
                    match element.as_ref().map(Element::verdict) {
                        Some(Verdict::Keep) => list.items.extend(element),
                        Some(Verdict::Drop) => {}
                        Some(Verdict::Skip) | None => list.skipped += 1,
                    }
                }
                Ok(list)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                drain_map(map)?;
                Ok(List::default())
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

fn required_list<'de, D, T>(deserializer: D) -> Result<Option<List<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Element,
{
    List::deserialize(deserializer).map(|list| list.is_list.then_some(list))
}

/// Labels: a list of `{key, value}`, of which the last with the same key holds. Some
/// answers have the list below another `labels`.
#[derive(Default)]
struct Labels(BTreeMap<String, String>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct LabelJson<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }
            nothing!(
                visit_bool(bool),
                visit_i64(i64),
                visit_u64(u64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some(Object(label)) = seq.next_element::<Object<LabelJson<'de>>>()? {
                    if let Some(label) = label.filter(|l| !l.key.is_empty()) {
                        labels.insert(label.key.into(), label.value.into());
                    }
                }
                Ok(Labels(labels))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == "labels" {
                        labels.extend(map.next_value::<Labels>()?.0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_any(V)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

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

    #[test]
    fn deep_nesting_is_an_error() {
        let mut parent = String::from("{}");
        for _ in 0..500 {
            parent = format!(r#"{{"value":"x","parent":{parent}}}"#);
        }
        let body = format!(
            r#"{{"frameworks":[{{"tasks":[{{"id":"a","state":"TASK_LOST","statuses":[{{"container_status":{{"container_id":{parent}}}}}]}}]}}]}}"#
        );
        assert!(snapshot(body.as_bytes()).is_err());
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
