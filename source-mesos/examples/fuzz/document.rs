//! What masters and agents send, with what should be read of it.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::text::{Json, anything, text, word};

/// One text, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) body: Vec<u8>,
    pub(crate) says: Value,
}

const STATES: &[&str] = &[
    "TASK_FAILED",
    "TASK_FAILED",
    "TASK_LOST",
    "TASK_KILLED",
    "TASK_UNREACHABLE",
    "TASK_FINISHED",
    "TASK_RUNNING",
    "TASK_RUNNING",
    "TASK_STAGING",
];

fn is_alive(state: &str) -> bool {
    matches!(state, "TASK_RUNNING" | "TASK_STAGING")
}

fn some<T>(rng: &mut Rng, mut make: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    let most = match rng.u8(..40) {
        0 => 20,
        1..16 => 1,
        _ => 4,
    };
    (0..rng.usize(0..most)).map(|_| make(rng)).collect()
}

/// Text, or what counts as text.
fn scalar(rng: &mut Rng) -> (Json, String) {
    match rng.u8(..24) {
        0 => (Json::raw("null"), String::new()),
        1 => (Json::raw("[1]"), String::new()),
        2 => (Json::raw(r#"{"a":[]}"#), String::new()),
        3 => {
            let n = rng.i64(..);
            (Json::raw(n), n.to_string())
        }
        4 => (Json::raw("true"), "true".into()),
        5 => (Json::raw("-12.50"), "-12.5".into()),
        _ => {
            let text = text(rng);
            (Json::text(&*text), text)
        }
    }
}

/// An id that is never empty.
fn id(rng: &mut Rng) -> String {
    format!("{}-{:x}{}", word(rng), rng.u64(..), text(rng))
}

/// An id in the newer form, also as the older one writes it.
fn wrapped(rng: &mut Rng, id: &str) -> Json {
    match rng.u8(..12) {
        0 => Json::text(id),
        _ => Json::object([("value", Json::text(id))]).stirred(rng),
    }
}

fn labels(rng: &mut Rng) -> (Json, BTreeMap<String, String>) {
    let mut says = BTreeMap::new();
    let mut list = some(rng, |rng| {
        let (key, value) = (text(rng), scalar(rng));
        let mut members = vec![("key".to_owned(), Json::text(&*key))];
        let mut said = String::new();
        if rng.u8(..8) > 0 {
            members.push(("value".into(), value.0));
            said = value.1;
        }
        if !key.is_empty() {
            says.insert(key, said);
        }
        Json::Object(members).stirred(rng)
    });
    if rng.u8(..8) == 0 {
        list.push(Json::raw("null"));
        list.insert(0, Json::raw("[{}]"));
    }
    let list = Json::List(list);
    let json = match rng.bool() {
        true => list,
        false => Json::object([("labels", list)]).stirred(rng),
    };
    (json, says)
}

fn image(rng: &mut Rng) -> (Json, String) {
    let name = text(rng);
    let json = Json::text(&*name);
    let nested = |key, value| Json::object([(key, value)]);
    let container = match rng.u8(..5) {
        0 => nested("docker", nested("image", json).stirred(rng)),
        1 => {
            let docker = nested("docker", nested("name", json).stirred(rng));
            nested("mesos", nested("image", docker.stirred(rng)).stirred(rng))
        }
        2 => nested(
            "mesos",
            nested("image", nested("appc", nested("name", json))),
        ),
        3 => return (anything(rng, 0), String::new()),
        _ => nested("docker", nested("image", json)),
    };
    (container.stirred(rng), name)
}

/// A time, and its milliseconds.
fn time(rng: &mut Rng) -> (Json, Value) {
    let eighths = rng.i64(-10..20_000_000_000);
    // Exact, as all below 2^53.
    let seconds = eighths as f64 / 8.0;
    let says = if eighths > 0 {
        json!((seconds * 1000.0).round() as i64)
    } else {
        Value::Null
    };
    match rng.u8(..12) {
        0 => (Json::text(seconds.to_string()), says),
        1 => (Json::raw("nan"), Value::Null),
        2 => (Json::raw("1e999"), Value::Null),
        _ => (Json::raw(seconds), says),
    }
}

fn told(text: String) -> Value {
    match text.is_empty() {
        true => Value::Null,
        false => text.into(),
    }
}

/// A status, what it says, and its containers.
fn status(rng: &mut Rng, state: &str) -> (Vec<(String, Json)>, Value, Vec<String>) {
    let (time, millis) = time(rng);
    let mut members = vec![
        ("state".to_owned(), Json::text(state)),
        ("timestamp".to_owned(), time),
    ];
    let mut says = json!({"state": state, "time": millis, "message": null, "reason": null,
        "source": null, "healthy": null});
    for key in ["message", "reason", "source"] {
        if rng.bool() {
            let (json, text) = scalar(rng);
            members.push((key.into(), json));
            says[key] = told(text);
        }
    }
    if rng.bool() {
        let healthy = rng.bool();
        says["healthy"] = healthy.into();
        members.push((
            "healthy".into(),
            match rng.bool() {
                true => Json::raw(healthy),
                false => Json::text(healthy.to_string()),
            },
        ));
    }
    let chain: Vec<String> = (0..rng.usize(0..4)).map(|_| id(rng)).collect();
    let container = chain.iter().fold(None, |parent, id| {
        let mut members = vec![("value".to_owned(), Json::text(&**id))];
        members.extend(parent.map(|parent| ("parent".to_owned(), parent)));
        Some(Json::Object(members).stirred(rng))
    });
    if let Some(container) = container {
        let status = Json::object([("container_id", container)]).stirred(rng);
        members.push(("container_status".into(), status));
    }
    (members, says, chain)
}

fn statuses(rng: &mut Rng, state: &str) -> (Json, Vec<Value>, Vec<String>) {
    let (mut list, mut says, mut containers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rng.usize(0..4) {
        let state = if rng.bool() { state } else { "TASK_RUNNING" };
        let (members, said, chain) = status(rng, state);
        list.push(Json::Object(members).stirred(rng));
        says.push(said);
        if !chain.is_empty() {
            containers = chain;
        }
        if rng.u8(..12) == 0 {
            list.push(Json::raw("[null]"));
        }
    }
    (Json::List(list), says, containers)
}

/// A task as it is told in either form.
fn task(rng: &mut Rng, is_old: bool, framework: &str, state: &str) -> (Json, Value) {
    let (id, agent, executor) = (id(rng), id(rng), text(rng));
    let (name, name_says) = scalar(rng);
    let (statuses, statuses_say, containers) = statuses(rng, state);
    let mut says = json!({"framework": framework, "framework_name": "", "id": id, "name": name_says,
        "agent": agent, "executor": executor, "state": state, "labels": {}, "image": "",
        "statuses": statuses_say, "containers": containers});
    let reference = |rng: &mut Rng, id: &str| match is_old {
        true => Json::text(id),
        false => wrapped(rng, id),
    };
    let agent_key = if is_old || rng.u8(..8) == 0 {
        "slave_id"
    } else {
        "agent_id"
    };
    let id_key = if is_old { "id" } else { "task_id" };
    let mut members = vec![
        (id_key.to_owned(), reference(rng, &id)),
        ("framework_id".to_owned(), reference(rng, framework)),
        (agent_key.to_owned(), reference(rng, &agent)),
        ("executor_id".to_owned(), reference(rng, &executor)),
        ("state".to_owned(), Json::text(state)),
        ("name".to_owned(), name),
        ("statuses".to_owned(), statuses),
    ];
    if rng.bool() {
        let (labels, said) = labels(rng);
        members.push(("labels".into(), labels));
        says["labels"] = json!(said);
    }
    if rng.bool() {
        let (container, image) = image(rng);
        members.push(("container".into(), container));
        says["image"] = image.into();
    }
    (Json::Object(members).stirred(rng), says)
}

/// What is found in a master's state.
#[derive(Default)]
struct Says {
    tasks: [Vec<Value>; 3],
    live: Vec<Value>,
    skipped: usize,
}

/// A list of tasks, of which what is wanted is noted.
fn tasks(
    rng: &mut Rng,
    is_old: bool,
    shelf: usize,
    says: &mut Says,
    framework: impl Fn(&mut Rng) -> String,
) -> Json {
    Json::List(some(rng, |rng| {
        match rng.u8(..30) {
            0 => {
                says.skipped += 1;
                return Json::raw(
                    rng.choice(["null", "7", "\"x\"", "[{}]", "{}"])
                        .unwrap_or("{}"),
                );
            }
            1 => {
                says.skipped += 1;
                return Json::raw(r#"{"id":"","task_id":{},"state":"TASK_FAILED"}"#);
            }
            _ => {}
        }
        let (framework, state) = (framework(rng), STATES[rng.usize(..STATES.len())]);
        let (task, said) = task(rng, is_old, &framework, state);
        if is_alive(state) {
            says.live.push(said);
        } else if state != "TASK_FINISHED" {
            says.tasks[shelf].push(said);
        }
        task
    }))
}

fn port(rng: &mut Rng) -> (Json, Value) {
    let port = rng.u16(1..);
    match rng.u8(..6) {
        0 => (Json::text(port.to_string()), port.into()),
        1 => (Json::raw("0"), Value::Null),
        2 => (Json::raw("70000.5"), Value::Null),
        _ => (Json::raw(port), port.into()),
    }
}

fn old_agent(rng: &mut Rng) -> (Json, Value) {
    let (id, (hostname, hostname_says), (pid, pid_says), (port, port_says)) =
        (id(rng), scalar(rng), scalar(rng), port(rng));
    let json = Json::object([
        ("id", Json::text(&*id)),
        ("hostname", hostname),
        ("pid", pid),
        ("port", port),
    ]);
    let says = json!({"id": id, "hostname": hostname_says, "pid": pid_says, "port": port_says});
    (json.stirred(rng), says)
}

fn old_executor(rng: &mut Rng, framework: &str) -> (Json, Value) {
    let (id, (agent, agent_says), (labels, labels_say)) = (id(rng), scalar(rng), labels(rng));
    let (key, runs_pods) = (if rng.bool() { "id" } else { "executor_id" }, rng.bool());
    let json = Json::object([
        (key, Json::text(&*id)),
        ("slave_id", agent),
        ("labels", labels),
        (
            "type",
            Json::text(if runs_pods { "DEFAULT" } else { "CUSTOM" }),
        ),
    ]);
    let says = json!({"framework": framework, "id": id, "agent": agent_says, "labels": labels_say,
        "runs_pods": runs_pods});
    (json.stirred(rng), says)
}

/// A master's `/state`.
pub(crate) fn state(rng: &mut Rng) -> Document {
    let [version, pid, leader] = [0; 3].map(|_| scalar(rng));
    let mut says = json!({"version": version.1, "pid": pid.1, "leader": leader.1, "live": []});
    let (slaves, mut agents): (Vec<_>, Vec<_>) = some(rng, old_agent).into_iter().unzip();
    let (recovered, gone): (Vec<_>, Vec<_>) = some(rng, old_agent).into_iter().unzip();
    says["settling"] = (!gone.is_empty()).into();
    agents.extend(gone);
    let (mut names, mut executors, mut found, mut skipped) =
        (Map::new(), Vec::new(), Vec::new(), 0);
    let [present, completed] = [0; 2].map(|_| {
        Json::List(some(rng, |rng| {
            let (id, (name, name_says)) = (id(rng), scalar(rng));
            let mut of_this = Says::default();
            let lists =
                [0, 1, 2].map(|shelf| tasks(rng, true, shelf, &mut of_this, |_| id.clone()));
            let [current, unreachable, ended] = lists;
            for mut task in of_this.tasks.into_iter().flatten() {
                task["framework_name"] = name_says.as_str().into();
                found.push(task);
            }
            skipped += of_this.skipped;
            let ran: Vec<_> = some(rng, |rng| old_executor(rng, &id));
            let (ran, said): (Vec<_>, Vec<_>) = ran.into_iter().unzip();
            executors.extend(said);
            let json = Json::object([
                ("id", Json::text(&*id)),
                ("name", name),
                ("tasks", current),
                ("unreachable_tasks", unreachable),
                ("completed_tasks", ended),
                ("executors", Json::List(ran)),
            ]);
            names.insert(id, name_says.into());
            json.stirred(rng)
        }))
    });
    // Members are stirred only where that does not change the order of what is found.
    let json = Json::object([
        ("version", version.0),
        ("pid", pid.0),
        ("leader", leader.0),
        ("slaves", Json::List(slaves)),
        ("recovered_slaves", Json::List(recovered)),
        ("frameworks", present),
        ("completed_frameworks", completed),
    ]);
    says["agents"] = agents.into();
    says["executors"] = executors.into();
    says["frameworks"] = names.into();
    says["tasks"] = found.into();
    says["skipped"] = skipped.into();
    let json = json.stirred(rng);
    Document {
        body: json.write(rng),
        says: json!({"state": says}),
    }
}

fn agent_info(rng: &mut Rng, id: &str) -> (Json, Value) {
    let ((hostname, hostname_says), (port, port_says)) = (scalar(rng), port(rng));
    let json = Json::object([
        ("id", wrapped(rng, id)),
        ("hostname", hostname),
        ("port", port),
    ]);
    let says = json!({"id": id, "hostname": hostname_says, "pid": "", "port": port_says});
    (json.stirred(rng), says)
}

fn agent(rng: &mut Rng) -> (Json, Value) {
    let (id, (pid, pid_says)) = (id(rng), scalar(rng));
    let (info, mut says) = agent_info(rng, &id);
    says["pid"] = pid_says.into();
    let json = Json::object([("agent_info", info), ("pid", pid)]);
    (json.stirred(rng), says)
}

fn framework(rng: &mut Rng, id: &str) -> (Json, String) {
    let (name, says) = scalar(rng);
    let info = Json::object([("id", wrapped(rng, id)), ("name", name)]).stirred(rng);
    (Json::object([("framework_info", info)]).stirred(rng), says)
}

fn executor(rng: &mut Rng, framework: &str) -> (Json, Value) {
    let (id, agent, (labels, labels_say)) = (id(rng), text(rng), labels(rng));
    let runs_pods = rng.bool();
    let info = Json::object([
        ("executor_id", wrapped(rng, &id)),
        ("framework_id", wrapped(rng, framework)),
        ("labels", labels),
        (
            "type",
            Json::text(if runs_pods { "DEFAULT" } else { "CUSTOM" }),
        ),
    ]);
    let json = Json::object([
        ("executor_info", info.stirred(rng)),
        ("agent_id", wrapped(rng, &agent)),
    ]);
    let says = json!({"framework": framework, "id": id, "agent": agent, "labels": labels_say,
        "runs_pods": runs_pods});
    (json.stirred(rng), says)
}

/// The parts of a state in the newer form, and what they say.
fn get_state(rng: &mut Rng, live: bool) -> ([(&'static str, Json); 4], Value) {
    let ids: Vec<String> = (0..rng.usize(1..5)).map(|_| id(rng)).collect();
    let one = |rng: &mut Rng| ids[rng.usize(..ids.len())].clone();
    let mut of_tasks = Says::default();
    let lists = [0, 1, 2].map(|shelf| tasks(rng, false, shelf, &mut of_tasks, one));
    let [current, unreachable, completed] = lists;
    let (mut names, mut frameworks) = (Map::new(), [Vec::new(), Vec::new()]);
    for id in &ids {
        if rng.u8(..6) > 0 {
            let (json, name) = framework(rng, id);
            names.insert(id.clone(), name.into());
            frameworks[rng.usize(..2)].push(json);
        }
    }
    let [present, gone] = frameworks.map(Json::List);
    let mut found: Vec<Value> = of_tasks.tasks.into_iter().flatten().collect();
    for task in &mut found {
        let name = task["framework"].as_str().and_then(|id| names.get(id));
        task["framework_name"] = name.cloned().unwrap_or("".into());
    }
    let (agents, mut agents_say): (Vec<_>, Vec<_>) = some(rng, agent).into_iter().unzip();
    let recovered = some(rng, |rng| {
        let id = id(rng);
        agent_info(rng, &id)
    });
    let (recovered, recovered_say): (Vec<_>, Vec<_>) = recovered.into_iter().unzip();
    let settling = !recovered.is_empty();
    agents_say.extend(recovered_say);
    let run = some(rng, |rng| {
        let framework = one(rng);
        executor(rng, &framework)
    });
    let (run, run_say): (Vec<_>, Vec<_>) = run.into_iter().unzip();
    of_tasks
        .live
        .sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    let says = json!({"version": "", "pid": "", "leader": "", "agents": agents_say,
        "settling": settling, "executors": run_say, "frameworks": names, "tasks": found,
        "live": if live { of_tasks.live } else { Vec::new() }, "skipped": of_tasks.skipped});
    let get_tasks = Json::object([
        ("tasks", current),
        ("unreachable_tasks", unreachable),
        ("completed_tasks", completed),
    ]);
    let get_agents = Json::object([
        ("agents", Json::List(agents)),
        ("recovered_agents", Json::List(recovered)),
    ]);
    let get_frameworks = Json::object([("frameworks", present), ("completed_frameworks", gone)]);
    let get_executors = Json::object([("executors", Json::List(run))]);
    let parts = [
        ("get_tasks", get_tasks.stirred(rng)),
        ("get_agents", get_agents.stirred(rng)),
        ("get_frameworks", get_frameworks.stirred(rng)),
        ("get_executors", get_executors.stirred(rng)),
    ];
    (parts, says)
}

/// The first record of a stream.
pub(crate) fn subscribed(rng: &mut Rng, live: bool) -> Document {
    let (parts, says) = get_state(rng, live);
    let state = Json::object(parts).stirred(rng);
    let heartbeat = f64::from(rng.u16(1..)) / 4.0;
    let subscribed = Json::object([
        ("get_state", state),
        ("heartbeat_interval_seconds", Json::raw(heartbeat)),
    ]);
    let json = Json::object([
        ("type", Json::text("SUBSCRIBED")),
        ("subscribed", subscribed.stirred(rng)),
    ]);
    let json = json.stirred(rng);
    Document {
        body: json.write(rng),
        says: json!({"subscribed": says, "heartbeat": heartbeat}),
    }
}

/// The answer to a call.
fn answer(rng: &mut Rng, live: bool) -> Document {
    let (parts, says) = get_state(rng, live);
    let json = Json::object([
        ("type", Json::text("GET_STATE")),
        ("get_state", Json::object(parts).stirred(rng)),
    ]);
    let json = json.stirred(rng);
    Document {
        body: json.write(rng),
        says: json!({"state": says}),
    }
}

/// Any record of the operator API.
pub(crate) fn record(rng: &mut Rng, live: bool) -> Document {
    match rng.u8(..4) {
        0 => subscribed(rng, live),
        1 => answer(rng, live),
        _ => event(rng),
    }
}

fn update(rng: &mut Rng) -> (Json, Value) {
    let [framework, task, agent] = [0; 3].map(|_| id(rng));
    let (executor, newest) = (text(rng), STATES[rng.usize(..STATES.len())]);
    let (mut members, said, containers) = status(rng, newest);
    let mut says = json!({"framework": framework, "task": task, "agent": agent, "executor": executor,
        "state": newest, "status": said, "containers": containers});
    let ids = [
        ("task_id", wrapped(rng, &task)),
        ("agent_id", wrapped(rng, &agent)),
        ("executor_id", wrapped(rng, &executor)),
    ]
    .map(|(key, id)| (key.to_owned(), id));
    let mut body = vec![
        ("framework_id".to_owned(), wrapped(rng, &framework)),
        ("state".to_owned(), Json::text(newest)),
    ];
    if rng.u8(..4) == 0 {
        // As the oldest masters tell it.
        body.extend(ids);
        says["status"] = Value::Null;
        says["containers"] = json!([]);
    } else {
        members.extend(ids);
        body.push(("status".into(), Json::Object(members).stirred(rng)));
    }
    (Json::Object(body).stirred(rng), json!({"updated": says}))
}

/// Something that happens.
pub(crate) fn event(rng: &mut Rng) -> Document {
    let (kind, body, says) = match rng.u8(..12) {
        0 => ("HEARTBEAT", None, json!("heartbeat")),
        1 => {
            let (framework, state) = (id(rng), STATES[rng.usize(..STATES.len())]);
            let (task, says) = task(rng, false, &framework, state);
            let body = Json::object([("task", task)]).stirred(rng);
            (
                "TASK_ADDED",
                Some(("task_added", body)),
                json!({"added": says}),
            )
        }
        2 => {
            let (agent, says) = agent(rng);
            let body = Json::object([("agent", agent)]).stirred(rng);
            (
                "AGENT_ADDED",
                Some(("agent_added", body)),
                json!({"agent": says}),
            )
        }
        3 => {
            let id = id(rng);
            let body = Json::object([("agent_id", wrapped(rng, &id))]).stirred(rng);
            (
                "AGENT_REMOVED",
                Some(("agent_removed", body)),
                json!({"removed": id}),
            )
        }
        4..7 => {
            let id = id(rng);
            let (framework, name) = framework(rng, &id);
            let whole = Json::object([("framework", framework.clone())]);
            let (kind, key, body, says) = match rng.u8(..3) {
                0 => (
                    "FRAMEWORK_ADDED",
                    "framework_added",
                    whole,
                    "framework added",
                ),
                1 => (
                    "FRAMEWORK_UPDATED",
                    "framework_updated",
                    whole,
                    "framework updated",
                ),
                _ => (
                    "FRAMEWORK_REMOVED",
                    "framework_removed",
                    framework,
                    "framework removed",
                ),
            };
            (kind, Some((key, body)), json!({says: [id, name]}))
        }
        7 => {
            let body = anything(rng, 4);
            (
                "QUOTA_CHANGED",
                Some(("quota_changed", body)),
                json!({"other": "QUOTA_CHANGED"}),
            )
        }
        _ => {
            let (body, says) = update(rng);
            ("TASK_UPDATED", Some(("task_updated", body)), says)
        }
    };
    let mut members = vec![("type".to_owned(), Json::text(kind))];
    members.extend(body.map(|(key, body)| (key.to_owned(), body)));
    let json = Json::Object(members).stirred(rng);
    Document {
        body: json.write(rng),
        says,
    }
}

/// A run of an executor in an agent's state.
fn run(rng: &mut Rng, framework: &str) -> (Json, Value) {
    let ((id, id_says), (container, container_says)) = (scalar(rng), scalar(rng));
    let (directory, runs_pods) = (format!("/{}", text(rng)), rng.bool());
    let (labels, labels_say) = labels(rng);
    let mut tasks_say = Vec::new();
    let lists = [0; 2].map(|_| {
        let list = some(rng, |rng| {
            if rng.u8(..20) == 0 {
                return Json::raw(rng.choice(["null", "[]", "1e5"]).unwrap_or("0"));
            }
            let ((id, id_says), (state, state_says)) = (scalar(rng), scalar(rng));
            let (statuses, says, _) = statuses(rng, "TASK_FAILED");
            let time = says.last().map(|s| s["time"].clone());
            tasks_say.push(json!({"id": id_says, "state": state_says, "time": time}));
            let task = Json::object([("id", id), ("state", state), ("statuses", statuses)]);
            task.stirred(rng)
        });
        Json::List(list)
    });
    let [tasks, completed_tasks] = lists;
    let json = Json::object([
        ("id", id),
        ("container", container),
        ("directory", Json::text(&*directory)),
        (
            "type",
            Json::text(if runs_pods { "DEFAULT" } else { "CUSTOM" }),
        ),
        ("labels", labels),
        ("tasks", tasks),
        ("completed_tasks", completed_tasks),
    ]);
    let says = json!({"framework": framework, "id": id_says, "container": container_says,
        "directory": directory, "runs_pods": runs_pods, "labels": labels_say, "tasks": tasks_say});
    (json.stirred(rng), says)
}

/// An agent's `/state`.
pub(crate) fn agent_state(rng: &mut Rng) -> Document {
    let ((id, id_says), (work_dir, work_dir_says)) = (scalar(rng), scalar(rng));
    let [(gone, mut executors), (present, present_say)] = [0; 2].map(|_| {
        let mut says = Vec::new();
        let frameworks = some(rng, |rng| {
            let (id, id_says) = scalar(rng);
            let lists = [0; 2].map(|_| {
                let (list, said): (Vec<_>, Vec<_>) =
                    some(rng, |rng| run(rng, &id_says)).into_iter().unzip();
                says.extend(said);
                Json::List(list)
            });
            let [ended, running] = lists;
            let json = Json::object([
                ("id", id),
                ("completed_executors", ended),
                ("executors", running),
            ]);
            json.stirred(rng)
        });
        (Json::List(frameworks), says)
    });
    executors.extend(present_say);
    let flags = Json::object([("work_dir", work_dir)]).stirred(rng);
    let json = Json::object([
        ("id", id),
        ("flags", flags),
        ("frameworks", present),
        ("completed_frameworks", gone),
    ]);
    let json = json.stirred(rng);
    Document {
        body: json.write(rng),
        says: json!({"id": id_says, "work_dir": work_dir_says, "executors": executors}),
    }
}
