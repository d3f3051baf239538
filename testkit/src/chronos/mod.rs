//! A fake Chronos: its API on a loopback port, and its rules for what becomes of a run.
//!
//! [`FakeChronos`] holds jobs as a test describes them ([`JobSpec`]). A [`Run`] of one is a
//! task of the framework `chronos` on a [`FakeCluster`](crate::mesos::FakeCluster), with the
//! id `ct:MS:ATTEMPT:JOB:ARGUMENTS` and the name `ChronosTask:JOB`, or a run that no cluster
//! knows. How it ends decides what Chronos counts (`JobScheduler.scala` at c1348ddf):
//!
//! 1. a failed or lost run is retried if its attempt, from 0, is less than the job's
//!    `retries`, and the job has never failed for good or has succeeded since then: nothing
//!    is counted;
//! 2. otherwise `errorCount` and `errorsSinceLastSuccess` grow and `lastError` is now; from
//!    [`FakeChronos::disable_after_failures`] failures in a row on the job is disabled;
//! 3. a finished run counts as success; one of a schedule that has run out disables the job;
//! 4. a killed run, and every other end, changes nothing.
//!
//! # API
//!
//! `BASE/jobs`, `BASE/jobs/search`, `BASE/job/NAME`, `BASE/jobs/summary`,
//! `BASE/job/stat/NAME`, `BASE/graph/csv`, `BASE/leader`, `/ping` and `/metrics`, where BASE is
//! `/v1/scheduler` as from 3.0 on, or `/scheduler` as in 2.x (see [`FakeChronos::new_api`]).
//! Faults on the wire are those of its [`server`](FakeChronos::server); a proxy to the leader
//! that fails is [`FakeChronos::broken_proxy`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use notifier_testkit::chronos::{FakeChronos, JobSpec, Verdict};
//! use notifier_testkit::mesos::{Death, FakeCluster};
//!
//! let cluster = FakeCluster::start().await?;
//! let chronos = FakeChronos::start().await?;
//! chronos.job(JobSpec::new("nightly").owner("ops@mail.example").retries(1));
//!
//! let run = chronos.run(&cluster, "nightly");
//! assert_eq!(run.fail(Death::failed().exit(3)), Verdict::Retried);
//! let second = run.retry();
//! assert!(second.id().contains(":1:nightly:"));
//! assert_eq!(second.fail(Death::failed().exit(3)), Verdict::Failed);
//! assert_eq!(chronos.counters("nightly").expect("it is there").errors, 1);
//! # Ok(())
//! # }
//! ```

mod model;
mod render;
mod run;
mod server;
mod spec;

pub use model::{Counters, Verdict};
pub use run::Run;
pub use server::FakeChronos;
pub use spec::JobSpec;
