use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::model::{Executor, ExecutorKey, Leader, Model, TaskKey};
use super::super::spec::ExecutorKind;
use super::task::TaskView;
use super::{LabelView, Resources, bytes, labels};

#[derive(Serialize)]
struct StateView<'a> {
    version: String,
    build_user: &'static str,
    start_time: f64,
    id: &'a str,
    pid: String,
    hostname: &'a str,
    resources: Resources,
    attributes: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_hostname: Option<&'a str>,
    flags: BTreeMap<&'static str, String>,
    frameworks: Vec<FrameworkView<'a>>,
    completed_frameworks: Vec<FrameworkView<'a>>,
}

#[derive(Serialize)]
struct FrameworkView<'a> {
    id: &'a str,
    name: &'a str,
    user: &'static str,
    failover_timeout: f64,
    checkpoint: bool,
    role: &'static str,
    hostname: &'static str,
    executors: Vec<ExecutorView<'a>>,
    completed_executors: Vec<ExecutorView<'a>>,
}

#[derive(Serialize)]
struct ExecutorView<'a> {
    id: &'a str,
    name: String,
    source: &'a str,
    container: &'a str,
    directory: &'a str,
    resources: Resources,
    role: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<LabelView<'a>>,
    tasks: Vec<TaskView<'a>>,
    queued_tasks: [(); 0],
    completed_tasks: Vec<TaskView<'a>>,
}

/// The state of an agent.
pub(crate) fn agent_state(model: &Model, index: usize) -> Vec<u8> {
    let agent = &model.agents[index];
    let mut live: BTreeMap<&str, Vec<ExecutorKey>> = BTreeMap::new();
    for key in &agent.live {
        if let Some(executor) = model.executors.get(key) {
            live.entry(&executor.framework).or_default().push(*key);
        }
    }
    let known: BTreeSet<&str> = live
        .keys()
        .copied()
        .chain(agent.completed.keys().map(String::as_str))
        .collect();
    let (mut frameworks, mut completed) = (Vec::new(), Vec::new());
    for id in known {
        let running = live.remove(id).unwrap_or_default();
        // An agent keeps a framework as long as it runs something for it.
        let list = if running.is_empty() || agent.torn_down.contains(id) {
            &mut completed
        } else {
            &mut frameworks
        };
        let name = model
            .frameworks
            .iter()
            .chain(&model.completed_frameworks)
            .find(|framework| framework.id == id)
            .map_or("", |framework| &framework.name);
        list.push(FrameworkView {
            id,
            name,
            user: "root",
            failover_timeout: 604_800.0,
            checkpoint: true,
            role: "*",
            hostname: "127.0.0.1",
            executors: executors(model, running.iter()),
            completed_executors: executors(model, agent.completed.get(id).into_iter().flatten()),
        });
    }
    let view = StateView {
        version: model.version.to_string(),
        build_user: "",
        start_time: agent.registered_time,
        id: &agent.id,
        pid: agent.pid(),
        hostname: &agent.hostname,
        resources: Resources::new(16.0, 65536.0),
        attributes: BTreeMap::new(),
        master_hostname: match model.leader {
            Leader::Master(leader) => Some(&model.masters[leader].hostname),
            Leader::Nobody | Leader::Loop => None,
        },
        flags: BTreeMap::from([
            (
                "max_completed_executors_per_framework",
                model.limits.completed_executors.to_string(),
            ),
            ("port", agent.port.to_string()),
            ("work_dir", agent.work_dir.clone()),
        ]),
        frameworks,
        completed_frameworks: completed,
    };
    bytes(model, &view)
}

fn executors<'a, 'k>(
    model: &'a Model,
    keys: impl Iterator<Item = &'k ExecutorKey>,
) -> Vec<ExecutorView<'a>> {
    keys.filter_map(|key| model.executors.get(key))
        .map(|executor| view(model, executor))
        .collect()
}

fn view<'a>(model: &'a Model, executor: &'a Executor) -> ExecutorView<'a> {
    let tasks = |keys: &mut dyn Iterator<Item = &TaskKey>, ended: bool| -> Vec<_> {
        keys.filter_map(|key| model.tasks.get(key))
            .filter(|task| task.agent_state().is_terminal() == ended)
            .map(|task| TaskView::on_agent(model, task))
            .collect()
    };
    let command = executor.kind == ExecutorKind::Command;
    let mut completed = tasks(&mut executor.completed.iter(), true);
    // Tasks whose end nobody acknowledged are shown among the completed ones.
    completed.extend(tasks(&mut executor.live.iter(), true));
    ExecutorView {
        id: &executor.id,
        name: if command {
            format!(
                "Command Executor (Task: {0}) (Command: sh -c './run')",
                executor.id
            )
        } else {
            String::new()
        },
        source: &executor.source,
        container: &executor.run,
        directory: &executor.directory,
        resources: Resources::new(0.1, 32.0),
        role: "*",
        kind: model
            .version
            .has_leader_info()
            .then_some(match executor.kind {
                ExecutorKind::Pod => "DEFAULT",
                _ => "CUSTOM",
            }),
        labels: labels(&executor.labels),
        tasks: tasks(&mut executor.live.iter(), false),
        queued_tasks: [],
        completed_tasks: completed,
    }
}
