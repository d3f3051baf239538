//! A cluster, who watches it, and what a failure must tell.

use std::time::Duration;

use crate::common::{Audience, builder};
use notifier_core::{FailureRecord, LogLocator as _, LogStream, Retry, jiff::Timestamp};
use notifier_testkit::mesos::{
    FakeCluster, FakeClusterBuilder, Stream, StreamCut, TaskHandle, TaskSpec,
};
use source_mesos::{Api, MesosBuilder};

/// When all tasks were started.
pub(super) const STARTED: i64 = 1_466_138_400;
/// Of a sweep that is never due.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// Of one that is always due.
pub(super) const SHORT: Duration = Duration::from_millis(200);
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// What agents call themselves.
pub(super) const HOST: &str = "localhost";

/// A cluster and who watches it.
pub(super) struct Scene {
    pub(super) api: Api,
    pub(super) cluster: FakeCluster,
    pub(super) audience: Audience,
}

pub(super) async fn start(settings: FakeClusterBuilder, agents: usize) -> FakeCluster {
    let cluster = settings.agents(agents).start().await.unwrap();
    for agent in 0..agents {
        cluster.agent(agent).advertise(HOST);
    }
    cluster
}

pub(super) async fn cluster() -> FakeCluster {
    start(FakeCluster::builder(), 1).await
}

/// A task of which everything is known that a failure may tell.
pub(super) fn spec(framework: &str, id: &str) -> TaskSpec {
    TaskSpec::new(id)
        .framework(framework)
        .name(format!("{framework} runs {id}"))
        .image(format!("registry.test/{id}"))
        .label("team", format!("team of {id}"))
        .started_at(STARTED as f64)
}

/// Launches a task with logs that no other one has.
pub(super) fn launch(cluster: &FakeCluster, spec: TaskSpec) -> TaskHandle {
    let task = cluster.launch(spec);
    for (stream, name) in [(Stream::Stdout, "stdout"), (Stream::Stderr, "stderr")] {
        cluster.set_log(&task, stream, format!("{name} of {}", task.container_id()));
    }
    task
}

pub(super) fn launch_many(cluster: &FakeCluster, framework: &str, count: usize) -> Vec<TaskHandle> {
    (0..count)
        .map(|n| launch(cluster, spec(framework, &format!("{framework}.{n}"))))
        .collect()
}

pub(super) fn of<'a>(failures: &'a [FailureRecord], task: &TaskHandle) -> &'a FailureRecord {
    failures.iter().find(|f| f.id == task.id()).unwrap()
}

impl Scene {
    pub(super) async fn of(api: Api, cluster: FakeCluster) -> Self {
        Self::with(api, cluster, |b| b).await
    }

    pub(super) async fn with(
        api: Api,
        cluster: FakeCluster,
        set: impl FnOnce(MesosBuilder) -> MesosBuilder,
    ) -> Self {
        let audience = Audience::of(set(settings(api, &cluster)));
        let scene = Self {
            api,
            cluster,
            audience,
        };
        scene.listens().await;
        scene
    }

    pub(super) fn streams(&self) -> bool {
        self.api == Api::Stream
    }

    /// What happens from now on is no backlog.
    pub(super) async fn listens(&self) {
        if self.streams() {
            self.audience.is_streaming(&self.cluster).await;
        } else {
            self.audience.until("begun", |a| a.has_begun()).await;
        }
    }

    /// Waits until a look that begins now is over.
    pub(super) async fn looks(&self) {
        if self.streams() {
            let goal = self.cluster.calls("GET_STATE") + 2;
            self.audience
                .until("looking", |_| self.cluster.calls("GET_STATE") >= goal)
                .await;
        } else {
            self.audience.more_batches(2).await;
        }
    }

    /// Waits until so many failures are told in all, and lets the masters list them again.
    pub(super) async fn told(&self, count: usize) -> Vec<FailureRecord> {
        self.told_and_listed(count, 1).await
    }

