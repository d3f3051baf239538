//! The model as JSON of the operator API (v1).

mod event;
mod task;

pub(crate) use event::{
    agent_added, agent_removed, framework_added, framework_removed, framework_updated, task_added,
    task_updated,
};

use serde_json::json;

use super::super::model::{Executor, Framework, Link, Model, TaskKey};
use super::super::spec::ExecutorKind;
use super::json::Json;
use super::{flag_values, version as version_info};

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    State,
    Tasks,
    Agents,
    Frameworks,
    Executors,
}

impl Part {
    /// The name of the call.
    fn name(self) -> &'static str {
        match self {
            Self::State => "GET_STATE",
            Self::Tasks => "GET_TASKS",
            Self::Agents => "GET_AGENTS",
            Self::Frameworks => "GET_FRAMEWORKS",
            Self::Executors => "GET_EXECUTORS",
        }
    }

    /// The name of the field with the answer.
    pub(crate) fn field(self) -> String {
        self.name().to_lowercase()
    }
}

fn writer(model: &Model) -> Json {
    Json::new(model.version.escapes_slashes())
}

/// The answer to a call.
pub(crate) fn part(model: &Model, part: Part) -> Vec<u8> {
    let mut json = writer(model);
    json.item(|json| {
        json.word("type", part.name());
        body(json, model, part);
    });
    json.into_bytes()
}

fn body(json: &mut Json, model: &Model, part: Part) {
    json.object(&part.field(), |json| match part {
        Part::State => {
            for part in [Part::Tasks, Part::Executors, Part::Frameworks, Part::Agents] {
                body(json, model, part);
            }
        }
        Part::Tasks => tasks(json, model),
        Part::Executors => executors(json, model),
        Part::Frameworks => frameworks(json, model),
        Part::Agents => agents(json, model),
    });
}

/// A list, left out when it is empty by versions that do so.
fn list<T>(
    json: &mut Json,
    model: &Model,
    name: &str,
    things: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Json, T),
) {
    let mut things = things.peekable();
    if things.peek().is_none() && !model.version.writes_empty_lists() {
        return;
    }
    json.list(name, |json| {
        for thing in things {
            json.item(|json| write(json, thing));
        }
    });
}

fn tasks(json: &mut Json, model: &Model) {
    let running = || model.frameworks.iter().filter(|one| one.known());
    let all = || running().chain(model.completed());
    let mut of = |name: &str, keys: &mut dyn Iterator<Item = &TaskKey>| {
        let tasks = keys
            .filter_map(|key| model.tasks.get(key))
            .filter(|task| model.shows(task));
        list(json, model, name, tasks, |json, task| {
            task::task(json, model, task);
        });
    };
    if model.version.writes_empty_lists() {
        of("pending_tasks", &mut [].iter());
    }
    of("tasks", &mut running().flat_map(|one| &one.tasks));
    if model.version.has_unreachable() {
        of(
            "unreachable_tasks",
            &mut all().flat_map(|one| &one.unreachable),
        );
    }
    of("completed_tasks", &mut all().flat_map(|one| &one.completed));
}

fn executors(json: &mut Json, model: &Model) {
    let own = model
        .agents
        .iter()
        .filter(|agent| agent.link == Link::Registered)
        .flat_map(|agent| &agent.live)
        .filter_map(|key| model.executors.get(key))
        .filter(|executor| executor.kind != ExecutorKind::Command);
    list(json, model, "executors", own, |json, one| {
        executor(json, model, one);
    });
}

fn executor(json: &mut Json, model: &Model, executor: &Executor) {
    json.object("executor_info", |json| {
        if model.version.has_agent_events() {
            let pod = executor.kind == ExecutorKind::Pod;
            json.word("type", if pod { "DEFAULT" } else { "CUSTOM" });
        }
        json.id("executor_id", &executor.id);
        json.id("framework_id", &executor.framework);
        json.object("command", |json| {
            json.flag("shell", true);
            json.text("value", "./executor");
        });
        task::resources(json, model, "resources", 0.1, 32.0);
        json.text("name", "");
        json.text("source", &executor.source);
        task::labels(json, &executor.labels);
    });
    json.id("agent_id", &model.agents[executor.agent].id);
}

fn frameworks(json: &mut Json, model: &Model) {
    let running = model.frameworks.iter().filter(|one| one.known());
    list(json, model, "frameworks", running, |json, one| {
        framework(json, model, one);
    });
    let completed = model.completed();
    list(
        json,
        model,
        "completed_frameworks",
        completed,
        |json, one| {
            framework(json, model, one);
        },
    );
    if model.version.writes_empty_lists() {
        json.list("recovered_frameworks", |_| {});
    }
}

