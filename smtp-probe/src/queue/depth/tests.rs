use super::*;
use crate::queue::record::{Record, Sink as _};

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
        // The relay's clock is far ahead.
        (3600, State::Warn),
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
        Some(json!({"via": "showq", "queues": {
            "incoming": 0, "active": 0, "deferred": 2, "hold": 1, "maildrop": 0,
        }}))
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
    let mut look =
        |second: i64, total: u64| growth(total, at(second), &mut past, Bounds::new(10.0, 100.0));
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
