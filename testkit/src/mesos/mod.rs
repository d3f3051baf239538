//! A scriptable fake Mesos cluster.
//!
//! [`FakeCluster`] runs masters and agents as HTTP servers and serves what a test did to
//! its tasks in the v0 API of the chosen [`MesosVersion`]:
//!
//! - masters: `/state` and `/master/state` (with `.json` before 1.8), `/health`,
//!   `/redirect`, `/version`, `/flags`, `/metrics/snapshot`; `POST /api/v1` answers 404;
//! - agents: `/state`, `/slave(1)/state`, `/files/browse`, `/files/read`,
//!   `/files/download`, `/health`, `/version`.
//!
//! [`MasterHandle`] and [`AgentHandle`] dereference to
//! [`ScriptedServer`](crate::http::ScriptedServer), where faults on the wire are: wrong
//! statuses, delays, drips, cuts, resets, refusals.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use notifier_testkit::mesos::{Death, ExecutorKind, FakeCluster, Listing, Stream, TaskSpec};
//!
//! let cluster = FakeCluster::builder().masters(3).agents(2).start().await?;
//! let task = cluster.launch(TaskSpec::new("web.1").label("team", "blue").executor(ExecutorKind::Pod));
//! cluster.set_log(&task, Stream::Stderr, "out of cheese\n");
//! cluster.fail(&task, Death::failed().exit(3));
//!
//! assert_eq!(cluster.listing_of(&task), Some(Listing::Completed));
//! cluster.agent(0).refuse();
//! cluster.failover();
//! # Ok(())
//! # }
//! ```

mod auth;
mod cluster;
mod content;
mod handle;
mod life;
mod model;
mod render;
mod routes;
mod sandbox;
mod spec;
mod version;

pub use auth::Auth;
pub use cluster::{FakeCluster, FakeClusterBuilder, Stream};
pub use content::LogContent;
pub use handle::{AgentHandle, FrameworkHandle, MasterHandle, Recorded, ServerId, TaskHandle};
pub use model::{Listing, RedirectStyle};
pub use spec::{Death, ExecutorKind, TaskSpec, TaskState};
pub use version::MesosVersion;
