use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::auth::Auth;
use super::builder::FakeClusterBuilder;
use super::content::LogContent;
use super::corruption::Corruption;
use super::handle::{
    AgentHandle, FrameworkHandle, MasterHandle, Recorded, ServerId, TICK, TaskHandle,
};
use super::model::{Leader, Listing, Model, RedirectStyle};
use super::routes::Shared;
use super::spec::{Death, TaskSpec, TaskState};
use super::stream::{StreamCounts, StreamCut};
use crate::http::{Request, ScriptedServer, lock};

/// A log of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn file(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

struct Inner {
    shared: Arc<Shared>,
    masters: Mutex<Vec<Arc<ScriptedServer>>>,
    agents: Mutex<Vec<Arc<ScriptedServer>>>,
    work_dir: String,
}

/// A Mesos cluster that is not one: masters and agents as HTTP servers on loopback
/// ports, and a model of frameworks and tasks that a test scripts.
///
/// What a test does takes effect at once, for every request that comes later. Clones
/// share the cluster; it stops with the last of them and of the handles to its servers.
#[derive(Clone)]
pub struct FakeCluster(Arc<Inner>);

impl FakeCluster {
    /// Settings, all at their defaults.
    pub fn builder() -> FakeClusterBuilder {
        FakeClusterBuilder::default()
    }

