//! The wait for a canary.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{
    Flight, Late,
    end::{End, trouble},
    find::{Found, find},
    mark::Mark,
    stopped::{Seen, Waiting},
};
use crate::{
    connection::Stop,
    past::{Past, Sent},
    report::Class,
    target::Target,
};

/// From one look to the next, growing.
const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(1);
/// What a look may take at least, even if the wait is over before.
const LOOK: Duration = Duration::from_secs(5);
/// The longest that one look at the queue may take.
const QUEUE: Duration = Duration::from_secs(10);
/// How long a message that is being tried is looked at again, for the reason of a failed try.
const TRY: Duration = Duration::from_secs(2);
/// The most earlier canaries that are looked for in the queue.
const MOST_EARLIER: usize = 10;

/// How the wait ended, and what else was found.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) ended: Ended,
    /// From the answer to the last dot to the end of the wait.
    pub(super) after: Duration,
    pub(super) late: Vec<Late>,
}

#[derive(Debug)]
pub(super) enum Ended {
    /// It came, or a report about it.
    Found(Found),
    /// It is no more in the queue, and only that was asked.
    LeftQueue,
    /// It did not come in time.
    Missing,
    /// Nobody could see whether it came.
    Blind(Stop),
}

/// How long this run waits.
pub(super) fn patience(target: &Target) -> Duration {
    let limits = &target.limits;
    limits
        .canary_patience
        .map_or(limits.canary, |p| p.min(limits.canary))
}

/// Looks again and again until it is there or the time is over; once more after that.
pub(super) async fn await_it(
    target: &Target,
    end: &mut Option<End>,
    marks: &[Mark],
    flight: &Flight,
    past: &Past,
) -> Waited {
    let taken = flight.accepted.at;
    let most = patience(target);
    let mut pause = FIRST;
    let mut late: Vec<Late> = Vec::new();
    loop {
        // Of the look that begins now: it counts as late only if the time was over before.
        let after = taken.elapsed();
        let is_last = after >= most;
        let ended = match end {
            None => in_queue(target, flight, past, &mut late).await,
            Some(end) => {
                let looking = timeout(LOOK.max(most.saturating_sub(after)), end.look(marks));
                match looking.await {
                    Ok(Ok(mails)) => {
                        let found = mails.into_iter().filter_map(|mail| find(mail, marks));
                        sort(found, flight, past, &mut late)
                    }
                    Ok(Err(stop)) => Ended::Blind(stop),
                    Err(_) => Ended::Blind(trouble(Class::Timeout, "it does not answer")),
                }
            }
        };
        let is_over = matches!(ended, Ended::Found(_) | Ended::LeftQueue) || is_last;
        if is_over {
            let after = match ended {
                Ended::Missing | Ended::Blind(_) => after,
                _ => taken.elapsed(),
            };
            return Waited { ended, after, late };
        }
        sleep(pause.min(most.saturating_sub(taken.elapsed()))).await;
        pause = (pause * 3 / 2).min(LAST);
    }
}

/// The canary itself, or nothing; earlier ones go to `late`.
fn sort(
    found: impl Iterator<Item = Found>,
    flight: &Flight,
    past: &Past,
    late: &mut Vec<Late>,
) -> Ended {
    let mut ours = None;
    for found in found {
        if found.id == flight.mark.id {
            ours.get_or_insert(found);
        } else if let Some(sent) = past.canaries.iter().find(|c| c.id == found.id)
            && !late.iter().any(|l| l.sent.id == found.id)
        {
            let sent = sent.clone();
            late.push(Late { sent, found });
        }
    }
    ours.map_or(Ended::Missing, Ended::Found)
}

/// The same where only the queue is looked at.
async fn in_queue(target: &Target, flight: &Flight, past: &Past, late: &mut Vec<Late>) -> Ended {
    let earlier = past.canaries.len().saturating_sub(MOST_EARLIER);
    for sent in &past.canaries[earlier..] {
        let is_known = late.iter().any(|l| l.sent.id == sent.id);
        if !is_known && look_once(target, sent.queue_id.as_deref()).await == Seen::Gone {
            late.push(gone(sent));
        }
    }
    match look_once(target, flight.accepted.queue_id.as_deref()).await {
        Seen::Gone => Ended::LeftQueue,
        Seen::Waiting(_) => Ended::Missing,
        Seen::NoId => Ended::Blind(trouble(
            Class::Proto,
            "the relay did not say under which id it took it",
        )),
        Seen::NoQueue => Ended::Blind(trouble(Class::Local, "no queue is set")),
        Seen::Unseen(why) => Ended::Blind(trouble(Class::Local, why)),
    }
}

fn gone(sent: &Sent) -> Late {
    Late {
        found: Found {
            id: sent.id.clone(),
            what: super::find::What::Arrived {
                hops: Vec::new(),
                is_altered: false,
            },
            at: None,
            place: super::find::Place::Gone,
        },
        sent: sent.clone(),
    }
}

/// What the queue says of a message. One that is being tried is looked at again for a while: the
/// reason of a failed try is seen between tries only.
pub(super) async fn look_in_queue(target: &Target, queue_id: Option<&str>) -> Seen {
    let until = Instant::now() + TRY;
    loop {
        let seen = look_once(target, queue_id).await;
        let is_tried =
            matches!(&seen, Seen::Waiting(w) if w.queue == "active" && w.reason.is_none());
        if !is_tried || Instant::now() >= until {
            return seen;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn look_once(target: &Target, queue_id: Option<&str>) -> Seen {
    if target.queue.is_none() {
        return Seen::NoQueue;
    }
    let Some(id) = queue_id else {
        return Seen::NoId;
    };
    match timeout(QUEUE, crate::queue::find(target, id)).await {
        Ok(Ok(Some(entry))) => Seen::Waiting(Waiting {
            queue: entry.queue,
            reason: entry.reason,
        }),
        Ok(Ok(None)) => Seen::Gone,
        Ok(Err(stop)) => Seen::Unseen(stop.text),
        Err(_) => Seen::Unseen("it does not answer".to_owned()),
    }
}
