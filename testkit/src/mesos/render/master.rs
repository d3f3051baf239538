use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::model::{Executor, Framework, Leader, Link, Model, TaskKey};
use super::super::spec::{ExecutorKind, TaskState};
use super::task::TaskView;
use super::{LabelView, Resources, bytes, labels};

#[derive(Serialize)]
struct StateView<'a> {
    version: String,
    build_user: &'static str,
    start_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    elected_time: Option<f64>,
    id: &'a str,
    pid: String,
    hostname: &'a str,
    activated_slaves: usize,
    deactivated_slaves: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable_slaves: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_info: Option<LeaderInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    flags: BTreeMap<&'static str, String>,
    slaves: Vec<SlaveView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered_slaves: Option<Vec<SlaveView<'a>>>,
    frameworks: Vec<FrameworkView<'a>>,
    completed_frameworks: Vec<FrameworkView<'a>>,
    orphan_tasks: [(); 0],
    unregistered_frameworks: [(); 0],
}

#[derive(Serialize)]
struct LeaderInfo<'a> {
    id: &'a str,
    pid: String,
    port: u16,
    hostname: &'a str,
}

#[derive(Serialize)]
struct SlaveView<'a> {
    id: &'a str,
    hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    attributes: BTreeMap<&'static str, &'static str>,
    pid: String,
    registered_time: f64,
    resources: Resources,
    active: bool,
    version: String,
}

#[derive(Serialize)]
struct FrameworkView<'a> {
    id: &'a str,
    name: &'a str,
    pid: String,
    used_resources: Resources,
    offered_resources: Resources,
    capabilities: Vec<&'static str>,
    hostname: &'static str,
    webui_url: &'static str,
    active: bool,
    connected: bool,
    recovered: bool,
    user: &'static str,
    failover_timeout: f64,
    checkpoint: bool,
    registered_time: f64,
    unregistered_time: f64,
    resources: Resources,
    role: &'static str,
    tasks: Vec<TaskView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable_tasks: Option<Vec<TaskView<'a>>>,
    completed_tasks: Vec<TaskView<'a>>,
    offers: [(); 0],
    executors: Vec<ExecutorView<'a>>,
}

#[derive(Serialize)]
struct ExecutorView<'a> {
    executor_id: &'a str,
    name: &'static str,
    framework_id: &'a str,
    command: BTreeMap<&'static str, &'static str>,
    resources: Resources,
    slave_id: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<LabelView<'a>>,
}

/// The state of a master; one that does not lead knows nobody but the leader.
pub(crate) fn master_state(model: &Model, index: usize) -> Vec<u8> {
    let master = &model.masters[index];
    let leads = model.leader == Leader::Master(index);
    let leader = match model.leader {
        Leader::Master(leader) => Some(&model.masters[leader]),
        Leader::Nobody | Leader::Loop => None,
    };
    let slaves = |link| -> Vec<_> {
        if !leads {
            return Vec::new();
        }
        (0..model.agents.len())
            .filter(|at| model.agents[*at].link == link)
            .map(|at| slave(model, at))
            .collect()
    };
    let version = model.version;
    let view = StateView {
        version: version.to_string(),
        build_user: "",
        start_time: master.start_time,
        elected_time: leads.then_some(master.elected_time),
        id: &master.id,
        pid: master.pid(),
        hostname: &master.hostname,
        activated_slaves: slaves(Link::Registered).len(),
        deactivated_slaves: 0,
        unreachable_slaves: version.has_unreachable().then(|| slaves(Link::Lost).len()),
        leader: leader.map(|leader| leader.pid()),
        leader_info: leader
            .filter(|_| version.has_leader_info())
            .map(|leader| LeaderInfo {
                id: &leader.id,
                pid: leader.pid(),
                port: leader.port,
                hostname: &leader.hostname,
            }),
        cluster: model.cluster.as_deref(),
        flags: flag_values(model, index),
        slaves: slaves(Link::Registered),
        recovered_slaves: version.has_unreachable().then(|| slaves(Link::Recovered)),
        frameworks: if leads {
            model
                .frameworks
                .iter()
                .filter(|framework| framework.known())
                .map(|f| framework(model, f))
                .collect()
        } else {
            Vec::new()
        },
        completed_frameworks: if leads {
            model.completed().map(|f| framework(model, f)).collect()
        } else {
            Vec::new()
        },
        orphan_tasks: [],
        unregistered_frameworks: [],
    };
    bytes(model, &view)
}

fn slave(model: &Model, index: usize) -> SlaveView<'_> {
    let agent = &model.agents[index];
    SlaveView {
        id: &agent.id,
        hostname: &agent.hostname,
        port: model.version.has_agent_port().then_some(agent.port),
        attributes: BTreeMap::new(),
        pid: agent.pid(),
        registered_time: agent.registered_time,
        resources: Resources::new(16.0, 65536.0),
        active: true,
        version: model.version.to_string(),
    }
}

