use serde::Serialize;
use serde_json::Value;

use super::super::model::{Model, Status, Task};
use super::super::spec::{ExecutorKind, Image};
use super::{LabelView, Resources, labels, rich};

#[derive(Serialize)]
pub(super) struct TaskView<'a> {
    id: &'a str,
    name: &'a str,
    framework_id: &'a str,
    executor_id: &'a str,
    slave_id: &'a str,
    state: &'static str,
    resources: TaskResources,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    statuses: Vec<StatusView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<LabelView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discovery: Option<&'static Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check: Option<&'static Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TaskResources {
    Plain(Resources),
    Rich(&'static Value),
}

#[derive(Serialize)]
struct StatusView<'a> {
    state: &'static str,
    timestamp: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_status: Option<ContainerStatus<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy: Option<bool>,
}

#[derive(Serialize)]
struct ContainerStatus<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<ContainerId<'a>>,
    network_infos: [NetworkInfo; 1],
}

#[derive(Serialize)]
struct ContainerId<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Box<Self>>,
    value: &'a str,
}

#[derive(Serialize)]
struct NetworkInfo {
    ip_addresses: [IpAddress; 1],
}

#[derive(Serialize)]
struct IpAddress {
    ip_address: &'static str,
}

#[derive(Serialize)]
struct ContainerView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker: Option<DockerView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesos: Option<MesosView<'a>>,
}

#[derive(Serialize)]
struct DockerView<'a> {
    image: &'a str,
    network: &'static str,
    privileged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_mappings: Option<&'static Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'static Value>,
}

#[derive(Serialize)]
struct MesosView<'a> {
    image: ImageView<'a>,
}

#[derive(Serialize)]
struct ImageView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker: Option<NameView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appc: Option<NameView<'a>>,
}

#[derive(Serialize)]
struct NameView<'a> {
    name: &'a str,
}

impl<'a> TaskView<'a> {
    /// A task as masters show it.
    pub(super) fn new(model: &'a Model, task: &'a Task) -> Self {
        let executor = model.executors.get(&task.executor);
        let own = executor.filter(|executor| executor.kind != ExecutorKind::Command);
        Self {
            id: &task.id,
            name: &task.name,
            framework_id: &task.framework,
            executor_id: own.map_or("", |executor| &executor.id),
            slave_id: &model.agents[task.agent].id,
            state: task.state.as_str(),
            resources: if task.rich {
                TaskResources::Rich(&rich::RESOURCES)
            } else {
                TaskResources::Plain(Resources::new(task.cpus, task.mem))
            },
            role: model.version.has_unreachable().then_some("*"),
            statuses: statuses(model, task, &task.statuses),
            labels: labels(&task.labels),
            discovery: task.rich.then(|| &*rich::DISCOVERY),
            user: task.user.as_deref(),
            container: task.image.as_ref().map(|image| container(image, task.rich)),
            health_check: task.rich.then(|| &*rich::CHECK),
        }
    }

    /// A task as its agent shows it, which may know more than the master.
    pub(super) fn on_agent(model: &'a Model, task: &'a Task) -> Self {
        let known = task
            .before_loss
            .map_or(task.statuses.len(), |(_, count)| count);
        let mut all = statuses(
            model,
            task,
            &task.statuses[..known.min(task.statuses.len())],
        );
        all.extend(statuses(model, task, &task.pending));
        Self {
            state: task.agent_state().as_str(),
            statuses: all,
            ..Self::new(model, task)
        }
    }
}

fn statuses<'a>(model: &Model, task: &'a Task, statuses: &'a [Status]) -> Vec<StatusView<'a>> {
    let with_id = model.version.has_unreachable();
    statuses
        .iter()
        .map(|status| StatusView {
            state: status.state.as_str(),
            timestamp: status.timestamp,
            container_status: status.container.then(|| ContainerStatus {
                container_id: if with_id {
                    container_id(&task.containers)
                } else {
                    None
                },
                network_infos: [NetworkInfo {
                    ip_addresses: [IpAddress {
                        ip_address: "127.0.0.1",
                    }],
                }],
            }),
            healthy: status.healthy,
        })
        .collect()
}

/// The innermost id, with its parents.
fn container_id(chain: &[String]) -> Option<ContainerId<'_>> {
    chain.iter().fold(None, |parent, value| {
        Some(ContainerId {
            parent: parent.map(Box::new),
            value,
        })
    })
}

fn container(image: &Image, big: bool) -> ContainerView<'_> {
    let (docker, appc, name) = match image {
        Image::Docker(image) => {
            return ContainerView {
                kind: "DOCKER",
                docker: Some(DockerView {
                    image,
                    network: "BRIDGE",
                    privileged: false,
                    port_mappings: big.then(|| &*rich::MAPPINGS),
                    parameters: big.then(|| &*rich::PARAMETERS),
                }),
                mesos: None,
            };
        }
        Image::Ucr(name) => (true, false, name),
        Image::Appc(name) => (false, true, name),
    };
    let image = ImageView {
        kind: if docker { "DOCKER" } else { "APPC" },
        docker: docker.then_some(NameView { name }),
        appc: appc.then_some(NameView { name }),
    };
    ContainerView {
        kind: "MESOS",
        docker: None,
        mesos: Some(MesosView { image }),
    }
}
