//! Against recorded answers of real clusters, where they are at hand.

use std::{collections::HashMap, path::PathBuf};

use notifier_core::{FailureRecord, jiff::Timestamp};

use crate::{
    identity::Sightings,
    sandbox::{self, Trace},
    state::{
        Seconds, Snapshot, agent,
        event::Event,
        v0,
        v1::{Record, RecordReader},
    },
};

fn recorded(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/fixtures/mesos")
        .join(name);
    match std::fs::read(&path) {
        Ok(body) => Some(body),
        Err(_) => {
            #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
            {
                eprintln!("SKIPPED {name}: no recorded answers at hand");
            }
            None
        }
    }
}

/// The record, and how many tasks in it are alive.
fn record(text: &str) -> (Record, usize) {
    let mut reader = RecordReader::new(|_: &str| true).with_live(true);
    let mut alive = 0;
    for bytes in text.as_bytes().chunks(1000) {
        reader.feed(bytes, &mut |_| alive += 1).unwrap();
    }
    (reader.finish().unwrap(), alive)
}

fn count(snapshot: &Snapshot) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for task in &snapshot.tasks {
        *counts.entry(task.state.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn every_recorded_state_is_read() {
    for (name, version, agents, ended) in [
        ("master-state-0.19-mesoscli.json", "0.19.0", 2, 13),
        (
            "master-state-0.22-ovh1-chronos-marathon-storm.json",
            "0.22.0",
            6,
            5360,
        ),
        ("master-state-0.23-mesosdns.json", "0.19.1", 4, 4),
        ("master-state-1.2-marathon-kafka.json", "1.2.0", 2, 0),
        ("master-state-megos.json", "0.28.1", 1, 0),
    ] {
        let Some(body) = recorded(name) else { continue };
        let s = v0::snapshot(&body, |_| true).unwrap();
        assert!(s.is_of_leader(), "{name}");
        assert_eq!(
            (s.version.as_str(), s.agents.len(), s.tasks.len(), s.skipped),
            (version, agents, ended, 0),
            "{name}"
        );
        assert!(
            s.agents
                .iter()
                .all(|a| a.http_port().is_some() && !a.hostname.is_empty()),
            "{name}"
        );
    }
}

#[test]
fn every_failed_task_of_a_storm_is_found() {
    let Some(body) = recorded("master-state-0.22-ovh1-chronos-marathon-storm.json") else {
        return;
    };
    let s = v0::snapshot(&body, |_| true).unwrap();
    let counts = count(&s);
    assert_eq!((counts["TASK_FAILED"], counts["TASK_LOST"]), (1110, 174));
    let failed: Vec<_> = s
        .tasks
        .iter()
        .filter(|t| matches!(t.state.as_str(), "TASK_FAILED" | "TASK_LOST"))
        .collect();
    for t in &failed {
        assert!(
            !t.name.is_empty() && !t.framework_name.is_empty() && !t.agent.is_empty(),
            "{}",
            t.id
        );
        assert!(
            t.death_time().map(Seconds::millis) >= t.start_time().map(Seconds::millis),
            "{}",
            t.id
        );
    }
    let mut sightings = Sightings::default();
    let identities = sightings.identify("c", 0, failed.iter().copied());
    let keys: std::collections::HashSet<_> = identities.iter().map(|i| &i.key).collect();
    assert_eq!(keys.len(), failed.len());
    assert_eq!(sightings, Sightings::default());
}

#[test]
fn the_log_directory_of_a_recorded_pair_is_found() {
    let (Some(master), Some(agent)) = (
        recorded("master-state-0.19-mesoscli.json"),
        recorded("agent-state-0.19-mesoscli.json"),
    ) else {
        return;
    };
    // Its tasks live: let them fail, so that they are of interest.
    let master = String::from_utf8(master)
        .unwrap()
        .replace("TASK_RUNNING", "TASK_FAILED");
    let s = v0::snapshot(master.as_bytes(), |_| true).unwrap();
    let agent = agent::parse(&agent).unwrap();
    let mut found = 0;
    for task in s.tasks.iter().filter(|t| t.state == "TASK_FAILED") {
        let of = s.agents.iter().find(|a| a.id == task.agent);
        let trace = Trace::new(
            task,
            of,
            "http",
            &s.version,
            task.death_time().map(Seconds::millis),
        );
        assert_eq!(trace.address().unwrap(), "10.141.141.10:5051");
        let failure = FailureRecord::new(&task.id, &task.name, &task.state, Timestamp::UNIX_EPOCH);
        let directory = sandbox::find(&agent, &failure, &trace).unwrap();
        let start = format!(
            "/tmp/mesos/slaves/{}/frameworks/{}/executors/{}/runs/",
            agent.id, task.framework, task.id
        );
        assert!(directory.starts_with(&start), "{directory}");
        found += 1;
    }
    assert_eq!(found, 2);
}

#[test]
fn every_executor_of_a_recorded_agent_is_found() {
    for name in [
        "agent-state-0.19-mesoscli.json",
        "agent-state-1.x-asgard.json",
    ] {
        let Some(body) = recorded(name) else { continue };
        let state = agent::parse(&body).unwrap();
        assert!(!state.executors.is_empty());
        for executor in &state.executors {
            for containers in [vec![executor.container.clone()], Vec::new()] {
                let trace = Trace {
                    agent: state.id.clone(),
                    framework: executor.framework.clone(),
                    containers,
                    ..Trace::default()
                };
                let failure =
                    FailureRecord::new(&executor.id, "", "TASK_FAILED", Timestamp::UNIX_EPOCH);
                assert_eq!(
                    sandbox::find(&state, &failure, &trace).as_ref(),
                    Some(&executor.directory),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn every_recorded_event_is_read() {
    for (name, events, live, updates) in [
        ("v1-dcosnet-hello-world.jsonl", 13, 4, 9),
        ("v1-dcosnet-pod-tasks.jsonl", 8, 0, 5),
    ] {
        let Some(body) = recorded(name) else { continue };
        let text = String::from_utf8(body).unwrap();
        let (mut read, mut alive, mut updated) = (0, 0, 0);
        for line in text.lines().filter(|l| !l.is_empty()) {
            let (record, live) = record(line);
            alive += live;
            read += 1;
            match record {
                Record::Subscribed { snapshot, .. } => assert_eq!(snapshot.skipped, 0, "{name}"),
                Record::Event(Event::TaskUpdated(update)) => {
                    updated += 1;
                    let status = update.status.unwrap();
                    assert!(!update.agent.is_empty() && !update.framework.is_empty());
                    assert!(!status.state.is_empty() && status.time.is_some());
                    assert!(status.source.is_some());
                }
                Record::Event(event) => assert_ne!(event, Event::Unknown, "{line}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((read, alive, updated), (events, live, updates), "{name}");
    }
}

#[test]
fn every_recorded_answer_to_a_call_is_read() {
    for (name, ended, alive, agents) in [
        ("v1-dcosnet-unhealthy.json", 0, 1, 1),
        ("v1-dcosnet-dns-hostname.json", 0, 0, 1),
        ("v1-docs/master-get_state.json", 1, 0, 1),
        ("v1-docs/master-get_tasks.json", 0, 1, 0),
        ("v1-docs/master-get_frameworks.json", 0, 0, 0),
        ("v1-docs/master-get_executors.json", 0, 0, 0),
        ("subscribed-event-1.2-marathon-kafka.json", 0, 3, 2),
    ] {
        let Some(body) = recorded(name) else { continue };
        let (record, live) = record(&String::from_utf8(body).unwrap());
        let (Record::State(s) | Record::Subscribed { snapshot: s, .. }) = record else {
            panic!("{name}: {record:?}");
        };
        assert_eq!(
            (s.tasks.len(), live, s.agents.len()),
            (ended, alive, agents),
            "{name}"
        );
        assert_eq!(s.skipped, 0, "{name}");
    }
    let Some(body) = recorded("v1-docs/master-get_master.json") else {
        return;
    };
    let (record, _) = record(&String::from_utf8(body).unwrap());
    assert!(matches!(record, Record::Other(kind) if kind == "GET_MASTER"));
}
