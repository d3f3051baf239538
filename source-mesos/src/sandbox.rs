//! Where a task's logs are: the run of its executor, and the directory within.

use notifier_core::FailureRecord;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::state::{
    Agent, Task,
    agent::{AgentExecutor, AgentState},
};

/// What finds a task's sandbox again: the `locator` of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trace {
    pub(crate) agent: String,
    /// Of the master it was read from.
    pub(crate) scheme: String,
    pub(crate) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// `ip:port` of the agent's process, for a host name that does not lead there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
    pub(crate) framework: String,
    /// Empty for command tasks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) executor: String,
    /// From the executor's down to the task's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) containers: Vec<String>,
    /// Time of the last status in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_ms: Option<i64>,
    /// The version of Mesos.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mesos: String,
}

impl Trace {
    pub(crate) fn new(
        task: &Task,
        agent: Option<&Agent>,
        scheme: &str,
        version: &str,
        finished_ms: Option<i64>,
    ) -> Self {
        Self {
            agent: task.agent.clone(),
            scheme: scheme.to_owned(),
            host: agent.map(|a| a.hostname.clone()).unwrap_or_default(),
            port: agent.and_then(Agent::http_port),
            process: agent.and_then(Agent::process_address).map(str::to_owned),
            framework: task.framework.as_ref().to_owned(),
            executor: task.executor.clone(),
            containers: task.containers.clone(),
            finished_ms,
            mesos: version.to_owned(),
        }
    }

    /// `host:port` of the agent, as people know it.
    pub(crate) fn address(&self) -> Option<String> {
        match (self.host.is_empty(), self.port, &self.process) {
            (false, Some(port), _) => Some(authority(&self.host, port)),
            (_, _, process) => process.clone(),
        }
    }

    /// Its version has paths of sandboxes that need no work directory.
    pub(crate) fn has_virtual_paths(&self) -> bool {
        let mut numbers = self.mesos.split('.').map(|n| n.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor) >= (1, 5),
            _ => false,
        }
    }

    /// How the agent is called in messages.
    pub(crate) fn agent_name(&self) -> String {
        self.address().unwrap_or_else(|| self.agent.clone())
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The directory with the `stdout` and `stderr` of a failure, if the agent still knows it.
pub(crate) fn find(agent: &AgentState, failure: &FailureRecord, trace: &Trace) -> Option<String> {
    let run = find_run(agent, &failure.id, &failure.state, trace)?;
    let base = run.directory.trim_end_matches('/');
    if run.runs_pods && !trace.executor.is_empty() && is_id(&failure.id) {
        return Some(format!("{base}/tasks/{}", failure.id));
    }
    Some(nested(base, trace).unwrap_or_else(|| base.to_owned()))
}

/// The work directory of an agent, as its executors' directories tell it, or else its flags.
pub(crate) fn root(agent: &AgentState) -> Option<String> {
    // Under one of Windows sandboxes have paths of another form.
    let told = Some(agent.work_dir.as_str()).filter(|dir| dir.starts_with('/'));
    let mut executors = agent.executors.iter().rev();
    executors
        .find_map(root_of)
        .or_else(|| told.map(|dir| dir.trim_end_matches('/').to_owned()))
}

fn root_of(run: &AgentExecutor) -> Option<String> {
    let directory = run.directory.trim_end_matches('/');
    let id = last_part(directory);
    let within = format!(
        "/frameworks/{}/executors/{}/runs/{id}",
        run.framework, run.id
    );
    let (root, agent) = directory.strip_suffix(&within)?.rsplit_once("/slaves/")?;
    is_id(agent).then(|| root.to_owned())
}

/// Where the logs of a failure are whose run is known, the likeliest place first: under the
/// agent's work directory, whether or not the agent still lists the run.
pub(crate) fn derived(root: &str, task: &str, trace: &Trace) -> Vec<String> {
    let (Some(run), Some(runs)) = (trace.containers.first(), runs(task, trace)) else {
        return Vec::new();
    };
    if !is_id(&trace.agent) || !trace.containers.iter().all(|id| is_id(id)) {
        return Vec::new();
    }
    let run = format!("{root}/slaves/{}{runs}/{run}", trace.agent);
    nested(&run, trace).into_iter().chain([run]).collect()
}

/// Where the logs of a failure are if no run of its executor came after it, the likeliest
/// place first: under the agent's work directory, or under the path that needs none.
pub(crate) fn latest(root: Option<&str>, task: &str, trace: &Trace) -> Vec<String> {
    let Some(runs) = runs(task, trace).filter(|_| trace.containers.iter().all(|id| is_id(id)))
    else {
        return Vec::new();
    };
    let run = match root {
        // A run that is known is derived.
        Some(root) if is_id(&trace.agent) && trace.containers.is_empty() => {
            format!("{root}/slaves/{}{runs}/latest", trace.agent)
        }
        None if trace.has_virtual_paths() => format!("{runs}/latest"),
        _ => return Vec::new(),
    };
    if trace.containers.len() > 1 {
        // A run that does not hold the container is another one.
        return nested(&run, trace).into_iter().collect();
    }
    let of_pod = (trace.containers.is_empty() && !trace.executor.is_empty() && is_id(task))
        .then(|| format!("{run}/tasks/{task}"));
    of_pod.into_iter().chain([run]).collect()
}

/// Whether the agent lists runs of the failure's executor.
pub(crate) fn is_listed(agent: &AgentState, task: &str, trace: &Trace) -> bool {
    agent
        .executors
        .iter()
        .any(|e| e.framework == trace.framework && e.id == executor(task, trace))
}

/// Where the runs of the failure's executor are, within an agent's directory.
fn runs(task: &str, trace: &Trace) -> Option<String> {
    let executor = executor(task, trace);
    (is_id(&trace.framework) && is_id(executor))
        .then(|| format!("/frameworks/{}/executors/{executor}/runs", trace.framework))
}

/// The directory of a nested container.
fn nested(run: &str, trace: &Trace) -> Option<String> {
    let ids = trace.containers.get(1..).filter(|ids| !ids.is_empty())?;
    ids.iter().try_fold(run.to_owned(), |dir, id| {
        is_id(id).then(|| format!("{dir}/containers/{id}"))
    })
}

/// The id of the executor: that of a command task is the task's own.
fn executor<'a>(task: &'a str, trace: &'a Trace) -> &'a str {
    if trace.executor.is_empty() {
        task
    } else {
        &trace.executor
    }
}

/// One part of a path and no more. Mesos takes no other ids; ours come from far, and must
/// not lead out of a sandbox.
fn is_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && !id.contains(|c: char| c.is_control() || "/\\".contains(c))
}

