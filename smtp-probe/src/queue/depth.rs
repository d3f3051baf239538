//! How long the queue is, how old, how fast it grows, and what keeps it.

use notifier_core::jiff::Timestamp;
use serde_json::{Map, json};

use crate::{
    connection::Stop,
    past::{Depth, Past},
    report::{Check, Class, Measure, Phase, State},
    target::{Bounds, Target},
};

use super::{
    list::{Listed, Via},
    reason::Group,
    tally::Tally,
};

/// Those whose number is always told, also if it is 0.
const QUEUES: [&str; 5] = ["incoming", "active", "deferred", "hold", "maildrop"];
/// Who wants to go out now. The queue manager takes them up at once.
const GOING: [&str; 3] = ["incoming", "active", "maildrop"];
const DEFERRED: [&str; 1] = ["deferred"];

/// Growth is measured from a look that is at least so old, in seconds.
const LEAST_AGE: i64 = 300;
/// Looks that are older are forgotten if there is a younger one to measure from.
const MOST_AGE: i64 = 600;
/// A look that is older than this says nothing of now.
const TOO_OLD: i64 = 24 * 3600;
/// Clocks may differ by so many seconds.
const SKEW: f64 = 60.0;
/// Looks are kept that are so far from each other.
const APART: i64 = 5;

/// From the list, or from why there is none.
pub(super) fn checks(
    target: &Target,
    listed: Result<Listed<Tally>, Stop>,
    now: Timestamp,
    past: &mut Past,
) -> Vec<Check> {
    let bounds = &target.thresholds;
    let listed = match listed {
        Ok(listed) => listed,
        Err(stop) => {
            let mut checks = vec![stop.check("queue_depth")];
            for id in ["queue_age", "queue_growth", "queue_reasons"] {
                checks.push(Check::skip(id, Phase::Queue, "the queue could not be read"));
            }
            return checks;
        }
    };
    let tally = &listed.sink;
    vec![
        depth(&listed, bounds.queue_depth),
        age(tally, &DEFERRED, "deferred", now, bounds.deferred_age),
        age(tally, &GOING, "active", now, bounds.active_age),
        growth(tally.total(), now, past, bounds.queue_growth),
        reasons(tally),
    ]
}

fn depth(listed: &Listed<Tally>, bounds: Bounds) -> Check {
    let tally = &listed.sink;
    let total = tally.total();
    let measure = count(total).above(bounds.warn, bounds.crit);
    let queues: Vec<(&str, u64)> = tally.queues().collect();
    let named: Vec<String> = queues.iter().map(|(q, n)| format!("{n} {q}")).collect();
    let mut text = match total {
        0 => "no messages".to_owned(),
        1 => format!("1 message: {}", named.join(", ")),
        _ => format!("{total} messages: {}", named.join(", ")),
    };
    let mut state = measure.state();
    let mut check = Check::ok("queue_depth", Phase::Queue, "");
    if let Some(stop) = &listed.showq {
        let (least, what) = match (stop.class, listed.via) {
            (Class::Refused, _) => (State::Crit, "Postfix is not running"),
            (Class::Timeout | Class::Eof, _) => (State::Crit, "showq hangs"),
            // postqueue may do what we may not.
            (_, Via::Postqueue) => (State::Ok, ""),
            _ => (State::Warn, "showq was not asked"),
        };
        if least > State::Ok {
            state = state.max(least);
            text = format!("{what} ({}); {text}", stop.text);
            check = check.class(stop.class);
            if let Some(hint) = &stop.hint {
                check = check.hint(hint.clone());
            }
        }
    }
    if check.hint.is_none() && measure.state() > State::Ok {
        check = check.hint("see what they wait for with postqueue -p and in the relay's log");
    }
    let none = QUEUES.into_iter().map(|queue| (queue, 0));
    let queues: Map<_, _> = none
        .chain(queues)
        .map(|(queue, n)| (queue.to_owned(), json!(n)))
        .collect();
    let data = json!({"via": listed.via.word(), "queues": queues});
    Check { text, ..check }
        .state(state)
        .measure(measure)
        .data(data)
}

