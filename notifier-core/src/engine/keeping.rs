//! What is done now and then: digests of what is held, and an eye on the outbox' size.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Phase, Shared, notice};
use crate::{EnqueueBatch, FoldRequest, clock::until};

/// How long to sleep at most.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The shares of the capacity, in percent, at which people are told, and told that there is room again.
const ALARM: u64 = 80;
const ROOM: u64 = 60;

/// Makes digests and watches the outbox' size until told to stop.
pub(super) async fn keep(shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    let mut filling = None;
    loop {
        let now = shared.clock.now();
        let mut sleep = LONGEST_SLEEP;
        if let Some(group) = &shared.group {
            sleep = sleep.min(group.interval().max(Duration::from_millis(50)));
        }
        if let Some(next) = fold(&shared, now).await {
            sleep = sleep.min(until(now, next).max(Duration::from_millis(10)));
        }
        watch_size(&shared, now, &mut filling).await;
        tokio::select! {
            _ = phase.wait_for(|p| *p == Phase::Finish) => break,
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Makes digests of the groups that end by then; answers when the next one ends.
pub(super) async fn fold(shared: &Shared, now: Timestamp) -> Option<Timestamp> {
    let request = FoldRequest::new(shared.router.name(), now);
    match shared.outbox.fold(request).await {
        Ok(folded) => {
            if folded.digests > 0 {
                shared.counters.digests(folded.digests);
                tracing::info!(
                    digests = folded.digests,
                    messages = folded.deliveries,
                    "what was held is told in digests"
                );
            }
            folded.next
        }
        Err(e) => {
            shared.outbox_failed(&e);
            tracing::error!(error = %e.report(), "cannot make digests");
            None
        }
    }
}

async fn watch_size(shared: &Shared, now: Timestamp, filling: &mut Option<Timestamp>) {
    let Ok(stats) = shared.outbox.stats().await else {
        return;
    };
    let percent = stats.open().saturating_mul(100) / stats.capacity.max(1);
    let text = format!(
        "{} of {} messages that may wait do",
        stats.open(),
        stats.capacity
    );
    let (is_recovery, since) = match *filling {
        None if percent >= ALARM => {
            tracing::error!(
                open = stats.open(),
                capacity = stats.capacity,
                "the outbox fills up; when it is full, failures wait at their source"
            );
            *filling = Some(now);
            (false, now)
        }
        Some(since) if percent < ROOM => {
            *filling = None;
            tracing::info!(
                open = stats.open(),
                capacity = stats.capacity,
                "the outbox has room again"
            );
            (true, since)
        }
        _ => return,
    };
    if let Some(report) = notice::about_outbox(shared, is_recovery, text, since) {
        let batch = EnqueueBatch::new("engine", now).with(report);
        if let Err(e) = shared.outbox.enqueue(batch).await {
            tracing::error!(error = %e.report(), "cannot tell that the outbox fills up");
        }
    }
}
