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

/// Who wants to go out now. The queue manager takes them up at once.
const GOING: [&str; 3] = ["incoming", "active", "maildrop"];
const DEFERRED: [&str; 1] = ["deferred"];

/// Growth is measured from a look that is at least so old, in seconds.
const LEAST_AGE: i64 = 300;
/// Looks that are older are forgotten if there is a younger one to measure from.
const MOST_AGE: i64 = 600;
/// A look that is older than this says nothing of now.
const TOO_OLD: i64 = 24 * 3600;
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
    let queues: Map<_, _> = queues
        .into_iter()
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
    // A clock that differs from the relay's makes nothing older than it is.
    let seconds = now.duration_since(at).as_secs_f64().max(0.0);
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
mod tests {
    use super::super::record::{Record, Sink as _};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn tally(messages: &[(&str, i64, &str)]) -> Tally {
        let mut tally = Tally::default();
        for (queue, second, reason) in messages {
            let mut record = Record {
                queue: (*queue).to_owned(),
                id: "A1B2".to_owned(),
                arrival: Some(at(*second)),
                ..Record::default()
            };
            record.add_reason(reason);
            tally.take(record);
        }
        tally
    }

    fn all(tally: Tally, showq: Option<Stop>, via: Via, past: &mut Past) -> Vec<Check> {
        let listed = Listed {
            sink: tally,
            via,
            showq,
        };
        checks(&Target::new("h", 25), Ok(listed), at(0), past)
    }

    fn stop(class: Class) -> Stop {
        Stop::new(Phase::Queue, class, "what happened")
    }

    #[test]
    fn one_message_that_nobody_takes_up_is_seen_by_its_age() {
        for (second, state) in [
            (-59, State::Ok),
            (-60, State::Warn),
            (-300, State::Crit),
            (30, State::Ok),
        ] {
            let found = all(
                tally(&[("incoming", second, "")]),
                None,
                Via::Showq,
                &mut Past::default(),
            );
            let ages: Vec<&Check> = found.iter().filter(|c| c.id == "queue_age").collect();
            assert_eq!(ages[0].text, "nothing is deferred");
            assert_eq!(
                (ages[1].subject.as_deref(), ages[1].state),
                (Some("active"), state),
                "{second}"
            );
            assert_eq!(ages[1].hint.is_some(), state > State::Ok);
        }
        let found = all(
            tally(&[("deferred", -901, "")]),
            None,
            Via::Showq,
            &mut Past::default(),
        );
        assert_eq!((found[1].state, found[2].state), (State::Warn, State::Ok));
        assert_eq!(
            found[1].text,
            "the oldest of 1 came 15m ago and is in the queue deferred"
        );
    }

    #[test]
    fn the_depth_has_all_queues_and_says_when_postfix_is_down() {
        let messages = || tally(&[("deferred", -1, ""), ("hold", -1, ""), ("deferred", -2, "")]);
        let found = all(messages(), None, Via::Showq, &mut Past::default());
        assert_eq!(found[0].text, "3 messages: 2 deferred, 1 hold");
        assert_eq!(
            found[0].data,
            Some(json!({"via": "showq", "queues": {"deferred": 2, "hold": 1}}))
        );
        for (class, via, state, says) in [
            (
                Class::Refused,
                Via::Files,
                State::Crit,
                "Postfix is not running",
            ),
            (
                Class::Refused,
                Via::Postqueue,
                State::Crit,
                "Postfix is not running",
            ),
            (Class::Timeout, Via::Files, State::Crit, "showq hangs"),
            (Class::Local, Via::Postqueue, State::Ok, "3 messages"),
            (Class::Local, Via::Files, State::Warn, "showq was not asked"),
        ] {
            let found = all(messages(), Some(stop(class)), via, &mut Past::default());
            assert_eq!(found[0].state, state, "{class} {via:?}");
            assert!(found[0].text.starts_with(says), "{}", found[0].text);
            assert!(found[0].text.ends_with("3 messages: 2 deferred, 1 hold"));
            assert_eq!(found[0].measure.as_ref().unwrap().value, 3.0);
        }
    }

    #[test]
    fn no_list_is_not_an_empty_one() {
        let found = checks(
            &Target::new("h", 25),
            Err(stop(Class::Local)),
            at(0),
            &mut Past::default(),
        );
        assert_eq!(found[0].state, State::Unknown);
        assert!(found[1..].iter().all(|c| c.state == State::Skip));
    }

    #[test]
    fn growth_is_measured_from_five_minutes_ago() {
        let mut past = Past::default();
        let mut look = |second: i64, total: u64| {
            growth(total, at(second), &mut past, Bounds::new(10.0, 100.0))
        };
        assert_eq!(look(0, 10).state, State::Skip);
        assert_eq!(look(60, 20).state, State::Skip);
        assert_eq!(look(299, 20).state, State::Skip);
        let found = look(300, 35);
        assert_eq!(
            (found.state, found.text.as_str()),
            (State::Ok, "+25 messages in 5m: +5 a minute")
        );
        // From the look at 60.
        let found = look(360, 80);
        assert_eq!(
            (found.state, found.measure.unwrap().value),
            (State::Warn, 12.0)
        );
        assert_eq!(look(660, 1000).state, State::Crit);
        let found = look(960, 0);
        assert_eq!(
            (found.state, found.measure.unwrap().value),
            (State::Ok, -200.0)
        );
        // Looks that are rare are measured from too, and a clock that was set back begins anew.
        assert_eq!(look(5000, 0).state, State::Ok);
        assert_eq!(look(-100, 0).state, State::Skip);
        let kept: Vec<i64> = past.depths.iter().map(|d| seconds(at(0), d.at)).collect();
        assert_eq!(kept, [-100]);
    }

    #[test]
    fn the_past_stays_small() {
        let mut past = Past::default();
        for second in 0..20_000 {
            growth(1, at(second), &mut past, Bounds::new(10.0, 100.0));
        }
        assert!(past.depths.len() <= 125, "{}", past.depths.len());
    }

    #[test]
    fn a_refused_login_is_grave_however_few_wait_for_it() {
        let refused = "connect to 127.0.0.1[127.0.0.1]:2587: Connection refused";
        let auth = "SASL authentication failed; server mx said: 535 5.7.8";
        let found = reasons(&tally(&[
            ("deferred", 0, refused),
            ("deferred", 0, refused),
            ("deferred", 0, auth),
        ]));
        assert_eq!(
            (found.state, found.class),
            (State::Crit, Some(Class::Reply5))
        );
        assert!(
            found
                .text
                .starts_with("auth 1, refused 2; auth: SASL authentication failed"),
            "{}",
            found.text
        );
        let found = reasons(&tally(&[("deferred", 0, refused)]));
        assert_eq!(
            (found.state, found.class),
            (State::Warn, Some(Class::Refused))
        );
        assert!(found.text.contains(refused));
        let found = reasons(&tally(&[("deferred", 0, "said: 451 4.7.1 Greylisted")]));
        assert_eq!((found.state, found.hint), (State::Ok, None));
        assert_eq!(reasons(&tally(&[])).text, "nothing waits");
    }

    #[test]
    fn spans_are_short() {
        for (seconds, want) in [
            (0.4, "0s"),
            (119.0, "119s"),
            (120.0, "2m"),
            (7199.0, "119m"),
            (7200.0, "2h"),
            (200_000.0, "2d"),
        ] {
            assert_eq!(span(seconds), want);
        }
    }
}
