use serde_json::{Value, json};

use super::super::model::{Limits, Model};
use super::super::spec::{Death, ExecutorKind, TaskSpec};
use super::super::version::MesosVersion;
use super::{agent_state, master_state};

fn model(version: MesosVersion) -> Model {
    let mut model = Model::new(version, Limits::default(), None);
    model.time = Some(1_500_000_000.123_456);
    model.add_master("m.test".to_owned(), 1);
    model.add_agent("a.test".to_owned(), 2, "/sandboxes".to_owned());
    model
}

fn master(model: &Model) -> Value {
    serde_json::from_slice(&master_state(model, 0)).unwrap()
}

fn agent(model: &Model) -> Value {
    serde_json::from_slice(&agent_state(model, 0)).unwrap()
}

#[test]
fn fields_come_with_their_versions() {
    for (version, leader_info, unreachable, port) in [
        (MesosVersion::V0_28, false, false, false),
        (MesosVersion::V1_0, false, false, false),
        (MesosVersion::new(1, 1, 0), true, false, false),
        (MesosVersion::V1_4, true, true, false),
        (MesosVersion::V1_11, true, true, true),
    ] {
        let mut model = model(version);
        model.launch(TaskSpec::new("a"));
        let state = master(&model);
        let framework = &state["frameworks"][0];
        assert_eq!(state.get("leader_info").is_some(), leader_info, "{version}");
        assert_eq!(
            framework.get("unreachable_tasks").is_some(),
            unreachable,
            "{version}"
        );
        let status = &framework["tasks"][0]["statuses"][0];
        assert_eq!(
            status["container_status"].get("container_id").is_some(),
            unreachable,
            "{version}"
        );
        assert_eq!(state["slaves"][0].get("port").is_some(), port, "{version}");
        assert_eq!(state["slaves"][0]["pid"], "slave(1)@127.0.0.1:2");
        assert_eq!(state["leader"], "master@127.0.0.1:1");
        assert_eq!(status["timestamp"], 1_500_000_000.123_46);
    }
}

#[test]
fn images_have_the_shape_of_their_container() {
    let mut model = model(MesosVersion::V1_11);
    model.launch(TaskSpec::new("d").image("i:1"));
    model.launch(TaskSpec::new("u").ucr_image("i:2"));
    model.launch(TaskSpec::new("a").appc_image("x.test/i"));
    model.launch(TaskSpec::new("n"));
    let state = master(&model);
    let container = |n: usize| state["frameworks"][0]["tasks"][n].get("container").cloned();
    assert_eq!(container(0).unwrap()["docker"]["image"], "i:1");
    let ucr =
        json!({"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "i:2"}}}});
    assert_eq!(container(1).unwrap(), ucr);
    let appc = json!({"type": "MESOS", "mesos": {"image": {"type": "APPC", "appc": {"name": "x.test/i"}}}});
    assert_eq!(container(2).unwrap(), appc);
    assert_eq!(container(3), None);
}

#[test]
fn executors_are_shown_where_mesos_shows_them() {
    let mut model = model(MesosVersion::V1_11);
    let command = model.launch(TaskSpec::new("command"));
    model.launch(TaskSpec::new("custom").executor(ExecutorKind::Custom));
    let nested = ExecutorKind::Nested { depth: 2 };
    model.launch(
        TaskSpec::new("nested")
            .executor(nested)
            .executor_id("e")
            .keep_executor(),
    );
    let state = master(&model);
    let framework = &state["frameworks"][0];
    assert_eq!(framework["tasks"][0]["executor_id"], "");
    assert_eq!(framework["tasks"][1]["executor_id"], "custom-executor");
    let own: Vec<_> = framework["executors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["executor_id"])
        .collect();
    assert_eq!(own, ["custom-executor", "e"]);
    let id = &framework["tasks"][2]["statuses"][0]["container_status"]["container_id"];
    assert!(
        id["parent"]["parent"]["value"].is_string()
            && id["parent"]["parent"].get("parent").is_none()
    );

    let state = agent(&model);
    let executors = state["frameworks"][0]["executors"].as_array().unwrap();
    assert_eq!(executors.len(), 3);
    assert_eq!(
        (&executors[0]["id"], &executors[0]["source"]),
        (&json!("command"), &json!("command"))
    );
    let directory = executors[0]["directory"].as_str().unwrap();
    assert!(
        directory.starts_with("/sandboxes/slaves/")
            && directory.contains("/executors/command/runs/")
    );
    assert!(directory.ends_with(executors[0]["container"].as_str().unwrap()));

    model.die(command, &Death::failed().unacknowledged());
    let shown = agent(&model)["frameworks"][0]["executors"][0].clone();
    assert_eq!(
        (
            shown["tasks"].as_array().unwrap().len(),
            &shown["completed_tasks"][0]["state"]
        ),
        (0, &json!("TASK_FAILED"))
    );
    model.acknowledge(command);
    assert_eq!(
        agent(&model)["frameworks"][0]["completed_executors"][0]["id"],
        "command"
    );
}

#[test]
fn an_agent_that_is_cut_off_shows_what_it_knows() {
    let mut model = model(MesosVersion::V1_11);
    let task = model.launch(TaskSpec::new("a"));
    model.lose_agent(0);
    assert_eq!(
        master(&model)["frameworks"][0]["unreachable_tasks"][0]["state"],
        "TASK_LOST"
    );
    let shown = &agent(&model)["frameworks"][0]["executors"][0]["tasks"][0];
    assert_eq!(
        (&shown["state"], shown["statuses"].as_array().unwrap().len()),
        (&json!("TASK_RUNNING"), 1)
    );
    model.die(task, &Death::failed());
    let shown = &agent(&model)["frameworks"][0]["executors"][0]["completed_tasks"][0];
    assert_eq!(
        (&shown["state"], &shown["statuses"][1]["state"]),
        (&json!("TASK_FAILED"), &json!("TASK_FAILED"))
    );
    assert_eq!(
        master(&model)["frameworks"][0]["unreachable_tasks"][0]["state"],
        "TASK_LOST"
    );
    assert_eq!(master(&model)["slaves"], json!([]));
}