    /// The same with so many listings. A stream is opened ever more slowly.
    pub(super) async fn told_and_listed(&self, count: usize, times: usize) -> Vec<FailureRecord> {
        self.audience
            .until(&format!("{count} failures told"), |a| {
                a.failures().len() >= count
            })
            .await;
        if self.streams() {
            for _ in 0..times {
                let opened = self.cluster.streams().opened;
                let goal = self.audience.batches() + 1;
                self.cluster.cut_streams(StreamCut::Close);
                assert!(self.cluster.wait_for_streams(opened + 1, PATIENCE).await);
                self.audience
                    .until("a snapshot", |a| a.batches() >= goal)
                    .await;
            }
        } else {
            self.audience.more_batches(times + 1).await;
        }
        let failures = self.audience.failures();
        assert_eq!(failures.len(), count, "{failures:?}");
        failures
    }

    /// The failure tells everything of its task but why it died, and its logs are read.
    pub(super) async fn is_whole(&self, f: &FailureRecord, task: &TaskHandle, state: &str) {
        self.has_facts(f, task, state);
        self.has_times(f, task);
        self.has_logs(f, task).await;
    }

    pub(super) fn has_facts(&self, f: &FailureRecord, task: &TaskHandle, state: &str) {
        let id = task.id();
        assert_eq!(f.id, id);
        assert_eq!(f.name, format!("{} runs {id}", f.framework));
        assert_eq!(f.image, format!("registry.test/{id}"));
        assert_eq!(f.labels["team"], format!("team of {id}"));
        assert_eq!((f.host.as_str(), f.state.as_str()), (HOST, state), "{id}");
    }

    pub(super) fn has_times(&self, f: &FailureRecord, task: &TaskHandle) {
        let died = self.cluster.last_timestamp_of(task).unwrap() as i64;
        assert_eq!(f.finished, Timestamp::from_second(died).unwrap());
        assert_eq!(f.started, Timestamp::from_second(STARTED).ok());
    }

    pub(super) async fn has_logs(&self, f: &FailureRecord, task: &TaskHandle) {
        let logs = self.audience.locator.locate(f).await.unwrap();
        self.reads(f, task, &logs).await;
    }

    /// The links lead to the agent, and there are the logs of this very run.
    pub(super) async fn reads(&self, f: &FailureRecord, task: &TaskHandle, logs: &[LogStream]) {
        let port = self.cluster.agent(task.agent()).addr().port();
        assert_eq!(logs.len(), 2, "{logs:?}");
        for (log, name) in logs.iter().zip(["stdout", "stderr"]) {
            assert_eq!(log.name, name);
            assert!(
                log.url.starts_with(&format!("http://{HOST}:{port}/")),
                "{}",
                log.url
            );
            let text = self.audience.read(f, log).await.unwrap();
            assert_eq!(
                String::from_utf8(text).unwrap(),
                format!("{name} of {}", task.container_id()),
                "{f}"
            );
        }
    }

    /// Why a task died: only the stream tells, `/state` has nothing of it in any version.
    pub(super) fn tells(
        &self,
        f: &FailureRecord,
        message: Option<&str>,
        reason: Option<&str>,
        exit: Option<i32>,
    ) {
        let why = (f.message.as_deref(), f.reason.as_deref(), f.exit_code);
        if self.streams() {
            assert_eq!(why, (message, reason, exit), "{f}");
        } else {
            assert_eq!(why, (None, None, None), "{f}");
        }
    }

    /// Why a task died by a death of which nothing else is set.
    pub(super) fn tells_status_1(&self, f: &FailureRecord) {
        self.tells(f, Some("Command exited with status 1"), None, Some(1));
    }

    /// The logs of a failure, asked for as often as the errors allow.
    pub(super) async fn logs_in_the_end(&self, f: &FailureRecord) -> Vec<LogStream> {
        for _ in 0..20 {
            match self.audience.locator.locate(f).await {
                Ok(logs) => return logs,
                Err(e) => {
                    let Retry::Later { after } = e.retry() else {
                        panic!("{e}");
                    };
                    tokio::time::sleep(after.unwrap_or(SHORT)).await;
                }
            }
        }
        panic!("no logs of {f}");
    }
}

pub(super) fn settings(api: Api, cluster: &FakeCluster) -> MesosBuilder {
    builder(&cluster.masters_flag()).api(api).sweep(LONG)
}
