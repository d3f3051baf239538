use std::io;
use std::sync::Mutex;
use std::time::Duration;

use super::auth::Auth;
use super::cluster::FakeCluster;
use super::model::{Limits, Model};
use super::page::Pages;
use super::routes::Shared;
use super::version::MesosVersion;

/// Settings of a [`FakeCluster`] before it starts.
#[derive(Debug, Clone)]
#[must_use]
pub struct FakeClusterBuilder {
    masters: usize,
    agents: usize,
    version: MesosVersion,
    limits: Limits,
    cluster: Option<String>,
    work_dir: String,
    master_auth: Option<Auth>,
    operator_auth: Option<Auth>,
    agent_auth: Option<Auth>,
    operator_api: bool,
    heartbeat: Duration,
    gzip: bool,
}

impl FakeClusterBuilder {
    /// The number of masters, at least 1; the first one leads. Default: 1.
    pub fn masters(mut self, count: usize) -> Self {
        self.masters = count.max(1);
        self
    }

    /// The number of agents, at least 1. Default: 1.
    pub fn agents(mut self, count: usize) -> Self {
        self.agents = count.max(1);
        self
    }

    /// The version it plays. Default: [`MesosVersion::V1_11`].
    pub fn version(mut self, version: MesosVersion) -> Self {
        self.version = version;
        self
    }

    /// The name of the cluster. Default: none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// The work directory of the agents, absolute. Default: `/var/lib/mesos`.
    pub fn work_dir(mut self, path: impl Into<String>) -> Self {
        self.work_dir = path.into();
        self
    }

    /// What masters and agents ask of clients. Default: nothing.
    pub fn auth(self, auth: Auth) -> Self {
        self.master_auth(auth.clone()).agent_auth(auth)
    }

    /// What masters ask of clients, in the operator API too unless
    /// [`operator_auth`](Self::operator_auth) says otherwise. Default: nothing.
    pub fn master_auth(mut self, auth: Auth) -> Self {
        self.master_auth = Some(auth);
        self
    }

    /// What masters ask of clients of the operator API, whatever they ask of others.
    /// Default: the same as of others.
    pub fn operator_auth(mut self, auth: Auth) -> Self {
        self.operator_auth = Some(auth);
        self
    }

    /// Whether masters have the operator API, from 1.0 on; without it they answer 404.
    /// Default: yes.
    pub fn operator_api(mut self, on: bool) -> Self {
        self.operator_api = on;
        self
    }

    /// The time between heartbeats in streams, from 1.5 on. Default: 15 seconds.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// Whether states and answers of the operator API from 1024 bytes on are compressed
    /// for clients that take gzip. Streams never are. Default: yes.
    pub fn gzip(mut self, on: bool) -> Self {
        self.gzip = on;
        self
    }

    /// What agents ask of clients. Default: nothing.
    pub fn agent_auth(mut self, auth: Auth) -> Self {
        self.agent_auth = Some(auth);
        self
    }

    /// How many completed tasks a master keeps per framework. Default: 1000.
    pub fn max_completed_tasks(mut self, count: usize) -> Self {
        self.limits.completed_tasks = count;
        self
    }

    /// How many unreachable tasks a master keeps per framework. Default: 1000.
    pub fn max_unreachable_tasks(mut self, count: usize) -> Self {
        self.limits.unreachable_tasks = count;
        self
    }

    /// How many completed frameworks a master keeps. Default: 50.
    pub fn max_completed_frameworks(mut self, count: usize) -> Self {
        self.limits.completed_frameworks = count;
        self
    }

    /// How many completed executors an agent keeps per framework. Default: 150.
    pub fn max_completed_executors(mut self, count: usize) -> Self {
        self.limits.completed_executors = count;
        self
    }

    /// How many streams may be open; the oldest one is closed for one more. Default: 1000.
    pub fn max_streams(mut self, count: usize) -> Self {
        self.limits.streams = count;
        self
    }

    /// Starts the servers.
    ///
    /// # Errors
    ///
    /// When there are not enough loopback ports.
    pub async fn start(self) -> io::Result<FakeCluster> {
        let model = Model::new(self.version, self.limits, self.cluster);
        let shared = Shared {
            model: Mutex::new(model),
            master_auth: Mutex::new(self.master_auth),
            operator_auth: Mutex::new(self.operator_auth),
            agent_auth: Mutex::new(self.agent_auth),
            operator_api: self.operator_api,
            gzip: self.gzip,
            heartbeat: self.heartbeat,
            drip: Mutex::default(),
            corruptions: Mutex::default(),
            pages: Pages::default(),
        };
        let cluster = FakeCluster::new(shared, self.work_dir);
        for _ in 0..self.masters {
            cluster.add_master().await?;
        }
        for _ in 0..self.agents {
            cluster.add_agent().await?;
        }
        Ok(cluster)
    }
}

impl Default for FakeClusterBuilder {
    fn default() -> Self {
        Self {
            masters: 1,
            agents: 1,
            version: MesosVersion::default(),
            limits: Limits::default(),
            cluster: None,
            work_dir: "/var/lib/mesos".to_owned(),
            master_auth: None,
            operator_auth: None,
            agent_auth: None,
            operator_api: true,
            heartbeat: Duration::from_secs(15),
            gzip: true,
        }
    }
}
