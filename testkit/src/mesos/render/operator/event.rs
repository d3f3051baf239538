use super::super::super::model::{Framework, Model, TaskKey};
use super::super::json::Json;
use super::{task, writer};

/// An event: its type, and its body below the type in small letters.
fn event(model: &Model, kind: &str, fill: impl FnOnce(&mut Json)) -> Vec<u8> {
    let mut json = writer(model);
    json.item(|json| {
        json.word("type", kind);
        json.object(&kind.to_lowercase(), fill);
    });
    json.into_bytes()
}

pub(crate) fn task_added(model: &Model, key: TaskKey) -> Option<Vec<u8>> {
    let added = model.tasks.get(&key)?;
    Some(event(model, "TASK_ADDED", |json| {
        json.object("task", |json| task::task(json, model, added));
    }))
}

/// The last status of a task; only its state in 1.0.
pub(crate) fn task_updated(model: &Model, key: TaskKey) -> Option<Vec<u8>> {
    let updated = model.tasks.get(&key)?;
    let status = updated.statuses.last()?;
    Some(event(model, "TASK_UPDATED", |json| {
        if model.version.has_agent_events() {
            json.id("framework_id", &updated.framework);
            json.object("status", |json| {
                task::status(json, model, updated, status, updated.data.as_deref());
            });
        } else {
            json.id("task_id", &updated.id);
            json.id("framework_id", &updated.framework);
            json.id("agent_id", &model.agents[updated.agent].id);
            if let Some(id) = task::own_executor(model, updated) {
                json.id("executor_id", id);
            }
        }
        json.word("state", updated.state.as_str());
    }))
}

pub(crate) fn agent_added(model: &Model, index: usize) -> Vec<u8> {
    event(model, "AGENT_ADDED", |json| {
        json.object("agent", |json| super::agent(json, model, index));
    })
}

pub(crate) fn agent_removed(model: &Model, index: usize) -> Vec<u8> {
    event(model, "AGENT_REMOVED", |json| {
        json.id("agent_id", &model.agents[index].id);
    })
}

pub(crate) fn framework_added(model: &Model, framework: &Framework) -> Vec<u8> {
    event(model, "FRAMEWORK_ADDED", |json| {
        json.object("framework", |json| super::framework(json, model, framework));
    })
}

pub(crate) fn framework_updated(model: &Model, framework: &Framework) -> Vec<u8> {
    event(model, "FRAMEWORK_UPDATED", |json| {
        json.object("framework", |json| super::framework(json, model, framework));
    })
}

pub(crate) fn framework_removed(model: &Model, framework: &Framework) -> Vec<u8> {
    event(model, "FRAMEWORK_REMOVED", |json| {
        super::framework_info(json, framework);
    })
}
