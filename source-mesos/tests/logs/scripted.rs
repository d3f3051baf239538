//! Agents that answer by a script.

use super::*;

/// A failure on a scripted agent, as a newer master would have told it.
pub(super) fn note(agent: &ScriptedServer, task: &str, containers: &[&str]) -> FailureRecord {
    let mut f = FailureRecord::new(
        task,
        task,
        "TASK_FAILED",
        notifier_core::jiff::Timestamp::UNIX_EPOCH,
    );
    f.locator = Some(
        serde_json::json!({"agent": "S", "scheme": "http", "host": "127.0.0.1",
        "port": agent.addr().port(), "framework": "F", "containers": containers, "mesos": "1.9.0"}),
    );
    f
}

pub(super) fn locator() -> source_mesos::MesosLogLocator {
    builder("http://127.0.0.1:1").build().unwrap().1
}

pub(super) fn listing(directories: &[(&str, &str)]) -> Reply {
    let executors: Vec<_> = directories
        .iter()
        .map(|(id, directory)| {
            let run = directory.rsplit(['/', '\\']).next();
            serde_json::json!({"id": id, "container": run, "directory": directory})
        })
        .collect();
    Reply::json(
        200,
        &serde_json::json!({"id": "S", "frameworks": [{"id": "F", "completed_executors": executors}]}),
    )
}

fn browsed(agent: &ScriptedServer) -> Vec<String> {
    let requests = agent.requests();
    let browses = requests.iter().filter(|r| r.path() == "/files/browse");
    browses.map(|r| r.param("path").unwrap()).collect()
}

#[tokio::test]
async fn an_agent_may_move_to_another_work_directory() {
    let agent = ScriptedServer::start().await.unwrap();
    let at = |root: &str, id: &str, run: &str| {
        format!("{root}/slaves/S/frameworks/F/executors/{id}/runs/{run}")
    };
    agent.next_on("/state", listing(&[("a", &at("/old", "a", "1"))]));
    let locator = locator();
    locator.locate(&note(&agent, "a", &["1"])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5100)).await;
    agent.always_on("/state", listing(&[("b", &at("/new", "b", "2"))]));
    agent.next_on("/files/browse", Action::status(404));
    let logs = locator.locate(&note(&agent, "c", &["3"])).await.unwrap();
    assert_eq!(path(&logs[0]), format!("{}/stdout", at("/new", "c", "3")));
    assert_eq!(
        browsed(&agent),
        [at("/old", "c", "3"), at("/new", "c", "3")]
    );
}

#[tokio::test]
async fn the_newest_run_is_not_taken_for_one_that_is_another() {
    let agent = ScriptedServer::start().await.unwrap();
    // Directories of which no work directory can be told.
    let windows = "C:\\w\\slaves\\S\\frameworks\\F\\executors\\t\\runs\\2";
    agent.always_on("/state", listing(&[("t", windows)]));
    let locator = locator();
    let f = note(&agent, "t", &["1"]);
    let e = locator.locate(&f).await.unwrap_err();
    assert!(e.to_string().starts_with("the sandbox is gone"), "{e}");
    assert_eq!(browsed(&agent), [""; 0]);
    // Of an executor that the list does not hold nothing speaks against it.
    let logs = locator.locate(&note(&agent, "u", &["3"])).await.unwrap();
    let virtual_path = "/frameworks/F/executors/u/runs/latest";
    assert_eq!(path(&logs[0]), format!("{virtual_path}/stdout"));
    assert_eq!(browsed(&agent), [virtual_path]);
}

#[tokio::test]
async fn no_path_is_made_of_ids_that_lead_elsewhere() {
    let agent = ScriptedServer::start().await.unwrap();
    let directory = "/w/slaves/S/frameworks/F/executors/a/runs/1";
    agent.always_on("/state", listing(&[("a", directory)]));
    let locator = locator();
    locator.locate(&note(&agent, "a", &["1"])).await.unwrap();
    for (task, container) in [("../../x", "2"), ("..", "2"), ("b", "../../../x")] {
        let f = note(&agent, task, &[container]);
        let e = locator.locate(&f).await.unwrap_err();
        assert!(e.to_string().starts_with("the sandbox is gone"), "{e}");
    }
    assert!(browsed(&agent).iter().all(|p| !p.contains("x")));
}

#[tokio::test]
async fn a_lost_agent_is_said() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch(TaskSpec::new("a"));
    let mut watch = Watch::of(&cluster);
    watch.next().await;
    cluster.agent(0).lose();
    let f = watch.one().await;
    let e = watch.locator.locate(&f).await.unwrap_err();
    assert!(e.to_string().contains("does not answer"), "{e}");
    // Who starts now has never known the agent.
    let mut late = Watch::of(&cluster);
    let f = late.one().await;
    assert_eq!(f.host, "");
    let e = late.locator.locate(&f).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("the master does not know agent {}", cluster.agent(0).id())
    );
}

