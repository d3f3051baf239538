//! What waits in the queue, for how long and why.

mod depth;
mod files;
mod list;
mod long_id;
mod next_hop;
mod reason;
mod record;
mod sasl_db;
mod showq;
mod spool;
mod tally;
mod upstream;

use notifier_core::{Clock, jiff::Timestamp};
use tokio::time::Instant;

use crate::{
    connection::Stop,
    past::Past,
    report::{Check, Phase},
    target::{Queue, Target},
};

use list::{Place, list};
use record::{Record, Sink};
use tally::Tally;

/// A message that is in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `deferred`, `active` and so on.
    pub(crate) queue: String,
    /// Why it waits, if that is known.
    pub(crate) reason: Option<String>,
    /// When it came.
    pub(crate) arrival: Option<Timestamp>,
}

/// Looks at the queue and at what it needs; at [`Level::Deep`](crate::Level::Deep) at the next
/// server too. Each look at the queue takes at most `limits.total`.
pub(crate) async fn run(target: &Target, clock: &dyn Clock, past: &mut Past) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(queue) = &target.queue {
        let begun = Instant::now();
        let listed = list(target, queue, Tally::default).await;
        let found = depth::checks(target, listed, clock.now(), past);
        checks.extend(found.into_iter().map(|c| c.took(begun.elapsed())));
        checks.extend(spool::checks(&Place::of(queue), target).await);
    }
    if let Some(main_cf) = &target.main_cf {
        checks.extend(upstream::checks(target, main_cf, clock).await);
    }
    checks
}

/// Whether Postfix runs, by the least that can be asked of it: showq's first words. It logs
/// nothing for that.
pub(crate) async fn alive(target: &Target, queue: &Queue) -> Check {
    let begun = Instant::now();
    let place = Place::of(queue);
    let check = match list::greet(&place.showq, target.limits.total).await {
        Ok(()) => Check::ok("queue_depth", Phase::Queue, "Postfix runs: showq answers"),
        Err(stop) => stop.check("queue_depth"),
    };
    check.took(begun.elapsed())
}

/// The message of this id, if it is still in the target's queue.
pub(crate) async fn find(target: &Target, id: &str) -> Result<Option<Entry>, Stop> {
    let Some(queue) = &target.queue else {
        return Ok(None);
    };
    let wanted = || Wanted {
        id: id.to_owned(),
        found: None,
    };
    let listed = list(target, queue, wanted).await?;
    Ok(listed.sink.found)
}

/// Looks for one message.
struct Wanted {
    id: String,
    found: Option<Entry>,
}

impl Sink for Wanted {
    fn take(&mut self, record: Record) -> bool {
        if record.id != self.id {
            return true;
        }
        self.found = Some(Entry {
            queue: record.queue,
            reason: record.reasons.into_iter().next(),
            arrival: record.arrival,
        });
        false
    }
}
