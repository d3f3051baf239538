use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;

use super::model::{Counters, Model, Verdict};
use super::render::trouble;
use super::run::Run;
use super::spec::JobSpec;
use crate::{
    http::{Action, Reply, Request, ScriptedServer, lock},
    mesos::{FakeCluster, TaskSpec},
};

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) model: Mutex<Model>,
}

/// A Chronos that is not one; see the [module](super). It stops when dropped.
pub struct FakeChronos {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeChronos {
    /// Starts it: version 3, no credentials, no jobs.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let service = Arc::clone(&shared);
        let server =
            ScriptedServer::with_service(move |request: &Request| service.respond(request)).await?;
        lock(&shared.model).leader = Some(server.addr().to_string());
        Ok(Self { server, shared })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = lock(&self.shared.model);
        model.list = None;
        act(&mut model)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// The server beneath: its requests, the port, and faults on the wire: `refuse()`,
    /// `hang()`, `slow(..)`, `always(Action::garbage())`, redirects.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }

    /// Whether the API is below `/v1/scheduler` with the fields of 3.x (the default), or
    /// below `/scheduler` with those of 2.x. The other path answers 404.
    pub fn new_api(&self, yes: bool) {
        self.with(|m| m.is_new_api = yes);
    }

    /// Demands HTTP Basic (`--http_credentials`).
    pub fn credentials(&self, user: impl Into<String>, password: impl Into<String>) {
        self.with(|m| m.credentials = Some((user.into(), password.into())));
    }

    /// Answers every request to the API with 500 and a stack trace, as a node does that cannot
    /// reach its leader.
    pub fn broken_proxy(&self, yes: bool) {
        self.with(|m| m.is_proxy_broken = yes);
    }

    /// Who leads, `HOST:PORT`; nobody if `None`. Default: this server.
    pub fn leader(&self, leader: Option<String>) {
        self.with(|m| m.leader = leader);
    }

    /// The name of the framework of runs launched from now on (`--mesos_framework_name`).
    /// Default: `chronos`.
    pub fn framework(&self, name: impl Into<String>) {
        self.with(|m| m.framework = name.into());
    }

    /// Disables a job after so many failures in a row (`--disable_after_failures`). Default 0:
    /// none.
    pub fn disable_after_failures(&self, failures: u64) {
        self.with(|m| m.disable_after = failures);
    }

    /// Sets the clock, which stands still then; `None` goes on with the machine's.
    pub fn set_now(&self, now: Option<Timestamp>) {
        self.with(|m| m.now = now);
    }

    /// Adds a job, or puts it in the place of one of that name with its counters at zero.
    pub fn job(&self, spec: JobSpec) {
        self.with(|m| m.add(spec));
    }

    /// Adds many jobs in one step.
    pub fn jobs(&self, specs: impl IntoIterator<Item = JobSpec>) {
        self.with(|m| specs.into_iter().for_each(|spec| m.add(spec)));
    }

    /// Changes a job and keeps its counters, as `PUT` does. Nothing happens if there is none.
    pub fn change(&self, name: &str, change: impl FnOnce(JobSpec) -> JobSpec) {
        self.with(|m| {
            if let Some(job) = m.jobs.get_mut(name) {
                job.spec = change(job.spec.clone());
                job.counters.disabled = job.spec.disabled;
            }
        });
    }

    /// Enables or disables a job, as `PUT` does.
    pub fn set_disabled(&self, name: &str, disabled: bool) {
        self.change(name, |spec| spec.disabled(disabled));
    }

    /// Sets what is counted of a job. Nothing happens if there is none.
    pub fn set_counters(&self, name: &str, set: impl FnOnce(&mut Counters)) {
        self.with(|m| {
            if let Some(job) = m.jobs.get_mut(name) {
                set(&mut job.counters);
            }
        });
    }

    /// Deletes a job.
    pub fn delete(&self, name: &str) {
        self.with(|m| m.jobs.remove(name));
    }

    /// Puts values into the list of jobs that are no jobs.
    pub fn odd_entries(&self, entries: impl IntoIterator<Item = serde_json::Value>) {
        self.with(|m| m.odd.extend(entries));
    }

    /// What is counted of a job.
    #[must_use]
    pub fn counters(&self, name: &str) -> Option<Counters> {
        self.with(|m| m.jobs.get(name).map(|job| job.counters.clone()))
    }

    /// Launches a run of a job on a cluster.
    #[must_use]
    pub fn run(&self, cluster: &FakeCluster, job: &str) -> Run {
        Run::start(&self.shared, Some(cluster), job, 0, |spec| spec)
    }

    /// As [`run`](Self::run), with a say in what its task is like.
    #[must_use]
    pub fn run_as(
        &self,
        cluster: &FakeCluster,
        job: &str,
        spec: impl FnOnce(TaskSpec) -> TaskSpec,
    ) -> Run {
        Run::start(&self.shared, Some(cluster), job, 0, spec)
    }

    /// A run that no cluster knows: only Chronos tells of it.
    #[must_use]
    pub fn run_alone(&self, job: &str) -> Run {
        Run::start(&self.shared, None, job, 0, |spec| spec)
    }

    /// Chronos is slow to count: what ends from now on is counted by
    /// [`count_held`](Self::count_held), in order.
    pub fn hold_counting(&self) {
        self.with(|m| m.holds = true);
    }

    /// Counts what was held, and whatever comes from now on at once.
    pub fn count_held(&self) -> Vec<Verdict> {
        self.with(Model::count_held)
    }

    /// How often the list of jobs was asked for, by either path.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.server
            .count_requests(|r| r.path().ends_with("/scheduler/jobs"))
    }
}

impl fmt::Debug for FakeChronos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = lock(&self.shared.model);
        f.debug_struct("FakeChronos")
            .field("addr", &self.server.addr())
            .field("jobs", &model.jobs.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn respond(&self, request: &Request) -> Action {
        self.answer(request).into()
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut model = lock(&self.model);
        let path = request.path();
        if path == "/ping" {
            return Reply::text(200, "pong\n");
        }
        if let Some((user, password)) = &model.credentials {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if request.header("Authorization") != Some(wanted.as_str()) {
                return Reply::html(401).header("WWW-Authenticate", "Basic realm=\"Private\"");
            }
        }
        if path == "/metrics" {
            return Reply::json(
                200,
                &serde_json::json!({ "version": "3.0.0", "gauges": {} }),
            );
        }
        if model.is_proxy_broken {
            return trouble(500, "java.net.ConnectException: Connection refused");
        }
        let base = if model.is_new_api {
            "/v1/scheduler"
        } else {
            "/scheduler"
        };
        match path.strip_prefix(base) {
            Some(rest) if rest.starts_with('/') && request.method == "GET" => {
                model.answer(rest, request)
            }
            Some(_) if request.method != "GET" => Reply::new(405),
            // Documented without the base.
            _ if path == "/leader" => model.answer(path, request),
            _ => Reply::html(404),
        }
    }
}