fn find_run<'a>(
    agent: &'a AgentState,
    task: &str,
    state: &str,
    trace: &Trace,
) -> Option<&'a AgentExecutor> {
    let same_framework = |e: &&AgentExecutor| e.framework == trace.framework;
    let last = |runs: &[&'a AgentExecutor]| {
        runs.iter()
            .rev()
            .find(|e| same_framework(e))
            .or(runs.last())
            .copied()
    };

    if let Some(root) = trace.containers.first() {
        let is_run = |e: &&AgentExecutor| {
            e.container == *root || (e.container.is_empty() && last_part(&e.directory) == root)
        };
        let runs: Vec<&AgentExecutor> = agent.executors.iter().filter(is_run).collect();
        if let Some(run) = last(&runs) {
            return Some(run);
        }
    }
    let executor = executor(task, trace);
    let fits = |e: &&AgentExecutor| {
        e.id == executor
            // Of a run that is known by its id, another run is none.
            && (trace.containers.is_empty() || e.container.is_empty())
            && is_of_agent(agent, e, &trace.agent)
            && !is_other_run(e, task, state, trace.finished_ms)
    };
    let mut runs: Vec<&AgentExecutor> = agent.executors.iter().filter(fits).collect();
    // The framework's id need not be the one the master knows, but one that is wins.
    if runs.iter().any(same_framework) {
        runs.retain(|e| e.framework == trace.framework);
    }
    // The last one of the best: lists are oldest first.
    runs.into_iter()
        .enumerate()
        .max_by_key(|(at, e)| (rank(e, task, state, trace.finished_ms), *at))
        .map(|(_, e)| e)
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
}

/// An agent that came back under a new id may run an executor of the same id again.
fn is_of_agent(agent: &AgentState, run: &AgentExecutor, wanted: &str) -> bool {
    agent.id.is_empty()
        || wanted.is_empty()
        || agent.id == wanted
        || !run.directory.contains("/slaves/")
        || run.directory.contains(&format!("/slaves/{wanted}/"))
}

const TOLERANCE_MS: u64 = 1;

fn same_time(a: Option<i64>, b: Option<i64>) -> Option<bool> {
    Some(a?.abs_diff(b?) <= TOLERANCE_MS)
}