fn framework<'a>(model: &'a Model, framework: &'a Framework) -> FrameworkView<'a> {
    // A new leader sees the tasks of an agent when the agent is back.
    let tasks = |keys: &mut dyn Iterator<Item = &TaskKey>| -> Vec<_> {
        keys.filter_map(|key| model.tasks.get(key))
            .filter(|task| model.shows(task))
            .map(|task| TaskView::new(model, task))
            .collect()
    };
    let live: f64 = framework
        .tasks
        .iter()
        .filter_map(|key| model.tasks.get(key))
        .map(|task| task.cpus)
        .sum();
    let unreachable = tasks(&mut framework.unreachable.iter());
    FrameworkView {
        id: &framework.id,
        name: &framework.name,
        pid: format!("scheduler-{}@127.0.0.1:31000", framework.name),
        used_resources: Resources::new(live, 0.0),
        offered_resources: Resources::default(),
        capabilities: if framework.partition_aware {
            vec!["PARTITION_AWARE"]
        } else {
            Vec::new()
        },
        hostname: "127.0.0.1",
        webui_url: "",
        active: framework.is_connected(),
        connected: framework.is_connected(),
        recovered: framework.recovered,
        user: "root",
        failover_timeout: 604_800.0,
        checkpoint: true,
        registered_time: framework.registered_time,
        unregistered_time: framework.unregistered_time,
        resources: Resources::new(live, 0.0),
        role: "*",
        tasks: tasks(&mut framework.tasks.iter()),
        unreachable_tasks: model.version.has_unreachable().then_some(unreachable),
        completed_tasks: tasks(&mut framework.completed.iter()),
        offers: [],
        executors: model
            .agents
            .iter()
            .filter(|agent| agent.link == Link::Registered)
            .flat_map(|agent| &agent.live)
            .filter_map(|key| model.executors.get(key))
            .filter(|executor| {
                executor.framework == framework.id && executor.kind != ExecutorKind::Command
            })
            .map(|executor| executor_view(model, executor))
            .collect(),
    }
}

fn executor_view<'a>(model: &'a Model, executor: &'a Executor) -> ExecutorView<'a> {
    let kind = if executor.kind == ExecutorKind::Pod {
        "DEFAULT"
    } else {
        "CUSTOM"
    };
    ExecutorView {
        executor_id: &executor.id,
        name: "",
        framework_id: &executor.framework,
        command: BTreeMap::from([("value", "./executor")]),
        resources: Resources::new(0.1, 32.0),
        slave_id: &model.agents[executor.agent].id,
        kind: model.version.has_leader_info().then_some(kind),
        labels: labels(&executor.labels),
    }
}

pub(super) fn flag_values(model: &Model, index: usize) -> BTreeMap<&'static str, String> {
    let limits = model.limits;
    let mut flags = BTreeMap::from([
        (
            "max_completed_frameworks",
            limits.completed_frameworks.to_string(),
        ),
        (
            "max_completed_tasks_per_framework",
            limits.completed_tasks.to_string(),
        ),
        ("port", model.masters[index].port.to_string()),
        ("work_dir", "/var/lib/mesos".to_owned()),
    ]);
    if model.version.has_unreachable() {
        flags.insert(
            "max_unreachable_tasks_per_framework",
            limits.unreachable_tasks.to_string(),
        );
    }
    flags
}

/// The flags of a master, as `/flags` shows them.
pub(crate) fn flags(model: &Model, index: usize) -> Value {
    json!({ "flags": flag_values(model, index) })
}

/// What `/version` shows.
pub(crate) fn version(model: &Model) -> Value {
    json!({ "version": model.version.to_string(), "build_date": "", "build_time": 0.0, "build_user": "" })
}

/// The counters of `/metrics/snapshot` that count tasks, from the start of the cluster.
pub(crate) fn metrics(model: &Model, index: usize) -> Value {
    let leads = model.leader == Leader::Master(index);
    let mut counters =
        BTreeMap::from([("master/elected".to_owned(), if leads { 1.0 } else { 0.0 })]);
    for state in [
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Lost,
        TaskState::Error,
        TaskState::Dropped,
        TaskState::Gone,
        TaskState::GoneByOperator,
        TaskState::Unreachable,
    ] {
        let name = state.as_str().trim_start_matches("TASK_").to_lowercase();
        let count = model.ended.get(&state).copied().unwrap_or_default();
        counters.insert(
            format!("master/tasks_{name}"),
            if leads { count as f64 } else { 0.0 },
        );
    }
    json!(counters)
}
