//! The suite for [`Outbox`].

mod admin;
mod beside;
mod crash;
mod enqueue;
mod group;
mod lease;
mod logs;
mod model;
mod random;
mod rate;
mod rig;
mod seen;
mod settle;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::Outbox;
use tokio::time::timeout;

use self::rig::{Rig, Verdict};
use super::{Outcome, Results};

/// The longest that one case may take.
const LIMIT: Duration = Duration::from_secs(300);
/// The room of an outbox that is not to be filled.
const ROOMY: usize = 100_000;

/// An outbox, as the suite needs it.
#[async_trait]
pub trait OutboxHarness: Send {
    /// A fresh, empty outbox with room for this many open deliveries. The one before is
    /// not used any more.
    async fn open(&mut self, capacity: usize) -> Arc<dyn Outbox>;

    /// Ends an outbox as `kill -9` ends its process, and opens what is left with the same
    /// room. There is no other handle to it. `None`: it is not durable, or this cannot be done.
    async fn crash(&mut self, outbox: Arc<dyn Outbox>) -> Option<Arc<dyn Outbox>>;

    /// Another handle to the outbox that is open, as another process has one. `None`: there
    /// is no way to it from another process.
    async fn beside(&mut self) -> Option<Arc<dyn Outbox>>;

    /// How long a seen key is remembered that no source lists any more.
    fn seen_for(&self) -> Duration;
}

/// Checks an outbox in every promise that [`Outbox`] makes.
///
/// What must outlive the process is looked at if the outbox says that it
/// [is durable](Outbox::is_durable), and counts as not promised if it says that it is not.
/// Every time is handed in: nothing waits. Must run inside a tokio runtime whose time is
/// not paused.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use async_trait::async_trait;
/// use notifier_core::{Outbox, memory::MemoryOutbox};
/// use notifier_testkit::conformance::{OutboxHarness, outbox};
///
/// struct InMemory;
///
/// #[async_trait]
/// impl OutboxHarness for InMemory {
///     async fn open(&mut self, capacity: usize) -> Arc<dyn Outbox> {
///         Arc::new(MemoryOutbox::with_capacity(capacity))
///     }
///     async fn crash(&mut self, _: Arc<dyn Outbox>) -> Option<Arc<dyn Outbox>> {
///         None
///     }
///     async fn beside(&mut self) -> Option<Arc<dyn Outbox>> {
///         None
///     }
///     fn seen_for(&self) -> Duration {
///         MemoryOutbox::SEEN_FOR
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// outbox(&mut InMemory).await.assert_complete();
/// # }
/// ```
pub async fn outbox(harness: &mut dyn OutboxHarness) -> Results {
    chosen(harness, None).await
}

/// Checks an outbox in one promise, by its [name](super::Case::name): what to look at when
/// it is broken. There are no results if there is no such promise.
pub async fn outbox_case(harness: &mut dyn OutboxHarness, name: &str) -> Results {
    chosen(harness, Some(name)).await
}

async fn chosen(harness: &mut dyn OutboxHarness, only: Option<&str>) -> Results {
    let mut s = Suite {
        durability: durability(harness).await,
        harness,
        only,
        results: Results::default(),
    };
    let name = "it says whether it is durable";
    if s.is_chosen(name) {
        let v = match &s.durability {
            Durability::Lies => Err("it says that it is not, and outlives a crash".to_owned()),
            _ => Ok(()),
        };
        s.results.judge(name, v);
    }
    enqueue::cases(&mut s).await;
    seen::cases(&mut s).await;
    logs::cases(&mut s).await;
    lease::cases(&mut s).await;
    settle::cases(&mut s).await;
    rate::cases(&mut s).await;
    group::cases(&mut s).await;
    admin::cases(&mut s).await;
    crash::cases(&mut s).await;
    beside::cases(&mut s).await;
    random::cases(&mut s).await;
    s.results
}

/// Whether an outbox outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Yes,
    No,
    CannotTell,
    Lies,
}

async fn durability(harness: &mut dyn OutboxHarness) -> Durability {
    let outbox = harness.open(ROOMY).await;
    let durable = outbox.is_durable();
    match (durable, harness.crash(outbox).await.is_some()) {
        (true, true) => Durability::Yes,
        (true, false) => Durability::CannotTell,
        (false, true) => Durability::Lies,
        (false, false) => Durability::No,
    }
}

struct Suite<'a> {
    harness: &'a mut dyn OutboxHarness,
    durability: Durability,
    only: Option<&'a str>,
    results: Results,
}

impl Suite<'_> {
    fn is_chosen(&self, name: &str) -> bool {
        self.only.is_none_or(|only| only == name)
    }

    /// A case with an outbox that has room for all it does.
    async fn case(&mut self, name: &str, f: impl AsyncFnOnce(&mut Rig<'_>) -> Verdict) {
        self.case_of(name, ROOMY, f).await;
    }

    /// A case with an outbox of this size.
    async fn case_of(
        &mut self,
        name: &str,
        capacity: usize,
        f: impl AsyncFnOnce(&mut Rig<'_>) -> Verdict,
    ) {
        if !self.is_chosen(name) {
            return;
        }
        let verdict = match Rig::new(self.harness, capacity).await {
            Ok(mut rig) => timeout(LIMIT, f(&mut rig))
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned())),
            Err(e) => Err(e),
        };
        self.results.judge(name, verdict);
    }

    /// A case that needs an outbox which outlives its process.
    async fn durable_case(&mut self, name: &str, f: impl AsyncFnOnce(&mut Rig<'_>) -> Verdict) {
        match self.durability {
            _ if !self.is_chosen(name) => {}
            Durability::Yes => self.case(name, f).await,
            Durability::No | Durability::Lies => self.results.add(name, Outcome::NotPromised),
            Durability::CannotTell => self.results.add(
                name,
                Outcome::Skipped("the harness cannot crash it".to_owned()),
            ),
        }
    }

    /// A case that needs an outbox which other processes can use as well.
    async fn shared_case(&mut self, name: &str, f: impl AsyncFnOnce(&mut Rig<'_>) -> Verdict) {
        if !self.is_chosen(name) || self.durability != Durability::Yes {
            return self.durable_case(name, f).await;
        }
        let outbox = self.harness.open(ROOMY).await;
        let beside = self.harness.beside().await.is_some();
        drop(outbox);
        if beside {
            self.case(name, f).await;
        } else {
            let why = "the harness has no other handle".to_owned();
            self.results.add(name, Outcome::Skipped(why));
        }
    }
}