/// The run holds a task of this id that ended at another time: the id was used again, and
/// this is another run. Of an end that the master made up (a lost agent, say) the agent
/// knows another time, and another state.
fn is_other_run(run: &AgentExecutor, task: &str, state: &str, finished: Option<i64>) -> bool {
    let made_by_executor = matches!(state, "TASK_FAILED" | "TASK_KILLED" | "TASK_FINISHED");
    let mut held = run.tasks.iter().filter(|t| t.id == task).peekable();
    held.peek().is_some()
        && held.all(|t| {
            (t.state == state || (made_by_executor && t.has_ended()))
                && same_time(t.time, finished) == Some(false)
        })
}

/// How much a run looks like the one in which the task died.
fn rank(run: &AgentExecutor, task: &str, state: &str, finished: Option<i64>) -> u8 {
    let of_task = |t: &crate::state::agent::AgentTask| {
        if same_time(t.time, finished) == Some(true) {
            5
        } else if t.state == state {
            4
        } else if t.has_ended() {
            3
        } else {
            // It runs: a later run, or a status the agent has not told yet.
            1
        }
    };
    let held = run.tasks.iter().filter(|t| t.id == task).map(of_task).max();
    held.unwrap_or(if run.tasks.is_empty() { 2 } else { 0 })
}

/// The address of a log for people. The path is encoded as little as can be, since links
/// are shown as text too: `/` and letters of all alphabets stay.
pub(crate) fn link(scheme: &str, address: &str, directory: &str, file: &str) -> String {
    format!(
        "{scheme}://{address}/files/download?path={}/{file}",
        encode_for_people(directory)
    )
}

/// The address of a log for ourselves.
pub(crate) fn download_url(scheme: &str, address: &str, path: &str) -> String {
    files_url(scheme, address, "download", path)
}

/// The address of a part of a log, without which part.
pub(crate) fn read_url(scheme: &str, address: &str, path: &str) -> String {
    files_url(scheme, address, "read", path)
}

/// The address of the listing of a directory.
pub(crate) fn browse_url(scheme: &str, address: &str, path: &str) -> String {
    files_url(scheme, address, "browse", path)
}

fn files_url(scheme: &str, address: &str, what: &str, path: &str) -> String {
    const ALL: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    format!(
        "{scheme}://{address}/files/{what}?path={}",
        utf8_percent_encode(path, ALL)
    )
}