/// How old the oldest message of some queues is.
fn age(tally: &Tally, queues: &[&str], subject: &str, now: Timestamp, bounds: Bounds) -> Check {
    let check = Check::ok("queue_age", Phase::Queue, "").subject(subject);
    let messages = tally.messages(queues);
    let zero = Measure::new(0.0, "s").above(bounds.warn, bounds.crit);
    let Some((queue, at)) = tally.oldest(queues) else {
        return match messages {
            0 => Check {
                text: format!("nothing is {subject}"),
                ..check.measure(zero)
            },
            n => Check {
                text: format!("{n} messages, and no way to tell since when"),
                ..check.state(State::Unknown).class(Class::Local)
            },
        };
    };
    let seconds = now.duration_since(at).as_secs_f64();
    if seconds < -SKEW {
        let text = format!(
            "the oldest of {messages} is dated {} from now: this clock and the relay's differ, and its age is not known",
            span(-seconds)
        );
        let check = Check { text, ..check }
            .state(State::Warn)
            .class(Class::Local);
        return check.hint("set this machine's clock and the relay's by NTP");
    }
    let seconds = seconds.max(0.0);
    let measure = Measure::new(seconds, "s").above(bounds.warn, bounds.crit);
    let state = measure.state();
    let text = format!(
        "the oldest of {messages} came {} ago and is in the queue {queue}",
        span(seconds)
    );
    let check = Check { text, ..check }.state(state).measure(measure);
    match (state, subject) {
        (State::Ok, _) => check,
        (_, "active") => check.hint(
            "look whether qmgr runs and its deliveries end: mail is taken and does not go out",
        ),
        _ => check.hint("see what keeps it with postqueue -p and in the relay's log"),
    }
}

/// By how many messages a minute it grew since a look some minutes ago. Notes this look.
fn growth(total: u64, now: Timestamp, past: &mut Past, bounds: Bounds) -> Check {
    let base = keep(past, now);
    if past
        .depths
        .last()
        .is_none_or(|d| seconds(d.at, now) >= APART)
    {
        past.depths.push(Depth {
            at: now,
            messages: total,
        });
    }
    let Some(base) = base else {
        let why = "there was no look at it five minutes ago";
        return Check::skip("queue_growth", Phase::Queue, why);
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of messages are small")]
    let minutes = seconds(base.at, now) as f64 / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "counts of messages are small")]
    let change = total as f64 - base.messages as f64;
    let rate = (change / minutes * 10.0).round() / 10.0;
    let measure = Measure::new(rate, "").above(bounds.warn, bounds.crit);
    let state = measure.state();
    let text = format!(
        "{change:+} messages in {}: {rate:+} a minute",
        span(minutes * 60.0)
    );
    let check = Check::ok("queue_growth", Phase::Queue, text).state(state);
    let check = check.measure(measure);
    match state {
        State::Ok => check,
        _ => check.hint("more comes in than goes out: look who sends, and what queue_reasons says"),
    }
}

/// Forgets what is too old, and says what to measure from: the youngest of the old looks.
fn keep(past: &mut Past, now: Timestamp) -> Option<Depth> {
    let depths = &mut past.depths;
    depths.retain(|d| (0..=TOO_OLD).contains(&seconds(d.at, now)));
    depths.sort_by_key(|d| d.at);
    let base = depths
        .iter()
        .rfind(|d| seconds(d.at, now) >= LEAST_AGE)
        .copied();
    if let Some(base) = base {
        let is_of_use = |d: &Depth| d.at >= base.at || seconds(d.at, now) <= MOST_AGE;
        depths.retain(is_of_use);
    }
    base
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

fn reasons(tally: &Tally) -> Check {
    let groups = tally.groups();
    let data = tally.reasons_data();
    let Some((group, messages)) = groups.first().copied() else {
        let text = match tally.total() {
            0 => "nothing waits",
            _ => "no reason is known",
        };
        return Check::ok("queue_reasons", Phase::Queue, text).data(data);
    };
    let all: u64 = groups.iter().map(|(_, n)| n).sum();
    let is_most = messages * 2 >= all;
    let state = match group {
        group if group.is_grave() => State::Crit,
        Group::Refused | Group::Timeout | Group::Dns | Group::Quota if is_most => State::Warn,
        _ => State::Ok,
    };
    let named: Vec<String> = groups
        .iter()
        .map(|(g, n)| format!("{} {n}", g.word()))
        .collect();
    let top = tally.top(group).unwrap_or("its reason is not kept");
    let text = format!("{}; {}: {top}", named.join(", "), group.word());
    let check = Check::ok("queue_reasons", Phase::Queue, text).data(data);
    match state {
        State::Ok => check,
        _ => check.state(state).class(group.class()).hint(group.hint()),
    }
}

fn count(n: u64) -> Measure {
    #[expect(clippy::cast_precision_loss, reason = "counts of messages are small")]
    Measure::new(n as f64, "")
}

/// `42s`, `17m`, `3h`, `5d`: whole ones, the largest that fits twice.
fn span(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3600.0, "h"), (60.0, "m")];
    let unit = units.iter().find(|(size, _)| seconds >= 2.0 * size);
    let (size, name) = unit.copied().unwrap_or((1.0, "s"));
    format!("{:.0}{name}", (seconds / size).floor())
}

#[cfg(test)]
mod tests;