fn framework(json: &mut Json, model: &Model, framework: &Framework) {
    framework_info(json, framework);
    json.flag("active", framework.is_connected());
    json.flag("connected", framework.is_connected());
    if model.version.has_unreachable() {
        json.flag("recovered", framework.recovered);
    }
    json.time("registered_time", framework.registered_time);
    json.time("reregistered_time", framework.registered_time);
    if framework.torn_down {
        json.time("unregistered_time", framework.unregistered_time);
    }
}

fn framework_info(json: &mut Json, framework: &Framework) {
    json.object("framework_info", |json| {
        json.word("user", "root");
        json.text("name", &framework.name);
        json.id("id", &framework.id);
        json.number("failover_timeout", 604_800.0);
        json.flag("checkpoint", true);
        json.word("role", "*");
        json.word("hostname", "127.0.0.1");
        json.text("webui_url", "http://127.0.0.1:31000");
        if framework.partition_aware {
            json.list("capabilities", |json| {
                json.item(|json| json.word("type", "PARTITION_AWARE"));
            });
        }
    });
}

fn agents(json: &mut Json, model: &Model) {
    let linked = |link| (0..model.agents.len()).filter(move |at| model.agents[*at].link == link);
    list(
        json,
        model,
        "agents",
        linked(Link::Registered),
        |json, at| {
            agent(json, model, at);
        },
    );
    if model.version.has_unreachable() {
        let recovered = linked(Link::Recovered);
        list(json, model, "recovered_agents", recovered, |json, at| {
            agent_info(json, model, at);
        });
    }
}

fn agent(json: &mut Json, model: &Model, index: usize) {
    let agent = &model.agents[index];
    json.object("agent_info", |json| agent_info(json, model, index));
    json.flag("active", true);
    json.text("version", &model.version.to_string());
    json.text("pid", &agent.pid());
    json.time("registered_time", agent.registered_time);
    task::scalars(json, "total_resources", 16.0, 65_536.0, false);
}

fn agent_info(json: &mut Json, model: &Model, index: usize) {
    let agent = &model.agents[index];
    json.text("hostname", &agent.hostname);
    json.whole("port", agent.port.into());
    task::scalars(json, "resources", 16.0, 65_536.0, false);
    json.id("id", &agent.id);
}

/// The answer to `GET_MASTER`.
pub(crate) fn master(model: &Model, index: usize) -> Vec<u8> {
    let master = &model.masters[index];
    let mut json = writer(model);
    json.item(|json| {
        json.word("type", "GET_MASTER");
        json.object("get_master", |json| {
            json.object("master_info", |json| {
                json.text("id", &master.id);
                // In network byte order, as a number of this machine.
                json.whole("ip", u32::from_le_bytes([127, 0, 0, 1]).into());
                json.whole("port", master.port.into());
                json.text("pid", &master.pid());
                json.text("hostname", &master.hostname);
                json.text("version", &model.version.to_string());
                json.object("address", |json| {
                    json.text("hostname", &master.hostname);
                    json.text("ip", "127.0.0.1");
                    json.whole("port", master.port.into());
                });
            });
            if model.version.has_unreachable() {
                json.number("start_time", master.start_time);
                json.number("elected_time", master.elected_time);
            }
        });
    });
    json.into_bytes()
}

/// The answer to `GET_VERSION`.
pub(crate) fn version(model: &Model) -> Vec<u8> {
    let answer = json!({
        "type": "GET_VERSION",
        "get_version": { "version_info": version_info(model) },
    });
    answer.to_string().into_bytes()
}

/// The answer to `GET_HEALTH`.
pub(crate) fn health() -> Vec<u8> {
    b"{\"type\":\"GET_HEALTH\",\"get_health\":{\"healthy\":true}}".to_vec()
}

/// The answer to `GET_FLAGS`.
pub(crate) fn flags(model: &Model, index: usize) -> Vec<u8> {
    let mut json = writer(model);
    json.item(|json| {
        json.word("type", "GET_FLAGS");
        json.object("get_flags", |json| {
            json.list("flags", |json| {
                for (name, value) in flag_values(model, index) {
                    json.item(|json| {
                        json.text("name", name);
                        json.text("value", &value);
                    });
                }
            });
        });
    });
    json.into_bytes()
}
