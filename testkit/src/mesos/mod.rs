//! A scriptable fake Mesos cluster.
//!
//! [`FakeCluster`] runs masters and agents as HTTP servers and serves what a test did to
//! its tasks in the v0 API and, from 1.0 on, the operator API of the chosen
//! [`MesosVersion`]:
//!
//! - masters: `/state` and `/master/state` (with `.json` before 1.8), `/health`,
//!   `/redirect`, `/version`, `/flags`, `/metrics/snapshot`, and `POST /api/v1` in JSON:
//!   `SUBSCRIBE`, `GET_STATE`, `GET_TASKS`, `GET_AGENTS`, `GET_FRAMEWORKS`,
//!   `GET_EXECUTORS`, `GET_MASTER`, `GET_VERSION`, `GET_HEALTH`, `GET_FLAGS`;
//! - agents: `/state`, `/slave(1)/state`, `/files/browse`, `/files/read`,
//!   `/files/download`, `/health`, `/version`.
//!
//! # Events
//!
//! A subscription begins with a snapshot, and what happens after it follows as events, in
//! order and without a gap. What a test does is told as a master would tell it:
//!
//! - a launch is `TASK_ADDED` in `TASK_STAGING` and then an update with the first status;
//!   the first use of a framework is `FRAMEWORK_ADDED` (1.4);
//! - an update is sent when its status has another state than the one before or tells a
//!   health; before 1.7, when the state of the task changes; in 1.0 it has no status;
//! - a status is told only when the scheduler has acknowledged the one before it, see
//!   [`FrameworkHandle::hold_acknowledgements`], [`Death::fast`] and [`Death::state_only`];
//! - a lost agent is told by the updates of its tasks alone; when it is back its tasks are
//!   added, then the agent (1.1);
//! - a leader that loses its place closes its streams. After
//!   [`FakeCluster::failover_empty`] the new one hears of tasks as agents come back: an
//!   agent is added, then frameworks nobody had heard of (`recovered`), then their tasks,
//!   also those that have ended; tasks of known frameworks come before their agent.
//!
//! [`FakeCluster::cut_streams`], [`FakeCluster::corrupt_stream`] and
//! [`FakeCluster::slow_snapshot`] are the faults of streams; [`FakeCluster::publish`] sends
//! what no master would.
//!
//! # Faults
//!
//! [`MasterHandle`] and [`AgentHandle`] dereference to
//! [`ScriptedServer`](crate::http::ScriptedServer), where faults on the wire are: wrong
//! statuses, delays, drips, cuts, resets, refusals.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use notifier_testkit::mesos::{Death, ExecutorKind, FakeCluster, Listing, Stream, TaskSpec};
//!
//! let cluster = FakeCluster::builder().masters(3).agents(2).start().await?;
//! let task = cluster.launch(TaskSpec::new("web.1").label("team", "blue").executor(ExecutorKind::Pod));
//! cluster.set_log(&task, Stream::Stderr, "out of cheese\n");
//! cluster.fail(&task, Death::failed().exit(3));
//!
//! assert_eq!(cluster.listing_of(&task), Some(Listing::Completed));
//! let body = r#"{"type":"GET_TASKS"}"#;
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let url = format!("{}/api/v1", cluster.leader_url().expect("somebody leads"));
//! let call = reqwest::Client::new().post(url).header("Content-Type", "application/json");
//! let answer = call.body(body).send().await?.text().await?;
//! assert!(answer.contains("Container exited with status 3"));
//!
//! cluster.agent(0).refuse();
//! cluster.failover();
//! # Ok(())
//! # }
//! ```

mod agent;
mod auth;
mod builder;
mod cluster;
mod content;
mod corruption;
mod event;
mod framework;
mod handle;
mod leader;
mod life;
mod model;
mod operator;
mod page;
mod render;
mod routes;
mod sandbox;
mod spec;
mod stream;
mod version;

pub use auth::Auth;
pub use builder::FakeClusterBuilder;
pub use cluster::{FakeCluster, Stream};
pub use content::LogContent;
pub use corruption::Corruption;
pub use handle::{AgentHandle, FrameworkHandle, MasterHandle, Recorded, ServerId, TaskHandle};
pub use model::{Listing, RedirectStyle};
pub use spec::{Death, ExecutorKind, TaskSpec, TaskState};
pub use stream::{StreamCounts, StreamCut};
pub use version::MesosVersion;
