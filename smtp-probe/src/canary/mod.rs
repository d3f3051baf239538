//! A message that is sent through, and awaited at its end.

mod bounce;
mod end;
mod find;
mod head;
mod hop;
mod mark;
mod message;
mod sending;
mod stopped;
mod verdict;
mod waiting;
mod way;

use notifier_core::{
    Clock,
    jiff::{SignedDuration, Timestamp},
};
use smtp_wire::Reply;
use tokio::time::{Instant, timeout};

use self::{
    end::{End, trouble},
    find::{Found, Place},
    mark::Mark,
    sending::{addresses, send},
    stopped::Seen,
    waiting::{Ended, await_it, look_in_queue},
};
use crate::{
    connection::Stop,
    past::{Past, Sent},
    report::{Check, Class, Phase},
    target::{Canary, Target},
};

/// How long one that did not come is remembered: as long as mail servers try
/// (RFC 5321 §4.5.4.1).
const REMEMBERED: SignedDuration = SignedDuration::from_hours(5 * 24);
/// The most that are remembered.
const MOST_REMEMBERED: usize = 100;

/// Sends one and waits for it. One that does not come is left in `past`.
///
/// Takes at most `limits.total` each to get ready and to send, `limits.canary` to wait, and a few
/// seconds to look why it stopped and to clear up.
pub(crate) async fn run(target: &Target, clock: &dyn Clock, past: &mut Past) -> Vec<Check> {
    if target.canary.is_none() {
        return Vec::new();
    }
    let begun = Instant::now();
    let check = one(target, clock, past).await;
    vec![check.took(begun.elapsed())]
}

/// A canary that is on its way, and what is known of it.
#[derive(Debug)]
struct Flight {
    mark: Mark,
    /// When sending began, by the clock.
    begun: Timestamp,
    accepted: sending::Accepted,
    has_sender: bool,
}

/// An earlier run's canary that was found now.
#[derive(Debug)]
struct Late {
    sent: Sent,
    found: Found,
}

async fn one(target: &Target, clock: &dyn Clock, past: &mut Past) -> Check {
    let now = clock.now();
    forget(past, now);
    let Some(mark) = Mark::new(now) else {
        let stop = trouble(Class::Local, "the system has no random numbers");
        return stop.check("canary");
    };
    let has_sender = match addresses(target, &mark) {
        Ok((from, _)) => !from.is_empty(),
        Err(stop) => return stop.check("canary"),
    };
    if target.canary == Some(Canary::QueueGone) && target.queue.is_none() {
        let stop = trouble(Class::Local, "there is no queue that it could be gone from");
        return stop.with_hint("set --queue").check("canary");
    }
    let mut marks = vec![mark.clone()];
    marks.extend(past.canaries.iter().filter_map(Mark::of));
    let opening = timeout(target.limits.total, End::open(target, &marks));
    let late = |_| Err(trouble(Class::Timeout, "it does not answer"));
    let mut end = match opening.await.unwrap_or_else(late) {
        Ok(end) => end,
        Err(stop) => return verdict::blind(stop, "nothing was sent"),
    };
    let begun = clock.now();
    let accepted = match send(target, &mark, clock).await {
        Ok(accepted) => accepted,
        Err(stop) => {
            // It may have taken what it gave no answer to.
            if stop.phase == Phase::Eod && stop.reply.is_none() {
                past.canaries.push(mark.sent(None));
            }
            close(end, &[], clock).await;
            return refused(stop);
        }
    };
    let flight = Flight {
        mark,
        begun,
        accepted,
        has_sender,
    };
    let waited = await_it(target, &mut end, &marks, &flight, past).await;
    let mut places: Vec<Place> = waited.late.iter().map(|l| l.found.place.clone()).collect();
    if let Ended::Found(found) = &waited.ended {
        places.push(found.place.clone());
    }
    past.canaries
        .retain(|c| !waited.late.iter().any(|l| l.sent.id == c.id));
    let check = match waited.ended {
        Ended::Found(found) => verdict::found(
            target,
            &flight,
            found,
            waited.after,
            &waited.late,
            clock.now(),
        ),
        Ended::LeftQueue => verdict::left_queue(target, &flight, waited.after),
        Ended::Blind(ref stop) => {
            // What still lies in the queue has not come, whoever can see it.
            let queue_id = flight.accepted.queue_id.clone();
            let seen = look_in_queue(target, queue_id.as_deref()).await;
            past.canaries.push(flight.mark.sent(queue_id));
            match seen {
                Seen::Waiting(_) if waited.after >= target.limits.canary => {
                    verdict::missing(target, &flight, &seen, waited.after)
                }
                _ => verdict::taken_blind(stop.clone(), &flight, target),
            }
        }
        Ended::Missing => missing(target, &flight, &waited, past, clock.now()).await,
    };
    close(end, &places, clock).await;
    check
}

