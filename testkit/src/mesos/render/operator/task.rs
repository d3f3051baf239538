use super::super::super::auth::base64;
use super::super::super::model::{Model, Status, Task};
use super::super::super::spec::{ExecutorKind, Image, Label};
use super::super::json::Json;
use super::super::rich;

/// The fields of a task.
pub(super) fn task(json: &mut Json, model: &Model, task: &Task) {
    json.text("name", &task.name);
    json.id("task_id", &task.id);
    json.id("framework_id", &task.framework);
    if let Some(id) = own_executor(model, task) {
        json.id("executor_id", id);
    }
    json.id("agent_id", &model.agents[task.agent].id);
    json.word("state", task.state.as_str());
    if task.rich {
        json.fields(rich::OPERATOR_RESOURCES);
    } else {
        resources(json, model, "resources", task.cpus, task.mem);
    }
    if let Some(last) = task.statuses.last() {
        json.list("statuses", |json| {
            for one in &task.statuses {
                json.item(|json| status(json, model, task, one, None));
            }
        });
        json.word("status_update_state", last.state.as_str());
        if let Some(uuid) = last.uuid {
            json.text("status_update_uuid", &base64(&uuid.to_be_bytes()));
        }
    }
    labels(json, &task.labels);
    if task.rich {
        json.fields(rich::OPERATOR_DISCOVERY);
    }
    if let Some(image) = &task.image {
        container(json, image, task.rich);
    }
    if task.rich {
        json.fields(rich::OPERATOR_CHECK);
    }
    if let Some(user) = &task.user {
        json.text("user", user);
    }
}

/// The id of an executor of the framework's own.
pub(super) fn own_executor<'a>(model: &'a Model, task: &Task) -> Option<&'a str> {
    let executor = model.executors.get(&task.executor)?;
    (executor.kind != ExecutorKind::Command).then_some(executor.id.as_str())
}

/// The fields of a status; data are in events only.
pub(super) fn status(
    json: &mut Json,
    model: &Model,
    task: &Task,
    status: &Status,
    data: Option<&[u8]>,
) {
    let by_executor = status.source == "SOURCE_EXECUTOR";
    json.id("task_id", &task.id);
    json.word("state", status.state.as_str());
    if let Some(message) = &status.message {
        json.text("message", message);
    }
    json.word("source", status.source);
    if let Some(reason) = &status.reason {
        json.text("reason", reason);
    }
    if let Some(data) = data.filter(|_| by_executor) {
        json.text("data", &base64(data));
    }
    json.id("agent_id", &model.agents[task.agent].id);
    let executor = model.executors.get(&task.executor);
    if let Some(executor) = executor.filter(|one| by_executor || one.kind != ExecutorKind::Command)
    {
        json.id("executor_id", &executor.id);
    }
    json.number("timestamp", status.timestamp);
    if let Some(uuid) = status.uuid {
        json.text("uuid", &base64(&uuid.to_be_bytes()));
    }
    if let Some(healthy) = status.healthy {
        json.flag("healthy", healthy);
    }
    if status.container {
        json.object("container_status", |json| {
            if model.version.has_unreachable() {
                container_id(json, "container_id", &task.containers);
            }
            json.fields(
                b"\"network_infos\":[{\"ip_addresses\":[{\"protocol\":\"IPv4\",\"ip_address\":\"127.0.0.1\"}]}]",
            );
            json.whole("executor_pid", 4242);
        });
    }
    if let Some(time) = status.unreachable_time {
        json.time("unreachable_time", time);
    }
}

/// The innermost id, with its parents.
fn container_id(json: &mut Json, name: &str, chain: &[String]) {
    let Some((own, parents)) = chain.split_last() else {
        return;
    };
    json.object(name, |json| {
        json.text("value", own);
        container_id(json, "parent", parents);
    });
}

pub(super) fn labels(json: &mut Json, labels: &[Label]) {
    if labels.is_empty() {
        return;
    }
    json.object("labels", |json| {
        json.list("labels", |json| {
            for label in labels {
                json.item(|json| {
                    json.text("key", &label.key);
                    json.text("value", &label.value);
                });
            }
        });
    });
}

/// Resources in use; since roles can be many, by the role they are allocated to.
pub(super) fn resources(json: &mut Json, model: &Model, name: &str, cpus: f64, mem: f64) {
    scalars(json, name, cpus, mem, model.version.has_framework_events());
}

/// Resources, allocated to a role or not.
pub(super) fn scalars(json: &mut Json, name: &str, cpus: f64, mem: f64, allocated: bool) {
    json.list(name, |json| {
        for (name, value) in [("cpus", cpus), ("mem", mem)] {
            json.item(|json| {
                json.word("name", name);
                json.word("type", "SCALAR");
                json.object("scalar", |json| json.number("value", value));
                if allocated {
                    json.object("allocation_info", |json| json.word("role", "*"));
                } else {
                    json.word("role", "*");
                }
            });
        }
    });
}

fn container(json: &mut Json, image: &Image, big: bool) {
    json.object("container", |json| {
        let (kind, field, name) = match image {
            Image::Docker(image) => {
                json.word("type", "DOCKER");
                json.object("docker", |json| {
                    json.text("image", image);
                    json.word("network", "BRIDGE");
                    json.flag("privileged", false);
                    if big {
                        json.fields(rich::OPERATOR_DOCKER);
                    }
                });
                return;
            }
            Image::Ucr(name) => ("DOCKER", "docker", name),
            Image::Appc(name) => ("APPC", "appc", name),
        };
        json.word("type", "MESOS");
        json.object("mesos", |json| {
            json.object("image", |json| {
                json.word("type", kind);
                json.object(field, |json| json.text("name", name));
            });
        });
    });
}