    /// Starts a cluster of one master and one agent.
    ///
    /// # Errors
    ///
    /// When there are not enough loopback ports.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    pub(crate) fn new(shared: Shared, work_dir: String) -> Self {
        Self(Arc::new(Inner {
            shared: Arc::new(shared),
            masters: Mutex::default(),
            agents: Mutex::default(),
            work_dir,
        }))
    }

    pub(crate) async fn add_master(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0.shared);
        let index = lock(&self.0.masters).len();
        let server =
            ScriptedServer::with_service(move |request: &_| shared.master(index, request)).await?;
        lock(&self.0.shared.model).add_master("127.0.0.1".to_owned(), server.addr().port());
        lock(&self.0.masters).push(Arc::new(server));
        Ok(())
    }

    /// Adds an agent and returns it.
    ///
    /// # Errors
    ///
    /// When there is no loopback port for it.
    pub async fn add_agent(&self) -> io::Result<AgentHandle> {
        // The index is known only under the lock, after the server is there.
        let place = Arc::new(std::sync::OnceLock::new());
        let (shared, own) = (Arc::clone(&self.0.shared), Arc::clone(&place));
        let server = ScriptedServer::with_service(move |request: &_| {
            shared.agent(own.get().copied().unwrap_or_default(), request)
        })
        .await?;
        let mut agents = lock(&self.0.agents);
        let mut model = lock(&self.0.shared.model);
        model.generation += 1;
        let index = model.add_agent(
            "127.0.0.1".to_owned(),
            server.addr().port(),
            self.0.work_dir.clone(),
        );
        let _ = place.set(index);
        model.tell_agent_added(index);
        let server = Arc::new(server);
        agents.push(Arc::clone(&server));
        Ok(AgentHandle {
            shared: Arc::clone(&self.0.shared),
            server,
            index,
        })
    }

    /// A master by index, from 0.
    ///
    /// # Panics
    ///
    /// When there is none of that index.
    #[must_use]
    pub fn master(&self, index: usize) -> MasterHandle {
        let server = Arc::clone(&lock(&self.0.masters)[index]);
        MasterHandle {
            shared: Arc::clone(&self.0.shared),
            server,
            index,
        }
    }

    /// An agent by index, from 0.
    ///
    /// # Panics
    ///
    /// When there is none of that index.
    #[must_use]
    pub fn agent(&self, index: usize) -> AgentHandle {
        let server = Arc::clone(&lock(&self.0.agents)[index]);
        AgentHandle {
            shared: Arc::clone(&self.0.shared),
            server,
            index,
        }
    }

    /// A framework by name; registered when the handle or a launch first uses it.
    #[must_use]
    pub fn framework(&self, name: impl Into<String>) -> FrameworkHandle {
        FrameworkHandle {
            shared: Arc::clone(&self.0.shared),
            name: name.into(),
        }
    }

    /// `http://127.0.0.1:PORT` of a master.
    ///
    /// # Panics
    ///
    /// When there is none of that index.
    #[must_use]
    pub fn master_url(&self, index: usize) -> String {
        self.master(index).url("")
    }

    /// `http://127.0.0.1:PORT` of the leader, or `None` if nobody leads.
    #[must_use]
    pub fn leader_url(&self) -> Option<String> {
        let leader = lock(&self.0.shared.model).leader;
        match leader {
            Leader::Master(index) => Some(self.master_url(index)),
            Leader::Nobody | Leader::Loop => None,
        }
    }

    /// The addresses of all masters, joined by commas, as a flag takes them.
    #[must_use]
    pub fn masters_flag(&self) -> String {
        let urls: Vec<_> = lock(&self.0.masters)
            .iter()
            .map(|server| server.url(""))
            .collect();
        urls.join(",")
    }

    /// `http://127.0.0.1:PORT` of an agent.
    ///
    /// # Panics
    ///
    /// When there is none of that index.
    #[must_use]
    pub fn agent_url(&self, index: usize) -> String {
        self.agent(index).url("")
    }

    fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut lock(&self.0.shared.model))
    }

    /// Launches a task.
    pub fn launch(&self, spec: TaskSpec) -> TaskHandle {
        self.with(|model| {
            let key = model.launch(spec);
            TaskHandle::new(model, key)
        })
    }

    /// Launches many tasks in one step.
    pub fn launch_all(&self, specs: impl IntoIterator<Item = TaskSpec>) -> Vec<TaskHandle> {
        self.with(|model| {
            let launch = |spec| {
                let key = model.launch(spec);
                TaskHandle::new(model, key)
            };
            specs.into_iter().map(launch).collect()
        })
    }

    /// Launches a task and ends it at once.
    pub fn launch_failed(&self, spec: TaskSpec, death: Death) -> TaskHandle {
        let task = self.launch(spec);
        self.fail(&task, death);
        task
    }

    /// Ends a task in the state and with the message the [`Death`] has. Returns `false`,
    /// changing nothing, if it had ended before.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a death is made for one call"
    )]
    pub fn fail(&self, task: &TaskHandle, death: Death) -> bool {
        self.with(|model| model.die(task.key(), &death))
    }

    /// Ends a task as finished.
    pub fn finish(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::finished())
    }

    /// Ends a task as killed.
    pub fn kill(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::killed())
    }

    /// Ends a task as lost.
    pub fn lose(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::lost())
    }

    /// Ends a task as one that was never valid.
    pub fn error(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::error())
    }

    /// Ends a task as dropped before its launch.
    pub fn dropped(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::dropped())
    }

    /// Ends a task as gone.
    pub fn gone(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::gone())
    }

    /// Ends a task as gone by an operator.
    pub fn gone_by_operator(&self, task: &TaskHandle) -> bool {
        self.fail(task, Death::gone_by_operator())
    }

    /// Reports a task in a state that is not its end, with a health or none. Returns
    /// `false` if it had ended.
    pub fn update(&self, task: &TaskHandle, state: TaskState, healthy: Option<bool>) -> bool {
        self.with(|model| model.update(task.key(), state, healthy))
    }

    /// The scheduler acknowledges the statuses of a task: those held back show, and if
    /// the task has ended it moves to `completed_tasks`. Returns `false` if nothing
    /// waited.
    pub fn acknowledge(&self, task: &TaskHandle) -> bool {
        self.with(|model| model.acknowledge(task.key()))
    }

    /// The state of a task as the master knows it.
    #[must_use]
    pub fn state_of(&self, task: &TaskHandle) -> Option<TaskState> {
        lock(&self.0.shared.model)
            .tasks
            .get(&task.key())
            .map(|task| task.state)
    }

    /// In which list of its framework a task is.
    #[must_use]
    pub fn listing_of(&self, task: &TaskHandle) -> Option<Listing> {
        lock(&self.0.shared.model)
            .tasks
            .get(&task.key())
            .map(|task| task.listing)
    }

    /// The time of the last status of a task, in seconds since 1970.
    #[must_use]
    pub fn last_timestamp_of(&self, task: &TaskHandle) -> Option<f64> {
        let model = lock(&self.0.shared.model);
        model
            .tasks
            .get(&task.key())?
            .statuses
            .last()
            .map(|status| status.timestamp)
    }

    /// Replaces a log of a task. Tasks of one custom executor share their logs.
    pub fn set_log(&self, task: &TaskHandle, stream: Stream, content: impl Into<LogContent>) {
        self.set_file(task, stream.file(), content);
    }

    /// Appends to a log of a task.
    pub fn append_log(&self, task: &TaskHandle, stream: Stream, bytes: &[u8]) {
        self.with(|model| {
            if let Some(files) = files(model, task) {
                files
                    .entry(stream.file().to_owned())
                    .or_default()
                    .append(bytes);
            }
        });
    }

    /// Writes a file beside the logs of a task; the name may go into directories
    /// (`stderr.1`, `data/core`).
    pub fn set_file(&self, task: &TaskHandle, name: &str, content: impl Into<LogContent>) {
        let content = content.into();
        self.with(|model| {
            if let Some(files) = files(model, task) {
                files.insert(name.to_owned(), content);
            }
        });
    }

    /// Removes a file beside the logs of a task.
    pub fn remove_file(&self, task: &TaskHandle, name: &str) {
        self.with(|model| {
            if let Some(files) = files(model, task) {
                files.remove(name);
            }
        });
    }

    /// Replaces a log of the executor of a task: the one in the run directory, also for
    /// nested tasks.
    pub fn set_executor_log(
        &self,
        task: &TaskHandle,
        stream: Stream,
        content: impl Into<LogContent>,
    ) {
        let content = content.into();
        self.with(|model| {
            let Some(executor) = model.tasks.get(&task.key()).map(|task| task.executor) else {
                return;
            };
            if let Some(files) = model
                .executors
                .get_mut(&executor)
                .and_then(|executor| executor.files.as_mut())
            {
                files.insert(stream.file().to_owned(), content);
            }
        });
    }

    /// The agent collects the sandbox of a task's executor: its paths answer 404.
    pub fn collect_sandbox(&self, task: &TaskHandle) {
        self.with(|model| {
            let Some(executor) = model.tasks.get(&task.key()).map(|task| task.executor) else {
                return;
            };
            if let Some(executor) = model.executors.get_mut(&executor) {
                executor.files = None;
            }
        });
    }

    /// Refuses all sandbox files with 403, or stops doing so.
    pub fn deny_sandboxes(&self, deny: bool) {
        self.with(|model| model.sandboxes_denied = deny);
    }

    /// The next master takes over, with all agents and frameworks at once. Tasks of lost
    /// agents are forgotten, as real masters do. Returns the index of the new leader.
    pub fn failover(&self) -> usize {
        self.fail_over(true)
    }

    /// The next master takes over and knows of agents only that they existed, until they
    /// are [restored](AgentHandle::restore) and frameworks
    /// [reconnect](FrameworkHandle::reconnect), or [`settle`](Self::settle) does it for
    /// all. Returns the index of the new leader.
    pub fn failover_empty(&self) -> usize {
        self.fail_over(false)
    }

    fn fail_over(&self, whole: bool) -> usize {
        self.with(|model| {
            let next = match model.leader {
                Leader::Master(index) => (index + 1) % model.masters.len(),
                Leader::Nobody | Leader::Loop => 0,
            };
            model.fail_over(next, whole);
            next
        })
    }

    /// Lets all agents that are not lost and all frameworks come back after
    /// [`failover_empty`](Self::failover_empty).
    pub fn settle(&self) {
        self.with(|model| {
            if matches!(model.leader, Leader::Master(_)) {
                model.settle();
            }
        });
    }

    /// Lets one agent come back after [`failover_empty`](Self::failover_empty), as
    /// [`AgentHandle::restore`] does, but leaves its server as it is.
    ///
    /// # Panics
    ///
    /// When there is none of that index.
    pub fn settle_agent(&self, index: usize) {
        self.with(|model| model.return_agent(index));
    }

    /// Nobody leads any more, until a failover or [`MasterHandle::lead`].
    pub fn no_leader(&self) {
        self.with(|model| model.lose_leader(Leader::Nobody));
    }

    /// Every master redirects to the next one (from 1.0 on), until a failover or
    /// [`MasterHandle::lead`].
    pub fn redirect_loop(&self) {
        self.with(|model| model.lose_leader(Leader::Loop));
    }

    /// Does something to all streams that are open.
    pub fn cut_streams(&self, cut: StreamCut) {
        self.with(|model| model.streams.cut(cut));
    }

    /// Counts of the streams.
    #[must_use]
    pub fn streams(&self) -> StreamCounts {
        self.with(|model| model.streams.counts())
    }

    /// Waits until so many streams were opened in all, and returns whether that happened
    /// in time.
    pub async fn wait_for_streams(&self, opened: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.streams().opened < opened {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(TICK).await;
        }
        true
    }

    /// Corrupts the next plain answer of a master: its state, or one to a call of the
    /// operator API. Calls add up, one answer each.
    pub fn corrupt_answer(&self, corruption: Corruption) {
        lock(&self.0.shared.corruptions).push_back(corruption);
    }

    /// Corrupts the next record in the streams that is not a heartbeat: an event, the
    /// same for all that listen, or the snapshot of a new subscription. Calls add up, one
    /// record each.
    pub fn corrupt_stream(&self, corruption: Corruption) {
        self.with(|model| model.streams.corrupt(corruption));
    }

    /// Sends an event of a test's own to all subscribers: of things that do not exist,
    /// twice, or of a new type.
    pub fn publish(&self, event: &serde_json::Value) {
        let json = event.to_string();
        self.with(|model| model.streams.publish(json.as_bytes()));
    }

    /// Sends the update with the last status of a task again, as happens when an
    /// acknowledgement gets lost.
    pub fn repeat_update(&self, task: &TaskHandle) {
        self.with(|model| model.tell_task_updated(task.key()));
    }

    /// Sends snapshots and the answers of masters with states `bytes` at a time with a
    /// pause of `every` between. A pause of zero undoes it. A cut of the streams also
    /// ends a snapshot on its way.
    pub fn slow_snapshot(&self, bytes: usize, every: Duration) {
        *lock(&self.0.shared.drip) = (!every.is_zero()).then_some((bytes.max(1), every));
    }

    /// How masters that do not lead redirect.
    pub fn redirect_style(&self, style: RedirectStyle) {
        self.with(|model| model.redirects = style);
    }

    /// Changes what masters ask of clients.
    pub fn set_master_auth(&self, auth: Option<Auth>) {
        *lock(&self.0.shared.master_auth) = auth;
    }

    /// Changes what masters ask of clients of the operator API; `None` is what they ask
    /// of others.
    pub fn set_operator_auth(&self, auth: Option<Auth>) {
        *lock(&self.0.shared.operator_auth) = auth;
    }

    /// Changes what agents ask of clients.
    pub fn set_agent_auth(&self, auth: Option<Auth>) {
        *lock(&self.0.shared.agent_auth) = auth;
    }

    /// Stops the clock of the cluster at a time in seconds since 1970, or lets it follow
    /// the real one again. Default: the real one.
    pub fn set_time(&self, seconds: Option<f64>) {
        self.with(|model| model.time = seconds);
    }

    /// All requests to all servers so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        let mut all = Vec::new();
        for (index, server) in lock(&self.0.masters).iter().enumerate() {
            let server_id = ServerId::Master(index);
            all.extend(server.requests().into_iter().map(|request| Recorded {
                server: server_id,
                request,
            }));
        }
        for (index, server) in lock(&self.0.agents).iter().enumerate() {
            let server_id = ServerId::Agent(index);
            all.extend(server.requests().into_iter().map(|request| Recorded {
                server: server_id,
                request,
            }));
        }
        all.sort_by_key(|recorded| recorded.request.arrived);
        all
    }

    /// Forgets the requests recorded so far.
    pub fn clear_requests(&self) {
        for server in lock(&self.0.masters)
            .iter()
            .chain(lock(&self.0.agents).iter())
        {
            server.clear_requests();
        }
    }

    /// How often the state of a master was asked for.
    #[must_use]
    pub fn polls(&self) -> usize {
        let is_poll = |request: &Request| {
            matches!(
                request.path().trim_end_matches(".json"),
                "/state" | "/master/state"
            )
        };
        lock(&self.0.masters)
            .iter()
            .map(|server| server.count_requests(is_poll))
            .sum()
    }

    /// How many calls of a type (`GET_TASKS`, `SUBSCRIBE`) came to masters, those that
    /// were redirected or refused included.
    #[must_use]
    pub fn calls(&self, kind: &str) -> usize {
        let is_call = |request: &Request| {
            request.path().ends_with("/api/v1")
                && request
                    .json()
                    .is_some_and(|body| body["type"].as_str() == Some(kind))
        };
        lock(&self.0.masters)
            .iter()
            .map(|server| server.count_requests(is_call))
            .sum()
    }

    /// Waits until so many calls of a type came in all, and returns whether that happened
    /// in time.
    pub async fn wait_for_calls(&self, kind: &str, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.calls(kind) < count {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(TICK).await;
        }
        true
    }

    /// Waits until the state of a master was asked for `more` times from now on. Returns
    /// whether that happened in time.
    pub async fn wait_for_polls(&self, more: usize, timeout: Duration) -> bool {
        let (goal, deadline) = (self.polls() + more, Instant::now() + timeout);
        while self.polls() < goal {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(TICK).await;
        }
        true
    }
}

/// The files beside the logs of a task.
fn files<'a>(
    model: &'a mut Model,
    task: &TaskHandle,
) -> Option<&'a mut std::collections::BTreeMap<String, LogContent>> {
    let task = model.tasks.get_mut(&task.key())?;
    match &mut task.files {
        Some(files) => Some(files),
        None => model.executors.get_mut(&task.executor)?.files.as_mut(),
    }
}

impl fmt::Debug for FakeCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = lock(&self.0.shared.model);
        f.debug_struct("FakeCluster")
            .field("version", &model.version)
            .field("leader", &model.leader)
            .field("masters", &model.masters.len())
            .field("agents", &model.agents.len())
            .field("tasks", &model.tasks.len())
            .finish_non_exhaustive()
    }
}