/// It did not come: where it stopped, unless the run was to wait less than it may take.
async fn missing(
    target: &Target,
    flight: &Flight,
    waited: &waiting::Waited,
    past: &mut Past,
    now: Timestamp,
) -> Check {
    let queue_id = flight.accepted.queue_id.clone();
    let check = if waited.after >= target.limits.canary {
        let seen = look_in_queue(target, queue_id.as_deref()).await;
        verdict::missing(target, flight, &seen, waited.after)
    } else {
        let is_due = |c: &&Sent| now.duration_since(c.at).unsigned_abs() >= target.limits.canary;
        match past.canaries.iter().find(is_due) {
            Some(due) => {
                let seen = look_in_queue(target, due.queue_id.as_deref()).await;
                verdict::overdue(target, flight, due, &seen, now)
            }
            None => verdict::on_its_way(target, flight, &waited.late, waited.after, now),
        }
    };
    past.canaries.push(flight.mark.sent(queue_id));
    check
}

/// The relay did not take it.
fn refused(mut stop: Stop) -> Check {
    stop.text = format!("not taken ({}): {}", stop.phase, stop.text);
    let is_full = |r: &Reply| r.enhanced() == Some("4.3.1") || r.code() == 452;
    let hint = match stop.phase {
        _ if stop.reply.as_ref().is_some_and(is_full) => {
            "make room for the relay's queue: see its disk, queue_minfree and the age of what waits there"
        }
        Phase::Mail | Phase::Rcpt if stop.class == Class::Timeout => {
            "something behind the relay hangs: look at its log, at trivial-rewrite, cleanup, and the tables and policy servers that it asks"
        }
        Phase::Mail => "see why the relay refuses the sender, the first of --from",
        Phase::Rcpt => {
            "see why the relay refuses the recipient, the first of --rcpt: its mailbox, or whether it relays for us"
        }
        Phase::Data | Phase::Eod => "see the relay's log: its cleanup, its filters, its disk",
        _ => "see the check of this phase",
    };
    stop.with_hint(hint).check("canary")
}

async fn close(end: Option<End>, found: &[Place], clock: &dyn Clock) {
    if let Some(end) = end {
        end.close(found, clock.now()).await;
    }
}

/// Leaves of the past what may still come.
fn forget(past: &mut Past, now: Timestamp) {
    let is_near = |c: &Sent| now.duration_since(c.at) < REMEMBERED;
    past.canaries.retain(is_near);
    let most = past.canaries.len().saturating_sub(MOST_REMEMBERED - 1);
    past.canaries.drain(..most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_refusal() {
        let stop = Stop::new(Phase::Rcpt, Class::Timeout, "the server gave no answer");
        let hint = refused(stop).hint.unwrap_or_default();
        assert!(hint.contains("hangs") && hint.contains("log"), "{hint}");
        let stop = Stop::refused(Phase::Rcpt, "550 5.1.1 no".parse().unwrap());
        let hint = refused(stop).hint.unwrap_or_default();
        assert!(hint.contains("refuses the recipient"), "{hint}");
    }

    #[test]
    fn the_past_is_bounded() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let sent = |hours: i64| {
            let at = now.checked_sub(SignedDuration::from_hours(hours)).unwrap();
            Mark::new(at).unwrap().sent(None)
        };
        let mut past = Past {
            canaries: vec![sent(5 * 24), sent(4 * 24)],
            ..Past::default()
        };
        forget(&mut past, now);
        assert_eq!(past.canaries.len(), 1);
        past.canaries = (0..300).map(|_| sent(1)).collect();
        let last = past.canaries[299].clone();
        forget(&mut past, now);
        assert_eq!(past.canaries.len(), MOST_REMEMBERED - 1);
        assert_eq!(past.canaries.last(), Some(&last));
    }
}