fn encode_for_people(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_control() || matches!(c, ' ' | '"' | '<' | '>' | '|' | '#' | '%' | '&' | '+') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::state::agent::AgentTask;

    fn run(framework: &str, id: &str, container: &str) -> AgentExecutor {
        AgentExecutor {
            framework: framework.into(),
            id: id.into(),
            container: container.into(),
            directory: format!(
                "/w/slaves/S/frameworks/{framework}/executors/{id}/runs/{container}"
            ),
            ..AgentExecutor::default()
        }
    }

    fn holding(
        mut run: AgentExecutor,
        task: &str,
        state: &str,
        time: Option<i64>,
    ) -> AgentExecutor {
        run.tasks.push(AgentTask {
            id: task.into(),
            state: state.into(),
            time,
        });
        run
    }

    fn agent(executors: Vec<AgentExecutor>) -> AgentState {
        AgentState {
            id: "S".into(),
            executors,
            ..AgentState::default()
        }
    }

    fn failure(id: &str) -> FailureRecord {
        FailureRecord::new(id, id, "TASK_FAILED", Timestamp::UNIX_EPOCH)
    }

    fn trace(executor: &str, containers: &[&str]) -> Trace {
        Trace {
            agent: "S".into(),
            framework: "F".into(),
            executor: executor.into(),
            containers: containers.iter().map(|c| (*c).to_owned()).collect(),
            finished_ms: Some(5000),
            ..Trace::default()
        }
    }

    fn found(agent: &AgentState, trace: &Trace) -> Option<String> {
        find(agent, &failure("t"), trace)
    }

    #[test]
    fn a_command_task_is_found_by_its_id() {
        let a = agent(vec![run("F", "other", "c0"), run("F", "t", "c1")]);
        assert_eq!(
            found(&a, &trace("", &[])).unwrap(),
            "/w/slaves/S/frameworks/F/executors/t/runs/c1"
        );
        assert_eq!(found(&a, &trace("", &["c1"])), found(&a, &trace("", &[])));
    }

    #[test]
    fn the_container_wins_over_the_id() {
        let a = agent(vec![
            run("F", "t", "old"),
            run("F", "t", "mine"),
            run("F", "t", "new"),
        ]);
        assert!(
            found(&a, &trace("", &["mine"]))
                .unwrap()
                .ends_with("/runs/mine")
        );
        // A run that is known and gone is not replaced by another run.
        assert_eq!(found(&a, &trace("", &["gone"])), None);
    }

    #[test]
    fn a_run_is_known_by_its_directory_too() {
        let mut bare = run("F", "x", "mine");
        bare.container.clear();
        assert!(found(&agent(vec![bare]), &trace("", &["mine"])).is_some());
    }

    #[test]
    fn the_frameworks_id_may_differ() {
        let a = agent(vec![run("G", "t", "c1")]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c1"));
        let a = agent(vec![run("F", "t", "c0"), run("G", "t", "c1")]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c0"));
        let a = agent(vec![run("F", "t", "c"), run("G", "t", "c")]);
        assert!(found(&a, &trace("", &["c"])).unwrap().contains("/F/"));
    }

    #[test]
    fn without_a_container_the_run_that_held_the_death_wins() {
        let a = agent(vec![
            holding(run("F", "t", "c1"), "t", "TASK_FAILED", Some(4000)),
            holding(run("F", "t", "c2"), "t", "TASK_FAILED", Some(5000)),
            holding(run("F", "t", "c3"), "t", "TASK_FAILED", Some(6000)),
            holding(run("F", "t", "c4"), "t", "TASK_RUNNING", Some(7000)),
        ]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c2"));
        // Only other runs are left.
        let others = agent(vec![a.executors[0].clone(), a.executors[2].clone()]);
        assert_eq!(found(&others, &trace("", &[])), None);
        // Of a death without a status the time is not known: the last one that ended so.
        let unknown = Trace {
            finished_ms: None,
            ..trace("", &[])
        };
        assert!(found(&a, &unknown).unwrap().ends_with("/runs/c3"));
    }

    #[test]
    fn without_any_task_the_last_run_wins() {
        let a = agent(vec![run("F", "t", "c1"), run("F", "t", "c2")]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c2"));
        // A run that has the task running is a later one.
        let a = agent(vec![
            run("F", "t", "c1"),
            holding(run("F", "t", "c2"), "t", "TASK_RUNNING", None),
        ]);
        assert!(found(&a, &trace("", &[])).unwrap().ends_with("/runs/c1"));
    }

    #[test]
    fn a_lost_task_may_have_ended_otherwise_on_its_agent() {
        let a = agent(vec![holding(
            run("F", "t", "c1"),
            "t",
            "TASK_KILLED",
            Some(9000),
        )]);
        let lost = FailureRecord::new("t", "t", "TASK_LOST", Timestamp::UNIX_EPOCH);
        assert!(find(&a, &lost, &trace("", &[])).is_some());
        // One that failed did so on its agent, too.
        assert_eq!(found(&a, &trace("", &[])), None);
    }

    #[test]
    fn a_custom_executor_is_found_by_its_own_id() {
        let a = agent(vec![
            run("F", "t", "c0"),
            holding(run("F", "ex", "c1"), "t", "TASK_FAILED", Some(5000)),
            run("F", "ex", "c2"),
        ]);
        assert!(
            found(&a, &trace("ex", &[]))
                .unwrap()
                .ends_with("/ex/runs/c1")
        );
        assert!(
            found(&a, &trace("ex", &["c2"]))
                .unwrap()
                .ends_with("/ex/runs/c2")
        );
    }

    #[test]
    fn nested_containers_have_directories_of_their_own() {
        let a = agent(vec![run("F", "ex", "c1")]);
        assert!(
            found(&a, &trace("ex", &["c1", "n"]))
                .unwrap()
                .ends_with("/runs/c1/containers/n")
        );
        assert!(
            found(&a, &trace("ex", &["c1", "n", "m"]))
                .unwrap()
                .ends_with("/runs/c1/containers/n/containers/m")
        );
    }

    #[test]
    fn pods_have_a_directory_for_each_task() {
        let mut pod = run("F", "instance-x", "c1");
        pod.runs_pods = true;
        let a = agent(vec![pod]);
        assert!(
            found(&a, &trace("instance-x", &["c1", "n"]))
                .unwrap()
                .ends_with("/runs/c1/tasks/t")
        );
        assert!(
            found(&a, &trace("instance-x", &[]))
                .unwrap()
                .ends_with("/runs/c1/tasks/t")
        );
    }

    #[test]
    fn an_agent_of_another_id_has_other_runs() {
        let mut a = agent(vec![run("F", "t", "c1")]);
        a.id = "S2".into();
        assert!(found(&a, &trace("", &[])).is_some());
        a.executors[0].directory = "/w/slaves/S2/frameworks/F/executors/t/runs/c1".into();
        assert_eq!(found(&a, &trace("", &[])), None);
        assert!(found(&a, &trace("", &["c1"])).is_some());
    }

    #[test]
    fn the_work_directory_is_that_of_any_executor() {
        let of = |directory: &str| {
            let mut e = run("F", "t", "c");
            e.directory = directory.into();
            root(&agent(vec![e]))
        };
        let within = "slaves/S0/frameworks/F/executors/t/runs/c";
        assert_eq!(of(&format!("/w/{within}")).unwrap(), "/w");
        assert_eq!(
            of(&format!("/a/slaves/b c/{within}/")).unwrap(),
            "/a/slaves/b c"
        );
        assert_eq!(of(&format!("/{within}")).unwrap(), "");
        for other in [
            "",
            "/w/slaves/S/frameworks/G/executors/t/runs/c",
            "/w/slaves/S/x/frameworks/F/executors/t/runs/c",
            "/frameworks/F/executors/t/runs/c",
            "C:\\w\\slaves\\S0\\frameworks\\F\\executors\\t\\runs\\c",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        // An executor whose directory tells nothing does not hide another one.
        let mut odd = run("F", "odd", "c");
        odd.directory = "/elsewhere".into();
        assert_eq!(root(&agent(vec![run("F", "t", "c"), odd])).unwrap(), "/w");
        assert_eq!(root(&agent(Vec::new())), None);
        let flags = |work_dir: &str, executors| {
            root(&AgentState {
                work_dir: work_dir.into(),
                ..agent(executors)
            })
        };
        assert_eq!(flags("/v/", Vec::new()).unwrap(), "/v");
        assert_eq!(flags("/", Vec::new()).unwrap(), "");
        assert_eq!(flags("/v", vec![run("F", "t", "c")]).unwrap(), "/w");
        assert_eq!(flags("C:\\v", Vec::new()), None);
    }

    #[test]
    fn a_run_that_is_not_listed_is_derived() {
        let places = |executor: &str, containers: &[&str]| {
            derived("/w", "t", &trace(executor, containers)).join(" ")
        };
        let of = |executor: &str| format!("/w/slaves/S/frameworks/F/executors/{executor}/runs");
        assert_eq!(places("", &["c"]), format!("{}/c", of("t")));
        assert_eq!(places("ex", &["c"]), format!("{}/c", of("ex")));
        let run = format!("{}/c", of("ex"));
        assert_eq!(
            places("ex", &["c", "n", "m"]),
            format!("{run}/containers/n/containers/m {run}")
        );
        // Without the container nobody knows the run.
        assert_eq!(places("ex", &[]), "");
        // What is listed is what is derived.
        let a = agent(vec![self::run("F", "t", "c")]);
        let t = trace("", &["c"]);
        assert_eq!(
            derived(&root(&a).unwrap(), "t", &t),
            [found(&a, &t).unwrap()]
        );
    }

    #[test]
    fn no_id_leads_out_of_its_place() {
        for bad in [
            "",
            ".",
            "..",
            "/",
            "a/b",
            "../x",
            "a/../../../etc",
            "a\\b",
            "a\0",
            "a\nb",
            "a\u{85}",
        ] {
            let good = trace("ex", &["c", "n"]);
            let traces = [
                Trace {
                    agent: bad.into(),
                    ..good.clone()
                },
                Trace {
                    framework: bad.into(),
                    ..good.clone()
                },
                trace("ex", &[bad]),
                trace("ex", &[bad, "n"]),
                trace("ex", &["c", bad]),
                trace("ex", &["c", "n", bad]),
            ];
            for t in &traces {
                assert_eq!(derived("/w", "t", t), [""; 0], "{bad:?} {t:?}");
            }
            let newest = Trace {
                mesos: "1.11.0".into(),
                ..traces[4].clone()
            };
            assert_eq!(latest(None, "t", &newest), [""; 0], "{bad:?}");
            for executor in [bad, ""] {
                let t = Trace {
                    mesos: "1.11.0".into(),
                    ..trace(executor, &["c"])
                };
                assert_eq!(derived("/w", bad, &t), [""; 0], "{bad:?}");
                assert_eq!(latest(None, bad, &t), [""; 0], "{bad:?}");
                assert_eq!(latest(Some("/w"), bad, &t), [""; 0], "{bad:?}");
            }
            let a = agent(vec![AgentExecutor {
                runs_pods: true,
                ..run("F", "ex", "c")
            }]);
            let f = FailureRecord::new(bad, bad, "TASK_FAILED", Timestamp::UNIX_EPOCH);
            let directory = find(&a, &f, &trace("ex", &["c", bad])).unwrap();
            assert!(directory.ends_with("/runs/c"), "{directory}");
        }
        for odd in ["...", "a..b", "日本 <a> & \"b\"|%41+#?=:", "~", "-"] {
            assert_eq!(
                derived("/w", odd, &trace("", &["c"])),
                [format!("/w/slaves/S/frameworks/F/executors/{odd}/runs/c")]
            );
        }
    }

    #[test]
    fn the_newest_run_has_a_path_of_its_own() {
        let of = |version: &str, root, executor: &str, containers: &[&str]| {
            let t = Trace {
                mesos: version.into(),
                ..trace(executor, containers)
            };
            latest(root, "t", &t).join(" ")
        };
        let t = "/frameworks/F/executors/t/runs/latest";
        let ex = "/frameworks/F/executors/ex/runs/latest";
        for (version, has) in [
            ("1.5.0", true),
            ("1.11.0-rc2", true),
            ("1.10", true),
            ("2.0.0", true),
            ("1.4.3", false),
            ("0.28.1", false),
            ("", false),
            ("?", false),
        ] {
            let virtual_path = if has { t } else { "" };
            assert_eq!(of(version, None, "", &["c"]), virtual_path, "{version}");
            assert_eq!(of(version, Some("/w"), "", &[]), format!("/w/slaves/S{t}"));
        }
        assert_eq!(
            of("1.5.0", None, "ex", &["c", "n"]),
            format!("{ex}/containers/n")
        );
        assert_eq!(of("1.5.0", None, "ex", &["c"]), ex);
        // It may be a pod.
        assert_eq!(of("1.5.0", None, "ex", &[]), format!("{ex}/tasks/t {ex}"));
    }

    #[test]
    fn runs_of_the_same_executor_are_told_from_others() {
        let a = agent(vec![run("F", "t", "c1"), run("G", "ex", "c2")]);
        assert!(is_listed(&a, "t", &trace("", &["c9"])));
        assert!(!is_listed(&a, "u", &trace("", &[])));
        assert!(!is_listed(&a, "t", &trace("ex", &[])));
    }

    #[test]
    fn links_are_encoded_narrowly() {
        assert_eq!(
            link(
                "http",
                "h:5051",
                "/w/日本 a\"<>|#%&+\u{7}\u{85}?=:'()",
                "stdout"
            ),
            "http://h:5051/files/download?path=/w/日本%20a%22%3C%3E%7C%23%25%26%2B%07%C2%85?=:'()/stdout"
        );
        assert_eq!(
            browse_url("http", "h:5051", "/w/a&b"),
            "http://h:5051/files/browse?path=%2Fw%2Fa%26b"
        );
        assert_eq!(
            download_url("http", "h:5051", "/w/日 a/stdout"),
            "http://h:5051/files/download?path=%2Fw%2F%E6%97%A5%20a%2Fstdout"
        );
    }

    #[test]
    fn addresses() {
        let t = |host: &str, port, process: Option<&str>| {
            Trace {
                host: host.into(),
                port,
                process: process.map(str::to_owned),
                ..Trace::default()
            }
            .address()
        };
        assert_eq!(t("h", Some(5055), Some("10.0.0.1:5051")).unwrap(), "h:5055");
        assert_eq!(t("fe80::1", Some(5055), None).unwrap(), "[fe80::1]:5055");
        assert_eq!(
            t("", Some(5055), Some("10.0.0.1:5051")).unwrap(),
            "10.0.0.1:5051"
        );
        assert_eq!(t("h", None, None), None);
    }

    proptest! {
        #[test]
        fn links_lead_back_to_the_path(path in "[/ -~日é\u{0}-\u{1f}\u{80}-\u{a0}]{0,40}") {
            for url in [link("http", "h:1", &path, "stdout"), download_url("http", "h:1", &format!("{path}/stdout"))] {
                let url = url::Url::parse(&url).unwrap();
                let back: Vec<(String, String)> = url.query_pairs().into_owned().collect();
                prop_assert_eq!(back, [("path".to_owned(), format!("{path}/stdout"))]);
            }
        }
    }
}
