//! A cluster, a server that stands for every service, and the built watcher between them.

use std::time::{Duration, Instant};

use notifier_testkit::{
    http::{Action, Reply, Request, ScriptedServer},
    mesos::{Death, FakeCluster, Stream, TaskSpec},
};

use crate::support::Watcher;

const WAIT: Duration = Duration::from_secs(30);

/// What each service says to a message that it takes.
fn answer(request: &Request) -> Action {
    let path = request.path();
    if let Some(answer) = crate::jira::answer(request) {
        return answer;
    }
    let reply = match request.method.as_str() {
        "PUT" => Reply::new(200).header("ETag", "\"1\""),
        _ if path.contains("/services/") => Reply::text(200, "ok"),
        _ if path.contains("/room/") => Reply::new(204),
        _ if path.contains("/envelope/") => {
            Reply::json(200, &serde_json::json!({"id": "0".repeat(32)}))
        }
        _ => Reply::new(404),
    };
    reply.into()
}

/// The cluster and the services.
pub(crate) struct Stage {
    pub(crate) cluster: FakeCluster,
    pub(crate) sink: ScriptedServer,
    pub(crate) folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self {
            cluster: FakeCluster::start().await.unwrap(),
            sink: ScriptedServer::with_service(answer).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The address of a service: its path behind that of the server.
    pub(crate) fn at(&self, path: &str) -> String {
        self.sink.url(path)
    }

    /// Starts a watcher of the cluster with these flags and this environment. It does not know the
    /// cluster or a file by itself, so that the environment can say them.
    pub(crate) async fn watch(&self, flags: &[String], env: &[(&str, String)]) -> Watcher {
        self.sink.clear_requests();
        let mut flags = flags.to_vec();
        let says = |what: &str, variable: &str| {
            flags.iter().any(|f| f.starts_with(what))
                || env.iter().any(|(name, _)| *name == variable)
        };
        let mut more = vec!["-mesos.interval=100ms".to_owned()];
        if !says("-masters", "COMPLAINER_MASTERS") {
            more.push(format!("-masters={}", self.cluster.masters_flag()));
        }
        if !says("-uploader", "COMPLAINER_UPLOADER") {
            more.push("-uploader=noop".to_owned());
        }
        flags.extend(more);
        let mut all: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
        all.push(("NOTIFIER_LABEL_URLS_ALLOW", "127.0.0.0/8"));
        let streams = self.cluster.streams().opened;
        let watcher = crate::support::start(&flags, &all);
        assert!(
            self.cluster.wait_for_streams(streams + 1, WAIT).await,
            "{}",
            watcher.stderr()
        );
        watcher
    }

    /// Lets a task of this name die. Its logs are its name and the name of each.
    pub(crate) fn die(&self, task: TaskSpec) {
        let task = self.cluster.launch(task);
        for (stream, name) in [(Stream::Stdout, "stdout"), (Stream::Stderr, "stderr")] {
            self.cluster.set_log(
                &task,
                stream,
                format!("{name} of {}\n", task.id()).into_bytes(),
            );
        }
        self.cluster.fail(&task, Death::failed());
    }

    /// Waits for so many requests that fit, and for a moment more, in which none may come.
    pub(crate) async fn told(
        &self,
        watcher: &Watcher,
        n: usize,
        fits: impl Fn(&Request) -> bool,
    ) -> Vec<Request> {
        let until = Instant::now() + WAIT;
        let found = || -> Vec<Request> { self.sink.requests().into_iter().filter(&fits).collect() };
        while found().len() < n {
            assert!(
                Instant::now() < until,
                "{} of {n}:\n{}",
                found().len(),
                watcher.stderr()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let found = found();
        assert_eq!(found.len(), n, "{}", watcher.stderr());
        found
    }

    /// One watcher, one death, so many requests that fit.
    pub(crate) async fn once(
        &self,
        flags: &[String],
        env: &[(&str, String)],
        task: TaskSpec,
        n: usize,
        fits: impl Fn(&Request) -> bool,
    ) -> Vec<Request> {
        let watcher = self.watch(flags, env).await;
        self.die(task);
        let told = self.told(&watcher, n, fits).await;
        let ended = watcher.stop().await;
        assert!(ended.status.success(), "{}", ended.stderr);
        told
    }
}

/// Values of one reporter's options, as flags and as environment.
pub(crate) struct Values(Vec<(&'static str, &'static str, String)>);

impl Values {
    /// Flag, variable, value.
    pub(crate) fn new<const N: usize>(values: [(&'static str, &'static str, String); N]) -> Self {
        Self(values.into())
    }

    /// As flags, with the others before them.
    pub(crate) fn flags(&self, others: &[&str]) -> Vec<String> {
        let others = others.iter().map(|&o| o.to_owned());
        others
            .chain(
                self.0
                    .iter()
                    .map(|(flag, _, value)| format!("-{flag}={value}")),
            )
            .collect()
    }

    /// As environment.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        self.0
            .iter()
            .map(|(_, name, value)| (*name, value.clone()))
            .collect()
    }

    /// As labels of a task. Those that no label can set are left out by who calls.
    pub(crate) fn labels(&self, task: TaskSpec, prefix: &str, keys: &[&str]) -> TaskSpec {
        keys.iter().fold(task, |task, key| {
            let (_, _, value) = self
                .0
                .iter()
                .find(|(flag, ..)| flag.ends_with(&format!(".{key}")))
                .unwrap();
            task.label(format!("{prefix}_{key}"), value)
        })
    }
}

pub(crate) fn flags(list: &[&str]) -> Vec<String> {
    list.iter().map(|&f| f.to_owned()).collect()
}