#[tokio::test]
async fn error_pages_are_no_logs() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    let logs = watch.logs(&f).await;
    let agent = cluster.agent(0);
    for (action, kind) in [
        (Action::html(200), ErrorKind::InvalidResponse),
        (Action::html(404), ErrorKind::Rejected),
        (Action::status(403), ErrorKind::PermissionDenied),
        (Action::status(500), ErrorKind::Unavailable),
        (Action::status(307), ErrorKind::Unavailable),
        (Action::truncated(5, End::Close), ErrorKind::Unavailable),
    ] {
        agent.next(action.clone());
        assert_eq!(
            watch.read(&f, &logs[0]).await.unwrap_err().kind(),
            kind,
            "{action:?}"
        );
    }
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap(), b"starting a\n");
}

#[tokio::test]
async fn an_agent_in_trouble_is_asked_again_soon() {
    let cluster = FakeCluster::builder()
        .version(MesosVersion::V1_4)
        .start()
        .await
        .unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, f) = failed(&cluster).await;
    for action in [
        Action::status(503),
        Action::garbage(),
        Action::truncated(10, End::Close),
    ] {
        cluster.agent(0).next(action.clone());
        let e = watch.locator.locate(&f).await.unwrap_err();
        let Retry::Later { after: Some(after) } = e.retry() else {
            panic!("{action:?}: {e:?}")
        };
        assert!(after <= Duration::from_secs(2));
        tokio::time::sleep(after).await;
    }
    assert_eq!(watch.logs(&f).await.len(), 2);
}

#[tokio::test]
async fn notes_of_another_hand_are_errors() {
    let cluster = FakeCluster::start().await.unwrap();
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    let (watch, mut f) = failed(&cluster).await;
    let bare = LogStream::new("stdout", "http://x/");
    assert!(watch.read(&f, &bare).await.is_err());
    for locator in [
        None,
        Some(serde_json::json!("?")),
        Some(serde_json::json!({"port": "x"})),
        Some(serde_json::json!({})),
    ] {
        f.locator = locator;
        assert!(watch.locator.locate(&f).await.is_err());
    }
}

#[tokio::test]
async fn a_large_log_comes_in_pieces() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch(TaskSpec::new("a"));
    cluster.set_log(&task, Stream::Stdout, vec![b'x'; 3_000_000]);
    cluster.fail(&task, Death::failed());
    let (watch, f) = failed(&cluster).await;
    let logs = watch.logs(&f).await;
    assert_eq!(watch.read(&f, &logs[0]).await.unwrap().len(), 3_000_000);
}

/// The original's links, to the letter: an agent that knows the framework by another id,
/// runs without a container id, and an id in another alphabet.
#[tokio::test]
async fn links_are_those_of_the_original() {
    use serde_json::json;

    let (master, agent) = (
        ScriptedServer::start().await.unwrap(),
        ScriptedServer::start().await.unwrap(),
    );
    let (port, pid) = (
        agent.addr().port(),
        format!("master@127.0.0.1:{}", master.addr().port()),
    );
    let task = |id: &str| {
        json!({"id": id, "name": "n", "framework_id": "fw-marathon", "executor_id": "", "slave_id": "S1", "state": "TASK_FAILED",
            "statuses": [{"state": "TASK_RUNNING", "timestamp": 1.25}, {"state": "TASK_FAILED", "timestamp": 7.75}]})
    };
    let ids = ["plain.app.1f2e3d", "uni.app.日本"];
    let state = json!({"version": "1.4.1", "pid": pid, "leader": pid,
        "slaves": [{"id": "S1", "hostname": "127.0.0.1", "port": port, "pid": format!("slave(1)@127.0.0.1:{port}")}],
        "frameworks": [{"id": "fw-marathon", "name": "marathon", "completed_tasks": ids.map(task)}]});
    master.always(Reply::json(200, &state));
    let executor = |id: &str| {
        json!({"id": id, "name": "", "source": id, "tasks": [], "completed_tasks": [],
            "directory": format!("/var/lib/mesos/slaves/S1/frameworks/F/executors/{id}/runs/R")})
    };
    let state = json!({"id": "S1", "frameworks": [{"id": "F", "name": "marathon",
        "executors": [executor(ids[0])], "completed_executors": [executor(ids[1])]}], "completed_frameworks": []});
    agent.always(Reply::json(200, &state));

    let mut watch = Watch::new(builder(&master.url("")), None);
    let failures = watch.next().await;
    assert_eq!(failures.len(), 2);
    for f in &failures {
        let start = format!(
            "http://127.0.0.1:{port}/files/download?path=/var/lib/mesos/slaves/S1/frameworks/F/executors"
        );
        let logs = watch.logs(f).await;
        assert_eq!(logs[0].url, format!("{start}/{}/runs/R/stdout", f.id));
        assert_eq!(logs[1].url, format!("{start}/{}/runs/R/stderr", f.id));
    }
}
